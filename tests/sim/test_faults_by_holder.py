"""Faults of servers of Raft, whose clients may begin again: a service's gateway asks under another number each time."""

import pytest
from braft_rig import KEYS, SERVERS, Member
from raft_rig import Rig as RaftRig
from raft_rig import put

from bcr.faults.plans import Failure, FaultPlan, Trigger
from bcr.signed.encoding import encode
from bcr.signed.signing import Signed


def plans(position):
    return encode((FaultPlan(0, position, Trigger("client_request", 1, 1), Failure("stall"), "client_request(1,1),stall()"),))


class FaultyRaft(RaftRig):
    @property
    def server(self):
        from RaftFaults import FaultyServer

        return FaultyServer

    def arguments(self, pids, clients):
        return (*super().arguments(pids, clients), plans(self.position))


class FaultyBraft(Member):
    @property
    def server(self):
        from BraftFaults import FaultyMember

        return FaultyMember

    def arguments(self, pids, clients):
        return (*super().arguments(pids, clients), plans(self.position))


def signed(client, number):
    return Signed.sign(put(client, number), client, KEYS[SERVERS + client % 2])


def has_stalled(rig, requests):
    for moment, request in enumerate(requests, start=1):
        rig.hear(moment, request)
    return rig.run(40).injector.is_armed("stall")


@pytest.mark.parametrize("clients", [(1, 3), (5, 3), (1, 1)])
@pytest.mark.parametrize(("kind", "make"), [(FaultyRaft, put), (FaultyBraft, signed)], ids=["raft", "byzantine_raft"])
def test_a_trigger_counts_what_a_client_asks_under_all_its_numbers(kind, make, clients):
    assert not has_stalled(kind(), [make(clients[0], 0), make(0, 0), make(2, 0)])
    assert has_stalled(kind(), [make(client, number) for number, client in enumerate(clients)])

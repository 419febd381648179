"""The three authenticators: how many replicas each takes, what it promises, and who must be able to check what."""

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from memory_chain import MemoryChain, key_of, make_configuration, put, seen_by

from bcr.chain.configuration import demand_issued
from bcr.chain.history import CatchingUp, CatchUp, InitialHistory
from bcr.signed.authentication import KINDS, PROMISES, Authentication, keys_of, sizes
from bcr.signed.pieces import Manifest
from bcr.signed.signing import KEY_SEED_SIZE, Signed
from bcr.signed.statements import (
    Checkpoint,
    Complaint,
    ConfigurationQuery,
    GetRunningState,
    Order,
    Outcome,
    Ready,
    ReconfigurationRequest,
    Refusal,
    Request,
    Result,
    Stale,
    Voucher,
    WedgeRequest,
)
from bcr.signed.violations import InvalidSignature, MalformedMessage
from bcr.state.running import RunningState
from bcr.verdict.record import ReplicaReport

OLYMPUS, CLIENTS, REPLICAS = {"olympus"}, {"client_0", "client_1"}, {"replica_0", "replica_1", "replica_2"}
READERS = {
    "request": (Request(1, 0, (put("k", "v"),)), OLYMPUS | REPLICAS),
    "order": (Order(0, 0, b""), OLYMPUS | REPLICAS | CLIENTS),
    "result": (Result(0, 0, b"", b""), OLYMPUS | REPLICAS | CLIENTS),
    "checkpoint": (Checkpoint(0, 0, b""), OLYMPUS | REPLICAS),
    "refusal": (Refusal(0, 1, 0), OLYMPUS | {"client_1"}),
    "stale": (Stale(0, 1, 0), OLYMPUS | {"client_1"}),
    "voucher": (Voucher(0, 0, 1, 0, b"", Outcome(0, 0, 0, ())), OLYMPUS | {"client_1"}),
    "configuration query": (ConfigurationQuery(0), OLYMPUS),
    "complaint": (Complaint(0, 0), OLYMPUS),
    "catching up": (CatchingUp(0, 1, 5), OLYMPUS),
    "manifest": (Manifest("catch_up", 0, 1, 5, 1, bytes(32)), OLYMPUS | REPLICAS),
    "ready": (Ready(0), OLYMPUS),
    "reconfiguration request": (ReconfigurationRequest(0, ""), OLYMPUS),
    "report": (ReplicaReport(0, 0, None, 0, 0, 0, ()), OLYMPUS),
    "wedge request": (WedgeRequest(0), OLYMPUS | REPLICAS),
    "running state asked for": (GetRunningState(0), OLYMPUS | REPLICAS),
    "catch-up": (CatchUp(0, 1, 2, ()), OLYMPUS | REPLICAS),
    "initial history": (InitialHistory(0, RunningState(1).digest()), OLYMPUS | REPLICAS),
    "configuration": (make_configuration(authentication="hmac").issued, OLYMPUS | CLIENTS | REPLICAS),
}


def test_every_authenticator_has_keys_and_says_what_it_promises():
    assert set(KINDS) == set(PROMISES) == set(get_args(Authentication))
    for authentication in KINDS:
        assert keys_of(authentication, bytes(32)).authentication == authentication


@given(st.integers(1, 10), st.sampled_from(["ed25519", "hmac"]))
def test_liars_are_outvoted_and_two_quorums_meet(t, authentication):
    size = sizes(t, authentication)
    assert size.replicas - t >= size.statements > t
    assert size.statements + size.histories > size.replicas


@given(st.integers(1, 10))
def test_where_nobody_lies_all_sign_a_result_and_any_one_that_is_left_knows_it(t):
    size = sizes(t, "crc")
    assert size.replicas == size.statements == t + 1
    assert size.replicas - t >= size.histories == 1


@pytest.mark.parametrize("kind", READERS)
def test_a_statement_can_be_checked_by_those_who_need_it_and_by_no_others(kind):
    statement, expected = READERS[kind]
    chain = MemoryChain(authentication="hmac")
    names = {"olympus": "olympus"} | {name: name for name in CLIENTS} | {name: f"{name} of 0" for name in REPLICAS}
    author = chain.keys_of("replica_1 of 0")
    signed = Signed.sign(statement, 1, author)
    assert {name for name, key in names.items() if signed.is_authentic(chain.keys_of(key).author(author.public))} == expected


@pytest.mark.parametrize("statement", [Result(0, 0, b"", b""), Order(0, 0, b"")])
def test_of_a_result_or_order_only_the_clients_of_its_slot_need_a_code(statement):
    chain = MemoryChain(authentication="hmac")
    keys = chain.keys_at(0)
    signed = Signed.sign(statement, 0, keys, {1})
    assert signed.is_authentic(chain.keys_of("client_1").author(keys.public))
    assert not signed.is_authentic(chain.keys_of("client_0").author(keys.public))


@pytest.mark.parametrize("authentication", KINDS)
def test_a_configuration_is_taken_by_those_whose_keys_are_of_its_kind(authentication):
    chain = MemoryChain(authentication=authentication)
    [signed] = chain.issued
    olympus = key_of("olympus", authentication).public
    view = demand_issued(signed, olympus, chain.keys_of("client_0"))
    assert (view.number, view.tail + 1) == (0, sizes(1, authentication).replicas)
    others = key_of("client_0", next(each for each in KINDS if each != authentication))
    with pytest.raises((InvalidSignature, MalformedMessage)):
        demand_issued(signed, olympus, others)


@pytest.mark.parametrize("authentication", KINDS)
def test_a_chain_of_another_length_is_refused(authentication):
    chain = MemoryChain(authentication=authentication)
    issued = chain.configuration.issued
    shorter = type(issued)(issued.number, issued.t, issued.replicas[1:], issued.clients, authentication)
    keys = chain.keys_of("olympus")
    with pytest.raises(MalformedMessage, match="replicas for t = 1"):
        demand_issued(Signed.sign(shorter, 0, keys), keys.public, keys)


@pytest.mark.parametrize("authentication", KINDS)
def test_a_configuration_that_says_another_authentication_than_it_is_signed_with_is_refused(authentication):
    chain = MemoryChain(authentication=authentication)
    issued = chain.configuration.issued
    other = next(each for each in KINDS if each != authentication)
    wrong = type(issued)(issued.number, issued.t, issued.replicas, issued.clients, other)
    keys = chain.keys_of("olympus")
    with pytest.raises(MalformedMessage, match=f"{other}, where {authentication} is used"):
        demand_issued(Signed.sign(wrong, 0, keys), keys.public, keys)


def test_a_configuration_for_no_faulty_replica_is_refused():
    chain = MemoryChain()
    issued = chain.configuration.issued
    without = type(issued)(issued.number, 0, issued.replicas[:1], issued.clients)
    keys = chain.keys_of("olympus")
    with pytest.raises(MalformedMessage, match="replicas for t = 0"):
        demand_issued(Signed.sign(without, 0, keys), keys.public, keys)


def test_a_view_is_of_the_process_that_looks():
    chain = MemoryChain(authentication="hmac")
    request = chain.send(0, put("k", "v"))
    for reader, may_check in (("replica_2 of 0", True), ("olympus", True), ("client_1", False)):
        view = seen_by(chain.keys_of(reader), chain.configuration.issued)
        assert request.is_authentic(view.client_key(0)) == may_check


@pytest.mark.parametrize("kind", KINDS)
def test_keys_know_olympus_by_the_key_that_they_are_given_and_olympus_itself_by_its_own(kind):
    olympus = keys_of(kind, bytes(KEY_SEED_SIZE))
    assert olympus.circle.olympus == olympus.public
    assert keys_of(kind, b"1" * KEY_SEED_SIZE, b"another's").circle.olympus == b"another's"

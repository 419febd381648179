"""A configuration as one of its members sees it: how many must agree, who is needed, and who is in it."""

import pytest
from memory_chain import client_key, get, key_of, make_configuration, replica_author
from msgspec.structs import replace

from bcr.chain.configuration import Member, demand_issued
from bcr.signed.authentication import KINDS, sizes
from bcr.signed.signing import Keyring, Signed
from bcr.signed.statements import Request
from bcr.signed.violations import InvalidSignature, MalformedMessage, UnknownSigner


@pytest.mark.parametrize("authentication", KINDS)
@pytest.mark.parametrize("t", [1, 2, 3])
def test_with_acceptance_all_everybody_is_needed_and_with_quorum_nobody_in_particular(authentication, t):
    size = sizes(t, authentication)
    view = make_configuration(t=t, authentication=authentication)
    assert view.needed == frozenset(range(size.replicas))
    assert make_configuration(t=t, authentication=authentication, acceptance="quorum").needed == frozenset()
    assert (view.quorum, view.histories) == (size.statements, size.histories)
    assert (view.head, view.tail) == (0, size.replicas - 1)
    assert view.is_transferable == (authentication != "hmac")


def test_members_are_known_by_position_and_number_and_nobody_else_is():
    view = make_configuration(t=1, clients=2, number=3)
    for position in range(3):
        assert view.replica_author(position).public_key == replica_author(position, 3).public
    for client in range(2):
        assert view.client_key(client).public_key == client_key(client).public
    for stranger in (-1, 3):
        with pytest.raises(UnknownSigner, match=f"no replica at position {stranger} of configuration 3"):
            view.replica_author(stranger)
    for stranger in (-1, 2):
        with pytest.raises(UnknownSigner, match=f"no client {stranger}"):
            view.client_key(stranger)


def test_the_circle_holds_the_keys_of_all_in_order():
    view = make_configuration(t=1, clients=2)
    assert view.circle.replicas == tuple(replica_author(position).public for position in range(3))
    assert view.circle.clients == tuple(client_key(client).public for client in range(2))
    assert all(isinstance(each, Member) for each in (*view.replicas, *view.clients))


def test_a_request_is_its_client_s_own_whoever_else_signs_it_as_what():
    view = make_configuration(t=1, clients=2)
    request = Request(0, 0, (get("k"),))
    view.demand_signed_by_client(Signed.sign(request, 0, client_key(0)))
    with pytest.raises(MalformedMessage, match="request of client 0 signed by 1"):
        view.demand_signed_by_client(Signed.sign(request, 1, client_key(1)))
    with pytest.raises(InvalidSignature, match="client 0"):
        view.demand_signed_by_client(Signed.sign(request, 0, client_key(1)))


@pytest.mark.parametrize("authentication", ["ed25519", "hmac", "crc"])
def test_a_configuration_is_taken_as_olympus_signed_it_where_it_fits_itself_and_the_keys(authentication):
    keys = key_of("client_0", authentication)
    issued = make_configuration(2, authentication=authentication).issued
    olympus = key_of("olympus", authentication).among(Keyring(clients=tuple(each.public_key for each in issued.clients)))

    def taken(author=olympus, **changes):
        return demand_issued(Signed.sign(replace(issued, **changes), 0, author), olympus.public, keys)

    assert taken().issued == issued
    for changes in ({"t": 0, "replicas": issued.replicas[:1]}, {"t": 1}, {"t": 3}, {"replicas": issued.replicas[:-1]},
                    {"replicas": (*issued.replicas, issued.replicas[0])}):  # fmt: skip
        with pytest.raises(MalformedMessage, match="replicas for t ="):
            taken(**changes)
    with pytest.raises(MalformedMessage, match=f"md5, where {authentication} is used"):
        taken(authentication="md5")


@pytest.mark.parametrize("authentication", ["ed25519", "hmac"])
def test_a_configuration_that_another_signed_is_not_taken(authentication):
    issued = make_configuration(authentication=authentication).issued
    other = key_of("client_1", authentication).among(make_configuration(authentication=authentication).circle)
    with pytest.raises(InvalidSignature, match="invalid signature of Olympus"):
        demand_issued(Signed.sign(issued, 0, other), key_of("olympus", authentication).public, key_of("client_0", authentication))


def test_the_clients_that_are_the_same_here_are_those_with_the_same_key_under_the_same_number():
    view = make_configuration(t=1, clients=3)
    keys = [client_key(each).public for each in (1, 1, 2, 3)]
    assert view.same_clients(keys) == {1, 2}

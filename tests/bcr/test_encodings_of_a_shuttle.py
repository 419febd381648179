"""Requests are encoded once where they are checked; what is made of that is what is made of the requests themselves."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from memory_chain import MemoryChain, client_key, get, make_configuration, put

from bcr.chain.messages import Shuttle, demand_request
from bcr.chain.names import message_of, payload_of
from bcr.objects.operation import Operation
from bcr.signed import encoding
from bcr.signed.encoding import decode, encode
from bcr.signed.signing import Signed
from bcr.signed.statements import Request, tree_over, tree_over_encoded
from bcr.signed.violations import MalformedMessage

TEXTS = st.text(max_size=300)
OPERATIONS = st.lists(st.builds(Operation, TEXTS, TEXTS, TEXTS), max_size=20).map(tuple)
NUMBERS = st.integers(0, 2**64 - 1)
SIGNED = st.builds(Signed, st.builds(Request, NUMBERS, NUMBERS, OPERATIONS), NUMBERS, st.binary(max_size=300))


@pytest.fixture
def shuttle():
    chain = MemoryChain()
    chain.order(chain.send(0, put("k", "é\0"), get("k")), chain.send(1, get("k")))
    return chain.shuttle(0, 2)


class Recorded:
    """An author that remembers what it was asked about."""

    def is_valid(self, message, signature):
        self.asked = message
        return True


@given(SIGNED)
def test_what_a_request_s_author_signed_stands_in_its_encoding(signed):
    author = Recorded()
    assert signed.is_authentic(author, encode(signed))
    assert author.asked == signed.statement.signed_bytes()


@given(st.lists(SIGNED, min_size=1, max_size=5))
def test_shuttle_and_tree_are_those_that_are_made_of_the_values(requests):
    shuttle = Shuttle(0, 1, tuple(requests), (), ())
    assert payload_of(shuttle) == encode(shuttle)
    assert shuttle.request_tree.root == tree_over(requests).root == tree_over_encoded([encode(each) for each in requests]).root
    assert payload_of(shuttle.extended((), ())) == encode(shuttle)


def test_the_next_replica_gets_the_same_requests_with_the_proofs_that_have_grown(shuttle):
    further = shuttle.extended(shuttle.order_proof[:1], ())
    assert further == Shuttle(shuttle.configuration, shuttle.slot, shuttle.requests, shuttle.order_proof[:1], ())
    assert message_of("shuttle", payload_of(further)) == further


def test_no_encoding_is_taken_from_what_came(shuttle):
    received = message_of("shuttle", payload_of(shuttle))
    assert received.encodings == tuple(map(encode, shuttle.requests))


def places_of_arrays(shuttle):
    """Where in the payload a short array begins that can be written in another way: the shuttle, its requests, a request."""
    payload = payload_of(shuttle)
    request = payload.index(shuttle.encodings[0])
    return {"shuttle": 0, "requests": request - 1, "request": request, "statement": request + 1}


@pytest.mark.parametrize("which", ["shuttle", "requests", "request", "statement"])
def test_a_shuttle_in_another_encoding_is_refused_although_it_says_the_same(shuttle, which):
    payload, place = payload_of(shuttle), places_of_arrays(shuttle)[which]
    assert 0x90 <= payload[place] < 0xA0
    other = payload[:place] + b"\xdc\x00" + bytes([payload[place] & 0x0F]) + payload[place + 1 :]
    assert decode(Shuttle, other) == shuttle
    with pytest.raises(MalformedMessage, match="a shuttle that is encoded in another way") as caught:
        message_of("shuttle", other)
    assert caught.value.evidence == (shuttle,)


def test_so_is_one_with_something_behind_its_fields(shuttle):
    payload = payload_of(shuttle)
    longer = bytes([payload[0] + 1]) + payload[1:] + encode("more")
    assert decode(Shuttle, longer) == shuttle
    with pytest.raises(MalformedMessage, match="in another way"):
        message_of("shuttle", longer)


def test_a_client_s_signature_below_another_encoding_of_its_request_does_not_hold():
    keys, request = client_key(0), Request(0, 0, (get("k"),))
    other = request.signed_bytes().replace(encode(request), b"\xdc\x00\x04" + encode(request)[1:])
    signed = Signed(request, 0, keys.sign(other))
    assert keys.author(keys.public).is_valid(other, signed.signature)
    assert not signed.is_authentic(keys.author(keys.public))
    assert not signed.is_authentic(keys.author(keys.public), encode(signed))


def test_a_request_that_comes_alone_is_encoded_once_for_its_size_and_its_signature(monkeypatch):
    request = Signed.sign(Request(0, 0, (put("k", "x" * 10_000),)), 0, client_key(0))
    encoded_bytes = []

    class Counting:
        def encode(self, value):
            encoded_bytes.append(len(encoding.msgspec.msgpack.encode(value)))
            return encoding.msgspec.msgpack.encode(value)

    monkeypatch.setattr(encoding, "_encoder", Counting())
    demand_request(request, make_configuration())
    assert sum(encoded_bytes) < 2 * 10_000

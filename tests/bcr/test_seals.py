"""Seals: what neighbours in the chain put before a message, and whom it convinces of what (specification, 7a)."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from memory_chain import key_of

from bcr.signed import signing
from bcr.signed.authentication import KINDS
from bcr.signed.signing import SEAL_SIZE, Ed25519
from bcr_sim.signatures import StandIn

MESSAGE = b"what one replica tells the next"
NAMES = st.sampled_from(["replica_0", "replica_1", "replica_2", "client_0", "olympus"])


@pytest.fixture(params=[*KINDS, "stand-in"])
def keys(request):
    """Makes the keys of a process of this name, with each authenticator and with the simulator's signatures."""
    if request.param == "stand-in":
        signing.use(StandIn())
        yield key_of
        signing.use(Ed25519())
    else:
        yield lambda name: key_of(name, request.param)


def is_convinced(reader, author, message, seal):
    return reader.author(author.public).is_sealed(message, seal)


def test_a_seal_convinces_its_reader_of_the_author_s_message(keys):
    author, reader = keys("one"), keys("other")
    seal = author.seal(MESSAGE, reader.public)
    assert len(seal) == SEAL_SIZE == 16  # bytes
    assert is_convinced(reader, author, MESSAGE, seal)


def test_a_seal_convinces_nobody_but_its_reader(keys):
    author, reader = keys("one"), keys("other")
    seal = author.seal(MESSAGE, reader.public)
    for name in ("third", "olympus", "client_0"):
        assert not is_convinced(keys(name), author, MESSAGE, seal)


def test_what_one_seals_for_the_other_is_not_what_the_other_seals_for_it(keys):
    author, reader = keys("one"), keys("other")
    seal = author.seal(MESSAGE, reader.public)
    assert not is_convinced(author, reader, MESSAGE, seal)  # sent back to where it came from
    assert not is_convinced(author, author, MESSAGE, seal)
    assert not is_convinced(reader, reader, MESSAGE, seal)
    assert author.seal(MESSAGE, reader.public) != reader.seal(MESSAGE, author.public)


@pytest.mark.parametrize("authentication", KINDS)
@given(message=st.binary(max_size=40), other=st.binary(max_size=40))
def test_a_seal_is_of_one_message(authentication, message, other):
    author, reader = key_of("one", authentication), key_of("other", authentication)
    assert is_convinced(reader, author, other, author.seal(message, reader.public)) == (message == other)


@pytest.mark.parametrize("authentication", KINDS)
@given(place=st.integers(0, len(MESSAGE) + SEAL_SIZE - 1), flip=st.integers(1, 255))
def test_a_message_or_seal_with_a_flipped_byte_is_not_the_author_s(authentication, place, flip):
    author, reader = key_of("one", authentication), key_of("other", authentication)
    sent = bytearray(author.seal(MESSAGE, reader.public) + MESSAGE)
    sent[place] ^= flip
    assert not is_convinced(reader, author, bytes(sent[SEAL_SIZE:]), bytes(sent[:SEAL_SIZE]))


@given(NAMES, NAMES, NAMES)
@pytest.mark.parametrize("authentication", ["ed25519", "hmac"])
def test_a_stranger_has_no_seal_that_passes_for_another_s(authentication, author, reader, stranger):
    keys = {name: key_of(name, authentication) for name in (author, reader, stranger)}
    seal = keys[stranger].seal(MESSAGE, keys[reader].public)
    # Of itself one may be convinced: whoever holds a key is no stranger to it.
    assert is_convinced(keys[reader], keys[author], MESSAGE, seal) == (stranger == author)


@pytest.mark.parametrize("size", [0, 1, SEAL_SIZE - 1, SEAL_SIZE + 1, 64])
def test_a_seal_of_another_size_is_none(keys, size):
    author, reader = keys("one"), keys("other")
    seal = author.seal(MESSAGE, reader.public)
    assert not is_convinced(reader, author, MESSAGE, (seal * 4)[:size])
    assert not is_convinced(reader, author, MESSAGE, bytes(size))


@pytest.mark.parametrize("authentication", KINDS)
@given(key=st.binary(max_size=40), seal=st.binary(max_size=20))
def test_any_bytes_as_key_or_seal_are_no_error(authentication, key, seal):
    reader = key_of("reader", authentication)
    assert isinstance(reader.author(key).is_sealed(MESSAGE, seal), bool)
    assert len(reader.seal(MESSAGE, key)) == SEAL_SIZE


@pytest.mark.parametrize("authentication", ["ed25519", "hmac"])
@given(key=st.binary(max_size=40), seal=st.binary(min_size=SEAL_SIZE, max_size=SEAL_SIZE))
def test_bytes_of_nobody_seal_nothing(authentication, key, seal):
    assert not key_of("reader", authentication).author(key).is_sealed(MESSAGE, seal)


@pytest.mark.parametrize("authentication", ["ed25519", "hmac"])
@pytest.mark.parametrize("weak", [bytes(32), b"\x01" + bytes(31)])
def test_a_public_key_under_which_every_secret_is_the_same_seals_nothing(authentication, weak):
    reader = key_of("reader", authentication)
    assert not reader.author(weak).is_sealed(MESSAGE, bytes(SEAL_SIZE))
    assert not reader.author(weak).is_sealed(MESSAGE, reader.seal(MESSAGE, weak))


@pytest.mark.parametrize("authentication", KINDS)
def test_a_seal_is_no_signature_and_a_signature_no_seal(authentication):
    author, reader = key_of("one", authentication), key_of("other", authentication)
    assert not reader.author(author.public).is_valid(MESSAGE, author.seal(MESSAGE, reader.public))
    signature = author.sign(MESSAGE, (reader.public,))
    for start in range(max(1, len(signature) - SEAL_SIZE + 1)):
        assert not is_convinced(reader, author, MESSAGE, signature[start : start + SEAL_SIZE])


@given(key=st.binary(min_size=32, max_size=32), messages=st.lists(st.binary(max_size=300), min_size=1, max_size=4))
def test_a_seal_is_the_keyed_blake2b_of_the_message_s_digest_whatever_was_sealed_before(key, messages):
    for message in messages:
        whole = hashlib.blake2b(hashlib.sha256(message).digest(), digest_size=SEAL_SIZE, key=key)
        assert signing.seal_under(key, message) == whole.digest()

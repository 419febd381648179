"""Checksums: they show what happened to a message by accident, and nothing that was meant (paper, section 4.1)."""

from hypothesis import given
from hypothesis import strategies as st
from memory_chain import key_of

from bcr.signed.checksums import CHECKSUM_SIZE

AUTHOR, OTHER = key_of("author", "crc"), key_of("other", "crc")
SEEN = OTHER.author(AUTHOR.public)


@given(st.binary(max_size=60))
def test_a_checksum_is_of_one_authors_message(message):
    signature = AUTHOR.sign(message, (OTHER.public,))
    assert len(signature) == CHECKSUM_SIZE
    assert SEEN.is_valid(message, signature)
    assert not OTHER.author(OTHER.public).is_valid(message, signature)


@given(st.binary(max_size=40), st.binary(min_size=4, max_size=4), st.binary(max_size=40), st.integers(1, 2**32 - 1))
def test_bits_that_flip_within_four_bytes_of_a_message_are_noticed(before, part, after, flips):
    flipped = (int.from_bytes(part, "big") ^ flips).to_bytes(4, "big")
    assert not SEEN.is_valid(before + flipped + after, AUTHOR.sign(before + part + after))


@given(st.integers(0, CHECKSUM_SIZE - 1), st.integers(1, 255))
def test_bits_that_flip_in_a_checksum_are_noticed(place, flip):
    signature = bytearray(AUTHOR.sign(b"message"))
    signature[place] ^= flip
    assert not SEEN.is_valid(b"message", bytes(signature))


def test_anybody_can_say_anything_in_anybodys_name_which_is_why_nothing_is_promised_against_lies():
    forger = type(OTHER)(AUTHOR.public)
    assert SEEN.is_valid(b"a lie", forger.sign(b"a lie"))


@given(st.binary(max_size=40), st.binary(max_size=8))
def test_any_bytes_as_key_or_checksum_are_no_error(key, signature):
    assert isinstance(OTHER.author(key).is_valid(b"message", signature), bool)

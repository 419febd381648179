"""Vectors of MACs: whom they convince, and what a liar on the way can do to them (paper, section 4.1)."""

import hmac
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st
from memory_chain import key_of, replica_author

from bcr.signed import macs
from bcr.signed.macs import ENTRY_SIZE, HINT_SIZE, MAC_SIZE, MAX_ENTRIES, MacKeys, UselessMacKeys
from bcr.signed.signing import Keyring

OLYMPUS, AUTHOR, OTHER = (key_of(name, "hmac") for name in ("olympus", "author", "other"))
CLIENTS = [key_of(f"client_{k}", "hmac") for k in range(2)]
REPLICAS = [replica_author(i, 0, "hmac") for i in range(3)]
READERS = [OLYMPUS, *CLIENTS, *REPLICAS]
PUBLIC = tuple(each.public for each in READERS)
MESSAGE = b"what the author says"


@cache
def vector():
    return AUTHOR.sign(MESSAGE, PUBLIC[1:])


def is_convinced(reader, message, signature, author=AUTHOR):
    return reader.author(author.public).is_valid(message, signature)


def test_a_vector_has_sixteen_bytes_and_a_hint_of_two_for_each_reader_and_olympus_comes_first():
    assert (MAC_SIZE, HINT_SIZE) == (16, 2)
    assert len(vector()) == len(READERS) * (MAC_SIZE + HINT_SIZE)
    assert is_convinced(OLYMPUS, MESSAGE, AUTHOR.sign(MESSAGE))


@pytest.mark.parametrize("reader", range(len(READERS)))
def test_each_reader_is_convinced_of_the_authors_message_and_of_no_other(reader):
    assert is_convinced(READERS[reader], MESSAGE, vector())
    assert not is_convinced(READERS[reader], MESSAGE + b".", vector())
    assert not is_convinced(READERS[reader], MESSAGE, vector(), author=OTHER)


def test_who_is_no_reader_is_convinced_of_nothing():
    assert not is_convinced(OTHER, MESSAGE, vector())


def test_a_process_can_check_its_own_words():
    assert is_convinced(REPLICAS[1], MESSAGE, REPLICAS[1].sign(MESSAGE, PUBLIC[1:]), author=REPLICAS[1])


@given(st.integers(0, len(READERS) * ENTRY_SIZE - 1), st.integers(1, 255))
def test_what_convinces_a_reader_convinces_all_before_it_whatever_was_changed_on_the_way(place, flip):
    changed = bytearray(vector())
    changed[place] ^= flip
    convinced = [is_convinced(reader, MESSAGE, bytes(changed)) for reader in READERS]
    assert convinced == sorted(convinced, reverse=True)
    assert not convinced[place // ENTRY_SIZE]


@given(st.sets(st.integers(0, len(READERS) - 1)))
def test_an_author_that_lies_can_convince_some_and_not_others(spoiled):
    uneven = AUTHOR.vector(MESSAGE, PUBLIC, frozenset(spoiled))
    assert [is_convinced(reader, MESSAGE, uneven) for reader in READERS] == [i not in spoiled for i in range(len(READERS))]


def test_what_one_says_to_the_other_is_not_what_the_other_says():
    one, other = REPLICAS[:2]
    said = one.sign(MESSAGE, (other.public,))
    assert is_convinced(other, MESSAGE, said, author=one)
    assert not is_convinced(one, MESSAGE, said, author=other)


@given(st.binary(max_size=40), st.binary(max_size=2 * ENTRY_SIZE))
def test_any_bytes_as_key_or_vector_are_invalid_and_no_error(key, signature):
    assert not OLYMPUS.author(key).is_valid(MESSAGE, signature)
    assert not OLYMPUS.author(AUTHOR.public).is_valid(MESSAGE, signature)
    assert is_convinced(OLYMPUS, MESSAGE, AUTHOR.sign(MESSAGE, (key,)))


@pytest.mark.parametrize(("entries", "convinces"), [(MAX_ENTRIES, True), (MAX_ENTRIES + 1, False)])
def test_a_vector_with_more_entries_than_there_ever_are_readers_convinces_nobody(entries, convinces):
    signature = AUTHOR.vector(MESSAGE, (OTHER.public,) * entries)
    assert is_convinced(OTHER, MESSAGE, signature) == convinces


@pytest.mark.parametrize("weak", [bytes(32), b"\x01" + bytes(31)])
def test_a_public_key_that_makes_every_secret_the_same_is_none(weak):
    assert not OLYMPUS.author(weak).is_valid(MESSAGE, AUTHOR.sign(MESSAGE))


def test_who_is_told_the_private_half_can_check_in_its_holders_place_and_forge():
    told = MacKeys(OLYMPUS.disclosed)
    assert is_convinced(told, MESSAGE, vector())
    forged = told.among(Keyring(OLYMPUS.public)).sign(b"forged", (REPLICAS[0].public,))
    assert is_convinced(REPLICAS[0], b"forged", forged, author=OLYMPUS)


def test_entries_whose_hints_are_alike_do_not_hide_each_other():
    twin = next(each for each in (key_of(f"{n}", "hmac") for n in range(10**7)) if each.public[:1] == OTHER.public[:1])
    disguised = twin.public[:1] + OTHER.public[1:HINT_SIZE] + twin.public[HINT_SIZE:]
    signature = AUTHOR.sign(MESSAGE, (disguised, OTHER.public))
    assert is_convinced(OTHER, MESSAGE, signature)


def test_useless_codes_convince_olympus_and_all_replicas_and_no_client():
    circle = Keyring(OLYMPUS.public, tuple(each.public for each in REPLICAS), tuple(each.public for each in CLIENTS))
    signature = UselessMacKeys.of(AUTHOR.among(circle)).sign(MESSAGE, circle.clients + circle.replicas)
    assert all(is_convinced(reader, MESSAGE, signature) for reader in (OLYMPUS, *REPLICAS))
    assert not any(is_convinced(reader, MESSAGE, signature) for reader in CLIENTS)


def test_who_knows_no_olympus_signs_for_itself_in_its_place():
    alone = MacKeys(bytes(range(32)))
    assert is_convinced(alone, MESSAGE, alone.sign(MESSAGE, (OTHER.public,)), author=alone)


def test_to_a_reader_without_a_public_key_a_vector_says_nothing_and_to_the_others_what_it_says():
    signature = AUTHOR.sign(MESSAGE, (bytes(32), OTHER.public))
    assert len(signature) == 3 * ENTRY_SIZE
    assert is_convinced(OTHER, MESSAGE, signature)


def test_a_vector_with_a_part_of_an_entry_behind_it_is_none():
    assert not is_convinced(OLYMPUS, MESSAGE, vector() + b"x")


@given(st.binary(min_size=32, max_size=32), st.binary(min_size=32, max_size=32), st.binary(max_size=200))
def test_a_mac_is_hmac_sha256_under_the_key_of_two_cut_to_its_size(key, digest, before):
    assert macs._mac(key, digest, before) == hmac.digest(key, digest + before, "sha256")[:MAC_SIZE]

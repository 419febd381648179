"""Only the holder of a key can say something in its owner's name, and only once for each purpose."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from memory_chain import changed, key_of
from nacl.bindings import crypto_sign_seed_keypair

from bcr.signed.encoding import encode
from bcr.signed.signing import Ed25519, Signed
from bcr.signed.statements import Checkpoint, Order, Ready, WedgeRequest
from bcr.signed.violations import InvalidSignature

KEY, OTHER = key_of("one"), key_of("other")
ONE, ANOTHER = KEY.author(KEY.public), KEY.author(OTHER.public)
ORDERS = st.builds(Order, st.integers(0, 9), st.integers(0, 9), st.binary(max_size=4))


@given(ORDERS)
def test_what_a_process_signs_is_authentic_under_its_key_alone(order):
    signed = Signed.sign(order, 3, KEY)
    assert signed.is_authentic(ONE)
    assert not signed.is_authentic(ANOTHER)


@given(ORDERS, ORDERS)
def test_a_signature_fits_one_statement_alone(order, other):
    assert changed(Signed.sign(order, 3, KEY), statement=other).is_authentic(ONE) == (order == other)


@given(st.integers(0, 63), st.integers(1, 255))
def test_a_signature_with_a_flipped_byte_is_not_authentic(place, flip):
    signed = Signed.sign(Order(0, 0, b""), 3, KEY)
    signature = bytearray(signed.signature)
    signature[place] ^= flip
    assert not changed(signed, signature=bytes(signature)).is_authentic(ONE)


@given(st.binary(max_size=80), st.binary(max_size=40), st.binary(max_size=80))
def test_any_bytes_as_key_or_signature_are_invalid_and_no_error(signature, key, message):
    assert not ONE.is_valid(message, signature)
    assert not KEY.author(key).is_valid(message, signature)


def test_a_statement_of_one_kind_does_not_pass_for_another_with_the_same_fields():
    order, checkpoint = Order(0, 1, b"d"), Checkpoint(0, 1, b"d")
    assert not changed(Signed.sign(order, 0, KEY), statement=checkpoint).is_authentic(ONE)
    assert Ready(0).signed_bytes() != WedgeRequest(0).signed_bytes()


def test_a_signature_over_bytes_without_the_domain_is_not_authentic():
    order = Order(0, 1, b"d")
    assert not Signed(order, 0, KEY.sign(encode(order))).is_authentic(ONE)


def test_an_invalid_signature_blames_nobody_and_carries_the_statement():
    signed = Signed.sign(Order(0, 0, b""), 3, OTHER)
    with pytest.raises(InvalidSignature, match="order with an invalid signature of replica 3") as caught:
        signed.demand_authentic(ONE, "replica 3")
    assert caught.value.position is None
    assert not caught.value.provable
    assert caught.value.evidence == (signed,)


def test_digests_of_signed_statements_differ_by_signer_and_signature():
    signed = Signed.sign(Order(0, 0, b""), 3, KEY)
    assert len({each.digest() for each in (signed, changed(signed, signer=2), changed(signed, signature=b""))}) == 3


@pytest.mark.parametrize("moved", [-64, -1, 1, 5])
def test_a_signature_that_is_cut_elsewhere_from_its_message_is_none(moved):
    signature = KEY.sign(b"what was signed")
    together, cut = signature + b"what was signed", len(signature) + moved
    assert ONE.is_valid(b"what was signed", signature)
    assert not ONE.is_valid(together[cut:], together[:cut])


def test_a_public_key_with_something_behind_it_is_none():
    assert not KEY.author(KEY.public + b"x").is_valid(b"what was signed", KEY.sign(b"what was signed"))


def test_what_is_checked_is_what_was_handed_in_as_the_statement_s_bytes():
    signed, other = (Signed.sign(Order(0, slot, b""), 3, KEY) for slot in (0, 1))
    assert signed.is_authentic(ONE, encode(signed))
    assert not signed.is_authentic(ONE, encode(other))


def test_what_is_no_bytes_was_signed_by_nobody():
    public, _ = crypto_sign_seed_keypair(bytes(32))
    assert not any(
        Ed25519().is_valid(*each) for each in ((public, "message", bytes(64)), (public, b"", "x" * 64), ("x" * 32, b"", bytes(64)))
    )

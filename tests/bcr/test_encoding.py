"""One value, one sequence of bytes; anything else is malformed."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from memory_chain import MemoryChain, get, put

from bcr.chain.history import CaughtUp, Wedged
from bcr.chain.messages import ResultShuttle, Shuttle
from bcr.signed.encoding import DIGEST_SIZE, decode, digest, encode, encode_with
from bcr.signed.signing import Signed
from bcr.signed.statements import Order, Request, Result, SignedOrder, SignedRequest, SignedResult
from bcr.signed.violations import LONGEST_WHAT, MalformedMessage, Notice
from bcr.verdict.record import RunRecord

KINDS = [Shuttle, ResultShuttle, SignedRequest, SignedOrder, SignedResult, Signed[Wedged], Signed[CaughtUp], RunRecord]
STATEMENTS = st.builds(Order, st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1), st.binary(max_size=40))


def messages():
    chain = MemoryChain()
    chain.serve(0, put("k", "é\0"))
    chain.serve(1, get("k"))
    shuttle, back, caught_up = chain.shuttle(1, 2), chain.result_shuttle(0), chain.caught_up(1)
    return [(Shuttle, shuttle), (ResultShuttle, back), (Signed[Wedged], chain.wedged(2, checkpoint=0)),
            (SignedRequest, chain.requests[0][0]), (Signed[CaughtUp], caught_up), (RunRecord, chain.record())]  # fmt: skip


@pytest.mark.parametrize("kind, message", messages(), ids=lambda value: type(value).__name__)
def test_a_message_reads_back_as_it_was_written(kind, message):
    assert decode(kind, encode(message)) == message


def test_the_text_of_a_violation_is_bounded_whatever_a_peer_sent():
    with pytest.raises(MalformedMessage) as caught:
        decode(Order, encode(("x" * 900_000, 1, 1, b"")))
    for text in (caught.value.what, str(caught.value), Notice.of(caught.value, "shuttle").what):
        assert len(text) == LONGEST_WHAT
        assert text.startswith("not a Order: Invalid value")


@given(STATEMENTS)
def test_equal_statements_have_equal_bytes_and_different_ones_have_not(statement):
    assert decode(Order, encode(statement)) == statement
    assert encode(decode(Order, encode(statement))) == encode(statement)


@given(STATEMENTS, STATEMENTS)
def test_different_statements_have_different_bytes_and_digests(one, other):
    assert (encode(one) == encode(other)) == (one == other)
    assert (digest("order", one) == digest("order", other)) == (one == other)


def test_the_order_of_a_dictionary_s_keys_does_not_show():
    assert encode({"a": 1, "b": 2}) == encode({"b": 2, "a": 1})


def test_bytes_of_one_kind_never_decode_as_another():
    for kind, message in messages():
        for other in KINDS:
            if other is not kind:
                with pytest.raises(MalformedMessage):
                    decode(other, encode(message))


@given(st.binary(max_size=200), st.sampled_from(KINDS))
def test_any_bytes_decode_or_are_malformed_with_the_bytes_as_evidence(data, kind):
    try:
        decode(kind, data)
    except MalformedMessage as violation:
        assert violation.evidence == (data,)


@given(st.sampled_from(messages()), st.integers(0, 10**6), st.integers(1, 255))
def test_a_message_with_a_flipped_byte_is_malformed_or_another_message(kind_and_message, place, flip):
    kind, message = kind_and_message
    data = bytearray(encode(message))
    data[place % len(data)] ^= flip
    try:
        assert decode(kind, bytes(data)) != message
    except MalformedMessage:
        pass


@given(st.sampled_from(messages()), st.integers(0, 10**6))
def test_a_truncated_message_is_malformed(kind_and_message, length):
    kind, message = kind_and_message
    data = encode(message)
    with pytest.raises(MalformedMessage):
        decode(kind, data[: length % len(data)])


def test_deep_nesting_is_malformed_and_no_error_of_another_kind():
    with pytest.raises(MalformedMessage):
        decode(Request, b"\x91" * 100_000)


def test_text_that_is_not_utf_8_is_malformed():
    data = encode(Request(0, 0, (put("kk", "v"),))).replace(b"kk", b"\xff\xff")
    with pytest.raises(MalformedMessage):
        decode(Request, data)


def test_a_digest_is_for_its_domain_alone():
    assert digest("requests", [b"x"]) != digest("outcomes", [b"x"])
    assert len(digest("requests", [])) == DIGEST_SIZE == 32


def test_a_record_with_a_field_of_another_name_is_malformed():
    """A name that is not known must not pass for a field that is left out."""
    data = encode(MemoryChain().record())
    with pytest.raises(MalformedMessage):
        decode(RunRecord, data.replace(b"faults", b"gaults"))


def test_encodings_do_not_change():
    """Golden bytes: another version of the project, or of Python, must sign the same."""
    assert encode(Order(1, 2, b"\3")).hex() == "94a56f726465720102c40103"
    assert encode(Request(0, 7, (put("k", "v"),))).hex() == "94a7726571756573740007" + "9193a3707574a16ba176"
    written = b"bcr digest/golden\0" + b"\x95\xa6result\x00\x01\xc4\x01a\xc4\x01b"
    assert digest("golden", Result(0, 1, b"a", b"b")) == hashlib.sha256(written).digest()


@pytest.mark.parametrize("data", ["text", bytearray(b"\xc0"), None, 7])
def test_a_payload_that_is_no_bytes_is_refused_for_that(data):
    with pytest.raises(MalformedMessage, match=f"a payload of type {type(data).__name__}, not bytes"):
        decode(Request, data)


def test_of_fields_that_are_encoded_already_the_bytes_are_taken_as_they_are():
    _, shuttle = messages()[0]
    assert encode_with(shuttle, requests=shuttle.encodings) == encode(shuttle)
    assert encode("another") in encode_with(shuttle, requests=[encode("another")])

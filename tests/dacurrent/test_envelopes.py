"""Messages with their sender and receiver, in the form for plain ones and in the general one."""

import math

import pytest
from da import sim
from hypothesis import assume, given
from hypothesis import strategies as st
from test_codec import VALUES, process_id, same

from dacurrent import codec, envelopes
from dacurrent.codec import CodecError

ONE, OTHER = process_id(uid=1), process_id(uid=2, name="named")
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary()
PLAIN = st.tuples(st.none() | st.integers(0, 2**70), st.lists(SCALARS, max_size=5).map(tuple))


def message(arguments):
    return sim.Command.Message, arguments


@given(PLAIN | st.tuples(st.none(), VALUES))
def test_a_message_arrives_with_the_same_types_and_between_the_same_processes(arguments):
    source, destination, arrived, named, _ = envelopes.decode(envelopes.encode(ONE, OTHER, message(arguments)))
    assert (source, destination) == (ONE, OTHER)
    assert same(arrived, message(arguments))
    assert OTHER in named and ONE not in named


@given(st.lists(SCALARS, max_size=5).map(tuple))
def test_a_tuple_of_scalars_is_sent_as_messagepack(content):
    small = all(-(2**63) <= each < 2**64 for each in content if isinstance(each, int))
    assume(small and all(each.isascii() for each in content if isinstance(each, str)))
    assert envelopes.encode(ONE, OTHER, message((None, content)))[:1] == envelopes.PLAIN


@pytest.mark.parametrize("beyond", [2**64, -(2**63) - 1, "\ud800", math.inf])
def test_what_messagepack_cannot_hold_arrives_all_the_same(beyond):
    sent = message((None, ("name", beyond)))
    assert envelopes.decode(envelopes.encode(ONE, OTHER, sent))[2] == sent


@pytest.mark.parametrize(
    "arguments", [None, 7, (), (None,), (None, 1, 2), [None, 1], ("x", ("a",)), (1.5, ("a",)), (-1, ("a",)), (2**200, 1)]
)
def test_a_message_of_another_form_than_clock_and_content_is_a_codec_error(arguments):
    with pytest.raises(CodecError, match="clock, content"):
        envelopes.decode(envelopes.encode(ONE, OTHER, message(arguments)))


def test_a_ticket_arrives_with_its_command_and_is_bytes():
    command = (sim.Command.End, 1)
    assert envelopes.decode(envelopes.encode(ONE, OTHER, command, b"ticket"))[4] == b"ticket"
    assert envelopes.decode(envelopes.encode(ONE, OTHER, command))[4] is None
    with pytest.raises(CodecError, match="ticket"):
        envelopes.decode(envelopes.encode(ONE, OTHER, command, "ticket"))


@given(st.binary(max_size=100), st.booleans())
def test_any_bytes_are_a_message_or_a_codec_error(data, is_plain):
    try:
        envelopes.decode(envelopes.PLAIN + data if is_plain else data)
    except CodecError:
        pass


@given(st.integers(0, 300), st.integers(1, 255))
def test_an_altered_message_is_a_message_or_a_codec_error(place, change):
    data = bytearray(envelopes.encode(ONE, OTHER, message((None, ("name", b"payload", 1, "text")))))
    data[place % len(data)] ^= change
    try:
        envelopes.decode(bytes(data))
    except CodecError:
        pass


@pytest.mark.parametrize("pair", [(ONE,), (ONE, None), (ONE, 1), (None, OTHER), 7, (ONE, OTHER, OTHER)])
def test_a_plain_message_is_between_two_processes(pair):
    body = codec.encode(pair)
    with pytest.raises(CodecError):
        envelopes.decode(envelopes.PLAIN + len(body).to_bytes(2, "big") + body + b"\x91\xc0")


@pytest.mark.parametrize("values", [b"\x90", b"\x92\xc0\x90", b"\x92\xc0\x80", b"\x92\xc0\xd4\x05a", b"\x92\xc0", b"\xc0"])
def test_a_plain_message_holds_scalars_and_nothing_else(values):
    body = codec.encode((ONE, OTHER))
    with pytest.raises(CodecError):
        envelopes.decode(envelopes.PLAIN + len(body).to_bytes(2, "big") + body + values)

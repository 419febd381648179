"""Messages that leave together travel as one: what a bundle holds is what would have come one by one."""

from collections import defaultdict

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bcr.chain import bundles
from bcr.chain.bundles import BUNDLE_LIMIT_BYTES, BUNDLES, MOST_IN_BUNDLE, OVERHEAD_BYTES, SINGLES, Bundle, payloads_in, singles
from bcr.signed.encoding import encode
from bcr.signed.violations import MalformedMessage

REQUEST, REQUESTS = "client_request", "client_requests"
RESULT, RESULTS = "result_message", "result_messages"
LEAVING = st.lists(
    st.tuples(st.tuples(st.sampled_from([REQUEST, RESULT, "shuttle", "error"]), st.binary(max_size=4)), st.sampled_from("abc")),
    max_size=30,
)


def bundled(messages, limit_bytes=1 << 20):
    return bundles.bundled(messages, limit_bytes)


def alone(messages):
    """To each receiver, what it gets, one by one."""
    received = defaultdict(list)
    for parts, to in messages:
        received[to] += singles(parts)
    return dict(received)


@given(LEAVING)
def test_each_receiver_gets_what_left_in_its_order_and_nothing_is_lost(messages):
    assert alone(bundled(messages)) == alone(messages)


@given(LEAVING)
def test_what_leaves_in_bundles_is_never_more_messages(messages):
    assert len(list(bundled(messages))) <= len(messages)


@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=30), st.sampled_from(sorted(BUNDLES)))
def test_of_one_kind_each_receiver_gets_one_message_those_that_were_first_before_others(receivers, kind):
    leaving = list(bundled([((kind, bytes([place])), to) for place, to in enumerate(receivers)]))
    assert [to for _, to in leaving] == list(dict.fromkeys(receivers))


def test_a_message_that_has_nobody_beside_it_goes_as_it_is():
    messages = [((REQUEST, b"1"), "a"), ((REQUEST, b"2"), "b")]
    assert list(bundled(messages)) == messages


@pytest.mark.parametrize("kind, bundle", BUNDLES.items())
def test_two_of_a_kind_for_one_process_are_a_bundle_of_that_kind(kind, bundle):
    [(parts, to)] = bundled([((kind, b"1"), "a"), ((kind, b"2"), "a")])
    assert (parts[0], to) == (bundle, "a")
    assert payloads_in(parts[1]) == (b"1", b"2")
    assert singles(parts) == [(kind, b"1"), (kind, b"2")]


@pytest.mark.parametrize("other", ["shuttle", RESULT])
def test_what_is_of_another_kind_goes_in_between_in_its_turn(other):
    messages = [((REQUEST, b"1"), "a"), ((REQUEST, b"2"), "a"), ((other, b"3"), "a"), ((REQUEST, b"4"), "a"), ((REQUEST, b"5"), "a")]
    assert [parts[0] for parts, _ in bundled(messages)] == [REQUESTS, other, REQUESTS]
    assert alone(bundled(messages)) == alone(messages)


def test_what_is_no_payload_alone_is_let_through_as_it_is():
    messages = [(("introduction", b"1", "where"), "a"), (("introduction", b"2", "where"), "a")]
    assert list(bundled(messages)) == messages


@given(st.integers(0, 3 * MOST_IN_BUNDLE))
def test_a_bundle_holds_so_many_and_no_more(count):
    leaving = [parts for parts, _ in bundled([((REQUEST, b"x"), "a")] * count)]
    sizes = [len(singles(parts)) for parts in leaving]
    assert sizes == [MOST_IN_BUNDLE] * (count // MOST_IN_BUNDLE) + [count % MOST_IN_BUNDLE] * (count % MOST_IN_BUNDLE > 0)


@pytest.mark.parametrize("first, second, messages", [(1, -1, 1), (1, 0, 2), (BUNDLE_LIMIT_BYTES, -BUNDLE_LIMIT_BYTES + 1, 2)])
def test_a_bundle_has_so_many_bytes_and_no_more(first, second, messages):
    payloads = [bytes(first), bytes(BUNDLE_LIMIT_BYTES + second)]
    leaving = [parts for parts, _ in bundled([((RESULT, each), "a") for each in payloads])]
    assert len(leaving) == messages
    assert [payload for parts in leaving for _, payload in singles(parts)] == payloads


def test_what_is_larger_than_a_bundle_goes_alone_and_keeps_its_place():
    payloads = [b"1", b"2", bytes(2 * BUNDLE_LIMIT_BYTES), b"3", b"4"]
    leaving = [parts for parts, _ in bundled([((REQUEST, each), "a") for each in payloads])]
    assert [parts[0] for parts in leaving] == [REQUESTS, REQUEST, REQUESTS]
    assert [payload for parts in leaving for _, payload in singles(parts)] == payloads


def test_what_is_larger_than_a_bundle_has_no_empty_one_before_it():
    messages = [((REQUEST, bytes(BUNDLE_LIMIT_BYTES + 1)), "a"), ((REQUEST, b"2"), "a")]
    assert list(bundled(messages)) == messages


def test_a_bundle_is_a_small_part_of_what_a_message_may_be():
    """Beside it stand the largest payloads, in messages of their own (specification, 8.3)."""
    assert BUNDLE_LIMIT_BYTES == 65_536


def test_what_a_bundle_may_say_beside_its_payloads_is_kept_free_of_what_a_message_may_have():
    """16 bytes, and 5 for each of 256: so much the largest header of a payload has."""
    payloads = [((REQUEST, bytes(50)), "a")] * 2
    for most, messages in ((16 + 5 * 256 + 100, 1), (16 + 5 * 256 + 99, 2)):
        assert len(list(bundled(payloads, most))) == messages


@pytest.mark.parametrize("parts", [("shuttle", encode(Bundle((b"1",)))), ("introduction", encode(Bundle((b"1",))), "where"), ("moved",)])
def test_what_has_the_name_of_no_bundle_is_none_whatever_it_holds(parts):
    assert singles(parts) == [parts]


def test_what_one_receiver_s_bundle_holds_counts_for_no_other():
    half = bytes(BUNDLE_LIMIT_BYTES // 2)
    leaving = list(bundled([((REQUEST, half), to) for to in "abab"]))
    assert [(parts[0], to) for parts, to in leaving] == [(REQUESTS, "a"), (REQUESTS, "b")]


MALFORMED = {
    "empty": encode(Bundle(())),
    "too many": encode(Bundle((b"",) * (MOST_IN_BUNDLE + 1))),
    "not bytes in it": msgspec.msgpack.encode(["bundle", ["text"]]),
    "another kind": msgspec.msgpack.encode(["bundles", [b"1"]]),
    "no list": msgspec.msgpack.encode(["bundle", b"1"]),
    "cut off": encode(Bundle((b"1", b"2")))[:-1],
    "something behind it": encode(Bundle((b"1", b"2"))) + b"\0",
    "garbage": b"\xc1",
    "nothing": b"",
    "no bytes": None,
    "a text": "bundle",
}


@pytest.mark.parametrize("bundle", MALFORMED.values(), ids=MALFORMED)
def test_what_is_no_bundle_is_malformed_and_stands_for_itself(bundle):
    with pytest.raises(MalformedMessage):
        payloads_in(bundle)
    assert singles((REQUESTS, bundle)) == [(REQUESTS, bundle)]


@given(st.binary(max_size=60))
def test_any_bytes_are_a_bundle_or_malformed_and_no_error(data):
    try:
        assert all(isinstance(each, bytes) for each in payloads_in(data))
    except MalformedMessage:
        pass


def test_the_largest_bundle_can_be_opened():
    assert len(payloads_in(encode(Bundle((b"",) * MOST_IN_BUNDLE)))) == MOST_IN_BUNDLE


@given(st.tuples(st.sampled_from(["shuttle", REQUEST, RESULT]), st.binary(max_size=9)))
def test_what_is_no_bundle_by_its_name_stands_for_itself(parts):
    assert singles(parts) == [parts]


def test_each_kind_of_bundle_is_of_one_kind_of_message():
    assert {single: bundle for bundle, single in SINGLES.items()} == BUNDLES
    assert not set(SINGLES) & set(BUNDLES)


@given(st.lists(st.binary(max_size=200), max_size=40), st.integers(0, 4 * OVERHEAD_BYTES))
def test_no_bundle_is_larger_than_a_message_may_be(payloads, limit_bytes):
    leaving = [parts for parts, _ in bundled([((RESULT, each), "a") for each in payloads], limit_bytes)]
    assert [payload for parts in leaving for _, payload in singles(parts)] == payloads
    assert all(len(payload) <= limit_bytes for name, payload in leaving if name in SINGLES)


def test_a_bundle_of_as_many_as_may_be_takes_no_more_beside_them_than_it_says():
    whole = Bundle((bytes(65_536),) * MOST_IN_BUNDLE)
    assert len(encode(whole)) - MOST_IN_BUNDLE * 65_536 <= OVERHEAD_BYTES

"""The client of a service that proves nothing to callers, against answers in the form of its gateways."""

import json
from decimal import Decimal

import pytest

from bcr_client import ConditionFailed, NothingHappened, OutcomeUnknown, Refused, UnprovedStore
from bcr_client.answers import NOTHING_SEEN, delete, get, keys, put, transaction
from bcr_client.wire import HttpResponse

FAR_S = 1e12  # a deadline


@pytest.fixture
def store():
    return UnprovedStore("http://127.0.0.1:1")


def sent(store, call):
    head, _, body = store.sent(call, store.place, FAR_S).partition(b"\r\n\r\n")
    return head.split(b" ")[1].decode(), json.loads(body) if body else None


def test_everything_but_a_listing_goes_through_a_transaction(store):
    path, body = sent(store, put("k", {"a": [1.5, None]}, (0, 7, 0)))
    assert path == "/transactions?timeout_ms=60000"
    assert body == {"operations": [{"op": "put", "key": "k", "value": {"a": [1.5, None]}, "version": "0.7.0"}]}
    assert sent(store, get("k"))[1] == {"operations": [{"op": "get", "key": "k"}]}
    assert sent(store, delete("k", "absent"))[1] == {"operations": [{"op": "delete", "key": "k", "version": "absent"}]}
    assert sent(store, transaction([("append", "k", "x")]))[1] == {"operations": [{"op": "append", "key": "k", "value": "x"}]}


def test_nobody_is_asked_for_a_proof(store):
    path, body = sent(store, keys("a", "b", 3))
    assert path.startswith("/keys?")
    assert "proof=0" in path
    assert "proof=1" not in path
    assert body is None


def taken(store, status, told):
    return store.take(get("k"), HttpResponse(status, json.dumps(told).encode()), NOTHING_SEEN)


def test_results_are_returned_as_they_are_told(store):
    assert taken(store, 200, {"results": [{"value": 5, "version": [0, 2, 0]}]}) == [{"value": 5, "version": [0, 2, 0]}]
    assert store.last_proof is None


@pytest.mark.parametrize(
    ("status", "told", "error"),
    [
        (412, {"detail": "no", "definite": True, "version": [0, 1, 0]}, ConditionFailed),
        (503, {"detail": "busy", "definite": True}, NothingHappened),
        (504, {"detail": "late", "definite": False}, OutcomeUnknown),
        (400, {"detail": "no key", "definite": True}, Refused),
        (502, {}, OutcomeUnknown),
        (200, [], OutcomeUnknown),
        (200, {}, OutcomeUnknown),
        (200, {"results": None}, OutcomeUnknown),
        (200, {"results": []}, OutcomeUnknown),
        (200, {"results": [5]}, OutcomeUnknown),
        (200, {"results": [{"version": [0, 1, 0]}]}, OutcomeUnknown),
        (200, {"results": [{"value": 5, "version": 5}]}, OutcomeUnknown),
        (200, {"results": [{"value": 5, "version": [0, 1]}]}, OutcomeUnknown),
        (412, {"version": 5}, OutcomeUnknown),
        (412, [], OutcomeUnknown),
    ],
)
def test_what_went_wrong_is_told_by_what_may_be_concluded(store, status, told, error):
    with pytest.raises(error) as raised:
        taken(store, status, told)
    assert type(raised.value) is error
    assert not getattr(raised.value, "is_proved", False)


@pytest.mark.parametrize("told", [{}, {"keys": None, "more": False}, {"keys": [5], "more": False}, {"keys": []}])
def test_what_is_no_listing_leaves_the_outcome_unknown(store, told):
    with pytest.raises(OutcomeUnknown):
        store.take(keys(), HttpResponse(200, json.dumps(told).encode()), NOTHING_SEEN)


def test_a_number_of_any_length_is_read_at_a_gateways_word(store):
    body = b'{"results":[{"value":%b,"version":[0,2,0]}]}' % (b"9" * 5_000)
    assert store.take(get("k"), HttpResponse(200, body), NOTHING_SEEN)[0]["value"] == Decimal("9" * 5_000)

"""A client's record in frames: what comes out is what went in, in request order, and nothing else is taken for one."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bcr.signed.violations import MalformedMessage
from bcr.verdict.spool import frame, record_of


def framed(record):
    """The payload of a client that had its answers in the opposite order."""
    account = msgspec.structs.replace(record, exchanges=())
    return b"".join(map(frame, (*reversed(record.exchanges), account)))


def test_a_record_is_put_together_in_request_order(recorded_run):
    for record in recorded_run[0].clients:
        assert len(record.exchanges) > 1
        assert record_of(framed(record)) == record


@given(st.data())
def test_what_is_cut_short_or_changed_is_never_an_error_of_another_kind(recorded_run, data):
    payload = framed(recorded_run[0].clients[0])
    place = data.draw(st.integers(0, len(payload) - 1))
    changed = data.draw(st.sampled_from([payload[:place], payload[:place] + b"\xff" + payload[place + 1 :]]))
    try:
        record_of(changed)
    except MalformedMessage:
        return


def test_a_payload_that_ends_within_a_frame_is_none(recorded_run):
    with pytest.raises(MalformedMessage, match="within a frame"):
        record_of(framed(recorded_run[0].clients[0])[:-1])
    with pytest.raises(MalformedMessage, match="without a frame"):
        record_of(b"")

"""Payloads in pieces: in any order, within limits."""

from hypothesis import given
from hypothesis import strategies as st

from bcr import pieces
from bcr.pieces import MAX_PIECES, Assembler, Pieces, pieces_of


@given(st.binary(max_size=60), st.integers(1, 70), st.randoms(use_true_random=False))
def test_a_payload_comes_together_from_its_pieces_in_any_order_even_twice(payload, size, random):
    parts = list(enumerate(pieces_of(payload, size)))
    assert all(len(part) <= size for _, part in parts)
    shuffled = parts * 2
    random.shuffle(shuffled)
    together = Pieces()
    for index, part in shuffled:
        together.add(index, len(parts), part)
    assert together.payload() == payload


@given(st.binary(min_size=2, max_size=40), st.data())
def test_a_payload_without_one_of_its_pieces_is_none(payload, data):
    parts = pieces_of(payload, 1)
    lost = data.draw(st.integers(0, len(parts) - 1))
    together = Pieces()
    for index, part in enumerate(parts):
        if index != lost:
            together.add(index, len(parts), part)
    assert together.payload() is None


def test_pieces_that_do_not_fit_are_left_out():
    together = Pieces()
    for index, count in ((-1, 2), (2, 2), (0, 0), (0, -1), (0, MAX_PIECES + 1)):
        together.add(index, count, b"x")
    assert together.payload() is None
    together.add(0, 2, b"a")
    together.add(1, 3, b"b")  # of another payload
    assert together.payload() is None
    together.add(1, 2, b"c")
    assert together.payload() == b"ac"


def test_a_payload_beyond_the_limit_stays_incomplete(monkeypatch):
    monkeypatch.setattr(pieces, "MAX_PAYLOAD_BYTES", 3)
    together = Pieces()
    together.add(0, 2, b"ab")
    together.add(1, 2, b"cd")
    assert together.payload() is None


def test_payloads_of_several_senders_do_not_mix():
    assembler = Assembler()
    assert assembler.add("one", 1, 0, 2, b"a") is None
    assert assembler.add("other", 1, 1, 2, b"d") is None
    assert assembler.add("one", 1, 1, 2, b"b") == b"ab"
    assert assembler.add("other", 1, 0, 2, b"c") == b"cd"


def test_a_sender_s_next_payload_drops_its_unfinished_one():
    assembler = Assembler()
    assembler.add("one", 1, 0, 2, b"old")
    assert assembler.add("one", 2, 1, 2, b"w") is None
    assert assembler.add("one", 2, 0, 2, b"ne") == b"new"
    assert assembler.add("one", 3, 0, 1, b"") == b""

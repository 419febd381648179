"""Payloads in pieces: in any order, within limits."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from memory_chain import MemoryChain, key_of
from msgspec.structs import replace

from bcr.signed import pieces
from bcr.signed.authentication import KINDS
from bcr.signed.encoding import encode
from bcr.signed.pieces import (
    LEAST_PIECE_BYTES,
    MAX_PAYLOAD_BYTES,
    MAX_PIECES,
    PAYLOADS_WITH_STEPS,
    PIECE_OVERHEAD_BYTES,
    PROGRESS_STEPS,
    Assembler,
    Pieces,
    pieces_of,
    signed_pieces,
)
from bcr.signed.signing import Signed
from bcr.signed.violations import OverLimit, ProtocolViolation


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


# -- signed pieces

KEYS = {signer: key_of(f"replica_{signer}") for signer in range(3)}
READER = key_of("olympus")


def sent(payload, signer=0, serial=1, size=LEAST_PIECE_BYTES, message="wedged"):
    """The payload in pieces of at most `size` bytes, under its signer's signature."""
    limit = size + PIECE_OVERHEAD_BYTES
    return list(signed_pieces(message, 0, serial, payload, limit, signer, KEYS[signer]))


def take(assembler, piece):
    """What comes of a piece that arrives, whoever sent it: its signer is who the manifest says."""
    signer = piece.manifest.signer
    return assembler.add(piece, READER.author(KEYS[signer].public), f"replica {signer}")


def payload_of(count, mark=b"x"):
    """A payload in so many pieces."""
    return bytes(mark) * ((count - 1) * LEAST_PIECE_BYTES + 1)


@given(st.binary(max_size=2000), st.integers(0, 2000), st.randoms(use_true_random=False))
def test_a_signed_payload_comes_together_from_its_pieces_in_any_order_even_twice(payload, more, random):
    payload += bytes(more)
    parts = sent(payload)
    assert all(len(encode(part)) <= LEAST_PIECE_BYTES + PIECE_OVERHEAD_BYTES for part in parts)
    shuffled = parts * 2
    random.shuffle(shuffled)
    assembler = Assembler()
    found = [whole for whole in (take(assembler, part) for part in shuffled) if whole is not None]
    assert found == [payload]
    assert assembler.held_bytes() == 0


@pytest.mark.parametrize("limit", [0, 1, 300, 1400, 4096, 1 << 20])
def test_pieces_fit_into_messages_of_that_size_unless_that_is_too_small_for_any(limit):
    parts = list(signed_pieces("wedged", 0, 1, bytes(5000), limit, 0, KEYS[0]))
    assert max(len(encode(part)) for part in parts) <= max(limit, LEAST_PIECE_BYTES + PIECE_OVERHEAD_BYTES)


@pytest.mark.parametrize("authentication", KINDS)
def test_with_each_authenticator_pieces_are_their_signer_s(authentication):
    chain = MemoryChain(authentication=authentication)
    payload = payload_of(3)
    for name, reader in (("olympus", "replica_1 of 0"), ("replica_0 of 0", "olympus")):
        author = chain.keys_of(name)
        parts = list(signed_pieces("catch_up", 0, 1, payload, 0, 0, author))
        assembler = Assembler()
        seen = chain.keys_of(reader).author(author.public)
        assert [assembler.add(part, seen, name) for part in parts] == [None, None, payload]


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=9, max_size=40))
def test_payloads_of_several_signers_do_not_mix_however_their_pieces_arrive(arrivals):
    parts = {signer: sent(payload_of(3, b"%d" % signer), signer) for signer in KEYS}
    assembler, arrived = Assembler(), {signer: set() for signer in KEYS}
    for signer, index in arrivals:
        was_whole = len(arrived[signer]) == 3
        arrived[signer].add(index)
        whole = take(assembler, parts[signer][index])
        is_whole = len(arrived[signer]) == 3 and not was_whole
        assert whole == (payload_of(3, b"%d" % signer) if is_whole else None)


@given(st.data())
def test_another_s_piece_is_never_put_beside_a_signer_s(data):
    honest = sent(payload_of(3, b"a"))
    assembler = Assembler()
    for part in honest[:2]:
        assert take(assembler, part) is None
    liar = sent(payload_of(3, b"b"), signer=1)
    forged = [
        replace(liar[2], manifest=honest[2].manifest),  # of another tree
        replace(liar[2], manifest=replace(liar[2].manifest, signer=0)),  # in the name of the first
        replace(honest[2], data=b"other"),
        replace(honest[2], path=()),
        replace(honest[2], path=(*honest[2].path, bytes(32))),
        replace(honest[2], index=1),
        replace(honest[2], index=3),
        replace(honest[2], index=-1),
        replace(honest[0], index=2),
        replace(honest[2], manifest=replace(honest[2].manifest, signature=bytes(64))),
        replace(honest[2], manifest=replace(honest[2].manifest, statement=replace(
            honest[2].manifest.statement, serial=2))),
        replace(honest[2], manifest=replace(honest[2].manifest, statement=replace(
            honest[2].manifest.statement, message="caught_up"))),
    ]  # fmt: skip
    for part in data.draw(st.lists(st.sampled_from(forged), max_size=6)):
        with suppress(ProtocolViolation):
            assert take(assembler, part) is None
    assert take(assembler, liar[0]) is None  # of its own it may send what it likes
    assert take(assembler, honest[2]) == payload_of(3, b"a")


@pytest.mark.parametrize("what", ["data", "path", "index", "signature", "signer"])
def test_a_piece_that_its_signer_did_not_send_so_is_a_violation(what):
    [_, part, _] = sent(payload_of(3))
    altered = {
        "data": replace(part, data=part.data[:-1]),
        "path": replace(part, path=(bytes(32),) * len(part.path)),
        "index": replace(part, index=2),
        "signature": replace(part, manifest=replace(part.manifest, signature=bytes(64))),
        "signer": replace(part, manifest=replace(part.manifest, signer=1)),
    }[what]
    with pytest.raises(ProtocolViolation):
        take(Assembler(), altered)


def test_a_signer_s_next_payload_drops_its_unfinished_one_and_nothing_older_is_heard_of_any_more():
    old, new, next_one = sent(payload_of(2, b"o"), serial=1), sent(payload_of(2, b"n"), serial=2), sent(b"3", serial=3)
    assembler = Assembler()
    assert take(assembler, old[0]) is None
    assert take(assembler, new[0]) is None
    assert take(assembler, old[1]) is None
    assert assembler.held_bytes() == LEAST_PIECE_BYTES
    assert take(assembler, new[1]) == payload_of(2, b"n")
    assert [take(assembler, part) for part in (*old, *new)] == [None] * 4  # again, or late
    assert take(assembler, next_one[0]) == b"3"


def test_of_two_payloads_under_one_serial_the_first_that_arrives_counts():
    one, other = sent(payload_of(2, b"a")), sent(payload_of(2, b"b"))
    assembler = Assembler()
    take(assembler, one[0])
    assert take(assembler, other[0]) is take(assembler, other[1]) is None
    assert take(assembler, one[1]) == payload_of(2, b"a")


def test_after_forgetting_others_hold_the_same_places_and_begin_anew():
    assembler = Assembler()
    take(assembler, sent(payload_of(2), serial=5)[0])
    assembler.forget()
    assert assembler.held_bytes() == 0
    assert take(assembler, sent(b"new", serial=1)[0]) == b"new"


def test_after_forgetting_nothing_counts_of_what_was_begun_and_its_steps():
    assembler = Assembler()
    for serial in range(PAYLOADS_WITH_STEPS):
        for part in sent(payload_of(3), serial=serial):
            take(assembler, part)
    begun = assembler.steps([0])
    take(assembler, sent(payload_of(3), serial=PAYLOADS_WITH_STEPS)[0])
    assert (assembler.steps([0]), len(assembler)) == (begun, 1)
    assembler.forget()
    assert (assembler.steps([0]), len(assembler)) == (0, 0)
    for part in sent(payload_of(3)):
        take(assembler, part)
    assert assembler.steps([0]) == begun // PAYLOADS_WITH_STEPS > 0


@pytest.mark.parametrize("fields", [
    {"count": 0}, {"count": -1}, {"count": MAX_PIECES + 1}, {"size": -1}, {"size": MAX_PAYLOAD_BYTES + 1},
])  # fmt: skip
def test_a_payload_beyond_the_limits_is_not_begun_with(fields):
    [part] = sent(b"data")
    manifest = Signed.sign(replace(part.manifest.statement, **fields), 0, KEYS[0])
    assembler = Assembler()
    with pytest.raises(OverLimit):
        take(assembler, replace(part, manifest=manifest))
    assert assembler.held_bytes() == 0
    assert take(assembler, part) == b"data"


def test_pieces_that_are_more_than_the_size_that_their_signer_named_are_too_much():
    parts = sent(payload_of(3))
    small = Signed.sign(replace(parts[0].manifest.statement, size=LEAST_PIECE_BYTES + 1), 0, KEYS[0])
    parts = [replace(part, manifest=small) for part in parts]
    assembler = Assembler(piece_bytes=1)
    assert take(assembler, parts[0]) is None
    with pytest.raises(OverLimit, match=f"more than the {LEAST_PIECE_BYTES + 1} bytes"):
        take(assembler, parts[1])
    assert assembler.held_bytes() == LEAST_PIECE_BYTES


def test_no_more_is_taken_of_a_message_than_a_correct_process_ever_sends():
    assembler = Assembler({"wedged": 3 * LEAST_PIECE_BYTES})
    assert take(assembler, sent(payload_of(3), serial=1)[0]) is None
    with pytest.raises(OverLimit, match="wedged of 769 bytes in 4 pieces"):
        take(assembler, sent(payload_of(4), serial=2)[0])
    assert assembler.held_bytes() == LEAST_PIECE_BYTES
    assert take(assembler, sent(payload_of(4), serial=3, message="caught_up")[0]) is None


@pytest.mark.parametrize("piece_bytes", [2 * LEAST_PIECE_BYTES, 1 << 20])
def test_who_makes_smaller_pieces_of_a_payload_to_be_waited_for_longer_is_not_heard(piece_bytes):
    with pytest.raises(OverLimit, match="in 4 pieces"):
        take(Assembler(piece_bytes=piece_bytes), sent(payload_of(4))[0])


def test_what_fits_into_a_message_is_there_or_is_not_and_makes_no_step():
    assembler = Assembler()
    for serial in range(3):
        [part] = sent(b"whole", serial=serial)
        assert take(assembler, part) == b"whole"
    assert assembler.steps([0]) == 0


@pytest.mark.parametrize(("count", "most"), [(2, 1), (3, 2), (9, PROGRESS_STEPS), (40, PROGRESS_STEPS)])
def test_a_payload_makes_no_more_steps_than_it_has_whole_pieces(count, most):
    assembler = Assembler()
    for part in sent(payload_of(count)):
        take(assembler, part)
    assert assembler.steps([0]) == most


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(1, 4), st.integers(0, 2)), max_size=40))
def test_what_is_held_is_one_payload_of_each_signer_at_the_most(arrivals):
    assembler = Assembler()
    for signer, serial, index in arrivals:
        take(assembler, sent(payload_of(3, b"%d" % serial), signer, serial)[index])
        assert assembler.held_bytes() <= len(KEYS) * len(payload_of(3))


def test_steps_rise_while_a_payload_arrives_and_by_no_more_than_so_many_for_each():
    parts = sent(payload_of(40))
    assembler = Assembler()
    seen = [assembler.steps([0])]
    for part in parts:
        take(assembler, part)
        seen.append(assembler.steps([0]))
    assert seen == sorted(seen)
    assert len(set(seen)) == PROGRESS_STEPS + 1
    assert (seen[0], seen[-1]) == (0, PROGRESS_STEPS)


def test_steps_are_of_those_who_are_waited_for_and_not_of_others_on_their_way():
    assembler = Assembler()
    for part in sent(payload_of(4), signer=1)[:2]:
        take(assembler, part)
    assert (assembler.steps([0]), assembler.steps([]), assembler.steps([2, 1])) == (0, 0, 2)


def test_a_piece_that_comes_again_is_no_step():
    parts = sent(payload_of(4))
    assembler = Assembler()
    take(assembler, parts[0])
    steps = assembler.steps([0])
    take(assembler, parts[0])
    assert assembler.steps([0]) == steps


@pytest.mark.parametrize("finishes", [True, False])
def test_who_begins_one_payload_behind_the_other_is_not_waited_for_for_ever(finishes):
    assembler = Assembler()
    seen = []
    for serial in range(10 * PAYLOADS_WITH_STEPS):
        for part in sent(payload_of(4), serial=serial)[: 4 if finishes else 3]:
            take(assembler, part)
            seen.append(assembler.steps([0]))
    assert seen == sorted(seen)
    assert seen[-1] <= PAYLOADS_WITH_STEPS * PROGRESS_STEPS
    assert seen[-1] == seen[len(seen) // 2]
    take(assembler, sent(payload_of(4), serial=99, message="caught_up")[0])
    assert assembler.steps([0]) == seen[-1] + 1


def test_payloads_of_others_that_are_there_are_no_steps_of_whom_is_waited_for():
    assembler = Assembler()
    for serial in range(3):
        [part] = sent(b"whole", signer=1, serial=serial)
        take(assembler, part)
    assert assembler.steps([0, 2]) == 0


@pytest.mark.parametrize("sent", [("0", 1, b"x"), (0, "1", b"x"), (0, 1, "x"), (None, 1, b"x"), (0, 1, None), (0.0, 1, b"x")])
def test_pieces_of_a_type_that_none_has_are_left_out(sent):
    together = Pieces()
    together.add(*sent)
    assert together.payload() is None
    together.add(0, 1, b"whole")
    assert together.payload() == b"whole"


def test_as_many_pieces_as_there_may_be_are_begun_with():
    for count, begun in ((MAX_PIECES, True), (MAX_PIECES + 1, False)):
        together = Pieces()
        together.add(0, count, b"x")
        together.add(0, 1, b"whole")
        assert (together.payload() is None) == begun


def test_serials_are_counted_from_0():
    assembler = Assembler()
    assert take(assembler, sent(b"before", serial=-1)[0]) is None
    assert take(assembler, sent(b"first", serial=0)[0]) == b"first"


def test_what_fits_into_one_piece_comes_in_one():
    with pytest.raises(OverLimit, match="in 2 pieces"):
        take(Assembler(piece_bytes=2 * LEAST_PIECE_BYTES), sent(payload_of(2))[0])


def test_a_payload_may_be_as_large_as_the_limit_of_its_kind():
    payload = payload_of(2)
    assembler = Assembler({"wedged": len(payload)})
    assert [take(assembler, part) for part in sent(payload)] == [None, payload]


def test_a_payload_in_numbered_pieces_may_be_as_large_as_its_limit_and_what_comes_twice_counts_once():
    together = Pieces(2)
    for index, part in ((0, b"a"), (0, b"a"), (1, b"b")):
        together.add(index, 2, part)
    assert together.payload() == b"ab"
    larger = Pieces(2)
    for index, part in ((0, b"a"), (1, b"bc")):
        larger.add(index, 2, part)
    assert larger.payload() is None

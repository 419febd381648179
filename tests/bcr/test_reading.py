"""What a replica's disk shows of a key as of its last checkpoint, to whoever knows Olympus's key, and what it does not."""

import msgspec
import pytest

from bcr.chain.configuration import Configuration, Member
from bcr.evidence.evidence_files import READING, UnreadableFile, packed, unpacked
from bcr.evidence.key_reading import NothingToRead, reading_from, shown_by
from bcr.objects.operation import Operation
from bcr.signed.encoding import encode
from bcr.signed.signing import Signed, SigningKey
from bcr.signed.statements import Checkpoint, Request
from bcr.signed.violations import InvalidSignature, MalformedMessage, NotFinal, ProtocolViolation
from bcr.stable.chain import Base
from bcr.stable.disk import Content, DamagedError, sealed
from bcr.state.running import RunningState

OLYMPUS, *REPLICAS = (SigningKey(bytes([each]) * 32) for each in range(1, 5))
MEMBERS = tuple(Member(keys.public, f"host:{place}/a") for place, keys in enumerate(REPLICAS))


def state(**values):
    made = RunningState(1)
    for number, (key, value) in enumerate(values.items()):
        made.execute(0, number, [Request(0, number, (Operation("put", key, value),))])
    return made


def content(made, signers=range(3), digest=None):
    issued = Signed.sign(Configuration(0, 1, MEMBERS, MEMBERS[:1]), 0, OLYMPUS)
    statement = Checkpoint(0, 9, digest or made.digest())
    proof = tuple(Signed.sign(statement, place, REPLICAS[place]) for place in signers)
    base = Base(10, made.digest(), proof, made.snapshot().outcomes)
    facts = {"configuration": sealed("configuration", encode(issued)), "base": sealed("base", encode(base))}
    return Content(facts, dict(made.snapshot().buckets), ())


def test_a_reading_shows_the_value_and_how_old_it_is_to_whoever_knows_olympus():
    reading, behind = reading_from(content(state(movie="star wars", other="x")), "movie")
    checkpoint, value = shown_by(unpacked(READING, packed(READING, reading), type(reading)), OLYMPUS.public)
    assert (checkpoint.slot, value, behind) == (9, "star wars", 0)


def test_it_shows_too_that_nothing_stands_at_a_key():
    reading, _ = reading_from(content(state(movie="star wars")), "absent")
    assert shown_by(reading, OLYMPUS.public)[1] is None


def test_it_has_a_few_kb_however_large_the_state_is():
    made = state()
    for number in range(400):
        made.execute(
            0, number, [Request(0, number, tuple(Operation("put", f"key{100 * number + each}", "v" * 100) for each in range(100)))]
        )
    reading, _ = reading_from(content(made), "key777")
    assert shown_by(reading, OLYMPUS.public)[1] == "v" * 100
    assert len(packed(READING, reading)) < 5_000 < len(encode(made.snapshot())) // 500


def test_it_shows_nothing_to_who_knows_another_olympus():
    reading, _ = reading_from(content(state(movie="star wars")), "movie")
    with pytest.raises(InvalidSignature, match="configuration with an invalid signature of Olympus"):
        shown_by(reading, REPLICAS[0].public)


def test_a_reading_of_another_state_or_key_shows_nothing():
    reading, _ = reading_from(content(state(movie="star wars")), "movie")
    other, _ = reading_from(content(state(movie="empire")), "movie")
    altered = msgspec.structs.replace(reading, proof=msgspec.structs.replace(reading.proof, witness=other.proof.witness))
    with pytest.raises(MalformedMessage, match="in a state that is not the checkpoint's"):
        shown_by(altered, OLYMPUS.public)
    moved = msgspec.structs.replace(reading, proof=msgspec.structs.replace(reading.proof, key="other"))
    with pytest.raises(ProtocolViolation):
        shown_by(moved, OLYMPUS.public)


def test_a_checkpoint_that_not_all_have_signed_shows_nothing():
    reading, _ = reading_from(content(state(movie="star wars"), signers=range(2)), "movie")
    with pytest.raises(NotFinal):
        shown_by(reading, OLYMPUS.public)


def test_an_object_of_somebodys_own_is_not_run_for_a_files_sake():
    reading, _ = reading_from(content(state(movie="star wars")), "movie")
    with pytest.raises(UnreadableFile, match="is not run for a file's sake"):
        shown_by(msgspec.structs.replace(reading, object_name="os:system"), OLYMPUS.public)


def test_a_disk_without_a_complete_checkpoint_has_nothing_to_read():
    with pytest.raises(NothingToRead, match="no checkpoint of its configuration is complete"):
        reading_from(content(state(movie="star wars"), signers=()), "movie")
    with pytest.raises(NothingToRead, match="never become active"):
        reading_from(Content({}, {}, ()), "movie")


def test_a_disk_whose_state_is_not_what_was_written_shows_nothing():
    good = content(state(movie="star wars"))
    with pytest.raises(NothingToRead, match="not the one whose digest it signed"):
        reading_from(Content(good.facts, {}, ()), "movie")
    with pytest.raises(DamagedError):
        reading_from(Content(good.facts | {"base": b"spoiled"}, good.parts, ()), "movie")

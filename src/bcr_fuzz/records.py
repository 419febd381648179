"""Changes records and files of evidence: bytes, which must be refused, and contents, of which nothing new may be proved."""

import hashlib
import random
from collections.abc import Mapping
from typing import Any

import msgspec

from bcr.evidence.convictions import Evidence, Unproved, convictions, demand_convicting
from bcr.evidence.evidence_files import EVIDENCE, RECORD, UnreadableFile, packed, unpacked
from bcr.evidence.verifying import verify_record
from bcr.scenario.reading import parse_scenario
from bcr.signed.encoding import encode
from bcr.verdict.record import RunRecord
from bcr_fuzz.fuzz import Budget, FuzzTally, changed_bytes, odd_value
from bcr_sim.campaign import prepare, text_of
from bcr_sim.simulated_run import simulate

FILES_OF_A_RUN = 100
SHARE_OF_BYTES = 0.4  # of the changes are of bytes; the others are of contents, under a right digest
SHARE_OF_EVIDENCE = 0.4  # of the files, where a run leaves any


def attack_records(tally: FuzzTally, seed: int, budget: Budget) -> None:
    """Simulate runs from seeds, hold whom their records blame against who was faulty, and change the files."""
    prepare()
    conviction_count = 0
    runs = 0
    while budget.is_left(tally.messages):
        scenario, _ = parse_scenario(real(text_of(seed, None)), f"seed{seed}.config")
        record = simulate(scenario).record
        found = list(convictions(record))
        faulty_places = {(plan.configuration, plan.position) for plan in record.faults if not plan.is_of_a_link}
        for conviction, _ in found:
            if (conviction.configuration, conviction.position) not in faulty_places:
                tally.findings.append(f"seed {seed}: a correct replica is blamed: {conviction}")
        conviction_count += len(found)
        runs += 1
        _change(tally, seed, record, [evidence for _, evidence in found], faulty_places)
        seed += 1
    tally.notes.append(
        f"{runs} simulated runs, in which {conviction_count} replicas were blamed; each was faulty, unless a finding says otherwise"
    )


def real(text: str) -> str:
    """The scenario with signatures that hold outside of the simulator too."""
    lines = text.splitlines()
    if "real_signatures" in text:
        return text
    if any(line.startswith("simulation = ") for line in lines):
        return text.replace("simulation = ", "simulation = real_signatures; ", 1)
    return f"{text}simulation = real_signatures\n"


def _change(tally: FuzzTally, seed: int, record: RunRecord, evidence: list[Evidence], faulty_places: set[tuple[int, int]]) -> None:
    honest = verify_record(record, record.olympus_key)
    if honest.refused:
        tally.findings.append(f"seed {seed}: the record is refused as it is: {honest.refused[0]:.300}")
        return
    files = {RECORD: [packed(RECORD, record)], EVIDENCE: [packed(EVIDENCE, each) for each in evidence]}
    for number in range(FILES_OF_A_RUN):
        chance = random.Random(f"records {seed} {number}")
        kind = EVIDENCE if evidence and chance.random() < SHARE_OF_EVIDENCE else RECORD
        data = chance.choice(files[kind])
        is_of_bytes = chance.random() < SHARE_OF_BYTES
        changed = changed_bytes(data, chance) if is_of_bytes else changed_contents(data, chance)
        tally.messages += 1
        if changed == data:
            tally.outcomes["unchanged"] += 1
            continue
        try:
            outcome = _effect_of(kind, changed, record.olympus_key, honest.claims, faulty_places)
        except Exception as error:
            outcome = "error"
            tally.findings.append(f"seed {seed}, file {number}: {error!r:.200}")
        if outcome == "proves more" or (is_of_bytes and outcome == "proves no more"):
            tally.findings.append(f"seed {seed}, file {number}: a changed {kind} {outcome}")
        tally.outcomes[outcome] += 1


def _effect_of(kind: str, data: bytes, olympus_key: bytes, claims: frozenset[Any], faulty_places: set[tuple[int, int]]) -> str:
    """What comes of a changed file."""
    try:
        if kind == RECORD:
            found = verify_record(unpacked(RECORD, data, RunRecord), olympus_key)
            if found.refused:
                return "refused"
            return "proves no more" if found.claims <= claims else "proves more"
        evidence = unpacked(EVIDENCE, data, Evidence)
        conviction = demand_convicting(evidence)
    except UnreadableFile:
        return "unreadable"
    except Unproved:
        return "refused"
    if evidence.olympus_key != olympus_key:
        return "proves more"
    return "proves no more" if (conviction.configuration, conviction.position) in faulty_places else "proves more"


def changed_contents(data: bytes, chance: random.Random) -> bytes:
    """The file with one to three values of its contents changed, under the digest that fits them."""
    file: dict[str, Any] = msgspec.msgpack.decode(data)
    body = msgspec.msgpack.decode(file["body"])
    for _ in range(chance.choice((1, 1, 2, 3))):
        body = _changed(body, chance)
    file["body"] = msgspec.msgpack.encode(body)  # keys stay in their order, which is that of the fields
    file["digest"] = hashlib.sha256(file["body"]).digest()
    return msgspec.msgpack.encode(file)


def _changed(value: Any, chance: random.Random) -> Any:
    """Plain data with one of the values somewhere in it changed."""
    if isinstance(value, Mapping) and value:
        key = chance.choice(list(value))
        return {**value, key: _changed(value[key], chance)}
    if isinstance(value, list) and value:
        at = chance.randrange(len(value))
        if chance.random() < 0.85:
            return [*value[:at], _changed(value[at], chance), *value[at + 1 :]]
        other = chance.randrange(len(value))
        kind = chance.randrange(3)
        if kind == 0:
            return [*value[:at], *value[at + 1 :]]
        return [*value[:at], value[other], *value[at + 1 :]] if kind == 1 else [*value[:at], value[other], *value[at:]]
    if isinstance(value, bool) or value is None:
        return not value
    if isinstance(value, int):
        return value + chance.choice((-1, 1, 2, 1 << 40))
    if isinstance(value, bytes) and value:
        at = chance.randrange(len(value))
        return value[:at] + bytes([value[at] ^ 1 << chance.randrange(8)]) + value[at + 1 :]
    if isinstance(value, str):
        return value + chance.choice(("x", "0", "\0")) if chance.random() < 0.5 else value[:-1]
    return _builtins(odd_value(chance))


def _builtins(value: Any) -> Any:
    """The value, where it can be encoded at all."""
    try:
        encode(value)
    except (TypeError, ValueError, OverflowError):
        return ""
    return value

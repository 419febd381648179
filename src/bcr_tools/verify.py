"""Checks a record or a file of evidence, offline, as somebody who was not there: what it proves, by whom, and what not."""

import argparse
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from bcr.evidence.convictions import Evidence, Unproved, demand_convicting
from bcr.evidence.evidence_files import EVIDENCE, READING, RECORD, UnreadableFile, kind_of, unpacked, unpacked_record
from bcr.evidence.key_reading import Reading, shown_by
from bcr.evidence.verifying import verify_record
from bcr.signed.violations import ProtocolViolation
from bcr_run.output import Terminal, complain
from bcr_run.plain_files import contents
from bcr_service.proof_in_words import KEY_VARIABLE, verdict_on
from bcr_tools.record_reading import found, why_unread

PASS, REFUSED, UNKNOWN = 0, 1, 2


def main(arguments: Sequence[str]) -> int:
    """`bcr verify`: 0 when each proves what it should, 1 when one is refused, 2 when one proves nothing or cannot be read."""
    parser = argparse.ArgumentParser(
        prog="bcr verify",
        description=__doc__,
        epilog="Exit status: 0 proved, 1 refused, 2 nothing is proved or it cannot be read. docs/evidence.md tells of the files.",
    )
    parser.add_argument(
        "files", metavar="FILE", nargs="+", help="a record, the folder of a run, a file of evidence, a reading, or the proof of an answer"
    )
    parser.add_argument("--olympus-key", metavar="HEX", type=_key, help="the public key by which you know Olympus")
    options = parser.parse_args(arguments)
    return max((_verify(Path(name), options.olympus_key) for name in options.files), key=lambda status: (status == 1, status))


def _key(text: str) -> bytes:
    if not re.fullmatch("[0-9a-fA-F]{64}", text):
        raise argparse.ArgumentTypeError("a public key is 64 hexadecimal digits, as result.json shows it")
    return bytes.fromhex(text)


def _verify(path: Path, olympus_key: bytes | None) -> int:
    file = found(path)
    try:
        data = contents(file)
        if data.lstrip().startswith(b"{"):
            return _proof(file, olympus_key)
        kind = kind_of(data)
        if kind not in CHECKS:
            raise UnreadableFile(f"neither a record nor a file of evidence{f', but a {kind[:40]!r}' if kind else ''}")
        status, title, parts = CHECKS[kind](data, olympus_key)
    except (OSError, UnreadableFile) as error:
        complain(f"bcr verify: {why_unread(file, error)}")
        return UNKNOWN
    console = Terminal()
    console.print(f"{file}: {title}", markup=False, highlight=False, soft_wrap=True)
    for heading, lines in parts.items():
        for number, line in enumerate(lines):
            lead = heading if number == 0 else ""
            console.print(f"  {lead:<11}{line}", markup=False, highlight=False, soft_wrap=True)
    return status


def _proof(file: Path, olympus_key: bytes | None) -> int:
    """The proof of an answer that a service gave, which is checked with a key from elsewhere or not at all."""
    given = os.environ.get(KEY_VARIABLE) if olympus_key is None else olympus_key.hex()
    if not given or not re.fullmatch("[0-9a-fA-F]{64}", given):
        complain(f"bcr verify: {file}: whose word is it to be? Give --olympus-key, or set {KEY_VARIABLE}")
        return UNKNOWN
    status, text = verdict_on(file, bytes.fromhex(given))
    (print if status == PASS else complain)(f"{file}: {text}")
    return status


Parts = Mapping[str, Iterable[str]]


def _record(data: bytes, olympus_key: bytes | None) -> tuple[int, str, Parts]:
    found = verify_record(unpacked_record(data), olympus_key)
    if found.refused:
        return REFUSED, "refused", {"wrong": found.refused}
    parts = {"proved": found.proved, "supposed": found.supposed, "not proved": found.unproved}
    return (PASS, "a record that holds", parts) if found.proved else (UNKNOWN, "a record that proves nothing", parts)


def _evidence(data: bytes, olympus_key: bytes | None) -> tuple[int, str, Parts]:
    evidence = unpacked(EVIDENCE, data, Evidence)
    if olympus_key is not None and olympus_key != evidence.olympus_key:
        return REFUSED, "refused", {"wrong": [f"it is of another Olympus: its key is {evidence.olympus_key.hex()}"]}
    try:
        conviction = demand_convicting(evidence)
    except Unproved as why:
        return REFUSED, "refused", {"wrong": [str(why)]}
    member = evidence.configuration.statement.replicas[conviction.position]
    who = f"replica {conviction.position} of configuration {conviction.configuration}"
    kinds = ", ".join(f"{type(each.statement).__name__.lower()} of replica {each.signer}" for each in evidence.statements)
    unproved = ["that nobody else had its key, or that it meant it"]
    if olympus_key is None:
        unproved.append(f"that this is the Olympus you mean: its key, {evidence.olympus_key.hex()}, is the file's own (--olympus-key)")
    proved = [f"by {who}, key {member.public_key.hex()}: {conviction.what}", f"shown by {kinds}"]
    supposed = [conviction.supposes] if conviction.supposes else []
    return PASS, f"evidence that {who} is faulty", {"proved": proved, "supposed": supposed, "not proved": unproved}


def _reading(data: bytes, olympus_key: bytes | None) -> tuple[int, str, Parts]:
    reading = unpacked(READING, data, Reading)
    if olympus_key is None:
        raise UnreadableFile("whose word is it to be? Give --olympus-key")
    try:
        checkpoint, value = shown_by(reading, olympus_key)
    except ProtocolViolation as why:
        return REFUSED, "refused", {"wrong": [f"{why.kind}: {why}"]}
    key, when = reading.proof.key, f"behind slot {checkpoint.slot} of configuration {checkpoint.configuration}"
    proved = [f"{when} {f'{value!r} stood' if value is not None else 'nothing stood'} at {key!r}", "by a checkpoint of its replicas"]
    t = reading.configuration.statement.t
    return PASS, "a reading that holds", {
        "proved": proved,
        "supposed": [f"no more than t replicas of the configuration are faulty (t = {t}), and Olympus is honest"],
        "not proved": ["what has been written since"],
    }  # fmt: skip


# What a file says it is -> what checks it, given its bytes and the key of Olympus, and says what came of it.
CHECKS: Mapping[str, Callable[[bytes, bytes | None], tuple[int, str, Parts]]] = {RECORD: _record, EVIDENCE: _evidence, READING: _reading}

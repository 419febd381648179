"""The files in which evidence travels (specification, 10.2): what they hold, of which version, whole or not (docs/evidence.md)."""

import hashlib
from typing import Any, TypeVar

import msgspec

from bcr.signed.encoding import decode, encode
from bcr.signed.violations import MalformedMessage
from bcr.verdict.record import RunRecord

RECORD = "bcr record"
EVIDENCE = "bcr evidence"
READING = "bcr reading"
BACKUP = "bcr backup"
SERVER_BACKUP = "bcr backup of servers"
VERSIONS = {RECORD: 3, EVIDENCE: 1, READING: 1, BACKUP: 1, SERVER_BACKUP: 1}  # that this program writes and reads

T = TypeVar("T")


class UnreadableFile(Exception):
    """No file of the kind, or one that is damaged."""


class WrongVersion(UnreadableFile):
    """A file of the kind, and of a version that this program does not read."""


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What every such file is: its kind and version, and the digest of what it holds."""

    format: str
    version: int
    digest: bytes
    body: bytes


class _Beginning(msgspec.Struct):
    """As much of a file as any version has. Records had no kind before version 2."""

    format: str = ""
    version: int | None = None
    olympus_key: bytes | None = None


def packed(kind: str, value: Any) -> bytes:
    """The file of this kind that holds the value."""
    body = encode(value)
    return encode(_File(kind, VERSIONS[kind], hashlib.sha256(body).digest(), body))


def kind_of(data: bytes) -> str:
    """RECORD or EVIDENCE, or what else the file says it is; empty where it says nothing.

    Raises WrongVersion for a record from before there were versions.
    """
    try:
        beginning = msgspec.msgpack.decode(data, type=_Beginning)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return ""
    if not beginning.format and beginning.olympus_key is not None:
        raise WrongVersion(_wrong(RECORD, 1))
    return beginning.format


def unpacked(kind: str, data: bytes, content: type[T]) -> T:
    """What a file of this kind holds.

    Raises WrongVersion where it is of another version, and UnreadableFile where it is no such file, or damaged.
    """
    try:
        beginning = msgspec.msgpack.decode(data, type=_Beginning)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise UnreadableFile(f"not a {kind}: {error}") from error
    if not beginning.format and beginning.olympus_key is not None:
        raise WrongVersion(_wrong(RECORD, 1))
    if beginning.format != kind:
        raise UnreadableFile(f"not a {kind}: it says that it is {beginning.format[:40]!r}")
    if beginning.version != VERSIONS[kind]:
        raise WrongVersion(_wrong(kind, beginning.version))
    try:
        file = decode(_File, data)
        if hashlib.sha256(file.body).digest() != file.digest or encode(file) != data:
            raise UnreadableFile(f"a damaged {kind}: its contents have another digest than it says")
        value = decode(content, file.body)
    except MalformedMessage as error:
        raise UnreadableFile(f"a damaged {kind}: {error.what}") from error
    if encode(value) != file.body:
        raise UnreadableFile(f"a damaged {kind}: it is not written as this program writes it")
    return value


def _wrong(kind: str, version: int | None) -> str:
    return f"a {kind} of version {version}; this program reads version {VERSIONS[kind]}"


def packed_record(record: RunRecord) -> bytes:
    """The file that a run leaves, `record.msgpack`."""
    return packed(RECORD, record)


def unpacked_record(data: bytes) -> RunRecord:
    """The record in such a file; raises UnreadableFile."""
    return unpacked(RECORD, data, RunRecord)

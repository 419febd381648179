"""What a caller makes a call depend on: `If-Match` and `If-None-Match` (RFC 9110, 13), whose entity tags are the versions of values."""

import re
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from bcr.objects import store_operations
from bcr.objects.store_operations import Condition, NoOperation
from bcr_service.problems import Problem

MATCH, NONE_MATCH = b"if-match", b"if-none-match"
ANY = "*"
_TAG = r'(?:W/)?"[!#-~]*"'
_LIST = re.compile(rf"{_TAG}(?:[ \t]*,[ \t]*{_TAG})*")
_TAGS = re.compile(_TAG)


class LookFirst(msgspec.Struct, frozen=True):
    """In place of a condition: the store has none for this, so the version has to be looked at, and then be the condition."""


LOOK_FIRST: Final = LookFirst()


def etag(version: Sequence[int]) -> str:
    """A version as an entity tag."""
    return '"{}.{}.{}"'.format(*version)


class Preconditions(msgspec.Struct, frozen=True):
    """The entity tags of each of the two fields, or ANY; None of a field that is not there."""

    match: frozenset[str] | None
    none_match: frozenset[str] | None

    def failing(self, tag: str | None) -> bytes | None:
        """The field that does not hold for a value with this tag, or for none; `If-Match` is looked at first."""
        if self.match is not None and (tag is None or not self.match & {ANY, tag}):
            return MATCH
        if self.none_match is not None and tag is not None and self.none_match & {ANY, tag, f"W/{tag}"}:
            return NONE_MATCH
        return None

    def condition(self) -> Condition | LookFirst:
        """The same as a condition of the store, where there is one."""
        if self.match is None and self.none_match == frozenset({ANY}):
            return store_operations.ABSENT
        if self.none_match is None and self.match is not None and len(self.match) == 1:
            [tag] = self.match
            return _version_of(tag)
        return LOOK_FIRST


def _version_of(tag: str) -> Condition | LookFirst:
    try:
        version = store_operations.condition_of(tag.strip('"'))
    except NoOperation:
        return LOOK_FIRST
    return version if isinstance(version, tuple) and etag(version) == tag else LOOK_FIRST


def preconditions_in(fields: Mapping[bytes, bytes]) -> Preconditions | None:
    """Those of a call with these fields; None where it has none. Raises Problem."""
    if MATCH not in fields and NONE_MATCH not in fields:
        return None
    return Preconditions(_tags_in(fields, MATCH), _tags_in(fields, NONE_MATCH))


def _tags_in(fields: Mapping[bytes, bytes], name: bytes) -> frozenset[str] | None:
    if name not in fields:
        return None
    text = fields[name].decode("latin-1").strip(" \t")
    if text == ANY:
        return frozenset({ANY})
    if not _LIST.fullmatch(text):
        raise Problem(400, f'{name.decode().title()} takes *, or versions such as "0.7.0" with commas between them, and not {text[:40]!r}')
    return frozenset(_TAGS.findall(text))

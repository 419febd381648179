"""Operations on the store, as they are written and read: what stands in the text of each (specification, 8.4).

    get, delete     condition
    put, append     condition value
    keys            limit after         the key is the prefix

A condition is `*`, which always holds, `absent`, or a version `configuration.slot.index`; a value is JSON.
"""

import json
import re
from collections.abc import Mapping
from typing import NoReturn

from bcr.objects.operation import Operation
from bcr.objects.replicated import Place
from bcr.objects.sizes import VALUE_LIMIT_BYTES, bytes_of, may_exceed

KEY_LIMIT_BYTES = 1_024
DEPTH_LIMIT = 64  # of lists and objects within each other
MOST_KEYS = 1_000  # of one listing
DEFAULT_KEYS = 100
ALWAYS, ABSENT = "*", "absent"

BLANKS = " \t\n\r"  # around JSON
_VERSION = re.compile(r"([0-9]{1,18})\.([0-9]{1,18})\.([0-9]{1,18})")
_LISTING = re.compile(r"([1-9][0-9]{0,3}) (.*)", re.DOTALL)
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
_BRACKET = re.compile(r"[\[\]{}]")

Condition = str | Place | None  # ABSENT, the version that is there, or None where any will do


# What a result says in place of an outcome -> the same for people. `condition` and `aborted` are told with what they are about.
WHY_NOT: Mapping[str, str] = {
    "kind": "only to a list, or a string to a string, can something be appended",
    "too large": "more than a value, or an answer, may have",
    "malformed": "the store has no such operation, or its key, its value or its condition is none",
}


class NoOperation(ValueError):
    """What is no operation of the store; the text says why not."""


def get(key: str, condition: Condition = None) -> Operation:
    """The value of the key, and its version."""
    return Operation("get", key, written(condition))


def put(key: str, value: str, condition: Condition = None) -> Operation:
    """The JSON text as the value of the key."""
    return Operation("put", key, f"{written(condition)} {value}")


def append(key: str, value: str, condition: Condition = None) -> Operation:
    """The JSON text at the end of a list, which is made where there is none, or a JSON string at that of a string."""
    return Operation("append", key, f"{written(condition)} {value}")


def delete(key: str, condition: Condition = None) -> Operation:
    """No value of the key any more."""
    return Operation("delete", key, written(condition))


def keys(prefix: str = "", after: str = "", limit: int = DEFAULT_KEYS) -> Operation:
    """At most `limit` keys that begin with the prefix and stand behind `after`, in order of their bytes."""
    return Operation("keys", prefix, f"{limit} {after}")


def written(condition: Condition) -> str:
    """The condition as operations have it."""
    if condition is None:
        return ALWAYS
    return condition if isinstance(condition, str) else ".".join(map(str, condition))


def condition_of(text: str) -> Condition:
    """The condition that a text is. Raises NoOperation where it is none."""
    if text in (ALWAYS, ABSENT):
        return None if text == ALWAYS else ABSENT
    version = _VERSION.fullmatch(text)
    if version is None:
        raise NoOperation(f"expected a condition such as absent or the version 0.7.0, found {text!r}")
    return int(version[1]), int(version[2]), int(version[3])


def demand_key(key: str) -> None:
    """Raises NoOperation unless the store may have the key."""
    if not key or (may_exceed(len(key), KEY_LIMIT_BYTES) and bytes_of(key) > KEY_LIMIT_BYTES):
        raise NoOperation(f"a key of {bytes_of(key):,} bytes: from 1 to {KEY_LIMIT_BYTES:,} are possible")


def value_of(text: str) -> str:
    """The JSON without what stands around it. Raises NoOperation where it is none, or too deep.

    Numbers are not looked at: how large they are is nobody's business here.
    """
    if _is_deep(text):
        raise NoOperation(f"JSON of more than {DEPTH_LIMIT} lists and objects within each other")
    try:
        _JSON.decode(text)
    except ValueError as error:
        raise NoOperation(f'expected JSON such as 5, "text" or [1,2], found {text[:40]!r}') from error
    return text.strip(BLANKS)


def _unread(_number: str) -> None:
    pass


def _refused(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")


# One for all: to make one takes as long as to use it.
_JSON = json.JSONDecoder(parse_int=_unread, parse_float=_unread, parse_constant=_refused)


def _is_deep(text: str) -> bool:
    """Whether brackets stand within each other more than DEPTH_LIMIT times: Python's own limit is another one everywhere."""
    if text.count("[") + text.count("{") <= DEPTH_LIMIT:
        return False
    depth = 0
    for bracket in _BRACKET.findall(_STRING.sub("", text)):
        depth += 1 if bracket in "[{" else -1
        if depth > DEPTH_LIMIT:
            return True
    return False


def is_oversized(text: str) -> bool:
    """Whether a value has more bytes than one may have."""
    return may_exceed(len(text), VALUE_LIMIT_BYTES) and bytes_of(text) > VALUE_LIMIT_BYTES


def is_too_much(size: int) -> bool:
    """The same of a value of which only its bytes are known."""
    return size > VALUE_LIMIT_BYTES


def listing_of(argument: str) -> tuple[int, str]:
    """The limit and the key behind which a listing begins. Raises NoOperation."""
    found = _LISTING.fullmatch(argument)
    if found is None or int(found[1]) > MOST_KEYS:
        raise NoOperation(f"expected a limit from 1 to {MOST_KEYS:,}, found {argument[:20]!r}")
    return int(found[1]), found[2]

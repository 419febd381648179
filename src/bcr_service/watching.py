"""Watching keys: looks at them again and again, and tells what is different.

Every look is ordered by the chain as any other read, so it is right whichever gateway has written. What was written and
written over between two looks is not told.
"""

import json
from collections.abc import Iterator, Mapping

from bcr.objects import store_operations
from bcr_service import calls
from bcr_service.calls import MOST_OPERATIONS, Place, etag
from bcr_service.outcomes import LIMIT_MS, Asking
from bcr_service.problems import Problem

MOST_KEYS = 500  # that somebody may watch at once
MOST_BYTES = 8 << 20  # of their values together
PAUSE_S = 1.0  # between two looks

Looked = Mapping[str, tuple[str, Place]]  # key -> the text of its value, and its version


async def look(asking: Asking, prefix: str) -> Looked:
    """What stands at the keys that begin with the prefix. Raises Problem, also where there are too many."""
    keys: list[str] = []
    after, more = "", True
    while more:
        settled = await asking.ask((store_operations.keys(prefix, after, store_operations.DEFAULT_KEYS),), LIMIT_MS)
        listed = json.loads(settled.results[0])
        keys += listed["keys"]
        more, after = listed["more"], keys[-1] if keys else ""
        if len(keys) > MOST_KEYS:
            raise Problem(413, f"more than {MOST_KEYS} keys begin so")
    found: dict[str, tuple[str, Place]] = {}
    for first in range(0, len(keys), MOST_OPERATIONS):
        some = keys[first : first + MOST_OPERATIONS]
        found |= await _values(asking, some)
        if sum(len(text) for text, _ in found.values()) > MOST_BYTES:
            raise Problem(413, f"values of more than {MOST_BYTES:,} characters stand at the keys that begin so")
    return found


async def _values(asking: Asking, keys: list[str]) -> dict[str, tuple[str, Place]]:
    try:
        settled = await asking.ask([calls.get(key) for key in keys], LIMIT_MS)
    except Problem as problem:
        if problem.status != 413 or len(keys) == 1:
            raise
        half = len(keys) // 2  # too much for one answer
        return await _values(asking, keys[:half]) | await _values(asking, keys[half:])
    got = zip(keys, map(calls.got, settled.results), strict=True)
    return {key: value for key, value in got if value is not None}


def told(before: Looked, now: Looked) -> Iterator[bytes]:
    """What is different, as server-sent events: `put` with key, version and value, `delete` with the key."""
    for key, (text, version) in now.items():
        if key not in before or before[key][1] != version:
            data = f'{{"key":{json.dumps(key)},"version":{json.dumps(version)},"value":{_on_a_line(text)}}}'
            yield f"event: put\nid: {etag(version)}\ndata: {data}\n\n".encode()
    for key in before:
        if key not in now:
            yield f"event: delete\ndata: {json.dumps({'key': key})}\n\n".encode()


def _on_a_line(text: str) -> str:
    """JSON without line breaks, which may stand between its parts."""
    return text.replace("\n", " ").replace("\r", " ")

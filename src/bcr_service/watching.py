"""Watching keys: looks at them again and again, and tells what is different.

Every look is ordered by the chain as any other read, so it is right whichever gateway has written. What was written and
written over between two looks is not told.
"""

import asyncio
import json
import sys
from collections.abc import Iterator, Mapping

from bcr.objects import store_operations
from bcr_service import calls
from bcr_service.calls import MOST_OPERATIONS, Place
from bcr_service.outcomes import LIMIT_MS, Asking
from bcr_service.preconditions import etag
from bcr_service.problems import Problem, unavailable, unforeseen
from bcr_service.streams import event

MOST_KEYS = 500  # that somebody may watch at once
MOST_BYTES = 8 << 20  # of their values together
MOST_HELD_BYTES = 64 << 20  # of all that is watched in a gateway
MOST_LOOKING = 8  # looks at once: each has the values of a prefix in memory once more
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


class WatchedPrefix:
    """What stands at the keys that begin so, held once for all who watch them."""

    def __init__(self, prefix: str, first: Looked) -> None:
        self.prefix = prefix
        self.now = first  # as it was last seen
        self.problem: Problem | None = None  # why it could not be looked at since
        self.watchers = 0
        self.task: asyncio.Task[None] | None = None
        self.next_look = asyncio.Event()  # set when the look behind this moment is over, and another one then

    def looked(self, problem: Problem | None) -> None:
        """Tell all who wait."""
        self.problem = problem
        self.next_look.set()
        self.next_look = asyncio.Event()

    def changes(self, told: dict[str, Place]) -> Iterator[bytes]:
        """What is different from the versions that have been told, which are renewed: `put` with key, version and value, `delete` with the key.

        Whoever reads slowly gets what is there then, and keeps no older look in memory.
        """
        for key in [key for key, (_, version) in self.now.items() if told.get(key) != version]:
            text, version = self.now.get(key, ("", None))
            if version is not None and told.get(key) != version:
                told[key] = version
                value = f'{{"key":{json.dumps(key)},"version":{json.dumps(version)},"value":{_on_a_line(text)}}}'
                yield event("put", value, etag(version))
        for key in [key for key in told if key not in self.now]:
            del told[key]
            yield event("delete", json.dumps({"key": key}))


class Watching:
    """Looks for all who watch: once a second for each prefix, however many watch it."""

    def __init__(self, asking: Asking) -> None:
        self._asking = asking
        self._watched: dict[str, WatchedPrefix] = {}
        self._beginning: dict[str, asyncio.Task[None]] = {}  # first looks, which all wait for who come meanwhile
        self._looking = asyncio.Semaphore(MOST_LOOKING)

    async def join(self, prefix: str) -> WatchedPrefix:
        """Somebody watches this prefix from now on, until `leave`. Raises Problem."""
        while prefix not in self._watched:  # nor any more, where whoever came first has left already
            if prefix not in self._beginning:
                self._beginning[prefix] = asyncio.get_running_loop().create_task(self._begin(prefix))
            await asyncio.shield(self._beginning[prefix])
        self._watched[prefix].watchers += 1
        return self._watched[prefix]

    async def _begin(self, prefix: str) -> None:
        try:
            watched = WatchedPrefix(prefix, await self._look(prefix, {}))
        finally:
            self._beginning.pop(prefix)
        self._watched[prefix] = watched
        watched.task = asyncio.get_running_loop().create_task(self._look_on(watched))

    def leave(self, watched: WatchedPrefix) -> None:
        """One who watched does not any more."""
        watched.watchers -= 1
        if not watched.watchers:
            self._watched.pop(watched.prefix)
            assert watched.task is not None
            watched.task.cancel()

    async def _look_on(self, watched: WatchedPrefix) -> None:
        while True:
            await asyncio.sleep(PAUSE_S)
            problem: Problem | None = None
            try:
                watched.now = await self._look(watched.prefix, watched.now)
            except Problem as found:
                problem = found
            except Exception as error:
                problem = unforeseen(error)
            watched.looked(problem)

    async def _look(self, prefix: str, before: Looked) -> Looked:
        """What stands there now; of what has not changed the text is the one that is held already. Raises Problem."""
        async with self._looking:
            now = await look(self._asking, prefix)
            now = {key: before[key] if key in before and before[key][1] == value[1] else value for key, value in now.items()}
        held = sum(_held_bytes(each.now) for each in self._watched.values() if each.prefix != prefix)
        if held + _held_bytes(now) > MOST_HELD_BYTES:
            raise unavailable(f"values of more than {MOST_HELD_BYTES:,} bytes are watched")
        return now


def _held_bytes(looked: Looked) -> int:
    return sum(sys.getsizeof(text) for text, _ in looked.values())


def _on_a_line(text: str) -> str:
    """JSON without line breaks, which may stand between its parts."""
    return text.replace("\n", " ").replace("\r", " ")

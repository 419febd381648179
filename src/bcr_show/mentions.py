"""The slots, requests and replicas that sentences of violations speak of."""

import re
from collections.abc import Iterable

_SLOT = re.compile(r"\bslot (\d+)(?: of configuration (\d+))?")
_CONFIGURATION = re.compile(r"\bconfiguration (\d+)(?:, slot (\d+))?")
_REQUEST = re.compile(r"\bclient (\d+),? request (\d+)|\brequest (\d+) of client (\d+)")
_REPLICA = re.compile(r"\breplica[_ ](\d+) of configuration (\d+)")


def mentioned_slots(texts: Iterable[str]) -> set[tuple[int | None, int]]:
    """Configuration, where it is said, and number of the slots that sentences speak of."""
    found: set[tuple[int | None, int]] = set()
    for text in texts:
        whole = _CONFIGURATION.search(text)
        for match in _SLOT.finditer(text):
            said = match[2] or (whole[1] if whole else None)
            found.add((None if said is None else int(said), int(match[1])))
    return found


def mentioned_requests(texts: Iterable[str]) -> set[tuple[int, int]]:
    """Client and number of the requests that sentences speak of."""
    matches = (match for text in texts for match in _REQUEST.finditer(text))
    return {(int(match[1]), int(match[2])) if match[1] else (int(match[4]), int(match[3])) for match in matches}


def mentioned_replica(text: str) -> str | None:
    """The first replica that a sentence speaks of, as its log is called."""
    match = _REPLICA.search(text)
    return f"replica_{match[1]}-configuration_{match[2]}" if match else None

"""Is what callers saw of a key what one register gives, if each call takes effect at one moment? For histories of any length
(specification, 10.3).

Each value is written at most once, so a read names its write. Then no search is needed (Gibbons and Korach, Testing Shared
Memories, 1997): a value and its reads make a zone of time, and zones have to fit beside each other.
"""

import bisect
from collections.abc import Sequence
from itertools import pairwise
from math import inf

import msgspec


class RegisterOperation(msgspec.Struct, frozen=True):
    """A call that wrote a value, or read one; None is what stands there before the first. Times are on one clock.

    `ended` is infinite where nobody knows whether a write has happened, or will. What certainly has not happened is no call.
    """

    is_write: bool
    value: str | None
    began: float
    ended: float


class _Zone(msgspec.Struct):
    """Of the calls about one value: when the last of them began, and when the first had ended."""

    value: str | None
    last_began: float
    first_ended: float

    @property
    def is_forward(self) -> bool:
        """Whether the value stood there all the time from the one moment to the other."""
        return self.first_ended < self.last_began


def why_no_register(calls: Sequence[RegisterOperation]) -> str | None:
    """What no register would do; None where some order explains the calls. Raises ValueError where a value is written twice."""
    writes: dict[str | None, RegisterOperation] = {None: RegisterOperation(is_write=True, value=None, began=-inf, ended=-inf)}
    for call in calls:
        if call.is_write:
            if call.value in writes:
                raise ValueError(f"{call.value!r} is written twice")
            writes[call.value] = call
    zones = {value: _Zone(value, write.began, write.ended) for value, write in writes.items()}
    read_values = {call.value for call in calls if not call.is_write}
    for call in calls:
        if call.is_write:
            continue
        write = writes.get(call.value)
        if write is None:
            return f"{call.value!r} was read, and nobody wrote it"
        if call.ended < write.began:
            return f"{call.value!r} was read before it was written"
        zone = zones[call.value]
        zone.last_began, zone.first_ended = max(zone.last_began, call.began), min(zone.first_ended, call.ended)
    # What nobody knows of and nobody has read need not have happened.
    sure_zones = [zone for value, zone in zones.items() if value in read_values or writes[value].ended < inf]
    return _clash(sure_zones)


def _clash(zones: Sequence[_Zone]) -> str | None:
    """Two values that cannot both have stood there when they must; None where there are none."""
    forward = sorted((zone for zone in zones if zone.is_forward), key=lambda zone: zone.first_ended)
    for zone, following in pairwise(forward):
        if following.first_ended < zone.last_began:
            return f"{zone.value!r} and {following.value!r} stood there at once, as those say who read them"
    begins = [zone.first_ended for zone in forward]
    for zone in zones:
        before = bisect.bisect_left(begins, zone.last_began) - 1  # the last that stood there then, if it still did
        if before >= 0 and not zone.is_forward and zone.first_ended < forward[before].last_began:
            return f"{zone.value!r} was written while {forward[before].value!r} stood there before and after"
    return None

"""Which parts of a long run are looked at closely: the beginning, the end, and what surrounds each moment."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence

import msgspec

MOST_LINES = 9_000  # routine lines that are drawn
MOST_ASKED = 60_000  # where somebody asks for a window: of more a browser makes nothing
AROUND_NS = tuple(round(ms * 1e6) for ms in (5_000, 1_000, 300, 100, 30, 10, 3, 1))  # a moment, as far as there is room
ENDS_NS = 25_000_000
FIRST_LINES = 300  # that are drawn in any case


class Window(msgspec.Struct, frozen=True, order=True):
    """From the one time to the other, both included, in nanoseconds since 1970."""

    since_ns: int
    until_ns: int


def choose(times_ns: Sequence[int], moments_ns: Sequence[int], asked: Window | None = None) -> list[Window]:
    """The windows to draw, where `times_ns` are those of the routine lines and `moments_ns` of what is not routine.

    Everything, where that is not too much, and what was `asked` for in any case. Both sequences are sorted.
    """
    if asked is not None:
        return [asked]
    everything = sorted((*times_ns[:1], *times_ns[-1:], *moments_ns[:1], *moments_ns[-1:]))
    if not everything:
        return []
    whole = Window(everything[0], everything[-1])
    if len(times_ns) <= MOST_LINES:
        return [whole]
    ends = [Window(whole.since_ns, _behind(times_ns, whole.since_ns)), Window(whole.until_ns - ENDS_NS, whole.until_ns)]
    for around_ns in AROUND_NS:
        found = united([*ends, *(Window(at - around_ns, at + around_ns) for at in moments_ns)])
        if lines_in(found, times_ns) <= MOST_LINES:
            return found
    # Even a millisecond around each is too much: evenly chosen moments, as many as there is room for.
    kept = list(moments_ns)
    while len(kept) > 1:
        kept = kept[::2]
        found = united([*ends, *(Window(at - AROUND_NS[-1], at + AROUND_NS[-1]) for at in kept)])
        if lines_in(found, times_ns) <= MOST_LINES:
            return found
    return united(ends)


def _behind(times_ns: Sequence[int], since_ns: int) -> int:
    """The end of the first window: a while behind where the work begins, which is some time after the processes do."""
    return max(since_ns + ENDS_NS, times_ns[min(len(times_ns) - 1, FIRST_LINES)])


def united(windows: Sequence[Window]) -> list[Window]:
    """The same in order, with those in one that touch."""
    found: list[Window] = []
    for window in sorted(windows):
        if found and window.since_ns <= found[-1].until_ns:
            found[-1] = Window(found[-1].since_ns, max(window.until_ns, found[-1].until_ns))
        else:
            found.append(window)
    return found


def is_in(windows: Sequence[Window], at_ns: int) -> bool:
    """Whether the time lies in one of these windows, which are in order."""
    place = bisect_right(windows, at_ns, key=lambda window: window.since_ns)
    return place > 0 and at_ns <= windows[place - 1].until_ns


def lines_in(windows: Sequence[Window], times_ns: Sequence[int]) -> int:
    """How many of the sorted times lie in the windows."""
    return sum(bisect_right(times_ns, each.until_ns) - bisect_left(times_ns, each.since_ns) for each in windows)

"""What a process measures of itself while it works: its CPU time, its memory, and how far it is."""

import msgspec

MAX_SAMPLES = 120
INTERVAL_S = 0.5


class Sample(msgspec.Struct, frozen=True, array_like=True):
    """One look: nanoseconds on the process's clock, CPU seconds since its start, resident bytes, work done so far.

    `done` counts what the process counts: a client its answered operations, a replica its slots.
    """

    at_ns: int
    cpu_s: float
    resident_bytes: int
    done: int


class Samples:
    """Samples at even distances, however long it takes: when there are too many, every other one is dropped."""

    def __init__(self) -> None:
        self._samples: list[Sample] = []
        self._interval_ns = int(INTERVAL_S * 1e9)

    def is_due(self, now_ns: int) -> bool:
        """Whether it is time for another."""
        return not self._samples or now_ns - self._samples[-1].at_ns >= self._interval_ns

    def add(self, sample: Sample) -> None:
        self._samples.append(sample)
        if len(self._samples) > MAX_SAMPLES:
            self._samples = self._samples[::2]
            self._interval_ns *= 2

    def taken(self) -> tuple[Sample, ...]:
        return tuple(self._samples)

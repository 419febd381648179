"""How a process measures itself while it works."""

from bcr.verdict.samples import Sample, Samples
from bcr_runtime import ambient
from bcr_runtime.profiling import Profiler, started_profiler


class Meter:
    """Takes a sample of this OS process now and then, whenever it is told how far the work is."""

    def __init__(self) -> None:
        self._samples = Samples()
        self._profiler: Profiler | None = None

    def tell(self, done: int) -> None:
        """So much is done; costs next to nothing unless a sample is due."""
        if self._samples.is_due(ambient.monotonic_ns()):
            self._sample(done)

    def take(self, done: int) -> None:
        """Take a sample now, and write the profile that somebody may have asked for."""
        self._sample(done)
        if self._profiler is not None:
            self._profiler.write()

    def _sample(self, done: int) -> None:
        cpu_s, resident_bytes = ambient.consumption()
        if not self._samples.taken():
            self._profiler = started_profiler()
        self._samples.add(Sample(ambient.monotonic_ns(), cpu_s, resident_bytes, done))

    def samples(self) -> tuple[Sample, ...]:
        return self._samples.taken()

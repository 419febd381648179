"""How a process measures itself while it works."""

from bcr.verdict.samples import Sample, Samples
from bcr_runtime import ambient


class Meter:
    """Takes a sample of this OS process now and then, whenever it is told how far the work is."""

    def __init__(self) -> None:
        self._samples = Samples()

    def tell(self, done: int) -> None:
        """So much is done; costs next to nothing unless a sample is due."""
        if self._samples.is_due(ambient.monotonic_ns()):
            self.take(done)

    def take(self, done: int) -> None:
        """Take a sample now."""
        cpu_s, resident_bytes = ambient.consumption()
        self._samples.add(Sample(ambient.monotonic_ns(), cpu_s, resident_bytes, done))

    def samples(self) -> tuple[Sample, ...]:
        return self._samples.taken()

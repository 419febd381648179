"""What is done again and again is done less and less often. Two things go by this: how long a configuration serves before it is
replaced when one replacement follows another (specification, 7a.8), and when somebody is told the same once more (13.3)."""

from collections import Counter
from collections.abc import Hashable

LEAST_MS = 50.0
MOST_MS = 3_200.0
CALM = 4  # times the pause that a configuration has served when the next one owes none


class Pauses:
    """Whoever spoils every configuration costs time, and not all of it: each that is replaced soon doubles the pause.

    `pause_ms` is how long the next one is to serve.
    """

    def __init__(self, pause_ms: float = 0.0) -> None:
        self.pause_ms = pause_ms

    def owed_ms(self, served_ms: float) -> float:
        """How much longer a configuration that has served so long is to serve; to be asked once a configuration."""
        if served_ms > CALM * max(self.pause_ms, LEAST_MS):
            self.pause_ms = 0.0
        owed_ms = max(0.0, self.pause_ms - served_ms)
        self.pause_ms = min(MOST_MS, max(LEAST_MS, 2 * self.pause_ms))
        return owed_ms


MOST_PAUSES = 16  # times the first one, between two


class Repetitions:
    """Somebody who asks for the same again and again is heeded at once, and then after 1, 2, 4 … and at the most 16 pauses."""

    def __init__(self, pause_ms: float) -> None:
        self._pause_ms = pause_ms
        self._heeded: dict[Hashable, tuple[float, int]] = {}  # who -> when last, and pauses until the next
        self._times: Counter[Hashable] = Counter()

    def heeds(self, who: Hashable, now_s: float) -> bool:
        """Whether it is time; if so, the next pause begins."""
        last_s, pauses = self._heeded.get(who, (now_s, 0))
        if 1000 * (now_s - last_s) < pauses * self._pause_ms:
            return False
        self._heeded[who] = (now_s, min(2 * pauses, MOST_PAUSES) or 1)
        self._times[who] += 1
        return True

    def times(self, who: Hashable) -> int:
        """How often somebody has been heeded."""
        return self._times[who]

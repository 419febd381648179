"""How long a configuration serves before it is replaced, when one replacement follows another (specification, 7a.8)."""

LEAST_MS = 50.0
MOST_MS = 3_200.0
CALM = 4  # times the pause that a configuration has served when the next one owes none


class Pauses:
    """Whoever spoils every configuration costs time, and not all of it: each that is replaced soon doubles the pause."""

    def __init__(self) -> None:
        self._pause_ms = 0.0

    def owed_ms(self, served_ms: float) -> float:
        """How much longer a configuration that has served so long is to serve; to be asked once a configuration."""
        if served_ms > CALM * max(self._pause_ms, LEAST_MS):
            self._pause_ms = 0.0
        owed_ms = max(0.0, self._pause_ms - served_ms)
        self._pause_ms = min(MOST_MS, max(LEAST_MS, 2 * self._pause_ms))
        return owed_ms

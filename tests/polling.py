"""Waiting for what another thread or process does a moment later, where nothing would tell."""

import time
from collections.abc import Callable

PAUSE_S = 0.02


def until_within(limit_s: float) -> Callable:
    """What waits until a condition holds, returns what that gave, and fails after so long."""

    def until(holds):
        deadline_s = time.monotonic() + limit_s
        while not (found := holds()):
            assert time.monotonic() < deadline_s, holds
            time.sleep(PAUSE_S)
        return found

    return until

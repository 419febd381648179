"""What a command that judges runs tells its caller: its exit status."""

from collections.abc import Sequence
from typing import Any

PASS, FAIL, UNKNOWN = 0, 1, 2


def status_of(ended: int, result: dict[str, Any] | None) -> int:
    """The exit status for one run; without a result nothing was shown, whatever status the run ended with."""
    if result is None:
        return UNKNOWN
    if result["verdict"] == "fail":
        return FAIL
    return PASS if result["verdict"] == "pass" and ended == 0 else UNKNOWN


def worst(statuses: Sequence[int]) -> int:
    """The exit status for several runs: a fail is a certainty and outweighs the unknown."""
    return next((status for status in (FAIL, UNKNOWN) if status in statuses), PASS)

"""How long a run is waited for, and how late a replica may be and still count as correct."""

from bcr.scenario import Scenario

STALL_TIMEOUTS = 5
STALL_EXTRA_S = 10


def stall_limit_s(scenario: Scenario) -> float:
    """How long no client may report anything before a run of the scenario is given up."""
    longest_ms = max(scenario.client_timeout_ms, scenario.head_timeout_ms, scenario.nonhead_timeout_ms)
    # Somebody's timer, and then a reconfiguration in which Olympus waits in vain more than once.
    return STALL_EXTRA_S + (STALL_TIMEOUTS * (longest_ms + scenario.olympus_timeout_ms) + scenario.last_visit_ms) / 1000


def patience_ms(scenario: Scenario) -> int:
    """How long a replica may stand still, in all, and be only late: who does for longer counts among the t."""
    return round(stall_limit_s(scenario) * 1000) - scenario.last_visit_ms

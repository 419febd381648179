"""How each protocol is simulated and hunted; what a scenario file needs to know of it is in `bcr.scenario.protocols`."""

from collections.abc import Callable, Mapping
from typing import Any

from bcr_sim.braft_run import BraftRun
from bcr_sim.braft_seeds import braft_scenario_text
from bcr_sim.raft_run import RaftRun
from bcr_sim.raft_seeds import raft_scenario_text
from bcr_sim.seeds import scenario_text
from bcr_sim.simulated_run import _Run

# Protocol -> the simulated run of a scenario of it.
SIMULATIONS: Mapping[str, Callable[..., Any]] = {"shuttle": _Run, "raft": RaftRun, "byzantine_raft": BraftRun}

# Protocol -> the scenario file that a seed stands for; authentication, acceptance, disks and sessions only the chain has.
TEXTS: Mapping[str, Callable[..., str]] = {
    "shuttle": scenario_text,
    "raft": lambda seed, _authentication, _acceptance, object_name, durable, _sessions: raft_scenario_text(seed, object_name, durable),
    "byzantine_raft": lambda seed, _authentication, _acceptance, object_name, durable, _sessions: braft_scenario_text(
        seed, object_name, durable
    ),
}

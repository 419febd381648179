"""How each protocol is started and judged; what a scenario file needs to know of it is in `bcr.scenario.protocols`."""

from collections.abc import Callable, Collection, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from bcr.chain.limits import state_limits
from bcr.raft.changes import surely_deciding
from bcr.verdict.braft_verdict import judge_braft
from bcr.verdict.judge import Judgement, judge
from bcr.verdict.raft_verdict import judge_raft
from bcr.verdict.record import RunRecord
from bcr_run.figure_in_logs import Followed, follow
from bcr_run.launch import Launch
from bcr_run.patience import patience_ms


def _judge_shuttle(launch: Launch, record: RunRecord, given_up: str | None) -> Judgement:
    return judge(
        record,
        launch.workloads,
        launch.settings.client_window,
        liars=launch.scenario.faulty_clients,
        given_up=given_up,
        patience_ms=patience_ms(launch.scenario),
        limits=state_limits(launch.settings),
        replicated=launch.scenario.replicated,
        session_slots=launch.settings.session_slots,
        leavers=launch.scenario.leavers,
    )


def _of_servers(judge_servers: Callable[..., Judgement], *which: str) -> Callable[[Launch, RunRecord, str | None], Judgement]:
    """The judge of a protocol without configurations; `which` settings of the run it asks for besides."""

    def judged(launch: Launch, record: RunRecord, given_up: str | None) -> Judgement:
        return judge_servers(
            record,
            launch.workloads,
            launch.settings.client_window,
            given_up=given_up,
            patience_ms=patience_ms(launch.scenario),
            limits=state_limits(launch.settings),
            replicated=launch.scenario.replicated,
            deciding=surely_deciding(launch.scenario.deciding, launch.scenario.changes, record.changes),
            **{name: getattr(launch.settings, name) for name in which},
        )

    return judged


# Protocol -> the verdict on a run's record, which was given up if a reason is given.
JUDGES: Mapping[str, Callable[[Launch, RunRecord, str | None], Judgement]] = {
    "shuttle": _judge_shuttle,
    "raft": _of_servers(judge_raft),
    "byzantine_raft": _of_servers(judge_braft, "t"),
}

# Protocol -> what its abstract specification, where there is one, says to the steps in the logs of a run: given its folder,
# its result, the clients of which nothing counts, and how many steps to keep.
FIGURES: Mapping[str, Callable[[Path, Mapping[str, Any], Collection[int], int], Followed]] = {"shuttle": follow}

# Protocol -> the process class that starts a run and collects its record, made from the chain's, which it is given.
START_UPS: Mapping[str, Callable[[Any], Any]] = {
    "shuttle": lambda harness: harness,
    "raft": lambda _: import_module("RaftHarness").RaftHarness,
    "byzantine_raft": lambda _: import_module("BraftHarness").BraftHarness,
}

"""One simulated run of Raft among liars: as one of Raft, with an oracle of its own, and more patience for elections that liars lead."""

import math
from pathlib import Path
from typing import Any

from bcr.braft.proposals import MOST_DOUBLINGS
from bcr.faults.plans import FaultPlan
from bcr.scenario import Scenario
from bcr.signed.encoding import decode
from bcr.verdict.model import Model
from bcr.verdict.record import RunRecord
from bcr_sim.braft_oracle import RESTING_ON_THE_STORE, BraftOracle
from bcr_sim.distalgo import Container
from bcr_sim.raft_run import RaftRun
from bcr_sim.world import MILLISECOND_NS


class BraftRun(RaftRun):
    """A run of servers of which t may lie, and their clients."""

    is_answered_by_leader = False
    keys_in_setup = 2
    oracle: BraftOracle  # type: ignore[assignment]

    def __init__(self, scenario: Scenario, folder: Path | None, keeps_steps: bool) -> None:
        super().__init__(scenario, folder, keeps_steps)
        self.told["begun"] = lambda run, container, start: run.oracle.begun(container, start)

    def _make_oracle(self, model: Model) -> BraftOracle:  # type: ignore[override]
        return BraftOracle(self.launch.workloads, model, self._is_liar, self.scenario.t)

    def _arrived(self, receiver: Container, source: Any, command: Any, content: Any) -> None:
        super(RaftRun, self)._arrived(receiver, source, command, content)

    def _sending(self, sender: Container, receiver: Container, content: tuple[Any, ...]) -> tuple[Any, ...] | None:
        rests = content[1][0] in RESTING_ON_THE_STORE
        if rests and sender.configuration is not None and not self._is_liar(sender):  # whose disk may hold anything
            self.oracle.sending(sender, content[1][0], self._disk_content(sender), content[1][-1])
        return super(RaftRun, self)._sending(sender, receiver, content)

    def _hear(self, verb: str, parts: list[Any]) -> None:
        super()._hear(verb, parts)
        if verb == "fault_injected" and (fault := decode(FaultPlan, parts[0])).failure.name == "crash":
            self.returned.discard(fault.position)

    def _must_answer(self, record: RunRecord) -> bool:
        """Whether no more than t servers lie, are gone or are cut off, and no client is."""
        gone = {fault.position for fault in record.faults if fault.failure.name == "crash" and fault.position not in self.returned}
        others = {fault.position for fault in record.faults if not fault.is_of_a_link and fault.failure.name not in ("crash", "restart")}
        is_client_gone = any(crash.process.startswith("client_") for crash in self.options.crashes)
        has_links_cut = any(fault.is_of_a_link for fault in record.faults)
        is_excused = is_client_gone or has_links_cut or self._may_be_behind(record)
        return len(gone | others) <= self.scenario.t and not is_excused

    def _check_time(self, record: RunRecord) -> None:
        """Every request is answered in time, once nothing but liars hinders any more."""
        if self._must_answer(record) and not any(fault.effect == "timing" for fault in record.faults):
            self._check_answers(record)

    def _patience_ns(self) -> int:
        """The longest that a server waits, for each of the leaders in a row that may be liars, and once more; and the client."""
        scenario = self.scenario
        slowest = min([1_000, *self.rates.values()]) / 1_000
        waits_ms = (scenario.t + 2) * scenario.election_timeout_ms * (1 << MOST_DOUBLINGS) / slowest
        asking_ms = 32 * scenario.client_timeout_ms
        paths_ms = 40 * self.options.delay[1] / 1_000 * (1 + scenario.client_window * scenario.num_clients)
        return math.ceil((waits_ms + asking_ms + paths_ms) * MILLISECOND_NS)

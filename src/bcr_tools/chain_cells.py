"""The atlas of the chain: every trigger with every failure, at its head, in its middle and at its tail."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from bcr.faults import vocabulary
from bcr.faults.vocabulary import FailureWord
from bcr.scenario.protocols import SHUTTLE
from bcr_tools.atlas_cells import ARGUMENTS, RESULTS, TIMEOUT_MS, WORKLOAD, Atlas, Cell, CellOutcome, call

# Client 0's second request, of which the first has left something behind; all else is met for the first time.
SECOND = ("shuttle", "result_shuttle")
TRIGGERS = {
    name: call(name, word, {**ARGUMENTS, "count": "1"}) if name in SECOND
    else "client_request(0,{count})" if name == "client_request"
    else call(name, word)
    for name, word in vocabulary.TRIGGERS.items()
}  # fmt: skip
WHILE_RECONFIGURING = {"wedge_request", "new_configuration", "get_running_state", "catch_up"}


class ChainCell(Cell, frozen=True):
    """One replica of 2t+1 has the fault; where the trigger needs it the same one provokes it."""

    COLUMNS: ClassVar[Sequence[str]] = ("asked for by", "detected", "recovered in")

    @property
    def place(self) -> int:
        return {"head": 0, "middle": self.t, "tail": 2 * self.t}[self.position]

    def fault(self) -> str:
        # A client turns to others than the head only to send a request again, so theirs is the first.
        trigger = TRIGGERS[self.trigger].format(count=1 if self.position == "head" else 0)
        return f"{trigger},{self.failure.format(other=0 if self.place else 1)}"

    @property
    def word(self) -> FailureWord:
        return vocabulary.FAILURES[self.failure_name]

    def scenario(self) -> str:
        configuration = 1 if self.trigger == "new_configuration" else 0
        plans = {configuration: [self.fault()]}
        provocation = self._provocation()
        if provocation:
            plans.setdefault(0, []).append(provocation)
        lines = [
            f"test_case_name = atlas-t{self.t}-{self.position}-{self.trigger}-{self.failure_name}",
            f"t = {self.t}",
            "num_client = 1",
            f"client_timeout = {TIMEOUT_MS}",
            f"head_timeout = {TIMEOUT_MS}",
            f"nonhead_timeout = {TIMEOUT_MS}",
            f"olympus_timeout = {2 * TIMEOUT_MS}",
            "wedge_grace = 100",
            "checkpt_interval = 2",
            WORKLOAD,
            RESULTS,
        ]
        if self.word.only_with:
            lines.append(f"authentication = {self.word.only_with[0]}")
        if self.trigger == "after":
            lines.append("client_rate = 20")  # so that there is still work when it strikes
        lines += [f"failures[{number},{self.place}] = {'; '.join(pairs)}" for number, pairs in sorted(plans.items())]
        return "\n".join(lines) + "\n"

    def outcome(self, result: Mapping[str, Any]) -> CellOutcome:
        if not result["reconfigurations"]:
            return CellOutcome("masked", ("", "", ""))
        first = result["reconfigurations"][0]
        times = [f"{each:.0f}" if each is not None else "" for each in (first["detected_ms"], first["active_ms"])]
        return CellOutcome("reconfigured", (first["requested_by"], *times))

    def _provocation(self) -> str | None:
        if self.trigger == "forwarded_request":
            # The head ignores the client twice, so that only what the others forward reaches it.
            ignored = "client_request(0,1),drop(); client_request(0,2),drop()"
            return ignored if self.position == "head" else None
        if self.trigger == "client_request" and self.position != "head":
            return "shuttle(0,0),drop()"  # no checkpoint follows the first slot, which would show the hole at once
        if self.trigger in WHILE_RECONFIGURING:
            return self._ignored_request() if self.position == "head" else "shuttle(0,3),drop()"
        return None

    def _ignored_request(self) -> str:
        """The head ignores the fourth request, however it comes, until somebody's timer expires."""
        direct = [f"client_request(0,{count}),drop()" for count in (3, 4)]
        return "; ".join([*direct, *(f"forwarded_request(0,{count}),drop()" for count in range(2 * self.t))])


ATLAS = Atlas(
    protocol=SHUTTLE,
    cell=ChainCell,
    triggers=(*TRIGGERS,),
    failures=tuple(call(name, word) for name, word in vocabulary.FAILURES.items()),
    positions=("head", "middle", "tail"),
    prescription="atlas.yaml",
    page="atlas",
    title="The fault-outcome atlas",
    about="Times are milliseconds, with timers of "
    f"{TIMEOUT_MS} ms: from the start of the service to the first request for reconfiguration, and from there to the new configuration.",
)

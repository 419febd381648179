"""What must hold of servers that execute one log, whatever the protocol that brings it about: each index once, in order, by all alike.

Beside them runs a model, which executes what is in the log in its order.
"""

from collections.abc import Callable, Sequence

from bcr.chain.void import is_void
from bcr.raft.log import Entry, Log, Position
from bcr.signed.statements import Outcome
from bcr.verdict.exchanges import Workloads
from bcr.verdict.model import Executed, Model
from bcr_sim.distalgo import Container
from bcr_sim.oracle import MAX_BREACHES, Breach


class LogOracle:
    """Watches what the servers of one run execute; whoever `lies` is held to nothing.

    `agreement` is what its paper calls that nobody executes another entry at an index; `final` an entry that may be executed.
    """

    agreement = "agreement"
    final = "decided"

    def __init__(self, workloads: Workloads, model: Model, lies: Callable[[Container], bool]) -> None:
        self._workloads = workloads
        self._model = model
        self._asks_lies = lies
        self._applied_index: dict[Container, int] = {}
        self._final_entries: list[tuple[bytes, tuple[Executed, ...]]] = []  # by index, from 1: digest of the entry, and what it gave
        self.breaches: list[Breach] = []
        self.terms: set[int] = set()  # in which requests that were executed were put into the log

    def _lies(self, container: Container) -> bool:
        return self._asks_lies(container)

    def tell(self, name: str, what: str) -> None:
        """Put down that a property does not hold."""
        if len(self.breaches) < MAX_BREACHES:
            self.breaches.append(Breach(name, what))

    def applied(self, container: Container, index: int, entry: Entry, outcomes: Sequence[Outcome]) -> None:
        """A server has executed the entry at an index, which is final, then: nobody executes another one there."""
        if self._lies(container):
            return
        before = self._applied_index.get(container, index - 1)
        self._applied_index[container] = index
        if index != before + 1:
            self.tell(self.agreement, f"{container.name} executed index {index} behind {before}")
        if index == len(self._final_entries) + 1:
            self._add(container, index, entry)
        if index > len(self._final_entries):
            self._tell_of_gap(container, index)
            return
        digest, executed = self._final_entries[index - 1]
        if entry.digest != digest:
            self.tell(self.agreement, f"{container.name} executed another entry {index} than some server did")
        elif tuple((outcome.place, outcome.results) for outcome in outcomes) != executed:
            self.tell("replay", f"{container.name}: entry {index} gave {outcomes}, and should have given {executed}")

    def _tell_of_gap(self, container: Container, index: int) -> None:
        self.tell(self.agreement, f"{container.name} executed index {index}, and nobody those before it")

    def _add(self, container: Container, index: int, entry: Entry) -> None:
        """An entry is executed for the first time."""
        for request in entry.requests:
            is_of_a_client = 0 <= request.client < len(self._workloads)
            workload = self._workloads[request.client] if is_of_a_client else ()
            is_asked_for = 0 <= request.number < len(workload) and tuple(workload[request.number]) == request.operations
            if not is_asked_for and not (is_of_a_client and is_void(request.operations)):
                self.tell("validity", f"{container.name} executed at index {index} what no client asked for")
        executed = tuple(self._model.execute((0, index, place), request) for place, request in enumerate(entry.requests))
        self._final_entries.append((entry.digest, executed))
        if executed:
            self.terms.add(entry.term)

    def _has(self, index: int, digest: bytes) -> bool:
        """Whether this is the entry that was executed at an index."""
        return 0 < index <= len(self._final_entries) and self._final_entries[index - 1][0] == digest

    def _check_kept(self, name: str, commit_index: int, log: Log) -> None:
        """What a server knows to be final its log holds, as it was; equal digests are equal logs up to there."""
        index = min(commit_index, len(self._final_entries))
        place = log.at(index)
        if index > log.base.index and (place is None or not self._has(index, place.digest)):
            self.tell(self.agreement, f"{name} has given up entry {index}, which it knows to be {self.final}")

    def installed(self, container: Container, position: Position) -> None:
        """A server has taken a state in place of its log: of what is final, and the one behind that."""
        if self._lies(container):
            return
        self._applied_index[container] = position.index
        if not self._has(position.index, position.digest):
            self.tell(self.agreement, f"{container.name} took the state of index {position.index}, which is not {self.final}")

    def restarted(self, container: Container, index: int) -> None:
        """A server has come back, with a state behind that index."""
        self._applied_index[container] = index

    def began_again(self, before: Container, container: Container) -> None:
        """A server comes in the place of one that has ended, with its disk: that it applies what it applied before is right."""

    def ended(self, container: Container, why: str) -> None:
        """A server has ended because of its disk, and nothing is wrong with that."""
        if not self._lies(container):
            self.tell("persistence", f"{container.name} ends: {why}")

    def spoke(self, container: Container) -> None:
        """A server has said something; `sending` looks at that."""

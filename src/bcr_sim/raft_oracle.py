"""What must hold at every step of a simulated run of Raft: the properties of the paper's Figure 3, and what clients are promised.

Checked against the servers themselves. Beside them runs a model, which executes what is committed in the order of the log.
"""

from collections.abc import Callable, Collection
from typing import Any

from bcr.raft.log import Entry, Position
from bcr.raft.persistent import Stored
from bcr.raft.reads import AMONG_READS
from bcr.raft.rpcs import Response
from bcr.signed.statements import Request
from bcr.verdict.exchanges import Workloads
from bcr.verdict.model import Model
from bcr_sim.distalgo import Container
from bcr_sim.log_oracle import LogOracle

OF_A_LEADER = ("append_entries", "install_snapshot")


class RaftOracle(LogOracle):
    """Watches the servers of one run; whoever `lies` is held to nothing."""

    agreement = "state machine safety"
    final = "committed"

    def __init__(self, workloads: Workloads, model: Model, lies: Callable[[Container], bool], members: Collection[int]) -> None:
        super().__init__(workloads, model, lies)
        self._is_anybody_lying = False
        self._members = frozenset(members)  # the servers that decide, as far as is committed
        self._leaders: dict[int, str] = {}  # by term
        self._ends: dict[str, tuple[int, Position]] = {}  # of leaders' logs, when last looked at, with their term
        self._digests: dict[tuple[int, int], bytes] = {}  # index and term -> digest of whichever entry stood there first
        self._known_digests: dict[str, dict[int, bytes]] = {}  # of each server's log, what has been looked at
        self._committed_in: list[int] = []  # by index, from 1: the term in which it was seen that the entry is committed
        self._floors: dict[tuple[Container, int, int], int] = {}  # what was committed when a request first came to a server

    def _lies(self, container: Container) -> bool:
        """Whether this server has begun to lie."""
        is_lying = super()._lies(container)
        self._is_anybody_lying |= is_lying
        return is_lying

    # -- servers

    def elected(self, container: Container, term: int) -> None:
        """A server leads, from now on, in a term: no other does, and it holds all that is committed."""
        if self._lies(container):
            return
        before = self._leaders.setdefault(term, container.name)
        if before != container.name:
            self.tell("election safety", f"{before} and {container.name} both lead in term {term}")
        log = container.process._state.log
        for index, committed_in in enumerate(self._committed_in, start=1):
            place = log.at(index)
            is_held = index < log.base.index or (place is not None and self._has(index, place.digest))
            if not is_held and committed_in < term:
                self.tell("leader completeness", f"{container.name} leads in term {term} without the committed entry {index}")
                break

    def handled(self, container: Container) -> None:
        """A server has taken a step: what its log holds now is compared with what all logs have held."""
        if self._lies(container):
            return
        state = container.process._state
        self._check_append_only(container.name, state)
        self._check_matching(container.name, state.log)
        self._check_kept(container.name, state.commit_index, state.log)
        self._check_members(container.name, state.log)
        if state.role == "leader":
            self._check_changes(container.name, state)

    def _check_append_only(self, name: str, state: Any) -> None:
        if state.role != "leader":
            self._ends.pop(name, None)
            return
        term, end = self._ends.get(name, (-1, state.log.base))
        if term == state.current_term and end.index > state.log.base.index and state.log.at(end.index) != end:
            self.tell("leader append-only", f"{name}, which leads in term {term}, has changed its entry {end.index}")
        self._ends[name] = state.current_term, state.log.last

    def _check_members(self, name: str, log: Any) -> None:
        """Who decides, as a server knows it, its log or its snapshot says."""
        index = log.members_index
        if index > log.snapshot_at.index and (index > log.last_index or log.entry(index).members != log.members):
            self.tell("members by the log", f"{name} lets {log.members} decide by entry {index}, which its log does not hold")

    def _check_changes(self, name: str, state: Any) -> None:
        """A leader begins one change of members at a time, when it knows what is committed; and leads no longer than it decides."""
        log, commit_index = state.log, state.commit_index
        if log.members_index <= commit_index:
            if state.position not in log.members:
                self.tell("leader decides", f"{name} leads in term {state.current_term}, and its removal is committed")
        elif log.entry(log.members_index).term == state.current_term:
            under_way = sum(log.entry(index).members is not None for index in range(commit_index + 1, log.last_index + 1))
            if under_way > 1 or log.at(commit_index).term != state.current_term:
                self.tell("one change at a time", f"{name} changes members in term {state.current_term} too early, "
                                                  f"with {under_way} changes under way")  # fmt: skip

    def _check_matching(self, name: str, log: Any) -> None:
        known = self._known_digests.setdefault(name, {})
        for index in range(log.last_index, log.base.index, -1):
            place = log.at(index)
            if known.get(index) == place.digest:
                break
            known[index] = place.digest
            if self._digests.setdefault((index, place.term), place.digest) != place.digest:
                self.tell("log matching", f"{name} has another entry {index} of term {place.term} than some server had")

    def _tell_of_gap(self, container: Container, index: int) -> None:
        if not self._is_anybody_lying:
            super()._tell_of_gap(container, index)

    def _add(self, container: Container, index: int, entry: Entry) -> None:
        super()._add(container, index, entry)
        self._committed_in.append(container.process._state.current_term)
        if entry.members is not None:
            if len(self._members ^ set(entry.members)) != 1:
                self.tell("one change at a time", f"entry {index} lets {entry.members} decide, and before it {sorted(self._members)} did")
            self._members = frozenset(entry.members)

    def sending(self, container: Container, message_name: str, stored: Stored, term: int) -> None:
        """A server sends another one something of a term, that rests on its term, its vote or its log: those must be in its store.

        What has waited for the store may be of an earlier term than the server is in by now.
        """
        if self._lies(container):
            return
        state = container.process._state
        if message_name in OF_A_LEADER and self._leaders.get(term) != container.name:
            self.tell("election safety", f"{container.name} sends {message_name} in term {term}, to which nobody elected it")
        end = stored.entries[-1].digest if stored.entries else stored.base.digest
        if (stored.term, stored.voted_for, end) != (state.current_term, state.voted_for, state.log.last.digest):
            self.tell("persistence", f"{container.name} sends {message_name} that rests on what its store does not hold")

    # -- clients

    def asked(self, container: Container, request: Request) -> None:
        """A request has come to a server: whatever is executed anywhere by now it must see."""
        self._floors.setdefault((container, request.client, request.number), len(self._final_entries))

    def read(self, container: Container, index: int, request: Request) -> None:
        """A server answers a read with the state behind that index."""
        if self._lies(container):
            return
        floor = self._floors.get((container, request.client, request.number), 0)
        if index < floor:
            self.tell("stale read", f"{container.name} answers request {request.number} of client {request.client} with the state "
                                    f"behind index {index}, and {floor} was executed before it came")  # fmt: skip

    def accepted(self, who: str, response: Response) -> None:
        """A client accepts a result: it is what the request gave where it stands in the log."""
        outcome = response.outcome
        if outcome.index == AMONG_READS:
            return  # replayed when the run is over
        if self._is_anybody_lying:
            return  # what is true of a log that a liar has led nobody here knows; the verdict says what was lost
        model_outcome = self._model.executed.get((response.client, response.number))
        if model_outcome != (outcome.place, outcome.results):
            self.tell(
                "results", f"{who}, request {response.number}: accepted {outcome.results} at {outcome.place}, and it was {model_outcome}"
            )

"""The atlases of the two Rafts: every trigger with every failure, at who leads at first and at one that follows."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from bcr.faults.vocabulary import FailureWord
from bcr.scenario.protocols import BRAFT_SYNONYMS, BYZANTINE_RAFT, RAFT, WORDS, Protocol
from bcr_tools.atlas_cells import ARGUMENTS, RESULTS, TIMEOUT_MS, WORKLOAD, Atlas, Cell, CellOutcome, call

LEADER, FOLLOWER = "leader", "follower"
# From when to when links are cut, in milliseconds: requests are under way, and longer than anybody waits for a leader.
CUT_MS = (500, 500 + 5 * TIMEOUT_MS)
# When `after` strikes: somebody leads, and links are not cut yet.
AFTER_MS = 400
WHY_SIMULATED = (
    "links are cut for a while so that servers fall behind and others lead, and only the simulator does that without a network of its own"
)


class ServerCell(Cell, frozen=True):
    """One server has the fault, and where the trigger needs it a server is cut off from all others for a while.

    A cut is no fault: links may do that. Server 0 leads at first.
    """

    COLUMNS: ClassVar[Sequence[str]] = ("terms", "longest wait")
    PROTOCOL: ClassVar[Protocol]
    FOLLOWER_SHOWN: ClassVar[int]  # where the cells of followers have their fault
    FIRST_TERM: ClassVar[int]  # in which server 0 leads
    HASTE: ClassVar[int]  # how many times as fast as the others' its clock is
    # Trigger -> whom a cut keeps away from the others, so that the server of the cell meets it: by the cell's position.
    CUT_OFF: ClassVar[Mapping[str, Mapping[str, int]]]

    @property
    def place(self) -> int:
        return 0 if self.position == LEADER else self.FOLLOWER_SHOWN

    @property
    def word(self) -> FailureWord:
        return WORDS[self.failure_name]

    def fault(self) -> str:
        # Of the client's requests the second, of which the first has left something behind; of all else whatever comes first.
        count = {"count": "1" if self.trigger == "client_request" and self.position == LEADER else "0"}
        after = {"milliseconds": str(AFTER_MS * (1 if self.place else self.HASTE))}
        trigger = call(self.trigger, self.PROTOCOL.triggers[self.trigger], {**ARGUMENTS, **after, **count})
        return f"{trigger},{self.failure.format(other=0 if self.place else 1)}"

    def scenario(self) -> str:
        lines = [
            f"test_case_name = atlas-t{self.t}-{self.position}-{self.trigger}-{self.failure_name}",
            f"protocol = {self.PROTOCOL.name}",
            f"t = {self.t}",
            "num_client = 1",
            f"client_timeout = {TIMEOUT_MS}",
            f"election_timeout = {TIMEOUT_MS}",
            f"heartbeat = {TIMEOUT_MS // 5}",
            "checkpt_interval = 2",
            "client_rate = 5",  # so that there is still work while links are cut, and behind it
            WORKLOAD,
            *(() if self.is_unpromised() else (RESULTS,)),
            f"failures[0,{self.place}] = {'; '.join((self.fault(), *self.provocations()))}",
        ]
        return "\n".join(lines) + "\n"

    def simulated(self) -> str:
        clocks = [f"clock(0,{self.HASTE * 1_000})"] * (self.HASTE > 1)
        return f"{self.scenario()}simulation = {'; '.join(('seed(1)', *clocks, *self._cuts()))}\n"

    def is_unpromised(self) -> bool:
        """Whether clients may wait for ever."""
        return self.failure_name in self.PROTOCOL.unpromised

    def provocations(self) -> Sequence[str]:
        """Pairs by which the same server brings about what triggers its fault."""
        return ()

    def outcome(self, result: Mapping[str, Any]) -> CellOutcome:
        terms = result["terms"]
        kind = "masked" if tuple(terms) == (self.FIRST_TERM,) else "another leader"
        return CellOutcome(kind, (", ".join(map(str, terms)), f"{result['latency_ms']['max']:.0f}"))

    def _cuts(self) -> list[str]:
        away = self.CUT_OFF.get(self.trigger, {}).get(self.position)
        if away is None:
            return []
        others = [other for other in range(self.PROTOCOL.servers(self.t, "ed25519")) if other != away]
        pairs = [pair for other in others for pair in ((away, other), (other, away))]
        return [f"cut(replica_{one},replica_{other},{CUT_MS[0]},{CUT_MS[1]})" for one, other in pairs]


class RaftCell(ServerCell, frozen=True):
    """A server of Raft. The clock of server 0 is fast, so that it is the first to ask for votes."""

    PROTOCOL = RAFT
    FOLLOWER_SHOWN = 1
    FIRST_TERM = 1
    HASTE = 3
    CUT_OFF: ClassVar[Mapping[str, Mapping[str, int]]] = {
        "install_snapshot": {LEADER: 0, FOLLOWER: FOLLOWER_SHOWN},
        "snapshot_installed": {LEADER: 2},
    }

    def scenario(self) -> str:
        asked = f"changes = transfer({CUT_MS[0]},{self.place})\n" if self.trigger == "timeout_now" else ""
        return super().scenario() + asked


class BraftCell(ServerCell, frozen=True):
    """A server of Raft among liars, where all take turns at leading, server 0 first."""

    PROTOCOL = BYZANTINE_RAFT
    FOLLOWER_SHOWN = 2  # not who leads next
    FIRST_TERM = 0
    HASTE = 1
    CUT_OFF: ClassVar[Mapping[str, Mapping[str, int]]] = {
        "start_vote": {LEADER: 0, FOLLOWER: 0},
        "start_term": {LEADER: 0, FOLLOWER: 0},
        "status": {LEADER: 0, FOLLOWER: FOLLOWER_SHOWN},
        "state": {LEADER: 0, FOLLOWER: FOLLOWER_SHOWN},
        "fetch": {LEADER: 3, FOLLOWER: 3},
    }

    def provocations(self) -> Sequence[str]:
        if self.trigger == "forwarded_request" and self.position == LEADER:
            # It ignores the client twice, so that only what the others forward reaches it.
            return ("client_request(0,1),drop()", "client_request(0,2),drop()")
        return ()


ATLASES = tuple(
    Atlas(
        protocol=cell.PROTOCOL,
        cell=cell,
        triggers=tuple(name for name in cell.PROTOCOL.triggers if name not in synonyms),
        failures=tuple(call(name, WORDS[name]) for name in cell.PROTOCOL.failures if name in WORDS),  # others are of links in a laboratory
        positions=(LEADER, FOLLOWER),
        prescription=f"{page}.yaml",
        page=page,
        title=f"The fault-outcome atlas of {title}",
        about="Terms are those in which the client's operations were put into the log. Times are milliseconds, with timers of "
        f"{TIMEOUT_MS} ms: how long the client waited for one of its operations at most. Where the trigger needs it a server is cut off "
        f"from the others from {CUT_MS[0]} to {CUT_MS[1]} ms.",
        why_simulated=WHY_SIMULATED,
    )
    for cell, page, title, synonyms in (
        (RaftCell, "atlas_raft", "Raft", ()),
        (BraftCell, "atlas_braft", "Raft among liars", BRAFT_SYNONYMS),
    )
)

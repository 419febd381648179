"""What callers of a service are told of its protocol, one view each: how it is, whether to call it, who leads, what it cannot show.

How a protocol is kept running is declared in `bcr_service.protocol_services`, under the same names. Nothing else in the service
asks which protocol it is.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from bcr.raft.changes import ScheduledChange
from bcr.raft.elections import CANDIDATE, FOLLOWER, LEADER, PRE_CANDIDATE
from bcr_service.problems import Problem
from bcr_service.service_files import Listener
from bcr_service.whole_numbers import position_in

if TYPE_CHECKING:
    from bcr_service.gateway import GatewayState

Status = Mapping[str, Any]
SILENT = ("silent", "stopped", "gone")  # modes of a server whose last word is no news


class RaftStatus(msgspec.Struct, frozen=True):
    """A server of a dialect in the words of Raft: term, role, and the indices of its log; those of others by their number."""

    term: int
    role: str
    commit_index: int
    last_applied: int
    last_log_index: int
    last_log_term: int
    next_index: Mapping[int, int] = {}
    match_index: Mapping[int, int] = {}


class ProtocolView:
    """A protocol in the eyes of callers."""

    name = ""  # as service files and `/admin/status` call it
    has_configurations = False  # signed by Olympus, which have to be there before anything can be asked
    why_no_proofs = ""  # empty where answers come with proofs
    why_no_changes = ""  # empty where who decides, and who leads, can be changed
    why_not_sent = ""

    def lines(self, status: Status) -> Iterator[str]:
        """The servers, for people."""
        raise NotImplementedError

    def is_ready(self, gateway: "GatewayState") -> tuple[bool, str]:
        """Whether callers are likely to be answered, and why, or why not."""
        raise NotImplementedError

    def leader_among(self, gateway: "GatewayState", members: Sequence[Listener], own: Listener) -> Listener | None:
        """Who of the servers of a dialect leads as far as this one knows, or stands for who does."""
        raise NotImplementedError

    def standing(self, gateway: "GatewayState", own: Listener, is_leader: bool) -> RaftStatus:
        """How a server of a dialect is."""
        raise NotImplementedError

    def change(self, status: Status, kind: str, name: str) -> ScheduledChange:
        """The change of who decides or leads that is asked for, if it makes sense. Raises Problem."""
        raise Problem(501, self.why_no_changes)

    def slots(self, status: Status) -> Iterator[tuple[int, str, int]]:
        """Position, mode, and slots or entries executed, of each that executes."""
        raise NotImplementedError


def overdue(gateway: "GatewayState", whom: str) -> str:
    """Why callers are not likely to be answered, where a request has waited for too long."""
    overdue_s = gateway.desk.oldest_s()
    return (
        f"a request to {whom} has had no answer for {overdue_s:.1f} s" if overdue_s > 2 * gateway.settings.client_timeout_ms / 1000 else ""
    )


class ChainView(ProtocolView):
    """The chain. It has no leader that callers would have to know: every gateway brings calls to the head.

    The first server of a dialect that is up stands for it, so that callers find what they know. A term is a configuration, an index
    counts the slots of its chain, and a server's own indices are those of the replica at the same place in the chain.
    """

    name = "chain"
    has_configurations = True
    why_no_changes = "the chain has no servers that somebody adds, and no leader: Olympus replaces it when one of its replicas fails"
    why_not_sent = "the chain is busy, or is being reconfigured"

    def lines(self, status: Status) -> Iterator[str]:
        yield f"configuration  {status.get('configuration', 'none yet')}"
        for replica in status.get("chain", []):
            name = f"replica_{replica['position']}"
            room = "" if replica.get("has_room", True) else ", no room on its disk"
            yield f"{name:<15}{replica['role']:<7}{replica['mode']:<10}{replica['slots']} slots, {replica['in_flight']} in flight{room}"
        for host in status.get("hosts", []):
            has = "no replica" if host["replica"] is None else f"replica_{host['replica']}"
            yield f"{'host ' + host['host']:<22}{'there' if host['present'] else 'away':<10}{has}"

    def is_ready(self, gateway: "GatewayState") -> tuple[bool, str]:
        if gateway.configuration is None:
            return False, "there is no configuration yet"
        number = gateway.configuration.statement.number
        why_not = overdue(gateway, f"configuration {number}")
        return not why_not, why_not or f"configuration {number}"

    def leader_among(self, gateway: "GatewayState", members: Sequence[Listener], own: Listener) -> Listener | None:
        """The first server that is up, as far as this one knows, which knows of nobody while it is down."""
        if gateway.configuration is None:
            return None
        return next((each for each in members if gateway.is_up(each)), None)

    def standing(self, gateway: "GatewayState", own: Listener, is_leader: bool) -> RaftStatus:
        slots = [replica["slots"] for replica in gateway.status.get("chain", [])]
        commit = min(slots, default=0)
        mine = slots[own.number] if own.number < len(slots) else commit
        others = {number: count for number, count in enumerate(slots) if number != own.number} if is_leader else {}
        term = gateway.status.get("configuration", 0)
        following = {number: count + 1 for number, count in others.items()}
        return RaftStatus(term, LEADER if is_leader else FOLLOWER, commit, mine, mine, term, following, others)

    def slots(self, status: Status) -> Iterator[tuple[int, str, int]]:
        yield from ((each["position"], each["mode"], each["slots"]) for each in status.get("chain", []))


class ServersView(ProtocolView):
    """Servers with a leader, of which server i of a dialect is one: what it tells is what that server last said of itself."""

    why_not_sent = "the servers have no leader, or those that the gateway can reach are no majority"

    def lines(self, status: Status) -> Iterator[str]:
        leader = status.get("leader")
        yield f"term           {status.get('term', 0)}, {'no leader' if leader is None else f'led by replica_{leader}'}"
        yield f"members        {', '.join(f'replica_{each}' for each in status.get('members', []))}"
        for server in status.get("servers", []):
            name = f"replica_{server['position']}"
            told = f"term {server['term']}, log up to {server['last_log_index']}, committed {server['commit_index']}, applied {server['last_applied']}"
            yield f"{name:<15}{server['role']:<15}{server['mode']:<10}{told}"
        for change in status.get("changes", []):
            yield f"under way      {change}"

    def is_ready(self, gateway: "GatewayState") -> tuple[bool, str]:
        leader = gateway.status.get("leader")
        if leader is None:
            return False, "no server leads"
        why_not = overdue(gateway, "the leader")
        return not why_not, why_not or f"replica_{leader} leads in term {gateway.status['term']}"

    def _server(self, gateway: "GatewayState", own: Listener) -> Mapping[str, Any]:
        servers: Sequence[Mapping[str, Any]] = gateway.status.get("servers", [])
        return servers[own.number] if own.number < len(servers) else {}

    def leader_among(self, gateway: "GatewayState", members: Sequence[Listener], own: Listener) -> Listener | None:
        """Whom the server says that it follows; where no server of the dialect stands beside that one, this one itself."""
        server = self._server(gateway, own)
        leader = server.get("leader")
        if leader is None or server["mode"] in SILENT:
            return None
        return next((each for each in members if each.number == leader), own)

    def standing(self, gateway: "GatewayState", own: Listener, is_leader: bool) -> RaftStatus:
        told = self._server(gateway, own)
        if not told:
            return RaftStatus(0, FOLLOWER, 0, 0, 0, 0)
        return RaftStatus(told["term"], told["role"], told["commit_index"], told["last_applied"], told["last_log_index"], told["last_log_term"],
                        dict(told["next_index"]), dict(told["match_index"]))  # fmt: skip

    def slots(self, status: Status) -> Iterator[tuple[int, str, int]]:
        yield from ((each["position"], each["mode"], each["last_applied"]) for each in status.get("servers", []))


class RaftView(ServersView):
    """Raft."""

    name = "raft"
    why_no_proofs = "no proofs: nothing is signed in Raft, and what its leader says is taken for true"

    def change(self, status: Status, kind: str, name: str) -> ScheduledChange:
        try:
            position = position_in(name, len(status.get("servers", [])))
        except ValueError as error:
            raise Problem(404, str(error)) from error
        asked = ScheduledChange(0, kind, position)
        try:
            asked.applied_to(tuple(status.get("members", [])))
        except ValueError as error:
            raise Problem(409, f"replica_{position} {error}") from error
        return asked


class ByzantineRaftView(ServersView):
    """Raft among liars. Its gateways check what t+1 servers have signed; callers have no way yet to check it themselves."""

    name = "byzantine_raft"
    why_no_proofs = "no proofs: the gateway checks what t+1 servers have signed, and has no form yet in which callers could"
    why_no_changes = "in Raft among liars the leader of a term is given by its number, and the servers stay the same"


VIEWS: Mapping[str, ProtocolView] = {each.name: each for each in (ChainView(), RaftView(), ByzantineRaftView())}
STATES: Mapping[str, str] = {LEADER: "Leader", FOLLOWER: "Follower", PRE_CANDIDATE: "Candidate", CANDIDATE: "Candidate"}  # of distraft

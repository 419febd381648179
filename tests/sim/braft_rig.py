"""One server of Raft among liars, among others that a test speaks and signs for: what it hears and when, and what it says to whom."""

from functools import cached_property
from typing import Any

from raft_rig import ChangeRig, Rig, _Other

from bcr.braft.exchange import IN_PIECES, KINDS, Decided
from bcr.braft.members import Members
from bcr.braft.promises import Append, Certificate, Commit, Fetch, Prepare, Reply, Start, StartVote, StateAt, Status
from bcr.braft.proposals import Proposal, proposed
from bcr.braft.term_starts import Suffix, TermStart, TermVote
from bcr.objects.dictionary import Operation
from bcr.raft.log import BEGINNING, Entry, Position
from bcr.signed.control import Control
from bcr.signed.encoding import decode, encode
from bcr.signed.pieces import Piece, signed_pieces
from bcr.signed.signing import Keyring, Signed, SigningKey, public_keys
from bcr.signed.statements import Request
from bcr.state.running import RunningState

SERVERS, CLIENTS = 4, 2  # of which one server may lie: a quorum is of three
SEEDS = [bytes([1 + place]) * 32 for place in range(SERVERS + CLIENTS)]
CIRCLE = Keyring(b"", *public_keys(SEEDS, SERVERS))
KEYS = [SigningKey(seed).among(CIRCLE) for seed in SEEDS]
MEMBERS = Members(KEYS[0], 1)
TIMEOUT_MS = 150


def kinds_of(state: Any) -> list[str]:
    """What a server has noticed of others' misbehaviour."""
    return [notice.kind for notice in state.notices]


def executed(entries: Any, count: int, client_window: int = 1) -> RunningState:
    """The state behind so many of these entries."""
    state = RunningState(client_window)
    for index in range(1, count + 1):
        state.execute(0, index, entries[index - 1].requests)
    return state


def state_at(entries: Any, count: int, client_window: int = 1) -> StateAt:
    """What a correct server signs of it."""
    return StateAt(place_of(entries, count), executed(entries, count, client_window).digest())


def by(server: int, statement: Any) -> Any:
    """A statement under the signature of a server."""
    return Signed.sign(statement, server, KEYS[server])


def signing(server: int) -> Any:
    return lambda statement: by(server, statement)


def asked(client: int, number: int, value: str = "v") -> Any:
    """A request that a client has signed."""
    request = Request(client, number, (Operation("put", "k", value),))
    return Signed.sign(request, client, KEYS[SERVERS + client])


def chain_of(*requests: Any, term: int = 0, behind: Position = BEGINNING) -> list[Entry]:
    """Entries of a term, one behind the other, with a request in each."""
    entries, before = [], behind.digest
    for request in requests:
        entries.append(Entry(before, term, (request.statement,)))
        before = entries[-1].digest
    return entries


def place_of(entries: list[Entry], index: int) -> Position:
    return BEGINNING if index == 0 else Position(index, entries[index - 1].term, entries[index - 1].digest)


def append(entries: list[Entry], index: int, *requests: Any, term: int = 0, leader: int | None = None) -> Proposal:
    """The word of a leader, by default that of the term, on the entry at an index, which holds these requests."""
    entry = entries[index - 1]
    return proposed(by(term % SERVERS if leader is None else leader, Append(term, index, entry.digest)), entry, requests)


def certificate(statement: Any, signers: Any = (0, 1, 2)) -> Certificate:
    return Certificate(statement, tuple((signer, by(signer, statement).signature) for signer in signers))


def prepared(entries: list[Entry], index: int, term: int = 0, signers: Any = (0, 1, 2)) -> Certificate:
    return certificate(Prepare(term, index, entries[index - 1].digest), signers)


def commits(entries: list[Entry], index: int, signers: Any, term: int = 0) -> list[Any]:
    return [by(signer, Commit(term, index, entries[index - 1].digest)) for signer in signers]


def vote(server: int, term: int, highest: Certificate | None = None, entries: Any = (), checkpoint: Certificate | None = None) -> TermVote:
    claim = (0, 0, BEGINNING.digest) if highest is None else (*highest.rank, highest.statement.digest)
    return TermVote(by(server, StartVote(term, *claim)), highest, Suffix(checkpoint, tuple(entries)))


def begun(
    term: int, votes: list[TermVote], index: int, digest: bytes, entries: Any = (), checkpoint: Certificate | None = None
) -> TermStart:
    """The word of the leader of a term on how it begins, whatever the votes ask for."""
    claims = tuple((each.signed, each.certificate) for each in votes)
    return TermStart(by(term % SERVERS, Start(term, index, digest)), claims, Suffix(checkpoint, tuple(entries)))


class _OtherMember(_Other):
    def take(self, message: Any) -> None:
        _, (_, (_, parts)) = message
        if parts[0] in KINDS:
            payload = decode(Piece, parts[1]).data if parts[0] in IN_PIECES else parts[1]
            self.rig.said.append((self.rig.world.now_ns // 1_000_000, self.name, parts[0], decode(KINDS[parts[0]], payload)))


class Member(Rig):
    """Server `position` of four, whose messages about itself stay out of sight until it is told to run."""

    other = _OtherMember
    kinds = KINDS

    def __init__(self, position: int = 1, **settings: Any) -> None:
        super().__init__(servers=SERVERS, t=1, **({"heartbeat_ms": 50, "election_timeout_ms": TIMEOUT_MS} | settings))
        self.position = position
        self._operator = Control(bytes(32), "start-up")

    command = ChangeRig.command
    told_operator = ChangeRig.told_operator

    @cached_property
    def server(self) -> Any:
        from BraftRepair import LastingServer

        return LastingServer

    def arguments(self, pids: list[Any], clients: list[Any]) -> tuple[Any, ...]:
        first = super().arguments(pids, clients)
        return (self.position, *first[1:], SEEDS[self.position], encode(CIRCLE))

    def payloads(self, name: str, message: Any) -> list[bytes]:
        if name == "control":
            return [message]
        if name not in IN_PIECES:
            return super().payloads(name, message)
        signer = message.signed.signer if isinstance(message, TermVote | TermStart) else 3
        self.serial = getattr(self, "serial", 0) + 1
        pieces = signed_pieces(name, 0, self.serial, encode(message), 1 << 20, signer, KEYS[signer])
        return [encode(each) for each in pieces]

    def hear(self, at_ms: float, message: Any, name: str = "") -> None:
        self._heard.append((at_ms, name or NAMES[type(message) if not isinstance(message, Signed) else type(message.statement)], message))

    def statements(self, kind: type, to: str | None = None) -> list[Any]:
        """What it has signed of this kind, to one or to anybody, in the order in which it left."""
        signed = [message for _, whom, _, message in self.said if isinstance(message, Signed) and to in (None, whom)]
        return [each.statement for each in signed if isinstance(each.statement, kind)]


NAMES = {Proposal: "append", Prepare: "prepare", Certificate: "prepare_certificate", Commit: "commit", StateAt: "checkpoint",
         TermVote: "start_vote", TermStart: "start_term", Decided: "state", Request: "client_request", Reply: "reply", Status: "status", Fetch: "fetch"}  # fmt: skip

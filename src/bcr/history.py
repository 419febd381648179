"""Histories: slot by slot the order proofs since the last completed checkpoint (paper, sections 3.1 and 4.2)."""

from collections.abc import Mapping, Sequence
from typing import Generic, TypeVar

import msgspec

from bcr.configuration import View
from bcr.messages import demand_configuration, demand_request
from bcr.proofs import Answer, check_checkpoint_proof, demand_order_proof
from bcr.signing import Circle, Signed, Statement
from bcr.state import Snapshot
from bcr.statements import Checkpoint, Order, SignedCheckpoint, SignedOrder, SignedRequest, digest_of_requests
from bcr.violations import Hole, InvalidSignature, MalformedMessage


class HistoryEntry(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A slot of a replica's history: its requests, and the order statements of the replica and its predecessors."""

    slot: int
    requests: tuple[SignedRequest, ...]
    order_proof: tuple[SignedOrder, ...]

    def order(self, configuration: int) -> Order:
        """The order statement that fits the requests of this entry."""
        return Order(configuration, self.slot, digest_of_requests(self.requests))


class Wedged(Statement, frozen=True, tag="wedged"):
    """A replica's answer to a wedge request: the history since its last completed checkpoint, and that proof."""

    configuration: int
    history: tuple[HistoryEntry, ...]
    checkpoint_proof: tuple[SignedCheckpoint, ...]


class CatchUp(Statement, frozen=True, tag="catch_up"):
    """Olympus sends a replica of the quorum what its wedged history lacks of the longest one.

    Olympus may try several quorums, with different longest histories; `attempt` counts them.
    """

    configuration: int
    attempt: int
    suffix: tuple[HistoryEntry, ...]

    def readers(self, circle: Circle, signer: int) -> Sequence[bytes]:
        return circle.replicas


class LatestAnswer(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A replica's answer, with its own result statement as the only one, to one of a client's latest requests."""

    client: int
    number: int
    answer: Answer


class CaughtUp(Statement, frozen=True, tag="caught_up"):
    """A replica's answer to catch_up: how many slots it has executed, its state's digest, and its latest answers."""

    configuration: int
    attempt: int
    slots: int
    state_digest: bytes
    answers: tuple[LatestAnswer, ...]


class RunningStateHandover(Statement, frozen=True, tag="running_state"):
    """A replica's running state, for Olympus; it stands beside the statement, whose signature covers its digest."""

    configuration: int
    state_digest: bytes


class InitialHistory(Statement, frozen=True, tag="inithist"):
    """Olympus's word on the running state from which a configuration starts, which stands beside it likewise."""

    configuration: int
    state_digest: bytes

    def readers(self, circle: Circle, signer: int) -> Sequence[bytes]:
        return circle.replicas


S = TypeVar("S", RunningStateHandover, InitialHistory)


class WithState(msgspec.Struct, Generic[S], frozen=True, array_like=True):
    """A signed statement on the digest of a running state, and that state: nobody hashes or copies it to sign it."""

    signed: Signed[S]
    snapshot: Snapshot

    def demand_fitting(self) -> None:
        """Raises MalformedMessage unless the state is the one that was signed."""
        if self.snapshot.digest() != self.signed.statement.state_digest:
            raise MalformedMessage("a running state with another digest than the signed one", evidence=(self.signed,))


class ValidHistory(msgspec.Struct, frozen=True):
    """A wedged history that passed `validate`: slots `start` … `end - 1`, without holes.

    `disowned` are the replicas of which it holds statements that Olympus cannot check, where those that it could check
    would convince nobody else: of the two, it and the replica whose history this is, one lies.
    """

    position: int
    checkpoint: Checkpoint | None
    entries: tuple[HistoryEntry, ...]
    disowned: frozenset[int] = frozenset()

    @property
    def start(self) -> int:
        return 0 if self.checkpoint is None else self.checkpoint.slot + 1

    @property
    def end(self) -> int:
        return self.start + len(self.entries)

    def orders(self) -> Mapping[int, Order]:
        """For each slot the order that its proof holds."""
        return {entry.slot: entry.order_proof[0].statement for entry in self.entries}


def validate(wedged: Signed[Wedged], configuration: View) -> ValidHistory:
    """The history in a replica's `wedged`; raises a ProtocolViolation unless it is valid (section 3.3).

    Valid: signed by the replica; on a checkpoint that t+1 replicas signed, or from the first slot; without holes; the
    requests signed by their clients; every entry ordered by the replica and each of its predecessors.

    Where statements do not convince everybody alike, others' that Olympus cannot check make nothing invalid: the replica
    may have been deceived. That clients are honest is taken for granted there.
    """
    position, statement = wedged.signer, wedged.statement
    wedged.demand_authentic(configuration.replica_key(position), f"replica {position}")
    demand_configuration(statement.configuration, configuration)
    checkpoint = None
    disowned: set[int] | None = None if configuration.is_transferable else set()
    if statement.checkpoint_proof:
        checkpoint = check_checkpoint_proof(statement.checkpoint_proof, configuration, disowned)
    history = ValidHistory(position, checkpoint, statement.history)
    for slot, entry in enumerate(statement.history, start=history.start):
        if entry.slot != slot:
            raise Hole(
                f"the history of replica {position} has slot {entry.slot} where slot {slot} must be", position=position
            )
        if not entry.requests:
            raise MalformedMessage(f"the history of replica {position} has no requests in slot {slot}")
        for request in entry.requests:
            demand_request(request, configuration)
        expected = entry.order(configuration.number)
        demand_order_proof(entry.order_proof, expected, configuration, position + 1, disowned)
    if not disowned:
        return history
    if position in disowned:
        raise InvalidSignature(f"a statement in the history of replica {position} with an invalid signature of its own")
    return msgspec.structs.replace(history, disowned=frozenset(disowned))

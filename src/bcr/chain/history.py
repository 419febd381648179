"""Histories: slot by slot the order proofs since the last completed checkpoint (specification, 2.7)."""

from collections.abc import Mapping, Sequence
from typing import Generic, TypeVar

import msgspec

from bcr.chain.configuration import Membership
from bcr.chain.messages import demand_configuration, demand_request
from bcr.chain.proofs import check_checkpoint_proof, demand_order_proof
from bcr.signed.signing import Keyring, Signed, Statement
from bcr.signed.statements import (
    MAX_REQUESTS_PER_SLOT,
    Checkpoint,
    Order,
    Outcome,
    SignedCheckpoint,
    SignedOrder,
    SignedRequest,
    digest_of_requests,
)
from bcr.signed.violations import Hole, InvalidSignature, MalformedMessage, OverLimit, SecondOrder
from bcr.state.running import Snapshot


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

    Olympus may try several quorums, with different longest histories; `attempt` counts them. `receiver` is the position of
    the replica that this is for: what is meant for one would lead another astray.
    """

    configuration: int
    attempt: int
    receiver: int
    suffix: tuple[HistoryEntry, ...]

    def readers(self, circle: Keyring, signer: int) -> Sequence[bytes]:
        return circle.replicas


class LatestAnswer(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What one of a client's latest requests gave, in which slot, and the request's digest (`Request.digest`).

    No result statement: of several attempts these could be collected into a proof of what was never decided.
    """

    client: int
    number: int
    request_digest: bytes
    slot: int
    outcome: Outcome


class CaughtUp(Statement, frozen=True, tag="caught_up"):
    """A replica's answer to catch_up: how many slots it has executed, its state's digest, and its latest answers."""

    configuration: int
    attempt: int
    slots: int
    state_digest: bytes
    answers: tuple[LatestAnswer, ...]


class CatchingUp(Statement, frozen=True, tag="catching_up"):
    """A replica's word that it is at a long catch-up, and has executed the slots below `slots`."""

    configuration: int
    attempt: int
    slots: int


class RunningStateHandover(Statement, frozen=True, tag="running_state"):
    """A replica's running state, for Olympus; it stands beside the statement, whose signature covers its digest."""

    configuration: int
    state_digest: bytes


class InitialHistory(Statement, frozen=True, tag="inithist"):
    """Olympus's word on the running state from which a configuration starts, which stands beside it likewise."""

    configuration: int
    state_digest: bytes

    def readers(self, circle: Keyring, signer: int) -> Sequence[bytes]:
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


class Validation:
    """The check of a replica's `wedged`, which may be long, a few slots at a time (specification, 7.3).

    Valid: signed by the replica; on a complete checkpoint, or from the first slot; not longer than the history of a
    correct replica, `most_slots`, ever is, nor a slot than `most_requests`; without holes; the requests signed by their clients, and none ordered twice;
    every entry ordered by the replica and each of its predecessors.

    Where statements do not convince everybody alike, others' that Olympus cannot check make nothing invalid: the replica
    may have been deceived. That clients are honest is taken for granted there.
    """

    def __init__(
        self, wedged: Signed[Wedged], configuration: Membership, most_slots: int, most_requests: int = MAX_REQUESTS_PER_SLOT
    ) -> None:
        """Raises a ProtocolViolation where the replica did not sign this, or it is wrong from the beginning."""
        position, statement = wedged.signer, wedged.statement
        wedged.demand_authentic(configuration.replica_author(position), f"replica {position}")
        self.position = position
        self._configuration = configuration
        self._wedged = statement
        self._most_slots = most_slots
        self._most_requests = most_requests
        self._disowned: set[int] | None = None if configuration.is_transferable else set()
        self._checkpoint: Checkpoint | None = None
        self._seen: set[tuple[int, int]] = set()  # client and number of the requests so far
        self._next = 0  # index of the entry to be checked next
        self._has_begun = False

    def advance(self, requests: int | None = None) -> ValidHistory | None:
        """Check slots with about so many requests more, by default all: the history when that was the rest of it.

        Raises a ProtocolViolation where it is invalid.
        """
        entries = self._wedged.history
        if not self._has_begun:
            self._begin()
        history = ValidHistory(self.position, self._checkpoint, entries)
        checked = 0
        while self._next < len(entries) and (requests is None or checked < requests):
            self._check(history.start + self._next, entries[self._next])
            checked += len(entries[self._next].requests)
            self._next += 1
        if self._next < len(entries):
            return None
        if not self._disowned:
            return history
        if self.position in self._disowned:
            raise InvalidSignature(f"a statement in the history of replica {self.position} with an invalid signature of its own")
        return msgspec.structs.replace(history, disowned=frozenset(self._disowned))

    def _begin(self) -> None:
        self._has_begun = True
        statement, configuration = self._wedged, self._configuration
        demand_configuration(statement.configuration, configuration)
        if len(statement.history) > self._most_slots:
            raise OverLimit(
                f"the history of replica {self.position} has {len(statement.history)} slots, and never has to have more "
                f"than {self._most_slots}",
                position=self.position,
            )
        if statement.checkpoint_proof:
            self._checkpoint = check_checkpoint_proof(statement.checkpoint_proof, configuration, self._disowned)

    def _check(self, slot: int, entry: HistoryEntry) -> None:
        position, configuration = self.position, self._configuration
        if entry.slot != slot:
            raise Hole(f"the history of replica {position} has slot {entry.slot} where slot {slot} must be", position=position)
        if not 1 <= len(entry.requests) <= self._most_requests:
            raise MalformedMessage(f"the history of replica {position} has {len(entry.requests)} requests in slot {slot}")
        for request in entry.requests:
            demand_request(request, configuration)
            key = request.statement.client, request.statement.number
            if key in self._seen:
                raise SecondOrder(f"the history of replica {position} orders request {key[1]} of client {key[0]} twice", position=position)
            self._seen.add(key)
        expected = entry.order(configuration.number)
        demand_order_proof(entry.order_proof, expected, configuration, position + 1, self._disowned)


def validate(wedged: Signed[Wedged], configuration: Membership, most_slots: int) -> ValidHistory:
    """The history in a replica's `wedged`, checked at once; raises a ProtocolViolation unless it is valid."""
    history = Validation(wedged, configuration, most_slots).advance()
    assert history is not None
    return history

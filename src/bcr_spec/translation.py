"""What the implementation's messages are to the specification.

A statement whose signature holds is ("signed", who, what). Any other is ("forged", who, what), which matches no rule. A message
that cannot be decoded, or that lacks the neighbour's seal, is no message of the specification: its receiver takes it for nobody's.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from bcr.chain.configuration import Configuration, Membership, SignedConfiguration
from bcr.chain.history import CatchUp, CaughtUp, HistoryEntry, InitialHistory, RunningStateHandover, Wedged, WithState
from bcr.chain.messages import (
    Accusation,
    CheckpointShuttle,
    CompletedCheckpoint,
    ResultMessage,
    ResultShuttle,
    Shuttle,
    demand_request,
)
from bcr.chain.proofs import Answer
from bcr.signed.authentication import keys_of
from bcr.signed.encoding import decode
from bcr.signed.signing import KEY_SEED_SIZE, Author, Keys, Signed
from bcr.signed.statements import (
    Checkpoint,
    ConfigurationQuery,
    GetRunningState,
    Order,
    Ready,
    ReconfigurationRequest,
    Refusal,
    Rejection,
    Result,
    SignedRequest,
    Stale,
    Voucher,
    WedgeRequest,
)
from bcr.signed.violations import ProtocolViolation
from bcr_spec.digests import DigestTable, Request, outcomes_of, request_of, state_of

Message = tuple[Any, ...]
OLYMPUS = "olympus"


def _set(proof: Iterable[Message]) -> frozenset[Message]:
    """A proof as a set of as many statements: one that is said again is nobody's, and counts."""
    counts: Counter[Message] = Counter()
    statements = []
    for statement in proof:
        (_, who, what) = statement
        count = counts[statement]
        counts[statement] += 1
        statements.append(statement if count == 0 else ("forged", who, (*what[:-1], ("again", count))))
    return frozenset(statements)


class Translator:
    """Knows who may sign what in one run, and by which digests its contents go."""

    def __init__(self, olympus_key: bytes, authentication: Any, client_window: int) -> None:
        self.digests = DigestTable(client_window)
        self._client_window = client_window
        self.authentication = authentication
        self._keys: Keys = keys_of(authentication, bytes(KEY_SEED_SIZE), olympus_key)
        self._olympus: Author = self._keys.author(olympus_key)
        self._olympus_key = olympus_key
        self.views: dict[int, Membership] = {}
        self._authenticity: dict[tuple[int, Signed[Any]], bool] = {}
        self._requests: dict[SignedRequest, Request] = {}

    def add_configuration(self, issued: Configuration) -> None:
        """Learn who is who in a configuration that Olympus has issued."""
        self.views[issued.number] = Membership(issued, self._olympus_key, self._keys)

    # -- statements

    def by_olympus(self, signed: Signed[Any], *what: Any) -> Message:
        return ("signed" if signed.is_authentic(self._olympus) else "forged", OLYMPUS, what)

    def by_replica(self, number: int, signed: Signed[Any], *what: Any) -> Message:
        key = number, signed
        if key not in self._authenticity:
            view = self.views.get(number)
            is_one = view is not None and 0 <= signed.signer <= view.tail
            self._authenticity[key] = is_one and signed.is_authentic(self.views[number].replica_author(signed.signer))
        return ("signed" if self._authenticity[key] else "forged", ("replica", number, signed.signer), what)

    def by_client(self, signed: Signed[Any], *what: Any) -> Message:
        view = self.views[max(self.views)]
        is_one = 0 <= signed.signer < len(view.clients) and signed.is_authentic(view.client_key(signed.signer))
        return ("signed" if is_one else "forged", ("client", signed.signer), what)

    def request(self, signed: SignedRequest) -> Request:
        if signed not in self._requests:
            try:
                demand_request(signed, self.views[max(self.views)])
                is_authentic = True
            except ProtocolViolation:
                is_authentic = False
            self._requests[signed] = request = request_of(signed, is_authentic)
            self.digests.add_request(request, signed)
        return self._requests[signed]

    def requests(self, requests: tuple[SignedRequest, ...]) -> tuple[Request, ...]:
        translated = tuple(map(self.request, requests))
        if translated:
            self.digests.add_slot(translated)
        return translated

    def orders(self, number: int, proof: tuple[Signed[Order], ...]) -> frozenset[Message]:
        return _set(
            self.by_replica(number, each, "order", each.statement.configuration, each.statement.slot,
                            each.statement.requests_digest)
            for each in proof
        )  # fmt: skip

    def results(self, number: int, proof: tuple[Signed[Result], ...]) -> frozenset[Message]:
        return _set(
            self.by_replica(number, each, "result", each.statement.configuration, each.statement.slot,
                            each.statement.requests_digest, each.statement.outcomes_digest)
            for each in proof
        )  # fmt: skip

    def checkpoints(self, number: int, proof: tuple[Signed[Checkpoint], ...]) -> frozenset[Message]:
        return _set(
            self.by_replica(number, each, "checkpoint", each.statement.configuration, each.statement.slot,
                            each.statement.state_digest)
            for each in proof
        )  # fmt: skip

    def history(self, number: int, entries: tuple[HistoryEntry, ...]) -> tuple[Message, ...]:
        return tuple((each.slot, self.requests(each.requests), self.orders(number, each.order_proof)) for each in entries)

    # -- messages: each of a kind, to or from a member of configuration `number`

    def translated(self, name: str, number: int, payload: bytes) -> Message | None:
        """A whole payload, without its seal, as a message of the specification.

        None where the specification has no such message. Raises MalformedMessage where it cannot be decoded.
        """
        rule: Callable[[int, bytes], Message | None] | None = getattr(self, f"_{name}", None)
        return None if rule is None else rule(number, payload)

    def _client_request(self, number: int, payload: bytes) -> Message:
        return ("client_request", self.request(decode(SignedRequest, payload)))

    def _forwarded_request(self, number: int, payload: bytes) -> Message:
        return ("forwarded_request", self.request(decode(SignedRequest, payload)))

    def _shuttle(self, number: int, payload: bytes) -> Message:
        shuttle = decode(Shuttle, payload)
        requests = self.requests(shuttle.requests)
        results = self.results(number, shuttle.result_proof)
        orders = self.orders(number, shuttle.order_proof) if shuttle.configuration == number else frozenset()
        return ("shuttle", shuttle.slot, requests, orders, results)

    def _result_shuttle(self, number: int, payload: bytes) -> Message | None:
        shuttle = decode(ResultShuttle, payload)
        outcomes = outcomes_of(shuttle.outcomes)
        self.digests.add_outcomes(outcomes)
        if shuttle.configuration != number:
            return None
        results, orders = self.results(number, shuttle.result_proof), self.orders(number, shuttle.orders)
        return ("result_shuttle", shuttle.slot, outcomes, results, orders)

    def _checkpoint(self, number: int, payload: bytes) -> Message | None:
        shuttle = decode(CheckpointShuttle, payload)
        if shuttle.configuration != number:
            return None
        return ("checkpoint", shuttle.slot, self.checkpoints(number, shuttle.proof))

    def _completed_checkpoint(self, number: int, payload: bytes) -> Message | None:
        shuttle = decode(CompletedCheckpoint, payload)
        if shuttle.configuration != number:
            return None
        # The slot is that of the statements; what stands beside them nobody looks at.
        slots = Counter(each.statement.slot for each in shuttle.proof)
        slot = slots.most_common(1)[0][0] if slots else shuttle.slot
        return ("completed_checkpoint", slot, self.checkpoints(number, shuttle.proof))

    def _result_message(self, number: int, payload: bytes) -> Message | None:
        return self.answer(decode(ResultMessage, payload).answer)

    def answer(self, answer: Answer) -> Message | None:
        """An answer of replicas, with the whole slot that its paths lead to; None where nobody has such a slot."""
        expected = answer.result()
        if answer.size == 1 and answer.request_digest in self.digests.request:
            requests = (self.digests.request[answer.request_digest],)
            self.digests.add_slot(requests)
            self.digests.add_outcomes(outcomes_of([answer.outcome]))
        slot = self.digests.slots.get(expected.requests_digest)
        outcomes = self.digests.outcomes.get(expected.outcomes_digest)
        if slot is None or outcomes is None:
            return None
        number = answer.configuration
        return ("result_message", number, answer.slot, slot, outcomes, self.results(number, answer.proof),
                self.orders(number, answer.orders))  # fmt: skip

    def _error(self, number: int, payload: bytes) -> Message | None:
        signed = decode(Signed[Refusal | Rejection], payload)
        said = signed.statement
        if isinstance(said, Rejection):
            return None  # it is of a request that is none there, where nothing has a size
        return ("error", self.by_replica(said.configuration, signed, "error", said.configuration, said.client, said.number))

    def _stale(self, number: int, payload: bytes) -> Message:
        signed = decode(Signed[Stale], payload)
        said = signed.statement
        return ("stale", self.by_replica(said.configuration, signed, "stale", said.configuration, said.client, said.number))

    def _voucher(self, number: int, payload: bytes) -> Message | None:
        signed = decode(Signed[Voucher], payload)
        said = signed.statement
        request = self.digests.unsigned.get(said.request_digest)
        if request is None:
            return None
        return ("voucher", self.by_olympus(signed, "voucher", said.configuration, said.slot, said.client, said.number,
                                           request[2][3], outcomes_of([said.outcome])[0]))  # fmt: skip

    def _ready(self, number: int, payload: bytes) -> Message:
        signed = decode(Signed[Ready], payload)
        issued = signed.statement.configuration
        return ("ready", self.by_replica(issued, signed, "ready", issued))

    def _reconfiguration_request(self, number: int, payload: bytes) -> Message:
        signed = decode(Signed[ReconfigurationRequest], payload)
        replaced = signed.statement.configuration
        return ("reconfiguration_request", self.by_replica(replaced, signed, "reconfiguration_request", replaced))

    def _accusation(self, number: int, payload: bytes) -> Message:
        answer = decode(Signed[Accusation], payload).statement.answer
        return ("accusation", answer.configuration, self.results(answer.configuration, answer.proof))

    def _configuration_query(self, number: int, payload: bytes) -> Message:
        signed = decode(Signed[ConfigurationQuery], payload)
        return ("configuration_query", self.by_client(signed, "configuration_query", signed.statement.known))

    def _wedge_request(self, number: int, payload: bytes) -> Message:
        signed = decode(Signed[WedgeRequest], payload)
        return ("wedge_request", self.by_olympus(signed, "wedge_request", signed.statement.configuration))

    def _get_running_state(self, number: int, payload: bytes) -> Message:
        signed = decode(Signed[GetRunningState], payload)
        said = signed.statement
        return ("get_running_state", self.by_olympus(signed, "get_running_state", said.configuration, said.attempt))

    def _wedged(self, number: int, payload: bytes) -> Message:
        signed = decode(Signed[Wedged], payload)
        said = signed.statement
        entries, proof = self.history(number, said.history), self.checkpoints(number, said.checkpoint_proof)
        return ("wedged", self.by_replica(number, signed, "wedged", said.configuration, entries, proof))

    def _catch_up(self, number: int, payload: bytes) -> Message:
        signed = decode(Signed[CatchUp], payload)
        said = signed.statement
        suffix = tuple((each.slot, self.requests(each.requests)) for each in said.suffix)
        what = ("catch_up", said.configuration, said.attempt, said.receiver, suffix)
        return ("catch_up", self.by_olympus(signed, *what))

    def _caught_up(self, number: int, payload: bytes) -> Message:
        signed = decode(Signed[CaughtUp], payload)
        said = signed.statement
        answers = frozenset(
            (self.digests.unsigned.get(each.request_digest), each.slot, outcomes_of([each.outcome])[0]) for each in said.answers
        )
        what = ("caught_up", said.configuration, said.attempt, said.slots, said.state_digest, answers)
        return ("caught_up", self.by_replica(number, signed, *what))

    def _running_state(self, number: int, payload: bytes) -> Message:
        handover = decode(WithState[RunningStateHandover], payload)
        said = handover.signed.statement
        signed = self.by_replica(number, handover.signed, "running_state", said.configuration, said.state_digest)
        return ("running_state", signed, state_of(handover.snapshot, self._client_window))

    def _inithist(self, number: int, payload: bytes) -> Message:
        handover = decode(WithState[InitialHistory], payload)
        said = handover.signed.statement
        signed = self.by_olympus(handover.signed, "inithist", said.configuration, said.state_digest)
        return ("inithist", signed, state_of(handover.snapshot, self._client_window))

    def configuration(self, payload: bytes, chain: Any, customers: Any) -> Message:
        """The processes beside it stand where the specification has names for keys."""
        signed = decode(SignedConfiguration, payload)
        what = ("configuration", signed.statement.number, tuple(chain), tuple(customers))
        return ("configuration", self.by_olympus(signed, *what))

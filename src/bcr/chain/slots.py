"""A slot from its ordering until its result shuttle is back, and what is kept of it then (specification, 2.6, 3.5)."""

from collections.abc import Sequence

import msgspec

from bcr.chain.history import LatestAnswer
from bcr.chain.messages import ResultShuttle
from bcr.chain.proofs import Answer, Vouched
from bcr.signed.merkle import Tree
from bcr.signed.statements import (
    Order,
    Outcome,
    Result,
    SignedOrder,
    SignedRequest,
    SignedResult,
    tree_of_outcomes,
    tree_over,
)
from bcr.state.cache import once

MOST_REPLICAS = 21  # of a configuration: t is 10 at the most


class ExecutedSlot(msgspec.Struct, frozen=True, dict=True):
    """The requests of a slot with their outcomes, as executed here or as t+1 replicas agreed."""

    configuration: int
    slot: int
    requests: tuple[SignedRequest, ...]
    outcomes: tuple[Outcome, ...]
    known_tree: Tree | None = None  # over the requests, where somebody has made it already

    def __str__(self) -> str:
        """What a log says of it: client and number of each request."""
        return ",".join(f"{client}:{number}" for client, number in self.keys())

    def agreed(self, outcomes: Sequence[Outcome]) -> "ExecutedSlot":
        """The same slot with the outcomes that others say it has."""
        if tuple(outcomes) == self.outcomes:
            return self
        return ExecutedSlot(self.configuration, self.slot, self.requests, tuple(outcomes), self.known_tree)

    def order(self) -> Order:
        """What a replica signs when it puts these requests into this slot."""
        return Order(self.configuration, self.slot, self._request_tree.root)

    def result(self) -> Result:
        """What a replica signs when executing them gave these outcomes."""
        return self._result

    def keys(self) -> list[tuple[int, int]]:
        """Client and number of each request, in order."""
        return [(request.statement.client, request.statement.number) for request in self.requests]

    def clients(self) -> set[int]:
        """Whose requests these are."""
        return {request.statement.client for request in self.requests}

    def answer(self, client: int, number: int, proof: Sequence[SignedResult], orders: Sequence[SignedOrder] = ()) -> Answer:
        """The answer to one of the requests; raises KeyError where the slot does not have it."""
        try:
            index = self._places[client, number]
        except KeyError:
            raise KeyError((client, number)) from None
        return Answer(
            self.configuration,
            self.slot,
            index,
            len(self.requests),
            self._request_tree.leaves[index],
            self._request_tree.path(index),
            self.outcomes[index],
            self._outcome_tree.path(index),
            tuple(proof),
            tuple(orders),
        )

    def latest_answer(self, client: int, number: int) -> LatestAnswer:
        """What one of the requests gave, for Olympus; raises KeyError where the slot does not have it."""
        index = self._places[client, number]
        digest = self.requests[index].statement.digest()
        return LatestAnswer(client, number, digest, self.slot, self.outcomes[index])

    @once
    def _places(self) -> dict[tuple[int, int], int]:
        return {key: index for index, key in enumerate(self.keys())}

    @once
    def _result(self) -> Result:
        return Result(self.configuration, self.slot, self._request_tree.root, self._outcome_tree.root)

    @once
    def _request_tree(self) -> Tree:
        return self.known_tree or tree_over(self.requests)

    @once
    def _outcome_tree(self) -> Tree:
        return tree_of_outcomes([outcome.digest() for outcome in self.outcomes])


class Digests:
    """What tells a slot, or the answer from one, from others in a log: digests of its requests and of what they gave, cut short.

    They are made when the log is written, for it may be quiet. Of what Olympus vouches for there are none.
    """

    __slots__ = ("_slot",)

    def __init__(self, slot: ExecutedSlot | Answer | Vouched) -> None:
        self._slot = slot

    def __str__(self) -> str:
        if isinstance(self._slot, Vouched):
            return ""
        result = self._slot.result()
        return f"{result.requests_digest.hex()[:16]}:{result.outcomes_digest.hex()[:16]}"


class SettledSlot(msgspec.Struct, frozen=True):
    """A slot whose result is final: what a replica caches to answer its requests again.

    `orders` stand in for what may be missing, or not hold, among the result statements of the proof.
    """

    slot: ExecutedSlot
    proof: tuple[SignedResult, ...]
    orders: tuple[SignedOrder, ...]

    def answer(self, client: int, number: int) -> Answer:
        """The answer to one of its requests, with the proof; raises KeyError where the slot does not have it."""
        return self.slot.answer(client, number, self.proof, self.orders)


class SeenSlot(msgspec.Struct, frozen=True):
    """A slot that is in flight, with the statements that went by on its way to the tail, the own ones last.

    Of the order statements each is known to be valid, of the result statements only the own one.
    """

    done: ExecutedSlot
    orders: tuple[SignedOrder, ...]
    results: tuple[SignedResult, ...]

    @property
    def own_result(self) -> SignedResult:
        return self.results[-1]

    def filled_up(self, shuttle: ResultShuttle) -> ResultShuttle:
        """What came back, with what was seen here in place of what a liar has left out of it."""
        if len(shuttle.result_proof) + len(shuttle.orders) > 4 * MOST_REPLICAS:
            return shuttle  # no need to look at it any closer: it will not pass
        here = {signed.signer for signed in shuttle.result_proof}
        results = shuttle.result_proof + tuple(signed for signed in self.results if signed.signer not in here)
        seen = {signed.signer for signed in self.orders}
        orders = self.orders + tuple(signed for signed in shuttle.orders if signed.signer not in seen)
        return msgspec.structs.replace(shuttle, result_proof=results, orders=orders)

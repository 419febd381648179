"""A slot from its ordering until its result shuttle is back, and what is kept of it then."""

from collections.abc import Sequence
from functools import cached_property

import msgspec

from bcr.merkle import Tree
from bcr.proofs import Answer
from bcr.statements import Order, Outcome, Result, SignedRequest, SignedResult, tree_of_outcomes, tree_over


class OpenSlot(msgspec.Struct, frozen=True, dict=True):
    """The requests of a slot with their outcomes, as executed here or as t+1 replicas agreed."""

    configuration: int
    slot: int
    requests: tuple[SignedRequest, ...]
    outcomes: tuple[Outcome, ...]
    known_tree: Tree | None = None  # over the requests, where somebody has made it already

    def agreed(self, outcomes: Sequence[Outcome]) -> "OpenSlot":
        """The same slot with the outcomes that others say it has."""
        if tuple(outcomes) == self.outcomes:
            return self
        return OpenSlot(self.configuration, self.slot, self.requests, tuple(outcomes), self.known_tree)

    def order(self) -> Order:
        """What a replica signs when it puts these requests into this slot."""
        return Order(self.configuration, self.slot, self._request_tree.root)

    def result(self) -> Result:
        """What a replica signs when executing them gave these outcomes."""
        return Result(self.configuration, self.slot, self._request_tree.root, self._outcome_tree.root)

    def keys(self) -> list[tuple[int, int]]:
        """Client and number of each request, in order."""
        return [(request.statement.client, request.statement.number) for request in self.requests]

    def clients(self) -> set[int]:
        """Whose requests these are."""
        return {request.statement.client for request in self.requests}

    def answer(self, client: int, number: int, proof: Sequence[SignedResult]) -> Answer:
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
        )

    @cached_property
    def _places(self) -> dict[tuple[int, int], int]:
        return {key: index for index, key in enumerate(self.keys())}

    @cached_property
    def _request_tree(self) -> Tree:
        return self.known_tree or tree_over(self.requests)

    @cached_property
    def _outcome_tree(self) -> Tree:
        return tree_of_outcomes([outcome.digest() for outcome in self.outcomes])


class SettledSlot(msgspec.Struct, frozen=True):
    """A slot whose result t+1 replicas signed: what a replica caches to answer its requests again."""

    slot: OpenSlot
    proof: tuple[SignedResult, ...]

    def answer(self, client: int, number: int) -> Answer:
        """The answer to one of its requests, with the proof; raises KeyError where the slot does not have it."""
        return self.slot.answer(client, number, self.proof)

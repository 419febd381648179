"""A slot from its ordering until its result shuttle is back."""

from collections.abc import Sequence

import msgspec

from bcr.proofs import Answer
from bcr.statements import (
    Order,
    Outcome,
    Result,
    SignedRequest,
    SignedResult,
    digest_of_outcomes,
    digest_of_requests,
)


class OpenSlot(msgspec.Struct, frozen=True):
    """The requests of a slot with their outcomes, as executed here or as t+1 replicas agreed."""

    configuration: int
    slot: int
    requests: tuple[SignedRequest, ...]
    outcomes: tuple[Outcome, ...]
    request_digests: tuple[bytes, ...]

    @classmethod
    def executed(
        cls, configuration: int, slot: int, requests: Sequence[SignedRequest], outcomes: Sequence[Outcome]
    ) -> "OpenSlot":
        digests = tuple(request.digest() for request in requests)
        return cls(configuration, slot, tuple(requests), tuple(outcomes), digests)

    def agreed(self, outcomes: Sequence[Outcome]) -> "OpenSlot":
        """The same slot with the outcomes that others say it has."""
        return msgspec.structs.replace(self, outcomes=tuple(outcomes))

    def order(self) -> Order:
        """What a replica signs when it puts these requests into this slot."""
        return Order(self.configuration, self.slot, digest_of_requests(self.request_digests))

    def result(self) -> Result:
        """What a replica signs when executing them gave these outcomes."""
        return Result(
            self.configuration,
            self.slot,
            digest_of_requests(self.request_digests),
            digest_of_outcomes(self._outcome_digests()),
        )

    def clients(self) -> set[int]:
        """Whose requests these are."""
        return {request.statement.client for request in self.requests}

    def answers(self, proof: Sequence[SignedResult]) -> list[tuple[SignedRequest, Answer]]:
        """Each request with the answer that its client gets."""
        digests = self._outcome_digests()
        return [
            (
                request,
                Answer(self.configuration, self.slot, index, self.request_digests, digests, outcome, tuple(proof)),
            )
            for index, (request, outcome) in enumerate(zip(self.requests, self.outcomes, strict=True))
        ]

    def answer(self, client: int, number: int, proof: Sequence[SignedResult]) -> Answer:
        """The answer to one of the requests; raises KeyError where the slot does not have it."""
        for request, answer in self.answers(proof):
            if (request.statement.client, request.statement.number) == (client, number):
                return answer
        raise KeyError((client, number))

    def _outcome_digests(self) -> tuple[bytes, ...]:
        return tuple(outcome.digest() for outcome in self.outcomes)

"""Is there any order of some operations that explains their results? By trying them (Wing and Gong's search;
specification, 10.3).

Independent of slots, proofs and the verdict, and so a check of these on short histories: the time it takes is
exponential in the number of operations.
"""

from collections.abc import Sequence

from bcr.signed.encoding import encode
from bcr.verdict.model import Model
from bcr.verdict.record import Exchange


def is_linearizable(exchanges: Sequence[Exchange], service: Model | None = None) -> bool:
    """Whether some order keeps apart what was apart in time, and gives each its results.

    A request may take effect anywhere between the times when it was sent and when its answer was accepted. Of the place
    that an answer names nothing is used but what the object itself makes of it, as a version of what was written there.
    `service` is the model that nothing has been executed on, of a dictionary if it is not given.
    """
    numbers = [exchange.request.statement.number for exchange in exchanges]
    visited: set[tuple[int, bytes]] = set()

    def search(done: int, model: Model) -> bool:
        if done == (1 << len(exchanges)) - 1:
            return True
        state = done, encode(sorted(model.values.items()))
        if state in visited:
            return False
        visited.add(state)
        left = [index for index in range(len(exchanges)) if not done >> index & 1]
        first_return_ns = min(exchanges[index].accepted_ns for index in left)
        for index in left:
            exchange = exchanges[index]
            if exchange.sent_ns <= first_return_ns:
                after, outcome = model.copy(), exchange.answer.outcome
                _, results = after.execute(outcome.place, exchange.request.statement)
                if results == outcome.results and search(done | 1 << index, after):
                    return True
        return False

    return search(0, Model(1 + max(numbers, default=0)) if service is None else service)

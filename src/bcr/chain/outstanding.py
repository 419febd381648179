"""A client's request that has no final answer yet: how often it was sent, and to whom (specification, 3.1 and 4.1)."""

from bcr.signed.statements import SignedRequest

MAX_BACKOFF = 16  # a request is sent again after 1, 2, 4 … times the client timeout, and this at the most


class OutstandingRequest:
    """A request that waits for its answer: sent `attempts` times, the first at `sent_ns` on the client's clock.

    `has_asked_all` says whether all replicas of the current configuration were asked.
    """

    def __init__(self, signed: SignedRequest, sent_ns: int, attempts: int = 1, has_asked_all: bool = False) -> None:
        self.signed = signed
        self.sent_ns = sent_ns
        self.attempts = attempts
        self.has_asked_all = has_asked_all

    def patience(self) -> int:
        """After how many timeouts it is sent again, when all replicas were asked."""
        return min(1 << (self.attempts - 1), MAX_BACKOFF)

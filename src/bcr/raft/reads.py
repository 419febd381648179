"""Requests that only read, answered without the log: the ReadIndex of the thesis (specification, 14.6).

A leader remembers its commit index and asks all whether it still leads; when a majority has answered a message that was sent
after the request came, nobody else can have committed anything that the request should see.
"""

from collections.abc import Iterable

from bcr.raft.elections import majority_of
from bcr.signed.statements import Request

AMONG_READS = 1 << 20  # in place of a request's index in its entry: behind all that the entry holds


class Reads:
    """Reads that wait for a round of messages: those of the round under way, and those that came since."""

    def __init__(self) -> None:
        self._asking: list[Request] = []
        self._round = 0
        self._waiting: list[Request] = []

    def add(self, request: Request) -> None:
        self._waiting.append(request)

    def begin(self, round_number: int) -> bool:
        """Let those that wait be asked for in this round; False, and nothing, where none waits or a round is under way."""
        if self._asking or not self._waiting:
            return False
        self._asking, self._waiting = self._waiting, []
        self._round = round_number
        return True

    def confirmed(self, rounds: Iterable[int]) -> list[Request]:
        """The reads that may be answered, now that the servers that decide have answered these rounds, the leader its own."""
        answered = list(rounds)
        in_favour = sum(each >= self._round for each in answered)
        if in_favour < majority_of(len(answered)):
            return []
        reads, self._asking = self._asking, []
        return reads

    def take_all(self) -> list[Request]:
        """All of them, of a leader that leads no longer."""
        reads = self._asking + self._waiting
        self._asking, self._waiting = [], []
        return reads

    def __len__(self) -> int:
        return len(self._asking) + len(self._waiting)

"""What an operator may ask of the servers: another one that decides, one less, or another leader (specification, 14.10, 14.11)."""

from collections.abc import Collection, Sequence

import msgspec

ADD = "add"
REMOVE = "remove"
TRANSFER = "transfer"
FEWEST = 2  # servers that decide: one alone would hear from nobody, and commit nothing
MOST_ROUNDS = 10  # of catching up


class ScheduledChange(msgspec.Struct, frozen=True, array_like=True):
    """`kind` is one of the words above; it is asked for `at_ms` milliseconds after the start-up began to wait for the clients."""

    at_ms: int
    kind: str
    server: int

    def applied_to(self, members: tuple[int, ...]) -> tuple[int, ...]:
        """The servers that decide when it is made. Raises ValueError where it makes no sense among these."""
        if (self.server in members) == (self.kind == ADD):
            raise ValueError("decides already then" if self.kind == ADD else "does not decide then")
        if self.kind == REMOVE and len(members) <= FEWEST:
            raise ValueError(f"is one of the last {FEWEST}")
        if self.kind == TRANSFER:
            return members
        return tuple(sorted({*members} ^ {self.server}))


def surely_deciding(first: Sequence[int], planned: Collection[ScheduledChange], made: Sequence[ScheduledChange]) -> frozenset[int]:
    """Those of the servers `first`, and of those added, that decide once these changes are made, whatever became of the other planned ones."""
    members = set(first)
    for change in made:
        if change.kind == REMOVE:
            members.discard(change.server)
        else:
            members.add(change.server)
    return frozenset(members - {change.server for change in planned if change not in made})


class CatchUpRounds:
    """A server that is sent the log before it decides, in rounds, each up to where the leader's log ends when it begins (thesis, 4.2.1).

    When a round has taken less than an election timeout, the server is near enough for nothing to wait for it.
    """

    def __init__(self, server: int, last_index: int, now_s: float) -> None:
        self.server = server
        self.rounds = 1
        self._begin(last_index, now_s)

    def _begin(self, last_index: int, now_s: float) -> None:
        self._target = last_index
        self._began_s = now_s

    def reached(self, match_index: int, last_index: int, now_s: float, election_timeout_s: float) -> bool:
        """Whether it has caught up, which holds the log up to `match_index`; the next round begins if one has ended too late for that."""
        if match_index < self._target:
            return False
        if now_s - self._began_s < election_timeout_s:
            return True
        self.rounds += 1
        self._begin(last_index, now_s)
        return False

    def is_hopeless(self, now_s: float, heard_s: float, election_timeout_s: float) -> bool:
        """Whether it is given up: it is too slow, or does not answer."""
        return self.rounds > MOST_ROUNDS or now_s - heard_s > 2 * election_timeout_s

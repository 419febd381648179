"""Which clients are in session, as part of the running state: who was let in, and whose session has ended (specification, 15.3, 15.4).

Time passes in slots, so all replicas agree on it: each slot in which something is executed for the first time counts.
"""

from bisect import insort
from collections.abc import Iterator, Mapping

import msgspec

from bcr.signed.statements import Request, SessionRequest, SignedRequest

MOST_ENDED = 1_000  # sessions that are remembered as such; what is older than all of these has ended too


class Session(msgspec.Struct, frozen=True, array_like=True):
    """The latest session of one holder: its client's number, its public key where no configuration has it, and its latest use."""

    client: int
    public_key: bytes
    used: int
    is_open: bool


class SessionTable(msgspec.Struct, frozen=True, array_like=True):
    """The sessions as they are encoded: how many slots have passed, below which number all have ended, and who has which."""

    slots: int
    floor: int
    latest: tuple[tuple[int, Session], ...]


def holder_of(request: Request) -> tuple[int, bytes]:
    """Who makes the request, and under which key where its credential names one."""
    if isinstance(request, SessionRequest):
        credential = request.credential.statement
        return credential.holder, credential.public_key
    return request.client, b""


def turn_of(request: SignedRequest) -> tuple[int, tuple[int, int]]:
    """Whose turn a request takes at the head, and what it is known by there.

    Whoever comes again and again, each time as another client, has one turn all the same, and one share.
    """
    statement = request.statement
    return holder_of(statement)[0], (statement.client, statement.number)


class Sessions:
    """Who is in session. A session begins with its first request, and ends when it was not used for `limit_slots` slots, or
    when its holder begins another.

    Each holder has one session at a time, and its numbers only rise: so a session that has ended never begins again.
    """

    def __init__(self, limit_slots: int, table: SessionTable | None = None) -> None:
        self.limit_slots = limit_slots
        self.slots = table.slots if table else 0
        self._floor = table.floor if table else 0
        self._latest_sessions: dict[int, Session] = dict(table.latest) if table else {}  # by holder
        self._latest_uses: dict[int, int] = {}  # holder of an open session -> its latest use, the oldest first
        self._ended_sessions: list[tuple[int, int]] = []  # client and holder of those that are remembered as ended, in order
        for holder, session in sorted(self._latest_sessions.items(), key=lambda each: each[1].used):
            if session.is_open:
                self._latest_uses[holder] = session.used
            else:
                insort(self._ended_sessions, (session.client, holder))

    def table(self) -> SessionTable:
        return SessionTable(self.slots, self._floor, tuple(sorted(self._latest_sessions.items())))

    def copy(self) -> "Sessions":
        """The same sessions, which go their own way from here."""
        return Sessions(self.limit_slots, self.table())

    def open_sessions(self) -> Mapping[int, Session]:
        """Those that have begun and not ended, by client."""
        return {session.client: session for session in self._latest_sessions.values() if session.is_open}

    def is_over(self, request: Request) -> bool:
        """Whether the session in which the request was made has ended, or never could begin."""
        holder, public_key = holder_of(request)
        latest = self._latest_sessions.get(holder)
        is_of_another_key = latest is not None and latest.client == request.client and latest.public_key != public_key
        return is_of_another_key or self.has_ended(holder, request.client)

    def has_ended(self, holder: int, client: int) -> bool:
        """Whether nothing is executed any more that this holder asks for under this number, whatever the key."""
        latest = self._latest_sessions.get(holder)
        if latest is None:
            return client < self._floor
        return client < latest.client or (client == latest.client and not latest.is_open)

    def use(self, request: Request) -> Iterator[int]:
        """A request of a session that is not over is executed; gives the clients whose sessions end by that."""
        holder, public_key = holder_of(request)
        before = self._latest_sessions.get(holder)
        if before is not None and before.client != request.client:
            if before.is_open:
                yield before.client
            else:
                self._ended_sessions.remove((before.client, holder))
        # As of the slot that is being executed, which `pass_slot` counts at its end.
        self._latest_sessions[holder] = Session(request.client, public_key, self.slots + 1, True)
        self._latest_uses.pop(holder, None)
        self._latest_uses[holder] = self.slots + 1

    def pass_slot(self) -> list[int]:
        """A slot in which something was executed is over; returns the clients whose sessions end with it."""
        self.slots += 1
        ended = []
        while self._latest_uses:
            holder, used = next(iter(self._latest_uses.items()))
            if used + self.limit_slots > self.slots:
                break
            del self._latest_uses[holder]
            session = self._latest_sessions[holder]
            self._latest_sessions[holder] = msgspec.structs.replace(session, is_open=False)
            insort(self._ended_sessions, (session.client, holder))
            ended.append(session.client)
        while len(self._ended_sessions) > MOST_ENDED:
            client, holder = self._ended_sessions.pop(0)
            del self._latest_sessions[holder]
            self._floor = max(self._floor, client + 1)
        return ended

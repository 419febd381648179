"""Whose requests the service takes, once more from the specification and not from the replicas' code (specification, 15)."""

from typing import Any

from bcr.signed.statements import Request, SessionRequest
from bcr.state.client_sessions import MOST_ENDED, Session, SessionTable


class Admission:
    """Follows the requests that are executed, and knows whose session is over: every number that was seen, for ever."""

    def __init__(self, session_slots: int) -> None:
        self.session_slots = session_slots
        self._passed = 0  # slots in which something was executed
        self._slot: Any = None  # in which something was, and which is not over yet
        self._uses: dict[int, int] = {}  # client -> the latest of those, for every client that ever was here
        self._who: dict[int, tuple[int, bytes]] = {}  # client -> its holder and key
        self._over: set[int] = set()
        self._forgotten: set[int] = set()  # those of them whose holders nobody remembers

    def copy(self) -> "Admission":
        other = Admission(self.session_slots)
        other._passed, other._slot = self._passed, self._slot
        other._uses, other._who = dict(self._uses), dict(self._who)
        other._over, other._forgotten = set(self._over), set(self._forgotten)
        return other

    def refuses(self, place: tuple[int, int, int], request: Request) -> bool:
        """Whether this request, whose turn it is at the place, is of a session that is over."""
        if self._slot is not None and self._slot != place[:2]:
            self._end_slot()
        self._place = place[:2]
        holder, key = _who(request)
        mine = [client for client, (each, _) in self._who.items() if each == holder and client not in self._forgotten]
        if not mine:
            return request.client <= max(self._forgotten, default=-1)
        if request.client < max(mine):
            return True
        return request.client in mine and (request.client in self._over or self._who[request.client][1] != key)

    def took(self, request: Request) -> None:
        """The request was executed, for the first time."""
        self._slot = self._place
        holder, key = _who(request)
        self._over |= {client for client, (each, _) in self._who.items() if each == holder and client != request.client}
        self._who[request.client] = holder, key
        self._uses[request.client] = self._passed + 1

    def _end_slot(self) -> None:
        if self._slot is None:
            return
        self._slot = None
        self._passed += 1
        self._over |= {client for client, used in self._uses.items() if self._passed - used >= self.session_slots}
        while len(remembered := sorted(client for _, client in self._latest().items() if client in self._over)) > MOST_ENDED:
            holder = self._who[remembered[0]][0]
            self._forgotten |= {client for client, (each, _) in self._who.items() if each == holder}

    def _latest(self) -> dict[int, int]:
        """Each holder's last client, of those that are not forgotten."""
        latest: dict[int, int] = {}
        for client, (holder, _) in sorted(self._who.items()):
            if client not in self._forgotten:
                latest[holder] = client
        return latest

    def present(self) -> set[int]:
        """The clients that are in session."""
        self._end_slot()
        return self._who.keys() - self._over

    def table(self) -> SessionTable:
        """What a replica holds of it."""
        self._end_slot()
        latest = self._latest().items()
        sessions = (
            (holder, Session(client, self._who[client][1], self._uses[client], client not in self._over)) for holder, client in latest
        )
        return SessionTable(self._passed, max(self._forgotten, default=-1) + 1, tuple(sorted(sessions)))


def _who(request: Request) -> tuple[int, bytes]:
    if isinstance(request, SessionRequest):
        return request.credential.statement.holder, request.credential.statement.public_key
    return request.client, b""

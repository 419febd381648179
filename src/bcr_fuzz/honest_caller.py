"""An honest caller of a service that others attack: what it was told has to stay true."""

import http.client
import itertools
import json
import secrets
import threading
from collections import Counter
from typing import Any, Protocol

CALL_LIMIT_S = 40.0  # of a call
HONEST_KEYS = 10


class CalledService(Protocol):
    """What it calls: with this token, if any, and on connections of its own."""

    token: str | None

    def connection(self) -> http.client.HTTPConnection: ...


class HonestCaller(threading.Thread):
    """Writes and reads a few keys that nobody else knows, one call after the other, and notes what is not as it was told."""

    def __init__(self, target: CalledService) -> None:
        super().__init__(daemon=True)
        self._target = target
        self._prefix = f"honest-{secrets.token_hex(8)}"
        self._values: dict[str, str] = {}  # what was confirmed last
        self._late: dict[str, set[str]] = {}  # what may have been written, or may yet be
        self._connection: http.client.HTTPConnection | None = None
        self._told = 0
        self.is_over = False
        self.answered = 0
        self.statuses: Counter[str] = Counter()
        self.problems: list[str] = []

    def run(self) -> None:
        for count in itertools.count():
            if self.is_over:
                break
            key = f"{self._prefix}-{count % HONEST_KEYS}"
            if count // HONEST_KEYS % 2:
                self._read(key)
            else:
                self._write(key, f"value {count}")
        for key in sorted(self._values):
            self._read(key)
        if self._connection is not None:
            self._connection.close()

    def newly_answered(self) -> int:
        answered, self._told = self.answered - self._told, self.answered
        return answered

    def _write(self, key: str, value: str) -> None:
        status, body = self._ask("PUT", key, json.dumps(value))
        if status == 204:
            self._values[key] = value
        elif not (status == 503 and self._is_definite(body)):
            self._late.setdefault(key, set()).add(value)

    def _read(self, key: str) -> None:
        status, body = self._ask("GET", key)
        possible = {self._values.get(key), *self._late.get(key, ())}
        if status in (200, 404):
            found = self._parsed(body) if status == 200 else None
            if found not in possible:
                self.problems.append(f"{found!r:.60} stands at a key where {self._values.get(key)!r} was confirmed")

    def _is_definite(self, body: bytes) -> bool:
        """Whether the service says that nothing has happened."""
        told = self._parsed(body)
        return isinstance(told, dict) and bool(told.get("definite"))

    def _parsed(self, body: bytes) -> Any:
        """The JSON of an answer; None, and a problem, where it has none."""
        try:
            return json.loads(body)
        except ValueError:
            self.problems.append(f"an answer that is not JSON: {body[:60]!r}")
            return None

    def _ask(self, method: str, key: str, body: str | None = None) -> tuple[int, bytes]:
        headers = {"authorization": f"Bearer {self._target.token}"} if self._target.token else {}
        status, answer = 0, b""
        try:
            if self._connection is None:
                self._connection = self._target.connection()
            self._connection.request(method, f"/keys/{key}", body, headers)
            response = self._connection.getresponse()
            status, answer = response.status, response.read()
        except (OSError, http.client.HTTPException) as error:
            self.problems.append(f"no answer: {error!r:.100}")
            if self._connection is not None:
                self._connection.close()
                self._connection = None
        self.answered += status in (200, 204, 404)
        self.statuses[str(status)] += 1
        if status not in (0, 200, 204, 404, 503, 504):
            self.problems.append(f"{method} was answered {status}: {answer[:100]!r}")
        return status, answer

"""The client of a store: it returns nothing that the replicas have not signed for this very call."""

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Self

import msgspec

from bcr.objects.store_operations import DEFAULT_KEYS, Condition
from bcr_client import answers
from bcr_client.answers import ABSENT, MOST_OPERATIONS, NOTHING_SEEN, GatewayCall, Seen
from bcr_client.connecting import connected, seconds_until
from bcr_client.errors import ConditionFailed, NothingHappened, OutcomeUnknown, Refused, StoreError, UntrustedAnswer, Version
from bcr_client.json_values import json_in
from bcr_client.proof import Proof, Shown, key_of
from bcr_client.wire import READ_BYTES, BadResponse, HttpResponse, Place, ResponseReader, context_for, place_of, request_bytes

TIMEOUT_S = 10.0
IDLE_LIMIT_S = 10.0  # a connection that was idle for longer is not used again: the gateway may have closed it
ATTEMPTS = 3
PAUSE_S = 0.1  # before the second attempt; each further pause is twice as long
WATCH_PAUSE_S = 1.0
OWN_MARGIN_MS = 500  # by which the gateway is to give up earlier than the client, so that it can say what it knows


class Versioned(msgspec.Struct, frozen=True):
    """A value and its version: the place of the request that wrote it."""

    value: Any
    version: Version


class Change(msgspec.Struct, frozen=True):
    """What `watch` tells: a key, with its value and version, or None and None where there is no value any more."""

    key: str
    value: Any
    version: Version | None


class Checking:
    """What both clients have in common: where the gateways are, what was seen, and what is made of answers."""

    def __init__(
        self,
        url: str | Sequence[str],
        olympus_key: bytes | str,
        timeout_s: float = TIMEOUT_S,
        seen: Seen = NOTHING_SEEN,
        *,
        token: str | None = None,
        ca_file: str | None = None,
        attempts: int = ATTEMPTS,
    ) -> None:
        """`url` is a gateway, or several, which are asked in turn when one does not answer.

        `olympus_key` is Olympus's public key, 32 bytes or their hexadecimal digits, from a source that you trust.
        `timeout_s` is the deadline of each call, `seen` what an earlier client of yours had seen, if it is to count.
        `token` is what the service asks for, `ca_file` has the certificates that a gateway's is checked against.
        A call is tried `attempts` times in all, while nothing has happened; one that only reads also when that is not known.
        Raises ValueError where one of them makes no sense.
        """
        if not timeout_s > 0:
            raise ValueError(f"a timeout of {timeout_s} s")
        if attempts < 1:
            raise ValueError(f"{attempts} attempts")
        self.places = [place_of(each) for each in ([url] if isinstance(url, str) else url)]
        if not self.places:
            raise ValueError("no gateway")
        self.olympus_key = key_of(olympus_key) if isinstance(olympus_key, str) else olympus_key
        if len(self.olympus_key) != 32:
            raise ValueError(f"Olympus's key has 32 bytes, not {len(self.olympus_key)}")
        self.timeout_s = timeout_s
        self.attempts = attempts
        self.context = context_for(self.places, ca_file)
        self.own_headers = {} if token is None else {"authorization": f"Bearer {_checked_token(token)}"}
        self.seen = seen
        """The highest configuration and place that were proved so far; nothing older is accepted."""
        self.last_proof: Proof | None = None
        """The proof of the latest answer, to be kept by `last_proof.save(file)`."""

    @property
    def place(self) -> Place:
        """The gateway that is asked next."""
        return self.places[0]

    def context_of(self, place: Place) -> ssl.SSLContext | None:
        """What a connection to this gateway is wrapped with."""
        return self.context if place.is_tls else None

    def sent(self, call: GatewayCall, place: Place, deadline_s: float) -> bytes:
        """The bytes of a call to this gateway."""
        target = call.target(self.left_ms(deadline_s))
        return request_bytes(place, call.method, target, call.body, {**call.headers, **self.own_headers})

    @staticmethod
    def left_ms(deadline_s: float) -> int:
        """For how long the gateway is to try, in milliseconds: a little shorter than the client, and half as long where that is not long."""
        left_ms = round((deadline_s - time.monotonic()) * 1000)
        return max(1, min(60_000, left_ms - min(OWN_MARGIN_MS, left_ms // 2)))

    def pause_after(self, error: StoreError, call: GatewayCall, place: Place, earlier: list[StoreError], deadline_s: float) -> float:
        """For how many seconds to wait before the call is tried again, at the gateway behind `place`, where it was tried now.

        Raises the error where it is not tried again. `earlier` are those of the attempts before, and this one when it returns.
        """
        if isinstance(error, NothingHappened) and not all(isinstance(each, NothingHappened) and each.is_proved for each in earlier):
            error.is_proved = False  # whatever is certain of this attempt: what became of another is a gateway's word
        is_final = isinstance(error, ConditionFailed | Refused | UntrustedAnswer)
        pause_s: float = PAUSE_S * 2 ** len(earlier)
        if is_final or len(earlier) + 1 >= self.attempts or not (error.is_definite or call.is_read):
            raise error
        if time.monotonic() + pause_s >= deadline_s:
            raise error
        if self.places[0] is place:  # else another call has met the same there, and has gone on to the next one for all
            self.places.append(self.places.pop(0))
        earlier.append(error)
        return pause_s

    def take(self, call: GatewayCall, response: HttpResponse, before: Seen) -> list[Any]:
        """The results of a call, in order, once they are proved. Raises a StoreError."""
        proof, shown = answers.checked(call, response, self.olympus_key, before)
        self._saw(shown)
        self.last_proof = proof
        return [json_in(result) for result in shown.results[: len(call.operations)]]

    def _saw(self, shown: Shown) -> None:
        self.seen = Seen(max(self.seen.configuration, shown.configuration), max(self.seen.place, shown.place))


def _checked_token(token: str) -> str:
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise ValueError("a token is printable ASCII without spaces")
    return token


def changes(before: Mapping[str, Versioned], now: Mapping[str, Versioned]) -> Iterator[Change]:
    """What is different, by key."""
    for key in sorted({*before, *now}):
        if key not in now:
            yield Change(key, None, None)
        elif key not in before or before[key].version != now[key].version:
            yield Change(key, now[key].value, now[key].version)


def paged(keys: Sequence[str]) -> Iterator[Sequence[str]]:
    """The keys, as many at a time as one transaction reads."""
    for first in range(0, len(keys), MOST_OPERATIONS):
        yield keys[first : first + MOST_OPERATIONS]


def found(keys: Sequence[str], results: Sequence[Any]) -> dict[str, Versioned]:
    """What stands at the keys, by what reading them gave."""
    read = zip(keys, map(versioned, results), strict=True)
    return {key: value for key, value in read if value is not None}


def versioned(result: Any) -> Versioned | None:
    return None if result is None else Versioned(result["value"], version_of(result))


def version_of(result: Any) -> Version:
    configuration, slot, index = result["version"]
    return configuration, slot, index


class Store(Checking):
    """The store behind a gateway, for programs that wait. One connection; calls of several threads take turns.

        with Store("http://127.0.0.1:8080", olympus_key="18d9…") as store:
            store.put("movie", {"name": "star wars"})
            store.get("movie")

    Every call raises NothingHappened or OutcomeUnknown where it gives no answer, and UntrustedAnswer, a kind of the latter,
    where the gateway's answer does not hold.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        """The arguments are those of `Checking`."""
        super().__init__(*arguments, **options)
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._used_s = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection, once a call that goes on has ended; the next call makes another."""
        with self._lock:
            self._disconnect()

    def _disconnect(self) -> None:
        """Close the connection. Who calls this has the lock: nobody closes what another thread is using."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    # -- operations

    def get(self, key: str, default: Any = None) -> Any:
        """The value, or `default` where there is none."""
        found = self.get_versioned(key)
        return default if found is None else found.value

    def get_versioned(self, key: str) -> Versioned | None:
        """The value with its version, or None where there is none."""
        return versioned(self._ask(answers.get(key))[0])

    def put(self, key: str, value: Any, condition: Condition = None) -> Version:
        """Write the value, any JSON; returns its version. The condition is ABSENT, or the version that has to be there.

        Integers of more digits than Python reads (4,300), and numbers larger than any `float` such as `1e400`, are exact as `decimal.Decimal`, read and written.
        Raises Refused, before anything is sent, for what is no key, no value or no condition.
        """
        return version_of(self._ask(answers.put(key, value, condition))[0])

    def append(self, key: str, value: Any, condition: Condition = None) -> Version:
        """Put the value at the end of a list, which is made where there is none, or a string at the end of a string."""
        return version_of(self._ask(answers.transaction([("append", key, value, condition)]))[0])

    def delete(self, key: str, condition: Condition = None) -> bool:
        """Remove the value; returns whether there was one."""
        return self._ask(answers.delete(key, condition))[0] is not None

    def compare_and_set(self, key: str, version: Version | None, value: Any) -> Version:
        """Write the value if the version is still this one, None: if there is none. Raises ConditionFailed."""
        return self.put(key, value, ABSENT if version is None else version)

    def keys(self, prefix: str = "", page: int = DEFAULT_KEYS) -> Iterator[str]:
        """The keys that begin with the prefix, in order. Each page of them is of one moment, all together are not."""
        after, more = "", True
        while more:
            listed = self._ask(answers.keys(prefix, after, page))[0]
            yield from listed["keys"]
            more = listed["more"]
            after = listed["keys"][-1] if listed["keys"] else ""

    def transaction(self, operations: Sequence[tuple[Any, ...]]) -> list[Any]:
        """Several operations that happen together or not at all; a result each: value and version, version, or None.

        `("get", key)`, `("put", key, value)`, `("append", key, value)`, `("delete", key)`; each may have a condition at its end.
        """
        return self._ask(answers.transaction(operations))

    def items(self, prefix: str = "") -> dict[str, Versioned]:
        """What stands at the keys that begin with the prefix. Up to 100 of them at a time are of one moment."""
        read: dict[str, Versioned] = {}
        for some in paged(list(self.keys(prefix))):
            read |= self._read(some)
        return read

    def _read(self, keys: Sequence[str]) -> dict[str, Versioned]:
        try:
            return found(keys, self.transaction([("get", key) for key in keys]))
        except Refused:
            if len(keys) == 1:
                raise
        half = len(keys) // 2  # too much for one answer
        return self._read(keys[:half]) | self._read(keys[half:])

    def watch(self, prefix: str = "", pause_s: float = WATCH_PAUSE_S) -> Iterator[Change]:
        """What changes at the keys that begin with the prefix, without end: first all that is there.

        Every look is a read with its proof, so no gateway can invent a change or keep one back. What was written over between
        two looks, `pause_s` apart, is not told.
        """
        before: Mapping[str, Versioned] = {}
        while True:
            now = self.items(prefix)
            yield from changes(before, now)
            before = now
            time.sleep(pause_s)

    # -- sending

    def _ask(self, call: GatewayCall) -> list[Any]:
        deadline_s = time.monotonic() + self.timeout_s
        earlier: list[StoreError] = []
        while True:
            with self._turn(deadline_s, earlier):
                place, before = self.place, self.seen
                try:
                    return self.take(call, self._exchange(call, place, deadline_s), before)
                except StoreError as error:
                    pause_s = self.pause_after(error, call, place, earlier, deadline_s)
                    self._disconnect()
            time.sleep(pause_s)  # others have their turn meanwhile

    @contextlib.contextmanager
    def _turn(self, deadline_s: float, earlier: list[StoreError]) -> Iterator[None]:
        """The connection, and what was seen, for one call alone.

        Raises what came of the attempt before where others have it until the deadline, and NothingHappened where there was none.
        """
        if not self._lock.acquire(timeout=max(0.0, deadline_s - time.monotonic())):
            raise earlier[-1] if earlier else NothingHappened(f"other calls took all of {self.timeout_s:g} s", is_proved=True)
        try:
            yield
        finally:
            self._lock.release()

    def _exchange(self, call: GatewayCall, place: Place, deadline_s: float) -> HttpResponse:
        connection = self._connected(place, deadline_s)
        try:
            self._send(connection, self.sent(call, place, deadline_s), deadline_s)
            reader = ResponseReader()
            while reader.response is None:
                connection.settimeout(seconds_until(deadline_s))
                reader.feed(connection.recv(READ_BYTES))
        except (OSError, BadResponse) as error:
            self._disconnect()
            why = f"no answer within {self.timeout_s:g} s" if isinstance(error, TimeoutError) else str(error)
            raise OutcomeUnknown(f"sent, and then: {why}") from error
        except BaseException:
            self._disconnect()
            raise
        self._used_s = time.monotonic()
        if reader.closes:
            self._disconnect()
        return reader.response

    @staticmethod
    def _send(connection: socket.socket, data: bytes, deadline_s: float) -> None:
        left = memoryview(data)
        while left:  # as `sendall`, which with TLS begins its time anew with each part
            connection.settimeout(seconds_until(deadline_s))
            left = left[connection.send(left[:READ_BYTES]) :]

    def _connected(self, place: Place, deadline_s: float) -> socket.socket:
        if self._socket is not None and time.monotonic() - self._used_s > IDLE_LIMIT_S:
            self._disconnect()
        if self._socket is None:
            try:
                self._socket = connected(place, self.context_of(place), deadline_s)
            except (OSError, UnicodeError) as error:  # the latter is for a name that cannot be one of a host
                raise NothingHappened(f"no connection to {place}: {error}", is_proved=True) from error
        return self._socket

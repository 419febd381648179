"""The client of a store for asyncio: the same calls and the same checks as `bcr_client.store_client.Store`."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Self

from bcr.objects.store_operations import DEFAULT_KEYS, Condition
from bcr_client import answers
from bcr_client.answers import ABSENT, GatewayCall
from bcr_client.connecting import addresses_of, parts
from bcr_client.errors import NothingHappened, OutcomeUnknown, Refused, StoreError, Version
from bcr_client.store_client import IDLE_LIMIT_S, WATCH_PAUSE_S, Change, Checking, Versioned, changes, found, paged, version_of, versioned
from bcr_client.wire import READ_BYTES, BadResponse, HttpResponse, Place, ResponseReader

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class AsyncStore(Checking):
    """The store behind a gateway. Calls may go on at once: each has a connection, which others use again."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        """The arguments are those of `Checking`."""
        super().__init__(*arguments, **options)
        self._idle_connections: list[tuple[float, Place, Connection]] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections that are idle."""
        for *_, (_, writer) in self._idle_connections:
            writer.close()
        self._idle_connections = []

    async def get(self, key: str, default: Any = None) -> Any:
        """As `Store.get`."""
        found = await self.get_versioned(key)
        return default if found is None else found.value

    async def get_versioned(self, key: str) -> Versioned | None:
        """As `Store.get_versioned`."""
        return versioned((await self._ask(answers.get(key)))[0])

    async def put(self, key: str, value: Any, condition: Condition = None) -> Version:
        """As `Store.put`."""
        return version_of((await self._ask(answers.put(key, value, condition)))[0])

    async def append(self, key: str, value: Any, condition: Condition = None) -> Version:
        """As `Store.append`."""
        return version_of((await self._ask(answers.transaction([("append", key, value, condition)])))[0])

    async def delete(self, key: str, condition: Condition = None) -> bool:
        """As `Store.delete`."""
        return (await self._ask(answers.delete(key, condition)))[0] is not None

    async def compare_and_set(self, key: str, version: Version | None, value: Any) -> Version:
        """As `Store.compare_and_set`."""
        return await self.put(key, value, ABSENT if version is None else version)

    async def keys(self, prefix: str = "", page: int = DEFAULT_KEYS) -> AsyncIterator[str]:
        """As `Store.keys`."""
        after, more = "", True
        while more:
            listed = (await self._ask(answers.keys(prefix, after, page)))[0]
            for key in listed["keys"]:
                yield key
            more = listed["more"]
            after = listed["keys"][-1] if listed["keys"] else ""

    async def transaction(self, operations: Sequence[tuple[Any, ...]]) -> list[Any]:
        """As `Store.transaction`."""
        return await self._ask(answers.transaction(operations))

    async def items(self, prefix: str = "") -> dict[str, Versioned]:
        """As `Store.items`."""
        read: dict[str, Versioned] = {}
        for some in paged([key async for key in self.keys(prefix)]):
            read |= await self._read(some)
        return read

    async def _read(self, keys: Sequence[str]) -> dict[str, Versioned]:
        try:
            return found(keys, await self.transaction([("get", key) for key in keys]))
        except Refused:
            if len(keys) == 1:
                raise
        half = len(keys) // 2  # too much for one answer
        return await self._read(keys[:half]) | await self._read(keys[half:])

    async def watch(self, prefix: str = "", pause_s: float = WATCH_PAUSE_S) -> AsyncIterator[Change]:
        """As `Store.watch`."""
        before: Mapping[str, Versioned] = {}
        while True:
            now = await self.items(prefix)
            for change in changes(before, now):
                yield change
            before = now
            await asyncio.sleep(pause_s)

    async def _ask(self, call: GatewayCall) -> list[Any]:
        deadline_s = time.monotonic() + self.timeout_s
        earlier: list[StoreError] = []
        while True:
            place = self.place
            try:
                return await self._ask_once(call, place, deadline_s)
            except StoreError as error:
                pause_s = self.pause_after(error, call, place, earlier, deadline_s)
            await asyncio.sleep(pause_s)

    async def _ask_once(self, call: GatewayCall, place: Place, deadline_s: float) -> list[Any]:
        before = self.seen
        connection = await self._connection(place, deadline_s)
        is_done = False
        try:
            async with asyncio.timeout(max(0.001, deadline_s - time.monotonic())):
                response, closes = await self._exchange(connection, call, place, deadline_s)
            is_done = not closes
        except TimeoutError as error:
            raise OutcomeUnknown(f"sent, and then: no answer within {self.timeout_s:g} s") from error
        except (OSError, BadResponse) as error:
            raise OutcomeUnknown(f"sent, and then: {error}") from error
        finally:
            if is_done:
                self._idle_connections.append((time.monotonic(), place, connection))
            else:
                connection[1].close()
        return self.take(call, response, before)

    async def _exchange(self, connection: Connection, call: GatewayCall, place: Place, deadline_s: float) -> tuple[HttpResponse, bool]:
        reader, writer = connection
        writer.write(self.sent(call, place, deadline_s))
        await writer.drain()
        answer = ResponseReader()
        while answer.response is None:
            answer.feed(await reader.read(READ_BYTES))
        return answer.response, answer.closes

    async def _connection(self, place: Place, deadline_s: float) -> Connection:
        while self._idle_connections:
            used_s, other, connection = self._idle_connections.pop()
            if other == place and time.monotonic() - used_s < IDLE_LIMIT_S and not connection[0].at_eof():
                return connection
            connection[1].close()
        try:
            return await self._connected(place, deadline_s)
        except (OSError, UnicodeError) as error:  # the latter is for a name that cannot be one of a host
            raise NothingHappened(f"no connection to {place}: {error}", is_proved=True) from error

    async def _connected(self, place: Place, deadline_s: float) -> Connection:
        """As `connecting.connected`."""
        context = self.context_of(place)
        name = None if context is None else place.host
        addresses = await asyncio.to_thread(addresses_of, place, deadline_s)
        problem = OSError(f"{place.host} has no address")
        for (*_, address), part_s in parts(addresses, deadline_s):
            try:
                async with asyncio.timeout(part_s):
                    return await asyncio.open_connection(*address[:2], ssl=context, server_hostname=name)
            except OSError as error:
                problem = error if str(error) else TimeoutError("timed out")
        raise problem

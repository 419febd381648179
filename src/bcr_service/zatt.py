"""The dialect of zatt: a dictionary over TCP. A connection carries one MessagePack map each way, and is closed.

    {type: get}                                              -> {type: result, success: true, data: the whole dictionary}
    {type: append, data: {action: change, key, value}}       -> {type: result, success: true}
    {type: append, data: {action: delete, key}}              -> the same
    {type: diagnostic}                                       -> how the server is

Keys are strings, values what JSON has. What cannot be done, or was not done in time, is told by success: false and the error.
"""

import asyncio
import contextlib
import json
import math
import socket
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgpack
import msgspec

from bcr.objects.sizes import REQUEST_LIMIT_BYTES
from bcr_service import calls
from bcr_service.bodies import BUFFER, Full, Late
from bcr_service.door import Guest, GuestProtocol
from bcr_service.gateway import GatewayState
from bcr_service.metrics import Metrics
from bcr_service.outcomes import LIMIT_MS, Asking
from bcr_service.problems import INDEFINITE, Problem, unforeseen
from bcr_service.protocol_views import STATES
from bcr_service.service_files import Listener
from bcr_service.status import status_of
from bcr_service.watching import look

METHOD = "zatt"  # as which its messages are counted
MESSAGE_LIMIT_S = 10.0  # for the map to be there
MOST_READING = 8  # connections that may have the whole dictionary in memory at once
READ_BYTES = 1 << 16
STOP_LIMIT_S = 5.0


class Conversation(asyncio.StreamReaderProtocol, GuestProtocol):
    """A connection's reader and writer, and for its door whose turn it is."""

    def __init__(self, connected: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]) -> None:
        super().__init__(asyncio.StreamReader(), connected)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.guest.begins(transport)
        super().connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self.guest.leaves()
        super().connection_lost(exc)


class ZattPort:
    """Serves the dialect on one socket."""

    def __init__(self, gateway: GatewayState, asking: Asking, metrics: Metrics, listener: Listener) -> None:
        self._gateway = gateway
        self._metrics = metrics
        self._listener = listener
        self._asking = asking
        self._connections: set[asyncio.Task[None]] = set()
        self._reading = asyncio.Semaphore(MOST_READING)
        self.should_exit = False

    async def serve(self, sockets: list[socket.socket]) -> None:
        """Until `should_exit`; then those that are there are answered."""
        server = await asyncio.get_running_loop().create_server(lambda: Conversation(self._connected), sock=sockets[0])
        while not self.should_exit:
            await asyncio.sleep(0.1)
        server.close()
        if self._connections:
            await asyncio.wait(self._connections, timeout=STOP_LIMIT_S)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            await self._serve(reader, writer)
        except (OSError, TimeoutError):
            writer.transport.abort()
        finally:
            self._connections.discard(task)
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            asked = await _message(reader)
        except Late:
            writer.transport.abort()
            return
        except (ValueError, Full, msgpack.UnpackException) as error:
            self._metrics.called(METHOD, 400)
            await _tell(writer, _failed(f"no MessagePack map: {error or type(error).__name__}"))
            return
        if asked is None:
            return
        _guest_of(writer).is_awaited()
        if isinstance(asked, dict) and asked.get("type") == "get":
            async with self._reading:
                await _tell(writer, await self._answer(asked))
        else:
            await _tell(writer, await self._answer(asked))

    async def _answer(self, asked: Any) -> Mapping[str, Any]:
        """What becomes of a map, counted with the status that it would have over HTTP."""
        try:
            answer = await self._outcome_of(asked)
            self._metrics.called(METHOD, 200 if answer["success"] else 400)
            return answer
        except Problem as found:
            problem = found
        except Exception as error:
            problem = unforeseen(error)
        self._metrics.called(METHOD, problem.status)
        return _failed(problem.detail, definite=problem.status not in INDEFINITE)

    async def _outcome_of(self, asked: Any) -> Mapping[str, Any]:
        kind = asked.get("type") if isinstance(asked, dict) else None
        if kind == "get":
            found = await look(self._asking, "")
            return {"type": "result", "success": True, "data": {key: _value_in(text, key) for key, (text, _) in found.items()}}
        if kind == "append":
            return await self._append(asked.get("data"))
        if kind == "diagnostic":
            role = self._gateway.view.standing(self._gateway, self._listener, True).role
            return {"type": "result", "success": True, "status": STATES[role], "diagnostic": msgspec.to_builtins(status_of(self._gateway))}
        return _failed(f"type is get, append or diagnostic, not {str(kind)[:40]}")

    async def _append(self, data: Any) -> Mapping[str, Any]:
        action, key = (data.get("action"), data.get("key")) if isinstance(data, dict) else (None, None)
        if not isinstance(key, str):
            return _failed("a key is a string")
        if action == "change" and "value" in data:
            operation = calls.put(key, _json_of(data["value"]), None)
        elif action == "delete":
            operation = calls.delete(key, None)
        else:
            return _failed("data is {action: change, key, value} or {action: delete, key}")
        await self._asking.ask((operation,), LIMIT_MS)
        return {"type": "result", "success": True}


def _guest_of(writer: asyncio.StreamWriter) -> Guest:
    conversation = writer.transport.get_protocol()
    assert isinstance(conversation, Conversation)
    return conversation.guest


async def _tell(writer: asyncio.StreamWriter, answer: Mapping[str, Any]) -> None:
    writer.write(msgpack.packb(answer))
    _guest_of(writer).waits()
    async with asyncio.timeout(MESSAGE_LIMIT_S):  # who does not read must not keep the answer here
        await writer.drain()
        writer.write_eof()


async def _message(reader: asyncio.StreamReader) -> Any:
    """The map of a connection; None where it ends without one. Raises ValueError, UnpackException, Late and Full."""
    parts: list[bytes] = []
    # Objects are made only when all is there: before that they could take sixty times more than their bytes.
    unpacker = msgpack.Unpacker(read_size=READ_BYTES, max_buffer_size=REQUEST_LIMIT_BYTES)
    async with BUFFER.place(MESSAGE_LIMIT_S) as place:
        while data := await reader.read(READ_BYTES):
            place.grow(len(data))
            if place.bytes > REQUEST_LIMIT_BYTES:
                raise ValueError(f"more than {REQUEST_LIMIT_BYTES:,} bytes")
            parts.append(data)
            unpacker.feed(data)
            with contextlib.suppress(msgpack.OutOfData):
                unpacker.skip()
                break
        else:
            return None
    whole = msgpack.Unpacker(max_buffer_size=REQUEST_LIMIT_BYTES, strict_map_key=False)
    whole.feed(b"".join(parts))
    try:
        return whole.unpack()
    except TypeError as error:  # a key that is a list, or a map
        raise ValueError(error) from error


def _value_in(text: str, key: str) -> Any:
    """The JSON as MessagePack has it.

    Raises Problem where it has not: for an integer of more than 64 bits, a number larger than any float, or half of a surrogate pair.
    """
    try:
        value = json.loads(text, parse_float=_finite)
        msgpack.packb(value)
    except (ValueError, OverflowError) as error:
        raise Problem(409, f"at {key[:40]} stands a value that MessagePack has not: {error}") from error
    return value


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"the number {text[:40]} is larger than any that it has")
    return number


def _json_of(value: Any) -> bytes:
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise Problem(400, f"no value that JSON has: {error}") from error


def _failed(error: str, definite: bool = True) -> Mapping[str, Any]:
    return {"type": "result", "success": False, "error": error, "definite": definite}

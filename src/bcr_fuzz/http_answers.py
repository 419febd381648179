"""Answers of an HTTP server, read one behind the other from a connection on which anything may have been sent."""

import asyncio
import re
from collections.abc import Awaitable
from dataclasses import dataclass

MOST_HEAD_BYTES = 64 << 10
_BEGINNING = b"HTTP/1."
_FIRST_LINE = re.compile(rb"HTTP/1\.[01] ([1-5][0-9][0-9])[ \r\n]")
_CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]{1,8})[ \t]*(?:;.*)?\r?\n?")


class NoAnswer(Exception):
    """What came is no answer of HTTP; the text shows how it begins."""


@dataclass(frozen=True)
class HttpAnswer:
    """Status and type of content."""

    status: int
    content_type: str


class AnswerReader:
    """Reads the answers of one connection.

    Where HEAD may be among what was asked, `may_lack_body` says so: its answer tells of a body that does not come, so one that would begin as an
    answer does is the next answer.
    """

    def __init__(self, reader: asyncio.StreamReader, quiet_s: float, may_lack_body: bool = False) -> None:
        self._reader = reader
        self._quiet_s = quiet_s
        self._may_lack_body = may_lack_body
        self._begun = b""  # of the next answer

    async def read(self) -> HttpAnswer:
        """The next answer, read to its end where that is known.

        Raises NoAnswer; EOFError where the connection ends before one; TimeoutError where nothing comes for so long.
        """
        try:
            return await self._read()
        except ValueError as error:  # a line without an end, or a length that is no number
            raise NoAnswer(str(error)) from error

    async def _read(self) -> HttpAnswer:
        head = b""
        while not head.endswith((b"\r\n\r\n", b"\n\n")):
            line = await self._line()
            if not line:
                if head.strip():
                    raise NoAnswer(repr(head[:60]))
                raise EOFError
            head += line
            if len(head) > MOST_HEAD_BYTES or not head.startswith(b"HTTP/"):
                raise NoAnswer(repr(head[:60]))
        found = _FIRST_LINE.match(head)
        if found is None:
            raise NoAnswer(repr(head[:60]))
        headers = dict(_header(line) for line in head.splitlines()[1:] if line.strip())
        status = int(found[1])
        if 100 <= status < 200 and status != 101:
            return await self._read()
        if headers.get("transfer-encoding") == "chunked":
            await self._skip_chunks()
        elif status not in (204, 304):
            await self._skip_body(int(headers.get("content-length", "0")))
        return HttpAnswer(status, headers.get("content-type", ""))

    async def _line(self) -> bytes:
        begun, self._begun = self._begun, b""
        return begun if begun.endswith(b"\n") else begun + await self._within(self._reader.readline())

    async def _skip_body(self, size: int) -> None:
        if size and self._may_lack_body:
            first = await self._some(min(size, len(_BEGINNING)))
            if first == _BEGINNING[: len(first)] and first:
                self._begun = first
                return
            size -= len(first)
        await self._skip(size)

    async def _some(self, size: int) -> bytes:
        """So many bytes; fewer where nothing more comes."""
        found = b""
        try:
            while len(found) < size and (part := await self._within(self._reader.read(size - len(found)))):
                found += part
        except TimeoutError:
            pass
        return found

    async def _skip_chunks(self) -> None:
        while True:
            line = await self._within(self._reader.readline())
            if self._may_lack_body and line.startswith(_BEGINNING):
                self._begun = line
                return
            found = _CHUNK_LINE.fullmatch(line or b"0")
            if found is None:
                raise NoAnswer(f"chunk {line[:60]!r}")
            size = int(found[1], 16)
            await self._skip(size + 2)
            if not size:
                return

    async def _skip(self, size: int) -> None:
        """Skips so many bytes; fewer where nothing more comes."""
        try:
            while size > 0 and (part := await self._within(self._reader.read(min(size, 1 << 16)))):
                size -= len(part)
        except TimeoutError:
            return

    async def _within(self, reading: Awaitable[bytes]) -> bytes:
        async with asyncio.timeout(self._quiet_s):
            return await reading


def _header(line: bytes) -> tuple[str, str]:
    name, _, value = line.decode("latin-1").partition(":")
    return name.strip().lower(), value.strip()

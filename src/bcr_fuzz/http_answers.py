"""Answers of an HTTP server, read one behind the other from a connection on which anything may have been sent."""

import asyncio
import re
from collections.abc import Awaitable
from dataclasses import dataclass

MOST_HEAD_BYTES = 64 << 10
_FIRST_LINE = re.compile(rb"HTTP/1\.[01] ([1-5][0-9][0-9])[ \r\n]")
_CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]{1,8})[ \t]*(?:;.*)?\r?\n?")


class NoAnswer(Exception):
    """What came is no answer of HTTP; the text shows how it begins."""


@dataclass(frozen=True)
class HttpAnswer:
    """Status and type of content."""

    status: int
    content_type: str


async def read_answer(reader: asyncio.StreamReader, quiet_s: float) -> HttpAnswer:
    """The next answer, read to its end where that is known.

    Raises NoAnswer; EOFError where the connection ends before one; TimeoutError where nothing comes for so long.
    """
    try:
        return await _read_answer(reader, quiet_s)
    except ValueError as error:  # a line without an end, or a length that is no number
        raise NoAnswer(str(error)) from error


async def _read_answer(reader: asyncio.StreamReader, quiet_s: float) -> HttpAnswer:
    head = b""
    while not head.endswith((b"\r\n\r\n", b"\n\n")):
        line = await _within(reader.readline(), quiet_s)
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
        return await _read_answer(reader, quiet_s)
    if headers.get("transfer-encoding") == "chunked":
        await _skip_chunks(reader, quiet_s)
    elif status not in (204, 304):
        await _skip(reader, int(headers.get("content-length", "0")), quiet_s)
    return HttpAnswer(status, headers.get("content-type", ""))


def _header(line: bytes) -> tuple[str, str]:
    name, _, value = line.decode("latin-1").partition(":")
    return name.strip().lower(), value.strip()


async def _skip_chunks(reader: asyncio.StreamReader, quiet_s: float) -> None:
    while True:
        line = await _within(reader.readline(), quiet_s)
        found = _CHUNK_LINE.fullmatch(line or b"0")
        if found is None:
            raise NoAnswer(f"chunk {line[:60]!r}")
        size = int(found[1], 16)
        await _skip(reader, size + 2, quiet_s)
        if not size:
            return


async def _skip(reader: asyncio.StreamReader, size: int, quiet_s: float) -> None:
    """Skips so many bytes; fewer where nothing more comes, as of an answer to HEAD."""
    try:
        while size > 0 and (part := await _within(reader.read(min(size, 1 << 16)), quiet_s)):
            size -= len(part)
    except TimeoutError:
        return


async def _within(reading: Awaitable[bytes], quiet_s: float) -> bytes:
    async with asyncio.timeout(quiet_s):
        return await reading

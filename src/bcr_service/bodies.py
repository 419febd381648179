"""The bodies of calls while they arrive: none larger or slower than it may be, and all together within one buffer."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from starlette.requests import ClientDisconnect, Request

from bcr.objects.sizes import REQUEST_LIMIT_BYTES
from bcr_service.problems import Problem, unavailable
from bcr_service.whole_numbers import exceeds

BODY_LIMIT_BYTES = REQUEST_LIMIT_BYTES
BODY_LIMIT_S = 10.0
# So much beyond the limit is taken, and thrown away: who meets a closed connection while it sends does not see what it is told.
THROWN_AWAY_BYTES = 8 << 20
MOST_BYTES = 64 << 20  # of all that are on their way
SMALL_BYTES = 64 << 10  # so much of one is taken whatever there is of others
YOUNG_S = 1.0  # for so long nobody has to give way


class Late(Exception):
    """What was to arrive was not there in time; the text says why it was not waited for any longer."""


class Full(Exception):
    """The buffer is full, of bodies that are younger than YOUNG_S."""


class PartialBody:
    """What has arrived of one."""

    def __init__(self, buffer: "BodyBuffer", limit: asyncio.Timeout) -> None:
        self._buffer = buffer
        self.limit = limit
        self.began_s = asyncio.get_running_loop().time()
        self.bytes = 0
        self.gives_way = False

    def grow(self, more: int) -> None:
        """So many bytes more have arrived. Raises Full."""
        self.bytes += more
        if self.bytes > SMALL_BYTES:
            self._buffer.make_space(self)


class BodyBuffer:
    """Holds so many bytes of what arrives at the most: where that is not enough, the oldest gives way."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._bodies: dict[PartialBody, None] = {}

    @contextlib.asynccontextmanager
    async def place(self, limit_s: float) -> AsyncIterator[PartialBody]:
        """A place for so long. Raises Late when that is over, or when it had to give way."""
        place: PartialBody | None = None
        try:
            async with asyncio.timeout(limit_s) as limit:
                place = PartialBody(self, limit)
                self._bodies[place] = None
                yield place
        except TimeoutError:
            gave_way = place is not None and place.gives_way
            raise Late("it came slowly, and others waited" if gave_way else f"not there within {limit_s:g} s") from None
        finally:
            if place is not None:
                self._bodies.pop(place, None)

    def make_space(self, grown: PartialBody) -> None:
        """Lets the oldest bodies give way until all fit, but for the one that has grown. Raises Full."""
        now_s = asyncio.get_running_loop().time()
        total_bytes = sum(place.bytes for place in self._bodies)
        while total_bytes > self._most_bytes:
            oldest = next((place for place in self._bodies if place is not grown), None)
            if oldest is None or now_s - oldest.began_s < YOUNG_S:
                raise Full(f"{total_bytes:,} bytes are on their way already")
            total_bytes -= oldest.bytes
            del self._bodies[oldest]
            if not oldest.limit.expired():  # else it ends already, and does not know yet
                oldest.gives_way = True
                oldest.limit.reschedule(now_s)


BUFFER = BodyBuffer()
IS_WHOLE = "bcr.is_whole"  # in a call's scope, when its last byte has arrived: nothing has to be waited for


async def body_of(request: Request) -> bytes:
    """The body of a call, as long as it is no larger and no slower than it may be. Raises Problem."""
    length = request.headers.get("content-length", "0")
    if length.isdecimal() and exceeds(length, BODY_LIMIT_BYTES + THROWN_AWAY_BYTES):
        raise _too_large()
    if IS_WHOLE in request.scope:
        return await _body_that_is_whole(request)
    parts: list[bytes] = []
    size = 0
    try:
        async with BUFFER.place(BODY_LIMIT_S) as place:
            async for part in request.stream():
                size += len(part)
                if size <= BODY_LIMIT_BYTES:
                    place.grow(len(part))
                    parts.append(part)
                elif size > BODY_LIMIT_BYTES + THROWN_AWAY_BYTES:
                    break
    except ClientDisconnect:
        raise Problem(400, "the caller has gone") from None
    except Late as late:
        raise (Problem(408, f"the body: {late}", headers={"connection": "close"}) if size <= BODY_LIMIT_BYTES else _too_large()) from None
    except Full as full:
        problem = unavailable(f"bodies: {full}")
        problem.headers["connection"] = "close"
        raise problem from None
    if size > BODY_LIMIT_BYTES:
        raise _too_large()
    return b"".join(parts)


async def _body_that_is_whole(request: Request) -> bytes:
    message = await request.receive()
    if message["type"] == "http.disconnect":
        raise Problem(400, "the caller has gone")
    body: bytes = message["body"]
    if len(body) > BODY_LIMIT_BYTES:
        raise _too_large()
    return body


def _too_large() -> Problem:
    return Problem(413, f"more than {BODY_LIMIT_BYTES:,} bytes", headers={"connection": "close"})

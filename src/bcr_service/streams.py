"""Server-sent events: answers that go on until the caller leaves."""

from collections.abc import AsyncIterator, Callable

from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

MEDIA_TYPE = "text/event-stream"
HEADERS = {"cache-control": "no-store"}


def event(kind: str, data: str, identity: str = "") -> bytes:
    """An event of this kind; `data` stands on one line. `identity` is what a caller that goes on says as its Last-Event-ID."""
    line = f"id: {identity}\n" if identity else ""
    return f"event: {kind}\n{line}data: {data}\n\n".encode()


def comment(text: str) -> bytes:
    """What stands between events, and is none."""
    return f": {text}\n\n".encode()


class EventStream(StreamingResponse):
    """Tells these blocks; `close` is called when nobody listens any more, also where nothing has been told."""

    def __init__(self, blocks: AsyncIterator[bytes], close: Callable[[], object]) -> None:
        super().__init__(blocks, media_type=MEDIA_TYPE, headers=HEADERS)
        self._close = close

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._close()


def head() -> Response:
    """What HEAD is told of a stream: it has no body that could go on."""
    return StreamingResponse(_nothing(), media_type=MEDIA_TYPE, headers=HEADERS)


async def _nothing() -> AsyncIterator[bytes]:
    no_blocks: tuple[bytes, ...] = ()
    for each in no_blocks:
        yield each

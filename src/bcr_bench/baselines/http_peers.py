"""What the service is measured beside, behind the same HTTP server: `python -m bcr_bench.baselines.http_peers bare PORT`, which answers at
once and is the limit, and `… pysyncobj PORT ADDRESS ADDRESS …`, one server of the key-value assignment; the first address is its own.

That one writes through PySyncObj's log, and reads what it has itself, as the servers of the assignment do: such a read may be old.
"""

import asyncio
import sys
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec
import uvicorn
from pysyncobj import SyncObj, SyncObjConf, replicated
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bcr_bench.baselines.pysyncobj_peer import APPEND_S

VALUE = msgspec.json.encode("v" * 98)

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class Values(SyncObj):  # type: ignore[misc]
    """Values by key, replicated. Nothing is on disk."""

    def __init__(self, own: str, others: list[str]) -> None:
        self.values: dict[str, Any] = {}
        super().__init__(own, others, SyncObjConf(appendEntriesUseBatch=True, appendEntriesPeriod=APPEND_S, autoTickPeriod=APPEND_S))

    @replicated  # type: ignore[untyped-decorator]
    def put(self, key: str, value: Any) -> None:
        self.values[key] = value


def bare() -> Starlette:
    """A server that has every key, and keeps nothing."""

    async def get(_request: Request) -> Response:
        return Response(VALUE, media_type="application/json")

    async def put(request: Request) -> Response:
        msgspec.json.decode(await request.body())
        return Response(status_code=204)

    return _application(get, put, get)


def replicating(values: Values) -> Starlette:
    """One server of the assignment, on PySyncObj."""

    async def get(request: Request) -> Response:
        found = values.values.get(request.path_params["key"])
        return Response(status_code=404) if found is None else Response(msgspec.json.encode(found), media_type="application/json")

    async def put(request: Request) -> Response:
        loop = asyncio.get_running_loop()
        done: asyncio.Future[int] = loop.create_future()
        value = msgspec.json.decode(await request.body())
        values.put(request.path_params["key"], value, callback=lambda _, error: loop.call_soon_threadsafe(done.set_result, error))
        return Response(status_code=503 if await done else 204)

    async def ready(_request: Request) -> Response:
        return Response(status_code=200 if values.isReady() and values._isLeader() else 503)

    return _application(get, put, ready)


def _application(get: Handler, put: Handler, ready: Handler) -> Starlette:
    return Starlette(routes=[
        Route("/keys/{key:path}", get, methods=["GET"]), Route("/keys/{key:path}", put, methods=["PUT"]), Route("/readyz", ready),
    ])  # fmt: skip


def main(arguments: list[str]) -> None:
    kind, port, *addresses = arguments
    application = bare() if kind == "bare" else replicating(Values(addresses[0], addresses[1:]))
    uvicorn.run(application, host="127.0.0.1", port=int(port), log_level="error", loop="uvloop", http="httptools", access_log=False)


if __name__ == "__main__":
    main(sys.argv[1:])

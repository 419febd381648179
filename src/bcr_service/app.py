"""The HTTP interface of a gateway; src/bcr_service/openapi.yaml is its description, and served with it."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from functools import partial
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from bcr.objects.operation import Operation
from bcr.objects.store_operations import ABSENT, Condition
from bcr.raft.changes import ADD, REMOVE, TRANSFER
from bcr_service import calls
from bcr_service.access import Application
from bcr_service.bodies import body_of
from bcr_service.desk import Settled
from bcr_service.gateway import GatewayState
from bcr_service.key_path import KEY_PATH, KEY_PREFIX, fields_in, key_in, query_in
from bcr_service.metrics import CONTENT_TYPE, Metrics
from bcr_service.outcomes import Asking, limit_in, nonce_in, proof_of
from bcr_service.pages import LIVE_PAGE, api_page, openapi_json
from bcr_service.preconditions import MATCH, NONE_MATCH, LookFirst, Preconditions, etag, preconditions_in
from bcr_service.problems import INDEFINITE, TYPE, Problem, unavailable, unforeseen
from bcr_service.service_files import Listener
from bcr_service.status import as_text, is_ready, status_of
from bcr_service.streams import EventStream, comment, event, head
from bcr_service.watching import Watching

HEARTBEAT_S = 10.0
NOT_RESUMED = "the service has started again since, or no longer has what came behind that event: this is all that there is"
JSON = "application/json"
CONDITION_FAILED = 412
MOST_LOOKS = 3  # for a write whose condition the store does not have
TOO_MUCH = 413  # behind which nothing can be told by itself again
KEY_METHODS = ("GET", "PUT", "DELETE", "POST")
PAGE_HEADERS = {"content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
                "connect-src 'self'; img-src data:", "x-content-type-options": "nosniff"}  # fmt: skip

Handler = Callable[[Request], Awaitable[Response]]


def application(gateway: GatewayState, asking: Asking, metrics: Metrics, _listener: Listener) -> Application:
    """The ASGI application of a gateway."""
    http = Http(gateway, asking, metrics)
    key = http.told(http.key)
    routes = [
        Route("/keys", http.told(http.list_keys), methods=["GET"]),
        Route(KEY_PATH, key, methods=KEY_METHODS),
        Route("/transactions", http.told(http.transact), methods=["POST"]),
        Route("/admin/status", http.told(http.status), methods=["GET"]),
        Route("/admin/members/{server}", http.told(http.members), methods=["PUT", "DELETE"]),
        Route("/admin/leader/{server}", http.told(http.leader), methods=["PUT"]),
        Route("/livez", http.told(http.livez), methods=["GET"]),
        Route("/readyz", http.told(http.readyz), methods=["GET"]),
        Route("/metrics", http.told(http.metrics_text), methods=["GET"]),
        Route("/configuration", http.told(http.configuration), methods=["GET"]),
        Route("/watch", http.told(http.watch), methods=["GET"]),
        Route("/events", http.told(http.events), methods=["GET"]),
        Route("/openapi.json", http.told(http.openapi), methods=["GET"]),
        Route("/api", http.told(http.api), methods=["GET"]),
        Route("/", http.told(http.live), methods=["GET"]),
    ]
    if gateway.own.is_lab:
        routes.append(Route("/lab/{path:path}", http.told(http.lab), methods=["POST"]))
    others = Starlette(routes=routes, exception_handlers={HTTPException: http.not_routed})

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        # Most calls are of one key, and the way through the framework would be a quarter of what such a call costs here.
        if scope["type"] == "http" and scope["path"].startswith(KEY_PREFIX) and scope["method"] in KEY_METHODS:
            scope["path_params"] = {"key": scope["path"].removeprefix(KEY_PREFIX)}
            response = await key(Request(scope, receive, send))
            await response(scope, receive, send)
        else:
            await others(scope, receive, send)

    return serve


def _response_of(problem: Problem) -> Response:
    return Response(problem.body(), problem.status, headers=problem.headers, media_type=TYPE)


def _left_ms(end_s: float) -> int:
    """Until then, one at the least."""
    return max(1, int(1000 * (end_s - asyncio.get_running_loop().time())))


class Http:
    """The handlers of the routes."""

    def __init__(self, gateway: GatewayState, asking: Asking, metrics: Metrics) -> None:
        self._gateway = gateway
        self._asking = asking
        self._metrics = metrics
        self._watching = Watching(asking)

    def told(self, handler: Handler) -> Handler:
        """The handler with its problems as answers, counted."""

        async def handle(request: Request) -> Response:
            try:
                response = await handler(request)
            except Problem as problem:
                response = _response_of(problem)
            except ClientDisconnect:
                response = _response_of(Problem(400, "the caller has gone"))
            except Exception as error:
                response = _response_of(unforeseen(error))
            self._metrics.called(request.method, response.status_code)
            return response

        return handle

    async def not_routed(self, request: Request, error: Exception) -> Response:
        """The answer where there is no such path, or no such method of it."""
        assert isinstance(error, HTTPException)
        self._metrics.called(request.method, error.status_code)
        lab = "; /lab/… is there with ./bcr serve --lab only" if request.url.path.startswith("/lab/") else ""
        told = {
            404: f"there is nothing at this path; /api tells what there is{lab}",
            405: f"this path has no {request.method}, but {(error.headers or {}).get('Allow', 'others')}; /api tells what there is",
        }
        return _response_of(Problem(error.status_code, told.get(error.status_code, str(error.detail)), headers=error.headers))

    # -- the store

    async def key(self, request: Request) -> Response:
        """Everything about one key."""
        body = (
            await body_of(request) if request.method in ("PUT", "POST") else b""
        )  # before anything is answered, or who sends may not see it
        key, query, fields = key_in(request), query_in(request.scope), fields_in(request.scope)
        preconditions = preconditions_in(fields)
        nonce, limit_ms = self._nonce_in(query, fields), limit_in(query)
        if request.method in ("GET", "HEAD"):
            return await self._get(key, preconditions, limit_ms, nonce)
        if request.method == "DELETE":
            make = partial(calls.delete, key)
        elif request.method == "PUT":
            make = partial(calls.put, key, body)
        else:
            make = partial(calls.posted, key, body)
        settled = await self._written(key, make, preconditions, limit_ms, nonce)
        version = calls.written(settled.results[0])
        if nonce is not None:
            return self._proved({"version": version}, settled, nonce, version)
        if version is None:
            raise Problem(404, "there was no value")
        headers = {} if request.method == "DELETE" else {"etag": etag(version)}
        return Response(None, 204, headers=headers)

    async def _written(
        self, key: str, make: Callable[[Condition], Operation], preconditions: Preconditions | None, limit_ms: int, nonce: str | None
    ) -> Settled:
        """What became of a write. Where the store has no condition like these, it is that the version is still the one that was looked at."""
        if preconditions is None:
            return await self._asking.ask((make(None),), limit_ms, nonce)
        condition = preconditions.condition()
        if not isinstance(condition, LookFirst):
            return await self._asking.ask((make(condition),), limit_ms, nonce)
        end_s = asyncio.get_running_loop().time() + limit_ms / 1000
        for _ in range(MOST_LOOKS):
            try:
                looked = await self._asking.ask((calls.get(key),), _left_ms(end_s))
            except Problem as problem:
                raise (unavailable(f"not written: {problem.detail}") if problem.status in INDEFINITE else problem) from None
            found = calls.got(looked.results[0])
            version = None if found is None else found[1]
            if preconditions.failing(None if version is None else etag(version)):
                raise calls.condition_failed(version)
            try:
                return await self._asking.ask((make(ABSENT if version is None else version),), _left_ms(end_s), nonce)
            except Problem as problem:
                if problem.status != CONDITION_FAILED:
                    raise  # else somebody has written meanwhile
        raise unavailable("others write at this key at the same time")

    async def _get(self, key: str, preconditions: Preconditions | None, limit_ms: int, nonce: str | None) -> Response:
        settled = await self._asking.ask((calls.get(key),), limit_ms, nonce)
        found = calls.got(settled.results[0])
        if found is None and nonce is None:
            raise Problem(404, "no value stands at this key")
        value_text, version = found or ("null", None)
        tag = None if version is None else etag(version)
        failing = None if preconditions is None else preconditions.failing(tag)
        if failing == NONE_MATCH:
            return Response(None, 304, headers={} if tag is None else {"etag": tag})
        if failing == MATCH:
            failed = calls.condition_failed(version)
            if nonce is not None:
                failed.more["proof"] = proof_of(settled, nonce)
            raise failed
        if nonce is not None:
            return self._proved({"value": msgspec.Raw(value_text.encode()), "version": version}, settled, nonce, version)
        return Response(value_text.encode(), headers={} if tag is None else {"etag": tag}, media_type=JSON)

    async def list_keys(self, request: Request) -> Response:
        """The keys that begin with a prefix."""
        query = query_in(request.scope)
        nonce = self._nonce_in(query, fields_in(request.scope))
        settled = await self._asking.ask((calls.listing(query),), limit_in(query), nonce)
        if nonce is not None:
            return self._proved({"listing": msgspec.Raw(settled.results[0].encode())}, settled, nonce, None)
        return Response(settled.results[0].encode(), media_type=JSON)

    async def transact(self, request: Request) -> Response:
        """Several operations that happen together or not at all."""
        query = query_in(request.scope)
        nonce = self._nonce_in(query, fields_in(request.scope))
        operations = calls.transaction(await body_of(request))
        settled = await self._asking.ask(operations, limit_in(query), nonce)
        results = [msgspec.Raw(result.encode()) for result in settled.results[: len(operations)]]
        if nonce is not None:
            return self._proved({"results": results}, settled, nonce, None)
        return Response(msgspec.json.encode({"results": results}), media_type=JSON)

    def _nonce_in(self, query: Mapping[str, str], fields: Mapping[bytes, bytes]) -> str | None:
        return nonce_in(query, fields, self._gateway.view.why_no_proofs)

    def _proved(self, told: dict[str, Any], settled: Settled, nonce: str, version: calls.Place | None) -> Response:
        headers = {} if version is None else {"etag": etag(version)}
        told["proof"] = proof_of(settled, nonce)
        return Response(msgspec.json.encode(told), headers=headers, media_type=JSON)

    # -- about the service

    async def status(self, request: Request) -> Response:
        """How the service is, as text, or as JSON where that is asked for."""
        if JSON in request.headers.get("accept", ""):
            return Response(msgspec.json.encode(status_of(self._gateway)), media_type=JSON)
        return Response(as_text(self._gateway), media_type="text/plain")

    async def members(self, request: Request) -> Response:
        """One server more that decides, or one less; what comes of it is an event."""
        return self._change(ADD if request.method == "PUT" else REMOVE, request.path_params["server"])

    async def leader(self, request: Request) -> Response:
        """Another server is asked to lead; what comes of it is an event."""
        return self._change(TRANSFER, request.path_params["server"])

    def _change(self, kind: str, name: str) -> Response:
        asked = self._gateway.view.change(self._gateway.status, kind, name)
        self._gateway.wish("change", f"{asked.kind} {asked.server}")
        return Response(None, 202)

    async def livez(self, _request: Request) -> Response:
        """Whether the gateway is there."""
        return Response("ok\n", media_type="text/plain")

    async def readyz(self, _request: Request) -> Response:
        """Whether it makes sense to call it."""
        ready, why = is_ready(self._gateway)
        if not ready:
            raise Problem(503, why)
        return Response(f"ok: {why}\n", media_type="text/plain")

    async def metrics_text(self, _request: Request) -> Response:
        return Response(self._metrics.text(), headers={"content-type": CONTENT_TYPE})

    async def configuration(self, _request: Request) -> Response:
        """The current configuration, signed by Olympus, and Olympus's key: to look at, and not to trust unseen."""
        return Response(msgspec.json.encode(self._configuration()), media_type=JSON)

    def _configuration(self) -> dict[str, Any]:
        if not self._gateway.view.has_configurations:
            raise Problem(501, f"no configuration: {self._gateway.view.why_no_proofs}")
        signed = self._gateway.configuration
        if signed is None:
            raise Problem(503, "there is no configuration yet")
        issued = signed.statement
        return {
            "number": issued.number,
            "t": issued.t,
            "olympus_key": self._gateway.olympus_key.hex(),
            "replicas": [{"position": i, "public_key": m.public_key.hex()} for i, m in enumerate(issued.replicas)],
        }

    async def events(self, request: Request) -> Response:
        """What happens to the chain, as it happens (SSE); `Last-Event-ID` goes on behind that one, or says why not."""
        if request.method == "HEAD":
            return head()
        last = request.headers.get("last-event-id") or query_in(request.scope).get("after", "")
        events = self._gateway.events
        number = events.number_of(last) if last else 0
        try:
            listener = events.listen()
        except OverflowError as error:
            raise Problem(503, str(error)) from error

        async def stream(number: int | None) -> AsyncIterator[bytes]:
            if number is None:  # what was told before may be of another start, and shall not be taken for what comes now
                number = 0
                yield event("beginning", json.dumps({"number": 0, "kind": "beginning", "why": NOT_RESUMED}), events.identity_of(0))
            while not self._gateway.desk.is_closed:
                for each in events.after(number):
                    number = each["number"]
                    yield event(each["kind"], json.dumps(each), events.identity_of(number))
                yield comment("no more by now")  # for whoever wants what there is, and not to wait
                await listener.wait(HEARTBEAT_S)

        return EventStream(stream(number), listener.close)

    async def watch(self, request: Request) -> Response:
        """What changes at the keys that begin with a prefix (SSE): first all that is there, then what is different.

        Where it cannot be looked at, `problem` says why, once; where there is too much to look at, that is the end.
        """
        if request.method == "HEAD":
            return head()
        watched = await self._watching.join(query_in(request.scope).get("prefix", ""))
        try:
            listener = self._gateway.events.listen()
        except OverflowError as error:
            self._watching.leave(watched)
            raise Problem(503, str(error)) from error

        async def stream() -> AsyncIterator[bytes]:
            versions: dict[str, calls.Place] = {}
            is_told = False  # that nothing can be told
            while not self._gateway.desk.is_closed:
                problem, next_look = watched.problem, watched.next_look
                if problem is None:
                    for change in watched.changes(versions):
                        yield change
                elif not is_told:
                    yield event("problem", problem.body().decode())
                    if problem.status == TOO_MUCH:
                        break
                is_told = problem is not None
                yield comment("looked" if problem is None else "not looked")
                await next_look.wait()

        def close() -> None:
            listener.close()
            self._watching.leave(watched)

        return EventStream(stream(), close)

    async def lab(self, request: Request) -> Response:
        """Something is done to processes of the service; what came of it is an event."""
        from bcr_service.lab import asked

        status, settings = self._gateway.status, self._gateway.settings
        if status.get("configuration", -1) < 0:
            raise Problem(503, "there is no configuration yet")
        number, own = status["configuration"], self._gateway.own
        try:
            wish = asked(request.path_params["path"], await body_of(request), number, settings.t, settings.num_clients, own.protocol)
        except LookupError as error:
            raise Problem(404, str(error)) from error
        except ValueError as error:
            raise Problem(400, str(error)) from error
        self._gateway.wish(wish.what, wish.about)
        return Response(None, 202)

    # -- pages

    async def openapi(self, _request: Request) -> Response:
        return Response(openapi_json(), media_type=JSON)

    async def api(self, _request: Request) -> Response:
        return Response(api_page(), media_type="text/html", headers=PAGE_HEADERS)

    async def live(self, _request: Request) -> Response:
        return Response(LIVE_PAGE.read_bytes(), media_type="text/html", headers=PAGE_HEADERS)

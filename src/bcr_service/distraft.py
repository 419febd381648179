"""The dialect of distraft: each of several servers tells its status and takes values in forms, or sends callers to the leader.

The chain has no leader that callers would have to know: every gateway brings calls to the head. The first server that is up
stands for it, so that callers find what they know. A term is a configuration, an index counts the slots of its chain, and
a server's own indices are those of the replica at the same place in the chain.
"""

import json
import os
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from bcr_service import calls
from bcr_service.app import body_of
from bcr_service.gateway import Gateway
from bcr_service.metrics import Metrics
from bcr_service.outcomes import LIMIT_MS, Asking
from bcr_service.problems import Problem
from bcr_service.service_files import Listener
from bcr_service.status import SLOTS

PRETTY_VARIABLE = "DISTRAFT_PRETTY_PRINT_RESPONSES"
YES = {"true", "1", "t", "y", "yes"}


def application(gateway: Gateway, asking: Asking, metrics: Metrics, listener: Listener) -> Starlette:
    """The ASGI application of one server."""
    server = Server(gateway, asking, metrics, listener)
    return Starlette(
        routes=[
            Route("/", server.status, methods=["GET"]),
            Route("/stop", server.stop, methods=["GET"]),
            Route("/start", server.start, methods=["GET"]),
            Route("/{key}", server.get, methods=["GET"]),
            Route("/{key}", server.set, methods=["POST"]),
        ],
        middleware=[Middleware(CORSMiddleware, allow_origins=["*"], allow_methods=["*"], allow_headers=["*"])],
    )


class Server:
    """One server, as its callers know it."""

    def __init__(self, gateway: Gateway, asking: Asking, metrics: Metrics, listener: Listener) -> None:
        self._gateway = gateway
        self._asking = asking
        self._metrics = metrics
        self._listener = listener
        self._indent = 2 if os.environ.get(PRETTY_VARIABLE, "").strip().lower() in YES else None

    # -- values

    async def get(self, request: Request) -> Response:
        """The value of a key, null where there is none."""
        elsewhere = self._elsewhere(request, 302)
        if elsewhere is not None:
            return elsewhere
        key = request.path_params["key"].strip()
        if not key:
            return self._refused("empty key", 503, request)
        try:
            settled = await self._asking.ask((calls.get(key),), LIMIT_MS)
        except Problem as problem:
            return self._failed(problem, request)
        found = calls.got(settled.results[0])
        return self._told({"ok": True, "key": key, "value": None if found is None else json.loads(found[0])}, 200, request)

    async def set(self, request: Request) -> Response:
        """Write the form's `value` to a key."""
        elsewhere = self._elsewhere(request, 307)
        if elsewhere is not None:
            return elsewhere
        key = request.path_params["key"].strip()
        try:
            form = parse_qs((await body_of(request)).decode(), keep_blank_values=True, max_num_fields=100)
            if "value" not in form:
                return self._refused("system error: the form has no value", 503, request)
            value = form["value"][0].strip()
            if not key or not value:
                return self._refused("empty key or value", 503, request)
            await self._asking.ask((calls.put(key, json.dumps(value).encode(), None),), LIMIT_MS)
        except Problem as problem:
            return self._failed(problem, request)
        except (UnicodeDecodeError, ValueError, ClientDisconnect) as error:
            return self._refused(f"system error: no form: {error}", 503, request)
        return self._told({"ok": True, "key": key, "value": value}, 200, request)

    def _elsewhere(self, request: Request, status: int) -> Response | None:
        """The leader's address, where this server is not it; that there is none."""
        leader = self._leader()
        if leader is None:
            return self._refused("no leader", 503, request)
        if leader == self._listener:
            return None
        self._metrics.called(request.method, status)
        return RedirectResponse(str(request.url.replace(netloc=str(leader.address))), status)

    def _leader(self) -> Listener | None:
        """The first server that is up, as far as this one knows, which knows of nobody while it is down."""
        if self._gateway.configuration is None or self._gateway.desk.is_closed or not self._gateway.is_up(self._listener):
            return None
        return next(each for each in self._members() if self._gateway.is_up(each))

    def _members(self) -> list[Listener]:
        return self._gateway.own.members("distraft")

    # -- the server

    async def status(self, request: Request) -> Response:
        """How this server is, and what it knows of the others."""
        leader = self._leader()
        chain = self._gateway.status.get("chain", [])
        slots = [replica[SLOTS] for replica in chain]
        commit = min(slots, default=0)
        own = slots[self._listener.number] if self._listener.number < len(slots) else commit
        others = {each.name: slots[each.number] for each in self._members() if each != self._listener and each.number < len(slots)}
        is_leader = leader == self._listener
        term = self._gateway.status.get("configuration", 0)
        status: Mapping[str, Any] = {
            "id": self._listener.name,
            "leader": leader.name if leader else None,
            "is_leader": is_leader,
            "state": "Leader" if is_leader else "Follower",
            "up": self._gateway.is_up(self._listener),
            "commit_index": commit,
            "last_applied": own,
            "last_log_index": own,
            "last_log_term": term,
            "term": term,
            "next_index": {name: index + 1 for name, index in others.items()} if is_leader else {},
            "match_index": others if is_leader else {},
            "members": {each.name: [each.address.host, each.address.port] * 2 for each in self._members()},
        }
        return self._told({"ok": True, "status": status}, 200, request)

    async def stop(self, request: Request) -> Response:
        """Take no calls any more; in the laboratory the replica at this place is killed too."""
        self._gateway.switch(self._listener, is_up=False)
        return self._told({"ok": True}, 200, request)

    async def start(self, request: Request) -> Response:
        """Take calls again."""
        self._gateway.switch(self._listener, is_up=True)
        return self._told({"ok": True}, 200, request)

    # -- answers

    def _failed(self, problem: Problem, request: Request) -> Response:
        """Beyond the published statuses: 504 where it may have happened."""
        return self._refused(f"system error: {problem.detail}", 504 if problem.status == 504 else 503, request)

    def _refused(self, error: str, status: int, request: Request) -> Response:
        return self._told({"ok": False, "error": error}, status, request)

    def _told(self, told: Mapping[str, Any], status: int, request: Request) -> Response:
        self._metrics.called(request.method, status)
        text = json.dumps(told, ensure_ascii=False, indent=self._indent, sort_keys=True)
        return Response(text.encode() + b"\n", status, media_type="application/json")

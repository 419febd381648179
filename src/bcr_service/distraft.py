"""The dialect of distraft: each of several servers tells its status and takes values in forms, or sends callers to the leader.

Who leads, and what terms and indices are, the protocol's view says (`bcr_service.protocol_views`).
"""

import json
import os
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs

import msgspec
from starlette.applications import Starlette
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from bcr.raft.elections import FOLLOWER, LEADER
from bcr_service import calls
from bcr_service.access import Application, guarded, token_in
from bcr_service.bodies import body_of
from bcr_service.gateway import GatewayState
from bcr_service.key_path import key_in
from bcr_service.metrics import Metrics
from bcr_service.outcomes import LIMIT_MS, Asking
from bcr_service.problems import Problem
from bcr_service.protocol_views import STATES
from bcr_service.service_files import Address, Listener

PRETTY_VARIABLE = "DISTRAFT_PRETTY_PRINT_RESPONSES"
_HALF_OF_A_PAIR = re.compile("[\ud800-\udfff]")
_NAMED = re.compile(r"([\w.-]+|\[[0-9a-fA-F:.]+\])(?::[0-9]*)?", re.ASCII)  # the host of a call
EVERYWHERE = {"0.0.0.0", "::"}
YES = {"true", "1", "t", "y", "yes"}


def application(gateway: GatewayState, asking: Asking, _metrics: Metrics, listener: Listener) -> Application:
    """The ASGI application of one server."""
    server = DistRaftServer(gateway, asking, listener)
    token = token_in(gateway.own.files)
    routed = Starlette(
        routes=[
            Route("/", server.status, methods=["GET"]),
            Route("/stop", server.stop, methods=["GET"]),
            Route("/start", server.start, methods=["GET"]),
            Route("/{key}", server.get, methods=["GET"]),
            Route("/{key}", server.set, methods=["POST"]),
        ],
    )
    # Outside of the token: a browser asks without it whether a page may show it, and hides answers that do not let the page see them.
    return CORSMiddleware(guarded(routed, token, ()), allow_origins=["*"], allow_methods=["*"], allow_headers=["*"])


def _reached_by(request: Request, address: Address) -> Address:
    """The address for this caller: of a server that listens at every address of its machine, the one that the caller has used."""
    if address.host not in EVERYWHERE:
        return address
    named = _NAMED.fullmatch(request.headers.get("host", ""))
    return Address(named[1].strip("[]") if named else request.scope["server"][0], address.port)


class DistRaftServer:
    """One server, as its callers know it."""

    def __init__(self, gateway: GatewayState, asking: Asking, listener: Listener) -> None:
        self._gateway = gateway
        self._asking = asking
        self._listener = listener
        self._indent = 2 if os.environ.get(PRETTY_VARIABLE, "").strip().lower() in YES else None

    # -- values

    async def get(self, request: Request) -> Response:
        """The value of a key, null where there is none."""
        elsewhere = self._elsewhere(request, 302)
        if elsewhere is not None:
            return elsewhere
        try:
            key = key_in(request).strip()
            if not key:
                return self._refused("empty key", 503)
            settled = await self._asking.ask((calls.get(key),), LIMIT_MS)
        except Problem as problem:
            return self._failed(problem)
        found = calls.got(settled.results[0])
        try:
            return self._response_of({"ok": True, "key": key, "value": None if found is None else json.loads(found[0])}, 200)
        except ValueError as error:  # a number that Python does not read, or writes as none
            return self._refused(f"system error: {error}", 503)

    async def set(self, request: Request) -> Response:
        """Write the form's `value` to a key."""
        elsewhere = self._elsewhere(request, 307)
        if elsewhere is not None:
            return elsewhere
        try:
            key = key_in(request).strip()
            form = parse_qs((await body_of(request)).decode(), keep_blank_values=True, max_num_fields=100, errors="strict")
            if "value" not in form:
                return self._refused("system error: the form has no value", 503)
            value = form["value"][0].strip()
            if not key or not value:
                return self._refused("empty key or value", 503)
            await self._asking.ask((calls.put(key, json.dumps(value).encode(), None),), LIMIT_MS)
        except Problem as problem:
            return self._failed(problem)
        except (UnicodeDecodeError, ValueError, ClientDisconnect) as error:
            return self._refused(f"system error: no form: {error}", 503)
        return self._response_of({"ok": True, "key": key, "value": value}, 200)

    def _elsewhere(self, request: Request, status: int) -> Response | None:
        """The leader's address, where this server is not it; that there is none."""
        leader = self._leader()
        if leader is None:
            return self._refused("no leader", 503)
        if leader == self._listener:
            return None
        path, query = request.scope["raw_path"].decode("latin-1"), request.scope["query_string"].decode("latin-1")
        address = _reached_by(request, leader.address)
        return RedirectResponse(f"{request.scope['scheme']}://{address}{path}{'?' if query else ''}{query}", status)

    def _leader(self) -> Listener | None:
        """Who leads as far as this server knows, which knows of nobody while it is down."""
        if self._gateway.desk.is_closed or not self._gateway.is_up(self._listener):
            return None
        return self._gateway.view.leader_among(self._gateway, self._members(), self._listener)

    def _members(self) -> list[Listener]:
        return self._gateway.own.members("distraft")

    # -- the server

    async def status(self, request: Request) -> Response:
        """How this server is, and what it knows of the others."""
        leader = self._leader()
        is_leader = leader == self._listener
        told = self._gateway.view.standing(self._gateway, self._listener, is_leader)
        names = {each.number: each.name for each in self._members() if each != self._listener}
        role = told.role if is_leader or told.role != LEADER else FOLLOWER  # one that takes no calls may lead all the same
        status: Mapping[str, Any] = {
            "id": self._listener.name,
            "leader": leader.name if leader else None,
            "is_leader": is_leader,
            "state": STATES.get(role, "Follower"),
            "up": self._gateway.is_up(self._listener),
            "commit_index": told.commit_index,
            "last_applied": told.last_applied,
            "last_log_index": told.last_log_index,
            "last_log_term": told.last_log_term,
            "term": told.term,
            "next_index": {names[number]: index for number, index in told.next_index.items() if number in names},
            "match_index": {names[number]: index for number, index in told.match_index.items() if number in names},
            "members": {each.name: [*msgspec.structs.astuple(_reached_by(request, each.address))] * 2 for each in self._members()},
        }
        return self._response_of({"ok": True, "status": status}, 200)

    async def stop(self, _request: Request) -> Response:
        """Take no calls any more; what stands beside it may end too, as the protocol and the laboratory have it."""
        self._gateway.switch(self._listener, is_up=False)
        return self._response_of({"ok": True}, 200)

    async def start(self, _request: Request) -> Response:
        """Take calls again."""
        self._gateway.switch(self._listener, is_up=True)
        return self._response_of({"ok": True}, 200)

    # -- answers

    def _failed(self, problem: Problem) -> Response:
        """Beyond the published statuses: 504 where it may have happened."""
        return self._refused(f"system error: {problem.detail}", 504 if problem.status == 504 else 503)

    def _refused(self, error: str, status: int) -> Response:
        return self._response_of({"ok": False, "error": error}, status)

    def _response_of(self, told: Mapping[str, Any], status: int) -> Response:
        text = json.dumps(told, ensure_ascii=False, indent=self._indent, sort_keys=True, allow_nan=False)
        # Half of a surrogate pair stays an escape; JSON has no other place for one.
        body = _HALF_OF_A_PAIR.sub(lambda half: f"\\u{ord(half[0]):04x}", text).encode()
        return Response(body + b"\n", status, media_type="application/json")

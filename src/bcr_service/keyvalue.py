"""The dialect of the key-value assignment: lists of strings under keys, and errors as plain text.

`GET /keys/{key}` gives the list; `POST` writes one, `{"type": "PUT", "value": ["a"]}`, or puts a string at its end,
`{"type": "APPEND", "value": "b"}`; `/admin/status` tells how the node is, as a Python dictionary.
"""

import json

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from bcr.raft.elections import CANDIDATE, FOLLOWER, LEADER, PRE_CANDIDATE
from bcr_service import calls
from bcr_service.bodies import body_of
from bcr_service.gateway import GatewayState
from bcr_service.key_path import KEY_PATH, key_in
from bcr_service.metrics import Metrics
from bcr_service.outcomes import LIMIT_MS, Asking
from bcr_service.problems import Problem
from bcr_service.service_files import Listener

TEXT = "text/plain"
STATES = {FOLLOWER: 0, PRE_CANDIDATE: 1, CANDIDATE: 1, LEADER: 2}  # as these nodes tell them
REACHABLE, UNREACHABLE = 2, 0  # of a partner, as these nodes tell it


def application(gateway: GatewayState, asking: Asking, _metrics: Metrics, listener: Listener) -> Starlette:
    """The ASGI application of one node."""
    node = Node(gateway, asking, listener)
    return Starlette(
        routes=[
            Route(KEY_PATH, node.get, methods=["GET"]),
            Route(KEY_PATH, node.post, methods=["POST"]),
            Route("/admin/status", node.status, methods=["GET"]),
        ],
        exception_handlers={HTTPException: _elsewhere},
    )


async def _elsewhere(_request: Request, _error: Exception) -> Response:
    """Whatever is no key and no status: 405, as in the assignment."""
    return Response(None, 405)


def _unread(_number: str) -> None:
    """In place of a number: a list of strings has none."""


class Node:
    """One node, as its callers know it."""

    def __init__(self, gateway: GatewayState, asking: Asking, listener: Listener) -> None:
        self._gateway = gateway
        self._asking = asking
        self._listener = listener

    async def get(self, request: Request) -> Response:
        """The list under a key: 404 where there is none, 400 where something else stands there."""
        try:
            settled = await self._asking.ask((calls.get(key_in(request)),), LIMIT_MS)
        except Problem as problem:
            return self._response_of(problem.status, problem.detail)
        found = calls.got(settled.results[0])
        if found is None:
            return self._response_of(404)
        value = json.loads(found[0], parse_int=_unread)  # which may have more digits than Python reads
        if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
            return self._response_of(400)
        return Response(json.dumps(value).encode(), media_type="application/json")

    async def post(self, request: Request) -> Response:
        """Write a list, or put a string at the end of one, which is made where there is none."""
        try:
            body = await body_of(request)
            operation = calls.posted(key_in(request), body, None)
            await self._asking.ask((operation,), LIMIT_MS)
        except Problem as problem:
            text = calls.VALUE_NOT_VALID if problem.status == 409 else str(problem.more.get("error", problem.detail))
            return self._response_of(400 if problem.status == 409 else problem.status, text)
        except ClientDisconnect:
            return self._response_of(400, calls.NOT_VALID)
        return self._response_of(204)

    async def status(self, _request: Request) -> Response:
        """How the node is; of the chain a term is a configuration, and the log counts its slots."""
        members = self._gateway.own.members("keyvalue")
        partners = [each for each in members if each != self._listener]
        leader = self._gateway.view.leader_among(self._gateway, members, self._listener)
        standing = self._gateway.view.standing(self._gateway, self._listener, leader == self._listener)
        told = {
            "self": str(self._listener.address),
            "state": STATES[standing.role],
            "leader": None if leader is None else str(leader.address),
            "partner_nodes_count": len(partners),
            **{f"partner_node_status_server_{each.address}": REACHABLE if self._gateway.is_up(each) else UNREACHABLE for each in partners},
            "log_len": standing.last_log_index,
            "last_applied": standing.last_applied,
            "commit_idx": standing.commit_index,
            "raft_term": standing.term,
            **{
                f"next_node_idx_server_{each.address}": standing.next_index[each.number]
                for each in partners
                if each.number in standing.next_index
            },
            **{
                f"match_idx_server_{each.address}": standing.match_index[each.number]
                for each in partners
                if each.number in standing.match_index
            },
            "uptime": int(self._gateway.uptime_s()),
        }
        return self._response_of(200, str(told))

    def _response_of(self, status: int, text: str = "") -> Response:
        return Response(text.encode() if text else None, status, media_type=TEXT if text else None)

"""What is known of the servers of a service with a leader, and what has happened to them."""

import contextlib
import multiprocessing
import os
import signal
import time
from typing import Any

import msgspec

from bcr.raft.server_status import ServerStatus
from bcr_runtime.server_folder import note_begun
from bcr_service.keeper import STATUS_LIMIT_S, Keeping, ServiceLaunch
from bcr_service.protocol_views import VIEWS
from bcr_service.service_files import HTTP


class ServerKeeping(Keeping):
    """The servers by position; who leads is who says so in the highest term."""

    def __init__(self, launch: ServiceLaunch) -> None:
        super().__init__(launch)
        self.number = 0  # one configuration for ever: who decides stands in the log
        count = launch.settings.num_replicas
        self._statuses: list[ServerStatus | None] = [None] * count
        self._heard_s = [0.0] * count
        self._modes = ["starting"] * count
        self._lost_servers: set[int] = set()
        self._term = 0
        self._leader: int | None = None
        self._members = launch.settings.first_members or tuple(range(count))
        self._changes: list[str] = []
        self._is_begun = False

    def heard_of_server(self, status: ServerStatus) -> None:
        """A server has said how it is."""
        self._statuses[status.position] = status
        self._heard_s[status.position] = time.monotonic()
        self._see_modes()
        self._see_leader()
        settings = self._launch.settings
        if settings.durable and not self._is_begun and None not in self._statuses:
            self._is_begun = True  # every disk is there: from now on one that is missing is lost
            note_begun(settings)

    def is_known(self) -> bool:
        """Whether somebody leads, so that callers can be answered."""
        return self._leader is not None

    def told_of_trust(self) -> str:
        """What whoever starts the service should know of its answers."""
        return VIEWS[self._launch.protocol].why_no_proofs

    def lost(self, position: int) -> None:
        """A server has ended for good."""
        self._lost_servers.add(position)
        self._see_modes()

    def revived(self, name: str) -> None:
        position = int(name.removeprefix("replica_"))
        self._statuses[position], self._heard_s[position] = None, 0.0
        super().revived(name)

    def is_held(self, position: int) -> bool:
        """Whether somebody has stopped it, and it is not to begin again before that is taken back."""
        return any(each.number == position and each.name in self.stopped for each in self._launch.gateways[0].everybody)

    def server(self, name: str, is_up: bool) -> None:
        """A server of a dialect is to take calls again, or to end; without a disk it only takes none."""
        super().server(name, is_up)
        position = next((each.number for each in self._launch.gateways[0].everybody if each.name == name), -1)
        pid = self.pid_of(position)
        if not is_up and pid is not None and self._launch.settings.durable:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def pid_of(self, position: int) -> int | None:
        status = self._statuses[position] if 0 <= position < len(self._statuses) else None
        living_pids = {child.pid for child in multiprocessing.active_children()}
        return None if status is None or status.pid not in living_pids else status.pid

    def process_ids(self) -> list[int]:
        return [pid for position in range(len(self._statuses)) if (pid := self.pid_of(position)) is not None]

    def positions(self) -> range:
        return range(len(self._statuses))

    def change_asked(self, kind: str, server: int) -> None:
        """Somebody wants another one to decide, or to lead."""
        self._changes.append(f"{kind} replica_{server}")
        self._happened("change", what=kind, server=server, done=None)

    def change_over(self, kind: str, server: int, is_made: bool) -> None:
        """It is so now, or was given up: it may come all the same, where it is in a leader's log already."""
        self._changes.remove(f"{kind} replica_{server}")
        self._happened("change", what=kind, server=server, done=is_made)

    def _see_modes(self) -> None:
        for position in range(len(self._statuses)):
            mode = self._mode_at(position)
            if mode != self._modes[position]:
                self._modes[position] = mode
                self._happened("mode", replica=position, mode=mode)

    def _mode_at(self, position: int) -> str:
        if position in self._lost_servers:
            return "gone"
        if self.is_held(position) and self.pid_of(position) is None:
            return "stopped"
        if not self._heard_s[position]:
            return "starting"
        return "silent" if time.monotonic() - self._heard_s[position] > STATUS_LIMIT_S else "active"

    def _see_leader(self) -> None:
        known_statuses = [each for each in self._statuses if each is not None and self._modes[each.position] == "active"]
        self._term = max([self._term, *(each.term for each in known_statuses)])
        leaders = [each for each in known_statuses if each.leads]
        best = max(leaders, key=lambda each: each.term, default=None)
        leader = None if best is None else best.position
        if best is not None:
            self._members = best.members
        if leader != self._leader:
            self._leader = leader
            self._happened("leader", leader=leader, term=self._term if best is None else best.term)

    def has_news(self) -> bool:
        self._see_modes()
        self._see_leader()
        return super().has_news()

    def status(self) -> dict[str, Any]:
        gateways = [str(listener.address) for listener in self._launch.gateways[0].members(HTTP)]
        return {
            "configuration": 0,
            "t": self._launch.settings.t,
            "term": self._term,
            "leader": self._leader,
            "members": self._members,
            "servers": [self._server_facts(position) for position in range(len(self._statuses))],
            "changes": self._changes,
            "gateways": gateways,
            "stopped": sorted(self.stopped),
            "gone": sorted(self.gone),
        }

    def _server_facts(self, position: int) -> dict[str, Any]:
        status = self._statuses[position]
        empty_status = ServerStatus(position, "follower", 0, None, None, 0, 0, 0, 0, (), (), (), 0)
        told: dict[str, Any] = msgspec.structs.asdict(status or empty_status)
        return {**told, "mode": self._modes[position], "decides": position in self._members, "pid": told["pid"] or None}

"""What happened in a simulated run, message by message: a digest of all of it, and on demand all of it."""

import hashlib
import zlib
from typing import Any

import msgspec

from bcr_sim.world import MICROSECOND_NS, World


class Step(msgspec.Struct, frozen=True, array_like=True):
    """A message that arrived or was lost, or something that befell a process (`message` then says what)."""

    time_us: int
    kind: str  # "arrived", "lost" or "befell"
    sender: str
    receiver: str
    message: str
    sent_us: int


class Trace:
    """Takes the steps of a run. Equal digests are equal runs, byte for byte of every message."""

    def __init__(self, world: World, keeps_steps: bool) -> None:
        self._world = world
        self._hash = hashlib.sha256()
        self._sent_us: dict[int, int] = {}
        self.steps: list[Step] | None = [] if keeps_steps else None

    def digest(self) -> str:
        return self._hash.hexdigest()

    def arrived(self, receiver: Any, sender: str, message: tuple[Any, ...]) -> None:
        self._note("arrived", sender, receiver.name, message)

    def lost(self, sender: Any, receiver: Any, message: tuple[Any, ...]) -> None:
        self._note("lost", sender.name, receiver.name, message)

    def befell(self, process: str, what: str) -> None:
        self._note("befell", process, process, (what,))

    def sending(self, content: tuple[Any, ...]) -> None:
        """Remember when a message left; `content` is the object that will arrive."""
        if self.steps is not None:
            self._sent_us[id(content)] = self._world.now_ns // MICROSECOND_NS

    def _note(self, kind: str, sender: str, receiver: str, message: tuple[Any, ...]) -> None:
        checksum = 0
        for part in message:
            if isinstance(part, bytes):
                checksum = zlib.crc32(part, checksum)
        line = f"{self._world.now_ns} {kind} {sender} {receiver} {message[0]} {checksum}\n"
        self._hash.update(line.encode())
        if self.steps is not None:
            now_us = self._world.now_ns // MICROSECOND_NS
            sent_us = self._sent_us.get(id(message), now_us)
            self.steps.append(Step(now_us, kind, sender, receiver, str(message[0]), sent_us))

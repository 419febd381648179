"""What happened in a simulated run, message by message: a digest of all of it, and on demand all of it.

What no process can know, such as that a message was lost or changed on its way, stands in a log of the simulator's own.
"""

import hashlib
import zlib
from typing import Any

import msgspec

from bcr.chain.bundles import singles
from bcr.chain.messages import IN_PIECES, SEALED
from bcr.signed.encoding import decode
from bcr.signed.pieces import Piece
from bcr.signed.signing import SEAL_SIZE
from bcr.signed.violations import MalformedMessage
from bcr_runtime.journal import Journal, identity
from bcr_sim.world import MICROSECOND_NS, World


class TraceEvent(msgspec.Struct, frozen=True, array_like=True):
    """A message that arrived or was lost, or something that befell a process (`message` then says what); its size is in bytes."""

    time_us: int
    kind: str  # "arrived", "lost" or "befell"
    sender: str
    receiver: str
    message: str
    sent_us: int
    size: int = 0


class Trace:
    """Takes the steps of a run. Equal digests are equal runs, byte for byte of every message."""

    def __init__(self, world: World, keeps_steps: bool) -> None:
        self._world = world
        self._hash = hashlib.sha256()
        self._sent_us: dict[int, int] = {}
        self.steps: list[TraceEvent] | None = [] if keeps_steps else None
        self._journal: Journal | None = None

    def tell(self, journal: Journal) -> None:
        """Write what befell processes and messages into this log too."""
        self._journal = journal

    def digest(self) -> str:
        return self._hash.hexdigest()

    def arrived(self, receiver: Any, sender: str, message: tuple[Any, ...]) -> None:
        self._note("arrived", sender, receiver.name, message)

    def lost(self, sender: Any, receiver: Any, message: tuple[Any, ...]) -> None:
        self._note("lost", sender.name, receiver.name, message)
        self._write("lost", sender, receiver, message)

    def changed(self, sender: Any, receiver: Any, before: tuple[Any, ...], after: tuple[Any, ...]) -> None:
        """A liar's message goes out otherwise than its process sent it: of a bundle, one in it."""
        for one, other in zip(singles(before), singles(after), strict=False):
            if one != other:
                self._write("changed", sender, receiver, one, becomes=identity_of(other))

    def made_up(self, sender: Any, receiver: Any, message: tuple[Any, ...]) -> None:
        """A liar sends what its process did not."""
        self._note("befell", sender.name, sender.name, (f"sends {message[0]} of its own",))
        self._write("made_up", sender, receiver, message)

    def breached(self, breach: Exception) -> None:
        """A property is found not to hold."""
        if self._journal is not None:
            self._journal.warn("breach", what=breach)

    def befell(self, process: str, what: str) -> None:
        self._note("befell", process, process, (what,))
        if self._journal is not None:
            self._journal.warn("befell", who=process, what=what)

    def _write(self, event: str, sender: Any, receiver: Any, message: tuple[Any, ...], **more: object) -> None:
        if self._journal is None:
            return
        for name, *content in singles(message):
            about = {"message": name, "from": _name(sender), "to": _name(receiver), "id": identity_of((name, *content))}
            self._journal.warn(event, **about, **more)

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
            size = sum(len(part) for part in message if isinstance(part, bytes))
            self.steps.append(TraceEvent(now_us, kind, sender, receiver, str(message[0]), sent_us, size))


def _name(container: Any) -> str:
    """The process as its log is called."""
    number = getattr(container, "configuration", None)
    return str(container.name) if number is None else f"{container.name}-configuration_{number}"


def identity_of(message: tuple[Any, ...]) -> str | None:
    """What the message is known by in the logs; None where it is one of several pieces, or nothing that is logged."""
    name, payload = message[0], message[1] if len(message) > 1 else None
    if not isinstance(payload, bytes):
        return None
    if name in SEALED:
        payload = payload[SEAL_SIZE:]
    elif name in IN_PIECES:
        try:
            piece = decode(Piece, payload)
        except MalformedMessage:
            return None
        if piece.manifest.statement.count > 1:
            return None
        payload = piece.data
    return identity(payload)

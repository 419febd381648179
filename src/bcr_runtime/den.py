"""What the faulty replicas of a run tell each other behind everybody's back: old messages, to be sent again.

A replica ends with its configuration. Whoever owns faulty replicas of several configurations owns what all of them know.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol
from weakref import WeakKeyDictionary

from bcr_runtime import ambient
from dacurrent import codec

Stamp = tuple[int, int]  # configuration, and the attempt to catch up in it
Messages = Sequence[tuple[Any, ...]]  # as they travel; more than one where a message comes in pieces


class Den(Protocol):
    def put(self, kind: str, stamp: Stamp, messages: Messages) -> None:
        """Keep a message of a kind, as the newest of its configuration and attempt."""

    def newest(self, kind: str, before: Stamp) -> Messages:
        """The newest message of a kind from an earlier configuration or attempt; empty where there is none."""


class MemoryDen:
    """The den of a run whose processes all live in this process of the operating system."""

    def __init__(self) -> None:
        self._messages: dict[str, dict[Stamp, Messages]] = {}

    def put(self, kind: str, stamp: Stamp, messages: Messages) -> None:
        self._messages.setdefault(kind, {})[stamp] = tuple(messages)

    def newest(self, kind: str, before: Stamp) -> Messages:
        kept = self._messages.get(kind, {})
        earlier_stamps = [stamp for stamp in kept if stamp < before]
        return kept[max(earlier_stamps)] if earlier_stamps else ()


class FolderDen:
    """A den as a folder of files, for processes of one host."""

    def __init__(self, folder: Path) -> None:
        """The folder is made with the first message."""
        self._folder = folder

    def put(self, kind: str, stamp: Stamp, messages: Messages) -> None:
        folder = self._folder / kind
        folder.mkdir(parents=True, exist_ok=True)
        draft = folder / f".{os.getpid()}"
        draft.write_bytes(codec.encode(tuple(messages)))
        draft.rename(folder / f"{stamp[0]}-{stamp[1]}")

    def newest(self, kind: str, before: Stamp) -> Messages:
        earlier_stamps = {}
        for file in (self._folder / kind).glob("[0-9]*"):
            configuration, _, attempt = file.name.partition("-")
            earlier_stamps[int(configuration), int(attempt)] = file
        earlier_stamps = {stamp: file for stamp, file in earlier_stamps.items() if stamp < before}
        messages: Messages = codec.decode(earlier_stamps[max(earlier_stamps)].read_bytes()) if earlier_stamps else ()
        return messages


_of_worlds: WeakKeyDictionary[ambient.Source, MemoryDen] = WeakKeyDictionary()


def den_in(folder: Path) -> Den:
    """The den of the run whose logs are in this folder; of a simulated run, which may have none, that of its world."""
    world = ambient.source()
    if type(world) is ambient.SystemSource:
        return FolderDen(folder / "den")
    return _of_worlds.setdefault(world, MemoryDen())

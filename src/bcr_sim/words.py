"""Which words of a scenario's `simulation` took effect in a run, and why the others did not.

A word that never takes effect makes a test of it a test of nothing. It changes no verdict, and is told as a fault of the file is that
never met its trigger. What is so from the beginning is no such word: seed, delays, clocks, limits, the kind of signatures.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from bcr.scenario.values import (
    Amnesia,
    Crash,
    Cut,
    DiskFault,
    Hold,
    Mutation,
    Pause,
    PowerCut,
    Restart,
    Simulation,
    SyncEnd,
)
from bcr.verdict.missed import Missed
from bcr_sim.world import MILLISECOND_NS

WHOSE = "simulation"
NAMES = {Amnesia: "amnesia", Crash: "crash", Cut: "cut", Hold: "hold", Mutation: "mutate", Pause: "pause", PowerCut: "power_cut",
         Restart: "restart", SyncEnd: "end_in_sync"}  # fmt: skip
SHARES = {"lose": "lost", "duplicate": "doubled", "flip": "flipped"}  # of the messages, and what becomes of them


class LiarWord(msgspec.Struct, frozen=True):
    """A position of which `name` is said, twins or free."""

    name: str
    position: int


class ShareWord(msgspec.Struct, frozen=True):
    """Of a thousand messages so many are lost, doubled or flipped, as `name` says."""

    name: str
    permille: int


Word = Amnesia | Crash | Cut | DiskFault | Hold | Mutation | Pause | PowerCut | Restart | SyncEnd | LiarWord | ShareWord


class Words:
    """The words of one run, which tells of each that takes effect, and why one that comes to its time does not."""

    def __init__(self, options: Simulation) -> None:
        shares = [ShareWord(name, getattr(options, name)) for name in SHARES if getattr(options, name)]
        liars = [*(LiarWord("twins", position) for position in options.twins), *(LiarWord("free", position) for position in options.free)]
        of_processes: tuple[Word, ...] = (*options.crashes, *options.pauses, *options.mutations, *options.amnesias)
        of_disks: tuple[Word, ...] = (*options.restarts, *options.sync_ends, *options.power_cuts, *options.disk_faults)
        self.all: tuple[Word, ...] = tuple(dict.fromkeys((*shares, *options.cuts, *options.holds, *of_processes, *liars, *of_disks)))
        self._until_ms = options.until  # when messages are lost, doubled and flipped no more
        self._effective: set[Word] = set()
        self._whys: dict[Word, str] = {}

    def took_effect(self, word: Word) -> None:
        self._effective.add(word)

    def tried(self, word: Word, why_not: str) -> None:
        """The word has come to its time: it took effect, or `why_not` says why it did not."""
        if why_not:
            self._whys[word] = why_not
        else:
            self._effective.add(word)

    def missed(self, over_ns: int, syncs: Mapping[str, int]) -> list[dict[str, str]]:
        """Those that never took effect, as result.json has them, in a run that was over then and had so many `syncs` of each process."""
        idle = [word for word in self.all if word not in self._effective]
        return [msgspec.structs.asdict(Missed(WHOSE, text_of(word), self._why(word, over_ns, syncs))) for word in idle]

    def _why(self, word: Word, over_ns: int, syncs: Mapping[str, int]) -> str:
        if word in self._whys:
            return self._whys[word]
        if isinstance(word, SyncEnd):
            return f"number {word.count} of its syncs never came, counted from 0: there were {syncs.get(word.process, 0)}"
        if isinstance(word, ShareWord):
            told = f"none of the messages was {SHARES[word.name]}"
            return told if self._until_ms else f"{told}: without until(ms) that ends before it begins"
        since_ms = getattr(word, "at", getattr(word, "since", 0))
        if since_ms * MILLISECOND_NS >= over_ns:
            return f"the run was over at {over_ns / MILLISECOND_NS:.0f} ms"
        return next(_whys(word))


def _whys(word: Word) -> Iterator[str]:
    """Why such a word does nothing, though its time has come."""
    match word:
        case Cut(sender, receiver) | Hold(sender, receiver):
            yield f"{sender} sent {receiver} nothing in between"
        case Mutation(position):
            yield f"replica {position} sent nothing of which one was chosen to be changed"
        case LiarWord("free", position):
            yield f"replica {position} told no lie"
        case LiarWord("twins", position):
            yield f"replica {position} was never made"
        case _:
            yield "nothing in this run heeds it"


def text_of(word: Word) -> str:
    """The word as a scenario file has it."""
    match word:
        case DiskFault(process, fault, at, sync_ms):
            return f"disk({process},{f'slow({sync_ms})' if fault == 'slow' else fault},{at})"
        case LiarWord(name, number) | ShareWord(name, number):
            return f"{name}({number})"
    arguments: tuple[Any, ...] = msgspec.structs.astuple(word)
    return f"{NAMES[type(word)]}({','.join(map(str, arguments))})"

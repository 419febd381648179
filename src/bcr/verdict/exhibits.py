"""Signed statements that a process puts away because they may convict somebody (specification, 5.1), for whoever looks later.

A process keeps no log of what it receives. What it does keep are the statements in what it found wrong: a few of each
signer, so that nobody fills another's memory, and so that one liar's many do not drive out another's only one.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

import msgspec

from bcr.chain.history import CaughtUp, InitialHistory, Wedged
from bcr.signed.encoding import encode
from bcr.signed.signing import Signed
from bcr.signed.statements import Checkpoint, Order, Result
from bcr.signed.violations import InvalidSignature, ProtocolViolation

# What may stand in a record or a file of evidence beside answers and configurations.
Exhibit = Signed[Order | Result | Checkpoint | Wedged | CaughtUp | InitialHistory]

SMALL = (Order, Result, Checkpoint)  # statements of less than 200 bytes
MAX_OF_A_SIGNER = 8  # of each kind, by one process
MAX_EXHIBITS = 64  # small ones, of one process
MAX_SEARCHED = 2_000  # statements of a message: what is wrong may be long as well
MAX_CHANGE_BYTES = 8 << 20  # that Olympus keeps of what it was told in one reconfiguration
DEEPEST = 8  # structures within structures that are searched


class Exhibits:
    """The small statements that one process has put away."""

    def __init__(self) -> None:
        self._kept: dict[Exhibit, None] = {}
        self._of: Counter[tuple[type, int]] = Counter()

    def take(self, value: Any) -> None:
        """Put away what a violation's evidence holds, or a message in which something was wrong.

        What an InvalidSignature carries is nobody's statement, and is left out.
        """
        if len(self._kept) == MAX_EXHIBITS:
            return  # and who sends without end is not searched without end
        for signed in islice(statements_in(value), MAX_SEARCHED):
            kind = type(signed.statement), signed.signer
            if isinstance(signed.statement, SMALL) and signed not in self._kept and self._of[kind] < MAX_OF_A_SIGNER:
                if len(self._kept) == MAX_EXHIBITS:
                    return
                self._kept[signed] = None
                self._of[kind] += 1

    def compare(self, proof: Sequence[Signed[Checkpoint]]) -> None:
        """Put a checkpoint's proof away if not all of its statements say the same."""
        if len({signed.statement for signed in proof}) > 1:
            self.take(proof)

    def all(self) -> tuple[Exhibit, ...]:
        return tuple(self._kept)


class ChangeExhibits:
    """What Olympus was told, and said, in one reconfiguration; of more than MAX_CHANGE_BYTES the first."""

    def __init__(self) -> None:
        self._kept: dict[bytes, Exhibit] = {}
        self._bytes = 0

    def take(self, signed: Any) -> None:
        """Put a signed statement away, if there is room for it."""
        encoded = encode(signed)
        if encoded not in self._kept and self._bytes + len(encoded) <= MAX_CHANGE_BYTES:
            self._kept[encoded] = signed
            self._bytes += len(encoded)

    def all(self) -> tuple[Exhibit, ...]:
        return tuple(self._kept.values())


def statements_in(value: Any, depth: int = 0) -> Iterator[Exhibit]:
    """The signed statements in whatever a violation carries: messages, proofs, other violations."""
    if depth > DEEPEST or isinstance(value, InvalidSignature):
        return
    if isinstance(value, ProtocolViolation):
        yield from _in_all(value.evidence, depth)
    elif isinstance(value, Signed):
        if isinstance(value.statement, SMALL):
            yield value
        else:
            yield from statements_in(value.statement, depth + 1)
    elif isinstance(value, tuple | list):
        yield from _in_all(value, depth)
    elif isinstance(value, msgspec.Struct):
        yield from _in_all((getattr(value, name) for name in value.__struct_fields__), depth)


def _in_all(values: Iterable[Any], depth: int) -> Iterator[Exhibit]:
    for each in values:
        yield from statements_in(each, depth + 1)

"""Payloads larger than a message: sent in numbered pieces, put together again within limits."""

from collections.abc import Hashable

MAX_PIECES = 100_000
MAX_PAYLOAD_BYTES = 1 << 30


class Pieces:
    """A payload that arrives in numbered pieces, in any order."""

    def __init__(self) -> None:
        self._pieces: dict[int, bytes] = {}
        self._count: int | None = None
        self._size = 0

    def add(self, index: int, count: int, piece: bytes) -> None:
        """Add one of `count` pieces; what does not fit is left out, so the payload stays incomplete.

        Numbers and piece are as a peer sent them, of whatever type.
        """
        if not (isinstance(index, int) and isinstance(count, int) and isinstance(piece, bytes)):
            return
        if not (0 <= index < count <= MAX_PIECES and self._count in (None, count)) or index in self._pieces:
            return
        self._size += len(piece)
        if self._size > MAX_PAYLOAD_BYTES:
            return
        self._count = count
        self._pieces[index] = piece

    def payload(self) -> bytes | None:
        """The whole payload, or None while pieces are missing."""
        if self._count is None or len(self._pieces) < self._count:
            return None
        return b"".join(self._pieces[index] for index in range(self._count))


class Assembler:
    """Puts payloads together that several senders send in pieces; of each sender the latest payload only.

    A sender gives each payload another tag. Pieces of an unfinished payload are dropped when the sender begins the
    next, so a sender that never finishes holds the memory of one payload.
    """

    def __init__(self) -> None:
        self._unfinished: dict[Hashable, tuple[int, Pieces]] = {}

    def __len__(self) -> int:
        """How many payloads are unfinished."""
        return len(self._unfinished)

    def add(self, sender: Hashable, tag: int, index: int, count: int, piece: bytes) -> bytes | None:
        """Add a piece; returns the whole payload when it was the last one that was missing."""
        current, pieces = self._unfinished.get(sender, (None, Pieces()))
        if current != tag:
            pieces = Pieces()
            self._unfinished[sender] = (tag, pieces)
        pieces.add(index, count, piece)
        payload = pieces.payload()
        if payload is not None:
            del self._unfinished[sender]
        return payload


def pieces_of(payload: bytes, size: int) -> list[bytes]:
    """The payload in pieces of at most `size` bytes; at least one piece."""
    return [payload[start : start + size] for start in range(0, len(payload), size)] or [b""]

"""Payloads larger than a message: sent in pieces that are authenticated before they are put together, within limits
(specification, 7a.3).

The sender signs a manifest of the whole, and each piece comes with its path to the root in it. So nobody else's piece is
ever put beside a signer's, whatever sender the message names, and what a signer can make others hold is bounded.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType

import msgspec

from bcr.signed.merkle import Tree, root_above
from bcr.signed.signing import Author, Keyring, Keys, Signed, Statement
from bcr.signed.violations import MalformedMessage, OverLimit

MAX_PIECES = 100_000
MAX_PAYLOAD_BYTES = 1 << 30
PIECE_OVERHEAD_BYTES = 1_024  # for what stands beside the data of a piece
LEAST_PIECE_BYTES = 256
MOST_PIECE_BYTES = 1 << 20  # so that whoever waits for much hears that it goes on
PROGRESS_STEPS = 8  # that a payload on its way, or a long catch-up, counts as at the most
PAYLOADS_WITH_STEPS = 4  # of a signer and kind; with more it would be waited for as long as it likes to begin others

EVERYBODY = -1  # as the receiver of what is for no single replica

_PIECES = "pieces"  # domain of the trees over them
_DOMAIN = b"bcr piece\0"


class Manifest(Statement, frozen=True, tag="manifest"):
    """What a process sends in pieces: which message, of which configuration, how large and in how many pieces.

    `serial` rises with everything that its signer sends in pieces; `root` is that of the Merkle tree over the pieces.
    `receiver` is the position of the replica that it is for: passed on to another it would take the place of that one's own.
    """

    message: str
    configuration: int
    serial: int
    size: int
    count: int
    root: bytes
    receiver: int = EVERYBODY

    def readers(self, circle: Keyring, signer: int) -> Sequence[bytes]:
        return circle.replicas


class Piece(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The piece at `index`, and its path to the root in the manifest."""

    manifest: Signed[Manifest]
    index: int
    path: tuple[bytes, ...]
    data: bytes


def pieces_of(payload: bytes, size: int) -> list[bytes]:
    """The payload in pieces of at most `size` bytes; at least one piece."""
    return [payload[start : start + size] for start in range(0, len(payload), size)] or [b""]


def piece_bytes(message_limit_bytes: int) -> int:
    """How much of a payload goes into a piece, where messages may have so many bytes."""
    return max(LEAST_PIECE_BYTES, min(message_limit_bytes, MOST_PIECE_BYTES) - PIECE_OVERHEAD_BYTES)


def signed_pieces(
    message: str,
    configuration: int,
    serial: int,
    payload: bytes,
    message_limit_bytes: int,
    signer: int,
    keys: Keys,
    receiver: int = EVERYBODY,
) -> Iterator[Piece]:
    """The payload as pieces that fit into messages of that size, under one signature."""
    parts = pieces_of(payload, piece_bytes(message_limit_bytes))
    tree = Tree(_PIECES, [_leaf(part) for part in parts])
    statement = Manifest(message, configuration, serial, len(payload), len(parts), tree.root, receiver)
    manifest = Signed.sign(statement, signer, keys)
    return (Piece(manifest, index, tree.path(index), part) for index, part in enumerate(parts))


def _leaf(data: bytes) -> bytes:
    return hashlib.sha256(_DOMAIN + data).digest()


def _steps(count_so_far: int, count: int) -> int:
    """What counts as progress are whole pieces, but for the last: with that one the payload is there."""
    steps = min(PROGRESS_STEPS, count - 1)
    return steps * min(count_so_far, count - 1) // max(1, count - 1)


class Assembler:
    """Puts payloads together that several signers send in pieces; of each signer one at a time, the latest.

    Whoever begins another payload drops its unfinished one, and none with an older serial is heard of any more. So it
    holds no more of a signer than the largest of `limits_bytes`, which has for each message how large it may legitimately
    be, and a signer is who the caller knows. Pieces are of `piece_bytes`, but for the last: who makes more of them, to be
    waited for longer, is not heard.
    """

    def __init__(self, limits_bytes: Mapping[str, int] = MappingProxyType({}), piece_bytes: int = LEAST_PIECE_BYTES) -> None:
        self._limits_bytes = limits_bytes
        self._piece_bytes = piece_bytes
        self._serials: dict[int, int] = {}  # signer -> of the latest payload, finished or not
        self._unfinished_payloads: dict[int, tuple[Signed[Manifest], dict[int, bytes]]] = {}
        self._payload_counts: Counter[tuple[int, str]] = Counter()  # payloads, by signer and kind
        self._steps: Counter[int] = Counter()  # by signer
        self._bytes_by_signer: dict[int, int] = {}  # signer -> bytes of its unfinished payload

    def add(self, piece: Piece, author: Author, name: str) -> bytes | None:
        """Take a piece of `author`, whom errors call `name`; the whole payload when it was the last that was missing.

        Raises a ProtocolViolation where the author did not send it so, and OverLimit where it is too much.
        """
        signed_manifest = piece.manifest
        manifest, signer = signed_manifest.statement, signed_manifest.signer
        known_manifest, parts = self._unfinished_payloads.get(signer, (None, {}))
        if signed_manifest != known_manifest:
            if manifest.serial <= self._serials.get(signer, -1):
                return None  # of a payload that is there already, or was given up
            if not self._may_be(manifest):
                raise OverLimit(f"{manifest.message} of {manifest.size} bytes in {manifest.count} pieces")
            signed_manifest.demand_authentic(author, name)
            parts = {}
            self._payload_counts[signer, manifest.message] += 1
            self._unfinished_payloads[signer] = signed_manifest, parts
            self._serials[signer] = manifest.serial
            self._bytes_by_signer[signer] = 0
        if root_above(_PIECES, _leaf(piece.data), piece.index, manifest.count, piece.path) != manifest.root:
            raise MalformedMessage(f"not piece {piece.index} of this {manifest.message}")
        if piece.index in parts:
            return None
        if self._bytes_by_signer[signer] + len(piece.data) > manifest.size:
            raise OverLimit(f"{manifest.message}: more than the {manifest.size} bytes that its manifest says")
        parts[piece.index] = piece.data
        self._bytes_by_signer[signer] += len(piece.data)
        if self._payload_counts[signer, manifest.message] <= PAYLOADS_WITH_STEPS:
            self._steps[signer] += _steps(len(parts), manifest.count) - _steps(len(parts) - 1, manifest.count)
        if len(parts) < manifest.count:
            return None
        del self._unfinished_payloads[signer], self._bytes_by_signer[signer]
        return b"".join(parts[index] for index in range(manifest.count))

    def _may_be(self, manifest: Manifest) -> bool:
        limit = min(MAX_PAYLOAD_BYTES, self._limits_bytes.get(manifest.message, MAX_PAYLOAD_BYTES))
        most_pieces = max(1, -(-manifest.size // self._piece_bytes))
        return 0 <= manifest.size <= limit and 0 < manifest.count <= min(most_pieces, MAX_PIECES)

    def __len__(self) -> int:
        """How many payloads are unfinished."""
        return len(self._unfinished_payloads)

    def steps(self, signers: Iterable[int]) -> int:
        """Rises while payloads of these arrive, by PROGRESS_STEPS for each: who waits may go on, and yet not for ever.

        Each step is a piece at least, so that what is small is there or is not, and nobody spins it out. Only for a signer's
        first PAYLOADS_WITH_STEPS of a kind, and never falls.
        """
        return sum(self._steps[signer] for signer in signers)

    def held_bytes(self) -> int:
        """What it holds of unfinished payloads."""
        return sum(self._bytes_by_signer.values())

    def forget(self) -> None:
        """Drop everything: the signers are others from now on."""
        self._unfinished_payloads.clear()
        self._bytes_by_signer.clear()
        self._serials.clear()
        self._payload_counts.clear()
        self._steps.clear()


class Pieces:
    """A payload of at most `limit_bytes` whose numbered pieces arrive in any order, authenticated each of them."""

    def __init__(self, limit_bytes: int | None = None) -> None:
        self._limit_bytes = MAX_PAYLOAD_BYTES if limit_bytes is None else limit_bytes
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
        if self._size > self._limit_bytes:
            return
        self._count = count
        self._pieces[index] = piece

    def __len__(self) -> int:
        """How many have arrived."""
        return len(self._pieces)

    def payload(self) -> bytes | None:
        """The whole payload, or None while pieces are missing."""
        if self._count is None or len(self._pieces) < self._count:
            return None
        return b"".join(self._pieces[index] for index in range(self._count))

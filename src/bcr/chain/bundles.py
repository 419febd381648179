"""Messages of one kind that leave for one process together travel as one (specification, 2.9).

A message takes its sender and its receiver about as much as what it says. What a bundle holds is what would have come one by one, in
the same order, each with its own bytes; a bundle says nothing of its own.
"""

from collections.abc import Iterable, Iterator
from typing import Annotated, Any, Final

import msgspec

from bcr.signed.encoding import decode, encode
from bcr.signed.violations import MalformedMessage

BUNDLES: Final = {"client_request": "client_requests", "result_message": "result_messages"}  # what the bundles of these are called
SINGLES: Final = {bundle: single for single, bundle in BUNDLES.items()}
BUNDLE_LIMIT_BYTES = 1 << 16  # of payloads; what is larger has little to gain
MOST_IN_BUNDLE = 256  # a stranger's message costs whoever gets it no more than so many
OVERHEAD_BYTES = 16 + 5 * MOST_IN_BUNDLE  # at the most, of a bundle beside its payloads

Parts = tuple[Any, ...]  # what is sent: the name of the message, and its payload


class Bundle(msgspec.Struct, frozen=True, array_like=True, tag="bundle"):
    """The payloads of messages of one kind."""

    payloads: Annotated[tuple[bytes, ...], msgspec.Meta(min_length=1, max_length=MOST_IN_BUNDLE)]


def bundled(messages: Iterable[tuple[Parts, Any]], limit_bytes: int) -> Iterator[tuple[Parts, Any]]:
    """The same messages with their receivers, those of a kind for one receiver in bundles. To each receiver they keep their order.

    No bundle has more than `limit_bytes`, which is what a message may have.
    """
    most_bytes = min(BUNDLE_LIMIT_BYTES, limit_bytes - OVERHEAD_BYTES)
    waiting: dict[Any, list[bytes]] = {}  # of one kind, by receiver
    sizes: dict[Any, int] = {}  # of these, in bytes
    kind = ""
    for parts, to in messages:
        if parts[0] != kind:
            yield from _let_go(kind, waiting)
            kind = parts[0]
        if kind not in BUNDLES:
            yield parts, to
            continue
        together = waiting.setdefault(to, [])
        size = len(parts[1]) + (sizes[to] if together else 0)
        if together and (len(together) == MOST_IN_BUNDLE or size > most_bytes):
            yield _bundle(kind, together), to
            together.clear()
            size = len(parts[1])
        together.append(parts[1])
        sizes[to] = size
    yield from _let_go(kind, waiting)


def _let_go(kind: str, waiting: dict[Any, list[bytes]]) -> Iterator[tuple[Parts, Any]]:
    for to, together in waiting.items():
        yield _bundle(kind, together), to
    waiting.clear()


def _bundle(name: str, payloads: list[bytes]) -> Parts:
    return (name, *payloads) if len(payloads) == 1 else (BUNDLES[name], encode(Bundle(tuple(payloads))))


def payloads_in(bundle: bytes) -> tuple[bytes, ...]:
    """What the messages of a bundle hold, in their order. Raises MalformedMessage where it is none."""
    return decode(Bundle, bundle).payloads


def kind_of(name: str) -> str:
    """What the messages are called that one of this name stands for."""
    return SINGLES.get(name, name)


def singles(parts: Parts) -> list[Parts]:
    """A message as those that it stands for: itself, where it is no bundle, or none that can be opened."""
    try:
        return [(SINGLES[parts[0]], payload) for payload in payloads_in(parts[1])] if parts[0] in SINGLES else [parts]
    except MalformedMessage:
        return [parts]

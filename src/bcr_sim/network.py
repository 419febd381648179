"""What the simulated network does to messages: each link keeps their order, and links know nothing of each other."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

from bcr.scenario.values import Cut, Hold, Simulation
from bcr_sim.words import ShareWord, Word
from bcr_sim.world import MICROSECOND_NS, MILLISECOND_NS, World
from dacurrent.logs import DEFAULT_MESSAGE_BUFFER_SIZE

# Olympus is an oracle to the paper, and the harness no part of the protocol: what they send and get is lost only where
# a link is cut by name.
UNRELIABLE = ("replica_", "client_")

T = TypeVar("T", Cut, Hold)

MESSAGE_LIMIT_BYTES = DEFAULT_MESSAGE_BUFFER_SIZE  # as in a run that is told no other


def too_large(sender: str, message: Sequence[Any]) -> list[str]:
    """What is wrong where a process sends what it could not in a run; nothing where it could."""
    size = 0
    for part in message:
        if isinstance(part, bytes):
            size += len(part)
    if size <= MESSAGE_LIMIT_BYTES:
        return []
    return [f"{sender} sends {message[0]} of {size:,} bytes, more than a message may have"]


def _by_link(spans: Iterable[T]) -> dict[tuple[str, str], list[T]]:
    """What hinders a link, by the names of its sender and receiver."""
    found: dict[tuple[str, str], list[T]] = {}
    for span in spans:
        found.setdefault((span.sender, span.receiver), []).append(span)
    return found


class Network:
    """Takes messages and lets them arrive, or not; `on_loss` is told of those that do not, `on_effect` which word has met one."""

    def __init__(
        self, world: World, options: Simulation, on_loss: Callable[..., None], on_effect: Callable[[Word], None] = lambda word: None
    ) -> None:
        self._world = world
        self._options = options
        self._on_loss = on_loss
        self._on_effect = on_effect
        self._arrives_ns: dict[Any, int] = {}  # link -> when the last message on it arrives
        self._cuts = _by_link(options.cuts)
        self._holds = _by_link(options.holds)

    def transmit(self, sender: Any, receiver: Any, message: Any, is_control: bool) -> None:
        """Let `receiver.take(message)` happen later; both have a `name` and an identity of their own."""
        now_ms = self._world.now_ns / MILLISECOND_NS
        copies = 1
        if self._cuts and not is_control and self._is_cut(sender.name, receiver.name, now_ms):
            copies = 0
        elif not is_control and sender.name.startswith(UNRELIABLE) and receiver.name.startswith(UNRELIABLE):
            copies, message = self._fate_of(message, now_ms)
        if not copies:
            self._on_loss(sender, receiver, message)
        held_until_ns = self._held_until_ns(sender.name, receiver.name, now_ms) if self._holds and not is_control else 0
        for _ in range(copies):
            self._world.at(self._arrival_ns(sender, receiver, held_until_ns), receiver.take, message)

    def _fate_of(self, message: Any, now_ms: float) -> tuple[int, Any]:
        """How many times a message arrives on a link that may lose and double some, and the message that does."""
        if now_ms >= self._options.until:
            return 1, message
        chance = self._world.random.random() * 1_000
        if self._options.flip and self._world.random.random() * 1_000 < self._options.flip:
            self._on_effect(ShareWord("flip", self._options.flip))
            message = self._flipped(message)
        if chance < self._options.lose:
            self._on_effect(ShareWord("lose", self._options.lose))
            return 0, message
        if chance < self._options.lose + self._options.duplicate:
            self._on_effect(ShareWord("duplicate", self._options.duplicate))
            return 2, message
        return 1, message

    def _flipped(self, message: Any) -> Any:
        """The message with one bit of its payload changed."""
        source, (command, (clock, parts)) = message
        payload = parts[-1]
        if not isinstance(payload, bytes) or not payload:
            return message
        place = int(self._world.random.random() * len(payload))
        bit = 1 << int(self._world.random.random() * 8)
        payload = payload[:place] + bytes((payload[place] ^ bit,)) + payload[place + 1 :]
        return source, (command, (clock, (*parts[:-1], payload)))

    def _is_cut(self, sender: str, receiver: str, now_ms: float) -> bool:
        found = [cut for cut in self._cuts.get((sender, receiver), ()) if cut.since <= now_ms < cut.until]
        for cut in found:
            self._on_effect(cut)
        return bool(found)

    def _held_until_ns(self, sender: str, receiver: str, now_ms: float) -> int:
        """When what is sent now may arrive at the earliest: where the link is held, at the end of that."""
        found = [hold for hold in self._holds.get((sender, receiver), ()) if hold.since <= now_ms < hold.until]
        for hold in found:
            self._on_effect(hold)
        return max((hold.until for hold in found), default=0) * MILLISECOND_NS

    def _arrival_ns(self, sender: Any, receiver: Any, held_until_ns: int) -> int:
        least, most = self._options.delay
        delay_ns = (least + int(self._world.random.random() * (most - least + 1))) * MICROSECOND_NS
        link = (sender, receiver)
        arrival_ns = max(self._world.now_ns + delay_ns, held_until_ns, self._arrives_ns.get(link, 0))
        self._arrives_ns[link] = arrival_ns
        return arrival_ns

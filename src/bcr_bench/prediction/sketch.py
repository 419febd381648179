"""What an operation must cost: signatures, verifications, messages, bytes and hops, counted from the protocol."""

from collections.abc import Iterable, Sequence
from typing import TypeVar

import msgspec

from bcr.chain.bundles import bundled
from bcr.chain.configuration import Configuration, Member
from bcr.chain.messages import ResultMessage, ResultShuttle, Shuttle
from bcr.chain.slots import ExecutedSlot
from bcr.objects.operation import Operation
from bcr.signed.encoding import encode
from bcr.signed.signing import KEY_SEED_SIZE, SEAL_SIZE, Signed, SigningKey
from bcr.signed.statements import Request
from bcr.state.running import RunningState

T = TypeVar("T")
MESSAGE_BYTES = 1 << 20  # that a message may have


class Sketch(msgspec.Struct, frozen=True):
    """Costs of one operation, shared out over the slot and the request that it is in, over all processes.

    `hops` is how many messages one after another an answer takes; `path_signatures` and `path_verifications` are those
    that it waits for. Failure-free, without checkpoints (specification, 3).
    """

    signatures: float
    verifications: float
    messages: float
    payload_bytes: float
    hops: int
    path_signatures: int
    path_verifications: int


def sketch(t: int, batch: int = 1, operations: int = 1, value_bytes: int = 100, together: int = 1) -> Sketch:
    """The costs with batches of so many requests of so many operations, each with a value of so many bytes.

    Of the requests `together` leave at once, with one signature and in one message, as do their answers. On the path, a replica at
    position i verifies its clients' requests and i order statements, and signs an order and a result; the client signs a request and
    verifies the result statements of all, once where its requests share a slot.
    """
    n = 2 * t + 1
    per_slot = batch * operations
    leaving = -(-batch // together)
    orders = n * (n - 1) // 2
    # Each replica but the tail, on the way back: those of all behind it, and of t at least beside its own.
    results = sum(max(t, n - 1 - position) for position in range(n - 1)) + 1  # the second also checks the head's
    return Sketch(
        signatures=(leaving + 2 * n) / per_slot,
        verifications=(n * leaving + orders + results + n) / per_slot,
        messages=(2 * leaving + 2 * (n - 1)) / per_slot,
        payload_bytes=sum(map(len, payloads(t, batch, operations, value_bytes, together))) / per_slot,
        hops=n + 1,
        path_signatures=1 + 2 * n,
        path_verifications=n * leaving + orders + n,
    )


def sealed(message: Shuttle | ResultShuttle) -> bytes:
    """The message as neighbours send it to each other, under some seal."""
    return bytes(SEAL_SIZE) + encode(message)


def payloads(t: int, batch: int, operations: int, value_bytes: int, together: int) -> Sequence[bytes]:
    """Every message that answers one slot's requests, encoded."""
    n = 2 * t + 1
    keys = [SigningKey(bytes([position]) * KEY_SEED_SIZE) for position in range(n)]
    client = SigningKey(b"c" * KEY_SEED_SIZE)
    members = tuple(Member(key.public, f"replica {position}") for position, key in enumerate(keys))
    configuration = Configuration(0, t, members, (Member(client.public, "client 0"),))
    puts = tuple(Operation("put", f"key{index}", "x" * value_bytes) for index in range(operations))
    statements = [Request(0, number, puts) for number in range(batch)]
    leaving = [Signed.sign_jointly(some, 0, client) for some in _runs(statements, together)]
    requests = tuple(request for some in leaving for request in some)
    outcomes = RunningState(batch).execute(0, 0, [request.statement for request in requests])
    slot = ExecutedSlot(configuration.number, 0, requests, outcomes)
    orders = tuple(Signed.sign(slot.order(), position, key) for position, key in enumerate(keys))
    results = tuple(Signed.sign(slot.result(), position, key) for position, key in enumerate(keys))
    sent = [_bundled("client_request", map(encode, some)) for some in leaving]
    sent += [sealed(Shuttle(0, 0, requests, orders[:i], results[:i])) for i in range(1, n)]
    own_orders = orders[:-1]  # by the tail, which passes them on
    answers = [encode(ResultMessage(0, number, slot.answer(0, number, results, own_orders))) for number in range(batch)]
    sent += [_bundled("result_message", some) for some in _runs(answers, together)]
    sent += [sealed(ResultShuttle(0, 0, outcomes, results, own_orders))] * (n - 1)
    return sent


def _runs(things: Sequence[T], length: int) -> list[Sequence[T]]:
    return [things[begin : begin + length] for begin in range(0, len(things), length)]


def _bundled(name: str, sent: Iterable[bytes]) -> bytes:
    [((_, payload), _)] = bundled((((name, each), None) for each in sent), MESSAGE_BYTES)
    return bytes(payload)

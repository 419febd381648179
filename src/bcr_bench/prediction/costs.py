"""What the parts of an operation cost on this machine: cryptography, encoding, a hop."""

import hashlib
import hmac
import socket
import threading
import time
import zlib
from collections.abc import Callable, Sequence
from statistics import median

import msgspec
from rich.table import Table

from bcr.objects.operation import Operation
from bcr.signed.encoding import decode, encode
from bcr.signed.signing import KEY_SEED_SIZE, Signed, SigningKey
from bcr.signed.statements import Request, SignedRequest
from bcr_bench.prediction.sketch import Sketch, sketch
from bcr_run.output import Terminal

REPETITIONS = 5
PART_S = 0.2  # how long each measurement repeats its part
HOPS = 2_000


class Costs(msgspec.Struct, frozen=True):
    """Microseconds of each part for one request: signature, verification, hash, encoding; a hop over loopback TCP.

    `hmac_us` and `crc_us` are one MAC and one checksum of its bytes.
    """

    sign_us: float
    verify_us: float
    hash_us: float
    encode_us: float
    decode_us: float
    hop_us: float
    hmac_us: float = 0.0
    crc_us: float = 0.0


def measure(value_bytes: int = 100) -> Costs:
    """Medians of REPETITIONS measurements of each part."""
    key = SigningKey(b"k" * KEY_SEED_SIZE)
    request = Signed.sign(Request(0, 0, (Operation("put", "key", "x" * value_bytes),)), 0, key)
    payload = encode(request)
    author = key.author(key.public)
    return Costs(
        sign_us=_time_us(lambda: Signed.sign(request.statement, 0, key)),
        verify_us=_time_us(lambda: request.is_authentic(author)),
        hash_us=_time_us(lambda: hashlib.sha256(payload).digest()),
        encode_us=_time_us(lambda: encode(request)),
        decode_us=_time_us(lambda: decode(SignedRequest, payload)),
        hop_us=median(_hop_us() for _ in range(REPETITIONS)),
        hmac_us=_time_us(lambda: hmac.digest(b"k" * KEY_SEED_SIZE, payload, "sha256")),
        crc_us=_time_us(lambda: zlib.crc32(payload)),
    )


def _time_us(part: Callable[[], object]) -> float:
    """CPU time, which what else the machine does leaves alone."""

    def once() -> float:
        count, began_s = 0, time.process_time()
        while time.process_time() - began_s < PART_S:
            for _ in range(20):
                part()
            count += 20
        return (time.process_time() - began_s) / count * 1e6

    return median(once() for _ in range(REPETITIONS))


def _hop_us() -> float:
    """Half a round trip of one byte between two threads' sockets."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        answering = threading.Thread(target=_echo, args=(listener,))
        answering.start()
        with socket.create_connection(listener.getsockname()) as sender:
            sender.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            began_s = time.perf_counter()
            for _ in range(HOPS):
                sender.sendall(b".")
                sender.recv(1)
            elapsed_s = time.perf_counter() - began_s
        answering.join()
    return elapsed_s / HOPS / 2 * 1e6


def _echo(listener: socket.socket) -> None:
    receiver, _ = listener.accept()
    with receiver:
        receiver.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while data := receiver.recv(1):
            receiver.sendall(data)


def path_us(costs: Costs, part: Sketch) -> float:
    """What one unloaded operation takes at the least: its hops, and the cryptography that it waits for."""
    cryptography_us = part.path_signatures * costs.sign_us + part.path_verifications * costs.verify_us
    return part.hops * costs.hop_us + cryptography_us


def cpu_us(costs: Costs, part: Sketch) -> float:
    """What one operation takes of all processes' time for cryptography alone."""
    return part.signatures * costs.sign_us + part.verifications * costs.verify_us


def print_costs(costs: Costs, sizes: Sequence[int] = (1, 2, 3, 4, 5), batches: Sequence[int] = (1, 10, 100)) -> None:
    """Two tables: the parts, and the sketch made of them."""
    console = Terminal()
    parts = Table(title="what a part costs here", title_justify="left")
    for field in Costs.__struct_fields__:
        parts.add_column(field.removesuffix("_us") + ", µs", justify="right")
    parts.add_row(*(f"{getattr(costs, field):.1f}" for field in Costs.__struct_fields__))
    console.print(parts)
    table = Table(title="what an operation must cost (Ed25519, 100-byte values)", title_justify="left")
    headings = ("t", "batch", "signatures", "verifications", "messages", "bytes", "hops", "path, ms", "crypto CPU, µs")
    for heading in headings:
        table.add_column(heading, justify="right")
    for t in sizes:
        for batch in batches:
            part = sketch(t, batch)
            counts = (part.signatures, part.verifications, part.messages, part.payload_bytes)
            path = f"{path_us(costs, part) / 1000:.2f}" if batch == 1 else ""
            row = [*(f"{value:.1f}" for value in counts), str(part.hops), path, f"{cpu_us(costs, part):.0f}"]
            table.add_row(str(t), str(batch), *row)
    console.print(table)

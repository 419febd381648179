"""What the start-up and a process of a run tell each other beside the protocol: commands, reports, the end
(specification, 1.4, 10.2).

Only the start-up's commands are heeded: each process shares a secret with the start-up, made when the process is set up.
What is said is numbered, so nothing is heeded twice. This is outside of the model: a replica's own reports are as true as
the replica is.
"""

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec

from bcr.signed.encoding import decode, encode
from bcr.signed.violations import InvalidSignature, MalformedMessage

MAC_SIZE = 16  # bytes

End = Literal["start-up", "process"]


def secret_of(root: bytes, name: str) -> bytes:
    """The 32-byte secret of the process of this name, from that of whom the start-up lets make processes."""
    return hashlib.blake2b(name.encode(), digest_size=32, key=root, person=b"bcr enrolment").digest()


# What each kind of process reports, by its verb, and the parts of each. A replica that lies may say anything under its secret.
REPORTS: Mapping[tuple[str, str], Any] = {
    ("loader", "faults_loaded"): tuple[()],
    **{(kind, "cannot_write"): tuple[str] for kind in ("client", "replica", "olympus")},
    ("client", "progress"): tuple[int],
    ("client", "client_record"): tuple[int, int, bytes],
    ("client", "drained"): tuple[()],
    ("client", "cannot_serve"): tuple[str],
    ("client", "asked_for"): tuple[str, str],
    ("host", "living"): tuple[list[str]],
    ("host", "refused"): tuple[str],
    ("replica", "replica_report"): tuple[bytes],
    ("replica", "replica_status"): tuple[str, int, int, int, bool],
    ("replica", "replica_state"): tuple[int, int, bytes],
    ("replica", "replica_log"): tuple[int, int, bytes],
    ("replica", "changed"): tuple[str, int],
    ("replica", "server_status"): tuple[bytes],
    ("replica", "fault_injected"): tuple[bytes, bool],
    ("replica", "fault_struck"): tuple[bytes],
    ("olympus", "olympus_key"): tuple[bytes, bytes],
    ("olympus", "started"): tuple[bytes],
    ("olympus", "initial_state"): tuple[int, int, bytes],
    ("olympus", "start_failed"): tuple[str, str],
    ("olympus", "reconfiguration"): tuple[bytes],
    ("olympus", "closed"): tuple[()],
    ("olympus", "exhibits"): tuple[int, int, int, bytes],
    ("olympus", "ended"): tuple[bytes, bytes, bytes],
}


def demand_report(kind: str, verb: str, parts: Sequence[Any]) -> None:
    """Raises MalformedMessage unless a process of this kind reports such things."""
    try:
        msgspec.convert(parts, REPORTS[kind, verb])
    except (KeyError, msgspec.ValidationError) as error:
        raise MalformedMessage(f"{verb[:40]} so, which no {kind} reports") from error


class Control:
    """One end of what a process and the start-up tell each other, under the process's secret of 32 bytes.

    What it says is counted from above `said_before`: a process that began again is heard only so.
    """

    def __init__(self, secret: bytes, end: End, said_before: int = 0) -> None:
        keys = [hashlib.blake2b(each, digest_size=32, key=secret, person=b"bcr control").digest() for each in (b"up", b"down")]
        self._own_key, self._peer_key = keys if end == "process" else reversed(keys)
        self._sent_count = said_before
        self._latest_number = 0

    def seal(self, verb: str, *parts: Any) -> bytes:
        """A message: a verb and what belongs to it, plain data."""
        self._sent_count += 1
        payload = encode((self._sent_count, verb, parts))
        return _mac(self._own_key, payload) + payload

    def open(self, message: Any) -> tuple[str, list[Any]]:
        """Verb and parts of a message of the other end; raises a ProtocolViolation where it is none, or an old one."""
        if not isinstance(message, bytes):
            raise MalformedMessage("a command that is no bytes")
        mac, payload = message[:MAC_SIZE], message[MAC_SIZE:]
        if not hmac.compare_digest(mac, _mac(self._peer_key, payload)):
            raise InvalidSignature("a command of somebody who may not give it")
        number, verb, parts = decode(tuple[int, str, list[Any]], payload)
        if number <= self._latest_number:
            raise MalformedMessage(f"{verb} again")
        self._latest_number = number
        return verb, parts


def verb_and_parts(message: bytes) -> tuple[str, list[Any]]:
    """Verb and parts of a message, for somebody who looks on and has no secret."""
    _, verb, parts = msgspec.msgpack.decode(message[MAC_SIZE:], type=tuple[int, str, list[Any]])
    return verb, parts


def _mac(key: bytes, payload: bytes) -> bytes:
    return hashlib.blake2b(payload, digest_size=MAC_SIZE, key=key).digest()

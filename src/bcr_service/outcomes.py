"""From an HTTP call to those who serve and back: waits for what became of operations, within a limit of time."""

import asyncio
import time
from collections.abc import Mapping, Sequence

from bcr.chain.slot_room import operations_bytes
from bcr.objects.operation import Operation
from bcr.objects.sizes import REQUEST_LIMIT_BYTES
from bcr_client.proof import MOST_NONCE, Proof, nonce_operation
from bcr_service.calls import failure_in
from bcr_service.desk import Busy, Fate, Job, JobRefusal, Settled, deliver
from bcr_service.gateway import GatewayState
from bcr_service.metrics import Metrics
from bcr_service.problems import Problem, unavailable, unknown
from bcr_service.whole_numbers import number_in

LIMIT_MS = 10_000  # for an answer, where the caller does not say otherwise
MOST_LIMIT_MS = 60_000


class Asking:
    """Asks the chain for the callers of one gateway."""

    def __init__(self, gateway: GatewayState, metrics: Metrics) -> None:
        self._gateway = gateway
        self._metrics = metrics
        self._loop: asyncio.AbstractEventLoop | None = None

    async def ask(self, operations: Sequence[Operation], limit_ms: int, nonce: str | None = None) -> Settled:
        """What became of the operations, which happen together or not at all.

        With a nonce they have a request of their own, which can be shown to the caller. Raises Problem: definite where
        nothing has happened.
        """
        if not self._gateway.has_whom_to_ask():
            raise unavailable("the chain is not there yet")
        loop = self._loop_of_callers()
        future: asyncio.Future[Fate] = loop.create_future()

        def settle(settled: Fate) -> None:
            if not future.done():
                future.set_result(settled)

        asked = tuple(operations) if nonce is None else (*operations, nonce_operation(nonce))
        if operations_bytes(asked) > REQUEST_LIMIT_BYTES:  # no replica would take it, and it would be asked for without end
            raise Problem(413, f"operations of more than {REQUEST_LIMIT_BYTES:,} bytes")
        is_alone = nonce is not None or len(operations) > 1 or _has_condition(operations)
        job = Job(asked, settle, is_alone)
        began_s = time.monotonic()
        timer = loop.call_later(limit_ms / 1000, settle, None)
        try:
            self._gateway.desk.put(job)
            settled = await future
        except Busy as busy:
            raise unavailable(str(busy)) from busy
        except asyncio.CancelledError:  # the caller has hung up
            self._gateway.desk.withdraw(job)
            raise
        finally:
            timer.cancel()
        if settled is None:
            raise self._too_late(job, limit_ms)
        if isinstance(settled, JobRefusal):
            raise unavailable(f"refused by the replicas: {settled.why}")
        self._metrics.answered(time.monotonic() - began_s)
        failure = failure_in(settled.results)
        if failure is not None:
            if nonce is not None:
                failure.more["proof"] = proof_of(settled, nonce)
            raise failure
        return settled

    def _loop_of_callers(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            self._loop = loop = asyncio.get_running_loop()
            # All that a request has answered with one call: each wakes the loop up.
            self._gateway.desk.deliver_by(lambda answered: loop.call_soon_threadsafe(deliver, answered))
        return self._loop

    def _too_late(self, job: Job, limit_ms: int) -> Problem:
        if self._gateway.desk.is_closed:
            down = "the service is going down"
            return unavailable(down) if self._gateway.desk.withdraw(job) else unknown(f"sent, and {down}: it may have happened")
        if self._gateway.desk.withdraw(job):
            return unavailable(f"not sent within {limit_ms} ms: {self._gateway.view.why_not_sent}")
        return unknown(f"sent, and no answer within {limit_ms} ms: it may have happened, or may yet")


def proof_of(settled: Settled, nonce: str) -> dict[str, str]:
    """The proof of an answer, as JSON, of a protocol that has some."""
    assert settled.configuration is not None
    return Proof.of(settled.configuration, settled.request, settled.answer, nonce).plain()


def _has_condition(operations: Sequence[Operation]) -> bool:
    """Whether it may not happen for what it finds: then nothing of others should hang on it."""
    return any(each.name == "keys" or not (each.argument == "*" or each.argument.startswith("* ")) for each in operations)


def limit_in(query: dict[str, str]) -> int:
    """The limit of time that a caller sets, in milliseconds. Raises Problem."""
    if "timeout_ms" not in query:
        return LIMIT_MS
    try:
        return number_in(query["timeout_ms"], 1, MOST_LIMIT_MS)
    except ValueError as error:
        raise Problem(400, f"timeout_ms is {error}") from error


def nonce_in(query: Mapping[str, str], fields: Mapping[bytes, bytes], why_no_proofs: str) -> str | None:
    """The caller's nonce, empty where it wants a proof and gave none; None where it wants none.

    `Proof` and `Proof-Nonce` of the head count where the query says nothing. Raises Problem, where the protocol has no proofs with 501
    and the reason.
    """
    if not query and b"proof" not in fields and b"proof-nonce" not in fields:
        return None
    nonces = _given("nonce", query, fields, b"proof-nonce")
    if any(len(nonce) > MOST_NONCE or not nonce.isascii() or not (nonce.isprintable() or not nonce) for nonce in nonces):
        raise Problem(400, f"a nonce is printable ASCII of no more than {MOST_NONCE} characters")
    wishes = _given("proof", query, fields, b"proof")
    for wish in wishes:
        if wish not in ("0", "1"):
            raise Problem(400, f"proof is 0 or 1, not {wish[:20]!r}")
    if "1" not in wishes[:1]:
        return None
    if why_no_proofs:
        raise Problem(501, why_no_proofs)
    return nonces[0] if nonces else ""


def _given(name: str, query: Mapping[str, str], fields: Mapping[bytes, bytes], field: bytes) -> list[str]:
    """What the query says, and behind it what the head says."""
    return [*([query[name]] if name in query else []), *([fields[field].decode("latin-1")] if field in fields else [])]

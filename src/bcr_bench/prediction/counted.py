"""What an operation takes of each protocol in signatures, messages and bytes: counted in simulated runs without faults.

And of one server without replicas, whose messages are a request and its answer.
"""

from collections.abc import Sequence

import msgspec

from bcr.scenario import parse_scenario
from bcr.scenario.protocols import PROTOCOLS
from bcr.scenario.workload import Uniform, Workload
from bcr.signed.encoding import encode
from bcr.signed.statements import Request
from bcr.state.running import RunningState
from bcr_bench.baselines.load import UnreplicatedReply

SIZES = (1, 2, 3)
FEW, MANY = 20, 120  # operations of the two runs, whose difference is what is counted: so that start and end are not
VALUE_BYTES = 100
UNREPLICATED = "unreplicated"  # in place of a protocol, with t = 0


class Counts(msgspec.Struct, frozen=True):
    """For one operation in all processes, one at a time; `payload_bytes` are those of the messages, without frames and encryption."""

    protocol: str
    t: int
    servers: int
    signatures: float
    messages: float
    payload_bytes: float


def counts(protocols: Sequence[str] = (*PROTOCOLS,), sizes: Sequence[int] = SIZES) -> list[Counts]:
    """One for each protocol and size, with Ed25519 where the protocol signs, and half of the operations reads."""
    return [_counts(protocol, t) for protocol in protocols for t in sizes]


def counts_unreplicated() -> Counts:
    """Of the server of Unreplicated.da, with the same operations."""
    state = RunningState(1)
    total = 0
    for number, operations in enumerate(Workload((Uniform(1, MANY, VALUE_BYTES, 50),)).requests(1)):
        request = Request(0, number, operations)
        outcome = state.execute_at(0, number, 0, request)
        total += len(encode(request)) + len(encode(UnreplicatedReply(0, number, outcome.results)))
    return Counts(UNREPLICATED, 0, 1, 0.0, 2.0, total / MANY)


def _counts(protocol: str, t: int) -> Counts:
    few, many = (_of_a_run(protocol, t, operations) for operations in (FEW, MANY))
    per_operation = [(more - less) / (MANY - FEW) for less, more in zip(few, many, strict=True)]
    return Counts(protocol, t, PROTOCOLS[protocol].servers(t, "ed25519"), *per_operation)


def _of_a_run(protocol: str, t: int, operations: int) -> tuple[int, int, int]:
    """Signatures, messages and bytes of a whole run."""
    from bcr_sim.simulated_run import simulate  # sets DistAlgo's options, which nobody else needs here

    text = (
        f"protocol = {protocol}\nt = {t}\nnum_client = 1\ncheckpt_interval = 1000\ntime_unit = ms\nclient_timeout = 60000\n"
        "head_timeout = 60000\nnonhead_timeout = 60000\nheartbeat = 10000\nelection_timeout = 60000\n"
        f"workload[0] = uniform(1,{operations},{VALUE_BYTES},50)\nsimulation = seed(1)\n"
    )
    outcome = simulate(parse_scenario(text, "counted.config")[0], keeps_steps=True)
    if outcome.breaches:
        raise RuntimeError(outcome.breaches[0])
    own = [step for step in outcome.steps if step.kind == "arrived" and step.message in PROTOCOLS[protocol].messages]
    return outcome.signatures, len(own), sum(step.size for step in own)

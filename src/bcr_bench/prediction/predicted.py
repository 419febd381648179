"""What throughput and latency must be, from the measured costs of the parts and the protocol's counts of them.

What is left out (bookkeeping in Python, logs, the scheduler) makes the truth slower: measurement over prediction tells
how much of the time goes into what the protocol does not ask for.
"""

from collections.abc import Mapping
from itertools import product

import msgspec

from bcr_bench.plans.plan_files import DEFAULTS, Value
from bcr_bench.prediction.costs import Costs
from bcr_bench.prediction.layer import Layer


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """What is predicted: the settings of scenario files, and `link_us`, what a message takes on its way beyond the hop."""

    t: int = 1
    batch: int = 1
    operations: int = 1
    authenticator: str = "ed25519"
    clients: int = 1
    window: int = 1
    rate: int = 0
    link_us: float = 0.0

    @property
    def replicas(self) -> int:
        """For accidental faults a checksum does, and one replica that is left."""
        return self.t + 1 if self.authenticator == "crc" else 2 * self.t + 1

    def results_checked_at(self, position: int) -> int:
        """Result statements that a replica before the tail checks when they come back; a client checks all."""
        if self.authenticator == "crc":
            return self.replicas
        if self.authenticator == "hmac":
            return self.replicas - 1  # all but its own
        return max(self.t, self.replicas - 1 - position) + (position == 1)  # the second also checks the head's

    @property
    def requests_in_slot(self) -> float:
        """Half of what clients have outstanding fills a slot while the other half is in the one before."""
        return min(self.batch, max(1.0, self.clients * self.window / 2))

    @property
    def together(self) -> float:
        """How many requests of a client leave at once: as many as were answered at once."""
        return max(1.0, self.requests_in_slot / self.clients) if self.window > 1 else 1.0

    @classmethod
    def of(cls, settings: Mapping[str, Value]) -> "Shape":
        """From a point's settings, and what scenario files have that do not say it."""
        known: Mapping[str, Value] = {**DEFAULTS, **settings}
        return cls(
            t=int(known["t"]),
            batch=int(known["batch_limit"]),
            operations=int(known["operations_per_request"]),
            authenticator=str(known.get("authentication", "ed25519")),
            clients=int(known["num_client"]),
            window=int(known["client_window"]),
            rate=int(known["client_rate"]) * int(known["num_client"]),
        )


class Prediction(msgspec.Struct, frozen=True):
    """Operations a second, milliseconds of an answer to one request alone, CPU microseconds of an operation by role."""

    rate: float
    latency_ms: float
    cpu_us: dict[str, float]


def authentication_us(costs: Costs, shape: Shape) -> tuple[float, float]:
    """What making a statement, and checking one, takes: a MAC for each of the others, or one checksum for all."""
    if shape.authenticator == "ed25519":
        return costs.sign_us, costs.verify_us
    if shape.authenticator == "hmac":
        return (shape.replicas + 1) * costs.hmac_us + costs.encode_us, costs.hmac_us + costs.encode_us
    return costs.crc_us + costs.encode_us, costs.crc_us + costs.encode_us


def slot_cpu_us(costs: Costs, layer: Layer, shape: Shape, jointly: float) -> dict[str, float]:
    """CPU microseconds for one slot by process: `head`, `middle_i`, `tail`, and `clients` together.

    `jointly` is how many requests have one signature; with MACs and checksums each has its own.
    """
    n, requests = shape.replicas, shape.requests_in_slot
    leaving = requests / shape.together
    signed = requests / (jointly if shape.authenticator == "ed25519" else 1.0)
    sign_us, verify_us = authentication_us(costs, shape)
    side_us = layer.message_cpu_us / 2
    held = requests * shape.operations  # encoding and hashing were measured for a request of one operation
    digests_us = held * 2 * (costs.encode_us + costs.hash_us)  # of each request and of its outcome
    carried_us = held * (costs.encode_us + costs.decode_us)  # what a shuttle holds
    # A client checks the statements of a slot once, however many of its requests are there.
    proofs_us = min(shape.clients, requests) * n * verify_us
    cpu_us = {"clients": signed * sign_us + leaving * 2 * side_us + proofs_us + held * (costs.encode_us + costs.decode_us)}
    for position in range(n):
        own_us = 2 * sign_us + signed * verify_us + digests_us + carried_us
        own_us += position * verify_us  # the order statements of its predecessors
        if position < n - 1:
            own_us += shape.results_checked_at(position) * verify_us + carried_us  # the result shuttle
        if position == 0:
            own_us += (leaving + 2) * side_us + held * costs.decode_us
        elif position < n - 1:
            own_us += 4 * side_us
        else:
            own_us += (leaving + 2) * side_us + held * costs.encode_us
        name = "head" if position == 0 else "tail" if position == n - 1 else f"middle_{position}"
        cpu_us[name] = own_us
    return cpu_us


def alone_us(costs: Costs, layer: Layer, shape: Shape) -> float:
    """Microseconds from sending to accepting, of a request that meets no other."""
    n = shape.replicas
    sign_us, verify_us = authentication_us(costs, shape)
    made = 1 + 2 * n
    checked = n + n * (n - 1) // 2 + n  # the request at each replica, the orders before it, the results at the client
    return (n + 1) * (layer.hop_us + shape.link_us) + made * sign_us + checked * verify_us


def predict(costs: Costs, layer: Layer, shape: Shape, cores: int) -> Prediction:
    """The rate is the least of what the busiest process, all cores, the clients' windows and their rate allow."""
    in_slot = shape.requests_in_slot * shape.operations
    cpu_us = {name: each / in_slot for name, each in slot_cpu_us(costs, layer, shape, shape.together).items()}
    latency_us = alone_us(costs, layer, shape)
    outstanding = shape.clients * shape.window * shape.operations
    busiest_us = max(each / (shape.clients if name == "clients" else 1) for name, each in cpu_us.items())
    limits = [1e6 / busiest_us, cores * 1e6 / sum(cpu_us.values()), outstanding * 1e6 / latency_us]
    if shape.rate:
        limits.append(shape.rate)
    return Prediction(min(limits), latency_us / 1_000, cpu_us)


def cryptographic_bound(costs: Costs, shape: Shape, cores: int) -> float:
    """Operations a second, where all cores make and check what authenticates messages, and do nothing else.

    As the paper has it: each request has a signature of its own, also where requests leave together.
    """
    only = Costs(costs.sign_us, costs.verify_us, 0.0, 0.0, 0.0, 0.0, costs.hmac_us, costs.crc_us)
    in_slot = shape.requests_in_slot * shape.operations
    return cores * 1e6 * in_slot / sum(slot_cpu_us(only, Layer(0.0, 0.0), shape, 1.0).values())


AUTHENTICATORS = ("ed25519", "hmac", "crc")
FORETOLD_LINKS_MS = (0, 1, 10)


def foretold(costs: Costs, layer: Layer, cores: int) -> list[list[str]]:
    """Rows of predictions by t, batch and authenticator: rates and latencies with links of FORETOLD_LINKS_MS."""
    rows = []
    for t, batch, authenticator in product((1, 2, 3, 4, 5), (1, 16), AUTHENTICATORS):
        shape = Shape(t=t, batch=batch, authenticator=authenticator, clients=16, window=16)
        each = [predict(costs, layer, msgspec.structs.replace(shape, link_us=1_000.0 * link_ms), cores) for link_ms in FORETOLD_LINKS_MS]
        numbers = [f"{one.rate:,.0f}" for one in each] + [f"{one.latency_ms:.2f}" for one in each]
        rows.append([f"{t}, {batch}, {authenticator}", *numbers])
    return rows

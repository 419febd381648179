"""Latency where links are slow: the same `.da` files in virtual time, in which computing takes none."""

import msgspec

from bcr.scenario import parse_scenario
from bcr_bench.prediction.sketch import sketch

LINKS_MS = (1, 5, 20)
SIZES = (1, 2, 3, 4, 5)
REQUESTS = 20


class SlowLink(msgspec.Struct, frozen=True):
    """Milliseconds of an answer with links of `link_ms`: the hops by the sketch, and the median of a simulated run."""

    t: int
    link_ms: int
    predicted_ms: float
    measured_ms: float


def links() -> list[SlowLink]:
    """One for each size and each delay."""
    return [link(t, link_ms) for t in SIZES for link_ms in LINKS_MS]


def link(t: int, link_ms: int) -> SlowLink:
    """One client, one request at a time, every message `link_ms` on its way."""
    from bcr_sim.simulated_run import simulate  # sets DistAlgo's options, which nobody else needs here

    text = (
        f"t = {t}\nnum_client = 1\nclient_timeout = 60000\nhead_timeout = 60000\nnonhead_timeout = 60000\n"
        f"workload[0] = uniform(1,{REQUESTS},10,50)\nsimulation = seed(1); delay({link_ms}000,{link_ms}000)\n"
    )
    outcome = simulate(parse_scenario(text, "link.config")[0])
    if outcome.breaches:
        raise RuntimeError(outcome.breaches[0])
    return SlowLink(t, link_ms, sketch(t).hops * float(link_ms), outcome.result["latency_ms"]["p50"])

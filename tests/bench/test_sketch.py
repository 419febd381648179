"""The cost sketch against the protocol as it runs: what is signed, verified and sent for ten operations more."""

import pytest

from bcr.scenario.reading import parse_scenario
from bcr.signed import signing
from bcr_bench.prediction.costs import Costs, cpu_us, path_us
from bcr_bench.prediction.counted import counts
from bcr_bench.prediction.sketch import sketch
from bcr_sim import simulated_run as simulator
from bcr_sim.signatures import StandIn

OF_THE_PROTOCOL = {"client_request", "client_requests", "shuttle", "result_shuttle", "result_message", "result_messages"}


class Counting(StandIn):
    """Counts what it is asked to verify too."""

    def __init__(self):
        super().__init__()
        self.verifications = 0

    def is_valid(self, public_key, message, signature):
        self.verifications += 1
        return super().is_valid(public_key, message, signature)


def counted(monkeypatch, t, operations, more=""):
    """Signatures, verifications and messages of a failure-free run of one client, until it is judged."""
    scheme = Counting()
    monkeypatch.setattr(simulator, "StandIn", lambda: scheme)
    text = f"t = {t}\nnum_client = 1\ncheckpt_interval = 1000\nworkload[0] = pseudorandom(1,{operations})\n{more}"
    verified = []
    stock = simulator.judge
    monkeypatch.setattr(simulator, "judge", lambda *record, **more: (verified.append(scheme.verifications), stock(*record, **more))[1])
    outcome = simulator.simulate(parse_scenario(text, "x.config")[0], keeps_steps=True)
    assert outcome.breaches == ()
    messages = sum(step.message in OF_THE_PROTOCOL for step in outcome.steps)
    # The oracle verifies each request once more than the protocol.
    return scheme.signatures, verified[0] - operations, messages


@pytest.mark.parametrize("t", [1, 2, 3])
def test_ten_operations_more_cost_what_the_sketch_says(monkeypatch, t):
    few, many = counted(monkeypatch, t, 10), counted(monkeypatch, t, 20)
    more = [(after - before) / 10 for before, after in zip(few, many, strict=True)]
    part = sketch(t)
    assert more == [part.signatures, part.verifications, part.messages]


@pytest.mark.parametrize("t", [1, 2])
def test_ten_operations_more_that_leave_five_at_a_time_cost_what_the_sketch_says(monkeypatch, t):
    five = "client_window = 5\nbatch_limit = 5\n"
    few, many = counted(monkeypatch, t, 10, five), counted(monkeypatch, t, 20, five)
    more = [(after - before) / 10 for before, after in zip(few, many, strict=True)]
    part = sketch(t, 5, together=5)
    # A simulation is one process, which remembers which joint signatures it has checked: once for all replicas and the oracle. Of the
    # oracle a check of each request was taken off above.
    once_for_all = 1 / 5 - 1
    assert more == pytest.approx([part.signatures, part.verifications - (2 * t + 1) / 5 + once_for_all, part.messages])


def test_a_batch_shares_the_replicas_statements_out():
    one, many = sketch(2), sketch(2, batch=100)
    assert many.signatures == pytest.approx(1 + 10 / 100)
    assert many.messages < one.messages / 4


def test_an_operation_takes_its_hops_and_the_cryptography_that_it_waits_for():
    costs = Costs(sign_us=10, verify_us=100, hash_us=0, encode_us=0, decode_us=0, hop_us=1_000)
    part = sketch(1)
    assert part.hops == 4
    assert path_us(costs, part) == 4_000 + 7 * 10 + (3 + 3 + 3) * 100
    assert cpu_us(costs, part) == 7 * 10 + (3 + 3 + 4 + 3) * 100


def test_what_is_counted_of_the_chain_is_what_the_sketch_says_and_raft_signs_nothing():
    for each in counts(sizes=(1, 2)):
        if each.protocol == "shuttle":
            assert (each.signatures, each.messages) == (sketch(each.t).signatures, sketch(each.t).messages)
        assert (each.signatures == 0) == (each.protocol == "raft")
        # A request and its answer, and one round of a leader and its followers, or more where they lie.
        least = 2 + 2 * (each.servers - 1) if each.protocol != "shuttle" else 0
        assert each.messages >= least
        assert each.payload_bytes > 100


def test_the_scheme_of_real_runs_is_in_place_again_after_a_simulation(monkeypatch):
    counted(monkeypatch, 1, 10)
    assert isinstance(signing._scheme, signing.Ed25519)

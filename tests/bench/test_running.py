"""Running a plan: points in turn, rates up to saturation, and medians of the runs that count."""

import pytest

from bcr_bench.pages.summary import rows_of
from bcr_bench.plans.measured import Measured, together
from bcr_bench.plans.plan_files import Plan, Rates, Sweep
from bcr_bench.running.measuring import offered, run_plan

BASE = {"t": 1, "num_client": 2, "operations": 10, "value_bytes": 1, "read_percent": 0}


def measured(rate):
    return Measured(operations=10, rate=rate, latency_ms={"p50": 1.0, "p99": 2.0}, cpu_us={"client_0": 3.0})


def test_all_points_are_run_in_turn_before_any_is_run_again():
    sweeps = [Sweep("a", "A", vary={"t": [1, 2]}), Sweep("b", "B", times=1)]
    done = []
    kept = []
    series = run_plan(
        Plan(2, BASE, sweeps), sweeps, lambda point: done.append(point.label) or measured(5.0),
        lambda series: kept.append([len(each.runs) for each in series]),
    )  # fmt: skip
    assert kept == [[1, 1, 1], [2, 2, 1]]
    assert done == ["t = 1", "t = 2", "bcr", "t = 1", "t = 2"]
    assert [len(each.runs) for each in series] == [2, 2, 1]


def test_rates_are_stepped_until_two_are_not_answered_and_the_same_ones_run_again():
    sweep = Sweep("open", "Open", rates=Rates(100, 2.0, 1.0))
    offers = []

    def run(point):
        offers.append(offered(point))
        return measured(min(offered(point), 500.0 if len(offers) < 6 else 100.0))

    series = run_plan(Plan(2, BASE, [sweep]), [sweep], run)
    assert offers == [100, 200, 400, 800, 1_600] * 2
    assert [len(each.runs) for each in series] == [2] * 5


def test_a_run_with_a_problem_does_not_count():
    assert together([measured(1.0), Measured(problem="fail: x"), measured(3.0), measured(9.0)]).rate == 3.0
    assert together([Measured(problem="fail: x")]).problem == "fail: x"
    assert together([]).problem


def result(**changes):
    """The contents of a result.json, as far as they are taken."""
    process = {"cpu_s": 0.5, "samples": [[0.0, 40.0, 0]]}
    return {
        "verdict": "pass", "reasons": [], "retransmissions": 0, "reconfigurations": [], "operations": 1_000,
        "operations_per_second": 250.0, "latency_ms": {"p50": 2.0}, "processes": {"replica_0": process, "harness": process},
    } | changes  # fmt: skip


def test_figures_are_those_of_result_json_and_cpu_is_of_one_operation():
    found = Measured.of_result(result())
    assert (found.rate, found.problem) == (250.0, "")
    assert found.cpu_us == {"replica_0": pytest.approx(500.0)}
    assert set(found.memory) == {"replica_0", "harness"}


@pytest.mark.parametrize(
    "changes, what",
    [({"verdict": "fail", "reasons": ["slot 3 has two results"]}, "two results"), ({"retransmissions": 2}, "sent again")],
)
def test_a_run_that_did_not_pass_or_sent_again_does_not_count(changes, what):
    assert what in Measured.of_result(result(**changes)).problem


def test_a_table_has_ratios_to_its_first_point():
    point = {"label": "x", "runs": [{"problem": ""}]}
    medians = [{"problem": "", "rate": rate, "latency_ms": {"p50": 1, "p99": 2}, "cpu_us": {}} for rate in (100.0, 250.0)]
    rows = rows_of([point | {"median": median} for median in medians])
    assert [row[2] for row in rows] == ["1.00", "2.50"]

"""Running a plan: points in turn, rates up to saturation, and medians of the runs that count."""

import msgspec
import pytest

from bcr.evidence.evidence_files import packed_record
from bcr.raft.rpcs import Response
from bcr.raft.sessions import unsigned
from bcr.signed.statements import Outcome, Request
from bcr.verdict.record import ClientRecord, Exchange, RunRecord
from bcr_bench.pages.summary import rows_of
from bcr_bench.plans.measured import Measured, together
from bcr_bench.plans.plan_files import Plan, Rates, Sweep
from bcr_bench.running.measuring import Series, offered, run_plan

MS = 1_000_000
BASE = {"t": 1, "num_client": 2, "operations": 10, "value_bytes": 1, "read_percent": 0}


def measured(rate):
    return Measured(operations=10, rate=rate, latency_ms={"p50": 1.0, "p99": 2.0}, cpu_us={"client_0": 3.0})


def test_all_points_are_run_in_turn_before_any_is_run_again():
    sweeps = [Sweep("a", "A", vary={"t": [1, 2]}), Sweep("b", "B", times=1)]
    done = []
    kept = []
    series = run_plan(
        Plan(2, BASE, sweeps), sweeps, lambda point: done.append(point.label) or measured(5.0),
        lambda series, is_round: kept.append(([len(each.runs) for each in series], is_round)),
    )  # fmt: skip
    assert [runs for runs, is_round in kept if is_round] == [[1, 1, 1], [2, 2, 1]]
    assert [runs for runs, is_round in kept if not is_round] == [[1, 0, 0], [1, 1, 0], [1, 1, 1], [2, 1, 1], [2, 2, 1]]
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


def test_a_plan_goes_on_with_what_was_measured_before_and_runs_only_the_rest():
    sweeps = [Sweep("a", "A", vary={"t": [1, 2]}), Sweep("open", "Open", rates=Rates(100, 2.0, 1.0))]
    plan, done = Plan(2, BASE, sweeps), []

    def run(point):
        done.append((point.label, point.settings["t"]))
        return measured(min(offered(point) or 1_000, 150.0))

    whole = run_plan(plan, sweeps, run)
    labels, done = done, []
    before = [Series(each.point, each.runs[:1]) for each in whole[:4]]
    before[0] = Series(msgspec.structs.replace(before[0].point, settings=BASE | {"t": 1, "operations": 11}), before[0].runs)  # another work
    assert run_plan(plan, sweeps, run, before=before) == whole
    assert sorted(done) == sorted([labels[0], labels[4], *labels[len(whole) :]])


def test_a_run_with_a_problem_does_not_count():
    assert together([measured(1.0), Measured(problem="fail: x"), measured(3.0), measured(9.0)]).rate == 3.0
    assert together([Measured(problem="fail: x")]).problem == "fail: x"
    assert together([]).problem


def result(**changes):
    """The contents of a result.json, as far as they are taken."""
    process = {"cpu_s": 0.5, "samples": [[0.0, 40.0, 0]]}
    return {
        "verdict": "pass", "protocol": "shuttle", "reasons": [], "retransmissions": 0, "reconfigurations": [], "operations": 1_000,
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


REDIRECTED = (0, 5, 2)  # sent, accepted, attempts: the server that was asked first does not lead


@pytest.mark.parametrize(
    ("exchanges", "again"),
    [
        ([REDIRECTED, REDIRECTED, (6, 8, 1)], 0),
        ([REDIRECTED, (6, 8, 2)], 1),  # another leader meanwhile
        ([(0, 1_500, 2), (0, 1_400, 1)], 1),  # its timer
    ],
)
def test_of_raft_a_request_may_be_sent_again_before_its_client_had_an_answer_unless_a_timer_expired(tmp_path, exchanges, again):
    answer = Response(0, 0, Outcome(0, 1, 0, ("OK",)), 1)
    kept = [Exchange(unsigned(Request(0, number, ())), answer, sent * MS, accepted * MS, attempts, "replica_0")
            for number, (sent, accepted, attempts) in enumerate(exchanges)]  # fmt: skip
    record = RunRecord(b"", (), (ClientRecord(0, "a clock", tuple(kept)),), (), protocol="raft")
    (tmp_path / "record.msgpack").write_bytes(packed_record(record))
    told = {"protocol": "raft", "log_folder": str(tmp_path), "settings": {"client_timeout_ms": 1_000}, "retransmissions": 3}
    problem = Measured.of_result(result(**told)).problem
    assert problem == (f"{again} requests sent again: timers expired under load" if again else "")


def test_a_table_has_ratios_to_its_first_point():
    point = {"label": "x", "runs": [{"problem": ""}]}
    medians = [{"problem": "", "rate": rate, "latency_ms": {"p50": 1, "p99": 2}, "cpu_us": {}} for rate in (100.0, 250.0)]
    rows = rows_of([point | {"median": median} for median in medians])
    assert [row[2] for row in rows] == ["1.00", "2.50"]

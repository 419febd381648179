"""Plans of measurements: what they say becomes scenario files that are right, and what makes no sense is refused."""

import pytest

from bcr.scenario import parse_scenario
from bcr_bench import bench
from bcr_bench.plan_files import PlanError, points_of, read_plan, step_of

PLANS = [bench.HERE / "plan.yaml", bench.HERE / "full.yaml"]


@pytest.fixture
def plan_of(tmp_path):
    """The plan that a text says."""

    def read(text):
        (tmp_path / "plan.yaml").write_text(text)
        return read_plan(tmp_path / "plan.yaml")

    return read


BASE = "{t: 1, num_client: 2, client_window: 1, batch_limit: 1, operations_per_request: 1, operations: 7, value_bytes: 5, read_percent: 50}"
TEXT = "times: 3\nbase: " + BASE + "\nsweeps:\n"


@pytest.mark.parametrize("path", PLANS, ids=lambda path: path.name)
def test_every_point_of_the_plans_is_a_scenario_without_a_warning(path):
    plan = read_plan(path)
    points = [point for sweep in plan.sweeps if sweep.rates is None for point in points_of(plan, sweep)]
    points += [step_of(plan, sweep, 3) for sweep in plan.sweeps if sweep.rates is not None and "authentication" not in sweep.settings]
    assert {point.sweep for point in points} >= {"systems", "raft", "t", "batch", "open-loop"}
    for point in points:
        scenario, warnings = parse_scenario(point.scenario_text(), "x.config")
        assert not warnings
        assert sum(map(len, scenario.workloads)) >= point.settings["operations"]


def test_the_full_plan_goes_up_to_five_faults_and_a_million_operations():
    plan = read_plan(PLANS[1])
    points = {point.label: point for sweep in plan.sweeps if sweep.rates is None for point in points_of(plan, sweep)}
    assert "t = 5" in points
    assert max(point.settings["operations"] for point in points.values()) == 1_000_000


def test_operations_are_shared_out_evenly(plan_of):
    plan = plan_of(TEXT + "  - {name: a, title: A}\n")
    [point] = points_of(plan, plan.sweeps[0])
    scenario, _ = parse_scenario(point.scenario_text(), "x.config")
    assert [len(workload) for workload in scenario.workloads] == [4, 4]


def test_what_scenario_files_do_not_know_is_left_out(plan_of):
    plan = plan_of(TEXT + "  - {name: a, title: A, vary: {no_such_key: [1, 2]}}\n")
    assert list(points_of(plan, plan.sweeps[0])) == []


def test_steps_of_an_open_loop_rise_by_the_factor_and_last_as_long(plan_of):
    plan = plan_of(TEXT + "  - {name: a, title: A, rates: {first: 100, factor: 2, seconds: 3}}\n")
    steps = [step_of(plan, plan.sweeps[0], number) for number in range(3)]
    assert [step.settings["client_rate"] for step in steps] == [50, 100, 200]
    assert [step.settings["operations"] for step in steps] == [300, 600, 1_200]


@pytest.mark.parametrize(
    "more, what",
    [
        ("  - {name: a, title: A}\n  - {name: a, title: B}\n", "two sweeps a"),
        ("  - {name: a, title: A, varry: {t: [1]}}\n", "varry"),
        ("  - {name: a, title: A, systems: [paxos]}\n", "paxos"),
        ("  - {name: a\n", "plan.yaml"),
    ],
)
def test_a_plan_that_makes_no_sense_is_refused(plan_of, more, what):
    with pytest.raises(PlanError, match=what):
        plan_of(TEXT + more)


def test_the_command_says_what_is_wrong_with_its_input(tmp_path, capsys):
    assert bench.main(["run", "--plan", str(tmp_path / "none.yaml")]) == bench.BAD_INPUT
    assert bench.main(["--only", "batsch"]) == bench.BAD_INPUT
    assert bench.main(["page", str(tmp_path)]) == bench.BAD_INPUT
    said = capsys.readouterr().err
    assert "none.yaml" in said
    assert "no sweep batsch; did you mean batch?" in said

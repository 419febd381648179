"""Plans of measurements: what they say becomes scenario files that are right, and what makes no sense is refused."""

import pytest

from bcr.scenario import parse_scenario
from bcr_bench import bench
from bcr_bench.plans.plan_files import PROTOCOL_OF, PlanError, demand_sound, points_of, read_plan, step_of

PLANS = [bench.PLANS / "plan.yaml", bench.PLANS / "full.yaml"]


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


def test_the_plan_of_the_protocols_has_each_of_them_beside_the_others_on_the_same_work():
    plan = read_plan(bench.PLANS / "protocols.yaml")
    demand_sound(plan, plan.sweeps)
    points = [point for sweep in plan.sweeps for point in points_of(plan, sweep)]
    protocols = {point.system: parse_scenario(point.scenario_text(), "x.config")[0].protocol for point in points}
    assert {name: protocols[name] for name in PROTOCOL_OF} == PROTOCOL_OF
    assert set(protocols) == {*PROTOCOL_OF, "unreplicated", "pysyncobj-nodes", "raft"}
    assert {f"{name}, t = {t}" for name in PROTOCOL_OF for t in (1, 2, 3)} <= {point.label for point in points}
    assert len({(point.system, point.sweep, point.label) for point in points}) == len(points)


def test_in_the_plan_of_the_protocols_the_head_or_whoever_leads_crashes_with_every_t():
    plan = read_plan(bench.PLANS / "protocols.yaml")
    [outage] = [sweep for sweep in plan.sweeps if sweep.leader_crashes]
    points = {(point.system, point.settings["t"]): point for point in points_of(plan, outage)}
    assert set(points) == {(system, t) for system in PROTOCOL_OF for t in (1, 2, 3)}
    assert all(point.is_timed for point in points.values())
    assert points["bcr", 2].faults == points["bcr-byzantine-raft", 2].faults == {"0,0": "client_request(0,40),crash()"}
    assert points["bcr-raft", 2].faults == {f"0,{server}": "first_leader(160),crash()" for server in range(5)}


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


def test_points_of_two_settings_are_one_at_a_time_or_all_combinations(plan_of):
    vary = "vary: {t: [1, 2], batch_limit: [1, 4, 16]}"
    plan = plan_of(TEXT + f"  - {{name: a, title: A, {vary}}}\n  - {{name: b, title: B, {vary}, cross: true}}\n")
    assert len(list(points_of(plan, plan.sweeps[0]))) == 5
    crossed = [point.label for point in points_of(plan, plan.sweeps[1])]
    assert crossed[:4] == ["t = 1, batch_limit = 1", "t = 1, batch_limit = 4", "t = 1, batch_limit = 16", "t = 2, batch_limit = 1"]


def test_faults_are_points_of_their_own(plan_of):
    plan = plan_of(TEXT + '  - {name: a, title: A, faults: {none: {}, crash: {"0,1": "after(5),crash()"}}}\n')
    none, crash = points_of(plan, plan.sweeps[0])
    assert (none.label, crash.label) == ("none", "crash")
    assert none.is_timed and crash.is_timed
    scenario, warnings = parse_scenario(crash.scenario_text(), "x.config")
    assert not warnings
    assert [(plan.configuration, plan.position, plan.text) for plan in scenario.failures] == [(0, 1, "after(5),crash()")]


@pytest.mark.parametrize(
    ("sweep", "said"),
    [
        ("vary: {no_such_key: [1]}", "no setting no_such_key"),
        ("vary: {batch_limt: [1]}", "no setting batch_limt; did you mean batch_limit?"),
        ("vary: {batch_limit: [0, nine]}", "nine"),
        ("vary: {operations: [0]}", "operations = 0: not a whole number from 1 on"),
        ('faults: {x: {"0,7": "after(5),crash()"}}', "sweep a, x: "),
        ('faults: {x: {"0,1": "after(5),crush()"}}', "crush"),
        ('systems: [unreplicated], faults: {x: {"0,1": "after(5),crash()"}}', "unreplicated has no faults"),
        ("systems: [unreplicated], leader_crashes: 5", "unreplicated has no faults"),
        ("systems: [raft], settings: {num_client: 1}", "raft takes two clients"),
        ("settings: {protocol: raft, authentication: hmac}", "nothing is signed in Raft"),
        ("systems: [raft], settings: {num_client: 4}", "raft takes two operations of each client"),
        ("systems: [bcr-raft], settings: {protocol: byzantine_raft}", "protocol = byzantine_raft: bcr-raft is of raft"),
        ("systems: [bcr-raft], settings: {protocol: shuttle}", "protocol = shuttle: bcr-raft is of raft"),
        ("settings: {protocol: paxos}", "paxos"),
        ("vary: {head_timeout: [1000, 2000]}, systems: [bcr, bcr-raft]", "vary: head_timeout says nothing to bcr-raft"),
        ("systems: [bcr-raft], leader_crashes: 5, vary: {t: [one]}", "t = one: not a whole number"),
        ("rates: {first: 10, factor: 2, seconds: 1}, settings: {num_client: 0}", "num_client = 0: not a whole number"),
        ("rates: {first: 10, factor: 2, seconds: 1}, settings: {num_client: two}", "num_client = two: not a whole number"),
    ],
)
def test_a_plan_is_checked_whole_before_anything_runs(plan_of, sweep, said):
    plan = plan_of(TEXT + f"  - {{name: good, title: G}}\n  - {{name: a, title: A, {sweep}}}\n")
    with pytest.raises(PlanError) as refused:
        demand_sound(plan, plan.sweeps)
    assert "nothing is run" in str(refused.value) and said in str(refused.value)
    demand_sound(plan, plan.sweeps[:1])


def test_a_base_that_lacks_what_every_point_needs_is_refused(plan_of):
    plan = plan_of("times: 1\nbase: {t: 1}\nsweeps:\n  - {name: a, title: A}\n")
    with pytest.raises(PlanError, match="without num_client, operations, read_percent, value_bytes"):
        demand_sound(plan, plan.sweeps)


@pytest.mark.parametrize("path", PLANS, ids=lambda path: path.name)
def test_the_plans_that_come_with_the_project_are_sound(path):
    plan = read_plan(path)
    demand_sound(plan, plan.sweeps)


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
        ("  - {name: a, title: A, times: 0}\n", "plan.yaml: sweep a: times: 0"),
        ("  - {name: a, title: A, times: -1}\n", "plan.yaml: sweep a: times: -1"),
        ("  - {name: a, title: A, systems: []}\n", "plan.yaml: sweep a: systems: "),
        ("  - {name: a, title: A, vary: {t: []}}\n", "plan.yaml: sweep a: vary: t has no values"),
        ("  - {name: ../a, title: A}\n", "plan.yaml: sweep ../a: name: "),
        ("  - {name: a, title: A, leader_crashes: -1}\n", "plan.yaml: sweep a: leader_crashes: -1"),
        ('  - {name: a, title: A, leader_crashes: 1, faults: {x: {"0,1": "after(5),crash()"}}}\n', "plan.yaml: sweep a: leader_crashes: "),
        ("  - {name: a, title: A, rates: {first: 0, factor: 2, seconds: 1}}\n", "plan.yaml: sweep a: rates: first: 0"),
        ("  - {name: a, title: A, rates: {first: 9, factor: 1, seconds: 1}}\n", "plan.yaml: sweep a: rates: factor: 1"),
        ("  - {name: a, title: A, rates: {first: 9, factor: .nan, seconds: 1}}\n", "plan.yaml: sweep a: rates: factor: nan"),
        ("  - {name: a, title: A, rates: {first: 9, factor: 2, seconds: .inf}}\n", "plan.yaml: sweep a: rates: seconds: inf"),
        (
            "  - {name: a, title: A, rates: {first: 9, factor: 2, seconds: 1}, vary: {t: [1]}}\n",
            "plan.yaml: sweep a: vary: not beside rates",
        ),
        ("  - {name: a, title: A, rates: {first: 9, factor: 2, seconds: 1}, systems: [raft]}\n", "plan.yaml: sweep a: systems: not beside"),
        (
            "  - {name: a, title: A}\naims: [{says: s, figure: bound, of: [a, bcrr], aim: 1}]\n",
            "aims: s: no point a, bcrr; did you mean a, bcr?",
        ),
        ("  - {name: a, title: A}\naims: [{says: s, figure: rate, of: [a, bcr], aim: 1}]\n", "aims: s: rate is over another point"),
        (
            "  - {name: a, title: A}\naims: [{says: s, figure: alone, of: [a, bcr], over: [a, bcr], aim: 1}]\n",
            "aims: s: alone is over no point",
        ),
        ("  - {name: a, title: A}\naims: [{says: s, figure: speed, of: [a, bcr], aim: 1}]\n", "speed"),
    ],
)
def test_a_plan_that_makes_no_sense_is_refused(plan_of, more, what):
    with pytest.raises(PlanError, match=what):
        plan_of(TEXT + more)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (f"times: 0\nbase: {BASE}\nsweeps: [{{name: a, title: A}}]\n", "plan.yaml: times: 0"),
        (f"times: -3\nbase: {BASE}\nsweeps: [{{name: a, title: A}}]\n", "plan.yaml: times: -3"),
        (f"times: 1\nbase: {BASE}\nsweeps: []\n", "plan.yaml: sweeps: there is none"),
        (f"page: ../README\ntimes: 1\nbase: {BASE}\nsweeps: [{{name: a, title: A}}]\n", "plan.yaml: page: "),
        ("", "plan.yaml: "),
        ("{a: " * 3_000, "plan.yaml: "),
        ("times: \udcff", "plan.yaml: "),
    ],
)
def test_a_plan_that_would_measure_nothing_is_refused_before_anything_is_measured(tmp_path, monkeypatch, capsys, text, what):
    monkeypatch.setattr(bench, "measure", pytest.fail)
    (tmp_path / "plan.yaml").write_bytes(text.encode(errors="surrogateescape"))
    assert bench.main(["run", "--plan", str(tmp_path / "plan.yaml"), "--output", str(tmp_path / "out")]) == bench.BAD_INPUT
    assert what in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_the_command_says_what_is_wrong_with_its_input(tmp_path, capsys):
    assert bench.main(["run", "--plan", str(tmp_path / "none.yaml")]) == bench.BAD_INPUT
    assert bench.main(["--only", "batsch"]) == bench.BAD_INPUT
    assert bench.main(["page", str(tmp_path)]) == bench.BAD_INPUT
    said = capsys.readouterr().err
    assert "none.yaml" in said
    assert "no sweep batsch; did you mean batch?" in said

"""`./bcr bench run`, `page` and `compare` on folders that hold something already: nothing measured is lost, nothing is shown that is not whole."""

import json
import shlex
from functools import partial

import pytest

from bcr_bench import bench
from bcr_bench.pages import plan_page
from bcr_bench.plans.measured import Measured
from bcr_bench.prediction.costs import Costs
from bcr_bench.prediction.layer import Layer
from bcr_bench.running.measuring import run_plan

LATENCY = dict.fromkeys(("p50", "p90", "p99", "p99_9", "max", "mean"), 1.0)
GOOD = Measured(operations=20, rate=100.0, latency_ms=LATENCY, cpu_us={"client_0": 1.0, "replica_0": 2.0})
PLAN = """
times: 2
base: {t: 1, num_client: 2, operations: 20, value_bytes: 1, read_percent: 50}
sweeps:
  - {name: a, title: A, vary: {batch_limit: [1, 4]}}
  - {name: b, title: B}
"""


class Bench:
    """The command with runs that are made up; `fails` are the sweeps whose runs have a problem, `left` the runs until it is interrupted."""

    def __init__(self, folder):
        self.folder, self.plan = folder / "out", folder / "plan.yaml"
        self.plan.write_text(PLAN)
        self.made, self.fails, self.left = [], set(), None
        self.pages = []

    def run(self, point):
        if self.left == 0:
            raise KeyboardInterrupt
        self.left = self.left and self.left - 1
        self.made.append((point.sweep, point.label))
        return Measured(problem="fail: made up") if point.sweep in self.fails else GOOD

    def __call__(self, text=""):
        return bench.main(["run", "--plan", str(self.plan), "--output", str(self.folder), *shlex.split(text)])

    @property
    def contents(self):
        return json.loads((self.folder / "bench.json").read_text())

    @property
    def counts(self):
        return {(point["sweep"], point["label"]): len(point["runs"]) for point in self.contents["points"]}


@pytest.fixture
def made_up(tmp_path, monkeypatch):
    made_up = Bench(tmp_path)
    monkeypatch.setattr(bench, "run_plan", partial(run_plan, run=made_up.run))
    monkeypatch.setattr(bench, "measure", lambda: Costs(20.0, 60.0, 1.0, 1.0, 1.0, 10.0, 2.0, 0.5))
    monkeypatch.setattr(bench, "measure_layer", lambda: Layer(300.0, 80.0))
    monkeypatch.setattr(bench, "links", list)
    monkeypatch.setattr(plan_page, "write_page", lambda contents, folder, docs: made_up.pages.append(docs))
    monkeypatch.setattr(bench, "PROJECT", tmp_path)
    return made_up


ALL = {("a", "batch_limit = 1"): 2, ("a", "batch_limit = 4"): 2, ("b", "bcr"): 2}


@pytest.mark.parametrize("options", ["--only a", "--only b", "--count 1", "--only a --count 1", "--only b --count 2", ""])
def test_going_on_with_some_of_a_plan_keeps_all_that_was_measured(made_up, options):
    assert made_up() == 0
    before = made_up.contents
    assert made_up.counts == ALL
    assert made_up(f"--resume {options}") == 0
    assert made_up.counts == ALL and len(made_up.made) == 6
    assert [each["name"] for each in made_up.contents["sweeps"]] == ["a", "b"]
    assert {**made_up.contents, "command": ""} == {**before, "command": ""}


def test_a_run_that_is_interrupted_while_it_goes_on_has_lost_nothing(made_up):
    assert made_up() == 0
    made_up.left = 1
    with pytest.raises(KeyboardInterrupt):
        made_up("--resume --only b --count 5")
    assert made_up.counts == ALL | {("b", "bcr"): 3}
    assert len((made_up.folder / "runs.csv").read_text().splitlines()) == 1 + 7


def test_what_was_left_is_measured_into_the_same_folder_which_tells_all_of_its_commands(made_up):
    made_up.left = 1
    with pytest.raises(KeyboardInterrupt):
        made_up("--only b")
    made_up.left = None
    assert made_up("--resume --only b") == 0
    assert made_up.contents["left_out"] == ["a"]
    assert made_up("--resume") == 0
    assert made_up.counts == ALL and made_up.contents["left_out"] == []
    assert [name for name, _ in made_up.made] == ["b", "b", "a", "a", "a", "a"]
    command = f"./bcr bench run --plan {made_up.plan}"
    assert made_up.contents["command"] == f"{command} --only b; {command}"


def test_a_plan_that_has_grown_goes_on_and_one_that_measures_something_else_does_not(made_up, capsys):
    assert made_up() == 0
    made_up.plan.write_text(PLAN.replace("[1, 4]", "[4, 16]"))
    assert made_up("--resume") == 0
    assert made_up.counts == ALL | {("a", "batch_limit = 16"): 2}
    before = made_up.contents
    for text in (
        PLAN.replace("operations: 20", "operations: 40"),
        PLAN.replace("{batch_limit: [1, 4]}", "{t: [1]}"),
        f"page: other\n{PLAN}",
    ):
        made_up.plan.write_text(text)
        assert made_up("--resume") == bench.BAD_INPUT
        assert "nothing to go on with" in capsys.readouterr().err
    assert made_up.contents == before and len(made_up.made) == 8


def test_a_folder_that_has_a_run_is_not_written_into_without_being_asked(made_up, capsys):
    assert made_up() == 0
    before = made_up.contents
    assert made_up("--only a") == bench.BAD_INPUT
    assert "has a bench.json already: --resume" in capsys.readouterr().err
    assert made_up.contents == before and len(made_up.made) == 6


def test_a_page_of_docs_is_not_replaced_by_some_of_its_sweeps(made_up, capsys):
    assert made_up("--only a --docs") == bench.BAD_INPUT
    assert "--docs renews the whole page, and this would be without b" in capsys.readouterr().err
    assert made_up.made == [] and not made_up.folder.exists()
    assert made_up("--only a") == 0
    assert bench.main(["page", str(made_up.folder), "--docs"]) == 1
    assert "docs/ stays as it is: b: of the plan, and not measured" in capsys.readouterr().err
    assert set(made_up.pages) == {None}
    assert made_up("--resume --only b --docs") == 0  # and now it is whole
    assert made_up.pages[-1] == made_up.folder.parent / "docs"


def test_a_page_of_docs_stays_as_it_is_where_a_point_has_no_run_that_counts(made_up, capsys):
    made_up.fails = {"b"}
    assert made_up("--docs") == 1
    assert "docs/ stays as it is: b: bcr (bcr): fail: made up" in capsys.readouterr().err
    assert bench.main(["page", str(made_up.folder), "--docs"]) == 1
    assert set(made_up.pages) == {None}
    made_up.fails = set()
    assert made_up("--resume --count 3 --docs") == 0
    assert made_up.pages[-1] is not None


def test_without_a_checkout_there_is_no_page_to_renew(made_up, monkeypatch, capsys):
    monkeypatch.setattr(bench, "IS_CHECKOUT", False)
    for command in (["run", "--docs"], ["callers", "--docs"], ["budget", "--docs"], ["page", str(made_up.folder), "--docs"]):
        assert bench.main(command) == bench.BAD_INPUT
        assert "a checkout's docs/" in capsys.readouterr().err


def changed(contents, place, value):
    """The contents with something else at this place; DEL for nothing."""
    *way, last = place
    at = contents
    for key in way:
        at = at[key]
    if value is DEL:
        del at[last]
    else:
        at[last] = value
    return json.dumps(contents)


DEL = object()


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("points",), DEL), (("points",), {}), (("points", 0, "runs"), DEL), (("points", 0, "runs", 0), 7), (("points", 0, "settings"), None),
        (("points", 0, "median"), []), (("points", 0, "sweep"), "elsewhere"), (("machine",), ["x"]), (("costs",), DEL), (("layer",), {}),
        (("sweeps", 0, "name"), "../a"), (("page",), "../README"), (("points", 0, "runs", 0, "rate"), float("nan")), (("counts",), 3),
        (("points", 0, "runs", 0, "cpu_us"), "none"), (("began",), 1),
    ],
)  # fmt: skip
def test_what_is_no_run_of_the_command_is_refused_and_stays_as_it_is(made_up, capsys, place, value):
    assert made_up("--count 1") == 0
    file = made_up.folder / "bench.json"
    text = changed(made_up.contents, place, value)
    file.write_text(text)
    drawn = len(made_up.pages)
    assert bench.main(["page", str(made_up.folder)]) == bench.BAD_INPUT
    assert made_up("--resume") == bench.BAD_INPUT
    said = capsys.readouterr().err
    assert said.count("not what ./bcr bench has written: ") == 2
    assert file.read_text() == text and len(made_up.pages) == drawn and len(made_up.made) == 3


@pytest.mark.parametrize("text", ["", "[]", "7", "null", "{", '{"points": [[]]}', "[" * 100_000, "\udc80"])
@pytest.mark.parametrize("command", [["page"], ["compare"], ["run", "--resume", "--output"]], ids=lambda command: command[0])
def test_what_is_no_such_file_at_all_is_bad_input(tmp_path, capsys, command, text):
    (tmp_path / "bench.json").write_bytes(text.encode(errors="surrogateescape"))
    folders = [str(tmp_path)] * (2 if command == ["compare"] else 1)
    assert bench.main([*command, *folders]) == bench.BAD_INPUT
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("bcr bench") and "bench.json" in line


def test_a_page_that_cannot_be_made_of_the_figures_says_so(made_up, monkeypatch, capsys):
    assert made_up("--count 1") == 0
    monkeypatch.setattr(plan_page, "write_page", lambda contents, folder, docs: contents["points"][0]["settings"]["no_such"])
    assert bench.main(["page", str(made_up.folder)]) == bench.BAD_INPUT
    assert "no_such" in capsys.readouterr().err


def test_who_goes_on_says_with_what_and_there_is_one_plan(made_up, capsys):
    assert bench.main(["run", "--plan", str(made_up.plan), "--resume"]) == bench.BAD_INPUT
    assert "say which by --output" in capsys.readouterr().err
    with pytest.raises(SystemExit) as ended:
        made_up("--full")
    assert ended.value.code == bench.BAD_INPUT

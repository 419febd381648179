"""The page of a run: every table and plot of what was measured, in both forms, from `bench.json` alone."""

import json
import re
from xml.etree import ElementTree

import msgspec
import pytest

from bcr_bench.pages.machine import LOAD, describe
from bcr_bench.pages.plan_page import write_page
from bcr_bench.pages.writing import Basis, as_json, read_begun, write
from bcr_bench.plans.measured import Measured
from bcr_bench.plans.plan_files import Aim, Plan, Rates, Sweep
from bcr_bench.prediction.costs import Costs
from bcr_bench.prediction.counted import counts, counts_unreplicated
from bcr_bench.prediction.layer import Layer
from bcr_bench.prediction.predicted import Shape, cryptographic_bound
from bcr_bench.prediction.sketch import sketch
from bcr_bench.prediction.slow_links import SlowLink
from bcr_bench.running.measuring import run_plan
from bcr_bench.studies.budget import Column, section_of, with_section

BASE = {
    "t": 1, "num_client": 2, "client_window": 4, "batch_limit": 4, "operations_per_request": 1, "operations": 100,
    "value_bytes": 1, "read_percent": 0, "checkpt_interval": 100,
}  # fmt: skip
SWEEPS = [
    Sweep("systems", "Against <others>", systems=("bcr", "unreplicated", "pysyncobj-leader")),
    Sweep("t", "Faults", vary={"t": [1, 2]}),
    Sweep("open", "Open loop", rates=Rates(100, 2.0, 1.0)),
    Sweep("alone", "Alone", vary={"t": [1]}, settings={"num_client": 1, "client_window": 1}),
    Sweep("memory", "A million", settings={"operations": 1_000_000}),
    Sweep("crossed", "Crossed", vary={"t": [1, 2], "batch_limit": [1, 4]}, cross=True),
    Sweep("through", "Through", faults={"none": {}, "crash": {"0,1": "after(5),crash()"}}),
]

AIMS = [
    Aim("reached", "rate", ("t", "t = 1"), 2.0, ("t", "t = 2"), why="Nobody asks."),
    Aim("missed", "rate", ("t", "t = 2"), 0.6, ("t", "t = 1"), why="For this reason."),
    Aim("missed too", "rate", ("t", "t = 2"), 0.7, ("t", "t = 1"), why="For this reason."),
    Aim("not measured", "rate", ("t", "t = 2"), 0.6, ("systems", "pysyncobj-leader")),
    Aim("the busiest replica", "replica", ("systems", "bcr"), 0.3, ("systems", "unreplicated")),
    Aim("signatures alone", "bound", ("t", "t = 1"), 0.7),
    Aim("alone", "alone", ("alone", "t = 1"), 1.5),
]


def fake(point):
    """Figures of their own for each point; one of them has a problem."""
    if point.system == "pysyncobj-leader":
        return Measured(problem="no result: it | ended")
    rate = min(1_000.0 / int(point.settings["t"]), float(point.settings.get("client_rate", 500)) * 2)
    latency = dict.fromkeys(("p50", "p90", "p99", "p99_9", "max", "mean"), 1_000 / rate)
    cpu = {"client_0": 10.0, "replica_0": 100.0, "replica_1": 150.0, "olympus": 0.01}
    if point.system == "unreplicated":
        cpu = {"client_0": 10.0, "server": 60.0}
    memory = {name: [[float(second), 40.0 + second / 100, second] for second in range(20)] for name in cpu}
    operations = int(point.settings["operations"])
    return Measured(operations=operations, rate=rate, latency_ms=latency, cpu_us=cpu, memory=memory,
                    timeline=[[0.0, 4.0, 1.5], [10.0, 0.0, 0.0], [20.0, 3.0, 9.0]], away_ms=12.0)  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    series = run_plan(Plan(2, BASE, SWEEPS), SWEEPS, fake)
    costs = Costs(20.0, 60.0, 1.0, 1.0, 1.0, 10.0, 2.0, 0.5)
    basis = Basis({"processor": "some", "cores": "2"}, costs, Layer(300.0, 80.0), [SlowLink(1, 5, 20.0, 20.0)])
    contents = as_json(
        ["./bcr", "bench", "run", "--output", "/somewhere/else", "--count", "2", "--output=there"],
        "2000-01-01 00:00 UTC",
        basis,
        SWEEPS,
        series,
    )
    contents["aims"] = msgspec.to_builtins(AIMS)
    write(tmp_path, contents, series)
    write_page(json.loads((tmp_path / "bench.json").read_text()), tmp_path, tmp_path / "docs")
    return tmp_path


SIDE_BY_SIDE = [
    Sweep("alone", "Alone", systems=("bcr", "bcr-raft", "unreplicated"), says="One client."),
    Sweep("faults", "Faults", systems=("bcr", "bcr-raft"), vary={"t": [1, 2]}),
    Sweep("outage", "Death", systems=("bcr", "bcr-raft"), vary={"t": [1, 2]}, settings={"client_timeout": 300}, leader_crashes=5),
]


@pytest.fixture
def side_by_side(tmp_path):
    plan = Plan(2, BASE | {"client_timeout": 60_000}, SIDE_BY_SIDE, "comparison", "Side by side", True)
    series = run_plan(plan, SIDE_BY_SIDE, fake)
    basis = Basis(describe(), Costs(20.0, 60.0, 1.0, 1.0, 1.0, 10.0, 2.0, 0.5), Layer(300.0, 80.0), [])
    counted = [*counts(("raft",), (1,)), counts_unreplicated()]
    contents = as_json(["./bcr", "bench"], "2000-01-01 00:00 UTC", basis, SIDE_BY_SIDE, series)
    contents |= {"page": plan.page, "title": plan.title, "counts": msgspec.to_builtins(counted)}
    contents["aims"] = msgspec.to_builtins([Aim("back soon", "away", ("outage", "bcr-raft, t = 2"), 2.0)])
    write(tmp_path, contents, series)
    write_page(json.loads((tmp_path / "bench.json").read_text()), tmp_path, tmp_path / "docs")
    return tmp_path


def test_a_page_holds_its_figures_against_the_plans_aims_and_says_why_some_are_not_reached(folder):
    text = (folder / "docs" / "performance.md").read_text()
    section = text[text.index("## Aims") : text.index("## What an operation must cost")]
    rows = re.findall(r"^\| ([^|]+) \| ([^|]+) \| ([^|]+) \| (yes|no|not measured) \|$", section, re.MULTILINE)
    assert [row for row in rows if row[0] not in ("signatures alone", "alone")] == [
        ("reached", ">= 2", "2.00", "yes"),
        ("missed", ">= 0.6", "0.50", "no"),
        ("missed too", ">= 0.7", "0.50", "no"),
        ("not measured", ">= 0.6", "-", "not measured"),
        ("the busiest replica", ">= 0.3", "0.40", "yes"),
    ]
    assert "Nobody asks." not in section and section.count("For this reason.") == 1


def test_of_signatures_and_hops_alone_the_bounds_are_what_the_sketch_counts():
    costs, shape = Costs(20.0, 60.0, 1.0, 1.0, 1.0, 10.0), Shape(t=1)
    counted = sketch(1, 1)
    assert cryptographic_bound(costs, shape, 2) == pytest.approx(2e6 / (counted.signatures * 20 + counted.verifications * 60))


def test_a_page_of_several_protocols_says_what_each_promises_and_takes_and_how_long_none_is_answered(side_by_side):
    text = (side_by_side / "docs" / "comparison.md").read_text()
    assert "| chain | 2t+1, and Olympus | t replicas that lie or crash" in text
    assert "| PySyncObj |" not in text  # which is not on this page
    assert "\n| Raft, t = 1 | 3 | 0 | 6 | " in text and "\n| one server | 1 | 0 | 2 | " in text
    assert "\n\nOne client.\n\n" in text
    assert "| Raft, t = 2 | 500 | " in text and "bcr" not in re.sub(r"`[^`]*`|\(comparison/.*\)", "", text)
    assert "| chain | 12 | 12 |\n| Raft | 12 | 12 |" in text
    assert "| back soon | <= 2 | 0.08 | yes |" in text
    assert text.count("client_timeout = 300") == 1 and "client_timeout = 60000" not in text
    named = re.findall(r"\]\(comparison/([\w-]+\.svg)\)", text)
    assert {"alone.svg", "faults.svg", "outage.svg", "outage-over-time.svg"} <= set(named)


def test_what_was_measured_can_be_gone_on_with_on_the_same_machine_alone(side_by_side):
    begun = read_begun(side_by_side)
    assert [len(each.runs) for each in begun.series] == [2] * 11
    assert (
        run_plan(Plan(2, BASE | {"client_timeout": 60_000}, SIDE_BY_SIDE), SIDE_BY_SIDE, pytest.fail, before=begun.series) == begun.series
    )
    file = side_by_side / "bench.json"
    file.write_text(file.read_text().replace(f'"cores": "{describe()["cores"]}"', '"cores": "1,000"'))
    with pytest.raises(ValueError, match="were not what they are here: cores"):
        read_begun(side_by_side)
    with pytest.raises(OSError, match="bench.json"):
        read_begun(side_by_side / "docs")


def test_every_plot_of_the_page_is_there_and_well_formed(folder):
    text = (folder / "docs" / "performance.md").read_text()
    named = re.findall(r"\]\(performance/([\w-]+\.svg)\)", text)
    assert set(named) == {path.name for path in (folder / "docs" / "performance").iterdir()}
    assert set(named) == {path.name for path in folder.glob("*.svg")}
    assert len(named) >= 8
    for name in named:
        ElementTree.parse(folder / name)


def test_the_page_is_one_file_with_its_plots_inside(folder):
    text = (folder / "index.html").read_text()
    assert text.count("<svg") == len(list(folder.glob("*.svg")))
    assert "Against &lt;others&gt;" in text
    assert not re.search(r"<(img|script|link)", text)


def test_the_page_says_where_and_by_what_it_was_measured_and_what_failed(folder):
    text = (folder / "docs" / "performance.md").read_text()
    assert "`./bcr bench run --count 2`" in text
    assert "| processor | some |" in text
    assert "no result" in text


@pytest.mark.parametrize(("load", "is_told"), [("0.40 3.00 5.00", False), ("6.81 5.99 3.29", True)])
def test_a_page_says_when_the_machine_had_other_work(folder, load, is_told):
    contents = json.loads((folder / "bench.json").read_text())
    contents["machine"][LOAD] = load
    write_page(contents, folder, folder / "docs")
    assert ("had other work to do" in (folder / "docs" / "performance.md").read_text()) == is_told


def test_rows_of_the_csv_are_the_runs(folder):
    lines = (folder / "runs.csv").read_text().splitlines()
    points = json.loads((folder / "bench.json").read_text())["points"]
    assert len(lines) == 1 + sum(len(point["runs"]) for point in points)


def test_every_plot_is_there_as_pdf_too_and_has_a_caption_with_the_command(folder):
    text = (folder / "index.html").read_text()
    for svg in folder.glob("*.svg"):
        assert svg.with_suffix(".pdf").read_bytes().startswith(b"%PDF")
        assert f"<a href='{svg.stem}.pdf'>PDF</a></figcaption>" in text
    assert "<figcaption>throughput and latency over time; <code>./bcr bench run --count 2</code>" in text
    assert "| crash | 12 |" in (folder / "docs" / "performance.md").read_text()


def test_the_same_figures_give_the_same_plots(folder, tmp_path):
    again = tmp_path / "again"
    again.mkdir()
    write_page(json.loads((folder / "bench.json").read_text()), again, None)
    assert all((again / path.name).read_text() == path.read_text() for path in folder.glob("*.svg"))


def test_the_command_that_the_page_tells_names_no_folder_of_this_machine(folder):
    assert json.loads((folder / "bench.json").read_text())["command"] == "./bcr bench run --count 2"


def test_the_page_keeps_the_section_that_another_command_writes(folder):
    page = folder / "docs" / "performance.md"
    section = section_of([Column("crc", {"sign": 1.0}, 1.0)], "2000-01-01 00:00 UTC")
    page.write_text(with_section(page.read_text(), section))
    before = page.read_text()
    write_page(json.loads((folder / "bench.json").read_text()), folder, folder / "docs")
    assert page.read_text() == before

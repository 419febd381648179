"""Two runs of plans are compared: ratios, intervals, and what cannot be compared."""

import json
from statistics import median

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bcr_bench import bench
from bcr_bench.plans.compare import ratio_of

RATES = st.lists(st.floats(1.0, 1e6), min_size=3, max_size=9)


@settings(deadline=None, max_examples=30)
@given(RATES, RATES)
def test_the_ratio_of_the_medians_lies_in_its_interval(old, new):
    ratio = ratio_of(old, new)
    assert ratio.value == median(new) / median(old)
    assert ratio.interval[0] <= ratio.value <= ratio.interval[1]


@settings(deadline=None, max_examples=30)
@given(RATES)
def test_no_difference_is_shown_between_a_run_and_itself(rates):
    assert not ratio_of(rates, rates).is_shown


def test_a_difference_beyond_all_noise_is_shown():
    assert ratio_of([100.0, 101.0, 99.0, 100.0, 102.0], [200.0, 199.0, 201.0, 202.0, 198.0]).is_shown
    assert not ratio_of([100.0, 150.0, 60.0, 90.0, 130.0], [105.0, 140.0, 70.0, 95.0, 120.0]).is_shown


def test_two_runs_show_nothing():
    assert "too few runs" in str(ratio_of([1.0, 1.0], [9.0, 9.0]))


def written(folder, rates, label="t = 1", **settings):
    folder.mkdir()
    runs = [{"problem": "", "rate": rate, "latency_ms": {"p50": 1000 / rate}, "cpu_us": {}} for rate in rates]
    point = {"sweep": "a", "label": label, "system": "bcr", "settings": {"t": 1, **settings}, "runs": runs}
    (folder / "bench.json").write_text(json.dumps({"points": [point, {**point, "label": folder.name}]}))
    return folder


def test_the_command_prints_ratios_and_what_only_one_has(tmp_path, capsys):
    old, new = written(tmp_path / "old", [100, 101, 99]), written(tmp_path / "new", [200, 199, 201])
    assert bench.main(["compare", str(old), str(new / "bench.json")]) == 0
    printed = capsys.readouterr().out
    assert "2.00 (" in printed and "0.50 (" in printed
    assert f"only in {old}: a: old (bcr)" in printed


def test_points_with_other_settings_are_not_compared(tmp_path, capsys):
    old, new = written(tmp_path / "old", [100] * 3), written(tmp_path / "new", [200] * 3, num_client=4)
    assert bench.main(["compare", str(old), str(new)]) == 0
    assert "not the" in capsys.readouterr().out


def rewritten(folder, **changes):
    """The runs of the folder's first point, and its own keys, changed."""
    file = folder / "bench.json"
    contents = json.loads(file.read_text())
    for place, value in changes.items():
        contents["points"][0][place] = value(contents["points"][0].get(place))
    file.write_text(json.dumps(contents))
    return folder


def failed(count):
    return lambda runs: [run | {"problem": "fail: slot 3 has two results"} if place < count else run for place, run in enumerate(runs)]


def test_runs_that_failed_are_told_and_a_point_without_any_other_ends_with_1(tmp_path, capsys):
    old, new = written(tmp_path / "old", [100] * 3), rewritten(written(tmp_path / "new", [200] * 3), runs=failed(2))
    assert bench.main(["compare", str(old), str(new)]) == 0
    assert capsys.readouterr().err == f"bcr bench compare: {new}: a: t = 1 (bcr): 1 of 3 runs count: fail: slot 3 has two results\n"
    assert bench.main(["compare", str(old), str(rewritten(new, runs=failed(3)))]) == 1
    assert "(bcr): 0 of 3 runs count: fail: slot 3 has two results" in capsys.readouterr().err
    assert bench.main(["compare", str(old), str(rewritten(new, runs=lambda _: []))]) == 1
    assert "(bcr): 0 of 0 runs count: not run" in capsys.readouterr().err


@pytest.mark.parametrize(("changes", "status"), [({"processor": "another"}, 1), ({"Python": "3.13"}, 0), ({"load before": "9"}, 0)])
def test_ratios_of_other_machines_are_told(tmp_path, capsys, changes, status):
    folders = []
    for name, machine in (("old", {}), ("new", changes)):
        folders.append(written(tmp_path / name, [100] * 3))
        file = folders[-1] / "bench.json"
        here = {"processor": "some", "Python": "3.12", "load before": "1"} | machine
        file.write_text(json.dumps(json.loads(file.read_text()) | {"machine": here}))
    assert bench.main(["compare", *map(str, folders)]) == status
    said = capsys.readouterr().err
    assert [f"another {name}: " in said for name in ("processor", "Python", "load before")] == [
        "processor" in changes, "Python" in changes, False
    ]  # fmt: skip


def test_points_with_other_faults_are_not_compared(tmp_path, capsys):
    old, new = written(tmp_path / "old", [100] * 3), written(tmp_path / "new", [200] * 3)
    rewritten(new, faults=lambda _: {"0,1": "after(5),crash()"})
    assert bench.main(["compare", str(old), str(new)]) == 0
    assert "not the same" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize("content", [None, "[]", "{", '{"points": []}', '{"points": [{"sweep": "a", "label": "b", "system": "bcr"}]}'])
def test_what_holds_no_points_is_bad_input(tmp_path, capsys, content):
    if content is not None:
        (tmp_path / "bench.json").write_text(content)
    assert bench.main(["compare", str(tmp_path), str(tmp_path)]) == 2
    assert "bcr bench compare: " in capsys.readouterr().err

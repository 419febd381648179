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


@pytest.mark.parametrize("content", [None, "[]", "{", '{"points": []}'])
def test_what_holds_no_points_is_bad_input(tmp_path, capsys, content):
    if content is not None:
        (tmp_path / "bench.json").write_text(content)
    assert bench.main(["compare", str(tmp_path), str(tmp_path)]) == 2
    assert "bcr bench compare: " in capsys.readouterr().err

"""Golden runs: scenarios of a few lines, and what every process did in them, as text to be read aloud.

Each file of `tests/golden/` is a scenario, a line of dashes, and its story as the simulator tells it: when, who, what. A
change of the protocol shows there line by line. Where it is meant, `./bcr test tests/test_golden.py --renew` writes the
stories anew, and the difference is to be read before it is committed.
"""

import re
from pathlib import Path

import pytest

from bcr.scenario import parse_scenario
from bcr_sim.transcript import told

FOLDER = Path(__file__).parent / "golden"
GOLDEN = sorted(FOLDER.glob("*.txt"))
DASHES = "-" * 100


def parts(path):
    """The scenario of a golden file, and the lines of its story."""
    scenario, _, story = path.read_text().partition(f"{DASHES}\n")
    return scenario, story.splitlines()


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_a_run_goes_as_its_story_says(path, tmp_path, request):
    text, story = parts(path)
    outcome, lines = told(parse_scenario(text, path.stem)[0], tmp_path)
    assert outcome.breaches == ()
    if request.config.getoption("renew"):
        path.write_text("\n".join([f"{text.rstrip()}\n{DASHES}", *lines]) + "\n")
        pytest.skip("written anew")
    assert lines == story


def test_there_are_runs_of_each_kind():
    stories = {path.stem: "\n".join(parts(path)[1]) for path in GOLDEN}
    assert len(stories) >= 6
    assert "reconfig" not in stories["fault_free"]
    assert "blames replica 2" in stories["tail_changes_a_result"]
    assert "ContradictoryOrder" in stories["head_changes_an_operation"]
    assert "is active in configuration 1" in stories["crash_and_reconfiguration"]
    assert "cuts its history" in stories["checkpoint_and_truncated_history"]
    assert "case cached" in stories["client_asks_everybody"]
    assert "NotFinal" in stories["answered_early"]
    assert "double(1)" in stories["lying_client"] and "is asked" not in stories["lying_client"]


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_a_story_can_be_read_aloud(path):
    """Short lines that say when, who and what, without digests, signatures or anything else of bytes."""
    text, story = parts(path)
    assert text.startswith("# ")
    assert 20 < len(story) < 150
    for line in story[:-3]:
        assert re.fullmatch(r" *\d+  (?:client_\d|olympus|replica_\d)(?:/\d)? +\w.*", line), line
        assert len(line) < 170
        assert not re.search(r"[0-9a-f]{16}", line)


def test_a_log_is_read_as_it_was_written():
    from bcr_sim.transcript import _read

    moment, values = _read('time=2000-01-01T00:00:01.500000+00:00 event=odd what="a \\"b\\" = c" slot=3 blamed=')
    assert (moment, values) == (1500, {"event": "odd", "what": 'a "b" = c', "slot": "3", "blamed": ""})


@pytest.mark.parametrize("level", ["quiet", "human", "debug"])
def test_the_command_tells_the_story_at_each_log_level(level, tmp_path, capsys):
    from bcr_sim import sim

    text, story = parts(FOLDER / "fault_free.txt")
    file = tmp_path / "fault_free.config"
    file.write_text(f"{text}log_level = {level}\n")
    assert sim.main([str(file), "--story", "--log-folder", str(tmp_path / "logs")]) == 0
    assert "\n".join(story) in capsys.readouterr().out
    assert sim.main([str(file), "--story"]) == 0
    assert "\n".join(story) in capsys.readouterr().out


def test_the_command_tells_one_story_at_a_time(capsys):
    from bcr_sim import sim

    with pytest.raises(SystemExit):
        sim.main(["a.config", "b.config", "--story"])
    assert "--story take one FILE" in capsys.readouterr().err

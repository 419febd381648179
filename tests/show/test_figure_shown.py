"""The steps of the paper's Figure 1 in the logs of simulated runs: found in them, allowed, and shown."""

import json

import pytest
from show.conftest import simulated

from bcr.evidence.figure import Step
from bcr_run.figure_in_logs import follow
from bcr_runtime.places import PROJECT
from bcr_show import show
from bcr_sim.seeds import scenario_text


@pytest.mark.parametrize(("authentication", "durable"), [("ed25519", False), ("hmac", False), ("crc", False), ("ed25519", True)])
def test_logs_of_seeds_tell_only_of_steps_that_are_allowed(tmp_path, authentication, durable):
    kinds = set()
    for seed in range(6):
        (tmp_path / str(seed)).mkdir()
        folder = simulated(tmp_path / str(seed), scenario_text(seed, authentication, durable=durable))
        figure = follow(folder, json.loads((folder / "result.json").read_text()))
        assert figure.forbidden is None and not figure.unknown, (seed, figure.forbidden, figure.why, figure.unknown)
        kinds |= {step.kind for step in figure.steps}
    assert kinds >= {"issue", "begin", "become active", "order command", "become immutable", "go back", "catch up", "learn"}


def test_who_comes_back_in_another_session_learns_under_its_number_there(tmp_path):
    text = (PROJECT / "config" / "attacks" / "old_session.config").read_text()
    folder = simulated(tmp_path, text)
    figure = follow(folder, json.loads((folder / "result.json").read_text()))
    assert figure.forbidden is None and not figure.unknown, (figure.forbidden, figure.why)
    assert len({client for step in figure.steps if step.kind == "learn" for client, _ in step.commands}) > 2


def test_a_line_that_tells_of_a_forbidden_step_fails_the_run_with_it(copied, shown, capsys):
    log = copied / "replica_1-configuration_0.log"
    lines = log.read_text().splitlines(keepends=True)
    first = next(place for place, line in enumerate(lines) if "event=executed" in line)
    log.write_text("".join([*lines[: first + 1], lines[first], *lines[first + 1 :]]))
    assert show.main(["--conformance", str(copied)]) == 1
    assert capsys.readouterr().out.splitlines()[-1].endswith("order command: configuration 0, replica 1, slot 0, 0:0 "
                                                             f"({digest_of(lines[first])}): its next slot is 1")  # fmt: skip
    page = shown(copied)
    assert len(page.of_class("forbidden")) == 1
    assert "Figure 1 forbids the last of" in page.text and "its next slot is 1" in page.text


def digest_of(line):
    return line.partition("digest=")[2][:8]


def test_what_a_replica_did_before_a_fault_made_it_lie_still_counts(lying_tail):
    figure = follow(lying_tail, json.loads((lying_tail / "result.json").read_text()))
    tail = [step for step in figure.steps if step.configuration == 0 and step.position == 2]
    assert [step.slot for step in tail if step.kind == "order command"] == [0]
    assert not [step for step in tail if step.kind == "become immutable"]
    assert Step("issue", 1) in figure.steps


def test_the_page_lists_the_steps(lying_tail, shown):
    text = shown(lying_tail).text
    assert "and Figure 1 allows each" in text and "become immutable" in text


def test_of_a_run_whose_logs_were_cut_short_nobody_is_accused(copied, shown, capsys):
    """As a full disk cuts them: Olympus's log ends before it issues the next configuration, and the run looked for no steps."""
    log = copied / "olympus.log"
    lines = log.read_text().splitlines(keepends=True)
    [*_, last] = [place for place, line in enumerate(lines) if "event=issued" in line]
    log.write_text("".join(lines[:last]))
    assert show.main(["--conformance", str(copied)]) == 1
    result = json.loads((copied / "result.json").read_text())
    del result["figure"]
    (copied / "result.json").write_text(json.dumps(result))
    capsys.readouterr()
    assert show.main(["--conformance", str(copied)]) == 2
    assert "no steps of Figure 1: result.json tells of none" in capsys.readouterr().out
    page = shown(copied)
    assert not page.of_class("forbidden") and "Figure 1 forbids" not in page.text


def test_logs_without_steps_hold_none(copied, capsys):
    for log in copied.glob("*.log"):
        log.write_text("")
    assert show.main(["--conformance", str(copied)]) == 2
    assert "no steps of Figure 1: the logs hold no steps" in capsys.readouterr().out

"""The steps of the paper's Figure 1: a run takes them and no others, and a forbidden one is told."""

import subprocess
import sys

import pytest

from bcr.evidence.figure import Figure, Forbidden, Step, walked
from bcr.scenario import parse_scenario
from bcr_runtime.places import PROJECT
from bcr_sim import hunt, sim
from bcr_sim.bugs import bugs
from bcr_sim.campaign import run_seeds, text_of
from bcr_sim.conformance import conform


def started(*positions):
    """Steps by which the replicas at these positions become active in configuration 0."""
    return [Step("issue", 0), *(Step("become active", 0, position, digest=b"empty") for position in positions)]


def order(position, slot, digest=b"x", commands=()):
    return Step("order command", 0, position, slot, digest, commands=commands)


def suffix(position, slot, digest=b"x"):
    return Step("catch up command", 0, position, slot, digest)


def begin(digest, *members):
    return Step("begin", 1, digest=digest, members=members)


def wedged(replicas):
    """Steps by which so many replicas order slot 0 and become immutable."""
    positions = range(replicas)
    return [*started(*positions), *(order(i, 0) for i in positions), *(Step("become immutable", 0, i) for i in positions)]


def late(position):
    """Steps of a replica that orders nothing, and is caught up to nothing."""
    active, immutable = Step("become active", 0, position, digest=b"empty"), Step("become immutable", 0, position)
    return [active, immutable, Step("catch up", 0, position, 0, b"s")]


def lacking():
    """A client learns of a slot, of which nobody correct says anything when it is caught up."""
    return [*started(), Step("learn", 0, slot=0, digest=b"x"), *late(0), *late(1), Step("issue", 1)]


@pytest.mark.parametrize(
    ("steps", "why"),
    [
        ([Step("become active", 0, 0)], "was not issued"),
        ([*started(0), Step("issue", 0)], "issued before"),
        ([*started(0), Step("become active", 0, 0, digest=b"empty")], "it is active"),
        ([*started(0), Step("become active", 0, 1, digest=b"other")], "another state"),
        ([*started(0), order(0, 1)], "next slot is 0"),
        ([*started(0), order(0, 0), order(0, 0)], "next slot is 1"),
        ([*started(0, 1), order(0, 0), order(1, 0, b"y")], "another command"),
        ([*started(0, 1), order(1, 0)], "has not ordered it"),
        ([*started(0), Step("become immutable", 0, 0), order(0, 0)], "it is immutable"),
        ([*started(0), Step("become immutable", 0, 0), Step("become immutable", 0, 0)], "it is immutable"),
        ([Step("issue", 0), Step("become immutable", 0, 0)], "it is pending"),
        ([*started(0), Step("catch up", 0, 0, 0, b"s")], "it is active"),
        ([*started(0, 1), order(0, 0), Step("checkpoint", 0, 0, 0)], "what it cuts off"),
        ([*started(0, 1), order(0, 0), Step("learn", 0, slot=0, digest=b"x")], "could be lost"),
        ([*started(0), order(0, 0), Step("learn", 0, slot=0, digest=b"y")], "another command"),
        ([*started(0), order(0, 0), Step("learn", 0, slot=0, digest=b"x", outcome=b"z")], "not what it gave"),
        ([*started(0, 1), order(0, 0), Step("order command", 0, 1, 0, b"x", b"z")], "gave something else"),
        (
            [*started(0), order(0, 0, commands=((2, 7),)), order(0, 1, commands=((2, 7),))],
            "request 7 of client 2 was ordered before, in slot 0",
        ),
        ([*started(0), Step("issue", 1), Step("begin", 1, digest=b"s")], "caught up to this state"),
        ([*wedged(1), Step("catch up", 0, 0, 0, b"s")], "executed the slots below 1, and no others"),
        ([*wedged(1), Step("go back", 0, 0, 0)], "it had 1 slots"),
        ([*started(0), Step("go back", 0, 0, 0)], "it is active"),
        ([*started(0), suffix(0, 0)], "it is active"),
        ([*wedged(1), suffix(0, 0)], "what it lacks is 1"),
        ([*wedged(1), suffix(0, 1), Step("go back", 0, 0, 1), suffix(0, 2)], "what it lacks is 1"),
        ([*wedged(1), Step("catch up", 0, 0, 1, b"s"), Step("issue", 1), begin(b"s", 0)], "quorum is of 1, and not of 2"),
        ([*wedged(2), Step("catch up", 0, 0, 1, b"s"), Step("issue", 1), begin(b"s", 0, 1)], "replica 1 of its quorum was not caught up"),
        (
            [*wedged(1), Step("catch up", 0, 0, 1, b"s"), *late(1), Step("issue", 1), begin(b"s", 0, 1)],
            "replica 1 had 0 slots then, and another of its quorum ordered 1",
        ),
        (
            [*started(0), order(0, 0, commands=((0, 0),)), Step("learn", 0, slot=0, digest=b"x", commands=((0, 1),))],
            "did not order this request",
        ),
        ([*lacking(), begin(b"s", 0, 1)], "lacks slots below 1, which clients know of"),
    ],
)
def test_a_step_without_its_precondition_is_forbidden(steps, why):
    taken, forbidden = walked(steps, quorum=2)
    assert taken == steps[:-1]
    assert forbidden.step == steps[-1]
    assert why in str(forbidden)


def test_the_life_of_a_configuration_is_allowed():
    steps = [*started(0, 1), order(0, 0), order(1, 0), Step("learn", 0, slot=0, digest=b"x"), Step("checkpoint", 0, 0, 0)]
    steps += [Step("become immutable", 0, 0), Step("go back", 0, 0, 1), suffix(0, 1), Step("catch up", 0, 0, 2, b"s")]
    steps += [Step("issue", 1), begin(b"s", 0)]
    steps += [Step("become active", 1, 0, digest=b"s")]
    assert walked(steps) == (steps, None)


def test_a_configuration_in_which_nothing_was_learned_may_be_begun_anew():
    anew = [Step("issue", 1), Step("begin", 1, digest=b"empty")]
    assert walked([*started(0), *anew])[1] is None
    assert walked([*started(0), order(0, 0), Step("learn", 0, slot=0, digest=b"x"), *anew])[1] is not None


def test_after_a_configuration_that_never_came_up_the_next_begins_with_what_there_was_before():
    assert walked([Step("issue", 0), Step("issue", 1), Step("begin", 1, digest=b"empty")])[1] is None
    later = [Step("issue", 1), Step("issue", 2), Step("begin", 2, digest=b"empty")]
    assert walked([*started(0), *later])[1] is None
    assert walked([*started(0), order(0, 0), Step("learn", 0, slot=0, digest=b"x"), *later])[1] is not None


def test_what_a_replica_did_that_is_not_correct_any_more_is_not_held_against_others():
    figure = Figure()
    for step in [*started(0, 1), order(0, 0)]:
        figure.take(step)
    with pytest.raises(Forbidden):
        figure.take(order(1, 0, b"y"))
    figure.forget(0, 0)
    figure.take(order(1, 0, b"y"))


def test_nobody_learns_what_the_next_configuration_began_without():
    figure = Figure(quorum=2)
    for step in [*wedged(2), *(Step("catch up", 0, position, 1, b"s") for position in (0, 1)), Step("issue", 1), begin(b"s", 0, 1)]:
        figure.take(step)
    figure.take(Step("learn", 0, slot=0, digest=b"x"))
    for position in (0, 1):
        figure.forget(0, position)
    with pytest.raises(Forbidden, match="began with 1 slots, without it"):
        figure.take(Step("learn", 0, slot=1, digest=b"x"))


@pytest.mark.parametrize("authentication", ["ed25519", "hmac", "crc"])
def test_runs_of_seeds_take_only_steps_that_are_allowed(authentication):
    kinds = set()
    for seed in range(15):
        found = conform(parse_scenario(text_of(seed, None, authentication), "seed.config")[0])
        assert found.forbidden is None, (seed, str(found.forbidden))
        kinds |= {step.kind for step in found.steps}
    assert kinds >= {"issue", "begin", "become active", "order command", "become immutable", "catch up", "checkpoint", "learn"}


def test_the_command_lists_the_steps(capsys):
    assert sim.main(["--conformance", str(PROJECT / "config" / "head_change_op.config")]) == 0
    printed = capsys.readouterr().out
    assert "become immutable: configuration 0, replica 1" in printed
    assert printed.splitlines()[-1].endswith("and Figure 1 allows each")


def test_a_seeded_bug_takes_a_step_that_is_forbidden(tmp_path):
    file = tmp_path / "seed.config"
    file.write_text(text_of(0, None))
    command = [sys.executable, "-P", "-m", "bcr_tools.cli", "sim", "--bug", "new-configuration-begins-empty", "--conformance", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 1, done.stderr
    assert "Figure 1 forbids the last of" in done.stdout


@pytest.mark.parametrize(
    ("name", "forbidden"),
    [
        ("one history is enough for a quorum", "its quorum is of 1, and not of 3"),
        ("history cut one slot too far", "has not ordered what it cuts off"),
    ],
)
def test_rules_that_are_gone_show_in_a_step(name, forbidden):
    number = next(place for place, bug in enumerate(bugs()) if bug["name"] == name)
    command = [sys.executable, "-m", "bcr_sim.bugs", "--one", str(number), "--conformance", "--count", "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert forbidden in done.stdout.splitlines()[-1]


def test_a_bug_that_there_is_not_is_bad_input(capsys):
    assert sim.main(["--bug", "no such bug", "x.config"]) == 2
    assert "no bug 'no such bug': there is none" in capsys.readouterr().err


def test_a_hunt_finds_a_step_that_is_forbidden_and_leaves_what_replays_it(tmp_path, monkeypatch):
    assert run_seeds([0], conformance=True).failures == []
    taken = Figure._become_immutable

    def forbidden_in_configuration_0(figure, step):
        figure._demand(step.configuration > 0, step, "not in this test")
        taken(figure, step)

    monkeypatch.setattr(Figure, "_become_immutable", forbidden_in_configuration_0)
    assert run_seeds([0]).failures == []
    [failure] = run_seeds([0], conformance=True).failures
    assert failure.kind == "figure"
    text = hunt.counterexample(failure, tmp_path / "seed0.config").read_text()
    assert "# Violated: figure: become immutable: configuration 0" in text
    assert "./bcr sim --conformance seed0.config" in text


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--protocol", "raft"], "Figure 1 of the paper is of the chain, and --protocol is raft"),
        ([str(PROJECT / "config" / "raft.config")], "Figure 1 of the paper is of protocol = shuttle, and this is protocol = raft"),
    ],
)
def test_a_hunt_for_forbidden_steps_refuses_raft_and_says_so(arguments, why, capsys):
    assert hunt.main(["--conformance", *arguments]) == 2
    assert why in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--conformance", "--step"])
def test_what_is_of_the_chain_alone_refuses_raft_and_says_so(option, capsys):
    assert sim.main([option, str(PROJECT / "config" / "raft.config")]) == 2
    assert "is of protocol = shuttle, and this is protocol = raft" in capsys.readouterr().err

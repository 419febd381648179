"""Words of `simulation` that never take effect are told, with the reason; and those of our own scenarios all do."""

from pathlib import Path

import pytest

from bcr.scenario import ScenarioError, read_scenario
from bcr.scenario.reading import parse_scenario
from bcr.scenario.values import Cut, DiskFault, Mutation, Pause, PowerCut, Simulation
from bcr_runtime.places import PROJECT
from bcr_sim import hunt, sim
from bcr_sim.campaign import ShardTally, run_seeds, run_text
from bcr_sim.network import Network
from bcr_sim.simulated_run import simulate
from bcr_sim.words import ShareWord, Words, text_of
from bcr_sim.world import MILLISECOND_NS, World

BASE = "t = 1\nnum_client = 2\nclient_timeout = 600\nworkload[0] = pseudorandom(1,30)\nworkload[1] = pseudorandom(2,30)\ncheckpt_interval = 3\n"
CHAIN = BASE + "head_timeout = 600\nnonhead_timeout = 600\nolympus_timeout = 2000\n"
RAFT = BASE + "protocol = raft\n"
AMONG_LIARS = BASE + "protocol = byzantine_raft\n"
DURABLE = "durable = on\n"
CHANCE = ("lose(", "duplicate(", "flip(")  # of few messages it is none at times


def missed(base, words):
    outcome = run_text(f"{base}simulation = seed(1); {words}\n")
    assert not isinstance(outcome, str), outcome
    assert outcome.judgement.status == "pass" and outcome.breaches == ()
    assert all(each["who"] == "simulation" for each in outcome.result["words_missed"])
    return {each["text"]: each["why"] for each in outcome.result["words_missed"]}


@pytest.mark.parametrize(
    ("base", "words", "effective", "why"),
    [
        (CHAIN + DURABLE, "power_cut(60000,90000)", "power_cut(60,200)", "the run was over at "),
        (CHAIN + DURABLE, "power_cut(60,200); restart(replica_1,100)", "power_cut(60,200); restart(replica_1,300)", "the power was off"),
        (CHAIN + DURABLE, "power_cut(60,200); disk(replica_1,full,100)", "disk(replica_1,full,40)", "the power was off"),
        (CHAIN + DURABLE, "power_cut(60,200); power_cut(90,100)", "power_cut(60,90)", "the power was off"),
        (CHAIN + DURABLE, "restart(replica_1,60); restart(replica_1,61)", "restart(replica_1,60)", "replica_1 was not running, or "),
        (CHAIN + DURABLE, "restart(replica_1,60); disk(replica_1,slow(5),61)", "disk(replica_1,slow(5),40)", "replica_1 was not running, "),
        (CHAIN + DURABLE, "end_in_sync(olympus,100)", "end_in_sync(olympus,2)", "number 100 of its syncs never came, counted from 0: there were "),
        (CHAIN, "end_in_sync(replica_1,3)", "", "number 3 of its syncs never came, counted from 0: there were 0"),
        (CHAIN, "power_cut(20,30)", "", "nothing in this run heeds it"),
        (CHAIN, "crash(replica_0,20); crash(replica_0,30)", "crash(replica_0,20)", "replica_0 was not running then"),
        (CHAIN, "crash(replica_0,80000)", "crash(replica_0,20)", "the run was over at "),
        (CHAIN, "pause(replica_0,80000,90000)", "pause(replica_0,20,30)", "the run was over at "),
        (CHAIN, "amnesia(0,3)", "amnesia(0,40)", "replica_0 was not "),
        (CHAIN + DURABLE, "disk(replica_0,slow(9),40); restart(replica_0,60); amnesia(0,84)", "", "replica_0 was not in service then"),  # it begins again
        (CHAIN, "hold(client_0,client_1,0,900)", "hold(client_0,replica_0,0,90)", "client_0 sent client_1 nothing in between"),
        (CHAIN, "cut(client_0,client_1,0,900)", "cut(client_0,replica_0,0,90)", "client_0 sent client_1 nothing in between"),
        (CHAIN, "lose(1); until(1)", "lose(1000); until(60)", "none of the messages was lost"),
        (CHAIN, "lose(30)", "lose(1000); until(60)", "none of the messages was lost: without until(ms) that ends before it begins"),
        (CHAIN, "duplicate(1); until(1)", "duplicate(1000); until(60)", "none of the messages was doubled"),
        (CHAIN, "flip(1); until(1)", "flip(1000); until(60)", "none of the messages was flipped"),
        (RAFT, "restart(replica_1,60)", "crash(replica_1,60); restart(replica_1,61)", "replica_1 had not crashed"),
        (RAFT + DURABLE, "power_cut(60000,90000)", "power_cut(60,200)", "the run was over at "),
        (RAFT + DURABLE, "power_cut(60,200); restart(replica_1,100)", "restart(replica_1,100)", "the power was off"),
        (AMONG_LIARS + DURABLE, "power_cut(60,200); restart(replica_1,100)", "restart(replica_1,100)", "the power was off"),
        (AMONG_LIARS, "hold(client_0,client_1,0,900)", "twins(0); hold(client_0,replica_0,0,90)", "client_0 sent client_1 nothing in between"),
    ],
)  # fmt: skip
def test_a_word_that_takes_no_effect_is_told_with_the_reason_and_one_that_does_is_not(base, words, effective, why):
    told = missed(base, words)
    [text] = told
    assert words.endswith(text) or words.startswith(text) or f" {text}" in words
    assert told[text].startswith(why)
    assert missed(base, effective) == {}


def test_a_server_that_has_crashed_and_is_to_come_back_while_there_is_no_power_does_so_with_the_power():
    """And what it has applied by then does for none that has not: the run waits for the others, too."""
    words = "crash(replica_1,50); power_cut(60,200); restart(replica_1,100)"
    outcome = run_text(f"{RAFT}{DURABLE}simulation = seed(1); {words}\n", keeps_steps=True)
    assert (outcome.breaches, outcome.judgement.status, outcome.result["words_missed"]) == ((), "pass", [])
    [back] = [step for step in outcome.steps if (step.kind, step.receiver, step.message) == ("befell", "replica_1", "restart")]
    assert back.time_us == 200_000


def test_what_a_word_does_and_what_it_does_not_change_no_verdict(capsys, tmp_path):
    file = tmp_path / "late.config"
    file.write_text(f"{CHAIN}{DURABLE}simulation = seed(1); power_cut(600,900)\n")
    assert sim.main([str(file)]) == 0
    told = capsys.readouterr().out
    assert "never struck: power_cut(600,900) of simulation: the run was over at " in told and "verdict: pass" in told
    assert sim.main([str(file), "--show", str(tmp_path / "run")]) == 0
    assert "Never struck: power_cut(600,900) of simulation (the run was over at " in (tmp_path / "run" / "index.html").read_text()


def test_a_hunt_tells_how_many_of_its_words_took_effect():
    tally = run_seeds(range(12), durable=True)
    assert tally.words > tally.idle_words > 0
    assert hunt._told_of_words(ShardTally()) == ""
    assert hunt._told_of_words(ShardTally(words=1_000, idle_words=250)) == "75% of 1,000 words for the simulator took effect; "


def test_a_word_is_told_as_a_file_has_it():
    words = "lose(3); cut(replica_0,client_1,1,2); power_cut(3,4); twins(1); free(0); end_in_sync(olympus,7); disk(replica_0,slow(4),2); disk(olympus,full,1)"
    simulation = parse_scenario(f"{CHAIN}{DURABLE}simulation = {words}\n", "x.config")[0].simulation
    assert sorted(map(text_of, Words(simulation).all)) == sorted(words.split("; "))


def test_of_two_words_on_one_link_each_is_told_of_by_itself():
    cuts = (Cut("replica_0", "replica_1", 0, 5), Cut("replica_0", "replica_1", 3, 9), Cut("replica_0", "replica_1", 20, 30))
    world, effective = World(0), []
    network = Network(world, Simulation(cuts=cuts), lambda *_: None, effective.append)
    assert network._is_cut("replica_0", "replica_1", 4) and effective == [cuts[0], cuts[1]]
    assert not network._is_cut("replica_0", "replica_1", 10) and effective == [cuts[0], cuts[1]]


def test_what_is_said_when_its_time_comes_is_what_is_told():
    pauses, cuts, faults = (Pause("client_0", 5, 9),), (PowerCut(1, 2),), (DiskFault("olympus", "full", 4),)
    words = Words(
        Simulation(lose=3, pauses=pauses, mutations=(Mutation(0, 1),), twins=(1,), free=(2,), power_cuts=cuts, disk_faults=faults)
    )
    words.tried(pauses[0], "it was gone")
    words.tried(cuts[0], "")
    words.took_effect(ShareWord("lose", 3))
    told = words.missed(4 * MILLISECOND_NS, {})
    assert {each["text"]: each["why"] for each in told} == {
        "pause(client_0,5,9)": "it was gone",
        "mutate(0,1)": "replica 0 sent nothing of which one was chosen to be changed",
        "twins(1)": "replica 1 was never made",
        "free(2)": "replica 2 told no lie",
        "disk(olympus,full,4)": "the run was over at 4 ms",
    }


def files():
    config = PROJECT / "config"
    paths = sorted([*config.glob("*.config"), *(config / "attacks").glob("*.config"), *(Path(__file__).parent / "regressions").iterdir()])
    return [path for path in paths if "\nsimulation" in path.read_text()]


@pytest.mark.parametrize("path", files(), ids=lambda path: path.stem)
def test_every_word_of_our_own_scenarios_takes_effect(path):
    """A word that does not would have the file show something that it does not try."""
    missed = simulate(read_scenario(path)[0]).result["words_missed"]
    assert [each for each in missed if not each["text"].startswith(CHANCE)] == []


# -- the disk of Olympus


def of_olympus(words):
    outcome = run_text(f"{CHAIN}{DURABLE}simulation = seed(1); {words}\n")
    assert not isinstance(outcome, str), outcome
    return outcome


@pytest.mark.parametrize("at", [5, 40])
@pytest.mark.parametrize("fault", ["full", "slow(5)"])
def test_with_a_full_or_slow_disk_olympus_replaces_the_chain_all_the_same_and_nothing_is_refused(fault, at):
    outcome = of_olympus(f"disk(olympus,{fault},{at}); restart(replica_1,60)")
    assert (outcome.breaches, outcome.judgement.status, outcome.result["operations"]) == ((), "pass", 60)
    assert [each["to"] for each in outcome.result["reconfigurations"]] == [1]
    assert outcome.result["faults_injected"] == outcome.result["words_missed"] == []


def test_a_disk_that_slows_olympus_makes_its_reconfigurations_longer():
    fast, slow = (of_olympus(f"{words}restart(replica_1,60)") for words in ("", "disk(olympus,slow(50),40); "))
    [before], [after] = (outcome.result["reconfigurations"] for outcome in (fast, slow))
    assert after["active_ms"] > before["active_ms"] + 50  # what it decides, a number and what it issues are a sync each


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ("disk(olympus,broken,40); restart(replica_1,60)", "Olympus ends: olympus cannot be written"),
        ("disk(olympus,flip,40)", "is not what was written"),
    ],
)
def test_olympus_ends_where_its_disk_lies_or_takes_nothing_and_the_run_says_so_and_is_not_called_wrong(words, why):
    outcome = of_olympus(words)
    assert (outcome.breaches, outcome.judgement.status) == ((), "unknown")
    assert outcome.judgement.reasons[0].startswith("Olympus ends: ") and why in outcome.judgement.reasons[0]
    assert 0 < outcome.result["operations"] < 60 and outcome.result["reconfigurations"] == []


def test_while_nothing_has_to_be_replaced_the_chain_serves_though_olympus_cannot_write():
    outcome = of_olympus("disk(olympus,broken,40)")
    assert (outcome.breaches, outcome.judgement.status, outcome.result["operations"]) == ((), "pass", 60)


def test_a_disk_of_olympus_has_no_rows_that_could_be_torn():
    with pytest.raises(ScenarioError, match="Olympus writes no rows, of which the last could be torn; end_in_sync"):
        parse_scenario(f"{CHAIN}{DURABLE}simulation = disk(olympus,torn,4)\n", "x.config")


@pytest.mark.parametrize("base", [RAFT, AMONG_LIARS])
def test_there_is_no_disk_of_olympus_in_raft(base):
    with pytest.raises(ScenarioError, match="there is no olympus in protocol"):
        parse_scenario(f"{base}{DURABLE}simulation = disk(olympus,full,4)\n", "x.config")

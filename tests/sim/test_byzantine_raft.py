"""Raft among liars under the simulator: seeds that pass, bugs that are found, and what a scenario of it may and may not have."""

import subprocess
import sys

import pytest

from bcr.faults.vocabulary import FAILURES, SERVER_FAILURES, SIMULATED
from bcr.scenario import ScenarioError, parse_scenario
from bcr.scenario.protocols import BRAFT_SYNONYMS, BYZANTINE_RAFT, WORDS
from bcr_sim.bugs import bugs
from bcr_sim.campaign import run_seeds, run_text, text_of
from bcr_sim.simulated_run import simulate

BASE = """protocol = byzantine_raft
t = 1
num_client = 1
time_unit = ms
client_timeout = 200
client_rate = 60
checkpt_interval = 3
workload[0] = put('a','1'); append('a','2'); get('a'); uniform(3,15,3,50)
"""
ARGUMENTS = {"milliseconds": "30", "number": "2", "client": "0", "count": "1"}
QUICK = ["quorum of one server too few", "servers' signatures not checked", "executed when the leader says so",
         "vote not in the store", "leader that tells how its term begins before it has put that into its store"]  # fmt: skip
LIES = [name for name in BYZANTINE_RAFT.failures if name not in ("fail_link", "fix_link", *SERVER_FAILURES)]


def outcome_of(more="", base=BASE):
    return simulate(parse_scenario(base + more, "braft.config")[0])


def complaints(more):
    with pytest.raises(ScenarioError) as error:
        parse_scenario(BASE + more, "braft.config")
    return [diagnostic.text for diagnostic in error.value.diagnostics if diagnostic.severity == "error"]


def call(name, word):
    return f"{name}({','.join(ARGUMENTS[kind] for kind in word.arguments)})"


def test_seeds_with_liars_crashes_restarts_and_partitions_pass():
    tally = run_seeds(range(5_000, 5_008), protocol="byzantine_raft")
    assert tally.failures == []
    assert tally.seeds == 8


def test_equal_seeds_are_equal_runs():
    one, other = (run_text(text_of(7, None, protocol="byzantine_raft")) for _ in range(2))
    assert one.trace == other.trace


def test_seeds_have_all_that_may_befall_a_server_and_all_lies():
    texts = "".join(text_of(seed, None, protocol="byzantine_raft") for seed in range(400))
    words = ["crash(", "restart(", "cut(", "hold(", "pause(", "clock(", "lose(", "duplicate(", "flip(", "twins("]
    words += [f",{name}(" for name in LIES]
    assert [word for word in words if word not in texts] == []


@pytest.mark.parametrize("seed", range(60))
def test_no_more_than_t_servers_of_a_seed_are_liars_or_gone_for_good(seed):
    scenario, warnings = parse_scenario(text_of(seed, None, protocol="byzantine_raft"), "seed.config")
    liars = {plan.position for plan in scenario.failures} | set(scenario.simulation.twins)
    back = {restart.process for restart in scenario.simulation.restarts}
    gone = {crash.process for crash in scenario.simulation.crashes if crash.process not in back}
    assert len(liars) + len(gone) <= scenario.t
    assert list(warnings) == []


@pytest.mark.parametrize("position", [0, 2])
@pytest.mark.parametrize("failure", LIES)
def test_whatever_one_server_of_four_does_all_is_answered_and_right(failure, position):
    """At the first leader and at a follower, by the messages of both."""
    word = WORDS[failure]
    triggers = ("client_request(0,2)", "prepare(8)") if position == 0 else ("append(2)", "commit(9)", "start_vote(0)")
    pairs = "; ".join(f"{trigger},{call(failure, word)}" for trigger in triggers)
    outcome = outcome_of(f"failures[0,{position}] = {pairs}\nsimulation = seed(1); crash(replica_1,200); restart(replica_1,260)\n")
    assert outcome.breaches == ()
    assert outcome.result["operations"] == 18
    assert outcome.result["faults_injected"]
    assert outcome.result["words_missed"] == []


@pytest.mark.parametrize("trigger", [*BYZANTINE_RAFT.triggers])
def test_each_trigger_can_be_asked_for(trigger):
    word = BYZANTINE_RAFT.triggers[trigger]
    scenario, warnings = parse_scenario(f"{BASE}failures[0,1] = {call(trigger, word)},drop()\n", "braft.config")
    assert list(warnings) == []
    assert scenario.failures[0].trigger.name == trigger


def test_a_trigger_under_its_name_in_raft_is_the_same():
    one, other = (outcome_of(f"failures[0,2] = {name}(3),crash()\n").result["faults_injected"] for name in ("append", "append_entries"))
    assert [each["position"] for each in one] == [each["position"] for each in other] == [2]
    assert set(BRAFT_SYNONYMS.values()) <= set(BYZANTINE_RAFT.messages)


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ("authentication = hmac\n", "certificates go from hand to hand"),
        ("authentication = crc\n", "certificates go from hand to hand"),
        ("acceptance = quorum\n", "t+1 equal results are enough here"),
        ("placement = nodes\n", "load the processes of the chain only"),
        ("simulation = free(0)\n", "made for the messages and the memory of the chain's replicas"),
        ("simulation = mutate(0,3)\n", "made for the messages and the memory of the chain's replicas"),
        ("simulation = amnesia(0,30)\n", "made for the messages and the memory of the chain's replicas"),
        ("failures[0,0] = shuttle(0,1),crash()\n", "no trigger shuttle in protocol = byzantine_raft: it is one of protocol = shuttle"),
        ("members = 0; 1; 2\n", "the leader of a term is given by its number"),
        ("changes = transfer(5,1)\n", "the leader of a term is given by its number"),
        ("failures[0,0] = after(5),chaos(0)\n", "1 is the least"),
        ("failures[1,0] = after(5),chaos(5)\n", "no configuration 1: protocol = byzantine_raft has one, number 0"),
        ("failures[0,0] = after(5),drop_all()\n", "it is about requests and shuttles"),
        ("failures[0,0] = after(5),impersonate(1)\n", "there is no Olympus"),
        ("durable = off\nfailures[0,0] = after(5),restart(9)\n", "comes back from its disk"),
        ("expect[quorum_excludes,0] = 1\n", "there is no reconfiguration"),
        ("failures[0,4] = append(1),crash()\n", "no replica 4"),
        ("client_failures[0] = after(5),flood(9)\n", "trusts its clients"),
        *[(f"failures[0,0] = append(1),{name}({'shuttle' if name in ('forge', 'replay_old') else '1' if word.arguments else ''})\n", "nothing that could fail so")
          for name, word in FAILURES.items() if name not in BYZANTINE_RAFT.failures and not word.only_with],
    ],
)  # fmt: skip
def test_what_does_not_apply_is_refused_with_the_reason(more, why):
    assert any(why in text for text in complaints(more))


def test_the_other_protocols_know_no_chaos():
    for protocol in ("shuttle", "raft"):
        with pytest.raises(ScenarioError, match="nothing that could fail so"):
            parse_scenario(BASE.replace("byzantine_raft", protocol) + "failures[0,0] = after(5),chaos(5)\n", "x.config")


def test_allow_lies_says_nothing_here_because_lies_are_what_it_is_for():
    _, warnings = parse_scenario(BASE + "allow_lies = yes\n", "braft.config")
    assert any("allow_lies is ignored" in warning.text for warning in warnings)


def test_with_more_than_t_liars_a_client_can_be_deceived_and_the_verdict_says_so():
    lies = "".join(
        f"failures[0,{server}] = {'; '.join(f'append({count}),change_result()' for count in range(4))}\n" for server in (1, 2, 3)
    )
    outcome = outcome_of(lies + "simulation = seed(2)\n")
    assert outcome.judgement.status == "fail"
    assert any("a replay gives" in reason for reason in outcome.judgement.reasons)


def test_its_seeded_bugs_are_twenty_at_least():
    assert sum("masked" not in bug for bug in bugs("byzantine_raft")) >= 20
    assert len({bug["name"] for bug in bugs("byzantine_raft")}) == len(bugs("byzantine_raft"))


@pytest.mark.parametrize("name", QUICK)
def test_a_seeded_bug_is_found_within_a_few_seeds(name):
    number = [bug["name"] for bug in bugs("byzantine_raft")].index(name)
    command = [sys.executable, "-m", "bcr_sim.bugs", "--protocol", "byzantine_raft", "--one", str(number), "--seeds", "20"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "found by seed" in done.stdout, done.stdout + done.stderr


def test_a_restart_finds_what_was_in_the_store_even_of_a_server_that_ended_by_its_own_fault():
    text = f"{BASE}failures[0,1] = append(10),crash()\nsimulation = seed(1); restart(replica_1,700)\nclient_rate = 20\n"
    outcome = simulate(parse_scenario(text, "braft.config")[0], keeps_steps=True)
    [back_us] = [step.time_us for step in outcome.steps if (step.kind, step.message) == ("befell", "restart")]
    assert outcome.breaches == ()
    assert {step.message for step in outcome.steps if step.sender == "replica_1" and step.sent_us > back_us} >= {
        "prepare",
        "commit",
        "reply",
    }


@pytest.mark.parametrize("t", [2, 3])
def test_t_liars_of_several_kinds_at_once_change_no_answer(t):
    kinds = (
        "after(5),chaos(9)",
        "client_request(0,1),equivocate(); client_request(0,3),stall()",
        "append(2),change_result(); append(3),extra_op()",
    )
    lies = "".join(f"failures[0,{server}] = {kinds[server]}\n" for server in range(t))
    outcome = outcome_of(lies + "simulation = seed(3)\n", BASE.replace("t = 1", f"t = {t}", 1))
    assert outcome.breaches == ()
    assert outcome.result["operations"] == 18


def test_the_simulators_words_for_liars_are_twins_here_and_no_other():
    assert set(SIMULATED) - set(BYZANTINE_RAFT.options) == {"twins"}
    outcome = outcome_of("simulation = seed(5); twins(0)\n")
    assert outcome.breaches == ()


# -- on disks


def test_all_servers_end_and_begin_again_from_their_disks_and_all_is_answered(tmp_path):
    restarts = "".join(f"failures[0,{server}] = append({3 + server}),restart({20 * server})\n" for server in range(1, 4))
    scenario = parse_scenario(BASE + restarts + "failures[0,0] = prepare(9),crash(),restart(30)\n", "braft.config")[0]
    assert scenario.durable
    outcome = simulate(scenario, folder=tmp_path)
    assert (outcome.breaches, outcome.judgement.status, outcome.result["operations"]) == ((), "pass", 18)
    logs = [log.read_text() for log in tmp_path.glob("replica_*.log")]
    assert [log.count("event=started") for log in logs] == [2, 2, 2, 2]
    assert all(" log=0 " not in log[log.rindex("event=started") :].splitlines()[0] for log in logs)


def test_all_servers_lose_their_power_at_once_and_one_of_them_lies():
    outcome = outcome_of(
        "durable = on\nfailures[0,2] = append(2),equivocate(); append(3),change_result()\nsimulation = seed(4); power_cut(200,400)\n"
    )
    assert (outcome.breaches, outcome.judgement.status) == ((), "pass")


@pytest.mark.parametrize("fault", ["torn", "flip", "full", "broken"])
def test_a_server_whose_disk_fails_or_forgets_is_one_of_the_t(fault):
    outcome = outcome_of(f"durable = on\nsimulation = seed(4); disk(replica_1,{fault},150)\n")
    assert (outcome.breaches, outcome.judgement.status, outcome.result["operations"]) == ((), "pass", 18)


def test_without_disks_what_befalls_them_does_nothing_and_that_is_said():
    _, warnings = parse_scenario(BASE + "simulation = power_cut(5,9)\n", "braft.config")
    assert any("does nothing: there are no disks without `durable = on`" in str(warning) for warning in warnings)


def test_a_few_seeds_with_disks_break_nothing():
    tally = run_seeds(range(4_000, 4_006), durable=True, protocol="byzantine_raft")
    assert [(each.seed, each.breaches) for each in tally.failures] == []


@pytest.mark.parametrize("seed", [9_000_013, 9_000_061])
def test_a_server_that_ends_in_a_sync_is_held_to_nothing_that_was_not_there_yet(seed):
    assert run_seeds([seed], durable=True, protocol="byzantine_raft").failures == []

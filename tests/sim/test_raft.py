"""Raft under the simulator: seeds that pass, bugs that are found, what a scenario of it may not have, and how a lie is told of."""

import re
import subprocess
import sys

import msgspec
import pytest

from bcr.scenario import ScenarioError, parse_scenario
from bcr.scenario.protocols import PROTOCOLS
from bcr.scenario.workload import RequestSequence
from bcr.signed.signing import Signed
from bcr.verdict.missed import told_of_too_many
from bcr.verdict.raft_verdict import judge_raft
from bcr_runtime.places import PROJECT
from bcr_sim.bugs import FILES, bugs, patched
from bcr_sim.campaign import run_seeds, run_text, text_of
from bcr_sim.raft_seeds import raft_scenario_text
from bcr_sim.simulated_run import simulate
from bcr_tools.chain_log import _verdict

BASE = """protocol = raft
t = 1
num_client = 1
time_unit = ms
client_timeout = 300
workload[0] = put('a','1'); append('a','2'); get('a')
"""
SLOW_WORK = BASE.replace("client_timeout", "client_rate = 20\nclient_timeout").replace("get('a')", "uniform(1,10,3,0); get('a')")
QUICK = ["two votes in a term", "vote not in the store", "elected with one vote too few",
         "leader stays one in a higher term", "message leaves before the store is synced",
         "leader that goes on with a snapshot where the follower was before it began anew"]  # fmt: skip


def outcome_of(more="", base=BASE):
    return simulate(parse_scenario(base + more, "raft.config")[0])


def complaints(more):
    with pytest.raises(ScenarioError) as error:
        parse_scenario(BASE + more, "raft.config")
    return [diagnostic.text for diagnostic in error.value.diagnostics if diagnostic.severity == "error"]


def test_seeds_with_crashes_restarts_partitions_and_clocks_pass():
    tally = run_seeds(range(3_000, 3_012), protocol="raft")
    assert tally.failures == []
    assert (tally.seeds, tally.operations > 300) == (12, True)


def test_equal_seeds_are_equal_runs():
    one, other = (run_text(text_of(7, None, protocol="raft")) for _ in range(2))
    assert one.trace == other.trace


def test_seeds_have_all_that_may_befall_a_server():
    texts = "".join(text_of(seed, None, protocol="raft") for seed in range(40))
    for word in ("crash(", "restart(", "cut(", "hold(", "pause(", "clock(", "lose(", "duplicate("):
        assert word in texts


def test_the_result_names_the_protocol():
    assert outcome_of().result["protocol"] == "raft"
    assert outcome_of(base="t = 1\nnum_client = 1\nworkload[0] = get('a')\n").result["protocol"] == "shuttle"


def test_each_protocol_has_its_seeded_bugs_and_they_are_changes_of_the_source_as_it_is_now():
    assert set(FILES) == set(PROTOCOLS)
    for bug in bugs("raft"):
        assert patched(bug)
    assert sum("masked" not in bug for bug in bugs("raft")) >= 20


@pytest.mark.parametrize("name", QUICK)
def test_a_seeded_bug_of_raft_is_found_within_a_few_seeds(name):
    number = [bug["name"] for bug in bugs("raft")].index(name)
    command = [sys.executable, "-m", "bcr_sim.bugs", "--protocol", "raft", "--one", str(number), "--count", "40"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "found by seed" in done.stdout, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ("failures[0,0] = after(5),change_result()\n", "Raft promises nothing where somebody lies; allow_lies = yes"),
        ("failures[0,0] = after(5),extra_op()\n", "Raft promises nothing where somebody lies; allow_lies = yes"),
        ("failures[0,0] = after(5),equivocate()\n", "Raft promises nothing where somebody lies; allow_lies = yes"),
        ("failures[0,0] = after(5),corrupt()\n", "Raft promises nothing where somebody lies; allow_lies = yes"),
        ("failures[0,0] = after(5),forge_request()\n", "a lie about what only the chain has; of lies there are change_result,"),
        ("allow_lies = yes\nfailures[0,0] = after(5),ask()\n", "it is about Olympus and its reconfigurations"),
        ("allow_lies = yes\nsimulation = flip(5)\n", "nothing in Raft is signed or has a checksum"),
        ("allow_lies = yes\nsimulation = twins(0)\n", "made for the messages and keys of replicas that sign"),
        ("failures[0,0] = after(5),withhold_ready()\n", "has nothing that could fail so"),
        ("failures[0,0] = shuttle(0,1),crash()\n", "no trigger shuttle in protocol = raft: it is one of protocol = shuttle"),
        ("failures[1,0] = after(5),crash()\n", "no configuration 1: protocol = raft has one, number 0"),
        ("durable = off\nfailures[0,0] = after(5),restart(9)\n", "durable = off: a server that is restarted comes back from its disk"),
        ("expect[quorum_includes,0] = 1\n", "there is no reconfiguration in protocol = raft"),
        ("expect[blamed] = 1\n", "there is no reconfiguration in protocol = raft"),
        ("election_timeout = 200\nelection_timeout_max = 199\n", "199 milliseconds are less than election_timeout, 200"),
        ("client_failures[0] = after(5),flood(9)\n", "trusts its clients"),
        ("authentication = hmac\n", "nothing is signed in Raft"),
        ("acceptance = quorum\n", "nothing is signed in Raft"),
        ("placement = nodes\n", "load the processes of the chain only"),
        ("durable = on\nsimulation = disk(replica_0,torn,5)\n", "where a disk gives back another thing"),
        ("failures[0,0] = after(5),crash(),pause(3)\n", "only restart(ms) may follow crash(), not pause"),
        ("simulation = twins(0)\n", "Raft promises nothing where somebody lies"),
        ("heartbeat = 100\nelection_timeout = 150\n", "less than two heartbeats"),
        ("protocol = paxos\n", "no 'paxos'"),
        ("changes = add(5,1)\n", "add: server 1 decides already then"),
        ("members = 0; 1\nchanges = remove(5,1)\n", "remove: server 1 is one of the last 2"),
        ("members = 0; 1\nchanges = transfer(5,2); add(9,2)\n", "transfer: server 2 does not decide then"),
        ("changes = remove(5,3)\n", "no server 3, servers are 0 to 2"),
        ("changes = replace(5,1)\n", "no change replace"),
        ("changes = remove(5)\n", "remove takes 2 arguments, not 1: remove(ms,i)"),
        ("members = 0\n", "2 different servers are the fewest"),
        ("members = 0; 1; 0\n", "server 0 stands there more than once"),
        ("members = 0; 7\n", "expected servers, which are 0 to 2"),
    ],
)
def test_what_raft_cannot_have_is_refused_with_the_reason(more, why):
    assert any(why in text for text in complaints(more))


def test_who_is_to_come_back_has_a_disk_where_the_file_says_nothing_of_disks():
    scenario, _ = parse_scenario(BASE + "failures[0,0] = after(5),restart(9)\n", "raft.config")
    assert scenario.durable


def test_what_says_nothing_of_raft_or_is_hardly_meant_so_is_warned_of():
    _, warnings = parse_scenario(BASE + "expect[reconfigurations] = 0\n", "raft.config")
    assert ["is 0 in each run" in warning.text for warning in warnings] == [True]
    _, warnings = parse_scenario(
        BASE.replace("time_unit = ms", "time_unit = s") + "heartbeat = 50\nelection_timeout = 150\n", "raft.config"
    )
    assert sum("as time_unit = s says" in warning.text for warning in warnings) == 2


def test_both_ends_of_the_interval_of_election_timeouts_are_keys():
    scenario, _ = parse_scenario(BASE + "election_timeout = 200\n", "raft.config")
    assert (scenario.election_timeout_ms, scenario.election_timeout_most_ms) == (200, 400)
    outcome = outcome_of(
        "election_timeout = 200\nelection_timeout_max = 210\nsimulation = seed(1); crash(replica_0,300); delay(50,300)\n", SLOW_WORK
    )
    assert (outcome.breaches, outcome.judgement.status) == ((), "pass")


def test_servers_come_and_go_and_hand_over_their_lead_as_a_file_asks_for_it():
    text = (PROJECT / "config" / "raft_membership.config").read_text()
    for seed in range(3):
        outcome = outcome_of(base=f"{text}simulation = seed({seed})\n")
        assert (outcome.breaches, outcome.judgement.status) == ((), "pass")
        changes = [(each["change"], each["server"]) for each in outcome.result["changes"]]
        assert changes == [("add", 3), ("remove", 0), ("add", 4), ("transfer", 1)]


def test_an_operator_that_asks_for_changes_is_told_of_none_where_a_majority_is_gone():
    outcome = outcome_of("changes = remove(50,2); transfer(60,1)\nsimulation = seed(1); crash(replica_0,60); crash(replica_1,60)\n")
    assert (outcome.breaches, outcome.judgement.status, outcome.result["changes"]) == ((), "unknown", [])


def test_the_chain_refuses_what_only_raft_has():
    text = BASE.replace("protocol = raft\n", "")
    _, warnings = parse_scenario(text + "simulation = crash(replica_0,5); restart(replica_0,9)\n", "chain.config")
    assert any("never come back without `durable = on`" in warning.text for warning in warnings)
    with pytest.raises(ScenarioError, match="promises nothing by its timers"):
        parse_scenario(text + "simulation = clock(0,900)\n", "chain.config")
    with pytest.raises(ScenarioError, match="no trigger append_entries"):
        parse_scenario(text + "failures[0,0] = append_entries(1),crash()\n", "chain.config")
    _, warnings = parse_scenario(text + "heartbeat = 60\n", "chain.config")
    assert any("heartbeat is ignored" in warning.text for warning in warnings)


@pytest.mark.parametrize(
    ("lie", "status"),
    [("change_result()", "fail"), ("extra_op()", "fail"), ("equivocate()", "unknown"),
     ("truncate_history(2)", "pass"), ("replay()", "pass"), ("corrupt()", "pass")],
)  # fmt: skip
def test_each_lie_strikes_and_the_verdict_tells_what_was_lost(lie, status):
    """What is replayed, or cannot be read, links may do to it too: nothing is lost by it. Who was told another entry than others catches up no more."""
    lies = "".join(f"failures[0,{server}] = first_leader(3),{lie}\n" for server in range(3))
    outcome = outcome_of(f"allow_lies = yes\nsimulation = seed(3)\n{lies}", SLOW_WORK)
    assert len(outcome.result["faults_injected"]) == 1
    assert outcome.judgement.status == status


def test_a_lie_that_a_file_allows_is_found_by_the_verdict():
    lies = "".join(f"failures[0,{server}] = first_leader(3),change_result()\n" for server in range(3))
    outcome = outcome_of("allow_lies = yes\nsimulation = seed(3)\n" + lies)
    assert outcome.judgement.status == "fail"
    assert any("a replay gives" in reason for reason in outcome.judgement.reasons)


def test_two_servers_that_a_leader_has_told_different_entries_of_its_term_never_agree_again():
    text = (PROJECT / "config/lost/raft_equivocation.config").read_text(encoding="utf-8")
    outcome = run_text(text)
    assert outcome.judgement.status == "fail"
    assert "log matching: replica_1 has another entry 3 of term 1 than some server had" in outcome.breaches
    assert 0 < outcome.result["operations"] < 33
    assert run_text(text.replace("; first_leader(20),crash()", "")).result["operations"] == 33  # but for the crash all are answered


def test_who_refuses_what_it_has_confirmed_is_asked_again_with_the_heartbeat_and_no_sooner():
    """A server that lies, or one that was lied to, does so for ever: at once would be as fast as the link."""
    lies = "".join(f"failures[0,{server}] = first_leader(6),equivocate()\n" for server in range(3))
    outcome = outcome_of("allow_lies = yes\nsimulation = seed(3)\n" + lies, SLOW_WORK)
    assert outcome.result["operations"] == 13
    assert outcome.events < 20_000  # half a million while it was at once


@pytest.mark.parametrize(
    "lies",
    [
        # The last one's answers tell of entries that no leader has.
        "failures[0,1] = append_entries(5),replay(); append_entries(12),truncate_history(5)\n"
        "failures[0,2] = " + "; ".join(f"append_entries({count}),corrupt()" for count in range(6, 11)) + "\n",
        "".join(f"failures[0,{server}] = append_entries(2),equivocate(); append_entries(3),corrupt()\n" for server in range(3)),
    ],
)
def test_lies_of_many_end_no_server_and_keep_nobody_busy_for_ever(lies):
    text = BASE.replace("timeout = 300", "timeout = 400") + "allow_lies = yes\ncheckpt_interval = 3\nclient_rate = 40\n"
    text = text.replace("put('a','1'); append('a','2'); get('a')", "uniform(1,40,16,30)")
    for seed in range(1, 7):
        outcome = run_text(f"{text}{lies}simulation = seed({seed})\n")
        assert not [breach for breach in outcome.breaches if breach.startswith("error")]
        assert outcome.events < 50_000  # two millions where it was for ever


def test_of_faults_of_whoever_leads_first_one_strikes_and_none_is_missed():
    crashes = "".join(f"failures[0,{server}] = first_leader(4),crash()\n" for server in range(3))
    outcome = outcome_of("simulation = seed(3)\n" + crashes)
    assert outcome.breaches == ()
    assert len(outcome.result["faults_injected"]) == 1
    assert outcome.result["faults_missed"] == []


@pytest.mark.parametrize("seed", range(4))
def test_five_servers_through_partitions_of_three_and_two_lose_no_acknowledged_write(seed):
    cuts = "; ".join(
        f"cut(replica_{a},replica_{b},{since},{since + 700})"
        for since, minority in ((500, {0, 1}), (1_300, {1, 2}), (2_100, {3, 4}))
        for a in range(5)
        for b in range(5)
        if (a in minority) != (b in minority)
    )
    text = BASE.replace("t = 1", "t = 2").replace("num_client = 1", "num_client = 2")
    text += f"workload[1] = uniform({seed},80,8,40)\nclient_rate = 30\nsimulation = seed({seed}); {cuts}\n"
    outcome = outcome_of(base=text)
    assert outcome.breaches == ()
    assert outcome.result["operations"] == 83


def test_a_minority_that_is_left_answers_nobody_and_the_run_owes_nothing():
    outcome = outcome_of("simulation = seed(1); crash(replica_0,60); crash(replica_1,60)\n")
    assert outcome.breaches == ()
    assert outcome.judgement.status == "unknown"
    assert outcome.result["operations"] == 0


@pytest.mark.parametrize(
    ("t", "members", "crashes", "borne"),
    [(1, "members = 0; 1\n", (0,), 0), (2, "members = 0; 1; 2\n", (0, 1), 1), (2, "changes = remove(5,4); remove(6,3)\n", (0, 1), 1)],
)
def test_where_few_decide_no_more_than_their_minority_is_borne(t, members, crashes, borne):
    text = SLOW_WORK.replace("\nt = 1", f"\nt = {t}") + members
    text += "".join(f"failures[0,{server}] = after(300),crash()\n" for server in crashes)
    scenario = parse_scenario(text, "raft.config")[0]
    assert scenario.borne == borne
    assert any(f"more than {borne}: once more than so many were struck" in sentence for sentence in told_of_too_many(scenario, 0))
    outcome = simulate(scenario)
    assert outcome.breaches == ()
    assert (outcome.judgement.status, outcome.result["operations"] < 13) == ("unknown", True)


def test_without_disks_what_befalls_them_does_nothing_and_that_is_said():
    _, warnings = parse_scenario(BASE + "simulation = power_cut(5,9); disk(replica_0,full,5)\n", "raft.config")
    assert [text for text in map(str, warnings) if "does nothing: there are no disks without `durable = on`" in text][1:]


@pytest.mark.parametrize("failure", ["restart(40)", "crash(),restart(40)"])
def test_who_restarts_has_a_disk_and_begins_again_from_it(failure, tmp_path):
    base = BASE + f"failures[0,0] = append_entries(3),{failure}\nfailures[0,1] = append_entries(3),{failure}\n"
    scenario = parse_scenario(base + f"failures[0,2] = append_entries(3),{failure}\n", "raft.config")[0]
    assert scenario.durable
    outcome = simulate(scenario, folder=tmp_path)
    assert (outcome.breaches, outcome.judgement.status) == ((), "pass")
    logs = [log.read_text() for log in tmp_path.glob("replica_*.log")]
    assert sum(log.count("event=started") - 1 for log in logs) == sum(log.count("event=fault ") for log in logs) >= 2
    assert any(" log=0 " not in log[log.rindex("event=started") :].splitlines()[0] for log in logs)


@pytest.mark.parametrize("words", ["power_cut(60,300)", "restart(replica_1,55); power_cut(60,300)"])
def test_all_servers_lose_their_power_and_go_on_from_their_disks_when_it_returns(words, tmp_path):
    scenario = parse_scenario(f"{SLOW_WORK}durable = on\nsimulation = seed(4); {words}\n", "raft.config")[0]
    outcome = simulate(scenario, folder=tmp_path)
    assert (outcome.breaches, outcome.judgement.status) == ((), "pass")
    for log in tmp_path.glob("replica_*.log"):
        _, again = [line.split()[0] for line in log.read_text().splitlines() if "event=started" in line]
        assert "00:00:00.3" in again


def test_a_server_of_the_chain_that_is_to_restart_is_refused():
    text = BASE.replace("protocol = raft\n", "") + "failures[0,0] = shuttle(0,1),restart(5)\n"
    with pytest.raises(ScenarioError, match="replicas of the chain do not come back"):
        parse_scenario(text, "chain.config")


def test_a_few_seeds_of_raft_with_disks_break_nothing():
    tally = run_seeds(range(4_000, 4_008), durable=True, protocol="raft")
    assert [(each.seed, each.breaches) for each in tally.failures] == []


def test_a_server_that_crashes_while_it_is_made_is_started_when_it_comes_back():
    # Of this seed replica_6 crashes between its set-up and its start, which was already on its way.
    assert run_seeds([5_009], durable=True, protocol="raft").failures == []


def test_who_hears_of_one_server_that_has_come_back_hears_of_the_next_one_too():
    # Of this seed replica_4 hears of three, and only with it are they a majority.
    assert run_seeds([5_507], durable=True, protocol="raft").failures == []


def test_the_logs_of_a_run_with_disks_are_those_of_all_servers_at_its_end_also_of_who_began_again():
    base = BASE.replace("workload[0] = ", "client_rate = 20\nworkload[0] = uniform(1,40,3,0); ")
    restarts = "".join(f"failures[0,{position}] = after({600 + 200 * position}),restart(20)\n" for position in range(3))
    record = simulate(parse_scenario(base + restarts, "raft.config")[0]).record
    assert len(record.faults) == 3
    assert [log.position for log in record.logs] == [0, 1, 2]
    assert all(log.last_index >= log.applied >= 42 for log in record.logs)
    assert _verdict(record)[1][0].count("server ") == 3


def test_no_seed_fills_a_disk_of_servers_of_which_a_majority_may_need_it():
    """Where servers come and go two may decide, and then a full disk rejects what clients ask for, by right."""
    texts = [raft_scenario_text(seed, durable=True) for seed in range(2_000)]
    assert any(",full," in text for text in texts)
    assert not [text for text in texts if ",full," in text and "members = " in text]


def test_where_members_change_no_seed_keeps_one_of_them_away_for_good():
    texts = [raft_scenario_text(seed, durable=True) for seed in range(300)]
    crashing = [text for text in texts if "members = " in text and "; crash(" in text]
    assert crashing
    for text in crashing:
        for server, at in re.findall(r"; crash\((replica_\d+),(\d+)\)", text):
            assert any(int(back) > int(at) for back in re.findall(rf"; restart\({server},(\d+)\)", text))


AWAY = "; ".join(f"cut(replica_{a},replica_{b},150,{{until}})" for a, b in ((0, 2), (2, 0), (1, 2), (2, 1)))


def test_of_a_server_that_never_catches_up_a_run_is_no_pass():
    outcome = outcome_of(f"simulation = seed(1); {AWAY.format(until=10**6)}\n", SLOW_WORK)
    assert outcome.judgement.status == "unknown"
    [reason] = outcome.judgement.reasons
    assert re.fullmatch("server 2: it has caught up to index [01] only, and there is an answer from index 1[34]", reason)
    assert outcome.breaches == ()  # it was kept from that


def test_a_server_that_was_away_has_caught_up_by_the_end():
    assert outcome_of(f"simulation = seed(1); {AWAY.format(until=2_000)}\n", SLOW_WORK).judgement.status == "pass"


BEGINS_AGAIN_LAST = """protocol = byzantine_raft
t = 1
num_client = 1
client_timeout = 150
heartbeat = 75
checkpt_interval = 2
operations_per_request = 2
workload[0] = uniform(664269,7,3,50)
failures[0,1] = prepare(1),extra_op()
failures[0,0] = start_term(0),restart(300)
failures[0,2] = checkpoint(9),restart(300)
simulation = delay(1000,20000); cut(replica_0,replica_1,400,981); cut(replica_0,replica_3,400,981)
"""


def test_who_begins_again_after_it_has_told_how_far_it_is_tells_it_again():
    outcome = simulate(parse_scenario(BEGINS_AGAIN_LAST, "braft.config")[0])
    assert [each.statement.slots for each in outcome.record.replicas if each.statement.position == 2] == [4]
    assert outcome.judgement.status == "pass"


@pytest.mark.parametrize(
    ("faults", "status"),
    [
        ("", "unknown"),
        ("failures[0,2] = after(100),crash()", "pass"),
        ("failures[0,2] = after(100),sleep(1)", "pass"),
        ("failures[0,2] = after(100),restart(10)", "unknown"),
        ("links[0,2] = after(100),fail()", "pass"),
        ("links[0,2] = after(100),fail(); after(200),fix()", "unknown"),
        ("links[0,1] = after(100),fail()", "unknown"),
    ],
)
def test_who_has_begun_again_owes_what_everybody_owes_and_nobody_whom_another_fault_keeps_from_it(faults, status):
    scenario = parse_scenario(SLOW_WORK + f"durable = on\n{faults}\n", "raft.config")[0]
    outcome = simulate(parse_scenario(SLOW_WORK, "raft.config")[0])
    behind = [
        Signed(msgspec.structs.replace(each.statement, slots=1, state_digest=None), each.signer, b"")
        if each.statement.position == 2
        else each
        for each in outcome.record.replicas
    ]
    record = msgspec.structs.replace(outcome.record, replicas=tuple(behind), faults=scenario.failures)
    workloads = [RequestSequence(each, 1, scenario.replicated) for each in scenario.workloads]
    said = judge_raft(record, workloads, scenario.client_window, deciding=(0, 1, 2))
    assert said.status == status, said.reasons


@pytest.mark.parametrize(("failure", "status"), [("change_result()", "fail"), ("crash()", "unknown")])
def test_where_not_all_is_answered_the_logs_show_whether_what_is_was_right(failure, status):
    """Client 0 ends, so that nobody knows from the answers alone what it had executed."""
    more = "".join(f"failures[0,{position}] = first_leader(10),{failure}\n" for position in range(3))
    work = "num_client = 2\nallow_lies = yes\ncheckpt_interval = 1000\nworkload[1] = uniform(2,100,16,0)\n"
    judgement = outcome_of(f"{work}{more}simulation = seed(3); crash(client_0,250)\n", SLOW_WORK.replace("num_client = 1\n", "")).judgement
    assert judgement.status == status
    if status == "fail":
        assert re.fullmatch(
            r"client 1, request \d+, index \d+: returned \('OK!',\), the log of server \d gives \('OK',\)", judgement.reasons[0]
        )


def test_an_answer_from_another_place_than_the_log_has_is_wrong():
    scenario = parse_scenario(SLOW_WORK, "raft.config")[0]
    record = simulate(scenario).record
    [client] = record.clients
    workloads = [RequestSequence(each, 1, scenario.replicated) for each in scenario.workloads]
    unanswered = msgspec.structs.replace(record, clients=(msgspec.structs.replace(client, exchanges=client.exchanges[:5]),))
    assert judge_raft(unanswered, workloads, scenario.client_window, deciding=(0, 1, 2)).status == "unknown"
    moved = [
        msgspec.structs.replace(log, entries=(log.entries[0], log.entries[0], *log.entries[1:]), applied=log.applied + 1)
        for log in record.logs
    ]
    said = judge_raft(msgspec.structs.replace(unanswered, logs=tuple(moved)), workloads, scenario.client_window, deciding=(0, 1, 2))
    assert said.status == "fail"
    assert "which is not where the log of server" in said.reasons[0]

"""Replicas with disks in the simulator: restarts, power cuts, and disks that go wrong (docs/durability.md)."""

import random
from pathlib import Path
from typing import ClassVar

import msgspec
import pytest

from bcr.scenario import ScenarioError, parse_scenario
from bcr.scenario.values import DiskFault, PowerCut, Restart, SyncEnd
from bcr.stable.disk import DiskError, Row
from bcr_sim.campaign import run_text
from bcr_sim.disks import RESERVED_BYTES, SimDisk
from bcr_sim.seeds import scenario_text
from bcr_sim.source import WorldSource
from bcr_sim.world import current_task

BASE = """t = 1
num_client = 2
time_unit = ms
client_timeout = 600
head_timeout = 600
nonhead_timeout = 600
olympus_timeout = 2000
wedge_grace = 200
checkpt_interval = 3
client_window = 3
workload[0] = pseudorandom(1,30)
workload[1] = pseudorandom(2,30)
"""


def run(words, durable="on", base=BASE):
    outcome = run_text(f"{base}durable = {durable}\nsimulation = seed(1); {words}\n")
    assert not isinstance(outcome, str), outcome
    assert durable == "off" or outcome.result["words_missed"] == []
    return outcome


def passes(words, base=BASE):
    outcome = run(words, base=base)
    assert (outcome.breaches, outcome.judgement.status, outcome.result["operations"]) == ((), "pass", 60)
    return outcome


def configurations(outcome):
    return [each["to"] for each in outcome.result["reconfigurations"]]


def test_a_replica_that_begins_again_is_replaced_and_everything_is_answered():
    assert configurations(passes("restart(replica_1,60)")) == [1]


def test_one_that_begins_again_twice_is_replaced_all_the_same():
    assert configurations(passes("restart(replica_1,60); restart(replica_1,90)"))[:1] == [1]


class Rebooted(WorldSource):
    """The machine of a replica begins again with it, and its clock at nothing."""

    began_ns: ClassVar = {}

    def monotonic_ns(self):
        now_ns, task = super().monotonic_ns(), current_task()
        return now_ns - self.began_ns.setdefault(task, now_ns) if task.name.startswith("replica_") else now_ns


def test_replicas_whose_machines_have_begun_again_are_heard_at_the_end_whatever_their_clocks_say(monkeypatch):
    text = (Path(__file__).parent / "regressions" / "a-replica-that-began-again-is-not-heard-at-the-end.config").read_text()
    monkeypatch.setattr("bcr_sim.simulated_run._Run.source", Rebooted)
    assert run_text(text).breaches == ()


def test_while_olympus_is_away_the_chain_goes_on_serving(tmp_path):
    outcome = run_text(f"{BASE}durable = on\nsimulation = seed(1); restart(olympus,40)\n", folder=tmp_path)
    assert (outcome.breaches, outcome.judgement.status, configurations(outcome)) == ((), "pass", [1])
    accepted_ms = [
        float(line.partition("+")[0][-9:]) * 1_000
        for client in (0, 1)
        for line in next(tmp_path.rglob(f"client_{client}.log")).read_text().splitlines()
        if "event=accepted" in line and "configuration=0" in line
    ]
    assert [at for at in accepted_ms if 45 < at < 60]  # it is back after 20 ms, and a result takes fewer than five


def test_an_olympus_that_begins_again_still_owes_the_pause_that_it_owed_before(tmp_path):
    words = "; ".join(f"restart(replica_1,{at})" for at in (60, 120, 250))
    base = BASE.replace(",30)", ",150)")
    run_text(f"{base}durable = on\nsimulation = seed(1); {words}; restart(olympus,340)\n", folder=tmp_path)
    events = [
        line.split("event=")[1].split()[0] for line in next(tmp_path.rglob("olympus.log")).read_text().splitlines() if "event=" in line
    ]
    assert "pausing" in events[events.index("resumed") :]


@pytest.mark.parametrize("at", [2300, 2320])
def test_a_replica_that_begins_again_while_it_is_replaced_is_heard_when_it_is_asked_again(at):
    """It had told Olympus its history before, and so counts what it sends in pieces on from there."""
    base = BASE.replace("checkpt_interval = 3", "checkpt_interval = 5").replace("num_client = 2", "num_client = 1")
    base = base.replace("client_window = 3\n", "").replace("workload[1] = pseudorandom(2,30)\n", "").replace("(1,30)", "(71,30)")
    outcome = run_text(f"{base}durable = on\nsimulation = seed(7); delay(20000,20000); crash(replica_0,1000); restart(replica_1,{at})\n")
    assert (outcome.breaches, outcome.judgement.status) == ((), "pass")
    [report] = outcome.result["reconfigurations"]
    assert len(report["quorums_tried"]) == 2
    # Of the 2 s that Olympus waits in vain for who begins again, two follow each other, and no more.
    assert report["active_ms"] < 3 * 2_000


def states_handed_out(folder):
    """In which configurations Olympus has sent the state that it begins with, in turn."""
    lines = next(folder.rglob("olympus.log")).read_text().splitlines()
    return [line.split("configuration=")[1].split()[0] for line in lines if "event=sent message=inithist" in line]


def test_who_had_begun_is_told_its_configuration_again_and_not_the_state_that_is_on_its_disk(tmp_path):
    base = BASE.replace(",30)", ",150)")
    outcome = run_text(f"{base}durable = on\nsimulation = seed(1); restart(replica_1,60); restart(replica_1,250)\n", folder=tmp_path)
    assert outcome.judgement.status == "pass" and configurations(outcome) == [1, 2]
    assert states_handed_out(tmp_path) == ["1", "2"]


def test_who_had_not_begun_gets_the_state_too_when_it_asks_again(tmp_path):
    words = "restart(replica_1,60); restart(replica_0,103)"  # the second when configuration 1 has been issued, and nobody has it
    outcome = run_text(f"{BASE}durable = on\nsimulation = seed(1); {words}\n", folder=tmp_path)
    assert outcome.judgement.status == "pass"
    assert states_handed_out(tmp_path)[:2] == ["1", "1"]


def test_the_power_of_all_may_fail_at_once():
    assert configurations(passes("power_cut(60,200)")) == [1]


def test_who_is_down_as_the_power_fails_begins_when_it_returns(tmp_path):
    outcome = run_text(f"{BASE}durable = on\nsimulation = seed(1); restart(olympus,45); power_cut(60,200)\n", folder=tmp_path)
    assert (outcome.breaches, outcome.judgement.status, outcome.result["operations"]) == ((), "pass", 60)
    [begun] = [line for line in next(tmp_path.rglob("simulator.log")).read_text().splitlines() if "begins again" in line]
    assert "00:00:00.200000" in begun and "who=olympus" in begun  # and not the replicas, which it makes anew


def test_a_disk_that_breaks_or_loses_something_is_one_of_the_t():
    for fault in ("broken", "torn", "flip"):
        outcome = passes(f"disk(replica_1,{fault},60)")
        assert "disk(1)" in {each["fault"] for each in outcome.result["faults_injected"]}, fault


def refused(outcome):
    assert not any(client.unanswered for client in outcome.record.clients)
    return [each.request.statement.number for client in outcome.record.clients for each in client.rejected]


@pytest.mark.parametrize(("position", "interval", "changes"), [(0, 3, [1]), (1, 3, []), (2, 3, []), (2, 100, [1])])
def test_for_the_full_disk_of_one_nothing_is_refused_and_it_is_replaced_where_checkpoints_do_not_make_room(position, interval, changes):
    outcome = passes(f"disk(replica_{position},full,40)", BASE.replace("checkpt_interval = 3", f"checkpt_interval = {interval}"))
    assert refused(outcome) == [] and outcome.result["faults_injected"] == []
    assert configurations(outcome) == changes


def test_where_the_disks_of_t_plus_1_are_full_what_is_new_is_refused_for_good_and_nobody_has_to_be_replaced():
    outcome = run("; ".join(f"disk(replica_{position},full,40)" for position in (0, 1, 2)))
    assert configurations(outcome) == []
    answered = outcome.result["operations"]
    assert answered > 0
    assert len(refused(outcome)) == 60 - answered > 0
    assert (outcome.breaches, outcome.judgement.status) == ((), "pass")


@pytest.mark.parametrize(("crashed", "full"), [(1, 0), (0, 1)])
@pytest.mark.parametrize("at", [30, 60])
def test_with_checksums_one_that_is_left_with_a_full_disk_is_replaced(crashed, full, at):
    """All replicas reject: that is one, where the other has crashed, and it orders nothing that anybody would wait for."""
    outcome = run(f"disk(replica_{full},full,{at}); crash(replica_{crashed},{at + 10})", base=f"{BASE}authentication = crc\n")
    assert (outcome.breaches, outcome.judgement.status, configurations(outcome)) == ((), "pass", [1])
    assert outcome.result["operations"] > 0


def test_with_one_disk_lost_and_the_power_cut_t_plus_1_disks_are_enough():
    passes("disk(replica_2,flip,60); power_cut(61,200)")


def test_a_slow_disk_makes_answers_late_and_replaces_nobody():
    fast, slow = run(""), run("disk(replica_1,slow(5),40)")
    assert slow.breaches == () and slow.result["reconfigurations"] == []
    assert slow.virtual_s > fast.virtual_s


def test_without_disks_the_words_for_them_do_nothing():
    assert run("restart(replica_1,60); power_cut(60,200)", "off").trace == run("", "off").trace


def test_seeds_without_disks_are_what_they_were():
    for seed in range(40):
        text, durable = scenario_text(seed), scenario_text(seed, durable=True)
        assert "durable" not in text
        kept = [line for line in durable.splitlines() if line != "durable = on"]
        for before, after in zip(text.splitlines(), kept, strict=True):
            assert after.startswith(before), seed


def test_the_hunt_draws_each_of_the_words():
    texts = "".join(scenario_text(seed, durable=True) for seed in range(200))
    for word in ("restart(", "power_cut(", ",full,", ",broken,", ",torn,", ",flip,", ",slow("):
        assert word in texts


def test_checksums_are_not_asked_to_stand_against_disks_that_lose_what_was_synced():
    texts = "".join(scenario_text(seed, "crc", durable=True) for seed in range(200))
    assert ",torn," not in texts and ",flip," not in texts and ",broken," in texts


# -- the words


def simulation(words):
    return parse_scenario(f"{BASE}durable = on\nsimulation = {words}\n", "x.config")[0].simulation


def test_the_words_are_read():
    read = simulation("restart(replica_1,5); power_cut(7,9); disk(replica_2,full,3); disk(replica_0,slow(4),2)")
    assert read.restarts == (Restart("replica_1", 5),)
    assert simulation("end_in_sync(olympus,3)").sync_ends == (SyncEnd("olympus", 3),)
    assert read.power_cuts == (PowerCut(7, 9),)
    assert read.disk_faults == (DiskFault("replica_2", "full", 3), DiskFault("replica_0", "slow", 2, 4))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("restart(client_0,5)", "expected replica_0 to replica_2 or olympus, found 'client_0'"),
        ("restart(replica_3,5)", "expected replica_0 to replica_2 or olympus, found 'replica_3'"),
        ("disk(replica_0,wet,5)", "expected full, broken, torn, flip or slow.ms., found 'wet'"),
    ],
)
def test_what_is_no_word_for_a_disk_is_told(words, said):
    with pytest.raises(ScenarioError, match=said):
        simulation(words)


@pytest.mark.parametrize("words", ["restart(replica_0,5)", "power_cut(7,9)", "disk(replica_2,full,3)"])
def test_words_for_disks_that_do_nothing_are_told(words):
    text = f"{BASE}simulation = {words}\n"
    [warning] = parse_scenario(text, "x.config")[1]
    assert warning.severity == "warning"
    assert "without `durable = on`" in warning.text
    assert parse_scenario(f"{text}durable = on\n", "x.config")[1] == ()


# -- the simulated disk itself


def disk(seed=0):
    return SimDisk("disk", random.Random(seed), lambda _: None)


def test_a_crash_of_the_process_loses_what_was_not_synced_and_nothing_else():
    ours = disk()
    ours.append(Row.of(0, b"synced"))
    ours.sync()
    ours.append(Row.of(1, b"not"))
    ours.crash("process")
    assert ours.read().rows == (Row.of(0, b"synced"),)


def test_the_power_may_leave_what_was_not_synced_whole_torn_or_not_there():
    fates = set()
    for seed in range(50):
        ours = disk(seed)
        ours.append(Row.of(0, b"not synced"))
        ours.crash("power")
        rows = ours.read().rows
        fates.add("lost" if not rows else "whole" if rows[0].is_whole() else "torn")
    assert fates == {"lost", "whole", "torn"}


def test_a_broken_disk_takes_nothing_more():
    ours = disk()
    ours.is_broken = True
    with pytest.raises(DiskError, match="cannot be written"):
        ours.append(Row.of(0, b"row"))


def test_a_full_disk_takes_what_was_set_aside_and_tells_when_half_of_it_is_gone():
    ours = disk()
    ours.append(Row.of(0, bytes(100_000)))
    ours.sync()
    assert ours.room() == "enough"
    ours.fill()
    assert ours.room() == "low"
    ours.append(Row.of(1, bytes(RESERVED_BYTES // 2 + 1)))
    ours.sync()
    assert ours.room() == "spent"
    ours.checkpoint({"base": b"cut"}, {}, 1)  # the first row was large
    assert ours.room() == "low"
    with pytest.raises(DiskError, match="no space left"):
        ours.append(Row.of(2, bytes(100_000 + RESERVED_BYTES)))


def test_a_flipped_bit_changes_exactly_one_thing():
    ours = disk()
    ours.checkpoint({"fact": b"fact"}, {1: b"part"}, 0)
    ours.append(Row.of(0, b"row"))
    ours.sync()
    before = msgspec.to_builtins(ours.read())
    ours.flip()
    after = msgspec.to_builtins(ours.read())
    assert sum(before[name] != after[name] for name in before) == 1


@pytest.mark.parametrize("authentication", ["ed25519", "hmac", "crc"])
def test_olympus_begins_again_at_any_moment_and_everything_is_answered(authentication):
    """Before the first configuration, while one serves, and in a reconfiguration, which goes on where it was."""
    for ms in (12, 40, 61, 66, 71, 76, 81, 120):
        outcome = run(f"restart(replica_1,60); restart(olympus,{ms})\nauthentication = {authentication}")
        assert (outcome.breaches, outcome.judgement.status, outcome.result["operations"]) == ((), "pass", 60), ms


def test_there_is_no_olympus_to_begin_again_in_raft():
    with pytest.raises(ScenarioError, match="there is no olympus in protocol = raft"):
        parse_scenario(f"{BASE}protocol = raft\nsimulation = crash(replica_0,3); restart(olympus,5)\n", "x.config")


@pytest.mark.parametrize("authentication", ["ed25519", "hmac", "crc"])
def test_olympus_ends_in_any_of_its_syncs_and_everything_is_answered(authentication):
    for count in range(1, 6):  # in the first it is only being made, and there are no more
        outcome = run(f"restart(replica_1,60); end_in_sync(olympus,{count})\nauthentication = {authentication}")
        assert (outcome.breaches, outcome.judgement.status, outcome.result["operations"]) == ((), "pass", 60), count
        numbers = {signed.statement.number for signed in outcome.record.configurations}
        assert {each["to"] for each in outcome.result["reconfigurations"]} == numbers - {min(numbers)}, count
        assert outcome.result["words_missed"] == [], count


CHANGES = {
    "a sync": lambda disk: (disk.append(Row.of(1, b"next")), disk.sync()),
    "a checkpoint": lambda disk: disk.checkpoint({"base": b"later"}, {}, 1),
    "a cut": lambda disk: disk.cut(Row.of(0, b"first")),
    "a torn row": SimDisk.tear,
    "a flipped bit": SimDisk.flip,
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_what_is_read_is_the_same_thing_until_something_changes_on_the_disk(change):
    disk = SimDisk("disk", random.Random(1), lambda _ns: None)
    disk.checkpoint({"base": b"earlier"}, {0: b"part"}, 0)
    disk.append(Row.of(0, b"first"))
    disk.sync()
    before = disk.read()
    assert disk.read() is before
    change(disk)
    assert disk.read() != before
    assert before.rows == (Row.of(0, b"first"),)  # and what was read before stays what it was


def test_what_a_power_cut_leaves_of_an_unsynced_row_is_read():
    for seed in range(20):
        disk = SimDisk("disk", random.Random(seed), lambda _ns: None)
        disk.append(Row.of(0, b"first"))
        assert disk.read().rows == ()
        disk.crash("power")
        if disk.read().rows:
            return
    raise AssertionError("no power cut of twenty left anything")

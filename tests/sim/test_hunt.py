"""The commands `hunt` and `sim`: shards, counterexamples, their smallness and their picture."""

import contextlib
import signal
from xml.etree import ElementTree

import pytest

from bcr.scenario.protocols import PROTOCOLS
from bcr.scenario.reading import parse_scenario
from bcr_runtime.places import PROJECT
from bcr_sim import campaign, hunt, sim
from bcr_sim.campaign import Counterexample, ShardTally, run_text
from bcr_sim.campaign_folder import Campaign, page
from bcr_sim.coverage import struck
from bcr_sim.diagram import diagram
from bcr_sim.seeds import scenario_text
from bcr_sim.shrink import shrunk


@pytest.mark.parametrize("seed", range(30))
def test_a_seed_expands_to_a_scenario_that_reads_without_a_warning(seed):
    _, warnings = parse_scenario(scenario_text(seed), "seed.config")
    assert warnings == ()


def test_shards_are_all_seeds_and_each_once():
    shards = [hunt._shard(range(100, 200), f"{number}/7") for number in range(1, 8)]
    assert sorted(seed for shard in shards for seed in shard) == list(range(100, 200))


@pytest.mark.parametrize("shard", ["0/3", "4/3", "1", "a/b", "1/"])
def test_a_shard_that_is_none_is_bad_input(shard, capsys):
    assert hunt.main(["--count", "5", "--shard", shard]) == 2
    assert "expected I/N" in capsys.readouterr().err


def test_a_hunt_that_is_to_stop_does_so_at_the_first_failure_of_a_file_too(tmp_path, capsys):
    file = tmp_path / "failing.config"
    file.write_text("t = 1\nnum_client = 1\nworkload[0] = get('a')\nexpect[reconfigurations] = 1\n")
    assert hunt.main([str(file), "--stop", "--no-shrink", "--seeds", "40", "--jobs", "1", "--into", str(tmp_path / "found")]) == 1
    assert capsys.readouterr().out.startswith("1 seeds in")
    assert [path.name for path in (tmp_path / "found").glob("*.config")] == ["seed0.config"]


@pytest.mark.parametrize("engine", ["processes", "dask"])
def test_a_hunt_over_clean_seeds_ends_with_0_and_tells_its_rate(engine, capsys):
    assert hunt.main(["--count", "6", "--jobs", "2", "--engine", engine]) == 0
    assert "6 seeds in" in capsys.readouterr().out


def test_a_hunt_over_a_file_that_fails_leaves_a_small_scenario_that_fails_too(tmp_path, capsys):
    file = tmp_path / "expecting.config"
    file.write_text("t = 1\nnum_client = 2\nworkload[0] = pseudorandom(1,8)\nworkload[1] = pseudorandom(2,8)\n"
                    "expect[reconfigurations] = 0\nsimulation = seed(1); pause(client_1,1,50); crash(replica_1,60)\n")  # fmt: skip
    assert hunt.main([str(file), "--count", "1", "--jobs", "1", "--output", str(tmp_path / "found")]) == 1
    assert "expectation" in capsys.readouterr().out
    found = tmp_path / "found" / "seed0.config"
    text = found.read_text()
    assert text.startswith("# Violated: expectation: expected expect[reconfigurations] = 0")
    assert "pause" not in text and "workload[1]" not in text
    assert sim.main([str(found)]) == 1
    assert "violated" in found.with_suffix("").joinpath("index.html").read_text()


def test_a_hunt_into_a_folder_goes_on_where_it_was_stopped_and_its_page_tells_all(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("bcr_sim.campaign_folder.commit", lambda: "this commit")
    folder = tmp_path / "campaign"
    assert hunt.main(["--count", "20", "--jobs", "1", "--output", str(folder)]) == 0
    assert hunt.main(["--count", "22", "--jobs", "1", "--output", str(folder)]) == 0
    second = capsys.readouterr().out.splitlines()[-2:]
    assert second[0].startswith("2 seeds in")
    assert second[1].startswith("22 seeds tried in all on this commit")
    assert hunt.main(["--count", "22", "--jobs", "1", "--output", str(folder)]) == 0
    assert "\n0 seeds in" in f"\n{capsys.readouterr().out}"
    page = (folder / "campaign.html").read_text()
    assert "22 seeds" in page and "Byzantine chain replication: " in page and "several quorums tried" in page
    with open(folder / "hunt.jsonl", "a") as file:
        file.write('{"settings": "cut o')  # as a killed hunt leaves it
    assert Campaign(folder).told().startswith("22 seeds")


def test_seeds_of_another_commit_or_with_other_settings_are_not_done(tmp_path):
    campaign = Campaign(tmp_path)
    campaign.add(range(20), "shuttle", ShardTally(seeds=20))
    assert campaign.left(range(21), "shuttle") == [20]
    assert campaign.left(range(20), "shuttle, hmac") == list(range(20)) and campaign.left(range(20, 22), "shuttle") == [20, 21]
    later = Campaign(tmp_path)
    later.commit = "another"
    assert later.left(range(20), "shuttle") == list(range(20))
    assert later.told() == "0 seeds tried in all on another, 20 on 1 other commits"


def test_a_failure_of_a_campaign_is_kept_by_commit(tmp_path):
    campaign = Campaign(tmp_path)
    failure = Counterexample(7, "t = 1\n", ("agreement: <two>",))
    campaign.add(range(20), "shuttle", ShardTally(seeds=20, failures=[failure]))
    campaign.add(range(20), "shuttle", ShardTally(seeds=20, failures=[failure]))
    assert Campaign(tmp_path).failures() == [failure]
    later = Campaign(tmp_path)
    later.commit = "another"
    assert later.failures() == []
    assert "agreement: &lt;two&gt;" in page(campaign.lines) and campaign.commit in page(campaign.lines)


def result_with(protocol, positions):
    """What a run of this protocol came to in which each of these was late."""
    faults = [{"fault": "client_request(0,1),delay(400)", "configuration": 0, "position": each} for each in positions]
    of_client = {"fault": "client_request(0,0),garbage(1)", "client": 0}
    return {"protocol": protocol, "settings": {"t": 1, "authentication": "ed25519"}, "faults_injected": [*faults, of_client]}


@pytest.mark.parametrize(
    ("protocol", "positions", "places"),
    [
        ("shuttle", (0, 1, 2, 2), ["head", "middle", "tail", "tail"]),
        ("raft", (0, 1, 2), ["any server"] * 3),
        ("byzantine_raft", (0, 2, 3), ["who leads first", "another server", "another server"]),
    ],
)
def test_faults_that_struck_are_counted_by_trigger_failure_and_place(protocol, positions, places):
    assert list(struck(result_with(protocol, positions))) == [f"{protocol}: client_request delay {place}" for place in places]


def test_a_page_shows_what_struck_in_the_words_of_each_protocol(tmp_path):
    campaign = Campaign(tmp_path)
    campaign.add(range(1), "shuttle", ShardTally(seeds=1, struck={"shuttle change_result tail": 1}))  # as an earlier version wrote it
    of_liars = {"append spin who leads first": 2, "append_entries chaos another server": 1, "commit break_chain another server": 1}
    campaign.add(range(1), "byzantine_raft", ShardTally(seeds=1, struck={f"byzantine_raft: {each}": of_liars[each] for each in of_liars}))
    shown = page(campaign.lines)
    of_chain, of_raft = shown.partition("Byzantine chain replication: ")[2].split("Raft among liars: ")
    assert of_chain.startswith("1 of 3 combinations of these triggers, failures and places (head, middle, tail)")
    assert of_raft.startswith("3 of 12 combinations of these triggers, failures and places (who leads first, another server)")
    assert "title='append, spin, who leads first: 2'" in of_raft and "title='append, chaos, another server: 1'" in of_raft
    never = of_raft.partition("Never: ")[2].partition(".</p>")[0].split(", ")
    declared = PROTOCOLS["byzantine_raft"]
    assert set(never) <= {*declared.triggers, *declared.failures} and {"start_vote", "garbage", "restart"} <= set(never)
    assert not {"shuttle", "append_entries", "append", "spin", "chaos", "fail_link"} & set(never)


def test_shrinking_keeps_what_the_failure_needs_and_nothing_else():
    text = scenario_text(19_653)

    def kind_of(candidate):
        return "lie" if "mutate" in candidate and "num_client = " in candidate else ""

    small = shrunk(text, "lie", kind_of)
    assert len(small) < len(text)
    assert "num_client = 1" in small and "t = 1" in small
    [line] = [line for line in small.splitlines() if line.startswith("simulation")]
    assert {word.partition("(")[0] for word in line.removeprefix("simulation = ").split("; ")} == {"seed", "mutate"}


def test_shrinking_lets_go_of_lying_clients_of_asynchrony_and_of_how_often_a_failure_strikes():
    text = scenario_text(19_653, acceptance="quorum")
    assert text.count("client_failures[") == 2 and "garbage(5)" in text and text.count("hold(") == 3

    def kind_of(candidate):
        parse_scenario(candidate, "candidate.config")
        return "lie" if "garbage(" in candidate and "hold(" in candidate and "quorum" in candidate else ""

    small = shrunk(text, "lie", kind_of)
    [lie] = [line for line in small.splitlines() if line.startswith("client_failures")]
    assert lie == "client_failures[1] = reconfiguration(0),garbage(1)"
    assert small.count("hold(") == 1 and "free" not in small and "mutate" not in small
    assert "num_client = 2" in small
    assert "acceptance" not in shrunk(text, "lie", lambda candidate: "lie" if "num_client" in candidate else "")


def test_a_diagram_has_an_arrow_for_each_message_and_a_line_for_each_process():
    outcome = run_text((PROJECT / "config" / "head_change_op.config").read_text(), keeps_steps=True)
    root = ElementTree.fromstring(diagram(outcome.steps, "title"))
    words = {element.text for element in root.iter("{http://www.w3.org/2000/svg}text")}
    assert {"title", "replica_0", "client_0", "olympus", "shuttle", "wedge_request"} <= words


def test_a_failure_is_written_down_with_what_was_violated_and_how_to_see_it_again(tmp_path):
    text = "t = 1\nnum_client = 1\nworkload[0] = get('a')\nexpect[operations] = 2\nsimulation = seed(3)\n"
    path = hunt.counterexample(Counterexample(3, text, ("expectation: …",)), tmp_path / "x.config", shrinks=False)
    assert "./bcr sim x.config" in path.read_text()
    assert sim.main([str(path)]) == 1


def test_sim_draws_and_logs_on_demand(tmp_path, capsys):
    file = str(PROJECT / "config" / "tail_change_result.config")
    assert sim.main([file, "--diagram", str(tmp_path / "d.svg"), "--log-folder", str(tmp_path / "logs")]) == 0
    assert "verdict: pass" in capsys.readouterr().out
    assert (tmp_path / "logs" / "client_0.log").exists()
    ElementTree.parse(tmp_path / "d.svg")


def test_sim_says_what_is_wrong_with_a_file(tmp_path, capsys):
    file = tmp_path / "bad.config"
    file.write_text("t = 1\nnum_client = 1\nworkload[0] = get('a')\nsimulation = crahs(replica_1,5)\n")
    assert sim.main([str(file)]) == 2
    assert "did you mean crash?" in capsys.readouterr().err


def test_a_run_that_took_too_long_is_told_so_also_where_something_in_it_took_the_alarm_for_its_own():
    def swallows(_scenario):
        with contextlib.suppress(OSError):
            signal.raise_signal(signal.SIGALRM)
        return "an outcome"

    text = "t = 1\nnum_client = 1\nworkload[0] = get('x')\n"
    assert campaign.run_text(text, swallows).startswith("hang: ")
    assert campaign.run_text(text, lambda _scenario: "an outcome") == "an outcome"

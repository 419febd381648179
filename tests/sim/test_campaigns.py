"""Hunts over files and into folders: what counts as tried, what is told of each run, and what is refused because nothing would heed it."""

import subprocess

import msgspec
import pytest

from bcr_runtime.places import PROJECT
from bcr_sim import bugs, campaign_folder, hunt, sim, survival
from bcr_sim.campaign import ShardTally
from bcr_sim.campaign_folder import LINES, Campaign, commit, state_of_objects
from bcr_sim.kept_lines import add_line, lines_of_type
from bcr_sim.protocol_simulations import TEXTS
from bcr_sim.survivors import MutantResult
from bcr_tools import atlas

START = "t = 1\nnum_client = 1\nworkload[0] = put('a','b'); get('a')\n"
DEAD = START + "failures[0,0] = after(0),crash()\nfailures[0,1] = after(0),crash()\n"  # so that nothing is owed
FIRST_RUN = str(PROJECT / "config" / "first_run.config")
RAFT = str(PROJECT / "config" / "raft.config")


@pytest.fixture(autouse=True)
def here(monkeypatch):
    """Seeds are simulated in this process, which has imported all of it, and on one state of the source."""

    def run(work, chunks, _options):
        for chunk in chunks:
            yield chunk, work(*chunk)

    monkeypatch.setattr(hunt, "_processes", run)
    monkeypatch.setattr(campaign_folder, "commit", lambda: "this")


@pytest.fixture
def written(tmp_path):
    def write(name, text):
        (tmp_path / name).write_text(text)
        return str(tmp_path / name)

    return write


# -- what counts as tried


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A repository with one source, in which this project seems to be."""
    project = tmp_path / "project"
    (project / "src").mkdir(parents=True)
    (project / "src" / "rule.py").write_text("LIMIT = 1\n")

    def git(*words):
        who = ("-c", "user.name=nobody", "-c", "user.email=nobody@localhost", "-c", "commit.gpgsign=false")
        subprocess.run(["git", *who, *words], cwd=project, check=True, capture_output=True, timeout=30)

    git("init", "--quiet")
    git("add", "--all")
    git("commit", "--quiet", "--message", "one")
    monkeypatch.setattr(campaign_folder, "PROJECT", project)
    monkeypatch.setattr(campaign_folder, "IS_CHECKOUT", True)
    return project / "src"


def test_each_change_of_the_sources_is_a_state_of_its_own(checkout):
    clean = commit()
    assert "+" not in clean
    found = [clean]
    for file, text in (("rule.py", "LIMIT = 2\n"), ("rule.py", "LIMIT = 3\n"), ("New.da", "x = 1\n"), ("New.da", "x = 2\n")):
        (checkout / file).write_text(text)
        found.append(commit())
    assert len(set(found)) == 5
    assert all(each.startswith(f"{clean}+changes-") for each in found[1:])
    (checkout / "New.da").unlink()
    assert commit() == found[2]
    (checkout / "rule.py").write_text("LIMIT = 1\n")
    assert commit() == clean


def test_without_git_each_text_of_the_sources_is_a_state_of_its_own(checkout, monkeypatch):
    def is_missing(*_words, **_more):
        raise FileNotFoundError("git")

    monkeypatch.setattr(campaign_folder.subprocess, "run", is_missing)
    monkeypatch.setattr(campaign_folder, "own_version", lambda: "1.0")
    one = commit()
    (checkout / "rule.py").write_text("LIMIT = 2\n")
    assert one.startswith("1.0+changes-") and commit().startswith("1.0+changes-") and commit() != one


def test_where_nothing_is_a_checkout_the_version_is_the_state(monkeypatch):
    monkeypatch.setattr(campaign_folder, "IS_CHECKOUT", False)
    monkeypatch.setattr(campaign_folder, "own_version", lambda: "1.0")
    assert commit() == "1.0"


def test_seeds_are_tried_again_with_an_object_of_ones_own_that_was_changed_or_what_it_imports_was(tmp_path, written, capsys):
    helper = tmp_path / "limits_of_mine.py"
    written("limits_of_mine.py", "LIMIT = 1\n")
    written("kept_by_me.py", "from bcr.objects.store import Store\nfrom limits_of_mine import LIMIT\n\nclass Kept(Store):\n    pass\n")
    name = f"{tmp_path}/kept_by_me:Kept"
    words = ["--count", "1", "--jobs", "1", "--output", str(tmp_path / "found")]
    tried = []
    file = written("x.config", "t = 1\nnum_client = 1\nobject = kept_by_me:Kept\nworkload[0] = pseudorandom(1,3)\n")
    for how in (["--object", name], [file]):
        for change in (None, None, tmp_path / "kept_by_me.py", helper):
            if change is not None:
                change.write_text(change.read_text() + "# changed\n")
            assert hunt.main([*how, *words]) == 0
            tried.append(int(capsys.readouterr().out.split()[0]))
    assert tried == [1, 0, 1, 1, 1, 0, 1, 1]
    assert state_of_objects(["dictionary", "store"]) == ""


def test_a_part_of_the_seeds_and_all_of_them_are_not_taken_for_each_other(tmp_path, capsys):
    words = ["--jobs", "1", "--output", str(tmp_path)]
    told = []
    for which in (["--count", "4", "--shard", "1/2"], ["--count", "2"], ["--count", "4"], ["--count", "4", "--stop"]):
        assert hunt.main([*which, *words]) == 0
        told.append(capsys.readouterr().out.splitlines())
    assert [lines[0].split()[0] for lines in told] == ["2", "1", "1", "0"]
    assert told[-1][1].startswith("4 seeds tried in all on this")


def test_lines_that_do_not_say_which_seeds_count_and_are_tried_again(tmp_path):
    old = {"settings": "shuttle", "commit": "this", "first": 0, "seeds": 3, "seconds": 1.0, "tally": {"seeds": 3}}
    (tmp_path / LINES).write_bytes(msgspec.json.encode(old) + b"\n")
    campaign = Campaign(tmp_path)
    assert campaign.left([0, 1, 2], "shuttle") == [0, 1, 2]
    assert campaign.told().startswith("3 seeds tried")


def test_a_folder_whose_file_is_anothers_is_bad_input(tmp_path, capsys):
    campaign = Campaign(tmp_path)
    campaign.add([0], "shuttle", ShardTally(seeds=1))
    for other in ('{"settings": 5}', "no JSON at all"):
        with open(tmp_path / LINES, "a") as file:
            file.write(other + "\n")
        assert hunt.main(["--count", "1", "--output", str(tmp_path)]) == 2
        assert f"{LINES}: not lines of a hunt: line 2: " in capsys.readouterr().err
        (tmp_path / LINES).unlink()
        campaign.add([0], "shuttle", ShardTally(seeds=1))


def test_a_line_may_be_cut_off_anywhere_and_the_next_one_stands_for_itself(tmp_path):
    path = tmp_path / "lines"
    whole = msgspec.json.encode(MutantResult(id="ä", hash="h", sources="s", outcome="alive"))
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        assert lines_of_type(path, MutantResult, "results") == []
        add_line(path, whole)
        add_line(path, whole)
        assert len(lines_of_type(path, MutantResult, "results")) == 2


# -- verdicts


def test_runs_of_a_file_that_come_to_no_verdict_are_told_with_the_reason_and_end_with_2(tmp_path, written, capsys):
    dead = written("dead.config", DEAD)
    words = ["--count", "3", "--jobs", "1"]
    assert hunt.main([dead, *words]) == 2
    first, reason, *more = capsys.readouterr().out.splitlines()
    assert first.endswith("0 failed, 3 came to no verdict:")
    assert reason == "  3 times: no reconfiguration from configuration n: fewer than t+1 usable answers" and not more
    folder = str(tmp_path / "found")
    assert hunt.main([dead, *words, "--output", folder]) == 2
    capsys.readouterr()
    assert hunt.main([dead, *words, "--output", folder]) == 2
    assert "3 seeds tried in all on this, of which 3 came to no verdict" in capsys.readouterr().out
    assert "<th>no verdict</th>" in (tmp_path / "found" / "campaign.html").read_text()
    failing = written("failing.config", START + "expect[operations] = 7\n")
    assert hunt.main([dead, failing, "--no-shrink", *words, "--output", folder]) == 1


def test_a_scenario_that_is_drawn_may_come_to_no_verdict(monkeypatch, capsys):
    monkeypatch.setitem(TEXTS, "shuttle", lambda seed, *_: f"{DEAD}simulation = seed({seed})\n")
    assert hunt.main(["--count", "2", "--jobs", "1"]) == 0
    first, reason = capsys.readouterr().out.splitlines()
    assert first.endswith("0 failed, 2 came to no verdict:")
    assert reason.startswith("  2 times: ")


def test_of_many_reasons_the_most_frequent_are_told():
    told = hunt._told_of_unknown(ShardTally(unknown={f"reason {letter}": count for count, letter in enumerate("abcdefg", start=1)}))
    assert told.splitlines()[0] == ", 28 came to no verdict:"
    assert told.splitlines()[1] == "  7 times: reason g" and told.splitlines()[-1] == "  and for 2 other reasons"
    assert hunt._told_of_unknown(ShardTally()) == ""


# -- counterexamples


def test_a_failure_of_a_file_with_comments_behind_its_values_is_made_small(tmp_path, written, capsys):
    failing = written("f.config", "t = 1  # one fault\nnum_client = 1  # a client\nworkload[0] = get('a')\nexpect[operations] = 7\n"
                                  "failures[0,1] = shuttle(0,1),crash()  # dies\n")  # fmt: skip
    assert hunt.main([failing, "--count", "2", "--jobs", "1", "--output", str(tmp_path / "found")]) == 1
    assert "seed 0: expectation" in (out := capsys.readouterr().out) and "seed 1: expectation" in out
    for seed in (0, 1):
        small = (tmp_path / "found" / f"seed{seed}.config").read_text()
        assert "crash" not in small and "./bcr sim" in small


def test_a_failure_that_cannot_be_made_small_is_there_as_it_was_found_and_costs_no_other(tmp_path, written, monkeypatch, capsys):
    failing = written("f.config", START + "expect[operations] = 7\n")
    folder = tmp_path / "found"
    stock = hunt.shrunk

    def breaks(text, *rest):
        if "seed(0)" in text:
            raise KeyError("t")
        return stock(text, *rest)

    monkeypatch.setattr(hunt, "shrunk", breaks)
    words = [failing, "--count", "2", "--jobs", "1", "--output", str(folder)]
    assert hunt.main(words) == 1
    assert f"  {folder}/seed0.config, as it was found: KeyError: 't'\n" in capsys.readouterr().out
    assert (folder / "seed0.config").read_text() == START + "expect[operations] = 7\nsimulation = seed(0)\n"
    assert (folder / "seed1" / "index.html").exists()
    monkeypatch.setattr(hunt, "shrunk", stock)
    assert hunt.main(words) == 1
    assert "# Violated: expectation" in (folder / "seed0.config").read_text()
    assert sorted(path.name for path in folder.glob("*.config")) == ["seed0.config", "seed1.config"]


def test_each_of_several_files_has_its_counterexample(tmp_path, written, capsys):
    one, other = (written(f"f{count}.config", START + f"expect[operations] = {count}\n") for count in (7, 8))
    folder = tmp_path / "found"
    words = ["--count", "1", "--jobs", "1", "--no-shrink"]
    for again in range(2):
        assert hunt.main([one, other, *words, "--output", str(folder)]) == 1
        told = capsys.readouterr().out
        assert f"seed 0 of {one}: expectation" in told and f"seed 0 of {other}: expectation" in told
        texts = sorted(path.read_text() for path in folder.glob("*.config"))
        assert len(texts) == 2, again
        assert sum("expect[operations] = 7\n" in text for text in texts) == sum("expect[operations] = 8\n" in text for text in texts) == 1


def test_other_settings_have_their_own_counterexample_in_a_folder(tmp_path, written):
    failing = written("f.config", START + "expect[operations] = 7\n")
    for more in ([], ["--acceptance", "quorum"], []):
        assert hunt.main([failing, "--count", "1", "--jobs", "1", "--no-shrink", "--output", str(tmp_path / "found"), *more]) == 1
    texts = [path.read_text() for path in (tmp_path / "found").glob("*.config")]
    assert sorted("acceptance = quorum" in text for text in texts) == [False, True]


# -- what is refused


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ([FIRST_RUN, "--object", "store"], "first_run.config cannot be run with --object store: "),
        ([FIRST_RUN, "--object", "any"], "first_run.config cannot be run with --object store: "),
        ([RAFT, "--acceptance", "quorum"], "raft.config cannot be run with --acceptance quorum: acceptance: protocol = raft has none but all"),
        ([RAFT, "--authentication", "any"], "raft.config cannot be run with --authentication "),
        (["--protocol", "raft", "--authentication", "crc"], "--authentication: --protocol raft has none but ed25519: nothing is signed in Raft"),
        (["--protocol", "byzantine_raft", "--acceptance", "any"], "--acceptance: --protocol byzantine_raft has none but all: "),
        ([FIRST_RUN, "--protocol", "raft"], "--protocol is of scenarios that are made, and FILE says its own"),
        ([FIRST_RUN, "--durable"], "--durable is of scenarios that are made"),
        ([FIRST_RUN, "--sessions"], "--sessions is of scenarios that are made"),
    ],
)  # fmt: skip
def test_a_hunt_refuses_what_its_scenarios_cannot_have_or_would_not_heed(arguments, why, capsys):
    assert hunt.main([*arguments, "--count", "1", "--jobs", "1"]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert why in line


def refused(main, arguments, capsys):
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    return capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--protocol", "raft", "--conformance"], "Figure 1 of the paper is of the chain, and --protocol is raft"),
        (["--conformance", "--output", "x"], "--output: with --conformance seeds are only counted"),
        (["--all", "--only", "zzz"], "--only zzz: no mutant has this in its id"),
        (["--all", "--file", "Replica.da", "--only", "zzz"], "--only zzz: no mutant of Replica.da has this in its id"),
    ],
)
def test_bugs_that_there_are_not_and_a_figure_that_is_anothers_are_bad_input(arguments, why, capsys):
    assert why in refused(bugs.main, arguments, capsys)


@pytest.mark.parametrize("how", ["--conformance", "--step"])
@pytest.mark.parametrize("what", [["--show", "F"], ["--log-folder", "F"], ["--diagram", "F"], ["--story"]], ids=lambda what: what[0])
def test_what_steps_alone_are_told_of_refuses_to_write_or_tell_more(how, what, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert f"{what[0]}: with {how} nothing but its steps is told" in refused(sim.main, [FIRST_RUN, how, *what], capsys)
    assert list(tmp_path.iterdir()) == []


def test_steps_are_told_in_one_way_at_a_time(capsys):
    assert "give one of them" in refused(sim.main, [FIRST_RUN, "--conformance", "--step"], capsys)


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--failure", "impersonate"], "--failure impersonate: it cannot be simulated: "),
        (["--failure", "crash", "impersonate"], "--failure impersonate: it cannot be simulated: "),
    ],
)
def test_an_atlas_of_what_cannot_be_simulated_is_bad_input(arguments, why, capsys):
    assert why in refused(atlas.main, ["--simulated", "--t", "1", "--jobs", "1", *arguments], capsys)


def test_results_of_mutants_that_are_cut_off_are_gone_on_with(tmp_path, capsys):
    results = tmp_path / "m.jsonl"
    name = next(mutant.id for mutant, _ in survival.all_mutants(survival.rules()) if mutant.file == "bcr/chain/timers.py")
    results.write_text('{"id": "cut o')
    assert bugs.main(["--all", "--list", "--only", name, "--output", str(results)]) == 0
    assert name in capsys.readouterr().out
    results.write_text("something else\n")
    assert "m.jsonl: not results of mutants: line 1: " in refused(
        bugs.main, ["--all", "--list", "--only", name, "--output", str(results)], capsys
    )

"""The page of a run: whole, without a network, with the evidence of each violation, and safe whatever a run holds."""

import json
import re

import pytest
from show.conftest import simulated

from bcr_show import show
from bcr_show.evidence import violations_of
from bcr_show.moments import Times, moments_of
from bcr_show.page import page_of
from bcr_show.run_reading import NoRun, read_run
from bcr_show.story import MOST_SENTENCES, story

SECTIONS = {"story", "diagram", "time", "moments", "evidence", "slots", "clients", "folder"}


def test_a_page_has_all_its_parts_and_every_link_leads_to_a_place_of_the_page(lying_tail, shown):
    page = shown(lying_tail)
    assert page.anchors() >= SECTIONS
    assert page.links() <= page.anchors()


def test_no_place_of_a_page_has_the_name_of_another(lying_tail, shown):
    ids = [attributes["id"] for _, attributes in shown(lying_tail).elements if "id" in attributes]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize(
    ("protocol", "setting", "verdict"),
    [
        ("raft", "sent to 3 servers of Raft (t = 1; a result needs the word of the leader, and nothing is signed)", "Verdict pass: one history"),
        ("byzantine_raft", "sent to 4 servers of Raft among liars (t = 1, ed25519; a result needs equal statements that t+1 servers signed)",
         "Verdict pass: signatures and proofs hold, one history"),
        ("shuttle", "sent to a chain of 3 replicas (t = 1, ed25519; a result needs a word of every replica)", "Verdict pass: signatures and proofs"),
    ],
)  # fmt: skip
def test_a_story_says_of_each_protocol_what_is_true_of_it(protocol, setting, verdict, tmp_path):
    text = f"test_case_name = told\nprotocol = {protocol}\nt = 1\nnum_client = 1\nworkload[0] = put('a','1')\nsimulation = seed(1)\n"
    run = read_run(simulated(tmp_path, text))
    moments = moments_of(run)
    told = story(run, moments, Times(run))
    assert setting in told[0]
    assert told[-1].startswith(verdict)
    assert any("onfiguration" in each for each in told) == (protocol == "shuttle")  # the others have none that is replaced


def test_a_page_fetches_nothing_and_runs_its_own_script_only(lying_tail, shown):
    page = shown(lying_tail)
    assert not [tag for tag, attributes in page.elements if attributes.keys() & {"src", "srcset", "action", "data"}]
    assert all(link in page.anchors() for link in page.links())
    assert [tag for tag, _ in page.elements].count("script") == 1
    [policy] = [each["content"] for _, each in page.elements if each.get("http-equiv") == "Content-Security-Policy"]
    assert "default-src 'none'" in policy and "script-src 'sha256-" in policy
    assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")]


@pytest.mark.parametrize("run", ["lying_tail", "counterexample"])
def test_every_violation_is_linked_to_its_evidence(run, shown, request):
    folder = request.getfixturevalue(run)
    violations = violations_of(moments_of(read_run(folder)))
    page = shown(folder)
    assert violations
    assert {moment.evidence for moment in violations} <= page.anchors() & page.links()


def test_the_evidence_of_a_lie_leads_to_the_message_to_the_statements_and_to_the_slot(lying_tail, shown):
    page = shown(lying_tail)
    told = page.text.partition("Evidence")[2]
    assert "notices DisagreeingResult in result_message: replica 2 signed another result of slot 1" in told
    assert "The statements that show it" in told
    messages = {link for link in page.links() if re.fullmatch(r"m\d+", link)}
    assert messages and "slot-0-1" in page.links()
    alarming = {each["id"] for each in page.of_class("k-alarm") if "id" in each}
    assert messages <= alarming


def test_the_diagram_of_a_counterexample_shows_the_lie_and_the_breach(counterexample, shown):
    page = shown(counterexample)
    assert "violated" in page.text
    signs = {name for name in ("p-fault", "p-violation", "p-breach", "p-wedge", "p-configuration") if page.of_class(name)}
    assert signs == {"p-fault", "p-violation", "p-breach", "p-wedge", "p-configuration"}
    assert "client 0 accepts an answer to request 1, of which was found later: results: client 0, request 1" in page.text
    titles = page.text
    assert "left when this had struck: shuttle(0,1),answer_early(1)" in titles
    assert re.search(r"result_message: from replica 1 of configuration 0 .*left when this had struck", titles)


def test_each_message_and_each_process_is_in_the_diagram(lying_tail, shown):
    page = shown(lying_tail)
    for words in ("shuttle: from replica 0 of configuration 0", "wedge_request: from Olympus", "client 0", "configuration 1"):
        assert words in page.text
    assert len(page.of_class("m")) > 50
    assert len(page.of_class("wedged")) == 3
    assert len(page.of_class("band")) >= 1


def test_slots_tell_who_testified_and_who_otherwise(lying_tail, shown):
    page = shown(lying_tail)
    assert "0, 1 but 2 otherwise" in page.text
    [odd] = [each for each in page.of_class("odd") if each.get("id") == "slot-0-1"]
    assert odd
    assert {"request-0-0", "request-0-1", "request-0-2"} <= page.anchors()


# -- the story


def story_of(folder):
    run = read_run(folder)
    return story(run, moments_of(run), Times(run))


def test_a_story_tells_what_struck_who_noticed_who_asked_what_it_cost_and_what_clients_saw(lying_tail):
    told = "\n".join(story_of(lying_tail))
    for words in (
        "shuttle(0,1), change_result() struck replica 2 of configuration 0",
        "noticed DisagreeingResult: replica 2 signed another result of slot 1",
        "was the first to ask Olympus",
        "Replacing configuration 0 by 1 took",
        "agreed on the state",
        "Blamed: replica 2 of configuration 0",
        "a fault had struck it",
        "Half of the requests were answered within",
        "Verdict pass",
    ):
        assert words in told


def test_a_story_says_what_never_struck_and_why(copied):
    result = json.loads((copied / "result.json").read_text())
    result["faults_missed"] = [{"who": "replica 1 of configuration 0", "text": "checkpoint(9),crash()", "why": "it never came"}]
    (copied / "result.json").write_text(json.dumps(result))
    assert "Never struck: checkpoint(9),crash() of replica 1 of configuration 0 (it never came)." in story_of(copied)


def test_a_story_says_what_was_armed_and_had_nothing_to_strike(tmp_path):
    text = ("test_case_name = idle\nprotocol = byzantine_raft\nt = 1\nnum_client = 1\nworkload[0] = put('a','1')\n"
            "failures[0,2] = append(0),break_chain()\nsimulation = seed(1)\n")  # fmt: skip
    told = story_of(simulated(tmp_path, text))
    assert "No fault struck." in told
    assert "Armed, with no effect: append(0),break_chain() of server 2." in told


def test_a_story_tells_which_quorums_failed_and_why(counterexample):
    assert "quorum {0, 1} failed: the history of replica 1 ends before a checkpoint of the others" in "\n".join(story_of(counterexample))


def test_a_story_has_a_dozen_sentences_at_the_most_and_ends_with_the_verdict(copied):
    result = json.loads((copied / "result.json").read_text())
    result["reconfigurations"] *= 50
    result["reasons"] = [f"reason {number}" for number in range(40)]
    (copied / "result.json").write_text(json.dumps(result))
    told = story_of(copied)
    assert len(told) <= MOST_SENTENCES
    assert told[-1] == "Verdict pass: reason 0; and 39 more reasons."


def test_a_run_that_was_ended_has_a_page_that_says_so(copied, shown):
    (copied / "result.json").unlink()
    (copied / "record.msgpack").unlink()
    page = shown(copied)
    assert "no result" in page.text and "There is no result.json" in page.text
    assert len(page.of_class("m")) > 50


def test_a_quiet_run_has_a_page_that_says_what_it_cannot_know(copied, shown):
    for log in copied.glob("*.log"):
        log.unlink()
    assert "The logs hold no steps" in shown(copied).text


# -- whatever a run holds

HOSTILE = ["</script><script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "&lt;b&gt;'\"", "\u202eevil\x00\x1b[2J\udcff"]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_text_wherever_it_stands(copied, shown, text):
    result = json.loads((copied / "result.json").read_text())
    result["scenario"] = text
    result["reasons"] = [text]
    result["faults_missed"] = [{"who": text, "text": text, "why": text}]
    result["reconfigurations"][0] |= {"reason": text, "requested_by": text, "why_not": [[[0, 1], text]], "invalid_histories": {text: text}}
    result["notices"][0] |= {"what": text, "by": text}
    (copied / "result.json").write_text(json.dumps(result))
    (copied / "scenario.config").write_bytes(text.encode("utf-8", "surrogatepass"))
    plain = text.encode("utf-8", "backslashreplace").decode()
    with open(copied / "client_0.log", "a", encoding="utf-8") as log:
        for event in ("misbehaviour", "fault_injected", "reconfiguration_requested", "breach", "retransmission", "unheard_of"):
            value = "".join(f"\\x{ord(each):02x}" if each in '"\\\n\x00\x1b' else each for each in plain)
            log.write(f'time=2000-01-01T00:00:00.050000+00:00 process="{value}" event={event} what="{value}" kind="{value}" message="{value}" '
                      f'by="{value}" reason="{value}" fault="{value}"\n')  # fmt: skip
    before = shown(copied)
    assert [tag for tag, _ in before.elements].count("script") == 1
    assert not [tag for tag, _ in before.elements if tag in ("img", "b", "iframe")]
    assert not [name for _, attributes in before.elements for name in attributes if name.startswith("on")]
    page = page_of(read_run(copied))
    assert not set("\x00\x1b\u202e") & set(page)
    page.encode("utf-8", errors="backslashreplace").decode("utf-8")
    if text.isprintable():
        assert text in before.text


@pytest.mark.parametrize("name", ["record.msgpack", "result.json", "client_0.log", "olympus.log"])
@pytest.mark.parametrize(
    "damage", [lambda data: b"", lambda data: data[: len(data) // 2], lambda data: bytes(each ^ 0x5A for each in data)]
)
def test_a_damaged_file_costs_what_it_told_and_no_more(copied, shown, name, damage):
    path = copied / name
    path.write_bytes(damage(path.read_bytes()))
    assert shown(copied).anchors() >= SECTIONS


# -- long runs


@pytest.mark.parametrize("year", ["9999", "0001"])
def test_lines_of_a_time_that_no_clock_shows_are_counted_as_unread(copied, shown, year):
    before = read_run(copied).unread
    with open(copied / "client_0.log", "a") as log:
        log.write(f"time={year}-01-01T00:00:00.000000+00:00 process=client_0 event=sent\n")
        log.write(f"time={year}-01-01T00:00:00.000000+00:00 process=client_0 event=settings\n")
    assert read_run(copied).unread == before + 2
    shown(copied)


def test_a_long_run_says_what_is_not_drawn_and_a_window_of_it_is_drawn_whole(copied, shown, monkeypatch):
    monkeypatch.setattr("bcr_show.windows.MOST_LINES", 40)
    monkeypatch.setattr("bcr_show.windows.ENDS_NS", 1_000_000)
    monkeypatch.setattr("bcr_show.windows.FIRST_LINES", 5)
    page = shown(copied)
    run = read_run(copied)
    assert run.drawn < run.routine
    assert re.search(rf"from {run.drawn:,} of\s+{run.routine:,} lines of the logs", page.text)
    assert page.of_class("p-fault") and page.of_class("p-violation")
    assert "not drawn" in page.text
    window = read_run(copied, (0.0, 20.0))
    times = Times(window)
    told = [line for line in window.lines if line.event in ("sent", "received") and 0 <= times.ms(line.at_ns) <= 20]
    assert len(told) == sum(text.count(" event=sent ") + text.count(" event=received ") for text in within(copied, times, 20.0))


def within(folder, times, until_ms):
    from bcr_run.log_lines import Clock

    clock = Clock()
    for log in folder.glob("*.log"):
        for text in log.read_text().splitlines():
            at_ns = clock.read(text)
            if at_ns is not None and 0 <= times.ms(at_ns) <= until_ms:
                yield text


# -- the command


def test_show_prints_the_story_and_writes_the_page_for_its_owner_alone(copied, capsys):
    assert show.main([str(copied)]) == 0
    told = capsys.readouterr().out
    assert "was the first to ask Olympus" in told and f"page: {copied / 'index.html'}" in told
    assert (copied / "index.html").stat().st_mode & 0o777 == 0o600


def test_show_quiet_prints_nothing(copied, capsys):
    assert show.main([str(copied), "--quiet", "--output", str(copied / "other.html")]) == 0
    assert not capsys.readouterr().out
    assert (copied / "other.html").exists() and not (copied / "index.html").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["/nowhere/at/all"], "no such folder"), ([str(show.__file__)], "no such folder"),
        (["/"], "not the folder of a run: neither result.json nor logs"),
    ],
)  # fmt: skip
def test_show_says_what_is_no_run(arguments, words, capsys):
    assert show.main(arguments) == 2
    assert words in capsys.readouterr().err


@pytest.mark.parametrize("window", ["5", "a:b", "9:3", ""])
def test_show_says_what_is_no_window(window, capsys):
    with pytest.raises(SystemExit):
        show.main(["--window", window])
    assert "not two numbers" in (told := capsys.readouterr().err) or "ends before it begins" in told


def test_a_window_of_too_much_is_refused(copied, monkeypatch):
    monkeypatch.setattr("bcr_show.run_reading.MOST_ASKED", 3)
    with pytest.raises(NoRun, match="more than the 3 that can be drawn"):
        read_run(copied, (-1_000.0, 1_000.0))


def test_the_latest_run_is_shown_where_none_is_named(copied, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(show, "default_log_base", lambda: tmp_path)
    assert show.main([]) == 2
    assert "no run has left anything there" in capsys.readouterr().err
    (tmp_path / "latest").symlink_to("copied")
    assert show.main([]) == 0
    assert str(copied / "index.html") in capsys.readouterr().out
    assert show.main(["copied"]) == 0

"""Every example that ships with DistAlgo runs and ends as it does on Python 3.7."""

import re
from collections import Counter
from pathlib import Path

import generated
import pytest
from running import run_da

# module -> arguments, and what its processes say with these on Python 3.7: the text without process ids -> how often.
# Of an example whose course depends on time, only what every course ends with; `…` stands for any rest of a line.
EXAMPLES = {
    "2pcommit.orig": ("3 -1", {"commit": 4, "ready": 3, "terminating": 1}),
    "2pcommit.spec": ("3 -1", {"commit:001": 4, "ready:001": 3, "terminating": 1}),
    "clpaxos.spec": ("1 3 1 1", {"Succeeded proposing <Proposer>": 1}),
    "crleader.orig": ("4", {"Leader is <P>": 4}),
    "dscrash.orig": ("3 1", {"x = …": 3}),  # a value that came before the round is sent in it, and so counts
    "dscrash.spec": ("3 0", {"0": 1, "1": 1, "2": 1}),
    "hsleader.orig": ("4", {"Leader is <P>": 3}),
    "hsleader.spec": ("4", {"Leader is <P>": 3}),
    "lamutex.orig": ("3 1", {"in cs": 3, "terminating": 3}),
    "lamutex.spec": ("3 1", {"in cs": 3, "releasing cs": 3, "terminating": 3}),
    "lamutex.spec_lam": ("3 1", {"in critical section": 3, "terminating": 3}),
    "lapaxos.orig": ("3 1 1", {"terminating": 5, "done": 1}),
    "pingpong.ping": ("2 2", {"Pinged": 4, "Ponged.": 4}),
    "raft.orig": ("3 1 1 1000", {"Request 1 complete.": 1, "All clients done.": 1}),
    "ramutex.orig": ("3 1", {"In cs!": 3, "Terminating..": 3}),
    "ramutex.spec": ("3 1", {"In cs!": 3, "Release!": 3, "All processes done.": 1}),
    "ratoken.spec": ("3 1", {"In cs!": 3, "Done!": 3, "I'm lucky!": 1}),
    "sktoken.orig": ("3 1", {"In cs!": 3, "Done!": 3, "I'm lucky!": 1}),
    "vrpaxos.orig": ("3 2 1 1 1", {"terminating": 7, "All clients done.": 1}),
}


def said(output):
    """The lines that processes put out, without ids, and how often each came."""
    lines = re.findall(r"OUTPUT: (.*)", output)
    return Counter(re.sub(r":[0-9a-f]{5}>", ">", line).strip() for line in lines)


def times(found, text):
    """How often something was said: these very words, or what begins as they do before `…`."""
    beginning = text.removesuffix("…")
    return found[text] if beginning == text else sum(count for line, count in found.items() if line.startswith(beginning))


def test_no_shipped_example_is_left_out():
    shipped = {name.split("/", 1)[1] for name in generated.sources() if name.startswith("examples/")}
    assert shipped == {name.replace(".", "/") + ".da" for name in EXAMPLES}


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_example_ends_as_on_python_37(tmp_path, name):
    arguments, expected = EXAMPLES[name]
    done = run_da(tmp_path, "-m", f"da.examples.{name}", *arguments.split())
    assert done.returncode == 0, done.stdout
    found = said(done.stdout)
    assert {text: times(found, text) for text in expected} == expected, done.stdout
    # Not every ERROR: some examples send to processes that have ended, and are told so on 3.7 as well.
    assert not re.search("Warning|Traceback|Unrecoverable|Exception during", done.stdout), done.stdout


def test_an_example_runs_as_a_file(tmp_path):
    done = run_da(tmp_path, generated.sources()["examples/pingpong/ping.da"], 2, 2)
    assert done.returncode == 0, done.stdout
    assert said(done.stdout) == {"Pinged": 4, "Ponged.": 4}


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_an_example_runs_by_either_start_method_with_interpreter_flags(tmp_path, method):
    done = run_da(tmp_path, "--start-method", method, "-m", "da.examples.pingpong.ping", 2, 2, PYTHONDONTWRITEBYTECODE="1")
    assert done.returncode == 0, done.stdout
    assert said(done.stdout) == {"Pinged": 4, "Ponged.": 4}, done.stdout


def test_children_are_forked_unless_the_user_says_otherwise(tmp_path):
    """Python's own default is another from 3.14 on; without the cure this says None before, forkserver there."""
    (tmp_path / "main.da").write_text("import multiprocessing\ndef main(): output(multiprocessing.get_start_method(allow_none=True))\n")
    assert said(run_da(tmp_path, "main.da").stdout) == {"fork": 1}


def test_a_recorded_run_is_printed_and_replayed(tmp_path):
    module = ("-m", "da.examples.pingpong.ping", 2, 2)
    assert run_da(tmp_path, "-T", "--logdir", "traces", *module).returncode == 0
    received = sorted(Path(tmp_path, "traces").glob("P*.trace"))
    sent = sorted(Path(tmp_path, "traces").glob("P*.snd"))
    assert len(received) == len(sent) == 3

    printed = run_da(tmp_path, "-P", "-Y", *received, *sent, *module)
    assert printed.returncode == 0, printed.stdout
    assert printed.stdout.count("END OF TRACE") == 6
    assert printed.stdout.count("(Succeeded) =>") >= 8
    assert not re.search("Error|corrupted|Unknown event", printed.stdout), printed.stdout

    replayed = run_da(tmp_path, "-Y", *received, *module)
    assert replayed.returncode == 0, replayed.stdout
    assert said(replayed.stdout) == {"Pinged": 4, "Ponged.": 4}, replayed.stdout


def test_the_replay_of_a_trace_that_is_cut_short_ends(tmp_path):
    module = ("-m", "da.examples.pingpong.ping", 2, 2)
    run_da(tmp_path, "-T", "--logdir", "traces", *module)
    (pong,) = Path(tmp_path, "traces").glob("Pong*.trace")
    pong.write_bytes(pong.read_bytes()[:-8])
    replayed = run_da(tmp_path, "-Y", pong, *module)
    assert "TraceEndedException" in replayed.stdout

"""How runs begin, fail and end."""

import os
import re
import signal
import stat
import time
from pathlib import Path

import pytest
from nodes import LIMIT_S, free_port
from running import run_da

from dacurrent.lifetime import FAILURE_STATUS

PROGRAMS = Path(__file__).parent / "programs"
ENDS = PROGRAMS / "ends.da"
MEETING = PROGRAMS / "meeting.da"


@pytest.mark.parametrize("where", ["handler", "run", "setup", "main"])
def test_an_exception_is_told_with_its_traceback_and_in_the_exit_status(tmp_path, where):
    done = run_da(tmp_path, ENDS, where, limit_s=LIMIT_S)
    assert done.returncode == FAILURE_STATUS, done.stdout
    assert "Traceback" in done.stdout and "KeyError: 'in " in done.stdout and "ERROR" in done.stdout


def test_the_code_that_main_gives_to_exit_is_the_exit_status(tmp_path):
    assert run_da(tmp_path, ENDS, "exit", limit_s=LIMIT_S).returncode == 3
    assert run_da(tmp_path, ENDS, "exit0", limit_s=LIMIT_S).returncode == 0


def test_a_node_that_ends_does_not_look_through_all_that_it_held(tmp_path):
    program = tmp_path / "holding.da"
    program.write_text(
        "import atexit\nimport gc\n\n"
        "def main():\n"
        "    held = [[n] for n in range(1000)]\n"
        "    atexit.register(lambda: print('left out of the last collections:', gc.get_freeze_count() > len(held)))\n"
    )
    done = run_da(tmp_path, program)
    assert "left out of the last collections: True" in done.stdout


def test_a_child_that_is_killed_is_told_and_waited_for_no_longer(tmp_path):
    done = run_da(tmp_path, ENDS, "killed", limit_s=LIMIT_S)
    assert done.returncode == FAILURE_STATUS, done.stdout
    assert "was ended by SIGKILL" in done.stdout


def test_a_child_that_dies_before_it_has_answered_is_told_and_waited_for_no_longer(tmp_path):
    done = run_da(tmp_path, ENDS, "unborn", limit_s=LIMIT_S)
    assert done.returncode == FAILURE_STATUS, done.stdout
    assert "main ends" in done.stdout
    assert done.stdout.count("was ended by SIGKILL") == 2, done.stdout


def test_a_child_that_never_says_that_it_is_there_is_named_and_waited_for_no_longer(tmp_path):
    done = run_da(tmp_path, ENDS, "stopped", limit_s=LIMIT_S)
    assert done.returncode == FAILURE_STATUS, done.stdout
    assert re.search(r"new: no answer within 1 s from <Stopped:\w+>", done.stdout), done.stdout


def test_a_child_that_takes_long_to_set_up_is_named_and_waited_for(tmp_path):
    done = run_da(tmp_path, ENDS, "slow", limit_s=LIMIT_S)
    assert done.returncode == 0, done.stdout
    assert re.search(r"No answer \(SetupAck\) within 1 s from <Slow:\w+>; it is waited for", done.stdout), done.stdout


def test_a_child_that_stands_still_before_it_is_set_up_is_given_up_and_the_others_go_on(tmp_path):
    done = run_da(tmp_path, ENDS, "deaf", limit_s=LIMIT_S)
    assert re.search(r"<Deaf:\w+> has not answered for 1 s, and is given up \(SetupAck\)", done.stdout), done.stdout
    assert "main goes on" in done.stdout and "main ends" in done.stdout


@pytest.mark.parametrize("size", [4_096, 20_000])
def test_a_message_that_is_too_large_fails_the_run_and_names_the_option(tmp_path, size):
    done = run_da(tmp_path, "--message-buffer-size", size, ENDS, "big", limit_s=LIMIT_S)
    assert done.returncode == FAILURE_STATUS
    assert f"--message-buffer-size is {size} here" in done.stdout


def test_messages_may_be_large_unless_the_user_says_otherwise(tmp_path):
    assert run_da(tmp_path, ENDS, "big", limit_s=LIMIT_S).returncode == 0


def test_what_cannot_be_sent_fails_the_run_and_is_named(tmp_path):
    done = run_da(tmp_path, ENDS, "object", limit_s=LIMIT_S)
    assert done.returncode == FAILURE_STATUS
    assert "cannot send a builtins.object" in done.stdout


def is_running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def all_end(pids):
    deadline_s = time.monotonic() + LIMIT_S
    while any(map(is_running, pids)) and time.monotonic() < deadline_s:
        time.sleep(0.05)
    return not any(map(is_running, pids))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_a_signal_to_the_node_ends_its_children(start, number):
    node = start(ENDS, "wait")
    children = [int(node.await_line(r"child (\d+)")) for _ in range(2)]
    os.kill(node.process.pid, number)
    status = node.process.wait(LIMIT_S)
    assert status == (-number if number == signal.SIGKILL else 128 + number)
    assert all_end(children)


def test_a_node_alone_does_not_wait_for_itself(tmp_path):
    done = run_da(tmp_path, "-n", "alone", "-H", "localhost", "--default-master-port", free_port(), MEETING, HOME=str(tmp_path))
    assert done.returncode == 0, done.stdout
    assert "is this node itself" in done.stdout
    cookie = tmp_path / ".da.cookie"
    assert stat.S_IMODE(cookie.stat().st_mode) == 0o600 and len(cookie.read_bytes()) == 64


def test_a_cookie_that_others_can_read_is_told(tmp_path):
    cookie = tmp_path / ".da.cookie"
    cookie.write_text("secret")
    cookie.chmod(0o644)
    done = run_da(tmp_path, "-n", "a", "-H", "localhost", "--default-master-port", free_port(), MEETING, HOME=str(tmp_path))
    assert done.returncode == 0 and f"{cookie}: chmod 600" in done.stdout


def test_a_cookie_on_the_command_line_is_warned_about(tmp_path):
    done = run_da(tmp_path, "-n", "a", "-M", "-H", "localhost", "-p", free_port(), "--cookie", "secret", MEETING, HOME=str(tmp_path))
    assert done.returncode == 0 and "Everybody on this host can read --cookie" in done.stdout
    assert not (tmp_path / ".da.cookie").exists()


@pytest.mark.parametrize("cookie", ["", "--cookie="])
def test_an_empty_cookie_is_refused(tmp_path, cookie):
    (tmp_path / ".da.cookie").touch()
    done = run_da(tmp_path, "-n", "a", "-H", "localhost", *cookie.split(), MEETING, HOME=str(tmp_path))
    assert done.returncode == 1 and "cookie" in done.stdout


@pytest.mark.parametrize("address", ["::1", "[::1]:15000", "fe80::1%eth0", "2001:db8::1"])
@pytest.mark.parametrize("option", ["-H", "-R"])
def test_there_is_no_ipv6_and_who_asks_for_it_is_told(tmp_path, option, address):
    done = run_da(tmp_path, "-n", "a", option, address, MEETING, HOME=str(tmp_path), limit_s=LIMIT_S)
    assert done.returncode == 10
    assert f"{option} {address}: there is no IPv6 here; give an IPv4 address" in done.stdout
    assert "Traceback" not in done.stdout


@pytest.mark.parametrize("peer", ["a:b", "localhost:0", "localhost:70000", "localhost:", "no.such.host.invalid"])
def test_a_peer_that_is_no_address_is_told_in_one_line(tmp_path, peer):
    done = run_da(tmp_path, "-n", "a", "-H", "localhost", "-R", peer, MEETING, HOME=str(tmp_path), limit_s=LIMIT_S)
    assert done.returncode == 10 and f"-R {peer}: " in done.stdout and "Traceback" not in done.stdout


def test_a_port_that_is_taken_is_an_error(start, tmp_path):
    port = free_port()
    start("-n", "first", "-M", "-H", "localhost", "-p", port, "-D", MEETING).await_line("Running")
    done = run_da(tmp_path, "-n", "second", "-M", "-H", "localhost", "-p", port, MEETING, HOME=str(tmp_path))
    assert done.returncode == 5 and f"cannot listen at 127.0.0.1:{port}" in done.stdout


@pytest.mark.parametrize("first", [("a", "b"), ("a", "onode"), ("onode", "b"), ("b", "a", "onode")])
def test_nodes_started_in_any_order_all_know_each_other(start, first):
    """Each on the default port if it is free; `first` start one after another, the others at once."""
    master = ("-H", "localhost", "--default-master-port", free_port())
    names = ["a", "b", "onode"]
    nodes = {}
    for name in [*first, *(each for each in names if each not in first)]:
        nodes[name] = start("-n", name, *master, MEETING, *(each for each in names if each != name))
        if name in first:
            nodes[name].await_line("Running iteration")
    for name, node in nodes.items():
        assert node.end() == 0, node.output
        assert node.output.count("knows") == 2, (name, node.output)


def test_a_node_whose_peer_comes_later_joins_it_then(start):
    port = free_port()
    early = start("-n", "early", "-H", "127.0.0.2", "-p", 0, "-R", f"127.0.0.1:{port}", MEETING, "late")
    early.await_line("it will be tried again")
    late = start("-n", "late", "-H", "127.0.0.1", "-M", "-p", port, MEETING, "early")
    assert early.end() == 0 and late.end() == 0, early.output + late.output


def test_a_second_run_with_the_same_node_name_stays_to_itself(start):
    master = ("-H", "localhost", "--default-master-port", free_port())
    first = start("-n", "onode", *master, MEETING, "friend")
    first.await_line("Running iteration")
    second = start("-n", "onode", *master, MEETING)
    assert second.end() == 0, second.output
    assert "another node is called onode" in second.output
    friend = start("-n", "friend", *master, MEETING, "onode")
    assert friend.end() == 0 and first.end() == 0


def test_the_debug_log_tells_no_argument_of_setup(tmp_path):
    program = tmp_path / "secretive.da"
    program.write_text(
        "class Keeper(process):\n"
        "    def setup(secret, fails):\n"
        "        if fails:\n"
        "            raise ValueError('for a test')\n"
        "    def run():\n"
        "        output('kept')\n"
        "def main():\n"
        "    keepers = list(new(Keeper, num=2))\n"
        "    for (index, keeper) in enumerate(keepers):\n"
        "        setup(keeper, ('a ' + 'secret', index == 1))\n"
        "    start(keepers)\n"
    )
    done = run_da(tmp_path, "-L", "debug", "-H", "localhost", program)
    assert "Running `setup` with args" in done.stdout and "<2 arguments>" in done.stdout
    assert "kept" in done.stdout and "ValueError('for a test')" in done.stdout
    assert "a secret" not in done.stdout

"""However a command ends, it says so in a line, returns, and leaves nothing behind."""

import contextlib
import io
import os
import re
import resource
import signal
import subprocess
import sys

import psutil
import pytest
from checkout import LIMIT_S, PROJECT

from bcr_run import allowances, launch, output, scratch
from bcr_run import supervision as supervising
from bcr_run.output import Terminal
from bcr_run.progress import Progress
from bcr_run.run_folder import write_whole
from bcr_tools import run

SCENARIO = "t = 1\nnum_client = 1\nworkload[0] = put('é','✓'); get('é')\n"


@pytest.fixture
def scenario(tmp_path):
    file = tmp_path / "naïve.config"
    file.write_text(SCENARIO)
    return file


@pytest.fixture
def environment(tmp_path, monkeypatch):
    """A home that cannot be written to, a temporary folder of our own, and the scenario's logs there too."""
    (tmp_path / "tmp").mkdir()
    return {**os.environ, "HOME": "/nonexistent", "TMPDIR": str(tmp_path / "tmp")}


def command(*arguments):
    return [sys.executable, "-P", "-m", "bcr_tools.cli", *map(str, arguments)]


def said(done):
    """The lines on standard error."""
    return done.stderr.splitlines()


def bcr(*arguments, environment, **options):
    options = {"capture_output": True, "text": True} | options
    if "stdout" in options:
        options |= {"capture_output": False, "stderr": subprocess.PIPE}
    return subprocess.run(command(*arguments), env=environment, timeout=LIMIT_S, check=False, **options)


def test_a_run_needs_no_home_and_no_cookie_file(scenario, environment, tmp_path):
    done = bcr("run", scenario, "--log-folder", tmp_path, environment=environment)
    assert (done.returncode, said(done)) == (0, [])
    home = tmp_path / "home"
    home.mkdir()
    assert bcr("run", scenario, "--log-folder", tmp_path, environment={**environment, "HOME": str(home)}).returncode == 0
    assert not list(home.iterdir())


def test_of_a_crash_that_was_asked_for_nothing_is_said_but_that_it_struck(environment, tmp_path):
    file = tmp_path / "crash.config"
    file.write_text(SCENARIO + "failures[0,1] = client_request(0,0), crash()\n")
    done = bcr("run", file, "--log-folder", tmp_path, environment=environment)
    assert (done.returncode, said(done)) == (0, [])


def test_a_run_whose_reader_has_gone_away_comes_to_its_end(scenario, environment, tmp_path):
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = bcr("run", scenario, "--log-folder", tmp_path, environment=environment, stdout=writing)
    finally:
        os.close(writing)
    assert (done.returncode, said(done)) == (0, [])


@pytest.mark.parametrize("arguments", [["check", "SCENARIO"], ["--help"], ["sim", "SCENARIO"]])
def test_another_command_whose_reader_has_gone_away_ends_without_a_word(arguments, scenario, environment):
    reading, writing = os.pipe()
    os.close(reading)
    try:
        arguments = [scenario if each == "SCENARIO" else each for each in arguments]
        done = bcr(*arguments, environment=environment, stdout=writing)
    finally:
        os.close(writing)
    assert said(done) == []


@pytest.mark.parametrize("arguments", [["run", "SCENARIO"], ["check", "SCENARIO"], ["--help"], ["sim", "SCENARIO"]])
def test_a_full_output_is_told_and_is_no_success(arguments, scenario, environment, tmp_path):
    arguments = [scenario if each == "SCENARIO" else each for each in arguments]
    if arguments[0] == "run":
        arguments += ["--log-folder", tmp_path]
    with open("/dev/full", "w") as full:
        done = bcr(*arguments, environment=environment, stdout=full)
    assert done.returncode == 2
    assert "cannot be written: No space left on device" in said(done)[0]
    assert "Traceback" not in done.stderr


def test_an_output_that_lacks_a_letter_shows_its_escape(scenario, environment, tmp_path):
    scenario.write_text("test_case_name = naïve\n" + SCENARIO)
    for arguments in (["run", scenario, "--log-folder", tmp_path], ["sim", scenario], ["check", scenario]):
        done = bcr(*arguments, environment={**environment, "PYTHONIOENCODING": "ascii"})
        assert (done.returncode, said(done)) == (0, [])
        assert r"na\xefve" in done.stdout


def test_a_current_directory_that_is_gone_hinders_only_what_is_looked_for_there(scenario, environment, tmp_path):
    def bcr_from_nowhere(*arguments):
        gone = tmp_path / "gone"
        gone.mkdir()
        line = 'rmdir "$PWD"; exec "$@"'
        return subprocess.run(
            ["sh", "-c", line, "sh", *command(*arguments)], cwd=gone, env=environment, capture_output=True, text=True,
            timeout=LIMIT_S, check=False,
        )  # fmt: skip

    done = bcr_from_nowhere("run", scenario, "--log-folder", tmp_path)
    assert (done.returncode, said(done)) == (0, [])
    assert bcr_from_nowhere("check", "first_run.config").returncode == 0
    done = bcr_from_nowhere("run", "nosuch.config")
    assert said(done) == [f"bcr run: no scenario file nosuch.config (looked in {PROJECT}, {PROJECT / 'config'})"]
    done = bcr_from_nowhere("run", scenario, "--log-folder", "here")
    assert said(done) == ["bcr run: the current directory is gone: No such file or directory"]


def test_a_folder_whose_name_is_no_text_is_refused(scenario, environment, tmp_path):
    done = bcr("run", scenario, "--log-folder", os.fsdecode(bytes(tmp_path) + b"/\xff"), environment=environment)
    assert done.returncode == 2
    [line] = said(done)
    assert line.startswith("the folder of the logs has a name that is not UTF-8: ")


# -- what is not there, or not allowed


def limited(which, most):
    return {"preexec_fn": lambda: resource.setrlimit(which, (most, most))}


def closed(*descriptors):
    return {"preexec_fn": lambda: [os.close(each) for each in descriptors]}


MEMORY = "a process of a run needs 224 MiB of address space, and {} MiB are allowed: raise it with ulimit -v 229376"
PLAIN = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


@pytest.mark.parametrize(
    ("name", "hindrance", "status", "line"),
    [
        ("run", limited(resource.RLIMIT_AS, 60_000 << 10), 2, "bcr run: " + MEMORY.format(58)),
        ("sim", limited(resource.RLIMIT_AS, 60_000 << 10), 2, "bcr sim: " + MEMORY.format(58)),
        ("check", limited(resource.RLIMIT_AS, 30 << 20), 2, "bcr: needs 48 MiB of address space: raise it with ulimit -v 49152"),
        ("check", limited(resource.RLIMIT_AS, 60_000 << 10), 0, None),
        ("run", limited(resource.RLIMIT_FSIZE, 0), 2, "bcr run: No usable temporary directory found in "),
        ("run", limited(resource.RLIMIT_STACK, 64 << 10), 2, "bcr run: own.config: no result; RunSystem.da was ended by SIGSEGV"),
        ("run", closed(0, 1), 0, None),
        ("check", closed(0, 1, 2), 0, None),
        ("check", {"env": PLAIN}, 0, None),
        ("run", {"env": {"TMPDIR": "/nonexistent"} | PLAIN}, 0, None),
        ("run", {"cwd": "/proc"}, 0, None),
    ],
    ids=["memory", "memory to simulate", "memory to load", "less memory", "size of files", "stack", "no input and output", "no descriptors",
         "no locale", "no environment", "a folder that nobody writes to"],
)  # fmt: skip
def test_what_is_not_allowed_or_not_there_is_told_in_a_line_or_does_not_matter(name, hindrance, status, line, tmp_path):
    (tmp_path / "own.config").write_text(SCENARIO)
    arguments = [name, tmp_path / "own.config", *(["--log-folder", tmp_path] if name == "run" else [])]
    hindrance = {"env": dict(os.environ), "cwd": tmp_path} | hindrance
    done = subprocess.run(
        command(*arguments), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        timeout=LIMIT_S, check=False, **hindrance,
    )  # fmt: skip
    told = said(done)
    assert done.returncode == status
    assert len(told) == (line is not None)
    assert line is None or told[0].startswith(line)


@pytest.mark.parametrize(("allowed", "others", "is_enough"), [(-1, 1_000, True), (100, 58, True), (100, 59, False)])
def test_a_run_is_refused_before_where_too_few_processes_are_allowed(monkeypatch, allowed, others, is_enough):
    limits = {resource.RLIMIT_AS: (-1, -1), resource.RLIMIT_NPROC: (allowed, allowed)}
    monkeypatch.setattr(allowances.resource, "getrlimit", limits.get)
    monkeypatch.setattr(allowances.os, "getuid", lambda: 1_000)
    monkeypatch.setattr(allowances, "tasks_of", lambda _user: others)
    if is_enough:
        allowances.demand_for_runs()
        return
    with pytest.raises(allowances.TooLittle, match="of 100 that are allowed you have 59: raise it with ulimit -u 101"):
        allowances.demand_for_runs()


def test_processes_and_threads_of_a_user_are_counted():
    before = allowances.tasks_of(os.getuid())
    assert before >= psutil.Process().num_threads()
    assert allowances.tasks_of((1 << 31) + 5) == 0


# -- few file descriptors


@pytest.fixture
def fifty_clients(tmp_path):
    file = tmp_path / "fifty.config"
    file.write_text("t = 1\nnum_client = 50\n" + "".join(f"workload[{k}] = get('k')\n" for k in range(50)))
    return file


def limits(soft, hard):
    return lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_run_that_needs_more_open_files_than_are_allowed_is_refused_before(fifty_clients, environment, tmp_path):
    arguments = ("run", fifty_clients, "--log-folder", tmp_path)
    done = bcr(*arguments, environment=environment, preexec_fn=limits(64, 64))
    assert done.returncode == 2
    assert said(done) == ["50 clients and 3 replicas need 285 open files a process, and 64 are allowed: raise it with ulimit -n 285"]


def test_the_number_of_open_files_is_raised_where_that_is_allowed(monkeypatch):
    raised = []
    monkeypatch.setattr(launch.resource, "getrlimit", lambda _: (64, 4_096))
    monkeypatch.setattr(launch.resource, "setrlimit", lambda _, both: raised.append(both))
    scenario, _ = launch.read_scenario(PROJECT / "config" / "t3_clients20.config")
    launch._allow_descriptors(scenario)
    assert raised == [(launch.descriptors_of(scenario), 4_096)]


# -- what stands still


def stand_in(monkeypatch, program):
    def command_for(_file, _options, result_file):
        return [sys.executable, "-c", f"result_file = {str(result_file)!r}\n{program}"]

    monkeypatch.setattr(run, "command_for", command_for)


RESULT = {"verdict": "pass"}
PASSED = f"import json, signal, sys; open(result_file, 'w').write(json.dumps({RESULT}));"


def test_a_run_that_has_its_verdict_and_does_not_end_is_ended(monkeypatch, capfd):
    monkeypatch.setattr(supervising, "OVER_LIMIT_S", 0.1)
    stand_in(monkeypatch, f"{PASSED} signal.raise_signal(signal.SIGSTOP)")
    assert run.main(["first_run.config"]) == 2
    told = capfd.readouterr().err
    assert re.search(r"did not end within 0.1 s of its verdict, and was ended: process \d+ \(stopped\)\n", told)
    assert "exit status 2 although the verdict is pass" in told


@pytest.mark.parametrize(
    ("status", "why"),
    [(2, "what it had to write could not be written"), (70, "one of its processes met an error"), (5, "ended with status 5")],
)
def test_a_pass_that_does_not_count_says_why(monkeypatch, capfd, status, why):
    stand_in(monkeypatch, f"{PASSED} sys.exit({status})")
    assert run.main(["first_run.config"]) == 2
    told = capfd.readouterr().err
    assert "first_run.config: exit status 2 although the verdict is pass: " in told
    assert why in told


def test_the_status_of_an_error_is_the_one_of_the_layer_below():
    from dacurrent.lifetime import FAILURE_STATUS

    assert "met an error" in run.REASONS[FAILURE_STATUS]


def test_an_interrupt_while_the_command_line_loads_says_nothing(environment, tmp_path):
    (tmp_path / "psutil.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n")
    done = bcr("--version", environment={**environment, "PYTHONPATH": str(tmp_path)})
    assert (done.returncode, done.stdout, said(done)) == (-signal.SIGINT, "", [])


# -- temporary folders


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    monkeypatch.setattr(scratch.tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_a_temporary_folder_is_gone_behind_its_use(temporary):
    with scratch.scratch_folder() as folder:
        assert list(temporary.iterdir()) == [folder]
    assert not list(temporary.iterdir())


def test_a_folder_whose_command_was_killed_goes_when_the_next_one_starts(temporary):
    program = "import os, signal\nfrom bcr_run.scratch import scratch_folder\nwith scratch_folder(): os.kill(os.getpid(), 9)"
    subprocess.run([sys.executable, "-c", program], env={**os.environ, "TMPDIR": str(temporary)}, check=False)
    [left] = temporary.iterdir()
    with scratch.scratch_folder() as folder:
        assert list(temporary.iterdir()) == [folder]
    assert left != folder


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_while_python_tries_out_the_temporary_folder_leaves_nothing_in_it(tmp_path, number):
    program = (
        "import os, sys\n"
        "from bcr_run.scratch import scratch_folder\n"
        "stock, os.close = os.close, lambda file: (stock(file), os.kill(os.getpid(), int(sys.argv[1])))\n"
        "with scratch_folder(): pass\n"
    )
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", program, str(int(number))], env=environment, timeout=LIMIT_S, check=False)
    assert (done.returncode, list(tmp_path.iterdir())) == (128 + number, [])


def test_a_folder_in_use_and_what_is_not_ours_stay(temporary):
    kept = temporary / f"{scratch.PREFIX}link"
    (temporary / "elsewhere").mkdir()
    (temporary / "elsewhere" / scratch.LOCK).touch()
    kept.symlink_to(temporary / "elsewhere")
    with scratch.scratch_folder() as one, scratch.scratch_folder():
        assert one.is_dir()
    assert kept.is_dir()


# -- interrupts


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_hunt_leaves_no_process_and_no_temporary_folder(environment, tmp_path, number):
    started = subprocess.Popen(
        command("hunt", "--count", "1000000", "--jobs", "2", "--output", tmp_path / "hunt"), env=environment,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    family = set()
    while len(family) < 4:  # the command, what keeps the resources of its workers, and two of these
        family |= set(psutil.Process(started.pid).children(recursive=True))
    started.send_signal(number)
    started.communicate(timeout=LIMIT_S)  # to the end of what they all write
    assert started.returncode == (-number if number == signal.SIGKILL else 128 + number)
    assert not psutil.wait_procs([each for each in family if supervising._is_alive(each)], timeout=LIMIT_S)[1]
    if number != signal.SIGKILL:  # else the next start sees to it
        assert not list((tmp_path / "tmp").iterdir())


def test_workers_of_a_hunt_end_where_all_that_made_them_is_killed_at_once(environment, tmp_path):
    started = subprocess.Popen(
        command("hunt", "--count", "1000000", "--jobs", "2", "--output", tmp_path / "hunt"), env=environment,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    hunt = psutil.Process(started.pid)
    workers, makers = [], []
    while len(workers) < 2:
        with contextlib.suppress(psutil.NoSuchProcess):  # on the way to what stays, some are there for a moment
            family = [hunt, *hunt.children(recursive=True)]
            workers = [each for each in family if "spawn_main" in " ".join(each.cmdline())]
            makers = [each for each in family if each not in workers]
    for act in (psutil.Process.suspend, psutil.Process.kill):  # so that none of them sees another go
        for each in makers:
            with contextlib.suppress(psutil.NoSuchProcess):
                act(each)
    started.wait()
    assert not psutil.wait_procs([each for each in workers if supervising._is_alive(each)], timeout=LIMIT_S)[1]


def test_progress_hides_no_cursor_that_nobody_would_show_again(monkeypatch):
    shown = io.StringIO()
    progress = Progress("name", 10)
    progress._console = Terminal(file=shown, force_terminal=True, width=80)
    progress.show(3)
    progress.finish()
    assert "name" in shown.getvalue()
    assert "\x1b[?25l" not in shown.getvalue()


def test_output_that_is_closed_needs_no_end(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    assert output.flushed(0) == 0


@pytest.mark.parametrize(("stream", "say"), [("stdout", output.tell), ("stderr", output.complain)])
def test_what_a_command_that_goes_on_says_goes_nowhere_once_it_cannot_be_written(monkeypatch, stream, say):
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "w") as unread:
        monkeypatch.setattr(sys, stream, unread)
        say("what nobody reads")
        say("nor this")
        assert os.readlink(f"/proc/self/fd/{writing}") == os.devnull
        unread.flush()


def test_an_output_that_is_full_is_told_once_by_a_command_that_goes_on(monkeypatch, capsys):
    with open("/dev/full", "w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        output.tell("what nobody reads")
        output.tell("nor this")
    assert capsys.readouterr().err == "bcr: standard output cannot be written: No space left on device\n"


def test_progress_that_cannot_be_shown_hinders_no_run(monkeypatch):
    with open("/dev/full", "w") as full:
        monkeypatch.setattr(sys, "stderr", full)
        progress = Progress("name", 10)
        progress.wait_for(["a node"])
        progress._due_s = 0
        progress.show(3)
        progress.finish()


def test_where_standard_error_is_closed_nothing_is_said_on_standard_output(monkeypatch, capsys):
    monkeypatch.setattr(sys, "stderr", None)
    output.complain("what nobody hears")
    assert capsys.readouterr().out == ""


def test_of_two_who_write_one_file_at_once_both_succeed(tmp_path, monkeypatch):
    replace = os.replace
    file = tmp_path / "index.html"

    def replace_behind_another(draft, path):
        monkeypatch.setattr(os, "replace", replace)
        assert write_whole(b"of the other", file) == []
        replace(draft, path)

    monkeypatch.setattr(os, "replace", replace_behind_another)
    assert write_whole(b"of the one", file) == []
    assert file.read_bytes() == b"of the one"
    assert [each.name for each in tmp_path.iterdir()] == ["index.html"]


# -- a full disk


def test_a_full_disk_ends_the_run_within_seconds_and_is_told_by_whom_it_met(environment, tmp_path):
    file = tmp_path / "long.config"
    file.write_text("t = 1\nnum_client = 2\nworkload[0] = pseudorandom(1,100000)\nworkload[1] = pseudorandom(2,100000)\n")

    def little_room():
        resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))

    done = bcr("run", file, "--log-folder", tmp_path / "logs", environment=environment, preexec_fn=little_room)
    assert done.returncode == 2
    [reason] = [line for line in done.stdout.splitlines() if "cannot be written" in line]
    assert re.fullmatch(r"  (client_\d|replica_\d of 0|olympus): .*(long-|a file in).* cannot be written: File too large", reason)
    assert "verdict: unknown" in done.stdout
    assert "Traceback" not in done.stderr + done.stdout
    [folder] = (tmp_path / "logs").iterdir()
    assert (folder / "result.json").stat().st_size
    assert not [each for each in folder.iterdir() if each.name.startswith(".") or not each.stat().st_size]


@pytest.mark.parametrize("name", ["record.msgpack", "result.json"])
def test_what_a_run_leaves_is_for_its_owner_alone(scenario, environment, tmp_path, name):
    assert bcr("run", scenario, "--log-folder", tmp_path / "logs", environment=environment).returncode == 0
    [folder] = (tmp_path / "logs").iterdir()
    assert (folder / name).stat().st_mode & 0o777 == 0o600

"""A service on disks: whatever of it is killed, what callers were told is there when it has begun again."""

import contextlib
import json
import os
import signal
import subprocess
import threading
import time

import psutil
import pytest
from polling import until_within
from serving import bcr, command, served

FILE = """t = 1
durable = on
gateway[0] = 127.0.0.1:0
client_timeout = 1000
head_timeout = 1000
nonhead_timeout = 1000
"""
LIMIT_S = 60
until = until_within(LIMIT_S)


def on_disk(folder, name, *arguments):
    """A service of its own folder `name`, with the disks in `data`, which others may use after it."""
    (folder / name).mkdir()
    return served(folder / name, "--data", folder / "data", *arguments, text=FILE)


def everybody(running):
    """All processes of the service, as they are now."""
    parent = psutil.Process(running.process.pid)
    return [*parent.children(recursive=True), parent]


def kill_everybody(running):
    processes = everybody(running)
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGSTOP)  # so that nobody sees another go: as when the power fails
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(processes, LIMIT_S)


def status(running):
    return json.loads(running.ask("GET", "/admin/status", headers={"accept": "application/json"})[2])


def replicas_of(running):
    """The process ids of the replicas, once all have said which they are and take requests."""

    def active():
        chain = status(running).get("chain", [])
        return [each["pid"] for each in chain] if all(each["pid"] and each["mode"] == "active" for each in chain) else []

    return until(active)


def made_by_olympus(running, start_up):
    """The process ids of Olympus and of the replicas that serve, once these are its own: while it is away they are children of the start-up."""

    def family():
        replicas = replicas_of(running)
        with contextlib.suppress(psutil.NoSuchProcess):  # the status named one that has ended meanwhile
            parents = {psutil.Process(pid).ppid() for pid in replicas}
            if start_up not in parents:
                [olympus] = parents
                return olympus, replicas
        return None

    return until(family)


class Writer(threading.Thread):
    """Appends one token after the other, and keeps what it was told of each."""

    def __init__(self, running, number, goes_on):
        super().__init__()
        self.running, self.number, self.goes_on = running, number, goes_on
        self.told = {}  # token -> True: written, False: nothing happened, None: nobody knows

    def run(self):
        while self.goes_on():
            token = f"{self.number}.{len(self.told)}"
            self.told[token] = None
            body = json.dumps({"type": "APPEND", "value": token}).encode()
            try:
                answered, _, told = self.running.ask("POST", f"/keys/tokens{self.number}", body)
            except OSError:  # the gateway was killed meanwhile
                return
            if answered == 204:
                self.told[token] = True
            elif json.loads(told)["definite"]:
                self.told[token] = False


def backed_up_under_load(running, folder, count, least):
    """Back a service up while so many writers write, each of which had been told of so many tokens before; the writers, the tokens that
    each knew to be written then, and the command that has ended."""
    is_over = threading.Event()
    writers = [Writer(running, number, lambda: not is_over.is_set()) for number in range(count)]
    for writer in writers:
        writer.start()
    try:
        while min(len(writer.told) for writer in writers) < least:
            assert running.process.poll() is None
        told = [[token for token, is_written in [*writer.told.items()] if is_written] for writer in writers]
        done = bcr("backup", folder / "backup", folder / "data")
    finally:
        is_over.set()
        for writer in writers:
            writer.join()
    assert (done.returncode, done.stderr) == (0, "")
    return writers, told, done


def demand_for_its_owner_and_in_nobodys_place(folder):
    """The folder's backup can be read by its owner alone, is not overwritten, and is not restored over disks that are there."""
    assert (folder / "backup").stat().st_mode & 0o777 == 0o600
    done = bcr("backup", folder / "backup", folder / "data")
    assert (done.returncode, done.stdout) == (2, "")
    assert "File exists" in done.stderr
    done = bcr("restore", folder / "backup", folder / "data")
    assert (done.returncode, done.stdout) == (2, "")
    assert "has disks already" in done.stderr


def demand_kept(running, writers):
    """What each was told is true: written once, or not at all; the order is the writer's."""
    for writer in writers:
        answered, _, body = running.ask("GET", f"/keys/tokens{writer.number}")
        kept = json.loads(body) if answered == 200 else []
        assert [token for token, told in writer.told.items() if told] == [token for token in kept if writer.told[token]]
        assert len(set(kept)) == len(kept)
        assert not [token for token in kept if writer.told[token] is False]
    assert any(told for writer in writers for told in writer.told.values())


def test_when_everything_is_killed_under_load_the_next_service_has_what_callers_were_told(tmp_path):
    with on_disk(tmp_path, "first") as running:
        key = json.loads(running.ask("GET", "/configuration")[2])["olympus_key"]
        writers = [Writer(running, number, lambda: True) for number in range(3)]
        for writer in writers:
            writer.start()
        deadline_s = time.monotonic() + LIMIT_S
        while sum(len(writer.told) for writer in writers) < 30:
            assert time.monotonic() < deadline_s
            time.sleep(0.01)
        kill_everybody(running)
        for writer in writers:
            writer.join(LIMIT_S)
    with on_disk(tmp_path, "second") as running:
        assert json.loads(running.ask("GET", "/configuration")[2])["olympus_key"] == key
        demand_kept(running, writers)
        assert running.ask("PUT", "/keys/after", b"1")[0] == 204
        assert (status(running)["durable"], status(running)["configuration"] > 0) == (True, True)
        second = subprocess.run(
            command(tmp_path / "second" / "own.config", "--data", tmp_path / "data"),
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
        assert (second.returncode, second.stdout) == (2, "")
        assert "in use by bcr serve" in second.stderr
    with on_disk(tmp_path, "third") as running:  # the one before was asked to end
        demand_kept(running, writers)
        assert running.ask("GET", "/keys/after")[2] == b"1"


def test_replicas_and_olympus_are_killed_one_and_all_and_nothing_is_lost(tmp_path):
    is_over = threading.Event()
    with on_disk(tmp_path, "one") as running:
        start_up = psutil.Process(replicas_of(running)[0]).parent().ppid()
        writers = [Writer(running, number, lambda: not is_over.is_set()) for number in range(2)]
        for writer in writers:
            writer.start()
        try:
            for whom in ("head", "all", "olympus", "everybody"):
                # Where Olympus was killed, the call before was perhaps answered before it was there again.
                olympus, replicas = made_by_olympus(running, start_up)
                victims = {"head": replicas[:1], "all": replicas, "olympus": [olympus], "everybody": [olympus, *replicas]}[whom]
                for pid in victims:
                    os.kill(pid, signal.SIGKILL)
                assert running.ask("PUT", f"/keys/{whom}?timeout_ms=60000", b"true")[0] == 204
        finally:
            is_over.set()
            for writer in writers:
                writer.join(LIMIT_S)
        demand_kept(running, writers)
        assert [running.ask("GET", f"/keys/{whom}")[2] for whom in ("head", "all", "olympus", "everybody")] == [b"true"] * 4
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(LIMIT_S) == 0


def test_the_laboratory_cuts_the_power_of_all_and_they_come_back(tmp_path):
    with on_disk(tmp_path, "lab", "--lab") as running:
        assert running.ask("PUT", "/keys/a", b"1")[0] == 204
        before = replicas_of(running)
        assert running.ask("POST", "/lab/power_cut")[0] == 202
        assert running.ask("PUT", "/keys/b?timeout_ms=60000", b"2")[0] == 204
        assert [running.ask("GET", f"/keys/{key}")[2] for key in "ab"] == [b"1", b"2"]
        assert not {*before} & {*replicas_of(running)}
        assert [each["name"] for each in running.events() if each["kind"] == "revived"] == ["olympus"]


def refusal(folder, text, *arguments):
    """Exit status, output and errors of a service that does not start."""
    (folder / "own.config").write_text(text)
    done = subprocess.run(
        command(folder / "own.config", *arguments), capture_output=True, text=True, timeout=LIMIT_S, check=False, cwd=folder
    )
    return done.returncode, done.stdout, done.stderr


def test_disks_of_another_service_are_refused_before_anything_starts(tmp_path):
    with on_disk(tmp_path, "first") as running:
        assert running.ask("PUT", "/keys/a", b"1")[0] == 204
    code, output, errors = refusal(tmp_path, FILE.replace("t = 1", "t = 2"), "--data", tmp_path / "data")
    assert (code, output) == (2, "")
    assert "is of a service with" in errors
    assert "Traceback" not in errors


@pytest.mark.parametrize(
    ("text", "arguments", "what"),
    [
        (FILE.replace("on\n", "off\n", 1), ["--data", "data"], "durable = off"),
        (FILE.replace("on\n", "off\n", 1) + "data = here\n", [], "durable = on"),
        (FILE, ["--data", "own.config"], "cannot be used"),
    ],
)
def test_a_folder_that_makes_no_sense_is_told(tmp_path, text, arguments, what):
    code, output, errors = refusal(tmp_path, text, *arguments)
    assert (code, output) == (2, "")
    assert what in errors
    assert "Traceback" not in errors


def test_without_a_folder_that_is_named_the_disks_are_in_data(tmp_path):
    with served(tmp_path, text=FILE) as running:
        assert running.ask("PUT", "/keys/a", b"1")[0] == 204
        assert (tmp_path / "data" / "olympus.sqlite").exists()
        assert (tmp_path / "data").stat().st_mode & 0o777 == 0o700

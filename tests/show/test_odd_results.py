"""Whatever stands in result.json or in place of a file, `show` and its like tell of it in a line, and wait for nobody."""

import json
import os
import subprocess
import sys

import pytest

from bcr_show import show
from bcr_show.run_reading import NoRun, read_run
from bcr_show.serving import list_of

STRANGE = [None, -1, 10**30, 0.5, "x", [], [None], {"x": 1}]


def places(value, path=()):
    """The way to everything in a value, by keys."""
    yield path
    members = value.items() if isinstance(value, dict) else enumerate(value[:1]) if isinstance(value, list) else ()
    for key, member in members:
        yield from places(member, (*path, key))


def changed(text, path, strange):
    value = json.loads(text)
    if not path:
        return strange
    at = value
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = strange
    return value


def show_told(folder, capsys):
    status = show.main([str(folder), "--quiet"])
    return status, capsys.readouterr().err


@pytest.mark.parametrize("strange", STRANGE, ids=repr)
def test_whatever_stands_at_whatever_place_of_a_result_is_shown_or_told_in_a_line(copied, capsys, strange):
    for log in [*copied.glob("replica_*.log"), *copied.glob("client_*.log")]:  # of a short story a page is soon made
        log.unlink()
    file = copied / "result.json"
    text = file.read_text()
    shown = [path for path in places(json.loads(text)) if path[:1] not in [("results",), ("processes",), ("versions",), ("final_state",)]]
    assert len(shown) > 60
    for path in shown:
        file.write_text(json.dumps(changed(text, path, strange)))
        status, told = show_told(copied, capsys)
        assert status == 0 or (status == 2 and told.startswith(f"bcr show: {file}: not what a run leaves there: ")), (path, told)
        assert len(told.splitlines()) <= 1, path
        list_of(copied.parent)


@pytest.mark.parametrize(
    ("path", "strange", "words"),
    [
        (("reconfigurations",), 5, "Expected `array`, got `int` - at `$.reconfigurations`"),
        (("settings", "t"), "x", "Expected `int`, got `str` - at `$.settings.t`"),
        (("latency_ms",), {"p50": 1}, "Expected p50, p99 and max - at `$.latency_ms`"),
        (("faults_armed",), [{"position": 1}], "Object missing required field `fault` - at `$.faults_armed[0]`"),
        (("words_missed",), [{"who": "x"}], "Object missing required field `text` - at `$.words_missed[0]`"),
        (("faults_injected",), [{"fault": "x", "position": 1}], "Expected configuration and position, or a client - at `$.faults_injected[0]`"),
    ],
)  # fmt: skip
def test_what_is_wrong_and_where_and_what_would_be_right_is_told(copied, capsys, path, strange, words):
    file = copied / "result.json"
    file.write_text(json.dumps(changed(file.read_text(), path, strange)))
    status, told = show_told(copied, capsys)
    assert (status, len(told.splitlines())) == (2, 1)
    assert words in told and str(file) in told and "without it the logs are shown" in told


@pytest.mark.parametrize("text", ["[" * 100_000, "9" * 5_000, '{"elapsed_s": NaN}', '{"elapsed_s": Infinity}'])
def test_what_is_no_json_is_a_damaged_file(copied, capsys, text):
    (copied / "result.json").write_text(text)
    assert show_told(copied, capsys)[0] in (0, 2)


def pipe(path):
    path.unlink(missing_ok=True)
    os.mkfifo(path)


@pytest.mark.parametrize("name", ["record.msgpack", "result.json", "client_0.log", "scenario.config"])
def test_a_pipe_in_place_of_a_file_of_a_run_is_shown_as_a_damaged_one(copied, shown, name):
    pipe(copied / name)
    page = shown(copied)
    assert ("record.msgpack: a pipe, a socket or a device, and no file" in page.text) == (name == "record.msgpack")
    list_of(copied.parent)


@pytest.mark.parametrize("command", ["verify", "blame", "log"])
@pytest.mark.parametrize("is_folder", [True, False])
def test_a_pipe_in_place_of_a_record_is_told_and_not_waited_for(tmp_path, command, is_folder):
    file = tmp_path / "record.msgpack"
    pipe(file)
    done = bcr(command, tmp_path if is_folder else file)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"bcr {command}: {file}: a pipe, a socket or a device, and no file\n"


@pytest.mark.parametrize("name", ["olympus.sqlite", "replica_0-configuration_0.sqlite", "olympus.sqlite-wal", "servers"])
def test_a_pipe_among_disks_is_told_and_not_waited_for(tmp_path, name):
    (tmp_path / "olympus.sqlite").touch(mode=0o600)
    pipe(tmp_path / name)
    done = bcr("inspect", tmp_path)
    assert done.returncode == 1, done
    assert f"{tmp_path / name} is no file" in done.stdout and "Traceback" not in done.stderr


def bcr(*arguments):
    return subprocess.run(
        [sys.executable, "-P", "-m", "bcr_tools.cli", *map(str, arguments)], capture_output=True, text=True, timeout=60, check=False
    )


def test_a_record_that_a_shell_hands_over_is_read(copied):
    record = (copied / "record.msgpack").read_bytes()
    done = subprocess.run(
        [sys.executable, "-P", "-m", "bcr_tools.cli", "verify", "/dev/stdin"], input=record, capture_output=True, timeout=60, check=False
    )
    assert done.stdout.startswith(b"/dev/stdin: refused") and not done.stderr  # as the signatures of a simulated run are


def test_a_run_whose_result_is_something_else_is_no_run(copied):
    (copied / "result.json").write_text("[]")
    with pytest.raises(NoRun, match="Expected `object`, got `array`"):
        read_run(copied)

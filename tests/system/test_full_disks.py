"""A real run whose disks fill up, in a file system of their own, and have room again."""

import errno
import subprocess
from pathlib import Path

import pytest
from whole_runs import on_disk, passed, pseudorandom, scenario, start

from bcr_runtime.places import DISKS_VARIABLE

MOUNTED = 'mount -t tmpfs -o size={}m none "$0" && exec "$@"'
CHUNK = bytes(1 << 20)
REFUSED = "no room on the disks"
REQUESTS = 1_000  # at a hundred a second: a replica notices within some seconds that there is room again


@pytest.fixture
def small(tmp_path, request):
    """What a command has to be put behind to have a small file system at `data`, of so many MiB."""
    data = tmp_path / "data"
    data.mkdir()
    before = ["unshare", "-rm", "sh", "-c", MOUNTED.format(getattr(request, "param", 96)), str(data)]
    try:
        subprocess.run([*before, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no file system of one's own can be mounted here: {error}")
    return before


def fill(file):
    with open(file, "wb", buffering=0) as filler:
        while True:
            try:
                filler.write(CHUNK)
            except OSError as error:
                assert error.errno == errno.ENOSPC
                return


def fill_and_make_room(run, folder, replica):
    """While clients ask, until `replica` has room again; the run is over then."""
    run.await_line("client_0", event="accepted")
    filler = Path(f"/proc/{run.process.pid}/root{folder}/data/filler")
    fill(filler)
    run.await_line("client_0", event="rejected", why=REFUSED)
    filler.unlink()
    run.await_line(replica, event="disk_room", room="enough")
    run.status = run.finish()


def demand_refused_for_good(account):
    """Of the numbers of a client's requests: those that were rejected, in the middle, and all others were answered."""
    answered = {each.request.statement.number for each in account.exchanges}
    rejected = {each.request.statement.number for each in account.rejected}
    assert account.unanswered == ()
    assert not rejected & answered
    assert rejected | answered == set(range(REQUESTS))
    assert max(answered) > max(rejected) > min(rejected) > min(answered)
    return rejected


def test_while_the_disks_are_full_what_is_new_is_refused_for_good_and_when_there_is_room_again_it_is_done(tmp_path, small):
    text = on_disk(*pseudorandom(1, REQUESTS), data="data", client_rate=100, checkpt_interval=10, head_timeout=5_000, nonhead_timeout=5_000)
    with start(tmp_path, text, before=small) as run:
        fill_and_make_room(run, tmp_path, "replica_0-configuration_0")
    assert passed(run)
    assert run.result()["reconfigurations"] == []
    rejected = demand_refused_for_good(run.record().clients[0])
    left_out = {int(line["number"]) for line in run.log("client_0") if line.get("event") == "rejected"}
    assert rejected <= left_out  # of the others somebody had ordered it all the same, and that answer counts (specification, 4.8)


@pytest.mark.parametrize(("protocol", "small"), [("raft", 96), ("byzantine_raft", 128)], indirect=["small"])
def test_servers_of_raft_whose_disks_are_full_refuse_for_good_what_is_new_and_go_on_when_there_is_room(
    tmp_path, small, protocol, monkeypatch
):
    monkeypatch.setenv(DISKS_VARIABLE, str(tmp_path / "data"))  # not beside its logs, which would be full as well
    text = scenario(*pseudorandom(1, REQUESTS), protocol=protocol, durable="on", client_rate=100, checkpt_interval=10, client_timeout=600)
    with start(tmp_path, text, before=small) as run:
        fill_and_make_room(run, tmp_path, "replica_0")
    assert passed(run)
    demand_refused_for_good(run.record().clients[0])


def test_where_there_is_no_room_for_disks_nothing_begins(tmp_path, small):
    with start(tmp_path, on_disk("get('movie')", t=2, data="data"), before=small) as run:
        assert run.finish() == 2
    assert "MiB, and disks for t = 2 begin with 112 MiB" in run.output

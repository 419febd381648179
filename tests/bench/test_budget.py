"""The budget of an operation: the parts cover all of a profile, and a profile is all that a run took."""

import os
import sys

import pytest

from bcr_bench import bench
from bcr_bench.plans.measured import Measured
from bcr_bench.plans.plan_files import Point, read_plan
from bcr_bench.studies.budget import (
    COLUMNS,
    HEADING,
    OTHER,
    PLAN,
    BudgetError,
    Column,
    by_part,
    cpu_us,
    found_section,
    gaps,
    measure_budget,
    part_of,
    parts,
    profiled,
    role_of,
    section_of,
    with_section,
)
from bcr_runtime.places import SOURCES
from bcr_runtime.profiling import PROFILE_FOLDER

CLIENT = "Client:Client.run;sim:DistProcess._label"
REPLICA = "Replica:Replica.run;sim:DistProcess._label"
PAGE = "# Performance\n\nText.\n\n## What an operation must cost\n\nA table.\n\n## Against others\n\nMore.\n"
COLUMN = Column("crc", {"sign": 40.0, OTHER: 60.0}, 105.0)


@pytest.mark.parametrize(
    "stack, role, part",
    [
        (f"{CLIENT};Participant:Participant.sign;signing:Signed.sign;signing:Ed25519.sign", "client", "client sign"),
        (f"{REPLICA};Participant:Participant.sign;signing:Signed.sign;signing:Ed25519.sign", "replica", "sign"),
        (f"{CLIENT};proofs:Answer.check;signing:Signed.is_authentic;signing:Ed25519.is_valid", "client", "client check"),
        (f"{REPLICA};messages:Shuttle.demand_valid;signing:Ed25519.is_valid", "replica", "check"),
        (f"{REPLICA};statements:tree_over;statements:tree_over.<locals>.<listcomp>;encoding:digest", "replica", "hash"),
        (f"{REPLICA};Participant:Participant.transmit;encoding:encode_with", "replica", "encode"),
        (f"{REPLICA};events:_send_without_events.<locals>.send", "replica", "send"),
        (f"{REPLICA};signing:seal_under;signing:_keyed", "replica", "seal"),
        (f"{REPLICA};links:Links.flush;links:Links._write", "replica", "send"),
        (
            f"{REPLICA};queues:cure_common.<locals>.WaitableQueue.pop;loop:SelectorLoop._take_turn;selectors:EpollSelector.select",
            "replica",
            "wake",
        ),
        (f"{REPLICA};selectors:EpollSelector.select;transport:TcpTransport._read;handshake:Seal.is_next", "replica", "receive"),
        (f"{REPLICA};Participant:Participant.understand;encoding:decode", "replica", "decode"),
        (f"{REPLICA};events:_match_without_copies.<locals>.trigger", "replica", "match"),
        (f"{REPLICA};running:RunningState.execute;dictionary:apply", "replica", "execute"),
        (f"{REPLICA};ChainProcess:ChainProcess.reply;slots:ExecutedSlot.answer", "replica", "answer"),
        (f"{REPLICA};journal:Journal.step", "replica", "log"),
        (f"{REPLICA};checksums:ChecksumKeys.seal", "replica", "seal"),
        (f"{CLIENT};workload:Uniform._operation", "client", "workload"),
        (f"{REPLICA};Replica:Replica.settle;library:nobody.knows", "replica", "rules"),
        ("library:nobody.knows;library:at.all", "replica", OTHER),
    ],
)
def test_a_stack_belongs_to_the_innermost_of_its_functions_that_has_a_part(stack, role, part):
    assert part_of(stack, role) == part


def test_each_part_that_is_promised_is_there_once():
    names = [part.part for part in parts()]
    promised = ["client sign", "encode", "send", "wake", "receive", "decode", "match", "check", "execute", "hash", "sign", "log", "answer",
                "client check"]  # fmt: skip
    assert set(promised) <= set(names)
    assert len(names) == len(set(names))


def test_each_name_in_the_file_is_that_of_a_module_here_or_below():
    known = {path.stem for path in SOURCES.rglob("*.py")} | {path.stem for path in SOURCES.glob("*.da")}
    below = {"sim", "common", "pattern", "enum", "selectors", "threading"}  # DistAlgo's, and Python's
    assert {name.partition(":")[0] for part in parts() for name in part.of} <= known | below


def test_the_parts_come_to_the_profiles_of_who_takes_part_and_of_nobody_else():
    client, replica = {f"{CLIENT};encoding:encode_with": 2.0, CLIENT: 1.0}, {f"{REPLICA};journal:Journal.step": 4.0}
    found = by_part([client, replica, {"Olympus:Olympus.run": 100.0}])
    assert sum(found.values()) == 7.0
    assert found["encode"] == 2.0
    assert found["log"] == 4.0
    assert [role_of(each) for each in (client, replica, {})] == ["client", "replica", ""]


@pytest.mark.skipif(sys.version_info >= (3, 13), reason="Python 3.13 heeds no signals in processes that a thread has forked")
def test_the_parts_of_a_run_come_to_what_it_took():
    point = Point("budget", "crc", "bcr", read_plan(PLAN).base | COLUMNS["crc, 50 a request"] | {"operations": 200_000})
    found, measured = profiled(point)
    assert not measured.problem
    # No process is left out. How near they come the command tells (`gaps`): while other tests run it is no nearer than that.
    assert sum(found.values()) == pytest.approx(cpu_us(measured), rel=0.5)
    assert sum(us > 0 for us in found.values()) >= 12
    assert found[OTHER] == 0
    assert PROFILE_FOLDER not in os.environ


def test_a_sum_that_is_not_what_was_measured_is_told():
    assert gaps([COLUMN]) == []
    assert gaps([Column("crc", {"sign": 40.0}, 45.0)]) == ["crc: the parts come to 40.0 µs, and 45.0 were measured"]


def test_the_page_gets_the_section_behind_what_an_operation_must_cost_and_then_in_its_place():
    section = section_of([COLUMN], "2000-01-01 00:00 UTC")
    page = with_section(PAGE, section)
    assert "| sign | 40 |" in page
    assert "| sum | 100 |\n| measured | 105 |\n| sum / measured | 0.95 |" in page
    assert page.index("A table.") < page.index(HEADING) < page.index("## Against others")
    assert found_section(page) == section
    newer = section_of([COLUMN], "2001-01-01 00:00 UTC")
    assert with_section(page, newer) == with_section(PAGE, newer)
    assert found_section(PAGE) is None


@pytest.mark.parametrize(("measured_us", "status"), [(105.0, 0), (900.0, 1)])
def test_a_table_that_is_rejected_is_not_put_into_the_page(monkeypatch, tmp_path, measured_us, status):
    page = tmp_path / "docs" / "performance.md"
    page.parent.mkdir()
    page.write_text(PAGE)
    monkeypatch.setattr(bench, "PROJECT", tmp_path)
    monkeypatch.setattr(bench, "measure_budget", lambda times: [Column("crc", {"sign": 40.0, OTHER: 60.0}, measured_us)])
    assert bench.main(["budget", "--docs"]) == status
    assert (page.read_text() == PAGE) == bool(status)


def test_a_run_that_does_not_count_ends_the_command(monkeypatch, capsys):
    monkeypatch.setattr("bcr_bench.studies.budget.run_point", lambda point: Measured(problem="it ended"))
    if sys.version_info < (3, 13):
        with pytest.raises(BudgetError, match="crc: it ended"):
            measure_budget(1, ("crc",))
    assert bench.main(["budget", "--count", "1"]) == 1
    assert capsys.readouterr().err.startswith("bcr bench: ")

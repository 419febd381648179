"""`./bcr verify` and `./bcr blame`: what they print and leave, and their exit statuses."""

import msgspec
import pytest

from bcr.evidence.evidence_files import packed_record
from bcr.scenario import parse_scenario
from bcr.verdict.record import RunRecord
from bcr_sim.simulated_run import simulate
from bcr_tools import blame, verify

LIAR = """test_case_name = liar
t = 1
num_client = 1
workload[0] = put('a','b'); append('a','c'); get('a')
failures[0,1] = shuttle(0,0),ask(); wedge_request(0),truncate_history(1)
simulation = seed(5); real_signatures
"""


@pytest.fixture(scope="module")
def record():
    scenario, _ = parse_scenario(LIAR, "liar.config")
    return simulate(scenario).record


@pytest.fixture
def run(record, tmp_path):
    (tmp_path / "record.msgpack").write_bytes(packed_record(record))
    return tmp_path


def test_the_record_of_a_run_is_verified_by_whoever_knows_olympus(run, record, capsys):
    assert verify.main([str(run), "--olympus-key", record.olympus_key.hex()]) == 0
    printed = capsys.readouterr().out
    assert "proved     by Olympus: configurations 0, 1" in printed
    assert "the Olympus you mean" not in printed


def test_another_olympus_is_refused(run, capsys):
    assert verify.main([str(run), "--olympus-key", "00" * 32]) == 1
    assert "another Olympus" in capsys.readouterr().out


def test_who_is_blamed_has_a_file_that_verify_accepts(run, capsys):
    assert blame.main([str(run)]) == 0
    assert "configuration 0, replica 1 is faulty: it signed slot" in capsys.readouterr().out
    [file] = (run / "evidence").iterdir()
    assert verify.main([str(file)]) == 0
    assert "evidence that replica 1 of configuration 0 is faulty" in capsys.readouterr().out
    assert file.stat().st_size < 10_000


def test_evidence_is_written_into_the_run_and_not_where_a_link_in_it_leads(run, tmp_path_factory, capsys):
    victim = tmp_path_factory.mktemp("elsewhere") / "victim.txt"
    victim.write_text("mine")
    file = run / "evidence" / "configuration_0-replica_1.evidence"
    file.parent.mkdir()
    file.symlink_to(victim)
    assert blame.main([str(run)]) == 0
    assert victim.read_text() == "mine"
    assert verify.main([str(file)]) == 0
    file.unlink()
    file.parent.rmdir()
    file.parent.symlink_to(victim.parent)
    assert blame.main([str(run)]) == 2
    assert "evidence is a link, and where it leads is not this run's" in capsys.readouterr().err
    assert [each.name for each in victim.parent.iterdir()] == ["victim.txt"]


def test_evidence_of_another_olympus_is_refused(run, capsys):
    blame.main([str(run)])
    [file] = (run / "evidence").iterdir()
    assert verify.main([str(file), "--olympus-key", "00" * 32]) == 1
    assert "another Olympus" in capsys.readouterr().out


@pytest.mark.parametrize("command", [verify.main, blame.main])
def test_a_record_of_an_older_version_is_refused_by_its_version(run, record, command, capsys):
    (run / "record.msgpack").write_bytes(msgspec.msgpack.encode(record))
    assert command([str(run)]) == 2
    assert "a bcr record of version 1; this program reads version 3" in capsys.readouterr().err


@pytest.mark.parametrize("command", [verify.main, blame.main])
def test_a_folder_without_a_record_is_bad_input(tmp_path, command, capsys):
    assert command([str(tmp_path)]) == 2
    assert "record.msgpack: No such file" in capsys.readouterr().err


def test_a_file_of_no_kind_is_bad_input(tmp_path, capsys):
    (tmp_path / "x").write_bytes(b"hello")
    assert verify.main([str(tmp_path / "x")]) == 2
    assert "neither a record nor a file of evidence" in capsys.readouterr().err


def test_where_codes_could_have_been_made_by_others_nobody_is_convicted(tmp_path, capsys):
    (tmp_path / "record.msgpack").write_bytes(packed_record(RunRecord(b"", (), (), (), authentication="hmac")))
    assert blame.main([str(tmp_path)]) == 0
    assert "Nobody can be convicted under hmac: whoever" in capsys.readouterr().out


def test_of_several_files_a_refusal_decides(run, record):
    (run / "x").write_bytes(b"hello")
    assert verify.main([str(run / "x"), str(run), "--olympus-key", "00" * 32]) == 1
    assert verify.main([str(run / "x"), str(run)]) == 2

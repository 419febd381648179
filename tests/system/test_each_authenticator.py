"""Whole runs with each authenticator, through the plain command."""

import pytest
from msgspec.structs import replace
from whole_runs import passed, perform, pseudorandom, scenario

from bcr.scenario import parse_scenario
from bcr.signed.authentication import KINDS, sizes
from bcr.verdict.judge import judge


@pytest.mark.parametrize("authentication", KINDS)
@pytest.mark.parametrize("t", [1, 2])
def test_a_chain_of_the_length_that_its_authenticator_needs_answers_everything(tmp_path, authentication, t):
    text = scenario(*pseudorandom(2, 25), t=t, authentication=authentication, checkpt_interval=10)
    run = perform(tmp_path, text)
    assert passed(run)
    assert run.result()["operations"] == 50
    assert run.result()["settings"]["authentication"] == authentication
    assert len(list(run.logs.glob("*/replica_*.log"))) == sizes(t, authentication).replicas


def test_the_record_of_a_run_with_macs_convinces_who_has_olympus_s_secret_and_nobody_else(tmp_path):
    text = scenario(*pseudorandom(1, 5), authentication="hmac")
    run = perform(tmp_path, text)
    assert passed(run)
    workloads = [[(each,) for each in mine] for mine in parse_scenario(text, "x.config")[0].workloads]
    assert judge(run.record(), workloads, 1).status == "pass"
    assert judge(replace(run.record(), olympus_secret=b""), workloads, 1).status == "fail"


def test_a_lie_that_checksums_would_have_to_stand_is_refused_before_anything_starts(tmp_path):
    failures = ["failures[0,1] = shuttle(0,0),equivocate()"]
    run = perform(tmp_path, scenario("pseudorandom(1,5)", authentication="crc", failures=failures))
    assert run.status == 2
    assert "equivocate is no accident" in run.output
    assert not list(tmp_path.glob("logs/*"))


WITHOUT_SOLDERS = """
import importlib.metadata, sys
sys.modules["solders"], version = None, importlib.metadata.version

def version_but_of_solders(name):
    if name == "solders":
        raise importlib.metadata.PackageNotFoundError(name)
    return version(name)

importlib.metadata.version = version_but_of_solders
"""


def test_a_run_without_the_optional_library_passes(tmp_path):
    (tmp_path / "sitecustomize.py").write_text(WITHOUT_SOLDERS)
    run = perform(tmp_path, scenario("pseudorandom(1,5)"), before=("env", f"PYTHONPATH={tmp_path}"))
    assert passed(run)
    assert "solders" not in run.result()["versions"]

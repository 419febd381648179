"""Evidence of whole runs: of simulated ones with liars only faulty replicas are blamed, and changed records prove no more."""

import pytest

from bcr.evidence.convictions import convictions
from bcr.evidence.verifying import verify_record
from bcr.scenario import parse_scenario
from bcr_fuzz import fuzz
from bcr_fuzz.records import real
from bcr_sim.campaign import text_of
from bcr_sim.simulated_run import simulate

LIE = """test_case_name = lie
t = 1
num_client = 1
workload[0] = put('a','b'); append('a','c'); get('a')
failures[0,{position}] = {fault}
simulation = seed(5); real_signatures
"""


def record_of(text):
    scenario, _ = parse_scenario(text, "test.config")
    return simulate(scenario).record


@pytest.mark.parametrize(
    ("position", "fault", "what"),
    [
        (0, "client_request(0,1),change_operation()", "history that no correct replica has"),
        (2, "shuttle(0,1),change_result()", "another result for slot 1"),
        (1, "shuttle(0,0),ask(); wedge_request(0),truncate_history(1)", "withheld"),
        (1, "shuttle(0,0),ask(); wedge_request(0),extend_wedged(1)", "history that no correct replica has"),
        (1, "shuttle(0,1),invalid_order_sig()", "history that no correct replica has"),
    ],
)
def test_a_lie_under_its_own_signature_is_found_in_the_record(position, fault, what):
    record = record_of(LIE.format(position=position, fault=fault))
    [(conviction, _)] = convictions(record)
    assert (conviction.configuration, conviction.position) == (0, position)
    assert what in conviction.what


@pytest.mark.parametrize("fault", ["shuttle(0,1),crash()", "shuttle(0,1),drop()", "shuttle(0,1),invalid_result_sig()"])
def test_what_is_under_no_signature_of_its_own_convicts_nobody(fault):
    record = record_of(LIE.format(position=1, fault=fault))
    assert record.reconfigurations
    assert list(convictions(record)) == []


def test_nobody_is_blamed_but_who_was_faulty_and_every_record_is_verified():
    found = 0
    for seed in range(20):
        record = record_of(real(text_of(seed, None)))
        faulty = {(plan.configuration, plan.position) for plan in record.faults if not plan.is_of_a_link}
        blamed = {(conviction.configuration, conviction.position) for conviction, _ in convictions(record)}
        assert blamed <= faulty, seed
        assert not verify_record(record, record.olympus_key).refused, seed
        found += len(blamed)
    assert found


def test_changed_records_and_evidence_prove_no_more(capsys):
    assert fuzz.main(["records", "--messages", "400"]) == 0
    assert "refused" in capsys.readouterr().out


def test_the_fuzzer_finds_a_check_that_is_not_made(monkeypatch, capsys):
    monkeypatch.setattr("bcr.signed.signing.Signed.is_authentic", lambda *_: True)
    assert fuzz.main(["records", "--messages", "300"]) == 1
    assert "proves more" in capsys.readouterr().out

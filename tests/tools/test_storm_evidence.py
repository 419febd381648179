"""A storm holds the evidence of each run: its record verifies, and convicts nobody but whom a fault had struck."""

import json

from bcr.scenario import parse_scenario
from bcr_sim.simulated_folder import simulate_into
from bcr_tools.storm import evidence_of

TEXT = """t = 1
num_client = 1
workload[0] = put('a','b'); append('a','c'); get('a')
failures[0,0] = client_request(0,1),change_operation()
simulation = seed(5); real_signatures
"""


def result_of(folder):
    source = folder / "given.config"
    source.write_text(TEXT)
    simulate_into(folder / "run", parse_scenario(TEXT, str(source))[0], source)
    return json.loads((folder / "run" / "result.json").read_text()) | {"log_folder": str(folder / "run")}


def test_who_lied_is_convicted_and_nobody_else_can_be(tmp_path):
    result = result_of(tmp_path)
    assert evidence_of(result) == ([(0, 0)], [])
    places, findings = evidence_of({**result, "faults_injected": []})
    assert places == [(0, 0)]
    assert findings == ["replica 0 of configuration 0 is convicted, and no fault had struck it"]


def test_a_record_under_another_key_or_none_is_a_finding(tmp_path):
    result = result_of(tmp_path)
    other = ("0" if result["olympus_key"][0] != "0" else "1") + result["olympus_key"][1:]
    assert evidence_of({**result, "olympus_key": other})[1]
    assert "cannot be read" in evidence_of({**result, "log_folder": str(tmp_path)})[1][0]

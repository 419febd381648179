"""Objects of one's own in simulated runs: whatever the network does, and through reconfigurations."""

import pytest

from bcr.scenario import read_scenario
from bcr_runtime.places import PROJECT
from bcr_sim.campaign import seeded
from bcr_sim.simulated_run import simulate

FILES = sorted((PROJECT / "examples").rglob("*.config"))

WITHOUT_A_MODEL = """\
from bank import Bank
from bcr.objects.replicated import Itself

class Trusting(Bank):
    name = "trusting"

    def model(self):
        return Itself(self)
"""
# A transfer of which only the account that gives is read from the state that a new configuration begins with.
HALF_READ = """\
from bank import Bank

class HalfRead(Bank):
    name = "half read"
    is_trusted = True

    def keys(self, operation):
        return None if operation.name == "total" else (operation.key,)
"""
UNDECLARED = HALF_READ.replace("    is_trusted = True\n", "").replace("HalfRead", "Undeclaring")


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_an_example_shows_what_it_says_whatever_the_network_does(file):
    scenario, warnings = read_scenario(file)
    assert warnings == ()
    assert scenario.expectations
    for seed in range(6):
        outcome = simulate(seeded(scenario, seed))
        assert (outcome.breaches, outcome.judgement.status) == ((), "pass"), seed
        assert outcome.result["checked_by"] == "a second implementation"


def played(tmp_path, name, source, seed=0):
    """The bank's first example with an object of this source in its place."""
    bank = PROJECT / "examples" / "bank"
    (tmp_path / f"{name.lower()}_bank.py").write_text(f"import sys\nsys.path.append({str(bank)!r})\n" + source)
    file = tmp_path / "x.config"
    file.write_text((bank / "bank.config").read_text().replace("bank:Bank", f"{name.lower()}_bank:{name}"))
    scenario, _ = read_scenario(file)
    return simulate(seeded(scenario, seed))


def test_an_object_that_is_checked_by_itself_is_told_to_be(tmp_path):
    outcome = played(tmp_path, "Trusting", WITHOUT_A_MODEL)
    assert outcome.breaches == ()
    assert (outcome.result["object"], outcome.result["checked_by"]) == ("trusting", "the object itself")


def test_an_object_that_names_only_the_first_of_its_keys_loses_money_and_is_found_out(tmp_path):
    outcomes = [played(tmp_path, "HalfRead", HALF_READ, seed) for seed in range(3)]
    assert all(outcome.breaches for outcome in outcomes)
    assert {outcome.kind for outcome in outcomes} <= {"replay", "results", "agreement", "verdict", "state transfer", "final"}


def test_an_object_that_names_only_the_first_of_its_keys_is_stopped_unless_it_is_trusted(tmp_path):
    outcome = played(tmp_path, "Undeclaring", UNDECLARED)
    assert any("Undeclared" in breach or "say of their keys" in breach for breach in outcome.breaches), outcome.breaches

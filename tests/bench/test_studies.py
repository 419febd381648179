"""What the studies put into docs/performance.md, and that a page drawn again keeps it."""

import pytest

from bcr.scenario import parse_scenario
from bcr_bench.bench import main
from bcr_bench.pages.plan_page import STUDY_HEADINGS
from bcr_bench.plans.measured import Measured
from bcr_bench.studies import callers, disk_cost, outage, sections
from bcr_bench.studies.budget import found_section

PAGE = "# Performance\n\n## What an operation must cost\n\nA table.\n\n## Against others\n\nMore.\n"
SHORT = Measured(rate=100.0, latency_ms={"p50": 2.0}, cpu_us={"client_0": 1.0, "replica_0": 2.0})


@pytest.fixture
def page(tmp_path, monkeypatch):
    found = tmp_path / "performance.md"
    found.write_text(PAGE)
    monkeypatch.setattr("bcr_bench.bench.page_of", lambda options: found if options.docs else None)
    for study in (callers, disk_cost):
        monkeypatch.setattr(study, "run_point", lambda point: SHORT)
    return found


@pytest.mark.parametrize(
    ("command", "heading"), [("callers", sections.CALLERS_HEADING), ("disks", sections.DISKS_HEADING)]
)  # fmt: skip
def test_a_study_renews_its_section_of_the_page_and_no_other(page, command, heading):
    assert main([command, "--count", "2"]) == 0
    assert page.read_text() == PAGE
    assert main([command, "--count", "2", "--docs"]) == 0
    section = found_section(page.read_text(), heading)
    assert section is not None and f"`./bcr bench {command} --" in section and "--count 2" in section
    assert page.read_text().replace("\n" + section, "") == PAGE
    assert main([command, "--count", "1", "--docs"]) == 0
    assert page.read_text().count(heading) == 1 and "--count 1" in page.read_text()


@pytest.mark.parametrize("command", ["callers", "disks"])
def test_where_a_point_has_no_run_that_counts_the_page_stays_as_it_is(page, monkeypatch, command):
    for study in (callers, disk_cost):
        monkeypatch.setattr(study, "run_point", lambda point: Measured(problem="it did not pass"))
    assert main([command, "--count", "1", "--docs"]) == 1
    assert page.read_text() == PAGE


def test_the_steps_of_an_outage_are_put_into_the_page(page, monkeypatch):
    steps = dict.fromkeys(outage.STEPS, 5.0)
    monkeypatch.setattr(outage, "_run", lambda text, folder: {"reconfigurations": [steps]})
    assert main(["reconfiguration", "--keys", "10", "--count", "1", "--docs"]) == 0
    assert "--keys 10 --value-bytes 16 --count 1 --docs" in found_section(page.read_text(), sections.OUTAGE_HEADING)


def test_a_run_that_begins_again_without_a_reconfiguration_is_no_recovery():
    """Its steps would be looked for in vain."""
    demanded = [str(each) for each in parse_scenario(outage.recovery_text(10, is_after=True), "after.config")[0].expectations]
    assert any("reconfigurations" in each for each in demanded)
    assert "reconfigurations" not in outage.recovery_text(10, is_after=False)


def test_every_section_of_a_study_outlives_a_page_that_is_drawn_again():
    assert {sections.CALLERS_HEADING, sections.DISKS_HEADING, sections.OUTAGE_HEADING, sections.RECOVERY_HEADING} == {*STUDY_HEADINGS}


def test_the_aim_of_a_request_alone_is_what_it_takes_without_disks_and_a_sync_in_each_replica_and_a_share():
    assert disk_cost.aim_ms(2.0, 1.0) == pytest.approx(5.0 * 1.15)

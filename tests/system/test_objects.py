"""Objects of one's own in whole runs: processes of their own find them, and new configurations get their state."""

import pytest
from whole_runs import PROJECT, Run, passed, perform, scenario

EXAMPLES = sorted(path.relative_to(PROJECT).as_posix() for path in (PROJECT / "examples").rglob("*.config"))


@pytest.mark.parametrize("file", EXAMPLES)
def test_an_example_runs_as_its_file_expects(tmp_path, file):
    with Run(tmp_path, file) as run:
        run.status = run.finish()
    assert passed(run)
    assert run.result()["faults_injected"]
    assert run.result()["checked_by"] == "a second implementation"


def test_a_run_says_what_it_replicates_and_that_nothing_but_the_object_checks_it(tmp_path):
    source = "from bcr.objects.dictionary import Dictionary\nfrom bcr.objects.replicated import Itself\n"
    source += "class Alone(Dictionary):\n    name = 'alone'\n    def model(self):\n        return Itself(self)\n"
    (tmp_path / "alone_object.py").write_text(source)
    run = perform(tmp_path, scenario("put('k','v'); get('k')", object=f"{tmp_path}/alone_object:Alone"))
    assert passed(run)
    assert (run.result()["object"], run.result()["checked_by"]) == ("alone", "the object itself")
    assert "results are checked by the object itself: alone brings no second implementation along" in " ".join(run.output.split())


def test_an_object_that_is_not_there_is_told_in_a_line_before_anything_starts(tmp_path):
    run = perform(tmp_path, scenario("put('k','v')", object="nowhere_at_all:Bank"))
    assert run.status == 2
    assert "error: object nowhere_at_all:Bank: nowhere_at_all cannot be imported: ModuleNotFoundError" in run.output

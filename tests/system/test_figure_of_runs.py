"""A real run takes the steps of the paper's Figure 1 and no others, and one that takes another fails with it."""

import shutil

from whole_runs import PROJECT, passed, perform

from bcr_show import show
from bcr_sim.bugs import bugs, patched

TEXT = (PROJECT / "config" / "tail_change_result.config").read_text()


def test_a_run_through_a_reconfiguration_takes_only_allowed_steps(tmp_path, capsys):
    run = perform(tmp_path, TEXT)
    assert passed(run)
    result = run.result()
    assert result["figure"]["forbidden"] is None and not result["figure"]["unknown"]
    assert show.main(["--conformance", result["log_folder"]]) == 0
    printed = capsys.readouterr().out
    kinds = {line.partition(":")[0] for line in printed.splitlines()[:-1]}
    assert kinds >= {"issue", "begin", "become active", "order command", "become immutable", "go back", "catch up", "learn"}
    assert f"{result['figure']['steps']} steps of correct processes, and Figure 1 allows each" in printed


def test_a_run_that_takes_a_forbidden_step_fails_with_it(tmp_path, capsys):
    [bug] = [each for each in bugs() if each["name"] == "new configuration begins empty"]
    source = shutil.copytree(PROJECT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__"))
    (source / bug["file"]).write_bytes(patched(bug))
    run = perform(tmp_path, TEXT, source=source)
    result = run.result()
    assert run.status == 1 and result["verdict"] == "fail"
    forbidden = result["figure"]["forbidden"]
    assert forbidden.startswith("become active: configuration 1, replica") and forbidden.endswith("another state than Olympus said")
    assert any(reason.startswith("figure: Figure 1 of the paper forbids become active") for reason in result["reasons"])
    assert show.main(["--conformance", result["log_folder"]]) == 1
    assert "Figure 1 forbids the last of" in capsys.readouterr().out

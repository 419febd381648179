"""A replica among peers that send it what is malformed, unsigned or wrongly signed."""

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from whole_runs import LIMIT_S, PROJECT, complete_lines, lines, values_of

PROBE = Path(__file__).parent / "programs" / "Probe.da"


@pytest.mark.parametrize("position", [0, 1])
def test_a_replica_disregards_what_is_malformed_or_wrongly_signed_and_goes_on_serving(tmp_path, position):
    node = ["-M", "-p", "0", "-H", "localhost", "-n", "onode"]
    done = subprocess.run(
        [sys.executable, "-m", "da", *node, str(PROBE), str(tmp_path), str(position)],
        cwd=PROJECT / "src",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert "Traceback" not in done.stdout, done.stdout
    assert "serves slot 0 with put('k', 'v')" in done.stdout, done.stdout
    assert "slots 1" in done.stdout
    assert "answers 0" in done.stdout and "shuttles 1" in done.stdout
    [file] = tmp_path.glob("*/replica_*.log")
    log = [values_of(line) for line in complete_lines(file)]
    kinds = Counter(line["kind"] for line in lines(log, event="misbehaviour"))
    assert kinds["MalformedMessage"] > 100
    assert kinds["InvalidSignature"] >= 5
    assert lines(log, event="immutable") == []

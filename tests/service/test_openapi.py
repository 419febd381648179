"""The description of the interface is held against the server by schemathesis, which knows nothing of either."""

import subprocess
import sys
from pathlib import Path

SETTINGS = Path(__file__).with_name("schemathesis.toml")
# Streams without end, which it would wait for.
STREAMS = ["--exclude-path", "/events", "--exclude-path", "/watch"]


def test_the_server_does_what_its_description_says(service, tmp_path):
    """Some 500 calls: right ones, and ones that break the description in one point each."""
    program = "from schemathesis.cli import schemathesis; schemathesis()"
    done = subprocess.run(
        [sys.executable, "-c", program, "--config-file", SETTINGS, "run", f"{service.url}/openapi.json", *STREAMS,
         "--phases", "coverage,fuzzing", "--max-examples", "8", "--seed", "1", "--request-timeout", "30", "--no-color"],
        cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-5_000:] + done.stderr[-2_000:]
    assert " passed" in done.stdout

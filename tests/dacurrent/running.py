"""Running DistAlgo from the tests as a user does."""

import os
import subprocess
import sys


def run_da(folder, *arguments, module="da", limit_s=120, **environment):
    """`python3 -m da ARGUMENTS` run in `folder`: the completed process, output and errors as one text.

    The time limit is there for a hang; nothing is measured.
    """
    return subprocess.run(
        [sys.executable, "-m", module, *map(str, arguments)],
        cwd=folder,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=limit_s,
        check=False,
    )

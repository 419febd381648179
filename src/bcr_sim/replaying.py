"""`bcr sim` with one of the seeded bugs in the source, in memory: in an OS process of its own, for the rest is to be without."""

import re
import subprocess
import sys
from collections.abc import Sequence

from bcr_sim.bugs import FILES, Bug, bugs, seed_bug


def bug_called(name: str) -> Bug:
    """The bug of this name, or of the file that `bcr bugs --output` left of it; of one protocol where `PROTOCOL:` stands before it.

    Raises ValueError where there is none, or are more.
    """
    protocol, colon, rest = name.partition(":")
    is_of_one = bool(colon) and protocol in FILES
    wanted_slug = _slug(rest if is_of_one else name)
    every = [(each, bug) for each in ([protocol] if is_of_one else FILES) for bug in bugs(each)]
    matches = [(each, bug) for each, bug in every if _slug(bug["name"]) == wanted_slug]
    matches = matches or [(each, bug) for each, bug in every if wanted_slug in _slug(bug["name"])]
    if len(matches) == 1:
        return matches[0][1]
    names = ", ".join(f"{each}:{bug['name']}" for each, bug in matches[:5])
    which = f"there are {len(matches)}: {names}" if matches else "there is none"
    raise ValueError(f"no bug {name!r}: {which}; src/bcr_sim has all of them, in {', '.join(FILES.values())}")


def _slug(name: str) -> str:
    return re.sub("[^a-z0-9]+", "-", name.lower()).strip("-")


def replay(name: str, arguments: Sequence[str]) -> int:
    """Run `bcr sim` with these arguments and the bug of this name; its exit status. Raises ValueError as `bug_called`."""
    bug = bug_called(name)
    print(f"with the seeded bug {bug['name']!r} in {bug['file']}:", flush=True)
    command = [sys.executable, "-P", "-m", "bcr_sim.replaying", name, *arguments]
    return subprocess.run(command, check=False).returncode


if __name__ == "__main__":
    seed_bug(bug_called(sys.argv[1]))
    import da  # noqa: F401 - before the modules of the layer

    from bcr_sim.sim import main

    sys.exit(main(sys.argv[2:]))

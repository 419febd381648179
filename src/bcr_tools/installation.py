"""Installs what an extra of the project needs, and else comes when a command first asks for it: for a machine that will be without
a network. `fast`, by which signatures are checked sooner, comes with the set-up where it is to be had.
"""

import argparse

from bcr_run.extras import EXTRAS, demand


def main(arguments: list[str]) -> int:
    """`bcr install`: 0 it is there. Raises NotSetUp where it cannot be."""
    parser = argparse.ArgumentParser(prog="bcr install", description=__doc__)
    parser.add_argument("extras", metavar="EXTRA", nargs="+", choices=sorted(EXTRAS), help="what to install, as pyproject.toml calls it")
    demand(*parser.parse_args(arguments).extras)
    return 0

"""Where the project's files are: in a checkout, or in what a wheel of it has installed.

A wheel holds the protocol's `.da` files and the scenarios beside this module, for no package can hold what must be importable
under its own name from the folder that a run starts in.
"""

import tomllib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from dacurrent.cookie import FILE_VARIABLE

_INSTALLED = Path(__file__).resolve().parent / "installed"

PROJECT = Path(__file__).resolve().parents[2]
"""The checkout, where this is one; what only a checkout has (tests, docs, locks) is looked for here."""

IS_CHECKOUT = (PROJECT / "pyproject.toml").is_file() and (PROJECT / "src" / "RunSystem.da").is_file()

SOURCES = PROJECT / "src" if IS_CHECKOUT else _INSTALLED / "src"
"""The folder of `RunSystem.da` and the processes that it starts."""

SCENARIOS = PROJECT / "config" if IS_CHECKOUT else _INSTALLED / "config"
"""The folder of the scenario files that come with the project."""

SERVICE = SCENARIOS / "service.config"
"""What `./bcr serve` keeps running where nothing else is said: no scenario, although it stands beside them."""


COOKIE_VARIABLE = FILE_VARIABLE
"""The environment's variable that names the file of the cookie by which nodes know each other."""

DISKS_VARIABLE = "BCR_DISKS"
"""The environment's variable that tells the processes of one host where their disks are, wherever the others have theirs."""

GATEWAY_FILES_VARIABLE = "BCR_GATEWAY_FILES"
"""The environment's variable that tells the gateways on one host of a service their certificate, key and token: paths, as JSON."""

EMPLOYED_VARIABLE = "BCR_EMPLOYED_TO"
"""The environment's variable that names the descriptor by which a host's node tells who started it that the service has begun its work there."""


def own_version() -> str:
    """The version of the project, installed or not."""
    if IS_CHECKOUT:  # ./bcr puts the checkout on the path and installs only what it needs
        return str(tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["version"])
    try:
        return version("byzantine-chain-replication")
    except PackageNotFoundError:
        return "unknown"


def default_log_base() -> Path:
    """`logs` of the project, where this is a checkout, and otherwise of the current directory."""
    return (PROJECT if IS_CHECKOUT else Path.cwd()) / "logs"

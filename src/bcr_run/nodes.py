"""The nodes of a run that is placed on several of them, each started by the user with `-n NAME -D`."""

from collections.abc import Iterable
from typing import Any

from da.common import ProcessId


def node_called(name: str) -> Any:
    """The process id of the node of this name, or None while it has not made itself known."""
    return ProcessId.lookup((name, name))


def missing_nodes(names: Iterable[str]) -> list[str]:
    """Those of the names whose node has not made itself known."""
    return [name for name in names if node_called(name) is None]

"""Where the text of the specification is, and how it becomes a module."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from bcr_runtime.places import PROJECT

FOLDER = PROJECT / "spec"


def specification() -> Any:
    """The module made of spec/Shuttle.da and what it rests on, compiled where that has not been done; it comes with a checkout."""
    _find()
    import Shuttle

    return Shuttle


def specification_of_raft() -> Any:
    """The same of spec/Figure2.da."""
    _find()
    import Figure2

    return Figure2


def specification_among_liars() -> Any:
    """The same of spec/AmongLiars.da."""
    _find()
    return import_module("AmongLiars")


def _find() -> None:
    folder = str(FOLDER)
    if folder not in sys.path:
        sys.path.append(folder)


@contextmanager
def with_digests(digest: Callable[[Any], Any]) -> Iterator[Any]:
    """The specification with this in place of its own `digest`, which leaves contents as they are."""
    text = specification()
    stock = text.Statements.digest
    text.Statements.digest = lambda _, contents: digest(contents)
    try:
        yield text
    finally:
        text.Statements.digest = stock

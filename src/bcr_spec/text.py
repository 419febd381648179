"""Where the text of the specification is, and how it becomes a module."""

import sys
from contextlib import contextmanager
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

from bcr_runtime.processes import PROJECT

FILE = PROJECT / "spec" / "Shuttle.da"


class NoSpecification(Exception):
    """There is no `spec/` beside the sources: it comes with a checkout, and not with an installed package."""


def specification() -> Any:
    """The module made of spec/Shuttle.da, compiled where that has not been done. Raises NoSpecification."""
    if not FILE.is_file():
        raise NoSpecification(f"{FILE} is not there: the specification is part of a checkout of the project")
    folder = str(FILE.parent)
    if folder not in sys.path:
        sys.path.append(folder)
    return import_module("Shuttle")


@contextmanager
def with_digests(digest: Callable[[Any], Any]) -> Iterator[Any]:
    """The specification with this in place of its own `digest`, which leaves contents as they are."""
    text = specification()
    stock, text.digest = text.digest, digest
    try:
        yield text
    finally:
        text.digest = stock

"""Finds an object by its name, or by where its class is (specification, 8 and 9.2)."""

import importlib
import re
import sys
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

from bcr.objects.dictionary import Dictionary
from bcr.objects.replicated import ReplicatedObject
from bcr.objects.store import Store

BUILT_IN: dict[str, type[ReplicatedObject[Any]]] = {"dictionary": Dictionary, "store": Store}
DEFAULT = "dictionary"
_PATH = re.compile(r"(?:(?P<folder>.*)/)?(?P<module>[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*):(?P<name>[A-Za-z_]\w*)")


class ObjectNotFound(Exception):
    """There is no such object; the text says what is wrong, and what would be right."""


def located(text: str, folder: Path) -> str:
    """The name as it means the same from everywhere: a module that is a file or folder in `folder` with the path to there."""
    match = _PATH.fullmatch(text)
    if text in BUILT_IN or match is None:
        return text
    place = (folder / (match["folder"] or "")).absolute()
    top = match["module"].partition(".")[0]
    if match["folder"] or (place / f"{top}.py").is_file() or (place / top).is_dir():
        return f"{place}/{match['module']}:{match['name']}"
    return text


@lru_cache(maxsize=64)
def named(text: str) -> ReplicatedObject[Any]:
    """The object of this name: a built-in one, or `module:Class`, or `folder/module:Class`, which is imported.

    Raises ObjectNotFound. To import a module is to run it.
    """
    if text in BUILT_IN:
        return BUILT_IN[text]()
    match = _PATH.fullmatch(text)
    if match is None:
        names = ", ".join(sorted(BUILT_IN))
        raise ObjectNotFound(f"no object {text!r}; there are {names}, and with module:Class your own")
    module, name = match["module"], match["name"]
    kind = getattr(_imported(text, match["folder"] or "", module), name, None)
    if not (isinstance(kind, type) and issubclass(kind, ReplicatedObject)):
        raise ObjectNotFound(f"object {text}: {module} has no class {name} made from bcr.objects.replicated.ReplicatedObject")
    try:
        replicated: ReplicatedObject[Any] = kind()
    except TypeError as error:  # something that an object has to say of itself is missing
        raise ObjectNotFound(f"object {text}: {error}") from error
    gaps = [each for each in ("name", "value_type", "forms", "result_limit_bytes") if not hasattr(replicated, each)]
    if gaps:
        raise ObjectNotFound(f"object {text}: the class {name} does not say its {', '.join(gaps)}")
    return replicated


def found(replicated: ReplicatedObject[Any] | str) -> ReplicatedObject[Any]:
    """The object itself, or that of this name."""
    return named(replicated) if isinstance(replicated, str) else replicated


def _imported(text: str, folder: str, module: str) -> ModuleType:
    """The module, which is searched for in the folder first. Raises ObjectNotFound."""
    path = list(sys.path)
    if folder:
        sys.path.insert(0, folder)
        importlib.invalidate_caches()
    try:
        imported = importlib.import_module(module)
    except Exception as error:
        raise ObjectNotFound(f"object {text}: {module} cannot be imported: {type(error).__name__}: {error}") from error
    finally:
        sys.path[:] = path
        if folder and folder not in path:
            sys.path.append(folder)  # for what it imports later; but nothing there may hide what others import
    file = getattr(imported, "__file__", None)
    if folder and Path(folder).is_dir() and (file is None or not Path(file).is_relative_to(folder)):
        raise ObjectNotFound(f"object {text}: another module {module} has been imported, from {file}; rename one of them")
    return imported

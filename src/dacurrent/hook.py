"""The meta-path finder that cures the modules of `da` while they are imported.

The installed file `dacurrent.pth` is executed whenever a Python of the environment starts.  It imports nothing: it puts
a finder of a few lines in front, which imports this module when somebody imports `da`, and goes.  (To import this
module at every start took 2.5 ms of 11; the finder takes too little to be measured.)

The two tables are the whole interface between this layer and DistAlgo:

`REPLACED`
    stock module name -> name of the module of ours whose public names (`__all__`) it gets instead of its own code.

`AFTER`
    stock module name -> tuple of "module:function" entries of ours.  When the stock module's code has been executed,
    and before whoever imported it goes on, each function is called in order as `function(module)` with the stock
    module object.  A function patches names *in that module*; another module that did `from x import name` before
    needs its own entry.  Order in which `import da` executes the modules:
    da.common, da.importer, da.pattern, da.transport.{base,mesgloop,manager,sock}, da.sim, ..., da;
    the compiler (da.tools.unparse, da.compiler.*) comes when `da.common` initialises its options.

An error in one of these functions is an error of the `import da`, with its traceback; nothing is swallowed.
"""

import sys
from importlib.abc import Loader
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

REPLACED = {
    "da.importer": "dacurrent.importer",
}

AFTER = {
    "da.common": (
        "dacurrent.clock:cure",
        "dacurrent.addresses:cure_common",
        "dacurrent.startup:cure_common",
        "dacurrent.traces:cure_common",
        "dacurrent.forks:cure_common",
        "dacurrent.queues:cure_common",
        "dacurrent.logs:cure_common",
    ),
    "da.transport.manager": ("dacurrent.manager:cure_manager",),
    "da.transport.sock": ("dacurrent.manager:cure_sock",),
    "da.sim": (
        "dacurrent.clock:cure",
        "dacurrent.awaits:cure_sim",
        "dacurrent.traces:cure_sim",
        "dacurrent.router:cure_sim",
        "dacurrent.authority:cure_sim",
        "dacurrent.events:cure_sim",
        "dacurrent.discretion:cure_sim",
        "dacurrent.lifetime:cure_sim",
    ),
    "da.api": ("dacurrent.cookie:cure_api", "dacurrent.lifetime:cure_api"),
    "da.tools.unparse": ("dacurrent.compiler:cure_unparse",),
    "da.compiler.parser": ("dacurrent.compiler:cure_parser",),
    "da.compiler.pygen": ("dacurrent.compiler:cure_generator",),
    "da.compiler.incgen": ("dacurrent.compiler:cure_generator",),
    "da.compiler.symtab": ("dacurrent.compiler:cure_symtab",),
    "da.compiler.ui": ("dacurrent.compiler:cure_ui",),
}


class Finder:
    """Finds the modules of `da` that the tables name; every other import is left to the finders behind."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if (name not in AFTER and name not in REPLACED) or not _is_distalgo(name, path):
            return None
        if name in REPLACED:
            return ModuleSpec(name, _Replacement(REPLACED[name]), is_package=False)
        from importlib.machinery import PathFinder

        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            _call_after(spec.loader, AFTER[name])
        return spec


class _Replacement(Loader):
    """Loads a module by giving it the public names of a module of ours."""

    def __init__(self, source: str) -> None:
        self.source = source

    def create_module(self, spec: Any) -> None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        ours = _import(self.source)
        for name in ours.__all__:
            setattr(module, name, getattr(ours, name))
        setattr(module, "__all__", list(ours.__all__))  # noqa: B010 - a module's own attributes have no types
        module.__doc__ = ours.__doc__


def _call_after(loader: Any, entries: tuple[str, ...]) -> None:
    """Let `loader` (one instance per module) call `entries` when the module's own code has run."""
    execute = loader.exec_module

    def exec_module(module: ModuleType) -> None:
        execute(module)
        for entry in entries:
            source, _, function = entry.partition(":")
            getattr(_import(source), function)(module)

    loader.exec_module = exec_module


def _import(name: str) -> ModuleType:
    from importlib import import_module

    return import_module(name)


def _is_distalgo(name: str, path: Any) -> bool:
    """Whether `path` is the package of pyDistAlgo: a folder of somebody else's may be called `da` as well."""
    import os

    top = path
    if name == "da":
        top = [os.path.join(entry, "da") for entry in sys.path]
    elif name.count(".") > 1:
        top = getattr(sys.modules.get("da"), "__path__", ())
    return any(os.path.isfile(os.path.join(folder, "importer", "py37.py")) for folder in top or ())


def install() -> "Finder":
    """Put the finder in front of the others, once; returns it."""
    for finder in sys.meta_path:
        if isinstance(finder, Finder):
            return finder
    ours = Finder()
    sys.meta_path.insert(0, ours)
    return ours


install()

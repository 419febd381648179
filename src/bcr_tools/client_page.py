"""The reference page of the service's client, from its docstrings."""

import inspect
from collections.abc import Iterator
from types import FunctionType
from typing import Any

import bcr_client
from bcr_client.store_client import Checking
from bcr_runtime.places import PROJECT

PAGE = PROJECT / "docs" / "reference" / "client.md"
HEAD = """# The client of the service

Written by `./bcr reference` from the docstrings of `bcr_client`; a test holds it against them.

    from bcr_client import Store

    with Store("http://127.0.0.1:8080", olympus_key="18d9…") as store:
        store.put("movie", {"name": "star wars"})
        store.get("movie")

`bcr_client` needs PyNaCl and msgspec, and loads no DistAlgo. What the service itself promises stands in [service.md](../service.md)."""
# What users make; the errors come behind them.
CLASSES = ("Store", "AsyncStore", "UnprovedStore", "DistributedDict", "RefreshPolicyAlways", "RefreshPolicyLock", "RefreshPolicyCount", "RefreshPolicyTime",
           "Proof", "Versioned", "Change")  # fmt: skip
ERRORS = ("StoreError", "NothingHappened", "ConditionFailed", "Refused", "OutcomeUnknown", "UntrustedAnswer", "BadProof")


def page() -> str:
    """The whole page."""
    parts = [HEAD, "## Making a store", _signature(Checking), _text(Checking.__init__)]
    parts += [part for name in CLASSES for part in _class(name)]
    parts.append("## Errors")
    for name in ERRORS:
        error = getattr(bcr_client, name)
        base = error.__mro__[1].__name__
        parts += [f"### {name}", *([f"A kind of `{base}`."] if base in ERRORS else []), _text(error)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _class(name: str) -> Iterator[str]:
    cls = getattr(bcr_client, name)
    yield f"## {name}"
    yield _text(cls)
    made = vars(cls).get("__init__")
    if made is not None and made.__doc__ and not issubclass(cls, Checking):
        yield f"**`{name}{_parameters(made)}`**"
        yield _text(made)
    for method, function in _methods(cls):
        yield f"**`{method}{_parameters(function)}`**"
        yield _text(function)


def _methods(cls: type) -> Iterator[tuple[str, Any]]:
    """The methods that users call, as they stand in the class."""
    for each, found in vars(cls).items():
        function = found.__func__ if isinstance(found, (classmethod, staticmethod)) else found
        if isinstance(function, FunctionType) and not each.startswith("_") and each not in vars(Checking) and function.__doc__:
            yield each, function


def _signature(cls: type) -> str:
    parameters = list(inspect.signature(cls.__init__).parameters.values())[1:]  # type: ignore[misc]
    shown = [str(each.replace(annotation=inspect.Parameter.empty)) for each in parameters]
    return f"**`Store({', '.join(shown)})`**".replace("Seen(configuration=-1, place=(-1, -1, -1))", "…")


def _parameters(function: Any) -> str:
    parameters = [each for each in inspect.signature(function).parameters.values() if each.name not in ("self", "cls")]
    return "(" + ", ".join(str(each.replace(annotation=inspect.Parameter.empty)) for each in parameters) + ")"


def _text(documented: Any) -> str:
    return inspect.cleandoc(documented.__doc__ or "")

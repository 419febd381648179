"""What a scenario file says its run must show: `expect[name, …] = comparison value`."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import msgspec

Kind = Literal["number", "status", "strings", "string", "positions"]

COMPARISONS: Mapping[str, Callable[[Any, Any], bool]] = {
    "==": lambda actual, expected: actual == expected,
    "!=": lambda actual, expected: actual != expected,
    ">=": lambda actual, expected: actual >= expected,
    "<=": lambda actual, expected: actual <= expected,
    ">": lambda actual, expected: actual > expected,
    "<": lambda actual, expected: actual < expected,
    "in": lambda actual, expected: actual in expected,
}

# Only numbers have an order, and what is said of positions is in the name of the expectation.
COMPARISONS_OF: Mapping[Kind, Sequence[str]] = {
    "number": tuple(COMPARISONS),
    "status": ("==", "!=", "in"),
    "strings": ("==", "!="),
    "string": ("==", "!=", "in"),
    "positions": ("==",),
}

VERDICTS = ("pass", "fail", "unknown")


class Subject(msgspec.Struct, frozen=True):
    """Something that can be expected: the kinds of its arguments and of its value, and what it means.

    With `of_any` it may be expected without its arguments too, of any that there is.
    """

    arguments: tuple[Literal["client", "number", "string"], ...]
    value: Kind
    meaning: str
    of_any: bool = False


SUBJECTS: Mapping[str, Subject] = {
    "verdict": Subject((), "status", "pass, fail or unknown"),
    "operations": Subject((), "number", "operations answered"),
    "results_by_tail": Subject((), "number", "results that the tails sent to clients"),
    "retransmissions": Subject((), "number", "requests that clients sent again"),
    "reconfigurations": Subject((), "number", "completed reconfigurations"),
    "faults_injected": Subject((), "number", "faults that were injected"),
    "changes": Subject((), "number", "changes of the servers of Raft that were made"),
    "olympus_results": Subject((), "number", "results that clients got from Olympus"),
    "results": Subject(("client",), "strings", "the results of client i in request order"),
    "result": Subject(("client", "number"), "string", "the result of client i's operation n, counted from 0"),
    "final": Subject(("string",), "string", "the value of a key in the final state; `absent` for none"),
    "quorum_includes": Subject(("number",), "positions", "in the quorum of the i-th reconfiguration, all of these"),
    "quorum_excludes": Subject(("number",), "positions", "in the quorum of the i-th reconfiguration, none of these"),
    "blamed": Subject(
        ("number",), "positions", "blamed by the request for the i-th reconfiguration, or for any, one of these", of_any=True
    ),
}


class Expectation(msgspec.Struct, frozen=True):
    """One expected outcome; `text` is the file's own, `value` None stands for an absent key.

    The value of the comparison `in` is a tuple of what is allowed.
    """

    name: str
    arguments: tuple[int | str, ...]
    comparison: str
    value: int | str | tuple[str, ...] | tuple[int, ...] | None
    text: str

    def check(self, outcome: Mapping[str, Any]) -> str | None:
        """None where the outcome, the contents of `result.json`, is as expected; else a sentence that says how not."""
        try:
            actual = _actual(self, outcome)
        except LookupError:
            return f"expected {self.text}, but the run has nothing of the kind"
        if self.name in ("quorum_includes", "quorum_excludes", "blamed"):
            is_met = _positions_fit(self.name, set(self.value or ()), actual)  # type: ignore[arg-type]
        else:
            comparable = tuple(actual) if isinstance(actual, list) else actual
            is_met = COMPARISONS[self.comparison](comparable, self.value)
        return None if is_met else f"expected {self.text}, was {actual!r}"


def _actual(expectation: Expectation, outcome: Mapping[str, Any]) -> Any:
    """What the outcome has of an expectation's subject; raises LookupError where it has nothing of the kind."""
    name, arguments = expectation.name, expectation.arguments
    reconfigurations: Sequence[Mapping[str, Any]] = outcome["reconfigurations"]
    if name == "reconfigurations":
        return sum(entry["active_ms"] is not None for entry in reconfigurations)
    if name in ("faults_injected", "changes"):
        return len(outcome[name])
    if name == "olympus_results":
        return sum(len(entry["olympus_results"]) for entry in reconfigurations)
    if name == "results":
        return outcome["results"][arguments[0]]
    if name == "result":
        results = outcome["results"][arguments[0]]
        if not isinstance(results, list):
            raise LookupError("a client without results has none of this number")
        return results[int(arguments[1])]
    if name == "final":
        if outcome["final_state"] is None:
            raise LookupError("a run that knows no final state knows nothing of its keys")
        return outcome["final_state"].get(arguments[0])
    if name == "blamed" and not arguments:
        if not reconfigurations:
            raise LookupError("no reconfiguration: nobody was blamed")
        return [entry["blamed"] for entry in reconfigurations]
    if name == "blamed":
        return reconfigurations[int(arguments[0])]["blamed"]
    if name in ("quorum_includes", "quorum_excludes"):
        quorum = reconfigurations[int(arguments[0])]["quorum"]
        if quorum is None:
            raise LookupError("no quorum: it includes nobody, and leaves nobody out")
        return quorum
    return outcome[name]


def _positions_fit(name: str, expected: set[int], actual: Any) -> bool:
    if name == "blamed":
        return bool(expected & set(actual)) if isinstance(actual, list) else actual in expected
    return expected <= set(actual) if name == "quorum_includes" else not expected & set(actual)

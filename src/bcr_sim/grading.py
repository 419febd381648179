"""What `bcr grade` runs apart, on another's sources: simulates scenarios, runs the tests of sentences, or makes a scenario small.

It tells what came of each as soon as it is known, one line of JSON on a descriptor of its own, behind a word that whoever started it
knows. It has read that word before it imports anything that is graded. That keeps what is graded from disturbing it, not from lying:
it is imported into this process, and could look for the word.
"""

import contextlib
import io
import json
import os
import resource
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pytest

SHRINKING_RUNS = 60
TOLD_CHARACTERS = 2000  # of what somebody else's code says that is wrong

Tell = Callable[..., None]  # began, name and breach, text, or broken, each a string


def main() -> None:
    """Read a task from standard input: `memory_bytes`, and `scenarios`, each a name and a text, `sentences`, `compile`, or one `shrink`.
    With `most` the simulating ends when so many have failed."""
    task = json.load(sys.stdin)
    tell = _teller(task.pop("results"), task.pop("word"))
    with open(os.devnull) as nothing:
        os.dup2(nothing.fileno(), sys.stdin.fileno())  # of the task nothing can be read a second time
    resource.setrlimit(resource.RLIMIT_AS, (task["memory_bytes"], task["memory_bytes"]))
    try:
        if "compile" in task:
            _compile(task["compile"], tell)
        elif "sentences" in task:
            _test(task["sentences"], tell)
        elif "shrink" in task:
            _shrink(task["shrink"], tell)
        else:
            _simulate(task["scenarios"], task["most"], tell)
    except BaseException as problem:
        tell(broken=f"error: {problem!r}")
        raise


def _teller(descriptor: int, word: str) -> Tell:
    def tell(**what: str) -> None:
        # What cannot be encoded, as half of a pair of surrogates, is what somebody else's code made.
        said = {key: value.encode(errors="replace").decode() for key, value in what.items()}
        line = f"{word} {json.dumps(said)}\n".encode()
        while line:
            line = line[os.write(descriptor, line) :]

    return tell


def _prepare() -> None:
    """Compile what all runs need. No seed is simulated for it: that one might not end."""
    import da  # noqa: F401 - before the modules of the layer

    from bcr_runtime.processes import byzantine_client, byzantine_replica
    from bcr_sim.campaign import spare_garbage_searches

    byzantine_replica()
    byzantine_client()
    spare_garbage_searches()


def _breach(text: str) -> str:
    from bcr_sim.campaign import run_text

    outcome = run_text(text)
    if isinstance(outcome, str):
        return outcome
    return outcome.breaches[0] if outcome.breaches else ""


def kind_of(text: str) -> str:
    """By what the scenario's run fails; empty where it does not."""
    return _breach(text).partition(":")[0]


def _shrink(text: str, tell: Tell) -> None:
    _prepare()
    from bcr_sim.shrink import shrunk

    tell(text=shrunk(text, kind_of(text), kind_of, SHRINKING_RUNS))


def _simulate(scenarios: Sequence[tuple[str, str]], most: int | None, tell: Tell) -> None:
    _prepare()
    found = 0
    for name, text in scenarios:
        tell(began=name)
        breach = _breach(text)
        tell(name=name, breach=breach[:TOLD_CHARACTERS])
        found += bool(breach)
        if found == most:
            return


def _compile(names: Sequence[str], tell: Tell) -> None:
    """Whether each file, of Python or DistAlgo, can be compiled. None is executed."""
    import da  # noqa: F401 - before its compiler
    from da.compiler.ui import dafile_to_pycode

    for name in names:
        tell(began=name)
        said = io.StringIO()
        problem = ""
        try:
            with contextlib.redirect_stderr(said):
                if name.endswith(".da") and dafile_to_pycode(name) is None:
                    problem = said.getvalue() or "it does not compile"
                elif name.endswith(".py"):
                    with open(name, "rb") as file:
                        compile(file.read(), name, "exec", dont_inherit=True)
        except Exception as error:  # what a compiler makes of a file that is none is not only SyntaxError
            problem = str(error) or repr(error)
        tell(name=name, breach=problem[:TOLD_CHARACTERS])


class _Sentences:
    """A plugin of pytest: runs the tests of some names, and tells of each, when all of its cases have been run, whether they passed."""

    def __init__(self, names: Sequence[str], tell: Tell) -> None:
        self._names, self._tell = set(names), tell
        self._left: Counter[str] = Counter()
        self._breaches: dict[str, str] = {}

    def pytest_collectreport(self, report: "pytest.CollectReport") -> None:
        if report.failed:
            *_, last = ["", *str(report.longrepr).strip().splitlines()]  # what was raised; before it stands where
            self._tell(broken=f"error: {last.removeprefix('E').strip()[:TOLD_CHARACTERS]}")

    def pytest_collection_modifyitems(self, items: "list[pytest.Item]") -> None:
        items[:] = [item for item in items if _sentence(item.nodeid) in self._names]
        self._left = Counter(_sentence(item.nodeid) for item in items)

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self._tell(began=_sentence(nodeid))

    def pytest_runtest_logreport(self, report: "pytest.TestReport") -> None:
        if not report.passed:
            crash: Any = getattr(report.longrepr, "reprcrash", None)
            message = crash.message if crash is not None else str(report.longrepr or report.outcome)
            self._breaches.setdefault(_sentence(report.nodeid), message[:TOLD_CHARACTERS] or report.outcome)

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        name = _sentence(nodeid)
        self._left[name] -= 1
        if not self._left[name]:
            self._tell(name=name, breach=self._breaches.get(name, ""))


def _sentence(case: str) -> str:
    """The test's name in its file, of one of its cases."""
    return case.partition("[")[0]


def _test(names: Sequence[str], tell: Tell) -> None:
    import pytest

    files = dict.fromkeys(name.partition("::")[0] for name in names)
    pytest.main(["-q", "-p", "no:cacheprovider", "--continue-on-collection-errors", *files], plugins=[_Sentences(names, tell)])


if __name__ == "__main__":
    main()

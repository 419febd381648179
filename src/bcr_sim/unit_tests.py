"""The unit tests that mutants meet: collected once, run in forked processes, and each with what it executes."""

import os
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec

EXAMPLES = 50  # of each property; for each mutant anew
WITHOUT = {"recorded_run"}  # fixtures that run the whole system, in OS processes that have no mutant
QUIET = ("-W", "ignore::pytest.PytestAssertRewriteWarning")  # hypothesis is imported already
OPTIONS = ("-s", "-p", "no:cacheprovider", "--assert=plain", *QUIET)


class Learned(msgspec.Struct, frozen=True):
    """What a test or a run executes without a mutant: numbers of probes; and the processor time that it takes, in seconds."""

    reached: frozenset[int]
    cpu_s: float
    trace: str = ""


def unit_of(name: str) -> str:
    """What is chosen together: a test with all its parameters, which may share what the first of them has made."""
    return name.partition("[")[0]


class Plugin:
    """Runs chosen tests of a session, in their order, until one fails, and tells of each that it is over."""

    def __init__(self, tell: Callable[[bytes], Any]) -> None:
        self.tell = tell
        self.items: dict[str, list[Any]] = {}  # by unit
        self.failure = ""

    def pytest_sessionstart(self, session: Any) -> None:
        session.config.pluginmanager.unregister(name="terminalreporter")  # what is said here is said by the campaign

    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        items[:] = [item for item in items if not WITHOUT & set(item.fixturenames)]
        for item in items:
            self.items.setdefault(unit_of(item.nodeid), []).append(item)

    def pytest_runtest_logreport(self, report: Any) -> None:
        self.tell(b"t")
        if report.failed and not self.failure:
            self.failure = report.nodeid

    def first_failure(self, names: Sequence[str]) -> str:
        """The first test of these units that fails; nothing where all pass. Raises RuntimeError where one could not be collected."""
        if missing_names := [name for name in names if name not in self.items]:
            raise RuntimeError(f"{missing_names[0]} could not be collected")
        chosen = [item for name in names for item in self.items[name]]
        for item, next_item in zip(chosen, [*chosen[1:], None], strict=True):
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=next_item)
            if self.failure:
                return self.failure
        return ""


def with_tests(files: Collection[str], tell: Callable[[bytes], Any], then: Callable[[Plugin], None]) -> None:
    """Collect the tests of these files with the modules that are imported now, and do something with them.

    Raises RuntimeError where they cannot be collected, and whatever `then` raises.
    """
    import hypothesis
    import pytest

    from bcr_runtime.places import PROJECT

    # The same examples for every mutant, and none kept; how small a failing one can be made nobody asks here.
    hypothesis.settings.register_profile(
        "mutants", database=None, derandomize=True, deadline=None, max_examples=EXAMPLES,
        phases=(hypothesis.Phase.explicit, hypothesis.Phase.generate),
    )  # fmt: skip
    hypothesis.settings.load_profile("mutants")
    plugin = Plugin(tell)
    errors: list[BaseException] = []
    has_begun = False

    class Loop:
        @staticmethod
        def pytest_runtestloop() -> bool:
            nonlocal has_begun
            has_begun = True
            hypothesis.settings.load_profile("mutants")  # a conftest has loaded its own
            try:
                then(plugin)
            except BaseException as error:
                errors.append(error)
            return True

    with _folder(PROJECT):
        status = pytest.main([*OPTIONS, *files], plugins=[plugin, Loop()])
    if errors:
        raise errors[0]
    if not has_begun:
        raise RuntimeError(f"pytest ended with status {int(status)} before a test began")


def learn(files: Collection[str], reached: set[int], tell: Callable[[bytes], Any]) -> tuple[dict[str, Learned], list[str], list[int]]:
    """Of each unit what it executes, by name; those that fail; and what importing executes, all as `reached` tells it."""
    learned: dict[str, Learned] = {}
    failed_names: list[str] = []
    imported: list[int] = []

    def one_by_one(plugin: Plugin) -> None:
        imported.extend(reached)
        for name in plugin.items:
            reached.clear()
            began_s = time.process_time()
            plugin.failure = ""
            if plugin.first_failure([name]):
                failed_names.append(name)
            learned[name] = Learned(frozenset(reached), round(time.process_time() - began_s, 4))

    with_tests(files, tell, one_by_one)
    return learned, failed_names, imported


@contextmanager
def _folder(path: Any) -> Iterator[None]:
    before = os.getcwd()
    os.chdir(path)
    try:
        yield
    finally:
        os.chdir(before)

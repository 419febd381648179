"""Processes of a simulated run at moments that have names, with the keys of everybody at hand: for tests of their methods.

A `Stage` is one run for each authenticator. Its cases are functions of a `Scene`, a process at its moment; they call what
they like of it, see what it would have done, and leave it as it was.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest
from rig import MOMENTS, Rig

from bcr.chain.messages import Shuttle
from bcr.objects.dictionary import Operation
from bcr.signed.signing import Signed
from bcr.signed.statements import Order, Request, tree_over
from bcr.signed.violations import ProtocolViolation
from bcr_sim.distalgo import sim

OLYMPUS = 0
LATE = "late"  # what happens while a process waits: nothing, until its time has passed


class Scene:
    """A process of a run at a moment, and what can be signed then."""

    def __init__(self, rig: Rig, container: Any) -> None:
        self.rig = rig
        self.container = container
        self.process = container.process
        self.state = container.process._state
        self.number = container.configuration or 0

    def keys(self, name: str) -> Any:
        """Of olympus, client_k, or replica_i of the configuration of this process, or where it has none, the first."""
        return next(
            each.process._state.keys
            for each in self.rig.run.system.all()
            if each.name == name and (each.configuration or 0) in (0 if name.startswith("client") else self.number, 0)
            and hasattr(getattr(each.process, "_state", None), "keys")
            and (not name.startswith("replica") or each.configuration == self.number)
        )  # fmt: skip

    def by_olympus(self, statement: Any) -> Any:
        return Signed.sign(statement, OLYMPUS, self.keys("olympus"))

    def by_replica(self, statement: Any, position: int = 1, named: int | None = None) -> Any:
        return Signed.sign(statement, position if named is None else named, self.keys(f"replica_{position}"))

    def by_client(self, statement: Any, client: int = 0, named: int | None = None) -> Any:
        return Signed.sign(statement, client if named is None else named, self.keys(f"client_{client}"))

    def request(self, number: int, client: int = 0, value: str = "v") -> Any:
        return self.by_client(Request(client, number, (Operation("put", "k", value),)), client)

    def fresh(self, client: int = 0) -> int:
        """The number behind the highest that was executed of a client."""
        return max(self.state.ledger.state.outcomes.get(client, {-1: None})) + 1

    def shuttle(self, *requests: Any, slot: int | None = None) -> Shuttle:
        """The head's, with these requests in the next slot."""
        at = self.state.ledger.next_slot if slot is None else slot
        order = self.by_replica(Order(self.number, at, tree_over(requests).root), 0)
        return Shuttle(self.number, at, requests, (order,), ())

    @contextmanager
    def holding(self, field: str, count: int) -> Any:
        """The process holds so many slots in one of its dictionaries, for a moment."""
        held = getattr(self.state.ledger, field)
        kept = dict(held)
        for place in range(count):
            if len(held) < count:
                held[-1 - place] = None
        while len(held) > count:
            held.popitem()
        try:
            yield
        finally:
            held.clear()
            held.update(kept)

    @contextmanager
    def recording(self, *names: str, **answers: Any) -> Any:
        """The calls of these methods of the process, none of which does anything for a moment: names and arguments.

        What is named with a value gives that.
        """
        calls: list[tuple[Any, ...]] = []

        def stand_in(name: str) -> Any:
            def called(*arguments: Any, **_: Any) -> Any:
                calls.append((name, *arguments))
                return answers.get(name)

            return called

        for name in (*names, *answers):
            setattr(self.process, name, stand_in(name))
        try:
            yield calls
        finally:
            for name in (*names, *answers):
                delattr(self.process, name)

    @contextmanager
    def having(self, **values: Any) -> Iterator[Any]:
        """The process's state with these values; whatever is assigned to any of it meanwhile is undone."""
        kept = dict(vars(self.state))
        vars(self.state).update(values)
        try:
            yield self.state
        finally:
            vars(self.state).clear()
            vars(self.state).update(kept)

    @contextmanager
    def waiting(self, *happenings: Any) -> Iterator[list[tuple[str, float | None]]]:
        """What happens while the process waits, one for each time that it does: a call, or LATE.

        Gives the waits: the label of each, and its limit in seconds.
        """
        waits: list[tuple[str, float | None]] = []
        left = list(happenings)

        def label(process: Any, name: str, block: bool = False, timeout: float | None = None) -> None:
            local = process._DistProcess__local
            local.timer_expired = False
            if not block:
                return
            waits.append((name, timeout))
            assert left, f"waits for ever at {name}"
            happening = left.pop(0)
            if happening is LATE:
                assert timeout is not None, f"nothing is ever late at {name}"
                local.timer_expired = True
            else:
                happening()

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sim.DistProcess, "_label", label)
            yield waits
        assert not left, f"did not wait for {left}"
        self.process._DistProcess__local.timer_expired = False


class Notes:
    """In place of a process's log: what was written, by the name of the event."""

    def __init__(self) -> None:
        self.events: list[str] = []

    def __getattr__(self, level: str) -> Any:
        return lambda event, *_, **__: self.events.append(event)


def stands_in(**values: Any) -> Any:
    """An object with these attributes."""
    return SimpleNamespace(**values)


class Case(NamedTuple):
    """What a call at a moment raises: kind and words, and who is blamed; nothing, where kind is None."""

    name: str
    role: str
    moment: str
    call: Callable[[Scene], Any]
    kind: type[ProtocolViolation] | None = None
    words: str = ""
    blamed: int | None = None
    authentication: str = "ed25519"


WHERE: dict[str, Callable[[Any], bool]] = {
    # The middle of the first configuration: the tail is the one that is faulty.
    "Replica": lambda state: (state.configuration_number, state.position) == (0, 1),
    "Head": lambda state: (state.configuration_number, state.position) == (0, 0),
    "Client": lambda state: state.index == 0,
    "Olympus": lambda state: True,
}
WHEN = {(role, name): holds for role, moments in MOMENTS.items() for name, holds in moments.items()}
WHEN |= {("Head", name): holds for name, holds in MOMENTS["Replica"].items()}
WHEN["Replica", "active, well on"] = WHEN["Head", "active, well on"] = lambda state: (
    state.mode == "active" and max(state.ledger.state.outcomes.get(0, [0])) > 3
)


class Stage:
    """A scenario, and the cases that are called while it runs: all of them in one run for each authenticator."""

    def __init__(self, scenario: str) -> None:
        self.scenario = scenario
        self.cases: list[Case] = []
        self._came: dict[str, dict[str, Any]] = {}

    def case(self, role: str, moment: str, kind: type[ProtocolViolation] | None = None, words: str = "", **more: Any) -> Any:
        """Declares a function of a scene as a case, under its name."""

        def declare(call: Callable[[Scene], Any]) -> Callable[[Scene], Any]:
            self.cases.append(Case(call.__name__.replace("_", " "), role, moment, call, kind, words, **more))
            return call

        return declare

    def each(self) -> Any:
        """The parametrization of a test over the cases."""
        return pytest.mark.parametrize("each", self.cases, ids=[each.name for each in self.cases])

    def came(self, authentication: str) -> dict[str, Any]:
        """What each case came to in the run: what was raised, or None."""
        if authentication not in self._came:
            results: dict[str, Any] = {}
            waiting = [each for each in self.cases if each.authentication == authentication]

            def watch(rig: Rig) -> None:
                for each in list(waiting):
                    for container in rig.processes("Replica" if each.role == "Head" else each.role):
                        state = container.process._state
                        if WHERE[each.role](state) and WHEN[each.role, each.moment](state):
                            waiting.remove(each)
                            try:
                                each.call(Scene(rig, container))
                                results[each.name] = None
                            except Exception as error:
                                results[each.name] = error
                            break

            rig = Rig(self.scenario.format(authentication=authentication))
            rig.on_event = watch
            errors = rig.errors()
            assert errors == [], errors
            self._came[authentication] = results
        return self._came[authentication]

    def check(self, each: Case) -> None:
        """That a case raised what it says, or nothing."""
        results = self.came(each.authentication)
        assert each.name in results, "the moment never came"
        raised = results[each.name]
        if each.kind is None:
            if raised is not None:
                raise raised
        else:
            assert type(raised) is each.kind, raised
            assert each.words in str(raised)
            assert raised.position == each.blamed

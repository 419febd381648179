"""Walks a simulated run event by event, forwards and back, and shows what each replica holds behind each."""

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec

from bcr.chain.proofs import Answer
from bcr.scenario import Scenario
from bcr_sim.distalgo import Container
from bcr_sim.observing import observers
from bcr_sim.simulated_run import SimulationOutcome, _Run, demand_simulable
from bcr_sim.trace import TraceEvent

HELP = "Enter or n: next; b: back; N: to event N; /TEXT: to the next event with TEXT; e: to the end; q: leave"


class Held(msgspec.Struct, frozen=True):
    """What a replica holds: mode, slots executed, slots of its history, and slots of which the results are not back."""

    mode: str
    slots: int
    history: tuple[int, ...]
    in_flight: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.mode:<10} executed {self.slots:>3}  history {_range(self.history):<8} in flight {_range(self.in_flight)}"


def _range(slots: Sequence[int]) -> str:
    return "-" if not slots else str(slots[0]) if len(slots) == 1 else f"{slots[0]}-{slots[-1]}"


class Walk:
    """A run that is over, by its events, which are counted from 1."""

    def __init__(self, outcome: SimulationOutcome, held: dict[str, list[tuple[int, Held]]]) -> None:
        self.outcome = outcome
        self.events = outcome.steps
        self._holdings = held  # replica -> what it held from an event on, in order

    def held_at(self, event: int) -> Iterator[tuple[str, Held, bool]]:
        """Each replica that there is by then, what it holds behind the event, and whether that has just changed."""
        for name, changes in sorted(self._holdings.items()):
            at = bisect_right(changes, event, key=lambda change: change[0])
            if at:
                since, held = changes[at - 1]
                yield name, held, since == event

    def found(self, text: str, behind: int) -> int | None:
        """The next event with this text."""
        return next((each for each in range(behind + 1, len(self.events) + 1) if text in told(self.events[each - 1])), None)

    def page(self, event: int) -> str:
        """What is shown of an event."""
        lines = [f"event {event} of {len(self.events)}: {told(self.events[event - 1])}"]
        lines += [f"{' *'[is_new]} {name:<30}{held}" for name, held, is_new in self.held_at(event)]
        if event == len(self.events):
            lines += [f"  violated: {breach}" for breach in self.outcome.breaches] or ["  the end; nothing was violated"]
        return "\n".join(lines)


def told(step: TraceEvent) -> str:
    """An event in words."""
    when = f"{step.time_us / 1000:.3f} ms"
    if step.kind == "befell":
        return f"{when}: {step.receiver}: {step.message}"
    lost = ", lost" if step.kind == "lost" else ""
    return f"{when}: {step.message} from {step.sender} to {step.receiver}, sent at {step.sent_us / 1000:.3f} ms{lost}"


def walk(scenario: Scenario) -> Walk:
    """Simulate the scenario, and keep what there is to see. Raises ScenarioError where it cannot be simulated."""
    demand_simulable(scenario)
    run = _Walked(scenario)
    return Walk(run.outcome(), run.held)


class _Walked(_Run):
    def __init__(self, scenario: Scenario) -> None:
        super().__init__(scenario, None, True)
        self.held: dict[str, list[tuple[int, Held]]] = {}

    def _conduct(self) -> str | None:
        watch = _Watch(self)
        observers.append(watch)  # type: ignore[arg-type]
        try:
            return super()._conduct()
        finally:
            observers.remove(watch)  # type: ignore[arg-type]


class _Watch:
    """An observer that looks at a replica whenever it has handled a message."""

    def __init__(self, run: _Walked) -> None:
        self._run = run
        self.oracle = _Deaf()
        self.told: dict[str, Any] = {}

    def executed(self, container: Container) -> None:
        self.handled(container)

    def handled(self, container: Container) -> None:
        ledger = container.process._state.ledger
        mode = container.process._state.mode
        held = Held(mode, ledger.next_slot, tuple(sorted(ledger.history)), tuple(sorted(ledger.in_flight)))
        changes = self._run.held.setdefault(f"{container.name} of configuration {container.configuration}", [])
        event = len(self._run.trace.steps or ())
        if changes and changes[-1][0] == event:
            changes[-1] = event, held
        elif not changes or changes[-1][1] != held:
            changes.append((event, held))

    def accepted(self, container: Container, answer: Answer) -> None: ...


class _Deaf:
    """In the oracle's place, of whom an observer need not have one."""

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *_: None


def step_through(walked: Walk, ask: Callable[[str], str], say: Callable[[str], Any]) -> None:
    """Show one event after another as `ask` is answered, until it is told to leave or raises EOFError."""
    event = 1
    say(HELP)
    while walked.events:
        say(walked.page(event))
        try:
            answer = ask("> ").strip()
        except EOFError:
            return
        if answer == "q":
            return
        target = _target(walked, event, answer)
        if target is None:
            say(f"no such event; {HELP}")
        else:
            event = min(max(1, target), len(walked.events))


def _target(walked: Walk, event: int, answer: str) -> int | None:
    if answer in ("", "n"):
        return event + 1
    if answer == "b":
        return event - 1
    if answer == "e":
        return len(walked.events)
    if answer.startswith("/"):
        return walked.found(answer[1:], event)
    return int(answer) if answer.isdigit() else None

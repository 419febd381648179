"""What processes say has happened to them is told to the runs that are going on."""

import sys
from collections.abc import Callable
from typing import Any, Protocol

from greenlet import GreenletExit

from bcr.chain.messages import CompletedCheckpoint
from bcr.chain.proofs import Answer
from bcr.chain.slots import ExecutedSlot
from bcr_runtime.places import SOURCES
from bcr_sim.distalgo import Container
from bcr_sim.oracle import Oracle


class Observer(Protocol):
    """A run that wants to be told."""

    oracle: Oracle
    told: dict[str, Callable[[Any, Container, Any], None]]  # what happens in its protocol alone

    def executed(self, container: Container) -> None:
        """A replica has executed a slot."""

    def handled(self, container: Container) -> None:
        """A replica has handled a message."""

    def accepted(self, container: Container, answer: Answer) -> None:
        """A client has accepted an answer of replicas."""


observers: list[Observer] = []


def observe_processes() -> None:
    """Once an OS process: whatever a process says has happened to it, the runs that are going on are told."""
    source = str(SOURCES)
    if source not in sys.path:
        sys.path.insert(0, source)
    from Participant import SEAMS, Participant

    assert "happened" in SEAMS  # the one that is there for this
    Participant.happened = _happened


def _happened(process: Any, what: str, about: Any) -> None:
    if isinstance(sys.exc_info()[1], GreenletExit):
        return  # it ends amid a step, and what it has done of that is gone
    container = process._DistProcess__procimpl
    for run in observers:
        (run.told.get(what) or _TOLD[what])(run, container, about)


def _tell_handled(run: Observer, container: Container, _message_name: str) -> None:
    if container.configuration is not None:
        run.handled(container)


def _tell_executed(run: Observer, container: Container, done: ExecutedSlot) -> None:
    run.oracle.executed(container, done.slot, done.requests, done)
    run.executed(container)


def _tell_checkpointed(run: Observer, container: Container, shuttle: CompletedCheckpoint) -> None:
    proof = container.process._state.ledger.checkpoint_proof
    if proof and set(proof) <= set(shuttle.proof):
        run.oracle.checkpointed(container, proof)


# What a process says has happened to it, in `happened`.
_TOLD: dict[str, Callable[[Observer, Container, Any], None]] = {
    "handled": _tell_handled,
    "executed": _tell_executed,
    "checkpointed": _tell_checkpointed,
    "restored": lambda run, container, _: run.oracle.restored(container),
    "resumed": lambda run, container, _: run.oracle.resumed(container),
    "went_back": lambda run, container, _: run.oracle.went_back(container),
    "accepted": lambda run, container, answer: run.accepted(container, answer),
}

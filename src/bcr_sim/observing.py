"""The methods by which the processes' states move tell the runs that are going on what has been done, and do exactly that."""

import sys
from collections.abc import Callable
from typing import Any, Protocol

from bcr.chain.messages import ResultMessage
from bcr.chain.proofs import Answer
from bcr_runtime.places import SOURCES
from bcr_sim.distalgo import Container
from bcr_sim.oracle import Oracle


class Observer(Protocol):
    """A run that wants to be told."""

    oracle: Oracle

    def executed(self, container: Container) -> None:
        """A replica has executed a slot."""

    def handled(self, container: Container) -> None:
        """A replica has handled a message."""

    def accepted(self, container: Container, answer: Answer) -> None:
        """A client has accepted an answer of replicas."""


observers: list[Observer] = []
_observed: set[type] = set()


def observe_processes() -> None:
    """Once an OS process: let `Replica` and `Client` tell what they have done, and do exactly that."""
    source = str(SOURCES)
    if source not in sys.path:
        sys.path.insert(0, source)
    from Client import Client
    from Replica import Replica

    if Replica in _observed:
        return
    _observed.add(Replica)

    def after(method: str, tell: Callable[..., None]) -> None:
        stock = getattr(Replica, method)

        def observed(process: Any, *arguments: Any) -> Any:
            done = stock(process, *arguments)
            for run in observers:
                tell(run.oracle, process._DistProcess__procimpl, arguments, done)
            return done

        setattr(Replica, method, observed)

    stock_understand, stock_result = Replica.understand, Client.on_result_message

    def understand(process: Any, *arguments: Any) -> None:
        try:
            stock_understand(process, *arguments)
        finally:
            for run in observers:
                run.handled(process._DistProcess__procimpl)

    def on_result_message(process: Any, message: ResultMessage) -> None:
        outstanding = process._state.outstanding
        was_outstanding = message.number in outstanding
        stock_result(process, message)
        if was_outstanding and message.number not in outstanding:
            for run in observers:
                run.accepted(process._DistProcess__procimpl, message.answer)

    Replica.understand, Client.on_result_message = understand, on_result_message

    def execute(process: Any, *arguments: Any) -> Any:
        done = stock_execute(process, *arguments)
        container = process._DistProcess__procimpl
        for run in observers:
            run.oracle.executed(container, done.slot, done.requests, done)
            run.executed(container)
        return done

    stock_execute, Replica.execute = Replica.execute, execute
    after("go_back", lambda oracle, container, *_: oracle.went_back(container))
    after("on_initial_history", lambda oracle, container, *_: oracle.restored(container))
    after("on_completed_checkpoint", _tell_checkpoint)


def _tell_checkpoint(oracle: Oracle, container: Container, arguments: Any, _done: Any) -> None:
    proof = container.process._state.checkpoint_proof
    if proof and set(proof) <= set(arguments[0].proof):
        oracle.checkpointed(container, proof)

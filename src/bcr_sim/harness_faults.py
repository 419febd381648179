"""What the start-up of a simulated run is told of faults past the network, for in a real run nobody tells it, or it moves nothing there."""

from bcr.faults.plans import Failure, FaultPlan, Trigger
from bcr.signed.encoding import decode
from bcr_sim.distalgo import Container


def simulators_fault(configuration: int, position: int, what: str) -> FaultPlan:
    """A fault that the simulator, and no replica, injects into a replica."""
    return FaultPlan(configuration, position, Trigger("after", None, 0), Failure(what), f"{what}({position})")


def add_fault(harness: Container | None, plan: FaultPlan) -> None:
    """Such a fault is on record."""
    assert harness is not None
    harness.process._state.collection.faults.append(plan)


def add_effect(harness: Container | None, payload: bytes) -> None:
    """A replica's word that a fault has had an effect. It takes no way and no chance: whether it is told moves nothing else in a run."""
    assert harness is not None
    plan = decode(FaultPlan, payload)
    harness.process._state.collection.add_effect(plan.configuration, plan.position, payload)

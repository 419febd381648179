"""What the handlers of a process check: a message with one thing wrong in it, properly signed, is refused for that.

And the same message with nothing wrong in it, or just within a limit, is not. A simulated run goes on around the process;
its handlers are called at a moment that has a name, with the keys of everybody at hand.
"""

import re
import sys
from collections import deque
from collections.abc import Callable
from contextlib import contextmanager
from importlib import import_module
from types import SimpleNamespace
from typing import Any

import pytest
from msgspec.structs import replace
from rig import Rig
from scenes import OLYMPUS, WHEN, WHERE, Case, Scene, Stage

from bcr.chain.history import CatchingUp, CatchUp, CaughtUp, InitialHistory, RunningStateHandover, Wedged, WithState
from bcr.chain.limits import most_in_flight, most_settled
from bcr.chain.messages import (
    Accusation,
    CheckpointShuttle,
    CompletedCheckpoint,
    PublicKey,
    ResultMessage,
    ResultShuttle,
)
from bcr.chain.proofs import Answer
from bcr.chain.timers import Timers
from bcr.objects.dictionary import Operation
from bcr.scenario.reading import parse_scenario
from bcr.signed.pieces import EVERYBODY, signed_pieces
from bcr.signed.signing import SEAL_SIZE, Signed
from bcr.signed.statements import (
    Checkpoint,
    Complaint,
    ConfigurationQuery,
    GetRunningState,
    Outcome,
    Ready,
    ReconfigurationRequest,
    Refusal,
    Request,
    Result,
    SessionOver,
    Stale,
    Voucher,
    WedgeRequest,
)
from bcr.signed.violations import (
    BeyondLimits,
    Equivocation,
    Hole,
    InvalidSignature,
    MalformedMessage,
    Overdue,
    OverLimit,
    SecondOrder,
    UnknownSigner,
    WrongConfiguration,
)
from bcr.state.cache import LatestRequests
from bcr.state.client_sessions import turn_of
from bcr.state.running import RunningState
from bcr_runtime.ambient import now_s
from bcr_runtime.places import SOURCES
from bcr_sim.observing import observe_processes
from bcr_sim.simulated_run import simulate

SCENARIO = """\
t = 1
num_client = 2
client_window = 2
batch_limit = 3
checkpt_interval = 3
client_timeout = 400
head_timeout = 300
nonhead_timeout = 300
authentication = {authentication}
workload[0] = pseudorandom(4,14)
workload[1] = pseudorandom(5,14)
failures[0,2] = shuttle(0,6),drop()
simulation = seed(1); delay(100,3000)
"""
LONG_CATCH_UP = """\
t = 1
num_client = 2
client_window = 4
client_timeout = 400
head_timeout = 300
nonhead_timeout = 300
workload[0] = pseudorandom(4,8)
workload[1] = pseudorandom(5,8)
failures[0,1] = shuttle(0,1),drop(); shuttle(0,2),drop(); shuttle(0,3),drop(); shuttle(0,4),drop(); shuttle(0,5),drop()
simulation = seed(1); delay(100,3000)
"""


STAGE = Stage(SCENARIO)
case = STAGE.case
ACTIVE, PENDING, IMMUTABLE = "active, with slots in flight", "before its configuration", "immutable"
SERVING, WEDGING = "serving", "wedging"


# -- the shuttle, at the middle of the chain


def extendable(scene: Scene, *requests: Any, **more: Any) -> None:
    scene.state.ledger.demand_extendable(scene.shuttle(*requests, **more), scene.state.configuration)


@case("Replica", ACTIVE)
def a_shuttle_with_nothing_wrong(scene: Scene) -> None:
    shuttle = scene.shuttle(scene.request(scene.fresh()), scene.request(scene.fresh(1), 1))
    shuttle.demand_valid(scene.state.configuration, scene.state.position)
    scene.state.ledger.demand_extendable(shuttle, scene.state.configuration)


@case("Replica", ACTIVE, Hole, "arrived before slot")
def a_shuttle_of_the_slot_after_the_next(scene: Scene) -> None:
    scene.process.on_shuttle(scene.shuttle(scene.request(scene.fresh()), slot=scene.state.ledger.next_slot + 1))


@case("Replica", ACTIVE, WrongConfiguration, "message of configuration")
def a_shuttle_of_another_configuration(scene: Scene) -> None:
    scene.process.on_shuttle(replace(scene.shuttle(scene.request(scene.fresh())), configuration=scene.number + 1))


@case("Replica", ACTIVE, Equivocation, "ordered here with other requests", blamed=0)
def other_requests_in_a_slot_that_is_ordered(scene: Scene) -> None:
    scene.process.on_shuttle(scene.shuttle(scene.request(scene.fresh(), value="other"), slot=scene.state.ledger.next_slot - 1))


@case("Replica", ACTIVE, OverLimit, "with 4 requests", blamed=0)
def a_slot_with_more_requests_than_a_batch_holds(scene: Scene) -> None:
    first, second = scene.fresh(), scene.fresh(1)
    extendable(scene, scene.request(first), scene.request(first + 1), scene.request(second, 1), scene.request(second + 1, 1))


@case("Replica", ACTIVE)
def a_slot_with_as_many_requests_as_a_batch_holds(scene: Scene) -> None:
    first, second = scene.fresh(), scene.fresh(1)
    extendable(scene, scene.request(first), scene.request(first + 1), scene.request(second, 1))


@case("Replica", ACTIVE, OverLimit, "slots in flight")
def a_slot_when_as_many_are_in_flight_as_ever_may(scene: Scene) -> None:
    with scene.holding("in_flight", most_in_flight(scene.state.settings)):
        extendable(scene, scene.request(scene.fresh()))


@case("Replica", ACTIVE)
def the_last_slot_that_may_be_in_flight(scene: Scene) -> None:
    with scene.holding("in_flight", most_in_flight(scene.state.settings) - 1):
        extendable(scene, scene.request(scene.fresh()))


@case("Replica", ACTIVE, Overdue, "no checkpoint for two intervals")
def a_slot_behind_two_intervals_without_a_checkpoint(scene: Scene) -> None:
    with scene.holding("history", len(scene.state.ledger.in_flight) + most_settled(scene.state.settings)):
        extendable(scene, scene.request(scene.fresh()))


@case("Replica", ACTIVE)
def the_last_slot_before_a_checkpoint_is_overdue(scene: Scene) -> None:
    with scene.holding("history", len(scene.state.ledger.in_flight) + most_settled(scene.state.settings) - 1):
        extendable(scene, scene.request(scene.fresh()))


@case("Replica", ACTIVE, OverLimit, "holds more than fits", blamed=0)
def a_slot_whose_results_are_too_large(scene: Scene) -> None:
    kept = scene.state.ledger.state
    scene.state.ledger.state = kept.copy()
    scene.state.ledger.state.apply(Operation("put", "large", "x" * (1 << 20)))
    reads = (Operation("get", "large"),)
    first, second = scene.fresh(), scene.fresh(1)
    try:
        extendable(
            scene,
            *(scene.by_client(Request(0, number, reads), 0) for number in (first, first + 1)),
            scene.by_client(Request(1, second, reads), 1),
        )
    finally:
        scene.state.ledger.state = kept


@case("Replica", ACTIVE, SecondOrder, "is not to be ordered any more", blamed=0)
def a_request_twice_in_a_slot(scene: Scene) -> None:
    request = scene.request(scene.fresh())
    extendable(scene, request, request)


@case("Replica", ACTIVE, SecondOrder, "is not to be ordered any more", blamed=0)
def a_shuttle_whose_slot_nobody_may_order(scene: Scene) -> None:
    request = scene.request(scene.fresh())
    with scene.recording("extend") as calls:
        try:
            scene.process.on_shuttle(scene.shuttle(request, request))
        finally:
            assert calls == []


@case("Replica", "active, well on", SecondOrder, "is not to be ordered any more", blamed=0)
def a_request_that_was_executed_here(scene: Scene) -> None:
    extendable(scene, scene.request(scene.fresh() - 1))


@case("Replica", ACTIVE, SecondOrder, "is not to be ordered any more", blamed=0)
def a_request_beyond_the_window_of_its_client(scene: Scene) -> None:
    extendable(scene, scene.request(scene.fresh() + scene.state.settings.client_window))


@case("Replica", ACTIVE)
def the_last_request_within_the_window_of_its_client(scene: Scene) -> None:
    extendable(scene, scene.request(scene.fresh() + scene.state.settings.client_window - 1))


@case("Replica", "active, well on", SecondOrder, "is not to be ordered any more", blamed=0)
def a_request_that_nobody_remembers(scene: Scene) -> None:
    stale = scene.fresh() - 1 - scene.state.settings.client_window
    assert stale >= 0 and scene.state.ledger.executed.get(0, stale) is None
    extendable(scene, scene.request(stale))


# -- requests


def forged(scene: Scene) -> Any:
    """A request in the name of client 0 that client 1 signed."""
    return scene.by_client(Request(0, scene.fresh(), (Operation("put", "k", "v"),)), 1, 0)


@case("Head", ACTIVE, InvalidSignature, "invalid signature of client 0")
def a_request_to_the_head_in_anothers_name(scene: Scene) -> None:
    scene.process.on_client_request(forged(scene))


@case("Head", ACTIVE, InvalidSignature, "invalid signature of client 0")
def a_forwarded_request_in_anothers_name(scene: Scene) -> None:
    scene.process.on_forwarded_request(forged(scene))


@case("Replica", ACTIVE, InvalidSignature, "invalid signature of client 0")
def a_request_to_another_than_the_head_in_anothers_name(scene: Scene) -> None:
    scene.process.on_client_request(forged(scene))


@case("Replica", ACTIVE, InvalidSignature, "invalid signature of client 0")
def a_request_in_anothers_name_within_a_shuttle(scene: Scene) -> None:
    scene.process.on_shuttle(scene.shuttle(forged(scene)))


@case("Head", ACTIVE, MalformedMessage, "a shuttle for the head")
def a_shuttle_for_the_head(scene: Scene) -> None:
    scene.process.on_shuttle(scene.shuttle(scene.request(scene.fresh())))


def too_large(scene: Scene, signer: int = 0) -> Any:
    return scene.by_client(Request(0, scene.fresh(), (Operation("get", "k"),) * 1_001), signer, 0)


@case("Head", ACTIVE, InvalidSignature, "invalid signature of client 0")
def a_request_beyond_the_limits_in_anothers_name(scene: Scene) -> None:
    scene.process.on_client_request(too_large(scene, 1))


@case("Replica", ACTIVE, BeyondLimits, "a request of 1,001 operations")
def a_request_beyond_the_limits_within_a_shuttle(scene: Scene) -> None:
    scene.process.on_shuttle(scene.shuttle(too_large(scene)))


@case("Replica", ACTIVE)
def who_gets_a_request_beyond_the_limits_rejects_it_and_passes_nothing_on(scene: Scene) -> None:
    assert done_with(scene, "on_client_request", too_large(scene)) == ["error"]


def done_with(scene: Scene, handler: str, request: Any) -> list[str]:
    """What a replica does with a request: the methods that it calls, and the kinds of messages that it sends."""
    names = ("head_request", "reply", "tell_stale", "transmit", "watch")
    with scene.recording(*names) as calls:
        getattr(scene.process, handler)(request)
    return [call[1] if call[0] == "transmit" else call[0] for call in calls]


def forgotten(scene: Scene, handler: str) -> list[str]:
    """What it does with a request that is too old, and whose result is not cached any more."""
    kept = scene.state.ledger.cache
    scene.state.ledger.cache = LatestRequests(1)
    found = done_with(scene, handler, scene.request(scene.fresh() - 1 - scene.state.settings.client_window))
    scene.state.ledger.cache = kept
    return found


@case("Replica", "active, well on")
def another_than_the_head_forwards_what_a_client_sends_and_orders_nothing(scene: Scene) -> None:
    window = scene.state.settings.client_window
    fresh = scene.request(scene.fresh())
    assert done_with(scene, "on_client_request", fresh) == ["watch", "forwarded_request"]
    assert done_with(scene, "on_forwarded_request", fresh) == []
    assert forgotten(scene, "on_client_request") == ["tell_stale"]
    assert done_with(scene, "on_client_request", scene.request(scene.fresh() + window)) == []


@case("Head", "active, well on")
def the_head_takes_what_a_client_sends_and_what_is_forwarded(scene: Scene) -> None:
    window = scene.state.settings.client_window
    for handler in ("on_client_request", "on_forwarded_request"):
        assert done_with(scene, handler, scene.request(scene.fresh())) == ["head_request"]
        assert forgotten(scene, handler) == ["tell_stale"]
        assert done_with(scene, handler, scene.request(scene.fresh() + window)) == []


@case("Head", "active, well on")
def the_head_answers_again_what_is_answered(scene: Scene) -> None:
    client, number, _ = next(scene.state.ledger.cache.items())
    for handler in ("on_client_request", "on_forwarded_request"):
        assert done_with(scene, handler, scene.request(number, client)) == ["reply"]


@case("Replica", IMMUTABLE)
def who_is_wedged_refuses_what_it_has_no_result_of_and_answers_the_rest(scene: Scene) -> None:
    client, number, _ = next(scene.state.ledger.cache.items())
    assert done_with(scene, "on_client_request", scene.request(scene.fresh() + 9)) == ["error"]
    assert done_with(scene, "on_client_request", scene.request(number, client)) == ["reply"]


# -- result shuttles and checkpoints


@case("Replica", ACTIVE, MalformedMessage, "which was not ordered here so")
def a_result_shuttle_of_a_slot_that_is_not_there_yet(scene: Scene) -> None:
    scene.process.on_result_shuttle(ResultShuttle(scene.number, scene.state.ledger.next_slot, (), ()))


@case("Replica", ACTIVE, MalformedMessage, "which was not ordered here so")
def a_result_shuttle_with_too_few_outcomes(scene: Scene) -> None:
    scene.process.on_result_shuttle(ResultShuttle(scene.number, max(scene.state.ledger.in_flight), (), ()))


@case("Replica", ACTIVE, WrongConfiguration, "message of configuration")
def a_result_shuttle_of_another_configuration(scene: Scene) -> None:
    scene.process.on_result_shuttle(ResultShuttle(scene.number + 1, max(scene.state.ledger.in_flight), (), ()))


@case("Replica", ACTIVE, Hole, "checkpoint of slot")
def a_checkpoint_of_a_slot_that_is_not_there_yet(scene: Scene) -> None:
    scene.process.on_checkpoint(CheckpointShuttle(scene.number, scene.state.ledger.next_slot, ()))


@case("Replica", ACTIVE, WrongConfiguration, "message of configuration")
def a_checkpoint_of_another_configuration(scene: Scene) -> None:
    scene.process.on_checkpoint(CheckpointShuttle(scene.number + 1, scene.state.ledger.next_slot - 1, ()))


def cut(scene: Scene, slot: int, mode: str = "active") -> tuple[list[int], bool, list[str]] | None:
    """The slots that are left, whether the proof is kept, and what is passed on, after a completed checkpoint; or nothing."""
    state = scene.state
    kept = state.ledger.history, state.ledger.checkpoint_proof, state.mode
    proof = tuple(scene.by_replica(Checkpoint(scene.number, slot, bytes(32)), position) for position in range(3))
    state.mode = mode
    with scene.recording("to_predecessor") as calls:
        scene.process.on_completed_checkpoint(CompletedCheckpoint(scene.number, slot, proof))
    found = sorted(state.ledger.history), state.ledger.checkpoint_proof == proof, [call[1] for call in calls]
    is_ignored = state.ledger.history is kept[0] and state.ledger.checkpoint_proof is kept[1] and not calls
    state.ledger.history, state.ledger.checkpoint_proof, state.mode = kept
    return None if is_ignored else found


@case("Replica", ACTIVE)
def a_completed_checkpoint_cuts_the_history_behind_its_slot_and_goes_on(scene: Scene) -> None:
    first, *others = sorted(scene.state.ledger.history)
    assert cut(scene, first) == (others, True, ["completed_checkpoint"])
    newest = max(scene.state.ledger.history)
    assert newest == scene.state.ledger.next_slot - 1
    assert cut(scene, newest) == ([], True, ["completed_checkpoint"])


@case("Head", ACTIVE)
def a_completed_checkpoint_ends_at_the_head(scene: Scene) -> None:
    first, *others = sorted(scene.state.ledger.history)
    assert cut(scene, first) == (others, True, [])


@case("Replica", "active, behind a checkpoint")
def a_completed_checkpoint_of_a_slot_that_is_cut_off_or_not_there_or_behind_the_wedge_is_ignored(scene: Scene) -> None:
    state = scene.state
    assert cut(scene, state.ledger.checkpoint_proof[0].statement.slot) is None
    assert cut(scene, state.ledger.next_slot) is None
    kept = dict(state.ledger.history)
    state.ledger.history.setdefault(state.ledger.next_slot - 1, None)
    assert cut(scene, state.ledger.next_slot - 1, "immutable") is None
    state.ledger.history.clear()
    state.ledger.history.update(kept)


@case("Replica", ACTIVE, WrongConfiguration, "message of configuration")
def a_completed_checkpoint_of_another_configuration(scene: Scene) -> None:
    scene.process.on_completed_checkpoint(CompletedCheckpoint(scene.number + 1, 0, ()))


# -- seals, and pieces, of the right author


def sealed(scene: Scene, author: int, name: str, payload: bytes = b"payload") -> Any:
    reader = scene.state.keys.public
    return scene.process.unsealed(name, scene.keys(f"replica_{author}").seal(payload, reader) + payload)


@case("Replica", ACTIVE)
def a_seal_of_each_neighbour(scene: Scene) -> None:
    before, behind = scene.state.position - 1, scene.state.position + 1
    for name in ("shuttle", "checkpoint"):
        assert sealed(scene, before, name) == b"payload"
    for name in ("result_shuttle", "completed_checkpoint"):
        assert sealed(scene, behind, name) == b"payload"


@case("Replica", ACTIVE, InvalidSignature, "without the seal of replica")
def a_shuttle_that_another_than_the_predecessor_sealed(scene: Scene) -> None:
    sealed(scene, scene.state.position, "shuttle")


@case("Replica", ACTIVE, InvalidSignature, "without the seal of replica")
def a_seal_of_another_message(scene: Scene) -> None:
    seal = scene.keys(f"replica_{scene.state.position - 1}").seal(b"one", scene.state.keys.public)
    scene.process.unsealed("shuttle", seal + b"two")


@case("Replica", ACTIVE, MalformedMessage, "that is no bytes")
def a_sealed_message_that_is_no_bytes(scene: Scene) -> None:
    scene.process.unsealed("shuttle", "x" * SEAL_SIZE)


def piece_for_replica(scene: Scene, message: str, signer: int = OLYMPUS, receiver: int = EVERYBODY, ahead: int = 0) -> Any:
    keys = scene.keys("olympus")
    [piece] = signed_pieces(message, scene.number + ahead, 1, b"payload", 1 << 20, signer, keys, receiver)
    author, name = scene.process.author_of("catch_up", piece.manifest)
    piece.manifest.demand_authentic(author, name)
    return name


@case("Replica", ACTIVE)
def a_piece_of_olympus_for_everybody_and_for_this_replica(scene: Scene) -> None:
    assert piece_for_replica(scene, "catch_up") == "Olympus"
    assert piece_for_replica(scene, "catch_up", receiver=scene.state.position) == "Olympus"


@case("Replica", ACTIVE, MalformedMessage, "a piece of another message")
def a_piece_of_another_kind_of_message(scene: Scene) -> None:
    piece_for_replica(scene, "inithist")


@case("Replica", ACTIVE, MalformedMessage, "a piece of another message")
def a_piece_of_another_configuration(scene: Scene) -> None:
    piece_for_replica(scene, "catch_up", ahead=1)


@case("Replica", ACTIVE, MalformedMessage, "a piece of another message")
def a_piece_for_another_replica(scene: Scene) -> None:
    piece_for_replica(scene, "catch_up", receiver=scene.state.position + 1)


@case("Replica", ACTIVE, MalformedMessage, "a piece of another message")
def a_piece_in_the_name_of_another_than_olympus(scene: Scene) -> None:
    piece_for_replica(scene, "catch_up", signer=1)


# -- the word of Olympus


@case("Replica", ACTIVE)
def a_command_of_olympus(scene: Scene) -> None:
    scene.process.demand_from_olympus(scene.by_olympus(WedgeRequest(scene.number)))


@case("Replica", ACTIVE, InvalidSignature, "invalid signature of Olympus")
def a_wedge_request_that_another_signed(scene: Scene) -> None:
    scene.process.on_wedge_request(scene.by_replica(WedgeRequest(scene.number), 1, OLYMPUS))


@case("Replica", ACTIVE, WrongConfiguration, "not for configuration")
def a_wedge_request_for_another_configuration(scene: Scene) -> None:
    scene.process.on_wedge_request(scene.by_olympus(WedgeRequest(scene.number + 1)))


@case("Replica", PENDING, WrongConfiguration, "not for configuration")
def a_wedge_request_before_the_configuration(scene: Scene) -> None:
    scene.process.on_wedge_request(scene.by_olympus(WedgeRequest(scene.number)))


@case("Replica", ACTIVE, InvalidSignature, "invalid signature of Olympus")
def a_catch_up_that_another_signed(scene: Scene) -> None:
    command = CatchUp(scene.number, 1, scene.state.position, ())
    scene.process.on_catch_up(scene.by_replica(command, 1, OLYMPUS))


@case("Replica", ACTIVE, InvalidSignature, "invalid signature of Olympus")
def a_running_state_that_another_asks_for(scene: Scene) -> None:
    scene.process.on_get_running_state(scene.by_replica(GetRunningState(scene.number), 1, OLYMPUS))


@case("Replica", ACTIVE, InvalidSignature, "invalid signature of Olympus")
def an_initial_history_that_another_signed(scene: Scene) -> None:
    snapshot = RunningState(2).snapshot()
    initial = scene.by_replica(InitialHistory(scene.number, snapshot.digest()), 1, OLYMPUS)
    scene.process.on_initial_history(WithState(initial, snapshot))


@case("Replica", PENDING, MalformedMessage, "running state with another digest")
def an_initial_history_beside_another_state(scene: Scene) -> None:
    state = RunningState(2)
    digest = state.digest()
    state.apply(Operation("put", "k", "v"))
    scene.process.on_initial_history(WithState(scene.by_olympus(InitialHistory(scene.number, digest)), state.snapshot()))


def issued_to(scene: Scene, chain: Any, customers: Any, **changed: Any) -> None:
    """Give a replica that has its configuration the same once more, as if it had none, with these processes beside it."""
    issued = replace(scene.state.configuration.issued, **changed)
    scene.state.mode, scene.state.arrived_with = "pending", (chain, customers)
    try:
        scene.process.on_configuration(scene.by_olympus(issued))
    finally:
        scene.state.mode = "active"


@case("Replica", ACTIVE, MalformedMessage, "names other processes")
def a_configuration_beside_other_replicas(scene: Scene) -> None:
    replicas = tuple(scene.state.replicas)
    issued_to(scene, (*replicas[1:], replicas[0]), scene.state.clients)


@case("Replica", ACTIVE, MalformedMessage, "names other processes")
def a_configuration_beside_other_clients(scene: Scene) -> None:
    issued_to(scene, scene.state.replicas, tuple(reversed(scene.state.clients)))


@case("Replica", ACTIVE, MalformedMessage, "names other processes")
def a_configuration_with_another_key_in_this_place(scene: Scene) -> None:
    members = list(scene.state.configuration.issued.replicas)
    members[scene.state.position] = replace(members[scene.state.position], public_key=scene.keys("client_0").public)
    issued_to(scene, scene.state.replicas, scene.state.clients, replicas=tuple(members))


@case("Client", "with requests outstanding", MalformedMessage, "names other processes")
def the_next_configuration_beside_other_replicas(scene: Scene) -> None:
    state = scene.state
    kept = state.arrived_with
    state.arrived_with = tuple(reversed(state.replicas))
    issued = replace(state.configuration.issued, number=scene.state.configuration.number + 1)
    try:
        scene.process.on_configuration(scene.by_olympus(issued))
    finally:
        state.arrived_with = kept


@case("Client", "with requests outstanding", InvalidSignature, "invalid signature of Olympus")
def a_configuration_that_another_issued(scene: Scene) -> None:
    issued = replace(scene.state.configuration.issued, number=scene.state.configuration.number + 1)
    scene.process.on_configuration(Signed.sign(issued, OLYMPUS, scene.keys("client_1")))


# -- what a client is told


def oldest(scene: Scene) -> Any:
    return next(each.signed for each in scene.state.outstanding.values())


@case("Client", "with requests outstanding", InvalidSignature, "invalid signature of replica 2")
def a_refusal_that_another_replica_signed(scene: Scene) -> None:
    scene.process.on_error(scene.by_replica(Refusal(0, scene.state.index, 0), 1, 2))


@case("Client", "with requests outstanding", UnknownSigner, "no replica at position")
def a_refusal_of_no_replica(scene: Scene) -> None:
    scene.process.on_error(scene.by_replica(Refusal(0, scene.state.index, 0), 1, 3))


@case("Client", "with requests outstanding", InvalidSignature, "invalid signature of replica 2")
def that_a_request_is_stale_in_another_replicas_name(scene: Scene) -> None:
    scene.process.on_stale(scene.by_replica(Stale(0, scene.state.index, 0), 1, 2))


def vouched(scene: Scene, keys: Any, **changed: Any) -> None:
    request = oldest(scene).statement
    voucher = Voucher(0, 0, scene.state.index, request.number, request.digest(), Outcome(0, 0, 0, ("OK",)))
    scene.process.on_voucher(Signed.sign(replace(voucher, **changed), OLYMPUS, keys))


@case("Client", "with requests outstanding", InvalidSignature, "invalid signature of Olympus")
def a_voucher_that_another_signed(scene: Scene) -> None:
    vouched(scene, scene.keys("client_1"))


@case("Client", "with requests outstanding", MalformedMessage, "a voucher for another request")
def a_voucher_for_another_request_of_that_number(scene: Scene) -> None:
    vouched(scene, scene.keys("olympus"), request_digest=bytes(32))


@case("Client", "before its configuration", MalformedMessage, "before the configuration")
def a_result_before_the_configuration(scene: Scene) -> None:
    answer = Answer(0, 0, 0, 1, b"", (), Outcome(0, 0, 0, ("OK",)), (), ())
    scene.process.handle("result_message", ResultMessage(0, 0, answer), lambda message: None)


# -- what Olympus is told, and by whom


@case("Olympus", SERVING, InvalidSignature, "without its enrolment secret")
def a_key_that_is_enrolled_without_the_secret(scene: Scene) -> None:
    key = scene.state.public_keys.pop("client_0")
    try:
        scene.process.on_public_key(PublicKey.enrol("client_0", b"k" * 32, bytes(32)))
    finally:
        scene.state.public_keys["client_0"] = key


@case("Olympus", SERVING, InvalidSignature, "invalid signature of replica 2")
def that_a_replica_is_ready_in_anothers_name(scene: Scene) -> None:
    scene.process.on_ready(scene.by_replica(Ready(0), 1, 2))


@case("Olympus", SERVING, InvalidSignature, "invalid signature of replica 2")
def a_request_for_reconfiguration_in_anothers_name(scene: Scene) -> None:
    scene.process.on_reconfiguration_request(scene.by_replica(ReconfigurationRequest(0, "spite"), 1, 2))


@case("Olympus", SERVING, WrongConfiguration, "which is not the current one")
def a_request_for_reconfiguration_of_the_next_configuration(scene: Scene) -> None:
    scene.process.on_reconfiguration_request(scene.by_replica(ReconfigurationRequest(1, "spite")))


def accusation(scene: Scene, **changed: Any) -> Accusation:
    answer = Answer(0, 0, 0, 1, b"", (), Outcome(0, 0, 0, ("OK",)), (), ())
    return Accusation(scene.request(0), replace(answer, **changed))


@case("Olympus", SERVING, MalformedMessage, "an accusation without a contradiction")
def an_accusation_that_proves_nothing(scene: Scene) -> None:
    scene.process.on_accusation(scene.by_client(accusation(scene)))


@case("Olympus", SERVING, WrongConfiguration, "message of configuration 1")
def an_accusation_of_another_configuration(scene: Scene) -> None:
    scene.process.on_accusation(scene.by_client(accusation(scene, configuration=1)))


@case("Olympus", SERVING, InvalidSignature, "invalid signature of client 1")
def an_accusation_in_anothers_name(scene: Scene) -> None:
    scene.process.on_accusation(scene.by_client(accusation(scene), 0, 1))


@case("Olympus", SERVING, UnknownSigner, "no client 2")
def a_query_of_no_client(scene: Scene) -> None:
    scene.process.on_configuration_query(scene.by_client(ConfigurationQuery(-1), 0, 2))


@case("Olympus", SERVING, InvalidSignature, "invalid signature of client 1")
def a_query_in_anothers_name(scene: Scene) -> None:
    scene.process.on_configuration_query(scene.by_client(ConfigurationQuery(-1), 0, 1))


@case("Olympus", "before the first configuration", WrongConfiguration, "a client before the first configuration")
def a_query_before_the_first_configuration(scene: Scene) -> None:
    scene.process.on_configuration_query(Signed(ConfigurationQuery(-1), 0, b""))


@case("Olympus", SERVING, WrongConfiguration, "a complaint that is not heeded")
def a_complaint_where_everybody_can_check_everything(scene: Scene) -> None:
    scene.process.on_complaint(scene.by_client(Complaint(0, 0)))


@case("Olympus", SERVING, WrongConfiguration, "a complaint that is not heeded", authentication="hmac")
def a_complaint_of_another_configuration(scene: Scene) -> None:
    scene.process.on_complaint(scene.by_client(Complaint(1, 0)))


@case("Olympus", SERVING, InvalidSignature, "invalid signature of client 1", authentication="hmac")
def a_complaint_in_anothers_name(scene: Scene) -> None:
    scene.process.on_complaint(scene.by_client(Complaint(0, 0), 0, 1))


@case("Olympus", SERVING, WrongConfiguration, "which is not being replaced")
def a_history_when_no_configuration_is_being_replaced(scene: Scene) -> None:
    scene.process.on_wedged(scene.by_replica(Wedged(0, (), ())))


@case("Olympus", WEDGING, WrongConfiguration, "which is not being replaced")
def a_history_of_another_configuration(scene: Scene) -> None:
    scene.process.on_wedged(scene.by_replica(Wedged(1, (), ())))


@case("Olympus", WEDGING, WrongConfiguration, "which is not being replaced")
def that_a_replica_of_another_configuration_is_caught_up(scene: Scene) -> None:
    scene.process.on_caught_up(scene.by_replica(CaughtUp(1, 1, 0, bytes(32), ())))


@case("Olympus", WEDGING, WrongConfiguration, "which is not being replaced")
def that_a_replica_of_another_configuration_is_catching_up(scene: Scene) -> None:
    scene.process.on_catching_up(scene.by_replica(CatchingUp(1, 1, 0)))


@case("Olympus", WEDGING, WrongConfiguration, "which is not being replaced")
def a_running_state_of_another_configuration(scene: Scene) -> None:
    snapshot = RunningState(2).snapshot()
    handover = scene.by_replica(RunningStateHandover(1, snapshot.digest()))
    scene.process.on_running_state(WithState(handover, snapshot))


@case("Olympus", WEDGING, InvalidSignature, "invalid signature of replica 2")
def a_history_in_anothers_name(scene: Scene) -> None:
    scene.process.on_wedged(scene.by_replica(Wedged(0, (), ()), 1, 2))


@case("Olympus", WEDGING, InvalidSignature, "invalid signature of replica 2")
def a_digest_in_anothers_name(scene: Scene) -> None:
    scene.process.on_caught_up(scene.by_replica(CaughtUp(0, 1, 0, bytes(32), ()), 1, 2))


@case("Olympus", WEDGING, InvalidSignature, "invalid signature of replica 2")
def progress_in_anothers_name(scene: Scene) -> None:
    scene.process.on_catching_up(scene.by_replica(CatchingUp(0, 1, 9), 1, 2))


def piece_for_olympus(scene: Scene, message: str = "wedged", ahead: int = 0, signer: int = 1) -> str:
    keys = scene.keys("replica_1")
    [piece] = signed_pieces(message, ahead, 1, b"payload", 1 << 20, signer, keys)
    author, name = scene.process.author_of("wedged", piece.manifest)
    piece.manifest.demand_authentic(author, name)
    return str(name)


@case("Olympus", WEDGING)
def a_piece_of_a_member(scene: Scene) -> None:
    assert piece_for_olympus(scene) == "replica 1"


@case("Olympus", WEDGING, WrongConfiguration, "that is not awaited")
def a_members_piece_of_another_kind(scene: Scene) -> None:
    piece_for_olympus(scene, "caught_up")


@case("Olympus", WEDGING, WrongConfiguration, "that is not awaited")
def a_members_piece_of_another_configuration(scene: Scene) -> None:
    piece_for_olympus(scene, ahead=1)


@case("Olympus", WEDGING, InvalidSignature, "invalid signature of replica 2")
def a_members_piece_in_anothers_name(scene: Scene) -> None:
    piece_for_olympus(scene, signer=2)


@case("Olympus", WEDGING, UnknownSigner, "no replica at position 3")
def a_piece_of_nobody(scene: Scene) -> None:
    piece_for_olympus(scene, signer=3)


@case("Olympus", SERVING, WrongConfiguration, "that is not awaited")
def a_members_piece_when_nothing_is_awaited(scene: Scene) -> None:
    piece_for_olympus(scene)


# -- what is not heeded, for it is old, for another, or nothing that is waited for


@case("Replica", IMMUTABLE)
def a_wedge_request_of_a_turn_that_was_heeded(scene: Scene) -> None:
    with scene.recording("transmit_large", "report") as calls:
        scene.process.on_wedge_request(scene.by_olympus(WedgeRequest(scene.number, scene.state.wedges)))
        assert calls == []


@case("Replica", IMMUTABLE)
def a_wedge_request_of_the_next_turn(scene: Scene) -> None:
    kept = scene.state.wedges
    with scene.recording("transmit_large", "report") as calls:
        scene.process.on_wedge_request(scene.by_olympus(WedgeRequest(scene.number, kept + 1)))
        [(_, kind, wedged), (reported, *_)] = calls
    scene.state.wedges = kept
    assert (kind, reported) == ("wedged", "report")
    assert [entry.slot for entry in wedged.statement.history] == sorted(scene.state.ledger.history)
    assert wedged.statement.checkpoint_proof == scene.state.ledger.checkpoint_proof


def caught_up(scene: Scene, attempt: int, receiver: int) -> bool:
    """Whether the replica goes about a catch-up of this attempt, for this receiver."""
    kept = scene.state.attempt
    with scene.recording("catch_up_some", "go_back") as calls:
        scene.process.on_catch_up(scene.by_olympus(CatchUp(scene.number, attempt, receiver, ())))
    scene.state.attempt, scene.state.ledger.suffix = kept, None
    return bool(calls)


@case("Replica", IMMUTABLE)
def a_catch_up_for_this_replica(scene: Scene) -> None:
    assert caught_up(scene, 1, scene.state.position)


@case("Replica", IMMUTABLE)
def a_catch_up_for_another_replica(scene: Scene) -> None:
    assert not caught_up(scene, 1, scene.state.position + 1)


@case("Replica", "caught up")
def a_catch_up_of_an_attempt_that_was_heeded(scene: Scene) -> None:
    assert not caught_up(scene, scene.state.attempt, scene.state.position)


@case("Replica", ACTIVE)
def a_catch_up_before_the_wedge(scene: Scene) -> None:
    assert not caught_up(scene, 1, scene.state.position)


def handed_over(scene: Scene, attempt: int) -> bool:
    """Whether the replica gives its running state when it is asked for it in this attempt."""
    kept = scene.state.handed_over
    with scene.recording("transmit_large") as calls:
        scene.process.on_get_running_state(scene.by_olympus(GetRunningState(scene.number, attempt)))
    scene.state.handed_over = kept
    return [call[1] for call in calls] == ["running_state"]


@case("Replica", "caught up")
def the_running_state_in_the_attempt_that_it_was_caught_up_for_and_in_no_other(scene: Scene) -> None:
    assert scene.state.handed_over < scene.state.attempt
    assert handed_over(scene, scene.state.attempt)
    assert not handed_over(scene, scene.state.attempt + 1)
    assert not handed_over(scene, scene.state.attempt - 1)


@case("Replica", "caught up")
def the_running_state_a_second_time_in_an_attempt(scene: Scene) -> None:
    kept = scene.state.handed_over
    scene.state.handed_over = scene.state.attempt
    try:
        assert not handed_over(scene, scene.state.attempt)
    finally:
        scene.state.handed_over = kept


@case("Replica", IMMUTABLE)
def a_checkpoint_behind_the_wedge(scene: Scene) -> None:
    with scene.recording("to_successor", "handle") as calls:
        scene.process.on_checkpoint(CheckpointShuttle(scene.number, scene.state.ledger.next_slot - 1, ()))
        scene.process.on_shuttle(scene.shuttle(scene.request(scene.fresh())))
    assert calls == []


@case("Replica", "caught up")
def the_running_state_while_a_catch_up_goes_on_and_before_the_wedge(scene: Scene) -> None:
    state = scene.state
    kept = state.ledger.suffix, state.mode
    state.ledger.suffix = deque()
    assert not handed_over(scene, state.attempt)
    state.ledger.suffix, state.mode = None, "active"
    assert not handed_over(scene, state.attempt)
    state.ledger.suffix, state.mode = kept


@case("Replica", ACTIVE)
def a_checkpoint_of_an_older_slot_than_the_latest(scene: Scene) -> None:
    with scene.recording("to_successor", "handle") as calls:
        scene.process.on_checkpoint(CheckpointShuttle(scene.number, scene.state.ledger.next_slot - 2, ()))
        assert calls == []
        scene.process.on_checkpoint(CheckpointShuttle(scene.number, scene.state.ledger.next_slot - 1, ()))
        assert [call[:2] for call in calls] == [("to_successor", "checkpoint")]


@case("Replica", PENDING)
def an_initial_history_of_another_configuration(scene: Scene) -> None:
    state = RunningState(2)
    state.apply(Operation("put", "k", "v"))
    kept = scene.state.ledger.state
    initial = scene.by_olympus(InitialHistory(scene.number + 1, state.digest()))
    scene.process.on_initial_history(WithState(initial, state.snapshot()))
    assert scene.state.ledger.state is kept


@case("Olympus", "serving the next configuration")
def that_a_replica_of_the_configuration_before_is_ready(scene: Scene) -> None:
    kept = set(scene.state.ready)
    scene.state.ready = set()
    scene.number = scene.state.number
    try:
        scene.process.on_ready(scene.by_replica(Ready(scene.number - 1)))
        assert scene.state.ready == set()
        scene.process.on_ready(scene.by_replica(Ready(scene.number)))
        assert scene.state.ready == {1}
    finally:
        scene.state.ready = kept


@case("Olympus", SERVING)
def another_key_of_who_has_enrolled_and_a_key_of_nobody(scene: Scene) -> None:
    kept = dict(scene.state.public_keys)
    secret = scene.state.secrets["client_0"]
    scene.process.on_public_key(PublicKey.enrol("client_0", b"another", secret))
    scene.process.on_public_key(PublicKey.enrol("client_7", b"another", secret))
    assert scene.state.public_keys == kept


@case("Olympus", SERVING)
def who_enrols_again_with_its_key_and_its_secret_is_told_what_there_is_and_nobody_else_is(scene: Scene) -> None:
    state = scene.state
    kept = state.settings
    try:
        for durable in (False, True):
            state.settings = replace(kept, durable=durable)
            for name, told in (
                ("client_1", ("announce", (state.clients[1],))),
                ("replica_2", ("hand_out", (state.chain[2],), False) if durable else None),
            ):
                key, secret = state.public_keys[name], state.secrets[name]
                with scene.recording("announce", "hand_out") as calls:
                    scene.process.on_public_key(PublicKey.enrol(name, b"another key", secret))
                    assert calls == []
                    if told is not None:
                        with pytest.raises(InvalidSignature):
                            scene.process.on_public_key(PublicKey.enrol(name, key, bytes(32)))
                    assert calls == []
                    scene.process.on_public_key(PublicKey.enrol(name, key, secret))
                assert calls == ([told] if told else [])
                assert state.public_keys[name] == key
    finally:
        state.settings = kept


@case("Olympus", SERVING)
def a_replica_that_gives_its_key_without_end_is_answered_once(scene: Scene) -> None:
    kept = scene.state.settings
    scene.state.settings = replace(kept, durable=True)
    key, secret = scene.state.public_keys["replica_1"], scene.state.secrets["replica_1"]
    try:
        with scene.recording("hand_out") as calls:
            for _ in range(100):
                scene.process.on_public_key(PublicKey.enrol("replica_1", key, secret))
    finally:
        scene.state.settings = kept
    assert calls == [("hand_out", (scene.state.chain[1],), False)]


def wanted(scene: Scene, act: Callable[[], None]) -> Any:
    """Who asked for which configuration to be replaced by this, as Olympus notes it."""
    kept = dict(scene.state.requests)
    scene.state.requests.clear()
    act()
    found = {number: request[:1] + request[2:3] for number, request in scene.state.requests.items()}
    scene.state.requests.clear()
    scene.state.requests.update(kept)
    return found


def asks(scene: Scene, number: int, blamed: int | None = None) -> Callable[[], None]:
    request = scene.by_replica(ReconfigurationRequest(number, "spite", blamed))
    return lambda: scene.process.on_reconfiguration_request(request)


@case("Olympus", SERVING)
def a_request_for_reconfiguration_of_the_current_configuration(scene: Scene) -> None:
    assert wanted(scene, asks(scene, 0, 2)) == {0: ("replica_1", 2)}


@case("Olympus", WEDGING)
def a_request_for_reconfiguration_of_what_is_being_replaced(scene: Scene) -> None:
    assert wanted(scene, asks(scene, 0)) == {}


@case("Olympus", SERVING)
def a_request_for_reconfiguration_when_all_is_about_to_be_over(scene: Scene) -> None:
    scene.state.is_closing = True
    try:
        assert wanted(scene, asks(scene, 0)) == {}
    finally:
        scene.state.is_closing = False


@case("Olympus", SERVING, authentication="hmac")
def a_complaint_that_is_heeded(scene: Scene) -> None:
    complaint = scene.by_client(Complaint(0, 0))
    assert wanted(scene, lambda: scene.process.on_complaint(complaint)) == {0: ("client_0", None)}


@case("Olympus", "serving the next configuration")
def a_query_of_a_client_that_knows_the_configuration_and_of_one_that_does_not(scene: Scene) -> None:
    current = scene.state.signed.statement.number
    with scene.recording("announce") as calls:
        scene.process.on_configuration_query(scene.by_client(ConfigurationQuery(current)))
        assert calls == []
        scene.process.on_configuration_query(scene.by_client(ConfigurationQuery(current - 1)))
        assert calls == [("announce", (scene.state.clients[0],))]


def refused(scene: Scene, **changed: Any) -> bool:
    """Whether a refusal makes a client ask for the configuration."""
    refusal = replace(Refusal(0, scene.state.index, 0), **changed)
    with scene.recording("query_configuration") as calls:
        scene.process.on_error(scene.by_replica(refusal))
    return bool(calls)


@case("Client", "with requests outstanding")
def a_refusal_for_this_client_for_another_and_of_another_configuration(scene: Scene) -> None:
    assert refused(scene)
    assert not refused(scene, client=1)
    assert not refused(scene, configuration=1)


@case("Client", "with requests outstanding")
def that_a_session_is_over_when_more_than_t_replicas_say_so_and_of_the_next_one_that_says_nothing(scene: Scene) -> None:
    state = scene.state
    names = ("said_over", "is_session_over", "has_moved", "outstanding", "next_number", "session_from", "num_requests", "sessions", "lost",
             "is_leaving", "needs_credential", "credential", "keys", "started_ns", "timers")  # fmt: skip
    kept = {name: getattr(state, name) for name in names}
    state.said_over, state.sessions, state.lost = set(), [], []
    state.outstanding, state.timers = dict(state.outstanding), Timers(1_000)

    def say(position: int, **changed: Any) -> list[Any]:
        said = SessionOver(**{"configuration": 0, "client": state.signs_as} | changed)
        with scene.recording("ask_all") as calls:
            scene.process.on_session_over(scene.by_replica(said, position))
        return calls

    try:
        assert say(2, configuration=1) == say(2, client=state.signs_as + 1) == []
        assert state.said_over == set()
        assert len(say(2)) == len(say(2)) == 1
        assert not state.is_session_over
        assert say(0) == []
        assert (state.is_session_over, state.has_moved) == (True, True)
        asked, sent = len(state.outstanding), state.next_number
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(type(scene.process), "new_keys", lambda _process, _key: kept["keys"])
            scene.process.begin_session()
        assert (state.is_session_over, state.said_over, state.next_number) == (False, set(), 0)
        assert (len(state.lost), state.outstanding, state.credential) == (asked, {}, None)
        assert state.session_from == kept["session_from"] + sent
        assert state.num_requests == kept["num_requests"] - sent
        assert state.needs_credential
        say(2)  # with nothing outstanding there is nothing that it could be over for
        assert state.said_over == set()
    finally:
        for name, value in kept.items():
            setattr(state, name, value)


@case("Client", "with requests outstanding")
def a_voucher_for_another_client_or_another_number(scene: Scene) -> None:
    with scene.recording("finish") as calls:
        vouched(scene, scene.keys("olympus"), client=1)
        vouched(scene, scene.keys("olympus"), number=99)
        assert calls == []
        vouched(scene, scene.keys("olympus"))
        assert len(calls) == 1


@case("Client", "with requests outstanding")
def a_result_for_another_client_or_another_number_or_of_an_old_configuration(scene: Scene) -> None:
    answer = Answer(0, 0, 0, 1, b"", (), Outcome(0, 0, 0, ("OK",)), (), ())
    index, number = scene.state.index, oldest(scene).statement.number
    with scene.recording("finish", "accuse") as calls:
        scene.process.on_result_message(ResultMessage(1, number, answer))
        scene.process.on_result_message(ResultMessage(index, 99, answer))
        scene.process.on_result_message(ResultMessage(index, number, replace(answer, configuration=-1)))
        assert calls == []


@case("Client", "with requests outstanding")
def a_result_that_is_not_proved_or_not_final_makes_a_client_ask_further_and_a_final_one_is_accepted(scene: Scene) -> None:
    request = oldest(scene)
    number = request.statement.number
    outcome = Outcome(0, 0, 0, ("OK",) * len(request.statement.operations))
    unproved = Answer(0, 0, 0, 1, request.digest(), (), outcome, (), ())
    agreeing = tuple(scene.by_replica(unproved.result(), position) for position in (0, 1))
    final = (*agreeing, scene.by_replica(unproved.result(), 2))
    for proof, expected in (((), ("ask_further", number, False)), (agreeing, ("ask_further", number, True))):
        answer = replace(unproved, proof=proof)
        with scene.recording("ask_further", "finish", "accuse") as calls:
            scene.process.on_result_message(ResultMessage(scene.state.index, number, answer))
        assert calls == [("accuse", request, answer), expected]
    with scene.recording("ask_further", "finish") as calls:
        scene.process.on_result_message(ResultMessage(scene.state.index, number, replace(unproved, proof=final)))
    [(what, accepted, asked, _, _)] = calls
    assert (what, accepted, asked) == ("finish", number, request)


@case("Client", "with requests outstanding")
def what_the_replicas_testify_of_another_request_of_that_number_makes_a_client_ask_further(scene: Scene) -> None:
    number, index = oldest(scene).statement.number, scene.state.index
    other = scene.by_client(Request(index, number, (Operation("get", "another"),)), index)
    answer = Answer(0, 0, 0, 1, other.digest(), (), Outcome(0, 0, 0, ("OK",)), (), ())
    proof = tuple(scene.by_replica(answer.result(), position) for position in (0, 1, 2))
    with scene.having(notices=[]) as state, scene.recording("ask_further", "finish", "accuse") as calls:
        scene.process.on_result_message(ResultMessage(index, number, replace(answer, proof=proof)))
        assert (calls, [each.kind for each in state.notices]) == ([("ask_further", number, True)], ["OfAnotherRequest"])


@case("Client", "with requests outstanding")
def of_a_final_result_beside_which_a_replica_signed_another_the_client_accuses_and_takes_it(scene: Scene) -> None:
    request = oldest(scene)
    number = request.statement.number
    outcome = Outcome(0, 0, 0, ("OK",) * len(request.statement.operations))
    answer = Answer(0, 0, 0, 1, request.digest(), (), outcome, (), ())
    honest = answer.result()
    lie = scene.by_replica(replace(honest, outcomes_digest=bytes(32)), 2)
    for last, expected in ((lie, ["accuse", "finish"]), (scene.by_replica(honest, 2), ["finish"])):
        proof = (*(scene.by_replica(honest, position) for position in (0, 1)), last)
        with scene.recording("accuse", "finish") as calls:
            scene.process.on_result_message(ResultMessage(scene.state.index, number, replace(answer, proof=proof)))
        assert [call[0] for call in calls] == expected


@case("Client", "with requests outstanding", WrongConfiguration, "answer from configuration 1")
def a_result_of_the_next_configuration(scene: Scene) -> None:
    answer = Answer(1, 0, 0, 1, b"", (), Outcome(0, 0, 0, ("OK",)), (), ())
    scene.process.on_result_message(ResultMessage(scene.state.index, oldest(scene).statement.number, answer))


@case("Client", "with requests outstanding")
def a_result_that_contradicts_nothing_is_no_reason_to_accuse(scene: Scene) -> None:
    answer = Answer(0, 0, 0, 1, b"", (), Outcome(0, 0, 0, ("OK",)), (), ())
    with scene.recording("transmit") as calls:
        scene.process.accuse(oldest(scene), answer)
    assert calls == []


@case("Client", "with requests outstanding")
def two_results_that_contradict_each_other_are_one(scene: Scene) -> None:
    results = (Result(0, 0, bytes(32), bytes([each]) * 32) for each in (1, 2))
    proof = tuple(scene.by_replica(result, position) for position, result in enumerate(results))
    answer = Answer(0, 0, 0, 1, b"", (), Outcome(0, 0, 0, ("OK",)), (), proof)
    with scene.recording("transmit") as calls:
        scene.process.accuse(oldest(scene), answer)
    [(_, kind, accusation, *_)] = calls
    assert kind == "accusation"
    accusation.demand_authentic(scene.state.configuration.client_key(scene.state.index), "client")


@case("Client", "with requests outstanding")
def the_configuration_that_is_known_beside_other_replicas(scene: Scene) -> None:
    kept = scene.state.arrived_with
    scene.state.arrived_with = tuple(reversed(scene.state.replicas))
    try:
        scene.process.on_configuration(scene.by_olympus(scene.state.configuration.issued))
    finally:
        scene.state.arrived_with = kept
    assert scene.state.replicas != tuple(reversed(scene.state.replicas))
    assert scene.state.replicas == kept


# -- what a client does when no answer convinces it


def asked_further(scene: Scene, is_right: bool, was_asked: bool) -> list[str]:
    """What a client does then, with its oldest request, of which all replicas were asked before, or not."""
    number = oldest(scene).statement.number
    waiting = scene.state.outstanding[number]
    kept, waiting.has_asked_all = waiting.has_asked_all, was_asked
    with scene.recording("transmit", "retransmit") as calls:
        scene.process.ask_further(number, is_right)
    waiting.has_asked_all = kept
    return [call[1] if call[0] == "transmit" else call[0] for call in calls]


@case("Client", "with requests outstanding", authentication="hmac")
def of_an_answer_that_convinces_replicas_alone_a_client_complains_once_all_were_asked(scene: Scene) -> None:
    assert asked_further(scene, is_right=True, was_asked=True) == ["complaint"]
    assert asked_further(scene, is_right=False, was_asked=True) == []
    assert asked_further(scene, is_right=True, was_asked=False) == ["retransmit"]


@case("Client", "with requests outstanding")
def where_everybody_can_check_everything_a_client_complains_of_nothing(scene: Scene) -> None:
    assert asked_further(scene, is_right=True, was_asked=True) == []


@case("Client", "with requests outstanding")
def a_client_that_has_asked_all_replicas_in_vain_asks_for_the_configuration(scene: Scene) -> None:
    state = scene.state
    number = oldest(scene).statement.number
    waiting = state.outstanding[number]
    kept = waiting.attempts, waiting.has_asked_all, state.retransmissions, state.timers
    started: list[Any] = []
    state.timers = SimpleNamespace(start=lambda *arguments: started.append(arguments[-1] / state.settings.client_timeout_ms))
    waiting.attempts = 1
    with scene.recording("transmit", "query_configuration") as calls:
        for _ in range(5):
            scene.process.retransmit(number)
    sent = [call[0] for call in calls]
    assert [call[3] for call in calls if call[0] == "transmit"] == [state.replicas] * 5
    waiting.attempts, waiting.has_asked_all, state.retransmissions, state.timers = kept
    assert sent == ["transmit", *["transmit", "query_configuration"] * 4]
    assert started == [2, 4, 8, 16, 16]


@case("Client", "with requests outstanding")
def in_the_next_configuration_a_client_sends_what_it_waits_for_once_more_with_a_timer_of_its_own(scene: Scene) -> None:
    state = scene.state
    number = oldest(scene).statement.number
    waiting = state.outstanding[number]
    kept = waiting.attempts, waiting.signed, state.retransmissions, state.timers
    stopped: list[Any] = []
    state.timers = SimpleNamespace(stop=stopped.append)
    with scene.recording("send_to_head") as calls:
        scene.process.send_again(number)
    assert (waiting.attempts, state.retransmissions) == (kept[0] + 1, kept[2] + 1)
    assert (stopped, calls) == ([number], [("send_to_head", number, waiting.signed)])
    assert waiting.signed.statement == kept[1].statement
    waiting.attempts, waiting.signed, state.retransmissions, state.timers = kept


@case("Client", "with requests outstanding")
def a_client_sends_no_further_than_its_window_reaches_behind_the_oldest(scene: Scene) -> None:
    state = scene.state
    kept = state.outstanding, state.next_number, state.num_requests
    window = state.settings.client_window
    assert window == 2
    state.num_requests = 9
    for outstanding, next_number, may_send in (((4,), 5, True), ((4, 5), 6, False), ((5,), 6, True), ((), 8, True), ((), 9, False)):
        state.outstanding, state.next_number = dict.fromkeys(outstanding), next_number
        assert scene.process.may_send() == may_send
        assert scene.process.is_finished() == (next_number == 9 and not outstanding)
    state.outstanding, state.next_number, state.num_requests = kept


# -- when the head orders


@case("Head", "active, well on")
def a_request_that_became_stale_while_it_waited_is_not_ordered_and_its_client_is_told(scene: Scene) -> None:
    stale = scene.request(scene.fresh() - 1 - scene.state.settings.client_window)
    fresh = scene.request(scene.fresh())
    kept, settled = scene.state.queue, []
    scene.state.queue = SimpleNamespace(settled=lambda *key: settled.append(key))
    try:
        with scene.recording("tell_stale") as calls:
            assert scene.process.is_orderable(fresh)
            assert (settled, calls) == ([], [])
            assert not scene.process.is_orderable(stale)
        assert (settled, calls) == ([turn_of(stale)], [("tell_stale", stale)])
    finally:
        scene.state.queue = kept


# -- what comes before the configuration, and what may not leave before it is on the disk


@case("Replica", PENDING)
def what_comes_before_the_configuration_is_kept_and_taken_behind_it_in_its_order(scene: Scene) -> None:
    first, second, third = (("shuttle", b"s", None), ("client_request", b"c", None), ("forwarded_request", b"f", None))
    with scene.recording("accept", "accept_sealed", "drop") as calls:
        for message in (second, first, third, ("client_request", None, None), ("shuttle", "text", None)):
            scene.process.take(*message)
    assert calls == []
    with scene.recording("take") as taken:
        scene.process.take_early()
    assert taken == [("take", *first), ("take", *second), ("take", *third)]
    with scene.recording("take") as taken:
        scene.process.take_early()
    assert taken == []


@case("Replica", ACTIVE)
def who_may_ask_to_be_replaced(scene: Scene) -> None:
    state = scene.state
    kept = state.mode, state.wedges
    try:
        for mode, wedges, may_ask in (("active", 0, True), ("active", 2, True), ("immutable", 0, True), ("immutable", 1, False),
                                      ("pending", 0, False)):  # fmt: skip
            state.mode, state.wedges = mode, wedges
            assert scene.process.may_ask() == may_ask
    finally:
        state.mode, state.wedges = kept


@case("Replica", ACTIVE)
def with_the_configuration_what_is_sealed_is_told_from_what_is_not(scene: Scene) -> None:
    with scene.recording("accept", "accept_sealed", "keep_early") as calls:
        for message in (("shuttle", b"s", None), ("client_request", b"c", None)):
            scene.process.take(*message)
    assert calls == [("accept_sealed", "shuttle", b"s", None), ("accept", "client_request", b"c", None)]


@case("Replica", ACTIVE)
def what_waits_for_the_disk_leaves_when_as_much_waits_as_may(scene: Scene) -> None:
    most = import_module("ChainProcess").MOST_WAITING
    assert most == 64
    outbox = scene.state.outbox
    assert not outbox
    try:
        outbox.append((("kind", b""), ()))
        with scene.recording("send_waiting") as calls:
            for _ in range(most - 2):
                scene.process.deliver(("kind", b""), ())
            assert (len(outbox), calls) == (most - 1, [])
            scene.process.deliver(("kind", b""), ())
            assert (len(outbox), calls) == (most, [("send_waiting",)])
    finally:
        outbox.clear()


# -- the head's statement, which the second of the chain alone checks


@case("Replica", ACTIVE)
def a_result_in_the_heads_name_that_it_did_not_sign_is_noticed_behind_the_result(scene: Scene) -> None:
    ledger = scene.state.ledger
    slot, here = next(iter(ledger.in_flight.items()))
    honest = here.done.result()
    others = (scene.by_replica(honest), scene.by_replica(honest, 2))
    for head, noticed in ((scene.by_replica(honest, 1, 0), 1), (scene.by_replica(honest, 0), 0)):
        shuttle = ResultShuttle(scene.number, slot, here.done.outcomes, (head, *others), here.orders)
        with scene.recording("misbehaviour", "settle") as calls:
            scene.process.on_result_shuttle(shuttle)
        assert [call[0] for call in calls] == ["settle", *["misbehaviour"] * noticed]


# -- when the head orders, and how much


def ordered(scene: Scene, ready: int, in_flight: int, orderable: bool = True, overdue: bool = False) -> list[str]:
    """What the head does where so many requests may be ordered and so many slots are in flight."""
    state = scene.state
    kept, left = state.queue, [ready]

    def take(most: int, fits: Any) -> list[int]:
        taken = min(most, left[0])
        left[0] -= taken
        return [0] * taken

    state.queue = SimpleNamespace(ready=lambda: left[0], take=take)
    scene.process.is_orderable = lambda request: orderable
    scene.state.ledger.is_overdue = lambda: overdue
    try:
        with scene.holding("in_flight", in_flight), scene.recording("extend", "ask_for_reconfiguration") as calls:
            scene.process.order_queued()
    finally:
        del scene.process.is_orderable, scene.state.ledger.is_overdue
        state.queue = kept
    return [f"{len(call[1].requests)} ordered" if call[0] == "extend" else "asked" for call in calls]


@case("Head", ACTIVE)
def the_head_orders_what_fills_a_batch_or_what_there_is_when_nothing_is_in_flight(scene: Scene) -> None:
    assert scene.state.settings.batch_limit == 3
    assert ordered(scene, 3, 1) == ["3 ordered"]
    assert ordered(scene, 2, 1) == []
    assert ordered(scene, 7, 1) == ["3 ordered", "3 ordered"]
    assert ordered(scene, 0, 0) == []
    assert ordered(scene, 1, 0) == ["1 ordered"]
    assert ordered(scene, 3, 1, orderable=False) == []
    assert ordered(scene, 3, 1, overdue=True) == ["asked"]


@case("Head", IMMUTABLE)
def a_head_that_is_wedged_orders_nothing(scene: Scene) -> None:
    assert ordered(scene, 3, 0) == []


# -- when a replica looks again


class Started:
    """Timers that only tell for how long they were started."""

    def __init__(self) -> None:
        self.durations: list[float] = []

    def start(self, name: Any, now: float, duration_ms: float) -> None:
        self.durations.append(duration_ms)


def awaited(scene: Scene) -> list[float]:
    """For how long a replica whose timeouts differ waits for its oldest result shuttle."""
    state = scene.state
    kept = state.settings, state.timers
    state.settings = replace(kept[0], client_timeout_ms=1_000, head_timeout_ms=10, nonhead_timeout_ms=200)
    state.timers = Started()
    scene.process.await_result_shuttle()
    found = state.timers.durations
    state.settings, state.timers = kept
    return found


@case("Replica", ACTIVE)
def another_than_the_head_awaits_a_result_shuttle_for_its_own_time(scene: Scene) -> None:
    assert awaited(scene) == [1_200]


@case("Head", ACTIVE)
def the_head_awaits_a_result_shuttle_for_its_own_time(scene: Scene) -> None:
    assert awaited(scene) == [1_010]


@case("Replica", "active, before the first slot")
def where_nothing_is_in_flight_nothing_is_awaited(scene: Scene) -> None:
    assert awaited(scene) == []


@case("Replica", ACTIVE)
def who_wants_to_be_replaced_asks_again_after_longer_and_longer(scene: Scene) -> None:
    state = scene.state
    kept = state.timers, state.reconfiguration_requests, state.wish
    state.timers, state.reconfiguration_requests = Started(), 0
    with scene.recording("transmit") as calls:
        scene.process.ask_for_reconfiguration("spite", 2)
        scene.process.ask_for_reconfiguration("more of it", 0)  # has been asked for already
        for patience in (1, 2, 4, 8, 16, 16):
            scene.process.ask_again(patience)
    durations, asked = state.timers.durations, state.reconfiguration_requests
    state.timers, state.reconfiguration_requests, state.wish = kept
    assert durations == [times * state.settings.nonhead_timeout_ms for times in (1, 2, 4, 8, 16, 16, 16)]
    assert asked == 7
    assert [call[2].statement.reason for call in calls] == ["spite", *["more of it"] * 6]
    assert {call[1] for call in calls} == {"reconfiguration_request"}


@case("Replica", IMMUTABLE)
def who_is_wedged_asks_for_nothing(scene: Scene) -> None:
    with scene.recording("transmit") as calls:
        scene.process.ask_for_reconfiguration("spite", 2)
        scene.process.ask_again(1)
    assert calls == []


@case("Replica", "active, well on")
def a_timer_that_expires_is_a_reason_to_ask_unless_nobody_waits_any_more(scene: Scene) -> None:
    def expired(kind: Any, which: Any) -> list[str]:
        with scene.recording("ask_again", "ask_for_reconfiguration") as calls:
            scene.process.expire(kind, which)
        return [f"{call[0]} {call[1]}" for call in calls]

    newest = scene.fresh() - 1
    assert expired("asked", 4) == ["ask_again 4"]
    assert expired("result shuttle", 7) == ["ask_for_reconfiguration no result shuttle of slot 7 in time"]
    assert expired(0, (0, newest)) == [f"ask_for_reconfiguration no result of request {newest} of client 0 in time"]
    assert expired(0, (0, newest - scene.state.settings.client_window)) == []


@case("Replica", IMMUTABLE)
def a_long_catch_up_is_told_of_slice_by_slice(scene: Scene) -> None:
    state = scene.state
    kept = state.ledger.suffix, state.attempt
    state.ledger.suffix, state.attempt = deque([SimpleNamespace(slot=-1)]), 7
    with pytest.MonkeyPatch.context() as patch, scene.recording("transmit", "transmit_large") as calls:
        patch.setattr(sys.modules["Replica"], "CATCH_UP_SLICE_REQUESTS", 0)
        hashed = []

        def digest(of):
            hashed.append(of)

        patch.setattr(type(state.ledger.state), "digest", digest)
        scene.process.catch_up_some()
        assert len(state.ledger.suffix) == 1
        assert hashed == [state.ledger.state]  # else all that it changes would be hashed at the end, and Olympus hear nothing meanwhile
        patch.undo()
        patch.setattr(sys.modules["Replica"], "CATCH_UP_SLICE_REQUESTS", 1)
        scene.process.catch_up_some()
        assert state.ledger.suffix is None
    state.ledger.suffix, state.attempt = kept
    assert [call[1] for call in calls] == ["catching_up", "caught_up"]
    told = [call[2].statement for call in calls]
    assert {(each.configuration, each.attempt, each.slots) for each in told} == {(0, 7, state.ledger.next_slot)}
    assert told[1].state_digest == state.ledger.state.digest()


# -- what Olympus waits for


@contextmanager
def knowing(scene: Scene, gone: tuple[int, ...] = (), places: Any = (), **said: Any) -> Any:
    """Olympus with a reconfiguration of which this is said, where the replicas at these positions are known to be gone."""
    state = scene.state
    kept = state.change, state.places
    lost = [state.replicas[position] for position in gone]
    state.change = SimpleNamespace(**{name: lambda value=value: value for name, value in said.items()})
    state.places = places
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys.modules["Maker"], "gone", lambda processes: [each for each in processes if each in lost])
        try:
            yield scene.process
        finally:
            state.change, state.places = kept


@case("Olympus", SERVING)
def whether_all_have_answered_the_wedge_request_that_can(scene: Scene) -> None:
    with knowing(scene, owing=[], answered=3) as olympus:
        assert olympus.is_wedged()
    with knowing(scene, owing=[1, 2], answered=1) as olympus:
        assert not olympus.is_wedged()
    with knowing(scene, gone=(2,), owing=[1, 2], answered=1) as olympus:
        assert not olympus.is_wedged()
    with knowing(scene, gone=(1, 2), owing=[1, 2], answered=1) as olympus:
        assert olympus.is_wedged()
    with knowing(scene, gone=(0, 1, 2), owing=[0, 1, 2], answered=0) as olympus:
        assert not olympus.is_wedged()
    with knowing(scene, gone=(2,), places=("host",), owing=[2], answered=2) as olympus:
        assert not olympus.is_wedged()  # of processes on nodes it is not known


@case("Olympus", SERVING)
def a_history_is_checked_as_soon_as_it_comes(scene: Scene) -> None:
    for is_checking in (True, False):
        done: list[Any] = []
        with knowing(scene, is_checking=is_checking) as olympus:
            scene.state.change.configuration = SimpleNamespace(number=0)
            scene.state.change.add_wedged = done.append
            scene.state.change.check_some = done.append
            wedged = scene.by_replica(Wedged(0, (), ()))
            olympus.on_wedged(wedged)
        assert done == [wedged, import_module("Olympus").SLICE_REQUESTS][: 1 + is_checking]


@case("Olympus", SERVING)
def whether_nothing_that_may_yet_come_would_help(scene: Scene) -> None:
    with knowing(scene, awaits=set(), is_unforgiving=False) as olympus:
        assert olympus.is_hopeless()
    with knowing(scene, awaits=set(), is_unforgiving=True) as olympus:
        assert not olympus.is_hopeless()
    with knowing(scene, awaits={2}, is_unforgiving=False) as olympus:
        assert not olympus.is_hopeless()
    with knowing(scene, gone=(2,), awaits={2}, is_unforgiving=False) as olympus:
        assert olympus.is_hopeless()
    with knowing(scene, gone=(2,), awaits={1, 2}, is_unforgiving=False) as olympus:
        assert not olympus.is_hopeless()
    with knowing(scene, gone=(2,), awaits={2}, is_unforgiving=True) as olympus:
        assert not olympus.is_hopeless()
    with knowing(scene, gone=(1, 2), awaits={0}, is_unforgiving=True) as olympus:
        assert olympus.is_hopeless()  # more than t
    with knowing(scene, gone=(1, 2), places=("host",), awaits={1, 2}, is_unforgiving=False) as olympus:
        assert not olympus.is_hopeless()


@case("Olympus", SERVING)
def where_replicas_may_begin_again_olympus_looks_after_them_from_time_to_time(scene: Scene) -> None:
    kept = scene.state.settings
    try:
        for durable, round_s in ((False, None), (True, 0.3)):
            scene.state.settings = replace(kept, durable=durable)
            assert scene.process.round_s() == round_s
    finally:
        scene.state.settings = kept


@case("Olympus", SERVING)
def whether_nothing_can_have_become_final(scene: Scene) -> None:
    state = scene.state
    kept = state.has_waited, state.mute, state.settings
    try:
        for has_waited, mute, acceptance, is_void in (
            (True, ("replica_1",), "all", True),
            (False, ("replica_1",), "all", False),
            (True, (), "all", False),
            (True, ("replica_1",), "quorum", False),
        ):
            state.has_waited, state.mute = has_waited, mute
            state.settings = replace(kept[2], acceptance=acceptance)
            assert scene.process.is_void() == is_void
    finally:
        state.has_waited, state.mute, state.settings = kept


# -- all of them, in one run for each authenticator


@STAGE.each()
def test_what_a_process_checks_is_refused_for_that_and_nothing_else_is(each: Case) -> None:
    STAGE.check(each)


HANDLED = {
    role: {kind for name in files for kind in re.findall(r"receive\(msg=\('(\w+)'", (SOURCES / f"{name}.da").read_text())}
    for role, files in {
        "Replica": ("Replica", "ChainProcess", "Participant"),
        "Client": ("Client", "ClientSession", "ClientProcess", "Participant"),
        "Olympus": ("Olympus", "Issuer", "OlympusProcess", "Participant"),
    }.items()
}


MORE: dict[str, tuple[Any, ...]] = {
    "configuration": ((), ()),
    "moved": (None,),
    "introduction": (None,),
}  # parts of a message beside its payload


@pytest.mark.parametrize(("role", "moment"), [("Replica", ACTIVE), ("Client", "with requests outstanding"), ("Olympus", SERVING)])
def test_whatever_arrives_under_the_name_of_a_message_is_looked_at_and_noted(role: str, moment: str) -> None:
    """What cannot be read leaves a notice: so each message's handler hands on what it gets."""
    watched: list[Any] = []
    noted: set[str] = set()

    def watch(rig: Rig) -> None:
        for container in rig.processes(role):
            state = container.process._state
            if not watched and WHERE[role](state) and WHEN[role, moment](state):
                watched.append(state)
                state.notices.clear()
                for kind in HANDLED[role]:
                    rig.inject(container, (kind, b"\xc1", *MORE.get(kind, ())))
        for state in watched:
            noted.update(each.message.removeprefix("new_") for each in state.notices)

    rig = Rig(SCENARIO.format(authentication="ed25519"))
    rig.on_event = watch
    assert rig.errors() == []
    assert len(HANDLED[role]) > 5
    assert HANDLED[role] == noted


def test_a_catch_up_of_many_slices_goes_on_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tail sleeps while four slots are ordered, and lacks them when it is wedged."""
    observe_processes()
    replica = import_module("Replica")
    monkeypatch.setattr(replica, "CATCH_UP_SLICE_REQUESTS", 1)
    stock, sent = replica.Replica.transmit, []

    def transmit(process: Any, name: str, *arguments: Any) -> None:
        sent.append((name, now_s()))
        stock(process, name, *arguments)

    monkeypatch.setattr(replica.Replica, "transmit", transmit)
    outcome = simulate(parse_scenario(LONG_CATCH_UP, "x.config")[0])
    assert (outcome.breaches, outcome.judgement.status) == ((), "pass")
    times = [time for name, time in sent if name == "catching_up"]
    assert len(times) >= 3
    assert max(times) - min(times) < 0.1


def test_replicas_that_do_not_enrol_are_made_anew_under_the_next_number_and_waited_for_longer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    observe_processes()
    olympus = import_module("Olympus").Olympus
    stock, asked = olympus.enrol, []

    def enrol(process: Any, patience_ms: int) -> Any:
        asked.append((process._state.number, patience_ms))
        return len(asked) > 3 and stock(process, patience_ms)

    monkeypatch.setattr(olympus, "enrol", enrol)
    text = "t = 1\nnum_client = 1\nolympus_timeout = 500\nworkload[0] = pseudorandom(4,8)\nsimulation = seed(1)\n"
    outcome = simulate(parse_scenario(text, "x.config")[0])
    assert asked == [(0, 500), (1, 1_000), (2, 2_000), (3, 4_000)]
    assert [signed.statement.number for signed in outcome.record.configurations] == [3]
    assert len(outcome.record.clients[0].exchanges) == 8

"""What a replica does, step by step: each case calls one of its methods, and names a sentence of docs/protocol.md.

What the method would call or send stands in the case; a simulated run goes on around it.
"""

import sys
from contextlib import contextmanager
from typing import Any

import pytest
from scenes import Case, Notes, Scene, Stage, stands_in

from bcr.chain.history import InitialHistory, WithState
from bcr.chain.messages import CompletedCheckpoint, ResultShuttle
from bcr.chain.outstanding import NO_ROOM
from bcr.chain.timers import Timers
from bcr.chain.void import VOID
from bcr.objects.dictionary import Operation
from bcr.signed.signing import Signed
from bcr.signed.statements import Checkpoint, Credential, Request, SessionRequest, WedgeRequest
from bcr.signed.violations import InvalidSignature, MalformedMessage
from bcr.state.client_sessions import turn_of
from bcr.state.running import RunningState
from bcr_runtime.processes import address_of

STAGE = Stage("""\
t = 1
num_client = 2
client_window = 2
batch_limit = 3
checkpt_interval = 3
client_timeout = 400
head_timeout = 300
nonhead_timeout = 200
authentication = {authentication}
workload[0] = pseudorandom(4,14)
workload[1] = pseudorandom(5,14)
failures[0,2] = shuttle(0,6),drop()
simulation = seed(1); delay(100,3000)
""")
case = STAGE.case
ACTIVE, PENDING, IMMUTABLE = "active, with slots in flight", "before its configuration", "immutable"


@contextmanager
def ledger(scene: Scene, **values: Any) -> Any:
    """The replica's ledger with these values, for a moment."""
    kept = dict(vars(scene.state.ledger))
    vars(scene.state.ledger).update(values)
    try:
        yield scene.state.ledger
    finally:
        vars(scene.state.ledger).clear()
        vars(scene.state.ledger).update(kept)


# -- becoming part of a configuration [1.4, 1.5, 7.8, 13.3]


@case("Replica", ACTIVE)
def who_has_not_begun_again_counts_what_it_says_from_one(scene: Scene) -> None:
    assert scene.state.control._sent_count < 1_000


def initial(scene: Scene) -> Any:
    """A running state that is not the replica's, as Olympus hands it out for its configuration."""
    state = RunningState(2)
    state.apply(Operation("put", "k", "another"))
    return WithState(scene.by_olympus(InitialHistory(scene.number, state.digest())), state.snapshot())


@case("Replica", ACTIVE)
def a_running_state_is_taken_before_the_configuration_and_never_where_there_is_a_log(scene: Scene) -> None:
    for mode, has_begun, is_taken in (
        ("pending", False, True),
        ("active", False, False),
        ("immutable", False, False),
        ("pending", True, False),
    ):
        state = scene.state.ledger.state
        with (
            scene.having(mode=mode, stable=stands_in(has_begun=has_begun), has_initial_history=False),
            ledger(scene, state=state) as held,
        ):
            scene.process.on_initial_history(initial(scene))
            assert (held.state is not state, scene.state.has_initial_history) == (is_taken, is_taken)


def configured(scene: Scene, mode: str, number: int, has_history: bool, has_begun: bool) -> list[str]:
    """What a replica of configuration `number` does in this mode when its configuration, which is the first, comes."""
    log: list[str] = []
    stable = stands_in(
        has_begun=has_begun, has_restarted=has_begun, begin=lambda *_: log.append("begin"), resume=lambda *_: log.append("resume")
    )
    having = {"mode": mode, "configuration_number": number, "has_initial_history": has_history, "stable": stable, "report_wanted": None,
              "arrived_with": (scene.state.replicas, scene.state.clients)}  # fmt: skip
    with scene.having(**having), scene.recording("tell_olympus", "come_back", "take_early") as calls:
        scene.process.on_configuration(scene.by_olympus(scene.state.configuration.issued))
    return [*log, *(call[1] if call[0] == "tell_olympus" else call[0] for call in calls)]


@case("Replica", ACTIVE)
def a_configuration_is_taken_once_and_behind_the_state_that_it_begins_with(scene: Scene) -> None:
    assert configured(scene, "pending", 0, True, False) == ["begin", "ready", "take_early"]
    assert configured(scene, "pending", 0, False, True) == ["resume", "come_back", "take_early"]
    assert configured(scene, "pending", 0, False, False) == []
    assert configured(scene, "pending", 1, True, False) == []
    for mode in ("active", "immutable"):
        for has_history, has_begun in ((True, False), (True, True), (False, True)):
            assert configured(scene, mode, 0, has_history, has_begun) == []


# -- clients that no configuration names [15.2]


def introduced(scene: Scene, beside: int, **changed: Any) -> Any:
    """Where client 5 is after it has introduced itself, with this client's process beside its credential."""
    process = scene.state.clients[beside]
    credential = Credential(5, 1, b"key", address_of(scene.state.clients[1]))
    signed = scene.by_olympus(credential) if not changed else Signed.sign(credential, 0, scene.keys(changed["by"]))
    guests: list[Any] = []
    with scene.having(guests=stands_in(add=lambda *what: guests.append(what)), arrived_guest=process):
        try:
            scene.process.on_introduction(signed)
        finally:
            assert guests in ([], [(credential, process)])
    return guests


@case("Replica", ACTIVE)
def a_client_is_where_its_credential_says(scene: Scene) -> None:
    assert introduced(scene, 1)


@case("Replica", ACTIVE, InvalidSignature, "invalid signature of Olympus")
def an_introduction_with_a_credential_that_another_signed(scene: Scene) -> None:
    introduced(scene, 1, by="client_1")


@case("Replica", ACTIVE, MalformedMessage)
def an_introduction_with_another_process_beside_it(scene: Scene) -> None:
    introduced(scene, 0)


# -- what comes in under a seal, and what goes out [7a.2, 13.2, 13.10]


@case("Replica", ACTIVE)
def what_is_wrong_under_a_seal_is_the_neighbours_misbehaviour_while_it_is_active(scene: Scene) -> None:
    def is_wrong(*_: Any) -> None:
        raise MalformedMessage("wrong")

    for mode, wedges, done in (("active", 0, "misbehaviour"), ("immutable", 0, "disregard"), ("immutable", 1, "disregard")):
        with scene.having(mode=mode, wedges=wedges), scene.recording("misbehaviour", "disregard", unsealed=b"") as calls:
            scene.process.understand = is_wrong
            try:
                scene.process.accept_sealed("shuttle", b"", None)
            finally:
                del scene.process.understand
        assert [call[0] for call in calls] == ["unsealed", done]


@case("Replica", ACTIVE)
def of_wrong_messages_without_end_not_each_has_lines_in_the_log(scene: Scene) -> None:
    violation = MalformedMessage("wrong")
    for has_room, lines in ((True, ["misbehaviour", "dropped", "misbehaviour", "ignored"]), (False, [])):
        notes = Notes()
        journal = stands_in(
            has_room_for_provoked=lambda answer=has_room: answer, warn=notes.warn, step=notes.step, evidence=lambda *_: None
        )
        with scene.having(journal=journal, notices=[], dropped=0) as state:
            scene.process.drop("shuttle", violation)
            scene.process.disregard("shuttle", violation)
            assert (notes.events, len(state.notices), state.dropped) == (lines, 2, 1)


@case("Replica", ACTIVE)
def what_is_said_while_something_waits_for_the_disk_waits_behind_it(scene: Scene) -> None:
    for is_dirty, outbox, waits in ((False, [], 0), (True, [], 1), (False, ["first"], 2), (True, ["first"], 2)):
        with scene.having(stable=stands_in(is_dirty=is_dirty), outbox=list(outbox)) as state, scene.recording("send") as calls:
            scene.process.deliver(("kind", b""), ())
            assert (len(state.outbox), len(calls)) == (waits, 0 if waits else 1)


@case("Replica", ACTIVE)
def a_replica_that_is_not_active_does_not_look_at_its_disk_any_more(scene: Scene) -> None:
    for mode, calls in (("active", ["send_waiting", "look_at_disk"]), ("immutable", ["send_waiting"]), ("pending", ["send_waiting"])):
        with scene.having(mode=mode), scene.recording("send_waiting", "look_at_disk") as found:
            scene.process.rest()
        assert [call[0] for call in found] == calls


@case("Replica", ACTIVE)
def a_replica_whose_reserve_is_half_used_up_is_immutable_and_asks_to_be_replaced(scene: Scene) -> None:
    for room, has_room, told, mode, asked in (
        ("enough", True, [], "active", 0),
        ("enough", False, ["disk_room"], "active", 0),
        ("low", True, ["disk_room"], "active", 0),
        ("low", False, [], "active", 0),
        ("spent", False, [], "immutable", 1),
        ("spent", True, ["disk_room"], "immutable", 1),
    ):
        notes = Notes()
        with (
            scene.having(stable=stands_in(room=lambda room=room: room), has_room=has_room, journal=notes, mode="active") as state,
            scene.recording("ask_for_reconfiguration") as calls,
        ):
            scene.process.look_at_disk()
            assert (state.has_room, state.mode, notes.events) == (room == "enough", mode, told)
        assert calls == [("ask_for_reconfiguration", "its disk is full", None)] * asked


@case("Replica", ACTIVE)
def a_client_of_whom_nobody_knows_where_it_is_is_told_nothing(scene: Scene) -> None:
    with scene.recording("transmit") as calls:
        scene.process.tell_client("kind", "message", 9)
        assert calls == []
        scene.process.tell_client("kind", "message", 1)
    assert calls == [("transmit", "kind", "message", scene.state.clients[1], "client_1")]


# -- requests that come again [3.2, 4.2 to 4.5, 13.10, 15.4]


def stands_for(scene: Scene, **values: Any) -> Any:
    """A running state that says this of any request."""
    return stands_in(**{name: lambda *_, value=value: value for name, value in values.items()})


@case("Replica", ACTIVE)
def who_asks_in_a_session_that_is_over_is_told_so_and_whoever_is_late_that_it_is_stale(scene: Scene) -> None:
    for is_over, kind in ((True, "session_over"), (False, "stale")):
        with ledger(scene, state=stands_for(scene, is_over=is_over)), scene.recording("tell_client") as calls:
            scene.process.tell_stale(scene.request(3, 1))
        [(_, told, signed, client)] = calls
        assert (told, signed.statement.client, client) == (kind, 1, 1)


@case("Replica", ACTIVE)
def what_is_beyond_the_window_of_its_client_is_dropped_unless_its_session_is_over(scene: Scene) -> None:
    beyond = scene.request(scene.fresh() + scene.state.settings.client_window)
    for is_over, mode, dropped in ((False, "active", True), (True, "active", False), (False, "immutable", False)):
        with (
            scene.having(mode=mode),
            ledger(scene, state=stands_for(scene, is_over=is_over, is_beyond=True)),
            scene.recording(is_answered=True) as calls,
        ):
            assert not scene.process.is_to_be_ordered(beyond)
        assert len(calls) == (not dropped)


@case("Replica", ACTIVE)
def with_no_room_on_its_disk_what_is_new_is_rejected_and_nothing_else(scene: Scene) -> None:
    new = scene.request(scene.fresh())
    void, void_of_two, void_of_three = (scene.by_client(Request(0, scene.fresh(), VOID * count)) for count in (1, 2, 3))
    turn, key = turn_of(new), (0, new.statement.number)
    for request, queued, executed, rejected in (
        (new, False, False, True),
        (new, True, False, False),
        (new, False, True, False),
        (new, True, True, False),
        (void, False, False, False),
        (void, True, False, False),
        (void_of_two, False, False, False),
        (void_of_three, False, False, True),
    ):
        queue = stands_in(has=lambda *each, queued=queued: queued and each == turn)
        slots = stands_in(get=lambda *each, executed=executed: "slot" if executed and each == key else None)
        for has_room in (True, False):
            with (
                scene.having(queue=queue, has_room=has_room),
                ledger(scene, executed=slots),
                scene.recording("reject", is_answered=False) as calls,
            ):
                assert scene.process.is_to_be_ordered(request) == (has_room or not rejected)
            told = [call for call in calls if call[0] == "reject"]
            assert told == [("reject", request, NO_ROOM)] * (rejected and not has_room)


@case("Head", ACTIVE)
def a_request_that_is_in_progress_at_the_head_is_watched_and_a_new_one_is_queued(scene: Scene) -> None:
    request = scene.request(scene.fresh())
    for is_there, calls, added in ((True, [("watch", request, 300)], 0), (False, [("order_queued",)], 1)):
        queue: list[Any] = []
        stand_in = stands_in(has=lambda *_, is_there=is_there: is_there, add=lambda *each, queue=queue: queue.append(each))
        with scene.having(queue=stand_in), scene.recording("watch", "order_queued") as found:
            scene.process.head_request(request)
        assert found == calls
        assert queue == [(*turn_of(request), request)] * added


@case("Replica", ACTIVE)
def of_one_holder_only_requests_as_its_latest_client_are_watched(scene: Scene) -> None:
    def request(holder: int, client: int, number: int = 0) -> Any:
        credential = scene.by_olympus(Credential(client, holder, b"key", "nowhere"))
        return stands_in(statement=SessionRequest(client, number, (), credential))

    timers: Timers[Any] = Timers(200)
    clock = [0.0]
    with scene.having(timers=timers, latest_watched={}), pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys.modules["ChainProcess"], "now_s", lambda: clock[0])
        scene.process.watch(request(0, 0), 200)
        scene.process.watch(request(1, 4), 200)
        clock[0] = 0.1
        scene.process.watch(request(1, 4), 200)  # keeps its time
        scene.process.watch(request(1, 4, 1), 200)
        assert timers.take_expired(0.25) == [(0, (0, 0)), (1, (4, 0))]
        scene.process.watch(request(1, 3, 9), 200)  # as somebody that it is no more
        assert len(timers) == 1
        scene.process.watch(request(1, 6), 200)
        assert [timers.is_running((1, each)) for each in ((4, 1), (6, 0))] == [False, True]
        scene.process.watch(request(1, 4, 1), 200)
        assert len(timers) == 1


# -- the shuttle and the result shuttle [3.3 to 3.5, 4.6]


@case("Replica", ACTIVE)
def whoever_passes_a_shuttle_on_awaits_its_result(scene: Scene) -> None:
    done = stands_in(slot=4, order=lambda: None, result=lambda: None, clients=tuple)
    shuttle = stands_in(slot=4, requests=(), request_tree=None, order_proof=(), result_proof=(), extended=lambda *_: "extended")
    log: list[Any] = []
    stable = stands_in(ordered=lambda *_: log.append("kept"))
    with (
        scene.having(stable=stable),
        ledger(scene, keep=lambda *_: None, history={4: None}),
        scene.recording("to_successor", "await_result_shuttle", execute=done, order_statement="order", result_statement="result") as calls,
    ):
        scene.process.extend(shuttle)
    assert [call[0] for call in calls][-2:] == ["to_successor", "await_result_shuttle"]
    assert log == ["kept"]


@case("Replica", IMMUTABLE)
def behind_the_wedge_a_result_is_ignored(scene: Scene) -> None:
    shuttle = ResultShuttle(scene.number, 4, (), ())
    here = stands_in(done=None)
    with ledger(scene, awaited=lambda _: here), scene.recording("settle", "misbehaviour") as calls:
        scene.process.on_result_shuttle(shuttle)
    assert calls == []


def settled(scene: Scene, *running: Any) -> Any:
    """What a replica does with a settled slot of two requests where these timers are running."""
    requests = (scene.request(7), scene.request(8, 1))
    slot = stands_in(slot=4, requests=requests, configuration=0, outcomes=())
    timers: Timers[Any] = Timers(200)
    for name in running:
        timers.start(name(requests) if callable(name) else name, 0.0, 200)
    gone: list[Any] = []
    with (
        scene.having(timers=timers, queue=stands_in(settled=lambda *turn: gone.append(turn))),
        ledger(scene, settle=lambda _: None),
        scene.recording("reply", "await_result_shuttle", "to_predecessor", "order_queued") as calls,
    ):
        scene.process.settle(stands_in(slot=slot, proof=(), orders=()))
    assert gone == [turn_of(request) for request in requests]
    assert len(timers) == 0
    return [(call[0], call[1] is requests[1]) if call[0] == "reply" else call[0] for call in calls]


@case("Replica", ACTIVE)
def who_was_waited_for_gets_its_result_and_the_next_slot_is_awaited(scene: Scene) -> None:
    assert settled(scene) == ["to_predecessor"]
    assert settled(scene, lambda requests: turn_of(requests[1])) == [("reply", True), "to_predecessor"]
    assert settled(scene, ("result shuttle", 4)) == ["await_result_shuttle", "to_predecessor"]


# -- checkpoints, and being wedged [6.3, 6.4, 7.1, 13.4]


@case("Replica", ACTIVE)
def a_complete_checkpoint_with_another_digest_than_the_replicas_own_is_noted(scene: Scene) -> None:
    slot = min(scene.state.ledger.history)
    proof = tuple(scene.by_replica(Checkpoint(scene.number, slot, bytes(32)), position) for position in range(3))
    kept: list[Any] = []
    with (
        scene.having(stable=stands_in(completed_checkpoint=lambda *what: kept.append(what))),
        ledger(scene, history=dict(scene.state.ledger.history), checkpoint_proof=()),
        scene.recording("note_differing", "to_predecessor") as calls,
    ):
        scene.process.on_completed_checkpoint(CompletedCheckpoint(scene.number, slot, proof))
    agreed = Checkpoint(scene.number, slot, bytes(32))
    assert calls[0][:3] == ("note_differing", agreed, proof)
    assert kept == [(agreed, proof)]


@case("Replica", ACTIVE)
def who_is_wedged_awaits_nothing_any_more_and_keeps_on_its_disk_that_it_is(scene: Scene) -> None:
    timers: Timers[Any] = Timers(200)
    timers.start("request", 0.0, 200)
    kept: list[Any] = []
    with (
        scene.having(timers=timers, stable=stands_in(wedged=kept.append), wedges=0, mode="active") as state,
        scene.recording("transmit_large", "report") as calls,
    ):
        scene.process.on_wedge_request(scene.by_olympus(WedgeRequest(scene.number, 1)))
        assert (state.mode, state.wedges, len(timers), kept) == ("immutable", 1, 0, [state.ledger])
    assert [call[0] for call in calls] == ["transmit_large", "report"]


# -- all of them


@STAGE.each()
def test_what_a_replica_does_at_each_step_is_what_its_sentence_says(each: Case) -> None:
    STAGE.check(each)

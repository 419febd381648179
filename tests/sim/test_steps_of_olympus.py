"""What Olympus does, step by step: each case calls one of its methods, and names a sentence of docs/protocol.md.

What the method would call, send or wait for stands in the case; a simulated run goes on around it.
"""

import sys
from typing import Any

import pytest
from msgspec.structs import replace
from scenes import LATE, Case, Scene, Stage, stands_in

from bcr.chain.guests import Admitted
from bcr.chain.messages import Accusation, PublicKey
from bcr.chain.pauses import Repetitions
from bcr.chain.proofs import Answer
from bcr.chain.reconfiguration import Wish
from bcr.signed.signing import Signed
from bcr.signed.statements import ConfigurationQuery, Credential, Outcome, Ready, ReconfigurationRequest, Result, Voucher
from bcr.signed.violations import InvalidSignature, WrongConfiguration

STAGE = Stage("""\
t = 1
num_client = 2
client_timeout = 400
head_timeout = 300
nonhead_timeout = 300
olympus_timeout = 700
wedge_grace = 90
authentication = {authentication}
workload[0] = pseudorandom(4,6)
workload[1] = pseudorandom(5,6)
failures[0,2] = shuttle(0,6),drop()
simulation = seed(1); delay(100,3000)
""")
case = STAGE.case
SERVING, WEDGING = "serving", "wedging"
OURS = ("OlympusProcess", "Issuer", "Olympus")


def clocks(patch: pytest.MonkeyPatch, **values: Any) -> None:
    """What the clocks say to Olympus, or whatever else it has of others under these names."""
    for module in OURS:
        for name, value in values.items():
            if hasattr(sys.modules[module], name):
                patch.setattr(sys.modules[module], name, value)


# -- what it tells the start-up, and how it ends [10.2]


@case("Olympus", SERVING)
def the_state_that_an_earlier_run_has_left_is_told_once(scene: Scene) -> None:
    for is_continued, told in ((True, [("tell_in_pieces", "initial_state", "state")]), (False, [])):
        stable = stands_in(is_continued=is_continued)
        with scene.having(stable=stable, has_told_beginning=False), scene.recording("tell_in_pieces") as calls:
            scene.process.tell_of_beginning("state")
            scene.process.tell_of_beginning("another")
        assert calls == told


@case("Olympus", SERVING)
def what_it_decided_before_it_began_again_is_told_with_its_time_where_the_clock_is_the_same(scene: Scene) -> None:
    report = stands_in(detected_ns=2 * 10**9, clock="this one")
    for is_continued, clock, took_ms in ((False, "this one", [500.0]), (False, "another", [0.0]), (True, "this one", [])):
        found: list[float] = []
        with pytest.MonkeyPatch.context() as patch:
            clocks(patch, clock_name=lambda clock=clock: clock, now_s=lambda: 2.5, encode=lambda each: each,
                   replace=lambda each, **changed: changed)  # fmt: skip
            with scene.having(stable=stands_in(is_continued=is_continued)), scene.recording("tell_harness") as calls:
                assert scene.process.account_for(report)
        found = [call[2]["active_ms"] for call in calls]
        assert found == took_ms
        assert [(call[1], call[2]["target"]) for call in calls] == [("reconfiguration", scene.state.number)] * len(took_ms)


@case("Olympus", SERVING)
def in_the_end_it_ends_the_replicas_and_whoever_stands_still_five_seconds_later(scene: Scene) -> None:
    ended: list[Any] = []
    with pytest.MonkeyPatch.context() as patch:
        clocks(patch, end_children=ended.append)
        with scene.having(replicas=("a", "b"), chain=("b", "c")), scene.recording("end", "tell_harness") as calls:
            scene.process.end_all()
    assert calls[0] == ("end", {"a", "b", "c"})
    assert [call[1] for call in calls[1:]] == ["ended"]
    assert ended == [5]


# -- where it goes on [13.7]


@case("Olympus", SERVING)
def where_it_goes_on_depends_on_what_was_issued_and_decided(scene: Scene) -> None:
    decided = stands_in(vouchers=("voucher",), account="account")
    replaced = [("resume", "issued"), ("send_vouchers", ("voucher",)), ("start_configuration", "state"), ("account_for", "account")]
    for issued, found, is_continued, starts, expected, number in (
        (None, None, False, True, [("start_configuration",)], 5),
        ("issued", None, False, True, [("resume", "issued"), ("come_back",)], 5),
        ("issued", None, True, True, [("resume", "issued"), ("come_back",)], 5),
        ("issued", decided, False, True, replaced, 6),
        ("issued", decided, True, True, [each for each in replaced if each[0] != "send_vouchers"], 6),
        ("issued", decided, False, False, replaced[:3], 6),
    ):
        stable = stands_in(issued=issued, decided=found, is_continued=is_continued)
        with (
            scene.having(stable=stable, number=5, beginning="state") as state,
            scene.recording("resume", "come_back", "send_vouchers", start_configuration=starts, account_for=True) as calls,
        ):
            assert scene.process.begin() == starts
            assert state.number == number
        assert [call[:1] if issued is None else call for call in calls] == expected


@case("Olympus", SERVING)
def it_resumes_what_was_issued_and_in_a_run_of_its_own_knows_its_clients_keys(scene: Scene) -> None:
    issued = stands_in(configuration=scene.state.signed, mute=("replica_1",))
    keys = {name: scene.state.public_keys[name] for name in ("client_0", "client_1")}
    for is_continued, wall_ns, served_s in ((False, 3 * 10**9, 2.0), (True, 10**9, 0.0), (True, 0, 0.0)):
        stable = stands_in(is_continued=is_continued, state=scene.state.beginning, era=1, decided=None,
                           served=stands_in(since_ns=10**9))  # fmt: skip
        with pytest.MonkeyPatch.context() as patch:
            clocks(patch, now_s=lambda: 0.0, wall_clock_ns=lambda wall_ns=wall_ns: wall_ns)
            with scene.having(stable=stable, public_keys={}, number=9, mute=(), active_since_s=None) as state:
                scene.process.resume(issued)
                assert state.public_keys == ({} if is_continued else keys)
                assert (state.number, state.mute, state.signed) == (0, ("replica_1",), issued.configuration)
                assert state.active_since_s == -served_s  # of a clock that was put back nothing has passed


# -- from its processes to the clients [1.4, 1.5, 7.8]


def started(scene: Scene, *happenings: Any, enrolled: int = 1, session_slots: int = 0, **having: Any) -> Any:
    """What comes of a start with this state: the result, the calls, the numbers and the waits."""
    snapshot = stands_in(with_sessions_of=lambda who: ("of", who))
    tries = [False] * (enrolled - 1) + [True]
    numbers: list[tuple[int, float]] = []

    def enrol(patience_ms: float) -> bool:
        numbers.append((scene.state.number, patience_ms))
        return tries.pop(0)

    settings = replace(scene.state.settings, session_slots=session_slots, start_limit_ms=1_500)
    names = ("create_replicas", "end", "tell_of_beginning", "issue_configuration", "give_up")
    with (
        scene.having(settings=settings, number=3, chain=("a", "b"), **having),
        scene.recording(*names, those_who_stay={0}, activate=True) as calls,
        scene.waiting(*happenings) as waits,
    ):
        scene.process.enrol = enrol
        try:
            done = scene.process.start_configuration(snapshot)
        finally:
            del scene.process.enrol
    said = [call[1:] for call in calls if call[0] == "tell_of_beginning"]
    return done, [call for call in calls if call[0] not in ("tell_of_beginning", "those_who_stay")], numbers, waits, said, snapshot


@case("Olympus", SERVING)
def a_chain_that_does_not_enrol_is_ended_before_another_is_made_under_the_next_number(scene: Scene) -> None:
    done, calls, numbers, waits, said, _ = started(scene, enrolled=3)
    assert done
    again = [("create_replicas",), ("end", {"a", "b"})]
    assert calls == [*again, *again, ("create_replicas",), ("issue_configuration",), ("activate",)]
    assert numbers == [(3, 700), (4, 1_400), (5, 1_500)]
    assert waits == []
    assert said == [(("of", {0}),)]


@case("Olympus", SERVING)
def sessions_end_in_slots_where_they_do_and_otherwise_with_the_clients_of_the_configuration(scene: Scene) -> None:
    done, _, _, _, said, snapshot = started(scene, session_slots=5)
    assert done and said == [(snapshot,)]


@case("Olympus", SERVING)
def without_the_key_of_a_client_that_it_begins_with_no_configuration_is_issued(scene: Scene) -> None:
    keys = {name: key for name, key in scene.state.public_keys.items() if name != "client_1"}
    done, calls, _, waits, said, _ = started(scene, LATE, public_keys=dict(keys))
    assert not done and said == []
    assert calls == [("create_replicas",), ("give_up", "no public key", {"client_1"})]
    assert waits == [("enrolling_clients", 1.5)]
    late = dict(keys)
    done, _, _, waits, _, _ = started(scene, lambda: late.update(client_1=b"key"), public_keys=late)
    assert done and len(waits) == 1


@case("Olympus", SERVING)
def up_to_t_replicas_may_lack_a_key_and_all_are_waited_for(scene: Scene) -> None:
    for lacking, is_enough in (((), True), (("replica_0",), True), (("replica_0", "replica_2"), False)):
        keys = {name: key for name, key in scene.state.public_keys.items() if name not in lacking}
        with scene.having(public_keys=keys), scene.waiting(*[LATE] * bool(lacking)) as waits:
            assert scene.process.enrol(250) == is_enough
        assert waits == [("enrolling", 0.25)] * bool(lacking)


def activated(scene: Scene, *happenings: Any, ready: Any = (), lost: bool = False, **having: Any) -> Any:
    """What comes of it that the next configuration is to become active: the result, the calls and the waits."""
    values = {"number": 1, "chain": ("a", "b", "c"), "requests": {}, "ready": set(ready)} | having
    with (
        scene.having(**values) as state,
        scene.recording("announce_next", "hand_out", give_up=False, is_lost=lost) as calls,
        scene.waiting(
            *[happening if happening is LATE else lambda happening=happening: happening(state) for happening in happenings]
        ) as waits,
    ):
        done = scene.process.activate()
    return done, [call for call in calls if call[0] != "is_lost"], waits


def is_ready(*positions: int) -> Any:
    return lambda state: state.ready.update(positions)


@case("Olympus", SERVING)
def clients_are_told_when_all_replicas_are_active_or_a_short_time_has_passed(scene: Scene) -> None:
    first, later = ("activating", 0.09), ("activating_late", 0.7)
    assert activated(scene, ready=(0, 1, 2)) == (True, [("announce_next",)], [])
    assert activated(scene, is_ready(0), is_ready(1, 2)) == (True, [("announce_next",)], [first, first])
    assert activated(scene, LATE, is_ready(0), is_ready(1, 2)) == (True, [("announce_next",)], [first, later, later])


@case("Olympus", SERVING)
def who_is_not_active_in_time_gets_what_it_began_with_again_and_all_but_t_are_enough(scene: Scene) -> None:
    first, later = ("activating", 0.09), ("activating_late", 0.7)
    calls = [("announce_next",), ("hand_out", {"b", "c"}), ("hand_out", {"c"})]
    assert activated(scene, LATE, LATE, is_ready(1), LATE, ready=(0,)) == (True, calls, [first, later, later, later])


@case("Olympus", SERVING)
def who_has_ended_before_a_new_configuration_is_active_begins_again(scene: Scene) -> None:
    with scene.recording("look_after") as calls:
        assert activated(scene, LATE, LATE, is_ready(1), LATE, ready=(0,))[0]
    assert calls == [("look_after",)] * 2
    with scene.recording("look_after") as calls:
        assert activated(scene, is_ready(0, 1, 2))[0]
    assert calls == []


@case("Olympus", SERVING)
def a_configuration_that_is_asked_to_be_replaced_is_not_waited_for(scene: Scene) -> None:
    def is_requested(state: Any) -> None:
        state.requests[1] = "wish"

    done, calls, waits = activated(scene, LATE, is_requested, ready=(0,))
    assert (done, calls, len(waits)) == (True, [("announce_next",)], 2)


@case("Olympus", SERVING)
def a_start_is_given_up_where_it_is_the_first_or_more_than_t_are_known_to_be_gone(scene: Scene) -> None:
    given_up = ("give_up", "not active", {"replica_1", "replica_2"})
    assert activated(scene, LATE, LATE, ready=(0,), lost=True)[:2] == (False, [("announce_next",), ("hand_out", {"b", "c"}), given_up])
    assert activated(scene, LATE, LATE, ready=(0,), number=0)[:2] == (False, [("announce_next",), ("hand_out", {"b", "c"}), given_up])
    assert activated(scene, LATE, LATE, LATE, is_ready(1, 2), ready=(0,))[0]
    assert activated(scene, LATE, LATE, ready=(0, 1), lost=True)[0]


@case("Olympus", SERVING)
def a_configuration_in_which_nothing_becomes_final_is_replaced_unasked_where_more_than_t_are_not_active_in_time(scene: Scene) -> None:
    calls = [("announce_next",), ("hand_out", {"b", "c"})]
    given_up = ("give_up", "not active", {"replica_1", "replica_2"})
    barren = {"ready": (0,), "mute": ("replica_2",)}

    def wish(**having: Any) -> Any:
        requests: dict[int, Wish] = {}
        done, found, waits = activated(scene, LATE, LATE, requests=requests, **barren | having)
        return done, found, len(waits), {number: each[:3] for number, each in requests.items()}

    reason = "nothing becomes final without a public key of replica_2"
    for number in (0, 1):
        assert wish(number=number) == (True, calls, 2, {number: ("olympus", reason, None)})
    assert wish(lost=True) == (False, [*calls, given_up], 2, {})
    assert wish(number=0, settings=replace(scene.state.settings, acceptance="quorum")) == (False, [*calls, given_up], 2, {})
    assert wish(ready=(0, 1))[3] == {}
    assert wish(is_closing=True)[3].keys() == {1}  # else it would never have closed


@case("Olympus", SERVING)
def nothing_becomes_final_where_all_have_to_testify_and_somebody_has_no_key(scene: Scene) -> None:
    for acceptance, replicas, mute, is_barren in (
        ("all", 3, ("replica_1",), True),
        ("all", 3, (), False),
        ("quorum", 3, ("replica_1",), False),
        ("quorum", 2, ("replica_1",), True),
        ("quorum", 2, (), False),
    ):
        settings = stands_in(acceptance=acceptance, num_replicas=replicas, t=1)
        with scene.having(settings=settings, mute=mute):
            assert scene.process.is_barren() == is_barren


@case("Olympus", SERVING)
def where_nothing_becomes_final_it_asks_itself_after_a_limit_that_doubles_up_to_thirty_seconds(scene: Scene) -> None:
    for round_s, is_barren, limit in ((None, True, 0.7), (None, False, None), (0.3, True, 0.3), (0.3, False, 0.3)):
        with scene.having(barren_ms=700), scene.recording(round_s=round_s, is_barren=is_barren):
            assert scene.process.patience_s() == limit
    for served_s, is_barren, barren_ms, asks, then_ms in (
        (0.6999, True, 700, False, 700),
        (0.7, True, 700, True, 1400),
        (0.7, False, 700, False, 700),
        (25.0, True, 20_000, True, 30_000),
        (99.0, True, 30_000, True, 30_000),
    ):
        with pytest.MonkeyPatch.context() as patch:
            clocks(patch, now_s=lambda served_s=served_s: 100.0 + served_s)
            with (
                scene.having(barren_ms=barren_ms, active_since_s=100.0) as state,
                scene.recording("replace_unasked", is_barren=is_barren) as calls,
            ):
                scene.process.look_at_barren()
                assert (calls.count(("replace_unasked",)), state.barren_ms) == (asks, then_ms)


@case("Olympus", SERVING)
def the_limit_begins_anew_with_a_configuration_in_which_all_have_keys(scene: Scene) -> None:
    for lacking, limit_ms in (((), 700), (("replica_2",), 2800)):
        keys = {name: key for name, key in scene.state.public_keys.items() if name not in lacking}
        nobody = stands_in(public=scene.state.public_keys["replica_2"])
        with scene.having(public_keys=keys, barren_ms=2800) as state, scene.recording("hand_out", new_keys=nobody):
            scene.process.issue_configuration()
            assert (state.mute, state.barren_ms) == (list(lacking), limit_ms)


@case("Olympus", SERVING)
def whoever_has_another_key_than_in_the_configuration_before_is_another_client(scene: Scene) -> None:
    with scene.having(public_keys=scene.state.public_keys | {"client_1": b"another"}) as state:
        assert scene.process.those_who_stay() == {0}
        state.view = None
        assert scene.process.those_who_stay() == {0, 1}


@case("Olympus", SERVING)
def what_a_replica_begins_with_comes_with_its_state_unless_it_is_the_first_configuration(scene: Scene) -> None:
    for number, sent in ((0, ["send"]), (1, ["transmit_pieces", "send"])):
        with scene.having(number=number), scene.recording("transmit_pieces", "send") as calls:
            scene.process.hand_out(("a",))
        assert [call[0] for call in calls] == sent


# -- who enrols, and clients that come later [1.4, 13.3, 15.1]


def told(scene: Scene, name: str, key: bytes, **having: Any) -> list[Any]:
    """What it does when this key comes with the secret of the process of this name."""
    with scene.having(**having), scene.recording("announce", "hand_out", "admit") as calls:
        scene.process.on_public_key(PublicKey.enrol(name, key, scene.state.secrets.get(name, bytes(32))))
    return list(calls)


@case("Olympus", SERVING)
def before_any_configuration_is_announced_whoever_enrols_again_is_told_of_none(scene: Scene) -> None:
    state, key = scene.state, scene.state.public_keys["client_1"]
    durable = replace(state.settings, durable=True)
    assert told(scene, "client_1", key) == [("announce", (state.clients[1],))]
    assert told(scene, "client_1", key, named=()) == []
    assert told(scene, "client_1", key, named=(), settings=durable) == []


@case("Olympus", SERVING)
def a_replica_that_enrols_again_is_told_its_configuration_once_that_is_issued(scene: Scene) -> None:
    state, key = scene.state, scene.state.public_keys["replica_1"]
    for durable, number, has_issued, calls in (
        (True, 0, True, [("hand_out", (state.chain[1],), False)]),
        (False, 0, True, []),
        (True, 1, True, []),
        (True, 0, False, []),
    ):
        having = {"settings": replace(state.settings, durable=durable), "number": number, "told_again": Repetitions(300.0)}
        assert told(scene, "replica_1", key, **having, next_signed=state.next_signed if has_issued else None) == calls


@case("Olympus", SERVING)
def what_it_began_with_a_replica_is_sent_when_it_enrols_again_a_second_time(scene: Scene) -> None:
    state, key = scene.state, scene.state.public_keys["replica_1"]
    having = {"settings": replace(state.settings, durable=True), "told_again": Repetitions(0.0)}
    assert [told(scene, "replica_1", key, **having) for _ in range(2)] == [
        [("hand_out", (state.chain[1],), each)] for each in (False, True)
    ]


@case("Olympus", SERVING)
def only_a_client_comes_again_under_another_key_and_only_where_sessions_end(scene: Scene) -> None:
    state = scene.state
    for slots, name, key, calls in (
        (1, "client_1", b"another", [("admit", "client_1", b"another")]),
        (0, "client_1", b"another", []),
        (1, "client_1", state.public_keys["client_1"], [("announce", (state.clients[1],))]),
        (1, "client_7", b"another", []),
        (1, "client_x", b"another", []),
        (1, "replica_1", b"another", []),
    ):
        assert told(scene, name, key, settings=replace(state.settings, session_slots=slots)) == calls
    with scene.having(settings=replace(state.settings, session_slots=1)), scene.recording("admit") as calls:
        with pytest.raises(InvalidSignature, match="without its enrolment secret"):
            scene.process.on_public_key(PublicKey.enrol("client_1", b"another", bytes(32)))
        assert calls == []


@case("Olympus", SERVING)
def each_key_gets_one_number_the_first_that_was_kept_for_it_and_then_one_that_nobody_had(scene: Scene) -> None:
    state = scene.state
    named: list[int] = []
    with (
        scene.having(guests=Admitted(), unused={1}, next_client=7, stable=stands_in(name_client=named.append)),
        scene.recording("transmit", "announce") as calls,
    ):
        for key in (b"first", b"first", b"second", b"third", b"second"):
            scene.process.admit("client_1", key)
        assert (state.unused, state.next_client, named) == (set(), 9, [7, 8])
        sent = [call for call in calls if call[0] == "transmit"]
        assert [(call[2].statement.client, call[2].statement.public_key) for call in sent] == [
            (1, b"first"), (1, b"first"), (7, b"second"), (8, b"third"), (7, b"second")]  # fmt: skip
        assert {(call[1], call[2].statement.holder, call[3], call[4]) for call in sent} == {("credential", 1, state.clients[1], "client_1")}
        assert [call for call in calls if call[0] == "announce"] == [("announce", (state.clients[1],))] * 5
        state.signed = None
        del calls[:]
        scene.process.admit("client_1", b"third")
        assert [call[0] for call in calls] == ["transmit"]


def guest(scene: Scene, client: int, signer: str = "client_1") -> Any:
    """A credential that Olympus has given to client 1, under its own key."""
    return scene.by_olympus(Credential(client, 1, scene.keys(signer).public, "nowhere"))


@case("Olympus", SERVING)
def where_a_client_is_its_credential_says_or_the_configuration(scene: Scene) -> None:
    state, guests = scene.state, Admitted()
    guests.add(guest(scene, 5))
    with scene.having(guests=guests):
        found = [scene.process.process_of(client) for client in (-1, 0, 1, 2, 5)]
    assert found == [None, state.clients[0], state.clients[1], None, state.clients[1]]


@case("Olympus", SERVING)
def that_a_replica_is_ready_before_anything_is_issued_says_nothing(scene: Scene) -> None:
    with scene.having(next_signed=None, ready=set()) as state:
        scene.process.on_ready(scene.by_replica(Ready(0)))
        assert state.ready == set()


def queried(scene: Scene, credential: Any, known: int = -1, signer: int = 5, **having: Any) -> tuple[list[Any], Any]:
    """Whom it tells of the configuration at a query of this client, and what it knows of the client then."""
    with scene.having(**{"guests": Admitted()} | having) as state, scene.recording("announce") as calls:
        query = ConfigurationQuery(known, credential)
        scene.process.on_configuration_query(Signed.sign(query, signer, scene.keys("client_1")))
        return list(calls), state.guests.of(signer)


@case("Olympus", SERVING)
def a_client_that_it_has_forgotten_shows_its_credential_and_is_told_of_what_is_newer(scene: Scene) -> None:
    credential, told_of_it = guest(scene, 5), [("announce", (scene.state.clients[1],))]
    assert queried(scene, credential) == (told_of_it, credential)
    assert queried(scene, credential, known=0) == ([], credential)
    assert queried(scene, credential, named=()) == ([], credential)  # else nobody could say where the replicas are
    guests = Admitted()
    guests.add(credential)
    assert queried(scene, None, guests=guests) == (told_of_it, credential)
    of_another = Signed.sign(credential.statement, 0, scene.keys("client_0"))
    assert queried(scene, of_another, guests=guests) == (told_of_it, credential)  # whom it knows it asks for none


@case("Olympus", SERVING, InvalidSignature, "invalid signature of Olympus")
def a_credential_that_another_has_signed(scene: Scene) -> None:
    queried(scene, Signed.sign(guest(scene, 5).statement, 0, scene.keys("client_1")))


@case("Olympus", SERVING, WrongConfiguration, "a client before the first configuration")
def a_credential_before_the_first_configuration(scene: Scene) -> None:
    queried(scene, guest(scene, 5), signed=None, view=None)


# -- who wants it replaced, and who is told what came of it [5.3, 5.4, 7.6]


@case("Olympus", SERVING, WrongConfiguration, "which is not the current one")
def a_request_for_reconfiguration_before_anything_is_issued(scene: Scene) -> None:
    with scene.having(next_signed=None):
        scene.process.on_reconfiguration_request(scene.by_replica(ReconfigurationRequest(0, "spite")))


@case("Olympus", SERVING)
def a_client_that_proves_a_contradiction_is_heard(scene: Scene) -> None:
    results = (Result(0, 0, bytes(32), bytes([each]) * 32) for each in (1, 2))
    proof = tuple(scene.by_replica(result, position) for position, result in enumerate(results))
    answer = Answer(0, 0, 0, 1, b"", (), Outcome(0, 0, 0, ("OK",)), (), proof)
    accusation = scene.by_client(Accusation(scene.request(0), answer))
    with scene.recording("want") as calls:
        scene.process.on_accusation(accusation)
    assert [call[:3] for call in calls] == [("want", 0, "client_0")]


@case("Olympus", SERVING)
def vouchers_go_to_those_of_whom_it_knows_where_they_are(scene: Scene) -> None:
    vouchers = [Voucher(0, 0, client, 0, bytes(32), Outcome(0, 0, 0, ("OK",))) for client in (0, 9, 1)]
    with scene.recording("transmit") as calls:
        scene.process.send_vouchers(vouchers)
    assert [(call[1], call[2].statement, *call[3:]) for call in calls] == [
        ("voucher", voucher, scene.state.clients[voucher.client], f"client_{voucher.client}") for voucher in (vouchers[0], vouchers[2])
    ]


# -- from one configuration to the next [7]


def replaced(scene: Scene, plan: Any, starts: bool = True, void: bool = False, ended: bool = False) -> Any:
    """What comes of a reconfiguration in which this plan is agreed on: the result, the calls, and when its steps were reached."""
    known = Voucher(0, 0, 0, 3, bytes(32), Outcome(0, 0, 0, ("OK",)))
    told: list[Any] = []
    change = stands_in(configuration=stands_in(number=0), snapshot="snapshot", vouchers=lambda _: [known, replace(known, client=9)],
                       report=lambda *_: "account")  # fmt: skip
    with (
        pytest.MonkeyPatch.context() as patch,
        scene.having(
            requests={0: Wish("client_0", "spite", None, 0.0)}, stable=stands_in(first=70, decide=lambda *what: told.append(("decide", *what))),
            replicas=("a", "b"), beginning="beginning", ended=ended,
        ) as state,
        scene.recording("look_after", "request_wedge", "wedge", "send_vouchers", "report", "end",
                        agree=plan, is_void=void, start_configuration=starts) as calls,
    ):  # fmt: skip
        patch.setattr(sys.modules["Olympus"], "Reconfiguration", lambda *_: change)
        patch.setattr(scene.process, "send_vouchers", lambda vouchers: told.append(("send_vouchers", vouchers)))
        done = scene.process.reconfigure()
        assert (state.turn, state.is_changing, state.requests) == (70, False, {})
        reached = sorted(state.reached_s)
    return done, [call for call in calls if call[0] not in ("report", "is_void")], told, reached, state.number, known


BEGUN = [("look_after",), ("request_wedge", {"a", "b"}), ("wedge",), ("agree",)]


@case("Olympus", SERVING)
def what_is_decided_is_on_the_disk_before_any_client_hears_of_it(scene: Scene) -> None:
    done, calls, told, reached, _, known = replaced(scene, "plan")
    assert (done, reached) == (True, ["active"])
    assert calls == [*BEGUN, ("start_configuration", "snapshot"), ("end", {"a", "b"})]
    assert told == [("decide", (known,), "snapshot", "account"), ("send_vouchers", (known,))]


@case("Olympus", SERVING)
def replicas_go_on_until_the_next_configuration_has_begun(scene: Scene) -> None:
    done, calls, told, reached, _, _ = replaced(scene, "plan", starts=False)
    assert (done, reached, len(told)) == (False, [], 2)
    assert calls == [*BEGUN, ("start_configuration", "snapshot")]


@case("Olympus", SERVING)
def without_a_quorum_it_gives_up_unless_nothing_has_ever_become_final(scene: Scene) -> None:
    assert replaced(scene, None)[:3] == (False, BEGUN, [])
    done, calls, told, *_ = replaced(scene, None, void=True)
    assert (done, told) == (True, [])
    assert calls == [*BEGUN, ("start_configuration", "beginning"), ("end", {"a", "b"})]
    assert replaced(scene, None, void=True, ended=True)[:3] == (False, BEGUN, [])


@case("Olympus", SERVING)
def it_serves_and_looks_after_the_replicas_until_it_is_asked_and_gives_up_where_that_cannot_be(scene: Scene) -> None:
    def asked() -> None:
        scene.state.requests[4] = "wish"

    def over() -> None:
        scene.state.ended = True

    methods = ("tell_harness", "look_after", "look_at_barren", "end_all")
    for changes, rest, labels in ((False, [over], ["serving", "serving", "finished"]), (True, [over], ["serving", "serving", "serving"])):
        answers = {"begin": True, "round_s": 0.3, "await_turn": True}
        with scene.having(number=4, requests={}) as state, scene.recording(*methods, **answers) as calls:

            def reconfigure(state: Any = state, changes: bool = changes) -> bool:
                state.requests.clear()
                return changes

            scene.process.reconfigure = reconfigure
            try:
                with scene.waiting(LATE, asked, *rest) as waits:
                    scene.process.run()
            finally:
                del scene.process.reconfigure
        assert [label for label, _ in waits] == labels
        assert [call[0] for call in calls if call[0] in methods[1:]] == ["look_after", "look_at_barren", "end_all"]


@case("Olympus", SERVING)
def each_wedge_request_has_the_next_turn(scene: Scene) -> None:
    with scene.having(turn=7, number=3), scene.recording("tell_replicas") as calls:
        scene.process.request_wedge({"a"})
        scene.process.request_wedge({"b"})
    assert [(call[2].configuration, call[2].turn, call[3]) for call in calls] == [(3, 8, {"a"}), (3, 9, {"b"})]


@case("Olympus", SERVING)
def that_all_are_wedged_is_reached_where_somebody_has_answered(scene: Scene) -> None:
    for answered, steps in ((0, []), (2, ["wedged"])):
        change = stands_in(answered=lambda answered=answered: answered)
        with scene.having(change=change, reached_s={}) as state, scene.recording(is_wedged=False), scene.waiting(LATE) as waits:
            scene.process.wedge()
            assert sorted(state.reached_s) == steps
        assert waits == [("wedging", 0.09)]


@case("Olympus", SERVING)
def no_quorum_will_do_where_nothing_is_final_or_nothing_would_help(scene: Scene) -> None:
    def over() -> None:
        raise AssertionError("it waits on")

    change = stands_in(next_plan=lambda: None, answered=lambda: 1, invalid={}, silent=set())
    for void, hopeless in ((True, False), (False, True)):
        with (
            scene.having(change=change),
            scene.recording("check_all", is_void=void, is_hopeless=hopeless, wait_on=None) as calls,
        ):
            scene.process.wait_on = over
            assert scene.process.agree() is None
        assert calls[0] == ("check_all",)


@case("Olympus", SERVING)
def in_vain_it_looks_after_the_replicas_and_asks_those_again_who_owe_an_answer(scene: Scene) -> None:
    heard, steps = [0], [0]

    def goes_on() -> None:
        steps[0] += 1

    def is_heard() -> None:
        heard[0] += 1

    change = stands_in(
        heard_from=lambda: heard[0], awaits=lambda: {1, 2}, answered=lambda: 1, invalid={}, silent={2}, begin_anew=lambda: None
    )
    asked = [("look_after",), ("hand_out", {"c"}), ("request_wedge", {"b", "c"})]
    arriving = stands_in(steps=lambda _: steps[0])
    for happenings, calls, labels in (((is_heard,), [], 1), ((LATE,), asked, 1)):
        with (
            scene.having(change=change, arriving=arriving, replicas=("a", "b", "c"), ready={1}, has_waited=False) as state,
            scene.recording("look_after", "hand_out", "request_wedge") as found,
            scene.waiting(*happenings) as waits,
        ):
            scene.process.wait_on()
            assert state.has_waited == bool(calls)
        assert found == calls
        assert waits == [("waiting", 0.7)] * labels
    arriving.steps = lambda _: goes_on() or steps[0]  # a history is on its way: another step each time that it looks
    with (
        scene.having(change=change, arriving=arriving, replicas=("a", "b", "c"), ready={1}, has_waited=False) as state,
        scene.recording("look_after", "hand_out", "request_wedge") as found,
        scene.waiting(LATE),
    ):
        scene.process.wait_on()
        assert (found, state.has_waited) == ([], False)


PLAN = stands_in(quorum=(0, 2), slots=4, suffixes={0: (), 2: ()})


def agreed(scene: Scene, *happenings: Any, late: Any = ({1}, ()), digest: Any = b"digest", fetched: bool = True) -> Any:
    """What comes of a quorum of which these are late, one after the other: the result, the calls and the waits."""
    lacking, failures = [list(each) for each in late], []
    steps = [0]

    def caught_up() -> None:
        steps[0] += 1
        if len(lacking) > 1:
            del lacking[0]

    change = stands_in(attempt=3, lacking=lambda _: lacking[0], fail=lambda *what: failures.append(what[1:]),
                       settle_digests=lambda _: digest, failed={})  # fmt: skip
    with (
        scene.having(change=change, replicas=("a", "b", "c"), reached_s={}) as state,
        scene.recording("transmit_pieces", has_fetched=fetched, failed=False) as calls,
        scene.waiting(*[caught_up if each is None else each for each in happenings]) as waits,
    ):
        scene.process.catch_up_steps = lambda _: steps[0]
        try:
            done = scene.process.is_agreed(PLAN)
        finally:
            del scene.process.catch_up_steps
        assert state.digest == (digest if not failures else None)
        reached = sorted(state.reached_s)
    assert [call[4] for call in calls if call[0] == "transmit_pieces"] == ["a", "c"]
    return done, [call[0] for call in calls if call[0] != "transmit_pieces"], failures, [limit for _, limit in waits], reached


@case("Olympus", SERVING)
def a_quorum_will_do_when_all_of_it_have_caught_up_to_one_digest_and_one_gives_its_state(scene: Scene) -> None:
    assert agreed(scene, late=((),)) == (True, ["has_fetched"], [], [], ["caught_up"])
    assert agreed(scene, None) == (True, ["has_fetched"], [], [0.7], ["caught_up"])
    assert agreed(scene, None, LATE, LATE, late=((0, 2), (2,))) == (
        False, ["failed"], [("replica 2 did not catch up in time", [2])], [0.7] * 3, [])  # fmt: skip
    assert agreed(scene, None, digest=None) == (False, ["failed"], [], [0.7], [])
    assert agreed(scene, None, fetched=False) == (False, ["has_fetched", "failed"], [], [0.7], ["caught_up"])


@case("Olympus", SERVING)
def a_member_that_goes_on_is_waited_for_as_long_as_it_does(scene: Scene) -> None:
    def goes_on() -> None:
        scene.process._DistProcess__local.timer_expired = True
        more = scene.process.catch_up_steps(PLAN) + 1
        scene.process.catch_up_steps = lambda _: more

    assert agreed(scene, goes_on, goes_on, LATE, late=((2,),)) == (
        False, ["failed"], [("replica 2 did not catch up in time", [2])], [0.7] * 3, [])  # fmt: skip


def fetched(scene: Scene, *happenings: Any) -> Any:
    """Whether a running state is fetched: the result, who was asked, why not, and the waits."""
    failures: list[Any] = []
    steps = [0]
    change = stands_in(attempt=3, snapshot=None, fail=lambda *what: failures.append(what[1:]))

    def happening(each: Any) -> Any:
        def gives() -> None:
            steps[0] += 1
            if each == "state":
                change.snapshot = "state"
            elif each == "piece":
                scene.process._DistProcess__local.timer_expired = True
            else:
                scene.state.refused.add(each)

        return gives

    with (
        scene.having(change=change, arriving=stands_in(steps=lambda _: steps[0]), replicas=("a", "b", "c"), reached_s={}) as state,
        scene.recording("tell_replicas") as calls,
        scene.waiting(*[each if each is LATE else happening(each) for each in happenings]) as waits,
    ):
        done = scene.process.has_fetched(PLAN)
        assert sorted(state.reached_s) == (["fetched"] if done else [])
    return done, [call[3] for call in calls], [why[0] for why in failures], waits


@case("Olympus", SERVING)
def one_member_after_the_other_is_asked_for_its_state_and_waited_for_while_it_comes(scene: Scene) -> None:
    wait, nobody = ("fetching", 0.7), "no member gives a running state with the digest that it signed"
    assert fetched(scene, "state") == (True, [{"a"}], [], [wait])
    assert fetched(scene, 0, "state") == (True, [{"a"}, {"c"}], [], [wait, wait])
    assert fetched(scene, 0, 2) == (False, [{"a"}, {"c"}], [nobody], [wait, wait])
    assert fetched(scene, LATE) == (False, [{"a"}], ["replica 0 did not give its running state in time"], [wait])
    assert fetched(scene, "piece", "piece", "state") == (True, [{"a"}], [], [wait] * 3)
    assert fetched(scene, "piece", LATE)[:3] == (False, [{"a"}], ["replica 0 did not give its running state in time"])


@case("Olympus", SERVING)
def who_asks_to_be_replaced_and_owes_an_answer_is_asked_again_where_it_may_have_begun_again(scene: Scene) -> None:
    request = scene.by_replica(ReconfigurationRequest(0, "it began again"))
    for durable, is_changing, owing, asked in (
        (True, True, [1, 2], True),
        (False, True, [1, 2], False),
        (True, False, [1, 2], False),
        (True, True, [0, 2], False),
    ):
        having = {"settings": replace(scene.state.settings, durable=durable), "turn": 4, "is_changing": is_changing}
        change = stands_in(owing=lambda owing=owing: owing, configuration=stands_in(number=0))
        with scene.having(change=change, **having), scene.recording("tell_replicas") as calls:
            scene.process.on_reconfiguration_request(request)
        told = [(call[1], call[2].configuration, call[2].turn, call[3]) for call in calls]
        assert told == [("wedge_request", 0, 4, {scene.state.replicas[1]})] * asked


# -- all of them


@STAGE.each()
def test_what_olympus_does_at_each_step_is_what_its_sentence_says(each: Case) -> None:
    STAGE.check(each)

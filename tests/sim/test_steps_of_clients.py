"""What a client does, step by step: each case calls one of its methods, and names a sentence of docs/protocol.md.

What the method would call, send or wait for stands in the case; a simulated run goes on around it.
"""

import sys
from typing import Any

import pytest
from msgspec.structs import replace
from scenes import LATE, Case, Scene, Stage, stands_in

from bcr.chain.bundles import Bundle
from bcr.chain.messages import ResultMessage
from bcr.chain.outstanding import OutstandingRequest
from bcr.chain.proofs import Answer
from bcr.chain.settings import ALWAYS, Visit
from bcr.chain.timers import Timers
from bcr.chain.void import AnswerToOther
from bcr.objects.dictionary import Operation
from bcr.signed.encoding import encode
from bcr.signed.signing import Signed
from bcr.signed.statements import Credential, Outcome, Rejection, Request, Voucher
from bcr.signed.violations import InvalidSignature, MalformedMessage
from bcr_runtime.processes import address_of

STAGE = Stage("""\
t = 1
num_client = 2
client_window = 3
client_timeout = 400
head_timeout = 300
nonhead_timeout = 300
authentication = {authentication}
workload[0] = pseudorandom(4,9)
workload[1] = pseudorandom(5,9)
simulation = seed(1); delay(100,3000)
""")
case = STAGE.case
ASKING = "with requests outstanding"
LATER, BACK, GONE = Visit(20, None), Visit(50, 20), Visit(10, 20)  # milliseconds: when it comes, and when it goes


def at(patch: pytest.MonkeyPatch, now_s: float) -> None:
    """What the clocks say to a client."""
    for module in ("ClientProcess", "ClientSession", "Client"):
        patch.setattr(sys.modules[module], "now_s", lambda: now_s)
        patch.setattr(sys.modules[module], "monotonic_ns", lambda: round(now_s * 1e9))


# -- its workload, and when it is due [1.3]


@case("Client", ASKING)
def a_request_is_due_at_its_time_and_from_then_on(scene: Scene) -> None:
    settings = replace(scene.state.settings, client_rate=2)
    with pytest.MonkeyPatch.context() as patch, scene.having(settings=settings, started_ns=10**9):
        for now_s, due in ((1.4, False), (1.5, True), (1.6, True)):
            at(patch, now_s)
            assert scene.process.is_due(1) == due


@case("Client", ASKING)
def who_may_send_waits_until_the_next_request_is_due_and_no_longer(scene: Scene) -> None:
    settings = replace(scene.state.settings, client_rate=2)
    with (
        pytest.MonkeyPatch.context() as patch,
        scene.having(settings=settings, started_ns=10**9, next_number=1, timers=Timers(300), visit=ALWAYS) as state,
    ):
        for now_s, may_send, pause_s in ((1.4, True, 0.1), (1.5, True, 0.0), (1.7, True, 0.0), (0.5, True, 0.3), (1.4, False, 0.3)):
            at(patch, now_s)
            with scene.recording(may_send=may_send):
                assert scene.process.wait_s() == pytest.approx(pause_s, abs=1e-12)
        assert state.next_number == 1


@case("Client", ASKING)
def what_callers_still_wait_for_is_counted_again_with_each_request(scene: Scene) -> None:
    sent: list[Any] = []
    settings = replace(scene.state.settings, client_rate=1)
    with (
        scene.having(settings=settings, requests=iter([("first",), ("second",)]), has_moved=False, next_number=7) as state,
        scene.recording("foresee", is_due=True) as calls,
    ):
        scene.process.may_send = lambda: len(sent) < 2
        scene.process.send_request = sent.append
        try:
            scene.process.send_next()
        finally:
            del scene.process.may_send, scene.process.send_request
        assert sent == [("first",), ("second",)]
        assert [call for call in calls if call[0] == "foresee"] == [("foresee",)] * 2
        assert state.has_moved  # the next is due at another time


@case("Client", ASKING)
def who_leaves_or_whose_session_is_over_sends_nothing_more(scene: Scene) -> None:
    having = {"next_number": 1, "num_requests": 9, "outstanding": {}}
    for leaving, over, may_send in ((False, False, True), (True, False, False), (False, True, False)):
        with scene.having(**having, is_leaving=leaving, is_session_over=over):
            assert scene.process.may_send() == may_send


@case("Client", ASKING)
def whose_next_session_has_not_begun_sends_nothing_though_answers_of_the_last_one_come(scene: Scene) -> None:
    having = {"next_number": 0, "num_requests": 9, "outstanding": {}, "credential": None}
    bundle = encode(Bundle((b"late", b"later")))
    for needs_credential, sent in ((True, 0), (False, 3)):
        with (
            scene.having(**having, needs_credential=needs_credential, requests=iter([()] * 3), prepared=[], notices=[]),
            scene.recording("put_out", "transmit") as calls,
        ):
            scene.process.accept_all("result_messages", bundle, scene.process.on_result_message, scene.process.send_next)
        assert [call[0] for call in calls] == ["transmit"] * sent


# -- with whom it speaks, and as whom [1.4, 1.5, 4.7, 15.1]


class Over(Exception):
    """Ends what would wait for ever."""


def lived(scene: Scene, visit: Visit, is_leaving: bool = False, stopped: bool = False) -> list[str]:
    """What a client with this visit does from the beginning to the end, where it leaves or is stopped while it serves."""

    def over() -> None:
        raise Over

    with scene.having(visit=visit, is_leaving=is_leaving, stopped=stopped, has_returned=False) as state:
        with scene.recording("stay_away", "serve", "begin_session") as calls:
            scene.process.hand_over_record = over
            try:
                with pytest.raises(Over):
                    type(scene.process).run(scene.process)  # what is run otherwise logs whatever ends it
            finally:
                del scene.process.hand_over_record
        assert state.has_returned == (len(calls) > 2)
    return [call[0] for call in calls]


@case("Client", ASKING)
def who_comes_later_stays_away_before_and_who_comes_back_between(scene: Scene) -> None:
    assert lived(scene, ALWAYS) == ["serve"]
    assert lived(scene, LATER) == ["stay_away", "serve"]
    assert lived(scene, BACK, is_leaving=True) == ["serve", "stay_away", "begin_session", "serve"]
    assert lived(scene, BACK) == ["serve"]  # all is answered before it was to go
    assert lived(scene, BACK, is_leaving=True, stopped=True) == ["serve"]
    assert lived(scene, Visit(None, 20), is_leaving=True) == ["serve"]


@case("Client", ASKING)
def who_enters_introduces_itself_and_begins_its_work_or_goes_on_with_it(scene: Scene) -> None:
    for requests, stopped, done in (
        (None, False, [("introduce", scene.state.replicas), ("start_work",)]),
        ("some", False, [("introduce", scene.state.replicas)]),
        (None, True, []),
    ):
        with scene.having(requests=requests, stopped=stopped), scene.recording("enrol", "introduce", "start_work") as calls:
            scene.process.enter()
        assert calls == [("enrol",), *done]


@case("Client", ASKING)
def it_gives_its_key_again_and_again_until_there_is_a_configuration_and_awaits_its_work_without(scene: Scene) -> None:
    known = scene.state.configuration

    def is_told() -> None:
        scene.state.configuration = known

    def has_work() -> None:
        scene.state.workload = "work"

    def is_admitted() -> None:
        scene.state.credential = "credential"

    for having, happenings, keys in (
        ({"configuration": None, "workload": "work"}, (LATE, is_told), 2),
        ({"configuration": None, "workload": None}, (is_told, LATE, has_work), 1),
        ({"workload": None}, (LATE, has_work), 0),
        ({"needs_credential": True, "workload": "work"}, (LATE, LATE, is_admitted), 3),
        ({"workload": "work"}, (), 0),
    ):
        with scene.having(**having), scene.recording("tell_olympus") as calls, scene.waiting(*happenings) as waits:
            scene.process.enrol()
        assert [call[1] for call in calls] == ["public_key"] * keys
        assert waits == [("configuring", 0.4)] * len(happenings)


@case("Client", ASKING)
def with_a_newer_configuration_it_introduces_itself_there_and_sends_again_what_it_waits_for(scene: Scene) -> None:
    waiting = {number: stands_in(has_asked_all=True) for number in (4, 5)}
    issued = replace(scene.state.configuration.issued, number=1)
    with (
        pytest.MonkeyPatch.context() as patch,
        scene.having(outstanding=waiting, said_over={2}, began_s=1.0, arrived_with=scene.state.replicas) as state,
        scene.recording("introduce", "send_again") as calls,
    ):
        at(patch, 7.0)
        scene.process.on_configuration(scene.by_olympus(issued))
        assert (state.configuration.number, state.said_over, state.began_s) == (1, set(), 1.0)
    assert calls == [("introduce", scene.state.replicas), ("send_again", 4), ("send_again", 5)]
    assert [each.has_asked_all for each in waiting.values()] == [False, False]


@case("Client", ASKING)
def its_time_is_counted_from_its_first_configuration_on(scene: Scene) -> None:
    signed = scene.by_olympus(scene.state.configuration.issued)
    having = {"configuration": None, "outstanding": {}, "began_s": 1.0, "arrived_with": scene.state.replicas}
    with pytest.MonkeyPatch.context() as patch, scene.having(**having) as state, scene.recording("introduce"):
        at(patch, 7.0)
        scene.process.on_configuration(signed)
        assert (state.began_s, state.configuration.number) == (7.0, 0)


def given(scene: Scene, **changed: Any) -> Any:
    """What a client that comes later makes of a credential: whether it takes it, and the number that it has then."""
    statement = Credential(**{"client": 5, "holder": 0, "public_key": scene.state.keys.public, "address": "nowhere"} | changed)
    with scene.having(credential=None, signs_as=0) as state:
        scene.process.on_credential(scene.by_olympus(statement))
        return state.credential is not None, state.signs_as


@case("Client", ASKING)
def a_credential_for_its_key_gives_it_a_number_and_no_other_does(scene: Scene) -> None:
    assert given(scene) == (True, 5)
    assert given(scene, public_key=b"another") == (False, 0)
    assert given(scene, holder=1) == (False, 0)
    statement = Credential(6, 0, scene.state.keys.public, "nowhere")
    with scene.having(credential="the first", signs_as=5) as state:
        scene.process.on_credential(scene.by_olympus(statement))
        assert (state.credential, state.signs_as) == ("the first", 5)


@case("Client", ASKING, InvalidSignature, "invalid signature of Olympus")
def a_credential_that_another_signed(scene: Scene) -> None:
    statement = Credential(5, 0, scene.state.keys.public, "nowhere")
    with scene.having(credential=None):
        scene.process.on_credential(Signed.sign(statement, 0, scene.keys("client_1")))


@case("Client", ASKING)
def who_is_in_the_configuration_introduces_itself_to_nobody(scene: Scene) -> None:
    for credential, sent in ((None, []), ("credential", [("introduction", "replicas")])):
        with scene.having(credential=credential), scene.recording("deliver") as calls:
            scene.process.introduce("replicas")
        assert [(call[1][0], call[2]) for call in calls] == sent


@case("Client", ASKING)
def where_olympus_is_now_the_start_up_says(scene: Scene) -> None:
    process = scene.state.replicas[1]
    with scene.having() as state:
        scene.process.on_moved(("olympus_moved", [address_of(process)]), process)
        assert state.olympus is process


@case("Client", ASKING, MalformedMessage, "not the process that Olympus is now")
def that_olympus_is_another_process_than_comes_beside_it(scene: Scene) -> None:
    with scene.having():
        scene.process.on_moved(("olympus_moved", [address_of(scene.state.replicas[1])]), scene.state.replicas[0])


# -- coming, going, and coming again [15.1, 15.5]


@case("Client", ASKING)
def its_time_to_go_has_come_when_it_is_over_unless_it_is_back(scene: Scene) -> None:
    for visit, has_returned, now_s, is_leaving in (
        (BACK, False, 7.019, False),
        (BACK, False, 7.02, True),
        (BACK, False, 7.03, True),
        (BACK, True, 7.03, False),
        (LATER, False, 9.0, False),
    ):
        with pytest.MonkeyPatch.context() as patch:
            at(patch, now_s)
            with scene.having(visit=visit, has_returned=has_returned, began_s=7.0, is_leaving=False) as state:
                assert scene.process.left_s(20) == pytest.approx(7.02 - now_s)
                scene.process.left_s = lambda ms, now_s=now_s: round(7.0 + ms / 1000 - now_s, 6)
                try:
                    scene.process.notice_the_time()
                finally:
                    del scene.process.left_s
                assert state.is_leaving == is_leaving


@case("Client", ASKING)
def it_waits_no_longer_than_until_it_is_to_go(scene: Scene) -> None:
    for visit, has_returned, is_leaving, left_s, wait_s in (
        (BACK, False, False, 0.1, 0.1),
        (BACK, False, False, 0.9, 0.4),
        (BACK, False, False, -0.1, 0.0),
        (BACK, False, False, 0.0, 0.0),
        (BACK, True, False, 0.1, 0.4),
        (BACK, False, True, 0.1, 0.4),
        (LATER, False, False, 0.1, 0.4),
    ):
        having = {"visit": visit, "has_returned": has_returned, "is_leaving": is_leaving, "timers": Timers(400)}
        with scene.having(**having), scene.recording(left_s=left_s, may_send=False):
            assert scene.process.wait_s() == wait_s


@case("Client", ASKING)
def whoever_hears_that_its_session_is_over_asks_all_replicas_once(scene: Scene) -> None:
    waiting = {4: stands_in(has_asked_all=True), 5: stands_in(has_asked_all=False)}
    timers = Timers(400)
    for number in waiting:
        timers.start(number, 0.0, 400)
    with scene.having(outstanding=waiting, timers=timers), scene.recording("retransmit") as calls:
        scene.process.ask_all()
    assert calls == [("retransmit", 5)]
    assert [timers.is_running(number) for number in waiting] == [True, False]


@case("Client", ASKING)
def its_record_tells_of_sessions_where_it_had_several_or_was_not_there_all_the_time(scene: Scene) -> None:
    for sessions, visit, count in (([], ALWAYS, 0), ([], LATER, 1), (["one"], ALWAYS, 2), (["one"], LATER, 2)):
        with scene.having(sessions=sessions, visit=visit):
            accounts = scene.process.accounted().sessions
        assert len(accounts) == count
        assert accounts[:-1] == tuple(sessions)


# -- answers, and what it does without one [3.6, 4.1, 4.7, 4.8, 7.6]


def left_out(scene: Scene) -> tuple[int, Any, OutstandingRequest]:
    """A request that replicas rejected, and that waits under its number for what is void: the number, itself, and what waits."""
    number = scene.state.next_number + 7
    rejected = scene.by_client(Request(scene.state.signs_as, number, (Operation("put", "k", "v"),)))
    void = scene.by_client(Request(scene.state.signs_as, number, (Operation("void", ""),) * 2))
    return number, rejected, OutstandingRequest(void, 0, left_out=rejected, why="no room")


@case("Client", ASKING)
def an_answer_to_the_request_that_was_rejected_is_taken_too(scene: Scene) -> None:
    number, rejected, waiting = left_out(scene)
    for named in (rejected, waiting.signed):
        assert told_of(scene, number, waiting, named, ("OK",)) == [("finish", number, named)]


@case("Client", ASKING)
def an_answer_with_the_outcome_of_what_is_void_is_taken_whichever_of_the_two_it_names(scene: Scene) -> None:
    number, rejected, waiting = left_out(scene)
    for named in (rejected, waiting.signed):
        assert told_of(scene, number, waiting, named, ("fail", "fail")) == [("finish", number, named)]


@case("Client", ASKING, MalformedMessage, "too few or too many results")
def an_answer_with_as_many_results_as_neither_of_the_two(scene: Scene) -> None:
    number, rejected, waiting = left_out(scene)
    told_of(scene, number, waiting, rejected, ("OK", "fail", "fail"))


def told_of(scene: Scene, number: int, waiting: OutstandingRequest, named: Any, results: tuple[str, ...]) -> list[Any]:
    """What the client does, as far as it finishes, at a final answer that names this request and has these results."""
    answer = Answer(0, 0, 0, 1, named.digest(), (), Outcome(0, 0, 0, results), (), ())
    answer = replace(answer, proof=tuple(scene.by_replica(answer.result(), position) for position in range(3)))
    with scene.having(outstanding={number: waiting}), scene.recording("finish") as calls:
        scene.process.on_result_message(ResultMessage(scene.state.signs_as, number, answer))
    return [call[:3] for call in calls]


@case("Client", ASKING)
def what_is_finished_of_the_two_is_on_record_or_refused_as_its_results_say(scene: Scene) -> None:
    for results, is_refused in ((("OK",), False), (("fail", "fail"), True)):
        for place in ("rejected", "void"):
            number, rejected, waiting = left_out(scene)
            named = rejected if place == "rejected" else waiting.signed
            answer = Answer(0, 0, 0, 1, named.digest(), (), Outcome(0, 0, 0, results), (), ())
            with (
                scene.having(outstanding={number: waiting}, timers=Timers(400)),
                scene.recording("count_answered", "count_rejected", "send_next", keep_exchange=True) as calls,
            ):
                scene.process.finish(number, named, answer, "replica_0")
            kept = answer if named is rejected else AnswerToOther(named, answer)
            if is_refused:
                other = answer if named is not rejected else AnswerToOther(named, answer)
                assert calls[0] == ("count_rejected", waiting, other, "replica_0")
            else:
                assert calls[:2] == [("keep_exchange", waiting, kept, "replica_0"), ("count_answered", 1)]
                assert waiting.signed is rejected


@case("Client", ASKING)
def a_voucher_for_the_request_that_was_rejected_is_taken_too(scene: Scene) -> None:
    number, rejected, waiting = left_out(scene)
    voucher = Voucher(0, 0, scene.state.signs_as, number, rejected.statement.digest(), Outcome(0, 0, 0, ("OK",)))
    with scene.having(outstanding={number: waiting}), scene.recording("finish") as calls:
        scene.process.on_voucher(scene.by_olympus(voucher))
    assert [(call[0], call[1], call[2], call[4]) for call in calls] == [("finish", number, rejected, "olympus")]


@case("Client", ASKING)
def what_no_final_answer_will_come_of_is_sent_to_all_at_once_with_a_timer_of_its_own(scene: Scene) -> None:
    timers = Timers(400)
    timers.start(4, 0.0, 400)
    with scene.having(outstanding={4: stands_in(has_asked_all=False)}, timers=timers), scene.recording("retransmit") as calls:
        scene.process.ask_further(4, False)
    assert (calls, timers.is_running(4)) == ([("retransmit", 4)], False)


@case("Client", ASKING)
def it_introduces_itself_again_before_it_asks_all_replicas(scene: Scene) -> None:
    waiting = OutstandingRequest(scene.request(4), 0)
    having = {"outstanding": {4: waiting}, "timers": Timers(400), "retransmissions": 0}
    with scene.having(**having), scene.recording("introduce", "transmit") as calls:
        scene.process.retransmit(4)
    replicas = scene.state.replicas
    assert calls == [("introduce", replicas), ("transmit", "client_request", waiting.signed, replicas, "all replicas")]


@case("Client", ASKING)
def a_request_that_more_than_t_replicas_reject_is_left_out_and_before_that_all_are_asked(scene: Scene) -> None:
    waiting = OutstandingRequest(scene.request(4), 0)

    def rejected(position: int, number: int = 4) -> list[Any]:
        said = Rejection(0, scene.state.signs_as, number, waiting.signed.statement.digest(), "too large")
        with scene.having(outstanding={4: waiting}), scene.recording("leave_out", "ask_further") as calls:
            scene.process.on_rejection(scene.by_replica(said, position))
        return list(calls)

    assert rejected(0, number=99) == []
    assert rejected(0) == rejected(0) == [("ask_further", 4, False)]
    assert rejected(2) == [("leave_out", 4, "too large")]


@case("Client", ASKING)
def what_stands_in_for_a_request_that_is_left_out_waits_no_longer_than_one_that_is_new(scene: Scene) -> None:
    timers = Timers(400)
    timers.start(4, 0.0, 9_000)
    with (
        pytest.MonkeyPatch.context() as patch,
        scene.having(outstanding={4: OutstandingRequest(scene.request(4), 0)}, timers=timers) as state,
        scene.recording("transmit") as calls,
    ):
        at(patch, 1.0)
        scene.process.leave_out(4, "too large")
        [(_, kind, instead, _, _)] = calls
        assert (kind, instead) == ("client_request", state.outstanding[4].signed)
        due_s = 1.0 + state.settings.client_timeout_ms / 1000
        assert (timers.take_expired(due_s - 0.001), timers.take_expired(due_s)) == ([], [4])


@case("Client", ASKING)
def it_asks_olympus_for_what_is_newer_than_it_knows(scene: Scene) -> None:
    with scene.having(credential="credential"), scene.recording("tell_olympus") as calls:
        scene.process.sign = lambda statement: statement
        try:
            scene.process.query_configuration()
        finally:
            del scene.process.sign
    [(_, kind, query)] = calls
    assert (kind, query.known, query.credential) == ("configuration_query", 0, "credential")


# -- what comes in pieces [7a.3]


@case("Client", ASKING)
def of_what_comes_in_pieces_nothing_is_accepted_before_the_last(scene: Scene) -> None:
    for whole, accepted in ((None, []), (b"whole", [("accept", "kind", b"whole", "rule")])):
        arriving = stands_in(add=lambda *_, whole=whole: whole)
        with pytest.MonkeyPatch.context() as patch, scene.having(arriving=arriving), scene.recording("accept", author_of=(0, "a")) as calls:
            patch.setattr(sys.modules["Participant"], "decode", lambda *_: stands_in(manifest=None))
            scene.process.collect("kind", b"piece", "rule")
        assert [call for call in calls if call[0] == "accept"] == accepted


# -- all of them


@STAGE.each()
def test_what_a_client_does_at_each_step_is_what_its_sentence_says(each: Case) -> None:
    STAGE.check(each)

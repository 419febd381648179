"""Requests and answers that leave together: in runs, with liars, strangers and disks among them, and step by step (docs/protocol.md)."""

from collections import Counter
from importlib import import_module
from typing import Any

import pytest
from memory_chain import changed
from rig import JUNK, Rig
from scenes import Case, Scene, Stage, stands_in

from bcr.chain.bundles import Bundle, payloads_in, singles
from bcr.chain.messages import ResultMessage
from bcr.chain.outstanding import OutstandingRequest
from bcr.chain.request_queue import RequestQueue
from bcr.chain.timers import Timers
from bcr.signed.encoding import decode, encode
from bcr.signed.signing import JointSignature, Signed
from bcr.signed.statements import SignedRequest
from bcr_sim import distalgo
from bcr_sim.campaign import run_text

TEXT = """t = 1
num_client = 2
client_window = {window}
batch_limit = {batch}
checkpt_interval = 4
client_timeout = 200
head_timeout = 200
nonhead_timeout = 200
workload[0] = pseudorandom(1,12)
workload[1] = pseudorandom(2,12)
{more}simulation = seed(1); delay(200,1000)
"""
BUNDLES = ("client_requests", "result_messages")


def text(more="", window=4, batch=10):
    return TEXT.format(more=more, window=window, batch=batch)


def ran(more="", watch=lambda rig: None, **sizes):
    """A run of the scenario with a test in it; nothing was raised in any process, and all is as it should be."""
    rig = Rig(text(more, **sizes))
    rig.on_event = watch
    assert rig.errors() == []
    return rig


def arrived(rig, kind):
    """The payloads of messages of a kind that arrived somewhere, each with its sender's name."""
    return [(sender.name, message[1]) for sender, message in rig.sent.get(kind, [])]


def requests_in(rig):
    """The requests that arrived in bundles, by bundle, and those that arrived alone."""
    together = [[decode(SignedRequest, each) for each in payloads_in(bundle)] for _, bundle in arrived(rig, "client_requests")]
    return together, [decode(SignedRequest, each) for _, each in arrived(rig, "client_request")]


def request_key(signed):
    return signed.statement.client, signed.statement.number


def accepted(outcome):
    return {request_key(each.request): each for mine in outcome.record.clients for each in mine.exchanges}


# -- in runs


def test_requests_of_a_window_leave_as_one_message_and_the_answers_to_them_come_as_one():
    rig = ran()
    together, alone = requests_in(rig)
    assert {len(each) for each in together} == {4}
    assert Counter(each.signer for bundle in together for each in bundle) == {0: 12, 1: 12}
    assert alone == []
    answers = [payloads_in(bundle) for _, bundle in arrived(rig, "result_messages")]
    assert sum(map(len, answers)) == 24
    assert arrived(rig, "result_message") == []


def test_requests_that_leave_together_are_signed_together():
    for bundle in requests_in(ran())[0]:
        joint = [decode(JointSignature, each.signature) for each in bundle]
        assert [(each.index, each.size) for each in joint] == [(place, len(bundle)) for place in range(len(bundle))]
        assert len({each.signature for each in joint}) == 1


@pytest.mark.parametrize("authentication", ["hmac", "crc"])
def test_codes_are_made_for_each_request_whatever_leaves_with_it(authentication):
    together, _ = requests_in(ran(f"authentication = {authentication}\n"))
    assert together
    assert not any(b"joint" in each.signature for bundle in together for each in bundle)


def test_the_head_orders_what_came_together_in_one_slot():
    outcome = run_text(text())
    slots = Counter((client, each.answer.slot) for (client, _), each in accepted(outcome).items())
    assert outcome.breaches == ()
    assert set(slots.values()) == {4}


@pytest.mark.parametrize("batch, most", [(1, 1), (3, 3)])
def test_a_slot_holds_no_more_than_it_may_of_what_came_together(batch, most):
    outcome = run_text(text(batch=batch))
    slots = Counter(each.answer.slot for each in accepted(outcome).values())
    assert (outcome.breaches, sum(slots.values()), max(slots.values())) == ((), 24, most)


def test_who_has_one_request_at_a_time_sends_no_bundle():
    rig = ran(window=1)
    assert not set(BUNDLES) & set(rig.sent)
    _, alone = requests_in(rig)
    assert {len(each.signature) for each in alone} == {64}


def test_of_answers_in_one_bundle_the_lie_is_noticed_and_the_others_are_taken():
    outcome = run_text(text("failures[0,2] = shuttle(0,0),change_result()\n"))
    assert (outcome.breaches, outcome.judgement.status) == ((), "pass")
    assert len(accepted(outcome)) == 24
    noticed = [each for each in outcome.result["notices"] if each["by"].startswith("client_") and each["message"] == "result_message"]
    assert {each["kind"] for each in noticed} == {"DisagreeingResult"}
    assert len(noticed) == 1


def lie_in_bundles(monkeypatch, lie):
    """Lets the faulty tail change what is in each bundle of answers so."""
    distalgo.set_options()
    import_module("RunSystem")
    liars = import_module("Adversary").AdversarialReplica
    stock = liars.put_out

    def put_out(self, parts, to):
        if parts[0] == "result_messages":
            parts = (parts[0], encode(Bundle(lie(payloads_in(parts[1])))))
        stock(self, parts, to)

    monkeypatch.setattr(liars, "put_out", put_out)


def with_another_result(payload):
    message = decode(ResultMessage, payload)
    outcome = changed(message.answer.outcome, results=("a lie",) * len(message.answer.outcome.results))
    return encode(changed(message, answer=changed(message.answer, outcome=outcome)))


@pytest.mark.parametrize("lie", [with_another_result, lambda _: b"\xc1", lambda payload: payload[:-1]], ids=["a lie", "garbage", "cut off"])
def test_what_stands_beside_a_wrong_answer_in_a_bundle_is_taken_all_the_same(monkeypatch, lie):
    lie_in_bundles(monkeypatch, lambda payloads: (lie(payloads[0]), *payloads[1:]))
    outcome = run_text(text("failures[0,2] = shuttle(0,0),sleep(1)\n"))
    assert (outcome.breaches, outcome.judgement.status) == ((), "pass")
    taken = accepted(outcome)
    assert len(taken) == 24
    from_the_tail = [number for (_, number), each in taken.items() if (each.answered_by, each.attempts) == ("replica_2", 1)]
    assert from_the_tail == [number for number in range(12) if number % 4] * 2
    assert any(each["by"].startswith("client_") for each in outcome.result["notices"])


def test_a_tail_that_turns_the_answers_of_a_bundle_round_costs_nobody_anything(monkeypatch):
    lie_in_bundles(monkeypatch, lambda payloads: payloads[::-1])
    outcome = run_text(text("failures[0,2] = shuttle(0,0),sleep(1)\n"))
    assert (outcome.breaches, outcome.result["reconfigurations"], outcome.result["notices"]) == ((), [], [])
    assert {each.attempts for each in accepted(outcome).values()} == {1}


STRANGERS = [b"", b"\xc1", encode(Bundle(())), encode(Bundle((b"",) * 257)), encode(Bundle((b"garbage", b"\xc1", b""))), *JUNK]


def test_what_a_stranger_sends_as_a_bundle_is_dropped_and_nobody_is_replaced():
    states = {}

    def watch(rig):
        if not states and rig.sent.get("shuttle"):
            for receiver in rig.processes("Replica") + rig.processes("Client"):
                states[receiver.name] = receiver.process._state
                for kind in BUNDLES:
                    for payload in STRANGERS:
                        rig.inject(receiver, (kind, payload))

    rig = ran(watch=watch)
    assert len(states) == 5
    for state in states.values():
        assert {each.kind for each in state.notices} == {"MalformedMessage"}
        assert not state.is_in_bundle
    assert "reconfiguration_request" not in rig.sent and "accusation" not in rig.sent
    answers = [each for _, bundle in arrived(rig, "result_messages") for each in payloads_in(bundle)]
    assert len(answers) == 24


def test_a_request_of_a_bundle_that_is_sent_again_alone_is_the_same_request():
    rig = ran("failures[0,2] = shuttle(0,0),mute_clients()\n")
    together, alone = requests_in(rig)
    both = {request_key(each) for bundle in together for each in bundle} & {request_key(each) for each in alone}
    assert both
    digests = {(request_key(each), each.digest()) for each in [*alone, *(each for bundle in together for each in bundle)]}
    assert len(digests) == 24
    outcome = run_text(text("failures[0,2] = shuttle(0,0),mute_clients()\n"))
    assert (outcome.breaches, outcome.judgement.status) == ((), "pass")
    again = [each for each in accepted(outcome).values() if each.attempts > 1]
    assert again and all(each.request.digest() == each.answer.request_digest for each in again)
    assert outcome.result["reconfigurations"] == []


def test_a_head_that_writes_signatures_in_other_bytes_is_replaced_and_keeps_no_client_waiting(monkeypatch):
    """Its clients would get answers to requests that are not quite theirs."""
    distalgo.set_options()
    import_module("RunSystem")
    liars = import_module("Adversary").AdversarialReplica
    stock = liars.head_request

    def head_request(self, request):
        if request.signature[:7] == b"\x95\xa5joint":
            request = changed(request, signature=request.signature[:7] + b"\xcc" + request.signature[7:])
        stock(self, request)

    monkeypatch.setattr(liars, "head_request", head_request)
    outcome = run_text(text("failures[0,0] = client_request(0,0),sleep(1)\n"))
    assert outcome.judgement.status == "pass"
    assert {each[:46] for each in outcome.breaches} == {"validity: replica_0 of configuration 0 executed"[:46]}  # nobody else has
    assert (len(accepted(outcome)), len(outcome.result["reconfigurations"])) == (24, 1)


def test_in_the_next_configuration_requests_that_were_signed_together_are_still_their_clients():
    outcome = run_text(text("failures[0,0] = client_request(0,0),crash()\n"))
    assert (outcome.breaches, outcome.judgement.status, len(outcome.result["reconfigurations"])) == ((), "pass", 1)
    assert any(each.answer.configuration == 1 and len(each.request.signature) > 64 for each in accepted(outcome).values())


def test_answers_of_a_durable_replica_leave_as_one_behind_the_sync():
    rig = ran("durable = on\n")
    answers = [payloads_in(bundle) for _, bundle in arrived(rig, "result_messages")]
    assert sum(map(len, answers)) == 24 and {len(each) for each in answers} == {4}


# -- step by step

STAGE = Stage(TEXT.replace("{more}", "authentication = {{authentication}}\n").format(window=3, batch=10))
case = STAGE.case
PENDING, ACTIVE, ASKING = "before its configuration", "active, with slots in flight", "with requests outstanding"


def bundle_of(scene: Scene, *numbers: int) -> bytes:
    return encode(Bundle(tuple(encode(scene.request(number)) for number in numbers)))


@case("Head", PENDING)
def what_comes_in_a_bundle_before_the_configuration_is_kept_one_by_one(scene: Scene) -> None:
    with scene.having(early_requests=stands_in(keep=lambda *what: kept.append(what) or True)):
        kept: list[Any] = []
        bundle = bundle_of(scene, 0, 1)
        scene.process.accept_all("client_requests", bundle, scene.process.on_client_request, scene.process.order_queued)
    assert [(message[0], message[1], size) for message, size in kept] == [
        ("client_request", payload, len(payload)) for payload in payloads_in(bundle)
    ]


@case("Head", ACTIVE)
def what_comes_in_a_bundle_is_ordered_when_all_of_it_is_queued(scene: Scene) -> None:
    queue, waiting = RequestQueue(9), []
    with scene.having(queue=queue), scene.recording(is_to_be_ordered=True):
        scene.process.order_queued = lambda: waiting.append(queue.ready())
        try:
            bundle = bundle_of(scene, 7, 8, 9)
            scene.process.accept_all("client_requests", bundle, scene.process.on_client_request, scene.process.order_queued)
            assert waiting == [3]
            scene.process.on_client_request(scene.request(10))
            assert waiting == [3, 4]  # what comes alone is not kept waiting
        finally:
            del scene.process.order_queued


@case("Head", ACTIVE)
def behind_a_bundle_that_is_none_what_waits_is_ordered_and_what_comes_alone_is_too(scene: Scene) -> None:
    for bundle in (b"", encode(Bundle((b"\xc1", b"")))):
        with scene.having(notices=[]) as state, scene.recording("order_queued", "ask_for_reconfiguration") as calls:
            scene.process.accept_all("client_requests", bundle, scene.process.on_client_request, scene.process.order_queued)
            assert (calls, state.is_in_bundle) == ([("order_queued",)], False)
            assert len(state.notices) == len(singles(("client_requests", bundle)))


@case("Head", ACTIVE)
def an_error_of_its_own_within_a_bundle_is_told_and_what_comes_alone_behind_it_is_not_kept_waiting(scene: Scene) -> None:
    def fails(_: Any) -> None:
        raise RuntimeError

    with scene.having(notices=[]) as state, scene.recording("order_queued") as calls:
        with pytest.raises(RuntimeError):
            scene.process.accept_all("client_requests", bundle_of(scene, 7), fails, scene.process.order_queued)
        assert (calls, state.is_in_bundle) == ([], False)


@case("Client", ASKING)
def behind_a_bundle_of_answers_a_client_sends_once_what_it_may(scene: Scene) -> None:
    log: list[Any] = []
    payloads = (b"1", b"2", b"3")
    with scene.having(notices=[]) as state:
        scene.process.take = lambda name, payload, rule: log.append((payload, state.is_in_bundle))
        try:
            scene.process.accept_all("result_messages", encode(Bundle(payloads)), None, lambda: log.append(("sends", state.is_in_bundle)))
        finally:
            del scene.process.take
    assert log == [(b"1", True), (b"2", True), (b"3", True), ("sends", False)]


@case("Client", ASKING)
def what_is_finished_within_a_bundle_sends_nothing_yet(scene: Scene) -> None:
    [number, *_] = scene.state.outstanding
    waiting = scene.state.outstanding[number]
    answer = stands_in(slot=1, configuration=0, outcome=stands_in(results=()))
    for is_in_bundle, sent in ((True, []), (False, [("send_next",)])):
        outstanding = {number: stands_in(left_out=None, taken=lambda *_: None, signed=waiting.signed)}
        with (
            scene.having(outstanding=outstanding, is_in_bundle=is_in_bundle),
            scene.recording("send_next", "count_answered", keep_exchange=True) as calls,
        ):
            scene.state.journal = stands_in(step=lambda *_, **__: None, detail=lambda *_, **__: None)
            scene.process.finish(number, waiting.signed, answer, "replica_2")
        assert [call for call in calls if call[0] == "send_next"] == sent


@case("Client", ASKING)
def what_was_signed_with_others_is_sent_again_under_that_signature_for_a_request_is_known_by_it_too(scene: Scene) -> None:
    [number, *_] = scene.state.outstanding
    statement = scene.state.outstanding[number].signed.statement
    signed, _ = Signed.sign_jointly([statement] * 2, scene.state.signs_as, scene.state.keys)
    waiting = OutstandingRequest(signed, 0)
    with scene.having(outstanding={number: waiting}, timers=Timers(300)), scene.recording("send_to_head") as calls:
        scene.process.send_again(number)
    assert calls == [("send_to_head", number, signed)]
    assert waiting.signed is signed


@case("Client", ASKING, authentication="hmac")
def codes_are_made_anew_for_those_to_whom_a_request_is_sent_again(scene: Scene) -> None:
    [number, *_] = scene.state.outstanding
    signed = scene.state.outstanding[number].signed
    waiting = OutstandingRequest(changed(signed, signature=b""), 0)
    with scene.having(outstanding={number: waiting}, timers=Timers(300)), scene.recording("send_to_head") as calls:
        scene.process.send_again(number)
    assert calls == [("send_to_head", number, signed)]


@case("Replica", ACTIVE)
def answers_that_wait_for_the_disk_leave_together_behind_one_sync(scene: Scene) -> None:
    log: list[Any] = []
    stable = stands_in(is_dirty=True, sync=lambda: log.append("sync"))
    with scene.having(stable=stable, outbox=type(scene.state.outbox)(), gathered=None) as state:
        scene.process.put_out = lambda parts, to: log.append((parts[0], to))
        try:
            for to in ("a", "a", "b"):
                scene.process.deliver(("result_message", b"x"), to)
            scene.process.deliver(("shuttle", b"x"), "a")
            assert log == [] and len(state.outbox) == 4
            scene.process.send_waiting()
        finally:
            del scene.process.put_out
        assert not state.outbox
    assert log == ["sync", ("result_messages", "a"), ("result_message", "b"), ("shuttle", "a")]


@case("Replica", ACTIVE)
def answers_of_a_slot_leave_together_and_what_is_said_later_does_not_wait_for_others(scene: Scene) -> None:
    log: list[Any] = []
    with scene.having(stable=stands_in(is_dirty=False), outbox=[]) as state:
        scene.process.put_out = lambda parts, to: log.append((parts[0], to))
        scene.process.reply = lambda request, _: scene.process.deliver(("result_message", b"x"), request)
        try:
            scene.process.reply_to_all(stands_in(slot=stands_in(requests=("a", "b", "a"))))
            assert log == [("result_messages", "a"), ("result_message", "b")]
            scene.process.deliver(("error", b"x"), "a")
        finally:
            del scene.process.put_out, scene.process.reply
        assert state.gathered is None
    assert log[2:] == [("error", "a")]


@STAGE.each()
def test_what_leaves_and_comes_together_is_handled_as_its_sentence_says(each: Case) -> None:
    STAGE.check(each)

"""Requests for which there was no room are settled by what more than t replicas have signed, and by nothing less (specification, 13.10, 16.12)."""

import functools

import pytest
from msgspec.structs import replace

from bcr.evidence.verifying import verify_record
from bcr.objects.operation import Operation
from bcr.scenario import parse_scenario
from bcr.scenario.workload import RequestSequence
from bcr.signed.signing import Signed, SigningKey
from bcr.verdict.braft_verdict import judge_braft
from bcr.verdict.judge import judge
from bcr_sim.campaign import run_text

TEXT = """protocol = {protocol}
t = 1
num_client = 2
time_unit = ms
client_timeout = 600
durable = on
checkpt_interval = 3
workload[0] = pseudorandom(1,20)
workload[1] = pseudorandom(2,20)
simulation = seed(1); real_signatures; {words}
"""
PROTOCOLS = {"shuttle": 3, "byzantine_raft": 4}
TOO_FEW = "rejected for want of room, and too few have signed that"


@functools.cache
def run(protocol):
    words = "; ".join(f"disk(replica_{position},full,30)" for position in range(PROTOCOLS[protocol]))
    outcome = run_text(TEXT.format(protocol=protocol, words=words))
    assert (outcome.breaches, outcome.judgement.status) == ((), "pass")
    assert outcome.record.clients[0].rejected
    return outcome


def judged(protocol, change):
    """The verdict on the run, after a change of the first request that was rejected."""
    outcome = run(protocol)
    scenario, _ = parse_scenario(TEXT.format(protocol=protocol, words="delay(1,1)"), "x.config")
    workloads = [RequestSequence(each, 1, scenario.replicated) for each in scenario.workloads]
    limits = outcome.record.limits
    first, *others = outcome.record.clients
    mine, *more = first.rejected
    record = replace(outcome.record, clients=(replace(first, rejected=(*change(mine), *more)), *others))
    if protocol == "shuttle":
        return judge(record, workloads, 1, limits=limits)
    return judge_braft(record, workloads, 1, 1, limits=limits)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_as_they_are_on_record_they_pass_and_are_told(protocol):
    judgement = judged(protocol, lambda mine: [mine])
    assert judgement.status == "pass", judgement.reasons
    count = len(run(protocol).record.clients[0].rejected)
    assert f"client 0: {count} requests were rejected for want of room, and were not executed" in judgement.reasons


def with_few(mine):
    return [replace(mine, rejections=mine.rejections[:1])]


def with_one_twice(mine):
    return [replace(mine, rejections=mine.rejections[:1] * 3)]


def with_those_of_nobody(mine):
    key = SigningKey(bytes(32))
    return [replace(mine, rejections=tuple(Signed.sign(each.statement, each.signer, key) for each in mine.rejections))]


def with_those_of_another_request(mine):
    others = tuple(replace(each, statement=replace(each.statement, request_digest=bytes(32))) for each in mine.rejections)
    return [replace(mine, rejections=others)]


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("change", [with_few, with_one_twice, with_those_of_nobody, with_those_of_another_request])
def test_what_too_few_have_rejected_is_wrong(protocol, change):
    judgement = judged(protocol, change)
    assert judgement.status == "fail"
    assert any(TOO_FEW in reason for reason in judgement.reasons)


def with_another_reason(mine):
    return [replace(mine, rejections=tuple(replace(each, statement=replace(each.statement, why="too large")) for each in mine.rejections))]


def test_replicas_that_reject_for_another_reason_settle_nothing():
    assert any(TOO_FEW in reason for reason in judged("shuttle", with_another_reason).reasons)


def asking_for(mine, **fields):
    statement = replace(mine.instead.request.statement, **fields)
    return [replace(mine, instead=replace(mine.instead, request=replace(mine.instead.request, statement=statement)))]


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("fields", [{"number": 99}, {"operations": (Operation("get", "a"),)}])
def test_what_takes_another_number_or_asks_for_something_settles_nothing(protocol, fields):
    judgement = judged(protocol, lambda mine: asking_for(mine, **fields))
    assert judgement.status in ("unknown", "fail")
    assert judged(protocol, lambda mine: []).status == "unknown"


def test_a_third_party_sees_who_rejected_them():
    verification = verify_record(run("shuttle").record)
    count = len(run("shuttle").record.clients[0].rejected)
    assert f"by more than t replicas, who signed it: client 0: {count} requests were rejected" in "\n".join(verification.proved)
    assert any(each.startswith("by replaying all requests") for each in verification.proved)
    first, *others = run("shuttle").record.clients
    mine, *more = first.rejected
    altered = replace(run("shuttle").record, clients=(replace(first, rejected=(*with_few(mine), *more)), *others))
    assert any(TOO_FEW in reason for reason in verify_record(altered).refused)

"""The figures of a run: percentiles by nearest rank, latency from when a request was due, consumption while it worked."""

import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from memory_chain import MemoryChain, put

from bcr.chain.reconfiguration import ReconfigurationReport
from bcr.verdict.record import ClientRecord, RunRecord
from bcr.verdict.samples import Sample
from bcr_run import report
from bcr_run.latencies import first_result_ms, latency_ms, percentile, processes, rate_of

MILLISECOND_NS = 1_000_000


@given(st.lists(st.integers(0, 10**9), min_size=1), st.floats(0.1, 100))
def test_a_percentile_is_the_smallest_value_that_so_many_do_not_exceed(values, percent):
    values.sort()
    found = percentile(values, percent)
    needed = math.ceil(len(values) * percent / 100)
    assert sum(value <= found for value in values) >= needed
    assert sum(value < found for value in values) < needed


@pytest.fixture
def record():
    """A run of one client whose requests took 1, 2, 3 … ms, one after the other."""
    chain = MemoryChain(clients=1)
    for _ in range(7):
        chain.serve(0, put("a", "b"))
    run = chain.record()
    exchanges = []
    for number, each in enumerate(run.clients[0].exchanges):
        sent_ns = number * 100 * MILLISECOND_NS
        accepted_ns = sent_ns + (number + 1) * MILLISECOND_NS
        exchanges.append(msgspec.structs.replace(each, sent_ns=sent_ns, accepted_ns=accepted_ns))
    return msgspec.structs.replace(run, clients=(ClientRecord(0, "a clock", tuple(exchanges)),))


def test_latency_is_from_sending_to_accepting_where_no_time_was_due(record):
    count = len(record.clients[0].exchanges)
    found = latency_ms(record)
    assert found["max"] == count
    assert found["p50"] == math.ceil(count / 2)
    assert found["mean"] == pytest.approx((count + 1) / 2)


def test_latency_counts_from_when_a_request_was_due(record):
    late = [msgspec.structs.replace(each, due_ns=each.sent_ns - 5 * MILLISECOND_NS) for each in record.clients[0].exchanges]
    changed = msgspec.structs.replace(record, clients=(ClientRecord(0, "a clock", tuple(late)),))
    assert latency_ms(changed) == {name: value + 5 for name, value in latency_ms(record).items()}


def test_the_rate_is_of_what_was_answered_from_the_first_to_the_last(record):
    count = len(record.clients[0].exchanges)
    assert rate_of(record) == pytest.approx(count / (((count - 1) * 100 + count) / 1000), rel=0.01)


def test_a_run_without_answers_has_no_latency_and_no_rate():
    nothing = RunRecord(b"", (), (), ())
    assert (latency_ms(nothing), rate_of(nothing), processes(nothing)) == ({}, 0.0, {})


def test_a_process_is_measured_from_its_first_sample_to_its_last():
    samples = (Sample(5_000_000_000, 1.5, 10 << 20, 0), Sample(7_000_000_000, 2.75, 12 << 20, 90))
    record = RunRecord(b"", (), (ClientRecord(3, "a clock", (), samples=samples),), (), olympus_samples=samples[:1])
    assert processes(record) == {
        "client_3": {"cpu_s": 1.25, "samples": [[0.0, 10.0, 0], [2.0, 12.0, 90]]},
        "olympus": {"cpu_s": 0.0, "samples": [[0.0, 10.0, 0]]},
    }


def change_at(detected_ns, clock, target=1):
    return ReconfigurationReport(
        source=target - 1, target=target, requested_by="", reason="", blamed=None, quorums_tried=(), quorum=None, why_not=(),
        invalid_histories={}, olympus_results=(), clock=clock, detected_ns=detected_ns, detected_ms=0.0, wedged_ms=None,
        caught_up_ms=None, fetched_ms=None, active_ms=None,
    )  # fmt: skip


def test_the_first_new_result_is_the_first_that_a_client_accepted_of_the_new_configuration():
    chain = MemoryChain(clients=1)
    chain.serve(0, put("k", "before"))
    detected_ns = chain.now_ns
    chain.reconfigure()
    chain.serve(0, put("k", "after"))
    first_ns = chain.now_ns
    chain.serve(0, put("k", "later"))
    record = chain.record()
    clock = record.clients[0].clock
    assert first_result_ms(record, change_at(detected_ns, clock)) == round((first_ns - detected_ns) / 1e6, 3)
    assert first_result_ms(record, change_at(detected_ns - 7_000_000, clock)) >= 7
    assert first_result_ms(record, change_at(detected_ns, clock, target=2)) is None
    assert first_result_ms(record, change_at(detected_ns, "another clock")) is None


def test_a_result_names_the_versions_of_what_is_installed_and_no_other(monkeypatch):
    monkeypatch.setattr(report, "PACKAGES", ("msgspec", "no-such-package"))
    report._versions.cache_clear()
    found = report._versions()
    report._versions.cache_clear()
    assert set(found) == {"python", "byzantine-chain-replication", "msgspec"}

"""The search for an order of operations, and the verdict's witness order against it."""

from hypothesis import given, settings
from hypothesis import strategies as st
from memory_chain import MemoryChain, append, changed, get, put

from bcr.verdict.judge import judge
from bcr.verdict.linearizability import is_linearizable
from bcr.verdict.record import RunRecord


def chain_of(operations):
    chain = MemoryChain()
    for client, operation in operations:
        chain.serve(client, operation)
    return chain


def exchanges_of(record):
    return [exchange for client in record.clients for exchange in client.exchanges]


OPERATIONS = st.lists(st.tuples(st.integers(0, 1), st.sampled_from([put("k", "a"), append("k", "b"), get("k")])), min_size=1, max_size=6)


@given(OPERATIONS)
@settings(max_examples=60)
def test_whatever_the_verdict_passes_has_an_order(operations):
    chain = chain_of(operations)
    record = chain.record()
    assert judge(record, chain.workloads(), chain.client_window).status == "pass"
    assert is_linearizable(exchanges_of(record))


@given(OPERATIONS, st.data())
@settings(max_examples=60)
def test_a_result_that_no_order_gives_has_none_and_the_verdict_is_fail(operations, data):
    chain = chain_of(operations)
    record: RunRecord = chain.record()
    client = data.draw(st.sampled_from([each for each in record.clients if each.exchanges]))
    place = data.draw(st.integers(0, len(client.exchanges) - 1))
    exchange = client.exchanges[place]
    outcome = changed(exchange.answer.outcome, results=("never",))
    lie = changed(exchange, answer=changed(exchange.answer, outcome=outcome))
    mine = changed(client, exchanges=(*client.exchanges[:place], lie, *client.exchanges[place + 1 :]))
    altered = changed(record, clients=tuple(mine if each is client else each for each in record.clients))
    assert not is_linearizable(exchanges_of(altered))
    assert judge(altered, chain.workloads(), chain.client_window).status == "fail"


def test_operations_apart_in_time_keep_their_order():
    chain = chain_of([(0, put("k", "a")), (1, get("k"))])
    write, read = exchanges_of(chain.record())
    early = changed(read, sent_ns=0, accepted_ns=1)
    late = changed(write, sent_ns=2, accepted_ns=3)
    assert not is_linearizable([late, early])
    assert is_linearizable([changed(write, sent_ns=0, accepted_ns=5), early])

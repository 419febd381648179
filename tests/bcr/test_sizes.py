"""Sizes: what is too large has a result of its own, the same at all replicas, and no message holds more than fits."""

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from memory_chain import MemoryChain, append, changed, get, put

from bcr.chain import slot_room as room
from bcr.chain.limits import payload_limits, state_limits
from bcr.chain.messages import ResultMessage, ResultShuttle, Shuttle, demand_request
from bcr.chain.request_queue import RequestQueue
from bcr.chain.settings import Settings
from bcr.chain.slot_room import SlotRoom, operations_bytes, request_bytes
from bcr.objects import dictionary, dictionary_model, sizes
from bcr.objects.dictionary import FAIL, OK, TOO_LARGE, Dictionary, Operation, execute
from bcr.objects.sizes import (
    BYTES_OF_A_CHARACTER,
    REQUEST_LIMIT_BYTES,
    RESULTS_LIMIT_BYTES,
    SLOT_LIMIT_BYTES,
    SLOT_RESULTS_LIMIT_BYTES,
    STATE_LIMIT_BYTES,
    VALUE_LIMIT_BYTES,
    StateLimits,
)
from bcr.scenario import ScenarioError, parse_scenario
from bcr.scenario.sizing import sizes_of
from bcr.signed.authentication import sizes as chain_sizes
from bcr.signed.encoding import encode
from bcr.signed.signing import Signed
from bcr.signed.statements import Request
from bcr.signed.violations import MalformedMessage
from bcr.state.buckets import Buckets
from bcr.state.running import RunningState
from bcr.verdict import model
from bcr.verdict.linearizability import is_linearizable
from bcr.verdict.model import Model
from dacurrent.logs import DEFAULT_MESSAGE_BUFFER_SIZE

HALF = "x" * (VALUE_LIMIT_BYTES // 2)
MESSAGE_LIMIT_BYTES = DEFAULT_MESSAGE_BUFFER_SIZE


# -- the object


def test_three_operations_that_made_an_answer_larger_than_a_message_have_results():
    large = "x" * (VALUE_LIMIT_BYTES - 1)
    dictionary = {}
    assert execute(dictionary, [put("k", large), append("k", large), get("k")]) == (OK, FAIL, large)
    assert dictionary == {"k": large}


def test_a_value_may_be_as_large_as_the_limit_and_no_byte_larger():
    dictionary = {}
    results = execute(dictionary, [put("k", HALF), append("k", HALF), append("k", ""), append("k", "y")])
    assert results == (OK, OK, OK, FAIL)
    assert len(dictionary["k"]) == VALUE_LIMIT_BYTES
    assert execute(dictionary, [put("k", 2 * HALF + "y"), get("k")]) == (FAIL, 2 * HALF)
    assert execute(dictionary, [Operation("slice", "k", "0:3"), append("k", "y"), get("k")]) == (OK, OK, "xxxy")


def test_bytes_count_and_not_characters():
    dictionary = {"k": "é" * (VALUE_LIMIT_BYTES // 2)}
    assert execute(dictionary, [append("k", "y")]) == (FAIL,)
    assert execute(dictionary, [put("l", "✓" * (VALUE_LIMIT_BYTES // 3 + 1))]) == (FAIL,)


def test_of_what_a_request_gets_the_rest_that_does_not_fit_is_too_large():
    short = "x" * 5_000
    dictionary = {"k": HALF, "l": short, "m": ""}
    assert execute(dictionary, [get("k"), get("k"), get("l"), get("m"), get("absent")]) == (
        HALF, HALF, TOO_LARGE, "", "",
    )  # fmt: skip
    assert execute(dictionary, [get("l"), get("k"), get("k"), get("l")]) == (short, HALF, TOO_LARGE, short)


TEXTS = st.text("aé", max_size=4)
KEYS = st.sampled_from(["k", "l"])
OPERATIONS = st.one_of(
    st.builds(Operation, st.sampled_from(["put", "append"]), KEYS, TEXTS),
    st.builds(Operation, st.just("get"), KEYS),
    st.builds(Operation, st.just("slice"), KEYS, st.sampled_from(["0:1", "1:2", "0:9"])),
)
REQUESTS = st.builds(Request, st.integers(0, 1), st.integers(0, 5), st.lists(OPERATIONS, min_size=1, max_size=5).map(tuple))


@pytest.fixture
def small(monkeypatch):
    """Limits that short texts reach."""
    for module in (dictionary, dictionary_model):
        monkeypatch.setattr(module, "VALUE_LIMIT_BYTES", 6)
        monkeypatch.setattr(module, "RESULTS_LIMIT_BYTES", 9)
    monkeypatch.setattr(model, "RESULTS_LIMIT_BYTES", 9)
    monkeypatch.setattr(room, "SLOT_LIMIT_BYTES", 500)
    monkeypatch.setattr(room, "SLOT_RESULTS_LIMIT_BYTES", 20)


once = hypothesis_settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)  # the limits stay for all examples


@once
@given(st.lists(REQUESTS, max_size=20), st.integers(1, 3))
def test_model_and_running_state_agree_on_what_is_too_large(small, requests, window):
    checking, executing = Model(window), RunningState(window)
    for slot, request in enumerate(requests):
        outcome = executing.execute_at(0, slot, 0, request)
        assert checking.execute((0, slot, 0), request) == (outcome.place, outcome.results)
        assert checking.difference(executing) == ""


def test_what_is_too_large_is_linearizable(small):
    chain = MemoryChain()
    chain.serve(0, put("k", "123456"), append("k", "7"), put("k", "1234567"), get("k"), get("k"))
    chain.serve(1, get("k"), Operation("slice", "k", "0:3"), get("k"), get("k"))
    assert [each.answer.outcome.results for each in (chain.exchanges[0][0], chain.exchanges[1][0])] == [
        (OK, FAIL, FAIL, "123456", TOO_LARGE), ("123456", OK, "123", TOO_LARGE),
    ]  # fmt: skip
    assert is_linearizable([*chain.exchanges[0], *chain.exchanges[1]])
    [exchange] = chain.exchanges[0]
    lie = changed(exchange, answer=changed(exchange.answer, outcome=changed(exchange.answer.outcome, results=(OK,) * 5)))
    assert not is_linearizable([lie])


# -- requests


def test_a_request_beyond_the_limit_is_malformed_before_its_signature_is_looked_at():
    chain = MemoryChain()
    long = "x" * VALUE_LIMIT_BYTES
    fitting = long + "x" * (REQUEST_LIMIT_BYTES - operations_bytes([put("k", long)]))
    demand_request(chain.send(0, put("k", fitting)), chain.configuration)
    too_large = changed(chain.send(0, put("k", fitting + "x")), signature=b"")
    with pytest.raises(MalformedMessage, match="more than 1,052,672 bytes"):
        demand_request(too_large, chain.configuration)


def test_a_request_that_puts_the_largest_value_is_within_the_limit():
    assert operations_bytes([put("a key", "x" * VALUE_LIMIT_BYTES)]) <= REQUEST_LIMIT_BYTES


@once
@given(st.lists(REQUESTS, max_size=12), st.lists(REQUESTS, min_size=1, max_size=8))
def test_what_is_not_counted_for_each_operation_is_never_less_than_what_would_be(small, before, requests):
    executing = RunningState(3)
    executing.execute(0, 0, before)
    chain = MemoryChain(clients=2)
    taking, counting = SlotRoom(executing), SlotRoom(executing)
    counting._most_results_of = lambda request: None
    for request in requests:
        signed = changed(chain.send(0, *request.operations), statement=request)
        assert taking.takes(signed) == counting.takes(signed)


# -- slots


def filled(chain, requests):
    taking = SlotRoom(chain.state)
    return [request for request in requests if taking.takes(request)]


def test_a_slot_takes_requests_as_long_as_their_bytes_fit():
    chain = MemoryChain(clients=6)
    requests = [chain.send(client, put("k", "x" * 400_000)) for client in range(6)]
    assert filled(chain, requests) == requests[:5]


def test_a_slot_takes_reads_as_long_as_what_they_get_fits():
    chain = MemoryChain(clients=8)
    chain.serve(0, put("k", "x" * 400_000))
    requests = [chain.send(client, get("k")) for client in range(1, 8)]
    assert filled(chain, requests) == requests[:5]


def test_what_the_requests_before_it_in_the_slot_write_counts_for_a_read():
    chain = MemoryChain(clients=8)
    chain.serve(0, put("k", "x"))
    requests = [chain.send(1, put("k", HALF)), chain.send(2, append("k", HALF))]
    requests += [chain.send(client, get("k")) for client in range(3, 8)]
    assert filled(chain, requests) == requests[:4]


@pytest.mark.parametrize("spare, taken", [(0, 2), (-1, 1), (1, 2)])
def test_a_slot_is_filled_to_the_last_byte(monkeypatch, spare, taken):
    chain = MemoryChain(clients=4)
    chain.serve(0, put("k", "x" * 10))
    requests = [chain.send(client, get("k")) for client in range(1, 4)]
    monkeypatch.setattr(room, "SLOT_LIMIT_BYTES", 2 * request_bytes(requests[0]) + spare)
    assert filled(chain, requests) == requests[:taken]
    monkeypatch.setattr(room, "SLOT_LIMIT_BYTES", SLOT_LIMIT_BYTES)
    monkeypatch.setattr(room, "SLOT_RESULTS_LIMIT_BYTES", 2 * 10 + spare)
    assert filled(chain, requests) == requests[:taken]


def test_a_value_that_is_as_large_as_the_limit_counts_whole_for_the_reads_behind_it():
    chain = MemoryChain(clients=8)
    chain.serve(0, put("k", "x"))
    requests = [chain.send(1, put("k", 2 * HALF)), *(chain.send(client, get("k")) for client in range(2, 8))]
    assert filled(chain, requests) == requests[:3]


def test_a_request_alone_always_fits():
    chain = MemoryChain(clients=2)
    chain.serve(0, put("k", 2 * HALF))
    assert len(filled(chain, [chain.send(1, *[get("k")] * 900)])) == 1
    assert len(filled(chain, [chain.send(1, put("k", 2 * HALF))])) == 1


@once
@given(st.lists(REQUESTS, max_size=12), st.lists(REQUESTS, min_size=1, max_size=8))
def test_a_slot_that_has_room_gets_no_more_than_its_limit(small, before, requests):
    executing = RunningState(3)
    executing.execute(0, 0, before)
    chain = MemoryChain(clients=2)
    taking = SlotRoom(executing)
    signed = [chain.send(0, *request.operations) for request in requests]
    signed = [changed(each, statement=request) for each, request in zip(signed, requests, strict=True)]
    taken = [each for each in signed if not executing.is_stale(each.statement) and taking.takes(each)]
    outcomes = executing.execute(0, 1, [each.statement for each in taken])
    values = [
        result
        for each, outcome in zip(taken, outcomes, strict=True)
        for operation, result in zip(each.statement.operations, outcome.results, strict=False)
        if operation.name == "get" and result != TOO_LARGE
    ]
    assert sum(len(each.encode()) for each in values) <= 20 or len(taken) == 1
    assert sum(map(request_bytes, taken)) <= 500 or len(taken) == 1


def test_what_is_stale_and_so_not_ordered_takes_no_room_and_gives_none():
    """Else a lying client has its head count a value as emptied that the others find full."""
    executing = RunningState(2)
    large = put("k", "x" * 800_000)
    executing.execute(0, 0, [Request(0, 1, (large,)), Request(0, 9, (get("k"),))])
    chain = MemoryChain(clients=2)
    template = chain.send(0, get("k"))
    stale, *reads = [
        changed(template, statement=request)
        for request in (Request(0, 2, (put("k", ""),)), *(Request(0, number, (get("k"),)) for number in (10, 11, 12)))
    ]
    assert executing.is_stale(stale.statement)
    taking = SlotRoom(executing)
    assert [taking.takes(each) for each in (reads[0], stale, *reads[1:])] == [True, True, True, False]


def test_a_queue_leaves_what_does_not_fit_to_the_next_slot_and_in_its_turn():
    chain = MemoryChain(clients=3)
    queue = RequestQueue(2)
    large = [chain.send(client, put("k", "x" * 800_000)) for client in range(3)]
    later = chain.send(0, get("k"))
    for request in (*large, later):
        queue.add(request.statement.client, request.statement.number, request)
    newest = chain.send(1, get("k"))
    assert queue.take(100, SlotRoom(chain.state).takes) == [large[0], later, large[1]]
    queue.add(1, newest.statement.number, newest)
    assert queue.take(100, SlotRoom(chain.state).takes) == [large[2], newest]


def test_a_client_of_large_requests_costs_another_no_more_than_a_slot():
    chain = MemoryChain(clients=2)
    queue = RequestQueue(4)
    large = [chain.send(0, put("k", "x" * 800_000)) for _ in range(4)]
    small = chain.send(1, get("k"))
    for request in (*large, small):
        queue.add(request.statement.client, request.statement.number, request)
    assert queue.take(100, SlotRoom(chain.state).takes) == large[:2]
    assert queue.take(100, SlotRoom(chain.state).takes) == [small, *large[2:]]


def test_a_slot_of_more_bytes_than_it_has_is_let_through_by_nobody():
    chain = MemoryChain(clients=6)
    requests = [chain.send(client, put("k", "x" * 400_000)) for client in range(6)]
    assert SlotRoom(chain.state).takes_all(requests[:5], map(request_bytes, requests))
    assert not SlotRoom(chain.state).takes_all(requests, map(request_bytes, requests))


@pytest.fixture
def counted(monkeypatch):
    """The requests whose operations were counted one by one."""
    requests, stock = [], Dictionary.most_results

    def most_results(self, operations, size_of):
        requests.append(operations)
        return stock(self, operations, size_of)

    monkeypatch.setattr(Dictionary, "most_results", most_results)
    return requests


def test_as_long_as_what_is_read_and_was_written_come_to_no_more_than_fits_no_operations_are_counted(monkeypatch, counted):
    chain = MemoryChain(clients=6)
    chain.serve(0, put("k", "x" * 10))
    for requests, limit in (
        ([chain.send(client, get("k")) for client in range(1, 5)], 40),
        ([chain.send(5, put("k", "abc")), chain.send(1, get("k")), chain.send(2, get("absent"))], 16),
    ):
        monkeypatch.setattr(room, "SLOT_RESULTS_LIMIT_BYTES", limit)
        assert filled(chain, requests) == requests
        assert counted == []


def test_what_was_counted_leaves_its_room_to_those_behind_it_which_need_not_be_counted_then(monkeypatch, counted):
    chain = MemoryChain(clients=6)
    chain.serve(0, put("k", "x" * 10))
    monkeypatch.setattr(room, "SLOT_RESULTS_LIMIT_BYTES", 60)
    long = "x" * 20  # as long as each of the reads behind it may find its value
    requests = [chain.send(1, put("l", long)), chain.send(2, get("l")), chain.send(3, get("k")), chain.send(4, get("k"))]
    taking = SlotRoom(chain.state)
    assert all(map(taking.takes, requests))
    assert len(counted) == 4  # for 20 and 30 and 30 bytes are too many; it is 20 and 10 and 10
    assert taking.takes(chain.send(5, get("absent")))
    assert len(counted) == 4
    assert not taking.takes(chain.send(1, get("l"), get("k")))


def test_requests_whose_sizes_are_known_are_not_encoded_to_be_measured(monkeypatch):
    chain = MemoryChain(clients=3)
    requests = [chain.send(client, get("k")) for client in range(3)]
    measured = []
    monkeypatch.setattr(room, "request_bytes", lambda request: measured.append(request) or 1)
    assert SlotRoom(chain.state).takes_all(requests, [1, 1, 1])
    assert measured == requests[:1]  # which nobody asked about as long as it was alone


def test_a_character_counts_in_a_slot_as_the_bytes_that_it_has(monkeypatch):
    chain = MemoryChain(clients=4)
    chain.serve(0, put("k", "x"))
    monkeypatch.setattr(room, "SLOT_RESULTS_LIMIT_BYTES", 50)
    requests = [chain.send(1, put("k", "é" * 20)), chain.send(2, get("k")), chain.send(3, get("k"))]
    assert filled(chain, requests) == requests[:2]


def test_behind_what_is_appended_a_read_counts_as_long_as_the_value_then_is(monkeypatch):
    chain = MemoryChain(clients=5)
    chain.serve(0, put("k", "x" * 10))
    monkeypatch.setattr(room, "SLOT_RESULTS_LIMIT_BYTES", 49)
    appends = [chain.send(client, append("k", "x" * 5)) for client in (1, 2, 3)]
    reads = [chain.send(4, get("k")), chain.send(1, get("k"))]
    assert filled(chain, appends + reads) == [*appends, reads[0]]


def test_a_request_that_was_executed_before_counts_as_what_it_got(monkeypatch):
    chain = MemoryChain(clients=3)
    before = chain.serve(1, get("k"))
    chain.serve(0, put("k", "x" * 30))
    monkeypatch.setattr(room, "SLOT_RESULTS_LIMIT_BYTES", 30)
    requests = [chain.send(2, get("k")), before]
    assert filled(chain, requests) == requests


# -- what the dictionary says of its operations


@pytest.mark.parametrize(("operations", "most", "sizes_then"), [
    ((get("k"), get("absent")), 5, {}),
    ((put("k", "é"), get("k")), 2, {"k": 2}),
    ((put("k", "x" * (VALUE_LIMIT_BYTES + 1)), get("k")), 5, {"k": 5}),  # which fails
    ((append("k", "é"), get("k")), 7, {"k": 7}),
    ((append("absent", "x"),), 0, {}),
    ((Operation("slice", "k", "0:1"), get("k")), 5, {}),  # as if it were not cut down
])  # fmt: skip
def test_a_read_counts_as_the_value_that_the_operations_before_it_leave(operations, most, sizes_then):
    assert Dictionary().most_results(operations, {"k": 5}.get) == (most, sizes_then)


def test_which_keys_operations_read_and_which_they_change():
    operations = (get("a"), put("b", "1"), Operation("slice", "c", "0:1"), get("a"))
    assert Dictionary().read_by(operations) == ["a", "a"]
    assert Dictionary().read_by((get("a"), append("b", "1"))) is None  # which makes a value longer than its own text
    assert Dictionary().changed_by([operations, (append("d", "1"),)]) == ["b", "c", "d"]


@pytest.mark.parametrize(("before", "after"), [("é", "e"), ("e", "é"), ("é", "è"), ("e", "f")])
def test_a_value_in_the_place_of_one_of_as_many_characters_takes_the_room_of_its_bytes(before, after):
    buckets = Buckets(limit_bytes=100)
    buckets.execute((put("k", before), put("k", after)))
    assert buckets.room_bytes == 100 - len(encode("k")) - len(encode(after))


@given(st.characters())
def test_a_character_has_at_most_four_bytes_and_one_of_the_last_as_many(character):
    assert sizes.bytes_of(character) <= BYTES_OF_A_CHARACTER == sizes.bytes_of("\U0010ffff")


def test_a_text_may_have_too_many_bytes_where_its_characters_could_be_so_large():
    assert [sizes.may_exceed(characters, 8) for characters in (1, 2, 3)] == [False, False, True]


# -- messages


@pytest.mark.parametrize("authentication", ["ed25519", "hmac"])
def test_the_largest_messages_fit_into_the_default_limit(authentication):
    clients, t = 200, 10
    chain = MemoryChain(t=t, clients=clients, authentication=authentication)
    chain.serve(0, put("k", 2 * HALF))
    tail = chain_sizes(t, authentication).replicas - 1
    writes = filled(chain, [chain.send(client, put("k", HALF)) for client in range(1, 20)])
    reads = filled(chain, [chain.send(client, get("k")) for client in range(20, 40)])
    small = filled(chain, [chain.send(client, put("k", HALF[:2_000])) for client in range(40, clients)])
    for requests in (writes, reads, small):
        done = chain.order(*requests)
        slot = len(chain.slots) - 1
        answer = done.answer(requests[0].statement.client, requests[0].statement.number, chain.result_proof(done))
        messages = [chain.shuttle(slot, tail), chain.result_shuttle(slot), ResultMessage(1, 0, answer)]
        assert [type(each) for each in messages] == [Shuttle, ResultShuttle, ResultMessage]
        assert max(len(encode(each)) for each in messages) < MESSAGE_LIMIT_BYTES - 1_024


def test_the_limits_leave_room_for_statements():
    assert max(SLOT_LIMIT_BYTES, SLOT_RESULTS_LIMIT_BYTES) <= MESSAGE_LIMIT_BYTES // 2
    assert max(REQUEST_LIMIT_BYTES, RESULTS_LIMIT_BYTES) < min(SLOT_LIMIT_BYTES, SLOT_RESULTS_LIMIT_BYTES)
    assert VALUE_LIMIT_BYTES <= RESULTS_LIMIT_BYTES
    assert dictionary.bytes_of is sizes.bytes_of


# -- scenarios

START = "t = 1\nnum_client = 1\n"


def told(text):
    scenario, _ = parse_scenario(START + text, "x.config")
    return list(sizes_of(scenario).told(scenario))


def errors(text):
    with pytest.raises(ScenarioError) as caught:
        parse_scenario(START + text, "x.config")
    return [f"{each.line}:{each.column}: {each.text}" for each in caught.value.diagnostics]


def test_a_scenario_with_a_value_that_no_key_can_have_is_refused_with_its_place():
    assert errors(f"workload[0] = get('k'); append('k','{2 * HALF}x')\n") == [
        "3:36: append: 1,048,577 bytes, and a value has at most 1,048,576"
    ]


@pytest.mark.parametrize("workload", ["uniform(1,30,100000,0)", f"put('k','{HALF}'); " * 10 + "uniform(1,2,100000,0)"])
def test_a_scenario_whose_requests_would_be_too_large_is_told_how_many_operations_fit(workload):
    [error] = errors(f"operations_per_request = 20\nworkload[0] = {workload}\n")
    assert "20 operations of a request may come to " in error
    most = int(error.rpartition("operations_per_request = ")[2].split()[0])
    parse_scenario(START + f"operations_per_request = {most}\nworkload[0] = {workload}\n", "x.config")


def test_requests_of_written_operations_are_counted_one_by_one():
    parse_scenario(START + f"operations_per_request = 3\nworkload[0] = put('k','{HALF}'); get('k'); append('k','{HALF[:-99]}')\n", "x")
    [error] = errors(f"operations_per_request = 3\nworkload[0] = put('k','{HALF}'); get('k'); append('k','{2 * HALF}')\n")
    assert "may come to 1,572,9" in error


def test_sizes_that_mean_something_for_a_run_are_told():
    assert told("workload[0] = pseudorandom(1,1000)\nbatch_limit = 1000\noperations_per_request = 10\n") == []
    assert told("workload[0] = uniform(1,10,100000,0)\nbatch_limit = 100\n") == [
        "requests of 100,017 bytes: a slot holds 20 of these, and not batch_limit = 100"
    ]
    [grows] = told(f"workload[0] = put('k','{HALF}'); append('k','{HALF}x')\n")
    assert grows.startswith("values may grow beyond 1,048,576 bytes: ")
    [gets] = told(f"operations_per_request = 9\nworkload[0] = put('k','{HALF}'); get('k'); get('k'); get('k')\n")
    assert gets.endswith("gives 'too large'")


# -- the running state


LIMITS = StateLimits(dictionary=14, results=11)


@once
@given(st.lists(st.tuples(REQUESTS, st.booleans()), max_size=20), st.integers(1, 3))
def test_model_and_running_state_agree_on_what_the_state_has_no_room_for(small, requests, window):
    checking, executing = Model(window, LIMITS), RunningState(window, LIMITS)
    for slot, (request, is_reconfigured) in enumerate(requests):
        if is_reconfigured:
            executing = RunningState.restored(executing.snapshot(), window, LIMITS)
        outcome = executing.execute_at(0, slot, 0, request)
        assert checking.execute((0, slot, 0), request) == (outcome.place, outcome.results)
        assert checking.difference(executing) == ""
        content = sum(len(encode(text)) for pair in executing.dictionary.items() for text in pair)
        assert content <= LIMITS.dictionary


def test_what_would_make_the_dictionary_too_large_fails_and_changes_nothing():
    state = RunningState(9, StateLimits(dictionary=20))
    requests = (put("a", "12345678"), put("b", "1234567"), put("c", ""), append("a", "9" * 7), put("a", "x"), put("c", ""), get("c"))
    outcome = state.execute_at(0, 0, 0, Request(0, 0, requests))
    # Each text has a byte more than it has characters: eleven and ten are one too many, and so are fourteen and seven.
    assert outcome.results == (OK, FAIL, OK, FAIL, OK, OK, "")
    assert state.dictionary == {"a": "x", "c": ""}


def test_a_copy_of_a_state_has_as_much_room_as_the_state_and_its_own():
    state = RunningState(1, StateLimits(dictionary=10))
    state.apply(put("k", "123"))
    copy = state.copy()
    assert (copy.apply(put("l", "12")), state.apply(put("l", "123")), copy.apply(append("l", "3"))) == (FAIL, FAIL, FAIL)
    assert (copy.apply(put("l", "1")), state.apply(put("l", ""))) == (OK, OK)


def test_what_is_remembered_for_a_client_together_is_no_more_than_its_share():
    small = "x" * 5_000
    state = RunningState(2, StateLimits(results=VALUE_LIMIT_BYTES + len(small) + 10))
    state.execute_at(0, 0, 0, Request(0, 0, (put("large", 2 * HALF), put("small", small))))
    outcomes = [state.execute_at(0, n, 0, Request(0, n, (get("large"), get("small")))) for n in (1, 2, 3)]
    assert [outcome.results for outcome in outcomes] == [
        (2 * HALF, TOO_LARGE), (TOO_LARGE, small), (2 * HALF, TOO_LARGE),
    ]  # fmt: skip
    assert RunningState.restored(state.snapshot(), 2, state.limits).execute_at(
        0, 4, 0, Request(0, 4, (get("large"), get("small")))
    ).results == (TOO_LARGE, small)


@given(st.integers(1, 200), st.integers(1, 1_000), st.integers(100, 1 << 29))
def test_a_client_with_a_window_of_one_may_get_what_a_request_may_whatever_the_limit_of_the_state(clients, window, limit):
    given_limits = state_limits(Settings(t=1, num_clients=clients, client_window=window, state_limit_bytes=limit))
    assert given_limits.dictionary == limit
    assert not given_limits.may_bind(1)
    assert clients * given_limits.results <= max(limit, clients * RESULTS_LIMIT_BYTES)


@pytest.mark.parametrize("window", [1, 3])
def test_no_state_and_no_account_of_it_is_larger_than_olympus_takes(window):
    numbers = Settings(t=1, num_clients=2, client_window=window, state_limit_bytes=1_500_000)
    state = RunningState(window, state_limits(numbers))
    for key in range(4_000):
        state.apply(put(f"key{key}", "x" * 90))
    state.apply(put("k", "x" * VALUE_LIMIT_BYTES))
    operations = (get("k"), *(get("key0"),) * 2_000, *(append("absent", ""),) * 6_000)
    for number in range(2 * window):
        for client in range(2):
            state.execute_at(9, number, client, Request(client, number, operations))
    size = len(encode(state.snapshot()))
    assert state.dictionary.keys() > {"key0"}
    assert size < payload_limits(numbers)["running_state"] == payload_limits(numbers)["inithist"]
    assert len(encode(state.snapshot().outcomes)) < payload_limits(numbers)["caught_up"]


@once
@given(st.lists(REQUESTS, min_size=1, max_size=8), st.lists(REQUESTS, max_size=4))
def test_a_slot_never_gets_more_than_its_room_counted(small, requests, before):
    state = RunningState(9, StateLimits(dictionary=14))
    for number, request in enumerate(before):
        state.execute_at(0, number, 0, changed(request, client=5, number=number))
    taken, room_left = [], SlotRoom(state)
    for number, request in enumerate(requests):
        signed = Signed(changed(request, client=0, number=number), 0, b"")
        if room_left.takes(signed):
            taken.append(signed)
    got = [sum(len(result.encode()) for operation, result in zip(each.statement.operations, outcome.results, strict=True)
               if operation.name == "get" and result != TOO_LARGE)
           for each, outcome in ((each, state.execute_at(0, 99, index, each.statement)) for index, each in enumerate(taken))]  # fmt: skip
    assert len(taken) == 1 or sum(got) <= 20


def test_the_limit_of_the_state_is_read_and_told_where_a_workload_may_come_to_more():
    scenario, _ = parse_scenario("t = 1\nnum_client = 1\nworkload[0] = put('key','12345')\n", "s.config")
    assert scenario.state_limit_bytes == STATE_LIMIT_BYTES
    text = "t = 1\nnum_client = 1\nstate_limit = 100\nworkload[0] = put('key','{}')\n"
    for length, is_told in ((90, False), (95, True)):
        scenario, _ = parse_scenario(text.format("x" * length), "s.config")
        assert any("state_limit = 100" in line for line in sizes_of(scenario).told(scenario)) == is_told
    for count, is_told in ((5, False), (20, True)):
        scenario, _ = parse_scenario(text.replace("put('key','{}')", f"distinct(1,{count},10)"), "s.config")
        assert any("state_limit = 100" in line for line in sizes_of(scenario).told(scenario)) == is_told
    with pytest.raises(ScenarioError, match="state_limit: 49 is not from 50"):
        parse_scenario(text.replace("100", "49").format("x"), "s.config")


def test_what_is_appended_behind_a_slice_counts_as_it_may_come_out(small):
    state = RunningState(9)
    state.apply(put("k", "12345"))
    cut = (Operation("slice", "k", "0:1"), append("k", "12345"), get("k"))  # which is six bytes then, the most there may be
    left = SlotRoom(state)
    requests = [Request(0, 0, cut), *(Request(0, number, (get("k"),)) for number in (1, 2, 3))]
    assert [left.takes(Signed(each, 0, b"")) for each in requests] == [True, True, True, False]


@pytest.mark.parametrize("size", [0, 31, 32, 255, 256, 65_535, 65_536])
@pytest.mark.parametrize("letter", ["x", "é"])
def test_what_a_text_comes_to_as_encoded_is_counted_without_encoding_it(size, letter):
    text = letter * (size // len(letter.encode()))
    assert sizes.encoded_bytes(text) == len(encode(text))


def test_a_state_has_up_to_64_mib_where_a_scenario_does_not_say_otherwise():
    assert STATE_LIMIT_BYTES == 67_108_864


def test_whoever_has_got_more_than_its_share_gets_nothing_more():
    state = RunningState(2, StateLimits(results=10))
    state.execute(0, 0, [Request(0, 0, (put("k", "x"),) * 10)])  # each of which gives OK
    [outcome] = state.execute(0, 1, [Request(0, 1, (get("k"),))])
    assert outcome.results == (TOO_LARGE,)

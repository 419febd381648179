"""The model, which checks the replicas, against the replicas' own state: written twice, and the same."""

from hypothesis import given
from hypothesis import strategies as st

from bcr.objects.dictionary import Operation
from bcr.signed.statements import Request
from bcr.state.running import RunningState
from bcr.verdict.model import Model

KEYS = st.sampled_from(["k", "l"])
RANGES = st.one_of(
    st.tuples(st.integers(0, 5), st.integers(0, 5)).map("{0[0]}:{0[1]}".format),
    st.sampled_from(["", ":", "1:", ":1", "-1:2", "+1:2", "1:2:3", "a:b", " 1:2", "1:" + "9" * 30, "٣:٤"]),
)
OPERATIONS = st.one_of(
    st.builds(Operation, st.sampled_from(["put", "append"]), KEYS, st.text(max_size=4)),
    st.builds(Operation, st.just("get"), KEYS),
    st.builds(Operation, st.just("slice"), KEYS, RANGES),
)
REQUESTS = st.builds(Request, st.integers(0, 1), st.integers(0, 5), st.lists(OPERATIONS, max_size=3).map(tuple))


@given(st.lists(REQUESTS, max_size=20), st.integers(1, 3))
def test_model_and_running_state_agree_on_every_outcome_and_in_the_end(requests, window):
    model, state = Model(window), RunningState(window)
    for slot, request in enumerate(requests):
        outcome = state.execute_at(0, slot, 0, request)
        assert model.execute((0, slot, 0), request) == (outcome.place, outcome.results)
        assert model.difference(state) == ""
    assert model.snapshot() == state.snapshot()


def test_a_copy_goes_its_own_way():
    model = Model(1)
    model.execute((0, 0, 0), Request(0, 0, (Operation("put", "k", "a"),)))
    other = model.copy()
    other.execute((0, 1, 0), Request(0, 1, (Operation("append", "k", "b"),)))
    assert (model.values, other.values) == ({"k": "a"}, {"k": "ab"})
    assert model.snapshot() != other.snapshot()


def test_a_difference_is_named():
    model, state = Model(1), RunningState(1)
    request = Request(0, 0, (Operation("put", "k", "a"),))
    model.execute((0, 0, 0), request)
    assert model.difference(state) == "another dictionary"
    state.execute_at(0, 1, 0, request)
    assert model.difference(state) == "another outcome of request 0 of client 0"

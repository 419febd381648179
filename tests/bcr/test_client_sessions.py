"""Sessions of clients, as the running state has them: each test is named after a sentence of docs/protocol.md, section 15."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from memory_chain import Counting

from bcr.chain.configuration import Configuration, Member, Membership
from bcr.chain.guests import MOST_OF_A_HOLDER, Admitted, Guests
from bcr.objects.operation import Operation
from bcr.signed.encoding import decode, encode
from bcr.signed.signing import Signed, SigningKey
from bcr.signed.statements import Credential, Outcome, Request, SessionRequest, SignedRequest
from bcr.signed.violations import InvalidSignature, MalformedMessage, UnknownSigner
from bcr.state import client_sessions
from bcr.state.client_sessions import MOST_ENDED, Sessions
from bcr.state.running import RunningState, Snapshot
from bcr.verdict.model import Model

OLYMPUS, GUEST, STRANGER = (SigningKey(bytes([each]) * 32) for each in (1, 2, 3))


def credential(client, holder, keys=GUEST, giver=OLYMPUS, key=None):
    return Signed.sign(Credential(client, holder, key or keys.public, "host:1/a"), 0, giver)


def request(client, number, holder=None, key=b"k" * 32, word="x"):
    """What `holder` asks for as `client`; a client of the configuration where nobody else holds the number."""
    operations = (Operation("append", "k", word) if number else Operation("put", "k", word),)
    if holder is None:
        return Request(client, number, operations)
    return SessionRequest(client, number, operations, credential(client, holder, key=key))


def slots(state, *requests):
    """Execute each of the requests in a slot of its own."""
    slot = state.sessions.slots
    return [state.execute(0, slot + index, [each])[0] for index, each in enumerate(requests)]


def open_clients(state):
    return set(state.sessions.open_sessions())


# -- 15.1: Every request of such a client carries its credential under the client's signature


def signed(statement, keys=GUEST):
    return Signed.sign(statement, statement.client, keys)


def view_of_olympus():
    replicas = tuple(Member(bytes([each]) * 32, f"host:{each}/a") for each in range(3))
    issued = Configuration(0, 1, replicas, (Member(STRANGER.public, "host:9/a"),))
    return Membership(issued, OLYMPUS.public, GUEST)


def session_request(client=7, given=None):
    return SessionRequest(client, 0, (Operation("get", "k"),), given or credential(client, 1))


def test_whoever_checks_a_request_needs_to_have_heard_of_nobody():
    view_of_olympus().demand_signed_by_client(signed(session_request()))


def test_a_request_without_a_signature_that_a_credential_names_is_nobodys():
    with pytest.raises(InvalidSignature, match="client 7"):
        view_of_olympus().demand_signed_by_client(signed(session_request(), STRANGER))
    with pytest.raises(UnknownSigner, match="no client 7"):
        view_of_olympus().demand_signed_by_client(signed(Request(7, 0, (Operation("get", "k"),))))


def test_a_credential_that_olympus_did_not_give_makes_nobody_a_client():
    forged = session_request(given=credential(7, 1, giver=GUEST))
    with pytest.raises(InvalidSignature, match="credential with an invalid signature of Olympus"):
        view_of_olympus().demand_signed_by_client(signed(forged))


def test_a_credential_is_for_one_number():
    with pytest.raises(MalformedMessage, match="request of client 8 with the credential of another"):
        view_of_olympus().demand_signed_by_client(signed(session_request(client=8, given=credential(7, 1))))


def test_a_request_comes_over_the_wire_as_what_it_was_with_its_credential_or_without():
    for each in (request(0, 0), session_request()):
        assert decode(SignedRequest, encode(signed(each))) == signed(each)
    assert encode(request(0, 0)) == encode(("request", 0, 0, (Operation("put", "k", "x"),)))  # as it always was


# -- 15.2: introductions


def test_of_each_holder_one_process_is_known_that_of_its_latest_credential():
    guests = Guests()
    guests.add(credential(5, 1).statement, "first")
    guests.add(credential(6, 1).statement, "second")
    guests.add(credential(5, 1).statement, "first, once more")
    guests.add(credential(7, 2).statement, "another")
    assert [guests.process_of(client) for client in (5, 6, 7, 8)] == [None, "second", "another", None]
    assert [guests.is_one(process) for process in ("first", "second", "another", "nobody")] == [False, True, True, False]


# -- 15.1: gets a credential; of each holder Olympus keeps the latest


def test_whoever_comes_again_under_a_key_gets_the_credential_that_it_had():
    given = Admitted()
    mine, others = credential(5, 1), credential(6, 2)
    given.add(mine)
    given.add(others)
    assert (given.given_to(1, GUEST.public), given.given_to(2, GUEST.public)) == (mine, others)
    assert (given.of(5), given.of(6), given.of(7), given.given_to(1, b"another key")) == (mine, others, None, None)


def test_nobody_fills_the_memory_of_olympus_with_keys_and_only_its_own_earliest_go():
    given = Admitted()
    given.add(credential(3, 2))
    for number in range(10, 10 + 3 * MOST_OF_A_HOLDER):
        given.add(credential(number, 1, key=number.to_bytes(32, "big")))
    assert len(given) == MOST_OF_A_HOLDER + 1 and given.of(3) is not None
    assert [number for number in range(100) if given.of(number)] == [3, *range(10 + 2 * MOST_OF_A_HOLDER, 10 + 3 * MOST_OF_A_HOLDER)]
    assert given.given_to(1, (10).to_bytes(32, "big")) is None
    given.add(credential(4, 1, key=b"of long ago"))  # as somebody shows it who has kept it
    assert given.of(4) is None and len(given) == MOST_OF_A_HOLDER + 1


# -- 15.3: A session ends behind the slot in which it has not been used for `session_slots` of them


def test_a_session_ends_when_it_was_not_used_for_so_many_slots_and_its_outcomes_are_forgotten():
    state = RunningState(1, session_slots=3)
    slots(state, request(0, 0), request(1, 0), request(1, 1))
    assert open_clients(state) == {0, 1}
    slots(state, request(1, 2))
    assert (open_clients(state), state.ended, set(state.outcomes)) == ({1}, [0], {1})


def test_only_slots_count_in_which_something_was_executed_for_the_first_time():
    state = RunningState(1, session_slots=2)
    first, second = request(0, 0), request(1, 0)
    slots(state, first, second)
    for slot in range(5, 15):
        assert state.execute(0, slot, [second])[0].place == (0, 1, 0)
    assert open_clients(state) == {0, 1}


def test_what_was_asked_for_under_a_number_before_the_latest_is_past_though_its_session_never_began():
    state = RunningState(4, session_slots=5)
    slots(state, request(9, 0, holder=1))
    assert [state.is_past(1, client, 0) for client in (8, 9, 10)] == [True, False, False]
    assert not state.is_past(2, 8, 0)
    slots(state, *(request(0, number) for number in range(6)))
    assert state.is_past(1, 9, 0) and state.is_past(0, 0, 1) and not state.is_past(0, 0, 2)
    assert not RunningState(4).is_past(0, 0, 0)


def test_a_session_ends_when_its_holder_begins_another():
    state = RunningState(1, session_slots=100)
    slots(state, request(1, 0), request(1, 1), request(7, 0, holder=1))
    assert (open_clients(state), set(state.outcomes)) == ({7}, {7})


# -- 15.4: What has ended stays so


def test_a_session_that_has_ended_never_begins_again_and_its_requests_have_no_effect():
    state = RunningState(1, session_slots=1)
    old = request(0, 0, word="old")
    slots(state, old, request(1, 0, word="new"))
    before = dict(state.dictionary), state.digest()
    for again in (old, request(0, 1), request(0, 5)):
        assert state.is_over(again) and state.is_stale(again)
        assert state.execute(0, 9, [again]) == (Outcome(0, 9, 0, ()),)
    assert (dict(state.dictionary), state.digest()) == before


def test_a_number_under_another_key_is_another_client_and_comes_to_nothing():
    state = RunningState(1, session_slots=100)
    slots(state, request(7, 0, holder=1))
    assert not state.is_over(request(7, 1, holder=1)) and state.is_over(request(7, 1, holder=1, key=b"other"))


def test_a_lower_number_of_the_same_holder_is_over_also_if_it_was_never_used():
    state = RunningState(1, session_slots=100)
    slots(state, request(9, 0, holder=1))
    assert state.is_over(request(8, 0, holder=1)) and not state.is_over(request(10, 0, holder=1))
    assert not state.is_over(request(8, 0, holder=2))


def test_of_so_many_holders_the_state_knows_and_lower_numbers_of_others_count_as_over():
    state = RunningState(1, session_slots=1)
    for client in range(10, 10 + MOST_ENDED + 5):
        slots(state, request(client, 0, holder=client))
    assert len(state.sessions.table().latest) == MOST_ENDED + 1
    assert state.is_over(request(10, 0, holder=10)) and state.is_over(request(3, 0)) and not state.is_over(request(5_000, 0, holder=3))


def test_sessions_are_part_of_the_running_state_and_of_its_digest():
    state = RunningState(2, session_slots=4)
    slots(state, request(0, 0), request(7, 0, holder=1))
    restored = RunningState.restored(decode(Snapshot, encode(state.snapshot())), 2, session_slots=4)
    assert restored.sessions.table() == state.sessions.table() and restored.digest() == state.digest()
    other = state.copy()
    other.sessions.pass_slot()
    assert other.digest() != state.digest() and other.sessions.slots == state.sessions.slots + 1


def test_a_state_with_sessions_is_none_without_and_the_other_way_round():
    for had, wanted, what in ((4, 0, "with sessions"), (0, 4, "without sessions")):
        with pytest.raises(MalformedMessage, match=what):
            RunningState.restored(RunningState(1, session_slots=had).snapshot(), 1, session_slots=wanted)


def test_without_session_slots_the_state_is_encoded_as_it_always_was():
    state = RunningState(1)
    outcome = state.execute(0, 0, [request(0, 0)])[0]
    assert state.snapshot().outcomes == encode(((0, ((0, outcome),)),))


@given(
    st.integers(1, 5),
    st.lists(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=3), max_size=25),
)
def test_the_model_that_shares_no_code_agrees_whatever_comes_in_which_order(session_slots, history):
    state, model = RunningState(2, session_slots=session_slots), Model(2, session_slots=session_slots)
    for slot, asked in enumerate(history):
        requests = [
            request(holder, number) if session == 0 else request(holder + 3 * session, number, holder=holder)
            for holder, session, number in asked
        ]
        outcomes = state.execute(0, slot, requests)
        expected = [model.execute((0, slot, index), each) for index, each in enumerate(requests)]
        assert [(outcome.place, outcome.results) for outcome in outcomes] == expected
        assert model.difference(state) == ""
        assert model.snapshot().digest() == state.digest()
        if slot % 4 == 3:
            state = RunningState.restored(state.snapshot(), 2, session_slots=session_slots)


@pytest.fixture
def two_are_remembered(monkeypatch):
    monkeypatch.setattr(client_sessions, "MOST_ENDED", 2)


def test_of_too_many_sessions_that_have_ended_those_of_the_lowest_numbers_are_forgotten_and_up_to_there_all_are_over(two_are_remembered):
    state = RunningState(1, session_slots=1)
    slots(state, *(request(client, 0, holder=client) for client in (14, 11, 13, 12)))
    table = state.sessions.table()
    assert (table.floor, [holder for holder, _ in table.latest]) == (12, [12, 13, 14])
    assert [state.is_over(request(client, 0, holder=5)) for client in (11, 12)] == [True, False]
    for again in (state.copy(), RunningState.restored(state.snapshot(), 1, session_slots=1)):
        assert again.sessions.table() == table


def test_a_session_behind_one_that_has_ended_is_not_taken_for_that_and_nobody_s_session_ends_twice(two_are_remembered):
    state = RunningState(1, session_slots=1)
    slots(state, request(1, 0, holder=1), request(2, 0, holder=2), request(7, 0, holder=1))
    assert state.ended == [2]
    slots(state, request(8, 0, holder=3), request(9, 0, holder=4))
    table = state.sessions.table()
    assert (table.floor, [holder for holder, _ in table.latest]) == (3, [1, 3, 4])


def test_a_slot_passes_also_where_nobody_is_in_session():
    sessions = Sessions(3)
    assert (sessions.pass_slot(), sessions.slots) == ([], 1)


def test_olympus_keeps_the_latest_16_credentials_of_a_holder():
    assert MOST_OF_A_HOLDER == 16


def test_a_credential_that_was_found_right_is_not_checked_again():
    view = view_of_olympus()
    view.olympus = Counting(view.olympus)
    for _ in range(3):
        view.demand_credential(credential(7, 1))
    assert view.olympus.times == 1

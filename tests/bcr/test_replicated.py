"""Objects of one's own: found by name, held to what their operations say, hashed, copied and handed over like any other."""

from typing import ClassVar

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from memory_chain import append, get, put

from bcr.chain.slot_room import SlotRoom, operations_bytes
from bcr.objects import store_operations
from bcr.objects.dictionary import Dictionary
from bcr.objects.finding import ObjectNotFound, located, named
from bcr.objects.operation import NAME_LIMIT, Operation
from bcr.objects.ordered import Ordered
from bcr.objects.replicated import FAIL, BadOperation, Itself, ReplicatedObject, has_own_model
from bcr.objects.room import Room
from bcr.objects.sizes import StateLimits
from bcr.scenario import ScenarioError, parse_scenario
from bcr.signed.encoding import decode, encode
from bcr.signed.statements import Request
from bcr.signed.violations import MalformedMessage
from bcr.state.buckets import Buckets, bucket_of
from bcr.state.guard import Guarded, Undeclared
from bcr.state.running import RunningState
from bcr.verdict.model import Model
from bcr_runtime.places import PROJECT

FOLDER = PROJECT / "examples" / "bank"
BANK = named(f"{FOLDER}/bank:Bank")
ACCOUNTS = st.sampled_from(["a", "b", "plumless", "buckeroo", "c d", ""])  # the third and fourth are of one bucket
AMOUNTS = st.sampled_from(["1", "7", "40", "0", "-1", "x", "", "٣", "1000000000000000"])
OPERATIONS = st.one_of(
    st.builds(Operation, st.just("deposit"), ACCOUNTS, AMOUNTS),
    st.builds(lambda one, other, amount: Operation("transfer", one, f"{other} {amount}"), ACCOUNTS, ACCOUNTS, AMOUNTS),
    st.builds(Operation, st.sampled_from(["balance", "total", "put", "transfer"]), ACCOUNTS, ACCOUNTS),
)
BATCHES = st.lists(st.lists(OPERATIONS, max_size=4).map(tuple), max_size=8)
STEPS = st.lists(st.tuples(st.sampled_from(["root", "encoded", "copy", "values", "send"]), st.integers(0, 7)))
NAMES = st.text(min_size=1, max_size=2)
NOWHERE = (0, 0, 0)


class Counters(ReplicatedObject[int]):
    """Counters that are removed at 0; `move` touches two, and says so only if it is asked to."""

    name = "counters"
    value_type = int
    forms: ClassVar = {"add": ("k", "n"), "move": ("k", "l"), "steal": ("k", "l"), "list": (), "mark": ("k",)}
    result_limit_bytes = 1_000

    def parsed(self, name, arguments):
        if name == "add" and not arguments[1].isdigit():
            raise BadOperation("no number", 1)
        return Operation(name, arguments[0] if arguments else "", arguments[1] if len(arguments) > 1 else "")

    def keys(self, operation):
        if operation.name == "list":
            return None
        return (operation.key, operation.argument) if operation.name == "move" else (operation.key,)

    def execute(self, values, operations, place):
        return tuple(self.executed(values, each) for each in operations)

    def executed(self, values, operation):
        key, other = operation.key, operation.argument
        if operation.name == "add":
            values[key] = values.get(key, 0) + int(other)
        elif operation.name == "list":
            return ",".join(values)
        elif operation.name == "mark":
            values[key] = None
        else:
            values[other] = values.pop(key, 0) + values.get(other, 0)
        return "OK"


def after(batches, replicated=BANK):
    buckets = Buckets(replicated=replicated)
    for operations in batches:
        buckets.execute(operations)
    return buckets


# -- one that touches several keys


@given(BATCHES, STEPS)
def test_whatever_is_asked_in_between_it_is_the_object_that_its_model_is(batches, steps):
    """`send` goes on with what somebody makes of the encoding; the batch at the number is executed next."""
    model, buckets = BANK.model(), Buckets(replicated=BANK)
    for step, number in steps:
        if step == "copy":
            buckets.copy().execute((Operation("deposit", "a", "9"),))
            buckets = buckets.copy()
        elif step == "send":
            buckets = Buckets(buckets.encoded(), replicated=BANK)
        else:
            getattr(buckets, step)()
        for operations in batches[number : number + 1]:
            assert buckets.execute(operations) == model.execute(operations, NOWHERE)
    assert buckets.values() == model.values
    fresh = Buckets.of(model.values, BANK)
    assert (buckets.encoded(), buckets.root()) == (fresh.encoded(), fresh.root())


def test_an_operation_with_two_keys_finds_both_in_a_state_that_has_been_handed_over():
    state = RunningState(1, replicated=BANK)
    paid_in = tuple(Operation("deposit", name, "100") for name in ("alice", "bob"))
    state.execute(0, 0, [Request(0, 0, paid_in)])
    next_one = RunningState.restored(state.snapshot(), 1, replicated=BANK)
    [outcome] = next_one.execute(1, 0, [Request(0, 1, (Operation("transfer", "alice", "bob 30"), Operation("total", "")))])
    assert outcome.results == ("OK", "200")
    assert next_one.values == {"alice": 70, "bob": 130}
    assert RunningState.restored(next_one.snapshot(), 1, replicated=BANK).digest() == next_one.digest()


@given(st.lists(st.builds(Request, st.integers(0, 1), st.integers(0, 5), st.lists(OPERATIONS, max_size=3).map(tuple)), max_size=12))
def test_model_and_running_state_agree_on_every_outcome_of_the_bank(requests):
    model, state = Model(2, replicated=BANK), RunningState(2, replicated=BANK)
    for slot, request in enumerate(requests):
        outcome = state.execute_at(0, slot, 0, request)
        assert model.execute((0, slot, 0), request) == (outcome.place, outcome.results)
        assert model.difference(state) == ""
    assert model.snapshot() == state.snapshot()


def test_a_drawn_workload_of_the_bank_moves_money_and_makes_none():
    state = RunningState(1, replicated=BANK)
    state.execute(0, 0, [Request(0, 0, tuple(Operation("deposit", f"account{each}", "100") for each in range(6)))])
    drawn = [operation for operation, _ in zip(BANK.drawn(3), range(300), strict=False)]
    [outcome] = state.execute(0, 1, [Request(0, 1, tuple(drawn))])
    assert {each.name for each in drawn} == {"transfer", "balance", "total"}
    assert {"OK", FAIL, "600"} <= set(outcome.results)
    assert sum(state.values.values()) == 600


# -- held to what it says


def test_a_key_that_an_operation_does_not_name_cannot_be_touched():
    buckets = after([(Operation("add", "k", "1"), Operation("move", "k", "l"))], Counters())
    assert buckets.values() == {"l": 1}
    with pytest.raises(Undeclared, match="use 'm', and say of their keys that these are \\['l'\\]"):
        buckets.execute((Operation("steal", "l", "m"),))


def test_none_is_no_value():
    with pytest.raises(Undeclared, match="None as the value of 'k'"):
        after([(Operation("mark", "k"),)], Counters())


def test_an_operation_on_all_keys_changes_none():
    values = Guarded({"k": 1}, Counters(), (Operation("list", ""),))
    assert (values["k"], list(values), len(values)) == (1, ["k"], 1)
    with pytest.raises(Undeclared, match="change 'k'"):
        values["k"] = 2
    with pytest.raises(Undeclared, match="change 'k'"):
        del values["k"]


def test_keys_are_listed_in_one_order_whatever_was_written_or_read_first():
    adds = [(Operation("add", key, "1"),) for key in ("b", "c", "a")]
    for buckets in (
        after(adds, Counters()),
        after(adds[::-1], Counters()),
        Buckets(after(adds, Counters()).encoded(), replicated=Counters()),
    ):
        assert buckets.execute((Operation("list", ""),)) == ("a,b,c",)
    values = Guarded({"b": 1, "a": 1, "c": 1}, Counters(), (Operation("move", "b", "a"),))
    assert (list(values), len(values)) == (["a", "b"], 2)


def test_who_lists_keys_in_order_has_to_name_all():
    values = Guarded(Ordered({"k": 1}), Counters(), (Operation("add", "k", "1"),))
    with pytest.raises(Undeclared, match="list keys"):
        values.keys_after("", "")
    assert list(Guarded(Ordered({"k": 1}), Counters(), (Operation("list", ""),)).keys_after("", "")) == ["k"]


# -- keys that are removed


def test_a_state_without_a_key_is_the_same_whether_it_ever_had_it_or_not():
    counters = Counters()
    assert bucket_of("plumless") == bucket_of("buckeroo")
    with_it = after([(Operation("add", "plumless", "1"), Operation("add", "buckeroo", "2"))], counters)
    with_it.root()
    with_it.execute((Operation("move", "plumless", "other"),))
    without = after([(Operation("add", "buckeroo", "2"), Operation("add", "other", "1"))], counters)
    assert (with_it.encoded(), with_it.root()) == (without.encoded(), without.root())
    with_it.execute((Operation("move", "buckeroo", "other"),))
    alone = after([(Operation("add", "other", "3"),)], counters)
    assert (with_it.encoded(), with_it.root()) == (alone.encoded(), alone.root())


@given(st.dictionaries(NAMES, st.integers(), max_size=8), st.lists(st.tuples(st.sampled_from(["put", "del", "pop"]), NAMES)))
def test_an_ordered_dictionary_lists_its_keys_in_order_whatever_is_done_to_it(values, steps):
    ordered, plain = Ordered(values), dict(values)
    for how, key in steps:
        if how == "pop":
            assert ordered.pop(key, None) == plain.pop(key, None)
        elif how == "del" and key in plain:
            del ordered[key], plain[key]
        else:
            ordered[key] = plain[key] = 1
        assert list(ordered.keys_after("", "")) == sorted(plain)
        assert list(ordered.keys_after(key[:1], key)) == sorted(each for each in plain if each.startswith(key[:1]) and each > key)
    assert list(ordered.copy().keys_after("", "")) == sorted(plain)
    ordered.update({"zz": 1})
    assert list(ordered.keys_after("z", "z")) == sorted(each for each in {*plain, "zz"} if each.startswith("z") and each > "z")


# -- operations as they travel


def test_an_operation_of_no_known_name_has_a_result_and_does_nothing():
    state = RunningState(1)
    [outcome] = state.execute(0, 0, [Request(0, 0, (put("k", "0:1"), Operation("transfer", "k", "0:1"), get("k")))])
    assert outcome.results == ("OK", FAIL, "0:1")


def test_a_name_is_not_longer_than_it_may_be_and_counts():
    assert decode(Operation, encode(Operation("n" * NAME_LIMIT, "k"))).key == "k"
    with pytest.raises(MalformedMessage):
        decode(Operation, encode(["n" * (NAME_LIMIT + 1), "k", ""]))
    assert operations_bytes([Operation("transfer", "k")]) == operations_bytes([Operation("append", "k")]) + 2


def test_what_an_operation_says_of_its_results_fills_slots():
    state = RunningState(1, replicated=Counters())
    requests = [Request(client, 0, (Operation("list", ""),) * 1_000) for client in range(4)]
    room = SlotRoom(state)
    signed = [msgspec.structs.replace(_signed(each), statement=each) for each in requests]
    assert [room.takes(each) for each in signed] == [True, True, False, False]  # 1,000,000 bytes each, and 2,097,152 are possible


def _signed(request):
    from bcr.signed.signing import Signed

    return Signed(request, request.client, bytes(64))


# -- finding it


def test_the_bank_has_a_model_of_its_own_and_an_object_without_one_is_its_own():
    assert has_own_model(BANK)
    assert has_own_model(named("dictionary"))
    assert not has_own_model(Counters())
    model = Counters().model()
    other = model.copy()
    assert other.execute((Operation("add", "k", "2"),), NOWHERE) == ("OK",)
    assert (model.values, other.values) == ({}, {"k": 2})


@pytest.mark.parametrize(
    "text, why",
    [
        ("dictionry", "no object 'dictionry'; there are dictionary"),
        ("nowhere_at_all:Bank", "nowhere_at_all cannot be imported: ModuleNotFoundError"),
        (f"{FOLDER}/bank:Vault", "bank has no class Vault"),
        (f"{FOLDER}/bank:amount_of", "bank has no class amount_of"),
        (f"{FOLDER}/bank:ReplicatedObject", "object .*: Can't instantiate abstract class"),
    ],
)
def test_what_is_no_object_is_refused_with_the_reason(text, why):
    with pytest.raises(ObjectNotFound, match=why):
        named(text)


def test_an_object_that_does_not_say_what_it_must_is_refused(tmp_path):
    source = "from bcr.objects.replicated import ReplicatedObject\nclass Thing(ReplicatedObject):\n    name = 'thing'\n"
    source += "    def parsed(self, name, arguments): ...\n    def execute(self, values, operations, place): ...\n"
    (tmp_path / "unsaid_thing.py").write_text(source)
    with pytest.raises(ObjectNotFound, match="does not say its value_type, forms, result_limit_bytes"):
        named(f"{tmp_path}/unsaid_thing:Thing")


def test_of_two_modules_with_one_name_the_second_is_not_taken_for_the_first(tmp_path):
    (tmp_path / "bank.py").write_text("raise AssertionError")
    with pytest.raises(ObjectNotFound, match=r"another module bank has been imported, from .*examples/bank/bank\.py"):
        named(f"{tmp_path}/bank:Bank")


def test_a_name_means_the_same_from_every_folder():
    assert located("bank:Bank", FOLDER) == located("bank/bank:Bank", FOLDER.parent) == f"{FOLDER}/bank:Bank"
    assert located("dictionary", FOLDER) == "dictionary"
    assert located("elsewhere.bank:Bank", FOLDER) == "elsewhere.bank:Bank"


# -- scenario files

START = "t = 1\nnum_client = 1\n"


def errors(text):
    with pytest.raises(ScenarioError) as caught:
        parse_scenario(START + text, str(FOLDER / "x.config"))
    return [f"{each.line}:{each.column}: {each.text}" for each in caught.value.diagnostics]


def test_a_scenario_is_written_in_the_operations_of_its_object():
    text = "object = bank:Bank\nworkload[0] = deposit(a,5); transfer('a', b ,3); total(); Balance(a); pseudorandom(1,2)\n"
    scenario, warnings = parse_scenario(START + text, str(FOLDER / "x.config"))
    operations = list(scenario.workloads[0].operations(scenario.replicated))
    assert [str(each) for each in operations[:4]] == [
        "deposit('a', '5')", "transfer('a', 'b 3')", "total('')", "balance('a')",
    ]  # fmt: skip
    assert operations[4:] == [operation for operation, _ in zip(BANK.drawn(1), range(2), strict=False)]
    assert [each.text for each in warnings] == ["Balance is read as balance"]


def test_what_is_wrong_with_the_operations_of_an_object_is_told_with_its_place():
    assert errors("object = bank:Bank\nworkload[0] = transfer(a,b); deposit(a,-1); put(a,b); total(1)\n") == [
        "4:15: transfer takes 3 arguments, not 2: transfer(from,to,amount)",
        "4:40: deposit: expected an amount from 1 to 1,000,000,000,000,000, found '-1'",
        "4:45: no operation put; the nearest is deposit, valid are balance, deposit, pseudorandom, total, transfer",
        "4:55: total takes 0 arguments, not 1: total()",
    ]


def test_uniform_is_of_a_dictionary_alone():
    [error] = errors("object = bank:Bank\nworkload[0] = uniform(1,2,3,4)\n")
    assert error.startswith("4:15: no operation uniform")


def test_an_unknown_object_is_told_and_nothing_is_said_of_its_workloads():
    [error] = errors("object = bonk:Bank\nworkload[0] = transfer(a,b,1)\n")
    assert error.startswith("3:10: object bonk:Bank: bonk cannot be imported")


# -- limits of the state


def refusals(limit, replicated, *requests, results=1 << 20):
    """What requests of one operation each give, where the state may have so many bytes; the model says the same."""
    limits = StateLimits(limit, results)
    state, model = RunningState(1, limits, replicated), Model(1, limits, replicated)
    told = []
    for slot, operation in enumerate(requests):
        request = Request(0, slot, (operation,))
        outcome = state.execute_at(0, slot, 0, request)
        assert model.execute((0, slot, 0), request)[1] == outcome.results
        told += outcome.results
        state = RunningState.restored(state.snapshot(), 1, limits, replicated) if slot % 2 else state.copy()
    assert model.difference(state) == ""
    return told


def test_a_request_for_which_there_may_be_no_room_is_refused_and_nothing_of_it_happens():
    deposits = [Operation("deposit", f"account{each}", "1") for each in range(9)]
    told = refusals(130, BANK, *deposits, Operation("balance", "account0"), Operation("total", ""))
    accepted = told[:9].count("OK")
    assert 1 < accepted < 9
    assert told[:9] == ["OK"] * accepted + [FAIL] * (9 - accepted)
    assert told[9:] == ["1", str(accepted)]


def test_a_store_that_is_full_can_be_read_and_emptied_and_written_again():
    store, value = named("store"), '"' + "x" * 40 + '"'
    puts = [store_operations.put(f"k{each}", value) for each in range(6)]
    told = refusals(300, store, *puts, store_operations.get("k0"), store_operations.delete("k0"), store_operations.delete("k1"), puts[5])
    assert told.count('{"error":"too large"}') > 1
    assert told[5] == '{"error":"too large"}'
    assert told[6].startswith('{"value":')
    assert told[9] == '{"version":[0,9,0]}'


def test_a_request_that_may_get_more_than_is_left_for_it_is_refused():
    adds = [Operation("add", "k" * 30, "1"), Operation("list", "")]
    assert refusals(10_000, Counters(), *adds, results=999) == [FAIL, FAIL]  # as each says that it may get 1,000 bytes
    assert refusals(10_000, Counters(), *adds, results=1_000) == ["OK", "k" * 30]


@given(st.lists(st.lists(OPERATIONS, max_size=3).map(tuple), max_size=12), st.integers(0, 400))
def test_the_room_that_is_left_is_what_is_not_taken(batches, limit):
    buckets = Buckets(limit_bytes=limit, replicated=BANK)
    for number, operations in enumerate(batches):
        buckets.execute(operations)
        if number % 2:
            buckets = buckets.copy() if number % 4 == 1 else Buckets(buckets.encoded(), limit, BANK)
        held = sum(len(encode(key)) + len(encode(value)) for key, value in buckets.values().items())
        assert buckets.room_bytes == limit - held >= 0


def test_room_that_is_given_back_can_be_taken_again():
    room = Room(10)
    assert [room.takes(growth) for growth in (7, 4, 3, 1, -2, 2, 0)] == [True, False, True, False, True, True, True]
    assert room.left == 0
    full = Room(-5)  # of a state that came larger than its limit
    assert [full.takes(growth) for growth in (1, 0, -1)] == [False, True, True]


class Alone(Dictionary):
    """A dictionary that brings no model along."""

    name = "alone"

    def model(self):
        return Itself(self)


@given(
    st.lists(st.sampled_from([put("k", "v"), put("k", "longer"), get("k"), put("l", "v"), append("k", "x")]), max_size=9),
    st.integers(0, 20),
)
def test_an_object_that_keeps_to_limits_itself_does_so_too_where_it_is_its_own_model(operations, limit):
    told = refusals(limit, Alone(), *operations)
    assert told == refusals(limit, named("dictionary"), *operations)


class Careless(Counters):
    """Counters that say they change a key which they do not name."""

    name = "careless"

    def changed(self, operation):
        return ("elsewhere",)


def test_what_an_operation_does_not_name_is_neither_read_nor_changed_whatever_it_says_that_it_changes():
    values = Guarded({"k": 1, "elsewhere": 1}, Careless(), (Operation("add", "k", "1"),))
    with pytest.raises(Undeclared, match="use 'elsewhere'"):
        values["elsewhere"]
    with pytest.raises(Undeclared, match="use 'elsewhere'"):
        values["elsewhere"] = 2


def test_the_order_of_keys_is_made_once_and_begins_with_the_first_where_none_is_named():
    made = []

    class Counted(Ordered):
        def __iter__(self):
            made.append(self)
            return super().__iter__()

    values = Counted({"b": 1, "": 1, "a": 1})
    assert [list(values.keys_after("", "")) for _ in range(2)] == [["", "a", "b"]] * 2
    assert len(made) == 1


def test_the_first_request_of_a_slot_fits_whatever_it_gets_and_leaves_no_room_to_others():
    room = SlotRoom(RunningState(1, replicated=Counters()))
    requests = [Request(client, 0, (Operation("list", ""),) * count) for client, count in enumerate((2_200, 1))]
    assert [room.takes(msgspec.structs.replace(_signed(each), statement=each)) for each in requests] == [True, False]

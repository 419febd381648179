"""What a request costs: in the characters that are looked at or copied, near to what it has and what it touches, however many operations it has."""

import random
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from bcr.objects import dictionary, sorted_keys
from bcr.objects.dictionary import FAIL, OK, TOO_LARGE, Dictionary
from bcr.objects.dictionary_model import DictionaryModel
from bcr.objects.finding import named
from bcr.objects.long_text import LongText
from bcr.objects.operation import Operation
from bcr.objects.ordered import Ordered
from bcr.objects.room import Room
from bcr.objects.sizes import RESULTS_LIMIT_BYTES, as_encoded, bytes_of, encoded_bytes
from bcr.objects.sorted_keys import SortedKeys
from bcr.objects.store import Item, Store
from bcr.state import running
from bcr.state.buckets import Buckets
from bcr.state.running import RunningState

PLACE = (0, 0, 0)
LENGTH = 20_000
MANY = 1_000  # operations, as many as a request may have
OPERATIONS = st.builds(
    Operation,
    st.sampled_from(["put", "get", "append", "slice", "slice", "nonsense"]),
    st.sampled_from(["k", "l"]),
    st.sampled_from(["", "é", "abcd", "🙂x", "\ud800", "\udc00", "0:1", "1:3", "2:9", "0:20", "3:2", "x"]),
)


class Counted(str):
    """A text that counts the characters of it which are read or copied, also in what is made of it."""

    __slots__ = ()
    looked_at = 0

    def _count(self):
        Counted.looked_at += len(self)

    def encode(self, *arguments):
        self._count()
        return super().encode(*arguments)

    def __getitem__(self, place):
        part = Counted(super().__getitem__(place))
        part._count()
        return part

    def __add__(self, other):
        whole = Counted(super().__add__(other))
        whole._count()
        return whole

    def strip(self, *arguments):
        self._count()
        return Counted(super().strip(*arguments))


@pytest.fixture
def large():
    """A value of characters that are no bytes, so that to know how many bytes it has somebody has to look at all of it."""
    Counted.looked_at = 0
    return Counted("é" * LENGTH)


@pytest.mark.parametrize(
    "make",
    [
        lambda number: Operation("slice", "k", f"{number % 2}:{LENGTH - number - 1}"),
        lambda number: Operation("append", "k", "a"),
        lambda number: Operation("get", "k"),
        lambda number: Operation("append", "k", "a") if number % 2 else Operation("slice", "k", f"1:{LENGTH - 1}"),
        lambda number: Operation("put", "k", "é" * 20) if number % 2 else Operation("get", "k"),
    ],
    ids=["cut", "lengthen", "read", "lengthen and cut", "replace"],
)
def test_a_thousand_operations_on_a_large_value_look_at_it_a_few_times(large, make):
    values, room = {"k": large}, Room(10**6)
    results = dictionary.execute(values, [make(number) for number in range(MANY)], room)
    assert FAIL not in results
    assert Counted.looked_at < 10 * LENGTH


def test_values_that_do_not_fit_into_an_answer_are_not_looked_at(large):
    values = {"k": large}
    operations = [Operation("append", "k", "a"), Operation("get", "k")] * (MANY // 2)
    results = dictionary.execute(values, operations, results_left=2 * LENGTH)
    assert set(results) == {OK, TOO_LARGE}
    assert Counted.looked_at < 10 * LENGTH


@pytest.mark.parametrize("value", ["[1,%s]", '"%s"'])
def test_a_thousand_values_are_appended_in_the_store_at_their_own_cost(large, value):
    text = Counted(value % large)
    operations = [Operation("append", "k", '* "a"')] * MANY
    assert "error" not in str(Store().execute(Ordered({"k": Item(text, 0, 0, 0)}), operations, PLACE))
    assert Counted.looked_at < 10 * LENGTH


@pytest.mark.parametrize("name", ["dictionary", "store"])
def test_what_reads_will_get_is_reckoned_with_one_look_at_each_value(name):
    asked = []
    operations = [Operation("get", "k", "*"), Operation("get", "l", "*")] * (MANY // 2)
    named(name).most_results(operations, lambda key: asked.append(key) or 5)
    assert asked == ["k", "l"]


def test_values_that_are_read_more_often_than_fits_are_not_put_together_to_be_counted(monkeypatch):
    counted = []
    monkeypatch.setattr(running, "bytes_of", lambda text: counted.append(len(text)) or bytes_of(text))
    state = RunningState(1)
    state.apply(Operation("put", "k", "é" * LENGTH))
    times = RESULTS_LIMIT_BYTES // LENGTH
    assert [state.bytes_of_values(["k"] * each) for each in (1, times)] == [2 * LENGTH, 2 * times * LENGTH]
    assert state.bytes_of_values(["k"] * MANY) > RESULTS_LIMIT_BYTES
    assert counted == [LENGTH, times * LENGTH]


def test_a_transaction_that_lists_keys_after_each_change_does_not_go_through_all_changes(monkeypatch):
    compared = []

    class Key(str):
        __slots__ = ()

        def startswith(self, prefix):
            compared.append(self)
            return super().startswith(prefix)

    values = Ordered({Key(f"k{number:04}"): Item("1", 0, 0, number) for number in range(MANY)})
    operations = [Operation("delete", f"k{number:04}", "*") for number in range(MANY // 2)]
    operations += [Operation("keys", "k", "1 ")] * (MANY // 2)
    results = Store().execute(values, operations, PLACE)
    assert results[-1] == '{"keys":["k0500"],"more":true}'
    assert len(compared) < 3 * MANY


def test_a_bank_adds_up_all_accounts_once_a_request(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "examples" / "bank"))
    monkeypatch.delitem(sys.modules, "bank", raising=False)
    import bank

    class Accounts(dict):
        looks = 0

        def values(self):
            Accounts.looks += 1
            return super().values()

    accounts = Accounts({"a": 3, "b": 4})
    operations = [Operation("total", ""), Operation("deposit", "c", "5"), Operation("deposit", "c", "no"), Operation("total", "")]
    operations += [Operation("transfer", "a", "b 2"), Operation("total", "")]
    assert bank.Bank().execute(accounts, operations, PLACE) == ("7", OK, FAIL, "12", OK, "12")
    assert Accounts.looks == 1


# -- and it is what it was


once = hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def always_long(monkeypatch):
    """Values are long from three characters on."""
    monkeypatch.setattr(dictionary, "LONG", 2)


@once
@given(st.lists(st.lists(OPERATIONS, min_size=1, max_size=12), max_size=6), st.integers(0, 40), st.integers(0, 30))
def test_what_is_done_in_pieces_is_what_the_model_does_within_the_same_room(always_long, requests, limit, left):
    model, values, room = DictionaryModel(), {}, Room(limit)
    operations_in_text = [[each for each in operations if _is_text(each.argument)] for operations in requests]
    for operations in operations_in_text:
        assert dictionary.execute(values, operations, room, left) == model.execute_within(operations, PLACE, limit, left)
    assert values == model.values
    assert room.left == limit - sum(encoded_bytes(key) + encoded_bytes(value) for key, value in values.items())


def _is_text(text):
    return not any(0xD800 <= ord(character) < 0xE000 for character in text)


@once
@given(st.lists(OPERATIONS, min_size=2, max_size=12), st.integers(0, 40))
def test_a_request_gives_what_its_operations_give_one_by_one(always_long, operations, limit):
    together, alone = {"k": "abcde"}, {"k": "abcde"}
    rooms = Room(limit), Room(limit)
    results = dictionary.execute(together, operations, rooms[0])
    assert results == tuple(result for each in operations for result in dictionary.execute(alone, [each], rooms[1]))
    assert (together, rooms[0].left) == (alone, rooms[1].left)


@given(st.lists(st.one_of(st.text(max_size=5), st.tuples(st.integers(0, 20), st.integers(0, 20))), max_size=20))
def test_a_long_text_is_the_text_and_knows_its_bytes(steps):
    plain, long = "begin é", LongText("begin é")
    for step in steps:
        if isinstance(step, str):
            plain += step
            long.append(step)
        else:
            first, last = sorted(min(each, len(plain)) for each in step)
            plain = plain[first:last]
            long.keep(first, last)
        assert (long.characters, long.bytes) == (len(plain), bytes_of(plain))
        if len(plain) % 2:
            assert long.text() == plain
    assert long.text() == plain


@given(st.text())
def test_what_a_text_has_as_encoded_follows_from_its_bytes(text):
    assert as_encoded(bytes_of(text)) == encoded_bytes(text)


@pytest.mark.parametrize("seed", range(5))
def test_sorted_keys_are_in_order_in_chunks_of_any_size(monkeypatch, seed):
    monkeypatch.setattr(sorted_keys, "CHUNK", 2)
    draw = random.Random(seed)
    plain = {str(draw.randrange(300)) for _ in range(seed * 20)}
    keys = SortedKeys(plain)
    for _ in range(300):
        copy = keys.copy()
        key = str(draw.randrange(300))
        if key in plain:
            plain.remove(key)
            keys.remove(key)
        else:
            plain.add(key)
            keys.add(key)
        assert list(keys.following("", "")) == sorted(plain)
        assert set(copy.following("", "")) == plain ^ {key}
        prefix, after = key[:1], str(draw.randrange(300))
        assert list(keys.following(prefix, after)) == sorted(each for each in plain if each.startswith(prefix) and each > after)


def test_a_bucket_holds_after_a_request_what_it_did_in_pieces(always_long):
    buckets = Buckets(replicated=Dictionary())
    buckets.execute([Operation("put", "k", "a" * 3_000)])
    buckets.execute([Operation("append", "k", "é"), Operation("slice", "k", "1:3001"), Operation("append", "k", "z")])
    assert buckets.values() == {"k": "a" * 2_999 + "éz"}
    assert buckets.root() == Buckets.of({"k": "a" * 2_999 + "éz"}).root()

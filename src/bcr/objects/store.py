"""The store: JSON values with versions, conditions on these, and requests that happen as a whole or not at all
(specification, 8.4).

Results are JSON:

    get             {"value": …, "version": [configuration, slot, index]}, or null where there is none
    put, append     {"version": …} of what has been written
    delete          {"version": …} of what has been removed, or null where there was nothing
    keys            {"keys": […], "more": whether there are more}
    any of them     {"error": …}: `condition`, beside it the version that is there; `kind`: nothing can be appended to
                    that, or not this; `too large`; `malformed`. The others of the request then are `aborted`.
"""

import json
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from functools import cache
from itertools import islice
from typing import ClassVar

import msgspec

from bcr.objects import store_operations, store_workload
from bcr.objects.long_text import LongText
from bcr.objects.operation import Operation
from bcr.objects.ordered import Ordered
from bcr.objects.replicated import BadOperation, Place, ReplicatedObject, SizeOf, Sizes
from bcr.objects.sizes import RESULTS_LIMIT_BYTES, bytes_of
from bcr.objects.sorted_keys import SortedKeys
from bcr.objects.store_model import StoreModel
from bcr.objects.store_operations import (
    ABSENT,
    KEY_LIMIT_BYTES,
    NoOperation,
    condition_of,
    demand_key,
    is_oversized,
    is_too_much,
    listing_of,
    value_of,
)

RESULT_OVERHEAD_BYTES = 128  # of a result beside the value or the keys in it: three numbers, and their names
LONGEST_IN_JSON = 6  # bytes of a byte of a key, where it has to be written as \\u00..

_READS = ("get", "keys")


class Item(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A value, as the text of its JSON, and its version: where the request was executed that wrote it."""

    text: str
    configuration: int
    slot: int
    index: int

    @property
    def version(self) -> Place:
        return self.configuration, self.slot, self.index


class Failed(Exception):
    """An operation that cannot be done, and so nothing of its request; the text is its result."""


class Store(ReplicatedObject[Item]):
    """get, put, append, delete and keys; the operations of a request are one transaction."""

    name = "store"
    value_type = Item
    forms: ClassVar[Mapping[str, Sequence[str]]] = {
        "get": ("'k'", "condition"),
        "put": ("'k'", "'json'", "condition"),
        "append": ("'k'", "'json'", "condition"),
        "delete": ("'k'", "condition"),
        "keys": ("'prefix'", "'after'", "limit"),
    }
    optional: ClassVar[Mapping[str, int]] = {"get": 1, "put": 1, "append": 1, "delete": 1, "keys": 2}
    result_limit_bytes = RESULTS_LIMIT_BYTES
    drawn_limit_bytes = store_workload.LIMIT_BYTES
    refusal = '{"error":"too large"}'
    is_ordered = True
    is_trusted = True

    def parsed(self, name: str, arguments: Sequence[str]) -> Operation:
        key, *rest = arguments
        try:
            if name == "keys":
                limit = rest[1] if len(rest) > 1 else str(store_operations.DEFAULT_KEYS)
                operation = Operation(name, key, f"{limit} {rest[0] if rest else ''}")
                listing_of(operation.argument)
                return operation
            takes_value = name in ("put", "append")
            condition = condition_of(rest[takes_value]) if len(rest) > takes_value else None
            demand_key(key)
            written = store_operations.written(condition)
            return Operation(name, key, f"{written} {self._parsed_value(rest[0])}" if takes_value else written)
        except NoOperation as problem:
            raise BadOperation(str(problem)) from problem

    def _parsed_value(self, text: str) -> str:
        if is_oversized(text):
            raise NoOperation(f"{bytes_of(text):,} bytes, more than a value may have")
        return value_of(text)

    # -- which keys

    def keys(self, operation: Operation) -> Sequence[str] | None:
        return None if operation.name == "keys" else (operation.key,)

    def changed(self, operation: Operation) -> Sequence[str]:
        return () if operation.name in _READS else (operation.key,)

    # -- execution

    def execute(self, values: MutableMapping[str, Item], operations: Sequence[Operation], place: Place) -> tuple[str, ...]:
        assert isinstance(values, Ordered)
        transaction = Transaction(values, place)
        results: list[str] = []
        left = RESULTS_LIMIT_BYTES
        for operation in operations:
            try:
                result = transaction.result(operation)
                left -= bytes_of(result)
                if left < 0:
                    raise Failed(error("too large"))
            except Failed as failed:
                done = len(results)
                return (error("aborted"),) * done + (str(failed),) + (error("aborted"),) * (len(operations) - done - 1)
            results.append(result)
        transaction.commit()
        return tuple(results)

    # -- sizes

    def size(self, value: Item) -> int:
        return bytes_of(value.text)

    def most_results(self, operations: Sequence[Operation], size_of: SizeOf) -> tuple[int, Sizes]:
        """As if every condition held, and nothing were deleted."""
        sizes: dict[str, int | None] = {}
        size_of = size_of if len(operations) == 1 else cache(size_of)
        got = 0
        for operation in operations:
            key = operation.key
            before = (sizes[key] if key in sizes else size_of(key)) or 0
            got += RESULT_OVERHEAD_BYTES
            if operation.name == "get":
                got += before
            elif operation.name == "keys":
                got += _most_listed(operation)
            elif operation.name in ("put", "append"):
                written = bytes_of(operation.argument)
                # Whether it happens is not known here, and so the larger of what may be there.
                sizes[key] = max(before, written) if operation.name == "put" else before + written + RESULT_OVERHEAD_BYTES
        return min(got, RESULTS_LIMIT_BYTES), sizes

    def most_growth(self, operations: Sequence[Operation]) -> int:
        """Nothing where a request only reads and deletes, so that there is a way out of a store that is full."""
        return super().most_growth([each for each in operations if each.name != "delete"])

    # -- workloads and checks

    def drawn(self, seed: int) -> Iterator[Operation]:
        return store_workload.drawn(seed)

    def stray(self) -> Operation:
        return store_operations.put("a", '"stray"')

    def model(self) -> StoreModel:
        return StoreModel(Item)

    def shown(self, value: Item) -> str:
        return value.text


def _most_listed(operation: Operation) -> int:
    try:
        limit, _ = listing_of(operation.argument)
    except NoOperation:
        return 0
    return limit * (LONGEST_IN_JSON * KEY_LIMIT_BYTES + len('"",'))


def error(what: str) -> str:
    """The result of an operation that has not happened."""
    return f'{{"error":"{what}"}}'


class Transaction:
    """What the operations of a request make of the values, which `commit` puts into them."""

    def __init__(self, values: Ordered[Item], place: Place) -> None:
        self._values = values
        self._place = place
        self._changes: dict[str, Item | None] = {}  # None for what is deleted
        self._appended: dict[str, Growing] = {}  # what stands in place of the text of an item to which something was appended
        self._order: SortedKeys | None = None  # of the keys as the changes leave them, once they are listed

    def commit(self) -> None:
        for key, item in self._changes.items():
            if item is not None:
                self._values[key] = Item(self._appended[key].text(), *self._place) if key in self._appended else item
            elif key in self._values:
                del self._values[key]

    def result(self, operation: Operation) -> str:
        """What the operation gives. Raises Failed."""
        try:
            if operation.name == "keys":
                return self._listed(operation.key, *listing_of(operation.argument))
            condition, _, text = operation.argument.partition(" ")
            demand_key(operation.key)
            before = self._item(operation.key)
            self._demand(condition, before)
            if operation.name == "get" and not text:
                return "null" if before is None else f'{{"value":{self._text(operation.key, before)},"version":{_version(before)}}}'
            if operation.name == "delete" and not text:
                self._change(operation.key, None)
                return "null" if before is None else f'{{"version":{_version(before)}}}'
            if operation.name == "put":
                return self._write(operation.key, value_of(text))
            if operation.name == "append":
                return self._append(operation.key, before, value_of(text))
        except NoOperation:
            pass
        raise Failed(error("malformed"))

    def _item(self, key: str) -> Item | None:
        return self._changes[key] if key in self._changes else self._values.get(key)

    def _demand(self, condition: str, before: Item | None) -> None:
        wanted = condition_of(condition)
        holds = before is None if wanted == ABSENT else wanted is None or (before is not None and before.version == wanted)
        if not holds:
            there = "null" if before is None else _version(before)
            raise Failed(f'{{"error":"condition","version":{there}}}')

    def _text(self, key: str, item: Item) -> str:
        return self._appended[key].text() if key in self._appended else item.text

    def _change(self, key: str, item: Item | None) -> None:
        if self._order is not None and (item is None) != (self._item(key) is None):
            (self._order.remove if item is None else self._order.add)(key)
        self._changes[key] = item
        self._appended.pop(key, None)

    def _write(self, key: str, text: str) -> str:
        if is_oversized(text):
            raise Failed(error("too large"))
        item = Item(text, *self._place)
        self._change(key, item)
        return f'{{"version":{_version(item)}}}'

    def _append(self, key: str, before: Item | None, text: str) -> str:
        if before is None:
            return self._write(key, value_of(f"[{text}]"))
        growing = self._appended.get(key) or Growing(before.text)
        growing.append(text)
        result = self._write(key, "")
        self._appended[key] = growing
        return result

    def _listed(self, prefix: str, limit: int, after: str) -> str:
        if self._order is None and self._changes:
            self._order = self._values.order()
            for key, item in self._changes.items():
                if (item is None) != (key not in self._values):
                    (self._order.remove if item is None else self._order.add)(key)
        keys = self._values.keys_after(prefix, after) if self._order is None else self._order.following(prefix, after)
        found = list(islice(keys, limit + 1))
        listed = json.dumps(found[:limit], ensure_ascii=False, separators=(",", ":"))
        return f'{{"keys":{listed},"more":{"true" if len(found) > limit else "false"}}}'


class Growing:
    """A value to which something is appended, at the cost of that alone."""

    def __init__(self, text: str) -> None:
        self._whole = LongText(text)
        self._is_list, self._is_string = text.startswith("["), text.startswith('"')
        self._is_empty = self._is_list and not text[1:-1].strip(store_operations.BLANKS)

    def append(self, text: str) -> None:
        """A value as the last one of the list, or a string behind the string.

        Raises Failed where that has no meaning, or no room, and NoOperation where it is too deep.
        """
        if self._is_list:
            value_of(f"[{text}]")
            added = text + "]" if self._is_empty else f",{text}]"
        elif self._is_string and text.startswith('"'):
            added = text[1:]
        else:
            raise Failed(error("kind"))
        self._whole.keep(0, self._whole.characters - 1)
        self._whole.append(added)
        self._is_empty = False
        if is_too_much(self._whole.bytes):
            raise Failed(error("too large"))

    def text(self) -> str:
        """The whole value."""
        return self._whole.text()


def _version(item: Item) -> str:
    return f"[{item.configuration},{item.slot},{item.index}]"

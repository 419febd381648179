"""What a scenario's operations come to in bytes, against the limits of bcr.sizes."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import Any

import msgspec

from bcr.chain.slot_room import operations_bytes
from bcr.objects.dictionary import Dictionary
from bcr.objects.dictionary_workload import KEYS, MAX_VALUE_LENGTH, MAX_WORD_LENGTH
from bcr.objects.operation import NAME_LIMIT, Operation
from bcr.objects.replicated import ReplicatedObject
from bcr.objects.sizes import (
    REQUEST_LIMIT_BYTES,
    RESULTS_LIMIT_BYTES,
    SLOT_LIMIT_BYTES,
    VALUE_LIMIT_BYTES,
    bytes_of,
    encoded_bytes,
)
from bcr.scenario.values import Scenario
from bcr.scenario.workload import UNIFORM_KEYS, Distinct, Uniform, Workload, Written

_MOST_LENGTH_BYTES = 5  # that stand before a value
_SIGNATURE_BYTES = 128  # about what a signature and the frame of a request add to a slot


class SizeLimits(msgspec.Struct, frozen=True):
    """At most how many bytes a request, a value, a request's results and the dictionary of a scenario have.

    Values are counted as if every append came behind the largest put of its key, and all appends of all clients; of
    another object than the dictionary they are not counted, nor what its requests get.
    """

    request: int
    value: int
    results: int
    state: int

    def told(self, scenario: Scenario) -> Iterator[str]:
        """What these sizes mean for a run, a sentence each; none where they mean nothing."""
        if self.value > VALUE_LIMIT_BYTES:
            yield f"values may grow beyond {VALUE_LIMIT_BYTES:,} bytes: an append that would make one larger gives 'fail'"
        if self.results > RESULTS_LIMIT_BYTES:
            what = "a get whose value does not fit behind the others' of its request gives 'too large'"
            yield f"a request may get more than {RESULTS_LIMIT_BYTES:,} bytes: {what}"
        if self.state > scenario.state_limit_bytes:
            what = "an operation that would make them more gives 'fail'"
            yield f"keys and values may come to more than state_limit = {scenario.state_limit_bytes} bytes: {what}"
        fit = SLOT_LIMIT_BYTES // (self.request + _SIGNATURE_BYTES)
        if fit < scenario.batch_limit:
            yield f"requests of {self.request:,} bytes: a slot holds {fit} of these, and not batch_limit = {scenario.batch_limit}"


def sizes_of(scenario: Scenario) -> SizeLimits:
    """The sizes of the largest of all."""
    per_request, replicated = scenario.operations_per_request, scenario.replicated
    request = max((largest_request(each, per_request, replicated) for each in scenario.workloads), default=0)
    if not isinstance(replicated, Dictionary):
        return SizeLimits(request, 0, 0, 0)
    values, drawn_bytes = _largest_values(scenario.workloads)
    value = max(values.values(), default=0) + drawn_bytes
    most_gets = per_request if any(map(_has_get, scenario.workloads)) else 0
    keys = {f"key{number}": drawn_bytes for number in range(max(KEYS, UNIFORM_KEYS))} if drawn_bytes else {}
    keys |= {key: size + drawn_bytes for key, size in values.items()}
    state = sum(encoded_bytes(key) + _MOST_LENGTH_BYTES + min(size, VALUE_LIMIT_BYTES) for key, size in keys.items())
    return SizeLimits(request, value, most_gets * min(value, VALUE_LIMIT_BYTES), state)


def largest_request(workload: Workload, per_request: int, replicated: ReplicatedObject[Any]) -> int:
    """The most bytes that the operations of one of the workload's requests have, where they are so many."""
    if all(isinstance(part, Written) for part in workload.parts):
        operations = workload.operations(replicated)
        return max(map(operations_bytes, iter(lambda: tuple(islice(operations, per_request)), ())), default=0)
    return per_request * max(_largest_operation(part, replicated) for part in workload.parts)


def _largest_operation(part: object, replicated: ReplicatedObject[Any]) -> int:
    if isinstance(part, Written):
        return max(operations_bytes((each,)) for each in part.operations)
    if isinstance(part, Uniform):
        return operations_bytes((Operation("put", f"key{UNIFORM_KEYS - 1}", "x" * part.value_bytes),))
    if isinstance(part, Distinct):
        return operations_bytes((Operation("put", f"key{part.count}", "x" * part.value_bytes),))
    name = "append" if isinstance(replicated, Dictionary) else "n" * NAME_LIMIT
    return operations_bytes((Operation(name, "k" * replicated.drawn_limit_bytes),))


def _largest_values(workloads: Sequence[Workload]) -> tuple[Mapping[str, int], int]:
    """The most bytes that the value of each written key can come to beside what is drawn, and what is drawn."""
    puts: defaultdict[str, int] = defaultdict(int)
    appends: defaultdict[str, int] = defaultdict(int)
    drawn_bytes = 0
    for part in chain.from_iterable(each.parts for each in workloads):
        if isinstance(part, Uniform):
            drawn_bytes = max(drawn_bytes, part.value_bytes)
        elif isinstance(part, Distinct):
            puts |= {key: max(puts.get(key, 0), part.value_bytes) for key in map("key{}".format, range(part.count))}
        elif not isinstance(part, Written):
            drawn_bytes = max(drawn_bytes, MAX_VALUE_LENGTH + MAX_WORD_LENGTH)
        else:
            for operation in part.operations:
                size = bytes_of(operation.argument)
                if operation.name == "put":
                    puts[operation.key] = max(puts[operation.key], size)
                elif operation.name == "append":
                    appends[operation.key] += size
    return {key: puts[key] + appends[key] for key in {*puts, *appends}}, drawn_bytes


def _has_get(workload: Workload) -> bool:
    return any(not isinstance(part, Written) or any(each.name == "get" for each in part.operations) for part in workload.parts)


def oversized_request(workload: Workload, per_request: int, replicated: ReplicatedObject[Any]) -> str | None:
    """What is wrong where a request of the workload would be larger than one may be, and what would be right."""
    size = largest_request(workload, per_request, replicated)
    if size <= REQUEST_LIMIT_BYTES:
        return None
    what = f"{per_request} operations of a request may come to {size:,} bytes, more than {REQUEST_LIMIT_BYTES:,}"
    return f"{what}: operations_per_request = {max(1, per_request * REQUEST_LIMIT_BYTES // size)} would be right"

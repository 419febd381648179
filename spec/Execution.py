"""What a slot of requests does to a running state, for the specification that runs [3.7, 8.1]: a dictionary, and each request once.

A request is `('signed', ('client', k), ('request', k, number, operations))`; an operation is a name, a key and a text. A running
state is two sets: the pairs of the dictionary, and (client, number, outcome) of each request. An outcome is (configuration,
slot, place in the slot, results). The text follows docs/protocol.md alone, and shares nothing with the implementation.
"""

from typing import Any

EMPTY: tuple[frozenset[Any], frozenset[Any]] = (frozenset(), frozenset())


def execute(state: tuple[frozenset[Any], frozenset[Any]], c: int, s: int, requests: tuple[Any, ...]) -> tuple[Any, tuple[Any, ...]]:
    """The state behind slot s, and an outcome for each request: one executed before gives its recorded one, and does nothing."""
    dictionary = dict(state[0])
    recorded = {(k, n): outcome for (k, n, outcome) in state[1]}
    for i, (_, _, (_, k, n, operations)) in enumerate(requests):
        if (k, n) not in recorded:
            recorded[k, n] = (c, s, i, tuple(apply(dictionary, *operation) for operation in operations))
    outcomes = tuple(recorded[r[2][1:3]] for r in requests)
    return (frozenset(dictionary.items()), frozenset((k, n, recorded[k, n]) for (k, n) in recorded)), outcomes


def apply(dictionary: dict[str, str], name: str, key: str, argument: str) -> str:
    """The result of one operation, once it has had its effect."""
    value = dictionary.get(key)
    if name == "get":
        return value or ""
    if name == "put":
        dictionary[key] = argument
        return "OK"
    if value is None:
        return "fail"
    if name == "append":
        dictionary[key] = value + argument
        return "OK"
    i, _, j = argument.partition(":")
    if name == "slice" and i.isdigit() and j.isdigit() and int(i) <= int(j) <= len(value):
        dictionary[key] = value[int(i) : int(j)]
        return "OK"
    return "fail"

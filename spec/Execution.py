"""What slots of requests do to a running state, for the specification that runs [3.7, 8.1]: a dictionary, and each request once.

A request is `('signed', ('client', k), ('request', k, number, operations))`; an operation is a name, a key and a text. A running
state is two sets: the pairs of the dictionary, and (client, number, outcome) of each request. An outcome is (configuration,
slot, place in the slot, results). The text follows docs/protocol.md alone, and shares nothing with the implementation.
"""

from typing import Any

State = tuple[frozenset[Any], frozenset[Any]]
EMPTY: State = (frozenset(), frozenset())


def execute(state: State, c: int, slots: tuple[tuple[int, tuple[Any, ...]], ...]) -> tuple[State, tuple[tuple[Any, int, Any], ...]]:
    """The state behind these slots, each a number and its requests, and an answer for each request: (request, slot, outcome).

    A request that was executed before gives its recorded outcome, and does nothing.
    """
    dictionary = dict(state[0])
    recorded = {(k, n): outcome for (k, n, outcome) in state[1]}
    answers = []
    for s, requests in slots:
        for i, request in enumerate(requests):
            (_, _, (_, k, n, operations)) = request
            if (k, n) not in recorded:
                recorded[k, n] = (c, s, i, tuple(apply(dictionary, *operation) for operation in operations))
            answers.append((request, s, recorded[k, n]))
    return (frozenset(dictionary.items()), frozenset((k, n, recorded[k, n]) for (k, n) in recorded)), tuple(answers)


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

"""The store once more, for whoever checks the replicas (specification, 8.4 and 10.3), and not from their code.

A request works on a copy of everything, which takes the place of what there was if all went well.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bcr.objects.operation import Operation
from bcr.objects.replicated import Place
from bcr.objects.sizes import RESULTS_LIMIT_BYTES, VALUE_LIMIT_BYTES


class _Error(Exception):
    """Why the request comes to nothing; the text is JSON."""


class StoreModel:
    """Values as pairs of text and version; `make_item` makes of text and version what replicas hold."""

    def __init__(self, make_item: Callable[..., Any]) -> None:
        self._make_item = make_item
        self._pairs: dict[str, tuple[str, list[int]]] = {}

    @property
    def values(self) -> dict[str, Any]:
        """What replicas hold for each key."""
        return {key: self._make_item(text, *version) for key, (text, version) in self._pairs.items()}

    def begin_with(self, values: Mapping[str, Any]) -> None:
        """Hold what replicas hold for each key."""
        self._pairs = {key: (item.text, list(item.version)) for key, item in values.items()}

    def copy(self) -> "StoreModel":
        other = StoreModel(self._make_item)
        other._pairs = dict(self._pairs)
        return other

    def execute(self, operations: Sequence[Operation], place: Place) -> tuple[str, ...]:
        """What the operations of a request give: all of them happen, or none."""
        pairs = dict(self._pairs)
        results: list[str] = []
        try:
            for operation in operations:
                results.append(_compact(_applied(pairs, operation, list(place))))
                if sum(len(result.encode()) for result in results) > RESULTS_LIMIT_BYTES:
                    results.pop()
                    raise _Error({"error": "too large"})
        except _Error as error:
            outcome = [{"error": "aborted"}] * len(operations)
            outcome[len(results)] = error.args[0]
            return tuple(map(_compact, outcome))
        self._pairs = pairs
        return tuple(results)


class _Text(str):
    """JSON that is left as it was written."""


def _compact(result: Any) -> str:
    """The result as JSON, in which a value stands as it was written."""
    if isinstance(result, dict) and isinstance(result.get("value"), _Text):
        return f'{{"value":{result["value"]},"version":{_compact(result["version"])}}}'
    return json.dumps(result, ensure_ascii=False, separators=(",", ":"))


def _applied(pairs: dict[str, tuple[str, list[int]]], operation: Operation, place: list[int]) -> Any:
    name, key = operation.name, operation.key
    first, blank, rest = operation.argument.partition(" ")
    if name == "keys":
        if not (blank and first.isascii() and first.isdigit() and len(first) <= 4 and first[0] != "0" and int(first) <= 1000):
            raise _Error({"error": "malformed"})
        matching = sorted(each for each in pairs if each.startswith(key) and each > rest)
        return {"keys": matching[: int(first)], "more": len(matching) > int(first)}
    if not 1 <= len(key.encode()) <= 1024:
        raise _Error({"error": "malformed"})
    _check_condition(first, pairs.get(key))
    if name in ("get", "delete") and not rest:
        text, version = pairs.get(key, (None, None))
        if name == "delete":
            pairs.pop(key, None)
        if text is None:
            return None
        return {"version": version} if name == "delete" else {"value": _Text(text), "version": version}
    if name not in ("put", "append") or not _is_json(rest, 64):
        raise _Error({"error": "malformed"})
    new = rest.strip(" \t\n\r")
    if name == "append":
        new = _longer(pairs[key][0] if key in pairs else "[]", new)
    if len(new.encode()) > VALUE_LIMIT_BYTES:
        raise _Error({"error": "too large"})
    pairs[key] = new, place
    return {"version": place}


def _check_condition(text: str, pair: tuple[str, list[int]] | None) -> None:
    numbers = text.split(".")
    if text not in ("*", "absent") and not (
        len(numbers) == 3 and all(each.isascii() and each.isdigit() and len(each) <= 18 for each in numbers)
    ):
        raise _Error({"error": "malformed"})
    version = None if pair is None else pair[1]
    if (text == "absent" and version is not None) or (text not in ("*", "absent") and version != list(map(int, numbers))):
        raise _Error({"error": "condition", "version": version})


def _longer(old: str, more: str) -> str:
    if old[0] == "[":
        if not _is_json(more, 63):
            raise _Error({"error": "malformed"})
        return old[:-1] + more + "]" if json.loads(old) == [] else f"{old[:-1]},{more}]"
    if old[0] == more[0] == '"':
        return old.removesuffix('"') + more.removeprefix('"')
    raise _Error({"error": "kind"})


def _is_json(text: str, most: int) -> bool:
    """Whether it is JSON of at most so many lists and objects within each other."""
    try:
        value = json.loads(text, parse_int=float, parse_constant=_never, object_pairs_hook=_members)
    except (ValueError, RecursionError):
        return False
    level, depth = [value], 0
    while level:
        depth += any(isinstance(each, list) for each in level)
        level = [each for members in level if isinstance(members, list) for each in members]
    return depth <= most


def _members(pairs: list[tuple[str, Any]]) -> list[Any]:
    return [value for _, value in pairs]  # also of names that stand there twice


def _never(constant: str) -> None:
    raise ValueError(constant)

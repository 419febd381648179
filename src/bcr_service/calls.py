"""What callers ask over HTTP as operations of the store, and what came of these as answers. Nothing is sent here."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bcr.objects import store_operations
from bcr.objects.operation import Operation
from bcr.objects.store_operations import WHY_NOT, Condition, NoOperation, demand_key, value_of
from bcr_client.json_values import text_of, with_numbers_as_written
from bcr_service.preconditions import etag
from bcr_service.problems import Problem
from bcr_service.whole_numbers import number_in

Place = tuple[int, int, int]

POSTED = '{"type": "PUT", "value": ["a"]} or {"type": "APPEND", "value": "b"}'
ANY_JSON = "PUT /keys/{key} and POST /transactions take any JSON"
NOT_VALID = "The request is not valid"  # the texts of the key-value assignment that these calls are from
TYPE_NOT_CORRECT = "The request type is not correct"
VALUE_NOT_VALID = "The request value is not valid"
MOST_OPERATIONS = 100  # of a transaction
STATUS_OF = {"kind": 409, "too large": 413, "malformed": 400}  # what the store says in place of an outcome -> what HTTP does


def checked_key(key: str) -> str:
    """The key, if the store can have it. Raises Problem."""
    try:
        demand_key(key)
        key.encode()
    except (NoOperation, UnicodeEncodeError) as error:
        raise Problem(400, f"not a key: {error}") from error
    return key


def get(key: str) -> Operation:
    return store_operations.get(checked_key(key))


def put(key: str, body: bytes, condition: Condition) -> Operation:
    """The body, any JSON, becomes the value of the key. Raises Problem."""
    return store_operations.put(checked_key(key), _json_in(body), condition)


def delete(key: str, condition: Condition) -> Operation:
    return store_operations.delete(checked_key(key), condition)


def posted(key: str, body: bytes, condition: Condition) -> Operation:
    """`{"type": "PUT", "value": [text, …]}` or `{"type": "APPEND", "value": text}`.

    Raises Problem, which has the assignment's text as `error` beside a sentence that says more.
    """
    try:
        asked = _read(body)
    except Problem as problem:
        raise Problem(400, problem.detail, error=NOT_VALID) from problem
    if not isinstance(asked, dict) or set(asked) != {"type", "value"}:
        raise Problem(400, f"expected an object with type and value, as {POSTED}", error=NOT_VALID)
    value = asked["value"]
    if asked["type"] == "PUT":
        if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
            raise Problem(400, f"PUT by POST takes a list of strings; {ANY_JSON}", error=VALUE_NOT_VALID)
        return store_operations.put(checked_key(key), _text_of(value), condition)
    if asked["type"] == "APPEND":
        if not isinstance(value, str):
            raise Problem(400, f"APPEND takes a string; {ANY_JSON}", error=VALUE_NOT_VALID)
        return store_operations.append(checked_key(key), _text_of(value), condition)
    raise Problem(400, "the type is PUT or APPEND", error=TYPE_NOT_CORRECT)


def listing(query: Mapping[str, str]) -> Operation:
    """`prefix`, `after` and `limit` as a listing of keys. Raises Problem."""
    try:
        limit = number_in(query.get("limit", str(store_operations.DEFAULT_KEYS)), 1, store_operations.MOST_KEYS)
    except ValueError as error:
        raise Problem(400, f"limit is {error}") from error
    return store_operations.keys(query.get("prefix", ""), query.get("after", ""), limit)


def transaction(body: bytes) -> tuple[Operation, ...]:
    """`{"operations": [{"op": …, "key": …, "value": …, "version": …}, …]}`, which happen all or not at all. Raises Problem.

    Values are kept as they are written, but for blanks. `op` is get, put, append or delete; `version` is the condition: `"absent"`, or a version such as `"0.7.0"`.
    """
    asked = _read(body)
    listed = asked.get("operations") if isinstance(asked, dict) else None
    if not isinstance(listed, list) or not 1 <= len(listed) <= MOST_OPERATIONS:
        raise Problem(400, f'expected {{"operations": […]}} with 1 to {MOST_OPERATIONS} operations')
    return tuple(_operation(each, number) for number, each in enumerate(listed))


def _operation(each: Any, number: int) -> Operation:
    if not isinstance(each, dict) or not isinstance(each.get("key"), str):
        raise Problem(400, f"operation {number}: expected op and key, and what they need")
    condition: Condition = None
    if "version" in each:
        try:
            condition = store_operations.condition_of(str(each["version"]).strip('"'))
        except NoOperation as error:
            raise Problem(400, f"operation {number}: {error}") from error
    makers: Mapping[Any, Callable[[str], Operation]] = {
        "get": lambda key: store_operations.get(key, condition),
        "delete": lambda key: store_operations.delete(key, condition),
        "put": lambda key: store_operations.put(key, _text_of(each["value"]), condition),
        "append": lambda key: store_operations.append(key, _text_of(each["value"]), condition),
    }
    op = each.get("op")
    if not isinstance(op, str) or op not in makers:
        raise Problem(400, f"operation {number}: op is one of {', '.join(makers)}")
    if op in ("put", "append") and "value" not in each:
        raise Problem(400, f"operation {number}: {op} needs a value")
    return makers[op](checked_key(each["key"]))


def _json_in(body: bytes) -> str:
    try:
        return value_of(body.decode())
    except (UnicodeDecodeError, NoOperation) as error:
        raise Problem(400, f"the body is no value: {error}") from error


def _read(body: bytes) -> Any:
    text = _json_in(body)
    try:
        return with_numbers_as_written(text)
    except (ValueError, RecursionError) as error:
        raise Problem(400, f"the body cannot be read: {error}") from error


def _text_of(value: Any) -> str:
    text = text_of(value)
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise Problem(400, "half of a surrogate pair, which is no text") from error
    return text


# -- what came of it


def failure_in(results: Sequence[str]) -> Problem | None:
    """Why nothing of these operations has happened, where that is so."""
    for number, result in enumerate(results):
        if result.startswith('{"error":'):
            told = json.loads(result)
            if told["error"] != "aborted":
                return _problem(told, number)
    return None


def _problem(told: Mapping[str, Any], number: int) -> Problem:
    what = told["error"]
    if what == "condition":
        return condition_failed(told["version"], number)
    return Problem(STATUS_OF.get(what, 400), WHY_NOT.get(what, f"not possible: {what}"), operation=number)


def condition_failed(there: Sequence[int] | None, number: int = 0) -> Problem:
    """412, of the operation of this number: the version that is there is another one, or there is none."""
    headers = {"etag": etag(there)} if there else {}
    text = "there is no value" if there is None else f"the version is {etag(there)}"
    return Problem(412, f"the condition does not hold: {text}", headers=headers, version=there, operation=number)


def got(result: str) -> tuple[str, Place] | None:
    """The text of a value, and its version, of what a get gave; None where there is no value."""
    if result == "null":
        return None
    value, _, version = result.removeprefix('{"value":').removesuffix("}").rpartition(',"version":')
    return value, version_in(version)


def version_in(text: str) -> Place:
    """The version in `[c,s,i]`."""
    configuration, slot, index = map(int, text.strip("[]").split(","))
    return configuration, slot, index


def written(result: str) -> Place | None:
    """The version that a write has made, or a delete removed; None where there was nothing to remove."""
    return None if result == "null" else version_in(result.removeprefix('{"version":').removesuffix("}"))

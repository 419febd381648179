"""What is asked, and whether what came holds: apart from any socket, for the client that waits and for that of asyncio."""

import secrets
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlencode

import msgspec

from bcr.objects import store_operations
from bcr.objects.operation import Operation
from bcr.objects.store_operations import MOST_KEYS, Condition, NoOperation, condition_of, demand_key, listing_of
from bcr_client.errors import ConditionFailed, NothingHappened, OutcomeUnknown, Refused, UntrustedAnswer, Version
from bcr_client.json_values import json_in, json_of
from bcr_client.proof import NONCE_BYTES, BadProof, Proof, Shown
from bcr_client.wire import HttpResponse

ABSENT = store_operations.ABSENT
MOST_OPERATIONS = 100  # of a transaction


class GatewayCall(msgspec.Struct, frozen=True):
    """One call: what is sent, and the operations that the gateway has to have asked the chain for."""

    method: str
    path: str
    query: Mapping[str, str]
    body: bytes | None
    headers: Mapping[str, str]
    operations: tuple[Operation, ...]
    nonce: str

    @property
    def is_read(self) -> bool:
        """Whether it changes nothing, so that it may be asked again whatever became of it."""
        return all(operation.name in ("get", "keys") for operation in self.operations)

    def target(self, timeout_ms: int) -> str:
        """Path and query of the call, which the gateway is to answer within so many milliseconds."""
        query = {**self.query, "proof": "1", "nonce": self.nonce, "timeout_ms": str(timeout_ms)}
        return f"{self.path}?{urlencode(query, quote_via=quote)}"


class Seen(msgspec.Struct, frozen=True, order=True):
    """How far a client knows that the chain has come: the highest configuration, and the latest place of an answer."""

    configuration: int = -1
    place: Version = (-1, -1, -1)


NOTHING_SEEN = Seen()


def _call(
    method: str, path: str, operations: Sequence[Operation], body: bytes | None = None, condition: Condition = None, **query: str
) -> GatewayCall:
    headers = {}
    if condition == ABSENT:
        headers["if-none-match"] = "*"
    elif condition is not None:
        headers["if-match"] = '"{}"'.format(".".join(map(str, condition)))
    if body is not None:
        headers["content-type"] = "application/json"
    return GatewayCall(method, path, query, body, headers, tuple(operations), secrets.token_hex(NONCE_BYTES))


def _demand_text(text: str, what: str) -> None:
    if not isinstance(text, str):
        raise Refused(f"a {what} is text, not {type(text).__name__}", is_proved=True)
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise Refused(f"a {what} with half of a surrogate pair, which is no text", is_proved=True) from error


def _path_of(key: str) -> str:
    _demand_text(key, "key")
    try:
        demand_key(key)
    except NoOperation as error:
        raise Refused(str(error), is_proved=True) from error
    return f"/keys/{quote(key.encode(), safe='')}"


def _checked(condition: Condition) -> Condition:
    try:
        return condition_of(store_operations.written(condition))
    except (NoOperation, TypeError) as error:
        raise Refused(f"expected None, ABSENT or a version such as (0, 7, 0) as condition, found {condition!r}", is_proved=True) from error


def get(key: str) -> GatewayCall:
    return _call("GET", _path_of(key), [store_operations.get(key)])


def put(key: str, value: Any, condition: Condition = None) -> GatewayCall:
    path, text, condition = _path_of(key), json_of(value), _checked(condition)
    return _call("PUT", path, [store_operations.put(key, text, condition)], text.encode(), condition)


def delete(key: str, condition: Condition = None) -> GatewayCall:
    path, condition = _path_of(key), _checked(condition)
    return _call("DELETE", path, [store_operations.delete(key, condition)], None, condition)


def keys(prefix: str = "", after: str = "", limit: int = store_operations.DEFAULT_KEYS) -> GatewayCall:
    _demand_text(prefix, "prefix")
    operation = store_operations.keys(prefix, after, limit)
    try:
        listing_of(operation.argument)
    except NoOperation as error:
        raise Refused(f"a page has from 1 to {MOST_KEYS:,} keys, not {limit!r}", is_proved=True) from error
    return _call("GET", "/keys", [operation], prefix=prefix, after=after, limit=str(limit))


def transaction(operations: Sequence[tuple[Any, ...]]) -> GatewayCall:
    """Of `("get", key)`, `("put", key, value)`, `("append", key, value)`, `("delete", key)`, each with a condition at its end."""
    asked, listed = [], []
    if not 1 <= len(operations) <= MOST_OPERATIONS:
        raise Refused(f"a transaction has from 1 to {MOST_OPERATIONS} operations, not {len(operations)}", is_proved=True)
    for each in operations:
        if not isinstance(each, tuple | list) or len(each) < 2:
            raise Refused(f'expected an operation such as ("get", key), found {each!r}', is_proved=True)
        op, key, *rest = each
        if op not in ("get", "put", "append", "delete"):
            raise Refused(f"no operation {op!r}: there are get, put, append and delete", is_proved=True)
        takes_value = op in ("put", "append")
        if not takes_value <= len(rest) <= takes_value + 1:
            words = f"{op} takes a key{' and a value' if takes_value else ''}, and perhaps a condition"
            raise Refused(f"{words}, not {len(rest)} more", is_proved=True)
        _path_of(key)
        condition = _checked(rest[takes_value] if len(rest) > takes_value else None)
        plain = {"op": op, "key": key}
        if condition is not None:
            plain["version"] = store_operations.written(condition)
        if takes_value:
            plain["value"] = rest[0]
            asked.append(getattr(store_operations, op)(key, json_of(rest[0]), condition))
        else:
            asked.append(getattr(store_operations, op)(key, condition))
        listed.append(plain)
    return _call("POST", "/transactions", asked, json_of({"operations": listed}).encode())


# -- what came


def checked(call: GatewayCall, response: HttpResponse, olympus_key: bytes, seen: Seen) -> tuple[Proof, Shown]:
    """What an answer proves about this call, to a client that had seen so much when it began.

    Raises what the caller is to be told instead: ConditionFailed and Refused with a proof, NothingHappened and
    OutcomeUnknown on the gateway's word, UntrustedAnswer where what came does not hold.
    """
    document = _document_of(response)
    if response.status in (503, 504, 408, 429) or (response.status >= 500 and "proof" not in document):
        detail = str(document.get("detail", f"status {response.status}"))
        raise NothingHappened(detail) if document.get("definite") is True else OutcomeUnknown(detail)
    if "proof" not in document:
        if response.status in (400, 401, 403, 404, 405, 413, 415, 421, 431):
            raise Refused(str(document.get("detail", f"status {response.status}")))
        raise UntrustedAnswer("there is no proof in it", "missing")
    proof, shown = _proof_and_content(call, document["proof"], olympus_key, seen)
    _demand_same(document, shown, proof)
    failure = failure_in(shown.results)
    if failure is not None:
        raise failure
    return proof, shown


def _document_of(response: HttpResponse) -> dict[str, Any]:
    try:
        document = json_in(response.body) if response.body else {}
    except (ValueError, RecursionError) as error:
        raise UntrustedAnswer(f"not JSON: {error}", "missing") from error
    if not isinstance(document, dict):
        raise UntrustedAnswer("no answer with a proof", "missing")
    return document


def _proof_and_content(call: GatewayCall, plain: Any, olympus_key: bytes, seen: Seen) -> tuple[Proof, Shown]:
    try:
        proof = Proof.from_plain(plain)
        if proof.nonce != call.nonce:
            raise BadProof("the nonce is not this call's: an answer from before", "old")
        shown = proof.check(olympus_key)
    except BadProof as bad:
        raise UntrustedAnswer(str(bad), "altered" if bad.kind == "invalid" else bad.kind) from bad
    if shown.operations[:-1] != call.operations:
        raise UntrustedAnswer("it answers another question", "another", proof)
    if shown.configuration < seen.configuration:
        raise UntrustedAnswer(f"configuration {shown.configuration}, after {seen.configuration} was seen", "old", proof)
    if shown.place <= seen.place:
        raise UntrustedAnswer(f"executed at {shown.place}, and {seen.place} was answered before this call", "old", proof)
    return proof, shown


def _demand_same(document: Mapping[str, Any], shown: Shown, proof: Proof) -> None:
    """Raises UntrustedAnswer where what is told beside the proof is not what it proves: nobody need be lied to twice."""
    result = json_in(shown.results[0])
    results = [json_in(each) for each in shown.results[:-1]]
    if document.get("listing", result) != result or document.get("results", results) != results:
        raise UntrustedAnswer("what is told is not what is proved", "altered", proof)
    for name in ("value", "version"):
        if name in document and "status" not in document and document[name] != (result or {}).get(name):
            raise UntrustedAnswer(f"the {name} that is told is not the one that is proved", "altered", proof)


def failure_in(results: Sequence[str]) -> NothingHappened | None:
    """What is raised where the results prove that nothing of these operations has happened."""
    for text in results:
        result = json_in(text)
        error = result.get("error") if isinstance(result, dict) else None
        if error == "condition":
            version = result["version"]
            there = "there is no value" if version is None else f"the version is {tuple(version)}"
            return ConditionFailed(f"the condition does not hold: {there}", None if version is None else tuple(version))
        if error not in (None, "aborted"):
            return Refused(store_operations.WHY_NOT.get(str(error), f"not possible: {error}"), is_proved=True)
    return None

"""The client of a store whose protocol proves nothing to callers: the same calls, and the gateway is believed.

Everything goes through transactions, which tell versions and failures in the same form for all operations. What a gateway says it is
free to make up: `last_proof` stays None. Deadlines, definite and indefinite errors, and further attempts are those of `Store`.
"""

from collections.abc import Callable
from typing import Any

from bcr.objects.store_operations import Condition, condition_of
from bcr_client.answers import GatewayCall, Seen
from bcr_client.errors import ConditionFailed, NothingHappened, OutcomeUnknown, Refused
from bcr_client.json_values import json_in, json_of
from bcr_client.store_client import Store
from bcr_client.wire import HttpResponse, Place, request_bytes

NO_KEY = bytes(32)  # where `Store` wants that of Olympus


class UnprovedStore(Store):
    """A store that is taken at its gateway's word."""

    def __init__(self, url: Any, **options: Any) -> None:
        """The arguments are those of `Store`, but for the key that there is none of."""
        super().__init__(url, NO_KEY, **options)

    def sent(self, call: GatewayCall, place: Place, deadline_s: float) -> bytes:
        """The bytes of a call: a listing of keys as it is, all else as a transaction."""
        limit = f"timeout_ms={self.left_ms(deadline_s)}"
        if call.path == "/keys":
            plain = call.target(self.left_ms(deadline_s)).replace("proof=1", "proof=0")
            return request_bytes(place, "GET", plain, None, self.own_headers)
        asked = [_document(each.name, each.key, each.argument) for each in call.operations]
        body = json_of({"operations": asked}).encode()
        headers = {"content-type": "application/json", **self.own_headers}
        return request_bytes(place, "POST", f"/transactions?{limit}", body, headers)

    def take(self, call: GatewayCall, response: HttpResponse, before: Seen) -> list[Any]:
        """The results of a call, in order. Raises a StoreError."""
        try:
            document = json_in(response.body) if response.body else {}
        except (ValueError, RecursionError) as error:
            raise OutcomeUnknown(f"the answer is not JSON: {error}") from error
        if not isinstance(document, dict):
            raise OutcomeUnknown(f"status {response.status}, and no answer that a gateway gives")
        detail = str(document.get("detail", f"status {response.status}"))
        if response.status == 200:
            return _results_in(document, call)
        if response.status == 412:
            version = _demanded(document.get("version"), lambda there: there is None or _is_version(there))
            failed = ConditionFailed(detail, None if version is None else tuple(version))
            failed.is_proved = False  # here it is the gateway's word
            raise failed
        if document.get("definite") is not True:
            raise OutcomeUnknown(detail)
        raise NothingHappened(detail) if response.status >= 500 else Refused(detail)


def _results_in(document: dict[str, Any], call: GatewayCall) -> list[Any]:
    """What an answer says that the operations of the call gave. Raises OutcomeUnknown where it says nothing of that kind."""
    if call.path == "/keys":
        return [_demanded(document, _is_listing)]
    results: list[Any] = _demanded(document.get("results"), lambda told: isinstance(told, list) and len(told) == len(call.operations))
    for operation, result in zip(call.operations, results, strict=True):
        _demanded(result, {"get": _is_got, "delete": _is_deleted}.get(operation.name, _is_written))
    return results


def _demanded(told: Any, holds: Callable[[Any], bool]) -> Any:
    if not holds(told):
        raise OutcomeUnknown(f"no answer that a gateway gives: {str(told)[:40]}")
    return told


def _is_version(told: Any) -> bool:
    return isinstance(told, list) and len(told) == 3 and all(type(each) is int for each in told)


def _is_written(told: Any) -> bool:
    return isinstance(told, dict) and _is_version(told.get("version"))


def _is_got(told: Any) -> bool:
    return told is None or (_is_written(told) and "value" in told)


def _is_deleted(told: Any) -> bool:
    return told is None or _is_written(told)


def _is_listing(told: dict[str, Any]) -> bool:
    keys = told.get("keys")
    return isinstance(keys, list) and all(isinstance(key, str) for key in keys) and isinstance(told.get("more"), bool)


def _document(name: str, key: str, argument: str) -> dict[str, Any]:
    """An operation of the store as a transaction names it: its argument is a condition, and behind that a value."""
    condition, _, value = argument.partition(" ")
    plain: dict[str, Any] = {"op": name, "key": key}
    asked: Condition = condition_of(condition)
    if asked is not None:
        plain["version"] = condition
    if name in ("put", "append"):
        plain["value"] = json_in(value)
    return plain

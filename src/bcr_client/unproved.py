"""The client of a store whose protocol proves nothing to callers: the same calls, and the gateway is believed.

Everything goes through transactions, which tell versions and failures in the same form for all operations. What a gateway says it is
free to make up: `last_proof` stays None. Deadlines, definite and indefinite errors, and further attempts are those of `Store`.
"""

import json
from typing import Any

from bcr.objects.store_operations import Condition, condition_of
from bcr_client.answers import GatewayCall, Seen
from bcr_client.errors import ConditionFailed, NothingHappened, OutcomeUnknown, Refused
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
        body = json.dumps({"operations": asked}, ensure_ascii=False, separators=(",", ":")).encode()
        headers = {"content-type": "application/json", **self.own_headers}
        return request_bytes(place, "POST", f"/transactions?{limit}", body, headers)

    def take(self, call: GatewayCall, response: HttpResponse, before: Seen) -> list[Any]:
        """The results of a call, in order. Raises a StoreError."""
        try:
            document = json.loads(response.body) if response.body else {}
        except (ValueError, RecursionError) as error:
            raise OutcomeUnknown(f"the answer is not JSON: {error}") from error
        if response.status == 200 and isinstance(document, dict):
            return [document] if call.path == "/keys" else list(document["results"])
        detail = str(document.get("detail", f"status {response.status}")) if isinstance(document, dict) else f"status {response.status}"
        if response.status == 412:
            version = document.get("version")
            failed = ConditionFailed(detail, None if version is None else tuple(version))
            failed.is_proved = False  # here it is the gateway's word
            raise failed
        if not isinstance(document, dict) or document.get("definite") is not True:
            raise OutcomeUnknown(detail)
        raise NothingHappened(detail) if response.status >= 500 else Refused(detail)


def _document(name: str, key: str, argument: str) -> dict[str, Any]:
    """An operation of the store as a transaction names it: its argument is a condition, and behind that a value."""
    condition, _, value = argument.partition(" ")
    plain: dict[str, Any] = {"op": name, "key": key}
    asked: Condition = condition_of(condition)
    if asked is not None:
        plain["version"] = condition
    if name in ("put", "append"):
        plain["value"] = json.loads(value)
    return plain

"""What callers are told when they get no value: `application/problem+json` (RFC 9457), definite and indefinite apart.

`definite` is true where nothing has happened, and nothing will: the caller may try again. It is false where the operation
may have happened, or may yet: only a read can tell.
"""

import traceback
from collections.abc import Mapping

import msgspec

from bcr_run import output
from bcr_runtime.limited_lines import LimitedLines

TYPE = "application/problem+json"
TITLES = {400: "Bad request", 401: "Unauthorized", 403: "Forbidden", 404: "Not found", 405: "Method not allowed", 408: "Request timeout", 409: "Conflict",
          412: "Precondition failed", 413: "Content too large", 415: "Unsupported media type", 421: "Misdirected request", 431: "Header too large",
          500: "Fault of the gateway: it may have happened", 501: "Not of this protocol: nothing happened",
          503: "Unavailable: nothing happened", 504: "Unknown: it may have happened"}  # fmt: skip
INDEFINITE = (500, 504)  # after which it may have happened
_LINES = LimitedLines(output.complain)


class Problem(Exception):
    """An answer that is no value; `more` are further members of its JSON."""

    def __init__(self, status: int, detail: str, *, headers: Mapping[str, str] | None = None, **more: object) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = dict(headers or {})
        self.more = more

    def body(self) -> bytes:
        """The JSON of the answer."""
        document = {"title": TITLES.get(self.status, "Error"), "status": self.status, "detail": self.detail,
                    "definite": self.status not in INDEFINITE, **self.more}  # fmt: skip
        return msgspec.json.encode(document)


def unavailable(detail: str) -> Problem:
    """503: nothing has happened."""
    return Problem(503, detail, headers={"retry-after": "1"})


def unknown(detail: str) -> Problem:
    """504: it may have happened, or may yet."""
    return Problem(504, detail)


def unforeseen(error: Exception) -> Problem:
    """500: an error that nobody has thought of, which is told to whoever runs the service; what had happened before it is not known."""
    place = traceback.extract_tb(error.__traceback__)[-1:]
    kind = (type(error), *((each.filename, each.lineno) for each in place))
    _LINES.tell(kind, "bcr serve: a fault of a gateway's:\n" + "".join(traceback.format_exception(error)).rstrip())
    return Problem(500, f"a fault of the gateway's: {type(error).__name__}")

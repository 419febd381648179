"""How large things may be, so that every message fits into 4 MiB, the limit of messages that a run has by
default (specification, 8.3).

The limits are the same for all replicas. So what is too large is too large for all of them, and all give the same result.
Bytes of values are those of UTF-8, bytes of requests those of their encoding. A shuttle holds a slot's requests, a result shuttle a
slot's results, and an answer a request's results. Each also holds two statements of each replica. With hmac, 21 replicas and 200 clients
these come to 170 kB.
"""

import msgspec

VALUE_LIMIT_BYTES = 1 << 20  # of a key's value: what would make it larger fails, and changes nothing
REQUEST_LIMIT_BYTES = (1 << 20) + (1 << 12)  # of a request's operations: one that puts the largest value has room for a key
RESULTS_LIMIT_BYTES = (1 << 20) + (1 << 12)  # of what a request gets, one value with what stands beside it; what is beyond is TOO_LARGE
SLOT_LIMIT_BYTES = 1 << 21  # of a slot's requests, with their signatures
SLOT_RESULTS_LIMIT_BYTES = 1 << 21  # of what a slot's requests get
STATE_LIMIT_BYTES = 1 << 26  # of the dictionary, as encoded, where a scenario does not say otherwise
BYTES_OF_A_CHARACTER = 4  # at the most


class StateLimits(msgspec.Struct, frozen=True):
    """How many bytes a running state may hold: of its dictionary, keys and values as they are encoded, and of the results
    that it remembers of one client.

    What would make the dictionary larger fails; a value that would make the results more is TOO_LARGE instead.
    """

    dictionary: int = STATE_LIMIT_BYTES
    results: int = STATE_LIMIT_BYTES

    def may_bind(self, client_window: int) -> bool:
        """Whether a client's requests before the one that is executed may have so many results that little is left for it."""
        most_before = (client_window - 1) * (RESULTS_LIMIT_BYTES + REQUEST_LIMIT_BYTES)
        return self.results < most_before + RESULTS_LIMIT_BYTES


DEFAULT_LIMITS = StateLimits()


def may_exceed(characters: int, limit_bytes: int) -> bool:
    """Whether a text of so many characters may have more bytes than that; mostly not, and then nobody need count."""
    return characters * BYTES_OF_A_CHARACTER > limit_bytes


def bytes_of(text: str) -> int:
    """How many bytes the text has."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def encoded_bytes(text: str) -> int:
    """How many bytes the text has as MessagePack writes it: with its length before it."""
    return as_encoded(bytes_of(text))


def as_encoded(size: int) -> int:
    """The same of a text of which only its bytes are known."""
    return size + (1 if size < 32 else 2 if size < 256 else 3 if size < 65_536 else 5)

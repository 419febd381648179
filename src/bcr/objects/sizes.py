"""How large things may be, so that every message fits into 1 MiB, the limit of messages that a run has by
default (specification, 8.3).

The limits are the same for all replicas, so what is too large is so for all of them, and gives all the same result.
Bytes are those of UTF-8. A shuttle holds a slot's requests, a result shuttle a slot's results, an answer a request's
results; beside these go two statements a replica, which for hmac, 21 replicas and 200 clients come to 170 kB.
"""

VALUE_LIMIT_BYTES = 1 << 18  # of a key's value: what would make it larger fails, and changes nothing
REQUEST_LIMIT_BYTES = (1 << 18) + (1 << 12)  # of a request's operations: one that puts the largest value has room for a key
RESULTS_LIMIT_BYTES = 1 << 18  # of what a request gets; what is beyond it is TOO_LARGE instead
SLOT_LIMIT_BYTES = 1 << 19  # of a slot's requests, with their signatures
SLOT_RESULTS_LIMIT_BYTES = 1 << 19  # of what a slot's requests get
BYTES_OF_A_CHARACTER = 4  # at the most
OPERATION_OVERHEAD_BYTES = 16  # of an operation beside key and argument: its name, and how long each is
REQUEST_OVERHEAD_BYTES = 64  # of a request beside operations and signature


def may_exceed(characters: int, limit_bytes: int) -> bool:
    """Whether a text of so many characters may have more bytes than that; mostly not, and then nobody need count."""
    return characters * BYTES_OF_A_CHARACTER > limit_bytes


def bytes_of(text: str) -> int:
    """How many bytes the text has."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))

"""Values of the store as Python has them: JSON in, JSON out, with numbers of any length."""

import json
import math
import re
import secrets
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec

from bcr_client.errors import Refused

Integer = int | Decimal
LONGEST_AS_INT = 600  # digits: so many Python reads whatever its limit


class WrittenNumber(msgspec.Struct, frozen=True):
    """A number as it was written, where nothing else is exact or nobody reckons with it."""

    text: str

    def __str__(self) -> str:
        return self.text


def _integer(digits: str) -> Integer:
    """An integer of JSON; as a Decimal, which is exact and read in no time, where it has more digits than Python reads (4,300)."""
    try:
        return int(digits)
    except ValueError:
        return Decimal(digits)


def _fraction(text: str) -> float | Decimal | WrittenNumber:
    """Another number of JSON; as a Decimal, which is exact, where it is larger than any float, and as it was written where it is larger than that too."""
    number = float(text)
    if math.isfinite(number):
        return number
    try:
        return Decimal(text)
    except InvalidOperation:  # an exponent of twenty digits
        return WrittenNumber(text)


# One for all: to make one takes as long as to use it.
_READER = json.JSONDecoder(parse_int=_integer, parse_float=_fraction)
_KEEPER = json.JSONDecoder(parse_int=WrittenNumber, parse_float=WrittenNumber)


def json_in(text: str | bytes) -> Any:
    """The value that the text is the JSON of. Raises ValueError, and RecursionError where it is deeper than any of the store."""
    return _READER.decode(text if isinstance(text, str) else text.decode())


def with_numbers_as_written(text: str) -> Any:
    """The same, but each number is `WrittenNumber`: nobody reads its digits, however many there are, and it is written again as it was."""
    return _KEEPER.decode(text)


def json_of(value: Any) -> str:
    """A value as its JSON. Raises Refused where it is none, and where another value would be read from that.

    It is the text that a gateway writes which has read this one: so a signed request can be held against what was asked for.
    """
    try:
        text = _written(value, allow_nan=False, separators=(",", ":"))
        text.encode()
        if isinstance(value, dict | list | tuple):
            json.loads(text, parse_int=_unread, parse_float=_unread, object_pairs_hook=_demand_different)
    except (TypeError, ValueError, RecursionError) as error:
        raise Refused(f"no JSON value: {error}", is_proved=True) from error
    return text


def text_of(value: Any) -> str:
    """A value that was read, as its JSON without blanks."""
    return _written(value, separators=(",", ":"))


def shown(value: Any) -> str:
    """A value that was read, as JSON for people: with blanks, and with escapes for what is not printable."""
    return escaped(_written(value))


def escaped(text: str, kept: str = "") -> str:
    """The text with the escapes of JSON for what is not printable, which could change what a terminal shows, but for what is `kept`."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() or each in kept else json.dumps(each)[1:-1] for each in text)


def _written(value: Any, **options: Any) -> str:
    mark = secrets.token_hex(8)  # by which texts that stand for numbers are told from those of the value
    numbers: list[str] = []

    def written(part: Any) -> str:
        if isinstance(part, Decimal) and part.is_finite() and (_is_integer(part) or math.isinf(float(part))):
            numbers.append(str(int(part)) if _is_integer(part) and part.adjusted() <= LONGEST_AS_INT else str(part))
        elif isinstance(part, WrittenNumber):
            numbers.append(part.text)
        else:
            raise TypeError(f"{type(part).__name__} is not a kind of value that JSON has")
        return f"{mark}{len(numbers) - 1}"

    text = json.dumps(value, default=written, ensure_ascii=False, **options)
    return re.sub(f'"{mark}([0-9]+)"', lambda found: numbers[int(found[1])], text) if numbers else text


def _is_integer(number: Decimal) -> bool:
    return number.as_tuple().exponent == 0


def _unread(_number: str) -> None:
    pass


def _demand_different(members: list[tuple[str, Any]]) -> None:
    names = [name for name, _ in members]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"two keys of a dictionary that are both {twice!r} in JSON, where only one of them would be kept")

"""Numbers that callers write: what is looked at is all of the text, and so what is used is what was looked at."""

import re

_DIGITS = re.compile("[0-9]+")


def number_in(text: str, least: int, most: int) -> int:
    """The number from `least` to `most` that the text is, with no more digits than `most` has. Raises ValueError."""
    # Of what is longer nothing is read: Python refuses to read some thousand digits, and the first ones alone say nothing.
    if len(text) > len(str(most)) or not _DIGITS.fullmatch(text) or not least <= (number := int(text)) <= most:
        raise ValueError(f"a number from {least:,} to {most:,}, not {text[:20]!r}")
    return number


def position_in(name: str, count: int) -> int:
    """The position among `count` servers or replicas that `replica_i`, or `i`, stands for. Raises ValueError."""
    try:
        return number_in(name.removeprefix("replica_"), 0, count - 1)
    except ValueError:
        raise ValueError(f"there are replica_0 to replica_{count - 1}, and no {name[:40]}") from None


def exceeds(digits: str, most: int) -> bool:
    """Whether the number that these digits are, however many there are, is larger. Raises ValueError where it is none."""
    if not _DIGITS.fullmatch(digits):
        raise ValueError(f"no number: {digits[:20]!r}")
    significant = digits.lstrip("0")
    return len(significant) > len(str(most)) or int(significant or "0") > most

"""What is wrong, or only odd, in a scenario file: where it is and what would be right."""

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import Literal

import msgspec

Severity = Literal["error", "warning"]


class Diagnostic(msgspec.Struct, frozen=True, order=True):
    """A remark on a place in a file; lines and columns count from 1."""

    source: str
    line: int
    column: int
    severity: Severity
    text: str

    def __str__(self) -> str:
        return f"{self.source}:{self.line}:{self.column}: {self.severity}: {self.text}"


class ScenarioError(Exception):
    """A scenario file that cannot be read; `diagnostics` holds everything that was found, errors and warnings."""

    def __init__(self, diagnostics: Iterable[Diagnostic]) -> None:
        self.diagnostics: Sequence[Diagnostic] = tuple(sorted(diagnostics))
        super().__init__("\n".join(map(str, self.diagnostics)))


class ValueProblem(Exception):
    """Something inside a value makes no sense; `offset` counts characters from the start of the value."""

    def __init__(self, text: str, offset: int = 0) -> None:
        super().__init__(text)
        self.text = text
        self.offset = offset


class QuoteProblem(ValueProblem):
    """A quote is missing or too many: nobody knows where the next string begins, so the value is read no further."""


class KeyProblem(ValueProblem):
    """Something in a name, or in the brackets behind it, makes no sense."""


LISTED_MOST = 24  # valid words that are listed whole; of more only the nearest
NEAR = 5


def nearest(word: str, words: Iterable[str]) -> str:
    """A phrase that names the valid word nearest to `word`; where none is near, all of them or, of many, a few."""
    words = sorted(words)
    closest, *others = get_close_matches(word, words, n=NEAR, cutoff=0.0) or words[:1]
    if get_close_matches(word, [closest], cutoff=0.6):
        return f"did you mean {closest}?"
    if len(words) > LISTED_MOST:
        return f"the nearest are {', '.join([closest, *others])}"
    return f"the nearest is {closest}, valid are {', '.join(words)}"

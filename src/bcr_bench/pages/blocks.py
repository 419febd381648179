"""What a page consists of."""

from collections.abc import Sequence

import msgspec

from bcr_bench.pages import plots


class Heading(msgspec.Struct, frozen=True):
    text: str


class Text(msgspec.Struct, frozen=True):
    text: str


class Table(msgspec.Struct, frozen=True):
    """Its first column says what a row is of; the others are numbers, or words where it is `of_words`."""

    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    of_words: bool = False


class Plot(msgspec.Struct, frozen=True):
    name: str
    picture: plots.Picture
    says: str


Block = Heading | Text | Table | Plot

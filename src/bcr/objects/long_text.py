"""A text while a request works on it: what that costs is what operations add and take away, and not its length each time
(specification, 8.3)."""

from collections import deque

from bcr.objects.sizes import bytes_of

LONG = 1 << 10  # characters, up to which a text is copied in less time than its parts are told apart


class LongText:
    """A text in pieces, which operations make longer at its end and shorter at both; its bytes are counted once."""

    __slots__ = ("_pieces", "bytes", "characters")

    def __init__(self, text: str) -> None:
        self._pieces: deque[tuple[str, int, int]] = deque()  # each from a character of a text to another one
        self.characters = 0
        self.bytes = 0
        self.append(text)

    def append(self, text: str) -> None:
        """The text with this one behind it."""
        self._pieces.append((text, 0, len(text)))
        self.characters += len(text)
        self.bytes += bytes_of(text)

    def keep(self, first: int, last: int) -> None:
        """What stands from one position to another one: 0 <= first <= last <= characters."""
        from_end = self.characters - last
        while first:
            text, begin, end = self._pieces.popleft()
            cut = min(begin + first, end)
            self._take_away(text[begin:cut])
            first -= cut - begin
            if cut < end:
                self._pieces.appendleft((text, cut, end))
        while from_end:
            text, begin, end = self._pieces.pop()
            cut = max(end - from_end, begin)
            self._take_away(text[cut:end])
            from_end -= end - cut
            if begin < cut:
                self._pieces.append((text, begin, cut))

    def _take_away(self, text: str) -> None:
        self.characters -= len(text)
        self.bytes -= bytes_of(text)

    def text(self) -> str:
        """All of it, in one piece from here on."""
        if len(self._pieces) != 1 or self._pieces[0][1:] != (0, len(self._pieces[0][0])):
            whole = "".join([text[begin:end] for text, begin, end in self._pieces])
            self._pieces = deque([(whole, 0, len(whole))])
        return self._pieces[0][0]

"""Keys in their order, of which any number can be made and removed one by one (specification, 8.4)."""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Iterator

CHUNK = 1_000  # keys: what is moved when one is made or removed is less than two chunks, however many keys there are


class SortedKeys:
    """Texts in the order of their code points, each once, in chunks of at most twice CHUNK."""

    def __init__(self, keys: Iterable[str] = ()) -> None:
        ordered = sorted(keys)
        self._chunks = [ordered[first : first + CHUNK] for first in range(0, len(ordered), CHUNK)]  # none of them empty
        self._lasts = [chunk[-1] for chunk in self._chunks]  # the last key of each chunk

    def add(self, key: str) -> None:
        """One that is not there."""
        if not self._chunks:
            self._chunks, self._lasts = [[key]], [key]
            return
        place = min(bisect_left(self._lasts, key), len(self._chunks) - 1)
        chunk = self._chunks[place]
        insort(chunk, key)
        if len(chunk) > 2 * CHUNK:
            self._chunks[place : place + 1] = [chunk[:CHUNK], chunk[CHUNK:]]
            self._lasts[place : place + 1] = [chunk[CHUNK - 1], chunk[-1]]
        else:
            self._lasts[place] = chunk[-1]

    def remove(self, key: str) -> None:
        """One that is there."""
        place = bisect_left(self._lasts, key)
        chunk = self._chunks[place]
        del chunk[bisect_left(chunk, key)]
        if chunk:
            self._lasts[place] = chunk[-1]
        else:
            del self._chunks[place], self._lasts[place]

    def copy(self) -> "SortedKeys":
        """The same keys, which go their own way from here."""
        other = SortedKeys()
        other._chunks, other._lasts = [chunk.copy() for chunk in self._chunks], self._lasts.copy()
        return other

    def following(self, prefix: str, after: str) -> Iterator[str]:
        """The keys that begin with `prefix` and are greater than `after`, in order; nothing may change meanwhile.

        All of them where `after` is empty.
        """
        is_behind = bool(after) and after >= prefix
        search, key = (bisect_right, after) if is_behind else (bisect_left, prefix)
        place = search(self._lasts, key)
        for index in range(place, len(self._chunks)):
            chunk = self._chunks[index]
            for each in range(search(chunk, key) if index == place else 0, len(chunk)):
                if not chunk[each].startswith(prefix):
                    return
                yield chunk[each]

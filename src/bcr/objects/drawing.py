"""Randomness for workloads: bits that are a pure function of a seed, on every platform and Python (specification, 9.3)."""

import hashlib


class Stream:
    """SHA-256 in counter mode."""

    def __init__(self, seed: int, domain: str = "bcr workload") -> None:
        self._prefix = f"{domain}/{seed}/".encode()
        self._counter = 0
        self._bits = 0
        self._left = 0

    def below(self, bound: int) -> int:
        """A whole number from 0 to bound - 1; bound is at most 65,536."""
        if self._left < 32:
            block = hashlib.sha256(self._prefix + str(self._counter).encode()).digest()
            self._bits, self._left, self._counter = int.from_bytes(block, "big"), 256, self._counter + 1
        drawn = self._bits & 0xFFFFFFFF
        self._bits >>= 32
        self._left -= 32
        return drawn * bound >> 32

    def word(self, most: int) -> str:
        """A word of one to `most` small letters."""
        return "".join("abcdefghijklmnopqrstuvwxyz"[self.below(26)] for _ in range(1 + self.below(most)))

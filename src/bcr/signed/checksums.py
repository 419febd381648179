"""CRC Shuttle (specification, 11.3): a checksum below a statement shows an accident and stops no liar."""

from collections.abc import Sequence
from zlib import crc32

from bcr.signed.signing import SEAL_SIZE, Author, Keys

CHECKSUM_SIZE = 4


class ChecksumKeys(Keys):
    """A process's name among the others: nothing about it is secret, and anybody can say anything under it."""

    authentication = "crc"

    def __init__(self, seed: bytes) -> None:
        super().__init__(seed, seed)

    def sign(self, message: bytes, readers: Sequence[bytes] = ()) -> bytes:
        return _checksum(self.public, message)

    def seal(self, message: bytes, reader: bytes) -> bytes:
        return _checksum(self.public + reader, message).ljust(SEAL_SIZE, b"\0")

    def author(self, public_key: bytes) -> Author:
        return ChecksumAuthor(public_key, self)


class ChecksumAuthor:
    """Whoever goes by a name."""

    def __init__(self, public_key: bytes, reader: Keys) -> None:
        self._public_key = public_key
        self._reader = reader

    def is_sealed(self, message: bytes, seal: bytes) -> bool:
        return seal == _checksum(self._public_key + self._reader.public, message).ljust(SEAL_SIZE, b"\0")

    def is_valid(self, message: bytes, signature: bytes) -> bool:
        return signature == _checksum(self._public_key, message)


def _checksum(author: bytes, message: bytes) -> bytes:
    return crc32(message, crc32(author)).to_bytes(CHECKSUM_SIZE, "big")

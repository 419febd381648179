"""Where the clients are that no configuration names (specification, 15.2)."""

from typing import Generic, TypeVar

from bcr.signed.statements import Credential, SignedCredential

MOST_OF_A_HOLDER = 16  # credentials that Olympus keeps: of the sessions before nobody is owed anything

P = TypeVar("P")  # whatever a process is to who sends to it


class Admitted:
    """The credentials that Olympus has given, of each holder the latest, so that nobody fills its memory with keys."""

    def __init__(self) -> None:
        self._by_client: dict[int, SignedCredential] = {}
        self._of: dict[int, dict[bytes, SignedCredential]] = {}  # holder -> by its key

    def add(self, signed: SignedCredential) -> None:
        """Keep one more; of too many of one holder that of the lowest number goes."""
        credential = signed.statement
        mine = self._of.setdefault(credential.holder, {})
        mine[credential.public_key] = self._by_client[credential.client] = signed
        if len(mine) > MOST_OF_A_HOLDER:
            earliest = min(mine.values(), key=lambda each: each.statement.client).statement
            del mine[earliest.public_key], self._by_client[earliest.client]

    def given_to(self, holder: int, public_key: bytes) -> SignedCredential | None:
        """The one that the holder of this key has; None where it has none, or not any more."""
        return self._of.get(holder, {}).get(public_key)

    def of(self, client: int) -> SignedCredential | None:
        """The one of the client with this number; None likewise."""
        return self._by_client.get(client)

    def __len__(self) -> int:
        return len(self._by_client)


class Guests(Generic[P]):
    """The processes of such clients, by number: of each holder that of its latest credential, so they grow no further."""

    def __init__(self) -> None:
        self._processes: dict[int, P] = {}  # by client
        self._latest: dict[int, int] = {}  # holder -> client

    def add(self, credential: Credential, process: P) -> None:
        """The client is at this process, as its credential says."""
        before = self._latest.get(credential.holder, credential.client)
        if before <= credential.client:
            self._processes.pop(before, None)
            self._processes[credential.client] = process
            self._latest[credential.holder] = credential.client

    def is_one(self, process: P) -> bool:
        """Whether one of them is at this process."""
        return process in self._processes.values()

    def process_of(self, client: int) -> P | None:
        """Where the client is; None where it has not said so."""
        return self._processes.get(client)

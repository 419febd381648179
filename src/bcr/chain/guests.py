"""Where the clients are that no configuration names (specification, 15.2)."""

from typing import Generic, TypeVar

from bcr.signed.statements import Credential

P = TypeVar("P")  # whatever a process is to who sends to it


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

    def process_of(self, client: int) -> P | None:
        """Where the client is; None where it has not said so."""
        return self._processes.get(client)

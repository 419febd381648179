"""States that a server has signed, until a quorum has signed the same (specification, 16.7)."""

from bcr.braft.members import Members
from bcr.braft.promises import Certificate, SignedState, StateAt
from bcr.braft.tally import Tally


class Checkpoints:
    """The statements of all servers, and the snapshots that the own ones are of."""

    def __init__(self, members: Members) -> None:
        self.statements = Tally(members)
        self._snapshots: dict[int, tuple[StateAt, bytes]] = {}  # by index

    def sign(self, statement: StateAt, snapshot: bytes) -> None:
        """The own state behind an index, as it will be needed when it is certain."""
        self._snapshots[statement.index] = statement, snapshot

    def add(self, signed: SignedState) -> Certificate | None:
        """Count a statement; the certificate, where a quorum agrees with the own one. Raises Equivocation."""
        found = self.statements.add(signed)
        own, _ = self._snapshots.get(signed.statement.index, (None, b""))
        return found if found is not None and found.statement == own else None

    def take(self, index: int) -> bytes:
        """The snapshot of that index, which is certain now: it and what is before it are needed no longer."""
        _, snapshot = self._snapshots[index]
        self.drop(index)
        return snapshot

    def drop(self, index: int) -> None:
        """Forget what is up to there."""
        self.statements.drop(index)
        for index_of_snapshot in [each for each in self._snapshots if each <= index]:
            del self._snapshots[index_of_snapshot]

    def __len__(self) -> int:
        """How many own states are not certain yet."""
        return len(self._snapshots)

"""Counts what servers sign, until a quorum has signed the same (specification, 16.3)."""

from collections.abc import Iterator
from typing import TypeAlias

from bcr.braft.members import Members
from bcr.braft.promises import Certificate, SignedCommit, SignedPrepare, SignedState
from bcr.signed.violations import Equivocation

Counted: TypeAlias = SignedPrepare | SignedCommit | SignedState


class Tally:
    """Statements of one kind by index, of each server the one of the latest term. Their signatures are checked by whoever adds them."""

    def __init__(self, members: Members) -> None:
        self._members = members
        self._columns: dict[int, dict[int, Counted]] = {}  # index -> signer -> what it signed

    def add(self, signed: Counted) -> Certificate | None:
        """Count a statement; the certificate, where a quorum has signed the same.

        Raises Equivocation, which is provable, where its signer has signed another for this index and term.
        """
        column = self._columns.setdefault(signed.statement.index, {})
        before = column.get(signed.signer)
        if before is not None and before.statement != signed.statement:
            if before.statement.term == signed.statement.term:
                what = f"server {signed.signer} signed two different statements for index {signed.statement.index}"
                raise Equivocation(what, position=signed.signer, evidence=(before, signed))
            if before.statement.term > signed.statement.term:
                return None
        column[signed.signer] = signed
        agreeing = sorted((each.signer, each.signature) for each in column.values() if each.statement == signed.statement)
        return Certificate(signed.statement, tuple(agreeing)) if len(agreeing) >= self._members.quorum else None

    def of(self, signer: int, behind: int) -> Iterator[Counted]:
        """What one server has signed for indices behind that one."""
        for index, column in sorted(self._columns.items()):
            if index > behind and signer in column:
                yield column[signer]

    def drop(self, index: int) -> None:
        """Forget what is up to there."""
        for index_of_column in [each for each in self._columns if each <= index]:
            del self._columns[index_of_column]

    def __len__(self) -> int:
        return len(self._columns)

"""The bank once more: a list of all postings, from which every balance is added up anew."""

import re
from collections.abc import Mapping, Sequence

from bcr.objects.operation import Operation
from bcr.objects.replicated import Place

MOST = 10**15


class BankModel:
    """Balances are sums of postings, and nothing is ever overwritten."""

    def __init__(self) -> None:
        self._postings: list[tuple[str, int]] = []

    @property
    def values(self) -> dict[str, int]:
        """What is in each account."""
        accounts = {account for account, _ in self._postings}
        return {account: self._balance(account) for account in accounts}

    def begin_with(self, values: Mapping[str, int]) -> None:
        """Hold these balances."""
        self._postings = list(values.items())

    def copy(self) -> "BankModel":
        other = BankModel()
        other._postings = list(self._postings)
        return other

    def execute(self, operations: Sequence[Operation], place: Place) -> tuple[str, ...]:
        """What each of the operations gives, one after the other."""
        return tuple(map(self._result, operations))

    def _balance(self, account: str) -> int:
        return sum(amount for name, amount in self._postings if name == account)

    def _result(self, operation: Operation) -> str:
        accounts = {account for account, _ in self._postings}
        mine = operation.key
        if operation.name == "total":
            return f"{sum(amount for _, amount in self._postings)}"
        if operation.name == "balance" and mine in accounts:
            return f"{self._balance(mine)}"
        wanted = re.fullmatch(r"(?s:(?P<to>.*) )?(?P<amount>[0-9]{1,16})", operation.argument)
        amount = int(wanted["amount"]) if wanted else 0
        if not 1 <= amount <= MOST or wanted is None:
            return "fail"
        if operation.name == "deposit" and wanted["to"] is None and self._balance(mine) + amount <= MOST:
            self._postings.append((mine, amount))
            return "OK"
        if (
            operation.name == "transfer"
            and wanted["to"] in accounts
            and amount <= self._balance(mine)
            and (wanted["to"] == mine or self._balance(wanted["to"]) + amount <= MOST)
        ):
            self._postings += [(mine, -amount), (wanted["to"], amount)]
            return "OK"
        return "fail"

"""A bank as an object of one's own: accounts, and transfers between two of them.

Nothing outside of this folder knows of it. A scenario file beside it says `object = bank:Bank`.
"""

from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from typing import ClassVar

from bank_model import BankModel

from bcr.objects.drawing import Stream
from bcr.objects.operation import Operation
from bcr.objects.replicated import FAIL, BadOperation, Place, ReplicatedObject

OK = "OK"
ACCOUNTS = 6  # that drawn operations are about
LARGEST_AMOUNT = 10**15


def amount_of(text: str) -> int | None:
    """The whole number from 1 to LARGEST_AMOUNT that a text is, or None."""
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(LARGEST_AMOUNT))):
        return None
    return int(text) if 1 <= int(text) <= LARGEST_AMOUNT else None


def to_whom(argument: str) -> tuple[str, int | None]:
    """The account and the amount in the text of a transfer, which is `account amount`."""
    account, _, amount = argument.rpartition(" ")
    return account, amount_of(amount)


class Bank(ReplicatedObject[int]):
    """Accounts by name, each with what is in it. A transfer touches two of them, and `total` touches all."""

    name = "bank"
    value_type = int
    forms: ClassVar[Mapping[str, Sequence[str]]] = {
        "deposit": ("account", "amount"),
        "transfer": ("from", "to", "amount"),
        "balance": ("account",),
        "total": (),
    }
    result_limit_bytes = 32

    def parsed(self, name: str, arguments: Sequence[str]) -> Operation:
        if name in ("deposit", "transfer") and amount_of(arguments[-1]) is None:
            limits = f"an amount from 1 to {LARGEST_AMOUNT:,}"
            raise BadOperation(f"expected {limits}, found {arguments[-1]!r}", len(arguments) - 1)
        key, *rest = arguments or ("",)
        return Operation(name, key, " ".join(rest))

    def keys(self, operation: Operation) -> Sequence[str] | None:
        if operation.name == "transfer":
            return operation.key, to_whom(operation.argument)[0]
        return None if operation.name == "total" else (operation.key,)

    def changed(self, operation: Operation) -> Sequence[str]:
        return () if operation.name in ("balance", "total") else super().changed(operation)

    def execute(self, values: MutableMapping[str, int], operations: Sequence[Operation], place: Place) -> tuple[str, ...]:
        results: list[str] = []
        total: int | None = None  # as the operations so far leave it: only the first one that asks looks at all accounts
        for operation in operations:
            if operation.name == "total":
                total = sum(values.values()) if total is None else total
                results.append(str(total))
                continue
            results.append(self._executed(values, operation))
            if operation.name == "deposit" and results[-1] == OK and total is not None:
                total += int(operation.argument)
        return tuple(results)

    def _executed(self, values: MutableMapping[str, int], operation: Operation) -> str:
        account = operation.key
        if operation.name == "balance":
            return str(values[account]) if account in values else FAIL
        if operation.name == "deposit":
            amount = amount_of(operation.argument)
            if amount is None or values.get(account, 0) + amount > LARGEST_AMOUNT:
                return FAIL
            values[account] = values.get(account, 0) + amount
            return OK
        if operation.name != "transfer":
            return FAIL
        receiver, amount = to_whom(operation.argument)
        if amount is None or values.get(account, 0) < amount or receiver not in values:
            return FAIL
        if receiver != account and values[receiver] + amount > LARGEST_AMOUNT:
            return FAIL
        values[account] -= amount
        values[receiver] += amount
        return OK

    def drawn(self, seed: int) -> Iterator[Operation]:
        """Transfers, and looks at what came of them; no deposits, so that they leave the total as it is."""
        stream = Stream(seed, "bank")
        while True:
            kind, account, other = stream.below(10), stream.below(ACCOUNTS), stream.below(ACCOUNTS)
            if kind < 7:
                yield Operation("transfer", f"account{account}", f"account{other} {1 + stream.below(40)}")
            elif kind < 9:
                yield Operation("balance", f"account{account}")
            else:
                yield Operation("total", "")

    def stray(self) -> Operation:
        return Operation("deposit", "account0", "1000000")

    def model(self) -> BankModel:
        return BankModel()

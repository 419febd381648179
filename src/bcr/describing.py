"""Messages and statements in a line: which configuration, slot, client and request they are about."""

from typing import Any

import msgspec

from bcr.signing import Signed

_SCALARS = (int, str, bool)


def identify(message: Any) -> dict[str, object]:
    """The values by which a log tells this message from others, by name; no signatures, digests or contents."""
    if isinstance(message, Signed):
        return identify(message.statement) | {"signer": message.signer}
    values: dict[str, object] = {}
    for name in getattr(message, "__struct_fields__", ()):
        value = getattr(message, name)
        if name == "requests":
            values[name] = ",".join(f"{each.statement.client}:{each.statement.number}" for each in value)
        elif name == "answer":
            values |= {"configuration": value.configuration, "slot": value.slot}
        elif type(value) in _SCALARS:
            values[name] = value
    return values


def contents(message: Any) -> str:
    """The whole message as text, with bytes in hexadecimal."""
    return repr(msgspec.to_builtins(message, builtin_types=())) if message is not None else ""

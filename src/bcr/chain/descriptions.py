"""Messages and statements in a line: which configuration, slot, client and request they are about (specification, 10.1)."""

from typing import Any, get_origin

import msgspec

from bcr.chain.history import WithState
from bcr.signed.signing import Signed

_SCALARS = (int, str, bool)


def identify(message: Any) -> dict[str, object]:
    """The values by which a log tells this message from others, by name; no signatures, digests or contents."""
    if isinstance(message, Signed):
        return identify(message.statement) | {"signer": message.signer}
    if isinstance(message, WithState):
        return identify(message.signed)
    values: dict[str, object] = {}
    for name in _telling(type(message)):
        value = getattr(message, name)
        if name == "requests":
            values[name] = ",".join([f"{each.statement.client}:{each.statement.number}" for each in value])
        elif name == "answer":
            values["configuration"] = value.configuration
            values["slot"] = value.slot
        elif type(value) in _SCALARS:
            values[name] = value
    return values


_known: dict[type, tuple[str, ...]] = {}  # kind of message -> what `_telling` found


def _telling(kind: type) -> tuple[str, ...]:
    """The fields of such messages that may hold what identifies them."""
    if kind not in _known:
        fields = msgspec.structs.fields(kind) if issubclass(kind, msgspec.Struct) else ()
        _known[kind] = tuple(
            field.name
            for field in fields
            if field.name in ("requests", "answer") or (field.type is not bytes and get_origin(field.type) is not tuple)
        )
    return _known[kind]


def contents(message: Any) -> str:
    """The whole message as text, with bytes in hexadecimal."""
    return repr(msgspec.to_builtins(message, builtin_types=())) if message is not None else ""

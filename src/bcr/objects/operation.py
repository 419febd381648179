"""An operation of a client, as it travels; what it means is for the object to say (specification, 8)."""

from typing import Annotated

import msgspec

NAME_LIMIT = 32  # characters


class Operation(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A name, a key and a text: of whatever object, so that requests are signed, counted and passed on without it.

    An object whose operations have other arguments writes them into the text.
    """

    name: Annotated[str, msgspec.Meta(max_length=NAME_LIMIT)]
    key: str
    argument: str = ""

    def __str__(self) -> str:
        arguments = [self.key, self.argument] if self.argument else [self.key]
        return f"{self.name}({', '.join(map(repr, arguments))})"

"""What a server must remember of terms, as it is and as its store gives it back (specification, 16.8)."""

from typing import get_type_hints

import msgspec

from bcr.braft.promises import Certificate
from bcr.braft.term_log import TermLog
from bcr.braft.term_starts import TermStart, is_backed
from bcr.raft.persistent import Stored
from bcr.signed.encoding import decode


class Standing(msgspec.Struct, frozen=True):
    """Which term is the latest, and whether that has begun; what is prepared, how the term began, and which state is certain."""

    term: int = 0
    is_started: bool = True
    highest: Certificate | None = None
    begun: TermStart | None = None
    checkpoint: Certificate | None = None


FIELDS = get_type_hints(Standing)


def standing_of(stored: Stored) -> Standing:
    """What a store holds. Raises MalformedMessage where a disk holds something else."""
    if stored.standing is None or isinstance(stored.standing, Standing):
        return stored.standing or Standing()
    return Standing(**{name: decode(FIELDS[name], body) for name, body in stored.standing.items()})


def backed(standing: Standing, log: TermLog) -> Standing:
    """Without a certificate of which the log shows nothing: the server ended when it had taken a state and not yet forgotten that."""
    if is_backed(standing.highest, log, None if standing.begun is None else standing.begun.log):
        return standing
    return msgspec.structs.replace(standing, highest=None)

"""What can go wrong with a call, by what the caller may conclude from it."""

from bcr_client.proof import Proof

Version = tuple[int, int, int]


class StoreError(Exception):
    """A call that gave no answer. `is_definite` says whether nothing has happened, and nothing will."""

    is_definite = False


class NothingHappened(StoreError):
    """The operation has not happened, and will not: it may be called again.

    That is certain where nothing was sent, or where it was proved; of an answer 503 it is the gateway's word, which lies for
    free. `is_proved` tells.
    """

    is_definite = True

    def __init__(self, text: str, is_proved: bool = False) -> None:
        super().__init__(text)
        self.is_proved = is_proved


class ConditionFailed(NothingHappened):
    """The version that is there is another one, as proved by the replicas; None where there is no value."""

    def __init__(self, text: str, version: Version | None) -> None:
        super().__init__(text, is_proved=True)
        self.version = version


class Refused(NothingHappened):
    """What was asked for makes no sense, or cannot be done: a key without bytes, an append to a number."""


class OutcomeUnknown(StoreError):
    """The operation may have happened, or may yet: only a read can tell."""


class UntrustedAnswer(OutcomeUnknown):
    """The gateway's answer does not hold. Whatever became of the operation, this says nothing about it.

    `kind` is `missing` (no proof), `altered` (what is told is not what is proved, or no statement fits), `old` (from before
    this call, or from before what was seen already), or `another` (the answer to another question). `proof` is what came.
    """

    def __init__(self, text: str, kind: str, proof: Proof | None = None) -> None:
        super().__init__(f"the gateway's answer does not hold: {text}")
        self.kind = kind
        self.proof = proof

"""What stands at one key, shown to somebody who has nothing but the configuration (specification, 8.2).

The statements of a checkpoint show the digest of the running state behind its slot, and a path from there to the key's
bucket shows what stands at the key, or that nothing does. So anybody who holds that state can answer, a liar too.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from bcr.chain.configuration import Membership
from bcr.chain.proofs import check_checkpoint_proof
from bcr.objects.finding import DEFAULT
from bcr.objects.replicated import ReplicatedObject
from bcr.signed.statements import Checkpoint, SignedCheckpoint
from bcr.signed.violations import MalformedMessage
from bcr.state.running import RunningState, Witness


class KeyProof(msgspec.Struct, frozen=True, array_like=True):
    """A key, its bucket's way to the digest of the state, and the statements that name that digest."""

    key: str
    witness: Witness
    statements: tuple[SignedCheckpoint, ...]

    @classmethod
    def of(cls, key: str, state: RunningState, statements: Sequence[SignedCheckpoint]) -> "KeyProof":
        """The proof of what stands at the key in `state`, which has to be the one behind the checkpoint's slot."""
        return cls(key, state.witness(key), tuple(statements))

    def check(self, key: str, configuration: Membership, replicated: ReplicatedObject[Any] | str = DEFAULT) -> tuple[Checkpoint, Any]:
        """The checkpoint, which says how old this is, and the value at the key, or None where there was none.

        Raises a ProtocolViolation unless replicas of the configuration have completed a checkpoint of such a state. Under MACs
        the statements of a checkpoint convince replicas alone, and Olympus.
        """
        if self.key != key:
            raise MalformedMessage(f"a proof of what stands at {self.key!r}, not at {key!r}", evidence=(self,))
        checkpoint = check_checkpoint_proof(self.statements, configuration)
        if self.witness.state_digest(key) != checkpoint.state_digest:
            raise MalformedMessage(f"{key!r} in a state that is not the checkpoint's", evidence=(self,))
        return checkpoint, self.witness.value_of(key, replicated)

"""The client of the service: every answer is checked against the pinned key of Olympus before it is returned.

Where the service's protocol proves nothing to callers, as Raft, `UnprovedStore` takes the gateway's word instead.
`Store` waits, `AsyncStore` is for asyncio, and `DistributedDict` has the syntax of a dictionary. Beside the standard library this needs PyNaCl and msgspec, and of the project
the modules of the protocol's statements and proofs: no DistAlgo, and nothing that misbehaves.
"""

from bcr_client.aio import AsyncStore
from bcr_client.answers import ABSENT
from bcr_client.distributed_dict import (
    DistributedDict,
    RefreshPolicyAlways,
    RefreshPolicyCount,
    RefreshPolicyLock,
    RefreshPolicyTime,
)
from bcr_client.errors import ConditionFailed, NothingHappened, OutcomeUnknown, Refused, StoreError, UntrustedAnswer
from bcr_client.proof import BadProof, Proof
from bcr_client.store_client import Change, Store, Versioned
from bcr_client.unproved import UnprovedStore

__all__ = ["ABSENT", "AsyncStore", "BadProof", "Change", "ConditionFailed", "DistributedDict", "NothingHappened", "OutcomeUnknown",
           "Proof", "RefreshPolicyAlways", "RefreshPolicyCount", "RefreshPolicyLock", "RefreshPolicyTime", "Refused", "Store",
           "StoreError", "UnprovedStore", "UntrustedAnswer", "Versioned"]  # fmt: skip

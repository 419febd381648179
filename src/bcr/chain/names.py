"""The messages by the names that they travel under, and the kind of what each holds (specification, section 2)."""

from typing import Any

from bcr.chain.configuration import SignedConfiguration
from bcr.chain.history import (
    CatchingUp,
    CatchUp,
    CaughtUp,
    InitialHistory,
    RunningStateHandover,
    Wedged,
    WithState,
)
from bcr.chain.messages import (
    Accusation,
    CheckpointShuttle,
    CompletedCheckpoint,
    PublicKey,
    ResultMessage,
    ResultShuttle,
    Shuttle,
)
from bcr.signed.encoding import decode, encode
from bcr.signed.signing import Signed
from bcr.signed.statements import (
    Complaint,
    ConfigurationQuery,
    GetRunningState,
    Ready,
    ReconfigurationRequest,
    Refusal,
    Rejection,
    SessionOver,
    SignedCredential,
    SignedRequest,
    Stale,
    Voucher,
    WedgeRequest,
)
from bcr.signed.violations import MalformedMessage

KINDS: dict[str, Any] = {
    # from Olympus
    "inithist": WithState[InitialHistory],
    "configuration": SignedConfiguration,
    "new_configuration": SignedConfiguration,  # the same: what a replica's log, and a trigger, call it
    "wedge_request": Signed[WedgeRequest],
    "catch_up": Signed[CatchUp],
    "get_running_state": Signed[GetRunningState],
    "voucher": Signed[Voucher],
    "credential": SignedCredential,
    # from clients
    "introduction": SignedCredential,
    "client_request": SignedRequest,
    "configuration_query": Signed[ConfigurationQuery],
    "accusation": Signed[Accusation],
    "complaint": Signed[Complaint],
    # from replicas, to each other
    "forwarded_request": SignedRequest,
    "shuttle": Shuttle,
    "result_shuttle": ResultShuttle,
    "checkpoint": CheckpointShuttle,
    "completed_checkpoint": CompletedCheckpoint,
    # to clients
    "result_message": ResultMessage,
    "error": Signed[Refusal | Rejection],
    "stale": Signed[Stale],
    "session_over": Signed[SessionOver],
    # and to Olympus
    "public_key": PublicKey,
    "ready": Signed[Ready],
    "reconfiguration_request": Signed[ReconfigurationRequest],
    "wedged": Signed[Wedged],
    "catching_up": Signed[CatchingUp],
    "caught_up": Signed[CaughtUp],
    "running_state": WithState[RunningStateHandover],
}


def message_of(name: str, payload: bytes) -> Any:
    """The message of this name that the bytes encode. Raises MalformedMessage, with evidence, where they encode none.

    Nobody who is correct sends other bytes of the same value. A shuttle, whose encoding is made anyway, is compared with it.
    """
    message = decode(KINDS[name], payload)
    if isinstance(message, Shuttle) and message.encode() != payload:
        raise MalformedMessage("a shuttle that is encoded in another way than the canonical one", evidence=(message,))
    return message


def payload_of(message: Any) -> bytes:
    """The bytes that stand for a message of any protocol."""
    return message.encode() if isinstance(message, Shuttle) else encode(message)

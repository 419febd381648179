"""Messages in others' names: every kind, in the form in which it is understood, and none that is authentic."""

import pytest
from memory_chain import MemoryChain, key_of, put, replica_author

from bcr.chain.configuration import Configuration
from bcr.chain.history import CatchingUp, CatchUp, CaughtUp, InitialHistory, RunningStateHandover, Wedged, WithState
from bcr.chain.messages import (
    IN_PIECES,
    SEALED,
    Accusation,
    CheckpointShuttle,
    CompletedCheckpoint,
    PublicKey,
    ResultMessage,
    ResultShuttle,
    Shuttle,
)
from bcr.faults.forgery import TAKERS, Liar, forgeries
from bcr.faults.vocabulary import MESSAGES
from bcr.signed.control import Control
from bcr.signed.encoding import decode
from bcr.signed.pieces import Piece
from bcr.signed.signing import SEAL_SIZE, Signed
from bcr.signed.statements import (
    Complaint,
    ConfigurationQuery,
    GetRunningState,
    Ready,
    ReconfigurationRequest,
    Refusal,
    Request,
    Stale,
    Voucher,
    WedgeRequest,
)
from bcr.signed.violations import InvalidSignature, ProtocolViolation

FORMS = {
    "client_request": Signed[Request], "forwarded_request": Signed[Request], "shuttle": Shuttle,
    "result_shuttle": ResultShuttle, "checkpoint": CheckpointShuttle, "completed_checkpoint": CompletedCheckpoint,
    "result_message": ResultMessage, "error": Signed[Refusal], "wedge_request": Signed[WedgeRequest],
    "wedged": Signed[Wedged], "catch_up": Signed[CatchUp], "caught_up": Signed[CaughtUp],
    "get_running_state": Signed[GetRunningState], "running_state": WithState[RunningStateHandover],
    "inithist": WithState[InitialHistory], "configuration": Signed[Configuration], "ready": Signed[Ready],
    "public_key": PublicKey, "configuration_query": Signed[ConfigurationQuery],
    "reconfiguration_request": Signed[ReconfigurationRequest], "accusation": Signed[Accusation],
    "catching_up": Signed[CatchingUp], "voucher": Signed[Voucher], "stale": Signed[Stale], "complaint": Signed[Complaint],
}  # fmt: skip
POSITION = 1


@pytest.fixture(params=["ed25519", "hmac"])
def liar(request):
    chain = MemoryChain(authentication=request.param)
    chain.serve(0, put("k", "v"))
    keys = replica_author(POSITION, 0, request.param).among(chain.configuration.circle)
    return Liar(chain.configuration, POSITION, keys, b"its secret", 1, chain.slots[0].requests[0])


def understood(kind, parts):
    """What a message says, behind a seal or in a piece as it may travel."""
    payload = parts[-1]
    if kind in SEALED:
        payload = payload[SEAL_SIZE:]
    elif kind in IN_PIECES:
        payload = decode(Piece, payload).data
    return decode(FORMS[kind], payload)


@pytest.mark.parametrize("kind", sorted(SEALED))
def test_a_seal_of_a_forged_message_is_the_liars_own_or_none(liar, kind):
    sealed = set()
    for (_, place), parts in forgeries(kind, liar):
        reader = replica_author(place, 0, liar.keys.authentication)
        seal, payload = parts[-1][:SEAL_SIZE], parts[-1][SEAL_SIZE:]
        sealed.add(reader.author(liar.keys.public).is_sealed(payload, seal))
        others = [each for each in liar.others if each != place]
        assert not any(reader.author(replica_author(each, 0, liar.keys.authentication).public).is_sealed(payload, seal) for each in others)
    assert sealed == {True, False}


@pytest.mark.parametrize("kind", sorted(IN_PIECES))
def test_a_forged_manifest_in_another_s_name_is_not_authentic(liar, kind):
    for _, parts in forgeries(kind, liar):
        manifest = decode(Piece, parts[-1]).manifest
        by_olympus = kind in ("catch_up", "inithist")
        author = key_of("olympus", liar.keys.authentication) if by_olympus else replica_author(manifest.signer, 0, liar.keys.authentication)
        if author.public != liar.keys.public:
            assert not manifest.is_authentic(key_of("olympus", liar.keys.authentication).author(author.public))


def test_every_message_has_somebody_who_takes_it():
    assert set().union(*TAKERS.values()) == set(MESSAGES)


@pytest.mark.parametrize("kind", FORMS)
def test_what_is_forged_has_the_form_of_its_kind_and_goes_to_those_who_take_it(liar, kind):
    forged = forgeries(kind, liar)
    assert forged
    for (whose, place), parts in forged:
        assert parts[0] == kind
        understood(kind, parts)
        assert (whose, place) != ("replica", POSITION)
        assert kind in TAKERS["olympus" if whose == "olympus" else f"{whose}s"]


def signed_in(value):
    if isinstance(value, Signed):
        yield value
        value = value.statement
    if isinstance(value, tuple):
        for each in value:
            yield from signed_in(each)
    elif hasattr(value, "__struct_fields__"):
        for field in value.__struct_fields__:
            yield from signed_in(getattr(value, field))


@pytest.mark.parametrize("kind", sorted(set(FORMS) - {"public_key", "configuration_query"}))
def test_a_forgery_holds_a_statement_of_another_once_under_the_liars_own_key_and_once_under_none(liar, kind):
    own = liar.keys.author(liar.keys.public)
    signatures = set()
    for _, parts in forgeries(kind, liar):
        statements = list(signed_in(understood(kind, parts)))
        forged = [each for each in statements if each != liar.known and not is_authentic(each, liar, kind)]
        if kind not in ("checkpoint", "shuttle") or statements:  # the second replica's predecessor is the liar itself
            signatures |= {bool(each.signature) for each in forged}
        assert all(not each.signature or own.is_valid(each.statement.signed_bytes(), each.signature) or
                   liar.keys.authentication == "hmac" for each in forged)  # fmt: skip
    assert signatures == {True, False}


def is_authentic(signed, liar, kind):
    name = type(signed.statement).__name__
    by_client = name in ("Request", "Accusation", "Complaint", "ConfigurationQuery")
    by_olympus = name in ("WedgeRequest", "CatchUp", "GetRunningState", "InitialHistory", "Configuration", "Voucher")
    keys = key_of("olympus", liar.keys.authentication) if by_olympus else None
    try:
        if by_client:
            signed.demand_authentic(liar.configuration.client_key(signed.signer), "client")
        elif by_olympus:
            signed.demand_authentic(liar.keys.author(keys.public), "Olympus")
        else:
            signed.demand_authentic(liar.configuration.replica_author(signed.signer), "replica")
    except ProtocolViolation:
        return False
    return True


def test_a_forged_public_key_lacks_the_secret_of_its_name(liar):
    for _, parts in forgeries("public_key", liar):
        with pytest.raises(InvalidSignature):
            decode(PublicKey, parts[-1]).demand_secret(b"that of the name")


def test_a_forged_accusation_proves_nothing(liar):
    for _, parts in forgeries("accusation", liar):
        with pytest.raises(ProtocolViolation):
            decode(Signed[Accusation], parts[-1]).statement.demand_proved(liar.configuration)


def test_the_harness_is_forged_too(liar):
    commands = [parts for _, parts in forgeries("control", liar)]
    assert {parts[0] for parts in commands} == {"control"}
    verbs = [[verb for verb in ("close", "end_run", "stop", "report_query") if verb.encode() in parts[1]] for parts in commands]
    assert sorted({verb for [verb] in verbs}) == ["close", "end_run", "report_query", "stop"]
    for parts in commands:
        with pytest.raises(InvalidSignature):
            Control(b"another's secret", "process").open(parts[1])

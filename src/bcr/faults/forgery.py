"""Messages in others' names, of every kind that a replica can make up: once under its own key, and once under none
(specification, 7a.1, 9.6).

They say what would do harm if somebody took them for what they seem to be: a request that no client made, a state that
no replica has, a history that is none, an end to the run.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal

import msgspec

from bcr.chain.configuration import Configuration, Member, Membership
from bcr.chain.history import (
    CatchingUp,
    CatchUp,
    CaughtUp,
    HistoryEntry,
    InitialHistory,
    RunningStateHandover,
    Wedged,
    WithState,
)
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
from bcr.chain.slots import ExecutedSlot
from bcr.objects.operation import Operation
from bcr.signed.control import MAC_SIZE, Control
from bcr.signed.encoding import encode
from bcr.signed.pieces import signed_pieces
from bcr.signed.signing import SEAL_SIZE, Keys, Signed, Statement
from bcr.signed.statements import (
    Checkpoint,
    Complaint,
    ConfigurationQuery,
    Credential,
    GetRunningState,
    Outcome,
    Ready,
    ReconfigurationRequest,
    Refusal,
    Request,
    SessionOver,
    SessionRequest,
    SignedCredential,
    SignedRequest,
    Stale,
    Voucher,
    WedgeRequest,
)
from bcr.state.running import Snapshot

OLYMPUS = 0  # as the signer of its statements
FORGED_STATE = Snapshot.of({"forged": "forged"}, ())

# Who takes the messages of a kind: what comes to Olympus, to clients and to replicas.
TAKERS: Mapping[str, frozenset[str]] = {
    "olympus": frozenset({"ready", "reconfiguration_request", "wedged", "catching_up", "caught_up", "running_state", "public_key",
                          "configuration_query", "accusation", "complaint", "control"}),
    "clients": frozenset({"result_message", "error", "configuration", "voucher", "stale", "control", "credential", "session_over"}),
    "replicas": frozenset({"client_request", "forwarded_request", "shuttle", "result_shuttle", "checkpoint",
                           "completed_checkpoint", "wedge_request", "catch_up", "get_running_state", "inithist",
                           "configuration", "control", "introduction"}),
}  # fmt: skip

ToWhom = tuple[Literal["olympus", "replica", "client"], int]


class Liar(msgspec.Struct, frozen=True):
    """Who forges, and what it knows: its place in a configuration, the next slot, and a request that a client made."""

    configuration: Membership
    position: int
    keys: Keys
    secret: bytes
    slot: int
    known: SignedRequest | None

    @property
    def others(self) -> list[int]:
        """The positions of the other replicas."""
        return [place for place in range(len(self.configuration.replicas)) if place != self.position]

    @property
    def clients(self) -> range:
        return range(len(self.configuration.clients))


Sign = Callable[[Statement, int], Signed[Any]]
Forged = Iterator[tuple[ToWhom, Any]]


def forgeries(kind: str, liar: Liar) -> list[tuple[ToWhom, tuple[Any, ...]]]:
    """To whom the liar sends which message of this kind: name and payload, sealed or in a piece as such messages travel.

    A `configuration` and an `introduction` lack the processes that travel beside them; behind the latter goes a request of
    whoever is introduced. Of a kind that nobody sends there is none.
    """
    forge = _FORGERS.get(kind, _nothing)

    def own(statement: Statement, signer: int) -> Signed[Any]:
        return Signed.sign(statement, signer, liar.keys)

    def unsigned(statement: Statement, signer: int) -> Signed[Any]:
        return Signed(statement, signer, b"")

    messages: list[tuple[ToWhom, tuple[Any, ...]]] = []
    for sign in (own, unsigned):
        is_own = sign is own
        for to, message in forge(liar, sign):
            if kind == "control":
                messages.append((to, message))
            elif kind == "introduction" and isinstance(message.statement, Request):
                messages.append((to, ("client_request", encode(message))))
            elif kind in IN_PIECES:
                messages.append((to, (kind, _in_a_piece(kind, message, liar, FORGED_SERIAL + len(messages), is_own))))
            elif kind in SEALED and to[0] == "replica":
                messages.append((to, (kind, _sealed(encode(message), liar, to[1], is_own))))
            else:
                messages.append((to, (kind, encode(message))))
    return messages


FORGED_SERIAL = 1_000_000  # of a payload


def _sealed(payload: bytes, liar: Liar, reader: int, is_own: bool) -> bytes:
    if not is_own:
        return bytes(SEAL_SIZE) + payload
    return liar.keys.seal(payload, liar.configuration.replicas[reader].public_key) + payload


def _in_a_piece(kind: str, message: Any, liar: Liar, serial: int, is_own: bool) -> bytes:
    """The message as the only piece of a payload, in the name of whoever seems to have signed it."""
    signer = message.signer if isinstance(message, Signed) else message.signed.signer
    payload = encode(message)
    limit = len(payload) + 2 * SEAL_SIZE + 4_096
    [piece] = signed_pieces(kind, liar.configuration.number, serial, payload, limit, signer, liar.keys)
    if not is_own:
        piece = msgspec.structs.replace(piece, manifest=msgspec.structs.replace(piece.manifest, signature=b""))
    return encode(piece)


def _nothing(_liar: Liar, _sign: Sign) -> Forged:
    return iter(())


def _request(liar: Liar, sign: Sign, client: int) -> SignedRequest:
    number = 0 if liar.known is None else liar.known.statement.number + 1
    return sign(Request(client, number, (Operation("put", "forged", "forged"),)), client)


def _open_slot(liar: Liar, sign: Sign, slot: int) -> ExecutedSlot:
    """A slot with a request that a client made, where the liar knows one, and a result that it has not."""
    request = liar.known or _request(liar, sign, 0)
    results = ("a lie",) * len(request.statement.operations)
    return ExecutedSlot(liar.configuration.number, slot, (request,), (Outcome(liar.configuration.number, slot, 0, results),))


def _requests(liar: Liar, sign: Sign) -> Forged:
    for place in liar.others:
        for client in liar.clients:
            yield ("replica", place), _request(liar, sign, client)


def _shuttles(liar: Liar, sign: Sign) -> Forged:
    open_slot = _open_slot(liar, sign, liar.slot)
    for place in liar.others:
        orders = tuple(sign(open_slot.order(), signer) for signer in range(place))
        results = tuple(sign(open_slot.result(), signer) for signer in range(place))
        yield ("replica", place), Shuttle(open_slot.configuration, open_slot.slot, open_slot.requests, orders, results)


def _result_shuttles(liar: Liar, sign: Sign) -> Forged:
    open_slot = _open_slot(liar, sign, max(liar.slot - 1, 0))
    proof = tuple(sign(open_slot.result(), signer) for signer in range(len(liar.configuration.replicas)))
    for place in liar.others:
        yield ("replica", place), ResultShuttle(open_slot.configuration, open_slot.slot, open_slot.outcomes, proof)


def _checkpoints(liar: Liar, sign: Sign) -> Forged:
    statement = Checkpoint(liar.configuration.number, max(liar.slot - 1, 0), FORGED_STATE.digest())
    for place in liar.others:
        proof = tuple(sign(statement, signer) for signer in range(place))
        yield ("replica", place), CheckpointShuttle(statement.configuration, statement.slot, proof)


def _completed_checkpoints(liar: Liar, sign: Sign) -> Forged:
    statement = Checkpoint(liar.configuration.number, max(liar.slot - 1, 0), FORGED_STATE.digest())
    proof = tuple(sign(statement, signer) for signer in range(len(liar.configuration.replicas)))
    for place in liar.others:
        yield ("replica", place), CompletedCheckpoint(statement.configuration, statement.slot, proof)


def _result_messages(liar: Liar, sign: Sign) -> Forged:
    open_slot = _open_slot(liar, sign, liar.slot)
    (client, number), *_ = open_slot.keys()
    proof = tuple(sign(open_slot.result(), signer) for signer in range(len(liar.configuration.replicas)))
    yield ("client", client), ResultMessage(client, number, open_slot.answer(client, number, proof))


def _errors(liar: Liar, sign: Sign) -> Forged:
    return _said_of_a_request(Refusal, liar, sign)


def _said_of_a_request(kind: type[Refusal] | type[Stale], liar: Liar, sign: Sign) -> Forged:
    """To each client from each other replica, about the request that the liar knows."""
    for place in liar.others:
        for client in liar.clients:
            number = 0 if liar.known is None else liar.known.statement.number
            yield ("client", client), sign(kind(liar.configuration.number, client, number), place)


def _wedged(liar: Liar, sign: Sign) -> Forged:
    for place in liar.others:
        yield ("olympus", 0), sign(Wedged(liar.configuration.number, (), ()), place)


def _catch_ups(liar: Liar, sign: Sign) -> Forged:
    request = _request(liar, sign, 0)
    suffix = (HistoryEntry(liar.slot, (request,), ()),)
    for place in liar.others:
        yield ("replica", place), sign(CatchUp(liar.configuration.number, FORGED_SERIAL, place, suffix), OLYMPUS)


def _caught_up(liar: Liar, sign: Sign) -> Forged:
    for place in liar.others:
        yield ("olympus", 0), sign(CaughtUp(liar.configuration.number, 1, liar.slot, FORGED_STATE.digest(), ()), place)


def _running_states(liar: Liar, sign: Sign) -> Forged:
    for place in liar.others:
        handover = RunningStateHandover(liar.configuration.number, FORGED_STATE.digest())
        yield ("olympus", 0), WithState(sign(handover, place), FORGED_STATE)


def _initial_histories(liar: Liar, sign: Sign) -> Forged:
    for place in liar.others:
        statement = InitialHistory(liar.configuration.number, FORGED_STATE.digest())
        yield ("replica", place), WithState(sign(statement, OLYMPUS), FORGED_STATE)


def _configurations(liar: Liar, sign: Sign) -> Forged:
    """The next configuration, with the liar in every replica's place."""
    own = Member(liar.keys.public, liar.configuration.replicas[liar.position].address)
    issued = liar.configuration.issued
    forged: Configuration = msgspec.structs.replace(issued, number=issued.number + 1, replicas=(own,) * len(issued.replicas))
    for client in liar.clients:
        yield ("client", client), sign(forged, OLYMPUS)
    for place in liar.others:
        yield ("replica", place), sign(msgspec.structs.replace(forged, number=issued.number), OLYMPUS)


def _to_olympus(make: Callable[[Liar], Statement]) -> Callable[[Liar, Sign], Forged]:
    """A statement in the name of each of the other replicas."""

    def forge(liar: Liar, sign: Sign) -> Forged:
        for place in liar.others:
            yield ("olympus", 0), sign(make(liar), place)

    return forge


def _to_replicas(make: Callable[[Liar], Statement]) -> Callable[[Liar, Sign], Forged]:
    """A statement in Olympus's name to each of the other replicas."""

    def forge(liar: Liar, sign: Sign) -> Forged:
        for place in liar.others:
            yield ("replica", place), sign(make(liar), OLYMPUS)

    return forge


def _public_keys(liar: Liar, sign: Sign) -> Forged:
    names = [f"replica_{place}" for place in liar.others] + [f"client_{client}" for client in liar.clients]
    is_own = bool(sign(Ready(0), liar.position).signature)
    for name in names:
        enrolled = PublicKey.enrol(name, liar.keys.public, liar.secret)
        yield ("olympus", 0), enrolled if is_own else msgspec.structs.replace(enrolled, mac=b"")


def _of_clients(make: Callable[[Liar], Statement]) -> Callable[[Liar, Sign], Forged]:
    """A statement in the name of each of the clients."""

    def forge(liar: Liar, sign: Sign) -> Forged:
        for client in liar.clients:
            yield ("olympus", 0), sign(make(liar), client)

    return forge


def _vouchers(liar: Liar, sign: Sign) -> Forged:
    for client in liar.clients:
        request = liar.known or _request(liar, sign, client)
        number, outcome = request.statement.number, _open_slot(liar, sign, liar.slot).outcomes[0]
        digest = request.statement.digest()
        voucher = Voucher(liar.configuration.number, liar.slot, client, number, digest, outcome)
        yield ("client", client), sign(voucher, OLYMPUS)


def _credential(liar: Liar, sign: Sign, client: int) -> SignedCredential:
    """One that Olympus never gave, under which the liar would be a client with a number that is next."""
    address = liar.configuration.clients[client].address
    return sign(Credential(len(liar.configuration.clients) + client, client, liar.keys.public, address), OLYMPUS)


def _credentials(liar: Liar, sign: Sign) -> Forged:
    for client in liar.clients:
        yield ("client", client), _credential(liar, sign, client)


def _introductions(liar: Liar, sign: Sign) -> Forged:
    for place in liar.others:
        for client in liar.clients:
            credential = _credential(liar, sign, client)
            number = credential.statement.client
            operations = (Operation("put", "forged", "forged"),)
            yield ("replica", place), credential
            yield ("replica", place), Signed.sign(SessionRequest(number, 0, operations, credential), number, liar.keys)


def _sessions_over(liar: Liar, sign: Sign) -> Forged:
    """In everybody's name, its own too: there it is a lie that nobody can tell from the truth."""
    for place in range(len(liar.configuration.replicas)):
        for client in liar.clients:
            yield ("client", client), sign(SessionOver(liar.configuration.number, client), place)


def _stale(liar: Liar, sign: Sign) -> Forged:
    return _said_of_a_request(Stale, liar, sign)


def _accusations(liar: Liar, sign: Sign) -> Forged:
    """A contradiction between two others, neither of whom said so."""
    one = _open_slot(liar, sign, liar.slot)
    other = one.agreed((msgspec.structs.replace(one.outcomes[0], results=("another lie",)),))
    (client, number), *_ = one.keys()
    signers = (*liar.others, liar.position)
    proof = (sign(one.result(), signers[0]), sign(other.result(), signers[1]))
    yield ("olympus", 0), sign(Accusation(one.requests[0], one.answer(client, number, proof)), client)


def _controls(liar: Liar, _sign: Sign) -> Forged:
    """What start-up says: an early end; under the only secret that the liar has, and under none, as if much had been said."""
    for verb, to in (("close", "olympus"), ("end_run", "olympus"), ("stop", "client"), ("report_query", "replica")):
        everybody = {"olympus": [0], "client": liar.clients, "replica": liar.others}[to]
        for place in everybody:
            unsealed = bytes(MAC_SIZE) + encode((FORGED_SERIAL, verb, (False,)))
            for command in (Control(liar.secret, "start-up").seal(verb, False), unsealed):
                yield (to, place), ("control", command)  # type: ignore[misc]


_FORGERS: Mapping[str, Callable[[Liar, Sign], Forged]] = {
    "client_request": _requests,
    "forwarded_request": _requests,
    "shuttle": _shuttles,
    "result_shuttle": _result_shuttles,
    "checkpoint": _checkpoints,
    "completed_checkpoint": _completed_checkpoints,
    "result_message": _result_messages,
    "error": _errors,
    "wedge_request": _to_replicas(lambda liar: WedgeRequest(liar.configuration.number, FORGED_SERIAL)),
    "wedged": _wedged,
    "catch_up": _catch_ups,
    "caught_up": _caught_up,
    "get_running_state": _to_replicas(lambda liar: GetRunningState(liar.configuration.number)),
    "running_state": _running_states,
    "inithist": _initial_histories,
    "configuration": _configurations,
    "ready": _to_olympus(lambda liar: Ready(liar.configuration.number)),
    "public_key": _public_keys,
    "configuration_query": _of_clients(lambda liar: ConfigurationQuery(liar.configuration.number - 1)),
    "complaint": _of_clients(lambda liar: Complaint(liar.configuration.number, 0)),
    "voucher": _vouchers,
    "stale": _stale,
    "credential": _credentials,
    "introduction": _introductions,
    "session_over": _sessions_over,
    "catching_up": _to_olympus(lambda liar: CatchingUp(liar.configuration.number, 1, liar.slot)),
    "reconfiguration_request": _to_olympus(lambda liar: ReconfigurationRequest(liar.configuration.number, "forged")),
    "accusation": _accusations,
    "control": _controls,
}

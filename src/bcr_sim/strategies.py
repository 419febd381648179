"""Free liars: at each of their steps they send any message that they could sign or have seen, to anyone.

All of them know what one of them hears or says. Each signs with the keys of all of them, also those of earlier configurations.
Some moves are single messages. Others make from one message what a correct replica would make from it later.
"""

import random
from collections import defaultdict, deque
from collections.abc import Callable, Collection, Iterator, Sequence
from copy import deepcopy
from functools import partial
from operator import itemgetter
from typing import Any

import msgspec

from bcr.chain.bundles import singles
from bcr.chain.history import Wedged
from bcr.chain.messages import (
    IN_PIECES,
    SEALED,
    CheckpointShuttle,
    CompletedCheckpoint,
    ResultMessage,
    ResultShuttle,
    Shuttle,
)
from bcr.chain.slots import ExecutedSlot
from bcr.faults.forgery import FORGED_SERIAL, FORGED_STATE, TAKERS, Liar, forgeries
from bcr.faults.vocabulary import MESSAGES
from bcr.objects.operation import Operation
from bcr.signed.encoding import decode, encode
from bcr.signed.pieces import PIECE_OVERHEAD_BYTES, Piece, signed_pieces
from bcr.signed.signing import SEAL_SIZE, Signed, Statement
from bcr.signed.statements import Order, ReconfigurationRequest, Refusal, Request, SignedOrder
from bcr.signed.violations import MalformedMessage
from bcr_sim.distalgo import Container
from bcr_sim.free_lies import Lore, told_falsely
from bcr_sim.mutation import changed, places, sign_again, signed_to_everybody

SHARE = 0.35  # of a liar's steps at which it sends something
MOST_SENT = 150  # by one liar in one configuration
KEPT_MESSAGES = 40  # messages of a kind that the liars remember, the latest
RETICENCE = (0.0, 0.0, 0.05, 0.3)  # shares of its own messages that a liar keeps to itself
FORGETS = 0.5  # of the times that a liar is wedged it has forgotten the last slots
MOST_FORGOTTEN = 3
# Of what a configuration leaves to the next, and of what is on its way in the chain, a liar tells so much falsely.
TOLD_FALSELY = {"wedged": 0.4, "caught_up": 0.4, "running_state": 0.4, "shuttle": 0.1, "completed_checkpoint": 0.3,
                "result_message": 0.15}  # fmt: skip
IN_OTHERS_NAMES = 0.3  # of its proofs have statements in them of those who made none
OF_TWO_MINDS = 0.4  # of the liars' completed checkpoints name another state, first

Parts = tuple[Any, ...]  # a message as it travels: its name, and mostly one payload, which comes last
Message = tuple[str, Any]  # name and content, which is to be encoded


class _Heard(tuple[Any, ...]):
    """A message that goes on as it travelled."""


def _content(parts: Parts) -> bytes:
    """What is in the last part of a message as it travels, without its seal, or the piece around it."""
    payload: bytes = parts[-1]
    if parts[0] in SEALED:
        return payload[SEAL_SIZE:]
    return decode(Piece, payload).data if parts[0] in IN_PIECES else payload


class FreeLiars:
    """The free liars of one run. `send` lets one process send another a message; `processes` gives all there are."""

    def __init__(
        self,
        positions: Collection[int],
        seed: int,
        send: Callable[[Container, Container, Parts], None],
        processes: Callable[[], Iterator[Container]],
        tell: Callable[[Container], None],
        changed_positions: Collection[int] = (),
    ) -> None:
        self._names = {f"replica_{position}" for position in positions}
        self._chance = random.Random(f"free/{seed}")
        self._send = send
        self._processes = processes
        self._tell = tell  # that one has begun to lie
        # Whether they also tell consistent lies in place of what they are about to send: where all their messages are to be changed.
        self._tells_lies = set(positions) <= set(changed_positions)
        self._heard_messages: dict[str, deque[Parts]] = defaultdict(lambda: deque(maxlen=KEPT_MESSAGES))
        self._sent_counts: dict[Container, int] = {}  # messages, by each that has sent any
        self._known_liars: set[Container] = set()  # of whom it has been told that they lie
        self._reticence: dict[Container, float] = {}
        self._earlier_states: dict[Container, deque[tuple[int, Any, Any, Any]]] = defaultdict(lambda: deque(maxlen=MOST_FORGOTTEN))
        self._moves: Sequence[Callable[[Container], Message | Parts | None]] = (
            self._again,
            self._again,
            self._changed,
            self._changed,
            self._in_anothers_name,
            self._answered_early,
            self._answered_early,
            self._bounced_result,
            self._bounced_checkpoint,
            self._ordered,
            self._asked,
            self._refused,
            self._wedged,
            self._misdirected,
        )

    def is_one(self, container: Container) -> bool:
        return container.name in self._names

    # -- what happens to them

    def arrived(self, container: Container, parts: Parts) -> None:
        """A message is about to be handled by a liar, which takes it for a step of its own too."""
        self._note(parts)
        if parts[0] == "wedge_request" and self._chance.random() < FORGETS:
            self._forget(container)
        self._step(container)

    def keeps_back(self, container: Container, receiver: Container, parts: Parts) -> bool:
        """A liar is about to send a message by the rules; whether it does not, or tells a lie in its place."""
        self._note(parts)
        if container not in self._reticence:
            self._reticence[container] = RETICENCE[int(self._chance.random() * len(RETICENCE))]
        share = TOLD_FALSELY.get(parts[0], 0.0) if self._tells_lies else 0.0
        if share and self._chance.random() < share and self._tells_falsely(container, receiver, parts):
            return True
        if self._chance.random() >= self._reticence[container]:
            return False
        self._count(container)
        return True

    def _tells_falsely(self, container: Container, receiver: Container, parts: Parts) -> bool:
        """Whether there was a lie that is told in place of this."""
        state = container.process._state
        if getattr(state, "configuration", None) is None:
            return False
        sign = partial(Signed.sign, signer=state.position, keys=state.keys)
        lore = Lore(self._request(container), self._answer(), sign, partial(self._orders, container))
        try:
            told = told_falsely(parts[0], _content(parts), lore, self._chance)
        except MalformedMessage:  # a piece of something larger, or what another fault has made unreadable
            return False
        if told is None:
            return False
        self._count(container)
        self._send(container, receiver, self._as_it_travels((parts[0], told), container, receiver))
        return True

    def _answer(self) -> ResultMessage | None:
        parts = self._heard_of("result_message")
        try:
            return None if parts is None else decode(ResultMessage, _content(parts))
        except MalformedMessage:
            return None

    def _orders(self, container: Container, order: Order) -> tuple[SignedOrder, ...]:
        """Of all liars, in their turn."""
        return tuple(Signed.sign(order, position, keys) for position, keys in sorted(self._accomplices(container), key=itemgetter(0)))

    def _note(self, parts: Parts) -> None:
        for single in singles(parts):
            self._heard_messages[single[0]].append(single)

    def executed(self, container: Container) -> None:
        """A liar has executed a slot: what it holds behind it can be what it says it holds."""
        state = container.process._state
        kept = (state.ledger.next_slot, state.ledger.state.copy(), state.ledger.executed.copy(), state.ledger.cache.copy())
        self._earlier_states[container].append(kept)

    def _forget(self, container: Container) -> None:
        """Be as if the last slots had never been seen, in everything that can be asked for."""
        state = container.process._state
        earlier = [each for each in self._earlier_states[container] if each[0] in state.ledger.history]
        if not earlier or state.mode != "active":  # who has just begun again has executed nothing, and may have no mode yet
            return
        state.ledger.next_slot, state.ledger.state, state.ledger.executed, state.ledger.cache = self._one_of(earlier)
        state.ledger.history = {slot: entry for slot, entry in state.ledger.history.items() if slot < state.ledger.next_slot}
        self._count(container)

    def _count(self, container: Container) -> None:
        # Each signs with the keys of all, so none of them answers any longer for what is said in its name.
        for each in self._processes():
            if self.is_one(each) and each.configuration == container.configuration and each not in self._known_liars:
                self._known_liars.add(each)
                self._tell(each)
        self._sent_counts[container] = self._sent_counts.get(container, 0) + 1

    # -- a step

    def _step(self, container: Container) -> None:
        process = container.process
        if process is None or getattr(process._state, "configuration", None) is None:
            return
        if self._sent_counts.get(container, 0) >= MOST_SENT or self._chance.random() >= SHARE:
            return
        made = self._one_of(self._moves)(container)
        if made is None:
            return
        receivers = self._receivers(made[0], container)
        if receivers:
            receiver = self._one_of(receivers)
            self._count(container)
            self._send(container, receiver, self._as_it_travels(made, container, receiver))

    def _as_it_travels(self, made: Message | Parts, container: Container, receiver: Container) -> Parts:
        """What was heard goes on as it is, and what a liar makes under its own seal, or signed by it as a piece."""
        name, *rest = made
        if isinstance(made, _Heard) or len(rest) != 1:
            return tuple(made)
        [content] = rest
        payload = content if isinstance(content, bytes) else encode(content)
        state = container.process._state
        if name in SEALED:
            return name, self._seal(payload, state, receiver) + payload
        if name in IN_PIECES:
            serial = FORGED_SERIAL + int(self._chance.random() * FORGED_SERIAL)
            limit = len(payload) + 2 * PIECE_OVERHEAD_BYTES
            [piece] = signed_pieces(name, state.configuration.number, serial, payload, limit, state.position, state.keys)
            return name, encode(piece)
        return name, payload

    @staticmethod
    def _seal(payload: bytes, state: Any, receiver: Container) -> bytes:
        place = receiver.name.removeprefix("replica_")
        members = state.configuration.replicas
        if not place.isdigit() or int(place) >= len(members):
            return bytes(SEAL_SIZE)
        seal: bytes = state.keys.seal(payload, members[int(place)].public_key)
        return seal

    def _receivers(self, name: str, container: Container) -> list[Container]:
        """Mostly those who take such, of whatever configuration; sometimes anybody but itself."""
        everybody = [each for each in self._processes() if not each.task.is_dead and each is not container]
        kinds = {"olympus": "olympus", "clients": "client_", "replicas": "replica_"}
        prefixes = tuple(prefix for whose, prefix in kinds.items() if name in TAKERS[whose])
        if not prefixes or self._chance.random() < 0.1:
            prefixes = tuple(kinds.values())
        return [each for each in everybody if each.name.startswith(prefixes)]

    def _one_of(self, values: Any) -> Any:
        return values[int(self._chance.random() * len(values))]

    def _heard_of(self, *names: str) -> Parts | None:
        found = [parts for name in names for parts in self._heard_messages.get(name, ())]
        return self._one_of(found) if found else None

    def _heard_message(self, container: Container, kind: Any, name: str) -> Any:
        """A message of this kind from the liar's configuration, or None."""
        parts = self._heard_of(name)
        try:
            message = None if parts is None else decode(kind, _content(parts))
        except MalformedMessage:
            return None
        number = container.process._state.configuration.number
        return message if message is not None and message.configuration == number else None

    def _accomplices(self, container: Container) -> list[tuple[int, Any]]:
        """Positions and keys of the liars of this one's configuration, its own among them."""
        mine = [each for each in self._processes() if self.is_one(each) and each.process is not None]
        states = [each.process._state for each in mine if each.configuration == container.configuration]
        return [(state.position, state.keys) for state in states if getattr(state, "configuration", None) is not None]

    # -- moves: what a correct replica does not send, or not then

    def _again(self, _container: Container) -> Parts | None:
        parts = self._heard_of(*self._heard_messages)
        return None if parts is None else _Heard(parts)

    def _changed(self, container: Container) -> Parts | None:
        """Something that was heard with one thing in it changed, or taken from elsewhere, and signed again by the liars."""
        parts = self._heard_of(*self._heard_messages)
        other = self._heard_of(*self._heard_messages)
        if parts is None or other is None or not isinstance(parts[-1], bytes):
            return None
        try:
            value = msgspec.msgpack.decode(_content(parts))
            source = msgspec.msgpack.decode(_content(other)) if isinstance(other[-1], bytes) else value
        except (ValueError, MalformedMessage):
            return None
        found = list(places(value))
        if not found:
            return None
        holder, index = self._one_of(found)
        alike = [each[i] for each, i in places(source) if type(each[i]) is type(holder[index])]
        takes = alike and self._chance.random() < 0.6
        # A copy: what it is taken from may be around the place.
        holder[index] = deepcopy(self._one_of(alike)) if takes else changed(holder[index], self._chance)
        for position, keys in self._accomplices(container):
            sign_again(value, position, partial(signed_to_everybody, keys))
        return (*parts[:-1], msgspec.msgpack.encode(value))

    def _in_anothers_name(self, container: Container) -> Parts | None:
        state = container.process._state
        known = self._request(container)
        liar = Liar(state.configuration, state.position, state.keys, bytes(32), state.ledger.next_slot, known)
        try:
            found = forgeries(self._one_of(MESSAGES), liar)
        except KeyError:
            return None
        if not found:
            return None
        _, parts = self._one_of(found)
        return _Heard((*parts, state.replicas, state.clients) if parts[0] == "configuration" else parts)

    def _request(self, container: Container) -> Any:
        shuttle = self._heard_message(container, Shuttle, "shuttle")
        return shuttle.requests[0] if shuttle is not None and shuttle.requests else None

    def _own_proof(self, container: Container, done: ExecutedSlot, known: Sequence[Any]) -> tuple[Any, ...]:
        """The statements that are known of a slot, and those of all liars."""
        liars = self._accomplices(container)
        mine = [Signed.sign(done.result(), position, keys, done.clients()) for position, keys in liars]
        others = [signed for signed in known if signed.signer not in {position for position, _ in liars}]
        return (*others, *mine, *self._in_the_names_of_others(container, done.result(), [*others, *mine]))

    def _own_orders(self, container: Container, done: ExecutedSlot, known: Sequence[Any]) -> tuple[Any, ...]:
        """The order statements that are known of a slot, and those of all liars."""
        liars = self._accomplices(container)
        mine = [Signed.sign(done.order(), position, keys, done.clients()) for position, keys in liars]
        others = [signed for signed in known if signed.signer not in {position for position, _ in liars}]
        return (*others, *mine, *self._in_the_names_of_others(container, done.order(), [*others, *mine]))

    def _in_the_names_of_others(self, container: Container, statement: Statement, there: Sequence[Any]) -> list[Any]:
        """Sometimes, the statement once more for each replica of which there is none, under the liar's own key."""
        if not self._tells_lies or self._chance.random() >= IN_OTHERS_NAMES:
            return []
        state = container.process._state
        missing = set(range(len(state.replicas))) - {signed.signer for signed in there}
        return [Signed.sign(statement, position, state.keys) for position in sorted(missing)]

    def _slot(self, container: Container) -> tuple[Shuttle, ExecutedSlot] | None:
        """A shuttle that was heard, and what came of it here, or what did not."""
        shuttle = self._heard_message(container, Shuttle, "shuttle")
        if shuttle is None or not shuttle.requests:
            return None
        request = shuttle.requests[0].statement
        done = container.process._state.ledger.executed.get(request.client, request.number)
        if done is None or done.slot != shuttle.slot:
            return None
        if self._chance.random() < 0.2:
            false = msgspec.structs.replace(done.outcomes[0], results=("a lie",) * len(request.operations))
            done = done.agreed((false, *done.outcomes[1:]))
        return shuttle, done

    def _answered_early(self, container: Container) -> Message | None:
        found = self._slot(container)
        if found is None:
            return None
        shuttle, done = found
        client, number = self._one_of(done.keys())
        proof = self._own_proof(container, done, shuttle.result_proof)
        orders = self._own_orders(container, done, shuttle.order_proof)
        return "result_message", ResultMessage(client, number, done.answer(client, number, proof, orders))

    def _bounced_result(self, container: Container) -> Message | None:
        found = self._slot(container)
        if found is None:
            return None
        shuttle, done = found
        proof = self._own_proof(container, done, shuttle.result_proof)
        orders = self._own_orders(container, done, shuttle.order_proof)
        return "result_shuttle", ResultShuttle(done.configuration, done.slot, done.outcomes, proof, orders)

    def _bounced_checkpoint(self, container: Container) -> Message | None:
        """A checkpoint that not all have seen; or one that all have, and of which the liars say something else."""
        is_other = self._tells_lies and self._chance.random() < OF_TWO_MINDS
        shuttle: Any = self._heard_message(container, CompletedCheckpoint, "completed_checkpoint") if is_other else None
        shuttle = shuttle or self._heard_message(container, CheckpointShuttle, "checkpoint")
        if shuttle is None or not shuttle.proof:
            return None
        statement = shuttle.proof[0].statement
        liars = self._accomplices(container)
        others = [signed for signed in shuttle.proof if signed.signer not in {position for position, _ in liars}]
        if is_other:
            statement = msgspec.structs.replace(statement, state_digest=FORGED_STATE.digest())
        mine = [Signed.sign(statement, position, keys) for position, keys in liars]
        proof = (*mine, *others) if is_other else (*others, *mine)
        return "completed_checkpoint", CompletedCheckpoint(shuttle.configuration, shuttle.slot, proof)

    def _ordered(self, container: Container) -> Message | None:
        """A request in a slot of the liars' choice, with their orders."""
        state = container.process._state
        request = self._request(container)
        if request is None:
            return None
        if self._chance.random() < 0.1:
            statement = request.statement
            lie = Request(statement.client, statement.number, (Operation("put", "forged", "forged"),))
            request = Signed(lie, statement.client, request.signature)
        slot = max(0, state.ledger.next_slot + int(self._chance.random() * 5) - 2)
        results = ("OK",) * len(request.statement.operations)
        false = msgspec.structs.replace(state.ledger.state.copy().execute(state.configuration.number, slot, (request.statement,))[0],
                                        results=results)  # fmt: skip
        done = ExecutedSlot(state.configuration.number, slot, (request,), (false,))
        liars = sorted(self._accomplices(container), key=lambda each: each[0])
        orders = tuple(Signed.sign(done.order(), position, keys) for position, keys in liars)
        proof = self._own_proof(container, done, ())
        return "shuttle", Shuttle(state.configuration.number, slot, (request,), orders, proof)

    def _asked(self, container: Container) -> Message:
        state = container.process._state
        blamed_position = int(self._chance.random() * len(state.replicas))
        request = ReconfigurationRequest(state.configuration.number, "free will", blamed_position)
        return "reconfiguration_request", Signed.sign(request, state.position, state.keys)

    def _misdirected(self, container: Container) -> Parts | None:
        """The configuration with Olympus's signature, and beside it the liar in every replica's or client's place."""
        parts = self._heard_of("configuration")
        if parts is None or len(parts) != 4:
            return None
        state = container.process._state
        itself = state.replicas[state.position]
        replicas, clients = (itself,) * len(state.replicas), (itself,) * len(state.clients)
        if self._chance.random() < 0.5:
            return _Heard((*parts[:2], replicas, parts[3]))
        return _Heard((*parts[:2], parts[2], clients))

    def _refused(self, container: Container) -> Message | None:
        state = container.process._state
        request = self._request(container)
        if request is None:
            return None
        refusal = Refusal(state.configuration.number, request.statement.client, request.statement.number)
        return "error", Signed.sign(refusal, state.position, state.keys)

    def _wedged(self, container: Container) -> Message:
        """A history of which any part is left out at its end, behind any checkpoint."""
        state = container.process._state
        entries = [state.ledger.history[slot] for slot in sorted(state.ledger.history)]
        kept = tuple(entries[: int(self._chance.random() * (len(entries) + 1))])
        completed = self._heard_message(container, CompletedCheckpoint, "completed_checkpoint")
        takes = completed is not None and self._chance.random() < 0.5
        proof = completed.proof if takes else state.ledger.checkpoint_proof
        return "wedged", Signed.sign(Wedged(state.configuration.number, kept, tuple(proof)), state.position, state.keys)

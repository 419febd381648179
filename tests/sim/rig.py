"""A simulated run into which a test puts messages: any message, into any process, when it is in a mode that has a name."""

import random
from collections.abc import Callable
from typing import Any

from bcr.chain.history import CatchingUp
from bcr.chain.messages import IN_PIECES, SEALED, Accusation, PublicKey, ResultMessage
from bcr.chain.proofs import Answer
from bcr.objects.dictionary import Operation
from bcr.scenario import parse_scenario
from bcr.signed.control import Control, secret_of
from bcr.signed.encoding import decode, encode
from bcr.signed.pieces import signed_pieces
from bcr.signed.signing import SEAL_SIZE, Signed
from bcr.signed.statements import (
    Complaint,
    ConfigurationQuery,
    Credential,
    Outcome,
    Ready,
    ReconfigurationRequest,
    Refusal,
    Request,
    SessionOver,
    Stale,
    Voucher,
)
from bcr.signed.violations import MalformedMessage
from bcr_sim.distalgo import sim
from bcr_sim.mutation import changed_payload, mutated
from bcr_sim.simulated_run import _Run

LIMIT_S = 20  # of virtual time: what is injected may keep a run from ending
LIMIT_EVENTS = 60_000

# -- when: what is true of a process's state, by role


def _is_moving(state: Any) -> bool:
    return state.change is not None and state.change.configuration.number == state.number


MOMENTS: dict[str, dict[str, Callable[[Any], bool]]] = {
    "Replica": {
        "before its configuration": lambda state: state.mode == "pending",
        "active, before the first slot": lambda state: state.mode == "active" and state.ledger.next_slot == 0,
        "active, with slots in flight": lambda state: state.mode == "active" and len(state.ledger.in_flight) > 0,
        "active, behind a checkpoint": lambda state: state.mode == "active" and bool(state.ledger.checkpoint_proof),
        "immutable": lambda state: state.mode == "immutable" and state.attempt == 0,
        "catching up": lambda state: state.ledger.suffix is not None,
        "caught up": lambda state: state.attempt > 0 and state.ledger.suffix is None,
    },
    "Olympus": {
        "before the first configuration": lambda state: state.next_signed is None,
        "starting the first configuration": lambda state: state.next_signed is not None and state.signed is None,
        "serving": lambda state: state.signed is not None and state.change is None,
        "wedging": lambda state: _is_moving(state) and state.change.attempt == 0,
        "catching up": lambda state: _is_moving(state) and state.change.attempt > 0,
        "starting the next configuration": lambda state: state.signed is not None and state.number > state.signed.statement.number,
        "serving the next configuration": lambda state: state.signed is not None and state.number == state.signed.statement.number > 0,
        "closing": lambda state: state.is_closing,
        "over": lambda state: state.ended,
    },
    "Client": {
        "before its configuration": lambda state: state.configuration is None,
        "with requests outstanding": lambda state: state.configuration is not None and len(state.outstanding) > 0,
        "in the next configuration": lambda state: state.configuration is not None and state.configuration.number > 0,
        "when all is answered": lambda state: state.num_requests == state.next_number > 0 and not state.outstanding,
    },
    "Harness": {
        "before Olympus is there": lambda state: state.olympus_key is None,
        "before the first configuration": lambda state: state.olympus_key is not None and state.signed is None,
        "working": lambda state: state.signed is not None,
        "closed": lambda state: state.has_closed,
    },
}
MOMENTS["AdversarialReplica"] = MOMENTS["Replica"]
MOMENTS["ByzantineClient"] = MOMENTS["Client"]

# -- what

# The last of a kind that change what a process is at; in the middle of the others they would end the moment.
LATE = ("inithist", "configuration", "reconfiguration_request", "accusation", "complaint", "wedge_request", "catch_up", "control")

JUNK: tuple[Any, ...] = (None, 7, -1, 2.5, "text", [], ["list"], {}, {"a": 1}, (), b"", b"\xc1", bytes(SEAL_SIZE), bytes(99), object())


def role_of(cls: type) -> str:
    """The name of a process's class; of what the start-up makes of Olympus that of Olympus."""
    return "Olympus" if any(each.__name__ == "Olympus" for each in cls.__mro__) else cls.__name__


class Rig:
    """One run of a scenario, in which `on_event(rig)` is called whenever a message has arrived somewhere."""

    def __init__(self, text: str, folder: Any = None) -> None:
        scenario, _ = parse_scenario(text, "rig.config")
        self.run = _Run(scenario, folder, False)
        self.sent: dict[str, list[tuple[Any, tuple[Any, ...]]]] = {}  # kind -> (sender, message), as they arrived
        self.on_event: Callable[[Rig], None] = lambda rig: None
        self.injected = 0
        self._is_injecting = False
        self._is_due = False
        stock = self.run.system.on_arrival

        def arrived(receiver: Any, source: Any, command: Any, content: Any) -> None:
            if self._is_injecting:
                return  # it may be anything, and the trace is of what processes send
            stock(receiver, source, command, content)
            if command is sim.Command.Message:
                senders = self.run.system.containers.get(source)
                self.sent.setdefault(content[1][0], []).append((senders[0] if senders else None, content[1]))
            if not self._is_due:
                self._is_due = True
                self.run.world.at(self.run.world.now_ns, self._call)

        self.run.system.on_arrival = arrived

    def _call(self) -> None:
        self._is_due = False
        self.on_event(self)

    def errors(self) -> list[str]:
        """Runs it; whatever was raised in a process."""
        complaints: list[str] = []
        with self.run._installed(complaints):
            import bcr_sim.simulated_run as module

            kept = module.LIMIT_NS, module.LIMIT_EVENTS
            module.LIMIT_NS, module.LIMIT_EVENTS = LIMIT_S * 10**9, LIMIT_EVENTS
            try:
                self.run._conduct()
            finally:
                module.LIMIT_NS, module.LIMIT_EVENTS = kept
        own = [self.run.failure] if "an error of our own" in (self.run.failure or "") else []
        return [*self.run.system.failures, *(each for each in complaints if "has died; its answer" not in each), *own]

    def processes(self, role: str) -> list[Any]:
        """Those of this class that have been set up and live."""
        return [
            each
            for each in self.run.system.all()
            if role_of(each.cls) == role
            and not each.task.is_dead
            and hasattr(getattr(each.process, "_state", None), "journal" if role != "Harness" else "controls")
        ]

    def inject(self, receiver: Any, message: tuple[Any, ...], source: Any = None) -> None:
        """Let the message arrive, from a process or from nobody that anybody knows."""
        self.injected += 1
        sender = self.run.system.root if source is None else source.dapid
        self._is_injecting = True
        try:
            receiver.take((sender, (sim.Command.Message, (None, message))))
        finally:
            self._is_injecting = False

    # -- whose keys

    def everybody(self) -> list[tuple[Any, Any, int]]:
        """Processes that sign, with their keys and what they sign as."""
        found = []
        for each in self.run.system.all():
            state = getattr(each.process, "_state", None)
            if hasattr(state, "keys"):
                signer = state.position if hasattr(state, "position") else getattr(state, "index", 0)
                found.append((each, state.keys, signer))
        return found

    def made(self) -> list[tuple[str, tuple[Any, ...]]]:
        """Messages that a run seldom has, properly signed by every process that there is."""
        outcome = Outcome(0, 0, 0, ("OK",))
        messages = []
        for container, keys, signer in self.everybody():
            number = container.configuration or 0

            def signed(kind: str, statement: Any, by: int = signer, keys: Any = keys) -> None:
                messages.append((kind, (kind, encode(Signed.sign(statement, by, keys)))))

            for by in {signer, -1, 99}:
                signed("configuration_query", ConfigurationQuery(-1), by)
                signed("complaint", Complaint(number, 0), by)
                signed("stale", Stale(number, 0, 0), by)
                signed("session_over", SessionOver(number, 0), by)
                credential = Credential(5, 1, keys.public, "nowhere")
                signed("credential", credential, by)
                introduced = encode(Signed.sign(credential, by, keys))
                messages.append(("introduction", ("introduction", introduced, container.dapid)))
                messages.append(("moved", ("moved", Control(bytes(32), "start-up").seal("olympus_moved", "nowhere"), container.dapid)))
                signed("error", Refusal(number, 0, 0), by)
                signed("ready", Ready(number), by)
                signed("ready", Ready(number + 1), by)
                signed("catching_up", CatchingUp(number, 1, 10**9), by)
                signed("voucher", Voucher(number, 0, 0, 0, b"", outcome), by)
                signed("reconfiguration_request", ReconfigurationRequest(number + 9, "no reason", 77), by)
            for client, request_number in ((0, 0), (0, 10**9), (-1, 0), (99, 0), (0, -1), (1, 3)):
                request = Request(client, request_number, (Operation("put", "k", "v"),))
                signed("client_request", request, client)
                signed("forwarded_request", request, signer)
            for name in ("olympus", "client_0", "replica_0", "nobody"):
                enrolled = PublicKey.enrol(name, b"no key", bytes(32))
                messages.append(("public_key", ("public_key", encode(enrolled))))
            for kind in IN_PIECES:
                for piece in signed_pieces(kind, number, 10**6 + signer, b"\xc0", 1 << 20, signer, keys):
                    messages.append((kind, (kind, encode(piece))))
            for kind in SEALED:
                for reader in keys.circle.replicas:
                    messages.append((kind, (kind, keys.seal(b"\xc0", reader) + b"\xc0")))
        answers = [answer for _, message in self.sent.get("result_message", [])[-3:] if (answer := _answer_in(message[1]))]
        answers.append(Answer(0, 0, 0, 1, b"", (), outcome, (), ()))
        messages += [("accusation", each) for each in self._accusations(answers)]
        return messages

    def _accusations(self, answers: list[Answer]) -> list[tuple[Any, ...]]:
        accusations = []
        signers = [each for each in self.everybody() if each[0].name.startswith("client_")] or self.everybody()
        for container, keys, signer in signers:
            requests = [each.signed for each in getattr(container.process._state, "outstanding", {}).values()]
            requests.append(Signed.sign(Request(signer, 0, (Operation("get", "k"),)), signer, keys))
            for answer in answers:
                for request in requests:
                    accusations.append(("accusation", encode(Signed.sign(Accusation(request, answer), signer, keys))))
        return accusations

    def said_under_own_secrets(self, verbs: tuple[str, ...]) -> list[tuple[Any, ...]]:
        """What processes that hold secrets may tell the start-up: any verb, with any parts."""
        [harness] = self.processes("Harness")
        root = harness.process._state.root
        above = secret_of(root, "olympus")
        secrets = {f"client_{k}": secret_of(root, f"client_{k}") for k in range(2)}
        secrets |= {f"replica_{i} of {n}": secret_of(above, f"replica_{i} of {n}") for i in range(3) for n in range(3)}
        said = []
        for name, secret in secrets.items():
            control = Control(secret, "process")
            control._sent_count = 10**6
            for verb in verbs:
                for parts in ((), (1,), (None,), ("x",), (b"",), (1, 2), (0, 1, b"\xc1"), (0, 1, "x"), (b"x", 1, 1), (1, 2, 3, 4)):
                    said.append(("control", name, control.seal(verb, *parts), ()))
        return said

    # -- at random

    def mutant(self, chance: random.Random, receiver: Any) -> tuple[Any, Any]:
        """Something that was sent, a little otherwise, and signed and sealed again by its sender; with the sender."""
        kind = chance.choice(sorted(self.sent))
        sender, message = chance.choice(self.sent[kind])
        where = next((place for place in (1, 2) if len(message) > place and isinstance(message[place], bytes)), None)
        state = getattr(getattr(sender, "process", None), "_state", None)
        if where is None or not hasattr(state, "keys") or kind == "control":
            return sender, _altered(message, chance)
        position = getattr(state, "position", getattr(state, "index", 0))
        reader = getattr(getattr(receiver.process, "_state", None), "keys", None)

        def change(contents: bytes) -> bytes:
            for _ in range(chance.choice((1, 1, 1, 2, 5))):
                contents = mutated(contents, chance, position, state.keys)
            return contents

        payload = changed_payload(kind, message[where], change, position, state.keys, None if reader is None else reader.public)
        if chance.random() < 0.1:
            payload = payload[: chance.randrange(len(payload) + 1)]
        changed = (*message[:where], payload, *message[where + 1 :])
        return sender, changed if chance.random() < 0.95 else _altered(changed, chance)


def _answer_in(payload: bytes) -> Any:
    try:
        return decode(ResultMessage, payload).answer
    except MalformedMessage:
        return None


def _altered(message: tuple[Any, ...], chance: random.Random) -> tuple[Any, ...]:
    """The message with another part than was sent, or one too many or too few."""
    place = chance.randrange(len(message) + 1)
    if chance.random() < 0.3:
        return (*message[:place], chance.choice(JUNK), *message[place:])
    return (*message[:place], chance.choice(JUNK), *message[place + 1 :])

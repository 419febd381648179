"""A simulated run of which every message is kept, by process, in the words of the specification."""

from typing import Any

import msgspec
from da import sim

from bcr.chain.bundles import singles
from bcr.chain.messages import IN_PIECES, SEALED
from bcr.scenario import Scenario, parse_scenario
from bcr.signed.authentication import keys_of
from bcr.signed.encoding import decode
from bcr.signed.pieces import Assembler, Piece
from bcr.signed.signing import SEAL_SIZE, Author, Signed
from bcr.signed.statements import WedgeRequest
from bcr.signed.violations import ProtocolViolation, WrongConfiguration
from bcr_sim.campaign import text_of
from bcr_sim.distalgo import Container, ProcessId
from bcr_sim.simulated_run import SimulationOutcome, _Run, demand_simulable
from bcr_spec.translation import Message, Translator

MEMBERS = ("Replica", "Client", "Olympus")


class MessageEvent(msgspec.Struct, frozen=True):
    """A message that arrived at a process, or that it sent; `other` is the sender, or the receiver."""

    has_arrived: bool
    other: ProcessId
    message: Message


class Account(msgspec.Struct, frozen=True):
    """All that a process heard and said, in order."""

    role: str  # Replica, Client or Olympus
    name: str
    configuration: int | None  # of a replica
    position: int  # of a replica, or the number of a client
    pid: ProcessId
    is_correct: bool
    steps: tuple[MessageEvent, ...]
    is_cut_short: bool  # whether it may have left unread what arrived last
    accepted: tuple[tuple[int, Any], ...] = ()  # by a client: number of the request and outcome, in order


class Recorded(_Run):
    """One run; `accounts` and `translator` are there once `outcome()` has been called."""

    def __init__(self, scenario: Scenario) -> None:
        demand_simulable(scenario)
        super().__init__(scenario, None, False)
        self._raw_messages: dict[Container, list[tuple[bool, ProcessId, tuple[Any, ...]]]] = {}
        stock_arrival, stock_sending = self.system.on_arrival, self.system.on_sending

        def arrived(receiver: Container, source: Any, command: Any, content: Any) -> None:
            if command is sim.Command.Message and isinstance(content[1], tuple):
                self._raw_messages.setdefault(receiver, []).append((True, source, content[1]))
            stock_arrival(receiver, source, command, content)

        def sending(sender: Container, receiver: Container, content: Any) -> Any:
            changed = stock_sending(sender, receiver, content)
            if changed is not None and isinstance(changed[1], tuple):
                sendings = self._raw_messages.setdefault(sender, [])
                # To two twins it goes twice, and is sent once.
                if not (sendings and sendings[-1][1] == receiver.dapid and sendings[-1][2] is changed[1]):
                    sendings.append((False, receiver.dapid, changed[1]))
            return changed

        self.system.on_arrival, self.system.on_sending = arrived, sending
        self.accounts: list[Account] = []
        self.translator: Translator

    def _conduct(self) -> str | None:
        what_hinders = super()._conduct()
        # Here, for the keys of the run are known for so long as it is installed.
        [olympus] = [each for each in self.system.all() if _role(each) == "Olympus"]
        key = olympus.process._state.keys.public
        self.translator = Translator(key, self.scenario.authentication, self.scenario.client_window)
        for view in self._views(olympus).values():
            self.translator.add_configuration(view.issued)
        for _ in ("learning", "telling"):  # answers name slots by digests that others may have told of later
            self.accounts = [self._account(container, olympus) for container in self._raw_messages if _role(container)]
        return what_hinders

    def _views(self, olympus: Container) -> dict[int, Any]:
        views = {}
        for container in self.system.all():
            view = getattr(getattr(container.process, "_state", None), "configuration", None)
            if _role(container) == "Replica" and view is not None:
                views[view.number] = view
        for view in (olympus.process._state.view, olympus.process._state.next_view):
            if view is not None:
                views[view.number] = view
        return views

    def _account(self, container: Container, olympus: Container) -> Account:
        reader = _Reader(self.translator, container, olympus)
        steps: list[MessageEvent] = []
        for has_arrived, other, message in self._raw_messages[container]:
            read = (reader.read(has_arrived, single) for single in singles(message))
            steps += [MessageEvent(has_arrived, other, translated) for translated in read if translated is not None]
        role = _role(container)
        position = 0 if role == "Olympus" else int(container.name.partition("_")[2])
        place = container.configuration, position
        is_faulty = role == "Replica" and place in self.interference.faulty
        is_faulty |= role != "Olympus" and container.cls.__name__ not in MEMBERS
        return Account(
            role=role,
            name=container.name,
            configuration=container.configuration,
            position=position,
            pid=container.dapid,
            is_correct=not is_faulty,
            steps=tuple(steps),
            is_cut_short=len(container.queue) > 0 or container.configuration is not None,
        )

    def outcome(self) -> SimulationOutcome:
        """What came of the run; the accounts of clients then hold what they accepted."""
        outcome = super().outcome()
        accepted: dict[int, list[tuple[int, Any]]] = {}
        for client in outcome.record.clients:
            for exchange in client.exchanges:
                given = exchange.answer.outcome
                executed = (given.configuration, given.slot, given.index, given.results)
                accepted.setdefault(client.client, []).append((exchange.request.statement.number, executed))
        self.accounts = [
            msgspec.structs.replace(each, accepted=tuple(accepted.get(each.position, ()))) if each.role == "Client" else each
            for each in self.accounts
        ]
        return outcome


def _role(container: Container) -> str:
    return next((each.__name__ for each in container.cls.__mro__ if each.__name__ in MEMBERS), "")


class _Reader:
    """Reads the messages of one process: puts pieces together and takes seals off."""

    def __init__(self, translator: Translator, container: Container, olympus: Container) -> None:
        self._translator = translator
        self._container = container
        self._olympus = keys_of(translator.authentication, bytes(32)).author(olympus.process._state.keys.public)
        self._assemblers: dict[tuple[bool, int], Assembler] = {}  # by direction, and by configuration
        self._role = _role(container)
        self._changing: int | None = None  # the configuration that Olympus replaces, while it does

    def read(self, has_arrived: bool, message: tuple[Any, ...]) -> Message | None:
        """What it is to the specification; None where its receiver does not take it for anybody's."""
        try:
            if len(message) != (4 if message[:1] == ("configuration",) else 2) or not isinstance(message[1], bytes):
                return None
            return self._read(has_arrived, *message)
        except ProtocolViolation:
            return None

    def _read(self, has_arrived: bool, name: str, payload: bytes, *rest: Any) -> Message | None:
        number = self._container.configuration or 0
        if name == "configuration":
            return self._translator.configuration(payload, *rest)
        if name in SEALED:
            if has_arrived:
                if self._role != "Replica" or self._container.process._state.configuration is None:
                    return None  # it has no neighbours, or never came to know them
                self._container.process.unsealed(name, payload)
            payload = payload[SEAL_SIZE:]
        elif name in IN_PIECES:
            piece = decode(Piece, payload)
            manifest = piece.manifest.statement
            number = manifest.configuration
            if self._role == "Olympus" and not has_arrived and name == "inithist":
                self._changing = None
            if self._role == "Olympus" and has_arrived and number != self._changing:
                return None  # nobody has a say in a reconfiguration before it begins
            if self._role == "Replica" and has_arrived:
                (author, _) = self._container.process.author_of(name, piece.manifest)
            else:
                author = self._author(has_arrived, number, piece.manifest.signer)
            whole = self._assemblers.setdefault((has_arrived, number), Assembler()).add(piece, author, "somebody")
            if whole is None:
                return None
            payload = whole
        if self._role == "Olympus" and not has_arrived and name == "wedge_request":
            self._changing = decode(Signed[WedgeRequest], payload).statement.configuration
        return self._translator.translated(name, number, payload)

    def _author(self, has_arrived: bool, number: int, signer: int) -> Author:
        if self._role == "Olympus" and not has_arrived:
            return self._olympus
        view = self._translator.views.get(number)
        if view is None:
            raise WrongConfiguration(f"nobody has heard of configuration {number}")
        return view.replica_author(signer)


def drawn(seed: int, base: str | None = None) -> Scenario:
    """The scenario that a seed stands for, without a limit of the state's size: the specification knows none."""
    lines = [line for line in text_of(seed, base).splitlines() if not line.startswith("state_limit")]
    return parse_scenario("\n".join(lines) + "\n", f"seed {seed}")[0]

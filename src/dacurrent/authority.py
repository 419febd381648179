"""Commands are taken only from whom they may come, and only in their form.

Every connection has proved the cookie, and over it speaks nobody but the processes of the transport that made it (see
`origins`).  But all processes of a run have the cookie, also one that lies; so a command needs more than that.

- A node makes itself a secret when it starts, its *family's*: it and the processes that are forked from it have it.
- Of that come *tickets*: for another node, a code of its name under the family's secret; for a process, a code of its
  uid under the ticket for its node.  So each node and process learns its own ticket and nobody else's.
- A node that was started to wait for work (`-D`) works for one family: the first that has it make a process.  Any other
  node makes processes for its own family alone.

| command | taken from |
|---|---|
| Setup, Start, End, Config | the process's parent or its node, with the ticket for this process |
| New | with the ticket for this node: its own family, or the one that it works for; of both at most LIVING_LIMIT processes at once |
| NodeLeave | with that ticket from the node that this one works for; any other is taken as a hint to look whether it is there |
| Resolve | this node's own family |
| NodeJoin, NodePing | nodes |
| acknowledgements and replies | whoever was told the sequence number, which is drawn at random for each command |
| Message | anybody, for itself: programs that must not trust each other sign what others are to believe too |
"""

from __future__ import annotations

import functools
import hashlib
import hmac
import logging
import secrets
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from da import common

from dacurrent.limited import PROVOKED, LimitedLog
from dacurrent.stock import Stock

if TYPE_CHECKING:
    from da.common import ProcessId

NEW_LIMIT = 1_000
PROPERTY_LIMIT = 20
LIVING_LIMIT = 1_000
METHODS = ("process", "thread")
SECRET_BYTES = 32
TICKET_BYTES = 16
SEQUENCE_BITS = 62

_log = LimitedLog(logging.getLogger("da.sim.commands"), allowance=PROVOKED)


class CommandRefused(Exception):
    """A command that is not taken; the text says why."""


class _Authority:
    """What this OS process has of its own family, and of the one that its node works for."""

    def __init__(self) -> None:
        self.family = secrets.token_bytes(SECRET_BYTES)
        self.employer: tuple[str, str] | None = None  # (host, name) of the node that this one works for
        self.employers_ticket: bytes | None = None


_authority = _Authority()


def hand_on() -> _Authority:
    """What a child process needs of this one's authority; a forked one has it anyway."""
    return _authority


def take_over(authority: _Authority) -> None:
    global _authority
    _authority = authority


def _code(key: bytes, text: str) -> bytes:
    return hashlib.blake2b(text.encode(), key=key, digest_size=TICKET_BYTES).digest()


def _node_ticket(pid: ProcessId) -> bytes:
    return _code(_authority.family, f"node {pid.hostname} {pid.nodename}")


def _process_ticket(node_ticket: bytes, pid: ProcessId) -> bytes:
    return _code(node_ticket, f"process {pid.uid}")


def ticket_for(command: str, destination: ProcessId) -> bytes | None:
    """The ticket that goes with a command of this name to `destination`; None where it needs none."""
    if command in _FOR_PROCESSES:
        return _process_ticket(_node_ticket(destination), destination)
    return _node_ticket(destination) if command in _FOR_NODES else None


def demand_ticket(command: str, source: ProcessId, destination: ProcessId, ticket: object) -> None:
    """Raises CommandRefused unless whoever sent the command may; may make this node work for the sender's family.

    The command is one of those that need a ticket; `destination` is a process of this OS process.
    """
    own, theirs = _node_ticket(common.pid_of_node()), _authority.employers_ticket
    if command in _FOR_PROCESSES:
        accepted = [_process_ticket(each, destination) for each in (own, theirs) if each is not None]
        if not _is_one_of(ticket, accepted):
            raise CommandRefused("it does not come from this process's parent or node")
    elif command == "Resolve":
        if not _is_one_of(ticket, [own]):
            raise CommandRefused("it does not come from a process of this node")
    elif command == "New" and not _is_one_of(ticket, [own]):
        if not common.get_runtime_option("idle"):
            raise CommandRefused("this node has a program of its own; only one that was started with -D works for others")
        if theirs is None and type(ticket) is bytes and len(ticket) == TICKET_BYTES:
            _authority.employer, _authority.employers_ticket = (source.hostname, source.nodename), ticket
        elif not is_employer(source, ticket):
            raise CommandRefused("this node works for {1} at {0}".format(*_authority.employer or ("?", "nobody")))


def is_employer(source: ProcessId, ticket: object) -> bool:
    """Whether a process is of the family that this node works for."""
    theirs = _authority.employers_ticket
    is_theirs = theirs is not None and _is_one_of(ticket, [theirs])
    return is_theirs and (source.hostname, source.nodename) == _authority.employer


def employer() -> tuple[str, str] | None:
    """(host, name) of the node that this one works for, or None."""
    return _authority.employer


def _is_one_of(ticket: object, accepted: list[bytes]) -> bool:
    return type(ticket) is bytes and any(hmac.compare_digest(ticket, each) for each in accepted)


_FOR_PROCESSES = frozenset(("Setup", "Start", "End", "Config"))
_FOR_NODES = frozenset(("New", "NodeLeave", "Resolve"))
TICKETED = _FOR_PROCESSES | _FOR_NODES - {"NodeLeave"}


def cure_sim(sim: Stock) -> None:
    """Put a check before each command of `da.sim`'s processes and nodes."""

    def not_here(_process: Any, _source: ProcessId, _arguments: Any) -> None:
        raise CommandRefused("nothing here takes it")

    def from_parent(process: Any, source: ProcessId, _arguments: Any) -> None:
        if source not in (process._DistProcess__parent, process._DistProcess__procimpl._nodeid):
            raise CommandRefused("it comes from neither the parent nor the node")

    def from_own_node(process: Any, source: ProcessId, _arguments: Any) -> None:
        if source.hostname != process._id.hostname or source.nodename != process._id.nodename:
            raise CommandRefused("it comes from another node")

    def from_node(_process: Any, source: ProcessId, _arguments: Any) -> None:
        if not source.nodename or source.name != source.nodename:
            raise CommandRefused("it does not come from a node")

    def is_setup(_process: Any, _source: ProcessId, arguments: Any) -> None:
        seqno, values = arguments
        _require(type(seqno) is int and isinstance(values, (tuple, list)), "(sequence number, arguments)")

    def is_number(_process: Any, _source: ProcessId, arguments: Any) -> None:
        _require(type(arguments) is int, "a number")

    def is_new(process: Any, _source: ProcessId, arguments: Any) -> None:
        if not process._DistProcess__procimpl.is_node():
            raise CommandRefused("only a node makes processes for others")
        cls, names, method, is_daemon, seqno, properties = arguments
        _require(isinstance(cls, type) and issubclass(cls, sim.DistProcess), "a process class")
        _require(sim.common.modules.get(cls.__module__) is not None, "a process class of a loaded module")
        _require(type(names) in (range, list, tuple, set, frozenset) and len(names) <= NEW_LIMIT, "names or a number")
        _require(method in METHODS and type(is_daemon) is bool and type(seqno) is int, "a way to run it")
        _require(type(properties) is dict and len(properties) <= PROPERTY_LIMIT, "properties")
        _require(all(type(name) is str for name in properties), "properties with names")

    def is_resolve(_process: Any, _source: ProcessId, arguments: Any) -> None:
        full_name, host, port, seqno = arguments
        _require(type(full_name) is tuple and len(full_name) == 2, "a name")
        _require(all(type(part) is str for part in full_name) and type(seqno) is int, "a name")
        _require(type(host) in (str, type(None)) and type(port) in (int, type(None)), "an address")

    def is_join(_process: Any, _source: ProcessId, arguments: Any) -> None:
        _names, seqno = arguments
        _require(type(seqno) is int, "(names, sequence number)")

    def is_reply(_process: Any, _source: ProcessId, arguments: Any) -> None:
        seqno, _result = arguments
        _require(type(seqno) is int, "(sequence number, result)")

    checks = {
        "Setup": (from_parent, is_setup),
        "Start": (from_parent, is_number),
        "End": (from_parent, is_number),
        "Config": (from_parent,),
        "New": (is_new,),
        "Resolve": (from_own_node, is_resolve),
        "NodeJoin": (from_node, is_join),
        "NodeLeave": (from_node,),
        "NodePing": (from_node,),
    }
    for name in {ack.name for ack in sim.NodeProcess.AckCommands}:
        checks[name] = (is_reply,)

    _draw_sequence_numbers(sim)
    _hand_on_to_children(sim)
    stock = sim.DistProcess._init_dispatch_table
    # Asked of the enumeration once: it takes its time, and each process has such a table.
    size, message = sim.Command.Sentinel.value, sim.Command.Message.value
    commands = {command.value: (command.name, command) for command in sim.Command if command.value not in (size, message)}

    @functools.wraps(stock)
    def _init_dispatch_table(self: Any) -> None:
        def command_of(number: int) -> Callable[[ProcessId, Any], object]:
            name, command = commands[number]
            stock_command = getattr(self, f"_cmd_{name}", None)
            if command in self.AckCommands:
                stock_command = functools.partial(self._DistProcess__cmd_handle_Ack, cmdtype=number)
            wanted = checks.get(name) if stock_command is not None else None
            return _checked(sim, self, name, stock_command, wanted or (not_here,))

        table = self._DistProcess__command_dispatch_table = _Commands(command_of)
        table[message] = self._cmd_Message  # what a message is, `envelopes` sees to
        self._DistProcess__async_events = [{} for _ in range(size)]

    sim.DistProcess._init_dispatch_table = sim.internal(_init_dispatch_table)


class _Commands(dict[int, Callable[..., object]]):
    """What a process does at each command, by its number: made when the first such comes, for most never come."""

    def __init__(self, command_of: Callable[[int], Callable[..., object]]) -> None:
        super().__init__()
        self._command_of = command_of

    def __missing__(self, number: int) -> Callable[..., object]:
        self[number] = command = self._command_of(number)
        return command


def _require(condition: bool, form: str) -> None:
    if not condition:
        raise CommandRefused(f"it is malformed: not {form}")


def _checked(
    sim: Stock,
    process: Any,
    name: str,
    command: Any,  # a method of the process, or None where it has none
    wanted: tuple[Callable[..., None], ...],
) -> Callable[[ProcessId, Any], object]:
    def call(source: ProcessId, arguments: Any) -> object:
        try:
            for check in wanted:
                check(process, source, arguments)
        except (CommandRefused, TypeError, ValueError) as why:
            _log.log(logging.WARNING, name, "%s: command %s from %s is ignored: %s", process._id, name, source, why)
            if name == "New" and type(arguments) is tuple and len(arguments) == 6:
                # Whoever asked with good reason, and too much, waits for an answer.
                number = arguments[4]
                process._send1(sim.Command.RPCReply, (number, str(why)), to=source, flags=sim.ChannelCaps.RELIABLEFIFO)
            return None
        try:
            return command(source, arguments)
        except Exception as error:
            _log.log(logging.ERROR, (name, type(error)), "%s: %s from %s failed: %.1000r", process._id, name, source, error)
            return None

    return call


def _draw_sequence_numbers(sim: Stock) -> None:
    """A number that nobody can guess says that an answer comes from somebody who was asked."""
    stock = sim.DistProcess._create_cmd_seqno

    def _create_cmd_seqno(self: Any) -> Any:
        if not isinstance(self._DistProcess__procimpl, sim.ProcessContainer):
            return stock(self)  # what is simulated stays the same each time
        if common.get_runtime_option("record_trace") or common.get_runtime_option("replay_traces"):
            return stock(self)  # a trace is replayed with the numbers that it was recorded with
        return secrets.randbits(SEQUENCE_BITS)

    sim.DistProcess._create_cmd_seqno = sim.internal(_create_cmd_seqno)


def _hand_on_to_children(sim: Stock) -> None:
    """A child that is spawned, and not forked, gets its node's authority with its container."""
    stock_init, stock_run = sim.OSProcessContainer.__init__, sim.OSProcessContainer._init_for_spawn

    def __init__(self: Any, *arguments: Any, **rest: Any) -> None:
        stock_init(self, *arguments, **rest)
        self.authority = hand_on() if sim._is_spawning_semantics() else None

    def _init_for_spawn(self: Any) -> None:
        take_over(self.authority)
        stock_run(self)

    sim.OSProcessContainer.__init__ = __init__
    sim.OSProcessContainer._init_for_spawn = _init_for_spawn

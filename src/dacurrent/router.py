"""The router of an OS process, in place of `da.sim.Router`.

Messages go from the network thread straight into the queue of their process.  The router's own thread does what may
take long: what routers of nodes say to each other, and what names that became known set off.
"""

from __future__ import annotations

import copy
import functools
import logging
import multiprocessing
import queue
import socket
import threading
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from da import common, sim
from da.common import ProcessId
from da.transport import base

from dacurrent import authority, codec, envelopes, forks, membership, origins
from dacurrent.limited import PROVOKED, LimitedLog
from dacurrent.logs import ENDED_LOGS
from dacurrent.stock import Stock

if TYPE_CHECKING:
    from da.transport.manager import TransportManager

    from dacurrent.origins import Origin
    from dacurrent.sockets import Address

EARLY_LIMIT = 10_000
HEAVY_BYTES = 64 * 1024  # what is larger may take a while to decode
UNREACHABLE_LIMIT = 1_000
# Of what waits for the router's thread, which may have to wait for somebody that is silent.
JOB_LIMIT = 1_000
JOB_LIMIT_BYTES = 16 * 1024 * 1024
REJOIN_PAUSE_S = 1.0
REJOIN_LIMIT_S = 3_600.0

Command, RouterCommands = sim.Command, sim.RouterCommands
MESSAGE = Command.Message
RELIABLE, BROADCAST = base.ChannelCaps.RELIABLEFIFO, base.ChannelCaps.BROADCAST

_PAIRED = (RouterCommands.HELLO, RouterCommands.ACK)  # their arguments are (number, something)

# Of processes that have ended: a program that lets some end, or end others, may not want to hear of it.
_ended_log = logging.getLogger(ENDED_LOGS[0])

_stock_router = sim.Router


class Router(_stock_router):
    """Decodes and delivers what arrives, encodes and sends what leaves; nothing that arrives ends one of its threads."""

    def __init__(self, transport_manager: TransportManager) -> None:
        super().__init__(transport_manager)
        self.name = "da-router"
        self.nodes = membership.NodeSet()
        self._told = LimitedLog(self.log, allowance=PROVOKED)
        self._early: (
            list[tuple[ProcessId, ProcessId, tuple[Any, Any]]] | None
        ) = []  # messages that came before the first process was registered
        self._jobs: queue.SimpleQueue[Callable[[], object] | None] = queue.SimpleQueue()
        # Messages and bytes that were put there, which only the network thread counts, and that were taken, which only the router's does.
        self._put, self._put_bytes, self._taken, self._taken_bytes = 0, 0, 0, 0
        self._unreachable: set[ProcessId] = set()  # processes of which that was told
        self._start_lock = threading.Lock()
        self._greeting = membership.Greeting()
        self._join_lock = threading.Lock()
        for transport in transport_manager.transports:
            transport.mesgloop.call(self._take_over, transport)

    def _take_over(self, transport: Any) -> None:
        """On the network thread: from now on what arrives comes here, and not into the manager's queue."""
        arrived = transport.queue
        transport.queue = self
        transport.on_peer_lost = lambda address: self._jobs.put(functools.partial(self._peer_lost, address))
        while len(arrived):
            self.append(arrived.pop(block=False))

    # -- the thread

    def start(self) -> None:
        """Start the thread, unless it runs: bootstrapping needs it before the node's process does."""
        with self._start_lock:
            if not self.running:
                self.running = True
                super().start()

    def run(self) -> None:
        while True:
            job = self._jobs.get()
            if job is None:
                return
            try:
                job()
            except Exception as error:
                self._told.log(logging.ERROR, "job", "Router: %.500r", error, exc_info=len(str(error)) < 500)

    def stop(self) -> None:
        super().stop()
        self._jobs.put(None)

    # -- local processes

    def register_local_process(self, pid: ProcessId, parent: ProcessId | None = None) -> None:
        super().register_local_process(pid, parent)
        self._deliver_early()
        self._let_see_to_sockets(self.local_procs[pid])

    def _record_local_process(self, pid: ProcessId, parent: ProcessId | None = None) -> None:
        super()._record_local_process(pid, parent)
        self._deliver_early()

    def _let_see_to_sockets(self, inbox: Any) -> None:
        """A process that has an OS process of its own sees to its sockets while it waits; of several none does."""
        [transport] = self.transport_manager.transports
        is_alone = len(self.local_procs) == 1 and multiprocessing.parent_process() is not None
        if is_alone:
            inbox.see_to_sockets(transport.mesgloop)
            transport.links.gather(threading.get_ident(), inbox)
        else:
            transport.links.gather(None)
            for each in self.local_procs.values():
                each.see_to_sockets(None)

    def _deliver_early(self) -> None:
        with self.lock:
            early, self._early = self._early or [], None
            for source, destination, message in early:
                self._deliver(source, destination, message)

    def _deliver(self, source: ProcessId, destination: ProcessId, message: tuple[Any, Any]) -> None:
        inbox = self.local_procs.get(destination)
        if inbox is not None:
            inbox.append((source, message))

    def __len__(self) -> int:
        """How many messages wait for the processes here."""
        return sum(map(len, list(self.local_procs.values()))) + len(self._early or ())

    # -- what arrives, on the network thread

    def append(self, item: tuple[object, bytes, Origin]) -> None:
        """Take one message from a transport: (transport, bytes, Origin of the connection that it came over)."""
        _transport, data, origin = item
        try:
            decode = envelopes.decode if len(data) < HEAVY_BYTES else _decode_apart
            source, destination, message, named, ticket = decode(data)
        except codec.CodecError as error:
            self._told.log(logging.WARNING, "malformed", "A message from %s:%d is dropped: %s", *origin.address, error)
            return
        if source is not origin.last and not origin.speaks_for(source):
            self._refuse_claim(origin, source)
            return
        command, arguments = message
        if destination is None:
            self._obey_later(functools.partial(self._obey, command, source, arguments, named), len(data))
            return
        if command is not MESSAGE and not self._may(command, source, destination, arguments, ticket):
            return
        if named:
            self._know(named)
        if self._early is not None:
            with self.lock:
                if self._early is not None:
                    if len(self._early) < EARLY_LIMIT:
                        self._early.append((source, destination, message))
                    return
        self._deliver(source, destination, message)

    def _obey_later(self, job: Callable[[], object], size: int) -> None:
        """Let the router's thread do what somebody asks for by so many bytes, unless too much waits for it."""
        if self._put - self._taken >= JOB_LIMIT or self._put_bytes - self._taken_bytes + size > JOB_LIMIT_BYTES:
            self._told.log(logging.WARNING, "jobs", "A message to the router is dropped: too many wait for it")
            return
        self._put += 1
        self._put_bytes += size
        self._jobs.put(functools.partial(self._obey_now, job, size))

    def _obey_now(self, job: Callable[[], object], size: int) -> None:
        try:
            job()
        finally:
            self._taken += 1
            self._taken_bytes += size

    def _refuse_claim(self, origin: Origin, source: ProcessId) -> None:
        if not origin.has_lied:
            origin.has_lied = True
            text = "What %s:%d sends in the name of %s is dropped: that is none of the processes there"
            self._told.log(logging.WARNING, "claimed", text, *origin.address, source)

    def _may(self, command: Any, source: ProcessId, destination: ProcessId, arguments: Any, ticket: bytes | None) -> bool:
        """Whether the command is taken from there; who waits for an answer is told if it is not."""
        if command is Command.NodeLeave and not authority.is_employer(source, ticket):
            self._obey_later(functools.partial(self._peer_lost, (source.hostname, source.transports[0])), 0)
            return False
        if command.name not in authority.TICKETED:
            return command is not Command.Sentinel  # it stands for the number of commands
        try:
            authority.demand_ticket(command.name, source, destination, ticket)
            return True
        except authority.CommandRefused as why:
            text = "command %s from %s is ignored: %s"
            self._told.log(logging.WARNING, ("refused", command), text, command.name, source, why)
            if command is Command.New and type(arguments) is tuple and len(arguments) == 6 and _is_number(arguments[4]):
                self._obey_later(functools.partial(self._refuse, destination, source, arguments[4], str(why)), 0)
            return False

    def _refuse(self, asked: ProcessId, source: ProcessId, number: int, why: str) -> None:
        self._dispatch(asked, source, (Command.RPCReply, (number, why)), {"is_answer": True}, flags=RELIABLE)

    def _know(self, named: Iterable[ProcessId]) -> None:
        for pid in named:
            for callback in membership.learn(pid):
                self._jobs.put(functools.partial(callback, pid))

    # -- what leaves, on the sender's thread

    def _dispatch(self, src: ProcessId, dest: ProcessId | None, payload: Any, params: dict[str, Any] | None = None, flags: int = 0) -> bool:
        inbox = None if dest is None else self.local_procs.get(dest)
        if inbox is not None:
            if not flags & BROADCAST:
                # A process that sends to another in the same OS process must not share what it sent.
                inbox.append((src, copy.deepcopy(payload) if src in self.local_procs else payload))
            return True
        if dest is None:
            return False
        try:
            self._send_remote(src, dest, payload, flags, **(params or {}))
            return True
        except (sim.CircularRoutingException, base.InvalidTransportStateException) as error:
            self.log.debug("A message to %s is not sent: %s", dest, error)
        except (codec.CodecError, base.PacketSizeExceededException):
            raise  # the program's own mistake: it would wait for an answer that cannot come
        except base.AuthenticationException as error:
            self._told.log(logging.ERROR, dest, "A message to %s is not sent: %s", dest, error)
        except base.TransportException as error:
            self._tell_unreachable(dest, flags, error)
        return False

    def _tell_unreachable(self, dest: ProcessId, flags: int, error: Exception) -> None:
        """That processes end is part of programs' lives: told once, and only where the program asked for reliability."""
        is_news = flags & base.ChannelCaps.RELIABLE and dest not in self._unreachable
        if is_news and len(self._unreachable) < UNREACHABLE_LIMIT:
            self._unreachable.add(dest)
        _ended_log.log(logging.WARNING if is_news else logging.DEBUG, "A message to %s is not sent: %s", dest, error)

    def _send_remote(
        self,
        src: ProcessId,
        dest: ProcessId,
        mesg: tuple[Any, Any],
        flags: int = 0,
        transport: Any = None,
        **params: Any,
    ) -> None:
        transport = transport or self.transport_manager.transports[0]  # there is no other
        hostname, [port] = dest.hostname, dest.transports
        if port == transport.port and hostname == self.hostname:
            raise sim.CircularRoutingException(f"{dest} has ended")
        command = mesg[0]
        ticket = None if command is MESSAGE else authority.ticket_for(command.name, dest)
        data = envelopes.encode(src, None if flags & BROADCAST else dest, mesg, ticket)
        transport.send(data, None if port is None else (hostname, port), **params)

    # -- between the routers of nodes, on the router's thread

    def _obey(self, command: Any, source: ProcessId, arguments: Any, named: Iterable[ProcessId]) -> None:
        """Do what another router asks for, if it is well-formed."""
        if not membership.is_node(source) and command is not RouterCommands.PING:
            self._told.log(logging.WARNING, "router", "%s from %s is ignored: it is no node", command, source)
        elif command in _PAIRED and not (type(arguments) is tuple and len(arguments) == 2 and type(arguments[0]) is int):
            self._told.log(logging.WARNING, "router", "%s from %s is ignored: it is malformed", command, source)
        elif command is RouterCommands.HELLO:
            self._be_greeted(source, arguments, named)
        elif command is RouterCommands.ACK:
            self._greeting.answer(source, arguments, lambda: self._know(named))
        elif command is RouterCommands.PING:
            self._know(named)
            if membership.is_node(source):
                self.nodes.add(source)
        elif command is RouterCommands.BYE:
            self._peer_lost((source.hostname, source.transports[0]))

    def _be_greeted(self, source: ProcessId, arguments: Any, named: Iterable[ProcessId]) -> None:
        nonce, _names = arguments
        other = ProcessId.lookup((source.name, source.nodename))
        if other is not None and other != source and (other == common.pid_of_node() or self._is_alive(other)):
            answer: tuple[int, Any] = (nonce, f"another node is called {source.name} there")
        else:
            if other is not None and other != source:
                self.forget(other)
            self._know(named)
            answer = (nonce, (tuple(self.nodes), tuple(ProcessId.all_named_ids())))
            self.nodes.add(source)
        self._tell(source, RouterCommands.ACK, answer, is_answer=True)

    def _tell(self, node: ProcessId, command: Any, arguments: Any, is_answer: bool = False) -> bool:
        flags = RELIABLE | BROADCAST
        return self._dispatch(common.pid_of_node(), node, (command, arguments), {"is_answer": is_answer}, flags=flags)

    def _is_alive(self, node: ProcessId) -> bool:
        """Whether it answers now, and no other at its address; on the router's thread, which may wait for that."""
        try:
            found = self.transport_manager.transports[0].links.probe((node.hostname, node.transports[0]))
            return bool(found == origins.fingerprint_in(node.uid))
        except base.TransportException:
            return False

    def forget(self, node: ProcessId) -> None:
        """A node has left, or does not answer any more."""
        self.nodes.discard(node)
        membership.forget(node)

    def _peer_lost(self, address: tuple[str, int | None]) -> None:
        """On the router's thread: a process that sent to this one has ended, or its host is silent."""
        for node in self.nodes:
            is_other = node != common.pid_of_node() and (node.hostname, node.transports[0]) == address
            if is_other and not self._is_alive(node):
                self.log.info("%s does not answer any more.", node)
                self.forget(node)
                for pid, inbox in list(self.local_procs.items()):
                    if membership.is_node(pid):
                        inbox.append((node, (Command.NodeLeave, node)))

    # -- joining other nodes

    def bootstrap_node(self, hostname: str, port: int, timeout: float | None = None) -> None:
        """Join the nodes that the node at `hostname`:`port` knows.

        Raises BootstrapException at once if that is this node itself, or a node of the same name: then this is
        another run.  If nobody answers there, it is tried again in the background.
        """
        self.start()
        address = (socket.gethostbyname(hostname), port)
        own = (socket.gethostbyname(self.hostname), self.transport_manager.transport_addresses[0])
        if address == own:
            raise sim.BootstrapException(f"{hostname}:{port} is this node itself")
        try:
            self._join(address, timeout)
        except base.AuthenticationException as error:
            raise sim.BootstrapException(str(error)) from error
        except base.TransportException as error:
            rejoin = threading.Thread(target=self._rejoin, args=(address,), name="da-rejoin", daemon=True)
            rejoin.start()
            raise sim.BootstrapException(f"{error} (it will be tried again)") from error

    def _join(self, address: Address, timeout: float | None) -> None:
        node = common.pid_of_node()
        transport = self.transport_manager.transports[0]
        with self._join_lock:
            nonce = self._greeting.begin()
            hello = (RouterCommands.HELLO, (nonce, tuple(ProcessId.all_named_ids())))
            transport.links.connect(address)
            transport.send(codec.encode((node, None, hello)), address)
            peer, nodes = self._greeting.wait(timeout)
        self.bootstrap_peer = peer
        self.nodes.update(each for each in (peer, *nodes) if each != node)
        # The peer was told by HELLO; the others know nothing of this node yet.
        for other in self.nodes:
            if other != peer:
                self._tell(other, RouterCommands.PING, tuple(ProcessId.all_named_ids()))
        self.log.info("Joined %s.", ", ".join(map(str, self.nodes)))

    def _rejoin(self, address: Address) -> None:
        deadline_s = time.monotonic() + REJOIN_LIMIT_S
        while self.running and time.monotonic() < deadline_s:
            time.sleep(REJOIN_PAUSE_S)
            try:
                self._join(address, REJOIN_PAUSE_S * 5)
                return
            except (base.AuthenticationException, sim.BootstrapException) as error:
                self.log.warning("This node stays alone: %s", error)
                return
            except base.TransportException:
                continue
        if self.running:
            self.log.error("No node has answered at %s:%d for %g s; giving up.", *address, REJOIN_LIMIT_S)


def _is_number(value: object) -> bool:
    """Whether it may be that of a command, which its answer repeats."""
    return type(value) is int and value.bit_length() <= authority.SEQUENCE_BITS


def _decode_apart(data: bytes) -> envelopes.Envelope:
    with forks.let_go():  # nothing here is in the middle of anything that a fork could disturb
        return envelopes.decode(data)


def cure_sim(module: Stock) -> None:
    """Replace `da.sim.Router`, and let nodes know each other through it."""
    module.Router = Router
    membership.cure_nodes(module)

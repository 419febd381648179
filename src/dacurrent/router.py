"""The router of an OS process, in place of `da.sim.Router`.

Messages go from the network thread straight into the queue of their process.  The router's own thread does what may
take long: what routers of nodes say to each other, and what names that became known set off.
"""

import copy
import functools
import logging
import multiprocessing
import queue
import socket
import threading
import time

from da import common, sim
from da.transport import base

from dacurrent import authority, codec, envelopes, forks, membership
from dacurrent.limited import LimitedLog

EARLY_LIMIT = 10_000
HEAVY_BYTES = 64 * 1024  # what is larger may take a while to decode
UNREACHABLE_LIMIT = 1_000
REJOIN_PAUSE_S = 1.0
REJOIN_LIMIT_S = 3_600.0

Command, RouterCommands, ProcessId = sim.Command, sim.RouterCommands, sim.ProcessId
MESSAGE = Command.Message
RELIABLE, BROADCAST = base.ChannelCaps.RELIABLEFIFO, base.ChannelCaps.BROADCAST

_PAIRED = (RouterCommands.HELLO, RouterCommands.ACK)  # their arguments are (number, something)

_stock_router = sim.Router


class Router(_stock_router):
    """Decodes and delivers what arrives, encodes and sends what leaves; nothing that arrives ends one of its threads."""

    def __init__(self, transport_manager):
        super().__init__(transport_manager)
        self.name = "da-router"
        self.nodes = membership.NodeSet()
        self._told = LimitedLog(self.log)
        self._early = []  # messages that came before the first process was registered
        self._jobs = queue.SimpleQueue()
        self._unreachable = set()  # processes of which that was told
        self._start_lock = threading.Lock()
        self._greeting = membership.Greeting()
        self._join_lock = threading.Lock()
        for transport in transport_manager.transports:
            transport.mesgloop.call(self._take_over, transport)

    def _take_over(self, transport):
        """On the network thread: from now on what arrives comes here, and not into the manager's queue."""
        arrived = transport.queue
        transport.queue = self
        transport.on_peer_lost = lambda address: self._jobs.put(functools.partial(self._peer_lost, address))
        while len(arrived):
            self.append(arrived.pop(block=False))

    # -- the thread

    def start(self):
        """Start the thread, unless it runs: bootstrapping needs it before the node's process does."""
        with self._start_lock:
            if not self.running:
                self.running = True
                super().start()

    def run(self):
        while True:
            job = self._jobs.get()
            if job is None:
                return
            try:
                job()
            except Exception as error:  # noqa: BLE001 - whatever a peer's command causes
                self._told.log(logging.ERROR, "job", "Router: %.500r", error, exc_info=len(str(error)) < 500)

    def stop(self):
        super().stop()
        self._jobs.put(None)

    # -- local processes

    def register_local_process(self, pid, parent=None):
        super().register_local_process(pid, parent)
        self._deliver_early()
        self._let_see_to_sockets(self.local_procs[pid])

    def _record_local_process(self, pid, parent=None):
        super()._record_local_process(pid, parent)
        self._deliver_early()

    def _let_see_to_sockets(self, inbox):
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

    def _deliver_early(self):
        with self.lock:
            early, self._early = self._early or (), None
            for source, destination, message in early:
                self._deliver(source, destination, message)

    def _deliver(self, source, destination, message):
        inbox = self.local_procs.get(destination)
        if inbox is not None:
            inbox.append((source, message))

    def __len__(self):
        """How many messages wait for the processes here."""
        return sum(map(len, list(self.local_procs.values()))) + len(self._early or ())

    # -- what arrives, on the network thread

    def append(self, item):
        """Take one message from a transport: (transport, bytes, address of the sender)."""
        _transport, data, address = item
        try:
            decode = envelopes.decode if len(data) < HEAVY_BYTES else _decode_apart
            source, destination, message, named, ticket = decode(data)
        except codec.CodecError as error:
            self._told.log(logging.WARNING, "malformed", "A message from %s:%d is dropped: %s", *address, error)
            return
        command, arguments = message
        if destination is None:
            self._jobs.put(functools.partial(self._obey, command, source, arguments, named))
            return
        if command is not MESSAGE and source in self.local_procs:
            text = "%s from %s:%d is dropped: it claims to be from a process of this very one"
            self._told.log(logging.WARNING, "forged", text, command, *address)
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

    def _may(self, command, source, destination, arguments, ticket):
        """Whether the command is taken from there; who waits for an answer is told if it is not."""
        if command is Command.NodeLeave and not authority.is_employer(source, ticket):
            self._jobs.put(functools.partial(self._peer_lost, (source.hostname, source.transports[0])))
            return False
        if command.name not in authority.TICKETED:
            return command is not Command.Sentinel  # it stands for the number of commands
        try:
            authority.demand_ticket(command.name, source, destination, ticket)
            return True
        except authority.Refused as why:
            text = "command %s from %s is ignored: %s"
            self._told.log(logging.WARNING, ("refused", command), text, command.name, source, why)
            if command is Command.New:
                self._jobs.put(functools.partial(self._refuse, source, arguments, str(why)))
            return False

    def _refuse(self, source, arguments, why):
        if type(arguments) is tuple and len(arguments) == 6:
            answer = (arguments[4], why)
            self._dispatch(common.pid_of_node(), source, (Command.RPCReply, answer), flags=RELIABLE)

    def _know(self, named):
        for pid in named:
            for callback in membership.learn(pid):
                self._jobs.put(functools.partial(callback, pid))

    # -- what leaves, on the sender's thread

    def _dispatch(self, src, dest, payload, params=None, flags=0):
        inbox = self.local_procs.get(dest)
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

    def _tell_unreachable(self, dest, flags, error):
        """That processes end is part of programs' lives: told once, and only where the program asked for reliability."""
        is_news = flags & base.ChannelCaps.RELIABLE and dest not in self._unreachable
        if is_news and len(self._unreachable) < UNREACHABLE_LIMIT:
            self._unreachable.add(dest)
        self.log.log(logging.WARNING if is_news else logging.DEBUG, "A message to %s is not sent: %s", dest, error)

    def _send_remote(self, src, dest, mesg, flags=0, transport=None, **params):
        transport = transport or self.transport_manager.transports[0]  # there is no other
        hostname, [port] = dest.hostname, dest.transports
        if port == transport.port and hostname == self.hostname:
            raise sim.CircularRoutingException(f"{dest} has ended")
        command = mesg[0]
        ticket = None if command is MESSAGE else authority.ticket_for(command.name, dest)
        data = envelopes.encode(src, None if flags & BROADCAST else dest, mesg, ticket)
        transport.send(data, None if port is None else (hostname, port), **params)

    # -- between the routers of nodes, on the router's thread

    def _obey(self, command, source, arguments, named):
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

    def _be_greeted(self, source, arguments, named):
        nonce, _names = arguments
        other = ProcessId.lookup((source.name, source.nodename))
        if other is not None and other != source and (other == common.pid_of_node() or self._is_alive(other)):
            answer = (nonce, f"another node is called {source.name} there")
        else:
            if other is not None and other != source:
                self.forget(other)
            self._know(named)
            answer = (nonce, (tuple(self.nodes), tuple(ProcessId.all_named_ids())))
            self.nodes.add(source)
        self._tell(source, RouterCommands.ACK, answer)

    def _tell(self, node, command, arguments):
        flags = RELIABLE | BROADCAST
        return self._dispatch(common.pid_of_node(), node, (command, arguments), flags=flags)

    def _is_alive(self, node):
        """Whether it answers now; on the router's thread, which may wait for that."""
        try:
            self.transport_manager.transports[0].links.probe((node.hostname, node.transports[0]))
            return True
        except base.TransportException:
            return False

    def forget(self, node):
        """A node has left, or does not answer any more."""
        self.nodes.discard(node)
        membership.forget(node)

    def _peer_lost(self, address):
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

    def bootstrap_node(self, hostname, port, timeout=None):
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

    def _join(self, address, timeout):
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

    def _rejoin(self, address):
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


def _decode_apart(data):
    with forks.let_go():  # nothing here is in the middle of anything that a fork could disturb
        return envelopes.decode(data)


def cure_sim(module):
    """Replace `da.sim.Router`, and let nodes know each other through it."""
    module.Router = Router
    membership.cure_nodes(module)

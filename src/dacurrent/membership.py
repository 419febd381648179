"""Which processes and nodes are known, and by which names."""

import logging
import queue
import secrets
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from da import common, sim
from da.common import ProcessId
from da.transport import base

from dacurrent import authority, lifetime
from dacurrent.stock import Stock

NODE_LIMIT = 1_000
NAME_LIMIT = 10_000


_log = logging.getLogger("da.sim.nodes")


class NodeSet(set[ProcessId]):
    """The nodes that are known; one thread may go through them while another meets one."""

    def add(self, node: ProcessId) -> None:
        if len(self) < NODE_LIMIT:
            super().add(node)

    def __iter__(self) -> Iterator[ProcessId]:
        return iter(frozenset(self))


def is_node(pid: ProcessId) -> bool:
    return bool(pid.nodename) and pid.name == pid.nodename


def learn(pid: ProcessId) -> Sequence[Callable[[ProcessId], object]]:
    """Make the process `pid` known by its name; returns the callbacks that wait for the name.

    Of two processes of one name the younger is known, except that nobody takes this node's own name.
    """
    full_name = (pid.name, pid.nodename)
    known = ProcessId._named.get(full_name)
    if known == pid:
        return ()
    with ProcessId._lock:
        known = ProcessId._named.get(full_name)
        is_older = known is not None and (pid.uid <= known.uid or known == common.pid_of_node())
        if is_older or len(ProcessId._named) >= NAME_LIMIT:
            return ()
        ProcessId._named[full_name] = pid
        return ProcessId._callbacks.pop(full_name, ())


def forget(pid: ProcessId) -> None:
    """The process `pid` is not known by its name any more."""
    with ProcessId._lock:
        full_name = (pid.name, pid.nodename)
        if ProcessId._named.get(full_name) == pid:
            del ProcessId._named[full_name]


class Greeting:
    """The one HELLO of this node that waits for its answer."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._nonce: int | None = None
        self._answers: queue.SimpleQueue[tuple[ProcessId | None, Any]] = queue.SimpleQueue()

    def begin(self) -> int:
        """A number that the answer has to repeat."""
        with self._lock:
            nonce = self._nonce = secrets.randbits(62)
            self._answers = queue.SimpleQueue()
            return nonce

    def answer(self, source: ProcessId, arguments: Any, accept: Callable[[], None]) -> None:
        """Take the answer, if it is well-formed and waited for; then `accept()` is called."""
        nonce, content = arguments
        with self._lock:
            if self._nonce is None or nonce != self._nonce:
                return
            self._nonce = None
        if type(content) is tuple:
            nodes, _names = content
            nodes = [node for node in nodes[:NODE_LIMIT] if type(node) is ProcessId and is_node(node)]
            accept()
            self._answers.put((source, nodes))
        else:
            self._answers.put((None, f"{content!r:.200}"))

    def wait(self, limit_s: float | None) -> tuple[ProcessId, list[ProcessId]]:
        """The node that answered, and those it knows.

        Raises BootstrapException if it refuses, and TransportException if it is silent.
        """
        try:
            source, content = self._answers.get(timeout=limit_s)
        except queue.Empty:
            raise base.TransportException(f"no answer within {limit_s:g} s") from None
        if source is None:
            raise sim.BootstrapException(content)
        return source, content


def cure_nodes(module: Stock) -> None:
    """Nodes know each other through their routers; an idle node ends when the node that it worked for has left."""
    stock_init, stock_leave = module.NodeProcess.__init__, module.NodeProcess._cmd_NodeLeave
    stock_new = module.DistProcess._cmd_New

    def __init__(self: Any, procimpl: Any, forwarder: Any, **props: Any) -> None:
        stock_init(self, procimpl, forwarder, **props)
        self._nodes = self._router.nodes

    def bootstrap(self: Any) -> None:
        """The router has done it already."""

    def _cmd_New(self: Any, src: ProcessId, args: Any) -> None:
        _, names, _, _, seqno, _ = args
        living = lifetime.living()
        if living + len(names) > authority.LIVING_LIMIT:
            why = f"{living} processes live here, and {len(names)} more would be above {authority.LIVING_LIMIT}"
            _log.warning("%s asks for too many processes: %s", src, why)
            flags = module.ChannelCaps.RELIABLEFIFO
            self._send1(msgtype=module.Command.RPCReply, message=(seqno, why), to=src, flags=flags)
        else:
            stock_new(self, src, args)

    def _cmd_NodeLeave(self: Any, src: ProcessId, args: Any) -> None:
        stock_leave(self, src, args)
        self._router.forget(src)
        if common.get_runtime_option("idle") and (src.hostname, src.nodename) == authority.employer():
            lifetime.note_desertion()
            _log.info("%s has left, and this node with it.", src)
            self._nodes.clear()  # they leave as well, or have been told already
            self.exit(0)

    module.NodeProcess.__init__ = __init__
    for function in (bootstrap, _cmd_New, _cmd_NodeLeave):
        setattr(module.NodeProcess, function.__name__, module.internal(function))

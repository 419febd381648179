"""Cures of nodes: how they find each other, whom they obey, and how they end."""

import logging
import multiprocessing
import os
import secrets
import signal
import stat
import sys
import threading
from pathlib import Path
from types import ModuleType
from typing import Any

log = logging.getLogger("da.node")

COOKIE_BYTES = 32
MAX_COOKIE_CHARACTERS = 80  # as many as DistAlgo reads of the file

_exit_status = 0


# -- the cookie


def cure_api(api: ModuleType) -> None:
    """Patch `da.api`: the cookie, and the exit status of a node."""
    stock_load, stock_entrypoint = api._load_cookie, api.entrypoint

    def _load_cookie() -> bytes:
        if api.get_runtime_option("cookie") is None:
            ensure_cookie(Path("~/.da.cookie").expanduser())
        cookie: bytes | None = stock_load()
        if not cookie:
            api.die("no cookie: give all nodes the same one with --cookie")
        return cookie  # type: ignore[return-value]

    def entrypoint() -> int:
        _end_on_signals()
        status: int = stock_entrypoint()
        _end_children()
        return status or _exit_status

    api._load_cookie = _load_cookie
    api.entrypoint = entrypoint


def ensure_cookie(path: Path) -> None:
    """Make the file that DistAlgo takes its cookie from, where there is none; only its owner can read it.

    All nodes that one user starts on one host then have the same cookie. The file comes into being whole: whoever
    makes it second leaves the first one's.
    """
    try:
        if path.exists():
            if stat.S_IMODE(path.stat().st_mode) & 0o077:
                log.warning("%s can be read by others than its owner: chmod 600 %s", path, path)
            return
        draft = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_hex(COOKIE_BYTES))
        try:
            os.link(draft, path)
        except FileExistsError:
            pass
        finally:
            os.unlink(draft)
    except OSError as error:
        log.warning("no cookie can be kept in %s (%s): give all nodes the same one with --cookie", path, error)


# -- the end


def _end_on_signals() -> None:
    """SIGTERM and SIGHUP end a node as Ctrl-C does; `main` runs on another thread, so this must be said here."""
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, _interrupt)


def _interrupt(_number: int, _frame: Any) -> None:
    raise KeyboardInterrupt


def _end_children() -> None:
    """At the end of a node nothing of it stays: children get a moment to end by themselves."""
    for child in multiprocessing.active_children():
        child.join(timeout=2)
        if child.is_alive():
            child.terminate()
            child.join(timeout=2)
        if child.is_alive():
            child.kill()


def _end_with_parent() -> None:
    """In a child: end when the parent process ends, however it does."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_wait_for_end_of, args=(parent,), daemon=True, name="end with parent").start()


def _wait_for_end_of(parent: Any) -> None:
    parent.join()
    os._exit(1)


def cure_sim(sim: ModuleType) -> None:
    """Patch `da.sim`: processes that end with their parents, loud failures, exit statuses, whom nodes obey."""
    _loud_and_mortal(sim)
    _obedience(sim)
    _acquaintance(sim)
    _bootstrapping(sim)


def _loud_and_mortal(sim: ModuleType) -> None:
    stock_run, stock_init = sim.ProcessContainer.run, sim.DistProcess.__init__

    def run(self: Any) -> Any:
        global _exit_status
        is_os_process = isinstance(self, sim.OSProcessContainer)
        if is_os_process:
            # Ctrl-C goes to the whole group; the node, which gets it too, ends its children in order.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.signal(signal.SIGHUP, signal.SIG_DFL)
            _end_with_parent()
        status = stock_run(self)
        status = status if type(status) is int else 0
        if is_os_process:
            if status:
                sys.exit(status & 0xFF)
        elif self.is_node():
            _exit_status = status & 0xFF
        return status

    def __init__(self: Any, procimpl: Any, forwarder: Any, **props: Any) -> None:
        stock_init(self, procimpl, forwarder, **props)
        self._log = _WithTraceback(self._log.logger, self._log.extra)

    sim.ProcessContainer.run = run
    sim.DistProcess.__init__ = __init__


class _WithTraceback(logging.LoggerAdapter):  # type: ignore[type-arg]
    """Adds the traceback to an error that is logged while an exception is handled."""

    def error(self, msg: Any, *args: Any, **kwargs: Any) -> None:
        if sys.exc_info()[0] is not None:
            kwargs.setdefault("exc_info", True)
        super().error(msg, *args, **kwargs)


# -- whom a process obeys


def _obedience(sim: ModuleType) -> None:
    """A process is set up and started by its parent or its node, and only nodes create processes for others.

    Who a command is from is what its sender says: every holder of the cookie can say what it likes, and no stranger
    gets this far. What must hold among processes that do not trust each other has to be signed in their messages.
    """
    for name in ("_cmd_Setup", "_cmd_Start", "_cmd_Config"):
        setattr(sim.DistProcess, name, _from_parent(sim, name, getattr(sim.DistProcess, name)))
    stock_new = sim.DistProcess._cmd_New

    def _cmd_New(self: Any, src: Any, args: Any) -> None:
        if not isinstance(self, sim.NodeProcess):
            self._log.warning("refused to create a process for %r: only nodes do", src)
            return
        self._employers.add((src.hostname, src.nodename))
        stock_new(self, src, args)

    sim.DistProcess._cmd_New = sim.internal(_cmd_New)


def _from_parent(sim: ModuleType, name: str, stock: Any) -> Any:
    def obey(self: Any, src: Any, args: Any) -> None:
        if src not in (self.parent(), sim.common.pid_of_node(), self._id):
            self._log.warning("refused %s of %r, which is not the parent", name.removeprefix("_cmd_"), src)
            return
        stock(self, src, args)

    obey.__name__ = name
    return sim.internal(obey)


# -- how nodes get to know each other, and part


def _acquaintance(sim: ModuleType) -> None:
    """A newcomer greets all nodes that it was told of; an idle node ends when the node that it works for has left."""
    stock_init, stock_bootstrap = sim.NodeProcess.__init__, sim.NodeProcess.bootstrap
    stock_leave = sim.NodeProcess._cmd_NodeLeave

    def __init__(self: Any, procimpl: Any, forwarder: Any, **props: Any) -> None:
        self._employers = set()
        stock_init(self, procimpl, forwarder, **props)
        if self._router.bootstrap_peer is not None:
            self._nodes.add(self._router.bootstrap_peer)
        for transport in procimpl.transport_manager.transports:
            if hasattr(transport, "on_peer_lost"):
                transport.on_peer_lost = lambda remote: _report_lost(sim, self, procimpl, remote)

    def bootstrap(self: Any) -> None:
        stock_bootstrap(self)
        others = {node for node in self._nodes if node not in (self._id, self._router.bootstrap_peer)}
        if others:
            self._send1(
                sim.Command.NodePing, message=(0, self._id), to=others, flags=sim.ChannelCaps.RELIABLEFIFO
            )

    def _cmd_NodeLeave(self: Any, src: Any, args: Any) -> None:
        stock_leave(self, src, args)
        if sim.get_runtime_option("idle") and (src.hostname, src.nodename) in self._employers:
            log.info("%r has left, and this node with it", src)
            self._nodes.clear()  # whom the other has told, or who may be gone as well, need not be told
            self.exit(0)

    sim.NodeProcess.__init__ = __init__
    sim.NodeProcess.bootstrap = bootstrap
    sim.NodeProcess._cmd_NodeLeave = sim.internal(_cmd_NodeLeave)


def _report_lost(sim: ModuleType, node: Any, procimpl: Any, remote: tuple[str, int]) -> None:
    """A connection from `remote` has ended: if a node we know of lived there, that is as if it had left."""
    for other in list(node._nodes):
        if (other.hostname, other.transports[-1]) == remote:
            queue = procimpl.router.get_queue_for_process(node._id)
            if queue is not None:
                queue.append((other, (sim.Command.NodeLeave, other)))


def _bootstrapping(sim: ModuleType) -> None:
    """A node does not wait for itself, and one that happens to find a stranger at the default port goes on alone."""
    stock = sim.Router.bootstrap_node

    def bootstrap_node(self: Any, hostname: str, port: int, timeout: float | None = None) -> None:
        if hostname == self.hostname and port in self.transport_manager.transport_addresses:
            raise sim.BootstrapException("that address is this node's own")
        try:
            stock(self, hostname, port, timeout)
        except sim.AuthenticationException as error:
            if sim.get_runtime_option("peer"):
                raise
            raise sim.BootstrapException(f"what listens at {hostname}:{port} is no node of this cookie") from error

    sim.Router.bootstrap_node = bootstrap_node

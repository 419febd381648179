"""Cures of the router: no pickles, no thread that dies of a message, no message that vanishes for its size."""

import functools
import logging
import sys
import threading
from types import ModuleType, SimpleNamespace
from typing import Any

from dacurrent import codec
from dacurrent.forks import gate
from dacurrent.transport import initialize_socket, replace_tcp, warn_seldom

MAX_DATAGRAM = 65_507
UDP_LIMIT = MAX_DATAGRAM - 20  # less DistAlgo's own header
_said = threading.local()


def cure_sim(sim: ModuleType) -> None:
    """Patch the router of `da.sim`."""
    _without_pickle(sim)
    _with_sizes(sim)
    _with_a_gate(sim)


def _without_pickle(sim: ModuleType) -> None:
    """`da.sim` dumps what goes to the network and loads what comes from it; nothing else in it uses its `pickle`."""

    def dump(payload: Any, wrapper: Any) -> None:
        data = codec.encode(payload)
        if len(data) > wrapper.total_bytes:
            raise _too_big(sim, len(data))
        wrapper.write(data)

    def loads(data: Any) -> Any:
        with gate:
            try:
                return codec.decode_envelope(data)
            except codec.CodecError as error:
                warn_seldom("dropped what is no message: %s", error)
                raise sim.common.QueueEmpty() from error  # which the router's loop takes for nothing received

    sim.pickle = SimpleNamespace(dump=dump, loads=loads, UnpicklingError=codec.CodecError)


def _too_big(sim: ModuleType, size: int) -> Exception:
    limit = sim.get_runtime_option("message_buffer_size")
    return sim.MessageTooBigException(
        f"a message of {size + sim.HEADER_SIZE} bytes, but --message-buffer-size is {limit}: "
        f"start all nodes with --message-buffer-size {_next_power(size + sim.HEADER_SIZE)}"
    )


def _next_power(size: int) -> int:
    return 1 << (size - 1).bit_length()


def _with_sizes(sim: ModuleType) -> None:
    """`send` raises where the stock one logs a line, returns False, and leaves the program waiting for an answer."""
    stock_remote = sim.Router._send_remote
    stock_dispatch = sim.Router._dispatch

    refusals = (
        sim.MessageTooBigException,
        codec.CodecError,
        sys.modules["da.transport.base"].PacketSizeExceededException,
    )

    def _send_remote(self: Any, *args: Any, **params: Any) -> None:
        try:
            stock_remote(self, *args, **params)
        except refusals as error:
            _said.refusal = error
            raise

    def _dispatch(self: Any, src: Any, dest: Any, payload: Any, params: Any = None, flags: int = 0) -> Any:
        _said.refusal = None
        sent = stock_dispatch(self, src, dest, payload, params or {}, flags)
        if _said.refusal is not None:
            raise _said.refusal
        return sent

    sim.Router._send_remote = _send_remote
    sim.Router._dispatch = _dispatch


def _with_a_gate(sim: ModuleType) -> None:
    """The router thread dispatches behind the gate, and survives what it dispatches."""
    guarded_dispatch = sim.Router._dispatch

    def _dispatch(self: Any, src: Any, dest: Any, payload: Any, params: Any = None, flags: int = 0) -> Any:
        if threading.current_thread() is not self:
            return guarded_dispatch(self, src, dest, payload, params, flags)
        with gate:
            try:
                return guarded_dispatch(self, src, dest, payload, params, flags)
            except Exception:
                logging.getLogger("da.sim.Router").exception("dispatching a message")
                return False

    sim.Router._dispatch = _dispatch


def cure_sock(sock: ModuleType) -> None:
    """UDP: a datagram that does not fit is an error, none ends the thread that reads them, any free port will do."""
    replace_tcp(sock)
    stock_send, stock_read, stock_initialize = (
        sock.UdpTransport.send,
        sock.UdpTransport._recvmesg1,
        sock.UdpTransport.initialize,
    )

    def send(self: Any, chunk: Any, target: Any, **params: Any) -> None:
        if len(chunk) > UDP_LIMIT:
            raise sock.PacketSizeExceededException(
                f"a message of {len(chunk)} bytes over UDP, which takes {UDP_LIMIT}: "
                "use config(channel={'fifo', 'reliable'})"
            )
        stock_send(self, chunk, target, **params)

    def _recvmesg1(self: Any, connection: Any, data: Any) -> None:
        with gate:
            try:
                stock_read(self, connection, data)
            except Exception as error:  # noqa: BLE001 - whatever a stranger's bytes can cause
                warn_seldom("dropped a datagram: %r", error)

    def initialize(self: Any, **params: Any) -> None:
        initialize_socket(self, functools.partial(stock_initialize, self), **params)
        self.buffer_size = min(self.buffer_size, MAX_DATAGRAM)

    sock.UdpTransport.send = send
    sock.UdpTransport._recvmesg1 = _recvmesg1
    sock.UdpTransport.initialize = initialize

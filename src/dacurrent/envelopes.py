"""What travels between processes: a message with its sender, its receiver and its command.

Most messages of a program are a tuple of scalars.  Those go as MessagePack behind an address that is encoded, and on
arrival decoded, once for all messages between the two; everything else goes as `codec` has it.
"""

import struct
from typing import Any

import msgspec
from da import sim
from da.common import ProcessId

from dacurrent import codec

PLAIN = b"\x01"  # no tag of `codec`
CACHE_LIMIT = 4_096

Command, RouterCommands = sim.Command, sim.RouterCommands

# source, destination (None: the router), (command, arguments), the named ids in it, ticket
Envelope = tuple[ProcessId, ProcessId | None, tuple[Any, Any], list[ProcessId], bytes | None]

MESSAGE = Command.Message  # looked up once: of an enum it takes a while
CLOCK_LIMIT_BITS = 128

_ADDRESS = struct.Struct(">H")
_SCALARS = frozenset((type(None), bool, int, float, str, bytes))
_BEGIN = len(PLAIN) + _ADDRESS.size
_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(list)
_encoded_addresses: dict[tuple[ProcessId, ProcessId], bytes] = {}
_decoded_addresses: dict[bytes, tuple[ProcessId, ProcessId, list[ProcessId]]] = {}


def encode(source: ProcessId, destination: ProcessId | None, message: tuple[Any, Any], ticket: bytes | None = None) -> bytes:
    """The bytes that stand for it.  Raises CodecError naming the type that cannot be sent.

    `ticket` are the bytes by which the receiver knows that the sender may give this command; None where there are none.
    """
    command, arguments = message
    if command is MESSAGE and destination is not None and type(arguments) is tuple and len(arguments) == 2:
        clock, content = arguments
        if type(content) is tuple and type(clock) in _SCALARS and _SCALARS.issuperset(map(type, content)):
            try:
                address = _encoded_addresses.get((source, destination)) or _encode_address(source, destination)
                return address + _encoder.encode((clock, *content))
            except (OverflowError, UnicodeEncodeError):
                pass  # beyond what MessagePack can hold
    return codec.encode((source, destination, message) if ticket is None else (source, destination, message, ticket))


def _encode_address(source: ProcessId, destination: ProcessId) -> bytes:
    body = codec.encode((source, destination))
    if len(_encoded_addresses) >= CACHE_LIMIT:
        _encoded_addresses.clear()
    _encoded_addresses[source, destination] = encoded = PLAIN + _ADDRESS.pack(len(body)) + body
    return encoded


def decode(data: bytes) -> Envelope:
    """(source, destination, (command, arguments), named, ticket) of the bytes.

    `named` are the named process ids in it; `ticket` is bytes or None.
    Raises CodecError, and nothing else, where they are not a message.
    """
    if data[:1] != PLAIN:
        return _decode_any(data)
    if len(data) < _BEGIN:
        raise codec.CodecError("malformed: cut short")
    end = _BEGIN + _ADDRESS.unpack_from(data, len(PLAIN))[0]
    address = data[_BEGIN:end]
    source, destination, named = _decoded_addresses.get(address) or _decode_address(address)
    try:
        values = _decoder.decode(memoryview(data)[end:])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise codec.CodecError(f"malformed: {error!r:.{codec.TEXT_LIMIT}}") from None
    if not values or not _SCALARS.issuperset(map(type, values)):
        raise codec.CodecError("malformed: not a message of scalars")
    if values[0] is not None and not _is_clock(values[0]):
        raise codec.CodecError("a message that is not (clock, content)")
    return source, destination, (MESSAGE, (values[0], tuple(values[1:]))), named, None


def _decode_any(data: bytes) -> Envelope:
    named: list[ProcessId] = []
    envelope = codec.decode(data, named)
    if type(envelope) is not tuple or len(envelope) not in (3, 4):
        raise codec.CodecError("not a message")
    source, destination, message, ticket = envelope if len(envelope) == 4 else (*envelope, None)
    if type(ticket) not in (bytes, type(None)):
        raise codec.CodecError("a ticket that is none")
    if type(message) is not tuple or len(message) != 2:
        raise codec.CodecError("a message without sender or command")
    _check_address(source, destination)
    command, arguments = message
    if type(command) is not (RouterCommands if destination is None else Command):
        raise codec.CodecError("a command of another kind")
    if command is MESSAGE and not (type(arguments) is tuple and len(arguments) == 2 and _is_clock(arguments[0])):
        raise codec.CodecError("a message that is not (clock, content)")
    return source, destination, message, named, ticket


def _is_clock(value: object) -> bool:
    """Whether it may be a logical clock; a program without one has None there."""
    return value is None or (type(value) is int and value >= 0 and value.bit_length() <= CLOCK_LIMIT_BITS)


def _decode_address(address: bytes) -> tuple[ProcessId, ProcessId, list[ProcessId]]:
    named: list[ProcessId] = []
    pair = codec.decode(address, named)
    if type(pair) is not tuple or len(pair) != 2:
        raise codec.CodecError("malformed: not an address")
    _check_address(*pair)
    if pair[1] is None:
        raise codec.CodecError("a message to nobody")
    if len(_decoded_addresses) >= CACHE_LIMIT:
        _decoded_addresses.clear()
    _decoded_addresses[address] = found = (*pair, named)
    return found


def _check_address(source: object, destination: object) -> None:
    if type(source) is not ProcessId:
        raise codec.CodecError("a message without sender or command")
    if type(destination) not in (ProcessId, type(None)):
        raise codec.CodecError("a message to what is no process")

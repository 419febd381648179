"""Messages are plain data and names: nothing that arrives is run, and nothing that is sent changes its type."""

import enum
import pickle
import time
import types

import pytest
from da import common, sim
from da.freeze import frozendict, frozenlist
from hypothesis import given
from hypothesis import strategies as st

from dacurrent import codec
from dacurrent.codec import CodecError, decode, encode

SOURCE = """
import enum
class Entry:
    def __init__(self, *arguments): raise AssertionError('called')
    def __setattr__(self, name, value): raise AssertionError('called')
    def __hash__(self): raise AssertionError('called')
class Own:
    def __new__(cls): raise AssertionError('called')
class Colour(enum.Enum):
    RED = 1
class Broken(Exception): pass
"""


@pytest.fixture
def program(monkeypatch):
    """A loaded `.da` module."""
    module = types.ModuleType("program")
    exec(SOURCE, module.__dict__)
    module.P = type("P", (sim.DistProcess,), {"__module__": "program"})
    monkeypatch.setitem(common.modules, "program", module)
    return module


def process_id(cls=sim.DistProcess, name="", **fields):
    values = {"uid": 2**90, "seqno": 1, "pcls": cls, "name": name, "nodename": "n", "hostname": "127.0.0.1"}
    return tuple.__new__(common.ProcessId, ({**values, "transports": (4711,), **fields}).values())


def same(a, b):
    """Equal, and of the same types all through."""
    if type(a) is not type(b) or a != b:
        return False
    if isinstance(a, (list, tuple)):
        return all(map(same, a, b))
    if isinstance(a, dict):
        return all(same(k, m) and same(v, w) for (k, v), (m, w) in zip(a.items(), b.items(), strict=True))
    if isinstance(a, (set, frozenset)):
        return {(type(x), x) for x in a} == {(type(x), x) for x in b}
    return True


ATOMS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(2**200), 2**200)
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary()
    | st.sampled_from([*sim.Command, *sim.RouterCommands, sim.DistProcess, process_id(), range(3, 9, 2)])
)
KEYS = st.recursive(ATOMS, lambda inner: st.tuples(inner, inner) | st.frozensets(inner, max_size=3), max_leaves=5)
VALUES = st.recursive(
    ATOMS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.lists(inner, max_size=4).map(frozenlist)
        | st.sets(KEYS, max_size=4)
        | st.dictionaries(KEYS, inner, max_size=4)
        | st.dictionaries(KEYS, inner, max_size=4).map(frozendict)
    ),
    max_leaves=20,
)


@given(VALUES)
def test_what_is_sent_arrives_with_the_same_types(value):
    assert same(decode(encode(value)), value)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_value_or_a_codec_error(data):
    try:
        decode(data)
    except CodecError:
        pass


@given(VALUES, st.data())
def test_altered_bytes_are_a_value_or_a_codec_error(value, data):
    altered = bytearray(encode(value))
    altered[data.draw(st.integers(0, len(altered) - 1))] = data.draw(st.integers(0, 255))
    try:
        decode(bytes(altered))
    except CodecError:
        pass


@given(VALUES)
def test_a_value_cut_short_is_a_codec_error(value):
    with pytest.raises(CodecError):
        decode(encode(value)[:-1])


def test_a_pickle_is_a_codec_error():
    with pytest.raises(CodecError):
        decode(pickle.dumps(eval))


@pytest.mark.parametrize("value", [len, lambda: 0, object(), Exception("x"), types, 1j, enum.Enum, int, common.GlobalOptions or print])
def test_what_is_no_plain_data_is_refused_by_its_type(value):
    with pytest.raises(CodecError, match="cannot send"):
        encode([value])


def test_a_subclass_of_a_plain_type_is_refused_rather_than_changed():
    class Number(int):
        pass

    with pytest.raises(CodecError, match="Number"):
        encode(Number(3))


def test_nesting_beyond_the_limit_is_refused_on_both_sides():
    deep = []
    for _ in range(codec.DEPTH_LIMIT):
        deep = [deep]
    with pytest.raises(CodecError):
        encode(deep)
    with pytest.raises(CodecError):
        decode(b"l\0\0\0\1" * 5_000 + b"N")
    with pytest.raises(CodecError):
        decode(b"".join(b"R" + n.to_bytes(4, "big") for n in range(5_000, 0, -1)))


def test_a_count_beyond_the_data_takes_no_memory():
    with pytest.raises(CodecError):
        decode(b"l\xff\xff\xff\xff" + b"N" * 10)


def test_instances_of_plain_classes_of_the_program_travel_and_nothing_of_them_is_called(program):
    entry = object.__new__(program.Entry)
    vars(entry).update(term=3, command=("a", [1]))
    arrived = decode(encode((1, entry)))[1]
    assert type(arrived) is program.Entry and vars(arrived) == vars(entry)
    assert decode(encode([program.Entry, program.P, program.Colour.RED])) == [program.Entry, program.P, program.Colour.RED]


def test_an_instance_as_a_key_is_refused_because_its_hash_is_code(program):
    entry = encode(object.__new__(program.Entry))
    for tag in (b"S", b"Z"):
        with pytest.raises(CodecError, match="key"):
            decode(tag + b"\0\0\0\1" + entry)
    with pytest.raises(CodecError, match="key"):
        decode(b"d\0\0\0\1" + b"t\0\0\0\1" + entry + b"N")


@pytest.mark.parametrize("name", ["P", "Own", "Broken"])
def test_no_process_and_nothing_that_makes_itself_travels_as_an_instance(program, name):
    label = encode(("program", name))
    with pytest.raises(CodecError):
        decode(b"o" + len(label).to_bytes(4, "big") + label + encode({}))


@pytest.mark.parametrize("label", [("os", "system"), ("program", "enum.Enum"), ("program", "Entry.__init__"), ("builtins", "int"), (1, 2)])
def test_only_classes_that_a_loaded_program_defines_are_found(program, label):
    body = encode(label)
    with pytest.raises(CodecError):
        decode(b"k" + len(body).to_bytes(4, "big") + body)


def test_a_process_id_of_another_program_is_the_same_one_again_when_it_comes_back(program):
    there = encode(process_id(program.P))
    del common.modules["program"]
    codec._decoded_ids.clear()
    here = decode(there)
    assert here.pcls.__name__ == "P" and here.pcls is not program.P
    assert encode(here) == there and decode(there) == here


def test_decoding_makes_nobody_known_by_name():
    pid = process_id(name="intruder", nodename="nowhere")
    named = []
    assert decode(encode([pid, pid]), named) == [pid, pid]
    assert named == [pid, pid]
    assert common.ProcessId.lookup(("intruder", "nowhere")) is None


COLLIDING = [n * (2**61 - 1) for n in range(44_000)]
HASHED = {
    "a set": COLLIDING,
    "tuples": [(n,) for n in COLLIDING],
    "floats and ints": [float(2**61 * 2**n - 2**n) for n in range(900)] + COLLIDING[:1000],
}


@pytest.mark.parametrize("keys", HASHED.values(), ids=HASHED)
@pytest.mark.parametrize("tag", [b"S", b"Z", b"d", b"D"])
def test_keys_that_all_have_one_hash_are_refused_before_they_are_compared(tag, keys):
    item = b"N" if tag in b"dD" else b""
    data = tag + len(keys).to_bytes(4, "big") + b"".join(encode(each) + item for each in keys)
    began_s = time.process_time()
    with pytest.raises(CodecError, match="one hash"):
        decode(data)
    assert time.process_time() - began_s < 2  # uncured some ten


@given(st.sets(st.integers(), min_size=100, max_size=300))
def test_keys_that_happen_to_be_many_are_taken(keys):
    assert decode(encode(keys)) == keys
    assert decode(encode(dict.fromkeys(keys))) == dict.fromkeys(keys)


def test_keys_that_differ_in_high_bits_alone_are_taken_quickly():
    keys = {n << 40 for n in range(100_000)}
    began_s = time.process_time()
    assert decode(encode(keys)) == keys
    assert time.process_time() - began_s < 2


@pytest.mark.parametrize("data", [b"s\0\1\0\0" + b"x" * 65_535 + b"\xff", b"m\0\1\0\0" + b"\xff" * 65_536])
def test_what_is_told_of_malformed_bytes_is_short(data):
    with pytest.raises(CodecError) as told:
        decode(data)
    assert len(str(told.value)) < 300 and str(told.value).isprintable()


def test_an_int_beyond_the_limit_is_refused_on_both_sides():
    limit = codec.LONG_INT_LIMIT_BYTES
    assert decode(encode(2 ** (8 * limit - 2))) == 2 ** (8 * limit - 2)
    with pytest.raises(CodecError, match="int of"):
        encode(2 ** (8 * limit))
    with pytest.raises(CodecError, match="int of"):
        decode(b"I" + (limit + 1).to_bytes(4, "big") + bytes(limit + 1))
    with pytest.raises(CodecError, match="int of"):
        decode(b"l" + (1).to_bytes(4, "big") + b"I" + (limit + 1).to_bytes(4, "big") + bytes(limit + 1))


@pytest.mark.parametrize("value", [[2**70, -(2**70)], [1, -1, 2**62], (2**70, 1, "a", [2**80, 2]), {2**70, 3}])
def test_integers_that_are_cut_short_within_others_are_refused(value):
    data = encode(value)
    assert decode(data) == value
    for end in range(len(data)):
        with pytest.raises(CodecError):
            decode(data[:end])


@pytest.mark.parametrize("text", ["\x1b[2J", "a\nb", "\r", "\0", "x" * 256])
@pytest.mark.parametrize("field", ["name", "nodename", "hostname"])
def test_a_process_id_whose_names_would_disturb_a_terminal_is_a_codec_error(field, text):
    codec._encoded_ids.clear()
    with pytest.raises(CodecError, match="names"):
        decode(encode(process_id(**{field: text})))


@pytest.mark.parametrize("fields", [{"uid": "1"}, {"transports": [1]}, {"transports": (70_000,)}, {"hostname": 5}])
def test_a_malformed_process_id_is_a_codec_error(fields):
    codec._encoded_ids.clear()
    if fields == {"transports": [1]}:
        body = encode((1, 1, ("da.sim", "DistProcess"), "", "", "", [1]))
        data = b"p" + len(body).to_bytes(4, "big") + body
    else:
        data = encode(process_id(**fields))
    with pytest.raises(CodecError):
        decode(data)

"""What the start-up and a process tell each other: heeded from the other end alone, and once."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bcr.signed.control import MAC_SIZE, REPORTS, Control, demand_report, secret_of
from bcr.signed.encoding import encode
from bcr.signed.violations import InvalidSignature, MalformedMessage, ProtocolViolation

SECRET = secret_of(b"root" * 8, "client_0")
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.text(max_size=5) | st.binary(max_size=9),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=5,
)


def ends(secret=SECRET, other=None):
    return Control(secret, "start-up"), Control(secret if other is None else other, "process")


@given(st.text(max_size=9), st.lists(PLAIN, max_size=4))
def test_what_one_end_says_the_other_hears(verb, parts):
    for one, other in (ends(), ends()[::-1]):
        assert other.open(one.seal(verb, *parts)) == (verb, parts)


def test_what_is_said_is_heard_in_turn_and_once():
    start_up, process = ends()
    first, second, third = (start_up.seal("verb", number) for number in range(3))
    assert process.open(first) == ("verb", [0])
    with pytest.raises(MalformedMessage, match="verb again"):
        process.open(first)
    assert process.open(third) == ("verb", [2])
    with pytest.raises(MalformedMessage):
        process.open(second)


def test_what_an_end_said_is_not_heard_by_itself():
    for end in ends():
        with pytest.raises(InvalidSignature):
            end.open(end.seal("verb"))


@pytest.mark.parametrize("name", ["client_1", "client_", "olympus", ""])
def test_a_process_with_another_name_says_nothing_in_this_one_s(name):
    start_up, other = ends(other=secret_of(b"root" * 8, name))
    with pytest.raises(InvalidSignature):
        start_up.open(other.seal("verb"))
    with pytest.raises(InvalidSignature):
        other.open(start_up.seal("verb"))


def test_whoever_may_make_processes_of_its_own_gives_them_secrets_of_its_own():
    olympus = secret_of(b"root" * 8, "olympus")
    names = ["replica_0 of 0", "replica_0 of 1", "replica_1 of 0"]
    secrets = {secret_of(olympus, name) for name in names} | {secret_of(b"root" * 8, name) for name in names}
    assert len(secrets) == 6
    assert all(len(each) == 32 for each in secrets)


@given(st.data())
def test_a_command_with_a_flipped_byte_is_nobody_s(data):
    start_up, process = ends()
    sealed = bytearray(start_up.seal("verb", "part"))
    sealed[data.draw(st.integers(0, len(sealed) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(InvalidSignature):
        process.open(bytes(sealed))


@given(st.one_of(st.binary(max_size=40), PLAIN, st.just({}), st.just(object())))
def test_what_is_no_command_is_a_violation_and_no_error(sealed):
    _, process = ends()
    with pytest.raises(ProtocolViolation):
        process.open(sealed)


@pytest.mark.parametrize("payload", [b"", b"\xc1", encode(1), encode((1, 2, 3)), encode(("one", "verb", ())), encode((1, "verb"))])
def test_what_the_other_end_said_that_means_nothing_is_a_violation_and_no_error(payload):
    """A replica holds its secret, and may say anything under it."""
    from bcr.signed.control import _mac

    start_up, process = ends()
    with pytest.raises(MalformedMessage):
        start_up.open(_mac(process._own_key, payload) + payload)


def test_a_command_is_its_mac_and_what_it_says():
    start_up, _ = ends()
    assert start_up.seal("verb", 1)[MAC_SIZE:] == encode((1, "verb", (1,)))


@pytest.mark.parametrize("kind, verb", REPORTS)
def test_of_each_kind_of_process_only_what_it_has_to_tell_is_heard(kind, verb):
    examples = {bytes: b"x", int: 1, str: "x", bool: True, list[str]: ["x"]}
    parts = [examples[part] for part in REPORTS[kind, verb].__args__]
    demand_report(kind, verb, parts)
    for other in {other for other, _ in REPORTS if (other, verb) not in REPORTS}:
        with pytest.raises(MalformedMessage):
            demand_report(other, verb, parts)
    wrong = [[*parts, 1], [None] * max(1, len(parts)), [b"x" if part == 1 else 1 for part in parts] or [1], parts[:-1] if parts else [1]]
    for each in wrong:
        with pytest.raises(MalformedMessage):
            demand_report(kind, verb, each)

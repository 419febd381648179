"""Only the holder of a key can say something in its owner's name, and only once for each purpose."""

import contextlib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from memory_chain import changed, key_of
from nacl.bindings import crypto_sign_seed_keypair

from bcr.signed import signing
from bcr.signed.encoding import decode, digest_of, encode
from bcr.signed.merkle import Tree, root_above
from bcr.signed.signing import MOST_JOINT, Ed25519, JointSignature, Signed
from bcr.signed.statements import Checkpoint, Order, Ready, WedgeRequest
from bcr.signed.violations import InvalidSignature

KEY, OTHER = key_of("one"), key_of("other")
ONE, ANOTHER = KEY.author(KEY.public), KEY.author(OTHER.public)
ORDERS = st.builds(Order, st.integers(0, 9), st.integers(0, 9), st.binary(max_size=4))


@given(ORDERS)
def test_what_a_process_signs_is_authentic_under_its_key_alone(order):
    signed = Signed.sign(order, 3, KEY)
    assert signed.is_authentic(ONE)
    assert not signed.is_authentic(ANOTHER)


@given(ORDERS, ORDERS)
def test_a_signature_fits_one_statement_alone(order, other):
    assert changed(Signed.sign(order, 3, KEY), statement=other).is_authentic(ONE) == (order == other)


@given(st.integers(0, 63), st.integers(1, 255))
def test_a_signature_with_a_flipped_byte_is_not_authentic(place, flip):
    signed = Signed.sign(Order(0, 0, b""), 3, KEY)
    signature = bytearray(signed.signature)
    signature[place] ^= flip
    assert not changed(signed, signature=bytes(signature)).is_authentic(ONE)


@given(st.binary(max_size=80), st.binary(max_size=40), st.binary(max_size=80))
def test_any_bytes_as_key_or_signature_are_invalid_and_no_error(signature, key, message):
    assert not ONE.is_valid(message, signature)
    assert not KEY.author(key).is_valid(message, signature)


def test_a_statement_of_one_kind_does_not_pass_for_another_with_the_same_fields():
    order, checkpoint = Order(0, 1, b"d"), Checkpoint(0, 1, b"d")
    assert not changed(Signed.sign(order, 0, KEY), statement=checkpoint).is_authentic(ONE)
    assert Ready(0).signed_bytes() != WedgeRequest(0).signed_bytes()


def test_a_signature_over_bytes_without_the_domain_is_not_authentic():
    order = Order(0, 1, b"d")
    assert not Signed(order, 0, KEY.sign(encode(order))).is_authentic(ONE)


def test_an_invalid_signature_blames_nobody_and_carries_the_statement():
    signed = Signed.sign(Order(0, 0, b""), 3, OTHER)
    with pytest.raises(InvalidSignature, match="order with an invalid signature of replica 3") as caught:
        signed.demand_authentic(ONE, "replica 3")
    assert caught.value.position is None
    assert not caught.value.provable
    assert caught.value.evidence == (signed,)


def test_digests_of_signed_statements_differ_by_signer_and_signature():
    signed = Signed.sign(Order(0, 0, b""), 3, KEY)
    assert len({each.digest() for each in (signed, changed(signed, signer=2), changed(signed, signature=b""))}) == 3


@pytest.mark.parametrize("moved", [-64, -1, 1, 5])
def test_a_signature_that_is_cut_elsewhere_from_its_message_is_none(moved):
    signature = KEY.sign(b"what was signed")
    together, cut = signature + b"what was signed", len(signature) + moved
    assert ONE.is_valid(b"what was signed", signature)
    assert not ONE.is_valid(together[cut:], together[:cut])


def test_a_public_key_with_something_behind_it_is_none():
    assert not KEY.author(KEY.public + b"x").is_valid(b"what was signed", KEY.sign(b"what was signed"))


def test_what_is_checked_is_what_was_handed_in_as_the_statement_s_bytes():
    signed, other = (Signed.sign(Order(0, slot, b""), 3, KEY) for slot in (0, 1))
    assert signed.is_authentic(ONE, encode(signed))
    assert not signed.is_authentic(ONE, encode(other))


def test_what_is_no_bytes_was_signed_by_nobody():
    public, _ = crypto_sign_seed_keypair(bytes(32))
    assert not any(
        Ed25519().is_valid(*each) for each in ((public, "message", bytes(64)), (public, b"", "x" * 64), ("x" * 32, b"", bytes(64)))
    )


# -- one signature for several statements

COUNTS = st.integers(2, 20)


def orders(count):
    return [Order(0, slot, b"d") for slot in range(count)]


def joint_of(signed):
    return decode(JointSignature, signed.signature)


def with_joint(signed, **fields):
    return changed(signed, signature=encode(changed(joint_of(signed), **fields)))


@given(COUNTS)
def test_each_of_the_statements_that_were_signed_together_is_authentic_by_itself(count):
    signed = Signed.sign_jointly(orders(count), 3, KEY)
    assert [(each.statement, each.signer) for each in signed] == [(order, 3) for order in orders(count)]
    assert all(each.is_authentic(ONE) and not each.is_authentic(ANOTHER) for each in signed)
    assert all(each.is_authentic(ONE, encode(each)) for each in signed)
    assert len({joint_of(each).signature for each in signed}) == 1


@given(COUNTS, st.data())
def test_a_joint_signature_fits_its_statement_at_its_place_among_so_many_alone(count, data):
    place = data.draw(st.integers(0, count - 1))
    signed = Signed.sign_jointly(orders(count), 3, KEY)
    mine = joint_of(signed[place])
    other = data.draw(st.integers(0, count - 1).filter(lambda each: each != place))
    size = data.draw(st.integers(2, MOST_JOINT).filter(lambda each: each != count))
    edits = [
        changed(signed[place], statement=signed[other].statement),
        changed(signed[place], statement=Order(0, count, b"d")),
        with_joint(signed[place], index=other),
        with_joint(signed[place], index=data.draw(st.integers(-2, 300).filter(lambda each: each != place))),
        with_joint(signed[place], size=size),
        with_joint(signed[place], path=(*mine.path, bytes(32))),
        with_joint(signed[place], path=mine.path[:-1]),
        with_joint(signed[place], signature=joint_of(Signed.sign_jointly(orders(count + 1), 3, KEY)[0]).signature),
    ]
    at = data.draw(st.integers(0, len(mine.path) - 1))
    flipped = bytes((mine.path[at][0] ^ 1,)) + mine.path[at][1:]
    edits.append(with_joint(signed[place], path=(*mine.path[:at], flipped, *mine.path[at + 1 :])))
    assert [each.is_authentic(ONE) for each in edits] == [False] * len(edits)
    assert signed[place].is_authentic(ONE)


@pytest.mark.parametrize("signer", [KEY, OTHER])
def test_a_joint_signature_of_another_author_is_none_though_it_was_seen_with_the_first(signer):
    for each in Signed.sign_jointly(orders(3), 3, signer):
        assert (each.is_authentic(ONE), each.is_authentic(ANOTHER)) == (signer is KEY, signer is OTHER)
        assert (each.is_authentic(ONE), each.is_authentic(ANOTHER)) == (signer is KEY, signer is OTHER)


@given(st.integers(0, 63), st.integers(1, 255))
def test_a_joint_signature_with_a_flipped_byte_is_not_authentic(place, flip):
    first, *_ = Signed.sign_jointly(orders(3), 3, KEY)
    signature = bytearray(joint_of(first).signature)
    signature[place] ^= flip
    assert not with_joint(first, signature=bytes(signature)).is_authentic(ONE)


def alone_among(size, signer=KEY):
    """A statement under a joint signature of this size, properly made, as only somebody else's program would."""
    statement = Order(0, 0, b"d")
    tree = Tree("signed jointly", [digest_of("signed jointly", statement.signed_bytes())] * size)
    joint = JointSignature(0, size, tree.path(0), signer.sign(b"bcr joint statements\0" + tree.root))
    return Signed(statement, 3, encode(joint))


@pytest.mark.parametrize("size, is_one", [(1, False), (2, True), (MOST_JOINT, True), (MOST_JOINT + 1, False), (4 * MOST_JOINT, False)])
def test_a_joint_signature_is_for_two_statements_at_least_and_for_so_many_at_most(size, is_one):
    assert alone_among(size).is_authentic(ONE) == is_one


@pytest.mark.parametrize("count", [0, 1, 2, MOST_JOINT, MOST_JOINT + 1, MOST_JOINT + 2, 2 * MOST_JOINT])
def test_of_more_statements_than_one_signature_is_for_each_is_authentic_all_the_same(count):
    signed = Signed.sign_jointly(orders(count), 3, KEY)
    assert [each.statement for each in signed] == orders(count)
    assert all(each.is_authentic(ONE) for each in signed)
    sizes = [joint_of(each).size if len(each.signature) > 64 else 1 for each in signed]
    assert sizes == [min(MOST_JOINT, count - place // MOST_JOINT * MOST_JOINT) for place in range(count)]


def test_the_signature_of_a_single_statement_is_that_of_the_statement():
    [signed] = Signed.sign_jointly(orders(1), 3, KEY)
    assert signed == Signed.sign(Order(0, 0, b"d"), 3, KEY)
    assert len(signed.signature) == 64


@pytest.mark.parametrize("authentication", ["hmac", "crc"])
def test_codes_that_some_can_check_are_made_for_each_statement_alone(authentication):
    key, reader = key_of("one", authentication), key_of("olympus", authentication)
    signed = Signed.sign_jointly(orders(3), 3, key)
    assert signed == [Signed.sign(order, 3, key) for order in orders(3)]
    assert all(each.is_authentic(reader.author(key.public)) for each in signed)


def test_the_signature_on_a_root_is_no_signature_of_a_statement_and_the_other_way_round():
    first, second = Signed.sign_jointly(orders(2), 3, KEY)
    on_root = joint_of(first).signature
    assert not changed(first, signature=on_root).is_authentic(ONE)
    single = Signed.sign(first.statement, 3, KEY)
    assert not with_joint(first, signature=single.signature).is_authentic(ONE)
    # Nor is one by which a root without the domain, or with that of statements, was signed.
    root = root_above("signed jointly", digest_of("signed jointly", first.statement.signed_bytes()), 0, 2, joint_of(first).path)
    for domain in (b"", b"bcr statement\0"):
        assert not with_joint(first, signature=KEY.sign(domain + root)).is_authentic(ONE)
    assert with_joint(first, signature=KEY.sign(b"bcr joint statements\0" + root)) == first
    assert not with_joint(second, signature=first.signature).is_authentic(ONE)  # nor is one within another


def test_a_root_of_a_tree_for_another_purpose_is_none_that_was_signed_jointly():
    statements = orders(2)
    for domain in ("requests", "signed"):
        tree = Tree(domain, [digest_of(domain, each.signed_bytes()) for each in statements])
        joint = JointSignature(0, 2, tree.path(0), KEY.sign(b"bcr joint statements\0" + tree.root))
        assert not Signed(statements[0], 3, encode(joint)).is_authentic(ONE)


def in_other_bytes(signature):
    """The same joint signature as MessagePack can be written otherwise."""
    fields = msgspec.msgpack.decode(signature)
    yield msgspec.msgpack.encode([*fields, None])
    yield msgspec.msgpack.encode([*fields, bytes(1 << 20)])
    at = len(JOINT_BEGINNING)
    assert signature[at] < 128  # the index, as it is written where it is small
    yield signature[:at] + b"\xcc" + signature[at:]
    yield signature[:at] + b"\xcd\0" + signature[at:]
    yield signature[: at + 1] + b"\xcc" + signature[at + 1 :]
    cut = signature.index(b"\xc4\x40")  # 64 bytes, of a length in one byte
    yield signature[:cut] + b"\xc5\0\x40" + signature[cut + 2 :]


def test_nobody_else_can_write_a_joint_signature_in_other_bytes():
    """A request is known by its signature too: under other bytes its client would take no answer for that to its request."""
    for signed in Signed.sign_jointly(orders(3), 3, KEY):
        others = [changed(signed, signature=each) for each in in_other_bytes(signed.signature)]
        assert [decode(JointSignature, each.signature) for each in others] == [joint_of(signed)] * len(others)
        assert len({each.digest() for each in (signed, *others)}) == 1 + len(others)
        assert [each.is_authentic(ONE) for each in others] == [False] * len(others)


JOINT_BEGINNING = encode(JointSignature(0, 2, (), b""))[:7]


@given(st.binary(max_size=80), st.lists(st.one_of(st.none(), st.integers(), st.binary(max_size=40), st.lists(st.binary(max_size=33), max_size=9)),
                                        max_size=5))  # fmt: skip
def test_any_bytes_that_begin_as_a_joint_signature_are_invalid_and_no_error(rest, fields):
    order = Order(0, 0, b"")
    with contextlib.suppress(OverflowError):
        assert not Signed(order, 3, msgspec.msgpack.encode(["joint", *fields])).is_authentic(ONE)
    for signature in (rest, JOINT_BEGINNING + rest):
        assert not Signed(order, 3, signature).is_authentic(ONE)
        for authentication in ("hmac", "crc"):
            reader = key_of("olympus", authentication)
            assert not Signed(order, 3, signature).is_authentic(reader.author(key_of("one", authentication).public))


@given(st.integers(0, 1), st.integers(2, 3), st.lists(st.binary(min_size=31, max_size=33), max_size=3), st.binary(max_size=70))
def test_any_joint_signature_that_was_not_made_with_the_key_is_invalid_and_no_error(index, size, path, signature):
    assert not Signed(Order(0, 0, b""), 3, encode(JointSignature(index, size, tuple(path), signature))).is_authentic(ONE)


def test_what_is_signed_jointly_costs_one_signature_to_make_and_one_check_for_all(monkeypatch):
    scheme = Counted()
    monkeypatch.setattr(signing, "_scheme", scheme)
    signed = Signed.sign_jointly([Order(7, slot, b"counted") for slot in range(40)], 3, KEY)
    assert all(each.is_authentic(ONE) for each in signed)
    assert (scheme.made, scheme.checked) == (1, 1)


def test_what_is_signed_alone_is_not_remembered_here_but_by_whoever_asks(monkeypatch):
    scheme = Counted()
    monkeypatch.setattr(signing, "_scheme", scheme)
    signed = Signed.sign(Order(7, 0, b"alone"), 3, KEY)
    assert [signed.is_authentic(ONE) for _ in range(3)] == [True] * 3
    assert scheme.checked == 3


class Counted(Ed25519):
    """Ed25519, with counts of what was signed and checked."""

    made = checked = 0

    def sign(self, seed, message):
        self.made += 1
        return super().sign(seed, message)

    def is_valid(self, public_key, message, signature):
        self.checked += 1
        return super().is_valid(public_key, message, signature)


def test_who_stands_last_of_one_too_many_has_a_short_path_and_is_not_authentic_either():
    statements = orders(MOST_JOINT + 1)
    tree = Tree("signed jointly", [digest_of("signed jointly", each.signed_bytes()) for each in statements])
    joint = JointSignature(MOST_JOINT, MOST_JOINT + 1, tree.path(MOST_JOINT), KEY.sign(b"bcr joint statements\0" + tree.root))
    assert len(joint.path) == 1
    assert not Signed(statements[-1], 3, encode(joint)).is_authentic(ONE)

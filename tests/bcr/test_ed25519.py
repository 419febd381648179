"""Which library makes and checks signatures makes no difference to what is accepted."""

import hashlib
import random
import sys
import types

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nacl.bindings import crypto_sign, crypto_sign_open, crypto_sign_seed_keypair

from bcr.signed import ed25519
from bcr.signed.signing import Ed25519

LIBSODIUM, DALEK = ed25519.public_functions().is_valid, ed25519.check_by_dalek()

# The curve, as RFC 8032 gives it (5.1): points are pairs (x, y) of numbers modulo PRIME.
PRIME = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, PRIME) % PRIME
NEUTRAL = (0, 1)


def plus(one, other):
    (x1, y1), (x2, y2) = one, other
    twist = D * x1 * x2 * y1 * y2 % PRIME
    return (
        (x1 * y2 + x2 * y1) * pow(1 + twist, -1, PRIME) % PRIME,
        (y1 * y2 + x1 * x2) * pow(1 - twist, -1, PRIME) % PRIME,
    )


def times(number, point):
    total = NEUTRAL
    while number:
        total = plus(total, point) if number & 1 else total
        point, number = plus(point, point), number >> 1
    return total


def point_at(y):
    """A point of this height, or None."""
    square = (y * y - 1) * pow(D * y * y + 1, -1, PRIME) % PRIME
    for factor in (1, pow(2, (PRIME - 1) // 4, PRIME)):
        x = pow(square, (PRIME + 3) // 8, PRIME) * factor % PRIME
        if x * x % PRIME == square:
            return x, y
    return None


def encoded(y, sign):
    return (y | sign << 255).to_bytes(32, "little")


BASE = next((x, y) for x, y in [point_at(4 * pow(5, -1, PRIME) % PRIME)] for x in (x, PRIME - x) if x % 2 == 0)
SMALL = next([times(i, small) for i in range(8)]
             for small in (times(ORDER, point) for point in map(point_at, range(2, 99)) if point)
             if times(4, small) != NEUTRAL)  # fmt: skip
# Heights of points of small order, heights that are no smaller than the prime, and those that have such a second form.
HEIGHTS = sorted({y + more for _, y in SMALL for more in (0, PRIME) if y + more < 2**255} | set(range(19)) | set(range(PRIME, 2**255)))


def agreed(public_key, message, signature):
    """What both libraries say."""
    said = LIBSODIUM(public_key, message, signature)
    assert DALEK(public_key, message, signature) == said
    return said


@pytest.mark.parametrize("functions", [ed25519.compiled_functions(), ed25519.public_functions(), ed25519.best_functions()],
                         ids=["compiled", "public", "best"])  # fmt: skip
@given(seed=st.binary(min_size=32, max_size=32), message=st.binary(max_size=300))
def test_a_signature_is_the_one_that_pynacl_s_public_functions_make_and_take(functions, seed, message):
    public, secret = crypto_sign_seed_keypair(seed)
    signature = functions.sign(secret, message)
    assert signature + message == crypto_sign(message, secret)
    assert crypto_sign_open(signature + message, public) == message
    assert functions.is_valid(public, message, signature)
    assert not functions.is_valid(public, message + b"x", signature)
    assert Ed25519().sign(seed, message) == signature
    assert Ed25519().is_valid(public, message, signature)
    assert not Ed25519().is_valid(public, message + b"x", signature)


@pytest.mark.parametrize("module", [None, types.ModuleType("nacl._sodium")])
def test_where_pynacl_has_its_compiled_functions_no_more_its_public_ones_sign(monkeypatch, module):
    public, secret = crypto_sign_seed_keypair(bytes(32))
    monkeypatch.setitem(sys.modules, "nacl._sodium", module)
    functions = ed25519.best_functions()
    assert functions.is_valid(public, b"message", functions.sign(secret, b"message"))


def test_solders_checks_where_it_is_installed_and_libsodium_elsewhere(monkeypatch):
    assert ed25519.best_functions().is_valid.__qualname__ == DALEK.__qualname__
    monkeypatch.setitem(sys.modules, "solders.pubkey", None)
    assert ed25519.best_functions().is_valid.__qualname__ == ed25519.compiled_functions().is_valid.__qualname__


@given(seed=st.binary(min_size=32, max_size=32), message=st.binary(max_size=300), place=st.integers(0, 95), flip=st.integers(1, 255))
def test_both_libraries_refuse_a_changed_byte_of_signature_or_key(seed, message, place, flip):
    public, secret = crypto_sign_seed_keypair(seed)
    changed = bytearray(crypto_sign(message, secret)[:64] + public)
    changed[place] ^= flip
    assert not agreed(bytes(changed[64:]), message, bytes(changed[:64]))


def test_both_libraries_accept_the_same_signatures_of_keys_and_points_that_are_special():
    points = [encoded(y, sign) for y in HEIGHTS for sign in (0, 1)]
    rng = random.Random(1)
    said = [
        agreed(key, rng.randbytes(8), point + number.to_bytes(32, "little"))
        for key in [*points, crypto_sign_seed_keypair(bytes(32))[0]]
        for point in points
        for number in (0, 1, ORDER - 1, ORDER, 2**252)
    ]
    assert len(said) > 10_000


def test_both_libraries_accept_the_same_signatures_of_points_with_a_part_of_small_order():
    rng, said = random.Random(1), []
    for secret, one_time in [(rng.randrange(ORDER), rng.randrange(ORDER)) for _ in range(3)]:
        for part in SMALL:
            for other in SMALL:
                (key_x, key_y), (x, y) = plus(times(secret, BASE), part), plus(times(one_time, BASE), other)
                key, point, message = encoded(key_y, key_x & 1), encoded(y, x & 1), rng.randbytes(8)
                challenge = int.from_bytes(hashlib.sha512(point + key + message).digest(), "little")
                number = (one_time + challenge * secret) % ORDER
                said.append(agreed(key, message, point + number.to_bytes(32, "little")))
                assert not agreed(key, message, point + (number + ORDER).to_bytes(32, "little"))
    assert 0 < sum(said) < len(said)  # so the parts made a difference, and not always

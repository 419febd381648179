"""The numbers that all processes must have alike, with where the specification (docs/protocol.md) gives them.

Whoever changes one changes the protocol: a process that has another refuses what the others send, or sends what they refuse.
"""

import pytest

from bcr.chain import limits, outstanding, pauses, slots
from bcr.chain.limits import BUCKET_OVERHEAD_BYTES, MAX_EARLY_BYTES
from bcr.chain.messages import ENROLMENT_SECRET_SIZE
from bcr.chain.outstanding import MAX_BACKOFF
from bcr.chain.pauses import CALM
from bcr.chain.slots import MOST_REPLICAS
from bcr.objects import sizes
from bcr.objects.sizes import VALUE_LIMIT_BYTES
from bcr.objects.store import LONGEST_IN_JSON
from bcr.objects.store_operations import DEPTH_LIMIT
from bcr.signed import pieces, signing
from bcr.signed.checksums import CHECKSUM_SIZE
from bcr.signed.control import MAC_SIZE as CONTROL_MAC_SIZE
from bcr.signed.macs import HINT_SIZE, MAC_SIZE
from bcr.signed.pieces import EVERYBODY
from bcr.signed.signing import SEAL_SIZE
from bcr.state.tree import BUCKETS, DEPTH

NUMBERS = [
    # 8.2, 8.3, 8.4
    (BUCKETS, 16_384), (DEPTH, 14), (VALUE_LIMIT_BYTES, 1_048_576), (sizes.REQUEST_LIMIT_BYTES, 1_052_672),
    (sizes.RESULTS_LIMIT_BYTES, 1_052_672), (sizes.SLOT_LIMIT_BYTES, 2_097_152), (sizes.SLOT_RESULTS_LIMIT_BYTES, 2_097_152),
    (sizes.STATE_LIMIT_BYTES, 67_108_864), (sizes.BYTES_OF_A_CHARACTER, len("\U0010ffff".encode())), (DEPTH_LIMIT, 64),
    (LONGEST_IN_JSON, len("\\u0000")), (BUCKET_OVERHEAD_BYTES, 32),
    # 7a.3: pieces, and progress
    (pieces.MAX_PAYLOAD_BYTES, 1_073_741_824), (pieces.MAX_PIECES, 100_000), (pieces.PROGRESS_STEPS, 8), (pieces.PAYLOADS_WITH_STEPS, 4),
    (limits.WINDOWS_IN_FLIGHT, 2), (limits.INTERVALS_IN_HISTORY, 2), (MAX_EARLY_BYTES, 67_108_864),
    # 4.7, 7a.8
    (MAX_BACKOFF, 16), (outstanding.MAX_BACKOFF, 16), (CALM, 4), (pauses.LEAST_MS, 50), (pauses.MOST_MS, 3_200),
    # t is 10 at the most
    (MOST_REPLICAS, 21), (slots.MOST_REPLICAS, 2 * 10 + 1),
    # 2.1: what stands below the statements
    (MAC_SIZE, 16), (HINT_SIZE, 2), (CONTROL_MAC_SIZE, 16), (SEAL_SIZE, 16), (CHECKSUM_SIZE, 4), (signing.KEY_SEED_SIZE, 32),
    (ENROLMENT_SECRET_SIZE, 32),
]  # fmt: skip


@pytest.mark.parametrize(("number", "specified"), NUMBERS)
def test_a_number_that_all_must_have_alike_is_the_specification_s(number, specified):
    assert number == specified


def test_everybody_is_no_position_of_the_chain():
    assert EVERYBODY not in range(MOST_REPLICAS)

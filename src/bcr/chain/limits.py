"""How much of anything a correct replica ever has at once. Where there is more than that, somebody misbehaves
(specification, 7a.5)."""

from collections.abc import Mapping

from bcr.chain.settings import Settings
from bcr.objects.sizes import (
    REQUEST_LIMIT_BYTES,
    RESULTS_LIMIT_BYTES,
    SLOT_LIMIT_BYTES,
    SLOT_RESULTS_LIMIT_BYTES,
    StateLimits,
)
from bcr.signed.pieces import MAX_PAYLOAD_BYTES
from bcr.state.tree import BUCKETS

# A client has sent its next request when the head learns that the one before is answered, and so one window more.
WINDOWS_IN_FLIGHT = 2
INTERVALS_IN_HISTORY = 2  # the one whose checkpoint is under way, and the one that makes it overdue

SLOT_MESSAGE_BYTES = SLOT_LIMIT_BYTES + SLOT_RESULTS_LIMIT_BYTES  # what a message about a slot has at the most: see bcr.sizes
BUCKET_OVERHEAD_BYTES = 32  # of a bucket beside its keys and values
OUTCOME_OVERHEAD_BYTES = 256  # of an outcome, or of an answer with one, beside the results
CATCH_UP_SLICE_REQUESTS = 2_000  # of a catch-up that are executed before other messages have their turn, and that is told
MAX_EARLY_BYTES = 64 << 20  # of messages of one sort that a replica keeps until it has its configuration
SPARE_EARLY = 1_000


def most_in_flight_of_a_client(settings: Settings) -> int:
    """Requests that the head orders of one client before it knows that the first of them is answered."""
    return WINDOWS_IN_FLIGHT * settings.client_window


def most_in_flight(settings: Settings) -> int:
    """Slots that are ordered at once and whose result shuttle is not back."""
    return most_in_flight_of_a_client(settings) * settings.num_clients


def most_settled(settings: Settings) -> int:
    """Slots with a final result that a history holds: with more the next checkpoint is overdue (specification, 6.5)."""
    return INTERVALS_IN_HISTORY * settings.checkpoint_interval


def most_slots_of_a_history(settings: Settings) -> int:
    """Slots that the history of a correct replica holds at the most (specification, 7a.5)."""
    return most_settled(settings) + most_in_flight(settings)


def most_early(settings: Settings) -> int:
    """Messages of one sort that a replica keeps until it has its configuration: for each slot four go by."""
    return SPARE_EARLY + 4 * most_in_flight(settings)


def state_limits(settings: Settings) -> StateLimits:
    """How large a running state may become: of results, the clients share as much as the dictionary may have.

    What one request may get is remembered in any case: with a window of one the results of a client are no more than that.
    """
    share = settings.state_limit_bytes // settings.num_clients
    return StateLimits(settings.state_limit_bytes, max(RESULTS_LIMIT_BYTES, share))


def most_results_bytes(settings: Settings) -> int:
    """What the remembered outcomes of all clients come to at the most, as encoded: what they got, and that writes went well.

    An operation adds more to its request than its result, where that is no value, adds to the outcome.
    """
    limits = state_limits(settings)
    a_request = 2 * REQUEST_LIMIT_BYTES + OUTCOME_OVERHEAD_BYTES
    a_client = min(limits.results, settings.client_window * RESULTS_LIMIT_BYTES) + settings.client_window * a_request
    return settings.num_clients * a_client


def most_state_bytes(settings: Settings) -> int:
    """What a running state comes to at the most, as it travels, with what its sender signs of it."""
    return settings.state_limit_bytes + BUCKETS * BUCKET_OVERHEAD_BYTES + most_results_bytes(settings) + SLOT_MESSAGE_BYTES


def most_history_bytes(settings: Settings) -> int:
    """What a history comes to at the most, as it travels: of each slot it holds less than a shuttle does."""
    slot = max(SLOT_MESSAGE_BYTES, settings.message_limit_bytes)
    return (most_slots_of_a_history(settings) + 2) * slot


def payload_limits(settings: Settings) -> Mapping[str, int]:
    """How many bytes a correct process's message has at the most that is sent in pieces, by kind of message."""
    state, history = most_state_bytes(settings), most_history_bytes(settings)
    answers = most_results_bytes(settings) + SLOT_MESSAGE_BYTES
    limits = {"inithist": state, "running_state": state, "wedged": history, "catch_up": history, "caught_up": answers}
    return {message: min(limit, MAX_PAYLOAD_BYTES) for message, limit in limits.items()}

"""How much of anything a correct replica ever has at once: what is more than that, somebody misbehaves to make it so
(specification, 7a.5)."""

from bcr.chain.settings import Settings

# A client has sent its next request when the head learns that the one before is answered, and so one window more.
WINDOWS_IN_FLIGHT = 2
INTERVALS_IN_HISTORY = 2  # the one whose checkpoint is under way, and the one that makes it overdue

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

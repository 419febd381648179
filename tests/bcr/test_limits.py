"""How much a correct replica ever has at once, in numbers."""

from bcr.chain.limits import (
    MAX_EARLY_BYTES,
    SLOT_MESSAGE_BYTES,
    most_early,
    most_history_bytes,
    most_in_flight,
    most_in_flight_of_a_client,
    most_results_bytes,
    most_settled,
    most_slots_of_a_history,
)
from bcr.chain.settings import Settings

SETTINGS = Settings(t=1, num_clients=3, client_window=5, checkpoint_interval=7)


def test_the_limits_grow_with_clients_windows_and_intervals():
    assert most_in_flight_of_a_client(SETTINGS) == 10
    assert most_in_flight(SETTINGS) == 30
    assert most_settled(SETTINGS) == 14
    assert most_slots_of_a_history(SETTINGS) == 44
    assert most_early(SETTINGS) == 1_120


def test_what_comes_too_early_takes_no_more_than_64_mib_of_memory():
    assert MAX_EARLY_BYTES == 67_108_864


def test_a_history_in_pieces_is_as_large_as_its_slots_and_two_more():
    assert most_history_bytes(SETTINGS) == 46 * max(SLOT_MESSAGE_BYTES, SETTINGS.message_limit_bytes)


def test_what_is_remembered_of_clients_comes_to_what_they_got_and_to_twice_a_request_beside_it():
    a_request = 2 * 1_052_672 + 256
    assert most_results_bytes(SETTINGS) == 3 * 5 * (1_052_672 + a_request)

"""What a message costs is measured by a program of messages alone."""

from bcr_bench.prediction.message_cost import message_cost


def test_a_message_costs_both_sides_time():
    cost = message_cost(100, is_stock=False, messages=2_000)
    assert cost is not None
    assert cost.round_trip_us > 0
    assert cost.cpu_us == cost.send_cpu_us + cost.receive_cpu_us

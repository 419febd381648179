"""Configurations that follow each other soon serve longer and longer before they are replaced (specification, 7a)."""

from bcr.chain.pauses import CALM, LEAST_MS, MOST_MS, Pauses, Repetitions


def owed_at_once(pauses, times):
    return [pauses.owed_ms(0.0) for _ in range(times)]


def test_the_first_replacement_waits_for_nothing():
    assert Pauses().owed_ms(0.0) == 0.0


def test_each_that_is_replaced_soon_doubles_the_pause_up_to_a_limit():
    assert owed_at_once(Pauses(), 9) == [0.0, 50.0, 100.0, 200.0, 400.0, 800.0, 1600.0, 3200.0, 3200.0]
    assert (LEAST_MS, MOST_MS) == (50.0, 3200.0)


def test_what_a_configuration_has_served_is_not_owed_any_more():
    pauses = Pauses()
    owed_at_once(pauses, 3)
    assert pauses.owed_ms(150.0) == 50.0
    assert pauses.owed_ms(401.0) == 0.0


def test_a_configuration_that_served_four_times_the_pause_owes_none_and_the_next_the_least():
    pauses = Pauses()
    owed_at_once(pauses, 3)  # 200 ms are next
    assert pauses.owed_ms(CALM * 200.0 + 1) == 0.0
    assert pauses.owed_ms(0.0) == LEAST_MS


def test_one_that_served_not_quite_so_long_lets_the_pause_grow():
    pauses = Pauses()
    owed_at_once(pauses, 3)
    assert pauses.owed_ms(CALM * 200.0) == 0.0
    assert pauses.owed_ms(0.0) == 400.0


def test_before_there_is_a_pause_a_configuration_is_calm_after_four_times_the_least():
    pauses = Pauses()
    pauses.owed_ms(CALM * LEAST_MS + 1)
    assert pauses.owed_ms(CALM * LEAST_MS + 1) == 0.0
    assert pauses.owed_ms(0.0) == LEAST_MS


def test_who_asks_without_end_is_heeded_after_1_2_4_and_at_the_most_16_pauses():
    repetitions = Repetitions(1_000)
    heeded = [second for second in range(80) if repetitions.heeds("replica_1", second)]
    assert heeded == [0, 1, 3, 7, 15, 31, 47, 63, 79]
    assert (repetitions.times("replica_1"), repetitions.times("replica_0")) == (len(heeded), 0)


def test_each_is_heeded_for_itself():
    repetitions = Repetitions(1_000)
    assert [repetitions.heeds(name, 5.0) for name in ("replica_1", "replica_2", "replica_1")] == [True, True, False]

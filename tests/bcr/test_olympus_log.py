"""What Olympus finds again on its disk (specification, 13.7)."""

import pytest
from test_stable import MemoryDisk

from bcr.chain.configuration import Configuration, Member
from bcr.chain.reconfiguration import ReconfigurationReport
from bcr.chain.settings import Settings
from bcr.signed.encoding import encode
from bcr.signed.signing import Signed, SigningKey
from bcr.signed.statements import Outcome, Voucher
from bcr.stable.chain import reserved_for
from bcr.stable.disk import DamagedError, DiskError, sealed
from bcr.stable.olympus_log import TURNS, OlympusLog, ReconfigurationDecision, Served, Terms
from bcr.state.buckets import bucket_of
from bcr.state.running import Snapshot

KEY = SigningKey(bytes(32))
TERMS = Terms.of(Settings(t=1, num_clients=1))
STATE = Snapshot.of({"movie": "star wars", "book": "dune"}, ((0, ((7, Outcome(0, 3, 0, ("OK",))),)),))
NEXT = Snapshot.of({"movie": "star trek"}, ())
ISSUED = Signed.sign(Configuration(4, 1, (Member(b"k", "a"),) * 3, (Member(b"c", "b"),)), 0, KEY)
ACCOUNT = ReconfigurationReport(
    source=4, target=5, requested_by="replica_0", reason="it began again", blamed=None, quorums_tried=((0, 1),), quorum=(0, 1), why_not=(),
    invalid_histories={}, olympus_results=((0, 7),), clock="a clock", detected_ns=1, detected_ms=1.0, wedged_ms=2.0, caught_up_ms=3.0,
    fetched_ms=4.0, active_ms=None,
)  # fmt: skip
VOUCHER = Voucher(4, 3, 0, 7, b"digest", Outcome(4, 3, 0, ("OK",)))


@pytest.fixture
def disk():
    return MemoryDisk()


def opened(disk, seed=b"other" * 8, run="this run"):
    return OlympusLog(disk, seed, TERMS, run)


def test_the_key_is_the_first_ones_and_every_opening_counts_from_above_the_last(disk):
    first, second, third = opened(disk, b"first"), opened(disk), opened(disk)
    assert (first.seed, second.seed, third.seed) == (b"first",) * 3
    assert [each.first for each in (first, second, third)] == [0, TURNS, 2 * TURNS]


def test_no_number_is_given_twice(disk):
    assert [opened(disk).burn(0), opened(disk).burn(0), opened(disk).burn(1), opened(disk).burn(9), opened(disk).burn(3)] == [
        0,
        1,
        2,
        9,
        10,
    ]


def test_no_client_gets_a_number_that_another_got_before_a_restart(disk):
    log = opened(disk)
    for number in range(5, 2_500):
        log.name_client(number)
    assert [opened(disk).clients, opened(disk).clients] == [3_005, 3_005]


def test_what_was_issued_is_found_with_its_state_and_its_mute_replicas(disk):
    opened(disk).issue(ISSUED, ("replica_2",), STATE)
    log = opened(disk)
    assert (log.issued.configuration, log.issued.mute, log.state, log.decided) == (ISSUED, ("replica_2",), STATE, None)


def test_what_was_decided_stands_until_the_next_configuration_is_issued(disk):
    log = opened(disk)
    log.issue(ISSUED, (), STATE)
    log.decide((VOUCHER,), NEXT, ACCOUNT)
    again = opened(disk)
    assert (again.decided, again.state, again.issued.configuration) == (ReconfigurationDecision((VOUCHER,), ACCOUNT), NEXT, ISSUED)
    again.issue(ISSUED, (), NEXT)
    assert (opened(disk).decided, opened(disk).state) == (None, NEXT)


def test_another_run_knows_that_it_goes_on_until_it_has_issued(disk):
    opened(disk).issue(ISSUED, (), STATE)
    assert not opened(disk).is_continued
    assert opened(disk, run="another").is_continued
    again = opened(disk, run="another")
    assert again.is_continued
    again.issue(ISSUED, (), STATE)
    assert not opened(disk, run="another").is_continued


def test_a_log_of_another_service_is_refused(disk):
    opened(disk)
    with pytest.raises(DiskError, match="is of a service with t = 1 and not 2$"):
        OlympusLog(disk, b"", Terms.of(Settings(t=2, num_clients=1)), "this run")


@pytest.mark.parametrize("fact", ["seed", "terms", "era", "highest", "issued", "decided", "state"])
def test_a_fact_that_is_lost_or_damaged_is_told(disk, fact):
    opened(disk).issue(ISSUED, (), STATE)
    kept = disk.facts[fact]
    disk.facts[fact] = kept[:-1] + bytes((kept[-1] ^ 1,))
    with pytest.raises(DamagedError, match=f"the fact '{fact}' is not what was written"):
        opened(disk)
    del disk.facts[fact]
    with pytest.raises(DamagedError, match=f"lacks the fact '{fact}'"):
        opened(disk)


def test_a_state_that_is_damaged_is_told(disk):
    opened(disk).issue(ISSUED, (), STATE)
    number, body = next(iter(disk.parts.items()))
    disk.parts[number] = body[:-1] + b"?"
    with pytest.raises(DamagedError, match="the state on the disk of Olympus is not what was written"):
        opened(disk)


def test_sessions_of_clients_that_are_others_now_are_dropped():
    assert STATE.with_sessions_of({0, 1}) is STATE
    assert STATE.with_sessions_of({1}) == Snapshot.of({"movie": "star wars", "book": "dune"}, ())


def test_the_pause_that_it_owes_is_found_again_with_what_was_issued_and_so_is_since_when_that_serves(disk):
    log = opened(disk)
    log.issue(ISSUED, (), STATE, since_ns=5)
    assert opened(disk).served == Served(0.0, 5)
    log.owe(200.0)
    log.decide((VOUCHER,), NEXT, ACCOUNT)
    assert opened(disk).served == Served(200.0, 5)
    log.issue(ISSUED, (), NEXT, since_ns=9)
    assert opened(disk).served == Served(200.0, 9)


def test_a_log_from_before_pauses_were_kept_owes_none(disk):
    opened(disk).issue(ISSUED, (), STATE)
    del disk.facts["served"]
    assert opened(disk).served == Served()


def test_how_far_one_opening_counts_is_the_same_for_all_versions_of_the_code(disk):
    # Of what was said no more is written than how often the log was opened: whoever counted less far would say it anew.
    opened(disk)
    assert opened(disk).first == 1_099_511_627_776


def test_where_nothing_was_given_yet_no_number_is_and_none_of_a_client(disk):
    for _ in range(3):
        log = opened(disk)
        assert (log.highest, log.clients) == (-1, 0)


def test_a_fact_that_is_whole_and_says_nothing_is_damage(disk):
    opened(disk)
    disk.facts["era"] = sealed("era", encode("the first"))
    with pytest.raises(DamagedError, match="memory is not what was written"):
        opened(disk)


def test_what_is_known_of_a_log_that_was_lost_stands_in_the_new_one(disk):
    opened(disk).recover(ISSUED, STATE, 7)
    log = opened(disk)
    assert (log.highest, log.issued.configuration, log.state) == (7, ISSUED, STATE)
    assert log.burn(0) == 8


def test_what_has_changed_of_the_state_is_written_and_nothing_else_and_as_much_is_set_aside_as_by_a_replica(disk):
    opened(disk).issue(ISSUED, (), STATE)
    assert disk.written == dict(STATE.buckets)
    opened(disk).decide((VOUCHER,), Snapshot.of({"movie": "star trek", "book": "dune"}, ()), ACCOUNT)
    assert set(disk.written) == {bucket_of("movie")}
    assert disk.reserved == reserved_for(disk.parts)

"""`./bcr fuzz`: the same seed sends the same, and what it looks for it finds."""

import logging
import random
import re
import subprocess
import sys
from types import SimpleNamespace

import psutil
import pytest

from bcr_fuzz import fuzz, runs


def test_the_codec_bears_it(capsys):
    assert fuzz.main(["codec", "--messages", "500"]) == 0
    assert "500" in capsys.readouterr().out


def test_an_error_of_the_codec_is_found_with_its_seed(monkeypatch, capsys):
    import da  # noqa: F401 - before the modules of the layer

    from dacurrent import envelopes

    def decode(data):
        raise KeyError("not refused")

    monkeypatch.setattr(envelopes, "decode", decode)
    assert fuzz.main(["codec", "--messages", "3", "--seed", "7"]) == 1
    assert "seed 7, message 0: KeyError('not refused')" in capsys.readouterr().out


def test_another_kind_is_refused(capsys):
    assert fuzz.main(["codecs"]) == 2
    assert "strangers, insiders, handlers, simulated, codec" in capsys.readouterr().err


@pytest.mark.parametrize("seed", range(5))
def test_a_seed_says_what_is_changed(seed):
    one, other = random.Random(seed), random.Random(seed)
    for _ in range(50):
        assert fuzz.changed_bytes(b"some bytes to be changed", one) == fuzz.changed_bytes(b"some bytes to be changed", other)
        assert repr(fuzz.odd_value(one)) == repr(fuzz.odd_value(other))


def test_no_bytes_can_be_changed_too():
    assert all(isinstance(fuzz.changed_bytes(b"", random.Random(seed)), bytes) for seed in range(50))


def test_a_run_that_strangers_speak_to_passes_and_has_its_verdict_soon_behind_the_flood(capsys):
    assert fuzz.main(["strangers", "--messages", "300", "--minutes", "0.2"]) == 0
    printed = capsys.readouterr().out
    assert re.search(r"pass \d", printed)
    behind_s = [float(each) for each in re.findall(r"ended ([\d.]+) s behind the moment at which its clients left", printed)]
    assert behind_s and max(behind_s) < 60


@pytest.mark.parametrize(
    ("left", "rate", "left_s", "lasts_s"),
    [(1_000, 50, 300, 20), (10, 50, 300, 5), (50_000, 50, 300, 60), (50_000, 50, 30, 30), (1_000, 50, -1, 5)],
)
def test_a_run_lasts_as_long_as_it_takes_to_send_what_is_left(left, rate, left_s, lasts_s):
    assert runs.lasting_s(left, rate, left_s) == lasts_s


def test_a_run_that_begins_under_a_flood_passes(capsys):
    assert fuzz.main(["starts", "--starts", "1", "--minutes", "2"]) == 0
    assert "pass 1" in capsys.readouterr().out


def test_a_run_whose_handlers_get_changed_messages_passes_and_is_compared_in_turns(capsys, monkeypatch):
    monkeypatch.setattr(fuzz, "LEAST_TURNS", 10_000)  # so short a run says nothing of throughput
    monkeypatch.setattr("bcr_fuzz.turns.TURN_S", 0.1)
    assert fuzz.main(["handlers", "--messages", "300", "--minutes", "1", "--compare", "--operations", "200"]) == 0
    assert re.search(r"[1-9]\d* turns each: [1-9][\d,]* operations/s at [1-9]", capsys.readouterr().out)


def turns(*rates):
    return tuple(fuzz.Turn(2.0, 100, 2 * rate) for rate in rates)


@pytest.mark.parametrize(
    ("share", "mib", "count", "finding"),
    [
        (0.85, 132.0, 180, None),
        (
            0.84,
            100.0,
            100,
            "10 turns each: 84 operations/s at 50 messages/s, 100 while 50/s were discarded elsewhere: 0.84, less than 0.85",
        ),
        (1.0, 133.0, 100, "133 MiB, 100 before anything was sent"),
        (1.0, 100.0, 181, "181 descriptors, 100 before anything was sent"),
    ],
)
def test_what_a_run_loses_by_what_is_sent_to_it_is_a_finding(share, mib, count, finding):
    attacked = turns(*[round(100 * share)] * 10)
    measured = fuzz.FuzzMeasurement(attacked, turns(*[100] * 10), 100.0, mib, 100, count)
    assert fuzz.compared(fuzz.FuzzTally(measured=[measured])) == ([finding] if finding else [])


@pytest.mark.parametrize(
    ("judging_mib", "answered", "finding"),
    [
        (132.0, 0, None),
        (133.0, 0, "133 MiB with the record of 0 operations, 100 before"),
        (191.0, 10_240, None),
        (193.0, 10_240, "193 MiB with the record of 10,240 operations, 100 before"),
    ],
)
def test_who_judges_a_run_may_hold_its_record_and_no_more(judging_mib, answered, finding):
    measured = fuzz.FuzzMeasurement((), (), 100.0, 100.0, 10, 10, judging_mib=judging_mib, answered=answered)
    tally = fuzz.FuzzTally(measured=[measured])
    assert fuzz.compared(tally) == ([finding] if finding else [])
    assert f"{judging_mib:.0f} MiB with the record of {answered:,} operations" in tally.notes[0]


@pytest.mark.parametrize(
    ("looks", "held"),
    [
        ([], (50, 0, 0)),
        ([(51, 10), (52, 20)], (51, 52, 20)),
        ([(51, 10), (90, 10), (60, 20), (61, 20), (80, 20), (70, 20)], (90, 80, 20)),
    ],
)
def test_what_is_held_before_the_last_answer_is_told_from_what_is_held_behind_it(looks, held):
    memory = runs.MemoryOfRun(50)
    for mib, answered in looks:
        memory.look(mib, answered)
    assert (memory.serving_mib, memory.judging_mib, memory.answered) == held


LEAK = """
from dacurrent.transport import TcpTransport
kept, stock_drop = [], TcpTransport._drop
def drop(self, inbound, why=None):
    kept.append(b"x" * (1 << 19))
    stock_drop(self, inbound, why)
TcpTransport._drop = drop
"""


def test_a_leak_by_what_is_sent_is_found_whatever_the_run_answers(capsys, monkeypatch):
    monkeypatch.setattr(runs, "RUN", runs.RUN.replace("import da\n", f"import da\n{LEAK}", 1))
    assert fuzz.main(["strangers", "--messages", "1000", "--minutes", "0.2"]) == 1
    printed = capsys.readouterr().out
    assert re.search(r"strangers: \d+ MiB, \d+ before anything was sent", printed)
    assert "pass 1" in printed


def test_of_turns_that_follow_each_other_the_median_counts():
    measured = fuzz.FuzzMeasurement(turns(10, 45, 100, 9), turns(10, 50, 100), 0.0, 0.0, 0, 0)
    assert (fuzz.share_of([measured]).value, fuzz.share_of([measured]).turns) == (1.0, 3)


def test_the_turns_of_all_runs_of_a_kind_count():
    one, other = (fuzz.FuzzMeasurement(turns(*[rate] * 5), turns(*[100] * 5), 0.0, 0.0, 0, 0) for rate in (80, 84))
    tally = fuzz.FuzzTally(measured=[one, other])
    assert fuzz.compared(tally)[0].startswith("10 turns each: 82 operations/s")
    assert len(tally.notes) == 3


def test_what_is_to_reach_a_handler_is_said_in_the_attacker_s_own_name(monkeypatch):
    import da  # noqa: F401 - before the modules of the layer
    from da import common, sim

    from dacurrent import envelopes, handshake, origins

    fields = {"pcls": sim.DistProcess, "name": "", "nodename": "node", "hostname": "127.0.0.1", "transports": (9,)}
    one, other = (tuple.__new__(common.ProcessId, (uid, 1, *fields.values())) for uid in (1, 2))
    sample = envelopes.encode(one, other, (sim.Command.Message, (None, ("shuttle", b"payload", 3))))
    sent = []
    channel = SimpleNamespace(identity=handshake.Identity(), port=9_000, send=lambda data, _address: sent.append(data))
    target = SimpleNamespace(processes=[one, other], samples=[sample], channel=channel, address_of=lambda _: ("127.0.0.1", 9))
    assert all(runs.handlers_words(target, random.Random(seed)) for seed in range(200))
    origin = origins.Origin(("127.0.0.1", 9_000), channel.identity.public)
    own = sum(origin.speaks_for(envelopes.decode(data)[0]) for data in sent)
    assert 150 < own < 200


def test_a_message_is_changed_in_one_part_and_not_in_its_name():
    chance = random.Random(1)
    for _ in range(50):
        changed = fuzz.changed_content(("shuttle", b"payload", 3), chance)
        assert changed[0] == "shuttle" and len(changed) == 3
        assert sum(repr(one) != repr(other) for one, other in zip(changed, ("shuttle", b"payload", 3), strict=True)) <= 1


def test_a_channel_of_somebody_is_quiet_and_leaves_logs_and_options_as_they_were():
    import da  # noqa: F401 - before the modules of the layer
    from da import common

    log, options = logging.getLogger("da.transport"), common.GlobalOptions
    before = log.level
    with runs._channel():
        assert log.level == logging.CRITICAL
    assert (log.level, common.GlobalOptions) == (before, options)


ATTACKER = """
import pathlib, sys, time
from bcr_fuzz import runs
run = runs.Target(pathlib.Path(sys.argv[1]), 1, 1_000_000)
print(run.process.pid, flush=True)
time.sleep(600)
"""


def test_where_the_attacker_is_killed_its_run_ends_with_it(tmp_path):
    with subprocess.Popen([sys.executable, "-c", ATTACKER, str(tmp_path)], stdout=subprocess.PIPE, text=True) as attacker:
        try:
            run = psutil.Process(int(attacker.stdout.readline()))
        finally:
            attacker.kill()
    _, alive = psutil.wait_procs([run], timeout=60)
    for each in alive:
        each.kill()
    assert not alive

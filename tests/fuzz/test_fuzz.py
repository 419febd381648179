"""`./bcr fuzz`: the same seed sends the same, and what it looks for it finds."""

import random

import pytest

from bcr_fuzz import fuzz


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


def test_a_run_that_strangers_speak_to_passes(capsys):
    assert fuzz.main(["strangers", "--messages", "300", "--minutes", "1", "--operations", "200"]) == 0
    assert "pass 1" in capsys.readouterr().out


def test_a_run_that_begins_under_a_flood_passes(capsys):
    assert fuzz.main(["starts", "--starts", "1", "--minutes", "2"]) == 0
    assert "pass 1" in capsys.readouterr().out


def test_a_run_whose_handlers_get_changed_messages_passes_beside_its_twin(capsys, monkeypatch):
    monkeypatch.setattr(fuzz, "LEAST_SHARE", 0.0)  # so short a run says nothing of throughput
    assert fuzz.main(["handlers", "--messages", "300", "--minutes", "1", "--compare", "--operations", "200"]) == 0
    printed = capsys.readouterr().out
    assert "1 pairs: " in printed
    assert "with the same sent elsewhere" in printed


@pytest.mark.parametrize(
    ("attacked", "finding"),
    [
        ((85.0, 132.0, 180), None),
        ((84.0, 100.0, 100), "0.84 of the throughput that there is with the same sent elsewhere, less than 0.85"),
        ((100.0, 133.0, 100), "133 MiB, 100 with the same sent elsewhere"),
        ((100.0, 100.0, 181), "181 descriptors, 100 with the same sent elsewhere"),
    ],
)
def test_what_a_run_loses_against_its_twin_is_a_finding(attacked, finding):
    tally = fuzz.Tally(compared=[(fuzz.Measured(*attacked), fuzz.Measured(100.0, 100.0, 100))])
    assert fuzz.compared(tally) == ([finding] if finding else [])


def test_a_message_is_changed_in_one_part_and_not_in_its_name():
    chance = random.Random(1)
    for _ in range(50):
        changed = fuzz.changed_content(("shuttle", b"payload", 3), chance)
        assert changed[0] == "shuttle" and len(changed) == 3
        assert sum(repr(one) != repr(other) for one, other in zip(changed, ("shuttle", b"payload", 3), strict=True)) <= 1

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
    assert "strangers, insiders, handlers, codec" in capsys.readouterr().err


@pytest.mark.parametrize("seed", range(5))
def test_a_seed_says_what_is_changed(seed):
    one, other = random.Random(seed), random.Random(seed)
    for _ in range(50):
        assert fuzz.changed_bytes(b"some bytes to be changed", one) == fuzz.changed_bytes(b"some bytes to be changed", other)
        assert repr(fuzz.odd_value(one)) == repr(fuzz.odd_value(other))


def test_no_bytes_can_be_changed_too():
    assert all(isinstance(fuzz.changed_bytes(b"", random.Random(seed)), bytes) for seed in range(50))


def test_a_run_that_strangers_speak_to_passes(capsys, monkeypatch):
    from bcr_fuzz import runs

    monkeypatch.setattr(runs, "OPERATIONS", 200)
    assert fuzz.main(["strangers", "--messages", "300", "--minutes", "1"]) == 0
    assert "pass 1" in capsys.readouterr().out


def test_a_run_that_begins_under_a_flood_passes(capsys):
    assert fuzz.main(["starts", "--starts", "1", "--minutes", "2"]) == 0
    assert "pass 1" in capsys.readouterr().out

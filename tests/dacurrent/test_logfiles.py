"""What a process logs is written before what it sends leaves it."""

import contextlib
import logging
import os

import pytest

from bcr_runtime.ambient import LogFile
from dacurrent import logfiles
from dacurrent.links import Links


class Recorded:
    """In the place of a log file and of a link's writing: who was asked to write, in order."""

    closed = False

    def __init__(self, order):
        self.order = order

    def flush(self):
        self.order.append("log")


@pytest.fixture
def files(monkeypatch):
    monkeypatch.setattr(logfiles, "_waiting", set())
    return logfiles._waiting


def test_the_log_is_written_before_the_messages_that_it_tells_of(files, monkeypatch):
    order = []
    logfiles.write_before_messages(Recorded(order))
    links = Links("127.0.0.1", 0, 100, b"", loop=None, identity=b"")
    link = links.to(("127.0.0.1", 1))
    links._unflushed.append(link)
    monkeypatch.setattr(links, "_write_waiting", lambda link: order.append("messages"))
    links.flush()
    assert order == ["log", "messages"]


def test_what_waits_is_written_once_where_the_process_forks(files, tmp_path):
    with open(tmp_path / "log", "a") as file:
        file.write("a line\n")
        logfiles.write_before_messages(file)
        child = os.fork()
        if child == 0:
            logfiles.flush()
            file.close()
            os._exit(0)
        os.waitpid(child, 0)
    assert (tmp_path / "log").read_text() == "a line\n"


def test_a_log_that_cannot_be_written_is_told_of_and_ends_nothing(files, caplog):
    file = open("/dev/full", "a")  # noqa: SIM115 - closing it fails
    file.write("a line\n")
    logfiles.write_before_messages(file)
    with caplog.at_level(logging.ERROR, "da.transport"):
        logfiles.flush()
    assert "/dev/full cannot be written" in caplog.text
    with contextlib.suppress(OSError):
        file.close()
    logfiles.write_before_messages(file)
    logfiles.flush()  # a closed one is left alone


def test_a_log_without_new_lines_costs_a_message_nothing(files, tmp_path):
    order = []
    log = Recorded(order)
    logfiles.write_before_messages(log)
    logfiles.flush()
    logfiles.flush()
    assert order == ["log"]
    file = LogFile(lambda: (tmp_path / "log").open("a"), tmp_path / "log")
    assert file not in files
    file.write("a line\n")
    assert file in files
    logfiles.flush()
    assert (tmp_path / "log").read_text() == "a line\n"
    assert not files
    file.close()

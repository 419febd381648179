"""Fixtures for tests that start nodes, or make transports of their own."""

import logging

import da  # noqa: F401 - first, as in a program: importing it imports the layer, each module when it can be
import pytest
from da import common
from nodes import Node

from dacurrent import frames, links, transport
from dacurrent.limited import LimitedLog


@pytest.fixture
def start(tmp_path):
    """Starts nodes, with a home of their own, that end with the test at the latest."""
    nodes = []

    def one(*arguments):
        nodes.append(Node(tmp_path, *arguments))
        return nodes[-1]

    yield one
    for node in nodes:
        node.kill()


@pytest.fixture
def options(monkeypatch):
    """DistAlgo's options, for a test to change; nothing that was logged before counts against what a test provokes."""
    options = {"message_buffer_size": 1 << 20, "hostname": "127.0.0.1", "min_port": 10_000, "max_port": 60_000}
    monkeypatch.setattr(common, "GlobalOptions", options)
    for module in (frames, links, transport):
        monkeypatch.setattr(module, "_log", LimitedLog(logging.getLogger("da.transport")))
    monkeypatch.setattr(links, "_ended_log", LimitedLog(logging.getLogger("da.transport.ended")))
    return options


@pytest.fixture
def made():
    """The transports that a test makes, which end with it."""
    made = []
    yield made
    for each in made:
        each.close()
        each.mesgloop.stop()

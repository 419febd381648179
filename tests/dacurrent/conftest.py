"""Fixtures for tests that start nodes."""

import da  # noqa: F401 - first, as in a program: importing it imports the layer, each module when it can be
import pytest
from nodes import Node


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

"""A name of a class means one thing in all packages and in all processes, of the specifications too."""

import ast
from collections import defaultdict
from functools import cache

import pytest
from test_house import PROJECT, SOURCES, name_of, processes_of

SPECIFIED = "the process of a specification is called as the one that is held against it"
# Name -> the files that have it, and why they may.
SHARED = {
    "Client": (
        {"spec/Shuttle.da", "spec/Figure2.da", "spec/AmongLiars.da", "src/Client.da"},
        SPECIFIED + "; each specification is a program of its own",
    ),
    "Olympus": ({"spec/Shuttle.da", "src/Olympus.da"}, SPECIFIED),
    "Replica": ({"spec/Shuttle.da", "src/Replica.da"}, SPECIFIED),
    "Server": ({"spec/Figure2.da", "spec/AmongLiars.da", "src/Raft.da"}, SPECIFIED),
    "Store": (
        {"src/bcr/objects/store.py", "src/bcr_client/store_client.py"},
        "the object, and what a program that uses it calls it: its place behind a gateway",
    ),
}


@cache
def files_by_class():
    """Name of a public class -> the files that define one, as they are called from the project's folder."""
    found = defaultdict(list)
    for path in sorted(SOURCES.rglob("*.py")):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                found[node.name].append(name_of(path))
    for path in sorted([*SOURCES.rglob("*.da"), *PROJECT.glob("spec/*.da")]):
        for process in processes_of(path):
            found[process.name].append(name_of(path))
    return found


def test_no_two_public_classes_have_one_name():
    found = files_by_class()
    assert len(found) > 500
    assert {name: files for name, files in found.items() if len(files) > 1 and name not in SHARED} == {}


@pytest.mark.parametrize("name", sorted(SHARED))
def test_whoever_shares_a_name_is_there_and_has_a_reason(name):
    files, reason = SHARED[name]
    assert sorted(files_by_class()[name]) == sorted(files)
    assert len(reason.split()) > 5

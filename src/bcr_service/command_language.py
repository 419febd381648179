"""What is typed at the console or on the command line, as calls of the client: read here, done nowhere."""

import ast
import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from bcr.scenario.diagnostics import nearest
from bcr_client import Refused
from bcr_client.json_values import escaped, json_in, json_of


class NotUnderstood(ValueError):
    """What was typed is no command; the text says what would be."""


class Form(msgspec.Struct, frozen=True):
    """A command: how it is written, and what for."""

    written: str
    purpose: str
    arguments: int
    has_value: bool = False


# Command -> its form. `failProcess` and its like are the words of the console that this one takes up.
FORMS: Mapping[str, Form] = {
    "get": Form("get KEY", "the value of a key", 1),
    "put": Form("put KEY VALUE", "write a value: a Python literal or JSON, or else the text itself", 1, True),
    "append": Form("append KEY VALUE", "put a value at the end of a list", 1, True),
    "delete": Form("delete KEY", "remove a value", 1),
    "keys": Form("keys [PREFIX]", "the keys, or those that begin so", 0),
    "proof": Form("proof KEY [FILE]", "read the value, say what is proved, and keep the proof in FILE", 1),
    "status": Form("status", "how the service is", 0),
    "log": Form("log", "what has happened to the chain", 0),
    "addServer": Form("addServer replica_3", "of Raft: one server more decides", 1),
    "removeServer": Form("removeServer replica_3", "of Raft: it decides no longer", 1),
    "transfer": Form("transfer replica_1", "of Raft: it is asked to lead", 1),
    "kill": Form("kill replica_1", "in the laboratory: end a replica", 1),
    "pause": Form("pause replica_1", "in the laboratory: let a replica stand still", 1),
    "resume": Form("resume replica_1", "in the laboratory: let it go on", 1),
    "fault": Form("fault replica_1 FAULT", "in the laboratory: as in scenario files: shuttle(0,3),change_result()", 1, True),
    "fail": Form("fail replica_1", "the same as kill", 1),
    "failProcess": Form("failProcess replica_1", "the same as kill", 1),
    "failLink": Form("failLink replica_0 replica_1", "in the laboratory: no messages between two replicas", 2),
    "fixLink": Form("fixLink replica_0 replica_1", "messages again; without names of all links", 0),
    "partition": Form("partition SIDES", "in the laboratory: two sides, such as 0 1 2 | 3 4, and no messages between them", 0, True),
    "restart": Form("restart replica_1", "the same as kill, where there are disks: it begins again", 1),
    "powerCut": Form("powerCut", "in the laboratory: Olympus and all replicas end at once, and begin again", 0),
    "help": Form("help", "this list", 0),
    "quit": Form("quit", "leave; Ctrl-D does too", 0),
    "exit": Form("exit", "the same as quit", 0),
}
# Command -> what the laboratory calls it.
OF_LABORATORY = {"kill": "kill", "fail": "kill", "failProcess": "kill", "pause": "pause", "resume": "resume",
                 "restart": "kill", "powerCut": "power_cut", "failLink": "fail_link", "fixLink": "fix_link", "fault": "fault", "partition": "partition"}  # fmt: skip
# Command -> how it is asked for, and below which path of /admin.
OF_MEMBERS = {"addServer": ("PUT", "members"), "removeServer": ("DELETE", "members"), "transfer": ("PUT", "leader")}
AS_TYPED = {"fault", "partition"}  # whose value is no value of the store
BEGINNINGS = ("{", "[", "(", "'", '"')  # of literals, and of hardly any text that is meant as it stands
SHOWN = 40  # characters of a value that is told of
OPTIONAL = {"keys": 1, "proof": 1, "fixLink": 2}  # so many words more


class Command(msgspec.Struct, frozen=True):
    """A command as it was understood."""

    name: str
    words: tuple[str, ...] = ()
    value: Any = None
    doubt: str = ""  # what is told of the value before it is written, where it may not be what was meant


def understood(line: str) -> Command | None:
    """The command in a line; None where it is empty. Raises NotUnderstood."""
    name, _, rest = line.strip().partition(" ")
    if not name:
        return None
    if name not in FORMS:
        raise NotUnderstood(f"no command {name}; {nearest(name, FORMS)}")
    form = FORMS[name]
    if form.has_value:
        words = []
        for _ in range(form.arguments):
            word, rest = _first_word(rest, form)
            words.append(word)
        if not rest.strip():
            raise NotUnderstood(f"expected {form.written}")
        return Command(name, tuple(words), rest) if name in AS_TYPED else with_value(name, tuple(words), rest)
    words = []
    while rest.strip():
        word, rest = _first_word(rest, form)
        words.append(word)
    return checked(Command(name, tuple(words)))


def checked(command: Command) -> Command:
    """The command, if it has as many words as it needs. Raises NotUnderstood."""
    form = FORMS[command.name]
    if not form.arguments <= len(command.words) <= form.arguments + OPTIONAL.get(command.name, 0):
        raise NotUnderstood(f"expected {form.written}")
    return command


def _first_word(text: str, form: Form) -> tuple[str, str]:
    """The first word, which may stand in quotes, and what is behind it."""
    found = re.match(r"""\s*('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|\S+)(?:\s+|$)(.*)""", text, re.DOTALL)
    if found is None:
        raise NotUnderstood(f"expected {form.written}")
    word = found[1]
    if word[0] in "'\"":
        try:
            word = ast.literal_eval(word)
        except (ValueError, SyntaxError) as error:
            raise NotUnderstood(f"no text: {word}") from error
    return word, found[2].strip()


def value_of(text: str) -> Any:
    """A value as it was typed: a Python literal, JSON, or else the text itself. Raises NotUnderstood for what JSON has not."""
    refusal: Refused | None = None
    for read in (ast.literal_eval, json_in):
        try:
            value = read(text)
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            continue
        try:
            json_of(value)
        except Refused as error:  # of a number that is too large for Python's floats JSON has more
            refusal = refusal or error
            continue
        return value
    if refusal is not None:
        raise NotUnderstood(f"a store keeps JSON, and {text[:40]} is none: {refusal}") from refusal
    return text


def with_value(name: str, words: tuple[str, ...], text: str) -> Command:
    """The command with the value that was typed. Raises NotUnderstood."""
    value = value_of(text)
    is_in_doubt = value == text and text.lstrip().startswith(BEGINNINGS)
    doubt = f"{_cut(text)} begins as a literal and is none, so the text itself is the value" if is_in_doubt else ""
    return Command(name, words, value, doubt)


def _cut(text: str) -> str:
    return escaped(text if len(text) <= SHOWN else f"{text[:SHOWN]}…")


def helped(names: Sequence[str] = tuple(FORMS)) -> str:
    """The list of commands."""
    width = max(len(FORMS[name].written) for name in names) + 2
    return "\n".join(f"  {FORMS[name].written:<{width}}{FORMS[name].purpose}" for name in names)

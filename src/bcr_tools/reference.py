"""Writes the pages of docs/reference/: of scenario files from what reads them, of commands from their parsers, of the client from
its docstrings."""

import argparse
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from bcr.faults import vocabulary
from bcr.faults.vocabulary import SERVER_FAILURES, FailureWord, TriggerWord
from bcr.scenario.expectations import COMPARISONS_OF, SUBJECTS
from bcr.scenario.keys import CHOICES, COUNTERS, INDEXED, INDICES, TEXTS
from bcr.scenario.protocols import PROTOCOLS, SHUTTLE, WORDS
from bcr.scenario.reading import TIMES
from bcr.scenario.simulation import LIMITS, OPTIONS
from bcr.scenario.values import NUMBERS, Range
from bcr_runtime.places import PROJECT
from bcr_tools import client_page, commands_page
from bcr_tools.commands_page import Commands

PAGE = PROJECT / "docs" / "reference" / "scenario.md"
LETTERS: Mapping[str, str] = {
    "client": "c", "count": "m", "number": "n", "milliseconds": "ms", "position": "i", "message": "kind", "group": "{i,j}",
    "microseconds": "µs", "permille": "‰", "rate": "‰", "process": "replica_i", "party": "replica_i", "replica": "replica_i",
    "durable": "replica_i", "bytes": "bytes",
    "disk_fault": "full", "string": "'key'",
}  # fmt: skip
HEAD = """# Scenario files

Written by `./bcr reference` from the declarations by which scenario files are read; a test holds it against them.

A scenario file is `name = value` lines, or YAML with the same names. Everything counts from 0 unless the file says otherwise.
`./bcr check FILE` reads a file and tells whatever is wrong with it, at once, with line, column and the nearest valid word.
"""


def page() -> str:
    """The whole reference page."""
    return "\n".join([HEAD, *_numbers(), *_texts(), *_faults(), *_protocols(), *_simulation(), *_expectations()]) + "\n"


def main(arguments: Sequence[str], commands: Commands) -> int:
    """`bcr reference`: writes the pages; with --check only says, by its exit status, whether they are as they should be.

    `commands` is the command line's table: name -> what does it, and what it is for.
    """
    parser = argparse.ArgumentParser(prog="bcr reference", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; 1 where a page is not what it would be")
    parser.add_argument("--output", type=Path, default=PAGE.parent, metavar="FOLDER", help="of the pages (default: %(default)s)")
    options = parser.parse_args(arguments)
    pages = {
        options.output / PAGE.name: page(),
        options.output / commands_page.PAGE.name: commands_page.page(commands),
        options.output / client_page.PAGE.name: client_page.page(),
    }
    if options.check:
        behind = [path for path, text in pages.items() if not path.exists() or path.read_text() != text]
        for path in behind:
            print(f"bcr reference: {path} is not what the declarations say; ./bcr reference renews it", file=sys.stderr)
        return 1 if behind else 0
    options.output.mkdir(parents=True, exist_ok=True)
    for path, text in pages.items():
        path.write_text(text)
        print(path)
    return 0


def _table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [titles, ["---"] * len(titles), *rows]
    return ["| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines] + [""]


def _numbers() -> list[str]:
    def row(name: str, limits: Range) -> list[str]:
        default = "must be given" if limits.default is None else f"{limits.default:,}"
        unit = "ms, or s" if name in TIMES else ""
        return [f"`{name}`", unit, default, f"{limits.least:,} to {limits.most:,}", limits.why]

    own = {**NUMBERS, "counters_start_at": COUNTERS, "indices_start_at": INDICES}
    return ["## Numbers", "", *_table(["key", "unit", "default", "limits", "what it is, or why so many"],
                                      (row(name, limits) for name, limits in own.items()))]  # fmt: skip


def _texts() -> list[str]:
    rows = [
        [f"`{name}`", " or ".join(f"`{choice}`" for choice in CHOICES.get(name, ())) or "text", meaning] for name, meaning in TEXTS.items()
    ]
    indexed = [[f"`{name}`", meaning] for name, meaning in INDEXED.items()]
    return ["## Other keys", "", "Of several choices the first is the default.", "", *_table(["key", "value", "what it is"], rows),
            *_table(["key with an index", "value"], indexed)]  # fmt: skip


def _call(name: str, kinds: Sequence[str]) -> str:
    return f"`{name}({','.join(LETTERS[kind] for kind in kinds)})`"


def _faults() -> list[str]:
    return [
        "## Faults of replicas",
        "",
        "`failures[c,r] = trigger,failure; …` is what the replica at position r of configuration c does wrong, and when. c is a",
        "client, under whatever number it asks in its session, m counts receipts, n is a number, i a position, kind the name of a message:",
        ", ".join(f"`{name}`" for name in vocabulary.MESSAGES) + ".",
        "",
        *_triggers(vocabulary.TRIGGERS),
        *_failures(vocabulary.FAILURES),
        "## Faults of clients",
        "",
        "`client_failures[k] = trigger,failure; …`: client k is faulty then, and nothing is owed to it.",
        "",
        *_triggers(vocabulary.CLIENT_TRIGGERS),
        *_failures(vocabulary.CLIENT_FAILURES),
        "## Faults of links",
        "",
        "`links[a,b] = trigger,action; …` and `links = trigger,action`, in configuration 0, with the triggers of replicas.",
        "",
        *_table(["action", "what happens"],
                ([_call(name, word.arguments), word.meaning] for name, word in vocabulary.LINK_ACTIONS.items())),
    ]  # fmt: skip


def _triggers(words: Mapping[str, TriggerWord]) -> list[str]:
    return _table(["trigger", "strikes at"], ([_call(name, word.arguments), word.meaning] for name, word in words.items()))


def _failures(words: Mapping[str, FailureWord]) -> list[str]:
    def where(word: FailureWord) -> str:
        only = f"only with `{word.only_with[0]}`: {word.only_with[1]}" if word.only_with else ""
        crc = f"not with `crc`: {word.no_accident}" if word.no_accident else ""
        sim = f"not simulated: {word.not_simulated}" if word.not_simulated else ""
        return "; ".join(part for part in (only, crc, sim) if part)

    return _table(["failure", "what happens", "goes as far as", "where not"],
                  ([_call(name, word.arguments), word.meaning, word.effect, where(word)] for name, word in words.items()))  # fmt: skip


def _protocols() -> list[str]:
    lines = ["## Protocols", "", "`protocol = shuttle` has all that stands above. What another has instead, and what it refuses:", ""]
    for protocol in PROTOCOLS.values():
        if protocol is SHUTTLE:
            continue
        refused = [f"`{key}` other than `{value}` ({why})" for key, (value, why) in protocol.refused.items()]
        refused += [f"`{key}` ({why})" for key, why in protocol.keys_refused.items()]
        refused += [f"`{word}` in `simulation` ({why})" for word, why in protocol.options.items()]
        refused += [f"`disk` with `{fault}` ({why})" for fault, why in protocol.disk_faults_refused.items()]
        known = ", ".join(f"`{name}`" for name in protocol.failures if name in WORDS and not protocol.meanings.get(name))
        lies = ", ".join(f"`{name}`" for name in protocol.lies)
        allowed = f"; with `allow_lies = yes` also {lies}" if lies else ""
        lines += [
            f"### {protocol.title}: `protocol = {protocol.name}`", "",
            f"{protocol.per_fault}t+1 servers. A result is shown to be right by {protocol.proof}. Says nothing to it: "
            + ", ".join(f"`{key}`" for key in protocol.ignored) + ".", "",
            f"Failures of servers: {known}{allowed}. Configurations are all number 0.", "",
            "Refused: " + "; ".join(refused) + "; faults of clients.", "",
            *_triggers(protocol.triggers),
            *(_failures(SERVER_FAILURES) if not protocol.why_no_return else []),
        ]  # fmt: skip
        if protocol.meanings:
            told = ([_call(name, WORDS[name].arguments), meaning] for name, meaning in protocol.meanings.items() if meaning)
            lines += _table(["failure of a server", "what happens"], told)
    return lines


def _simulation() -> list[str]:
    limits = ", ".join(f"{kind} up to {most:,}" for kind, most in LIMITS.items())
    return [
        "## Simulation", "", "`simulation = seed(7); delay(50,3000); …`. A process is `replica_i` or `client_k`; where two are",
        f"named, `olympus` can be one. Limits: {limits}. Of two times of an option that says when it begins and when it ends the first is not",
        "the later one. Of what can be there only once, as `seed`, the last counts, and a warning says so.", "",
        *_table(["option", "what it does, in virtual time"],
                ([_call(name, option.arguments), option.meaning] for name, option in OPTIONS.items())),
    ]  # fmt: skip


def _expectations() -> list[str]:
    def name_of(name: str, arguments: Sequence[str]) -> str:
        return f"`expect[{', '.join([name, *({'client': 'i', 'number': 'i', 'string': 'key'}[each] for each in arguments)])}]`"

    rows = [
        [name_of(name, subject.arguments) + (f" or `expect[{name}]`" if subject.of_any else ""),
         " ".join(f"`{comparison}`" for comparison in COMPARISONS_OF[subject.value]), subject.meaning]
        for name, subject in SUBJECTS.items()
    ]  # fmt: skip
    return ["## Expectations", "", "`expect[…] = comparison value`, where `==` may be left out; a run that does not show it fails. Where no run",
            "can show it, as the result of an operation that the client does not have, a warning says so when the file is read.", "",
            *_table(["what", "comparisons", "meaning"], rows)]  # fmt: skip

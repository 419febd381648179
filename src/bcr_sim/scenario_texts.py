"""Changes the text of a scenario file, and finds in it what its reader finds: however keys and words are written, and with comments behind them."""

from collections.abc import Mapping
from typing import Any

from bcr.scenario.diagnostics import ValueProblem
from bcr.scenario.entries import KEY, entries_of, split_index
from bcr.scenario.grammar import Cursor, items, known
from bcr.scenario.reading import SYNONYMS
from bcr.scenario.simulation import OPTIONS

CONFIG = "seed.config"  # a name that says of which form the text is
LISTS = ("failures", "client_failures", "simulation")  # keys whose values are separated by ; and have no strings


def with_values(text: str, values: Mapping[str, str]) -> str:
    """The text of a `.config` file in which these keys, which have no index, have these values, whatever they have had before.

    A value stands where the last one stood, which counts, or at the end. All other lines are as they were.
    """
    lines = _lines(text)
    places: dict[str, list[int]] = {}
    for entry in entries_of(text, CONFIG)[0]:
        places.setdefault(_name(entry.key), []).append(entry.line - 1)
    dropped: set[int] = set()
    added = []
    for name, value in values.items():
        *earlier, last = places.get(name, [None])
        dropped.update(place for place in earlier if place is not None)
        if last is None:
            added.append(f"{name} = {value}")
        else:
            lines[last] = f"{name} = {value}"
    return "\n".join([line for place, line in enumerate(lines) if place not in dropped] + added) + "\n"


def with_seed(text: str, seed: int) -> str:
    """The text of a `.config` file with this seed in `simulation`, whose other words stay."""
    value = ""
    for entry in entries_of(text, CONFIG)[0]:
        if _name(entry.key) == "simulation":
            value = entry.value
    return with_values(text, {"simulation": "; ".join([f"seed({seed})", *_other_words(value)])})


def plain(text: str) -> str:
    """The text of a `.config` file with one line for each key that counts, as it is called, and nothing else: no comment, no key twice."""
    found: dict[str, str] = {}
    for entry in entries_of(text, CONFIG)[0]:
        match = KEY.fullmatch(entry.key)
        if match is None:
            continue
        name, index = _name(entry.key), match[3]
        value = entry.value
        if name in LISTS:
            value = "; ".join(part.strip() for part in value.split(";") if part.strip())
        elif index is None:
            value = value.rstrip("; \t")
        found[name if index is None else f"{name}[{','.join(split_index(index))}]"] = value
    seed = _seed_of(found.get("simulation", ""))
    written = "".join(f"{key} = {value}\n" for key, value in found.items())
    return written if seed is None else with_seed(written, seed)


def _lines(text: str) -> list[str]:
    """The lines by which places are counted."""
    lines = text.removeprefix("\ufeff").split("\n")
    return lines[:-1] if not lines[-1] else lines


def _name(key: str) -> str:
    """The key without its index, as its reader calls it."""
    match = KEY.fullmatch(key)
    name = match[1].lower() if match else ""
    return SYNONYMS.get(name, name)


def _other_words(simulation: str) -> list[str]:
    """The words of the value but for `seed`; the whole value where it makes no sense, for its reader to say so."""
    problems: list[ValueProblem] = []
    calls = items(simulation, _word, "options", _ignore, problems.append)
    if problems:
        return [simulation]
    return [call.text for call in calls if call.name != "seed"]


def _seed_of(simulation: str) -> int | None:
    """The seed that the value says, if it says one."""
    problems: list[ValueProblem] = []
    calls = items(simulation, _word, "options", _ignore, problems.append)
    seeds = [call.arguments[0] for call in calls if call.name == "seed" and call.arguments]
    return int(seeds[-1]) if seeds and not problems and seeds[-1].isdecimal() else None


def _word(cursor: Cursor) -> Any:
    return known(cursor.call(), OPTIONS, "option of the simulator", _ignore)


def _ignore(_text: str, _offset: int) -> None: ...

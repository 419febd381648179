"""Makes a scenario that fails as small as it can be and still fail in the same way."""

import re
from collections.abc import Callable, Iterator

from bcr.scenario import ScenarioError
from bcr_sim.scenario_texts import plain

MAX_RUNS = 400
OTHER_SEEDS = 3  # a smaller scenario has another schedule, so others are tried too
DEFAULTS = ("client_window", "batch_limit", "operations_per_request", "wedge_grace", "olympus_timeout", "checkpt_interval",
            "acceptance")  # fmt: skip
FAULTS = ("failures[", "client_failures[")
_OFTEN = re.compile(r"(,\w+\()([2-9]|\d{2,})\)$")  # a pair whose failure strikes several times, or for long


def shrunk(text: str, kind: str, kind_of: Callable[[str], str], max_runs: int = MAX_RUNS) -> str:
    """The smallest scenario file found whose run fails with `kind`; `kind_of` runs one and says how, "" for not."""
    text, runs = plain(text), 0
    is_smaller = True
    while is_smaller and runs < max_runs:
        is_smaller = False
        for candidate in _smaller(text):
            for variant in _with_seeds(candidate):
                runs += 1
                try:
                    fails = kind_of(variant) == kind
                except ScenarioError:
                    break  # it makes no sense, with any seed
                if fails:
                    text, is_smaller = variant, True
                    break
                if runs >= max_runs:
                    return text
            if is_smaller:
                break
    return text


def _with_seeds(text: str) -> Iterator[str]:
    yield text
    for seed in range(OTHER_SEEDS):
        yield re.sub(r"seed\(\d+\)", f"seed({seed})", text)


def _smaller(text: str) -> Iterator[str]:
    """Scenarios with one thing less than a plain text says (bcr_sim.scenario_texts), what makes most difference first."""
    lines = text.rstrip("\n").split("\n")
    values = {key.strip(): value.strip() for key, _, value in (line.partition("=") for line in lines)}
    for number, line in enumerate(lines):
        if line.startswith(FAULTS):
            yield _joined(lines[:number] + lines[number + 1 :])
    for number, line in enumerate(lines):
        if line.startswith((*FAULTS, "simulation")):
            key, _, value = line.partition(" = ")
            items = [item for item in value.split("; ") if item]
            for index, item in enumerate(items):
                if not item.startswith("seed(") and len(items) > 1:
                    rest = "; ".join(items[:index] + items[index + 1 :])
                    yield _joined([*lines[:number], f"{key} = {rest}", *lines[number + 1 :]])
    clients, t = int(values["num_client"]), int(values["t"])
    if clients > 1:
        number = clients - 1 + int(values.get("indices_start_at", 0))
        fewer = [line for line in lines if not line.startswith((f"workload[{number}]", f"client_failures[{number}]"))]
        yield _joined(_with(fewer, "num_client", clients - 1))
    if t > 1:
        yield _joined(_with(lines, "t", t - 1))
    for number, line in enumerate(lines):
        count = re.fullmatch(r"(workload\[\d+\] = pseudorandom\(\d+,)(\d+)\)", line)
        if count and int(count[2]) > 1:
            for fewer_operations in dict.fromkeys((1, int(count[2]) // 2, int(count[2]) - 1)):
                yield _joined([*lines[:number], f"{count[1]}{fewer_operations})", *lines[number + 1 :]])
    for number, line in enumerate(lines):
        if line.startswith(FAULTS):
            key, _, value = line.partition(" = ")
            items = value.split("; ")
            for index, item in enumerate(items):
                if _OFTEN.search(item):
                    fewer_times = "; ".join([*items[:index], _OFTEN.sub(r"\g<1>1)", item), *items[index + 1 :]])
                    yield _joined([*lines[:number], f"{key} = {fewer_times}", *lines[number + 1 :]])
    for key in DEFAULTS:
        if key in values:
            yield _joined([line for line in lines if not line.startswith(f"{key} =")])


def _with(lines: list[str], key: str, value: int) -> list[str]:
    return [f"{key} = {value}" if line.startswith(f"{key} =") else line for line in lines]


def _joined(lines: list[str]) -> str:
    return "\n".join(lines) + "\n"

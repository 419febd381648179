"""Whom the processes of a run blame, as its result tells: beside the faults that the file asked for."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from bcr.scenario.protocols import SHUTTLE, member_name

FEW_THINGS = 4  # things of a kind that are told one by one


class Blame(msgspec.Struct, frozen=True):
    """A replica that somebody blames: by whom, in order, and whether a fault had struck it.

    Where the only ones who blame it are clients, who do not say of which configuration it is, there may be None.
    """

    configuration: int | None
    position: int
    by: tuple[str, ...]
    is_struck: bool

    def sentence(self) -> str:
        where = "" if self.configuration is None else f" of configuration {self.configuration}"
        why = "a fault had struck it" if self.is_struck else "no fault of the file had struck it"
        return f"replica {self.position}{where} by {listed(self.by)} ({why})"


def blamed(result: Mapping[str, Any]) -> list[Blame]:
    """Everybody whom requests for reconfiguration that were granted, and notices, blame; `result` is that of result.json."""
    by: dict[tuple[int | None, int], list[str]] = defaultdict(list)
    for change in result.get("reconfigurations", ()):
        if change.get("blamed") is not None:
            by[change["from"], change["blamed"]].append(change["requested_by"])
    for notice in result.get("notices", ()):
        if notice.get("blamed") is not None:
            by[_configuration_of(notice, by), notice["blamed"]].append(notice["by"])
    struck_places = {(fault["configuration"], fault["position"]) for fault in result.get("faults_injected", ()) if "position" in fault}
    positions = {position for _, position in struck_places}
    return [
        Blame(configuration, position, tuple(dict.fromkeys(each.replace("_", " ") for each in who)),
              (configuration, position) in struck_places or (configuration is None and position in positions))
        for (configuration, position), who in by.items()
    ]  # fmt: skip


def _configuration_of(notice: Mapping[str, Any], by: Mapping[tuple[int | None, int], Any]) -> int | None:
    """That of a notice; a client's has none, and then that in which somebody else blames the same position, if it is one only."""
    configuration: int | None = notice.get("configuration")
    others = {place[0] for place in by if place[1] == notice["blamed"]} - {None}
    return others.pop() if configuration is None and len(others) == 1 else configuration


def is_of_the_chain(result: Mapping[str, Any]) -> bool:
    """Whether there are configurations, and a tail."""
    return bool(result.get("protocol", SHUTTLE.name) == SHUTTLE.name)


def whose(fault: Mapping[str, Any], result: Mapping[str, Any]) -> str:
    """Whom a fault of the result struck."""
    if "client" in fault:
        return f"client {fault['client']}"
    return member_name(result.get("protocol", SHUTTLE.name), fault.get("configuration"), fault.get("position"))


def listed(things: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`; of many the first few and how many more."""
    if len(things) > FEW_THINGS + 1:
        things = [*things[:FEW_THINGS], f"{len(things) - FEW_THINGS} more"]
    return " and ".join([", ".join(things[:-1]), things[-1]] if len(things) > 1 else things)

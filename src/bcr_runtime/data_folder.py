"""The folder in which a service keeps its disks from one run to the next: looked at before anything is started."""

import re
from pathlib import Path

from bcr.chain.settings import Settings
from bcr.stable.disk import DiskError
from bcr.stable.olympus_log import OlympusFacts, Terms
from bcr_disk.folders import claim, claims, content_of, demand_usable
from bcr_runtime.ambient import LEAVE_LIMIT_S
from bcr_runtime.stable_storage import OLYMPUS


def open_data_folder(settings: Settings, owner: str) -> OlympusFacts | None:
    """Claim the folder that the settings name; returns what Olympus has kept there, None where it has not begun yet.

    Raises DiskError, in one line, where another process uses it, where it is of another service or another version, where others
    may read its keys, or where it is damaged.
    """
    folder = Path(settings.data_folder)
    claim(folder, owner, LEAVE_LIMIT_S)
    demand_usable(folder)
    content = content_of(folder, OLYMPUS)
    if content is None:
        others = sorted(path.name for path in folder.iterdir() if path.name.startswith("replica_"))
        if others:
            raise DiskError(f"{folder} has {others[0]} and no {OLYMPUS}.sqlite: the disk of Olympus is lost; "
                            f"./bcr olympus recover {folder} makes another")  # fmt: skip
        return None
    if not content.facts:
        return None
    facts = OlympusFacts.read(content, str(folder / OLYMPUS))
    difference = facts.terms.difference(Terms.of(settings))
    if difference:
        raise DiskError(f"{folder} is of a service with {difference}")
    if facts.issued is not None:
        _remove_outdated(folder, facts.issued.configuration.statement.number)
    return facts


def descriptors() -> tuple[int, ...]:
    """What holds the claims of this process: for another program that it starts, and that is to hold them too."""
    return claims()


def _remove_outdated(folder: Path, current: int) -> None:
    """Remove the disks of replicas that were replaced: all but those of the current configuration and of the one before.

    The current one may have issued a state that none of its replicas has yet; where Olympus's disk is lost with that, the one before
    still has it.
    """
    numbers = {path: int(found[1]) for path in folder.iterdir() if (found := re.match(r"replica_\d+-configuration_(\d+)\.", path.name))}
    before = max((number for number in numbers.values() if number < current), default=current)
    for path, number in numbers.items():
        if number < before:
            path.unlink()

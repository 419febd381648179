"""Where scenario files are looked for."""

from difflib import get_close_matches
from pathlib import Path

from bcr_runtime.places import SCENARIOS


class ScenarioNotFound(Exception):
    """No scenario file of this name; the text says where it was looked for, and what there is."""


def find_scenario(name: str) -> Path:
    """The scenario file of this name: as seen from the current directory, from `..`, from the project or its `config`.

    Raises ScenarioNotFound.
    """
    folders = list(dict.fromkeys([*_here(), SCENARIOS.parent, SCENARIOS]))
    for folder in folders:
        if _is_file(folder / name):
            return folder / name
    if name and _exists(Path(name)):
        return Path(name).absolute()  # a folder, a FIFO …: whoever reads it says so
    near_by = {Path(name).parent / path.name for folder in folders for path in _scenarios(folder / Path(name).parent)}
    there_are = [str(path) for path in near_by] or [path.name for path in _scenarios(SCENARIOS)]
    # By their stems: every name is a little like another that ends in .config too.
    there_are.sort(key=lambda each: (Path(each).suffix == Path(name).suffix, each))
    stems = {str(Path(each).with_suffix("")): each for each in there_are}
    close = get_close_matches(str(Path(name).with_suffix("")) if name else "", stems, n=1)
    hint = f"; did you mean {stems[close[0]]}?" if close else ""
    raise ScenarioNotFound(f"no scenario file {name} (looked in {', '.join(map(str, folders))}){hint}")


def _here() -> list[Path]:
    """The current directory and the one above it; none where it is gone."""
    try:
        return [Path.cwd(), Path.cwd().parent]
    except OSError:
        return []


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name too long for the file system, say
        return False


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # a name too long for the file system, say
        return False


def _scenarios(folder: Path) -> list[Path]:
    try:
        return [path for path in folder.iterdir() if path.suffix.lower() in (".config", ".yaml", ".yml")]
    except OSError:
        return []

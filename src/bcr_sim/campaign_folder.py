"""The folder of a campaign: what was done is kept line by line, so that it can be stopped and continued, and a page shows it.

A seed shows something of one state of the source only. So seeds count as done only if they were tried on the same commit, with the same
changes of it, and with the same source of an object of one's own.
"""

import hashlib
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from html import escape
from pathlib import Path

import msgspec

from bcr.objects.finding import BUILT_IN, named
from bcr_run.run_folder import write_whole
from bcr_runtime.places import IS_CHECKOUT, PROJECT, own_version
from bcr_sim.campaign import Counterexample, ShardTally
from bcr_sim.coverage import RARE
from bcr_sim.coverage_grid import grids
from bcr_sim.kept_lines import add_line, lines_of_type

LINES = "hunt.jsonl"
PAGE = "campaign.html"
MOST_FAILURES = 200  # on the page
CSS = """body{font:15px/1.5 system-ui,sans-serif;max-width:75em;margin:2em auto;padding:0 1em;color:#222;background:#fff}
table{border-collapse:collapse;margin:1em 0;font-size:13px}th,td{padding:.2em .6em;text-align:left;border-bottom:1px solid #ddd}
td.n{text-align:right}.never{color:#999}.grid td{padding:0;width:13px;height:15px;border:1px solid #fff}
.grid th{font-weight:400;padding:0 .5em}.grid thead th{writing-mode:vertical-rl;transform:rotate(180deg)}h2{margin-top:2em}.bad{color:#b00020}
.scroll{overflow-x:auto}"""


class Done(msgspec.Struct, frozen=True):
    """Seeds that were tried: with which settings, on which commit, in how many seconds of a worker, and what came of them.

    A line of an earlier version says how many seeds from the first, and not which: it is counted, and its seeds are tried again.
    """

    settings: str
    commit: str
    first: int
    seeds: int
    seconds: float
    tally: ShardTally
    tried: tuple[int, ...] = ()


class Campaign:
    """What a folder holds of earlier times, and what is added; `objects` are names of what is replicated in it."""

    def __init__(self, folder: Path, objects: Iterable[str] = ()) -> None:
        """Raises ValueError where the folder holds lines that are none of ours, and OSError."""
        self.folder = folder
        self.commit = commit() + state_of_objects(objects)
        self.lines = lines_of_type(folder / LINES, Done, "lines of a hunt")

    def left(self, seeds: Sequence[int], settings: str) -> list[int]:
        """Those of the seeds that were not tried before, with the same settings on the same commit."""
        tried = {seed for each in self.lines if (each.settings, each.commit) == (settings, self.commit) for seed in each.tried}
        return [seed for seed in seeds if seed not in tried]

    def add(self, seeds: Sequence[int], settings: str, tally: ShardTally) -> None:
        done = Done(settings, self.commit, seeds[0], len(seeds), tally.seconds, tally, tuple(seeds))
        self.lines.append(done)
        self.folder.mkdir(parents=True, exist_ok=True)
        add_line(self.folder / LINES, msgspec.json.encode(done))

    def failures(self) -> list[Counterexample]:
        """Of all that was tried on this commit, whenever; each once."""
        return list({(failure.seed, failure.text): failure for failure in self.total().failures}.values())

    def total(self) -> ShardTally:
        """All that was tried on this commit, whenever."""
        total = ShardTally()
        for each in self.lines:
            if each.commit == self.commit:
                total.add(each.tally)
        return total

    def told(self) -> str:
        """A sentence on all that the folder knows."""
        seeds = Counter[str]()
        for each in self.lines:
            seeds[each.commit] += each.seeds
        here = f"{seeds.pop(self.commit, 0):,} seeds tried in all on {self.commit}"
        if unknown := sum(self.total().unknown.values()):
            here += f", of which {unknown:,} came to no verdict"
        return here + (f", {sum(seeds.values()):,} on {len(seeds)} other commits" if seeds else "")

    def write_page(self) -> list[str]:
        """What could not be written, if something."""
        return write_whole(page(self.lines).encode("utf-8", errors="backslashreplace"), self.folder / PAGE)


def measured_on() -> str:
    """The day, and what the source is, for a page that says what was measured on it."""
    return f"{datetime.now(UTC).date().isoformat()}, commit {commit()}"


def commit() -> str:
    """What the source is: its commit, and a digest of it where it was changed since; where there is no git, its version with a digest."""
    if not IS_CHECKOUT:
        return own_version()
    try:
        said = [
            subprocess.run(["git", *words], cwd=PROJECT, capture_output=True, text=True, check=True, timeout=30).stdout.strip()
            for words in (("rev-parse", "--short=12", "HEAD"), ("status", "--porcelain", "--", "src"))
        ]
    except (OSError, subprocess.SubprocessError):
        said = [own_version(), "nobody knows"]
    return said[0] + (f"+changes-{_digest(_sources())}" if said[1] else "")


def state_of_objects(names: Iterable[str]) -> str:
    """What stands for the sources of objects of one's own: their modules, and what these have imported from beside them. Nothing where
    there are none."""
    files: set[Path] = set()
    for name in names:
        if name not in BUILT_IN:
            module = type(named(name)).__module__
            place = _file_of(module)
            top = module.partition(".")[0]
            files.update(
                file for each in list(sys.modules)
                if (file := _file_of(each)) and (each.partition(".")[0] == top or (place and "/" in name and file.parent == place.parent))
            )  # fmt: skip
    return f"-objects-{_digest(files)}" if files else ""


def _file_of(module: str) -> Path | None:
    file = getattr(sys.modules.get(module), "__file__", None)
    return Path(file) if file and file.endswith(".py") else None


def _sources() -> list[Path]:
    """All that runs are made of, with what is new in it."""
    return [path for pattern in ("*.py", "*.da", "*.yaml") for path in (PROJECT / "src").rglob(pattern)]


def _digest(files: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for path in sorted(files):
        content = path.read_bytes()
        digest.update(b"%s\0%d\0" % (str(path).encode(errors="surrogateescape"), len(content)) + content)
    return digest.hexdigest()[:8]


def page(lines: Sequence[Done]) -> str:
    """The page of a campaign: seeds and hours by commit, failures, which faults struck where, and what is rare."""
    total = ShardTally()
    for each in lines:
        total.add(each.tally)
    parts = ["<!doctype html><html lang=en><meta charset=utf-8><title>Campaign</title>", f"<style>{CSS}</style><h1>Campaign</h1>"]
    parts.append(f"<p>{total.seeds:,} seeds, {total.seconds / 3600:.2f} hours of workers, {len(total.failures)} failed.</p>")
    parts += ["<h2>By commit</h2>", _commits(lines), "<h2>Failures</h2>", _failures(lines)]
    parts += ["<h2>Rare states</h2>", _rare(total.rare)]
    parts += ["<h2>Faults that struck</h2>", grids((each.settings.partition(",")[0], each.tally.struck) for each in lines), "</html>"]
    return "\n".join(parts) + "\n"


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    head = "".join(f"<th>{escape(each)}</th>" for each in headings)
    body = "".join("<tr>" + "".join(_cell(each) for each in row) + "</tr>" for row in rows)
    return f"<table><tr>{head}</tr>{body}</table>"


def _cell(text: str) -> str:
    return f"<td{' class=n' if text.replace(',', '').replace('.', '').isdigit() else ''}>{escape(text)}</td>"


def _commits(lines: Sequence[Done]) -> str:
    by_commit: dict[str, ShardTally] = {}
    for each in lines:
        by_commit.setdefault(each.commit, ShardTally()).add(each.tally)
    rows = [
        [
            name,
            f"{each.seeds:,}",
            f"{each.seconds / 3600:.2f}",
            f"{each.operations:,}",
            f"{each.reconfigurations:,}",
            f"{len(each.failures):,}",
            f"{sum(each.unknown.values()):,}",
        ]
        for name, each in by_commit.items()
    ]
    return _table(("commit", "seeds", "hours", "operations", "reconfigurations", "failures", "no verdict"), rows)


def _failures(lines: Sequence[Done]) -> str:
    found = [(each.commit, each.settings, failure) for each in lines for failure in each.tally.failures]
    if not found:
        return "<p>None.</p>"
    rows = [[name, settings, str(failure.seed), failure.breaches[0][:200]] for name, settings, failure in found[:MOST_FAILURES]]
    more = f"<p>… and {len(found) - MOST_FAILURES:,} more, in {LINES}.</p>" if len(found) > MOST_FAILURES else ""
    return _table(("commit", "settings", "seed", "what"), rows) + more


def _rare(counts: Mapping[str, int]) -> str:
    return _table(("state", "times"), [(name, f"{counts.get(name, 0):,}") for name in RARE])

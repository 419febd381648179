"""Does the grading find bugs? Grades the project's own source with each known bug in it, and with none, which loses nothing."""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue

import msgspec

from bcr_run.options import above_zero, positive
from bcr_run.output import complain
from bcr_run.pools import as_completed
from bcr_runtime.places import PROJECT, SOURCES
from bcr_sim.bugs import Bug, bugs, no_such_bug, patched
from bcr_sim.campaign_folder import measured_on
from bcr_tools.grade import SUITE, BadFolder, Loss, Suite, graded, is_graded, laid_over, read_suite
from bcr_tools.grading_apart import ENDED, Limits

CLEAN = "none"
SHARE = 0.95  # of the bugs that a run can show, at the least
SHOWN = 110  # characters of a reason


class Graded(msgspec.Struct, frozen=True):
    """What the source with a bug lost in the first part of the suite in which it lost anything: points, and why, of each kind once."""

    bug: str
    part: str
    points: int
    reasons: tuple[str, ...]


def main(arguments: Sequence[str]) -> int:
    """`bcr grade --bugs`: 0 enough bugs lose points and the clean source none; 1 otherwise; 2 bad input."""
    parser = argparse.ArgumentParser(prog="bcr grade --bugs", description=__doc__)
    parser.add_argument("--only", metavar="TEXT", default="", help="only bugs with this in their name")
    parser.add_argument("--output", type=Path, metavar="FOLDER", help="keep what came of each there, and go on where it was broken off")
    parser.add_argument("--minutes", type=above_zero, default=15.0, help="for each part of the suite, at the most (default: 15)")
    parser.add_argument("--jobs", type=positive, default=os.cpu_count() or 1, help="bugs at once (default: one a core)")
    parser.add_argument("--docs", action="store_true", help="write docs/grading.md")
    options = parser.parse_args(arguments)
    chosen = [bug for bug in bugs() if options.only in bug["name"]]
    if not chosen:
        complain(f"bcr grade: {no_such_bug(options.only)}")
        return 2
    limits = Limits(60 * options.minutes, 60.0, 3 << 30)
    suite = read_suite(SUITE)
    kept = options.output / "graded.jsonl" if options.output else None
    done = _read(kept)
    left = [bug for bug in [None, *chosen] if _name_of(bug) not in done and (bug is None or is_graded(bug["file"]))]
    with tempfile.TemporaryDirectory(prefix="bcr-grade-") as temporary:
        try:
            checkouts = [laid_over(SOURCES, _made(Path(temporary) / str(number)))[0] for number in range(min(options.jobs, len(left)))]
        except (BadFolder, OSError) as problem:
            complain(f"bcr grade: {problem}")
            return 2
        for found in _graded_at_once(left, checkouts, suite, limits):
            done[found.bug] = found
            print(_words_of(found), flush=True)
            if kept is not None:
                kept.parent.mkdir(parents=True, exist_ok=True)
                with open(kept, "a") as file:
                    file.write(json.dumps(msgspec.to_builtins(found)) + "\n")
    print(summary(chosen, done))
    if options.docs:
        (PROJECT / "docs" / "grading.md").write_text(page(chosen, done, measured_on()))
    return 0 if is_enough(chosen, done) else 1


def _read(path: Path | None) -> dict[str, Graded]:
    if path is None or not path.exists():
        return {}
    found = [msgspec.json.decode(line, type=Graded) for line in path.read_text().splitlines()]
    return {each.bug: each for each in found}


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _name_of(bug: Bug | None) -> str:
    return CLEAN if bug is None else bug["name"]


def _graded_at_once(left: Sequence[Bug | None], checkouts: Sequence[Path], suite: Suite, limits: Limits) -> Iterator[Graded]:
    """What came of each, as soon as it is known: each checkout has one bug at a time."""
    free: SimpleQueue[Path] = SimpleQueue()
    for checkout in checkouts:
        free.put(checkout)

    def grade(bug: Bug | None) -> Graded:
        checkout = free.get()
        try:
            return _grade(bug, checkout, suite, limits)
        finally:
            free.put(checkout)

    with ThreadPoolExecutor(max(1, len(checkouts))) as pool:
        try:
            for each in as_completed([pool.submit(grade, bug) for bug in left]):
                yield each.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _grade(bug: Bug | None, checkout: Path, suite: Suite, limits: Limits) -> Graded:
    """Up to the first part that loses anything; of the source without a bug all."""
    target = None if bug is None else checkout / "src" / bug["file"]
    original = b"" if target is None else target.read_bytes()
    try:
        if bug is not None and target is not None:
            target.write_bytes(patched(bug))
        losses: list[Loss] = next((losses for losses in graded(checkout, suite, limits, None if bug is None else 1) if losses), [])
    finally:
        if target is not None:
            target.write_bytes(original)
    reasons = dict.fromkeys(" ".join(loss.why.split())[:300] for loss in losses)
    first = {reason.partition(":")[0]: reason for reason in reversed(reasons)}
    return Graded(_name_of(bug), losses[0].part if losses else "", sum(loss.points for loss in losses), tuple(first.values()))


def _words_of(found: Graded) -> str:
    if not found.part:
        return f"{found.bug}: loses nothing"
    return f"{found.bug}: loses {found.points} in {found.part}: {found.reasons[0][:160]}"


def counted(chosen: Sequence[Bug]) -> list[Bug]:
    """The bugs that a run can show, in what is the student's to change."""
    return [bug for bug in chosen if "masked" not in bug and is_graded(bug["file"])]


def is_right(bug: Bug, found: Graded) -> bool:
    """Whether points were lost for what the bug breaks: a property of the protocol or a sentence, and no error of the program."""
    return any(not reason.startswith(("error", "hang", *ENDED)) for reason in found.reasons)


def is_enough(chosen: Sequence[Bug], done: Mapping[str, Graded]) -> bool:
    expected = counted(chosen)
    right = [bug for bug in expected if bug["name"] in done and is_right(bug, done[bug["name"]])]
    clean = done.get(CLEAN)
    return clean is not None and not clean.part and len(right) >= SHARE * len(expected)


def summary(chosen: Sequence[Bug], done: Mapping[str, Graded]) -> str:
    expected = [bug for bug in counted(chosen) if bug["name"] in done]
    lost = [bug for bug in expected if done[bug["name"]].part]
    right = [bug for bug in lost if is_right(bug, done[bug["name"]])]
    clean = done.get(CLEAN)
    what = "was not graded" if clean is None else "loses nothing" if not clean.part else f"loses {clean.points}"
    return f"{len(lost)} of {len(expected)} bugs lose points, {len(right)} for what they break; the source without a bug {what}"


def page(chosen: Sequence[Bug], done: Mapping[str, Graded], sources: str) -> str:
    """docs/grading.md, measured on these sources."""
    graded_bugs = [bug for bug in chosen if bug["name"] in done]
    of_runs = [bug for bug in graded_bugs if "masked" not in bug]
    masked = [bug for bug in graded_bugs if "masked" in bug]
    later = [bug["name"] for bug in chosen if is_graded(bug["file"]) and bug["name"] not in done]
    ours = [f"{bug['name']} (`{bug['file']}`)" for bug in chosen if not is_graded(bug["file"])]
    lines = [
        "# What grading makes of the seeded bugs",
        "",
        "Written by `./bcr grade --bugs --docs`: `./bcr grade` on the project's own source with each bug of `src/bcr_sim/bugs.yaml` in it, up",
        "to the first loss, and on the source without a bug, of which everything is tried.",
        f"Measured on {sources}: of what is newer, whole modules too, the table says nothing.",
        "",
        f"{summary(chosen, done)}.",
        "",
        "What is graded runs in the process that judges it. That is no sandbox against somebody who sets out to cheat: `./bcr grade` names the",
        "files that differ, look at them, and run it as a user without rights, or in a container.",
        "",
        "| bug | first loss in | why |",
        "|---|---|---|",
        *(_row(bug, done[bug["name"]]) for bug in of_runs),
    ]
    if masked:
        lines += ["", "Bugs that no run can show, because of another rule; a sentence of the specification may:", "",
                  "| bug | first loss in | why |", "|---|---|---|", *(_row(bug, done[bug["name"]]) for bug in masked)]  # fmt: skip
    if ours:
        lines += ["", f"Not graded, because these files are not the student's to change: {'; '.join(ours)}."]
    if later:
        lines += ["", f"Not graded yet: {'; '.join(later)}."]
    return "\n".join(lines) + "\n"


def _row(bug: Bug, found: Graded) -> str:
    why = " ".join(found.reasons[0].split())[:SHOWN].replace("|", "\\|").replace("<", "\\<") if found.reasons else ""
    note = "" if not found.part or is_right(bug, found) else " (not for what it breaks)"
    return f"| {bug['name']} | {found.part or 'nothing'} | {why}{note} |"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""`soak`: start DistAlgo programs over and over, under load if asked, and count how they end.

A start that has not ended within its limit hangs: the stacks of all threads of all its processes are written to a file,
so that the cause can be seen, and its processes are killed.
"""

import argparse
import collections
import itertools
import os
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

from bcr_run.options import above_zero, formerly, natural, positive
from bcr_run.output import complain

STACKS_PAUSE_S = 2.0
PROGRESS_EVERY = 10
# Forked processes inherit the handler, which needs no cooperation of the thread that hangs.
STARTER = (
    "import faulthandler, runpy, signal, sys;"
    "faulthandler.register(signal.SIGUSR2, all_threads=True);"
    "sys.argv[0] = 'da';"
    "runpy.run_module('da', run_name='__main__', alter_sys=True)"
)


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bcr soak", description=__doc__.partition("\n")[0])
    parser.add_argument("programs", nargs="+", metavar="PROGRAM", help="a .da file, or a module such as da.examples.lamutex.orig")
    parser.add_argument("--count", type=positive, default=20, help="starts of each program (20)")
    parser.add_argument("--load", type=natural, default=0, help="busy processes beside them (0)")
    parser.add_argument("--limit", type=above_zero, default=60.0, metavar="SECONDS", help="after which a start hangs (60)")
    parser.add_argument("--total", type=above_zero, default=3600.0, metavar="SECONDS", help="after which no start is begun (3600)")
    parser.add_argument("--option", action="append", default=[], help="an option for `python -m da`, as --option=-Lerror")
    parser.add_argument("--output", type=Path, metavar="FOLDER", default=Path("logs/soak"), help="for what went wrong (logs/soak)")
    formerly(parser, "--count", "--starts")
    formerly(parser, "--output", "--folder")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """0 if every start ended by itself with status 0; 1 otherwise; 2 where there is no such program, and nothing is started."""
    options = parse(argv)
    for program in options.programs:
        if not is_there(program):
            complain(f"bcr soak: {program}: there is no such {'file' if program.endswith('.da') else 'module'}")
            return 2
    options.output.mkdir(parents=True, exist_ok=True)
    deadline_s = time.monotonic() + options.total
    load = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(options.load)]
    counts: collections.Counter[tuple[str, str]] = collections.Counter()
    try:
        for number, program in itertools.product(range(options.count), options.programs):
            if time.monotonic() > deadline_s:
                print(f"{options.total:g} s are over: start {number} of {program} and those after it are left out")
                counts[program, "left out"] += 1
                break
            counts[program, start(program, number, options)] += 1
            if (number + 1) % PROGRESS_EVERY == 0 and program == options.programs[-1]:
                print(summary(options.programs, counts), flush=True)
    finally:
        for each in load:
            each.kill()
            each.wait()
    print(summary(options.programs, counts))
    return 0 if all(result == "ok" for _program, result in counts) else 1


def is_there(program: str) -> bool:
    """Whether there is a file, or a module, of this name to start."""
    if program.endswith(".da"):
        return Path(program).is_file()
    try:
        return find_spec(program) is not None
    except (ImportError, ValueError):  # what it would be in is no package, or is none that can be imported
        return False


def summary(programs: list[str], counts: "collections.Counter[tuple[str, str]]") -> str:
    """One line: for each program how often it ended how."""
    results = ("ok", "failed", "hang", "left out")
    parts = (
        f"{program}: " + ", ".join(f"{counts[program, result]} {result}" for result in results if counts[program, result])
        for program in programs
    )
    return "; ".join(parts)


def start(program: str, number: int, options: argparse.Namespace) -> str:
    """Run `program` once; returns "ok", "failed" or "hang".  What it printed is kept unless it is ok."""
    output = options.output / f"{Path(program).stem if program.endswith('.da') else program}-{number}.txt"
    what = [program] if program.endswith(".da") else ["-m", program]
    command = [sys.executable, "-c", STARTER, "-L", "warning", *options.option, *what]
    with output.open("wb") as file:
        node = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True)
        try:
            result = "ok" if node.wait(options.limit) == 0 else "failed"
        except subprocess.TimeoutExpired:
            result = "hang"
            for process in session(node.pid):
                os.kill(process, signal.SIGUSR2)
            time.sleep(STACKS_PAUSE_S)
        left = session(node.pid)
        if left and result != "hang":
            result = "failed"
            file.write(f"\nprocesses left behind: {left}\n".encode())
        for process in left:
            os.kill(process, signal.SIGKILL)
        node.wait()
    if result == "ok":
        output.unlink()
    else:
        print(f"{program}, start {number}: {result}; see {output}", flush=True)
    return result


def session(leader: int) -> list[int]:
    """The processes of the session that `leader` leads, zombies excepted."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                state, _parent, _group, of = entry.joinpath("stat").read_text(errors="replace").rpartition(") ")[2].split()[:4]
            except OSError:
                continue  # it has ended meanwhile
            if int(of) == leader and state != "Z":
                found.append(int(entry.name))
    return found


if __name__ == "__main__":
    sys.exit(main())

"""Tells the story of a run that has ended, and makes its page: diagram, charts, tables, evidence."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from bcr_run import output
from bcr_run.output import Terminal
from bcr_run.run_folder import LATEST, why_no_latest, write_whole
from bcr_runtime.places import default_log_base
from bcr_show.elements import clean
from bcr_show.moments import Times, moments_of
from bcr_show.page import page_of
from bcr_show.run_reading import NoRun, figure_of, read_result, read_run
from bcr_show.serving import HOST, server_for
from bcr_show.story import story

PAGE = "index.html"
EPILOG = """RUN is a folder, or the name of one in logs; without it: logs/latest. The page needs no network. Exit status: 0 the
page is written, whatever the verdict of the run was; 2 there is no such run, or the page cannot be written. With --conformance: 0 each step is allowed; 1 one is
forbidden, which is the last one listed; 2 there are none to be found."""


def main(arguments: Sequence[str]) -> int:
    """`bcr show`; the exit statuses are those of EPILOG."""
    options = _parser().parse_args(arguments)
    try:
        if options.serve:
            return _serve(Path(options.run) if options.run else default_log_base(), options.port)
        folder = find_run(options.run)
        return _conform(folder) if options.conformance else _show(folder, options)
    except (NoRun, OSError) as problem:
        print(f"bcr show: {clean(str(problem))}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="bcr show", description=__doc__, epilog=EPILOG)
    parser.add_argument("run", nargs="?", metavar="RUN", help="with --serve: a folder of runs (default: logs)")
    parser.add_argument(
        "--window", type=_window, metavar="FROM:TO", help="draw everything between, in milliseconds since the first request"
    )
    parser.add_argument("--output", type=Path, metavar="FILE", help=f"where to write the page (default: {PAGE} in the run's folder)")
    parser.add_argument("--quiet", action="store_true", help="write the page, and print nothing")
    parser.add_argument("--conformance", action="store_true", help="list the steps of the paper's Figure 1 that the logs tell of, and "
                        "whether it allows each; make no page")  # fmt: skip
    parser.add_argument("--serve", action="store_true", help="list all runs, to this machine only, until Ctrl-C")
    parser.add_argument("--port", type=_port, default=0, help="for --serve (default: a free one)")
    return parser


def _window(text: str) -> tuple[float, float]:
    since, _, until = text.partition(":")
    try:
        found = float(since), float(until)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text}: not two numbers with a colon between, such as 100:200") from None
    if not found[0] < found[1]:
        raise argparse.ArgumentTypeError(f"{text}: ends before it begins")
    return found


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) < 65_536):
        raise argparse.ArgumentTypeError(f"{text}: not a port from 0 to 65535")
    return int(text)


def find_run(name: str | None) -> Path:
    """The folder of a run: as named, in `logs` by that name, or the latest. Raises NoRun."""
    base = default_log_base()
    if name is None:
        if not (base / LATEST).is_dir():
            raise NoRun(why_no_latest(base / LATEST))
        return (base / LATEST).resolve()
    for folder in (Path(name), base / name):
        if folder.is_dir():
            return folder.resolve()
    runs = sorted((each.parent.name for each in base.glob("*/settings.json") if each.parent.name != LATEST), reverse=True)[:3]
    raise NoRun(f"{name}: no such folder, here or in {base}" + (f"; the latest there are {', '.join(runs)}" if runs else ""))


def _show(folder: Path, options: argparse.Namespace) -> int:
    run = read_run(folder, options.window)
    console = Terminal(quiet=options.quiet)
    for sentence in story(run, moments_of(run), Times(run)):
        console.print(clean(sentence), markup=False, highlight=False, soft_wrap=True)
    path = options.output or folder / PAGE
    problems = write_whole(page_of(run).encode("utf-8", errors="backslashreplace"), path, follows_links=options.output is not None)
    for problem in problems:
        print(f"bcr show: {problem}", file=sys.stderr)
    if not problems:
        console.print(f"page: {path}", markup=False, highlight=False, soft_wrap=True)
    return 2 if problems else 0


def _conform(folder: Path) -> int:
    run = read_result(folder)
    figure = figure_of(folder, *run, most_kept=sys.maxsize)
    if figure is None:
        raise NoRun(f"{folder}: Figure 1 of the paper is not of its protocol, or there is no result.json")
    for step in figure.steps:
        print(step)
    print(f"{folder.name}: {figure.sentence()}")
    return 1 if figure.forbidden is not None else 0 if figure.taken else 2


def _serve(base: Path, port: int) -> int:
    if not base.is_dir():
        raise NoRun(f"{base}: there is no such folder")
    with server_for(base.resolve(), port) as server:
        print(f"http://{HOST}:{server.server_address[1]}/ lists the runs in {base}; Ctrl-C ends it", flush=True)
        server.serve_forever()
    return 0


if __name__ == "__main__":
    output.prepare()
    sys.exit(main(sys.argv[1:]))

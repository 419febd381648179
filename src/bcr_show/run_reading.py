"""Reads the folder of a run: its logs, as far as they are looked at closely, its result, its record, its scenario."""

import json
from array import array
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import msgspec

from bcr.evidence.evidence_files import UnreadableFile, unpacked_record
from bcr.verdict.record import RunRecord
from bcr_run.figure_in_logs import MOST_KEPT, Followed
from bcr_run.log_lines import ROUTINE, Clock, Line, event_of, parse
from bcr_run.plain_files import contents
from bcr_run.protocol_starts import FIGURES
from bcr_show.mentions import mentioned_requests
from bcr_show.result_shape import demand_shape
from bcr_show.windows import MOST_ASKED, Window, choose, is_in, lines_in

MOST_MOMENTS = 3_000  # that are kept; of more the first of each process and kind
MOST_OF_A_KIND = 200
LONGEST_LINE = 20_000  # characters that are read of a line: what is longer stands in the log
UNFOLLOWED = "result.json tells of none, as where something could not be written: the logs may lack what happened"


class NoRun(Exception):
    """The folder holds no run; the text says what is missing."""


class RecordedRun(msgspec.Struct, frozen=True, kw_only=True):
    """What a folder holds.

    `lines` are in order of time: all moments, and of the routine what lies in `windows`. `routine` counts all lines of
    the routine, `drawn` those that are here; `left_out` the moments that are not, by process and event; `unread` lines
    that are cut off or none of ours.
    """

    folder: Path
    result: Mapping[str, Any]
    record: RunRecord | None
    problem: str  # with the record; empty where there is none
    lines: Sequence[Line]
    windows: Sequence[Window]
    routine: int
    drawn: int
    left_out: Mapping[str, int]
    unread: int
    texts: Mapping[str, str]  # name of a file -> its contents
    figure: Followed | None = None  # the steps of the paper's Figure 1, where the protocol has one

    @property
    def is_whole(self) -> bool:
        """Whether nothing of the logs was left out."""
        return self.drawn == self.routine and not self.left_out

    @property
    def reasons(self) -> list[str]:
        """What was found wrong, each once: the properties that do not hold, and the reasons of the verdict."""
        return reasons_of(self.result)

    @property
    def moments(self) -> Iterator[Line]:
        return (line for line in self.lines if line.event not in ROUTINE)


class _Scan:
    """A first look at the logs: times of the routine, and the moments."""

    def __init__(self) -> None:
        self.times_ns = array("q")
        self.moments: list[Line] = []
        self.left_out: Counter[str] = Counter()
        self.unread = 0
        self._kinds: Counter[tuple[str, str, str]] = Counter()

    def take(self, file: Path) -> None:
        for place, (at_ns, text) in enumerate(_lines_of(file)):
            event = event_of(text)
            if at_ns is None or not event:
                self.unread += 1
            elif event in ROUTINE:
                self.times_ns.append(at_ns)
            else:
                self._take_moment(at_ns, text, file.stem, place)

    def _take_moment(self, at_ns: int, text: str, process: str, place: int) -> None:
        line = parse(text, at_ns, process, place)
        if line is None:
            self.unread += 1
            return
        kind = (process, line.event, line.values.get("kind", ""))
        self._kinds[kind] += 1
        if self._kinds[kind] <= MOST_OF_A_KIND and len(self.moments) < MOST_MOMENTS:
            self.moments.append(line)
        else:
            self.left_out[f"{line.event} of {process}"] += 1


def read_run(folder: Path, asked_ms: tuple[float, float] | None = None) -> RecordedRun:
    """The run in this folder; of the window that was asked for, counted from the first request, everything.

    Raises NoRun.
    """
    if not folder.is_dir():
        raise NoRun(f"{folder}: there is no such folder")
    files = sorted(file for file in folder.glob("*.log") if file.is_file())
    result = _result_in(folder)
    if not files and not result:
        raise NoRun(f"{folder}: not the folder of a run: neither result.json nor logs")
    scan = _Scan()
    for file in files:
        scan.take(file)
    scan.times_ns = array("q", sorted(scan.times_ns))
    record, problem = _record_in(folder)
    scan.moments += _disproved(record, result)
    asked = None if asked_ms is None else _window(asked_ms, first_request_ns(record, result))
    # How a process was told to be, and how it came to be, are not what one looks for.
    notable = sorted(line.at_ns for line in scan.moments if line.event not in ("settings", "created", "issued"))
    windows = choose(scan.times_ns, notable, asked)
    if asked is not None and (count := lines_in(windows, scan.times_ns)) > MOST_ASKED:
        raise NoRun(f"{count:,} lines of the logs lie in that window, more than the {MOST_ASKED:,} that can be drawn: ask for a part of it")
    routine = [line for file in files for line in _routine_in(file, windows)]
    lines = sorted([*scan.moments, *routine], key=lambda line: (line.at_ns, line.process, line.place))
    return RecordedRun(
        folder=folder, result=result, record=record, problem=problem, lines=lines, windows=windows,
        routine=len(scan.times_ns), drawn=len(routine), left_out=dict(scan.left_out), unread=scan.unread,
        texts=_texts_in(folder), figure=figure_of(folder, result, record),
    )  # fmt: skip


def read_result(folder: Path) -> tuple[Mapping[str, Any], RunRecord | None]:
    """What `result.json` and the record of the run hold, as far as they can be read."""
    return _result_in(folder), _record_in(folder)[0]


def figure_of(folder: Path, result: Mapping[str, Any], record: RunRecord | None, most_kept: int = MOST_KEPT) -> Followed | None:
    """What Figure 1 of the paper says to the steps in the logs; None where it is not of the run's protocol, or there is no result.

    Where the run itself looked for no steps, its logs may lack some, and what is left of them would be held against those who wrote it.
    """
    follow = FIGURES.get(result.get("protocol", ""))
    if follow is None or "settings" not in result:
        return None
    if "figure" not in result:
        return Followed(0, unknown=UNFOLLOWED)
    return follow(folder, result, () if record is None else record.faulty_clients, most_kept)


def first_request_ns(record: RunRecord | None, result: Mapping[str, Any]) -> int | None:
    """When the first request was sent, on the clock of the logs; None where that is not known."""
    clock = clock_of(result)
    sent = [exchange.sent_ns for client in record.clients if client.clock == clock[0] for exchange in client.exchanges] if record else []
    return min(sent) + clock[1] if sent else None


def clock_of(result: Mapping[str, Any]) -> tuple[str, int]:
    """The name of the run's clock, and what it is put forward by in the logs; empty and 0 where the result has none."""
    clock = result.get("clock")
    if not isinstance(clock, dict) or not isinstance(clock.get("origin_ns"), int):
        return "", 0
    return str(clock.get("name", "")), clock["origin_ns"]


def reasons_of(result: Mapping[str, Any]) -> list[str]:
    """The properties that did not hold, and what reasons of the verdict are not among them."""
    breaches = [str(each) for each in result.get("breaches", ())]
    known = {each.partition(": ")[2] for each in breaches}
    return [*breaches, *(str(each) for each in result.get("reasons", ()) if str(each) not in known)]


def _disproved(record: RunRecord | None, result: Mapping[str, Any]) -> Iterator[Line]:
    """A line for each answer of which was found later that it is wrong: that of the client, when it accepted it."""
    clock, origin_ns = clock_of(result)
    known = {(each.request.statement.client, each.request.statement.number): each.accepted_ns
             for client in (record.clients if record else ()) if client.clock == clock for each in client.exchanges}  # fmt: skip
    told: set[tuple[int, int]] = set()
    for text in reasons_of(result):
        for client, number in sorted(mentioned_requests([text]) & known.keys() - told):
            told.add((client, number))
            values = {"client": str(client), "number": str(number), "what": text}
            yield Line(known[client, number] + origin_ns, f"client_{client}", "disproved", values, -len(told))


def _window(asked_ms: tuple[float, float], first_ns: int | None) -> Window:
    if first_ns is None:
        raise NoRun("a window counts from the first request, and the record holds none")
    since_ms, until_ms = asked_ms
    return Window(first_ns + round(since_ms * 1e6), first_ns + round(until_ms * 1e6))


def _lines_of(file: Path) -> Iterator[tuple[int | None, str]]:
    clock = Clock()
    with open(file, encoding="utf-8", errors="replace") as lines:
        for line in lines:
            yield clock.read(line), line.rstrip("\n")[:LONGEST_LINE]


def _routine_in(file: Path, windows: Sequence[Window]) -> Iterator[Line]:
    for place, (at_ns, text) in enumerate(_lines_of(file)):
        if at_ns is not None and event_of(text) in ROUTINE and is_in(windows, at_ns):
            line = parse(text, at_ns, file.stem, place)
            if line is not None:
                yield line


def _result_in(folder: Path) -> Mapping[str, Any]:
    """What the run came to; nothing where the file is missing or damaged. Raises NoRun where it holds something else."""
    file = folder / "result.json"
    try:
        result = json.loads(contents(file).decode(), parse_constant=_refused)
    except (OSError, ValueError, RecursionError):
        return {}
    try:
        demand_shape(result)
    except msgspec.ValidationError as error:
        raise NoRun(f"{file}: not what a run leaves there: {error}; ./bcr run writes it anew, and without it the logs are shown") from error
    shape: dict[str, Any] = result
    return shape


def _refused(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")


def _record_in(folder: Path) -> tuple[RunRecord | None, str]:
    try:
        return unpacked_record(contents(folder / "record.msgpack")), ""
    except OSError as error:
        return None, f"record.msgpack: {error.strerror}"
    except UnreadableFile as error:
        return None, f"record.msgpack: {error}"


def _texts_in(folder: Path) -> dict[str, str]:
    texts = {}
    for name in ("scenario.config", "scenario.yaml", "scenario.yml", "workload.json", "settings.json", "environment.json"):
        file = folder / name
        if file.is_file():
            texts[name] = file.read_text(encoding="utf-8", errors="replace")
    return texts

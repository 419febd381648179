"""Prints the hash-chained log that the servers of a run of Raft held at its end, and follows it from entry to entry."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from bcr.evidence.evidence_files import UnreadableFile, unpacked_record
from bcr.faults.plans import spoiled_in_raft
from bcr.raft.kept_logs import KeptLog, breaks, differences, shown
from bcr.verdict.record import RunRecord
from bcr_run.options import natural
from bcr_run.output import Terminal, complain
from bcr_run.plain_files import contents
from bcr_run.run_folder import LATEST
from bcr_runtime.places import default_log_base
from bcr_tools.record_reading import found, why_unread

HOLDS, BROKEN, NOTHING = 0, 1, 2


def main(arguments: Sequence[str]) -> int:
    """`bcr log`: 0 when the chains hold, 1 when one breaks or two servers differ, 2 when there is none to read."""
    parser = argparse.ArgumentParser(prog="bcr log", description=__doc__)
    parser.add_argument("run", metavar="RUN", nargs="?", type=Path, help="the folder of a run, or its record (default: the latest run)")
    parser.add_argument("--verify", action="store_true", help="print no entries, and only say whether the chains hold and agree")
    parser.add_argument("--server", type=natural, metavar="I", help="print what this server held (default: whoever held most)")
    options = parser.parse_args(arguments)
    file = found(options.run or default_log_base() / LATEST)
    try:
        record = unpacked_record(contents(file))
    except (OSError, UnreadableFile) as error:
        complain(f"bcr log: {why_unread(file, error)}")
        return NOTHING
    if not record.logs:
        complain(f"bcr log: {file}: the servers of protocol = {record.protocol} left no log in this record")
        return NOTHING
    console = Terminal()
    if not options.verify:
        chosen = [each for each in record.logs if options.server in (None, each.position)]
        if not chosen:
            complain(f"bcr log: no server {options.server} left a log; there are {', '.join(str(each.position) for each in record.logs)}")
            return NOTHING
        for line in _lines(max(chosen, key=lambda each: each.last_index)):
            console.print(line, markup=False, highlight=False, soft_wrap=True)
    status, lines = _verdict(record)
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    return status


def _lines(log: KeptLog) -> list[str]:
    lines = [f"server {log.position}: {len(log.entries)} entries behind index {log.base.index} ({shown(log.base.digest)})"]
    for index, entry in enumerate(log.entries, start=log.base.index + 1):
        asked = "; ".join(f"{each.client}:{each.number} {', '.join(map(str, each.operations))}" for each in entry.requests) or "nothing"
        is_open = "" if index <= log.applied else "  (not executed)"
        lines.append(f"{index:>6}  {shown(entry.digest)} behind {shown(entry.previous)}  term {entry.term}  {asked}{is_open}")
    return lines


def _verdict(record: RunRecord) -> tuple[int, list[str]]:
    liars = {position for _, position in spoiled_in_raft(record.faults)}
    believed_logs = [each for each in record.logs if each.position not in liars]
    problems = [problem for log in believed_logs for problem in breaks(log)] + list(differences(believed_logs))
    if problems:
        return BROKEN, problems
    said = ", ".join(f"server {each.position} to {each.applied}" for each in believed_logs)
    return HOLDS, [f"each entry holds the digest of the one before it, and all agree on what is executed: {said or 'nobody'}"]

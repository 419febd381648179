"""Names the replicas that their own signatures convict, each with the statements that do, and says of each other suspicion why
it proves nothing."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from bcr.evidence.convictions import WHO_COULD_FORGE, convictions
from bcr.evidence.evidence_files import EVIDENCE, UnreadableFile, packed, unpacked_record
from bcr.evidence.suspicions import suspicions
from bcr_run.output import Terminal, complain
from bcr_run.plain_files import contents
from bcr_run.run_folder import write_whole
from bcr_tools.record_reading import found, why_unread


def main(arguments: Sequence[str]) -> int:
    """`bcr blame`: 0 when it has said whom the record convicts, if anybody; 2 for bad input."""
    parser = argparse.ArgumentParser(prog="bcr blame", description=" ".join((__doc__ or "").split()))
    parser.add_argument("run", metavar="RUN", type=Path, help="the folder of a run, or its record")
    parser.add_argument("--output", type=Path, metavar="FOLDER", help="for the files of evidence (default: evidence, beside the record)")
    options = parser.parse_args(arguments)
    file = found(options.run)
    try:
        record = unpacked_record(contents(file))
        convicted = list(convictions(record))
        folder = options.output or file.parent / "evidence"
        if options.output is None and folder.is_symlink():
            complain(f"bcr blame: {folder} is a link, and where it leads is not this run's: say where evidence goes (--output)")
            return 2
        if convicted:
            folder.mkdir(parents=True, exist_ok=True)
        written = []
        for conviction, evidence in convicted:
            path = folder / f"configuration_{conviction.configuration}-replica_{conviction.position}.evidence"
            for problem in write_whole(packed(EVIDENCE, evidence), path, follows_links=False):
                complain(f"bcr blame: {problem}")
                return 2
            written.append(path)
    except (OSError, UnreadableFile) as error:
        complain(f"bcr blame: {why_unread(file, error)}")
        return 2
    console = Terminal()

    def say(text: str) -> None:
        console.print(text, markup=False, highlight=False, soft_wrap=True)

    if record.authentication != "ed25519":
        say(f"Nobody can be convicted under {record.authentication}: {WHO_COULD_FORGE[record.authentication]}.")
    elif not convicted:
        say("Nobody is convicted: no statements in this record contradict each other.")
    for (conviction, _), path in zip(convicted, written, strict=True):
        supposes = f", if {conviction.supposes}" if conviction.supposes else ""
        say(f"configuration {conviction.configuration}, replica {conviction.position} is faulty: {conviction.what}{supposes}")
        say(f"  {path} ({path.stat().st_size:,} bytes; ./bcr verify checks it)")
    places = {(conviction.configuration, conviction.position) for conviction, _ in convicted}
    for each in suspicions(record, places):
        where = "" if each.configuration is None else f" of configuration {each.configuration}"
        whom = "nobody by name" if each.position is None else f"replica {each.position}"
        kind = f"{each.kind}: " if each.kind else ""
        say(f"suspicion: {each.by}{where} suspects {whom}: {kind}{each.what}")
        say(f"  proves nothing: {each.why_not}")
    return 0

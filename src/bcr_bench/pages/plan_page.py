"""The page of a run of a plan: the same tables and plots as Markdown beside SVG files, and as one HTML file."""

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import msgspec

from bcr_bench.pages import plots
from bcr_bench.pages.aims import held_against
from bcr_bench.pages.blocks import Block, Heading, Plot, Table, Text
from bcr_bench.pages.machine import LOAD
from bcr_bench.pages.side_by_side import counted, named, outages, promises
from bcr_bench.pages.summary import COLUMNS, rows_of
from bcr_bench.prediction.costs import Costs
from bcr_bench.prediction.layer import Layer
from bcr_bench.prediction.predicted import FORETOLD_LINKS_MS, foretold
from bcr_bench.prediction.sketch import sketch
from bcr_bench.studies.budget import HEADING, found_section, with_section
from bcr_bench.studies.sections import STUDY_HEADINGS
from bcr_bench.studies.service_load import SERVICE_HEADING

LABELS = {
    "t": "faults tolerated, t",
    "batch_limit": "requests in a slot, at the most",
    "client_window": "requests that a client has outstanding",
    "operations_per_request": "operations in a request",
    "num_client": "clients",
    "value_bytes": "bytes of a value",
    "read_percent": "reads, %",
    "authentication": "authenticator",
}
SYSTEMS = {
    "bcr": "this system, t = 1: three replicas, of which one may lie",
    "bcr-raft": "protocol = raft of this project, t = 1: three servers, crashes only",
    "bcr-byzantine-raft": "protocol = byzantine_raft of this project, t = 1: four servers, of which one may lie",
    "unreplicated": "one server, nothing signed: same object, same messages from the client, same load",
    "unreplicated-signed": "the same; it checks each request's Ed25519 signature, and signs each answer",
    "pysyncobj-nodes": "PySyncObj (Raft, crashes only), three servers; clients are processes and nodes without a vote",
    "pysyncobj-leader": "the same with the clients as callbacks in the leader's process, without a message of their own",
    "raft": "DistAlgo's raft example, three servers, crashes only, no object behind it; its CPU time as seen from outside",
}
# Page of docs/ -> where there is more.
SEE_ALSO = {
    "performance": "Other protocols beside the chain, on the same work: [comparison.md](comparison.md).",
    "comparison": "The chain alone, in more ways: [performance.md](performance.md).",
}
CSS = """body{font:15px/1.5 sans-serif;max-width:62em;margin:2em auto;padding:0 1em;color:#222}
table{border-collapse:collapse;margin:1em 0;font-size:13px}th,td{padding:.25em .7em;text-align:right}
th{border-bottom:1px solid #999}td:first-child,th:first-child,.words td,.words th{text-align:left}tr:nth-child(even){background:#f6f6f6}
svg{max-width:100%;height:auto}figure{margin:1em 0}figcaption{font-size:12px;color:#555}code{background:#f3f3f3;padding:.1em .3em}h2{margin-top:2em}"""


def write_page(contents: Mapping[str, Any], folder: Path, docs: Path | None) -> None:
    """`index.html` and the plots in the folder; also the plan's page, with its plots below it, in `docs` if given."""
    blocks = list(_blocks(contents))
    name, title = contents.get("page", "performance"), contents.get("title", "Performance")
    (folder / "index.html").write_text(_html(title, blocks, contents["command"]), encoding="utf-8")
    for block in blocks:
        if isinstance(block, Plot):
            (folder / f"{block.name}.svg").write_text(block.picture.svg, encoding="utf-8")
            (folder / f"{block.name}.pdf").write_bytes(block.picture.pdf)
    if docs is not None:
        below = docs / name
        below.mkdir(parents=True, exist_ok=True)
        for old in below.glob("*.svg"):
            old.unlink()
        for block in blocks:
            if isinstance(block, Plot):
                (below / f"{block.name}.svg").write_text(block.picture.svg, encoding="utf-8")
        page = docs / f"{name}.md"
        before = page.read_text(encoding="utf-8") if page.exists() else ""
        text = _markdown(title, blocks, name)
        for heading in (*STUDY_HEADINGS, SERVICE_HEADING, HEADING):  # which other commands of ./bcr bench renew
            section = found_section(before, heading)
            text = text if section is None else with_section(text, section)
        page.write_text(text, encoding="utf-8")


def not_for_docs(contents: Mapping[str, Any]) -> list[str]:
    """Why a page of docs/ stays as it is: of what its plan says, something is not there, or has no run that counts."""
    left_out = contents.get("left_out", [])
    reasons = [f"{name}: of the plan, and not measured" for name in left_out]
    measured = {point["sweep"] for point in contents["points"]}
    reasons += [f"{sweep['name']}: not measured" for sweep in contents["sweeps"] if sweep["name"] not in measured]
    bad = [point for point in contents["points"] if point["median"]["problem"]]
    return reasons + [f"{point['sweep']}: {point['label']} ({point['system']}): {point['median']['problem']}" for point in bad]


# -- what the page says


def _blocks(contents: Mapping[str, Any]) -> Iterator[Block]:
    machine = contents["machine"]
    yield Text(
        f"Measured {contents['began']} by `{contents['command']}`: all processes on one machine, over loopback. Every run is "
        "a whole one, judged like any other, and counts only with the verdict `pass` and no request sent again. The points "
        "of a table are run in turn, then all of them again; a figure is the median of its runs, and what compares is the "
        "ratio within a table. Latency counts from when a request was due, so one that had to wait counts that too. Logs "
        "hold warnings only; at the default level they cost a run without batches a twentieth of its time."
    )
    yield Table(("machine", ""), list(machine.items()))
    if float(machine.get(LOAD, "0").split()[0]) > QUIET_LOAD:
        yield Text("The machine had other work to do, as its load says: rates and latencies say little then, and CPU time says more.")
    yield from held_against(contents)
    systems = {point["system"] for point in contents["points"]}
    is_side_by_side = bool(contents.get("counts"))
    if is_side_by_side:
        yield from promises(systems)
        yield from counted(contents["counts"])
    else:
        yield from _sketched(contents)
    told: set[str] = systems if is_side_by_side else set()
    for sweep in contents["sweeps"]:
        points = [point for point in contents["points"] if point["sweep"] == sweep["name"]]
        if points:
            yield Heading(sweep["title"])
            yield from _of_sweep(sweep, points, told, is_side_by_side)
    if not contents.get("counts"):
        yield from _predicted(contents)


def _sketched(contents: Mapping[str, Any]) -> Iterator[Block]:
    yield Heading("What an operation must cost")
    yield Text(
        "Counted from the protocol, for one operation in all processes (`./bcr bench costs` has more), and what the parts "
        "take here. A test holds the counts against the protocol as it runs."
    )
    counted = ("signatures", "verifications", "messages", "payload_bytes", "hops")
    rows = []
    for t in (1, 2, 3, 4, 5):
        for batch, together in ((1, 1), (16, 1), (16, 4)):
            part = sketch(t, batch, together=together)
            what = f"t = {t}, {batch} in a slot" + (f", {together} leave together" if together > 1 else "")
            rows.append([what, *(f"{getattr(part, name):,.1f}".removesuffix(".0") for name in counted)])
    yield Table(("", *(name.replace("payload_", "") for name in counted)), rows)
    parts = {**contents["costs"], **contents["layer"]}
    yield Table(("part", "µs"), [[PARTS[name], f"{value:.1f}"] for name, value in parts.items() if name in PARTS])


TIMEOUTS = {"client_timeout", "head_timeout", "nonhead_timeout", "heartbeat", "election_timeout"}
QUIET_LOAD = 1.5  # processes that want to run before the measuring begins
PATIENT_MS = 60_000  # a timeout that is there so that none expires

PARTS = {
    "sign_us": "Ed25519 signature",
    "verify_us": "Ed25519 verification",
    "hmac_us": "MAC (HMAC-SHA-256)",
    "crc_us": "checksum (CRC-32)",
    "hash_us": "SHA-256 of a request",
    "encode_us": "encoding of a request",
    "decode_us": "decoding of a request",
    "hop_us": "DistAlgo message to an idle process, until it is handled",
    "message_cpu_us": "DistAlgo message, CPU time of both sides",
}


def _of_sweep(
    sweep: Mapping[str, Any], points: Sequence[Mapping[str, Any]], told: set[str], is_side_by_side: bool = False
) -> Iterator[Block]:
    """What a sweep shows; `told` are the systems that the page has explained, to which its own are added."""
    if sweep.get("says"):
        yield Text(sweep["says"])
    yield Text(_conditions(points))
    name, key = sweep["name"], next(iter(sweep["vary"]), "")
    systems = {point["system"] for point in points}
    points = named(points) if is_side_by_side else points
    yield Table(("", *COLUMNS), rows_of(points))
    if len(systems) > 1:
        lines = [f"**{system}**: {SYSTEMS[system]}." for system in SYSTEMS if system in systems - told]
        told |= systems
        yield from (Text(line) for line in lines)
    if not plots.good(points):
        return
    if sweep["rates"]:
        yield Plot(name, plots.throughput_latency(points), "latency against throughput, up to saturation")
        yield Plot(f"{name}-percentiles", plots.percentiles(points), "latency percentiles against the rate that is offered")
    elif int(points[0]["settings"]["operations"]) >= 1_000_000:
        yield from _memory(name, points)
        return
    elif sweep.get("leader_crashes"):
        yield from outages(name, points)
        return
    elif sweep.get("faults"):
        yield Text("Without service is the longest time between two answers. Of each point one run is drawn.")
        yield Table(("", "ms without service"), [[point["label"], f"{point['median']['away_ms']:,.0f}"] for point in plots.good(points)])
        yield Plot(name, plots.over_time(points), "throughput and latency over time")
        return
    elif sweep.get("cross") or (is_side_by_side and key):
        yield Plot(
            name, plots.crossed(points, list(sweep["vary"]), LABELS.get(key, key)), f"throughput and latency by {', '.join(sweep['vary'])}"
        )
    elif len(systems) > 1:
        yield Plot(name, plots.sweep(points, "", ""), "throughput and latency by system")
    elif key in LABELS:
        yield Plot(name, plots.sweep(points, key, LABELS[key]), f"throughput and latency by {LABELS[key]}")
    yield Plot(f"{name}-cpu", plots.cpu_by_process(points), "CPU time per operation, by process")


def _conditions(points: Sequence[Mapping[str, Any]]) -> str:
    """The settings that all points share."""
    first = points[0]["settings"]
    told = {"log_level", "time_unit"} | (set() if first.get("client_timeout", 0) < PATIENT_MS else TIMEOUTS)
    shared = [key for key in first if key not in told and all(point["settings"].get(key) == first[key] for point in points)]
    return "All have: " + ", ".join(f"`{key} = {first[key]}`" for key in shared) + "."


def _memory(name: str, points: Sequence[Mapping[str, Any]]) -> Iterator[Block]:
    for index, point in enumerate(plots.good(points)):
        rows = []
        for process, samples in sorted(point["median"]["memory"].items()):
            warm = samples[len(samples) // 5 :]
            sizes = [mib for _, mib, _ in warm]
            rows.append(
                [process, *(f"{mib:.1f}" for mib in (samples[0][1], sizes[0], max(sizes), sizes[-1])), f"{sizes[-1] - sizes[0]:+.1f}"]
            )
        yield Text("Resident memory, MiB. Warm is a fifth of the run; the last column is what it grew by from then to the end.")
        yield Table(("process", "at the start", "warm", "most since", "at the end", "growth"), rows)
        yield Plot(f"{name}-{index}" if index else name, plots.memory(point), "resident memory of each process over the run")


def _predicted(contents: Mapping[str, Any]) -> Iterator[Block]:
    points = [point for point in plots.good(contents["points"]) if point.get("prediction")]
    if not points:
        return
    yield Heading("Prediction and measurement")
    yield Text(
        "From the parts alone: how many of each an operation takes in each process (src/bcr_bench/prediction/predicted.py), and that the rate "
        "is the least of what the busiest process, all cores together, and the clients' windows allow. Bookkeeping, logs and "
        "the scheduler are not in it, so what is measured over what is predicted says how far the implementation is from it."
    )
    yield Plot("prediction", plots.predictions(points), "prediction against measurement")
    rows = []
    for point in points:
        prediction, median = point["prediction"], point["median"]
        if point["settings"].get("client_rate"):
            continue
        cpu_us = [sum(each["cpu_us"].values()) for each in (prediction, median)]
        row = [f"{point['sweep']}: {point['label']}", f"{prediction['rate']:,.0f}", f"{median['rate']:,.0f}"]
        row += [f"{median['rate'] / prediction['rate']:.2f}", f"{cpu_us[0]:,.0f}", f"{cpu_us[1]:,.0f}", f"{cpu_us[1] / cpu_us[0]:.2f}"]
        rows.append(row)
    headings = ("", "rate, predicted", "measured", "ratio", "CPU µs/op, predicted", "measured", "ratio")
    yield Table(headings, rows)
    yield from _foretold(contents)
    if contents["links"]:
        yield Text("With slow links the hops are what counts. Simulated, because all processes are on one machine here:")
        yield Plot("links", plots.link_latency(contents["links"]), "latency with slow links, as predicted and as simulated")


def _foretold(contents: Mapping[str, Any]) -> Iterator[Block]:
    costs, layer = msgspec.convert(contents["costs"], Costs), msgspec.convert(contents["layer"], Layer)
    yield Text(
        "What the model says of each authenticator, with 16 clients that have 16 requests outstanding each: operations a "
        "second, and milliseconds of a request alone, with links that take no time, 1 ms and 10 ms."
    )
    headings = ["t, batch, authenticator", *(f"{what}, links {link_ms} ms" for what in ("rate", "alone") for link_ms in FORETOLD_LINKS_MS)]
    yield Table(headings, foretold(costs, layer, int(contents["machine"]["cores"])))


# -- its two forms


def _markdown(title: str, blocks: Sequence[Block], plots_folder: str) -> str:
    parts = [f"# {title}", *filter(None, [SEE_ALSO.get(plots_folder)])]
    for block in blocks:
        if isinstance(block, Heading):
            parts.append(f"## {block.text}")
        elif isinstance(block, Text):
            parts.append(block.text)
        elif isinstance(block, Plot):
            parts.append(f"![{block.says}]({plots_folder}/{block.name}.svg)")
        else:
            lines = [_line(row) for row in (block.headings, *block.rows)]
            lines.insert(1, f"|---|{('---|' if block.of_words else '---:|') * (len(block.headings) - 1)}")
            parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n"


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _html(title: str, blocks: Sequence[Block], command: str) -> str:
    parts = [f"<!doctype html><meta charset=utf-8><title>{escape(title)}</title><style>{CSS}</style><h1>{escape(title)}</h1>"]
    for block in blocks:
        if isinstance(block, Heading):
            parts.append(f"<h2>{escape(block.text)}</h2>")
        elif isinstance(block, Text):
            parts += [f"<p>{_inline(each)}</p>" for each in block.text.split("\n\n")]
        elif isinstance(block, Plot):
            svg = block.picture.svg[block.picture.svg.index("<svg") :]
            caption = f"<figcaption>{escape(block.says)}; <code>{escape(command)}</code>, <a href='{block.name}.pdf'>PDF</a></figcaption>"
            parts.append(f"<figure role=img aria-label='{escape(block.says)}'>{svg}{caption}</figure>")
        else:
            kind = " class=words" if block.of_words else ""
            parts.append(f"<table{kind}>" + _row(block.headings, "th") + "".join(_row(row, "td") for row in block.rows) + "</table>")
    return "\n".join(parts) + "\n"


def _row(cells: Sequence[str], tag: str) -> str:
    return "<tr>" + "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in cells) + "</tr>"


def _inline(text: str) -> str:
    """Text with `code` and **bold**."""
    for mark, tag in (("`", "code"), ("**", "b")):
        pieces = text.split(mark) if tag == "b" else escape(text).split(mark)
        text = "".join(f"<{tag}>{piece}</{tag}>" if index % 2 else piece for index, piece in enumerate(pieces))
    return text

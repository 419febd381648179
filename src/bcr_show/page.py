"""The page of a run: one file of HTML that needs no network, and nothing else to be seen."""

import base64
import hashlib
from collections.abc import Sequence
from importlib.resources import files
from xml.etree.ElementTree import Element

from bcr_show.charts import charts
from bcr_show.elements import Child, e, link, markup, table
from bcr_show.evidence import EvidenceContext, alarms_of, articles, by_process, reason_anchor, violations_of
from bcr_show.joining import join
from bcr_show.mentions import mentioned_requests, mentioned_slots
from bcr_show.moments import KINDS, SHOWN_AS_VIOLATION, Moment, Times, moments_of, rough
from bcr_show.run_reading import RecordedRun
from bcr_show.spacetime import LEGEND, draw
from bcr_show.story import story
from bcr_show.tables import figure_steps, request_tables, slot_table, slots_of

MOST_MOMENTS = 400  # rows of the table of moments
SECTIONS = {"story": "Story", "diagram": "Diagram", "time": "Over time", "moments": "Moments", "evidence": "Evidence",
            "slots": "Slots", "figure": "Figure 1", "clients": "Clients", "folder": "Folder"}  # fmt: skip


def page_of(run: RecordedRun) -> str:
    """The page, as text."""
    return "<!DOCTYPE html>\n" + markup(_document(run))


def verdict_of(run: RecordedRun) -> str:
    """What the run came to: pass, fail, unknown, violated; `no result` where it has none."""
    if run.result.get("breaches"):
        return "violated"
    return str(run.result.get("verdict", "no result"))


def _document(run: RecordedRun) -> Element:
    times, moments = Times(run), moments_of(run)
    name = str(run.result.get("scenario") or run.folder.name)
    style, script = style_of(), _own("page.js")
    # Whatever might pass for markup after all, no script but this one is executed, and nothing is fetched.
    policy = f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{_hash(script)}'; base-uri 'none'; form-action 'none'"
    head = e(
        "head", e("meta", charset="utf-8"), e("meta", http_equiv="Content-Security-Policy", content=policy),
        e("meta", name="viewport", content="width=device-width, initial-scale=1"), e("meta", name="color-scheme", content="light dark"),
        e("title", f"{name}: {verdict_of(run)}"), e("style", style),
    )  # fmt: skip
    return _without_dead_links(e("html", head, e("body", *_body(run, name, moments, times), _script(script)), lang="en"))


def _without_dead_links(root: Element) -> Element:
    """The page, in which what has no row of its own is no link to one."""
    anchors = {each.get("id") for each in root.iter()}
    for each in root.iter("a"):
        if each.get("href", "").removeprefix("#") not in anchors:
            each.attrib.pop("href")
    return root


def style_of() -> str:
    """The style of our pages."""
    return _own("page.css")


def _own(name: str) -> str:
    return (files("bcr_show") / name).read_text(encoding="utf-8")


def _hash(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def _script(text: str) -> Element:
    # Not through `e`: the serialiser takes the contents of a script as they are, and so must the hash.
    element = Element("script")
    element.text = text
    return element


def _body(run: RecordedRun, name: str, moments: Sequence[Moment], times: Times) -> list[Element]:
    lines, arrows, slots = by_process(run.lines), join(run.lines), slots_of(run.record)
    drawing = draw(run, arrows, moments, times, alarms_of(moments, lines))
    texts = [*(moment.text for moment in violations_of(moments)), *run.reasons]
    known_requests = {(each.request.statement.client, each.request.statement.number)
             for client in (run.record.clients if run.record else ()) for each in client.exchanges}  # fmt: skip
    context = EvidenceContext(run, times, arrows, drawing, slots, known_requests)
    slot_rows = slot_table(slots, mentioned_slots(texts)) if slots else [e("p", "No client has an answer on record.")]
    client_rows = list(request_tables(run, times, mentioned_requests(texts)))
    evidence = articles(context, moments, lines)
    sections = {
        "story": [*_reasons(run, moments), _story(run, moments, times)],
        "diagram": [*_about_diagram(run, times, drawing.messages), _diagram(drawing.names, drawing.picture), _legend()],
        "time": _over_time(run, moments, times),
        "moments": _moments(run, moments, times),
        "evidence": evidence or [e("p", "Nothing was noticed, and nothing was violated.")],
        "slots": slot_rows,
        "figure": figure_steps(run.figure),
        "clients": client_rows or [e("p", "No client handed over its record.")],
        "folder": _folder(run),
    }
    page = [e("section", e("h2", SECTIONS[key]), *parts, id=key) for key, parts in sections.items()]
    return [
        _header(run, name),
        e("nav", *(link(key, text) for key, text in SECTIONS.items()), aria_label="parts of this page"),
        e("main", *page),
    ]


def _header(run: RecordedRun, name: str) -> Element:
    verdict = verdict_of(run)
    result = run.result
    latency = result.get("latency_ms") or {}
    facts = [
        ("operations", f"{result.get('operations', 0):,}"),
        ("reconfigurations", f"{len(result.get('reconfigurations', ())):,}"),
        ("faults that struck", f"{len(result.get('faults_injected', ())):,}"),
        ("noticed", f"{len(result.get('notices', ())):,}"),
        ("operations a second", f"{result.get('operations_per_second', 0):,.0f}"),
        ("median latency", rough(latency["p50"]) if latency else "-"),
        ("99th percentile", rough(latency["p99"]) if latency else "-"),
    ]
    figures = e("dl", *(e("div", e("dt", what), e("dd", value)) for what, value in facts))
    return e(
        "header",
        e("h1", name, " ", e("span", verdict, class_=f"verdict v-{verdict.replace(' ', '-')}")),
        e("p", run.folder.name, class_="dim"),
        figures,
    )


def _reasons(run: RecordedRun, moments: Sequence[Moment]) -> list[Element]:
    if not run.reasons:
        return []
    items = [e("li", link(reason_anchor(number, text, moments), text)) for number, text in enumerate(run.reasons)]
    return [e("p", f"Verdict {verdict_of(run)}, because:"), e("ul", *items, class_="reasons")]


def _story(run: RecordedRun, moments: Sequence[Moment], times: Times) -> Element:
    return e("ol", *(e("li", sentence) for sentence in story(run, moments, times)), class_="story")


def _about_diagram(run: RecordedRun, times: Times, messages: int) -> list[Element]:
    since = "since the first request" if times.is_of_request else "since the first line of the logs"
    parts = [e("p", f"Time goes to the right, in milliseconds {since}; where little happens it is shortened. "
                    "Point at anything to see what it is; what is marked leads to its evidence.")]  # fmt: skip
    if run.drawn < run.routine:
        parts.append(e(
            "p", f"Drawn are {messages:,} messages, from {run.drawn:,} of {run.routine:,} lines of the logs: those around what happened beside "
            f"the routine, and the beginning and the end, in {len(run.windows)} windows. To see all of some time: ",
            e("code", f"./bcr show {run.folder.name} --window 100:200"), ", in milliseconds.", class_="warning",
        ))  # fmt: skip
    if run.left_out:
        told = ", ".join(f"{count:,} × {what}" for what, count in sorted(run.left_out.items(), key=lambda pair: -pair[1])[:8])
        parts.append(e("p", f"Not listed, because there are so many: {told}. They stand in the logs.", class_="warning"))
    if run.unread:
        parts.append(e("p", f"{run.unread:,} lines of the logs are cut off or not ours, and were passed over.", class_="warning"))
    if run.problem:
        parts.append(e("p", f"{run.problem}: slots and requests cannot be shown.", class_="warning"))
    return parts


def _diagram(names: Element, picture: Element) -> Element:
    buttons = [
        e("button", "−", type="button", data_zoom="0.7", aria_label="zoom out"), e("button", "+", type="button", data_zoom="1.4286", aria_label="zoom in"),
        e("button", "all", type="button", data_zoom="fit", title="all of it in the window"), e("button", "1:1", type="button", data_zoom="one"),
        e("label", e("input", type="checkbox", id="true-time"), " true time"),
        e("label", "from ", e("input", id="since", inputmode="decimal", size=8)), e("label", "to ", e("input", id="until", inputmode="decimal", size=8), " ms"),
        e("button", "show", type="button", id="go"), e("button", "previous moment", type="button", data_step="-1"),
        e("button", "next moment", type="button", data_step="1"),
    ]  # fmt: skip
    scroller = e("div", picture, class_="scroller", tabindex="0", id="scroller")
    return e(
        "figure",
        e("div", *buttons, class_="tools"),
        e("div", names, scroller, class_="frame"),
        e("p", "", id="told", class_="told", aria_live="polite"),
    )


def _legend() -> Element:
    items: list[Child] = [e("li", e("span", "→", class_=f"sign s-{kind}"), f" {text}") for kind, text in LEGEND.items()]
    items.append(e("li", e("span", "→", class_="sign s-alarm"), " something was noticed in it, or it left when a fault had struck"))
    items.append(e("li", "a short dash: never received, or not within what is drawn"))
    items += [e("li", e("span", sign, class_=f"sign p-{kind}"), f" {text}") for kind, (sign, text) in KINDS.items()]
    items.append(e("li", "a shade: from the demand for another configuration to its beginning"))
    return e("ul", *items, class_="legend")


def _over_time(run: RecordedRun, moments: Sequence[Moment], times: Times) -> list[Element]:
    drawn = charts(run, moments, times)
    if not drawn:
        return [e("p", "Nothing was answered, or by clients on another clock than the logs'.")]
    about = e("p", "Shades are reconfigurations; lines are faults (dashed) and what was noticed or violated (red).")
    return [about, *(e("div", each, class_="scroll", tabindex="0") for each in drawn)]


def _moments(run: RecordedRun, moments: Sequence[Moment], times: Times) -> list[Element]:
    if not moments:
        return [e("p", "The logs tell of nothing beside the routine.")]
    weighty = sorted(moments, key=lambda each: (each.kind not in SHOWN_AS_VIOLATION, each.kind != "fault", each.number))[:MOST_MOMENTS]
    chosen = sorted(weighty, key=lambda each: each.number)
    parts = [] if len(chosen) == len(moments) else [
        e("p", f"{len(chosen):,} of {len(moments):,}: violations and faults, and of the others the first. The logs hold all of them.", class_="warning")
    ]  # fmt: skip
    return [*parts, table(("ms", "", "what happened", ""), [_moment_row(each, times) for each in chosen], class_="moments")]


def _moment_row(moment: Moment, times: Times) -> Element:
    sign, _ = KINDS[moment.kind]
    more = link(moment.evidence, "evidence") if moment.kind in SHOWN_AS_VIOLATION else link(f"p{moment.number}", "diagram")
    return e("tr", e("td", f"{times.ms(moment.line.at_ns):,.3f}", class_="number"), e("td", e("span", sign, class_=f"sign p-{moment.kind}")),
             e("td", moment.text), e("td", more), id=moment.anchor)  # fmt: skip


def _folder(run: RecordedRun) -> list[Element]:
    parts = [e("p", "The page was made from this folder: ", e("code", str(run.folder)), ".")]
    for name, text in run.texts.items():
        parts.append(e("details", e("summary", name), e("pre", text[:200_000] + ("\n… the file has more" if len(text) > 200_000 else "")),
                       open="open" if name.startswith("scenario") else None))  # fmt: skip
    return parts

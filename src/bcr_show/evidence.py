"""What shows each violation: the message it was noticed in, what the log says around it, the statements, the slots."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from xml.etree.ElementTree import Element

import msgspec

from bcr_run.log_lines import Line
from bcr_show.elements import Child, e, link
from bcr_show.joining import Arrow
from bcr_show.mentions import mentioned_requests, mentioned_slots
from bcr_show.moments import SHOWN_AS_VIOLATION, Moment, Times, cause_of, person
from bcr_show.run_reading import RecordedRun
from bcr_show.spacetime import Drawing
from bcr_show.tables import Slot, request_anchor, slot_anchor

CONTEXT = 5  # lines of the process's log before and behind
MOST_VIOLATIONS = 120  # violations whose evidence is laid out
LONGEST_LINE = 600  # characters


class EvidenceContext(msgspec.Struct, frozen=True):
    """What evidence can refer to: the run, its arrows and their anchors, the slots and requests that the page has rows for."""

    run: RecordedRun
    times: Times
    arrows: Sequence[Arrow]
    drawing: Drawing
    slots: Sequence[Slot]
    requests: set[tuple[int, int]]


def by_process(lines: Iterable[Line]) -> dict[str, list[Line]]:
    """The lines of each process in the order of its file."""
    found: dict[str, list[Line]] = defaultdict(list)
    for line in lines:
        found[line.process].append(line)
    return {name: sorted(mine, key=lambda line: line.place) for name, mine in found.items()}


def alarms_of(moments: Sequence[Moment], lines: dict[str, list[Line]]) -> dict[tuple[str, int], str]:
    """Messages in which something was noticed, and messages that left right when a fault struck, by process and place."""
    alarms: dict[tuple[str, int], str] = {}
    for moment in moments:
        own = lines.get(moment.line.process, [])
        if moment.line.event == "misbehaviour":
            cause = cause_of(moment.line, own)
            if cause is not None:
                alarms[cause.process, cause.place] = f"in it was noticed: {moment.line.values.get('what', '')}"
        elif moment.line.event == "fault_injected" or (
            moment.kind == "fault" and moment.line.event in ("hidden", "answered_from_the_past")
        ):
            for line in _behind(moment.line, own):
                alarms.setdefault(
                    (line.process, line.place), f"left when this had struck: {moment.line.values.get('fault', moment.line.event)}"
                )
    return alarms


def _behind(fault: Line, own: Sequence[Line]) -> Iterator[Line]:
    """What the process sent between the fault and the next message that it received."""
    for line in own:
        if line.place > fault.place:
            if line.event == "received":
                return
            if line.event == "sent":
                yield line


def violations_of(moments: Sequence[Moment]) -> list[Moment]:
    return [moment for moment in moments if moment.kind in SHOWN_AS_VIOLATION]


def articles(shown: EvidenceContext, moments: Sequence[Moment], lines: dict[str, list[Line]]) -> list[Element]:
    """An article for each violation, and for each reason of the verdict."""
    found = violations_of(moments)
    first = [moment for moment in found if moment.kind == "breach"]
    laid_out = [*first, *(moment for moment in found if moment.kind != "breach")]
    parts = [_article(shown, moment, lines.get(moment.line.process, [])) for moment in laid_out[:MOST_VIOLATIONS]]
    # The rest has an anchor too: what it says, without the surroundings.
    parts += [e("p", _when(shown, moment), moment.text, id=moment.evidence, class_="brief") for moment in laid_out[MOST_VIOLATIONS:]]
    told = {moment.line.values.get("what") for moment in first if moment.line.event == "breach"}
    parts += [_reason(shown, number, text) for number, text in enumerate(shown.run.reasons) if text not in told]
    return parts


def reason_anchor(number: int, text: str, moments: Sequence[Moment]) -> str:
    """Where the evidence for a reason stands: that of the moment at which it came about, where that is known."""
    for moment in moments:
        if moment.line.event == "breach" and moment.line.values.get("what") == text:
            return moment.evidence
    return f"evidence-reason-{number}"


def _when(shown: EvidenceContext, moment: Moment) -> str:
    return f"{shown.times.text(moment.line.at_ns)}: "


def _article(shown: EvidenceContext, moment: Moment, own: Sequence[Line]) -> Element:
    parts: list[Child] = [e("h3", _when(shown, moment), moment.text)]
    if moment.line.event == "misbehaviour":
        parts.append(_message(shown, cause_of(moment.line, own)))
        parts += [e("div", e("p", "The statements that show it, as the process logged them:"), e("pre", line.values.get("evidence", "")))
                  for line in own if line.event == "evidence" and line.place == moment.line.place + 1]  # fmt: skip
    else:
        parts.append(_around(shown, moment))
    parts.append(_references(shown, [moment.text], moment))
    middle = _middle(moment.line, own)
    context = [
        line
        for line in own
        if middle and abs(line.place - middle.place) <= CONTEXT and line.event not in ("evidence", "contents", "disproved")
    ]
    if len(context) > 1:
        parts.append(e("p", f"The log of {person(moment.line.process)} around it:"))
        parts.append(e("pre", *(_log_line(shown, line, line is middle) for line in context)))
    return e("article", *parts, id=moment.evidence, class_=moment.kind)


def _middle(line: Line, own: Sequence[Line]) -> Line | None:
    """The line of a process's log at which it came about; of what was disproved, which is in no log, the acceptance."""
    if line.process == "simulator":
        return None
    if line.event == "disproved":
        number = line.values.get("number")
        return next((each for each in own if each.event == "accepted" and each.values.get("number") == number), None)
    return line


def _log_line(shown: EvidenceContext, line: Line, is_it: bool) -> Element | str:
    text = line.text()
    text = f"{shown.times.text(line.at_ns):>14}  {text if len(text) <= LONGEST_LINE else text[:LONGEST_LINE] + '…'}\n"
    return e("mark", text) if is_it else text


def _message(shown: EvidenceContext, cause: Line | None) -> Element:
    if cause is None:
        return e(
            "p",
            "The message in which it was noticed is not in the log: it could not be decoded or had no seal, or it stands outside of what was read.",
        )
    anchor = shown.drawing.anchors.get((cause.process, cause.place))
    arrow = next((each for each in shown.arrows if each.received is cause), None)
    told = f"{cause.values.get('message')}, received at {shown.times.text(cause.at_ns)}"
    if arrow is not None and arrow.sender is not None:
        told += f", which {person(arrow.sender)} sent at {shown.times.text(arrow.sent_ns or 0)}"
    elif arrow is not None:
        told += ", which nobody's log says it sent so: it was changed behind its log, or made up"
    where = (
        link(
            anchor,
            told,
        )
        if anchor
        else e("span", told)
    )
    return e("p", "Noticed in: ", where, ".")


def _around(shown: EvidenceContext, moment: Moment) -> Element:
    """For what the simulator found: the latest messages before it, for there the process did wrong."""
    before = [(number, arrow) for number, arrow in enumerate(shown.arrows)
              if arrow.received_ns is not None and arrow.received_ns <= moment.line.at_ns]  # fmt: skip
    latest_pairs = sorted(before, key=lambda pair: pair[1].received_ns or 0)[-3:]
    parts: list[Child] = ["The latest messages before it: "]
    for number, arrow in reversed(latest_pairs):
        parts += [link(f"m{number}", f"{arrow.name} to {person(arrow.receiver or '')} at {shown.times.text(arrow.received_ns or 0)}"), "; "]
    parts.append(link(f"p{moment.number}", "its place in the diagram"))
    return e("p", *parts, ".")


def _references(shown: EvidenceContext, texts: Sequence[str], moment: Moment | None) -> Element | None:
    """Links to the slots and requests that the sentences speak of, and to the place in the diagram."""
    there = {slot.place for slot in shown.slots}
    parts: list[Child] = []
    if moment is not None and moment.kind != "breach":
        parts += [link(f"p{moment.number}", "its place in the diagram"), "; "]
    for configuration, number in sorted(mentioned_slots(texts), key=str):
        for place in sorted(place for place in there if place[1] == number and configuration in (None, place[0])):
            parts += [link(slot_anchor(*place), f"slot {place[1]} of configuration {place[0]}"), "; "]
    for client, number in sorted(mentioned_requests(texts)):
        if (client, number) in shown.requests:
            parts += [link(request_anchor(client, number), f"request {number} of client {client}"), "; "]
    return e("p", "See ", *parts[:-1], ".") if parts else None


def _reason(shown: EvidenceContext, number: int, text: str) -> Element:
    found = _references(shown, [text], None)
    where = found if found is not None else e("p", "It is about the run as a whole: see ", link("story", "its story"), ".")
    return e("article", e("h3", text), where, id=f"evidence-reason-{number}", class_="reason")

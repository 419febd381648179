"""Joins what was sent to what was received, by the identity that both logs give a message."""

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence

import msgspec

from bcr_run.log_lines import Line

SEVERAL = re.compile(r"(?:all|\d+) (replica|client)s")
OWN_VALUES = frozenset({"message", "to", "from", "id", "becomes"})  # values that are no part of what a message says


class Arrow(msgspec.Struct, frozen=True, kw_only=True):
    """A message: from whom, when it left, to whom, when it came. Of what is not known there is None.

    `fate` says what became of it where that is not just to arrive: "lost", "changed", "made up", "not received",
    "received again", "of nobody". `sent` and `received` are the lines that tell of it.
    """

    name: str
    sender: str | None
    receiver: str | None
    sent_ns: int | None
    received_ns: int | None
    about: str
    fate: str
    sent: Line | None
    received: Line | None

    @property
    def is_alarming(self) -> bool:
        return self.fate in ("lost", "changed", "made up")


class _Sent(msgspec.Struct):
    line: Line
    fate: str
    taken: set[str]  # processes that have received it
    only: str | None = None  # the one process that can


def join(lines: Sequence[Line]) -> list[Arrow]:
    """The messages that the lines, which are in order of time, tell of; in the order in which they left."""
    sendings = _sendings(lines)
    arrows = [_received(line, sendings) for line in lines if line.event == "received"]
    for waiting in sendings.values():
        arrows += [arrow for sent in waiting if not sent.taken for arrow in _unreceived(sent)]
    return sorted(arrows, key=lambda arrow: (arrow.sent_ns or arrow.received_ns or 0, arrow.received_ns or 0))


def _sendings(lines: Iterable[Line]) -> dict[str, list[_Sent]]:
    """All that was sent, by identity, in order of time; with what the simulator did to it."""
    found: dict[str, list[_Sent]] = defaultdict(list)
    for line in lines:
        identity = line.values.get("id", "")
        if line.event == "sent":
            found[identity].append(_Sent(line, "", set()))
        elif line.event == "made_up":
            found[identity].append(_Sent(line, "made up", set(), line.values.get("to")))
        elif line.event == "changed":
            # Told when it leaves, so its sender has told of it just before.
            found[line.values.get("becomes", "")].append(_Sent(line, "changed", set(), line.values.get("to")))
            _take_back(found[identity], line)
        elif line.event == "lost":
            for sent in reversed(found[identity]):
                if sender_of(sent.line) == line.values.get("from") and line.values.get("to", "") not in sent.taken:
                    sent.fate = "lost"
                    sent.taken = sent.taken or set()
                    break
    return found


def _take_back(sent: list[_Sent], changed: Line) -> None:
    """What left otherwise did not leave as its process thinks: to this receiver, which may be one of several."""
    for each in reversed(sent):
        if each.line.process == changed.values.get("from"):
            each.taken.add(changed.values.get("to", ""))
            return


def sender_of(line: Line) -> str:
    """Who sent what the line tells of: the process itself, or whom the simulator names."""
    return line.values.get("from", line.process)


def _received(line: Line, sendings: dict[str, list[_Sent]]) -> Arrow:
    sent, is_again = _sending_of(line, sendings.get(line.values.get("id", ""), ()))
    if sent is not None:
        sent.taken.add(line.process)
    return Arrow(
        name=line.values.get("message", ""), receiver=line.process, received_ns=line.at_ns, received=line,
        sender=sender_of(sent.line) if sent else None,
        sent_ns=sent.line.at_ns if sent else None, sent=sent.line if sent else None,
        about=about(line), fate="of nobody" if sent is None else "received again" if is_again else sent.fate.removeprefix("lost"),
    )  # fmt: skip


def _sending_of(received: Line, sendings: Sequence[_Sent]) -> tuple[_Sent | None, bool]:
    """What was received, and whether it had come before: the latest that may be it, for an earlier one may have got lost."""
    possible_sendings = [each for each in sendings if _may_be(each, received)]
    fresh_sendings = [
        each for each in possible_sendings if not each.taken or (_is_for_several(each) and received.process not in each.taken)
    ]
    found = (fresh_sendings or possible_sendings)[-1:]
    return (found[0], not fresh_sendings) if found else (None, False)


def _is_for_several(sent: _Sent) -> bool:
    return sent.only is None and SEVERAL.fullmatch(sent.line.values.get("to", "")) is not None


def _may_be(sent: _Sent, received: Line) -> bool:
    if sent.line.at_ns > received.at_ns:
        return False
    if sent.only is not None:
        return sent.only == received.process
    return is_for(sent.line.values.get("to", ""), received.process)


def is_for(receiver: str, process: str) -> bool:
    """Whether what was sent to `receiver`, as the sender calls it, may have come to that process."""
    match = SEVERAL.fullmatch(receiver)
    if match:
        return process.startswith(match[1])
    return process == receiver or process.startswith(f"{receiver}-")


def _unreceived(sent: _Sent) -> list[Arrow]:
    line = sent.line
    return [
        Arrow(
            name=line.values.get("message", ""), sender=sender_of(line), sent_ns=line.at_ns, sent=line,
            receiver=line.values.get("to"), received_ns=None, received=None, about=about(line),
            fate=sent.fate or "not received",
        )
    ]  # fmt: skip


def about(line: Line) -> str:
    """What identifies the message, as the log has it."""
    return ", ".join(f"{name} {value}" for name, value in line.values.items() if name not in OWN_VALUES)

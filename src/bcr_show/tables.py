"""The slots of a run with their statements and proofs, and the requests of each client."""

from collections.abc import Iterable, Iterator, Sequence
from xml.etree.ElementTree import Element

import msgspec

from bcr.chain.proofs import Answer, Vouched
from bcr.chain.void import without_void
from bcr.evidence.figure import Step
from bcr.signed.violations import ProtocolViolation
from bcr.verdict.record import ClientRecord, Exchange, RunRecord
from bcr_run.figure_in_logs import Followed
from bcr_show.elements import e, link, table
from bcr_show.moments import Times, rough
from bcr_show.run_reading import RecordedRun, clock_of

MOST_ROWS = 300  # of slots, and of requests of all clients
LONGEST_TEXT = 160  # characters of an operation or result in a table


class Slot(msgspec.Struct):
    """What the clients' records show of a slot: the requests in it, and who testified to what."""

    configuration: int
    number: int
    exchanges: list[Exchange]
    agreeing: set[int]
    disagreeing: set[int]
    orders: set[int]
    by_olympus: bool = False

    @property
    def anchor(self) -> str:
        return slot_anchor(self.configuration, self.number)

    @property
    def is_odd(self) -> bool:
        return bool(self.disagreeing or self.by_olympus) or any(each.answer.outcome.place[:2] != self.place for each in self.exchanges)

    @property
    def place(self) -> tuple[int, int]:
        return self.configuration, self.number


def slot_anchor(configuration: int, number: int) -> str:
    return f"slot-{configuration}-{number}"


def request_anchor(client: int, number: int) -> str:
    return f"request-{client}-{number}"


def slots_of(record: RunRecord | None) -> list[Slot]:
    """All slots of which a client has an answer, in order."""
    slots: dict[tuple[int, int], Slot] = {}
    for exchange in (each for client in record.clients for each in client.exchanges) if record else ():
        answer = without_void(exchange.answer)
        place = (exchange.answer.configuration, exchange.answer.slot)
        slot = slots.setdefault(place, Slot(*place, [], set(), set(), set()))
        slot.exchanges.append(exchange)
        if isinstance(answer, Vouched):
            slot.by_olympus = True
        elif isinstance(answer, Answer):  # the answers of other protocols hold no testimony
            _add_testimony(slot, answer)
    return [slots[place] for place in sorted(slots)]


def _add_testimony(slot: Slot, answer: Answer) -> None:
    try:
        result = answer.result()
    except ProtocolViolation:
        return
    slot.agreeing |= {signed.signer for signed in answer.proof if signed.statement == result}
    slot.disagreeing |= {signed.signer for signed in answer.proof if signed.statement != result}
    slot.orders |= {signed.signer for signed in answer.orders}


def figure_steps(figure: Followed | None) -> list[Element]:
    """What the paper's Figure 1 says to the run, and the steps: of many the rare ones, the first, and the last."""
    if figure is None:
        return [e("p", "This protocol has no such figure.")]
    parts = [e("p", figure.sentence() + ".", class_="warning" if figure.forbidden or not figure.taken else None)]
    if not figure.taken:
        return parts
    steps = list(enumerate(figure.steps, start=1))
    rare_places = [place for place, (_, step) in enumerate(steps) if step.kind not in ("order command", "learn", "catch up command")]
    chosen = [steps[place] for place in spread(len(steps), rare_places, MOST_ROWS)]
    if len(chosen) < figure.taken:
        parts.append(
            e(
                "p",
                f"{len(chosen):,} of {figure.taken:,} are listed: ",
                e("code", "./bcr show --conformance"),
                " lists all.",
                class_="warning",
            )
        )
    if figure.forbidden is not None and (figure.taken, figure.forbidden) not in chosen:
        chosen.append((figure.taken, figure.forbidden))
    return [
        *parts,
        table(
            ("", "step", "configuration", "replica", "slot", "requests or quorum", "digest"), [_step_row(*each, figure) for each in chosen]
        ),
    ]


def _step_row(number: int, step: Step, figure: Followed) -> Element:
    is_forbidden = number == figure.taken and figure.forbidden is not None
    numbers = [e("td", "" if each is None else f"{each:,}", class_="number") for each in (step.configuration, step.position, step.slot)]
    about = " ".join(f"{client}:{number}" for client, number in step.commands) or " ".join(map(str, step.members))
    return e(
        "tr", e("td", f"{number:,}", class_="number"), e("td", step.kind, *([f": {figure.why}"] if is_forbidden else [])), *numbers,
        e("td", about), e("td", step.digest.hex()[:8]), class_="forbidden" if is_forbidden else None,
    )  # fmt: skip


def spread(count: int, wanted: Sequence[int], most: int) -> list[int]:
    """At most so many of the places from 0 to count - 1: the wanted ones first, then the first and the last."""
    if count <= most:
        return list(range(count))
    chosen = list(dict.fromkeys(wanted))[:most]
    ends = (place for pair in zip(range(count), reversed(range(count)), strict=True) for place in pair)
    kept_places = set(chosen)
    for place in ends:
        if len(kept_places) >= most:
            break
        kept_places.add(place)
    return sorted(kept_places)


def slot_table(slots: Sequence[Slot], mentioned: set[tuple[int | None, int]]) -> list[Element]:
    """The table, with the slots that something is odd about among its rows in any case; and how many it has."""
    wanted = [
        place for place, slot in enumerate(slots) if (slot.configuration, slot.number) in mentioned or (None, slot.number) in mentioned
    ]
    wanted += [place for place, slot in enumerate(slots) if slot.is_odd]
    chosen = spread(len(slots), wanted, MOST_ROWS)
    rows = [_slot_row(slots[place]) for place in chosen]
    listing = table(("configuration", "slot", "requests", "result statements of", "orders in their place", "outcome"), rows, class_="slots")
    return [
        e("p", how_many(len(chosen), len(slots), "slots of which a client has an answer", "those that something is odd about")),
        listing,
    ]


def how_many(shown: int, there_are: int, what: str, first: str) -> str:
    """A sentence that says how many rows a table has, of how many."""
    if shown == there_are:
        return f"All {there_are:,} {what}."
    return f"{shown:,} of {there_are:,} {what}: {first}, and of the others the first and the last. The record holds all of them."


def _slot_row(slot: Slot) -> Element:
    requests: list[Element | str] = []
    for exchange in slot.exchanges:
        statement = exchange.request.statement
        requests += [link(request_anchor(statement.client, statement.number), f"{statement.client}:{statement.number}"), " "]
    outcomes = "; ".join(_excerpt(", ".join(map(repr, each.answer.outcome.results))) for each in slot.exchanges)
    if any(each.answer.outcome.place[:2] != slot.place for each in slot.exchanges):
        outcomes += " (executed earlier: " + ", ".join(str(each.answer.outcome.place) for each in slot.exchanges) + ")"
    results: list[Element | str] = [_numbers(slot.agreeing)]
    if slot.disagreeing:
        results.append(e("strong", f" but {_numbers(slot.disagreeing)} otherwise", class_="bad"))
    if slot.by_olympus:
        results.append(" Olympus vouches" if slot.agreeing else "Olympus vouches")
    return e("tr", e("td", str(slot.configuration)), e("td", str(slot.number)), e("td", *requests), e("td", *results),
             e("td", _numbers(slot.orders)), e("td", outcomes), id=slot.anchor, class_="odd" if slot.is_odd else None)  # fmt: skip


def _numbers(positions: Iterable[int]) -> str:
    return ", ".join(map(str, sorted(positions)))


def _excerpt(text: str) -> str:
    return text if len(text) <= LONGEST_TEXT else f"{text[:LONGEST_TEXT]}… ({len(text):,} characters)"


def request_tables(run: RecordedRun, times: Times, mentioned: set[tuple[int, int]]) -> Iterator[Element]:
    """For each client its requests: the slowest, those that came again or from Olympus, and the first and last."""
    if run.record is None:
        return
    most = max(10, MOST_ROWS // max(1, len(run.record.clients)))
    for client in run.record.clients:
        yield _requests_of(client, run, times, mentioned, most)


def _requests_of(client: ClientRecord, run: RecordedRun, times: Times, mentioned: set[tuple[int, int]], most: int) -> Element:
    exchanges = client.exchanges
    by_latency = sorted(range(len(exchanges)), key=lambda place: -exchanges[place].latency_ns)
    wanted = [place for place, each in enumerate(exchanges) if (client.client, each.request.statement.number) in mentioned]
    wanted += [place for place, each in enumerate(exchanges) if each.attempts > 1 or isinstance(each.answer, Vouched)][: most // 2]
    wanted += by_latency[: most // 3]
    chosen = spread(len(exchanges), wanted, most)
    rows = [_request_row(exchanges[place], client, run, times) for place in chosen]
    rows += [_unanswered_row(client, place) for place in range(len(client.without_answer))][:most]
    heading = f"client {client.client}: {len(exchanges):,} answered, {len(client.without_answer):,} not, sent again {client.retransmissions:,} times"
    listing = table(("number", "operations", "results", "sent", "latency", "sent so often", "answered by", "slot"), rows, class_="requests")
    told = how_many(
        len(chosen), len(exchanges), "answered requests", "the slowest, those that were sent again, and those that Olympus answered"
    )
    return e(
        "details", e("summary", heading), e("p", told), listing, open="open" if client.client == 0 else None, id=f"client-{client.client}"
    )


def _request_row(exchange: Exchange, client: ClientRecord, run: RecordedRun, times: Times) -> Element:
    statement, answer = exchange.request.statement, exchange.answer
    clock, origin_ns = clock_of(run.result)
    sent = times.text(exchange.sent_ns + origin_ns) if client.clock == clock else "on another clock"
    place = link(slot_anchor(answer.configuration, answer.slot), f"{answer.slot} of configuration {answer.configuration}")
    cells = (
        str(statement.number), _excerpt("; ".join(map(str, statement.operations))), _excerpt(", ".join(map(repr, answer.outcome.results))),
        sent, rough(exchange.latency_ns / 1e6), str(exchange.attempts), exchange.answered_by.replace("_", " "),
    )  # fmt: skip
    is_odd = exchange.attempts > 1 or isinstance(answer, Vouched)
    return e("tr", *(e("td", cell) for cell in cells), e("td", place), id=request_anchor(client.client, statement.number),
             class_="odd" if is_odd else None)  # fmt: skip


def _unanswered_row(client: ClientRecord, place: int) -> Element:
    statement = client.without_answer[place].statement
    operations = _excerpt("; ".join(map(str, statement.operations)))
    return e("tr", e("td", str(statement.number)), e("td", operations), e("td", "no answer", colspan=6),
             id=request_anchor(client.client, statement.number), class_="odd")  # fmt: skip

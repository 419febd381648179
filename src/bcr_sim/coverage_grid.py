"""The grids of a campaign's page: which faults struck where, for each protocol in its own words."""

from collections import Counter
from collections.abc import Iterable, Mapping
from html import escape

from bcr.faults.vocabulary import OF_LINKS
from bcr.scenario.protocols import BRAFT_SYNONYMS, PROTOCOLS
from bcr_sim.coverage import PLACES, parts_of


def grids(counted: Iterable[tuple[str, Mapping[str, int]]]) -> str:
    """A grid for each protocol that is in it; `counted` are counts, with the protocol that those of an earlier version are of."""
    counts: dict[str, Counter[tuple[str, str, str]]] = {}
    for protocol, of_protocol in counted:
        for key, count in of_protocol.items():
            known, trigger, failure, place = parts_of(key, protocol)
            if place in PLACES.get(known, ()):
                trigger = BRAFT_SYNONYMS.get(trigger, trigger) if known == "byzantine_raft" else trigger
                counts.setdefault(known, Counter())[trigger, failure, place] += count
    return "".join(_grid(protocol, counts[protocol]) for protocol in PROTOCOLS if protocol in counts) or "<p>None.</p>"


def _grid(protocol: str, counts: Mapping[tuple[str, str, str], int]) -> str:
    """A square for each trigger, failure and place: the darker, the oftener; which never struck is empty."""
    of, places = PROTOCOLS[protocol], PLACES[protocol]
    all_triggers = [each for each in of.triggers if not (protocol == "byzantine_raft" and each in BRAFT_SYNONYMS)]
    all_failures = [each for each in dict.fromkeys((*of.failures, *of.lies)) if each not in OF_LINKS]
    triggers = [each for each in all_triggers if any(cell[0] == each for cell in counts)]
    failures = [each for each in all_failures if any(cell[1] == each for cell in counts)]
    cells = [(trigger, failure, place) for failure in failures for trigger in triggers for place in places]
    most = max((counts.get(cell, 0) for cell in cells), default=0)
    head = "".join(f"<th colspan={len(places)}>{escape(each)}</th>" for each in triggers)
    rows = []
    for row in failures:
        squares = []
        for cell in [each for each in cells if each[1] == row]:
            count = counts.get(cell, 0)
            shade = f"background:rgba(31,92,153,{0.15 + 0.85 * (count / most) ** 0.4:.2f})" if count else "background:#f2f2f2"
            squares.append(f"<td style='{shade}' title='{', '.join(cell)}: {count:,}'></td>")
        rows.append(f"<tr><th>{escape(row)}</th>{''.join(squares)}</tr>")
    missing = [each for each in (*all_triggers, *all_failures) if each not in (*triggers, *failures, *of.lies)]
    struck = sum(1 for cell in cells if counts.get(cell))
    where = f", failures and places ({', '.join(places)})" if len(places) > 1 else " and failures"
    about = f"<p>{of.title}: {struck:,} of {len(cells):,} combinations of these triggers{where} have struck.</p>"
    never = f"<p class=never>Never: {escape(', '.join(missing))}.</p>" if missing else ""
    return f"{about}{never}<div class=scroll><table class=grid><thead><tr><th></th>{head}</tr></thead>{''.join(rows)}</table></div>"

"""Which t+1 replicas Olympus goes on from: a pure function over their wedged histories (specification, 7.3, 7.9)."""

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from itertools import combinations

import msgspec

from bcr.chain.history import HistoryEntry, ValidHistory

Quorum = tuple[int, ...]
Pair = tuple[int, int]  # of positions, the lower one first


class QuorumPlan(msgspec.Struct, frozen=True):
    """A quorum, and for each of its members the suffix of the longest history that it lacks, perhaps none.

    `slots` is the end of the longest history: what every member has executed once it has caught up.
    """

    quorum: Quorum
    slots: int
    suffixes: Mapping[int, tuple[HistoryEntry, ...]]


def are_consistent(one: ValidHistory, other: ValidHistory) -> bool:
    """Whether two histories order the same requests wherever both have a slot, and agree on a common checkpoint.

    And whether neither holds statements in the other's name that are not the other's, as far as Olympus can tell.
    """
    if one.position in other.disowned or other.position in one.disowned:
        return False
    mine, theirs = one.checkpoint, other.checkpoint
    if mine and theirs and mine.slot == theirs.slot and mine != theirs:
        return False
    orders = other.orders()
    return all(orders.get(slot, order) == order for slot, order in one.orders().items())


def plan_for(histories: Iterable[ValidHistory]) -> QuorumPlan | str:
    """How to bring these members to the same state, or why that cannot be.

    Pairwise consistent histories are each part of the longest one. It starts at the best completed checkpoint; a
    member that ends before what the others still have cannot be caught up.
    """
    members = sorted(histories, key=lambda history: history.position)
    for one, other in combinations(members, 2):
        if not are_consistent(one, other):
            return _contradiction(one.position, other.position)
    return _plan_for_consistent(members)


def _plan_for_consistent(members: Sequence[ValidHistory]) -> QuorumPlan | str:
    """As `plan_for`, of members in the order of the chain that are known not to contradict each other."""
    entries = {entry.slot: entry for member in members for entry in member.entries}
    slots = max(member.end for member in members)
    suffixes: dict[int, tuple[HistoryEntry, ...]] = {}
    for member in members:
        suffix_slots = range(member.end, slots)
        if any(slot not in entries for slot in suffix_slots):
            return f"the history of replica {member.position} ends before a checkpoint of the others"
        suffixes[member.position] = tuple(entries[slot] for slot in suffix_slots)
    return QuorumPlan(tuple(member.position for member in members), slots, suffixes)


def _contradiction(one: int, other: int) -> str:
    return f"the histories of replicas {one} and {other} contradict each other"


def withholders(histories: Mapping[int, ValidHistory]) -> set[int]:
    """The replicas that signed an order which their own wedged history lacks: provable misbehaviour (specification, 5.1).

    It may lack the slot, or hold another order there.
    """
    own = {position: history.orders() for position, history in histories.items()}
    return {
        signed.signer
        for history in histories.values()
        for entry in history.entries
        for signed in entry.order_proof
        if signed.signer in histories
        and signed.signer not in history.disowned
        and entry.slot >= histories[signed.signer].start
        and own[signed.signer].get(entry.slot) != signed.statement
    }


def candidates(
    histories: Mapping[int, ValidHistory], size: int, suspects: AbstractSet[int], blamed: Mapping[int, int] = {}
) -> Iterator[Quorum]:
    """All quorums of `size` among these replicas, in the order in which to try them.

    First those without suspects, for a suspect has been proved to lie; then those that hold one of the longest
    histories, so that nothing which a client may have an answer to is left behind; then of those who were `blamed` the fewest
    times for a quorum that failed, for of many quorums a liar is in very many; then by position.
    """
    if len(histories) < size:
        return
    in_turn = sorted(histories, key=lambda position: (blamed.get(position, 0), position))
    longest = max(history.end for history in histories.values())
    ahead = {position for position, history in histories.items() if history.end == longest}
    clean = [position for position in in_turn if position not in suspects]
    for count in range(min(size, len(histories) - len(clean)) + 1):
        for is_ahead in (True, False):
            # Lazily, for there may be very many, and nearly always the first will do.
            for members in combinations(in_turn, size) if count else combinations(clean, size):
                quorum = tuple(sorted(members))
                if len(suspects & set(quorum)) == count and bool(ahead & set(quorum)) == is_ahead:
                    yield quorum


def choose_quorum(
    histories: Mapping[int, ValidHistory],
    size: int,
    failed: Mapping[Quorum, str],
    suspects: AbstractSet[int] = frozenset(),
    forgiven: Container[Quorum] = (),
    blamed: Mapping[int, int] = {},
    differing: AbstractSet[Pair] = frozenset(),
) -> tuple[QuorumPlan | None, dict[Quorum, str]]:
    """The first quorum that has not failed and can be caught up, with the plan for it; None where there is none.

    Those that were `forgiven` an earlier failure come last: who is late again and again must not keep the others waiting.
    No quorum holds both of a pair that is `differing`: from the same longest history they came to different states once.
    Also returns, by quorum, why those before it cannot be.

    Each such pair holds a liar, for the same requests bring every correct replica to the same state. So a quorum of correct
    replicas holds none, and is never passed over for it.
    """
    why_not: dict[Quorum, str] = {}
    # Compared once and not once a quorum: each pair is in very many of them.
    contradicting = {
        (one, other) for one, other in combinations(sorted(histories), 2) if not are_consistent(histories[one], histories[other])
    }
    second_choice: list[Quorum] = []

    def in_turn() -> Iterator[Quorum]:
        for quorum in candidates(histories, size, suspects, blamed):
            if quorum in forgiven:
                second_choice.append(quorum)
            else:
                yield quorum
        yield from second_choice

    for quorum in in_turn():
        if quorum in failed:
            continue
        contradiction = next((pair for pair in combinations(quorum, 2) if pair in contradicting), None)
        if contradiction is not None:
            why_not[quorum] = _contradiction(*contradiction)
            continue
        difference = next((pair for pair in combinations(quorum, 2) if pair in differing), None)
        if difference is not None:
            why_not[quorum] = "the running states of replicas {} and {} differed before".format(*difference)
            continue
        plan = _plan_for_consistent([histories[position] for position in quorum])
        if isinstance(plan, QuorumPlan):
            return plan, why_not
        why_not[quorum] = plan
    return None, why_not

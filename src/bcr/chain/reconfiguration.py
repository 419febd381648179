"""One reconfiguration as Olympus sees it: who answered what, which quorums failed and why (specification, 7).

Holds no clock and sends nothing: Olympus asks what to do next and tells what came of it.

Of two members whose running states differ one lies, for both have executed the same longest history. No later quorum holds both
(7.9). One of t+1 correct replicas is never passed over for that. If the digests of a quorum differ, at least t pairs of its t+1
members do, and none of these had before. Each holds a liar. With f <= t liars among 2t+1 replicas there are f(2t+1-f) + f(f-1)/2
such pairs, at the most t(3t+1)/2. So no more than (3t+1)/2 quorums fail by their digests, whatever liars answer, and when.

No order of answers makes it loop. Every failed quorum is remembered, and there are finitely many. A quorum is tried again only if
all that it lacked came late, only behind those that have not failed, and at most as often as it has members, because each
member may be late for another thing. When Olympus has waited in vain for so long that it wedges the replicas again, this counting
begins anew: they may be correct and have been slow.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import combinations
from typing import NamedTuple

import msgspec

from bcr.chain.configuration import Membership
from bcr.chain.history import (
    CatchingUp,
    CaughtUp,
    RunningStateHandover,
    Validation,
    ValidHistory,
    Wedged,
    WithState,
)
from bcr.chain.limits import CATCH_UP_SLICE_REQUESTS
from bcr.chain.quorum import Pair, Quorum, QuorumPlan, choose_quorum, withholders
from bcr.signed.pieces import PROGRESS_STEPS
from bcr.signed.signing import Signed
from bcr.signed.statements import MAX_REQUESTS_PER_SLOT, Voucher
from bcr.signed.violations import ProtocolViolation
from bcr.state.running import Snapshot


def milliseconds(since_s: float, until_s: float) -> float:
    """From one moment to the other, in whole microseconds."""
    return round((until_s - since_s) * 1000, 3)


class Wish(NamedTuple):
    """That a configuration be replaced: who asked, why, whom it blames, and when Olympus heard it, on its monotonic clock."""

    who: str
    reason: str
    blamed: int | None
    heard_s: float


class ReconfigurationReport(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the result of a run says of a reconfiguration.

    `detected_ms` counts from the start of the service, and `detected_ns` is the same moment on Olympus's `clock`: when the
    request for it arrived. From then on count, None where it never came to that, `wedged_ms`, until Olympus had the
    histories that it waited for; `caught_up_ms`, until a quorum had one digest; `fetched_ms`, until its running state was
    there; and `active_ms`. `quorum` is None where no quorum would do, and `why_not` then says of each why.
    """

    source: int = msgspec.field(name="from")
    target: int = msgspec.field(name="to")
    requested_by: str
    reason: str
    blamed: int | None
    quorums_tried: tuple[Quorum, ...]
    quorum: Quorum | None
    why_not: tuple[tuple[Quorum, str], ...]
    invalid_histories: dict[str, str]
    olympus_results: tuple[tuple[int, int], ...]
    clock: str
    detected_ns: int
    detected_ms: float
    wedged_ms: float | None
    caught_up_ms: float | None
    fetched_ms: float | None
    active_ms: float | None


class Reconfiguration:
    """The move away from one configuration.

    Histories of its correct replicas never have more than `most_slots` slots, with at most `most_requests` in each. Attempts are
    counted from above `attempts_before`.
    """

    def __init__(
        self, configuration: Membership, most_slots: int, most_requests: int = MAX_REQUESTS_PER_SLOT, attempts_before: int = 0
    ) -> None:
        self.configuration = configuration
        self._most_slots = most_slots
        self._most_requests = most_requests
        self._checking: dict[int, Validation] = {}  # position -> of a history that has come, and is long
        self._executed: dict[int, int] = {}  # position -> slots of which it said that it has caught up to them, in this attempt
        self.histories: dict[int, ValidHistory] = {}
        self.invalid: dict[int, str] = {}  # position -> why its wedged history is not valid
        self.silent: set[int] = set()  # positions that owe an answer whose time has passed
        self._late: dict[Quorum, set[int]] = {}  # failed by silence alone -> whose, as long as that lasts
        self._forgiven: Counter[Quorum] = Counter()
        self._chances = 0  # that were given in all
        self._blamed: Counter[int] = Counter()  # position -> how many quorums failed by its silence, or with it by other digests
        self._differing: set[Pair] = set()  # who came to different states from the same longest history: one of them lies
        self.failed: dict[Quorum, str] = {}
        self.tried: list[Quorum] = []
        self.attempt = attempts_before  # at a quorum
        self._caught_up: dict[int, CaughtUp] = {}  # position -> its answer in this attempt
        self.snapshot: Snapshot | None = None

    # -- wedging

    def add_wedged(self, wedged: Signed[Wedged]) -> None:
        """Take a replica's history, the first that it sends, to be checked; a later one only says that the replica lives.

        Raises a ProtocolViolation where the replica did not sign it: anybody can have sent that.
        """
        validation = Validation(wedged, self.configuration, self._most_slots, self._most_requests)
        position = validation.position
        self._hear(position)
        if position not in self.histories and position not in self.invalid:
            self._checking.setdefault(position, validation)

    def is_checking(self) -> bool:
        """Whether a history that has come has not been checked to its end."""
        return bool(self._checking)

    def check_some(self, requests: int) -> None:
        """Check slots with about so many requests of a history that has come.

        Raises a ProtocolViolation where it is not valid: then that, too, was the replica's answer.
        """
        position, validation = next(iter(self._checking.items()))
        try:
            history = validation.advance(requests)
        except ProtocolViolation as violation:
            del self._checking[position]
            self.invalid[position] = f"{violation.kind}: {violation}"
            raise
        if history is not None:
            del self._checking[position]
            self.histories[position] = history

    def answered(self) -> int:
        """How many replicas have answered the wedge request."""
        return len(self.histories) + len(self.invalid) + len(self._checking)

    def owing(self) -> list[int]:
        """The positions of the replicas that have not answered it."""
        repliers = self.histories.keys() | self.invalid.keys() | self._checking.keys()
        return [position for position in range(len(self.configuration.replicas)) if position not in repliers]

    def heard_from(self) -> tuple[int, int, int, int]:
        """Changes whenever an answer arrives that may make another quorum possible."""
        return self.answered(), len(self._caught_up), self._chances, len(self.silent)

    def begin_anew(self) -> None:
        """What was late may be late again: every quorum may be forgiven as often as at the beginning."""
        self._forgiven.clear()
        self._give_chances()

    def awaits(self) -> set[int]:
        """The positions from which something may yet come that makes another quorum possible."""
        return set(self.owing()) | self.silent

    def is_unforgiving(self) -> bool:
        """Whether a quorum failed by silence that is over, and only as often as to have no more chances until `begin_anew`."""
        return any(not silent for silent in self._late.values())

    def suspects(self) -> set[int]:
        """Replicas whose own signatures prove that they hide orders."""
        return withholders(self.histories)

    # -- catching up

    def next_plan(self) -> QuorumPlan | None:
        """The next quorum to try, or None while there is none among those that have answered.

        A quorum with a replica that was silent once waits for that replica's answer.
        """
        usable = {position: history for position, history in self.histories.items() if position not in self.silent}
        plan, why_not = choose_quorum(
            usable, self.configuration.histories, self.failed, self.suspects(), self._forgiven, self._blamed, self._differing
        )
        self.failed |= why_not
        if plan is not None:
            self.tried.append(plan.quorum)
            self.attempt += 1
            self._caught_up = {}
            self._executed = {}
            self.snapshot = None  # another quorum may have agreed on another digest, and given its state late
        return plan

    def add_caught_up(self, signed: Signed[CaughtUp]) -> None:
        """Take a replica's first answer to its catch_up of this attempt; a later one only says that the replica lives.

        Raises InvalidSignature unless the replica signed it.
        """
        signed.demand_authentic(self.configuration.replica_author(signed.signer), f"replica {signed.signer}")
        if signed.statement.configuration != self.configuration.number:
            return
        self._hear(signed.signer)
        if self.tried and signed.signer in self.tried[-1] and signed.statement.attempt == self.attempt:
            self._caught_up.setdefault(signed.signer, signed.statement)

    def add_catching_up(self, signed: Signed[CatchingUp]) -> None:
        """Take a replica's word on how far it is in this attempt. Raises InvalidSignature unless the replica signed it."""
        signed.demand_authentic(self.configuration.replica_author(signed.signer), f"replica {signed.signer}")
        statement = signed.statement
        if (statement.configuration, statement.attempt) == (self.configuration.number, self.attempt):
            self._executed[signed.signer] = max(statement.slots, self._executed.get(signed.signer, 0))

    def catch_up_steps(self, plan: QuorumPlan) -> int:
        """Rises while members of the quorum execute what they lack, by PROGRESS_STEPS for each at the most.

        Each step is a slice of requests at least: what is executed in one is there or is not, and nobody spins it out.
        """
        steps = PROGRESS_STEPS * len(self._caught_up)
        for position in self.lacking(plan):
            suffix = plan.suffixes[position]
            if suffix:
                done = self._executed.get(position, 0) - suffix[0].slot
                requests = sum(len(entry.requests) for entry in suffix)
                most = min(PROGRESS_STEPS, (requests - 1) // CATCH_UP_SLICE_REQUESTS)
                steps += most * min(max(done, 0), len(suffix)) // len(suffix)
        return steps

    def lacking(self, plan: QuorumPlan) -> list[int]:
        """The members of the quorum that have not said that they are where the plan wants them."""
        return [position for position in plan.quorum if position not in self._caught_up]

    def settle_digests(self, plan: QuorumPlan) -> bytes | None:
        """The digest on which the caught-up quorum agrees; None, and the quorum has failed, where it does not."""
        groups: dict[tuple[int, bytes], list[int]] = {}
        for position in plan.quorum:
            caught_up = self._caught_up[position]
            groups.setdefault((caught_up.slots, caught_up.state_digest), []).append(position)
        if len(groups) == 1:
            [(_, state_digest)] = groups
            return state_digest
        self._differing.update(pair for pair in combinations(plan.quorum, 2) if not any({*pair} <= {*group} for group in groups.values()))
        self.fail(plan, "running states differ: " + " against ".join(str(group) for group in groups.values()))
        return None

    def fail(self, plan: QuorumPlan, why: str, silent: Iterable[int] = ()) -> None:
        """The quorum will not do; `silent` names the members that did not answer in time, and where none is, each may have lied."""
        silent = tuple(silent)
        self.failed[plan.quorum] = why
        self._blamed.update(silent or plan.quorum)
        self.silent.update(silent)
        if silent:
            self._late[plan.quorum] = set(silent)

    def _hear(self, position: int) -> None:
        """A replica that owed an answer gave it: what failed by its silence gets another chance."""
        self.silent.discard(position)
        for silent in self._late.values():
            silent.discard(position)
        self._give_chances()

    def _give_chances(self) -> None:
        for quorum, silent in list(self._late.items()):
            if not silent and self._forgiven[quorum] < len(quorum):
                del self._late[quorum], self.failed[quorum]
                self._forgiven[quorum] += 1
                self._chances += 1

    def vouchers(self, plan: QuorumPlan) -> list[Voucher]:
        """What Olympus can tell clients: their requests to which the whole quorum gives one and the same answer
        (specification, 7.6).

        The quorum holds a correct replica, so that is what they gave. None where the quorum is too small to show anything:
        the clients then send their requests again.
        """
        if len(plan.quorum) < self.configuration.quorum:
            return []
        by_member = [{(latest.client, latest.number): latest for latest in self._caught_up[position].answers} for position in plan.quorum]
        first, *others = by_member
        return [
            Voucher(self.configuration.number, latest.slot, client, number, latest.request_digest, latest.outcome)
            for (client, number), latest in sorted(first.items())
            if all(each.get((client, number)) == latest for each in others)
        ]

    # -- the running state

    def add_running_state(self, handover: WithState[RunningStateHandover], digest: bytes | None) -> bool:
        """Take a member's running state; whether its digest is the quorum's, None while there is none (specification, 7.7).

        Raises a ProtocolViolation unless it is what the replica signed: anybody may have put another state beside that.
        """
        signed = handover.signed
        signed.demand_authentic(self.configuration.replica_author(signed.signer), f"replica {signed.signer}")
        handover.demand_fitting()
        self._hear(signed.signer)
        if handover.snapshot.digest() != digest:
            return False
        self.snapshot = handover.snapshot
        return True

    # -- what becomes known of it

    def report(
        self,
        wish: Wish,
        target: int,
        plan: QuorumPlan | None,
        results: tuple[tuple[int, int], ...],
        reached_s: Mapping[str, float],
        clock: str,
        serving_since_s: float,
    ) -> ReconfigurationReport:
        """The account of it: `results` are client and number of the vouchers that were sent, `reached_s` when its steps were."""
        reached_ms = {step: milliseconds(wish.heard_s, at_s) for step, at_s in reached_s.items()}
        return ReconfigurationReport(
            source=self.configuration.number,
            target=target,
            requested_by=wish.who,
            reason=wish.reason,
            blamed=wish.blamed,
            quorums_tried=tuple(self.tried),
            quorum=None if plan is None else plan.quorum,
            why_not=tuple(sorted(self.failed.items())),
            invalid_histories={f"replica_{position}": why for position, why in sorted(self.invalid.items())},
            olympus_results=results,
            clock=clock,
            detected_ns=round(wish.heard_s * 1e9),
            detected_ms=milliseconds(serving_since_s, wish.heard_s),
            wedged_ms=reached_ms.get("wedged"),
            caught_up_ms=reached_ms.get("caught_up"),
            fetched_ms=reached_ms.get("fetched"),
            active_ms=reached_ms.get("active"),
        )

    def why_not(self) -> Mapping[Quorum, str]:
        """By quorum, why those that were considered would not do."""
        return dict(self.failed)

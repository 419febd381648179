"""One reconfiguration as Olympus sees it: who answered what, which quorums failed and why (paper, section 3.3).

Holds no clock and sends nothing: Olympus asks what to do next and tells what came of it. Every failed quorum is
remembered, there are finitely many, and one is tried again only if all that it lacked came late, and as often as it has
members at the most, each of whom may be late for another thing; so no order of answers makes it loop.
"""

from collections import Counter
from collections.abc import Iterable, Mapping

import msgspec

from bcr.configuration import View
from bcr.history import CaughtUp, LatestAnswer, RunningStateHandover, ValidHistory, Wedged, WithState, validate
from bcr.proofs import Answer
from bcr.quorum import Quorum, QuorumPlan, choose_quorum, withheld
from bcr.signing import Signed
from bcr.state import Snapshot
from bcr.statements import SignedResult
from bcr.violations import ProtocolViolation


class Reconfiguration:
    """The move away from one configuration."""

    def __init__(self, configuration: View) -> None:
        self.configuration = configuration
        self.histories: dict[int, ValidHistory] = {}
        self.invalid: dict[int, str] = {}  # position -> why its wedged history is not valid
        self.silent: set[int] = set()  # positions that owe an answer whose time has passed
        self._late: dict[Quorum, set[int]] = {}  # failed by silence alone, and not given another chance yet -> whose
        self._forgiven: Counter[Quorum] = Counter()
        self.failed: dict[Quorum, str] = {}
        self.tried: list[Quorum] = []
        self.attempt = 0  # at a quorum, counted from 1
        self._caught_up: dict[int, CaughtUp] = {}  # position -> its answer in this attempt
        self.snapshot: Snapshot | None = None

    # -- wedging

    def add_wedged(self, wedged: Signed[Wedged]) -> None:
        """Take a replica's history, the first that it sends.

        Raises a ProtocolViolation unless it is valid; one that the replica signed is its answer all the same.
        """
        position = wedged.signer
        if position in self.histories or position in self.invalid:
            return
        try:
            self.histories[position] = validate(wedged, self.configuration)
        except ProtocolViolation as violation:
            if wedged.is_authentic(self.configuration.replica_key(position)):  # else anybody can have sent this
                self.invalid[position] = f"{violation.kind}: {violation}"
            raise

    def answered(self) -> int:
        """How many replicas have answered the wedge request."""
        return len(self.histories) + len(self.invalid)

    def owing(self) -> list[int]:
        """The positions of the replicas that have not answered it."""
        positions = range(len(self.configuration.replicas))
        return [position for position in positions if position not in self.histories and position not in self.invalid]

    def heard_from(self) -> tuple[int, int, int]:
        """Changes whenever an answer arrives that may make another quorum possible."""
        return self.answered(), len(self._caught_up), self._forgiven.total()

    def suspects(self) -> set[int]:
        """Replicas whose own signatures prove that they hide orders."""
        return withheld(self.histories)

    # -- catching up

    def next_plan(self) -> QuorumPlan | None:
        """The next quorum to try, or None while there is none among those that have answered.

        A quorum with a replica that was silent once waits for that replica's answer.
        """
        usable = {position: history for position, history in self.histories.items() if position not in self.silent}
        plan, why_not = choose_quorum(usable, self.configuration.histories, self.failed, self.suspects())
        self.failed |= why_not
        if plan is not None:
            self.tried.append(plan.quorum)
            self.attempt += 1
            self._caught_up = {}
        return plan

    def add_caught_up(self, signed: Signed[CaughtUp]) -> None:
        """Take a replica's first answer to its catch_up of this attempt; a later one only says that the replica lives.

        Raises InvalidSignature unless the replica signed it.
        """
        signed.demand_authentic(self.configuration.replica_key(signed.signer), f"replica {signed.signer}")
        if signed.statement.configuration != self.configuration.number:
            return
        self._hear(signed.signer)
        if self.tried and signed.signer in self.tried[-1] and signed.statement.attempt == self.attempt:
            self._caught_up.setdefault(signed.signer, signed.statement)

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
            return self._caught_up[plan.quorum[0]].state_digest
        self.fail(plan, "running states differ: " + " against ".join(str(group) for group in groups.values()))
        return None

    def fail(self, plan: QuorumPlan, why: str, silent: Iterable[int] = ()) -> None:
        """The quorum will not do; `silent` names the members that did not answer in time."""
        self.failed[plan.quorum] = why
        self.silent.update(silent)
        if silent and self._forgiven[plan.quorum] < len(plan.quorum):
            self._late[plan.quorum] = set(silent)

    def _hear(self, position: int) -> None:
        """A replica that owed an answer gave it: what failed by its silence gets another chance."""
        self.silent.discard(position)
        for quorum, silent in list(self._late.items()):
            silent.discard(position)
            if not silent:
                del self._late[quorum], self.failed[quorum]
                self._forgiven[quorum] += 1

    def results(self, plan: QuorumPlan) -> list[tuple[int, int, Answer]]:
        """Client, request number and proved answer, wherever the whole quorum gives one and the same (step 6).

        None where the quorum is too small to prove anything: the clients then send their requests again.
        """
        if len(plan.quorum) < self.configuration.quorum:
            return []
        by_request: dict[tuple[int, int], list[LatestAnswer]] = {}
        for position in plan.quorum:
            for latest in self._caught_up[position].answers:
                by_request.setdefault((latest.client, latest.number), []).append(latest)
        proved = []
        for (client, number), answers in sorted(by_request.items()):
            first = answers[0].answer
            try:
                expected = first.result()
            except ProtocolViolation:  # of a liar's making, so the others' is another one
                continue
            statements = tuple(statement for latest in answers for statement in latest.answer.proof[:1])
            supporters = {
                statement.signer
                for statement in statements
                if statement.statement == expected and self._is_authentic(statement)
            }
            if supporters == set(plan.quorum):
                proved.append((client, number, msgspec.structs.replace(first, proof=statements)))
        return proved

    def _is_authentic(self, statement: SignedResult) -> bool:
        position = statement.signer
        return position in self.histories and statement.is_authentic(self.configuration.replica_key(position))

    # -- the running state

    def add_running_state(self, handover: WithState[RunningStateHandover], digest: bytes | None) -> bool:
        """Take a member's running state; whether its digest is the quorum's, None while there is none (step 7).

        Raises a ProtocolViolation unless it is what the replica signed: anybody may have put another state beside that.
        """
        signed = handover.signed
        signed.demand_authentic(self.configuration.replica_key(signed.signer), f"replica {signed.signer}")
        handover.demand_fitting()
        self._hear(signed.signer)
        if digest is None or handover.snapshot.digest() != digest:
            return False
        self.snapshot = handover.snapshot
        return True

    def why_not(self) -> Mapping[Quorum, str]:
        """By quorum, why those that were considered would not do."""
        return dict(self.failed)


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

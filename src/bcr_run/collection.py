"""Gathers what the processes report into the record of the run."""

from collections import Counter
from collections.abc import Collection as Collection_
from collections.abc import Sequence
from typing import Any

import msgspec

from bcr.chain.configuration import SignedConfiguration
from bcr.chain.limits import most_state_bytes, state_limits
from bcr.chain.reconfiguration import ReconfigurationReport
from bcr.chain.settings import Settings
from bcr.faults.plans import FaultPlan, spoiled_by, spoiled_in_raft, struck_by
from bcr.raft.changes import ScheduledChange, surely_deciding
from bcr.raft.kept_logs import KeptLog
from bcr.signed.encoding import decode
from bcr.signed.pieces import Pieces
from bcr.signed.signing import Keyring, Signed
from bcr.signed.violations import MalformedMessage, Notice
from bcr.state.running import Snapshot
from bcr.verdict.exhibits import Exhibit
from bcr.verdict.raft_verdict import last_answered
from bcr.verdict.record import ClientRecord, ReplicaReport, RunRecord, is_final
from bcr.verdict.samples import Sample
from bcr.verdict.spool import record_of

MAX_PROBLEMS = 100
MAX_PROBLEM_CHARACTERS = 200


class Collection:
    """What has been reported so far; a run is done when the clients that are not `faulty` are, if there are any.

    `plans` are the faults of replicas that may be reported.
    """

    def __init__(self, settings: Settings, faulty: Collection_[int] = (), plans: Collection_[FaultPlan] = ()) -> None:
        self.settings = settings
        self._plans = plans
        self._faulty_clients = tuple(faulty)
        everybody = set(range(settings.num_clients))
        self.owed = frozenset(everybody.difference(faulty) or everybody)  # clients
        self.clients: tuple[Any, ...] = ()
        self.configurations: list[SignedConfiguration] = []
        self.reconfigurations: list[ReconfigurationReport] = []
        self._client_pieces: dict[int, Pieces] = {}
        self._client_records: dict[int, ClientRecord] = {}
        self._reports: dict[tuple[int, int], Signed[ReplicaReport]] = {}  # by configuration and position
        self._olympus_notices: tuple[Notice, ...] = ()
        self._olympus_samples: tuple[Sample, ...] = ()
        self._exhibits: list[Exhibit] = []
        self._exhibit_pieces: dict[int, Pieces] = {}
        self._state_pieces: dict[int, Pieces] = {}
        self._final_state: Snapshot | None = None
        self._initial_pieces = Pieces(most_state_bytes(settings))
        self._initial_state: Snapshot | None = None
        self._progress: dict[int, int] = {}
        self._is_without_olympus = False
        self.faults: list[FaultPlan] = []
        self._armed_faults: Counter[FaultPlan] = Counter()  # of these, those that had no effect when they were told of
        self._effects: Counter[FaultPlan] = Counter()  # those that had one since
        self.problems: list[str] = []

    def add_problem(self, problem: str) -> None:
        """Take note of a report that could not be taken; of very many the first."""
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append(problem[:MAX_PROBLEM_CHARACTERS])

    def add_configuration(self, signed: SignedConfiguration) -> None:
        self.configurations.append(signed)

    def add_reconfiguration(self, payload: bytes) -> ReconfigurationReport:
        report = decode(ReconfigurationReport, payload)
        self.reconfigurations.append(report)
        return report

    def _latest(self) -> int | None:
        """The number of the last configuration; None before the first."""
        return self.configurations[-1].statement.number if self.configurations else None

    def _spoiled(self) -> set[tuple[int, int]]:
        """Configuration and position of those whose state says nothing."""
        return spoiled_by(self.faults)

    def add_fault(self, configuration: int, position: int, payload: bytes, has_struck: bool) -> None:
        """Take a replica's word on a fault of its own, which has struck, or is armed: who has it is excused from then on, whatever comes of it.

        Raises MalformedMessage where it is of another's, or of nobody's.
        """
        plan = self._own_fault(configuration, position, payload)
        self.faults.append(plan)
        if not has_struck:
            self._armed_faults[plan] += 1

    def add_effect(self, configuration: int, position: int, payload: bytes) -> None:
        """Take its word that a fault which was armed has had an effect. Raises MalformedMessage as `add_fault`."""
        self._effects[self._own_fault(configuration, position, payload)] += 1

    def _own_fault(self, configuration: int, position: int, payload: bytes) -> FaultPlan:
        plan = decode(FaultPlan, payload)
        if (plan.configuration, plan.position) != (configuration, position) or plan not in self._plans:
            raise MalformedMessage(f"a fault that replica {position} of configuration {configuration} does not have")
        return plan

    def add_progress(self, client: int, answered: int) -> None:
        self._progress[client] = answered

    def answered(self) -> int:
        """Operations that clients which are owed that have said to be answered."""
        return sum(count for client, count in self._progress.items() if client in self.owed)

    def add_client_piece(self, client: int, index: int, count: int, piece: bytes) -> None:
        if client in self._client_records:
            return
        pieces = self._client_pieces.setdefault(client, Pieces())
        pieces.add(index, count, piece)
        payload = pieces.payload()
        if payload is not None:
            try:
                record = record_of(payload)
            except MalformedMessage as violation:
                self.add_problem(f"client {client}: its record cannot be read: {violation}")
                return
            self._client_records[client] = record
            del self._client_pieces[client]
            self._progress[client] = sum(len(each.request.statement.operations) for each in record.exchanges)

    def add_report(self, configuration: int, position: int, payload: bytes) -> None:
        """Take a replica's account of itself; the one at the end takes the place of an earlier one."""
        try:
            self._reports[configuration, position] = decode(Signed[ReplicaReport], payload)
        except MalformedMessage as violation:
            self.add_problem(f"replica {position}: its report cannot be read: {violation}")

    def add_olympus_account(self, notices: bytes, samples: bytes, exhibits: bytes) -> None:
        self._olympus_notices = decode(tuple[Notice, ...], notices)
        self._olympus_samples = decode(tuple[Sample, ...], samples)
        self._exhibits.extend(decode(tuple[Exhibit, ...], exhibits))

    def miss_olympus(self) -> None:
        """Olympus has ended, and what it had yet to tell will not come."""
        self._is_without_olympus = True

    def add_exhibits_piece(self, configuration: int, index: int, count: int, piece: bytes) -> None:
        """Take a part of what Olympus was told, and said, when this configuration was replaced."""
        pieces = self._exhibit_pieces.setdefault(configuration, Pieces())
        pieces.add(index, count, piece)
        payload = pieces.payload()
        if payload is not None:
            del self._exhibit_pieces[configuration]
            self._exhibits.extend(decode(tuple[Exhibit, ...], payload))

    def add_initial_piece(self, index: int, count: int, piece: bytes) -> None:
        """Take a part of the state that an earlier run has left, and with which this one begins."""
        self._initial_pieces.add(index, count, piece)
        payload = self._initial_pieces.payload()
        if payload is not None:
            self._initial_state = decode(Snapshot, payload)

    def add_state_piece(self, position: int, index: int, count: int, piece: bytes) -> None:
        """Take a part of a replica's final state, which counts unless a fault has spoiled it by then.

        Links are FIFO, and a fault is told before it strikes: one that is told later struck later.
        """
        latest = self._latest()
        if latest is None:
            raise MalformedMessage(f"the state of replica {position} before the first configuration")
        pieces = self._state_pieces.setdefault(position, Pieces(most_state_bytes(self.settings)))
        pieces.add(index, count, piece)
        payload = pieces.payload()
        place = (latest, position)
        if payload is not None and self._final_state is None and place not in self._spoiled():
            try:
                snapshot = decode(Snapshot, payload)
                snapshot.demand_readable(self.settings.object_name)
                self._final_state = snapshot
            except MalformedMessage as violation:
                self.add_problem(f"replica {position}: its final state cannot be read: {violation}")

    def has_all_clients(self) -> bool:
        """Whether every client that is owed something has handed over its record."""
        return self.has_all_clients_but(())

    def has_all_clients_but(self, fallen: Collection_[int]) -> bool:
        """The same without these."""
        return self.owed - set(fallen) <= set(self._client_records)

    def has_all_records(self) -> bool:
        return len(self._client_records) == self.settings.num_clients

    def next_witness(self, asked: Sequence[int]) -> int | None:
        """The replica of the last configuration to ask for the final state when these were; None where it is there, or enough were asked.

        First who has told of its state, for one that came too late to be a member has none, and who has no fault. Of t+1 that have
        told of theirs one is correct.
        """
        number = self.configurations[-1].statement.number
        struck, spoiled = struck_by(self.faults), spoiled_by(self.faults)
        told = [report.statement for place, report in self._reports.items() if place[0] == number]
        has_told = {report.position for report in told if report.state_digest is not None}
        if self._final_state is not None or len(has_told.intersection(asked)) > self.settings.t:
            return None
        left = [each for each in range(self.settings.num_replicas) if (number, each) not in spoiled and each not in asked]
        left.sort(key=lambda position: (position not in has_told, (number, position) in struck))
        return left[0] if left else None if asked else 0

    def told(self) -> int:
        """Rises whenever a replica gives account of itself, or a piece of its state."""
        return len(self._reports) + sum(len(pieces) for pieces in self._state_pieces.values())

    def has_final_reports(self) -> bool:
        """Whether all that owe one have told of their final state."""
        number = self.configurations[-1].statement.number
        owed = {(number, position) for position in range(self.settings.num_replicas)} - struck_by(self.faults)
        final = {place for place, report in self._reports.items() if is_final(report.statement)}
        return owed <= final and self._final_state is not None

    def record(self, olympus_key: bytes | None, olympus_secret: bytes, samples: tuple[Sample, ...]) -> RunRecord:
        """The record of the run, as far as it has been reported; `samples` are of the process that collected it."""
        return RunRecord(
            olympus_key or b"",
            tuple(self.configurations),
            tuple(record for _, record in sorted(self._client_records.items())),
            tuple(report for _, report in sorted(self._reports.items())),
            self._final_state,
            tuple(self.reconfigurations),
            tuple(self.faults),
            self._olympus_notices,
            self._olympus_samples,
            samples,
            self.settings.authentication,
            olympus_secret,
            tuple(self._exhibits),
            self._faulty_clients,
            self.settings.client_window,
            state_limits(self.settings),
            self.settings.object_name,
            initial_state=self._initial_state,
            session_slots=self.settings.session_slots,
            is_without_olympus=self._is_without_olympus,
            armed_faults=tuple((self._armed_faults - self._effects).elements()),
        )


class RaftCollection(Collection):
    """That of a run of a protocol with one configuration of servers, number 0, that nobody signed; `circle` has their keys, if they sign."""

    def __init__(self, protocol: str, settings: Settings, plans: Collection_[FaultPlan]) -> None:
        super().__init__(settings, (), plans)
        self._protocol = protocol
        self.circle = Keyring()
        self._changes: list[ScheduledChange] = []
        self._begun_changes: set[ScheduledChange] = set()
        self._log_pieces: dict[int, Pieces] = {}
        self._logs: dict[int, KeptLog] = {}

    def _latest(self) -> int | None:
        return 0

    def _spoiled(self) -> set[tuple[int, int]]:
        return spoiled_in_raft(self.faults)

    def _struck(self) -> set[tuple[int, int]]:
        """Servers that a fault has struck; who has begun again from its disk owes what everybody owes."""
        return struck_by(fault for fault in self.faults if fault.failure.name != "restart")

    def begin_change(self, change: ScheduledChange) -> None:
        """A change is asked for: until it is made nobody knows whether the server has to be as far as others."""
        self._begun_changes.add(change)

    def end_change(self, change: ScheduledChange) -> None:
        """It is made."""
        self._changes.append(change)

    def _owing(self) -> set[tuple[int, int]]:
        """Servers that decide, as far as is known, and that no fault has struck."""
        first = self.settings.first_members or range(self.settings.num_replicas)
        return {(0, position) for position in surely_deciding(first, self._begun_changes, self._changes)} - self._struck()

    def _of_living(self) -> list[ReplicaReport]:
        """What servers have told that decide, and that no fault has struck."""
        owing = self._owing()
        return [each.statement for place, each in self._reports.items() if place in owing]

    def forget_report(self, position: int) -> None:
        """The server at this position has begun again: what it told of its state before that is not true of it any more."""
        self._reports.pop((0, position), None)

    def has_equal_reports(self) -> bool:
        """Whether all servers that owe it have told of their state, a majority in any case, and have applied equally much.

        They have to have applied what was answered, whatever one that has come back from a crash has; where faults have struck all, one of these.
        """
        servers = self.settings.num_replicas
        reports = self._of_living()
        is_told = len(reports) >= len(self._owing()) and 2 * len(self._reports) > servers
        return is_told and len({report.slots for report in reports}) <= 1 and self._has_last_answered()

    def _has_last_answered(self) -> bool:
        answered = last_answered(exchange for record in self._client_records.values() for exchange in record.exchanges)
        reports = self._of_living() or [each.statement for each in self._reports.values()]
        return max((report.slots for report in reports), default=0) >= answered

    def furthest(self) -> list[int]:
        """Servers to ask for the final state, until one gives it: first who has applied most, and no fault."""
        struck, spoiled = self._struck(), self._spoiled()
        reports = [each.statement for each in self._reports.values()]
        reports.sort(key=lambda each: ((0, each.position) in spoiled, (0, each.position) in struck, -each.slots))
        return [report.position for report in reports]

    def add_log_piece(self, position: int, index: int, count: int, piece: bytes) -> None:
        """Take a part of the log that a server holds at the end."""
        pieces = self._log_pieces.setdefault(position, Pieces())
        pieces.add(index, count, piece)
        payload = pieces.payload()
        if payload is not None:
            log = decode(KeptLog, payload)
            if log.position != position:
                raise MalformedMessage(f"server {position} told of the log of server {log.position}")
            self._logs[position] = log

    def has_logs(self) -> bool:
        """Whether all that told of their states, and are not known to be faulty, have told of their logs too."""
        return {report.position for report in self._of_living()} <= self._logs.keys()

    def has_final_state(self) -> bool:
        return self._final_state is not None

    def record(self, olympus_key: bytes | None, olympus_secret: bytes, samples: tuple[Sample, ...]) -> RunRecord:
        record = super().record(olympus_key, olympus_secret, samples)
        return msgspec.structs.replace(record, protocol=self._protocol, circle=self.circle, changes=tuple(self._changes),
                                       logs=tuple(log for _, log in sorted(self._logs.items())))  # fmt: skip

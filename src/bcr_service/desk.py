"""Where the two halves of a gateway meet: callers, who speak HTTP on one thread, and a client of the protocol on another.

What callers hand in waits here until the client takes it. While its window is open that is at once; while it is full
operations gather, and go together into one request. Nothing here knows HTTP or DistAlgo.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import msgspec

from bcr.chain.configuration import SignedConfiguration
from bcr.chain.filling import RequestFiller
from bcr.objects.operation import Operation
from bcr.signed.statements import Outcome, SignedRequest

MOST_WAITING = 10_000  # jobs that wait to be sent; whoever comes then is told so
MOST_WAITING_BYTES = 64 << 20
SAMPLE_PAUSE_S = 0.25  # from one request that is kept as a sample to the next one
MOST_SAMPLES = 4


class Busy(Exception):
    """The desk takes no more now; nothing has happened. The text says why."""


class Answered(Protocol):
    """What a protocol's client has accepted: an outcome, and with it whatever shows that it is right."""

    @property
    def outcome(self) -> Outcome: ...


class Settled(msgspec.Struct, frozen=True):
    """What became of a job: its results, in the order of its operations, where they were executed, and what shows it.

    `configuration` is the one that the answer was accepted in, of a protocol that has some.
    """

    results: tuple[str, ...]
    place: tuple[int, int, int]
    configuration: SignedConfiguration | None
    request: SignedRequest
    answer: Any


class JobRefusal(msgspec.Struct, frozen=True):
    """The replicas have refused a job, and nothing of it has happened or will; `why` is their word."""

    why: str


class SampledRequest(msgspec.Struct, frozen=True):
    """A request that was answered, as somebody who looks on is shown it: where it was executed, and for how long it was under way."""

    number: int  # in the order in which this gateway had them answered
    configuration: int
    slot: int
    operations: int
    callers: int
    took_ms: float


Fate = Settled | JobRefusal | None  # of a job; None, where nobody will know


class Job(msgspec.Struct, eq=False):
    """Operations that happen together or not at all, and whom to tell what came of them.

    `is_alone` keeps others' operations out of the request: the caller gets to see all of it.
    """

    operations: tuple[Operation, ...]
    deliver: Callable[[Fate], Any]
    is_alone: bool = False
    is_taken: bool = False
    is_withdrawn: bool = False


Fates = Sequence[tuple[Job, Fate]]


def deliver(answered: Fates) -> None:
    """Tell each caller what became of its job."""
    for job, settled in answered:
        job.deliver(settled)


class Desk:
    """The jobs of one gateway. `put` and `withdraw` are for the callers' thread, the rest for the client's."""

    def __init__(self, most_operations: int, is_broken: Callable[[Sequence[str]], bool]) -> None:
        """`most_operations` of several jobs go into one request; `is_broken` tells results of one that did not happen."""
        self._is_broken = is_broken
        self._lock = threading.Lock()
        self._waiting = RequestFiller[Job](most_operations)
        self._sent_jobs: dict[int, list[Job]] = {}
        self._sent_s: dict[int, float] = {}
        self._is_closed = False
        self._is_woken = False
        self._wake: Callable[[], None] = lambda: None
        self._deliver: Callable[[Fates], object] = deliver
        self._samples: deque[SampledRequest] = deque(maxlen=MOST_SAMPLES)
        self._sampled_s = -SAMPLE_PAUSE_S
        self.answers = 0
        self.operations = 0
        self.requests = 0
        self.split = 0

    # -- the callers

    def put(self, job: Job) -> None:
        """Let the job wait for its turn. Raises Busy."""
        with self._lock:
            if self._is_closed:
                raise Busy("the service is going down, and takes nothing more")
            if len(self._waiting) >= MOST_WAITING or self._waiting.bytes > MOST_WAITING_BYTES:
                raise Busy(f"{len(self._waiting):,} operations wait already")
            self._waiting.put(job)
            wakes = not self._is_woken
            self._is_woken = True
        if wakes:
            self._wake()

    def withdraw(self, job: Job) -> bool:
        """Take the job back, and say whether that was in time: then nothing has happened, nor will."""
        with self._lock:
            job.is_withdrawn = not job.is_taken
            return job.is_withdrawn

    def deliver_by(self, post: Callable[[Fates], object]) -> None:
        """Let `post` see to it that `deliver` is called, on the callers' thread, for all that a request has answered."""
        self._deliver = post

    # -- the client

    def attach(self, wake: Callable[[], None]) -> None:
        """Call `wake`, on the callers' thread, when something waits that was not known to."""
        self._wake = wake

    def take(self) -> tuple[Job, ...]:
        """The jobs of the next request; none where nothing waits."""
        with self._lock:
            self._is_woken = False
            jobs = tuple(self._waiting.take())
            for job in jobs:
                job.is_taken = True
            return jobs

    def sent(self, number: int, jobs: Sequence[Job]) -> None:
        """These jobs went out as the request of this number."""
        self._sent_jobs[number] = list(jobs)
        self._sent_s[number] = time.monotonic()
        self.requests += 1
        self.operations += sum(len(job.operations) for job in jobs)

    def answered(self, configuration: SignedConfiguration | None, request: SignedRequest, answer: Answered) -> bool:
        """Tell whom it concerns of an answer that was accepted in this configuration; returns whether something waits again.

        Jobs that shared a request of which nothing happened, because one of them could not, each get one of their own.
        """
        jobs = self._sent_jobs.pop(request.statement.number, [])
        sent_s = self._sent_s.pop(request.statement.number, None)
        outcome = answer.outcome
        if sent_s is not None:
            self._sample(len(jobs), len(outcome.results), outcome.place, sent_s)
        if len(jobs) > 1 and self._is_broken(outcome.results):
            self.split += 1
            with self._lock:
                for job in jobs:
                    job.is_alone, job.is_taken = True, False
                self._waiting.put_back(jobs)
            return True
        first = 0
        told: list[tuple[Job, Fate]] = []
        for job in jobs:
            results = outcome.results[first : first + len(job.operations)]
            first += len(job.operations)
            told.append((job, Settled(results, outcome.place, configuration, request, answer)))
        self._deliver(told)
        return False

    def _sample(self, callers: int, operations: int, place: tuple[int, int, int], sent_s: float) -> None:
        self.answers += 1
        now_s = time.monotonic()
        if now_s - self._sampled_s >= SAMPLE_PAUSE_S:
            self._sampled_s = now_s
            took_ms = round((now_s - sent_s) * 1000, 2)
            self._samples.append(SampledRequest(self.answers, place[0], place[1], operations, callers, took_ms))

    def refused(self, number: int, why: str) -> None:
        """Tell whose jobs went out as the request of this number that nothing of it has happened, nor will."""
        self._sent_s.pop(number, None)
        self._deliver([(job, JobRefusal(why)) for job in self._sent_jobs.pop(number, [])])

    def close(self) -> None:
        """Take nothing more."""
        with self._lock:
            self._is_closed = True

    def give_up(self) -> None:
        """Nobody will answer any more: tell so to all who wait, whether they were sent or not."""
        with self._lock:
            jobs = [*self._waiting.clear(), *(job for jobs in self._sent_jobs.values() for job in jobs)]
            self._sent_jobs.clear()
            self._sent_s.clear()
        self._deliver([(job, None) for job in jobs])

    def samples(self) -> tuple[SampledRequest, ...]:
        """Some of the latest requests that were answered."""
        return tuple(self._samples)

    @property
    def is_closed(self) -> bool:
        return self._is_closed

    def waiting(self) -> int:
        """Jobs that have not been sent."""
        return len(self._waiting)

    def outstanding(self) -> int:
        """Requests that have been sent and not answered."""
        return len(self._sent_jobs)

    def oldest_s(self) -> float:
        """For how long the oldest request that is outstanding has been; 0 where none is."""
        oldest = next(iter(tuple(self._sent_s.values())), None)
        return 0.0 if oldest is None else time.monotonic() - oldest

    def is_idle(self) -> bool:
        return not len(self._waiting) and not self._sent_jobs

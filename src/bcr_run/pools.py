"""Waiting for what threads or processes of a pool do, so that a signal still has its effect."""

from collections.abc import Collection, Iterator
from concurrent.futures import Future
from queue import Empty, SimpleQueue
from typing import TypeVar

TICK_S = 0.2
T = TypeVar("T")


def as_completed(futures: Collection[Future[T]]) -> Iterator[Future[T]]:
    """Each of the futures once it has ended or was cancelled.

    Python runs the handler of a signal in the main thread only, between two instructions: where the signal comes just before
    that thread begins to wait, or reaches another thread, a wait without a limit goes on as if there had been none. Hence
    the tick, which concurrent.futures.as_completed does not have.
    """
    ended: SimpleQueue[Future[T]] = SimpleQueue()
    for future in futures:
        future.add_done_callback(ended.put)
    for _ in futures:
        yield _next_of(ended)


def _next_of(ended: SimpleQueue[Future[T]]) -> Future[T]:
    while True:
        try:
            return ended.get(timeout=TICK_S)
        except Empty:
            continue

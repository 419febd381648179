"""What a process does when it has handled all that had come, before it waits for more."""

import threading
from collections.abc import Callable

_callbacks: dict[int, list[Callable[[], None]]] = {}  # by thread


def before_waiting(callback: Callable[[], None]) -> None:
    """Call this whenever the process that runs on this thread is about to wait; it may send."""
    _callbacks.setdefault(threading.get_ident(), []).append(callback)


def about_to_wait() -> None:
    """A queue has nothing left for the process of this thread."""
    for callback in _callbacks.get(threading.get_ident(), ()):
        callback()

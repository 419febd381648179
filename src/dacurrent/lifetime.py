"""How processes end, and what exit status tells of them.

- An exception that nobody caught, in `run`, `setup` or a handler of any process, makes the exit status of its OS
  process, and that of every OS process above it, FAILURE_STATUS.  Otherwise a node's status is the code that `main` gave
  to `exit`.
- A node waits for its children before it ends.  SIGTERM and Ctrl-C end it and all of them; what has not ended within
  END_LIMIT_S is killed.
- A child ends when its parent process has ended, however that was. A node that says `adopt_orphans` takes in those whose
  parent was a process of its own: they go on until the node ends them with the others.
- Nobody waits for a child of its own that has died, and only as long as a program says for one that does not answer `setup` and `start`.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import logging
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dacurrent import transport
from dacurrent.limited import PROVOKED
from dacurrent.stock import Stock
from dacurrent.unread import Unread

if TYPE_CHECKING:
    from da.common import ProcessId

FAILURE_STATUS = 70
END_LIMIT_S = 5.0
ORPHAN_LIMIT_S = 2.0  # for those whose parent has ended: nobody waits for what they do
WATCH_PAUSE_S = 0.5
CHECK_PAUSE_S = 1.0
NEW_LIMIT_S = 30.0  # for those that `new` waits for, node or child, to say that they are there
# For a process that is there to say that it is set up, or has started, before it is given up. None, as long as it takes,
# because it may have much to do; a program that goes on without it sets a limit before it makes processes.
ANSWER_LIMIT_S: float | None = None
FORK_PAUSE_S = 0.01
PR_SET_CHILD_SUBREAPER = 36  # of prctl(2)

_log = logging.getLogger("da.lifetime")


class NewFailed(RuntimeError):
    """A process could not be made; the text names who did not answer, or who refused and why."""


class _Household:
    """What this OS process knows of itself and of what it started."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.has_failed = False
        self.lost: set[ProcessId] = set()  # children that a signal has ended
        self.signal: int | None = None  # the one that ends this OS process
        self.is_ending = False  # whether it ends anyhow, so that a signal need not interrupt anything
        self.is_deserted = False  # whether the node that this one works for is gone
        self.replaced: set[Any] = (
            set()
        )  # processes in whose place others came, or without which it goes on, so that their end is no failure
        self.containers: list[Any] = []  # started, and their end not counted yet
        self.manager = None  # of the transports of this OS process


_household = _Household()
_adopter: int | None = None  # the OS process that takes in orphans of the processes that it made; they are forked and know it


def _ours() -> _Household:
    """The household of this OS process; a forked child begins with a new one."""
    global _household
    if _household.pid != os.getpid():
        _household = _Household()
    return _household


def note_failure() -> None:
    """An exception went uncaught in a process that runs in this OS process."""
    _ours().has_failed = True


def note_desertion() -> None:
    """The node that this one works for is gone, so that nobody ends the processes that it had made here."""
    _ours().is_deserted = True


def note_replaced(pid: ProcessId) -> None:
    """A process that this OS process started has been killed, and another has taken its place, or none has to."""
    _ours().replaced.add(pid)


def living() -> int:
    """How many processes live that this OS process started."""
    return sum(map(_is_running, list(_ours().containers)))


def running() -> list[ProcessId]:
    """The processes that live of those that this OS process started, in processes of their own or in threads."""
    return [each.dapid for each in list(_ours().containers) if _is_running(each)]


def adopt_orphans() -> None:
    """In a node, before it makes processes: those of a process of its own that has ended go on, as children of this one.

    Only Linux has that. Elsewhere they end with their parent.
    """
    global _adopter
    if sys.platform == "linux" and ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0:
        _adopter = os.getpid()


def kill_orphans() -> None:
    """Kill those that this OS process has taken in, and return when they are gone: whoever comes in their parent's place makes others."""
    household = _ours()
    orphans = _orphans_of(household) if _adopter == household.pid else []
    for orphan in orphans:
        os.kill(orphan, signal.SIGKILL)
    for orphan in orphans:
        os.waitpid(orphan, 0)


# -- processes and their containers


def cure_sim(sim: Stock) -> None:
    """Patch the containers of `da.sim`, each of which runs a process, and the waiting for acknowledgements."""
    _note_outcomes(sim)
    _stop_waiting_for_the_dead(sim)
    stock_run = sim.ProcessContainer.run

    def run_to_outcome(self: Any) -> None:
        self.outcome = None
        stock_run(self)
        if self.outcome is None and _ours().signal is None:
            _log.error("%s could not run.", self.dapid)
            note_failure()

    def run_in_thread(self: Any) -> None:
        try:
            run_to_outcome(self)
        finally:
            self.ended.set()

    def start_thread(self: Any) -> None:
        # Until Python 3.13 a thread counts as ended when Ctrl-C has interrupted somebody's `join`.
        self.ended = threading.Event()
        threading.Thread.start(self)

    def run_in_process(self: Any) -> None:
        household = _ours()
        household.manager = self.transport_manager
        transport.abandon_inherited(getattr(self.transport_manager, "transports", ()))  # a spawned one has none yet
        try:
            _obey_signals(sim.DistProcessExit)
            _end_with_parent()
            run_to_outcome(self)
            if household.signal is None:  # else the outcome is that of the signal, and its children do not end alone
                _await_containers(household)
            household.is_ending = True
        except sim.DistProcessExit:
            pass  # by a signal: `household` knows which
        _finish(household)
        if household.signal is not None:
            sys.exit(128 + household.signal)
        sys.exit(FAILURE_STATUS if household.has_failed else self.outcome)

    def counted(start: Callable[[Any], None]) -> Callable[[Any], None]:
        def start_and_count(self: Any) -> None:
            household = _ours()
            _count_ended(household)
            start(self)
            household.containers.append(self)

        return start_and_count

    def join(self: Any, timeout: float | None = None) -> None:
        # Stock stands still for this long behind every fork, to see whether the child dies at once. `new` awaits the
        # child's answer anyway, and hears of its death then.
        if timeout != FORK_PAUSE_S:
            multiprocessing.Process.join(self, timeout)

    sim.OSProcessContainer.join = join
    sim.OSThreadContainer.run = run_in_thread
    sim.OSProcessContainer.run = run_in_process
    sim.OSThreadContainer.start = counted(start_thread)
    sim.OSProcessContainer.start = counted(multiprocessing.Process.start)


def _note_outcomes(sim: Stock) -> None:
    """Leave with the container of a process the code that the process gave to `exit`, or 0."""

    def noting(stock: Callable[[Any], Any]) -> Any:
        def _delayed_start(self: Any) -> Any:
            container = self._DistProcess__procimpl
            try:
                result = stock(self)
            except sim.DistProcessExit as error:
                container.outcome = _as_status(error.exit_code)
                raise
            container.outcome = 0
            return result

        return sim.internal(_delayed_start)

    for cls in (sim.DistProcess, sim.NodeProcess):
        cls._delayed_start = noting(cls._delayed_start)


def _as_status(code: Any) -> int:
    """The exit status for what was given to `exit`, as `sys.exit` has it."""
    if code is None:
        return 0
    if isinstance(code, int):
        return code & 0xFF or int(code != 0)
    Unread(sys.stderr).write(f"{code}\n")
    return 1


def _stop_waiting_for_the_dead(sim: Stock) -> None:
    """`new`, `setup` and `start` waited for ever for an answer of a child that had died."""

    def _sync_async_event(self: Any, msgtype: Any, seqno: int, srcs: Any) -> dict[ProcessId, Any]:
        events = self._DistProcess__async_events[msgtype.value]
        remaining = {srcs} if isinstance(srcs, sim.ProcessId) else set(srcs)
        with self._DistProcess__lock:
            results = dict(events[seqno])
            remaining.difference_update(results)
            events[seqno] = (remaining, results)
        began_s = time.monotonic()
        told_s = began_s + NEW_LIMIT_S
        while remaining:
            waited_s, limit_s = time.monotonic() - began_s, ANSWER_LIMIT_S
            if msgtype in _OF_START and limit_s is not None and waited_s > limit_s:
                for pid in remaining:
                    self._log.error("%s has not answered for %g s, and is given up (%s).", pid, limit_s, msgtype.name)
                    results[pid] = None
                _give_up(remaining)
                break
            if msgtype in _OF_NEW and waited_s > NEW_LIMIT_S:
                self._deregister_async_event(msgtype, seqno)
                late = ", ".join(map(str, remaining))
                _give_up(remaining)
                raise NewFailed(f"new: no answer within {NEW_LIMIT_S:g} s from {late}")
            if time.monotonic() > told_s:
                told_s += NEW_LIMIT_S
                late = ", ".join(map(str, remaining))
                self._log.warning("No answer (%s) within %g s from %s; it is waited for.", msgtype.name, NEW_LIMIT_S, late)
            self._DistProcess__process_event(block=True, timeout=CHECK_PAUSE_S)
            for pid in _dead(remaining):
                self._log.error("%s has died; its answer (%s) will not come.", pid, msgtype.name)
                remaining.discard(pid)
                results[pid] = None
        self._deregister_async_event(msgtype, seqno)
        for pid, answer in results.items():
            if msgtype is sim.Command.RPCReply and type(answer) is str:
                raise NewFailed(f"new: {pid} refuses: {answer!r:.500}")
        return results

    _OF_NEW = (sim.Command.NewAck, sim.Command.RPCReply)
    _OF_START = (sim.Command.SetupAck, sim.Command.StartAck)
    sim.DistProcess._sync_async_event = sim.internal(_sync_async_event)


def _give_up(pids: AbstractSet[ProcessId]) -> None:
    """Kill those of them that are children of this OS process: they have not come to life, and nobody else would."""
    for each in list(_ours().containers):
        if each.dapid in pids and _is_os_process(each):
            each.kill()


def _dead(pids: AbstractSet[ProcessId]) -> list[ProcessId]:
    return [each.dapid for each in list(_ours().containers) if each.dapid in pids and _is_os_process(each) and not each.is_alive()]


# -- the node


def cure_api(api: Stock) -> None:
    """Patch `da.api.entrypoint`, which runs a node in the main thread and returns its exit status."""
    api.stderr = Unread(sys.stderr)  # on which it says that the node ends, before that has ended
    stock = api.entrypoint

    def entrypoint() -> int:
        household = _ours()
        _obey_signals(KeyboardInterrupt)
        status = 0
        try:
            status = stock()
            if household.signal is None:
                _await_containers(household, END_LIMIT_S if household.is_deserted else None)
            household.is_ending = True
        except KeyboardInterrupt:
            pass
        node = next((each for each in household.containers if each.is_node()), None)
        household.manager = node and node.transport_manager
        _finish(household)
        status = _node_status(household, status, node and node.outcome)
        if any(_is_running(each) and not each.daemon for each in household.containers):
            logging.shutdown()
            os._exit(status)  # a thread that does not end would keep the node for ever
        # Python would look through all that there is, several times, before it ends: more work than many a whole run.
        gc.freeze()
        return status

    api.entrypoint = entrypoint


def _node_status(household: _Household, status: int, outcome: int | None) -> int:
    if household.signal is not None:
        return 128 + household.signal
    if status or outcome:
        return status or outcome or 0
    return FAILURE_STATUS if household.has_failed or household.lost - household.replaced else 0


# -- ends


def _obey_signals(exception: type[BaseException]) -> None:
    """Let the first SIGTERM or SIGINT raise `exception` in the main thread; those that follow find it ending.

    What is ignored stays so, as SIGINT is in a shell's background.
    """
    owner = os.getpid()

    def end(number: int, _frame: object) -> None:
        if os.getpid() != owner:
            os._exit(128 + number)  # a child just forked: it has begun nothing yet, and nobody would catch the exception
        household = _ours()
        if household.signal is None:
            household.signal = number
            if not household.is_ending:
                raise exception

    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGINT):
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, end)


def _end_with_parent() -> None:
    """In a child: a thread that ends this OS process when the parent's has ended, and nobody adopts it."""
    parent = multiprocessing.parent_process()

    def watch() -> None:
        while parent is not None and os.getppid() in (parent.pid, _adopter):
            time.sleep(WATCH_PAUSE_S)
        _log.error("The parent process has ended, and this one with it.")
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(2 * END_LIMIT_S)
        os._exit(FAILURE_STATUS)

    threading.Thread(target=watch, name="da-parent", daemon=True).start()


def _is_os_process(container: Any) -> bool:
    """Whether it is a container with an OS process of its own, and no thread."""
    return isinstance(container, multiprocessing.Process)


def _is_running(container: Any) -> bool:
    return container.is_alive() if _is_os_process(container) else not container.ended.is_set()


def _wait_for(container: Any, limit_s: float | None = None) -> None:
    if _is_os_process(container):
        container.join(limit_s)
    else:
        container.ended.wait(limit_s)


def _await_containers(household: _Household, limit_s: float | None = None) -> None:
    """Wait for all that this OS process started, except for daemons."""
    deadline_s = None if limit_s is None else time.monotonic() + limit_s
    while deadline_s is None or time.monotonic() < deadline_s:
        waiting = [each for each in list(household.containers) if not each.daemon and _is_running(each)]
        _count_ended(household)
        if not waiting:
            return
        for container in waiting:
            _wait_for(container, None if deadline_s is None else max(0.0, deadline_s - time.monotonic()))


def _finish(household: _Household) -> None:
    """End what still runs, all of it after a signal or a desertion, else the daemons, and orphans; then close the transports."""
    orphans = _adopted(household)
    for orphan in orphans:
        os.kill(orphan, signal.SIGTERM)
    running = [each for each in list(household.containers) if _is_running(each)]
    if household.signal is None and not household.is_deserted:
        running = [each for each in running if each.daemon]
    processes = [each for each in running if _is_os_process(each)]
    for container in running:
        if container in processes:
            container.terminate()
        else:
            container.end()
    deadline_s = time.monotonic() + END_LIMIT_S
    for container in running:
        _wait_for(container, max(0.0, deadline_s - time.monotonic()))
    for container in processes:
        if container.is_alive():
            _log.error("%s did not end within %g s and is killed.", container.dapid, END_LIMIT_S)
            container.kill()
            container.join()
    _count_ended(household, set(running))
    deadline_s = min(deadline_s, time.monotonic() + ORPHAN_LIMIT_S)
    for orphan in orphans:
        while not os.waitpid(orphan, os.WNOHANG)[0]:
            if time.monotonic() > deadline_s:
                os.kill(orphan, signal.SIGKILL)
                os.waitpid(orphan, 0)
                break
            time.sleep(FORK_PAUSE_S)
    if household.manager is not None and household.manager.started:
        household.manager.close()
    PROVOKED.tell(_log)


def _adopted(household: _Household) -> list[int]:
    """The process ids of the orphans that this OS process has taken in; nobody else gets one of these until they are waited for."""
    if _adopter != household.pid or not (household.signal or household.has_failed or household.lost or household.replaced):
        return []  # who ends in order ends behind its own children
    return _orphans_of(household)


def _orphans_of(household: _Household) -> list[int]:
    own = {each.pid for each in household.containers if _is_os_process(each)}
    found = []
    for file in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            if int(file.read_bytes().rpartition(b")")[2].split()[1]) == household.pid:  # a process may have a name that is no text
                found.append(int(file.parent.name))
    return sorted(set(found) - own)


def _count_ended(household: _Household, ended_by_us: AbstractSet[Any] = frozenset()) -> None:
    """Take the ends of child processes into account; a node's own container stays, for its outcome."""
    for container in list(household.containers):
        if not _is_os_process(container) or container.is_alive():
            continue
        household.containers.remove(container)
        code = container.exitcode
        if code == FAILURE_STATUS:
            household.has_failed = True
        elif code is not None and code < 0 and container not in ended_by_us and container.dapid not in household.replaced:
            household.lost.add(container.dapid)
            _log.error("%s was ended by %s.", container.dapid, signal.Signals(-code).name)

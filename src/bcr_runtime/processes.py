"""What every process of the system does alike: name itself, open its log, address others."""

import contextlib
import logging
import multiprocessing
import os
import signal
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from bcr.chain.configuration import Member, SignedConfiguration
from bcr.chain.settings import Settings
from bcr.signed.statements import SignedCredential
from bcr.signed.violations import MalformedMessage
from bcr_runtime import ambient
from bcr_runtime.journal import Journal
from bcr_runtime.places import EMPLOYED_VARIABLE, default_log_base
from dacurrent.logs import ENDED_LOGS

NEW_LIMIT_S = 5.0  # for a host that is known to be there to make a process
ANSWER_LIMIT_S = 10.0  # for a process to be set up, which takes it milliseconds; Olympus goes on without a replica

_statuses: dict[bytes, int] = {}  # of what is over, by the token of who waits for it


def limit_answers() -> None:
    """In the start-up, before it makes any process: no process waits for ever for one that it made and that stands still."""
    # Not sooner: the layer is loaded by DistAlgo, and must not be before it.
    import_module("dacurrent.lifetime").ANSWER_LIMIT_S = ANSWER_LIMIT_S  # type: ignore[attr-defined]


def limit_answers_of_hosts() -> None:
    """Likewise, where processes are made on hosts that come and go: what does not answer soon has gone, and there may be others."""
    import_module("dacurrent.lifetime").NEW_LIMIT_S = NEW_LIMIT_S  # type: ignore[attr-defined]


def end_with(token: bytes, status: int) -> None:
    """In the start-up, which is a thread of the OS process that waits for it: this is the exit status.

    A message may say so too, but `received` keeps all that have its form, whoever sends them.
    """
    _statuses[token] = status


def status_under(token: bytes) -> int | None:
    """The exit status, once there is one."""
    return _statuses.get(token)


def let_replicas_outlive_olympus() -> None:
    """In the start-up, before it makes any process: replicas are made by Olympus, and serve on where it has ended."""
    import_module("dacurrent.lifetime").adopt_orphans()


def end_replicas_of_olympus() -> None:
    """In the start-up, before an Olympus begins again: the replicas that the one before has left, whose disks others will have."""
    import_module("dacurrent.lifetime").kill_orphans()


def run_folder(settings: Settings) -> Path:
    """The folder of this run's logs on this host."""
    return Path(settings.log_base or default_log_base()) / settings.run_name


def open_journal(settings: Settings, name: str) -> Journal:
    """The log of the process called `name`, with the settings as its first lines."""
    origin_ns = settings.clock_origin_ns if settings.clock == ambient.clock_name() else None
    journal = Journal(run_folder(settings) / f"{name}.log", settings.log_level, origin_ns)
    journal.step(
        "settings",
        pid=os.getpid(),
        has_common_clock=origin_ns is not None,
        **{field: getattr(settings, field) for field in settings.__struct_fields__},
    )
    return journal


def own_pid() -> int:
    """The number of this process for the operating system."""
    return os.getpid()


def address_of(process: Any) -> str:
    """The address of a DistAlgo process as text: what a signed configuration names it by."""
    transports = ",".join(map(str, process.transports))
    return f"{process.hostname}:{transports}/{process.uid:x}"


def addresses_of(processes: Any) -> tuple[str, ...]:
    """The addresses of the processes that came with a configuration; raises MalformedMessage where they are none."""
    try:
        return tuple(address_of(each) for each in processes)
    except (AttributeError, TypeError) as error:
        raise MalformedMessage(f"no list of processes beside a configuration: {error}") from error


def living_here() -> list[str]:
    """The addresses of the processes that live of those that this OS process has made."""
    return [address_of(each) for each in import_module("dacurrent.lifetime").running()]


def kill_children(spared: Sequence[str] = ()) -> None:
    """End at once the processes of the operating system that this one has made: what they have on disk is there.

    But for those of DistAlgo at the addresses that are `spared`.
    """
    for child in multiprocessing.active_children():
        made = getattr(child, "dapid", None)
        if made is None or address_of(made) not in spared:
            child.kill()


def tell_employed() -> None:
    """Tell who started the node that this thread is one of, where that one waits for it, that the service has begun its work here."""
    to = os.environ.get(EMPLOYED_VARIABLE)
    if to is not None:
        with contextlib.suppress(OSError):  # it has ended, and this node is being ended too
            os.write(int(to), b"\n")


def end_node() -> None:
    """Ask the node that this thread is one of to end, with all that it has made."""
    os.kill(os.getpid(), signal.SIGTERM)


def demand_processes(configuration: SignedConfiguration, members: Sequence[Member], processes: Any) -> None:
    """Raises MalformedMessage unless these, which came beside a configuration, are the processes that it names as members."""
    if addresses_of(processes) != tuple(member.address for member in members):
        what = f"configuration {configuration.statement.number} names other processes"
        raise MalformedMessage(what, evidence=(configuration,))


def demand_guest(credential: SignedCredential, guest: Any) -> None:
    """Raises MalformedMessage unless this, which came beside a credential, is the process that it names."""
    if addresses_of((guest,)) != (credential.statement.address,):
        raise MalformedMessage("a credential that names another process", evidence=(credential,))


def with_moved(servers: Sequence[Any], command: tuple[str, list[Any]], process: Any) -> tuple[Any, ...]:
    """The servers with `process`, which came beside the start-up's command, at the place that it has come back to.

    Raises MalformedMessage where the command is another one, or names another process.
    """
    verb, parts = command
    places = [place for place in parts[:1] if verb == "server_moved" and isinstance(place, int) and 0 <= place < len(servers)]
    if not places or [*addresses_of([process])] != parts[1:]:
        raise MalformedMessage("a server that has moved is said to be another process than came with that")
    return tuple(process if place == places[0] else server for place, server in enumerate(servers))


def byzantine_replica() -> Any:
    """The process class of replicas that misbehave; loaded only when a scenario has faults."""
    cls = import_module("Adversary").AdversarialReplica
    if not getattr(cls, "may_outlive", False):
        _let_outlive(cls)
    return cls


def _let_outlive(cls: Any) -> None:
    """Processes of the class that say so are not ended by whoever made them: to a liar that is one more message."""
    stock = cls._cmd_End

    def _cmd_End(self: Any, source: Any, arguments: Any) -> None:
        if not self.outlives_its_end():
            stock(self, source, arguments)

    cls._cmd_End = _cmd_End
    cls.may_outlive = True


def byzantine_client() -> Any:
    """The process class of clients that misbehave; loaded only when a scenario has any."""
    return import_module("ByzantineClient").ByzantineClient


def faulty_server() -> Any:
    """The process class of servers of Raft with faults; loaded only when a scenario has faults."""
    return import_module("RaftFaults").FaultyServer


def faulty_member() -> Any:
    """The process class of servers with faults among those that sign; loaded only when a scenario has faults."""
    return import_module("BraftFaults").FaultyMember


def leave_ends_untold() -> None:
    """Say no more on the console that a message's receiver has ended: in this OS process, and those it will start."""
    for name in ENDED_LOGS:
        logging.getLogger(name).setLevel(logging.CRITICAL)

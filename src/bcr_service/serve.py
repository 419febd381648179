"""`./bcr serve`: reads the service file, opens the sockets, and keeps the service running until it is asked to end."""

import argparse
import contextlib
import ipaddress
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from bcr.scenario import ScenarioError
from bcr.stable.disk import DiskError
from bcr_run import output
from bcr_run.launch import settings_of
from bcr_run.options import formerly
from bcr_run.scenario_files import ScenarioNotFound, find_scenario
from bcr_run.supervision import noted_signals
from bcr_runtime.data_folder import demand_room, descriptors, disks_in, open_data_folder
from bcr_runtime.host_certificates import TLS_VARIABLE
from bcr_runtime.limited_lines import LimitedLines
from bcr_runtime.places import COOKIE_VARIABLE, SOURCES
from bcr_runtime.server_folder import open_server_folder
from bcr_service.access import Unusable, demand_usable
from bcr_service.hosting import AUTHORITY_FOLDER, RENEWAL_S, TLS_FOLDER, misplaced, names_of_addresses
from bcr_service.listening import CannotListen, listen
from bcr_service.service_files import DEFAULT_FILE, HTTP, OWN_NODE, Address, Listener, ServiceFile, read_service, told

DRAIN_LIMIT_S = 30.0  # for the service to end when it is asked to; what is left then is killed
BAD_INPUT = 2
DEFAULT_DATA = "data"
EPILOG = """FILE is looked for in the current directory, in .., in the project and in its config; without it config/service.config.
SIGTERM and Ctrl-C end the service: what has begun is ended, and nothing more is taken. Started again on the same folder of disks it
goes on where it was, however it ended; with durable = off everything is in memory.
Exit status: 0 asked to end; 1 it could not go on; 2 bad input, and nothing was started."""


def main(arguments: list[str]) -> int:
    """`bcr serve`; the exit statuses are those of EPILOG."""
    parser = argparse.ArgumentParser(prog="bcr serve", description=__doc__, epilog=EPILOG)
    parser.add_argument("file", nargs="?", default=DEFAULT_FILE, metavar="FILE", help="what is to be served (default: %(default)s)")
    parser.add_argument(
        "--lab",
        action="store_true",
        help="let callers kill, pause and resume replicas, cut links and the power, and give replicas faults, by /lab/…",
    )
    parser.add_argument("--data", type=Path, metavar="FOLDER", help="where the disks are, in place of what FILE says (default: data)")
    parser.add_argument("--log-folder", type=Path, metavar="FOLDER", help="where to put the folder of the processes' logs")
    formerly(parser, "--log-folder", "--log-dir")
    options = parser.parse_args(arguments)
    try:
        path = find_scenario(options.file)
        service = read_service(path)
        demand_usable(service.files)
        if options.lab and service.scenario.hosts:
            raise Unusable("--lab: the processes of other hosts are not in the laboratory's hands, and their nodes load no code of faults; "
                           "leave out hosts, or --lab")  # fmt: skip
        sockets = listen(service.listeners_here)
        joining = listen([Listener("join", 0, service.join, "join")]) if service.join is not None else []
        disks = disks_of(service, path, options.data)
        meeting = meeting_of(service, disks, joining)
    except ScenarioError as error:
        output.complain(told(error.diagnostics))
        return BAD_INPUT
    except (ScenarioNotFound, CannotListen, Unusable, DiskError, OSError) as error:
        output.complain(f"bcr serve: {error}")
        return BAD_INPUT
    for warning in service.warnings:
        output.complain(str(warning))
    return keep(command_for(path, service, sockets, disks, options), sockets, service, meeting)


class Disks(msgspec.Struct, frozen=True):
    """Where a durable service keeps its disks, and whether it goes on with what is there."""

    folder: str
    is_continued: bool


def disks_of(service: ServiceFile, path: Path, given: Path | None) -> Disks | None:
    """The disks, claimed for this service; None where nothing is durable. Raises DiskError."""
    if not service.scenario.durable:
        if given is not None:
            raise DiskError("--data: the file says durable = off")
        return None
    folder = str(given.absolute()) if given else service.scenario.data or str(Path(DEFAULT_DATA).absolute())
    settings = settings_of(service.scenario, message_limit_bytes=1_024, run_name="", log_base="")
    settings = msgspec.structs.replace(settings, data_folder=folder)
    if service.protocol != "chain":
        is_continued = open_server_folder(settings, service.protocol, f"bcr serve {path.name}")
        if not is_continued:
            demand_room(settings, has_olympus=False)
        return Disks(folder, is_continued)
    facts = open_data_folder(settings, f"bcr serve {path.name}")
    demand_room(settings)
    if facts is None or facts.issued is None:
        return Disks(folder, is_continued=False)
    issued = facts.issued.configuration.statement
    are_here = any(name.endswith(f"-configuration_{issued.number}") for name in disks_in(Path(folder)))
    known = names_of_addresses(folder)
    problem = misplaced([each.address for each in issued.replicas], service.scenario.hosts, are_here, known)
    if problem is not None:
        raise DiskError(f"{folder}: {problem}")
    return Disks(folder, is_continued=True)


class Meeting:
    """Where hosts join: with certificates, unless that is on this machine alone."""

    def __init__(self, join: Address, folder: Path, hosts: tuple[str, ...], cookie_file: str, listening: socket.socket) -> None:
        # Only here: where there are no hosts nothing of it is loaded.
        from bcr_service.certificates import Authority, HostFolder
        from bcr_service.host_joining import JoiningDesk

        self.address = address_of(listening).host
        self.tls_folder: Path | None = None
        self._authority = None
        self._renewed_s = time.monotonic()
        if not ipaddress.ip_address(self.address).is_loopback:
            self.tls_folder = folder / TLS_FOLDER
            self._own = HostFolder(self.tls_folder)
            self._authority = Authority(folder / AUTHORITY_FOLDER, hosts)
            self.renew()
        self._lines = LimitedLines(lambda text: output.complain(f"bcr serve: {text}"))
        self._desk = JoiningDesk(listening, Path(cookie_file).read_bytes(), self._authority, self._lines.tell)
        self.port_to, self._port_from = reversed(os.pipe())

    def renew(self) -> None:
        """Get the service's own node another certificate, where it needs one. Raises OSError."""
        self._renewed_s = time.monotonic()
        if self._authority is not None:
            self._authority.issue_own(OWN_NODE, self.address, self._own)

    def begin(self) -> None:
        """Let hosts join as soon as the service, which has been started, says where its node is."""
        os.close(self.port_to)
        self._desk.start()
        threading.Thread(target=self._hear_port, daemon=True).start()

    def _hear_port(self) -> None:
        with os.fdopen(self._port_from) as told:
            self._desk.port = int(told.read() or 0)

    def look(self) -> None:
        """What is due, from time to time."""
        if time.monotonic() - self._renewed_s > RENEWAL_S:
            try:
                self.renew()
            except OSError as problem:
                self._lines.tell("renewal", f"the certificate of this host is not renewed: {problem}")


def meeting_of(service: ServiceFile, disks: Disks | None, joining: Sequence[socket.socket]) -> Meeting | None:
    """Where the service's hosts join, if it has some. Raises Unusable and OSError."""
    if service.join is None or disks is None:
        return None
    return Meeting(service.join, Path(disks.folder), service.scenario.hosts, service.files["cookie_file"], joining[0])


def address_of(listening: socket.socket) -> Address:
    """Where a socket listens, also where any free port was asked for."""
    host, port, *_ = listening.getsockname()
    return Address(host, port)


def command_for(
    path: Path, service: ServiceFile, sockets: Sequence[socket.socket], disks: Disks | None, options: argparse.Namespace
) -> list[str]:
    """What is run: DistAlgo; without other hosts on a node that has no name, and makes up a cookie that nobody can read."""
    where = ["-H", "localhost", "-p", "0"]
    if service.join is not None:
        where = ["-n", OWN_NODE, "-H", service.join.host, "-p", "0"]
    command = [sys.executable, "-m", "da", "-L", "warning", *where, "Service.da", "-i", str(path.absolute())]
    for each in sockets:
        command += ["--listen", f"{address_of(each).port}:{each.fileno()}"]
    if disks is not None:
        command += ["--data", disks.folder]
        command += ["--continued"] if disks.is_continued else []
    if options.lab:
        command.append("--lab")
    if options.log_folder:
        command += ["--log-folder", str(options.log_folder.absolute())]
    return command


def keep(command: Sequence[str], sockets: Sequence[socket.socket], service: ServiceFile, meeting: Meeting | None = None) -> int:
    """Run the service until it ends, or we are asked to; returns the exit status. Nothing of it is left."""
    environment = dict(os.environ)
    if service.join is not None:
        environment[COOKIE_VARIABLE] = service.files["cookie_file"]
    passed = [*(each.fileno() for each in sockets), *descriptors()]  # the disks are claimed for as long as anybody is left
    if meeting is not None:
        command = [*command, "--port-to", str(meeting.port_to)]
        passed.append(meeting.port_to)
        if meeting.tls_folder is not None:
            environment[TLS_VARIABLE] = str(meeting.tls_folder)
    with noted_signals() as asked:
        process = subprocess.Popen(
            command,
            cwd=SOURCES,
            env=environment,
            stdin=subprocess.PIPE,  # which ends with us, however that is: then the service ends too
            pass_fds=passed,
            start_new_session=True,
        )
        try:
            where = ", ".join(
                [
                    *(_words_of_listener(service, listener, each) for listener, each in zip(service.listeners_here, sockets, strict=True)),
                    *(f"{each.name} at {each.address}" for each in service.listeners if each not in service.listeners_here),
                ]
            )
            for each in sockets:
                each.close()
            if meeting is not None:
                meeting.begin()
            if service.join is not None:
                where += f"; its hosts join it at {service.join}"
            output.tell(f"bcr serve: {service.scenario.num_replicas} replicas, {where}; Ctrl-C or SIGTERM ends it")
            while not asked and process.poll() is None:
                time.sleep(0.1)
                if meeting is not None:
                    meeting.look()
            _end(process)
        finally:
            _kill(process)
    return 0 if asked and process.returncode == 0 else process.returncode if process.returncode > 0 else 1


def _words_of_listener(service: ServiceFile, listener: Listener, listening: socket.socket) -> str:
    """A port, as people write it."""
    if listener.kind == "zatt":
        return f"zatt tcp://{address_of(listening)}"
    url = f"{'https' if 'tls_key' in service.files else 'http'}://{address_of(listening)}"
    return url if listener.kind == HTTP else f"{listener.kind} {url}"


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Ask the service to end, and wait for that."""
    assert process.stdin is not None
    with contextlib.suppress(OSError):
        process.stdin.close()
    try:
        process.wait(DRAIN_LIMIT_S)
    except subprocess.TimeoutExpired:
        output.complain(f"bcr serve: not ended within {DRAIN_LIMIT_S:g} s, and killed")


def _kill(process: "subprocess.Popen[bytes]") -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()

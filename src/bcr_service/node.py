"""`./bcr node`: holds the replicas of a service on this host, those of one configuration after the other, until it is asked to end.

When the service goes away, or is cut off, the node ends, and another one takes its place. That one looks for the service anew.
"""

import argparse
import contextlib
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from bcr.stable.disk import DiskError
from bcr_run import output
from bcr_run.supervision import end_with_us, heeded_signals
from bcr_runtime.data_folder import claim_host_folder, descriptors
from bcr_runtime.host_certificates import TLS_VARIABLE
from bcr_runtime.places import COOKIE_VARIABLE, DISKS_VARIABLE, EMPLOYED_VARIABLE, GATEWAY_FILES_VARIABLE, SOURCES
from bcr_service.access import Unusable, demand_cookie, demand_usable
from bcr_service.hosting import RENEWAL_S, TLS_FOLDER
from bcr_service.service_files import SECRET_FILES, Address, join_address_in, problem_with_host

PAUSE_S = 1.0  # between two nodes
JOINING_PAUSE_S = 0.3  # between two attempts to join
REFUSED_PAUSE_S = 2.0  # until it asks again what may never be granted
EMPLOYMENT_LIMIT_S = 30.0  # for the service to begin its work on a node
END_LIMIT_S = 15.0
MOST_REASONS = 100  # for which a host does not join, that are told
BAD_INPUT = 2
EPILOG = """The service's file names this host's address among its hosts, and says where it is joined; the cookie is the same file everywhere.
Exit status: 0 asked to end; 2 bad input, and nothing was started."""


def main(arguments: list[str]) -> int:
    """`bcr node`; the exit statuses are those of EPILOG."""
    parser = argparse.ArgumentParser(prog="bcr node", description=__doc__, epilog=EPILOG)
    parser.add_argument("--join", required=True, type=_address, metavar="HOST:PORT", help="where the service is joined")
    parser.add_argument("--host", required=True, metavar="ADDRESS", help="this host's own address, which may be another one next time")
    parser.add_argument("--name", metavar="NAME", help="what the service's file calls this host (default: its address)")
    parser.add_argument("--cookie-file", required=True, type=Path, metavar="FILE", help="the secret with which hosts join the service")
    parser.add_argument("--tls-certificate", type=Path, metavar="FILE", help="what the gateways on this host show to callers, in PEM")
    parser.add_argument("--tls-key", type=Path, metavar="FILE", help="its key")
    parser.add_argument("--token-file", type=Path, metavar="FILE", help="the token that callers show to the gateways on this host")
    parser.add_argument("--data", type=Path, default=Path("data"), metavar="FOLDER", help="where the disks are (default: data)")
    options = parser.parse_args(arguments)
    # Only now: help is given also where what a node needs has not been installed.
    from bcr_service.certificates import HostFolder
    from bcr_service.host_joining import NotJoined, join

    data = options.data.absolute()
    try:
        address = _demand_own(options.host)
        demand_cookie(options.cookie_file)
        name = options.name or options.host
        wrong = problem_with_host(name)
        if wrong:
            raise Unusable(f"--name: {wrong}")
        claim_host_folder(data, f"bcr node --name {name}")
        folder = HostFolder(data / TLS_FOLDER)
        files = _files_in(options)
    except (Unusable, DiskError, OSError) as error:
        output.complain(f"bcr node: {error}")
        return BAD_INPUT
    cookie = options.cookie_file.read_bytes()
    environment = {**os.environ, COOKIE_VARIABLE: str(options.cookie_file.absolute()), DISKS_VARIABLE: str(data)}
    environment[GATEWAY_FILES_VARIABLE] = msgspec.json.encode(files).decode()
    output.tell(f"bcr node: {name}, disks in {data}, for the service at {options.join}; Ctrl-C or SIGTERM ends it")
    with _asked_to_end() as asked:
        complaints = _Complaints()
        while not asked.is_set():
            try:
                joined = join(options.join, name, address, cookie, folder)
            except (NotJoined, OSError) as problem:
                complaints.tell(problem)
                passes = isinstance(problem, NotJoined) and not problem.is_there
                asked.wait(JOINING_PAUSE_S if passes else REFUSED_PAUSE_S)
                continue
            at = ["-n", name, "-H", address, "-R", f"{options.join.host}:{joined.port}"]
            secured = {TLS_VARIABLE: str(folder.folder)} if joined.certificate else {}
            employment = _Employment()
            given = environment | secured | {EMPLOYED_VARIABLE: str(employment.to)}
            process = subprocess.Popen(
                [sys.executable, "-m", "da", "-L", "error", *at, "-D", "Hosts.da"],
                cwd=SOURCES, env=given, stdin=subprocess.DEVNULL, pass_fds=(*descriptors(), employment.to), start_new_session=True, preexec_fn=end_with_us  # noqa: PLW1509 - there are no threads here
            )  # fmt: skip
            renewed_s = time.monotonic()
            with employment, contextlib.suppress(subprocess.TimeoutExpired):
                while not asked.is_set() and process.poll() is None:
                    asked.wait(0.1)
                    if employment.has_begun():
                        complaints.clear()
                        output.tell(f"bcr node: {name} is a host of the service at {options.join} now")
                    if employment.is_overdue():
                        complaints.say(
                            f"the service at {options.join} has begun no work here within {EMPLOYMENT_LIMIT_S:g} s; it is joined anew "
                            f"(another node may be called {name} there)"
                        )
                        break
                    if secured and time.monotonic() - renewed_s > RENEWAL_S:
                        renewed_s = time.monotonic()
                        try:
                            join(options.join, name, address, cookie, folder)
                        except (NotJoined, OSError) as problem:  # each certificate is good for a month
                            output.complain(f"bcr node: the certificate of {name} is not renewed, and asked for again tomorrow: {problem}")
                process.terminate()
                process.wait(END_LIMIT_S)
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            asked.wait(PAUSE_S)
    return 0


def _files_in(options: argparse.Namespace) -> dict[str, str]:
    """What gateways on this host need, as in a service file: absolute paths. Raises Unusable."""
    given = {"tls_certificate": options.tls_certificate, "tls_key": options.tls_key, "token_file": options.token_file}
    files = {name: str(path.absolute()) for name, path in given.items() if path is not None}
    if ("tls_certificate" in files) != ("tls_key" in files):
        raise Unusable("--tls-certificate and --tls-key go together")
    demand_usable(files)
    for name in SECRET_FILES & set(files):
        if os.stat(files[name]).st_mode & stat.S_IRWXO:
            raise Unusable(f"everybody on this machine may read {files[name]}; chmod 600 keeps it to its owner")
    return files


def _address(text: str) -> Address:
    try:
        address = join_address_in(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return address


class _Employment:
    """Whether the service has begun its work on a node, whose steward says so to `to`, a descriptor that the node inherits.

    A node that it does not begin on would wait for ever: the service has another one of its name, or has itself begun again elsewhere.
    """

    def __init__(self) -> None:
        self._from, self.to = os.pipe()
        os.set_blocking(self._from, False)
        self._since_s = time.monotonic()
        self._is_there = False

    def __enter__(self) -> None:
        os.close(self.to)  # the node has it

    def __exit__(self, *_: object) -> None:
        os.close(self._from)

    def has_begun(self) -> bool:
        """Whether this has been told just now, for the first time."""
        try:
            said = os.read(self._from, 1)
        except BlockingIOError:
            return False
        is_new = bool(said) and not self._is_there
        self._is_there |= is_new
        return is_new

    def is_overdue(self) -> bool:
        """Whether nothing of it was told for so long that another node is to be begun."""
        return not self._is_there and time.monotonic() - self._since_s > EMPLOYMENT_LIMIT_S


class _Complaints:
    """Says what keeps a host from the service, once for each reason until the host works for it; that nobody is there yet is nothing to say."""

    def __init__(self) -> None:
        self._told: set[str] = set()

    def tell(self, problem: Exception) -> None:
        if getattr(problem, "is_there", True):
            self.say(str(problem))

    def say(self, text: str) -> None:
        if text not in self._told and len(self._told) < MOST_REASONS:
            output.complain(f"bcr node: {text}")
            self._told.add(text)

    def clear(self) -> None:
        self._told.clear()


def _demand_own(host: str) -> str:
    """The IPv4 address, which may be given by a name. Raises OSError unless it is one of this host's."""
    with socket.socket() as probe:
        try:
            probe.bind((host, 0))
            return str(probe.getsockname()[0])
        except OSError as error:
            raise OSError(f"--host {host}: no address of this host ({error.strerror})") from error


@contextlib.contextmanager
def _asked_to_end() -> Iterator[threading.Event]:
    """An event that is set when a signal asks to end."""
    asked = threading.Event()
    with heeded_signals(lambda _: asked.set()):
        yield asked

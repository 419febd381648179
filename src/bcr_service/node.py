"""`./bcr node`: holds the replicas of a service on this host, those of one configuration after the other, until it is asked to end.

When the service goes away, or is cut off, the node ends, and another one takes its place. That one looks for the service anew.
"""

import argparse
import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

from bcr.stable.disk import DiskError
from bcr_run import output
from bcr_run.supervision import end_with_us
from bcr_runtime.data_folder import claim_host_folder, descriptors
from bcr_runtime.places import COOKIE_VARIABLE, DISKS_VARIABLE, SOURCES
from bcr_service.access import Unusable, demand_cookie
from bcr_service.service_files import Address, address_in

PAUSE_S = 1.0  # between two nodes
END_LIMIT_S = 15.0
BAD_INPUT = 2
EPILOG = """The service's file names this host's address among its hosts, and says where it is joined; the cookie is the same file everywhere.
Exit status: 0 asked to end; 2 bad input, and nothing was started."""


def main(arguments: list[str]) -> int:
    """`bcr node`; the exit statuses are those of EPILOG."""
    parser = argparse.ArgumentParser(prog="bcr node", description=__doc__, epilog=EPILOG)
    parser.add_argument("--join", required=True, type=_address, metavar="HOST:PORT", help="where the service is joined")
    parser.add_argument("--host", required=True, metavar="ADDRESS", help="this host's own address, as the service's file has it")
    parser.add_argument("--cookie-file", required=True, type=Path, metavar="FILE", help="by which the hosts of a service know each other")
    parser.add_argument("--data", type=Path, default=Path("data"), metavar="FOLDER", help="where the disks are (default: data)")
    options = parser.parse_args(arguments)
    data = options.data.absolute()
    try:
        _demand_own(options.host)
        demand_cookie(options.cookie_file)
        claim_host_folder(data, f"bcr node --host {options.host}")
    except (Unusable, DiskError, OSError) as error:
        output.complain(f"bcr node: {error}")
        return BAD_INPUT
    command = [sys.executable, "-m", "da", "-L", "error", "-n", options.host, "-H", options.host, "-R", str(options.join), "-D", "Hosts.da"]
    environment = {**os.environ, COOKIE_VARIABLE: str(options.cookie_file.absolute()), DISKS_VARIABLE: str(data)}
    print(f"bcr node: {options.host}, disks in {data}, for the service at {options.join}; Ctrl-C or SIGTERM ends it", flush=True)
    with _asked_to_end() as asked:
        while not asked.is_set():
            process = subprocess.Popen(
                command, cwd=SOURCES, env=environment, stdin=subprocess.DEVNULL, pass_fds=descriptors(), start_new_session=True, preexec_fn=end_with_us  # noqa: PLW1509 - there are no threads here
            )  # fmt: skip
            with contextlib.suppress(subprocess.TimeoutExpired):
                while not asked.is_set() and process.poll() is None:
                    asked.wait(0.1)
                process.terminate()
                process.wait(END_LIMIT_S)
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            asked.wait(PAUSE_S)
    return 0


def _address(text: str) -> Address:
    try:
        address = address_in(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return address


def _demand_own(host: str) -> None:
    """Raises OSError unless the address is one of this host's."""
    with socket.socket() as probe:
        try:
            probe.bind((host, 0))
        except OSError as error:
            raise OSError(f"--host {host}: no address of this host ({error.strerror})") from error


@contextlib.contextmanager
def _asked_to_end() -> Iterator[threading.Event]:
    """An event that is set when a signal asks to end."""
    asked = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: asked.set())
    yield asked

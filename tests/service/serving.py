"""Services for tests: `./bcr serve` as a user starts it, on free ports, ended by their own ids."""

import contextlib
import json
import re
import resource
import socket
import ssl
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from dataclasses import dataclass

import pytest

READY_LIMIT_S = 120
FILE = "t = 1\ndurable = off\ngateway[0] = 127.0.0.1:0\nclient_timeout = 500\nhead_timeout = 500\nnonhead_timeout = 500\n"


@dataclass
class Running:
    process: subprocess.Popen
    url: str
    told: str  # the line that says where it is
    ca_file: str | None = None
    token: str | None = None

    def ports(self, kind):
        """Those of a dialect, by number."""
        return [int(port) for port in re.findall(rf"{kind} \w+://[^,;]*:(\d+)", self.told)]

    def ask(self, method, path, body=None, headers=None, *, url=None, token=...):
        """Status, headers and body of a call."""
        token = self.token if token is ... else token
        shown = {} if token is None else {"authorization": f"Bearer {token}"}
        request = urllib.request.Request((url or self.url) + path, data=body, method=method, headers={**shown, **(headers or {})})
        context = None if self.ca_file is None else ssl.create_default_context(cafile=self.ca_file)
        try:
            with urllib.request.urlopen(request, timeout=30, context=context) as answer:
                return answer.status, answer.headers, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.headers, error.read()

    def events(self):
        """All that has happened so far."""
        found = []
        with urllib.request.urlopen(self.url + "/events", timeout=30) as stream:
            for line in stream:
                if line.startswith(b":"):
                    break
                if line.startswith(b"data: "):
                    found.append(json.loads(line[6:]))
        return found

    @property
    def port(self):
        return int(self.url.rpartition(":")[2])


def command(*arguments):
    return [sys.executable, "-P", "-m", "bcr_tools.cli", "serve", *map(str, arguments)]


@contextlib.contextmanager
def served(folder, *arguments, text=FILE, ca_file=None, token=None):
    """A service that is ready; ended by SIGTERM, and killed only where that is in vain."""
    file = folder / "own.config"
    file.write_text(text)
    with open(folder / "errors.txt", "wb") as errors:
        process = subprocess.Popen(
            command(file, "--log-folder", folder / "logs", *arguments), stdout=subprocess.PIPE, stderr=errors, cwd=folder
        )
    try:
        first = process.stdout.readline().decode()
        running = Running(process, re.search(r"https?://[^,; ]+", first).group(), first, ca_file, token)
        await_ready(running)
        yield running
    finally:
        process.terminate()
        try:
            process.wait(40)
        finally:
            process.kill()
            process.wait()
            process.stdout.close()


def await_ready(running):
    """Until the service says that it makes sense to call it; there is nothing else to wait for."""
    deadline_s = time.monotonic() + READY_LIMIT_S
    while not is_ready(running):
        assert running.process.poll() is None
        assert time.monotonic() < deadline_s, "not ready"
        time.sleep(0.05)


def is_ready(running):
    try:
        return running.ask("GET", "/readyz")[0] == 200
    except TimeoutError:  # its port is there before the gateway is
        return False


def bcr(*arguments, standard_input=None):
    """A command, as somebody types it."""
    return subprocess.run(
        [sys.executable, "-P", "-m", "bcr_tools.cli", *map(str, arguments)],
        capture_output=True, text=True, timeout=60, check=False, input=standard_input,
    )  # fmt: skip


@contextlib.contextmanager
def answering(answer, calls=1):
    """The address of somebody who says this to so many callers, once they have said something, and then goes."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()

        def serve():
            for _ in range(calls):
                connection, _ = listening.accept()
                with connection:
                    connection.recv(10_000)
                    connection.sendall(answer)

        stranger = threading.Thread(target=serve)
        stranger.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        stranger.join()


@contextlib.contextmanager
def descriptors(wanted):
    """Let this process have so many files open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < wanted:
        pytest.skip(f"only {hard} files may be open")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

"""Services for tests: `./bcr serve` as a user starts it, on free ports, ended by their own ids."""

import contextlib
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass

READY_LIMIT_S = 60
FILE = "t = 1\ngateway[0] = 127.0.0.1:0\nclient_timeout = 500\nhead_timeout = 500\nnonhead_timeout = 500\n"


@dataclass
class Running:
    process: subprocess.Popen
    url: str

    def ask(self, method, path, body=None, headers=None):
        """Status, headers and body of a call."""
        request = urllib.request.Request(self.url + path, data=body, method=method, headers=headers or {})
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, answer.headers, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.headers, error.read()

    @property
    def port(self):
        return int(self.url.rpartition(":")[2])


def command(*arguments):
    return [sys.executable, "-P", "-m", "bcr_tools.cli", "serve", *map(str, arguments)]


@contextlib.contextmanager
def served(folder, *arguments, text=FILE):
    """A service that is ready; ended by SIGTERM, and killed only where that is in vain."""
    file = folder / "own.config"
    file.write_text(text)
    with open(folder / "errors.txt", "wb") as errors:
        process = subprocess.Popen(
            command(file, "--log-folder", folder / "logs", *arguments), stdout=subprocess.PIPE, stderr=errors, cwd=folder
        )
    try:
        first = process.stdout.readline().decode()
        running = Running(process, re.search(r"http://[^,; ]+", first).group())
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
    while running.ask("GET", "/readyz")[0] != 200:
        assert running.process.poll() is None
        assert time.monotonic() < deadline_s, "not ready"
        time.sleep(0.05)

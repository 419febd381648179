"""Nodes as the tests start them: in the background, their output line by line, ended with the test."""

import contextlib
import os
import queue
import re
import signal
import socket
import subprocess
import sys
import threading

LIMIT_S = 40


class Node:
    """`python3 -m da ARGUMENTS` in the background, with a home of its own and behind the words of `prefix`."""

    def __init__(self, home, *arguments, cwd=None, prefix=()):
        self.process = subprocess.Popen(
            [*prefix, sys.executable, "-m", "da", *map(str, arguments)],
            cwd=cwd or home,
            env={**os.environ, "HOME": str(home)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.output = ""
        self._lines = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self.process.stdout:
            self._lines.put(line)
        self._lines.put(None)

    def await_line(self, pattern):
        """The first group of the next line in which `pattern` is found."""
        while True:
            line = self._lines.get(timeout=LIMIT_S)
            assert line is not None, f"{pattern!r} never came:\n{self.output}"
            self.output += line
            found = re.search(pattern, line)
            if found:
                return found.group(1) if found.groups() else found.group()

    def end(self):
        """Its exit status, when it and all its children have ended by themselves."""
        status = self.process.wait(LIMIT_S)
        while (line := self._lines.get(timeout=LIMIT_S)) is not None:
            self.output += line
        return status

    def kill(self):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self._reader.join(LIMIT_S)
        self.process.stdout.close()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]

"""A service under HTTP load whose processes are killed, stopped, and lose their power; and whether what its callers were told is true.

Callers write and read a few keys, and each puts words at the end of a list of its own. Every key must behave as a register: each call takes
effect at one moment. Each list must hold the words that were confirmed, once and in their order. It must hold no word of which the service said that
nothing had happened. It may hold some of the others. All this is seen from outside: only the calls, their times and their statuses count.
"""

import contextlib
import http.client
import json
import random
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from math import inf
from pathlib import Path
from typing import Any

import msgspec
import psutil

from bcr.verdict.registers import RegisterOperation, why_no_register

FILE = """t = 1
durable = on
client_window = 8
checkpt_interval = 20
client_timeout = 1000
head_timeout = 1000
nonhead_timeout = 1000
"""
LIAR_FILE = """protocol = byzantine_raft
t = 1
durable = on
client_window = 8
checkpt_interval = 20
client_timeout = 1000
"""
KEYS = 20
START_LIMIT_S = 180.0
CALL_LIMIT_S = 40.0
ASKED_MS = 20_000
PATIENCE_MS = (200, 1_000, ASKED_MS)  # of callers: the impatient are told 503 and 504
ACTIONS = ("kill", "olympus", "pause", "power_cut", "everything", "fault")
FAULTS = ("after(0),change_result()", "after(0),drop_all()", "after(0),stall()")


class AppendedWord(msgspec.Struct):
    """A word at the end of a list: whether it is there; None where nobody knows."""

    text: str
    is_there: bool | None = None


class Caller(threading.Thread):
    """Calls one after the other, and notes what it was told of each."""

    def __init__(self, port: int, number: int, seed: int) -> None:
        super().__init__(daemon=True)
        self._port = port
        self._number = number
        self._chance = random.Random(f"{seed} {number}")
        self._connection: http.client.HTTPConnection | None = None
        self.may_call = threading.Event()
        self.is_over = False
        self.calls: list[tuple[str, RegisterOperation]] = []  # of which key
        self.words: list[AppendedWord] = []
        self.statuses: Counter[str] = Counter()
        self.answered = 0

    def run(self) -> None:
        count = 0
        while self.may_call.wait() and not self.is_over:
            count += 1
            kind = self._chance.choice(("get", "get", "get", "put", "put", "append"))
            key = f"k{self._chance.randrange(KEYS)}"
            if kind == "get":
                self._get(key)
            elif kind == "put":
                self._put(key, f"{self._number}.{count}")
            else:
                self._append(f"{self._number}.{count}")
        if self._connection is not None:
            self._connection.close()

    def _get(self, key: str) -> None:
        began = time.monotonic()
        status, body = self._ask("GET", f"/keys/{key}")
        if status in (200, 404):
            self.calls.append(
                (
                    key,
                    RegisterOperation(
                        is_write=False, value=json.loads(body) if status == 200 else None, began=began, ended=time.monotonic()
                    ),
                )
            )

    def _put(self, key: str, value: str) -> None:
        began = time.monotonic()
        is_there = self._told(*self._ask("PUT", f"/keys/{key}", json.dumps(value)))
        if is_there is not False:
            self.calls.append(
                (key, RegisterOperation(is_write=True, value=value, began=began, ended=time.monotonic() if is_there else inf))
            )

    def _append(self, text: str) -> None:
        word = AppendedWord(text)
        self.words.append(word)
        word.is_there = self._told(*self._ask("POST", f"/keys/words/{self._number}", json.dumps({"type": "APPEND", "value": text})))

    @staticmethod
    def _told(status: int | None, body: bytes) -> bool | None:
        """What an answer says of a write: that it happened, did not, or neither."""
        if status is None:
            return None
        return True if status == 204 else False if status == 0 or json.loads(body).get("definite") else None

    def _ask(self, method: str, path: str, body: str | None = None) -> tuple[int | None, bytes]:
        """Status and body; status 0 where the service was never reached, and None where it had been, and said nothing."""
        answer: tuple[int | None, bytes] = (None, b"")
        try:
            if self._connection is None:
                self._connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=CALL_LIMIT_S)
                self._connection.connect()
        except OSError:
            self._connection = None
            time.sleep(0.1)  # nobody listens just now, and would sooner
            answer = (0, b"")
        else:
            try:
                self._connection.request(method, f"{path}?timeout_ms={self._chance.choice(PATIENCE_MS)}", body)
                response = self._connection.getresponse()
                answer = (response.status, response.read())
            except (OSError, http.client.HTTPException):
                self._connection.close()
                self._connection = None
        self.answered += answer[0] not in (0, None)
        self.statuses[{0: "nobody there", None: "no answer"}.get(answer[0], str(answer[0]))] += 1
        return answer


def unkept(words: Sequence[AppendedWord], found: Sequence[str]) -> str | None:
    """What of a list is not as its caller was told; None where all is."""
    told = {word.text: word.is_there for word in words}
    if len(set(found)) < len(found):
        return f"twice in the list: {next(text for text in found if found.count(text) > 1)}"
    if strangers := [text for text in found if told.get(text, False) is False]:
        return f"in the list, though {'nothing had happened' if strangers[0] in told else 'nobody wrote it'}: {strangers[0]}"
    if lost := [word.text for word in words if word.is_there and word.text not in found]:
        return f"confirmed, and not in the list: {lost[0]}"
    # One that nobody knows of may have come late, behind others.
    if [word.text for word in words if word.is_there] != [text for text in found if told[text]]:
        return "the list is in another order"
    return None


class Storm:
    """A service in the laboratory, its callers, and what is done to it.

    Faults are given to replicas at `may_lie`.
    """

    file = FILE
    gateways = 1
    replicas = 3
    actions: Sequence[str] = ACTIONS
    faults: Sequence[str] = FAULTS
    may_lie: Sequence[int] = range(3)

    def __init__(self, folder: Path, callers: int, seed: int) -> None:
        self._folder = folder
        self._chance = random.Random(seed)
        self._ports = _free_ports(self.gateways)
        lines = [f"gateway[{number}] = 127.0.0.1:{port}\n" for number, port in enumerate(self._ports)]
        (folder / "storm.config").write_text(self.file + "".join(lines))
        self._process: subprocess.Popen[bytes] | None = None
        self.callers = [Caller(self._ports[number % self.gateways], number, seed) for number in range(callers)]
        self.problems: list[str] = []

    def start(self) -> None:
        """Start the service, on the disks that it has left. Raises RuntimeError where it does not get ready."""
        command = [sys.executable, "-P", "-m", "bcr_tools.cli", "serve", "storm.config", "--lab", "--data", "data", "--log-folder", "logs"]
        with open(self._folder / "output", "ab") as output:
            self._process = subprocess.Popen(command, cwd=self._folder, stdout=output, stderr=output, stdin=subprocess.DEVNULL)
        self.await_service("/readyz", "GET")

    def await_service(self, path: str, method: str) -> None:
        """Until a call is answered with 2xx. Raises RuntimeError where that takes too long, or the service has ended."""
        deadline_s = time.monotonic() + START_LIMIT_S
        while self._ask(method, path) // 100 != 2:
            assert self._process is not None
            if self._process.poll() is not None or time.monotonic() > deadline_s:
                raise RuntimeError(f"the service does not answer {path}; see {self._folder / 'output'}")
            time.sleep(0.05)

    def _ask(self, method: str, path: str, body: str | None = None, gateway: int = 0) -> int:
        try:
            return self._exchange(method, path, body, gateway)[0]
        except (OSError, http.client.HTTPException):
            return 0

    def _exchange(self, method: str, path: str, body: str | None = None, gateway: int = 0) -> tuple[int, bytes]:
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self._ports[gateway], timeout=CALL_LIMIT_S)) as connection:
            connection.request(method, path, body, {"accept": "application/json"})
            response = connection.getresponse()
            return response.status, response.read()

    def round(self, calls: int) -> str:
        """Do something to the service while callers call, and let them make so many calls after that; returns what was done."""
        done = self._strike(self._chance.choice(self.actions))
        self.await_service("/keys?limit=1&timeout_ms=2000", "GET")
        self._await_calls(calls, done)
        return done

    def _await_calls(self, calls: int, done: str) -> None:
        goal = self.count() + calls
        deadline_s = time.monotonic() + START_LIMIT_S
        while self.count() < goal:
            if time.monotonic() > deadline_s:
                raise RuntimeError(f"{goal - self.count()} of {calls} calls are not answered within {START_LIMIT_S:g} s of: {done}")
            time.sleep(0.05)

    def told(self) -> str:
        """What else is worth a line at the end."""
        return ""

    def count(self) -> int:
        """The calls that have been answered so far."""
        return sum(caller.answered for caller in self.callers)

    def _strike(self, action: str) -> str:
        replica = f"replica_{self._chance.randrange(self.replicas)}"
        if action == "olympus":
            for process in self._family():
                with contextlib.suppress(psutil.Error):
                    if any("olympus.sqlite" in file.path for file in process.open_files()):
                        process.kill()
            return "Olympus was killed"
        if action == "everything":
            family = self._family()
            for number in (signal.SIGSTOP, signal.SIGKILL):  # stopped first, so that nobody sees another go
                for process in family:
                    with contextlib.suppress(psutil.NoSuchProcess):
                        process.send_signal(number)
            psutil.wait_procs(family, START_LIMIT_S)
            assert self._process is not None
            self._process.wait()
            self.start()
            return "everything was killed, and started again"
        if action == "power_cut":
            self._ask("POST", "/lab/power_cut")
            return "power was cut"
        if action == "fault":
            replica = f"replica_{self._chance.choice(self.may_lie)}"
            fault = self._chance.choice(self.faults)
            self._ask("POST", f"/lab/fault/{replica}", fault)
            return f"{replica} was given {fault}"
        self._ask("POST", f"/lab/{action}/{replica}")
        if action == "pause":
            time.sleep(self._chance.choice((0.2, 3.0)))
            self._ask("POST", f"/lab/resume/{replica}")
        return f"{replica}: {action}"

    def _family(self) -> list[psutil.Process]:
        assert self._process is not None
        parent = psutil.Process(self._process.pid)
        return [*parent.children(recursive=True), parent]

    def stop_callers(self) -> None:
        for caller in self.callers:
            caller.is_over = True
            caller.may_call.set()
        for caller in self.callers:
            if caller.ident is not None:  # it was started
                caller.join(2 * CALL_LIMIT_S)

    def judge(self) -> list[str]:
        """What is not as callers were told."""
        calls: dict[str, list[RegisterOperation]] = {}
        for caller in self.callers:
            for key, call in caller.calls:
                calls.setdefault(key, []).append(call)
        for key, of_key in sorted(calls.items()):
            began = time.monotonic()
            of_key.append(RegisterOperation(is_write=False, value=self._value_of(key), began=began, ended=time.monotonic()))
        problems = [f"{key}: {problem}" for key, of_key in sorted(calls.items()) if (problem := why_no_register(of_key)) is not None]
        for number, caller in enumerate(self.callers):
            problem = unkept(caller.words, self._value_of(f"words/{number}") or [])
            problems += [f"the words of caller {number}: {problem}"] if problem else []
        return problems

    def _value_of(self, key: str) -> Any:
        status, body = self._exchange("GET", f"/keys/{key}?timeout_ms={ASKED_MS}")
        if status not in (200, 404):
            raise RuntimeError(f"at the end {key} cannot be read: {status}")
        return json.loads(body) if status == 200 else None

    def end(self) -> None:
        if self._process is not None:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(CALL_LIMIT_S)
            for process in self._family() if self._process.poll() is None else []:
                process.kill()
            self._process.wait()


class LiarStorm(Storm):
    """A service of Raft among liars. Nobody takes a faulty server's place, so that the one that may lie is always the same."""

    file = LIAR_FILE
    replicas = 4
    actions = tuple(action for action in ACTIONS if action != "olympus")
    faults = ("after(0),chaos(200)", "after(0),equivocate()", "after(0),change_result()", "after(0),break_chain()")
    may_lie = (3,)


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [probe.getsockname()[1] for probe in probes]


def run_service_storm(rounds: int, calls: int, storm: Storm, seed: int) -> int:
    """`bcr storm --service`: 0 where all is as callers were told, 1 where it is not, or the service did not come back."""
    problems: list[str] = []
    try:
        storm.start()
        for caller in storm.callers:
            caller.start()
            caller.may_call.set()
        for number in range(rounds):
            done = storm.round(-(-calls // rounds))
            print(f"round {number + 1} of {rounds}: {done}; {storm.count():,} calls", flush=True)
        storm.stop_callers()
        problems = storm.problems + storm.judge()
    except RuntimeError as problem:
        problems = [*storm.problems, str(problem)]
    finally:
        storm.stop_callers()
        storm.end()
    print(told(sum((caller.statuses for caller in storm.callers), Counter()), [word for caller in storm.callers for word in caller.words]))
    if storm.told():
        print(storm.told())
    for each in problems:
        print(f"NOT AS TOLD: {each}")
    print(f"seed {seed}: {'does not hold' if problems else 'holds'}")
    return int(bool(problems))


def told(statuses: Mapping[str, int], words: Sequence[AppendedWord]) -> str:
    """How many calls got which answer, and how many words of the lists are confirmed, refused and unknown."""
    counted = Counter(word.is_there for word in words)
    answers = ", ".join(
        f"{count:,} {status}" for status, count in sorted(statuses.items(), key=lambda item: (not re.match(r"\d", item[0]), item[0]))
    )
    return f"answers: {answers}; words: {counted[True]:,} confirmed, {counted[False]:,} refused, {counted[None]:,} unknown"

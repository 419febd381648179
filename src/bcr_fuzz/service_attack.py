"""Real services on this host, callers who send their ports what nobody should, and an honest caller beside them."""

import asyncio
import contextlib
import http.client
import itertools
import json
import os
import re
import secrets
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from bcr_fuzz.families import family_of, most_descriptors, most_mib
from bcr_fuzz.fuzz import SPARE_MIB, Budget, FuzzMeasurement, FuzzTally
from bcr_fuzz.honest_caller import CALL_LIMIT_S, HonestCaller
from bcr_fuzz.http_answers import AnswerReader, NoAnswer
from bcr_fuzz.http_requests import Scene, scene_of
from bcr_fuzz.turns import Turns, discarding
from bcr_run.extras import demand
from bcr_run.supervision import end_with_us
from bcr_runtime.host_certificates import AUTHORITY, CERTIFICATE, KEY
from bcr_runtime.places import SOURCES

FILE = """t = 1
gateway[0] = 127.0.0.1:0
gateway[1] = 127.0.0.1:0
keyvalue[0] = 127.0.0.1:0
distraft[0] = 127.0.0.1:0
distraft[1] = 127.0.0.1:0
"""
WITH_TOKEN = "token_file = own.token\n"
WITHOUT_TOKEN = "zatt[0] = 127.0.0.1:0\n"  # which has no way to show one
WITH_TLS = f"tls_certificate = {CERTIFICATE}\ntls_key = {KEY}\n"
HOST = "127.0.0.1"
KINDS = 3  # of services that a budget is shared out to: open, with a token, with TLS
LEAST_OF_ONE, MOST_OF_ONE = 1_000, 25_000  # requests to one service, before the next is begun
AT_ONCE = 64  # connections on which something happens
STAYING = 60  # connections that are left open: beyond that the oldest is broken off
STAYING_WITH_TLS = 300  # the same, most of them in the middle of a handshake
TLS_MIB = 32  # that these take
DRIP_S = 0.5  # between two bytes of a slow handshake
START_LIMIT_S = 180.0
END_LIMIT_S = 60.0
CONNECT_LIMIT_S = 5.0
SENT_LIMIT_S = 15.0  # for what is sent to be taken
QUIET_S = 1.0  # in which something of an answer has to come, or no more is waited for
CLOSED_LIMIT_S = 20.0  # for the service to close what attackers have left
BODIES_MIB = 64  # of bodies that are on their way, which a gateway holds by its own limit
FEW_OPEN = 8  # descriptors that come and go
LOOK_S = 0.5
# Statuses of 500 and more that each interface declares.
DECLARED = {"gateway": {501, 503, 504}, "keyvalue": {503, 504}, "distraft": {503, 504}}
PROBLEM = "application/problem+json"


class NotReady(Exception):
    """The service that was to be attacked cannot be; the text says why."""


def certify(folder: Path) -> None:
    """Make a certificate for HOST there, its key, and the authority that callers are to trust and nobody else."""
    from bcr_service.certificates import Authority, HostFolder

    Authority(folder / "authority", ()).issue_own(HOST, HOST, HostFolder(folder))


class CallerTarget:
    """A service that is under way: its ports by interface, its token, whom its callers trust, and what is known of it outside."""

    def __init__(self, folder: Path, has_token: bool, has_tls: bool = False, is_refusing: bool = False) -> None:
        """`is_refusing`: attackers show another token than the service's."""
        self.folder = folder
        self.elsewhere: tuple[str, int] | None = None  # where all is sent to instead
        self.token = secrets.token_hex(16) if has_token else None
        self.shown = secrets.token_hex(16) if is_refusing else self.token  # by attackers
        if self.token is not None:
            file = folder / "own.token"
            file.touch(0o600)
            file.write_text(self.token)
        if has_tls:
            certify(folder)
        self.certificate = (folder / CERTIFICATE, folder / KEY) if has_tls else ()
        self.trust = ssl.create_default_context(cafile=folder / AUTHORITY) if has_tls else None
        (folder / "own.config").write_text(FILE + (WITH_TOKEN if has_token else WITHOUT_TOKEN) + (WITH_TLS if has_tls else ""))
        command = [sys.executable, "-P", "-m", "bcr_tools.cli", "serve", "own.config", "--data", "data", "--log-folder", "logs"]
        with open(folder / "output", "wb") as output:
            self.process = subprocess.Popen(
                command,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=output,
                start_new_session=True,
                preexec_fn=end_with_us,  # noqa: PLW1509 - see there
            )
        assert self.process.stdout is not None
        self.ports: dict[str, list[int]] = {}
        for kind, port in re.findall(r"(?:(\w+) )?\w+://127\.0\.0\.1:(\d+)", self.process.stdout.readline().decode()):
            self.ports.setdefault(kind if kind in ("keyvalue", "distraft", "zatt") else "gateway", []).append(int(port))
        self.honest = HonestCaller(self)

    def await_ready(self) -> None:
        """Raises NotReady where it does not get ready."""
        deadline_s = time.monotonic() + START_LIMIT_S
        while self.call("GET", "/readyz")[0] != 200:
            if self.process.poll() is not None or time.monotonic() > deadline_s:
                raise NotReady(f"the service does not get ready: {self.output()[-300:]}")
            time.sleep(0.05)

    def call(self, method: str, path: str, body: str | None = None) -> tuple[int, bytes]:
        """Status and body of a call on a connection of its own; status 0 where there was no answer."""
        headers = {"accept": "application/json"} | ({"authorization": f"Bearer {self.token}"} if self.token else {})
        with contextlib.closing(self.connection()) as connection:
            try:
                connection.request(method, path, body, headers)
                response = connection.getresponse()
                return response.status, response.read()
            except (OSError, http.client.HTTPException):
                return 0, b""

    def connection(self) -> http.client.HTTPConnection:
        """One to a gateway, which is made when something is asked."""
        port = self.ports.get("gateway", [1])[0]
        if self.trust is None:
            return http.client.HTTPConnection(HOST, port, timeout=CALL_LIMIT_S)
        return http.client.HTTPSConnection(HOST, port, timeout=CALL_LIMIT_S, context=self.trust)

    def address_of(self, interface: str, number: int) -> tuple[str, int]:
        ports = self.ports[interface]
        return self.elsewhere or ("127.0.0.1", ports[number % len(ports)])

    def newly_answered(self) -> int:
        """How many calls of the honest caller were answered since this was asked last."""
        return self.honest.newly_answered()

    def output(self) -> str:
        return (self.folder / "output").read_text(errors="replace")

    def configuration(self) -> int:
        """The number of the configuration; -1 where it is not told."""
        status, body = self.call("GET", "/configuration")
        return int(json.loads(body)["number"]) if status == 200 else -1

    def end(self) -> int | None:
        """Ask it to end; returns its exit status, None where it had to be killed."""
        family = family_of(self.process.pid)
        status = None
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            status = self.process.wait(END_LIMIT_S)
        for each in family:
            with contextlib.suppress(psutil.Error):
                each.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()
        return status


@dataclass
class CallersAttack:
    """What is known of an attack on one service."""

    target: CallerTarget
    seed: int
    first: int  # the number of its first scene
    sent: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    odd: dict[str, list[int]] = field(default_factory=dict)  # what was answered that nobody declares -> the scenes that were
    staying: deque[tuple[asyncio.StreamWriter, bytes]] = field(default_factory=deque)  # with what is still to come, byte by byte
    largest_mib: float = 0.0
    most_open: int = 0

    @property
    def interfaces(self) -> tuple[str, ...]:
        return ("gateway", *(each for each in sorted(self.target.ports) if each != "gateway"))

    @property
    def most_staying(self) -> int:
        return STAYING if self.target.trust is None else STAYING_WITH_TLS

    async def run(self, requests: int, budget: Budget, turns: Turns | None) -> None:
        """Play scenes until so many requests are sent to the service, or the budget is over, or it has ended."""
        free = asyncio.Semaphore(AT_ONCE)
        playing: set[asyncio.Task[None]] = set()
        beside = [asyncio.create_task(self._look()), asyncio.create_task(self._drip())]
        due_s = time.monotonic()
        try:
            for number in itertools.count(self.first):
                if self.sent >= requests or budget.is_over() or self.target.process.poll() is not None:
                    break
                if turns:
                    turns.look()
                await free.acquire()
                scene = scene_of(self.seed, number, self.interfaces, self.target.shown, self.target.trust is not None)
                count = max(1, scene.requests)
                if turns:
                    turns.sent += count
                is_elsewhere = self.target.elsewhere is not None
                self.sent += 0 if is_elsewhere else count
                task = asyncio.create_task(self._played(scene, number, is_elsewhere))
                playing.add(task)
                task.add_done_callback(playing.discard)
                task.add_done_callback(lambda _: free.release())
                due_s = max(due_s + count / budget.pace, time.monotonic())
                await asyncio.sleep(due_s - time.monotonic())
            if playing:
                await asyncio.wait(playing)
        finally:
            for task in beside:
                task.cancel()
            for writer, _ in self.staying:
                writer.transport.abort()

    async def _look(self) -> None:
        pid = self.target.process.pid
        while True:
            self.largest_mib = max(self.largest_mib, await asyncio.to_thread(most_mib, pid))
            self.most_open = max(self.most_open, await asyncio.to_thread(most_descriptors, pid))
            await asyncio.sleep(LOOK_S)

    async def _drip(self) -> None:
        while True:
            await asyncio.sleep(DRIP_S)
            for number, (writer, rest) in enumerate(self.staying):
                if rest and not writer.transport.is_closing():
                    writer.write(rest[:1])
                    self.staying[number] = writer, rest[1:]

    async def _played(self, scene: Scene, number: int, is_elsewhere: bool) -> None:
        address = self.target.address_of(scene.interface, number)
        trust = None if scene.is_bare else self.target.trust
        try:
            async with asyncio.timeout(CONNECT_LIMIT_S):
                reader, writer = await asyncio.open_connection(*address, ssl=trust, server_hostname=HOST if trust else None)
        except OSError:
            self.outcomes["not connected"] += not is_elsewhere
            return
        try:
            outcome = await self._played_on(scene, number, reader, writer, is_elsewhere)
        except (OSError, TimeoutError):
            outcome = "broken off"
        if scene.end not in ("stay", "drip"):
            writer.transport.abort()
        if not is_elsewhere:
            self.outcomes[outcome] += 1

    async def _played_on(
        self, scene: Scene, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, is_elsewhere: bool
    ) -> str:
        """What came of the scene, in a word."""
        at_once, rest = (scene.parts[:-1], scene.parts[-1]) if scene.end == "drip" else (scene.parts, b"")
        async with asyncio.timeout(SENT_LIMIT_S + scene.pause_s * len(scene.parts)):
            for part in at_once:
                writer.write(part)
                await writer.drain()
                await asyncio.sleep(scene.pause_s)
        if scene.end in ("stay", "drip"):
            self.staying.append((writer, rest))
            if len(self.staying) > self.most_staying:
                self.staying.popleft()[0].transport.abort()
            return "left open"
        if scene.end == "reset":
            return "reset"
        if scene.end == "half":
            end_sending(writer)
        if scene.end == "break":
            os.write(_beneath(writer).fileno(), b"no record of TLS")
        return await self._answers(scene, number, reader, is_elsewhere)

    async def _answers(self, scene: Scene, number: int, reader: asyncio.StreamReader, is_elsewhere: bool) -> str:
        if scene.interface == "zatt" or scene.is_bare:
            async with asyncio.timeout(QUIET_S):
                return "answered" if await reader.read(1) else "closed"
        outcome = "closed"
        answers = AnswerReader(reader, QUIET_S, scene.may_ask_for_no_body)
        for _ in range(max(1, scene.requests)):
            try:
                answer = await answers.read()
            except EOFError:
                return outcome
            except TimeoutError:
                return "waited for" if outcome == "closed" else outcome
            except NoAnswer as problem:
                self._note(f"{scene.interface}: no HTTP: {problem}", number, is_elsewhere)
                return "no HTTP"
            outcome = f"{answer.status // 100}xx"
            if answer.status >= 500:
                outcome = str(answer.status)
                is_declared = answer.status in DECLARED[scene.interface] and (
                    scene.interface != "gateway" or answer.content_type == PROBLEM
                )
                if not is_declared:
                    self._note(f"{scene.interface}: answered {answer.status}", number, is_elsewhere)
        return outcome

    def _note(self, what: str, number: int, is_elsewhere: bool) -> None:
        if not is_elsewhere:
            self.odd.setdefault(what, []).append(number)


def end_sending(writer: asyncio.StreamWriter) -> None:
    """Nothing more comes on this connection; one with TLS has no word for that, so the one below it ends there."""
    if writer.can_write_eof():
        writer.write_eof()
    else:
        _beneath(writer).shutdown(socket.SHUT_WR)


def _beneath(writer: asyncio.StreamWriter) -> Any:
    """The socket below TLS. Raises OSError where the connection has ended."""
    found = writer.get_extra_info("socket")
    if found is None:
        raise ConnectionResetError
    return found


def attack_services(tally: FuzzTally, seed: int, budget: Budget) -> None:
    """Attack one service after the other: each is to stay as it is, and to tell the honest caller the truth.

    Those of odd seeds have a token, and of four that follow each other the last two speak TLS. Where turns are taken all have a token, and
    attackers another one: what the chain does for who may ask is not what being refused costs the others.
    """
    demand("service")
    for number in itertools.count(seed):
        if not budget.is_left(tally.messages):
            return
        with tempfile.TemporaryDirectory() as folder:
            has_token = budget.compares or bool(number % 2)
            target = CallerTarget(Path(folder), has_token, has_tls=number % 4 >= 2, is_refusing=budget.compares)
            try:
                target.await_ready()
                with discarding(__name__, budget.compares, *map(str, target.certificate)) as elsewhere:
                    _attack(target, tally, number, budget, elsewhere)
            except NotReady as problem:
                tally.findings.append(f"seed {number}: {problem}")
                return
            finally:
                status = target.end()
            if status != 0:
                tally.findings.append(f"seed {number}: the service was asked to end, status {status}")


def _attack(target: CallerTarget, tally: FuzzTally, seed: int, budget: Budget, elsewhere: tuple[str, int] | None) -> None:
    pid, began_s = target.process.pid, time.monotonic()
    family, configuration = {each.pid for each in family_of(pid)}, target.configuration()
    target.honest.start()
    first_mib, first_open = most_mib(pid), most_descriptors(pid)
    attack = CallersAttack(target, seed, 0, largest_mib=first_mib, most_open=first_open)
    turns = Turns(target, elsewhere) if elsewhere else None
    try:
        of_one = min(MOST_OF_ONE, max(LEAST_OF_ONE, -(-budget.messages // KINDS)))
        asyncio.run(attack.run(min(of_one, budget.messages - tally.messages), budget, turns))
    finally:
        target.elsewhere = None
        target.honest.is_over = True
        target.honest.join(2 * CALL_LIMIT_S)
    took_s = time.monotonic() - began_s
    tally.messages += attack.sent
    tally.outcomes.update(attack.outcomes)
    taken = turns.taken if turns else {True: [], False: []}
    spare = AT_ONCE + attack.most_staying + FEW_OPEN  # the attackers' own connections, which all may be to one gateway
    spare_mib = BODIES_MIB + SPARE_MIB + (0 if target.trust is None else TLS_MIB)
    measured = FuzzMeasurement(
        tuple(taken[True]), tuple(taken[False]), first_mib, attack.largest_mib, first_open, attack.most_open, spare, spare_mib
    )
    tally.measured.append(measured)
    tally.findings += [f"seed {seed}: {each}" for each in kept_open(lambda: most_descriptors(pid), first_open)]
    _judge(attack, tally, family, configuration, took_s)


def kept_open(descriptors: Callable[[], int], first: int) -> list[str]:
    """What the service still has open although its attackers have gone; nothing where it soon has no more than before."""
    deadline_s = time.monotonic() + CLOSED_LIMIT_S
    while (open_now := descriptors()) > first + FEW_OPEN:
        if time.monotonic() > deadline_s:
            return [f"{open_now} descriptors {CLOSED_LIMIT_S:g} s behind the attack, {first} before"]
        time.sleep(LOOK_S)
    return []


def _judge(attack: CallersAttack, tally: FuzzTally, family: set[int], configuration: int, took_s: float) -> None:
    target, honest, seed = attack.target, attack.target.honest, attack.seed
    ended = family - {each.pid for each in family_of(target.process.pid)}
    replaced = target.configuration() - configuration
    output = target.output()
    statuses = ", ".join(f"{status} {count:,}" for status, count in sorted(honest.statuses.items()))
    tally.notes.append(
        f"seed {seed}: {attack.sent:,} requests{' with TLS' if target.trust else ''} in {took_s:.0f} s, {len(ended)} processes ended, {replaced} reconfigurations; "
        f"the honest caller was answered {statuses}: {'NOT as told' if honest.problems else 'all as told'}; {len(output):,} bytes of output"
    )
    tally.findings += [f"seed {seed}: the honest caller: {problem}" for problem in honest.problems[:5]]
    tally.findings += [
        f"seed {seed}: {what}, {len(numbers)} times, by scenes {', '.join(map(str, numbers[:5]))}"
        for what, numbers in sorted(attack.odd.items())
    ]
    if target.call("GET", "/readyz")[0] != 200:
        tally.findings.append(f"seed {seed}: the service is not ready behind the attack")
    if ended and not replaced:  # replicas that are replaced end
        tally.findings.append(f"seed {seed}: {len(ended)} processes have ended")
    if output and not honest.problems and not tracebacks_in(output):
        tally.findings.append(f"seed {seed}: callers make it print: {output[:200]!r}")
    tally.findings += [f"seed {seed}: {count} tracebacks at {where}" for where, count in tracebacks_in(output).most_common()]


def tracebacks_in(output: str) -> Counter[str]:
    """The tracebacks by the last place in our code that they name, and by the kind of error."""
    found: Counter[str] = Counter()
    for told in output.split("Traceback (most recent call last)")[1:]:
        lines = told.splitlines()
        places = [line.strip() for line in lines if str(SOURCES) in line]
        error = next((line for line in lines[1:] if line and not line[0].isspace()), "")
        found[f"{places[-1] if places else 'no place of ours'}: {error.partition(':')[0]:.80}"] += 1
    return found


# -- elsewhere


class _Refusing(asyncio.Protocol):
    """Answers 400 to whatever comes, once, and takes the rest."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._has_answered = False

    def data_received(self, _data: bytes) -> None:
        if not self._has_answered and isinstance(self._transport, asyncio.WriteTransport):
            self._has_answered = True
            self._transport.write(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")


def discard(*certificate: str) -> None:
    """Say at which port we listen, and answer and discard what comes, until nobody wants it any more; with TLS where files for it are named."""
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH) if certificate else None
    if tls is not None:
        tls.load_cert_chain(*certificate)

    async def serve() -> None:
        server = await asyncio.get_running_loop().create_server(_Refusing, HOST, 0, ssl=tls)
        print(server.sockets[0].getsockname()[1], flush=True)
        await asyncio.to_thread(sys.stdin.read)
        os._exit(0)

    asyncio.run(serve())

"""The service under HTTP load, beside the bare HTTP server, PySyncObj behind the same one, and etcd's JSON gateway: three nodes each.

`wrk` asks, over so many connections: for PUT and GET of values of 100 bytes under 1,000 keys. All in turn, so that what the machine
does meanwhile befalls them alike.
"""

import base64
import contextlib
import http.client
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import psutil
from rich.table import Table

from bcr_bench.studies.budget import with_section
from bcr_run.extras import NotSetUp, demand
from bcr_run.output import Terminal, complain

KEYS = 1_000
FILLERS = 16  # connections by which the keys get there before the load
VALUE = "v" * 98  # 100 bytes as JSON
START_LIMIT_S = 60.0
END_LIMIT_S = 40.0
SERVICE, DURABLE, BARE, PYSYNCOBJ, ETCD = (
    "the service, in memory",
    "the service, on disk",
    "the bare HTTP server",
    "PySyncObj, in memory",
    "etcd, on disk",
)
FILE = "t = 1\ngateway[0] = 127.0.0.1:{port}\ndurable = {durable}\n"
CALLS = ("PUT", "GET")
HEADINGS = ["", "call", "calls a second", "ratio", "p99 ms", "CPU us a call", "ratio", "failed", "runs"]
MOST_FAILED = 0.01  # of a run's calls, if it is to count: a leader that changes fails what is outstanding, a call of each connection
SERVICE_HEADING = "## The service over HTTP"
TEXT = """`wrk` asks over {connections} connections for values of 100 bytes under 1,000 keys; three replicas or servers each, everything on one machine.
Ratios are to the service in memory. CPU is that of all the servers' processes, and says more than the rate on a machine that has other work. The bare HTTP server
answers at once and keeps nothing. PySyncObj tolerates crashes only, keeps nothing on disk, and reads what its leader has, which may be old; etcd tolerates crashes
only, and its reads are linearizable, as all of the service's are. In the service's a replica may lie, and every answer can be proved.
A call counts when it is answered with 2xx, and a run when at most one in a hundred of its calls was not; `failed` are the others, broken connections and calls
that took more than 20 s."""


class Rate(msgspec.Struct, frozen=True):
    """What wrk saw of one kind of call: 2xx a second, the 99th percentile in ms, answers that were not 2xx; and the CPU of the servers, us a 2xx.

    `errors` are connections that were refused or broke, and answers that did not come in time. `problem` says why it does not count.
    """

    calls_s: float
    p99_ms: float
    failed: int
    cpu_us: float
    errors: int = 0
    problem: str = ""


class Running(msgspec.Struct, frozen=True):
    """What answers at a port of this machine, the commands that make it up, and whether it speaks as etcd does."""

    port: int
    processes: tuple["subprocess.Popen[bytes]", ...]
    is_etcd: bool = False

    def cpu_s(self) -> float:
        """CPU seconds of all their processes so far."""
        total = 0.0
        for each in self.processes:
            family = [psutil.Process(each.pid), *psutil.Process(each.pid).children(recursive=True)]
            for process in family:
                with contextlib.suppress(psutil.NoSuchProcess):
                    times = process.cpu_times()
                    total += times.user + times.system
        return total


def measure_service(connections: int, seconds: int, times: int, page: Path | None = None) -> int:
    """`bcr bench service`: print the calls a second of each, their 99th percentile, and the ratios; 1 where one has no run that counts.

    2 where there is no wrk. Where `page` is given, docs/performance.md, its section is renewed, unless one has no run that counts.
    """
    try:
        demand("service")
    except NotSetUp as problem:
        complain(f"bcr bench service: {problem}")
        return 2
    if shutil.which("wrk") is None:
        complain("bcr bench service: there is no wrk, which makes the load (on Debian: apt install wrk)")
        return 2
    starts: dict[str, Callable[[Path], contextlib.AbstractContextManager[Running]]] = {
        SERVICE: lambda folder: _service(folder, "off"), DURABLE: lambda folder: _service(folder, "on"), BARE: _bare, PYSYNCOBJ: _pysyncobj,
    }  # fmt: skip
    if shutil.which("etcd") is None:
        complain("bcr bench service: there is no etcd, and it goes without (on Debian: apt install etcd-server)")
    else:
        starts[ETCD] = _etcd
    found: dict[tuple[str, str], list[Rate]] = {(name, call): [] for call in CALLS for name in starts}
    for repetition in range(times):
        for name, start in starts.items():
            for call, rate in _run(start, connections, seconds).items():
                found[name, call].append(rate)
                said = rate.problem or f"{rate.calls_s:,.0f} a second"
                print(f"run {repetition + 1}: {name}: {call}: {said}", file=sys.stderr, flush=True)
    rows = list(_rows(found))
    table = Table(title=f"values of 100 bytes, {connections} connections, one gateway; ratios to {SERVICE}", title_justify="left")
    for heading in HEADINGS:
        table.add_column(heading, justify="left" if heading in ("", "call") else "right")
    for row in rows:
        table.add_row(*row)
    Terminal().print(table)
    bad = {what: runs for what, runs in found.items() if not _good(runs)}
    for (name, call), runs in bad.items():
        complain(f"bcr bench service: {name}: {call}: no run counts: {runs[0].problem}")
    if page is not None and not bad:
        page.write_text(with_section(page.read_text(encoding="utf-8"), section_of(rows, connections, times)), encoding="utf-8")
    return 1 if bad else 0


def _run(start: Callable[[Path], contextlib.AbstractContextManager[Running]], connections: int, seconds: int) -> dict[str, Rate]:
    """Each kind of call on servers of their own; a problem where they do not answer, or wrk gives no account of it."""
    done: dict[str, Rate] = {}
    problem = ""
    try:
        with tempfile.TemporaryDirectory(prefix="bcr-bench-") as folder, start(Path(folder)) as running:
            _fill(running)
            for call in CALLS:
                done[call] = _load(running, call, connections, seconds, Path(folder))
    except (RuntimeError, ValueError, subprocess.SubprocessError, psutil.Error) as error:
        problem = str(error)
    return {call: done.get(call) or Rate(0.0, 0.0, 0, 0.0, problem=problem) for call in CALLS}


def section_of(rows: Sequence[Sequence[str]], connections: int, times: int) -> str:
    """The section of docs/performance.md."""
    lines = [" | ".join(each) for each in (HEADINGS, ["---", "---", *["---:"] * (len(HEADINGS) - 2)], *rows)]
    load = os.getloadavg()[0]
    return (
        f"{SERVICE_HEADING}\n\nMeasured {datetime.now(UTC):%Y-%m-%d %H:%M} UTC by `./bcr bench service --docs`, {times} runs of each in turn, with a load average of {load:.0f} at the end. {TEXT.format(connections=connections)}\n\n"
        + "\n".join(f"| {line} |" for line in lines)
        + "\n"
    )


def _rows(found: Mapping[tuple[str, str], Sequence[Rate]]) -> Iterator[list[str]]:
    for (name, call), runs in found.items():
        good, own = _good(runs), _good(found[SERVICE, call])
        told = [f"{sum(run.failed + run.errors for run in runs)}", f"{len(good)} of {len(runs)}"]
        if not good:
            yield [name, call, *["-"] * 5, *told]
            continue
        rate, cpu = (_median(good, lambda run: run.calls_s), _median(good, lambda run: run.cpu_us))
        ratios = ["", ""]
        if own:
            ratios = [f"{rate / _median(own, lambda run: run.calls_s):.2f}", f"{cpu / _median(own, lambda run: run.cpu_us):.2f}"]
        yield [name, call, f"{rate:,.0f}", ratios[0], f"{_median(good, lambda run: run.p99_ms):.1f}", f"{cpu:,.0f}", ratios[1], *told]


def _good(runs: Sequence[Rate]) -> list[Rate]:
    return [run for run in runs if not run.problem]


def _median(runs: Sequence[Rate], of: Callable[[Rate], float]) -> float:
    return statistics.median(map(of, runs))


# -- the load


def _fill(running: Running) -> None:
    """Put every key once, so that what is asked for is there however few calls a load has; where that fails, its calls will."""
    with ThreadPoolExecutor(FILLERS) as pool:
        list(pool.map(lambda first: _put(running, range(first, KEYS, FILLERS)), range(FILLERS)))


def _put(running: Running, numbers: Iterable[int]) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=START_LIMIT_S)
    value = f'"{VALUE}"'
    with contextlib.suppress(OSError, http.client.HTTPException), contextlib.closing(connection):
        for number in numbers:
            method, path, body = "PUT", f"/keys/k{number}", value
            if running.is_etcd:
                method, path, body = "POST", "/v3/kv/put", f'{{"key": "{_base64(f"k{number}")}", "value": "{_base64(value)}"}}'
            connection.request(method, path, body, {"content-type": "application/json"})
            connection.getresponse().read()


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _load(running: Running, call: str, connections: int, seconds: int, folder: Path) -> Rate:
    script = folder / f"{call}.lua"
    script.write_text(etcd_script(call) if running.is_etcd else script_for(call))
    command = [
        "wrk",
        "-t1",
        f"-c{connections}",
        f"-d{seconds}s",
        "--timeout",
        "20s",
        "--latency",
        "-s",
        str(script),
        f"http://127.0.0.1:{running.port}",
    ]
    before_s = running.cpu_s()
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + START_LIMIT_S, check=True)
    return rate_in(done.stdout, running.cpu_s() - before_s)


def script_for(call: str) -> str:
    """What wrk asks of a server with /keys/…."""
    body = f"wrk.body = '\"{VALUE}\"'\n" if call == "PUT" else ""
    return f"""wrk.method = "{call}"
{body}wrk.headers["content-type"] = "application/json"
local n = 0
request = function() n = n + 1; return wrk.format(nil, "/keys/k" .. n % {KEYS}) end
"""


def etcd_script(call: str) -> str:
    """The same of etcd's gateway, whose keys and values are in base64. Its reads are linearizable, as the service's."""
    encoded = [_base64(f"k{number}") for number in range(KEYS)]
    keys = ", ".join(f'"{each}"' for each in encoded)
    value = _base64(f'"{VALUE}"')
    path = "put" if call == "PUT" else "range"
    rest = f', "value": "{value}"' if call == "PUT" else ""
    return f"""local keys = {{{keys}}}
local n = 0
request = function()
  n = n + 1
  return wrk.format("POST", "/v3/kv/{path}", nil, '{{"key": "' .. keys[n % {KEYS} + 1] .. '"{rest}}}')
end
"""


def rate_in(output: str, cpu_s: float) -> Rate:
    """What wrk printed, with the CPU seconds that the servers took meanwhile. Raises ValueError where it is no account of wrk's."""
    calls = re.search(r"(\d+) requests in", output)
    a_second = re.search(r"Requests/sec:\s+([\d.]+)", output)
    p99 = re.search(r"99%\s+([\d.]+)(us|ms|s|m)\b", output)
    if calls is None or a_second is None or p99 is None:
        raise ValueError(f"no account of wrk's: {output[:200]!r}")
    not_2xx = re.search(r"Non-2xx or 3xx responses: (\d+)", output)
    broken = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", output)
    scale = {"us": 0.001, "ms": 1.0, "s": 1_000.0, "m": 60_000.0}[p99[2]]
    total, failed, errors = int(calls[1]), int(not_2xx[1]) if not_2xx else 0, sum(map(int, broken.groups())) if broken else 0
    good = total - failed
    problem = ""
    if good == 0 or failed + errors > MOST_FAILED * (total + errors):
        problem = f"{failed:,} of {total:,} answers were not 2xx, and {errors:,} socket errors"
    cpu_us = cpu_s / max(1, good) * 1e6
    return Rate(float(a_second[1]) * good / max(1, total), float(p99[1]) * scale, failed, cpu_us, errors, problem)


# -- what is measured


def _service(folder: Path, durable: str) -> contextlib.AbstractContextManager[Running]:
    [port] = _free_ports(1)
    file = folder / "service.config"
    file.write_text(FILE.format(port=port, durable=durable))
    command = [sys.executable, "-P", "-m", "bcr_tools.cli", "serve", str(file), "--log-folder", str(folder / "logs")]
    return _started(folder, port, [command + (["--data", str(folder / "data")] if durable == "on" else [])])


def _bare(folder: Path) -> contextlib.AbstractContextManager[Running]:
    [port] = _free_ports(1)
    return _started(folder, port, [[sys.executable, "-P", "-m", "bcr_bench.baselines.http_peers", "bare", str(port)]])


@contextlib.contextmanager
def _pysyncobj(folder: Path) -> Iterator[Running]:
    """Three servers; the leader is asked, which spares its callers a hop."""
    ports = _free_ports(6)
    addresses = [f"127.0.0.1:{port}" for port in ports[:3]]
    commands = [
        [
            sys.executable,
            "-P",
            "-m",
            "bcr_bench.baselines.http_peers",
            "pysyncobj",
            str(ports[3 + i]),
            addresses[i],
            *addresses[:i],
            *addresses[i + 1 :],
        ]
        for i in range(3)
    ]
    with _started(folder, None, commands) as running:
        yield msgspec.structs.replace(running, port=_first_ready(ports[3:], running.processes))


@contextlib.contextmanager
def _etcd(folder: Path) -> Iterator[Running]:
    ports = _free_ports(6)
    peers = ",".join(f"n{i}=http://127.0.0.1:{ports[i]}" for i in range(3))
    commands = [
        ["etcd", "--name", f"n{i}", "--data-dir", str(folder / f"n{i}"), "--log-level", "error", "--initial-cluster", peers,
         "--listen-peer-urls", f"http://127.0.0.1:{ports[i]}", "--initial-advertise-peer-urls", f"http://127.0.0.1:{ports[i]}",
         "--listen-client-urls", f"http://127.0.0.1:{ports[3 + i]}", "--advertise-client-urls", f"http://127.0.0.1:{ports[3 + i]}"]
        for i in range(3)
    ]  # fmt: skip
    with _started(folder, None, commands) as running:
        _first_ready(ports[3:4], running.processes, "/health")
        yield msgspec.structs.replace(running, port=ports[3], is_etcd=True)


@contextlib.contextmanager
def _started(folder: Path, port: int | None, commands: Sequence[Sequence[str]]) -> Iterator[Running]:
    """The commands, until the block is left; at `port`, if one is given, they are ready."""
    processes: list[subprocess.Popen[bytes]] = []
    try:
        with open(folder / "output", "wb") as output:
            for command in commands:
                processes.append(subprocess.Popen(command, cwd=folder, stdout=output, stderr=output, stdin=subprocess.DEVNULL))
        if port is not None:
            _first_ready([port], processes)
        yield Running(port or 0, tuple(processes))
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(END_LIMIT_S)
            process.kill()
            process.wait()


def _first_ready(ports: Sequence[int], processes: Sequence["subprocess.Popen[bytes]"], path: str = "/readyz") -> int:
    """The first of the ports that says it is ready. Raises RuntimeError where none does, or a process has ended."""
    deadline_s = time.monotonic() + START_LIMIT_S
    while time.monotonic() < deadline_s and all(process.poll() is None for process in processes):
        for port in ports:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
            with contextlib.suppress(OSError, http.client.HTTPException), contextlib.closing(connection):
                connection.request("GET", path)
                if connection.getresponse().status == 200:
                    return port
        time.sleep(0.1)
    raise RuntimeError(f"{processes[0].args!r:.200} did not get ready")


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports

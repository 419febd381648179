"""PySyncObj under the same load: `python -m bcr_bench.baselines.pysyncobj_peer LOAD RESULT MODE T`, both files JSON.

2T+1 servers, a process each, replicate a dictionary over loopback and tolerate the crash of T of them. MODE says
where the clients are. `nodes`: each is a process and a node without a vote, as the package has it for processes that
only use the cluster. `leader`: they are callbacks in the leader's own process, without any message of their own, which
no client could outdo. Reads go through the log as writes do, since they are to be linearizable.
"""

import multiprocessing
import socket
import sys
import time
from collections.abc import Callable
from math import inf
from multiprocessing.connection import Connection, wait
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

import msgspec
import psutil
from pysyncobj import SyncObj, SyncObjConf, replicated

from bcr.objects.dictionary import apply
from bcr.objects.operation import Operation
from bcr_bench.baselines.load import Load, Pacer
from bcr_bench.baselines.unreplicated import LoadReport, measured
from bcr_bench.plans.measured import Measured

# How long entries wait for others to be sent with them. The package's 100 ms would be most of the latency; of 0.2 to 2 ms
# this was the fastest with few commands outstanding, and with many in the leader, and so was it against no batches.
APPEND_S = 0.0002
TICK_S = 0.0002
START_LIMIT_S = 30.0
END_LIMIT_S = 5.0


class PySyncObjDictionary(SyncObj):  # type: ignore[misc]
    """The object of the service, replicated by PySyncObj."""

    def __init__(self, own: str | None, others: list[str]) -> None:
        self.dictionary: dict[str, str] = {}
        configuration = SyncObjConf(
            autoTick=False,
            appendEntriesUseBatch=True,
            appendEntriesPeriod=APPEND_S,
            raftMinTimeout=2.0,
            raftMaxTimeout=3.0,
            connectionTimeout=30.0,
            connectionRetryTime=0.2,
            commandsQueueSize=1_000_000,
        )
        super().__init__(own, others, configuration)

    @replicated  # type: ignore[untyped-decorator]
    def execute(self, operations: list[tuple[str, str, str]]) -> list[str]:
        return [apply(self.dictionary, Operation(*each)) for each in operations]


def _drive(node: PySyncObjDictionary, pacers: list[Pacer]) -> tuple[int, int]:
    """Send all the requests of the clients and tick until they are answered; when the first was sent and the last answered."""
    began_ns = last_ns = time.monotonic_ns()

    def send(pacer: Pacer) -> None:
        while (taken := pacer.take(time.monotonic_ns())) is not None:
            number, operations = taken
            plain = [(each.name, each.key, each.argument) for each in operations]

            def answered(results: Any, error: int, number: int = number) -> None:
                nonlocal last_ns
                if error:
                    raise RuntimeError(f"PySyncObj failed a command with error {error}")
                last_ns = time.monotonic_ns()
                pacer.answered(number, len(results), last_ns)
                send(pacer)

            node.execute(plain, callback=answered)

    for pacer in pacers:
        pacer.start(began_ns)
        send(pacer)
    if not any(pacer.is_at_a_rate() for pacer in pacers):
        # Each answer sends the next: it would be unfair to ask a thousand at each tick whether they have something to send.
        left = [pacer for pacer in pacers if not pacer.is_finished()]
        while left:
            node.doTick(TICK_S)
            if left[-1].is_finished():
                left = [pacer for pacer in left if not pacer.is_finished()]
        return began_ns, last_ns
    while not all(pacer.is_finished() for pacer in pacers):
        for pacer in pacers:
            send(pacer)
        due_ns = min((pacer.due_ns() for pacer in pacers), default=inf)
        node.doTick(min(TICK_S, max(0.0, (due_ns - time.monotonic_ns()) / 1e9)))
    return began_ns, last_ns


def _tick_until(node: PySyncObjDictionary, event: Event) -> None:
    while not event.is_set():
        node.doTick(TICK_S)


def _server(index: int, addresses: list[str], pipe: Connection, load: Load | None, go: Event, stop: Event) -> None:
    """One server; the leader carries the load, if there is one."""
    node = PySyncObjDictionary(addresses[index], addresses[:index] + addresses[index + 1 :])
    while not (node.isReady() and all(node.isNodeConnected(each) for each in node.otherNodes)):
        node.doTick(TICK_S)
    pipe.send("ready")
    _tick_until(node, go)
    if load is not None and node._isLeader():
        pipe.send(_account(node, "clients", [Pacer(load, client) for client in range(load.num_client)]))
    _tick_until(node, stop)


def _client(client: int, addresses: list[str], pipe: Connection, load: Load, go: Event, stop: Event) -> None:
    node = PySyncObjDictionary(None, addresses)
    while not (node.isReady() and node._getLeader() is not None):
        node.doTick(TICK_S)
    pipe.send("ready")
    _tick_until(node, go)
    pipe.send(_account(node, f"client_{client}", [Pacer(load, client)]))
    _tick_until(node, stop)


def _account(node: PySyncObjDictionary, name: str, pacers: list[Pacer]) -> LoadReport:
    began_ns, last_ns = _drive(node, pacers)
    latencies = tuple(latency for pacer in pacers for latency in pacer.latencies_ns)
    return LoadReport(name, latencies, sum(pacer.operations for pacer in pacers), began_ns, last_ns, ())


def _free_addresses(count: int) -> list[str]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    addresses = [f"127.0.0.1:{each.getsockname()[1]}" for each in sockets]
    for each in sockets:
        each.close()
    return addresses


class _Cluster:
    """The processes of one run, with a pipe from each."""

    def __init__(self) -> None:
        self._context = multiprocessing.get_context("fork")
        self.go, self.stop = self._context.Event(), self._context.Event()
        self.pipes: dict[str, Connection] = {}
        self.processes: dict[str, Any] = {}
        self._ready_peers: set[str] = set()

    def start(self, name: str, target: Callable[..., None], *arguments: Any) -> None:
        ours, theirs = self._context.Pipe()
        index, addresses, load = arguments
        process = self._context.Process(target=target, args=(index, addresses, theirs, load, self.go, self.stop), daemon=True)
        process.start()
        self.processes[name], self.pipes[name] = process, ours

    def await_ready(self) -> None:
        """Raises RuntimeError where one does not get ready. Each says so once."""
        for name, pipe in self.pipes.items():
            if name not in self._ready_peers:
                if not pipe.poll(START_LIMIT_S):
                    raise RuntimeError(f"PySyncObj: {name} was not ready within {START_LIMIT_S:g} s")
                pipe.recv()
                self._ready_peers.add(name)

    def accounts(self, count: int) -> list[LoadReport]:
        """Raises RuntimeError where one has ended, whose account would be waited for until the time limit."""
        found: list[LoadReport] = []
        ends = {process.sentinel: name for name, process in self.processes.items()}
        while len(found) < count:
            for ready in wait([*self.pipes.values(), *ends]):
                if not isinstance(ready, Connection):
                    assert isinstance(ready, int)
                    raise RuntimeError(f"PySyncObj: {ends[ready]} has ended before its work was done")
                found.append(ready.recv())
        return found

    def cpu_s(self) -> dict[str, float]:
        """CPU seconds of each process so far."""
        times = {name: psutil.Process(process.pid).cpu_times() for name, process in self.processes.items()}
        return {name: float(each.user + each.system) for name, each in times.items()}

    def end(self) -> None:
        self.stop.set()
        for process in self.processes.values():
            process.join(END_LIMIT_S)
            if process.is_alive():
                process.kill()


def run(load: Load, mode: str, t: int) -> Measured:
    """The figures of one run. Raises RuntimeError where the cluster does not come about."""
    cluster = _Cluster()
    servers = 2 * t + 1
    addresses = _free_addresses(servers)
    for index in range(servers):
        cluster.start(f"server_{index}", _server, index, addresses, load if mode == "leader" else None)
    cluster.await_ready()
    if mode == "nodes":
        for client in range(load.num_client):
            cluster.start(f"client_{client}", _client, client, addresses, load)
        cluster.await_ready()
    before = cluster.cpu_s()
    cluster.go.set()
    accounts = cluster.accounts(load.num_client if mode == "nodes" else 1)
    after = cluster.cpu_s()
    cluster.end()
    found = measured(load, accounts)
    cpu_us = {name: (after[name] - before[name]) / max(1, found.operations) * 1e6 for name in before}
    return found if found.problem else msgspec.structs.replace(found, cpu_us=cpu_us)


def main(arguments: list[str]) -> None:
    load_file, result_file, mode, t = arguments
    load = msgspec.json.decode(Path(load_file).read_bytes(), type=Load)
    Path(result_file).write_bytes(msgspec.json.encode(run(load, mode, int(t))))


if __name__ == "__main__":
    main(sys.argv[1:])

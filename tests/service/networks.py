"""Hosts on one machine: network namespaces at one switch, each with an address, and whose cables can be pulled."""

import concurrent.futures
import contextlib
import ctypes
import os
import socket
import subprocess
import threading

import pytest

CLONE_NEWNET = 0x40000000
ETH_P_ALL = 3
SO_RCVBUFFORCE = 33
IPV4 = b"\x08\x00"


def ip(*words):
    """`ip` with these words; raises CalledProcessError."""
    subprocess.run(["ip", *map(str, words)], check=True, capture_output=True, text=True)


class Network:
    """Hosts with these addresses, of one network of 256, by number."""

    def __init__(self, addresses):
        self.addresses = addresses
        self._names = [f"bcr{os.getpid()}h{number}" for number in range(len(addresses))]
        self._switch = f"bcr{os.getpid()}s"
        self._made = []

    def make(self):
        for name in (self._switch, *self._names):
            ip("netns", "add", name)
            self._made.append(name)
            ip("-n", name, "link", "set", "lo", "up")
        ip("-n", self._switch, "link", "add", "bridge", "type", "bridge")
        ip("-n", self._switch, "link", "set", "bridge", "up")
        for number, (name, address) in enumerate(zip(self._names, self.addresses, strict=True)):
            ip("link", "add", "eth0", "netns", name, "type", "veth", "peer", "name", f"port{number}", "netns", self._switch)
            ip("-n", self._switch, "link", "set", f"port{number}", "master", "bridge", "up")
            ip("-n", name, "address", "add", f"{address}/24", "dev", "eth0")
            ip("-n", name, "link", "set", "eth0", "up")

    def remove(self):
        for name in self._made:
            ip("netns", "delete", name)

    def prefix(self, number):
        """The words before a command that runs on this host."""
        return ["ip", "netns", "exec", self._names[number]]

    def give_another_address(self, number, address):
        """In place of the one that the host has."""
        ip("-n", self._names[number], "address", "flush", "dev", "eth0")
        ip("-n", self._names[number], "address", "add", f"{address}/24", "dev", "eth0")

    def pull(self, number):
        """Its cable: nothing arrives, and nothing says so."""
        ip("-n", self._switch, "link", "set", f"port{number}", "down")

    def plug_in(self, number):
        ip("-n", self._switch, "link", "set", f"port{number}", "up")

    @contextlib.contextmanager
    def caller_on(self, number):
        """Calls a function as somebody on this host: `call(function, …)`."""
        with concurrent.futures.ThreadPoolExecutor(1, initializer=enter, initargs=(self._names[number],)) as pool:
            yield lambda function, *arguments: pool.submit(function, *arguments).result()

    @contextlib.contextmanager
    def listener(self):
        """What passes the switch meanwhile: a list of (source, destination, content) of TCP, each end as (address, port)."""
        with concurrent.futures.ThreadPoolExecutor(1, initializer=enter, initargs=(self._switch,)) as pool:
            ear = pool.submit(socket.socket, socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL)).result()
        heard = []

        with ear, concurrent.futures.ThreadPoolExecutor(1) as pool:
            ear.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 64 << 20)
            ear.settimeout(0.1)
            is_over = threading.Event()

            def listen():
                while True:
                    try:
                        heard.extend(of_tcp(ear.recv(1 << 17)))
                    except TimeoutError:
                        if is_over.is_set():  # and nothing that has passed is left
                            return

            listening = pool.submit(listen)
            yield heard
            is_over.set()
            listening.result()


def enter(namespace):
    """Let this thread be in the network namespace of this name from now on."""
    with open(f"/run/netns/{namespace}") as file:
        if ctypes.CDLL(None, use_errno=True).setns(file.fileno(), CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")


def of_tcp(frame):
    """What a frame of Ethernet holds of TCP over IPv4: nothing, or one (source, destination, content), where that is not empty."""
    if frame[12:14] != IPV4 or frame[23] != socket.IPPROTO_TCP:
        return
    ip_bytes, total = 4 * (frame[14] & 15), int.from_bytes(frame[16:18])
    segment = frame[14 + ip_bytes : 14 + total]
    content = segment[4 * (segment[12] >> 4) :]
    if content:
        ends = [(socket.inet_ntoa(frame[at : at + 4]), int.from_bytes(segment[port : port + 2])) for at, port in ((26, 0), (30, 2))]
        yield (*ends, content)


@contextlib.contextmanager
def network(addresses):
    """A network of hosts with these addresses; the test is skipped where it may not be made."""
    made = Network(addresses)
    try:
        try:
            made.make()
        except (OSError, subprocess.CalledProcessError) as problem:
            pytest.skip(f"network namespaces cannot be made here: {getattr(problem, 'stderr', '') or problem}")
        yield made
    finally:
        made.remove()

"""Hosts on one machine: network namespaces at one switch, each with an address, and whose cables can be pulled."""

import concurrent.futures
import contextlib
import ctypes
import os
import subprocess

import pytest

CLONE_NEWNET = 0x40000000


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

    def pull(self, number):
        """Its cable: nothing arrives, and nothing says so."""
        ip("-n", self._switch, "link", "set", f"port{number}", "down")

    def plug_in(self, number):
        ip("-n", self._switch, "link", "set", f"port{number}", "up")

    @contextlib.contextmanager
    def caller_on(self, number):
        """Calls a function as somebody on this host: `call(function, …)`."""

        def enter():
            with open(f"/run/netns/{self._names[number]}") as namespace:
                if ctypes.CDLL(None, use_errno=True).setns(namespace.fileno(), CLONE_NEWNET):
                    raise OSError(ctypes.get_errno(), "setns")

        with concurrent.futures.ThreadPoolExecutor(1, initializer=enter) as pool:
            yield lambda function, *arguments: pool.submit(function, *arguments).result()


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

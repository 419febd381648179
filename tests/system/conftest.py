"""Two hosts on one machine, for whoever may make network namespaces."""

import os
import subprocess

import pytest


def set_up(*words):
    """`ip` with these words; raises CalledProcessError."""
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True)


@pytest.fixture
def hosts():
    """Two network namespaces joined by veth: prefix and address of each."""
    names = [f"bcr{os.getpid()}{letter}" for letter in "ab"]
    addresses = ["10.99.0.1", "10.99.0.2"]
    made = []
    try:
        for name in names:
            set_up("netns", "add", name)
            made.append(name)
        set_up("link", "add", "veth0", "netns", names[0], "type", "veth", "peer", "name", "veth0", "netns", names[1])
        for name, address in zip(names, addresses, strict=True):
            set_up("-n", name, "address", "add", f"{address}/24", "dev", "veth0")
            set_up("-n", name, "link", "set", "veth0", "up")
            set_up("-n", name, "link", "set", "lo", "up")
        yield [(("ip", "netns", "exec", name), address) for name, address in zip(names, addresses, strict=True)]
    except (OSError, subprocess.CalledProcessError) as problem:
        pytest.skip(f"network namespaces cannot be made here: {getattr(problem, 'stderr', '') or problem}")
    finally:
        for name in made:
            set_up("netns", "delete", name)

"""The machine and the software that figures were measured on."""

import os
import platform
import sys

import psutil

from bcr_run.run_folder import cores, processor, versions

PACKAGES = ("byzantine-chain-replication", "pyDistAlgo", "PyNaCl", "solders", "msgspec", "pysyncobj")


LOAD = "load before"


def describe() -> dict[str, str]:
    """Name -> value, as people read it."""
    return {
        "processor": processor(),
        "cores": cores(),
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "system": f"{platform.system()} {platform.release()}, {platform.machine()}",
        LOAD: " ".join(f"{load:.2f}" for load in os.getloadavg()),
        "Python": f"{platform.python_version()} ({sys.implementation.name})",
        **versions(PACKAGES),
    }

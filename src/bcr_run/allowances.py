"""What the operating system allows, and what a run needs of it: looked at before anything is started, and said in a line.

In the middle of a run there is no good end any more where no memory, process or thread can be had.
"""

import os
import resource

import psutil

LEAST_BYTES = 224 << 20  # of address space, of each process; a small run takes some 100 MiB, and 30 more with solders
TASKS = 6  # processes and threads that each process of a run counts as, with some to spare
LEAST_PROCESSES = 7  # of a run of three replicas and a client


class TooLittle(Exception):
    """A limit that is too low; the text says what is needed, and how to raise it."""


def demand_for_runs() -> None:
    """Raises TooLittle where no run, simulated or real, would come to its end."""
    allowed = resource.getrlimit(resource.RLIMIT_AS)[0]
    if 0 <= allowed < LEAST_BYTES:
        raise TooLittle(
            f"a process of a run needs {LEAST_BYTES >> 20} MiB of address space, and {allowed >> 20} MiB are allowed: "
            f"raise it with ulimit -v {LEAST_BYTES >> 10}"
        )
    demand_processes(LEAST_PROCESSES)


def demand_processes(wanted: int) -> None:
    """Raises TooLittle where a run of so many processes could not start them all."""
    tasks = resource.getrlimit(resource.RLIMIT_NPROC)[0]
    if tasks < 0 or os.getuid() == 0:  # who is not limited
        return
    needed_tasks, running_tasks = TASKS * wanted, tasks_of(os.getuid())
    if running_tasks + needed_tasks > tasks:
        raise TooLittle(
            f"a run needs {needed_tasks} processes and threads, and of {tasks:,} that are allowed you have {running_tasks:,}: "
            f"raise it with ulimit -u {running_tasks + needed_tasks}"
        )


def tasks_of(user: int) -> int:
    """How many processes and threads a user has."""
    return sum(
        each.info["num_threads"] or 1
        for each in psutil.process_iter(["uids", "num_threads"])
        if each.info["uids"] and each.info["uids"].real == user
    )

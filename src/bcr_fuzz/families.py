"""A command that is attacked, with all processes that it has: what they hold."""

import contextlib

import psutil

MIB = 1 << 20


def family_of(pid: int) -> list[psutil.Process]:
    """The process and its descendants; none where it has ended."""
    with contextlib.suppress(psutil.Error):
        top = psutil.Process(pid)
        return [top, *top.children(recursive=True)]
    return []


def most_mib(pid: int) -> float:
    """The memory of the largest of them."""
    sizes = [0.0]
    for each in family_of(pid):
        with contextlib.suppress(psutil.Error):
            sizes.append(each.memory_info().rss / MIB)
    return max(sizes)


def most_descriptors(pid: int) -> int:
    """The descriptors of the one that has the most open."""
    counts = [0]
    for each in family_of(pid):
        with contextlib.suppress(psutil.Error):
            counts.append(each.num_fds())
    return max(counts)

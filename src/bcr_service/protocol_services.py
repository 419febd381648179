"""How each protocol of a service is kept running; what callers are told of it is in `bcr_service.protocol_views`, under the same names.

Only what a service has is loaded: no code of faults without a laboratory, and of a protocol that is not served no process.
"""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

from bcr_service.keeper import Keeping, Laboratory, ServiceLaunch
from bcr_service.server_keeping import ServerKeeping

# Protocol -> the process class that keeps it running, made from the chain's, which it is given.
KEEPERS: Mapping[str, Callable[[Any], Any]] = {
    "chain": lambda service: service,
    "raft": lambda _: import_module("RaftService").RaftService,
    "byzantine_raft": lambda _: import_module("BraftService").BraftService,
}

# Protocol -> what is known of its processes.
KEEPINGS: Mapping[str, Callable[[ServiceLaunch], Keeping]] = {
    "chain": Keeping,
    "raft": ServerKeeping,
    "byzantine_raft": ServerKeeping,
}

# Protocol -> module and class of the servers that are given faults while they serve; the chain's are made by who makes its replicas.
LABORATORY_SERVERS: Mapping[str, tuple[str, str]] = {
    "raft": ("RaftLaboratory", "LabServer"),
    "byzantine_raft": ("BraftLaboratory", "LabMember"),
}


def keeping_for(launch: ServiceLaunch) -> Keeping:
    """What is known of the processes of this service: nothing yet."""
    return KEEPINGS[launch.protocol](launch)


def laboratory(launch: ServiceLaunch, keeping: Keeping) -> Laboratory | None:
    """The laboratory, loaded only where the service was started with one."""
    if not launch.is_lab:
        return None
    from bcr_service.lab import ProcessLaboratory

    return ProcessLaboratory(keeping, launch)


def laboratory_server(launch: ServiceLaunch) -> Any:
    """The process class of servers in the laboratory."""
    module, name = LABORATORY_SERVERS[launch.protocol]
    return getattr(import_module(module), name)

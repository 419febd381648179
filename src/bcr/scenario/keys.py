"""The keys of a scenario file whose values are no plain numbers: what each is for (specification, section 9).

Numbers stand in `bcr.scenario.values`, what is expected in `bcr.scenario.expectations`, the options of the simulator in
`bcr.scenario.simulation`, and triggers and failures in `bcr.faults.vocabulary`.
"""

from collections.abc import Mapping

from bcr.scenario.diagnostics import nearest
from bcr.scenario.protocols import PROTOCOLS
from bcr.scenario.values import NUMBERS, Range
from bcr.signed.authentication import KINDS

# Key -> what may stand behind it, the default first.
CHOICES: Mapping[str, tuple[str, ...]] = {
    "protocol": tuple(PROTOCOLS),
    "allow_lies": ("no", "yes"),
    "authentication": tuple(KINDS),
    "acceptance": ("all", "quorum"),
    "durable": ("off", "on"),
    "placement": ("processes", "nodes"),
    "log_level": ("human", "quiet", "debug"),
    "time_unit": ("ms", "s"),
}
TEXTS: Mapping[str, str] = {
    "test_case_name": "what the run is called; the file's name without its ending, where it is not given",
    "protocol": "which protocol replicates: `shuttle` is Byzantine chain replication",
    "allow_lies": "whether a server of Raft may lie, against which it promises nothing",
    "object": "what is replicated: `dictionary`, `store`, or `module:Class` of your own, which stands beside this file or can be imported",
    "authentication": "what stands below every statement: a signature, a vector of codes, or a checksum against accidents",
    "acceptance": "whether a result needs the testimony of all replicas, or t+1 equal ones are enough, which can be lost",
    "durable": "whether replicas write what they order to disk before they speak of it, and survive their processes",
    "data": "a folder, beside this file if it is a relative one, in which a run leaves its disks, and goes on with those that are there",
    "placement": "whether the run makes a process for each replica and client, or takes DistAlgo nodes that the user starts",
    "log_level": "how much the logs hold",
    "time_unit": "what the numbers of all times in this file are",
    "hosts": "the hosts of nodes, by name or address, separated by `;`",
    "client_hosts": "for each client the index of its host in `hosts`",
    "replica_hosts": "for each replica the index of its host in `hosts`",
    "members": "the servers of Raft that decide at first, separated by `;`; the others follow when they are added",
    "changes": "`add(ms,i)`, `remove(ms,i)` and `transfer(ms,i)`, separated by `;`: an operator asks so long after the start that server i "
               "decides from then on, or no longer, or leads",
    "simulation": "options of `./bcr sim`, separated by `;`; a real run does not heed them",
}  # fmt: skip
INDEXED: Mapping[str, str] = {
    "workload": "`[client]`: its operations, or `pseudorandom(seed,n)`, or of a dictionary "
                "`uniform(seed,n,value_bytes,read_percent)` or `distinct(seed,n,value_bytes)`",
    "failures": "`[configuration,position]`: pairs `trigger,failure` of this replica, separated by `;`",
    "client_failures": "`[client]`: pairs `trigger,failure` of this client, which is faulty then",
    "client_arrives": "`[client]`: when this client comes, counted from when the service is there; it gets a number and a credential from Olympus then",
    "client_leaves": "`[client]`: when it goes: it sends nothing more; one that arrives after that comes back, under another key and number",
    "links": "`[a,b]`: `trigger,fail()` and `trigger,fix()` of the link from replica a to b; without an index also "
             "`trigger,partition({0,1},{2})`",
}  # fmt: skip
COUNTERS = Range(0, 0, 1, "the number that message counters start at in this file")
INDICES = Range(0, 0, 1, "the number that clients and positions of replicas start at in this file")
VALID_KEYS = [*NUMBERS, *TEXTS, *INDEXED, "counters_start_at", "indices_start_at", "expect"]
OF_SERVICES = ("gateway", "distraft", "keyvalue", "zatt", "join", "tls_certificate", "tls_key", "token_file", "cookie_file")


def why_unknown(key: str) -> str:
    """What to tell of a key that scenario files do not have."""
    hint = "it is one of service files, which ./bcr serve reads" if key.lower() in OF_SERVICES else nearest(key, VALID_KEYS)
    return f"unknown key {key} is ignored; {hint}"

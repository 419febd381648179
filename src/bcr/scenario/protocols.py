"""The protocols that a scenario may ask for, one declaration each: what follows from it a file is read and refused by.

How a protocol is started and judged is declared in `bcr_run.protocol_starts`, how it is simulated and hunted in `bcr_sim.protocol_simulations`;
both under the names that stand here.
"""

from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec

from bcr.faults.vocabulary import FAILURES, SERVER_FAILURES, TRIGGERS, FailureWord, TriggerWord
from bcr.signed.authentication import Authentication, sizes

UNTRUSTED = "Raft promises nothing where somebody lies; allow_lies = yes shows what is lost then"
NO_DISK = "there are no disks"
FORGETFUL = "Raft promises nothing where a disk gives back another thing than was written"
WORDS: Mapping[str, FailureWord] = {**FAILURES, **SERVER_FAILURES}  # of failures of replicas or servers, in any protocol
WITHOUT = "without `durable = on`"
UNSIGNED = "nothing is signed in Raft, and a majority of 2t+1 servers decides"


ProtocolName = Literal["shuttle", "raft"]


class Protocol(msgspec.Struct, frozen=True, kw_only=True):
    """A protocol, as far as a scenario file needs to know it.

    `files` hold its processes, servers and clients first. `messages` are those that servers and clients send each other, and
    `triggers` the words by which faults may count them. `proof` says what shows that a result is right. `ignored` are keys that say nothing
    to it; `refused` keys and values that it cannot have, and why. `failures` are those that it knows; `lies` those that `allow_lies` adds,
    and `why_no_lies` the reason that is given without it. `options` are refused words of `simulation`, and why;
    `options_of_disks` those that do nothing without `durable = on`. `disk_faults_refused` are faults of disks that it cannot have, and
    why; `why_no_return` says why none of its servers comes back from a crash that the file asks for, or is empty where they do.
    `is_replaced` says whether one configuration follows another; `without` names commands, or options of them, that have nothing
    to say of it, and why.
    """

    name: ProtocolName
    title: str
    files: Sequence[str]
    messages: Sequence[str]
    triggers: Mapping[str, TriggerWord]
    proof: str
    promise: str = ""  # what it holds with t faulty servers at the most, where that is not the authenticator's to say
    ignored: Sequence[str] = ()
    refused: Mapping[str, tuple[str, str]] = {}  # key -> the value that is possible, and why no other
    failures: Sequence[str]
    lies: Sequence[str] = ()
    why_no_lies: str = ""
    options: Mapping[str, str] = {}
    options_of_disks: Mapping[str, str] = {}
    disk_faults_refused: Mapping[str, str] = {}
    why_no_return: str = ""
    is_replaced: bool = True
    without: Mapping[str, str] = {}

    def servers(self, t: int, authentication: Authentication) -> int:
        """How many servers it takes to bear t faulty ones."""
        return sizes(t, authentication).replicas

    def why_not(self, failure: str, allows_lies: bool) -> str:
        """Why it cannot have this failure of a server, or nothing where it can."""
        if failure in self.failures or (allows_lies and failure in self.lies):
            return ""
        if failure in self.lies:
            return self.why_no_lies
        if failure in SERVER_FAILURES and self.why_no_return:
            return self.why_no_return
        word = FAILURES.get(failure)
        if word is not None and word.effect in ("lie", "state") and self.why_no_lies:
            return f"{self.why_no_lies}, and this one is a lie about what only the chain has"
        return f"protocol = {self.name} has nothing that could fail so"


RAFT_TRIGGERS: Mapping[str, TriggerWord] = {
    "client_request": TRIGGERS["client_request"],
    "request_vote": TriggerWord(("count",), "the m-th request for a vote, or for a pre-vote"),
    "vote": TriggerWord(("count",), "the m-th answer to one"),
    "append_entries": TriggerWord(("count",), "the m-th AppendEntries, heartbeats too"),
    "appended": TriggerWord(("count",), "the m-th answer to one"),
    "install_snapshot": TriggerWord(("count",), "the m-th piece of a snapshot"),
    "snapshot_installed": TriggerWord(("count",), "the m-th answer to one"),
    "first_leader": TriggerWord(
        ("count",), "the m-th answer to an AppendEntries that the run's first leader gets: at each server, but that one alone is struck"
    ),
    "after": TriggerWord(("milliseconds",), "so long after the server began", is_receipt=False),
}

SHUTTLE = Protocol(
    name="shuttle",
    title="Byzantine chain replication",
    files=("Replica.da", "Client.da", "Olympus.da"),
    messages=("client_request", "forwarded_request", "shuttle", "result_shuttle", "checkpoint", "completed_checkpoint",
              "result_message", "error", "stale"),
    triggers=TRIGGERS,
    proof="statements that the replicas signed",
    ignored=("heartbeat", "election_timeout", "allow_lies"),
    failures=tuple(FAILURES),
    why_no_return="replicas of the chain do not come back for a file: others take their place, and config/restart.config shows their restarts",
    options={
        "clock": "the chain promises nothing by its timers, and holds and pauses show it late replicas",
    },
    options_of_disks={
        "restart": f"replicas of the chain never come back {WITHOUT}: others take their place",
        "end_in_sync": f"there are no disks {WITHOUT}",
        "power_cut": f"replicas of the chain never come back {WITHOUT}",
        "disk": f"{NO_DISK} {WITHOUT}",
    },
)  # fmt: skip

RAFT = Protocol(
    name="raft",
    title="Raft",
    files=("Raft.da", "RaftClient.da"),
    messages=("client_request", "response", "redirect", "request_vote", "vote", "append_entries", "appended",
              "install_snapshot", "snapshot_installed"),
    triggers=RAFT_TRIGGERS,
    proof="the word of the leader: index and term in the log",
    promise="against crashes, restarts, and links that lose, delay, repeat and cut, and against no lie",
    ignored=("head_timeout", "nonhead_timeout", "olympus_timeout", "wedge_grace", "session_slots", "callers"),
    refused={
        "authentication": ("ed25519", UNSIGNED),
        "acceptance": ("all", UNSIGNED),
        "placement": ("processes", "the nodes of a run load the processes of the chain only"),
    },
    failures=("crash", "restart", "pause", "sleep", "drop", "delay", "duplicate", "stall", "mute_clients", "fail_link", "fix_link"),
    lies=("change_result", "truncate_history"),
    why_no_lies=UNTRUSTED,
    is_replaced=False,
    without={
        "atlas": "what it prescribes, by head, middle and tail, is of the chain; ./bcr hunt --protocol raft tries the faults of Raft",
        "storm --trials": "they expect the chain to replace whom they hit; `restart(replica_1,60)` in a file brings a server of Raft back",
        "bench prediction": "the counts of messages and signatures are those of the chain",
    },
    options=dict.fromkeys(("twins", "free", "mutate", "amnesia", "flip"), UNTRUSTED) | {"real_signatures": UNSIGNED},
    options_of_disks=dict.fromkeys(("end_in_sync", "power_cut", "disk"), f"{NO_DISK} {WITHOUT}"),
    disk_faults_refused=dict.fromkeys(("torn", "flip"), FORGETFUL),
)  # fmt: skip


PROTOCOLS: Mapping[str, Protocol] = {each.name: each for each in (SHUTTLE, RAFT)}


class NotOfProtocol(ValueError):
    """A command that has nothing to say of a protocol; the text says why."""


def demand_command(command: str, protocol: str) -> None:
    """Raises NotOfProtocol where the command, or command and option, has nothing to say of the protocol."""
    why = PROTOCOLS[protocol].without.get(command)
    if why is not None:
        raise NotOfProtocol(f"not of protocol = {protocol}: {why}")

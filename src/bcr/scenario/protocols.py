"""The protocols that a scenario may ask for, one declaration each. It says how a file is read, and what in it is refused.

`bcr_run.protocol_starts` declares how a protocol is started and judged, and `bcr_sim.protocol_simulations` how it is simulated and hunted;
both under the names that stand here.
"""

from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec

from bcr.chain.bundles import BUNDLES
from bcr.faults.vocabulary import FAILURES, LIAR_FAILURES, SERVER_FAILURES, TRIGGERS, FailureWord, TriggerWord
from bcr.signed.authentication import Authentication, sizes

UNTRUSTED = "Raft promises nothing where somebody lies; allow_lies = yes shows what is lost then"
UNCHECKED = "nothing in Raft is signed or has a checksum, so that a flipped bit may deceive whoever reads it; with allow_lies = yes corrupt() shows that"
NO_DISK = "there are no disks"
FORGETFUL = "Raft promises nothing where a disk gives back another thing than was written"
WORDS: Mapping[str, FailureWord] = {**FAILURES, **SERVER_FAILURES, **LIAR_FAILURES}  # of failures of replicas or servers, in any protocol
WITHOUT = "without `durable = on`"
UNSIGNED = "nothing is signed in Raft, and a majority of 2t+1 servers decides"


NO_OLYMPUS = "it is about Olympus and its reconfigurations, and there is neither"
NO_RESULT_SHUTTLES = "it is about shuttles that come back along the chain with statements of each replica"
# Why other protocols do not have what the chain's replicas may do.
OF_THE_CHAIN: Mapping[str, str] = {
    **dict.fromkeys(("ask", "withhold_ready", "misdirect", "extend_wedged", "lie_caught_up", "replay_catch_up", "replay_old"), NO_OLYMPUS),
    **dict.fromkeys(("drop_result_stmt", "bounce_result", "bounce_checkpoint", "no_result_shuttles"), NO_RESULT_SHUTTLES),
    "impersonate": "it sends Olympus pieces of a wedged in another's name, and there is no Olympus",
    "drop_all": "it is about requests and shuttles; who hears all and sends nothing is `stall()`, and `links[a,b]` keeps messages from one",
    "forge": "its messages are the chain's; whose word counts here signs it, or is believed by where it comes from",
    "useless_macs": "nothing here is authenticated by a vector of codes",
}


ProtocolName = Literal["shuttle", "raft", "byzantine_raft"]


class Protocol(msgspec.Struct, frozen=True, kw_only=True):
    """A protocol, as far as a scenario file needs to know it.

    `files` hold its processes, servers and clients first. `messages` are those that servers and clients send each other, and
    `triggers` the words by which faults may count them. `proof` says what shows that a result is right. `group` is what clients send to, as
    so many servers, and `needed` says by the value of `acceptance` what a result needs; `is_signed` says whether anything is. `ignored` are keys that say nothing
    to it; `keys_refused` and `refused` keys and values that it cannot have, and why. `failures` are those that it knows; `lies` those that `allow_lies` adds,
    and `why_no_lies` the reason that is given without it; `meanings` what a failure is here, where it is something else. `options` are
    refused words of `simulation`, and why;
    `options_of_disks` those that do nothing without `durable = on`. `disk_faults_refused` are faults of disks that it cannot have, and
    why; `why_no_return` says why none of its servers comes back from a crash that the file asks for, or is empty where they do.
    `unpromised` are failures with which it promises no answers, even where no more than t servers have them, and why.
    `is_replaced` says whether one configuration follows another; `without` names commands, or options of them, that have nothing
    to say of it, and why.
    """

    name: ProtocolName
    title: str
    files: Sequence[str]
    messages: Sequence[str]
    triggers: Mapping[str, TriggerWord]
    proof: str
    group: str
    needed: Mapping[str, str]
    is_signed: bool = True
    per_fault: int = 0  # servers beside one that it takes for each of t; 0: as many as the authenticator says
    promise: str = ""  # what it holds with t faulty servers at the most, where that is not the authenticator's to say
    ignored: Sequence[str] = ()
    keys_refused: Mapping[str, str] = {}  # key -> why it has none
    refused: Mapping[str, tuple[str, str]] = {}  # key -> the value that is possible, and why no other
    failures: Sequence[str]
    lies: Sequence[str] = ()
    meanings: Mapping[str, str] = {}
    why_no_lies: str = ""
    options: Mapping[str, str] = {}
    options_of_disks: Mapping[str, str] = {}
    disk_faults_refused: Mapping[str, str] = {}
    why_no_return: str = ""
    unpromised: Mapping[str, str] = {}
    is_replaced: bool = True
    without: Mapping[str, str] = {}

    def servers(self, t: int, authentication: Authentication) -> int:
        """How many servers it takes to bear t faulty ones."""
        return self.per_fault * t + 1 if self.per_fault else sizes(t, authentication).replicas

    def why_not(self, failure: str, allows_lies: bool) -> str:
        """Why it cannot have this failure of a server, or nothing where it can."""
        if failure in self.failures or (allows_lies and failure in self.lies):
            return ""
        if failure in self.lies:
            return self.why_no_lies
        if failure in SERVER_FAILURES and self.why_no_return:
            return self.why_no_return
        word = FAILURES.get(failure)
        why = OF_THE_CHAIN.get(failure, "")
        if word is not None and word.effect in ("lie", "state") and self.lies:
            return f"it is a lie about what only the chain has{': ' + why if why else ''}; of lies there are {', '.join(self.lies)}"
        return f"protocol = {self.name} has nothing that could fail so" + (f": {why}" if why else "")


RAFT_TRIGGERS: Mapping[str, TriggerWord] = {
    "client_request": TRIGGERS["client_request"],
    "request_vote": TriggerWord(("count",), "the m-th request for a vote, or for a pre-vote"),
    "vote": TriggerWord(("count",), "the m-th answer to one"),
    "append_entries": TriggerWord(("count",), "the m-th AppendEntries, heartbeats too"),
    "appended": TriggerWord(("count",), "the m-th answer to one"),
    "install_snapshot": TriggerWord(("count",), "the m-th piece of a snapshot"),
    "snapshot_installed": TriggerWord(("count",), "the m-th answer to one"),
    "timeout_now": TriggerWord(("count",), "the m-th word of a leader that this server is to lead in its place"),
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
              "result_message", "error", "stale", *BUNDLES.values()),
    triggers=TRIGGERS,
    proof="statements that the replicas signed",
    group="a chain of {} replicas",
    needed={"all": "a word of every replica", "quorum": "t+1 statements only"},
    ignored=("heartbeat", "election_timeout", "election_timeout_max", "allow_lies", "members", "changes"),
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

# What the lies that a file may allow are here, where that is not what they are to a replica of the chain.
RAFT_LIES: Mapping[str, str] = {
    "change_result": "the next answer to a client has other results",
    "equivocate": "the next entries that go to several followers have another operation for every second of them",
    "truncate_history": "the last n entries of the log are gone, from the store too, and nobody is told",
}
RAFT = Protocol(
    name="raft",
    title="Raft",
    files=("Raft.da", "RaftChanges.da", "RaftClient.da"),
    messages=("client_request", "response", "redirect", "request_vote", "vote", "append_entries", "appended",
              "install_snapshot", "snapshot_installed", "timeout_now"),
    triggers=RAFT_TRIGGERS,
    proof="the word of the leader: index and term in the log",
    group="{} servers of Raft",
    needed={"all": "the word of the leader, and nothing is signed"},
    is_signed=False,
    per_fault=2,
    promise="against crashes, restarts, and links that lose, delay, repeat and cut, and against no lie",
    ignored=("head_timeout", "nonhead_timeout", "olympus_timeout", "wedge_grace", "session_slots", "callers"),
    refused={
        "authentication": ("ed25519", UNSIGNED),
        "acceptance": ("all", UNSIGNED),
        "placement": ("processes", "the nodes of a run load the processes of the chain only"),
    },
    failures=("crash", "restart", "pause", "sleep", "drop", "delay", "duplicate", "stall", "mute_clients", "fail_link", "fix_link"),
    lies=("change_result", "equivocate", "truncate_history", "extra_op", "replay", "corrupt"),
    meanings=RAFT_LIES,
    why_no_lies=UNTRUSTED,
    unpromised={"mute_clients": "who leads and answers no client leads on, for only clients miss anything"},
    is_replaced=False,
    without={
        "storm --trials": "they expect the chain to replace whom they hit; `restart(replica_1,60)` in a file brings a server of Raft back",
        "bench prediction": "the counts of messages and signatures are those of the chain",
    },
    options=dict.fromkeys(("twins", "free", "mutate", "amnesia"), "Raft promises nothing where somebody lies, and this is made for the messages and keys of replicas that sign")
    | {"flip": UNCHECKED, "real_signatures": UNSIGNED},
    options_of_disks=dict.fromkeys(("end_in_sync", "power_cut", "disk"), f"{NO_DISK} {WITHOUT}"),
    disk_faults_refused=dict.fromkeys(("torn", "flip"), FORGETFUL),
)  # fmt: skip

# Where a message of Raft has another name, that one will do too.
BRAFT_SYNONYMS: Mapping[str, str] = {
    "append_entries": "append",
    "appended": "prepare",
    "request_vote": "start_vote",
    "install_snapshot": "state",
}
BRAFT_TRIGGERS: Mapping[str, TriggerWord] = {
    "client_request": TRIGGERS["client_request"],
    "forwarded_request": TRIGGERS["forwarded_request"],
    "append": TriggerWord(("count",), "the m-th entry that a leader sends"),
    "prepare": TriggerWord(("count",), "the m-th prepare: at the leader"),
    "prepare_certificate": TriggerWord(("count",), "the m-th prepare certificate of a leader"),
    "commit": TriggerWord(("count",), "the m-th commit of another server"),
    "start_vote": TriggerWord(("count",), "the m-th vote for a term"),
    "start_term": TriggerWord(("count",), "the m-th beginning of a term"),
    "checkpoint": TriggerWord(("count",), "the m-th signed state of another server"),
    "status": TriggerWord(("count",), "the m-th word on how far another server is"),
    "fetch": TriggerWord(("count",), "the m-th question for what is decided"),
    "state": TriggerWord(("count",), "the m-th answer to one"),
    **{name: TriggerWord(("count",), f"the same as `{known}`") for name, known in BRAFT_SYNONYMS.items()},
    "after": TriggerWord(("milliseconds",), "so long after the server began", is_receipt=False),
}
# What a failure is here, where that is not what it is to a replica of the chain.
BRAFT_FAILURES: Mapping[str, str] = {
    **dict.fromkeys(("crash", "pause", "sleep", "drop", "delay", "duplicate", "corrupt", "replay", "stall", "mute_clients", "fail_link",
                     "fix_link", "extra_op"), ""),
    "garbage": "n messages to each other server that nobody can read",
    "change_result": "the next reply to a client has other results",
    "change_operation": "the next append has get('x') in place of what a client signed",
    "forge_request": "the next append has a put that no client signed",
    "break_chain": "the next append does not follow the entry before it",
    "increment_slot": "the next append is for an index one further on",
    "invalid_order_sig": "the next append, prepare or commit has an invalid signature",
    "invalid_result_sig": "the next reply has an invalid signature",
    "equivocate": "the next message tells every second receiver something else, validly signed; a single one gets both",
    "drop_checkpt_stmts": "the next log or state that leaves has a certificate without the first t+1 signatures",
    "truncate_history": "the next vote shows nothing prepared, and no log",
    "no_checkpoints": "from now on the others' signed states are ignored",
    "answer_early": "the next n entries are answered before they are decided",
    "spin": "the leader puts the latest request into n more entries",
    "chaos": "every so often, ms to twice that, a message of a random kind to all: correct in syntax and signature, term and index near "
             "those last seen",
}  # fmt: skip
PASSED_ON = "certificates go from hand to hand, so what stands below a statement has to convince everybody"

BYZANTINE_RAFT = Protocol(
    name="byzantine_raft",
    title="Raft among liars",
    files=("Braft.da", "BraftRepair.da", "BraftClient.da"),
    messages=("client_request", "forwarded_request", "append", "prepare", "prepare_certificate", "commit", "checkpoint", "reply",
              "start_vote", "start_term", "status", "fetch", "state"),
    triggers=BRAFT_TRIGGERS,
    proof="equal statements that t+1 servers signed",
    group="{} servers of Raft among liars",
    needed={"all": "equal statements that t+1 servers signed"},
    per_fault=3,
    ignored=("head_timeout", "nonhead_timeout", "olympus_timeout", "wedge_grace", "allow_lies", "session_slots", "callers",
             "election_timeout_max"),
    keys_refused=dict.fromkeys(("members", "changes"), "the leader of a term is given by its number, and the servers stay the same"),
    refused={
        "authentication": ("ed25519", PASSED_ON),
        "acceptance": ("all", "t+1 equal results are enough here, since what a client is told is decided and cannot be lost"),
        "placement": ("processes", "the nodes of a run load the processes of the chain only"),
    },
    failures=(*BRAFT_FAILURES, *SERVER_FAILURES),
    meanings=BRAFT_FAILURES,
    is_replaced=False,
    without={
        "storm --trials": "they expect the chain to replace whom they hit; `restart(replica_1,60)` in a file brings a server back",
        "bench prediction": "the counts of messages and signatures are those of the chain",
    },
    options=dict.fromkeys(("free", "mutate", "amnesia"), "it is made for the messages and the memory of the chain's replicas"),
    options_of_disks=dict.fromkeys(("end_in_sync", "power_cut", "disk"), f"{NO_DISK} {WITHOUT}"),
    promise="whatever they do, and whatever becomes of the links",
)  # fmt: skip

PROTOCOLS: Mapping[str, Protocol] = {each.name: each for each in (SHUTTLE, RAFT, BYZANTINE_RAFT)}


class NotOfProtocol(ValueError):
    """A command that has nothing to say of a protocol; the text says why."""


def demand_command(command: str, protocol: str) -> None:
    """Raises NotOfProtocol where the command, or command and option, has nothing to say of the protocol."""
    why = PROTOCOLS[protocol].without.get(command)
    if why is not None:
        raise NotOfProtocol(f"not of protocol = {protocol}: {why}")


def member_name(protocol: str, configuration: int | None, position: int | None) -> str:
    """What a process that serves is called where a run is told of: servers of Raft are of no configuration."""
    return f"replica {position} of configuration {configuration}" if protocol == SHUTTLE.name else f"server {position}"

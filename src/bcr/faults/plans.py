"""The vocabulary of fault injection: triggers, failures, and what each is called with (specification, section 9)."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

import msgspec

ArgumentKind = Literal["client", "count", "number", "milliseconds", "group", "position", "message"]


class Word(msgspec.Struct, frozen=True):
    """A trigger or failure: the kinds of its arguments, and what it means."""

    arguments: tuple[ArgumentKind, ...]
    meaning: str


# Every message that anybody sends, by the name that it travels under: what a liar can forge, or send again.
MESSAGES: Sequence[str] = (
    "client_request", "forwarded_request", "shuttle", "result_shuttle", "checkpoint", "completed_checkpoint",
    "result_message", "voucher", "stale", "error", "wedge_request", "wedged", "catch_up", "catching_up", "caught_up",
    "get_running_state", "running_state", "inithist", "configuration", "ready", "public_key", "configuration_query",
    "reconfiguration_request", "accusation", "complaint", "control",
)  # fmt: skip

TRIGGERS: Mapping[str, Word] = {
    "client_request": Word(("client", "count"), "the m-th request that comes directly from client c"),
    "forwarded_request": Word(("client", "count"), "the m-th forwarded request of client c"),
    "shuttle": Word(("client", "count"), "the m-th shuttle with a request of client c"),
    "result_shuttle": Word(("client", "count"), "the m-th result shuttle with a request of client c"),
    "wedge_request": Word(("count",), "the m-th wedge request"),
    "new_configuration": Word(("count",), "the m-th configuration, not counting the initial one"),
    "checkpoint": Word(("count",), "the m-th checkpoint shuttle; the head starting one counts"),
    "completed_checkpoint": Word(("count",), "the m-th completed checkpoint; the tail completing one counts"),
    "get_running_state": Word(("count",), "the m-th request for the running state"),
    "catch_up": Word(("count",), "the m-th catch-up"),
    "reconfiguration": Word(("count",), "the start of the replica's configuration, if it is configuration number c"),
    "after": Word(("milliseconds",), "so long after the replica became active"),
}

FAILURES: Mapping[str, Word] = {
    "change_operation": Word((), "the next shuttle's own order and result statement are for get('x')"),
    "change_result": Word((), "the next result's own statement has the digest of OK"),
    "drop_result_stmt": Word((), "the next result lacks the head's statement"),
    "invalid_order_sig": Word((), "the next shuttle's own order statement has an invalid signature"),
    "invalid_result_sig": Word((), "the next shuttle's (the tail: result's) own result statement has an invalid signature"),
    "drop_checkpt_stmts": Word((), "the next completed checkpoint lacks the first t+1 replicas' statements"),
    "truncate_history": Word(("number",), "the next wedged lacks the last n entries"),
    "increment_slot": Word((), "the head's next slot number grows by one"),
    "extra_op": Word((), "put('a','a') on the own running state"),
    "sleep": Word(("milliseconds",), "sleep before processing"),
    "drop": Word((), "ignore the triggering message"),
    "crash": Word((), "flush the log and exit the process at once"),
    "delay": Word(("milliseconds",), "the next message leaves so much later, behind those that follow it"),
    "duplicate": Word((), "the next message leaves twice"),
    "corrupt": Word((), "the next message leaves with flipped bits"),
    "replay": Word((), "the next message is followed by the first one of its kind again"),
    "equivocate": Word((), "the next statement tells different receivers different, validly signed things"),
    "forge_request": Word((), "the next shuttle carries an operation that no client sent"),
    "stall": Word((), "nothing leaves any more"),
    "pause": Word(("milliseconds",), "the process stands still for so long"),
    "answer_early": Word(("number",), "the next n shuttles are answered to clients at once, go nowhere, and are forgotten when "
                         "wedged"),
    "bounce_result": Word(("number",), "the next n shuttles go back as result shuttles, nowhere else, and are forgotten when wedged"),
    "bounce_checkpoint": Word((), "the next checkpoint shuttle goes back as completed, and nowhere else"),
    "ask": Word((), "asks for reconfiguration without a reason"),
    "garbage": Word(("number",), "n messages to each other replica that nobody can read"),
    "withhold_ready": Word((), "Olympus never gets ready"),
    "mute_clients": Word((), "clients get nothing"),
    "drop_all": Word((), "from now on requests, shuttles and result shuttles are ignored"),
    "no_checkpoints": Word((), "from now on checkpoint shuttles are ignored"),
    "no_result_shuttles": Word((), "from now on result shuttles are ignored"),
    "misdirect": Word((), "the configuration goes to the other replicas with the replica itself in every client's place"),
    "extend_wedged": Word(("number",), "the next wedged has n more slots, which the replica alone ordered"),
    "lie_caught_up": Word(("number",), "another digest in caught_up in the first n attempts"),
    "replay_catch_up": Word(("number",), "the first catch-up goes on to all others n times, a millisecond apart"),
    "spin": Word(("number",), "the head orders the request that it executed last in n more slots"),
    "impersonate": Word(("position",), "Olympus gets the first piece of two of a wedged in the name of replica i"),
    "useless_macs": Word((), "its statements convince all replicas and no client"),
    "forge": Word(("message",), "a message of that kind in another's name, once under its own key and once under none"),
    "replay_old": Word(("message",), "the newest message of that kind of an earlier configuration or attempt, to all who take such"),
}

# What a client's process does, which is faulty from the start where a file has some of it.
CLIENT_TRIGGERS: Mapping[str, Word] = {
    "reconfiguration": Word(("count",), "the client has learned of configuration number c"),
    "after": Word(("milliseconds",), "so long after the client began"),
}

CLIENT_FAILURES: Mapping[str, Word] = {
    "garbage": Word(("number",), "n messages that nobody can read to a replica, another one in each configuration"),
    "flood": Word(("number",), "n signed requests of rising numbers to the head at once"),
    "stale_pairs": Word(("number",), "n times a request to the second replica alone, and the next one to the head"),
    "double": Word(("number",), "n numbers, each with another operation at each replica"),
    "future": Word((), "requests of numbers 2^63 and 2^64-1, and then one of number 0"),
    "accuse_early": Word((), "an accusation that concerns a configuration which is yet to come"),
    "accuse_falsely": Word(("number",), "n accusations that prove nothing"),
    "forge": Word(("message",), "a message of that kind in another's name, once under its own key and once under none"),
    "uneven_macs": Word((), "from now on its requests convince some replicas and not others"),
}


# How far a fault goes. "timing": what the replica says and holds is right, only late, or again, or lost on a link.
# "omission": it leaves out what it owes, and what it says and holds is right. "lie": what it says may be wrong, and its
# running state is right. "state": that may be wrong too, or another than the one that it answered from.
Effect = Literal["timing", "omission", "lie", "state"]
EFFECTS: Mapping[str, Effect] = {
    **dict.fromkeys(("sleep", "pause", "delay", "duplicate", "fail_link", "fix_link"), "timing"),
    **dict.fromkeys(("drop", "crash", "stall", "drop_all", "no_checkpoints", "no_result_shuttles", "withhold_ready",
                     "mute_clients"), "omission"),
    **dict.fromkeys(("change_operation", "change_result", "drop_result_stmt", "drop_checkpt_stmts", "invalid_order_sig",
                     "invalid_result_sig", "truncate_history", "corrupt", "replay", "equivocate", "forge_request",
                     "ask", "garbage", "misdirect", "extend_wedged", "lie_caught_up", "replay_catch_up", "impersonate",
                     "mutate", "useless_macs", "forge", "replay_old"), "lie"),
    **dict.fromkeys(("extra_op", "increment_slot", "answer_early", "bounce_result", "bounce_checkpoint", "spin",
                     "twins", "amnesia", "free"), "state"),
}  # fmt: skip

# What makes a replica miss slots that all others execute: its state is right, and not theirs.
LEFT_BEHIND = ("drop", "crash", "drop_all")

# Faults that the simulator, and no replica, injects into a replica.
SIMULATED = ("twins", "mutate", "amnesia", "free")

# Failures that no checksum shows, and why: a scenario with `authentication = crc` cannot have them (specification,
# section 11). The others are accidents: crashes, bits that flip, also in a checksum, and messages that are lost, late,
# repeated or out of order.
NO_ACCIDENTS: Mapping[str, str] = {
    "change_operation": "it signs an operation that no client sent",
    "change_result": "it signs a result that it did not get",
    "drop_result_stmt": "a message arrives whole or not at all, and loses no statement on its way",
    "drop_checkpt_stmts": "a message arrives whole or not at all, and loses no statement on its way",
    "truncate_history": "it hides slots that it has signed, and may be the only one left that knows of them",
    "increment_slot": "it signs a slot number that is not the next one",
    "extra_op": "its state is wrong, and what it signs of it has a right checksum",
    "equivocate": "it signs different things for different receivers",
    "forge_request": "it signs what no client sent, and puts a right checksum in the client's name below it",
    "twins": "two processes sign different things in one name",
    "mutate": "what is changed gets a right checksum again",
    "amnesia": "its state is wrong, and what it signs of it has a right checksum",
    "free": "it sends whatever it likes, with a right checksum",
    "answer_early": "it tells clients of a slot that it keeps from the other replicas, and forgets it",
    "bounce_result": "it keeps a slot from its successor, and forgets it",
    "bounce_checkpoint": "it calls a checkpoint completed that its successor has not seen",
    "misdirect": "it puts itself in the clients' place",
    "extend_wedged": "it signs slots that its predecessors have not ordered",
    "lie_caught_up": "it signs a digest that is not that of its state",
    "replay_catch_up": "it passes on what was sent to it alone",
    "spin": "it signs further orders of a request that is executed",
    "impersonate": "it sends in another's name",
    "forge": "it signs in another's name, and puts a right checksum below it",
    "replay_old": "it passes on what others signed for another occasion",
    "double": "it signs different requests under one number",
    "accuse_falsely": "it signs accusations that it knows to be wrong",
}

# Failures that only one authenticator has a place for, and why.
ONLY_WITH: Mapping[str, tuple[str, str]] = {
    "useless_macs": ("hmac", "only a vector of codes can convince one reader and not another"),
    "uneven_macs": ("hmac", "only a vector of codes can convince one reader and not another"),
}

# Failures that have no place in the simulator, and why.
NOT_SIMULATED: Mapping[str, str] = {
    "impersonate": "the sender beside a message is what DistAlgo's layer is told it is, and the simulator has no such layer",
}

# What can be said of links: `links[a,b] = trigger,fail(); trigger,fix()`, `links = trigger,partition({0,1},{2})`.
LINK_ACTIONS: Mapping[str, Word] = {
    "fail": Word((), "from now on nothing that replica a sends reaches replica b"),
    "fix": Word((), "it does again; without [a,b], on all links"),
    "partition": Word(("group", "group"), "the links between the two groups of replicas fail, both ways"),
}


class Trigger(msgspec.Struct, frozen=True, array_like=True):
    """When: the `count`-th receipt, from 0, of a kind of message, and from which client where that matters.

    For the trigger `after`, `count` is milliseconds.
    """

    name: str
    client: int | None
    count: int


class Failure(msgspec.Struct, frozen=True, array_like=True):
    """What: a failure and its argument where it takes one: a number of entries or milliseconds, a kind of message.

    Failures of links are `fail_link` and `fix_link`, whose argument is the receiver's position, or None for all.
    """

    name: str
    argument: int | str | None = None




class FaultPlan(msgspec.Struct, frozen=True, array_like=True):
    """One `trigger,failure` pair of a file, for a replica of a configuration; `text` is the file's own."""

    configuration: int
    position: int
    trigger: Trigger
    failure: Failure
    text: str

    @property
    def is_of_a_link(self) -> bool:
        """Whether a link has the fault, and the replica at this end of it is as correct as before."""
        return self.failure.name in ("fail_link", "fix_link")

    @property
    def effect(self) -> Effect:
        """What is left of the replica's correctness once the fault has struck; of an unknown failure the worst."""
        return EFFECTS.get(self.failure.name, "state")

    @property
    def spoils_state(self) -> bool:
        """Whether the replica that has the fault may hold a wrong running state, or one that others have long left."""
        return self.effect == "state" or self.failure.name in LEFT_BEHIND


class ClientFaultPlan(msgspec.Struct, frozen=True, array_like=True):
    """One `trigger,failure` pair of a file for a client; `text` is the file's own."""

    client: int
    trigger: Trigger
    failure: Failure
    text: str


def struck_by(faults: Iterable[FaultPlan]) -> set[tuple[int, int]]:
    """Configuration and position of the replicas that have one of these faults: who knows what they still say."""
    return {(fault.configuration, fault.position) for fault in faults if not fault.is_of_a_link}


def spoiled_by(faults: Iterable[FaultPlan]) -> set[tuple[int, int]]:
    """Configuration and position of the replicas whose own running state one of these faults may have made wrong."""
    return {(fault.configuration, fault.position) for fault in faults if fault.spoils_state}


def faulty_by(faults: Iterable[FaultPlan], patience_ms: int) -> dict[int, set[int]]:
    """By configuration, the positions whose faults count among its t.

    A replica that was only late, or had something repeated, is as correct as any in an asynchronous network, unless it
    stood still for longer than `patience_ms` in all: who does not answer for so long is as good as crashed.
    """
    late_ms: Counter[tuple[int, int]] = Counter()
    faulty: dict[int, set[int]] = {}
    for fault in faults:
        place = fault.configuration, fault.position
        if fault.effect == "timing" and not fault.is_of_a_link:
            late_ms[place] += fault.failure.argument if isinstance(fault.failure.argument, int) else 0
        if fault.effect != "timing" or late_ms[place] > patience_ms:
            faulty.setdefault(fault.configuration, set()).add(fault.position)
    return faulty

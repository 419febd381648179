"""The vocabulary of fault injection: one declaration a trigger and a failure (specification, 9).

What follows from a declaration: how a scenario file is read, what an authenticator refuses, what a replica is still worth once
the fault has struck, how the injector keeps it, what hunts, storms and the atlas draw, and the line of the reference page.
"""

from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec

ArgumentKind = Literal["client", "count", "number", "milliseconds", "group", "position", "message"]

# How far a fault goes. "timing": what the replica says and holds is right, only late, or again, or lost on a link.
# "omission": it leaves out what it owes, and what it says and holds is right. "lie": what it says may be wrong, and its
# running state is right. "state": that may be wrong too, or another than the one that it answered from.
Effect = Literal["timing", "omission", "lie", "state"]

# When a failure strikes. "at once": when it is triggered. "deed": at once too, but it may need to know the others, and then
# waits for the configuration. "next": when a message leaves, or comes, that it concerns. "times": the next so many of
# these, as its argument says. "on": from then on.
Strikes = Literal["at once", "deed", "next", "times", "on"]


class Word(msgspec.Struct, frozen=True):
    """A word that can be called: the kinds of its arguments, and what it means."""

    arguments: tuple[ArgumentKind, ...]
    meaning: str


class TriggerWord(Word, frozen=True, kw_only=True):
    """When something goes wrong: at a receipt, or at a time.

    `once`: a configuration has one such receipt, or hardly ever a second. `is_receipt`: it counts messages that come.
    """

    once: bool = False
    is_receipt: bool = True


class FailureWord(Word, frozen=True, kw_only=True):
    """What goes wrong.

    `ignores` are the messages that the replica is deaf to from then on. `leaves_behind`: the replica may miss slots that
    all others execute; its state is right, and not theirs. `times` is from how many to how many a hunt draws for a number.
    `no_accident` says why no checksum shows it, and is empty where it is an accident (crashes, bits that flip, also in a
    checksum, messages that are lost, late, repeated or out of order): `authentication = crc` refuses the others
    (specification, 11). `only_with` is the authenticator that alone has a place for it, and why;
    `not_simulated` why the simulator has none.
    """

    effect: Effect = "lie"
    strikes: Strikes = "next"
    ignores: tuple[str, ...] = ()
    leaves_behind: bool = False
    times: tuple[int, int] = (1, 3)
    no_accident: str = ""
    only_with: tuple[str, str] | None = None
    not_simulated: str = ""


# Every message that anybody sends, by the name that it travels under: what a liar can forge, or send again.
MESSAGES: Sequence[str] = (
    "client_request", "forwarded_request", "shuttle", "result_shuttle", "checkpoint", "completed_checkpoint",
    "result_message", "voucher", "stale", "error", "wedge_request", "wedged", "catch_up", "catching_up", "caught_up",
    "get_running_state", "running_state", "inithist", "configuration", "ready", "public_key", "configuration_query",
    "reconfiguration_request", "accusation", "complaint", "control", "credential", "introduction", "session_over",
)  # fmt: skip
OTHER_NAMES: Mapping[str, str] = {"new_configuration": "configuration"}  # what triggers and logs call a message

TRIGGERS: Mapping[str, TriggerWord] = {
    "client_request": TriggerWord(("client", "count"), "the m-th request that comes directly from client c"),
    "forwarded_request": TriggerWord(("client", "count"), "the m-th forwarded request of client c"),
    "shuttle": TriggerWord(("client", "count"), "the m-th shuttle with a request of client c"),
    "result_shuttle": TriggerWord(("client", "count"), "the m-th result shuttle with a request of client c"),
    "wedge_request": TriggerWord(("count",), "the m-th wedge request", once=True),
    "new_configuration": TriggerWord(
        ("count",), "the m-th configuration, not counting the initial one: of `failures[c,r]` m is 0, or c-1", once=True
    ),
    "checkpoint": TriggerWord(("count",), "the m-th checkpoint shuttle; the head starting one counts"),
    "completed_checkpoint": TriggerWord(("count",), "the m-th completed checkpoint; the tail completing one counts"),
    "get_running_state": TriggerWord(("count",), "the m-th request for the running state", once=True),
    "catch_up": TriggerWord(("count",), "the m-th catch-up", once=True),
    "reconfiguration": TriggerWord(
        ("count",), "the start of the replica's configuration, if it is configuration number c", is_receipt=False
    ),
    "after": TriggerWord(("milliseconds",), "so long after the replica became active", is_receipt=False),
}

MACS = "only a vector of codes can convince one reader and not another"

FAILURES: Mapping[str, FailureWord] = {
    "change_operation": FailureWord(
        (),
        "the next shuttle's own order and result statement are for get('x')",
        effect="lie",
        no_accident="it signs an operation that no client sent",
    ),
    "change_result": FailureWord(
        (),
        "the next result's own statement has the digest of OK",
        effect="lie",
        no_accident="it signs a result that it did not get",
    ),
    "drop_result_stmt": FailureWord(
        (),
        "the next result lacks the head's statement",
        effect="lie",
        no_accident="a message arrives whole or not at all, and loses no statement on its way",
    ),
    "invalid_order_sig": FailureWord((), "the next shuttle's own order statement has an invalid signature", effect="lie"),
    "invalid_result_sig": FailureWord(
        (), "the next shuttle's (the tail: result's) own result statement has an invalid signature", effect="lie"
    ),
    "drop_checkpt_stmts": FailureWord(
        (),
        "the next completed checkpoint lacks the first t+1 replicas' statements",
        effect="lie",
        no_accident="a message arrives whole or not at all, and loses no statement on its way",
    ),
    "truncate_history": FailureWord(
        ("number",),
        "the next wedged lacks the last n entries",
        effect="lie",
        no_accident="it hides slots that it has signed, and may be the only one left that knows of them",
    ),
    "increment_slot": FailureWord(
        (),
        "the head's next slot number grows by one",
        effect="state",
        strikes="at once",
        no_accident="it signs a slot number that is not the next one",
    ),
    "extra_op": FailureWord(
        (),
        "put('a','a') on the own running state",
        effect="state",
        strikes="at once",
        no_accident="its state is wrong, and what it signs of it has a right checksum",
    ),
    "sleep": FailureWord(("milliseconds",), "sleep before processing", effect="timing", strikes="at once"),
    "drop": FailureWord((), "ignore the triggering message", effect="omission", strikes="at once", leaves_behind=True),
    "crash": FailureWord((), "flush the log and exit the process at once", effect="omission", strikes="at once", leaves_behind=True),
    "delay": FailureWord(("milliseconds",), "the next message leaves so much later, behind those that follow it", effect="timing"),
    "duplicate": FailureWord((), "the next message leaves twice", effect="timing"),
    "corrupt": FailureWord((), "the next message leaves with flipped bits", effect="lie"),
    "replay": FailureWord((), "the next message is followed by the first one of its kind again", effect="lie"),
    "equivocate": FailureWord(
        (),
        "the next statement tells different receivers different, validly signed things",
        effect="lie",
        no_accident="it signs different things for different receivers",
    ),
    "forge_request": FailureWord(
        (),
        "the next shuttle carries an operation that no client sent",
        effect="lie",
        no_accident="it signs what no client sent, and puts a right checksum in the client's name below it",
    ),
    "stall": FailureWord((), "nothing leaves any more", effect="omission", strikes="on"),
    "pause": FailureWord(("milliseconds",), "the process stands still for so long", effect="timing", strikes="at once"),
    "answer_early": FailureWord(
        ("number",),
        "the next n shuttles are answered to clients at once, go nowhere, and are forgotten when wedged",
        effect="state",
        strikes="times",
        no_accident="it tells clients of a slot that it keeps from the other replicas, and forgets it",
    ),
    "bounce_result": FailureWord(
        ("number",),
        "the next n shuttles go back as result shuttles, nowhere else, and are forgotten when wedged",
        effect="state",
        strikes="times",
        no_accident="it keeps a slot from its successor, and forgets it",
    ),
    "bounce_checkpoint": FailureWord(
        (),
        "the next checkpoint shuttle goes back as completed, and nowhere else",
        effect="state",
        no_accident="it calls a checkpoint completed that its successor has not seen",
    ),
    "ask": FailureWord((), "asks for reconfiguration without a reason", effect="lie", strikes="deed"),
    "garbage": FailureWord(
        ("number",),
        "n messages to each other replica that nobody can read",
        effect="lie",
        strikes="deed",
        times=(1, 12),
    ),
    "withhold_ready": FailureWord((), "Olympus never gets ready", effect="omission"),
    "mute_clients": FailureWord((), "clients get nothing", effect="omission", strikes="on"),
    "drop_all": FailureWord(
        (),
        "from now on requests, shuttles and result shuttles are ignored",
        effect="omission",
        strikes="on",
        ignores=("client_request", "forwarded_request", "result_shuttle", "shuttle"),
        leaves_behind=True,
    ),
    "no_checkpoints": FailureWord(
        (), "from now on checkpoint shuttles are ignored", effect="omission", strikes="on", ignores=("checkpoint",)
    ),
    "no_result_shuttles": FailureWord(
        (), "from now on result shuttles are ignored", effect="omission", strikes="on", ignores=("result_shuttle",)
    ),
    "misdirect": FailureWord(
        (),
        "the configuration goes to the other replicas with the replica itself in every client's place",
        effect="lie",
        strikes="deed",
        no_accident="it puts itself in the clients' place",
    ),
    "extend_wedged": FailureWord(
        ("number",),
        "the next wedged has n more slots, which the replica alone ordered",
        effect="lie",
        no_accident="it signs slots that its predecessors have not ordered",
    ),
    "lie_caught_up": FailureWord(
        ("number",),
        "another digest in caught_up in the first n attempts",
        effect="lie",
        strikes="times",
        times=(1, 100),
        no_accident="it signs a digest that is not that of its state",
    ),
    "replay_catch_up": FailureWord(
        ("number",),
        "the first catch-up goes on to all others n times, a millisecond apart",
        effect="lie",
        strikes="times",
        times=(1, 100),
        no_accident="it passes on what was sent to it alone",
    ),
    "spin": FailureWord(
        ("number",),
        "the head orders the request that it executed last in n more slots",
        effect="state",
        strikes="deed",
        times=(1, 20),
        no_accident="it signs further orders of a request that is executed",
    ),
    "impersonate": FailureWord(
        ("position",),
        "Olympus gets the first piece of two of a wedged in the name of replica i",
        effect="lie",
        strikes="deed",
        no_accident="it sends in another's name",
        not_simulated="the sender beside a message is what DistAlgo's layer is told it is, and the simulator has no such layer",
    ),
    "useless_macs": FailureWord(
        (), "its statements convince all replicas and no client", effect="lie", strikes="deed", only_with=("hmac", MACS)
    ),
    "forge": FailureWord(
        ("message",),
        "a message of that kind in another's name, once under its own key and once under none",
        effect="lie",
        strikes="deed",
        no_accident="it signs in another's name, and puts a right checksum below it",
    ),
    "replay_old": FailureWord(
        ("message",),
        "the newest message of that kind of an earlier configuration or attempt, to all who take such",
        effect="lie",
        strikes="deed",
        no_accident="it passes on what others signed for another occasion",
    ),
}

# What servers of Raft among liars do beside these.
LIAR_FAILURES: Mapping[str, FailureWord] = {
    "chaos": FailureWord(
        ("milliseconds",),
        "from now on, every so often, a message of a random kind goes to all, correct in syntax and signature",
        effect="lie",
        strikes="on",
        no_accident="it signs whatever comes to its mind",
    ),
    "break_chain": FailureWord(
        (),
        "the next entry of the leader does not follow the one before it",
        effect="lie",
        no_accident="it signs the digest of another predecessor",
    ),
}

# What a client's process does, which is faulty from the start where a file has some of it.
CLIENT_TRIGGERS: Mapping[str, TriggerWord] = {
    "reconfiguration": TriggerWord(("count",), "the client has learned of configuration number c", is_receipt=False),
    "after": TriggerWord(("milliseconds",), "so long after the client began", is_receipt=False),
}

CLIENT_FAILURES: Mapping[str, FailureWord] = {
    "garbage": FailureWord(("number",), "n messages that nobody can read to a replica, another one in each configuration", times=(1, 12)),
    "flood": FailureWord(("number",), "n signed requests of rising numbers to the head at once", times=(5, 60)),
    "stale_pairs": FailureWord(("number",), "n times a request to the second replica alone, and the next one to the head"),
    "double": FailureWord(
        ("number",),
        "n numbers, each with another operation at each replica",
        no_accident="it signs different requests under one number",
    ),
    "future": FailureWord((), "requests of numbers 2^63 and 2^64-1, and then one of number 0"),
    "identities": FailureWord(
        ("number",),
        "n more keys under its name; the head is asked under the last of their numbers, and then it and the second replica under each of the others",
        times=(2, 20),
    ),
    "accuse_early": FailureWord((), "an accusation that concerns a configuration which is yet to come"),
    "accuse_falsely": FailureWord(
        ("number",), "n accusations that prove nothing", no_accident="it signs accusations that it knows to be wrong"
    ),
    "forge": FailureWord(
        ("message",),
        "a message of that kind in another's name, once under its own key and once under none",
        no_accident="it signs in another's name, and puts a right checksum below it",
    ),
    "uneven_macs": FailureWord((), "from now on its requests convince some replicas and not others", only_with=("hmac", MACS)),
}

# Faults that the simulator, and no replica, injects into a replica.
SIMULATED: Mapping[str, FailureWord] = {
    "twins": FailureWord(
        ("position",),
        "two processes are replica i, with one key",
        effect="state",
        no_accident="two processes sign different things in one name",
    ),
    "mutate": FailureWord(
        ("position", "number"),
        "n messages of replica i are changed a little, or into consistent lies",
        effect="lie",
        no_accident="what is changed gets a right checksum again",
    ),
    "amnesia": FailureWord(
        ("position", "milliseconds"),
        "replica i forgets what it executed for whom",
        effect="state",
        no_accident="its state is wrong, and what it signs of it has a right checksum",
    ),
    "free": FailureWord(
        ("position",),
        "at each step replica i may send anything that it could sign or has seen",
        effect="state",
        no_accident="it sends whatever it likes, with a right checksum",
    ),
}

# What can be said of links: `links[a,b] = trigger,fail(); trigger,fix()`, `links = trigger,partition({0,1},{2})`.
LINK_ACTIONS: Mapping[str, Word] = {
    "fail": Word((), "from now on nothing that replica a sends reaches replica b"),
    "fix": Word((), "it does again; without [a,b], on all links"),
    "partition": Word(("group", "group"), "the links between the two groups of replicas fail, both ways"),
}

# What else befalls the servers of protocols whose servers come back; replicas of the chain never do for a scenario file.
SERVER_FAILURES: Mapping[str, FailureWord] = {
    "restart": FailureWord(
        ("milliseconds",), "exit the process at once; so long after, it begins again from its disk, without this fault",
        effect="timing", strikes="at once",
    ),
}  # fmt: skip

# How a fault of a link is called in a plan: what is lost on it is late, or lost, and said by nobody wrongly.
OF_LINKS = ("fail_link", "fix_link")


def effect_of(failure: str) -> Effect:
    """What is left of a replica's correctness once this has struck; of an unknown failure the worst."""
    if failure in OF_LINKS:
        return "timing"
    word = FAILURES.get(failure) or SERVER_FAILURES.get(failure) or LIAR_FAILURES.get(failure) or SIMULATED.get(failure)
    return word.effect if word else "state"


def no_accident(failure: str) -> str:
    """Why no checksum shows a failure of a replica, a client or the simulator; nothing where it is an accident."""
    return next((words[failure].no_accident for words in (FAILURES, CLIENT_FAILURES, SIMULATED) if failure in words), "")


def possible(words: Mapping[str, FailureWord], authentication: str, simulated: bool) -> list[str]:
    """The failures among these words that can be asked for with this authenticator, in a simulated or a real run, sorted."""
    return sorted(
        name
        for name, word in words.items()
        if (word.only_with is None or word.only_with[0] == authentication)
        and not (authentication == "crc" and word.no_accident)
        and not (simulated and word.not_simulated)
    )

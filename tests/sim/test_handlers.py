"""The handler table: every handler of every role gets every kind of message in every mode, and none raises.

What a handler is not meant to get then is a ProtocolViolation that it has handled, or nothing; anything else that it
raises would reach the layer below, which tells of it. The table is gone through once, and some mutated messages a role
besides. Ten thousand a role take some minutes:

    BCR_FUZZ=10000 .venv/bin/python -m pytest tests/sim/test_handlers.py -k mutated
"""

import os
import random
import re
from importlib import import_module

import pytest
from rig import JUNK, LATE, MOMENTS, Rig

from bcr.chain.bundles import singles
from bcr_runtime.places import PROJECT
from bcr_sim import distalgo

FUZZED = int(os.environ.get("BCR_FUZZ", "1000"))  # messages a role
AT_ONCE = 25

SCENARIO = """\
t = 1
num_client = 2
client_window = 3
batch_limit = 2
checkpt_interval = 3
client_timeout = 400
head_timeout = 300
nonhead_timeout = 300
authentication = {authentication}
log_level = debug
workload[0] = pseudorandom(4,24)
workload[1] = pseudorandom(5,24)
failures[0,1] = shuttle(0,6),drop(){more}
failures[1,2] = shuttle(0,0),sleep(1)
failures[1,0] = client_request(1,5),sleep(1)
{clients}
simulation = seed({seed}); delay(100,3000); pause(replica_2,0,30)
"""

VERBS = ("faults_loaded", "progress", "client_record", "replica_report", "replica_state", "fault_injected", "fault_struck", "olympus_key",
         "started", "start_failed", "reconfiguration", "closed", "ended", "nonsense")  # fmt: skip


def text(seed, authentication, role="Replica"):
    """The scenario; a replica without faults has to catch up where the one with faults does not answer Olympus."""
    clients = "client_failures[1] = after(100000),garbage(1)" if role == "ByzantineClient" else ""
    more = "" if role == "AdversarialReplica" else "; wedge_request(0),drop()"
    return SCENARIO.format(seed=seed, authentication=authentication, more=more, clients=clients)


@pytest.fixture(autouse=True)
def slow_catch_up(monkeypatch):
    """What replicas execute and Olympus checks in slices takes many: so there is a time between them."""
    distalgo.set_options()
    import_module("RunSystem")  # compiles the others
    monkeypatch.setattr(import_module("Replica"), "CATCH_UP_SLICE_REQUESTS", 1)
    monkeypatch.setattr(import_module("Olympus"), "SLICE_REQUESTS", 1)


_corpora = {}


def corpus(authentication):
    """Everything that is sent in the run without injections, by itself and in bundles: kind -> messages, of which some are taken."""
    if authentication not in _corpora:
        rig = Rig(text(1, authentication))
        assert rig.errors() == []
        taken = [message for _, sent in sorted(rig.sent.items()) for _, message in some(sent, 6)]
        _corpora[authentication] = by_kind = {}
        opened = [single for message in taken for single in singles(message)[:2]]
        for each in taken + opened:
            by_kind.setdefault(each[0], []).append(each)
    return _corpora[authentication]


_made = {}


def made(authentication):
    """Such as seldom are sent, of a run of the same processes: for when there are none yet."""
    if authentication not in _made:
        found = _made[authentication] = []

        def watch(rig):
            if not found and rig.processes("Olympus"):
                found.extend(rig.made())

        rig = Rig(text(1, authentication))
        rig.on_event = watch
        assert rig.errors() == []
    return _made[authentication]


def some(items, most):
    """At most so many, from the beginning to the end."""
    return [items[place * len(items) // most] for place in range(most)] if len(items) > most else items


def kinds_handled():
    """Every kind of message for which a process file has a handler."""
    sources = [(PROJECT / "src" / f"{name}.da").read_text() for name in
               ("Participant", "ChainProcess", "Replica", "Byzantine", "Adversary", "OlympusProcess", "Issuer", "Olympus", "ClientProcess", "ClientSession", "Client", "ByzantineClient",
                "StartUp", "RunSystem")]  # fmt: skip
    return {kind for source in sources for kind in re.findall(r"receive\(msg=\('(\w+)'", source)}


def everything(rig, authentication, receiver):
    """Messages of every kind: such as were sent, such as seldom are, such as nobody ever sends."""
    messages = [(kind, message) for kind, sent in corpus(authentication).items() for message in sent]
    messages += [(kind, message) for kind, sent in rig.sent.items() for _, message in sent[-3:]]
    messages += rig.made() or made(authentication)
    assert kinds_handled() - {kind for kind, _ in messages} == set()
    senseless = []
    for kind in sorted(kinds_handled()):
        whole = next(message for mine, message in messages if mine == kind)
        senseless += [(kind, (kind, *whole[1:place], junk, *whole[place + 1 :])) for place in range(1, len(whole)) for junk in JUNK]
        senseless += [(kind, whole[:1]), (kind, whole[:-1]), (kind, (*whole, 1)), (kind, (kind,) * len(whole))]
        if isinstance(whole[1], bytes):
            senseless += [(kind, (kind, altered, *whole[2:])) for altered in (whole[1][:-1], whole[1][:40], whole[1] + b"\0")]
    # First what has no sense: a valid one of its kind may end the moment.
    messages = senseless + messages
    messages += [("nothing", junk if isinstance(junk, tuple) else (junk,)) for junk in JUNK]
    if receiver.cls.__name__ == "Harness":
        messages += [("control", message) for message in rig.said_under_own_secrets(VERBS)]
    return sorted(messages, key=lambda each: LATE.index(each[0]) if each[0] in LATE else -1)


TABLE = [(role, moment) for role, moments in MOMENTS.items() for moment in moments]


@pytest.mark.parametrize("role, moment", TABLE, ids=[f"{role} {moment}" for role, moment in TABLE])
@pytest.mark.parametrize("authentication", ["ed25519", "hmac"])
def test_no_handler_raises_whatever_it_gets_at_this_moment(role, moment, authentication, tmp_path):
    corpus(authentication), made(authentication)  # before: one run at a time
    rig = Rig(text(1, authentication, role), tmp_path)
    done = []

    def watch(rig):
        for receiver in rig.processes(role):
            if not done and MOMENTS[role][moment](receiver.process._state):
                done.append(receiver.name)
                for _, message in everything(rig, authentication, receiver):
                    rig.inject(receiver, message)

    rig.on_event = watch
    assert rig.errors() == []
    assert done, "the moment never came"
    assert rig.injected > 300


@pytest.mark.parametrize("role", MOMENTS)
@pytest.mark.parametrize("authentication", ["ed25519", "hmac"])
def test_no_handler_raises_at_mutated_messages_that_were_valid(role, authentication):
    injected = 0
    for seed in range(1, 1000):
        rig = Rig(text(seed, authentication, role))
        chance = random.Random(seed)

        def watch(rig, chance=chance):
            receivers = rig.processes(role)
            if receivers and rig.sent and chance.random() < 0.3:
                receiver = chance.choice(receivers)
                for _ in range(AT_ONCE):
                    sender, message = rig.mutant(chance, receiver)
                    rig.inject(receiver, message, sender)

        rig.on_event = watch
        assert rig.errors() == [], f"seed {seed}"
        injected += rig.injected
        if injected >= FUZZED // 2:
            break
    assert injected >= FUZZED // 2

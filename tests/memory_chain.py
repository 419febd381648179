"""A chain in memory: what a correct service makes and signs, without processes and without a network."""

import hashlib

import msgspec

from bcr.chain.configuration import Configuration, Member, Membership
from bcr.chain.history import CaughtUp, HistoryEntry, RunningStateHandover, Wedged, WithState
from bcr.chain.messages import ResultShuttle, Shuttle
from bcr.chain.proofs import Vouched
from bcr.chain.slots import ExecutedSlot
from bcr.objects.dictionary import Operation
from bcr.signed.authentication import keys_of, sizes
from bcr.signed.signing import Keyring, Signed
from bcr.signed.statements import Checkpoint, Request, Voucher
from bcr.state.running import RunningState
from bcr.verdict.record import ClientRecord, Exchange, ReplicaReport, RunRecord


def key_of(name, authentication="ed25519"):
    """The keys of a process, which knows Olympus: the same in every test."""
    olympus = keys_of(authentication, hashlib.sha256(b"olympus").digest()).public
    return keys_of(authentication, hashlib.sha256(name.encode()).digest(), olympus)


OLYMPUS_KEY = key_of("olympus")


def make_configuration(t=1, clients=2, number=0, authentication="ed25519", acceptance="all"):
    """A configuration whose replicas and clients have the keys that `key_of` gives to their names, as Olympus sees it."""
    positions = range(sizes(t, authentication).replicas)
    members = tuple(Member(replica_author(i, number, authentication).public, f"host:{i}/{number:x}") for i in positions)
    customers = tuple(Member(client_key(k, authentication).public, f"host:{k}/c") for k in range(clients))
    issued = Configuration(number, t, members, customers, authentication, acceptance)
    return seen_by(key_of("olympus", authentication), issued)


def seen_by(keys, issued):
    """The configuration through the eyes of the holder of these keys."""
    return Membership(issued, key_of("olympus", issued.authentication).public, keys)


def replica_author(position, number=0, authentication="ed25519"):
    return key_of(f"replica_{position} of {number}", authentication)


def client_key(client, authentication="ed25519"):
    return key_of(f"client_{client}", authentication)


class MemoryChain:
    """A service that does as the protocol says: tests call its steps in the order that they want to have judged.

    Times are ticks of one clock; every step takes a tick.
    """

    def __init__(self, t=1, clients=2, client_window=1, authentication="ed25519", acceptance="all"):
        self.t = t
        self.acceptance = acceptance
        self.authentication = authentication
        self.client_window = client_window
        self.state = RunningState(client_window)
        self.requests = {k: [] for k in range(clients)}
        self.sent_ns = {}
        self.exchanges = {k: [] for k in range(clients)}
        self.issued = []
        self.now_ns = 0
        self.reconfigure()

    def keys_of(self, name):
        """The keys of a process, which knows the others of the current configuration."""
        return key_of(name, self.authentication).among(self.configuration.circle)

    def keys_at(self, position):
        """Those of a replica of the current configuration."""
        return self.keys_of(f"replica_{position} of {self.configuration.number}")

    # -- the protocol's steps

    def reconfigure(self):
        """A new configuration, which starts from the running state."""
        self.configuration = make_configuration(self.t, len(self.requests), len(self.issued), self.authentication, self.acceptance)
        self.issued.append(Signed.sign(self.configuration.issued, 0, self.keys_of("olympus")))
        self.slots = []
        self.snapshots = [self.state.snapshot()]  # the running state after so many slots

    def send(self, client, *operations):
        """The client's next request, signed and sent."""
        self.now_ns += 1
        number = len(self.requests[client])
        request = Signed.sign(Request(client, number, tuple(operations)), client, self.keys_of(f"client_{client}"))
        self.requests[client].append(request)
        self.sent_ns[client, number] = self.now_ns
        return request

    def order(self, *requests):
        """The requests get the next slot and are executed by every replica."""
        self.now_ns += 1
        number = self.configuration.number
        slot = len(self.slots)
        outcomes = self.state.execute(number, slot, [request.statement for request in requests])
        done = ExecutedSlot(number, slot, requests, outcomes)
        self.slots.append(done)
        self.snapshots.append(self.state.snapshot())
        return done

    def accept(self, request, done=None):
        """The client accepts the answer of a slot to its request, by default of the last slot that has it."""
        self.now_ns += 1
        client, number = request.statement.client, request.statement.number
        done = done or next(slot for slot in reversed(self.slots) if request in slot.requests)
        self.take(request, done.answer(client, number, self.result_proof(done)))

    def take(self, request, answer):
        """The client takes this for the answer to its request."""
        client, number = request.statement.client, request.statement.number
        sent_ns = self.sent_ns[client, number]
        self.exchanges[client].append(Exchange(request, answer, sent_ns, self.now_ns, 1, "replica_2"))

    def vouch(self, request, done, **changes):
        """Olympus answers the request, ordered in this slot, in the place of replicas; `changes` are other fields."""
        self.now_ns += 1
        client, number = request.statement.client, request.statement.number
        found = done.latest_answer(client, number)
        voucher = Voucher(done.configuration, done.slot, client, number, found.request_digest, found.outcome)
        voucher = msgspec.structs.replace(voucher, **changes)
        self.take(request, Vouched(Signed.sign(voucher, 0, self.keys_of("olympus"))))

    def serve(self, client, *operations):
        """All of it for one request: sent, ordered in a slot of its own, answered."""
        request = self.send(client, *operations)
        self.order(request)
        self.accept(request)
        return request

    # -- what replicas sign

    def sign(self, statement, position):
        return Signed.sign(statement, position, self.keys_at(position))

    def positions(self):
        return range(len(self.configuration.replicas))

    def result_proof(self, done, positions=None):
        """The result statements of these replicas, by default of all."""
        positions = self.positions() if positions is None else positions
        keys = (key_of(f"replica_{i} of {done.configuration}", self.authentication) for i in positions)
        return tuple(
            Signed.sign(done.result(), i, each.among(self.circle_of(done.configuration)), done.clients())
            for i, each in zip(positions, keys, strict=True)
        )

    def circle_of(self, number):
        """All public keys of a configuration."""
        issued = self.issued[number].statement
        return Keyring(key_of("olympus", self.authentication).public, tuple(each.public_key for each in issued.replicas),
                      tuple(each.public_key for each in issued.clients))  # fmt: skip

    def order_proof(self, done, length):
        return self.orders_of(done, range(length))

    def orders_of(self, done, positions):
        """The order statements of these replicas."""
        return tuple(self.sign(done.order(), i) for i in positions)

    def shuttle(self, slot, position):
        """The shuttle as the replica at `position` receives it."""
        done = self.slots[slot]
        return Shuttle(done.configuration, slot, done.requests, self.order_proof(done, position), self.result_proof(done, range(position)))

    def result_shuttle(self, slot):
        """What comes back from the tail: its predecessors' orders beside the results."""
        done = self.slots[slot]
        orders = self.order_proof(done, self.configuration.tail)
        return ResultShuttle(done.configuration, slot, done.outcomes, self.result_proof(done), orders)

    def checkpoint_proof(self, slot):
        """The proof of the completed checkpoint after a slot."""
        checkpoint = Checkpoint(self.configuration.number, slot, self.snapshots[slot + 1].digest())
        return tuple(self.sign(checkpoint, i) for i in self.positions())

    def entry(self, slot, position):
        """A slot as it stands in the history of the replica at `position`."""
        done = self.slots[slot]
        return HistoryEntry(slot, done.requests, self.order_proof(done, position + 1))

    def wedged(self, position, end=None, checkpoint=None):
        """What a replica that has executed the slots below `end` answers when it is wedged."""
        end = len(self.slots) if end is None else end
        start = 0 if checkpoint is None else checkpoint + 1
        history = tuple(self.entry(slot, position) for slot in range(start, end))
        proof = () if checkpoint is None else self.checkpoint_proof(checkpoint)
        return self.sign(Wedged(self.configuration.number, history, proof), position)

    def caught_up(self, position, slots=None, state_digest=None, attempt=1):
        """What a replica answers to that attempt at a quorum when it has executed the first `slots`, by default all."""
        slots = len(self.slots) if slots is None else slots
        answers = []
        for done in self.slots[:slots]:
            for request in done.requests:
                answers.append(done.latest_answer(request.statement.client, request.statement.number))
        digest = state_digest or self.snapshots[slots].digest()
        return self.sign(CaughtUp(self.configuration.number, attempt, slots, digest, tuple(answers)), position)

    def running_state(self, position, slots=None):
        slots = len(self.slots) if slots is None else slots
        snapshot = self.snapshots[slots]
        handover = RunningStateHandover(self.configuration.number, snapshot.digest())
        return WithState(self.sign(handover, position), snapshot)

    # -- what is left of the run

    def report(self, signer, **changes):
        """A replica's final report; `changes` are fields that it has otherwise."""
        report = ReplicaReport(self.configuration.number, signer, self.state.digest(), len(self.slots), 0, 0, ())
        return self.sign(msgspec.structs.replace(report, **changes), signer)

    def record(self):
        clients = tuple(
            ClientRecord(k, "the clock", tuple(sorted(mine, key=lambda each: each.request.statement.number)))
            for k, mine in self.exchanges.items()
        )
        reports = tuple(self.report(position) for position in self.positions())
        olympus = self.keys_of("olympus")
        return RunRecord(olympus.public, tuple(self.issued), clients, reports, self.state.snapshot(),
                         authentication=self.authentication, olympus_secret=olympus.disclosed)  # fmt: skip

    def workloads(self):
        """The workloads that were sent: for each client, of each request, the operations."""
        return [[request.statement.operations for request in mine] for mine in self.requests.values()]


def put(key, value):
    return Operation("put", key, value)


def get(key):
    return Operation("get", key)


def append(key, value):
    return Operation("append", key, value)


def changed(structure, **fields):
    """The structure with other fields."""
    return msgspec.structs.replace(structure, **fields)


def three_slots():
    """A chain with three slots, of clients 0, 1, 0; every request answered before the next is sent."""
    chain = MemoryChain()
    chain.serve(0, put("k", "a"))
    chain.serve(1, append("k", "b"))
    chain.serve(0, get("k"))
    return chain


class Counting:
    """An author who counts how often somebody checks what it has signed."""

    def __init__(self, author):
        self.author, self.times = author, 0

    def is_valid(self, message, signature):
        self.times += 1
        return self.author.is_valid(message, signature)

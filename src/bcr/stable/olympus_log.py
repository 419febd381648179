"""What Olympus has on its disk, and where it goes on after a restart (specification, 13.7).

Olympus is trusted, and others act on what it has said: a number that it gave to a configuration, a configuration that it
signed, the outcomes that it vouched for and the state behind them. Each is on the disk before it leaves. So after a restart
it never gives a number twice, and never decides the same step in another way. It also knows the last configuration in which anybody
may serve, even one that it had issued and not announced yet: a faulty replica may have shown that to clients.

All of it is facts, and the state as parts. There is no log of rows, because only the latest of each kind counts.
"""

from collections.abc import Iterable

import msgspec

from bcr.chain.configuration import SignedConfiguration
from bcr.chain.reconfiguration import ReconfigurationReport
from bcr.chain.settings import Settings
from bcr.signed.authentication import Acceptance, Authentication
from bcr.signed.encoding import decode, encode
from bcr.signed.statements import Voucher
from bcr.signed.violations import ProtocolViolation
from bcr.stable.chain import reserved_for
from bcr.stable.disk import Content, DamagedError, Disk, DiskError, sealed, unsealed
from bcr.state.running import Snapshot

TURNS = 1 << 40  # wedge requests, attempts and payloads of one opening of the log: more than anybody brings about in years
CLIENTS_AT_ONCE = 1_000  # numbers of clients that one write is for


class Terms(msgspec.Struct, frozen=True, array_like=True):
    """What a service is, in the words of a scenario file: whoever goes on with its state has to say the same."""

    t: int
    authentication: Authentication
    acceptance: Acceptance
    object: str
    client_window: int
    checkpt_interval: int
    batch_limit: int
    state_limit: int

    @classmethod
    def of(cls, settings: Settings) -> "Terms":
        return cls(settings.t, settings.authentication, settings.acceptance, settings.object_name, settings.client_window,
                   settings.checkpoint_interval, settings.batch_limit, settings.state_limit_bytes)  # fmt: skip

    def difference(self, other: "Terms") -> str:
        """Where the other ones are not these, in words; empty where they are."""
        names = [name for name in self.__struct_fields__ if getattr(self, name) != getattr(other, name)]
        return ", ".join(f"{name} = {getattr(self, name)} and not {getattr(other, name)}" for name in names)


class Issued(msgspec.Struct, frozen=True, array_like=True):
    """The last configuration that Olympus signed, the names of those of its replicas that have no key, and in which run it was."""

    configuration: SignedConfiguration
    mute: tuple[str, ...]
    run: str


class Served(msgspec.Struct, frozen=True, array_like=True):
    """For how long a configuration is to serve before it is replaced, and since when the last one has, in nanoseconds of the wall clock."""

    pause_ms: float = 0.0
    since_ns: int = 0


class ReconfigurationDecision(msgspec.Struct, frozen=True, array_like=True):
    """What the last configuration is replaced with: the vouchers, and the account of it, as far as it went."""

    vouchers: tuple[Voucher, ...]
    account: ReconfigurationReport


class StateFact(msgspec.Struct, frozen=True, array_like=True):
    """Of the state whose buckets are the disk's parts: its digest, and the encoded outcomes."""

    digest: bytes
    outcomes: bytes


class OlympusFacts(msgspec.Struct, frozen=True):
    """All that a log of Olympus says, as it was read.

    `era` is how often the log had been opened before. `highest` is the highest number that a configuration was given; -1 before the first.
    `clients` is above all numbers that clients were given. `state` is what the configuration
    in `issued` began with or, where there is something `decided`, what the next one is to begin with.
    """

    seed: bytes
    terms: Terms
    era: int
    highest: int = -1
    clients: int = 0
    issued: Issued | None = None
    decided: ReconfigurationDecision | None = None
    state: Snapshot | None = None
    served: Served = Served()

    @classmethod
    def read(cls, content: Content, name: str) -> "OlympusFacts":
        """Raises DamagedError where that is not what was written."""
        facts = {fact: unsealed(fact, data) for fact, data in content.facts.items()}
        try:
            found = cls(
                facts["seed"],
                decode(Terms, facts["terms"]),
                decode(int, facts["era"]),
                decode(int, facts["highest"]),
                decode(int, facts.get("clients", encode(0))),
                decode(Issued | None, facts["issued"]),  # type: ignore[arg-type]
                decode(ReconfigurationDecision | None, facts["decided"]),  # type: ignore[arg-type]
                _state(content, decode(StateFact | None, facts["state"])),  # type: ignore[arg-type]
                decode(Served, facts["served"]) if "served" in facts else Served(),
            )
        except KeyError as missing:
            raise DamagedError(f"{name} lacks the fact {missing}") from missing
        except ProtocolViolation as violation:
            raise DamagedError(f"{name} is not what was written: {violation}") from violation
        return found


def _state(content: Content, fact: StateFact | None) -> Snapshot | None:
    if fact is None:
        return None
    snapshot = Snapshot(tuple(sorted(content.parts.items())), fact.outcomes)
    if snapshot.digest() != fact.digest:
        raise DamagedError("the state on the disk of Olympus is not what was written")
    return snapshot


class OlympusLog:
    """Olympus's disk. Whatever a method was told will survive a power cut when it returns.

    What was there when it was opened stands in `seed`, `issued`, `decided` and `state`; `era` is how often it had been
    opened before, and `is_continued` says that it is another run that goes on.
    """

    def __init__(self, disk: Disk, seed: bytes, terms: Terms, run: str) -> None:
        """Reads what is there, or begins the log under this seed. Raises DiskError, also where it is of another service."""
        self._disk = disk
        self._run = run
        self._parts: dict[int, bytes] = {}
        content = disk.read()
        is_new = not content.facts
        found = OlympusFacts(seed, terms, -1) if is_new else OlympusFacts.read(content, disk.name)
        if found.terms != terms:
            raise DiskError(f"{disk.name} is of a service with {found.terms.difference(terms)}")
        self.seed = found.seed
        self.highest, self.issued, self.decided, self.state = found.highest, found.issued, found.decided, found.state
        self.served = found.served
        self.clients = found.clients
        self.era = found.era + 1
        self.is_continued = found.issued is not None and found.issued.run != run
        self._parts = dict(content.parts)
        facts = {"era": encode(self.era)}
        if is_new:
            facts |= {"seed": seed, "terms": encode(terms), "highest": encode(-1)}
            facts |= dict.fromkeys(("issued", "decided", "state"), encode(None))
        self._write(facts)

    @property
    def first(self) -> int:
        """Above all that an earlier opening counted turns, attempts and payloads up to."""
        return self.era * TURNS

    def burn(self, number: int) -> int:
        """The configuration number to use next: this one, or above all that were ever given. It is never given again."""
        self.highest = max(number, self.highest + 1)
        self._write({"highest": encode(self.highest)})
        return self.highest

    def owe(self, pause_ms: float) -> None:
        """So long the next configuration is to serve; it is written with what is decided, or issued."""
        self.served = msgspec.structs.replace(self.served, pause_ms=pause_ms)

    def name_client(self, number: int) -> None:
        """Before a client gets this number, which no other gets, also after a restart."""
        if number >= self.clients:
            self.clients = number + CLIENTS_AT_ONCE
            self._write({"clients": encode(self.clients)})

    def decide(self, vouchers: Iterable[Voucher], state: Snapshot, account: ReconfigurationReport) -> None:
        """Before any voucher leaves: these, and the state that the next configuration begins with."""
        self._write({"decided": encode(ReconfigurationDecision(tuple(vouchers), account)), "served": encode(self.served)}, state)

    def issue(self, configuration: SignedConfiguration, mute: Iterable[str], state: Snapshot, since_ns: int = 0) -> None:
        """Before the configuration leaves, which begins with this state, and serves from then on: nothing is decided that is not in it."""
        self.served = msgspec.structs.replace(self.served, since_ns=since_ns)
        issued = Issued(configuration, tuple(mute), self._run)
        self._write({"issued": encode(issued), "decided": encode(None), "served": encode(self.served)}, state)

    def recover(self, configuration: SignedConfiguration, state: Snapshot, highest: int, is_decided: bool = False) -> None:
        """In a new log, all at once: what is known of the one that was lost; whether the state is what the next configuration begins with."""
        self.highest = highest
        number = configuration.statement.number
        decided = ReconfigurationDecision((), _account_of_the_lost(number)) if is_decided else None
        issued = Issued(configuration, (), self._run)
        self._write(
            {"highest": encode(highest), "issued": encode(issued), "decided": encode(decided), "served": encode(self.served)}, state
        )

    def _write(self, facts: dict[str, bytes], state: Snapshot | None = None) -> None:
        changed: dict[int, bytes] = {}
        if state is not None:
            facts = facts | {"state": encode(StateFact(state.digest(), state.outcomes))}
            present = dict(state.buckets)
            changed = {index: body for index, body in present.items() if self._parts.get(index) != body}
            changed |= dict.fromkeys(self._parts.keys() - present.keys(), b"")  # all of whose keys are gone
            self._parts = present
        self._disk.checkpoint({name: sealed(name, body) for name, body in facts.items()}, changed, 0)
        self._disk.reserve(reserved_for(self._parts))


def _account_of_the_lost(number: int) -> ReconfigurationReport:
    """Of what an Olympus had decided whose log is lost; no run tells of it."""
    return ReconfigurationReport(
        source=number,
        target=number + 1,
        requested_by="olympus",
        reason="its log was lost",
        blamed=None,
        quorums_tried=(),
        quorum=None,
        why_not=(),
        invalid_histories={},
        olympus_results=(),
        clock="",
        detected_ns=0,
        detected_ms=0.0,
        wedged_ms=None,
        caught_up_ms=None,
        fetched_ms=None,
        active_ms=None,
    )


class NoOlympusLog:
    """What Olympus keeps where nothing is durable: nothing. It has the same form."""

    era = first = clients = 0
    is_continued = False
    issued = decided = state = None
    served = Served()

    def __init__(self, seed: bytes) -> None:
        self.seed = seed

    def burn(self, number: int) -> int:
        return number

    def nothing(self, *_: object) -> None:
        pass

    owe = decide = issue = name_client = nothing

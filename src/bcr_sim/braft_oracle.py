"""What must hold at every step of a simulated run of Raft among liars, of all servers that do not lie (specification, 16.10).

Checked against the servers themselves. Certificates are checked here once more, and beside the servers runs a model, which executes what
is decided in the order of the log.
"""

from collections.abc import Callable
from typing import Any

from bcr.braft.promises import Certificate
from bcr.braft.replies import Agreed
from bcr.braft.standing import Standing, standing_of
from bcr.braft.term_starts import TermStart
from bcr.raft.log import BEGINNING, Entry
from bcr.raft.persistent import Stored
from bcr.signed.encoding import decode
from bcr.signed.pieces import Piece
from bcr.signed.signing import Keyring, Signed, SigningKey
from bcr.verdict.exchanges import Workloads
from bcr.verdict.model import Model
from bcr_sim.distalgo import Container
from bcr_sim.log_oracle import LogOracle

RESTING_ON_THE_STORE = ("append", "prepare", "commit", "start_vote", "start_term", "checkpoint")
PROVABLE = {"Equivocation", "WrongChain"}


class BraftOracle(LogOracle):
    """Watches the servers of one run; whoever `lies` is held to nothing, and of t+1 servers that sign the same one does not lie."""

    def __init__(self, workloads: Workloads, model: Model, lies: Callable[[Container], bool], t: int) -> None:
        super().__init__(workloads, model, lies)
        self._t = t
        self._circle = Keyring()
        self._term_starts: dict[int, tuple[Container, TermStart]] = {}  # by term, what a correct leader began it with
        self._prepared_digests: dict[tuple[int, int], bytes] = {}  # term and index -> the digest of which there is a certificate
        self._signed_digests: dict[tuple[str, int, int], bytes] = {}  # server, term and index -> what it holds there and has prepared
        self._ranks: set[tuple[int, int]] = set()  # term and index of each commit certificate that somebody had
        self._held_certificates: dict[str, tuple[Certificate | None, ...]] = {}  # by server, when last looked at
        self._valid_certificates: set[Certificate] = set()  # certificates that were checked
        self._standings: dict[Container, tuple[Stored, Standing]] = {}  # what was last read in a server's store

    # -- servers

    def handled(self, container: Container) -> None:
        """A server has taken a step."""
        if self._lies(container):
            return
        state = container.process._state
        self._circle = state.keys.circle
        self._check_certificates(container.name, state)
        self._check_prepared(container.name, state)
        self._check_continued(container.name, state)
        self._check_decided(container.name, state)
        self._check_append_only(container.name, state)
        self._check_accusations(container, state)

    def _check_accusations(self, container: Container, state: Any) -> None:
        """Nobody who does not lie is convicted of anything."""
        for notice in list(state.notices)[-2:]:
            if notice.kind in PROVABLE and notice.blamed is not None and not self._server_lies(notice.blamed, container):
                self.tell("false conviction", f"{container.name} convicts server {notice.blamed}, which does not lie: {notice.what}")

    def _check_certificates(self, name: str, state: Any) -> None:
        held = (state.highest, state.decided, state.checkpoint)
        before = self._held_certificates.get(name, (None, None, None))
        self._held_certificates[name] = held
        if state.decided is not None:
            self._ranks.add(state.decided.rank)
        for certificate, old in zip(held, before, strict=True):
            if certificate is None or certificate is old:
                continue
            if certificate not in self._valid_certificates:
                self._check_certificate(name, certificate)
                self._valid_certificates.add(certificate)
            if certificate is state.checkpoint:
                continue
            known = self._prepared_digests.setdefault(certificate.rank, certificate.statement.digest)
            if known != certificate.statement.digest:
                what = f"a certificate of another entry for term and index {certificate.rank} than somebody had"
                self.tell("one certificate", f"{name} has {what}")

    def _check_prepared(self, name: str, state: Any) -> None:
        """What a server takes to be prepared in its term its log holds."""
        if state.is_ready and state.highest is not None and state.highest.statement.term == state.term:
            place = state.log.at(state.highest.statement.index)
            if place is not None and place.digest != state.highest.statement.digest:
                self.tell("prepared entries", f"{name} takes another entry {place.index} to be prepared than its log holds")

    def _check_continued(self, name: str, state: Any) -> None:
        """A server that goes on in a term holds the entry that the term began behind, or a state that is further on."""
        if state.is_ready and state.begun is not None and state.begun.index > state.log.base.index:
            place = state.log.at(state.begun.index)
            if place is None or place.digest != state.begun.digest:
                self.tell("one log a term", f"{name} goes on in term {state.term} without entry {state.begun.index}, behind which it began")

    def _check_certificate(self, name: str, certificate: Certificate) -> None:
        key = SigningKey(bytes(32))
        valid = {
            signer
            for signer, signature in certificate.signatures
            if 0 <= signer < len(self._circle.replicas)
            and Signed(certificate.statement, signer, signature).is_authentic(key.author(self._circle.replicas[signer]))
        }
        if len(valid) < 2 * self._t + 1:
            self.tell("valid certificates", f"{name} goes by a certificate of {len(valid)} servers: {certificate.statement}")

    def _check_decided(self, name: str, state: Any) -> None:
        self._check_kept(name, state.commit_index, state.log)
        if state.commit_index > state.last_applied:
            self.tell("agreement", f"{name} has not executed what it knows to be decided, up to {state.commit_index}")

    def _check_append_only(self, name: str, state: Any) -> None:
        """What a server has signed for an index in a term it has not signed for another entry, whatever it holds now."""
        if not state.is_ready or state.store.is_dirty:
            return  # what is not in the store yet it has signed nothing of, and may end without
        first = 0 if state.begun is None else state.begun.index
        for index in range(state.log.last_index, max(first, state.log.base.index, 1) - 1, -1):
            place = state.log.at(index)
            known = self._signed_digests.get((name, state.term, index))
            if known == place.digest:
                break  # and so is everything before it
            if index > max(first, state.commit_index, self._certified_since(state)) and state.log.entry(index).term != state.term:
                self.tell("entries of the term", f"{name} has taken an entry of term {state.log.entry(index).term} in term {state.term}")
            if known is not None:
                self.tell("append only", f"{name} holds another entry {index} in term {state.term} than it held before")
            self._signed_digests[name, state.term, index] = place.digest

    def _certified_since(self, state: Any) -> int:
        """Up to where the log is what a later term than the server's has certified, which it may know before it knows of the term."""
        known = state.highest
        return 0 if known is None or known.statement.term <= state.term else int(known.statement.index)

    def begun(self, container: Container, start: TermStart) -> None:
        """A server begins a term: of one whose leader does not lie all begin it alike, and nothing that is decided is missing."""
        if self._lies(container):
            return
        signed = start.signed.statement
        term = signed.term
        if start.signed.signer != term % (3 * self._t + 1):
            self.tell("one leader", f"{container.name} lets server {start.signed.signer} lead in term {term}")
        if len({vote.signer for vote, _ in start.votes}) < 2 * self._t + 1:
            self.tell("one leader", f"{container.name} begins term {term} without a quorum of votes")
        if any(vote.statement.index and certificate is None for vote, certificate in start.votes):
            self.tell("valid certificates", f"{container.name} begins term {term} with a vote that shows no certificate")
        claims = [vote.statement for vote, _ in start.votes]
        highest_vote = max(claims, key=lambda vote: (vote.prepared_term, vote.index), default=None)
        if highest_vote is not None and (highest_vote.index, highest_vote.digest) != (signed.index, signed.digest):
            self.tell(
                "one log a term", f"{container.name} begins term {term} behind another entry than its votes ask for, {highest_vote.index}"
            )
        if start.log.entries and not start.log.holds(signed.index, signed.digest):
            self.tell("one log a term", f"{container.name} begins term {term} with a log that does not end with entry {signed.index}")
        if signed.index < len(self._final_entries) and self._decided_before(term, signed.index):
            self.tell(
                "leader completeness", f"{container.name} begins term {term} behind entry {signed.index}, and more was decided before"
            )
        elif 0 < signed.index <= len(self._final_entries) and not self._has(signed.index, signed.digest):
            self.tell("leader completeness", f"{container.name} begins term {term} with another entry {signed.index} than was decided")
        self._compare_starts(container, start, is_told=container.name != f"replica_{start.signed.signer}")

    def _compare_starts(self, container: Container, start: TermStart, is_told: bool) -> None:
        """All begin a term alike; what its leader has told nobody of it may forget, where its power goes while it is written down."""
        term, own = start.term, (container, start)
        first, known = self._term_starts.setdefault(term, own) if is_told else self._term_starts.get(term, own)
        if known.signed.statement != start.signed.statement and not self._server_lies(start.signed.signer, container):
            self.tell("one log a term", f"{container.name} begins term {term} with another log than {first.name}")

    def _decided_before(self, term: int, index: int) -> bool:
        """Whether an entry behind that index was decided in an earlier term; what a term decides it may have begun before."""
        return any(decided_term < term and decided_index > index for decided_term, decided_index in self._ranks)

    def _server_lies(self, position: int, container: Container) -> bool:
        return any(each.name == f"replica_{position}" and self._lies(each) for each in container.system.all())

    # -- what is decided

    def _add(self, container: Container, index: int, entry: Entry) -> None:
        before = self._final_entries[-1][0] if self._final_entries else BEGINNING.digest
        if entry.previous != before:
            self.tell("chain", f"{container.name} executed entry {index}, which does not follow the one before it")
        super()._add(container, index, entry)

    def sending(self, container: Container, message_name: str, kept: Stored, payload: bytes) -> None:
        """A server sends something that rests on its term, its vote, its certificate or its log: those must be in its store."""
        if self._lies(container) or message_name not in RESTING_ON_THE_STORE:
            return
        state = container.process._state
        standing = self._standing_in(container, kept)
        end = kept.entries[-1].digest if kept.entries else kept.base.digest
        own = Standing(state.term, state.is_started, state.highest, state.begun, state.checkpoint)
        if standing != own or end != state.log.last.digest:
            self.tell("persistence", f"{container.name} sends {message_name} that rests on what its store does not hold")
        elif message_name == "start_term":
            self._check_start(container, standing, decode(Piece, payload))

    def _standing_in(self, container: Container, kept: Stored) -> Standing:
        """What a store holds of terms, which is made out again only where that is another than the last time."""
        known = self._standings.get(container)
        if known is None or known[0] is not kept:
            known = self._standings[container] = kept, standing_of(kept)
        return known[1]

    def _check_start(self, container: Container, standing: Standing, piece: Piece) -> None:
        """How a term begins is in the store before anybody hears it, unless the server is in a later one by now."""
        if piece.manifest.statement.count > 1:
            return  # which has to be put together first, and is the same message
        start = decode(TermStart, piece.data)
        self._compare_starts(container, start, is_told=True)
        is_kept = standing.is_started and standing.begun is not None and standing.begun.signed.statement == start.signed.statement
        if not is_kept and standing.term <= start.term:
            self.tell("persistence", f"{container.name} sends how term {start.term} begins, and its store does not hold that")

    # -- clients

    def accepted(self, who: str, agreed: Agreed) -> None:
        """A client accepts a result: it is what the request gave where it stands in the log."""
        said, outcome = agreed.replies[0].statement, agreed.outcome
        model_outcome = self._model.executed.get((said.client, said.number))
        if model_outcome != (outcome.place, outcome.results):
            self.tell("results", f"{who}, request {said.number}: accepted {outcome.results} at {outcome.place}, and it was {model_outcome}")

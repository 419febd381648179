"""The log of a server of Raft against a simple model of it (specification, 14.2, 14.7, 14.8, 14.10; paper, Figure 2 and 5.3)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bcr.objects.dictionary import Operation
from bcr.raft.configured_log import ConfiguredLog
from bcr.raft.log import BEGINNING, Conflict, Entry, Position, demand_chain
from bcr.raft.persistent import MemoryStore
from bcr.signed.statements import Request
from bcr.signed.violations import MalformedMessage

FIRST = (0, 1, 2)
MEMBERS = st.one_of(st.none(), st.none(), st.sampled_from([(0, 1), (0, 1, 2, 3), (1, 2, 3)]))


def requests(size):
    return () if size == 0 else (Request(0, size, (Operation("put", "k", "x" * size),)),)


class Model:
    """What a log holds, as a list of entries by index, and a snapshot: each question is answered by looking at all of it."""

    def __init__(self):
        self.store = MemoryStore()
        self.log = ConfiguredLog(self.store, FIRST)
        self.base, self.entries = BEGINNING, {}  # by index, from the one behind the base
        self.known = {}  # entries by index, also those that were cut
        self.snapshot_at, self.snapshot_members = BEGINNING, FIRST
        self.term = 1

    @property
    def last_index(self):
        return self.base.index + len(self.entries)

    def place(self, index):
        if index == self.base.index:
            return self.base
        entry = self.entries.get(index)
        return None if entry is None else Position(index, entry.term, entry.digest)

    def digest(self, index):
        return self.known[index].digest if index in self.known else self.place(index).digest

    # -- what happens to it

    def append(self, size, members):
        index = self.last_index + 1
        self.entries[index] = self.known[index] = self.log.append(self.term, requests(size), members)

    def take(self, data):
        """A leader's message: entries from some index on, of which the first are held already, and others of its own."""
        lowest = self.base.index
        while lowest in self.known and lowest > self.base.index - 2:
            lowest -= 1  # it may say again what a snapshot has replaced meanwhile
        previous = data.draw(st.integers(lowest, self.last_index))
        fork = data.draw(st.integers(max(previous, self.snapshot_at.index), self.last_index))
        old = [self.known[index] for index in range(previous + 1, fork + 1)]
        new, before = [], self.digest(fork)
        for size, members in data.draw(st.lists(st.tuples(st.integers(0, 9), MEMBERS), max_size=3)):
            new.append(Entry(before, self.term, requests(size), members))
            before = new[-1].digest
        changed = next((index for index, entry in enumerate(new, fork + 1) if self.entries.get(index) != entry), None)
        assert self.log.take(previous, [*old, *new]) == changed
        if changed is not None:
            self.entries = {index: entry for index, entry in self.entries.items() if index < changed}
            self.entries |= {index: entry for index, entry in enumerate(new, fork + 1) if index >= changed}
            self.known = {index: entry for index, entry in self.known.items() if index < changed} | self.entries

    def replace(self, data):
        index = data.draw(st.integers(max(self.snapshot_at.index, self.base.index), self.last_index))
        kept = data.draw(st.integers(0, 4))
        self.log.replace(index, b"state", kept)
        self.snapshot_members = self.members_at(index)[1]
        self.snapshot_at = self.place(index)
        self.cut(max(self.base.index, index - kept))

    def install(self, data):
        index = data.draw(st.integers(max(self.snapshot_at.index, self.base.index) + 1, self.last_index + 2))
        own = self.place(index)
        members = data.draw(st.sampled_from([(0, 1), (0, 1, 3), (2, 3, 4)]))
        if own is not None and data.draw(st.booleans()):
            members = self.members_at(index)[1]  # its log is the leader's up to there
            last = own
            kept = {each: entry for each, entry in self.entries.items() if each > index}
        else:
            last, kept = Position(index, self.term, bytes([self.term]) * 32), {}
        self.log.install_with(last, b"state", members)
        self.base = self.snapshot_at = last
        self.entries, self.snapshot_members = kept, members
        self.known = dict(kept) if own != last else self.known

    def cut(self, index):
        self.base = self.place(index)
        self.entries = {each: entry for each, entry in self.entries.items() if each > index}

    def forget(self, count):
        """As only a server that lies does; here it lies of nothing that a snapshot holds."""
        if self.base != self.snapshot_at:
            count = min(count, self.last_index - self.snapshot_at.index)
        self.log.forget(count)
        last = max(self.base.index, self.last_index - count)
        self.entries = {each: entry for each, entry in self.entries.items() if each <= last}
        self.known = {each: entry for each, entry in self.known.items() if each <= last}

    def restart(self):
        self.log = ConfiguredLog(self.store, FIRST)

    # -- what it is asked

    def members_at(self, index):
        """The latest entry up to there that says who decides, behind the snapshot, or that."""
        said = [(each, entry.members) for each, entry in self.entries.items() if self.snapshot_at.index < each <= index and entry.members]
        return max(said) if said else (self.snapshot_at.index, self.snapshot_members)

    def terms_before(self, index):
        """From where on the entries up to there have the term of the one there."""
        first = index
        while first - 1 in self.entries and self.entries[first - 1].term == self.place(index).term:
            first -= 1
        return first

    def check(self):
        log = self.log
        assert (log.base, log.entries, len(log)) == (
            self.base,
            tuple(self.entries[each] for each in sorted(self.entries)),
            len(self.entries),
        )
        assert (log.last_index, log.last) == (self.last_index, self.place(self.last_index))
        assert (log.members_index, log.members) == self.members_at(self.last_index)
        assert (log.snapshot_at, log.snapshot_members) == (self.snapshot_at, self.snapshot_members)
        for index in range(max(0, self.base.index - 2), self.last_index + 3):
            place = self.place(index)
            assert log.at(index) == place
            assert not log.matches(Position(index, 9, b"other")) or index < self.base.index
            assert place is None or log.matches(place)
            if index < self.base.index:
                assert log.matches(Position(index, 1, bytes(32)))  # a snapshot has replaced it: it was committed
            elif place is None:
                assert log.conflict_at(index) == Conflict(None, self.last_index + 1)
            elif index > self.base.index:
                assert log.entry(index) == self.entries[index]
                assert log.conflict_at(index) == Conflict(place.term, self.terms_before(index))
        for term in range(self.term + 2):
            of_term = [index for index, entry in self.entries.items() if entry.term == term]
            assert log.next_index(Conflict(term, 5)) == (max(of_term) + 1 if of_term else 5)
        assert log.next_index(Conflict(None, self.last_index)) == self.last_index


STEPS = st.lists(
    st.sampled_from(["append", "append", "append", "take", "take", "take", "term", "replace", "install", "forget", "restart"]),
    min_size=3,
    max_size=25,
)


@given(STEPS, st.data())
def test_the_log_is_what_was_put_into_it_whatever_conflicts_and_snapshots_take_away(steps, data):
    model = Model()
    for step in steps:
        if step == "term":
            model.term += 1
        elif step == "append":
            model.append(data.draw(st.integers(0, 9)), data.draw(MEMBERS))
        elif step == "forget":
            model.forget(data.draw(st.integers(1, 4)))
        elif step == "restart":
            model.restart()
        else:
            getattr(model, step)(data)
        model.check()
    model.restart()
    model.check()


@given(st.lists(st.integers(0, 20), min_size=1, max_size=8), st.integers(0, 3), st.data())
def test_a_message_holds_many_entries_and_no_more_than_so_many_and_so_large_together(sizes, cut, data):
    log = ConfiguredLog(MemoryStore(), FIRST)
    for size in sizes:
        log.append(1, requests(size))
    log.cut(min(cut, len(sizes)))
    first = data.draw(st.integers(log.base.index + 1, log.last_index + 1))
    most = data.draw(st.integers(1, 9))
    whole = log.entries[first - log.base.index - 1 :]
    exactly = sum(entry.size for entry in whole[: data.draw(st.integers(0, len(whole)))])
    most_bytes = exactly + data.draw(st.sampled_from([-1, 0, 0, 1, 1_000]))
    expected = [count for count in range(len(whole) + 1)
                if count <= most and (count <= 1 or sum(entry.size for entry in whole[:count]) <= most_bytes)]  # fmt: skip
    assert log.behind(first, most, most_bytes) == whole[: max(expected)]


def test_a_configuration_of_entries_that_a_snapshot_replaced_does_not_count():
    """The log is another one than the leader's: what stood in it behind the snapshot's place is gone with it."""
    log = ConfiguredLog(MemoryStore(), FIRST)
    for members in (None, (0, 1), None, (0, 1, 3), None):
        log.append(1, (), members)
    log.install_with(Position(3, 2, bytes(32)), b"state", (0, 2))
    assert (log.last_index, log.members_index, log.members) == (3, 3, (0, 2))


def test_a_server_that_restarts_goes_by_its_snapshot_where_no_entry_behind_that_says_who_decides():
    store = MemoryStore()
    log = ConfiguredLog(store, FIRST)
    for members in (None, (0, 1), (0, 1, 3), None):
        log.append(1, (), members)
    log.replace(4, b"state", 3)
    for each in (log, ConfiguredLog(store, FIRST)):
        assert (each.base.index, each.members_index, each.members) == (1, 4, (0, 1, 3))


def test_what_is_there_already_stays_with_what_is_behind_it():
    log = ConfiguredLog(MemoryStore(), FIRST)
    entries = [log.append(1, requests(size)) for size in range(1, 5)]
    assert log.take(0, entries) is None
    assert log.take(0, entries[:2]) is None
    log.cut(2)
    assert log.take(0, entries) is None  # an old message, of entries that a snapshot has replaced meanwhile
    assert log.take(0, entries[:2]) is None
    assert log.entries == tuple(entries[2:])


def test_a_liar_forgets_no_more_than_it_has_and_not_for_a_while_only():
    store = MemoryStore()
    log = ConfiguredLog(store, FIRST)
    for members in (None, (0, 1), None, (0, 1, 3), None):
        log.append(1, (), members)
    log.forget(3)
    assert (log.last_index, log.members) == (2, (0, 1))
    assert ConfiguredLog(store, FIRST).last_index == 2
    log.forget(9)
    assert (log.last_index, log.members, ConfiguredLog(store, FIRST).last_index) == (0, FIRST, 0)


def test_terms_do_not_fall_along_a_log():
    first = Entry(BEGINNING.digest, 2, ())
    demand_chain(BEGINNING, [first, Entry(first.digest, 2, ()), Entry(Entry(first.digest, 2, ()).digest, 3, ())])
    with pytest.raises(MalformedMessage, match="an entry of term 1 behind one of term 2"):
        demand_chain(BEGINNING, [first, Entry(first.digest, 1, ())])


def test_before_the_first_entry_index_and_term_are_0():
    assert (BEGINNING.index, BEGINNING.term, BEGINNING.digest) == (0, 0, bytes(32))
    assert ConfiguredLog(MemoryStore(), FIRST).last == BEGINNING


def test_an_entry_that_changes_no_members_has_the_digest_that_disks_from_before_have():
    assert Entry(bytes(32), 1, ()).digest.hex() == "3ba4c491dbbd904b7411b9b34a3810be75500521625f6864d117a48c8ddff45a"

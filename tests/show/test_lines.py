"""Logs are read back as they were written, and what was sent is joined to what was received."""

from hypothesis import given
from hypothesis import strategies as st

from bcr_run.log_lines import Clock, Line, event_of, parse
from bcr_runtime.journal import Journal
from bcr_show.joining import join
from bcr_show.run_reading import read_run

NAMES = st.sampled_from(["client", "number", "what"])
VALUES = st.text(max_size=40)


@given(values=st.dictionaries(NAMES, VALUES))
def test_a_line_gives_back_every_value_that_was_written_whatever_it_holds(tmp_path_factory, values):
    path = tmp_path_factory.getbasetemp() / "replica_0-configuration_1.log"
    path.unlink(missing_ok=True)
    journal = Journal(path, "human", 1_000_000_000)
    journal.step("happened", **values)
    journal.close()
    [text] = path.read_text(encoding="utf-8").split("\n")[:-1]
    line = parse(text, 0, "another", 0)
    assert event_of(text) == line.event == "happened"
    assert line.process == "replica_0-configuration_1"
    assert line.values == values


def test_times_are_read_to_the_microsecond_and_what_is_none_is_none():
    clock = Clock()
    assert clock.read("time=1970-01-01T00:00:01.000002+00:00 process=a event=b") == 1_000_002_000
    assert clock.read("time=1970-01-01T00:00:01.5 process") is None
    assert clock.read("Traceback (most recent call last):") is None
    assert clock.read("time=9999-01-01T00:00:01.000002+00:00 process=a event=b") is None
    assert clock.read("time=0001-01-01T00:00:01.000002+00:00 process=a event=b") is None
    assert clock.read("") is None


def line(at_ns, process, event, place=0, **values):
    return Line(at_ns, process, event, {name.rstrip("_"): value for name, value in values.items()}, place)


def fates(*lines):
    return [(arrow.sender, arrow.receiver, arrow.fate) for arrow in join(lines)]


def test_a_message_is_joined_to_its_receipt_by_identity_and_receiver():
    sent = line(1, "client_0", "sent", message="client_request", to="replica_0", id="aa")
    same_to_another = line(2, "client_0", "sent", message="client_request", to="replica_1", id="aa")
    received = line(3, "replica_1-configuration_0", "received", message="client_request", id="aa")
    assert fates(sent, same_to_another, received) == [
        ("client_0", "replica_0", "not received"), ("client_0", "replica_1-configuration_0", ""),
    ]  # fmt: skip


def test_a_message_to_several_arrives_at_each_of_them():
    sent = line(1, "client_0", "sent", message="client_request", to="all replicas", id="aa")
    received = [line(2 + place, f"replica_{place}-configuration_0", "received", message="client_request", id="aa") for place in range(3)]
    assert fates(sent, *received) == [("client_0", f"replica_{place}-configuration_0", "") for place in range(3)]


def test_what_is_sent_twice_is_received_twice_and_never_before_it_was_sent():
    replica = "replica_0-configuration_0"
    early = line(0, replica, "received", message="ready", id="aa")
    sent = [line(at_ns, "olympus", "sent", message="ready", to="replica_0", id="aa") for at_ns in (1, 2)]
    received = [line(at_ns, replica, "received", message="ready", id="aa") for at_ns in (3, 4, 5)]
    assert fates(early, *sent, *received) == [
        (None, replica, "of nobody"), ("olympus", replica, ""), ("olympus", replica, ""), ("olympus", replica, "received again")
    ]  # fmt: skip


def test_what_is_sent_again_to_another_of_the_same_name_is_what_that_one_received():
    sent = [line(at_ns, "client_0", "sent", message="client_request", to="replica_0", id="aa") for at_ns in (1, 5)]
    received = [line(at_ns, f"replica_0-configuration_{number}", "received", message="client_request", id="aa")
                for number, at_ns in ((0, 2), (1, 6))]  # fmt: skip
    assert [arrow.sent_ns for arrow in join(sorted([*sent, *received], key=lambda each: each.at_ns))] == [1, 5]


def test_what_no_log_says_was_sent_is_of_nobody():
    received = line(3, "replica_1-configuration_0", "received", message="shuttle", id="bb")
    assert fates(received) == [(None, "replica_1-configuration_0", "of nobody")]


def test_what_the_simulator_lost_changed_or_made_up_is_told():
    liar, victim = "replica_0-configuration_0", "replica_1-configuration_0"
    lines = [
        line(1, liar, "sent", message="shuttle", to="replica_1", id="aa"),
        line(1, "simulator", "changed", message="shuttle", from_=liar, to=victim, id="aa", becomes="bb"),
        line(2, victim, "received", message="shuttle", id="bb"),
        line(3, liar, "sent", message="shuttle", to="replica_1", id="cc"),
        line(3, "simulator", "lost", message="shuttle", from_=liar, to=victim, id="cc"),
        line(4, "simulator", "made_up", message="shuttle", from_=liar, to=victim, id="dd"),
        line(5, victim, "received", message="shuttle", id="dd"),
    ]
    assert fates(*lines) == [(liar, victim, "changed"), (liar, "replica_1", "lost"), (liar, victim, "made up")]


def test_every_message_of_a_run_whose_links_lose_nothing_is_joined(lying_tail):
    arrows = join(read_run(lying_tail).lines)
    assert len(arrows) > 50
    # The last may be under way when the run ends.
    last_ns = max(arrow.received_ns for arrow in arrows if arrow.received_ns is not None)
    assert {arrow.fate for arrow in arrows if arrow.sent_ns is None or arrow.sent_ns < last_ns - 5_000_000} == {""}

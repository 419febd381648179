"""What replicas do that send what a correct one would not: that each word of a scenario file does what it says."""

import shlex
from itertools import pairwise

import pytest

from bcr.faults.vocabulary import FAILURES, MESSAGES, TRIGGERS
from bcr.scenario.reading import parse_scenario
from bcr_sim.simulated_run import simulate

WORK = "put('k','a'); append('k','b'); append('k','c'); get('k')"
SHORT = {"client_timeout": 300, "head_timeout": 300, "nonhead_timeout": 300, "olympus_timeout": 1000, "wedge_grace": 100}


class Played:
    """A simulated run, with what its processes logged and which messages came from whom to whom."""

    def __init__(self, folder, failures, simulation="seed(1); delay(1000,1000)", work=(WORK,), **keys):
        lines = [f"{name} = {value}" for name, value in ({"t": 1, "num_client": len(work)} | SHORT | keys).items()]
        lines += [f"workload[{client}] = {each}" for client, each in enumerate(work)]
        lines += [f"failures[{place}] = {pairs}" for place, pairs in failures.items()]
        scenario, _ = parse_scenario("\n".join([*lines, f"simulation = {simulation}", ""]), "played.config")
        self.folder = folder
        self.outcome = simulate(scenario, folder=folder, keeps_steps=True)
        self.result = self.outcome.result

    def log(self, process, **values):
        """The lines of a process's log that have these values; a replica without a number is of configuration 0."""
        name = f"{process}-configuration_0" if process.startswith("replica") and "-" not in process else process
        lines = (self.folder / f"{name}.log").read_text().splitlines()
        read = (dict(part.partition("=")[::2] for part in shlex.split(line)) for line in lines)
        return [line for line in read if line.items() >= {name: str(value) for name, value in values.items()}.items()]

    def messages(self, name, sender, receiver):
        return [step for step in self.outcome.steps or () if (step.message, step.sender, step.receiver) == (name, sender, receiver)]

    @property
    def reasons(self):
        return [change["reason"] for change in self.result["reconfigurations"]]


@pytest.fixture
def play(tmp_path):
    def played(failures, **keys):
        return Played(tmp_path, failures, **keys)

    return played


# -- every word, whatever triggers it

NEW = [name for name in list(FAILURES)[list(FAILURES).index("answer_early") :] if not FAILURES[name].not_simulated]
MET_BY = {"client_request": (0, "0,1"), "forwarded_request": (0, "0,0"), "shuttle": (1, "0,1"), "result_shuttle": (1, "0,1"),
          "checkpoint": (1, "0"), "completed_checkpoint": (1, "0"), "wedge_request": (2, "0"), "catch_up": (0, "0"),
          "get_running_state": (0, "0"), "new_configuration": (1, "0"), "reconfiguration": (1, "0"), "after": (2, "5")}  # fmt: skip
ARGUMENTS = {"number": "2", "message": "caught_up"}


@pytest.mark.parametrize("failure", NEW)
def test_whatever_triggers_a_word_it_is_met_and_strikes_somewhere_and_no_process_stumbles(play, failure):
    struck = []
    assert set(MET_BY) == set(TRIGGERS)
    arguments = ",".join(ARGUMENTS[kind] for kind in FAILURES[failure].arguments)
    keys = {"authentication": "hmac"} if failure == "useless_macs" else {}
    for trigger, (position, counts) in MET_BY.items():
        number = int(trigger == "new_configuration")
        pair = f"{trigger}({counts}),{failure}({arguments})"
        # It asks for the next configuration by itself; and of a request that is forwarded the head hears late.
        is_late = trigger == "forwarded_request"
        asking = f"after({330 if is_late else 25}),ask()"
        faults = {f"0,{position}": asking}
        faults[f"{number},{position}"] = pair if number else f"{pair}; {asking}"
        simulation = "seed(3); delay(500,2000)" + ("; cut(client_0,replica_0,0,40)" if is_late else "")
        run = play(faults, simulation=simulation, checkpt_interval=2, work=("pseudorandom(1,8)", "pseudorandom(2,8)"), **keys)
        assert not [breach for breach in run.outcome.breaches if breach.startswith("error")], trigger
        assert pair in [each["fault"] for each in (*run.result["faults_injected"], *run.result["faults_armed"])], trigger
        struck += [each["fault"] for each in run.result["faults_injected"] if each["fault"] == pair]
    assert struck


# -- slots that are kept from others


def test_an_early_answer_has_the_statements_at_hand_and_the_slot_goes_nowhere_and_is_forgotten(play):
    run = play({"0,1": "shuttle(0,1),answer_early(1); shuttle(0,1),ask()"})
    assert run.log("replica_1", event="hidden", slot=1, how="answer_early")
    assert run.log("replica_1", event="sent", message="result_message", number=1, slot=1)
    assert run.log("client_0", event="received", message="result_message", number=1, slot=1, configuration=0)
    assert not run.log("replica_2", event="received", message="shuttle", slot=1)
    assert run.log("replica_1", event="forgot", slot=1)
    assert run.log("replica_1", event="immutable", slots=1, history=1)
    assert run.log("replica_0", event="immutable", slots=2, history=2)


def test_what_is_forgotten_is_forgotten_in_the_state_too(play):
    """Caught up without the slot, its digest is that of the replica which never had it: no lie that would show."""
    run = play({"0,1": "shuttle(0,1),answer_early(1); shuttle(0,1),ask()"}, simulation="seed(1); delay(1000,1000); pause(replica_0,21,900)")
    [change] = run.result["reconfigurations"]
    assert change["quorum"] == (1, 2)
    assert change["why_not"] == ()


def test_early_answers_are_as_many_as_the_word_says(play):
    work = ("put('a','b'); put('c','d'); put('e','f')",)
    run = play({"0,1": "shuttle(0,0),answer_early(2)"}, work=work, client_window=3)
    assert [line["slot"] for line in run.log("replica_1", event="hidden")] == ["0", "1"]
    assert run.log("replica_2", event="received", message="shuttle", slot=2, configuration=0)
    assert "Hole" in {notice["kind"] for notice in run.result["notices"]}


def test_an_immutable_replica_goes_on_answering_in_the_old_configuration(play):
    """The head hears late that it is over, and a client where it goes on: so the past has two witnesses, and a customer."""
    holds = "hold(olympus,replica_0,60,2000); hold(olympus,client_0,60,2000)"
    run = play(
        {"0,1": "shuttle(0,10),ask(); wedge_request(0),answer_early(1000)"},
        work=("pseudorandom(1,600)", "pseudorandom(2,600)"),
        simulation=f"seed(1); delay(1000,1000); {holds}",
    )  # fmt: skip
    [wedged] = run.log("replica_1", event="immutable")
    answered = [int(line["slot"]) for line in run.log("replica_1", event="answered_from_the_past")]
    assert answered == list(range(int(wedged["slots"]), int(wedged["slots"]) + len(answered)))
    assert answered
    received = run.log("client_0", event="received", message="result_message", configuration=0)
    assert set(answered) & {int(line["slot"]) for line in received}
    assert run.log("replica_1", event="outlives_its_end")


def test_the_answers_of_the_past_are_as_many_as_the_word_says_and_then_it_ends(play):
    holds = "hold(olympus,replica_0,60,2000); hold(olympus,client_0,60,2000)"
    run = play(
        {"0,1": "shuttle(0,30),ask(); wedge_request(0),answer_early(3)"}, work=("pseudorandom(1,80)", "pseudorandom(2,80)"),
        simulation=f"seed(1); delay(1000,1000); {holds}", client_window=3,
    )  # fmt: skip
    assert len(run.log("replica_1", event="answered_from_the_past")) == 3
    assert not run.log("replica_1", event="outlives_its_end")


def test_accomplices_answer_a_slot_for_which_neither_has_enough_statements_and_both_forget_it(play):
    run = play({"0,0": "client_request(0,1),answer_early(1)", "0,2": "shuttle(0,1),answer_early(1); shuttle(0,1),ask()"}, t=2)
    assert run.log("replica_0", event="sent", message="shuttle", slot=1)
    assert run.log("client_0", event="received", message="result_message", number=1, slot=1, configuration=0)
    assert run.log("replica_2", event="hidden", slot=1, how="answer_early")
    assert not run.log("replica_3", event="received", message="shuttle", slot=1)
    for liar in (0, 2):
        assert run.log(f"replica_{liar}", event="immutable", slots=1, history=1)
    assert run.log("replica_1", event="immutable", slots=2, history=2)


def test_a_bounced_shuttle_goes_back_as_a_result_shuttle_and_nowhere_else(play):
    run = play({"0,1": "shuttle(0,1),bounce_result(1); shuttle(0,2),ask()"})
    assert run.log("replica_1", event="hidden", slot=1, how="bounce_result")
    assert run.log("replica_0", event="received", message="result_shuttle", slot=1)
    assert not run.log("replica_2", event="received", message="shuttle", slot=1)
    assert run.log("replica_1", event="immutable", slots=1)


def test_a_bounced_checkpoint_goes_back_as_completed_and_nowhere_else(play):
    run = play({"0,1": "checkpoint(1),bounce_checkpoint()"}, checkpt_interval=1)
    assert run.log("replica_0", event="received", message="completed_checkpoint", slot=1, configuration=0)
    assert not run.log("replica_2", event="received", message="checkpoint", slot=1)
    assert run.log("replica_2", event="received", message="checkpoint", slot=0)


# -- what is asked, told and not told


def test_who_asks_without_a_reason_gets_a_new_configuration(play):
    run = play({"0,1": "shuttle(0,1),ask()"})
    assert run.outcome.breaches == ()
    [change] = run.result["reconfigurations"]
    assert change["requested_by"] == "replica_1"
    assert change["reason"] == "it asks without a reason"


def test_garbage_goes_to_each_other_replica(play):
    run = play({"0,0": "client_request(0,1),garbage(3)"})
    good = 4
    assert len(run.messages("shuttle", "replica_0", "replica_2")) == 3
    assert len(run.messages("shuttle", "replica_0", "replica_1")) >= 3
    assert run.result["operations"] == good


@pytest.mark.parametrize("trigger", ["reconfiguration(0)", "after(0)"])
def test_olympus_never_gets_a_ready_that_is_withheld_from_the_start(play, trigger):
    run = play({"0,2": f"{trigger},withhold_ready()"})
    assert run.outcome.breaches == ()
    is_early = trigger == "reconfiguration(0)"
    assert bool(run.log("olympus", event="not_all_active", missing="replica_2")) == is_early
    assert bool(run.log("replica_2", event="withheld", message="ready")) == is_early


def test_clients_get_nothing_from_who_is_mute_to_them(play):
    run = play({"0,2": "shuttle(0,1),mute_clients()"})
    assert run.outcome.breaches == ()
    assert len(run.messages("result_message", "replica_2", "client_0")) == 1 + len(
        list(run.log("replica_2-configuration_1", event="sent", message="result_message"))
        if (run.folder / "replica_2-configuration_1.log").exists()
        else []
    )
    assert run.log("replica_2", event="withheld", message="result_message")
    assert run.result["operations"] == 4


@pytest.mark.parametrize(
    ("failure", "ignored", "heeded"),
    [
        ("drop_all()", {"shuttle"}, {"checkpoint"}),
        ("no_checkpoints()", {"checkpoint"}, {"shuttle"}),
    ],
)
def test_who_ignores_messages_ignores_those_of_its_word(play, failure, ignored, heeded):
    run = play({"0,2": f"reconfiguration(0),{failure}"}, checkpt_interval=1)
    found = {line["message"] for line in run.log("replica_2", event="ignored", mode="by its fault")}
    assert ignored <= found
    assert not heeded & found


def test_who_ignores_result_shuttles_passes_none_on(play):
    run = play({"0,1": "reconfiguration(0),no_result_shuttles()"})
    assert run.log("replica_1", event="ignored", mode="by its fault", message="result_shuttle")
    assert not run.log("replica_0", event="received", message="result_shuttle", configuration=0)


def test_a_head_that_drops_all_drops_requests(play):
    run = play({"0,0": "after(0),drop_all()"})
    assert run.outcome.breaches == ()
    assert run.log("replica_0", event="ignored", message="client_request", mode="by its fault")
    assert len(run.reasons) == 1


def test_a_configuration_that_is_misdirected_names_the_liar_as_every_client(play):
    run = play({"0,0": "reconfiguration(0),misdirect()"}, simulation="seed(1); delay(1000,1000); hold(olympus,replica_2,0,60)")
    assert run.messages("configuration", "replica_0", "replica_1")
    assert run.messages("configuration", "replica_0", "replica_2")
    assert run.result["operations"] == 4


def test_liars_that_misdirect_each_other_begin_once_with_each_configuration(play):
    """A configuration that comes again, from whoever has it, is no other one: each would answer the other's without end."""
    run = play({"0,0": "reconfiguration(0),misdirect()", "0,1": "reconfiguration(0),misdirect()"}, t=2)
    assert run.outcome.breaches == ()
    assert [len(run.log(f"replica_{liar}", event="fault_injected")) for liar in (0, 1)] == [1, 1]


# -- histories, and catching up


@pytest.mark.parametrize("count, claimed", [(1, ["0:2"]), (2, ["0:2", "0:1"]), (3, ["0:2", "0:1"])])
def test_a_longer_wedged_history_has_as_many_of_the_requests_that_were_dropped_as_said(play, count, claimed):
    """Each once, for a history that orders one twice is not valid: and so no more than there are."""
    dropped = "client_request(0,1),drop(); client_request(0,2),drop(); client_request(0,2),ask()"
    run = play({"0,0": f"{dropped}; wedge_request(0),extend_wedged({count})"}, client_window=2)
    assert run.outcome.breaches == ()
    assert run.log("olympus", event="trying", slots=1 + len(claimed))
    [change] = run.result["reconfigurations"]
    assert change["invalid_histories"] == {}
    assert change["quorum"] == (0, 1)
    executed = [line["requests"] for line in run.log("replica_1", event="executed")]
    assert executed == ["0:0", *claimed]


def test_who_knows_nothing_but_what_its_history_has_claims_it_again_and_has_no_valid_history(play):
    run = play({"0,0": "client_request(0,1),ask(); wedge_request(0),extend_wedged(3)"})
    assert run.outcome.breaches == ()
    [change] = run.result["reconfigurations"]
    assert "SecondOrder" in change["invalid_histories"]["replica_0"]


def test_slots_that_only_a_replica_in_the_middle_ordered_are_no_valid_history(play):
    run = play({"0,1": "shuttle(0,1),ask(); wedge_request(0),extend_wedged(1)"})
    assert run.outcome.breaches == ()
    [change] = run.result["reconfigurations"]
    assert "replica_1" in change["invalid_histories"]


def test_a_lie_about_the_digest_lasts_for_so_many_attempts(play):
    run = play({"0,0": "client_request(0,1),ask(); wedge_request(0),lie_caught_up(1)"})
    assert run.outcome.breaches == ()
    [change] = run.result["reconfigurations"]
    assert len(change["quorums_tried"]) == 2
    assert "running states differ" in str(change["why_not"])


def test_the_first_catch_up_goes_on_to_all_others_a_millisecond_apart(play):
    run = play({"0,1": "wedge_request(0),replay_catch_up(5); shuttle(0,1),ask()"})
    for receiver in ("replica_0", "replica_2"):
        steps = run.messages("catch_up", "replica_1", receiver)
        assert len(steps) == 5
        pauses_us = [later.sent_us - sooner.sent_us for sooner, later in pairwise(steps)]
        assert all(1_000 <= pause_us <= 1_010 for pause_us in pauses_us)
    assert run.outcome.breaches == ()


def test_the_head_spins(play):
    run = play({"0,0": "client_request(0,2),spin(7)"})
    spun = [line["slot"] for line in run.log("replica_0", event="executed", requests="0:1")]
    assert spun == [str(slot) for slot in range(1, 9)]
    assert len(run.messages("shuttle", "replica_0", "replica_1")) >= 9


def test_who_is_not_the_head_spins_nothing(play):
    run = play({"0,1": "shuttle(0,2),spin(7)"})
    assert run.outcome.breaches == ()
    assert run.result["reconfigurations"] == []


# -- others' names, and others' words


def test_macs_that_no_client_finds_right_convince_all_replicas(play):
    run = play({"0,1": "reconfiguration(0),useless_macs()"}, authentication="hmac")
    assert {notice["by"] for notice in run.result["notices"]} <= {"client_0", "olympus"}
    assert run.log("replica_0", event="received", message="result_shuttle", slot=0)


NOT_SENT = {"voucher", "stale", "complaint", "control"}


@pytest.mark.parametrize("kind", [kind for kind in MESSAGES if kind not in NOT_SENT])
@pytest.mark.parametrize("position", [0, 1, 2])
def test_what_is_forged_arrives_and_convinces_nobody(play, kind, position):
    run = play({f"0,{position}": f"after(3),forge({kind})"}, work=(WORK, "pseudorandom(1,20)"))
    assert run.log(f"replica_{position}", event="forged", message=kind)
    assert any(step.sender == f"replica_{position}" for step in run.outcome.steps if step.message == kind)
    assert run.outcome.breaches == ()
    assert run.result["operations"] == 24


@pytest.mark.parametrize("kind", ["wedge_request", "catch_up", "configuration", "reconfiguration_request", "wedged"])
def test_an_old_message_is_sent_again_in_the_next_configuration_and_heeded_by_nobody(play, kind):
    run = play({"0,1": "shuttle(0,1),ask()", "1,1": f"shuttle(0,0),replay_old({kind})"}, work=("pseudorandom(1,20)",))
    assert run.outcome.breaches == ()
    [line] = run.log("replica_1-configuration_1", event="replayed", message=kind)
    assert int(line["messages"]) == 1
    assert len(run.result["reconfigurations"]) == 1


def test_an_old_attempts_catch_up_is_sent_again(play):
    liars = "wedge_request(0),lie_caught_up(1)"
    run = play({"0,0": f"client_request(0,1),ask(); {liars}; catch_up(1),replay_old(catch_up)"})
    assert run.log("replica_0", event="replayed", message="catch_up", messages=1)


def test_nothing_old_is_sent_where_there_is_none(play):
    run = play({"0,1": "shuttle(0,1),replay_old(wedge_request)"})
    assert run.log("replica_1", event="replayed", messages=0)
    assert run.outcome.breaches == ()

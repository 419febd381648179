"""What hunts draw: schemes of coalitions, free liars, asynchrony that reaches Olympus; and that it finds what it is for."""

import contextlib
import random
import re
from itertools import product

import msgspec
import pytest

from bcr.chain.messages import CompletedCheckpoint, ResultMessage
from bcr.faults.vocabulary import CLIENT_FAILURES, FAILURES, MESSAGES, TRIGGERS, possible
from bcr.scenario.reading import parse_scenario
from bcr.scenario.values import Hold, Simulation
from bcr.signed.authentication import KINDS
from bcr.signed.encoding import decode
from bcr.signed.signing import SEAL_SIZE
from bcr.signed.violations import MalformedMessage
from bcr_sim import hunt, sim
from bcr_sim.campaign import run_text, text_of
from bcr_sim.mutation import changed
from bcr_sim.network import Network
from bcr_sim.schemes import IN_A_SLOT, RIPE, SCHEMES, Coalition, _come_late, _hand_over_lies
from bcr_sim.seeds import BELIEVED, IDENTITIES, Chance, acceptance_of, scenario_text
from bcr_sim.shrink import shrunk
from bcr_sim.simulated_run import _Run
from bcr_sim.world import MILLISECOND_NS, World

START = "t = 1\nnum_client = 2\nworkload[0] = pseudorandom(1,8)\nworkload[1] = pseudorandom(2,8)\n"
SHORT = "client_timeout = 250\nhead_timeout = 250\nnonhead_timeout = 250\nolympus_timeout = 500\nwedge_grace = 20\n"
LOSS_SEED = 130  # whose scenario loses an accepted result where t+1 statements are enough


class Process:
    """An end of a link that notes when what arrived there."""

    def __init__(self, name, world):
        self.name = name
        self.world = world
        self.taken = []

    def take(self, message):
        self.taken.append((self.world.now_ns // MILLISECOND_NS, message))


def sent_at(options, times_ms, sender="replica_0", receiver="olympus", is_control=False):
    """When a message arrives that one process sends another at each of these times."""
    world = World(0)
    network = Network(world, options, lambda *_: None)
    one, other = Process(sender, world), Process(receiver, world)
    for time_ms in times_ms:
        world.at(time_ms * MILLISECOND_NS, network.transmit, one, other, time_ms, is_control)
    world.run(lambda: False, 10**12, 1_000)
    return other.taken


# -- asynchrony


def test_what_is_sent_while_a_link_is_held_arrives_at_the_end_of_that_and_in_order():
    options = Simulation(delay=(1_000, 1_000), holds=(Hold("replica_0", "olympus", 10, 50), Hold("replica_0", "olympus", 40, 70)))
    arrived = sent_at(options, [5, 10, 20, 49, 55, 70, 90])
    assert arrived == [(6, 5), (50, 10), (50, 20), (70, 49), (70, 55), (71, 70), (91, 90)]


def test_a_held_link_holds_one_direction_of_one_link_and_no_command():
    options = Simulation(delay=(1_000, 1_000), holds=(Hold("replica_0", "olympus", 10, 50),))
    assert sent_at(options, [20], "olympus", "replica_0") == [(21, 20)]
    assert sent_at(options, [20], "replica_1") == [(21, 20)]
    assert sent_at(options, [20], is_control=True) == [(21, 20)]


@pytest.mark.parametrize("words", ["hold(olympus,client_0,0,700)", "hold(replica_1,olympus,0,300)", "pause(olympus,10,900)",
                                   "hold(replica_0,replica_1,20,120); hold(client_1,replica_0,0,200)"])  # fmt: skip
def test_asynchrony_is_no_fault_and_everything_is_answered(words):
    outcome = run_text(f"{START}{SHORT}simulation = seed(3); delay(500,4000); {words}\n")
    assert (outcome.breaches, outcome.judgement.status) == ((), "pass")
    assert (outcome.result["operations"], outcome.result["faults_injected"]) == (16, [])


def test_a_cut_reaches_olympus_where_it_is_named():
    outcome = run_text(f"{START}{SHORT}simulation = seed(3); cut(olympus,client_0,0,90)\n", keeps_steps=True)
    lost = {(step.sender, step.receiver) for step in outcome.steps if step.kind == "lost"}
    assert lost == {("olympus", "client_0")}


def test_a_replica_that_is_asked_for_its_report_before_it_has_begun_gives_it_when_it_has():
    text = f"{START}{SHORT}failures[0,1] = shuttle(0,1),ask()\nsimulation = seed(1); delay(500,500); hold(olympus,replica_2,15,1500)\n"
    outcome = run_text(text.replace("pseudorandom(1,8)", "put('a','b'); get('a')").replace("pseudorandom(2,8)", "get('b')"))
    assert (outcome.breaches, outcome.judgement.status) == ((), "pass")


# -- what is drawn


@pytest.mark.parametrize("authentication", KINDS)
def test_no_seed_has_more_than_t_faulty_replicas_or_only_faulty_clients(authentication):
    for seed in range(300):
        scenario, warnings = parse_scenario(scenario_text(seed, authentication), "seed.config")
        options = scenario.simulation
        always = {*options.twins, *options.free, *(each.position for each in (*options.mutations, *options.amnesias))}
        always |= {int(each.process.removeprefix("replica_")) for each in options.crashes}
        for configuration in range(4):
            struck = {plan.position for plan in scenario.failures if plan.configuration == configuration}
            assert len(always | struck) <= scenario.t, seed
        assert len(scenario.faulty_clients) < scenario.num_clients
        assert warnings == ()


def test_seeds_draw_every_word_that_can_be_simulated():
    scenarios = [parse_scenario(scenario_text(seed, "hmac"), "seed.config")[0] for seed in range(800)]
    failures = {plan.failure.name for scenario in scenarios for plan in scenario.failures}
    assert failures == set(possible(FAILURES, "hmac", simulated=True))
    assert {plan.failure.name for scenario in scenarios for plan in scenario.client_failures} == set(CLIENT_FAILURES) - {IDENTITIES}
    simulations = [scenario.simulation for scenario in scenarios]
    assert any(each.free for each in simulations) and any(each.holds for each in simulations)
    for reached in ("holds", "cuts"):
        ends = {end for each in simulations for link in getattr(each, reached) for end in (link.sender, link.receiver)}
        assert "olympus" in ends
    pauses = [(each.pauses, scenario.olympus_timeout_ms) for each, scenario in zip(simulations, scenarios, strict=True)]
    assert any(pause.until - pause.since > timeout_ms for mine, timeout_ms in pauses for pause in mine)
    assert not {name for name, word in FAILURES.items() if word.only_with} & {plan.failure.name for seed in range(300)
                                 for plan in parse_scenario(scenario_text(seed), "seed.config")[0].failures}  # fmt: skip


@pytest.mark.parametrize("scheme", sorted(set(SCHEMES), key=lambda each: each.__name__), ids=lambda each: each.__name__.strip("_"))
def test_a_scheme_is_what_only_its_coalition_does_in_the_configuration_that_it_brings_about(scheme):
    for seed in range(60):
        coalition = Coalition(Chance(seed), 5, (1, 3), 2)
        scheme(coalition)
        assert {position for _, position in coalition.pairs} <= {1, 3}
        earlier = [mine for (configuration, _), mine in coalition.pairs.items() if configuration < coalition.configuration]
        assert all(pair.endswith("ask()") for mine in earlier for pair in mine)
        lines = "".join(f"failures[{c},{r}] = {'; '.join(mine)}\n" for (c, r), mine in coalition.pairs.items())
        words = "".join(f"; {word}" for word in coalition.words)
        text = START.replace("t = 1", "t = 2") + lines + f"simulation = seed(1){words}\n"
        assert parse_scenario(text, "scheme.config")[1] == ()


def test_of_those_who_come_late_there_are_more_than_may_be_faulty_and_only_those_who_may_be_crash():
    crashing = set()
    for seed in range(60):
        coalition = Coalition(Chance(seed), 5, (1, 3), 2)
        _come_late(coalition)
        late = [re.fullmatch(r"hold\(replica_(\d),olympus,0,(?:700|2500)\)", word) for word in coalition.words if word.startswith("hold")]
        assert len({match[1] for match in late}) == 3
        crashing |= {word.partition(",")[0] for word in coalition.words if word.startswith("crash")}
    assert crashing == {"crash(replica_1", "crash(replica_3"}


def test_those_who_hand_over_lies_are_free_and_one_of_them_asks_to_be_replaced():
    for seed in range(60):
        coalition = Coalition(Chance(seed), 5, (1, 3), 2)
        _hand_over_lies(coalition)
        assert [word.partition(",")[0].rstrip(")") for word in coalition.words] == ["free(1", "mutate(1", "free(3", "mutate(3"]
        asking = [pair for (configuration, _), mine in coalition.pairs.items() if configuration == coalition.configuration for pair in mine]
        assert [pair.rpartition(",")[2].partition("(")[0] for pair in asking] in (["ask"], ["ask", "delay"])


def test_what_is_ripe_at_a_trigger_are_messages_that_somebody_sends():
    assert {kind for kinds in (IN_A_SLOT, BELIEVED, *RIPE.values()) for kind in kinds} <= set(MESSAGES)
    assert {trigger.partition("(")[0] for trigger in RIPE} <= set(TRIGGERS)


def test_every_message_is_still_forged_and_sent_again_and_those_most_that_all_believe():
    texts = "".join(scenario_text(seed) for seed in range(3_000))
    assert {kind for kind in MESSAGES if f"forge({kind})" in texts} == set(MESSAGES)
    assert {kind for kind in MESSAGES if f"replay_old({kind})" in texts} == set(MESSAGES)
    forged = re.findall(r"forge\((\w+)\)", texts)
    assert sum(kind in BELIEVED for kind in forged) > len(forged) / 2


def test_every_failure_still_has_every_trigger_and_half_of_what_changes_the_handover_strikes_there():
    texts = "".join(scenario_text(seed) for seed in range(8_000))
    drawn = set(re.findall(r"(\w+)\([\w,]*\),(\w+)\(", texts))
    failures = {name for name in possible(FAILURES, "ed25519", simulated=True) if not FAILURES[name].only_with}
    assert {pair for pair in drawn if pair[1] in failures and pair[0] in TRIGGERS} == set(product(TRIGGERS, failures))
    triggers = re.findall(r"(\w+)\([\w,]*\),truncate_history\(", texts)
    assert triggers.count("wedge_request") > len(triggers) / 2 > 100


def test_free_liars_put_others_names_into_proofs_and_are_of_two_minds_about_checkpoints(monkeypatch):
    foreign, of_two_minds = set(), set()
    stock = _Run._inject

    def inject(run, sender, receiver, parts):
        configuration = sender.process._state.configuration
        with contextlib.suppress(MalformedMessage):  # what it has changed cannot always be read
            if parts[0] == "result_message":
                answer = decode(ResultMessage, parts[-1]).answer
                others = [each for each in (*answer.proof, *answer.orders) if each.signer in (0, 2) and each.statement.slot == answer.slot]
                forged = [each for each in others if not each.is_authentic(configuration.replica_author(each.signer))]
                foreign.update(type(each.statement).__name__ for each in forged)
            elif parts[0] == "completed_checkpoint":
                proof = decode(CompletedCheckpoint, parts[-1][SEAL_SIZE:]).proof
                of_two_minds.add((proof[0].signer, len({each.statement.state_digest for each in proof})))
        stock(run, sender, receiver, parts)

    monkeypatch.setattr(_Run, "_inject", inject)
    text = f"{START}{SHORT}checkpt_interval = 2\nsimulation = seed(1); delay(200,4000); free(1); mutate(1,1)\n"
    for seed in range(24):
        run_text(text_of(seed, text))
    assert foreign == {"Result", "Order"}
    assert (1, 2) in of_two_minds and any(minds == 1 for _, minds in of_two_minds)


def test_what_results_are_accepted_on_is_asked_for_or_drawn():
    drawn = [acceptance_of(seed) for seed in range(40)]
    assert set(drawn) == {"all", "quorum"}
    for seed in range(10):
        assert text_of(seed, None, None, "quorum") == scenario_text(seed) + "acceptance = quorum\n"
        assert text_of(seed, None, None, "any") == scenario_text(seed, acceptance=drawn[seed])
    assert "acceptance" not in text_of(1, None)
    assert text_of(1, START + "acceptance = all\n", None, "quorum").count("acceptance = quorum") == 1


# -- what they find


def test_a_hunt_finds_by_itself_that_t_plus_1_statements_lose_an_accepted_result():
    text = text_of(LOSS_SEED, None, None, "quorum")
    outcome = run_text(text)
    assert outcome.kind == "results", outcome.breaches

    def kind_of(candidate):
        return run_text(candidate).kind

    small = shrunk(text, "results", kind_of)
    [failures] = [line for line in small.splitlines() if line.startswith("failures")]
    assert "answer_early(1)" in failures
    assert "client_failures" not in small and len(small) < len(text) * 0.7


def test_free_liars_make_every_move_and_the_others_stand_it():
    text = f"{START}{SHORT}checkpt_interval = 2\nsimulation = seed(1); delay(200,4000); free(1)\n"
    own, kept_back = set(), set()
    for seed in range(32):  # of some kinds one liar in seven sends any
        outcome = run_text(text_of(seed, text), keeps_steps=True)
        assert not {breach.partition(":")[0] for breach in outcome.breaches} & {"results", "agreement", "validity", "error"}
        said = [step.message for step in outcome.steps if step.kind == "befell"]
        own |= {each.removeprefix("sends ").removesuffix(" of its own") for each in said if each.startswith("sends ")}
        kept_back |= {each for each in said if each.startswith("keeps back ")}
        assert {fault["position"] for fault in outcome.result["faults_injected"]} <= {1}
    assert own >= {"result_message", "completed_checkpoint", "result_shuttle", "shuttle", "wedged", "error",
                   "reconfiguration_request", "configuration", "catch_up"}  # fmt: skip
    assert kept_back


def test_a_free_liar_is_the_same_in_every_run_of_a_seed():
    text = f"{START}{SHORT}simulation = seed(9); delay(200,4000); free(0)\n"
    assert run_text(text).trace == run_text(text).trace


# -- what cannot be simulated


def test_a_fault_that_has_no_place_in_the_simulator_is_refused_with_its_reason(tmp_path, capsys):
    file = tmp_path / "posing.config"
    file.write_text(START + "failures[0,1] = shuttle(0,1),impersonate(2)\n")
    for main in (sim.main, hunt.main):
        assert main([str(file)]) == 2
        said = capsys.readouterr().err
        assert "failures[0,1]: shuttle(0,1),impersonate(2) cannot be simulated: the sender beside a message" in said


@pytest.mark.parametrize("value", [-(1 << 63), (1 << 64) - 1, 0])
def test_a_number_that_is_changed_can_still_be_sent(value):
    for seed in range(4):
        other = changed(value, random.Random(seed))
        assert other != value
        assert msgspec.msgpack.decode(msgspec.msgpack.encode(other)) == other

"""The other two authenticators in simulation: every fault that they promise to stand, seeds, and their own lies."""

import random
import re

import msgspec
import pytest
from memory_chain import MemoryChain, put, seen_by

from bcr.chain.messages import Shuttle
from bcr.faults.vocabulary import FAILURES, possible
from bcr.scenario.reading import parse_scenario
from bcr.signed.authentication import KINDS, sizes
from bcr.signed.encoding import decode, encode
from bcr.signed.macs import ENTRY_SIZE
from bcr.signed.violations import MalformedMessage
from bcr_sim import hunt, mutation
from bcr_sim import simulated_run as simulator
from bcr_sim.campaign import run_seeds, run_text, text_of
from bcr_sim.mutation import mutated
from bcr_sim.protocol_simulations import SIMULATIONS
from bcr_sim.seeds import authentication_of, scenario_text

SHORT = "client_timeout = 200\nhead_timeout = 200\nnonhead_timeout = 200\nolympus_timeout = 500\nwedge_grace = 20\n"
WORK = "t = 1\nnum_client = 2\ncheckpt_interval = 2\nworkload[0] = pseudorandom(8,8)\nworkload[1] = pseudorandom(9,8)\n"
PLACES = {"hmac": (0, 1, 2), "crc": (0, 1)}
ARGUMENTS = {"number": "2", "milliseconds": "300", "message": "shuttle"}
CELLS = [
    (authentication, failure, position)
    for authentication, positions in PLACES.items()
    for failure in possible(FAILURES, authentication, simulated=True)
    for position in positions
]


@pytest.mark.parametrize("authentication, failure, position", CELLS)
def test_a_fault_that_is_promised_to_be_survived_is(authentication, failure, position):
    trigger = "client_request(0,2)" if position == 0 else "shuttle(0,2)"
    argument = ",".join(ARGUMENTS[kind] for kind in FAILURES[failure].arguments)
    text = f"{WORK}{SHORT}authentication = {authentication}\nfailures[0,{position}] = {trigger},{failure}({argument})\n"
    outcome = run_text(text)
    assert outcome.breaches == ()
    assert outcome.judgement.status == "pass"
    assert [fault["fault"] for fault in (*outcome.result["faults_injected"], *outcome.result["faults_armed"])]


@pytest.mark.parametrize("authentication", ["hmac", "crc"])
def test_thirty_seeds_break_nothing(authentication):
    tally = run_seeds(range(30), None, authentication)
    assert [(each.seed, each.breaches) for each in tally.failures] == []
    assert tally.operations > 150
    assert tally.reconfigurations > 5


@pytest.mark.parametrize("authentication", KINDS)
def test_bits_that_flip_on_the_way_are_survived(authentication):
    text = f"{WORK}{SHORT}authentication = {authentication}\nsimulation = seed(4); delay(500,4000); flip(60); until(800)\n"
    outcome = run_text(text)
    assert outcome.breaches == ()
    assert outcome.result["operations"] == 16
    assert outcome.result["notices"]


@pytest.mark.parametrize("authentication", KINDS)
def test_the_chain_has_the_length_that_its_authenticator_needs(authentication):
    outcome = run_text(f"{WORK}authentication = {authentication}\n")
    [configuration] = outcome.record.configurations
    assert len(configuration.statement.replicas) == sizes(1, authentication).replicas
    assert outcome.record.authentication == authentication
    assert bool(outcome.record.olympus_secret) == (authentication == "hmac")


def without_uneven_macs(text):
    """The scenario without what only codes can be made to do."""
    text = re.sub(r"(; )?(after\(20\),uneven_macs|shuttle\(\d,\d\),useless_macs)\(\)", "", text)
    return re.sub(r"failures\[\d,\d\] = \n", "", text)


@pytest.mark.parametrize("seed", range(12))
def test_a_seed_is_the_same_scenario_with_macs_and_one_without_lies_with_checksums(seed):
    assert without_uneven_macs(scenario_text(seed, "hmac")) == scenario_text(seed) + "authentication = hmac\n"
    assert scenario_text(seed, "ed25519") == scenario_text(seed)
    scenario, warnings = parse_scenario(scenario_text(seed, "crc"), "seed.config")
    assert (scenario.authentication, warnings) == ("crc", ())


def test_seeds_draw_every_authenticator_and_each_always_the_same():
    drawn = [authentication_of(seed) for seed in range(30)]
    assert set(drawn) == set(KINDS)
    assert drawn == [authentication_of(seed) for seed in range(30)]
    for seed, authentication in enumerate(drawn[:6]):
        assert text_of(seed, None, "any") == scenario_text(seed, authentication)


def test_a_file_is_hunted_with_the_authenticator_that_is_asked_for():
    base = WORK + "authentication = hmac\n"
    assert parse_scenario(text_of(1, base), "x.config")[0].authentication == "hmac"
    assert parse_scenario(text_of(1, base, "crc"), "x.config")[0].authentication == "crc"


def test_a_hunt_goes_over_the_authenticators_that_the_seeds_draw(capsys):
    assert hunt.main(["--count", "6", "--jobs", "2", "--authentication", "any"]) == 0
    assert "6 seeds in" in capsys.readouterr().out


def test_a_hunt_with_checksums_refuses_a_file_with_lies(tmp_path, capsys):
    file = tmp_path / "lies.config"
    file.write_text(WORK + "failures[0,1] = shuttle(0,0),change_result()\n")
    assert hunt.main([str(file), "--count", "2", "--authentication", "crc"]) == 2
    assert "change_result is no accident" in capsys.readouterr().err


def test_a_tail_whose_word_convinces_the_chain_and_no_client_is_replaced(monkeypatch):
    """It tells client and chain a result with t+1 statements, its own among them, whose code for the client is wrong.

    What it leaves out its predecessors fill in; but of itself there is nothing that convinces the client, who complains.
    """

    def useless(payload, chance, position, key):
        return mutation._useless_to_clients(payload, position, key) or payload

    monkeypatch.setattr(simulator, "SHARE_MUTATED", 1)
    monkeypatch.setattr(simulator, "mutated", useless)
    monkeypatch.setattr(simulator, "lying_answer", useless)
    outcome = run_text(f"{WORK}{SHORT}authentication = hmac\nsimulation = seed(1); mutate(2,500)\n")
    assert outcome.breaches == ()
    assert outcome.result["operations"] == 16
    reasons = [change["reason"] for change in outcome.result["reconfigurations"]]
    assert reasons
    assert all("convinces its client" in reason for reason in reasons)


def test_a_liar_of_the_simulator_makes_vectors_that_convince_a_replica_and_not_olympus():
    chain = MemoryChain(authentication="hmac")
    chain.serve(0, put("k", "v"))
    payload = encode(chain.shuttle(0, 1))
    replica = seen_by(chain.keys_at(1), chain.configuration.issued)
    convinced = set()
    for seed in range(200):
        lie = mutated(payload, random.Random(seed), 0, chain.keys_at(0))
        try:
            [order] = decode(Shuttle, lie).order_proof
        except (MalformedMessage, ValueError):  # other changes leave no shuttle, or none with one order
            continue
        authors = replica.replica_author(0), chain.configuration.replica_author(0)
        convinced.add(tuple(order.is_authentic(author) for author in authors))
    assert (True, False) in convinced


def test_a_head_that_adds_codes_to_requests_is_replaced(monkeypatch):
    """All replicas find theirs right, execute and answer; and no client finds the answer to be one to what it has signed."""
    scenario, _ = parse_scenario(f"{WORK}{SHORT}authentication = hmac\nfailures[0,0] = client_request(0,0),delay(1)\n", "codes.config")
    run = SIMULATIONS["shuttle"](scenario, None, False)
    with run._installed([]):
        from Replica import Replica

    stock = Replica.head_request

    def head_request(replica, request):
        is_liar = replica._state.configuration.number == 0
        stock(replica, msgspec.structs.replace(request, signature=request.signature + bytes(ENTRY_SIZE)) if is_liar else request)

    monkeypatch.setattr(Replica, "head_request", head_request)
    outcome = run.outcome()
    assert (outcome.breaches, outcome.judgement.status, outcome.result["operations"]) == ((), "pass", 16)
    assert [each.target for each in outcome.record.reconfigurations] == [1]

"""The model: it counts what the sketch counts, and its limits are where they should be."""

import pytest

from bcr_bench.baselines.load import Load
from bcr_bench.pages.plots import predictions
from bcr_bench.pages.writing import Basis, as_json
from bcr_bench.plans.measured import Measured
from bcr_bench.plans.plan_files import demand_sound, read_plan
from bcr_bench.prediction.costs import Costs, cpu_us, path_us
from bcr_bench.prediction.layer import Layer
from bcr_bench.prediction.predicted import Shape, alone_us, predict
from bcr_bench.prediction.sketch import sketch
from bcr_bench.prediction.slow_links import link
from bcr_bench.running.measuring import run_plan
from bcr_runtime.places import PROJECT

CRYPTOGRAPHY = Costs(sign_us=20, verify_us=60, hash_us=0, encode_us=0, decode_us=0, hop_us=100, hmac_us=2, crc_us=0.5)
NOTHING = Layer(hop_us=100, message_cpu_us=0)
LAYER = Layer(hop_us=400, message_cpu_us=80)
MANY = {"clients": 4, "window": 64}


@pytest.mark.parametrize("t", [1, 2, 5])
@pytest.mark.parametrize("batch", [1, 16])
def test_its_cryptography_is_that_of_the_sketch(t, batch):
    shape = Shape(t=t, batch=batch, clients=1, window=2 * batch)
    predicted = predict(CRYPTOGRAPHY, NOTHING, shape, 2)
    assert sum(predicted.cpu_us.values()) == pytest.approx(cpu_us(CRYPTOGRAPHY, sketch(t, batch, together=batch)))


@pytest.mark.parametrize("t", [1, 3])
def test_a_request_alone_takes_the_path_of_the_sketch(t):
    assert alone_us(CRYPTOGRAPHY, NOTHING, Shape(t=t)) == pytest.approx(path_us(CRYPTOGRAPHY, sketch(t)))


def rate(cores=2, **shape):
    return predict(CRYPTOGRAPHY, LAYER, Shape(**MANY | shape), cores).rate


def test_more_faults_cost_and_batches_macs_and_checksums_save():
    assert rate(t=1) > rate(t=2) > rate(t=5)
    assert rate(batch=1) < rate(batch=4) < rate(batch=16)
    assert rate(authenticator="ed25519") < rate(authenticator="hmac") < rate(authenticator="crc")


def test_cores_help_until_the_busiest_process_is_the_limit():
    assert rate(cores=2) == pytest.approx(2 * rate(cores=1))
    assert rate(cores=64) == rate(cores=128) < 64 * rate(cores=1)


def test_operations_in_a_request_share_its_statements_but_not_its_bytes():
    costs = Costs(sign_us=20, verify_us=60, hash_us=1, encode_us=1, decode_us=1, hop_us=100)
    one, many, more = (sum(predict(costs, LAYER, Shape(operations=count), 2).cpu_us.values()) for count in (1, 100, 10_000))
    assert one > 20 * many
    assert many > more > 10  # three replicas and the client encode, decode and hash each


def test_slow_links_delay_by_the_hops_and_limit_a_closed_loop():
    near, far = (predict(CRYPTOGRAPHY, LAYER, Shape(link_us=link_us), 2) for link_us in (0, 10_000))
    assert far.latency_ms - near.latency_ms == pytest.approx(4 * 10)
    assert far.rate == pytest.approx(1_000 / far.latency_ms)


def test_a_rate_is_not_exceeded():
    assert rate(rate=50) == 50


def test_simulated_links_take_the_hops_that_the_sketch_counts():
    found = link(2, 5)
    assert (found.predicted_ms, found.measured_ms) == (30, 30)


def test_the_plan_that_the_docs_have_as_an_example_is_predicted(tmp_path):
    text = (PROJECT / "docs" / "how-to" / "measure.md").read_text()
    (tmp_path / "plan.yaml").write_text(text.partition("```yaml\n")[2].partition("```")[0])
    plan = read_plan(tmp_path / "plan.yaml")
    demand_sound(plan, plan.sweeps)
    done = Measured(operations=1, rate=1.0, latency_ms={"p50": 1.0}, cpu_us={"client_0": 1.0})
    series = run_plan(plan, plan.sweeps, lambda _: done)
    assert len(series) == 8 and sum(bool(each.point.faults) for each in series) == 1
    contents = as_json(["./bcr", "bench"], "2000-01-01", Basis({"cores": "2"}, CRYPTOGRAPHY, LAYER, []), plan.sweeps, series)
    assert [point["prediction"] is None for point in contents["points"]] == [bool(each.point.faults) for each in series]
    assert b"%PDF" in predictions(contents["points"]).pdf


def test_what_a_point_does_not_say_is_as_scenario_files_have_it():
    settings = {"t": 1, "num_client": 3, "operations": 9, "value_bytes": 1, "read_percent": 0}
    assert Shape.of(settings) == Shape(t=1, clients=3)
    assert Load.of(settings) == Load(3, 1, 1, 9, 1, 0)
    assert Load.of(settings | {"client_window": "4"}).client_window == 4

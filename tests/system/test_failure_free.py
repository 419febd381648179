"""Whole runs without failures: every operation answered, proved and in one history."""

import ast
from itertools import pairwise

import pytest
from whole_runs import Run, lines, passed, perform, pseudorandom, scenario


@pytest.fixture(scope="module", params=["perform900", "stress10"])
def published_run(request, tmp_path_factory):
    """A run of a published scenario, as the README says to type it, and how many operations it has."""
    with Run(tmp_path_factory.mktemp(request.param), f"config/{request.param}.config") as run:
        run.status = run.finish()
    return run, {"perform900": 900, "stress10": 100}[request.param]


def test_a_published_scenario_passes_with_a_result_of_the_tail_for_each_operation(published_run):
    run, operations = published_run
    assert passed(run)
    result = run.result()
    assert result["operations"] == result["results_by_tail"] == operations
    assert (result["retransmissions"], result["reconfigurations"], result["faults_injected"]) == (0, [], [])
    assert sum(map(len, result["results"])) == operations
    assert result["elapsed_s"] > 0


def test_the_results_are_countable_by_name_in_the_tail_s_log_alone(published_run):
    run, operations = published_run
    sent = {name: len(lines(log, event="sent", message="result_message")) for name, log in run.all_logs().items()}
    assert sent.pop("replica_4-configuration_0") == operations
    assert set(sent.values()) == {0}


def test_no_log_of_a_failure_free_run_tells_of_misbehaviour_or_of_anything_ignored(published_run):
    run, _ = published_run
    names = {"misbehaviour", "ignored", "rejected", "timer_expired", "retransmission", "reconfiguration_requested"}
    assert [line for log in run.all_logs().values() for line in log if line["event"] in names] == []


def test_every_line_of_every_log_has_a_time_and_an_event_and_settings_stand_first(published_run):
    run, _ = published_run
    logs = run.all_logs()
    clients = 3 if "perform" in run.result()["scenario"] else 10
    assert len(logs) == 1 + 5 + clients
    assert all({"time", "event"} <= set(line) for log in logs.values() for line in log)
    assert {log[0]["event"] for log in logs.values()} == {"settings"}
    assert len({log[0]["pid"] for log in logs.values()}) == len(logs)  # an OS process each


def test_the_replicas_log_one_final_dictionary_and_it_is_the_result_s(published_run):
    run, _ = published_run
    finals = [line for log in run.all_logs().values() for line in lines(log, event="final_dictionary")]
    assert len(finals) == 5
    assert all(ast.literal_eval(line["dictionary"]) == run.result()["final_state"] for line in finals)


@pytest.mark.parametrize("t, clients", [(1, 1), (1, 20), (2, 4), (3, 1), (3, 20)])
def test_a_chain_of_2t_plus_1_replicas_serves_any_number_of_clients(tmp_path, t, clients):
    run = perform(tmp_path, scenario(*pseudorandom(clients, 4), t=t))
    assert passed(run)
    assert run.result()["results_by_tail"] == 4 * clients
    assert len(list(run.logs.glob("*/replica_*.log"))) == 2 * t + 1


@pytest.mark.parametrize(
    "batch_limit, client_window, operations_per_request",
    [(8, 1, 1), (1, 8, 1), (1, 1, 7), (4, 5, 3), (1000, 60, 1)],
)
def test_batches_windows_and_long_requests_change_nothing_about_the_results(tmp_path, batch_limit, client_window, operations_per_request):
    keys = {"batch_limit": batch_limit, "client_window": client_window, "operations_per_request": operations_per_request}
    run = perform(tmp_path, scenario(*pseudorandom(3, 60), checkpt_interval=10, **keys))
    assert passed(run)
    result = run.result()
    requests = -(-60 // operations_per_request)
    assert (result["operations"], result["results_by_tail"]) == (180, 3 * requests)
    assert result["retransmissions"] == 0


def test_a_window_of_requests_is_ordered_in_fewer_slots_where_batches_may_be_large(tmp_path):
    run = perform(tmp_path, scenario(*pseudorandom(4, 30), batch_limit=100, client_window=30))
    assert passed(run)
    slots = lines(run.log("replica_0-configuration_0"), event="executed")
    assert sum(len(line["requests"].split(",")) for line in slots) == 120
    assert len(slots) < 60


def test_operations_of_one_client_take_effect_in_their_order(tmp_path):
    letters = "abcdefghij"
    workload = "put('k',''); " + "; ".join(f"append('k','{letter}')" for letter in letters) + "; get('k')"
    for name, keys in {"window": {"client_window": 4, "batch_limit": 4}, "long": {"operations_per_request": 5}}.items():
        folder = tmp_path / name
        folder.mkdir()
        run = perform(folder, scenario(workload, "get('k')", **keys))
        assert passed(run)
        assert run.result()["results"][0] == ["OK"] * 11 + [letters]
        assert run.result()["final_state"] == {"k": letters}


def test_clients_that_send_at_a_rate_are_answered_and_measured_from_when_each_request_was_due(tmp_path):
    load = ["uniform(1,30,20,50)", "uniform(2,30,20,50)"]
    run = perform(tmp_path, scenario(*load, client_rate=100, client_window=20, batch_limit=8, operations_per_request=2))
    assert passed(run)
    result = run.result()
    assert result["operations"] == 60
    assert result["elapsed_s"] >= 14 * 0.02  # 15 requests of each client, 20 ms apart
    assert 0 < result["latency_ms"]["p50"] <= result["latency_ms"]["p99_9"] <= result["latency_ms"]["max"]
    for client in run.record().clients:
        due = [exchange.due_ns for exchange in client.exchanges]
        assert [after - before for before, after in pairwise(due)] == [20_000_000] * 14
        assert all(exchange.sent_ns >= exchange.due_ns for exchange in client.exchanges)


def test_every_process_accounts_for_its_cpu_time_and_memory(published_run):
    run, _ = published_run
    processes = run.result()["processes"]
    clients = 3 if "perform" in run.result()["scenario"] else 10
    expected = {f"replica_{i}" for i in range(5)} | {f"client_{k}" for k in range(clients)} | {"olympus", "harness"}
    assert set(processes) == expected
    assert all(each["cpu_s"] > 0 for name, each in processes.items() if name.startswith("replica"))
    assert all(mib > 1 for each in processes.values() for _, mib, _ in each["samples"])

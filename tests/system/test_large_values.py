"""Large values on real runs: what fits is served without a reconfiguration, and what does not has a result of its own."""

import pytest
from whole_runs import passed, perform, scenario

LARGE = "x" * 700_000


@pytest.mark.parametrize("durable", ["off", "on"])
def test_three_operations_of_one_client_do_not_end_the_service(tmp_path, durable):
    workload = f"put('k','{LARGE}'); append('k','{LARGE}'); get('k'); append('k','y'); get('k')"
    run = perform(tmp_path, scenario(workload, durable=durable))
    assert passed(run)
    result = run.result()
    assert result["results"] == [["OK", "fail", LARGE, "OK", LARGE + "y"]]
    assert result["reconfigurations"] == []


def test_a_request_that_gets_more_than_an_answer_holds_is_answered(tmp_path):
    run = perform(tmp_path, scenario(f"put('k','{LARGE}'); get('k'); get('k'); get('l')", operations_per_request=4))
    assert passed(run)
    assert run.result()["results"] == [["OK", LARGE, "too large", ""]]


def test_many_clients_with_large_values_and_a_large_batch_need_no_reconfiguration(tmp_path):
    run = perform(tmp_path, scenario(*[f"uniform({k},10,100000,50)" for k in range(20)], batch_limit=100, client_window=5))
    assert passed(run)
    result = run.result()
    assert (result["operations"], result["reconfigurations"], result["notices"]) == (200, [], [])

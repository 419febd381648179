"""Whole runs of Raft: through the plain command, with servers and clients in processes of their own."""

from whole_runs import Run, lines, passed, perform

RAFT = """protocol = raft
t = 1
num_client = 2
time_unit = ms
client_timeout = 500
workload[0] = put('movie','star'); append('movie',' wars'); get('movie'); pseudorandom(7,40)
workload[1] = uniform(8,60,16,50)
"""


def test_a_run_of_raft_passes_and_its_result_names_the_protocol(tmp_path):
    run = perform(tmp_path, RAFT)
    assert passed(run)
    result = run.result()
    assert (result["protocol"], result["operations"], result["faults_injected"]) == ("raft", 103, [])
    assert result["results"][0][:3] == ["OK", "OK", "star wars"]


def test_clients_get_their_work_when_a_server_leads(tmp_path):
    run = perform(tmp_path, RAFT.replace("client_timeout = 500", "client_timeout = 60000\nelection_timeout = 1000"))
    assert passed(run)
    logs = run.all_logs()
    [elected] = [line["time"] for log in logs.values() for line in lines(log, event="leader")]
    assert all(line["time"] > elected for name in logs if name.startswith("client") for line in lines(logs[name], event="sent"))
    assert not any(lines(log, event="retransmission") for log in logs.values())


def test_where_nobody_can_be_elected_clients_get_their_work_all_the_same(tmp_path):
    asleep = "".join(f"failures[0,{server}] = after(1),sleep(3000)\n" for server in range(2))
    run = perform(tmp_path, RAFT + asleep)
    assert passed(run)
    assert run.result()["retransmissions"] > 0


def test_no_read_is_in_the_log(tmp_path):
    run = perform(tmp_path, RAFT.replace("pseudorandom(7,40)", "get('movie')").replace("uniform(8,60,16,50)", "get('jedi')"))
    assert passed(run)
    [slots] = {line["slots"] for log in run.all_logs().values() for line in lines(log, event="final_state")}
    leaders = sum(bool(lines(log, event="leader")) for log in run.all_logs().values())
    assert int(slots) <= 2 + leaders + 1


def test_the_first_leader_crashes_and_another_goes_on(tmp_path):
    with Run(tmp_path, "config/raft_leader_crash.config") as run:
        run.status = run.finish()
    assert passed(run)
    assert [fault["fault"] for fault in run.result()["faults_injected"]] == ["first_leader(60),crash()"]
    assert sum(bool(lines(log, event="leader")) for log in run.all_logs().values()) == 2


def test_a_lie_is_told_by_the_verdict_of_a_real_run(tmp_path):
    with Run(tmp_path, "config/lost/raft_lies.config") as run:
        run.status = run.finish()
    assert run.result()["verdict"] == "fail"
    assert any("a replay gives" in reason for reason in run.result()["reasons"])


def test_servers_come_and_go_while_clients_are_answered(tmp_path):
    with Run(tmp_path, "config/raft_membership.config") as run:
        run.status = run.finish()
    assert passed(run)
    assert [each["change"] for each in run.result()["changes"]] == ["add", "remove", "add", "transfer"]

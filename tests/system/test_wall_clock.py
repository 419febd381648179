"""No wait rests on the wall clock: whoever sets it, a chain is replaced in its time."""

from whole_runs import passed, pseudorandom, scenario, start

# The first thing that each Python of the run loads. At each look the clock is set anew, up to a hundred days off.
JUMPING = """
import random, time
def off(stock, second):
    return lambda: stock() + random.randint(-8640000, 8640000) * second
time.time, time.time_ns = off(time.time, 1), off(time.time_ns, 10**9)
"""
QUICK = {"client_timeout": 500, "head_timeout": 500, "nonhead_timeout": 500, "olympus_timeout": 2_000}


def test_a_replica_that_is_killed_is_replaced_while_the_wall_clock_jumps(tmp_path, monkeypatch):
    (tmp_path / "sitecustomize.py").write_text(JUMPING)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    failures = ["failures[0,1] = shuttle(0,10), crash()", "expect[reconfigurations] = >= 1"]
    with start(tmp_path, scenario(*pseudorandom(2, 30), failures=failures, **QUICK)) as run:
        run.status = run.finish()
    assert passed(run)
    assert run.result()["operations"] == 60

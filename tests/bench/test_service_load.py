"""What wrk is given to ask, and what is read of its account."""

import base64
import json
import re

import pytest

from bcr_bench.studies import service_load
from bcr_bench.studies.service_load import BARE, SERVICE, Rate, etcd_script, measure_service, rate_in, script_for, section_of

ACCOUNT = """Running 3s test @ http://127.0.0.1:8080
  1 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency    30.11ms   12.00ms 300.00ms   90.00%
  Latency Distribution
     50%   21.00ms
     99%  {p99}
  6000 requests in 3.00s, 1.00MB read
{failed}Requests/sec:   2000.00
"""


@pytest.mark.parametrize(("p99", "ms"), [("120.50ms", 120.5), ("1.50s", 1_500), ("900.00us", 0.9)])
def test_an_account_of_wrk_is_read(p99, ms):
    assert rate_in(ACCOUNT.format(p99=p99, failed=""), cpu_s=1.2) == Rate(2_000, pytest.approx(ms), 0, pytest.approx(200))


def test_answers_that_were_not_2xx_are_counted():
    assert rate_in(ACCOUNT.format(p99="1.00ms", failed="  Non-2xx or 3xx responses: 17\n"), 1.0).failed == 17


def test_what_is_no_account_is_an_error():
    with pytest.raises(ValueError, match="no account"):
        rate_in("unable to connect to 127.0.0.1:1", 0.0)


def test_values_have_a_hundred_bytes_in_every_script():
    [body] = re.findall(r"wrk.body = '(.*)'", script_for("PUT"))
    assert len(body) == 100
    [value] = re.findall(r'"value": "(.*?)"', etcd_script("PUT"))
    assert base64.b64decode(value) == body.encode()
    assert json.loads(body) == service_load.VALUE


def test_without_wrk_it_says_what_is_missing(monkeypatch, capsys):
    monkeypatch.setattr(service_load.shutil, "which", lambda _: None)
    assert measure_service(64, 1, 1) == 2
    assert "apt install wrk" in capsys.readouterr().err


def test_the_page_has_a_row_for_each_with_its_ratios():
    found = {(name, "PUT"): [Rate(rate, 1.0, 0, cpu)] for name, rate, cpu in ((SERVICE, 100, 50), (BARE, 300, 10))}
    page = section_of(list(service_load._rows(found)), 64, 1)
    assert page.startswith("## The service over HTTP\n")
    assert f"| {BARE} | PUT | 300 | 3.00 | 1.0 | 10 | 0.20 | 0 |" in page

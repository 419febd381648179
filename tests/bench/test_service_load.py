"""What wrk is given to ask, and what is read of its account."""

import base64
import contextlib
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

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


def test_answers_that_were_not_2xx_are_told_and_are_no_throughput():
    found = rate_in(ACCOUNT.format(p99="1.00ms", failed="  Non-2xx or 3xx responses: 60\n"), 1.188)
    assert found == Rate(pytest.approx(1_980), 1.0, 60, pytest.approx(200))


@pytest.mark.parametrize(
    ("lines", "failed", "errors"),
    [
        ("  Non-2xx or 3xx responses: 6000\n", 6_000, 0),
        ("  Non-2xx or 3xx responses: 61\n", 61, 0),
        ("  Socket errors: connect 1, read 640, write 2, timeout 300\n", 0, 943),
        ("  Socket errors: connect 0, read 40, write 0, timeout 0\n  Non-2xx or 3xx responses: 30\n", 30, 40),
    ],
)
def test_a_run_of_which_more_than_one_call_in_a_hundred_failed_does_not_count(lines, failed, errors):
    found = rate_in(ACCOUNT.format(p99="1.00ms", failed=lines), 1.0)
    assert (found.failed, found.errors) == (failed, errors)
    assert found.problem == f"{failed:,} of 6,000 answers were not 2xx, and {errors:,} socket errors"


def test_a_run_without_any_call_does_not_count():
    text = ACCOUNT.format(p99="0.00us", failed="").replace("6000 requests", "0 requests").replace("2000.00", "0.00")
    assert rate_in(text, 1.0).problem


def test_a_few_socket_errors_are_told():
    lines = "  Socket errors: connect 0, read 9, write 0, timeout 1\n"
    assert rate_in(ACCOUNT.format(p99="1.00ms", failed=lines), 1.0) == Rate(2_000, 1.0, 0, pytest.approx(1e6 / 6_000), 10)


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


PAGE = "# Performance\n\n## What an operation must cost\n\nA table.\n"


@pytest.fixture
def measured(monkeypatch, tmp_path):
    """The command with servers and accounts of wrk that are made up: an account by name, or an exception."""
    page = tmp_path / "performance.md"
    page.write_text(PAGE)

    def command(**accounts):
        @contextlib.contextmanager
        def started(name):
            if isinstance(accounts.get(name), RuntimeError):
                raise accounts[name]
            yield name

        def load(running, *_):
            return accounts.get(running, Rate(100.0, 1.0, 0, 50.0))

        monkeypatch.setattr(service_load, "demand", lambda _: None)
        monkeypatch.setattr(service_load.shutil, "which", lambda name: name)
        for name in ("_service", "_bare", "_pysyncobj", "_etcd"):
            monkeypatch.setattr(service_load, name, lambda *_, name=name: started(name.removeprefix("_")))
        monkeypatch.setattr(service_load, "_load", load)
        monkeypatch.setattr(service_load, "_fill", lambda running: None)
        return measure_service(64, 1, 2, page), page.read_text()

    return command


def test_a_table_of_what_works_goes_into_the_page(measured):
    status, page = measured(pysyncobj=Rate(90.0, 1.0, 64, 50.0, 3))
    assert status == 0
    assert "| PySyncObj, in memory | PUT | 90 | 0.90 | 1.0 | 50 | 1.00 | 134 | 2 of 2 |" in page


@pytest.mark.parametrize("problem", [Rate(0.0, 1.0, 6_000, 5.0, problem="6,000 of 6,000 answers were not 2xx"), RuntimeError("not ready")])
@pytest.mark.parametrize("name", ["pysyncobj", "service"])
def test_a_system_that_failed_is_told_and_the_page_stays_as_it_is(measured, capsys, name, problem):
    assert measured(**{name: problem}) == (1, PAGE)
    said = capsys.readouterr().err
    assert said.count(f"PUT: no run counts: {problem.problem if isinstance(problem, Rate) else problem}") == 1 + (name == "service")


def test_a_row_of_what_failed_has_no_figures_and_nothing_is_compared_with_it():
    bad, good = Rate(0.0, 1.0, 9, 5.0, 1, "it failed"), Rate(100.0, 1.0, 0, 50.0)
    rows = list(service_load._rows({(SERVICE, "PUT"): [bad, bad], (BARE, "PUT"): [good, bad]}))
    assert rows == [
        [SERVICE, "PUT", *["-"] * 5, "20", "0 of 2"],
        [BARE, "PUT", "100", "", "1.0", "50", "", "10", "1 of 2"],
    ]


@pytest.mark.parametrize("is_etcd", [False, True])
def test_every_key_is_there_before_it_is_asked_for_however_few_calls_a_load_has(monkeypatch, tmp_path, is_etcd):
    there = {}

    class Server(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_PUT(self):
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            key, value = (self.path.removeprefix("/keys/"), json.dumps(body))
            if is_etcd:
                assert self.path == "/v3/kv/put"
                key, value = (base64.b64decode(body[name]).decode() for name in ("key", "value"))
            there[key] = value
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def do_POST(self):
            self.do_PUT()

        def log_message(self, *_):
            pass

    loads = []

    def load(running, call, *_):
        loads.append((call, dict(there)))
        return Rate(1.0, 1.0, 0, 1.0)

    monkeypatch.setattr(service_load, "_load", load)
    with ThreadingHTTPServer(("127.0.0.1", 0), Server) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        try:
            running = service_load.Running(server.server_port, (), is_etcd)
            service_load._run(lambda folder: contextlib.nullcontext(running), 1, 1)
        finally:
            server.shutdown()
            serving.join()
    expected = {f"k{number}": json.dumps(service_load.VALUE) for number in range(service_load.KEYS)}
    assert loads == [("PUT", expected), ("GET", expected)]

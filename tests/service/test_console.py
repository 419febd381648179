"""The console and the commands for scripts: what is typed, and what comes of it."""

import json
import socket
import time
from decimal import Decimal

import pytest
from serving import answering, bcr

from bcr_client import NothingHappened, OutcomeUnknown, UnprovedStore
from bcr_service import console
from bcr_service.app import HEARTBEAT_S
from bcr_service.command_language import FORMS, Command, NotUnderstood, helped, understood
from bcr_service.console import Access, ConsoleSession, Plain, attempted


@pytest.mark.parametrize(
    ("line", "command"),
    [
        ("get movie", Command("get", ("movie",))),
        ("  get   'a key with blanks' ", Command("get", ("a key with blanks",))),
        ("put x 5", Command("put", ("x",), 5)),
        ("put x {'a': [1, None, True]}", Command("put", ("x",), {"a": [1, None, True]})),
        ('put x {"a": [1, null, true]}', Command("put", ("x",), {"a": [1, None, True]})),
        ("put x star wars", Command("put", ("x",), "star wars")),
        ("put 'a b' 'c d'", Command("put", ("a b",), "c d")),
        ("append x (1, 2)", Command("append", ("x",), (1, 2))),
        ("put x [1e999]", Command("put", ("x",), [Decimal("1e999")])),
        ("keys", Command("keys")),
        ("keys jedi/", Command("keys", ("jedi/",))),
        ("failProcess replica_1", Command("failProcess", ("replica_1",))),
        ("failLink replica_0 replica_1", Command("failLink", ("replica_0", "replica_1"))),
        ("fixLink", Command("fixLink")),
        ("fault replica_1 shuttle(0,0),change_result()", Command("fault", ("replica_1",), "shuttle(0,0),change_result()")),
        ("", None),
    ],
)
def test_a_line_is_understood(line, command):
    assert understood(line) == command


@pytest.mark.parametrize(
    "line",
    ["got x", "get", "get a b", "put x", "put", "put x {1, 2}", "put x [-1e999, {1}]", "put x {1: 2, '1': 3}", "get 'x", "status now"],
)
def test_what_is_no_command_is_told_with_what_would_be(line):
    with pytest.raises(NotUnderstood) as problem:
        understood(line)
    assert str(problem.value)


@pytest.mark.parametrize("text", ["{bad", "[draft] of a letter", "'half", '"a" b', "(hello)"])
@pytest.mark.parametrize("name", ["put", "append"])
def test_of_a_text_that_begins_as_a_literal_and_is_none_it_is_said_that_it_is_taken_as_it_stands(name, text, at, capsys):
    command = understood(f"{name} x {text}")
    assert (command.value, command.doubt) == (text, f"{text} begins as a literal and is none, so the text itself is the value")
    assert console.command_main(name, [*at, f"doubtful {text}", text]) == 0
    assert capsys.readouterr().err == f"bcr {name}: {command.doubt}\n"


@pytest.mark.parametrize("text", ["5", "{'a': 1}", '{"a": null}', "'quoted'", "star wars", "2026-11-28", "-", "it's"])
def test_of_other_values_nothing_is_said(text):
    assert understood(f"put x {text}").doubt == ""


def test_an_append_that_is_refused_is_told_in_words(at, capsys):
    assert console.command_main("put", [*at, "number", "5"]) == 0
    assert console.command_main("append", [*at, "number", "1"]) == 1
    assert capsys.readouterr().err == "bcr append: only to a list, or a string to a string, can something be appended\n"


def test_the_help_has_every_command():
    assert all(form.written in helped() for form in FORMS.values())


def test_the_help_keeps_each_command_apart_from_what_it_does():
    assert all(f"{form.written}  " in helped() for form in FORMS.values())


@pytest.fixture
def at(service, olympus_key):
    return ["--url", service.url, "--olympus-key", olympus_key]


def test_scripts_write_read_and_delete(at):
    assert bcr("put", "script", '{"x": 1}', *at).stdout.startswith("version 0.")
    assert json.loads(bcr("get", "script", *at).stdout) == {"x": 1}
    assert "script" in bcr("keys", "scr", *at).stdout.split()
    assert bcr("delete", "script", *at).returncode == 0
    again = bcr("delete", "script", *at)
    assert (again.returncode, again.stdout) == (1, "no value\n")


def test_without_a_key_of_olympus_it_is_said_that_the_gateway_is_not_checked(service):
    done = bcr("get", "nothing", "--url", service.url)
    assert "the gateway's word" in done.stderr
    assert done.returncode == 1


def test_under_another_key_an_answer_does_not_hold(service):
    done = bcr("put", "x", "1", "--url", service.url, "--olympus-key", "00" * 32)
    assert done.returncode == 3
    assert "does not hold" in done.stderr


@pytest.mark.parametrize("arguments", [["get"], ["put", "x"], ["get", "x", "--olympus-key", "5"], ["get", "x", "--url", "nowhere"]])
def test_bad_input_is_told_in_a_line(arguments):
    done = bcr(*arguments)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_what_is_not_printable_is_shown_with_escapes(at, store):
    for key in ("odd/a\nb\x1b[31m", "odd/plain \\n", "odd/\u202e"):
        store.put(key, key)
    assert bcr("keys", "odd/", *at).stdout.splitlines() == [r"'odd/a\nb\x1b[31m'", r"odd/plain \n", r"'odd/\u202e'"]
    shown = bcr("console", *at, standard_input="get 'odd/a\\nb\\x1b[31m'\nget 'odd/\\u202e'\n").stdout
    assert shown.splitlines() == [r'"odd/a\nb\u001b[31m"', r'"odd/\u202e"']


def test_a_number_of_any_length_is_written_and_shown(at, service):
    number = "9" * 5_000
    assert bcr("put", "long number", f"[{number}]", *at).returncode == 0
    assert service.ask("GET", "/keys/long%20number")[2].decode() == f"[{number}]"
    assert bcr("get", "long number", *at).stdout == f"[{number}]\n"


@pytest.mark.parametrize("answer", [b"SSH-2.0-\x1b[31m\r\n", b"", b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"])
def test_who_is_no_gateway_is_told_in_a_line(answer):
    with answering(answer) as url:
        done = bcr("get", "x", "--url", url)
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1), done
    assert "no gateway of a store" in done.stderr or "no answer that a gateway gives" in done.stderr
    assert "\x1b" not in done.stderr


def test_the_status_of_who_is_no_gateway_is_told_in_a_line():
    with answering(b"SSH-2.0-\x1b[31m\r\n") as url:
        done = bcr("status", "--url", url)
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1), done
    assert "\x1b" not in done.stderr


UNANSWERED = [b"", b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n",
              b'HTTP/1.1 504 Unknown\r\ncontent-length: 35\r\n\r\n{"detail": "late","definite":false}']  # fmt: skip


@pytest.mark.parametrize("answer", UNANSWERED)
@pytest.mark.parametrize(("method", "error"), [("GET", NothingHappened), ("POST", OutcomeUnknown), ("PUT", OutcomeUnknown)])
def test_what_was_sent_and_not_answered_may_have_happened_unless_it_only_reads(answer, method, error):
    with answering(answer) as url, pytest.raises(error) as raised:
        Plain(url, Access()).ask("/lab/kill/replica_0", method)
    assert type(raised.value) is error


def test_what_is_not_answered_in_time_may_have_happened(monkeypatch):
    monkeypatch.setattr(console, "LIMIT_S", 0.2)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        plain = Plain(f"http://127.0.0.1:{silent.getsockname()[1]}", Access())
        with pytest.raises(OutcomeUnknown, match="no answer within"):
            plain.ask("/admin/members/replica_3", "PUT")
        session = ConsoleSession(UnprovedStore(plain.url), plain)
        assert attempted(lambda: session.do(understood("kill replica_0")), "kill") == 4


def test_a_console_does_what_it_is_given(at, tmp_path):
    file = tmp_path / "proof.json"
    lines = ["put console {'x': (1, 2)}", "get console", "append log 'a'", "get log", f"proof console {file}", "status", "log",
             "nonsense", "get nothing", "help", "quit", "get never"]  # fmt: skip
    done = bcr("console", *at, standard_input="\n".join(lines))
    assert '{"x": [1, 2]}' in done.stdout
    assert '["a"]' in done.stdout
    assert "3 of 3 replicas" in done.stdout
    assert "replica_2" in done.stdout
    assert "configuration" in done.stdout
    assert "no command nonsense" in done.stderr
    assert done.returncode == 1
    key = at[-1]
    verified = bcr("verify", file, "--olympus-key", key)
    assert verified.returncode == 0
    assert "does not show" in verified.stdout


def test_verify_refuses_what_does_not_hold_and_says_what_it_cannot_read(at, tmp_path):
    file = tmp_path / "proof.json"
    bcr("console", *at, standard_input=f"put v 1\nproof v {file}\n")
    assert bcr("verify", file).returncode == 2
    assert bcr("verify", file, "--olympus-key", "00" * 32).returncode == 1
    (tmp_path / "none.json").write_text("{}")
    assert bcr("verify", tmp_path / "none.json", "--olympus-key", at[-1]).returncode == 2
    assert bcr("verify", tmp_path / "not there", "--olympus-key", at[-1]).returncode == 2


def test_a_laboratory_is_refused_where_there_is_none(at):
    done = bcr("console", *at, standard_input="kill replica_0\n")
    assert done.returncode == 1
    assert "there is nothing at this path; /api tells what there is; /lab/… is there with ./bcr serve --lab only" in done.stderr


def test_the_log_is_told_without_waiting_for_what_comes(service, at):
    assert service.ask("PUT", "/keys/logged", b"1")[0] == 204
    started_s = time.monotonic()
    assert service.events()
    assert time.monotonic() - started_s < HEARTBEAT_S
    assert "configuration=0" in bcr("console", *at, standard_input="log\n").stdout


def test_that_nobody_is_there_is_told_without_a_number(capsys):
    with socket.create_server(("127.0.0.1", 0)) as free:
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    assert console.command_main("status", ["--url", url]) == 1
    assert capsys.readouterr().err == f"bcr status: {url}: Connection refused\n"

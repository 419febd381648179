"""Who may call: TLS with the service's certificate, the token, and files that cannot be used are told before anything starts."""

import contextlib
import http.client
import json
import os
import re
import ssl
import subprocess
import urllib.error
import urllib.request

import pytest
import trustme
from cryptography.hazmat.primitives import serialization
from serving import command, served

from bcr.scenario import ScenarioError
from bcr_client import DistributedDict, NothingHappened, Refused, Store
from bcr_service.access import Unusable, demand_usable
from bcr_service.service_files import parse_service

TOKEN = "a-token-of-a-test-0123456789"
FILE = """durable = off
gateway[0] = 127.0.0.1:0
distraft[0] = 0.0.0.0:0
distraft[1] = 0.0.0.0:0
tls_certificate = own.pem
tls_key = own.key
token_file = own.token
"""


def private(path, content):
    path.write_bytes(content)
    path.chmod(0o600)
    return path


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


def write_files(folder, authority):
    issued = authority.issue_cert("127.0.0.1", "localhost")
    (folder / "own.pem").write_bytes(b"".join(each.bytes() for each in issued.cert_chain_pems))
    private(folder / "own.key", issued.private_key_pem.bytes())
    private(folder / "own.token", f"{TOKEN}\n".encode())
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))


@pytest.fixture(scope="module")
def closed(tmp_path_factory, authority):
    """A service with TLS and a token, and the folder of its files."""
    folder = tmp_path_factory.mktemp("closed")
    write_files(folder, authority)
    with served(folder, text=FILE, ca_file=folder / "ca.pem", token=TOKEN) as running:
        yield running, folder


def key_of(running):
    return json.loads(running.ask("GET", "/configuration")[2])["olympus_key"]


def test_whoever_shows_the_token_is_served_over_tls(closed):
    running, folder = closed
    assert running.url.startswith("https://")
    with Store(running.url, key_of(running), token=TOKEN, ca_file=str(folder / "ca.pem")) as store:
        version = store.put("secret", [1])
        assert store.get_versioned("secret").version == version
    mine = DistributedDict("127.0.0.1", running.port, olympus_key=key_of(running), token=TOKEN, ca_file=str(folder / "ca.pem"))
    assert mine["secret"] == [1]
    mine.close()


def test_a_dictionary_speaks_tls_with_the_certificates_of_the_system_too(closed, monkeypatch):
    running, folder = closed
    monkeypatch.setenv("SSL_CERT_FILE", str(folder / "ca.pem"))
    mine = DistributedDict("127.0.0.1", running.port, olympus_key=key_of(running), token=TOKEN, tls=True)
    mine["of the system"] = 2
    mine.close()


@pytest.mark.parametrize("shown", [None, "Bearer", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", f"Basic {TOKEN}", TOKEN, "Bearer ü"])
@pytest.mark.parametrize("path", ["/keys/secret", "/keys", "/admin/status", "/metrics", "/events", "/configuration", "/none"])
def test_whoever_does_not_is_told_so_and_nothing_else(closed, shown, path):
    running, _ = closed
    status, headers, body = running.ask("GET", path, headers={} if shown is None else {"authorization": shown}, token=None)
    assert (status, headers["www-authenticate"], headers.get_content_type()) == (401, "Bearer", "application/problem+json")
    assert json.loads(body)["definite"] is True


def test_who_is_refused_for_want_of_the_token_is_counted(closed):
    running, _ = closed
    assert running.ask("DELETE", "/keys/secret", token=None)[0] == 401
    assert 'bcr_http_requests_total{method="DELETE",status="401"} 1.0' in running.ask("GET", "/metrics")[2].decode()


def test_a_page_may_ask_whether_it_may_show_the_token(closed):
    """A browser asks so without the token, and was told 401."""
    running, _ = closed
    url, page = f"https://127.0.0.1:{running.ports('distraft')[0]}", {"origin": "https://viewer.example"}
    asked = page | {"access-control-request-method": "POST", "access-control-request-headers": "authorization"}
    status, headers, _ = running.ask("OPTIONS", "/secret", headers=asked, url=url, token=None)
    assert (status, headers["access-control-allow-origin"], headers["access-control-allow-headers"]) == (200, "*", "authorization")
    refused = running.ask("GET", "/secret", headers=page, url=url, token=None)
    assert (refused[0], refused[1]["access-control-allow-origin"]) == (401, "*")


@pytest.mark.parametrize("host", ["localhost:5001", "store.example", "[::1]:5001"])
def test_a_server_that_listens_everywhere_sends_callers_on_under_the_name_that_they_have_used(closed, host):
    """It sent them to 0.0.0.0, of another machine also."""
    running, _ = closed
    _, other = running.ports("distraft")
    status, headers, _ = call_without_following(other, "/colour?x=1", host)
    name = re.sub(r":\d+$", "", host)
    assert (status, headers["location"]) == (302, f"https://{name}:{running.ports('distraft')[0]}/colour?x=1")


def call_without_following(port, path, host):
    connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=20, context=ssl._create_unverified_context())
    with contextlib.closing(connection):
        connection.request("GET", path, headers={"host": host, "authorization": f"Bearer {TOKEN}"})
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()


def test_dialects_ask_for_the_token_too(closed):
    running, _ = closed
    url = f"https://127.0.0.1:{running.ports('distraft')[0]}"
    for path in ("/", "/secret", "/stop"):
        assert running.ask("GET", path, url=url, token=None)[0] == 401
    assert json.loads(running.ask("GET", "/secret", url=url)[2])["ok"] is True


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/", "/api", "/openapi.json"])
def test_whether_the_service_is_there_and_its_pages_are_for_everybody(closed, path):
    assert closed[0].ask("GET", path, token=None)[0] == 200


def test_a_client_tells_a_wrong_token_and_a_certificate_that_it_does_not_know(closed, tmp_path):
    running, folder = closed
    key = key_of(running)
    with Store(running.url, key, token="wrong", ca_file=str(folder / "ca.pem")) as store, pytest.raises(Refused, match="its token"):
        store.put("secret", 2)
    trustme.CA().cert_pem.write_to_path(str(tmp_path / "other.pem"))
    other = Store(running.url, key, token=TOKEN, ca_file=str(tmp_path / "other.pem"))
    with other, pytest.raises(NothingHappened, match="certificate"):
        other.get("secret")


def test_whoever_speaks_no_tls_is_not_answered(closed):
    running, _ = closed
    with pytest.raises((urllib.error.URLError, ConnectionError)):
        urllib.request.urlopen(running.url.replace("https", "http") + "/livez", timeout=20)


def test_a_client_refuses_options_that_make_no_sense(tmp_path):
    for options, what in [
        ({"token": "two words"}, "token"),
        ({"token": "line\nbreak"}, "token"),
        ({"ca_file": str(tmp_path / "none.pem")}, "https"),
        ({"attempts": 0}, "attempts"),
    ]:
        with pytest.raises(ValueError, match=what):
            Store("http://127.0.0.1:1", bytes(32), **options)
    with pytest.raises(ValueError, match="no certificates"):
        Store("https://127.0.0.1:1", bytes(32), ca_file=str(tmp_path / "none.pem"))
    with pytest.raises(ValueError, match="no gateway"):
        Store([], bytes(32))


# -- before anything starts


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda folder: (folder / "own.key").unlink(), "No such file"),
        (lambda folder: (folder / "own.key").chmod(0o644), "everybody on this machine may read"),
        (lambda folder: (folder / "own.token").chmod(0o604), "everybody on this machine may read"),
        (lambda folder: ((folder / "own.token").unlink(), (folder / "own.token").mkdir()), "Is a directory"),
        (lambda folder: (folder / "own.pem").write_text("no certificate"), "no certificate in PEM"),
        (lambda folder: private(folder / "own.key", trustme.CA().issue_cert("x").private_key_pem.bytes()), "no certificate in PEM"),
        (lambda folder: private(folder / "own.token", b"short\n"), "a token is one line"),
        (lambda folder: private(folder / "own.token", b"\xff" * 30), "no token"),
    ],
    ids=["no key", "key for all", "token for all", "a folder", "no certificate", "another key", "short token", "no text"],
)
def test_a_file_that_cannot_be_used_is_told_and_nothing_is_started(tmp_path, authority, change, what):
    write_files(tmp_path, authority)
    change(tmp_path)
    (tmp_path / "own.config").write_text(FILE)
    done = subprocess.run(command(tmp_path / "own.config"), capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert what in done.stderr
    assert "own." in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_told(tmp_path, authority):
    write_files(tmp_path, authority)
    (tmp_path / "own.key").chmod(0)
    with pytest.raises(ScenarioError, match="Permission denied"):
        parse_service(FILE, str(tmp_path / "own.config"))


def test_a_certificate_without_its_key_is_told(tmp_path, authority):
    write_files(tmp_path, authority)
    with pytest.raises(ScenarioError, match="go together"):
        parse_service("tls_certificate = own.pem\n", str(tmp_path / "own.config"))


def test_a_public_address_takes_tls_and_a_token(tmp_path, authority):
    write_files(tmp_path, authority)
    public = FILE.replace("127.0.0.1", "0.0.0.0")
    assert parse_service(public, str(tmp_path / "own.config")).listeners[0].address.host == "0.0.0.0"
    for missing in ("tls_certificate = own.pem\ntls_key = own.key\n", "token_file = own.token\n"):
        with pytest.raises(ScenarioError, match="takes TLS and a token"):
            parse_service(public.replace(missing, ""), str(tmp_path / "own.config"))
    with pytest.raises(ScenarioError, match="no way to show a token"):
        parse_service(FILE + "zatt[0] = 127.0.0.1:0\n", str(tmp_path / "own.config"))


def test_a_key_with_a_password_does_not_ask_at_the_terminal(tmp_path, authority):
    write_files(tmp_path, authority)
    locked = serialization.load_pem_private_key((tmp_path / "own.key").read_bytes(), None).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"a password")
    )
    private(tmp_path / "own.key", locked)
    with pytest.raises(Unusable, match="no certificate in PEM"):
        demand_usable({"tls_certificate": str(tmp_path / "own.pem"), "tls_key": str(tmp_path / "own.key")})

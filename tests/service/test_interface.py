"""What HTTP asks of an interface, tried without a service: numbers, text, conditions, streams, and what nobody has foreseen."""

import asyncio
import contextlib
import json

import pytest
from in_process import LIMIT_S, Interface

from bcr.raft.changes import ADD
from bcr_service import calls, outcomes, watching
from bcr_service.bodies import BODY_LIMIT_BYTES, THROWN_AWAY_BYTES
from bcr_service.key_path import fields_in
from bcr_service.problems import Problem, unavailable, unknown
from bcr_service.protocol_views import VIEWS
from bcr_service.whole_numbers import exceeds, number_in, position_in


@pytest.fixture
def interface():
    return Interface()


# -- numbers

LONG = ("0009", "000000001999999999", "000000001" + "9" * 5_000, "9" * 5_000)


@pytest.mark.parametrize("text", [*LONG, "", "-1", "+1", " 1", "1\n", "²", "١", "1_0", "61", "0"])
def test_of_a_number_all_is_read_or_nothing(text):
    assert number_in("60", 1, 60) == 60
    with pytest.raises(ValueError, match="from 1 to 60"):
        number_in(text, 1, 60)


@pytest.mark.parametrize("text", LONG[1:])
def test_a_limit_is_no_number_that_only_begins_like_one(text):
    for read in (lambda: outcomes.limit_in({"timeout_ms": text}), lambda: calls.listing({"limit": text})):
        with pytest.raises(Problem) as problem:
            read()
        assert problem.value.status == 400
    assert outcomes.limit_in({"timeout_ms": "60000"}) == 60_000


@pytest.mark.parametrize("name", ["replica_0009", "0009", "replica_3", *LONG])
def test_there_is_no_server_of_a_number_that_only_begins_like_one(name):
    status = {"servers": [{}, {}, {}], "members": [0, 1]}
    with pytest.raises(Problem, match="replica_0 to replica_2") as problem:
        VIEWS["raft"].change(status, ADD, name)
    assert problem.value.status == 404
    with pytest.raises(ValueError, match="replica_0 to replica_2"):
        position_in(name, 3)
    assert VIEWS["raft"].change(status, ADD, "replica_2").server == 2


def test_a_body_that_says_to_be_too_long_is_believed_whatever_zeros_it_begins_with():
    most = BODY_LIMIT_BYTES + THROWN_AWAY_BYTES
    assert [exceeds(digits, most) for digits in (str(most), "0", "0" * 5_000)] == [False] * 3
    assert [exceeds(digits, most) for digits in (str(most + 1), "0" * 5_000 + str(most + 1), "9" * 5_000)] == [True] * 3


# -- what nobody has foreseen


def test_an_error_that_nobody_has_foreseen_is_a_problem_and_may_have_happened(interface, capfd):
    def fail(_operations):
        raise ZeroDivisionError

    interface.executor.before = fail
    status, headers, body = interface.ask("PUT", "/keys/x", b"1")
    assert (status, headers["content-type"], json.loads(body)["definite"]) == (500, "application/problem+json", False)
    assert "a fault of a gateway's" in capfd.readouterr().err
    assert b'bcr_http_requests_total{method="PUT",status="500"} 1.0' in interface.metrics.text()


# -- text


@pytest.mark.parametrize(
    "path",
    ["/keys/%ff", "/keys/a/%fe", "/keys/%ED%A0%80", "/keys/%EF%BF%BD%ff", "/keys?prefix=%ff", "/keys?after=%fe", "/watch?prefix=%ff"],
)
def test_an_address_of_bytes_that_are_no_text_is_refused(interface, path):
    """Each such byte was taken for U+FFFD, so `%ff` and `%fe` were one key."""
    status, _, body = interface.ask("GET", path)
    assert (status, json.loads(body)["definite"]) == (400, True)
    assert interface.ask("PUT", "/keys/%EF%BF%BD", b"1")[0] == 204
    assert interface.ask("GET", "/keys?prefix=%EF%BF%BD")[2] == b'{"keys":["\xef\xbf\xbd"],"more":false}'
    if path.startswith("/keys/"):
        assert interface.ask("PUT", path, b"2")[0] == interface.ask("DELETE", path)[0] == 400
        assert interface.ask("GET", "/keys/%EF%BF%BD")[2] == b"1"


# -- streams


def happened(interface, *numbers):
    for number in numbers:
        interface.state.events.add({"number": number, "kind": "mode", "at": "now"})


def events_told(interface, headers=None, path="/events"):
    """The identities and kinds of all that there is, as somebody hears it who then hangs up."""

    async def listened():
        told = []
        async with interface.begun("GET", path, headers=headers) as answer:
            assert answer.status == 200
            while not (block := await answer.block()).startswith(":"):
                kind, identity, _ = block.split("\n")
                told.append((identity.removeprefix("id: "), kind.removeprefix("event: ")))
        return told

    return asyncio.run(listened())


def test_who_has_heard_of_an_event_goes_on_behind_it(interface):
    happened(interface, 1, 2, 3)
    assert events_told(interface) == [(f"first-{number}", "mode") for number in (1, 2, 3)]
    assert events_told(interface, {"Last-Event-ID": "first-1"}) == events_told(interface, path="/events?after=first-1")
    assert events_told(interface, {"Last-Event-ID": "first-1"}) == [("first-2", "mode"), ("first-3", "mode")]
    assert events_told(interface, {"Last-Event-ID": "first-3"}) == []


@pytest.mark.parametrize("last", ["first-15", "15", "zeroth-1", "first-", "first-01", "first-" + "9" * 5_000, "-1", "x", "first--1"])
def test_who_names_an_event_of_another_start_is_told_so_and_gets_all(last):
    """It got nothing until there were more events than that."""
    interface = Interface(start="first")
    happened(interface, 1, 2)
    assert events_told(interface, {"Last-Event-ID": last}) == [("first-0", "beginning"), ("first-1", "mode"), ("first-2", "mode")]
    assert events_told(interface, {"Last-Event-ID": "first-0"}) == [("first-1", "mode"), ("first-2", "mode")]


def test_who_names_an_event_behind_which_some_are_not_kept_is_told_so(interface):
    happened(interface, 7, 8)
    assert events_told(interface, {"Last-Event-ID": "first-5"})[0] == ("first-0", "beginning")
    assert events_told(interface, {"Last-Event-ID": "first-6"}) == [("first-7", "mode"), ("first-8", "mode")]


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(watching, "PAUSE_S", 0.01)


@pytest.fixture
def slow(monkeypatch):
    monkeypatch.setattr(watching, "PAUSE_S", LIMIT_S)  # one look, and no other in a test


async def next_event(answer):
    """The kind and the content of the next event of a watch; None at its end."""
    while (block := await answer.block()) is not None and block.startswith(":"):
        pass
    if block is None:
        return None
    kind, *_, data = block.split("\n")
    return kind.removeprefix("event: "), json.loads(data.removeprefix("data: "))


def write(interface, *keys):
    """As another gateway does."""
    operations = tuple(calls.put(key, b"1", None) for key in keys)
    interface.executor.slots += 1
    interface.executor.store.execute(interface.executor.values, operations, (0, interface.executor.slots, 0))


@pytest.mark.usefixtures("quick")
def test_a_watch_of_too_many_keys_says_so_and_ends(interface):
    """It went on, and told nothing any more, not even of the keys that it had told of."""

    async def watched():
        async with interface.begun("GET", "/watch?prefix=k") as answer:
            assert (await next_event(answer))[0] == "put"
            write(interface, *(f"k{number}" for number in range(watching.MOST_KEYS)))
            kind, problem = await next_event(answer)
            assert (kind, problem["status"]) == ("problem", 413)
            assert await next_event(answer) is None

    write(interface, "k")
    asyncio.run(watched())


@pytest.mark.usefixtures("quick")
def test_a_watch_of_what_cannot_be_looked_at_says_so_once_and_goes_on(interface):
    def fail(_operations):
        raise unavailable("nobody is there")

    async def watched():
        async with interface.begun("GET", "/watch?prefix=k") as answer:
            assert (await next_event(answer))[0] == "put"
            interface.executor.before = fail
            kind, problem = await next_event(answer)
            assert (kind, problem["status"], problem["definite"]) == ("problem", 503, True)
            for _ in range(3):
                assert await answer.block() == ": not looked"
            interface.executor.before = lambda _operations: None
            write(interface, "k2")
            kind, change = await next_event(answer)
            assert (kind, change["key"]) == ("put", "k2")

    write(interface, "k")
    asyncio.run(watched())


@pytest.mark.usefixtures("slow")
def test_those_who_watch_one_prefix_have_one_look(interface):
    """Each held a copy of its own, and twenty of them 207 MB."""

    async def watched():
        async with contextlib.AsyncExitStack() as stack:
            begun = [interface.begun("GET", "/watch?prefix=k") for _ in range(20)]
            answers = await asyncio.gather(*map(stack.enter_async_context, begun))  # at once
            told = [await next_event(answer) for answer in answers]
            assert told == [("put", {"key": "k", "version": [0, 1, 0], "value": 1})] * 20

    write(interface, "k")
    asyncio.run(watched())
    assert interface.executor.asked == [["keys"], ["get"]]


@pytest.mark.usefixtures("quick")
def test_what_has_not_changed_is_held_once_and_what_nobody_watches_is_not_held(interface):
    async def watched():
        looks = watching.Watching(interface.executor)
        prefix = await looks.join("k")
        before = prefix.now["k"][0]
        write(interface, "k2")
        await prefix.next_look.wait()
        assert set(prefix.now) == {"k", "k2"}
        assert prefix.now["k"][0] is before
        looks.leave(prefix)
        await asyncio.wait([prefix.task])
        assert (await looks.join("k")) is not prefix

    write(interface, "k")
    asyncio.run(watched())


@pytest.mark.usefixtures("slow")
def test_what_is_watched_in_a_gateway_together_has_a_bound(interface, monkeypatch):
    monkeypatch.setattr(watching, "MOST_HELD_BYTES", 80)

    async def watched():
        async with interface.begun("GET", "/watch?prefix=k") as one:
            assert one.status == 200
            async with interface.begun("GET", "/watch?prefix=l") as other:
                assert other.status == 503
        async with interface.begun("GET", "/watch?prefix=l") as other:
            assert other.status == 200

    write(interface, "k", "l")
    asyncio.run(watched())


# -- browsers


@pytest.mark.parametrize(
    "host", ["127.0.0.1:8080", "localhost", "LOCALHOST:1", "store.localhost:8080", "[::1]:8080", "127.8.9.1", "store.local:8080"]
)
def test_whoever_names_this_machine_is_served_and_so_are_its_own_pages(interface, host):
    own = {"host": host, "origin": f"http://{host}"}
    assert interface.ask("PUT", "/keys/x", b"1", {"host": host})[0] == interface.ask("PUT", "/keys/x", b"1", own)[0] == 204
    assert interface.ask("GET", "/keys/x", headers={"host": host})[0] == 200


@pytest.mark.parametrize(
    "host",
    [
        "elsewhere.example",
        "127.0.0.1.elsewhere.example",
        "localhost.elsewhere.example:8080",
        "10.0.0.1",
        "[::2]",
        "[::1",
        "x",
        "",
        "a b",
        "127.0.0.1:1:1",
    ],
)
def test_whoever_names_another_host_is_not_served(interface, host):
    """So does a page whose site has brought its own name to this address (DNS rebinding), and read all."""
    for method in ("GET", "PUT"):
        status, headers, body = interface.ask(method, "/keys/x", b"1", {"host": host})
        assert (status, headers["content-type"], json.loads(body)["definite"]) == (421, "application/problem+json", True)
    assert not interface.executor.asked


@pytest.mark.parametrize(
    "origin", ["http://elsewhere.example", "null", "", "http://127.0.0.1:8081", "http://127.0.0.1", "http://localhost:8080"]
)
def test_a_page_of_another_site_changes_nothing(interface, origin):
    """It needs no leave for a POST of text, and wrote keys and killed replicas."""
    headers = {"host": "127.0.0.1:8080", "origin": origin, "content-type": "text/plain"}
    for method, path in (
        ("POST", "/keys/x"),
        ("PUT", "/keys/x"),
        ("DELETE", "/keys/x"),
        ("POST", "/transactions"),
        ("PUT", "/admin/leader/1"),
    ):
        status, _, body = interface.ask(method, path, b'{"type":"PUT","value":["a"]}', headers)
        assert (status, json.loads(body)["definite"]) == (403, True)
    assert not interface.executor.asked
    assert interface.ask("GET", "/livez", headers=headers)[0] == 200  # of which the browser shows its page nothing


# -- conditions (RFC 9110, 13)

VALUE, OTHER, WEAK = '"0.1.0"', '"0.9.0"', 'W/"0.1.0"'


@pytest.mark.parametrize(
    ("fields", "read", "written"),
    [
        ({"If-Match": VALUE}, 200, 204),
        ({"If-Match": f"{OTHER}, {VALUE}"}, 200, 204),
        ({"If-Match": "*"}, 200, 204),
        ({"If-Match": OTHER}, 412, 412),
        ({"If-Match": '"another-servers"'}, 412, 412),
        ({"If-Match": WEAK}, 412, 412),
        ({"If-None-Match": VALUE}, 304, 412),
        ({"If-None-Match": WEAK}, 304, 412),
        ({"If-None-Match": f"{OTHER} ,{VALUE}"}, 304, 412),
        ({"If-None-Match": "*"}, 304, 412),
        ({"If-None-Match": OTHER}, 200, 204),
        ({"If-Match": VALUE, "If-None-Match": VALUE}, 304, 412),
        ({"If-Match": OTHER, "If-None-Match": VALUE}, 412, 412),
        ({"If-Match": "*", "If-None-Match": OTHER}, 200, 204),
    ],
)
def test_conditions_hold_for_a_value_as_http_has_them(interface, fields, read, written):
    assert interface.ask("PUT", "/keys/x", b"1")[1]["etag"] == VALUE
    status, headers, _ = interface.ask("GET", "/keys/x", headers=fields)
    assert (status, headers["etag"]) == (read, VALUE)
    assert interface.ask("HEAD", "/keys/x", headers=fields)[0] == read
    status, headers, body = interface.ask("PUT", "/keys/x", b"2", fields)
    assert status == written
    assert interface.ask("GET", "/keys/x")[2] == (b"2" if written == 204 else b"1")
    if written == 412:
        assert (json.loads(body)["definite"], headers["etag"]) == (True, VALUE)
        assert interface.ask("DELETE", "/keys/x", headers=fields)[0] == 412
        assert interface.ask("POST", "/keys/x", b'{"type":"PUT","value":[]}', fields)[0] == 412


@pytest.mark.parametrize(
    ("fields", "written"),
    [
        ({"If-Match": VALUE}, 412),
        ({"If-Match": "*"}, 412),
        ({"If-Match": f"{VALUE}, {OTHER}"}, 412),
        ({"If-None-Match": "*"}, 204),
        ({"If-None-Match": VALUE}, 204),
        ({"If-Match": "*", "If-None-Match": "*"}, 412),
    ],
)
def test_conditions_hold_for_no_value_as_http_has_them(interface, fields, written):
    assert interface.ask("GET", "/keys/x", headers=fields)[0] == 404
    assert interface.ask("PUT", "/keys/x", b"2", fields)[0] == written
    assert interface.ask("GET", "/keys/x")[0] == (200 if written == 204 else 404)


def test_a_write_whose_condition_was_looked_at_does_not_write_over_what_came_meanwhile(interface):
    """Of a value that others always write over it is said in the end that nothing has happened."""

    def meddle(operations):
        if operations[0].name == "put":
            write(interface, "x")

    write(interface, "x")
    interface.executor.before = meddle
    status, _, body = interface.ask("PUT", "/keys/x", b"2", {"If-Match": "*"})
    assert (status, json.loads(body)["definite"]) == (503, True)
    assert interface.executor.values["x"].text == "1"
    assert interface.executor.asked == [["get"], ["put"]] * 3


def test_a_write_whose_condition_could_not_be_looked_at_has_not_happened(interface):
    def nobody(_operations):
        raise unknown("nobody answers")

    interface.executor.before = nobody
    status, _, body = interface.ask("PUT", "/keys/x", b"2", {"If-Match": "*"})
    assert (status, json.loads(body)["definite"]) == (503, True)


def test_several_fields_of_one_name_are_one_list():
    assert fields_in({"headers": [(b"if-match", b'"a"'), (b"x", b"y"), (b"if-match", b'"b"')]}) == {b"if-match": b'"a", "b"', b"x": b"y"}


# -- proofs


def test_a_proof_is_asked_for_by_the_query_or_the_head():
    for query, fields in (
        ({"proof": "1", "nonce": "n"}, {}),
        ({}, {b"proof": b"1", b"proof-nonce": b"n"}),
        ({"nonce": "n"}, {b"proof": b"1"}),
    ):
        assert outcomes.nonce_in(query, fields, "") == "n"
    assert outcomes.nonce_in({"proof": "0"}, {b"proof": b"1"}, "") is None
    for fields in ({b"proof": b"yes"}, {b"proof": b"1", b"proof-nonce": b"\xff"}):
        with pytest.raises(Problem) as problem:
            outcomes.nonce_in({"proof": "1", "nonce": "n"}, fields, "")
        assert problem.value.status == 400
    assert outcomes.nonce_in({}, {b"accept": b"*/*"}, "no proofs") is None

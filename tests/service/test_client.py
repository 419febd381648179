"""The client returns nothing that is not proved, and tells the lies of a gateway apart."""

import asyncio
import base64
import json
import socket
import subprocess
import sys
import threading
from decimal import Decimal

import msgspec
import pytest
from lying import lying_gateway
from serving import answering, served

from bcr.chain.proofs import Answer
from bcr.signed.encoding import decode, encode
from bcr_client import (
    ABSENT,
    AsyncStore,
    BadProof,
    ConditionFailed,
    DistributedDict,
    NothingHappened,
    OutcomeUnknown,
    Proof,
    Refused,
    Store,
    UntrustedAnswer,
)
from bcr_client.answers import Seen
from bcr_client.json_values import json_in, json_of


def test_values_are_read_as_they_were_written(store):
    value = {"name": "Leia", "lines": [1, 2.5, None, True], "umlaut": "ü\u2028"}
    version = store.put("a/b c?%", value)
    found = store.get_versioned("a/b c?%")
    assert (found.value, found.version) == (value, version)
    assert store.get("nothing here") is None
    assert store.get("nothing here", 7) == 7


def test_conditions_hold_or_nothing_happens_and_that_is_proved(store):
    version = store.put("conditions", 1, ABSENT)
    with pytest.raises(ConditionFailed) as failed:
        store.put("conditions", 2, ABSENT)
    assert failed.value.version == version
    assert failed.value.is_definite
    assert failed.value.is_proved
    second = store.compare_and_set("conditions", version, 3)
    with pytest.raises(ConditionFailed):
        store.compare_and_set("conditions", version, 4)
    assert store.get_versioned("conditions").version == second


def test_appending_makes_a_list_and_refuses_what_is_none(store):
    store.append("list", "a")
    store.append("list", "b")
    assert store.get("list") == ["a", "b"]
    store.put("number", 5)
    with pytest.raises(Refused) as refused:
        store.append("number", "b")
    assert refused.value.is_proved


def test_a_transaction_happens_as_a_whole_or_not_at_all(store):
    results = store.transaction([("put", "t1", 1), ("put", "t2", 2), ("get", "t1"), ("delete", "t2")])
    assert results[2]["value"] == 1
    with pytest.raises(ConditionFailed):
        store.transaction([("put", "t1", 99), ("put", "t1", 100, ABSENT), ("put", "t3", 1, (9, 9, 9))])
    assert store.get("t1") == 1
    assert store.get("t3") is None


def test_keys_are_listed_over_pages(store):
    for number in range(7):
        store.put(f"page/{number}", number)
    assert list(store.keys("page/", page=3)) == [f"page/{number}" for number in range(7)]
    assert store.delete("page/3")
    assert not store.delete("page/3")
    assert len(list(store.keys("page/"))) == 6


NOWHERE = "http://127.0.0.1:1"  # who sent something there would be told that there is no connection


@pytest.mark.parametrize("key", ["", "x" * 1_025, "\ud800", 5, None, b"x"])
def test_what_is_no_key_is_refused_before_anything_is_sent(key):
    with Store(NOWHERE, bytes(32)) as store:
        for call in (store.get, store.delete, lambda key: store.put(key, 1), lambda key: store.transaction([("get", key)])):
            with pytest.raises(Refused) as refused:
                call(key)
            assert refused.value.is_proved


@pytest.mark.parametrize(
    "value",
    [{1, 2}, float("nan"), "\ud800", {1: "a", "1": "b"}, [{None: 1, "null": 2}], Decimal("0.5"), pytest.param(10**5_000, id="long")],
)
def test_what_is_no_value_is_refused_before_anything_is_sent(value):
    with Store(NOWHERE, bytes(32)) as store:
        for call in (store.put, store.append):
            with pytest.raises(Refused) as refused:
                call("x", value)
            assert "no JSON value" in str(refused.value)
            assert refused.value.is_proved


@pytest.mark.parametrize(
    ("call", "right"),
    [
        (lambda store: list(store.keys("\ud800")), "surrogate"),
        (lambda store: list(store.keys(5)), "text, not int"),
        (lambda store: list(store.keys(page=0)), "from 1 to 1,000"),
        (lambda store: store.put("x", 1, "0.7"), "ABSENT or a version"),
        (lambda store: store.delete("x", 5), "ABSENT or a version"),
        (lambda store: store.transaction([]), "from 1 to 100"),
        (lambda store: store.transaction([("get",)]), '("get", key)'),
        (lambda store: store.transaction([("got", "x")]), "there are get, put"),
        (lambda store: store.transaction([("put", "x")]), "a key and a value"),
    ],
)
def test_what_cannot_be_asked_is_refused_with_what_would_be_right(call, right):
    with Store(NOWHERE, bytes(32)) as store, pytest.raises(Refused) as refused:
        call(store)
    assert right in str(refused.value)


def test_a_dictionary_with_keys_that_are_no_text_is_what_json_makes_of_it(store):
    store.append("other keys", {1: "a", None: [True]})
    assert store.get("other keys") == [{"1": "a", "null": [True]}]


@pytest.mark.parametrize("digits", [4_301, 1_000_000])
def test_a_number_of_any_length_is_read_exactly_by_all_who_read(store, service, olympus_key, digits):
    number = b"-" + b"9" * digits
    assert service.ask("PUT", "/keys/long/number", number)[0] == 204
    assert store.get("long/number") == Decimal(number.decode())
    found = store.items("long/")["long/number"]
    assert next(store.watch("long/")).value == found.value
    version = store.compare_and_set("long/number", found.version, found.value)
    assert service.ask("GET", "/keys/long/number")[2] == number
    dictionary = DistributedDict("127.0.0.1", service.port, olympus_key=olympus_key)
    assert dictionary["long/number"] == found.value
    dictionary.close()
    assert store.delete("long/number", version)


@pytest.mark.parametrize("number", ["1e400", "-1.5E+400", "1" * 400 + ".5", "9" * 4_301])
def test_a_number_that_no_float_is_is_exact_for_the_client_as_for_the_service(store, service, number):
    assert service.ask("PUT", "/keys/large", number.encode())[0] == 204
    assert store.get("large") == Decimal(number)
    store.transaction([("put", "large", [Decimal(number)]), ("put", "other", 1)])
    assert store.get("large") == [Decimal(number)]
    assert Decimal(service.ask("GET", "/keys/large")[2].decode().strip("[]")) == Decimal(number)


def test_a_number_that_nothing_in_python_is_stays_as_it_was_written():
    text = "[1e%s]" % ("9" * 25)
    assert json_of(json_in(text)) == text
    assert json_in(text) == json_in(text)


def test_the_client_of_asyncio_does_and_checks_the_same(service, olympus_key):
    async def work():
        async with AsyncStore(service.url, olympus_key) as store:
            await asyncio.gather(*(store.put(f"async/{number}", number) for number in range(20)))
            assert await store.get("async/7") == 7
            assert len([key async for key in store.keys("async/", page=6)]) == 20
            with pytest.raises(ConditionFailed):
                await store.compare_and_set("async/7", None, 8)
            await store.append("async list", "a")
            assert await store.delete("async list")
            assert store.last_proof.check(store.olympus_key).configuration == store.seen.configuration

    asyncio.run(work())


# -- proofs


def test_a_saved_proof_is_checked_without_the_service(store, tmp_path):
    version = store.put("proved", "this")
    store.last_proof.save(tmp_path / "proof.json")
    shown = Proof.load(tmp_path / "proof.json").check(store.olympus_key)
    assert (shown.operations[0].key, shown.place, shown.by) == ("proved", version, "3 of 3 replicas")


def test_a_proof_does_not_hold_under_another_key_of_olympus(store):
    store.get("proved")
    with pytest.raises(BadProof):
        store.last_proof.check(bytes(32))


def changed(whole, **changes):
    """The same proof with its answer changed."""
    answer = msgspec.structs.replace(decode(Answer, whole.answer), **changes)
    return msgspec.structs.replace(whole, answer=encode(answer))


def test_whatever_is_changed_in_a_proof_makes_it_invalid(store):
    store.put("changed", 1)
    proof = store.last_proof
    answer = decode(Answer, proof.answer)
    outcome = msgspec.structs.replace(answer.outcome, results=('{"version":[9,9,9]}', "null"))  # none that it may have
    others = [
        changed(proof, outcome=outcome),
        changed(proof, proof=answer.proof[:2]),
        changed(proof, slot=answer.slot + 1),
        changed(proof, proof=answer.proof[:1] * 3),
        msgspec.structs.replace(proof, nonce="another"),
        msgspec.structs.replace(proof, request=proof.request[:-1] + bytes([proof.request[-1] ^ 1])),
        msgspec.structs.replace(proof, configuration=proof.configuration[:-1] + bytes([proof.configuration[-1] ^ 1])),
        msgspec.structs.replace(proof, answer=b""),
    ]
    proof.check(store.olympus_key)
    for other in others:
        with pytest.raises(BadProof):
            other.check(store.olympus_key)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": "bcr proof 1"}', "[" * 100_000])
def test_a_file_that_is_no_proof_says_so(tmp_path, text):
    (tmp_path / "no.json").write_text(text)
    with pytest.raises(BadProof):
        Proof.load(tmp_path / "no.json")


# -- lies


def told(service, olympus_key, lie, call):
    """What the client makes of a call to a gateway that lies so."""
    with lying_gateway(service.url, lie) as url, Store(url, olympus_key) as store, pytest.raises(UntrustedAnswer) as untrusted:
        call(store)
    assert not untrusted.value.is_definite
    return untrusted.value.kind


def altering(change):
    """The lie of a gateway that changes the JSON of answers."""

    def lie(method, path, body, forward):
        status, answer = forward(method, path, body)
        document = json.loads(answer)
        change(document)
        return status, json.dumps(document).encode()

    return lie


def test_a_value_that_is_altered_beside_its_proof_is_noticed(service, olympus_key, store):
    store.put("lied about", "truth")

    def change(document):
        document["value"] = "lie"

    assert told(service, olympus_key, altering(change), lambda store: store.get("lied about")) == "altered"


def test_a_value_that_is_altered_in_its_proof_is_noticed(service, olympus_key, store):
    store.put("lied about", "truth")

    def change(document):
        answer = decode(Answer, base64.b64decode(document["proof"]["answer"]))
        results = (answer.outcome.results[0].replace("truth", "false"), *answer.outcome.results[1:])
        lie = msgspec.structs.replace(answer, outcome=msgspec.structs.replace(answer.outcome, results=results))
        document["value"] = "false"
        document["proof"]["answer"] = base64.b64encode(encode(lie)).decode()

    assert told(service, olympus_key, altering(change), lambda store: store.get("lied about")) == "altered"


def test_an_old_answer_is_noticed(service, olympus_key, store):
    kept = []

    def lie(method, path, body, forward):
        kept.append(forward(method, path, body))
        return kept[0]

    store.put("old", 1)
    with lying_gateway(service.url, lie) as url, Store(url, olympus_key) as deceived:
        assert deceived.get("old") == 1
        store.put("old", 2)
        with pytest.raises(UntrustedAnswer) as untrusted:
            deceived.get("old")
    assert untrusted.value.kind == "old"


def test_neither_an_older_configuration_nor_an_older_place_than_was_seen_is_accepted(service, olympus_key):
    with Store(service.url, olympus_key) as store:
        store.put("seen", 1)
        configuration, (number, slot, index) = store.seen.configuration, store.seen.place
    for seen in (Seen(configuration + 1, (number, slot, index)), Seen(configuration, (number, slot + 1_000_000, 0))):
        with Store(service.url, olympus_key, seen=seen) as store, pytest.raises(UntrustedAnswer) as untrusted:
            store.get("seen")
        assert untrusted.value.kind == "old"


def test_a_write_that_is_dropped_and_confirmed_is_noticed(service, olympus_key):
    def lie(method, path, body, forward):
        return 204, b""

    assert told(service, olympus_key, lie, lambda store: store.put("dropped", 1)) == "missing"


def test_a_write_that_is_dropped_for_a_read_with_the_same_nonce_is_noticed(service, olympus_key):
    def lie(method, path, body, forward):
        return forward("GET", path, None)

    assert told(service, olympus_key, lie, lambda store: store.put("dropped", 1)) == "another"


def test_another_value_that_is_written_in_place_of_the_callers_is_noticed(service, olympus_key):
    def lie(method, path, body, forward):
        return forward(method, path, b'"mine"')

    assert told(service, olympus_key, lie, lambda store: store.put("swapped", "yours")) == "another"


def test_an_invented_chain_is_noticed(service, olympus_key, tmp_path_factory):
    other = served(tmp_path_factory.mktemp("invented"))
    with other as running, Store(running.url, olympus_key) as store, pytest.raises(UntrustedAnswer) as untrusted:
        store.get("x")
    assert untrusted.value.kind == "altered"


def test_that_a_condition_failed_is_not_taken_on_the_gateways_word(service, olympus_key):
    def lie(method, path, body, forward):
        return 412, json.dumps({"status": 412, "detail": "it is there", "definite": True, "version": [0, 0, 0]}).encode()

    assert told(service, olympus_key, lie, lambda store: store.put("fresh", 1, ABSENT)) == "missing"


def test_that_nothing_happened_is_the_gateways_word_alone_and_the_error_says_so(service, olympus_key, store):
    """What the client cannot see: the write has happened all the same."""

    def lie(method, path, body, forward):
        forward(method, path, body)
        return 503, json.dumps({"status": 503, "detail": "busy", "definite": True}).encode()

    with lying_gateway(service.url, lie) as url, Store(url, olympus_key) as deceived, pytest.raises(NothingHappened) as nothing:
        deceived.put("happened", 1)
    assert not nothing.value.is_proved
    assert store.get("happened") == 1


def test_a_gateway_that_says_nothing_at_all_leaves_the_outcome_unknown(service, olympus_key):
    release = threading.Event()

    def lie(method, path, body, forward):
        release.wait(20)
        return 204, b""

    with lying_gateway(service.url, lie) as url, Store(url, olympus_key, timeout_s=0.5) as store:
        with pytest.raises(OutcomeUnknown) as unknown:
            store.put("late", 1)
        release.set()
    assert not unknown.value.is_definite


def test_where_nobody_listens_nothing_has_happened(olympus_key, service):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    with Store(f"http://127.0.0.1:{port}", olympus_key) as store, pytest.raises(NothingHappened) as nothing:
        store.put("x", 1)
    assert nothing.value.is_proved


@pytest.mark.parametrize("answer", [b"", b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n",
                                    b"HTTP/1.1 200 OK\r\ncontent-length: 0000000000019999999999\r\n\r\n",
                                    b"HTTP/1.1 200 OK\r\ncontent-length: " + b"9" * 5_012 + b"\r\n\r\n",
                                    b"HTTP/1.1 200 OK\r\ncontent-length: " + b"0" * 5_012 + b"\r\n\r\n",
                                    b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{}"])  # fmt: skip
def test_what_is_no_http_answer_leaves_the_outcome_unknown(answer):
    with answering(answer) as url, Store(url, bytes(32)) as store, pytest.raises(OutcomeUnknown):
        store.put("x", 1)


# -- what the package is made of

IMPORTED = """
import sys
import bcr_client
print(*{name.partition(".")[0] for name in sys.modules})
print(*[name for name in sys.modules if name.startswith("bcr.")])
"""


def test_the_client_loads_no_distalgo_and_nothing_that_misbehaves():
    done = subprocess.run([sys.executable, "-P", "-c", IMPORTED], capture_output=True, text=True, check=True)
    packages, rooms = done.stdout.splitlines()
    ours = {name for name in packages.split() if name.startswith(("bcr", "da"))} - set(sys.stdlib_module_names)
    assert ours == {"bcr", "bcr_client"}
    assert {"yaml", "psutil", "greenlet", "starlette"}.isdisjoint(packages.split())
    assert {name.split(".")[1] for name in rooms.split()} == {"objects", "signed", "state", "chain"}

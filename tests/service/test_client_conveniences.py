"""What the client does beside single calls: the dictionary, watching, trying again, several gateways."""

import asyncio
import contextlib
import itertools
import json
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from types import SimpleNamespace

import pytest
from lying import lying_gateway

from bcr_client import (
    AsyncStore,
    Change,
    DistributedDict,
    NothingHappened,
    OutcomeUnknown,
    RefreshPolicyAlways,
    RefreshPolicyCount,
    RefreshPolicyLock,
    RefreshPolicyTime,
    Refused,
    Store,
    UntrustedAnswer,
    store_client,
)


def dictionary(service, olympus_key, policy=None, **options):
    return DistributedDict("127.0.0.1", service.port, policy, olympus_key=olympus_key, **options)


# -- the dictionary


def test_a_distributed_dict_has_the_syntax_of_a_dictionary(service, olympus_key):
    mine, other = dictionary(service, olympus_key), dictionary(service, olympus_key)
    mine["dict/spam"] = {"eggs": [1, None]}
    assert other["dict/spam"] == {"eggs": [1, None]}
    assert other["dict/missing"] is None
    assert "dict/spam" in other
    assert "dict/missing" not in other
    assert other.get("dict/missing", 5) == 5
    assert other.setdefault("dict/made", 7) == 7
    assert mine.setdefault("dict/made", 8) == 7
    assert mine.pop("dict/made") == 7
    assert mine.pop("dict/made", 9) == 9
    with pytest.raises(KeyError):
        mine.pop("dict/made")
    del other["dict/spam"]
    assert mine["dict/spam"] is None
    with pytest.raises(KeyError):
        del mine["dict/spam"]
    mine.update({"dict/a": 1, "dict/b": 2})
    assert [key for key in other if key.startswith("dict/")] == ["dict/a", "dict/b"]
    assert len(other) >= 2
    assert "'dict/a': 1" in repr(other)
    mine.close()
    other.close()


def test_a_distributed_dict_reads_anew_when_its_policy_says_so(service, olympus_key):
    writer = dictionary(service, olympus_key)
    lock, count = RefreshPolicyLock(False), RefreshPolicyCount(3)
    writer["policy"] = 0
    locked, counted, timed = (dictionary(service, olympus_key, each) for each in (lock, count, RefreshPolicyTime(timedelta(hours=1))))
    assert timed["policy"] == 0  # the first access is the first time
    writer["policy"] = 1
    assert locked["policy"] == 0
    lock.lock = True
    assert locked["policy"] == 1
    assert [counted["policy"] for _ in range(6)] == [0, 0, 1, 1, 1, 1]
    assert timed["policy"] == 0
    timed["policy"] = 2
    assert timed["policy"] == 2  # what it has written itself
    assert writer["policy"] == 2
    for each in (writer, locked, counted, timed):
        each.close()


def test_the_policy_of_time_reads_anew_when_so_much_has_passed():
    assert [RefreshPolicyTime(timedelta(0)).can_update() for _ in range(2)] == [True, True]
    policy = RefreshPolicyTime(timedelta(hours=1))
    assert [policy.can_update() for _ in range(3)] == [True, False, False]
    assert RefreshPolicyAlways().can_update()


def test_a_distributed_dict_is_not_made_without_the_key_of_olympus(service, olympus_key, monkeypatch):
    monkeypatch.delenv("BCR_OLYMPUS_KEY", raising=False)
    with pytest.raises(ValueError, match="BCR_OLYMPUS_KEY"):
        DistributedDict("127.0.0.1", service.port)
    monkeypatch.setenv("BCR_OLYMPUS_KEY", olympus_key)
    DistributedDict("127.0.0.1", service.port).close()


def test_a_distributed_dict_believes_no_gateway_that_lies(service, olympus_key):
    def altered(method, path, body, forward):
        status, told = forward(method, path, body)
        return status, told.replace(b"honest", b"forged")

    with Store(service.url, olympus_key) as store:
        store.put("lied about", "honest")
    with lying_gateway(service.url, altered) as url, pytest.raises(UntrustedAnswer):
        DistributedDict("127.0.0.1", int(url.rpartition(":")[2]), olympus_key=olympus_key)


# -- watching


def test_watching_tells_what_is_there_and_then_what_changes(store, service, olympus_key):
    first = store.put("watched/a", 1)
    with Store(service.url, olympus_key) as other:
        seen = store.watch("watched/", pause_s=0.05)
        assert next(seen) == Change("watched/a", 1, first)
        second = other.put("watched/b", [2])
        assert next(seen) == Change("watched/b", [2], second)
        other.delete("watched/a")
        assert next(seen) == Change("watched/a", None, None)
        third = other.put("watched/b", [2])  # the same value, written anew
        assert next(seen) == Change("watched/b", [2], third)


def test_watching_asynchronously_tells_the_same(service, olympus_key):
    async def first_two():
        async with AsyncStore(service.url, olympus_key) as store:
            version = await store.put("awatched/a", 1)
            seen = store.watch("awatched/", pause_s=0.05)
            changes = [await anext(seen)]
            await store.delete("awatched/a")
            changes.append(await anext(seen))
            await seen.aclose()
            return version, changes

    version, changes = asyncio.run(first_two())
    assert changes == [Change("awatched/a", 1, version), Change("awatched/a", None, None)]


def test_what_is_too_much_for_one_answer_is_read_in_parts(store):
    large = "x" * 100_000
    for number in range(5):
        store.put(f"large/{number}", large)
    assert {key: found.value for key, found in store.items("large/").items()} == {f"large/{n}": large for n in range(5)}
    for number in range(5):
        store.delete(f"large/{number}")


# -- trying again


def first_answers(*answers):
    """A gateway's lie: these come first, and then what is right; `calls` are those that it has had."""
    calls, left = [], list(answers)

    def lie(method, path, body, forward):
        calls.append((method, path))
        return left.pop(0) if left else forward(method, path, body)

    return lie, calls


def told(status, definite):
    return status, json.dumps({"detail": "just now", "definite": definite}).encode()


def test_what_has_not_happened_is_tried_again(service, olympus_key):
    lie, calls = first_answers(told(503, True), told(503, True))
    with lying_gateway(service.url, lie) as url, Store(url, olympus_key) as store:
        store.put("again", 1)
    assert [method for method, _ in calls] == ["PUT"] * 3


def test_after_the_last_attempt_the_caller_is_told(service, olympus_key):
    lie, calls = first_answers(*[told(503, True)] * 5)
    with lying_gateway(service.url, lie) as url, Store(url, olympus_key, attempts=2) as store, pytest.raises(NothingHappened):
        store.put("again", 1)
    assert len(calls) == 2


def test_a_write_that_may_have_happened_is_never_tried_again(service, olympus_key):
    lie, calls = first_answers(told(504, False))
    with lying_gateway(service.url, lie) as url, Store(url, olympus_key) as store:
        with pytest.raises(OutcomeUnknown) as unknown:
            store.append("again", "x")
        assert not unknown.value.is_definite
    assert len(calls) == 1


def test_a_read_may_be_tried_again_whatever_became_of_it(service, olympus_key):
    lie, calls = first_answers(told(504, False))
    with lying_gateway(service.url, lie) as url, Store(url, olympus_key) as store:
        assert store.get("nothing here") is None
    assert len(calls) == 2


def test_a_lie_and_a_refusal_are_told_at_once(service, olympus_key):
    lie, calls = first_answers((200, b"{}"))
    with lying_gateway(service.url, lie) as url, Store(url, olympus_key) as store:
        with pytest.raises(UntrustedAnswer):
            store.get("again")
        store.put("a number", 1)
        before = len(calls)
        with pytest.raises(Refused):
            store.append("a number", "x")
    assert len(calls) == before + 1


def test_what_a_gateway_said_of_one_attempt_is_not_proved_by_the_next(olympus_key):
    lie, _ = first_answers(told(503, True))
    gone = f"http://127.0.0.1:{nobody()}"
    with lying_gateway(gone, lie) as url, Store([url, gone], olympus_key, attempts=2) as store, pytest.raises(NothingHappened) as nothing:
        store.put("again", 1)
    assert "no connection" in str(nothing.value)
    assert not nothing.value.is_proved


def test_the_asynchronous_client_tries_again_too(service, olympus_key):
    lie, calls = first_answers(told(503, True))

    async def write(url):
        async with AsyncStore(url, olympus_key) as store:
            return await store.put("again", 1)

    with lying_gateway(service.url, lie) as url:
        asyncio.run(write(url))
    assert len(calls) == 2


def nobody():
    """A port on which nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def test_where_a_gateway_is_not_there_the_next_one_is_asked(service, olympus_key):
    gone = f"http://127.0.0.1:{nobody()}"
    with Store([gone, service.url], olympus_key) as store:
        version = store.put("elsewhere", 1)
        assert store.place.port == service.port

    async def read():
        async with AsyncStore([gone, service.url], olympus_key) as asynchronous:
            return await asynchronous.get_versioned("elsewhere")

    assert asyncio.run(read()).version == version


@pytest.mark.parametrize("at_once", [1, 2, 3, 4, 10])
def test_calls_that_go_on_at_once_all_come_to_the_gateway_that_is_there(service, olympus_key, at_once):
    async def write():
        async with AsyncStore([f"http://127.0.0.1:{nobody()}", service.url], olympus_key) as store:
            await asyncio.gather(*(store.put(f"at once/{number}", number) for number in range(at_once)))
            assert store.place.port == service.port

    asyncio.run(write())


def test_calls_of_threads_all_come_to_the_gateway_that_is_there(service, olympus_key):
    with Store([f"http://127.0.0.1:{nobody()}", service.url], olympus_key) as store, ThreadPoolExecutor(4) as threads:
        assert len(set(threads.map(lambda number: store.put(f"threads/{number}", number), range(4)))) == 4
        assert store.place.port == service.port


# -- deadlines


def test_a_gateway_is_given_half_of_a_time_that_is_short(monkeypatch):
    monkeypatch.setattr(store_client, "time", SimpleNamespace(monotonic=lambda: 0.0))
    assert [Store.left_ms(deadline_s) for deadline_s in (0.1, 0.5, 1, 10, 100, -1)] == [50, 250, 500, 9_500, 60_000, 1]


@pytest.fixture
def silent():
    """An address that takes no connection and refuses none: its queue is full."""
    with socket.socket() as listening, contextlib.ExitStack() as waiting:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        for _ in range(4):
            connection = waiting.enter_context(socket.socket())
            connection.setblocking(False)
            connection.connect_ex(listening.getsockname())
        yield listening.getsockname()


def named(monkeypatch, *addresses, name="gateway.localhost"):
    """Let the name stand for these addresses."""
    asked = socket.getaddrinfo

    def getaddrinfo(host, *arguments, **options):
        if host != name:
            return asked(host, *arguments, **options)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", address) for address in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


def test_a_client_says_why_a_gateway_is_not_for_the_name_that_it_was_called_by(service, olympus_key, monkeypatch):
    named(monkeypatch, ("127.0.0.1", service.port), name="gateway.example")
    with Store("http://gateway.example", olympus_key) as store, pytest.raises(Refused, match="name this machine as their host"):
        store.put("kept", 1)


def test_an_address_that_says_nothing_leaves_time_for_the_next_one(service, olympus_key, silent, monkeypatch):
    named(monkeypatch, silent, ("127.0.0.1", service.port))
    with Store("http://gateway.localhost", olympus_key, timeout_s=4) as store:
        assert store.get("nothing here") is None

    async def read():
        async with AsyncStore("http://gateway.localhost", olympus_key, timeout_s=4) as store:
            return await store.get("nothing here", 7)

    assert asyncio.run(read()) == 7


def both(url, **options):
    """What a read comes to where nobody answers, of both clients."""
    with Store(url, bytes(32), **options) as store, pytest.raises(NothingHappened) as waited:
        store.get("x")

    async def read():
        async with AsyncStore(url, bytes(32), **options) as store:
            await store.get("x")

    with pytest.raises(NothingHappened) as asynchronous:
        asyncio.run(read())
    assert waited.value.is_proved
    assert asynchronous.value.is_proved
    return str(waited.value), str(asynchronous.value)


def test_a_name_server_that_says_nothing_is_not_waited_for_beyond_the_deadline(monkeypatch):
    release = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: release.wait(60))
    try:
        told = both("http://gateway.localhost", timeout_s=0.2, attempts=1)
    finally:
        release.set()
    assert all("no address for gateway.localhost in time" in each for each in told)


def test_addresses_that_say_nothing_and_names_that_are_none_are_told(silent, monkeypatch):
    named(monkeypatch, silent, silent, silent)
    assert all("timed out" in each for each in both("http://gateway.localhost", timeout_s=0.3))
    assert all("no connection to a..b:80" in each for each in both("http://a..b"))


def test_a_handshake_that_does_not_come_is_waited_for_until_the_deadline():
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        both(f"https://127.0.0.1:{listening.getsockname()[1]}", timeout_s=0.3)


def test_where_nobody_is_there_that_is_told_before_the_deadline(olympus_key):
    with Store(f"http://127.0.0.1:{nobody()}", olympus_key, timeout_s=5) as store, pytest.raises(NothingHappened) as error:
        store.get("a")
    assert error.value.is_proved


def test_threads_of_one_store_take_turns_and_all_are_answered(service, olympus_key):
    with Store(service.url, olympus_key) as store:
        counter = itertools.count()
        threads = [threading.Thread(target=lambda: store.append("turns", str(next(counter)))) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        assert sorted(store.get("turns")) == sorted(map(str, range(8)))


def test_no_thread_closes_the_connection_that_another_one_uses():
    def write(number):
        with pytest.raises(NothingHappened):  # and nothing that may have happened
            store.put("busy", number)

    with lying_gateway("", lambda *_: told(503, True)) as url, Store(url, bytes(32)) as store, ThreadPoolExecutor(16) as threads:
        list(threads.map(write, range(96)))

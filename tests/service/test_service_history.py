"""What many callers saw over HTTP, while replicas are killed, is one history: that of the places that the replicas signed."""

import json
import random
import threading
import time

from serving import served

from bcr_client import Store

CALLERS = 6
CALLS_BEHIND = 5  # each, when the last replica has been replaced
KEYS = ("a", "b", "c")


class Caller(threading.Thread):
    """Writes and reads, and notes of each call when it began and ended, what it was, what it gave, and its place."""

    def __init__(self, url, key, number, is_over):
        super().__init__()
        self.is_over = is_over
        self.draw = random.Random(number)
        self.number = number
        self.store = Store(url, key, timeout_s=60)
        self.noted = []

    def run(self):
        count = left = 0
        while not self.is_over.is_set() or left < CALLS_BEHIND:
            count, left = count + 1, left + self.is_over.is_set()
            key, began_s = self.draw.choice(KEYS), time.monotonic()
            if self.draw.random() < 0.5:
                value = [self.number, count]
                self.store.put(key, value)
                call = ("put", key, value)
            else:
                call = ("get", key, self.store.get(key))
            place = self.store.last_proof.check(self.store.olympus_key).place
            self.noted.append((place, began_s, time.monotonic(), call))
        self.store.close()


def test_calls_of_many_are_one_history_while_replicas_are_killed(tmp_path):
    with served(tmp_path, "--lab") as running:
        olympus = json.loads(running.ask("GET", "/configuration")[2])["olympus_key"]
        is_over = threading.Event()
        callers = [Caller(running.url, olympus, number, is_over) for number in range(CALLERS)]
        for caller in callers:
            caller.start()
        try:
            for victim in ("replica_1", "replica_0"):
                killed_in = kill(running, victim)
                await_configuration(running, killed_in + 1)
        finally:
            is_over.set()
        for caller in callers:
            caller.join()
    history = sorted(noted for caller in callers for noted in caller.noted)
    assert all(len(caller.noted) >= CALLS_BEHIND for caller in callers)
    assert len({place for place, *_ in history}) == len(history)
    assert max(place[0] for place, *_ in history) >= 2
    replayed(history)
    in_the_order_of_time(history)


def replayed(history):
    """Each read gives what the latest write before it wrote."""
    values = {}
    for place, _, _, (name, key, value) in history:
        if name == "put":
            values[key] = value
        else:
            assert value == values.get(key), place


def in_the_order_of_time(history):
    """Whatever had ended before another call began has the lower place."""
    earliest_end_s = float("inf")
    for place, began_s, ended_s, _ in reversed(history):
        assert began_s <= earliest_end_s, place
        earliest_end_s = min(earliest_end_s, ended_s)


def status_of(running):
    return json.loads(running.ask("GET", "/admin/status", headers={"Accept": "application/json"})[2])


def kill(running, victim):
    """End the replica, as soon as it is known which process it is; the configuration that it was of."""
    position = int(victim[-1])
    while not (status_of(running)["chain"] or [{}] * 3)[position].get("pid"):
        time.sleep(0.05)
    number = status_of(running)["configuration"]
    assert running.ask("POST", f"/lab/kill/{victim}")[0] == 202
    return number


def await_configuration(running, number):
    deadline_s = time.monotonic() + 60
    while status_of(running)["configuration"] < number:
        assert time.monotonic() < deadline_s, status_of(running)
        # Only what is asked of a chain finds out that one of it is missing.
        running.ask("PUT", "/keys/else", b"1")

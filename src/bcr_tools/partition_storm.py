"""A service of five servers with a leader, cut into three and two and healed again and again, under HTTP load on both sides.

In each round something is confirmed on the side of three while the cut lasts, and then read on the side of two: whoever answers that
there with what was true once is found out at once. Some servers are killed meanwhile. All calls are judged as those of any service.
"""

import json
import time
from pathlib import Path

from bcr_tools.service_storm import ASKED_MS, START_LIMIT_S, Storm

FILE = """protocol = raft
t = 2
durable = on
client_window = 8
checkpt_interval = 20
client_timeout = 500
"""
SERVERS, MINORITY = 5, 2
ALSO = ("", "", "kill", "kill", "power_cut")  # beside the cut
PROBE_MS = 300  # for a read on the side of two


class PartitionStorm(Storm):
    """The service, its callers at all five gateways, and the cuts."""

    file = FILE
    gateways = SERVERS
    replicas = SERVERS

    def __init__(self, folder: Path, callers: int, seed: int) -> None:
        super().__init__(folder, callers, seed)
        self._round = 0
        self.unanswered = 0  # reads on the side of two, while it was cut off

    def round(self, calls: int) -> str:
        """Cut, let callers call, look at both sides, and heal; returns what was done."""
        self._round += 1
        few = sorted(self._chance.sample(range(SERVERS), MINORITY))
        many = [each for each in range(SERVERS) if each not in few]
        sides = f"{_names_of(many)} | {_names_of(few)}"
        self._demand(self._ask("POST", "/lab/partition", sides), "the cut")
        also = self._chance.choice(ALSO)
        done = sides if not also else f"{sides}, {self._strike(also)}"
        self._confirm(many[0])
        for number in few:
            self._read_on_the_side_of_two(number)
        self._await_calls(calls, done)
        self._demand(self._ask("POST", "/lab/fix_link"), "the healing")
        for number in range(SERVERS):
            self._await_answer(number)
        return done

    def _confirm(self, number: int) -> None:
        """The probe has this round's value, as the side of three has confirmed; one that is not sure is written again."""
        deadline_s = time.monotonic() + START_LIMIT_S
        while self._ask("PUT", f"/keys/probe?timeout_ms={ASKED_MS}", str(self._round), number) != 204:
            if time.monotonic() > deadline_s:
                raise RuntimeError(f"gateway {number} confirms nothing on the side of three")

    def _read_on_the_side_of_two(self, number: int) -> None:
        status, body = self._exchange("GET", f"/keys/probe?timeout_ms={PROBE_MS}", None, number)
        if status == 200 and json.loads(body) != self._round:
            self.problems.append(f"round {self._round}: gateway {number}, cut off, answers {body!r} where {self._round} was confirmed")
        self.unanswered += status != 200

    def _await_answer(self, number: int) -> None:
        deadline_s = time.monotonic() + START_LIMIT_S
        while self._ask("GET", "/keys/probe?timeout_ms=2000", None, number) != 200:
            if time.monotonic() > deadline_s:
                raise RuntimeError(f"gateway {number} does not answer once it is healed")

    def _demand(self, status: int, what: str) -> None:
        if status // 100 != 2:
            raise RuntimeError(f"the laboratory refuses {what}: {status}")

    def told(self) -> str:
        return f"{self._round} times cut and healed; of {self._round * MINORITY} reads on the side of two {self.unanswered} had no answer"


def _names_of(positions: list[int]) -> str:
    return " ".join(map(str, positions))

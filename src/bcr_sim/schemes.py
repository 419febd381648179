"""Schemes that faulty replicas follow together: each is known to have brought down some version of this protocol.

A scheme says what a coalition does, not when exactly: that is drawn, and so is what is left out of it.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, TypeVar

from bcr.faults.vocabulary import MESSAGES

T = TypeVar("T")

Place = tuple[int, int]  # configuration, position
Pairs = dict[Place, list[str]]  # what a replica does there: pairs of trigger and failure
# When a scheme has the network begin to do something: when the first configuration is there, which takes some of its
# delays, and while there is still something to do.
BEGUN_MS, LATEST_MS = 15, 150
# Messages that others wait for when something has come, so that one in a false name comes to be looked at.
IN_A_SLOT = ("shuttle", "result_shuttle", "result_message", "voucher", "error", "stale", "wedge_request", "reconfiguration_request")
RIPE: Mapping[str, Sequence[str]] = {
    "wedge_request(0)": ("wedged", "catch_up", "catching_up", "inithist", "voucher", "configuration"),
    "catch_up(0)": ("catch_up", "caught_up", "running_state", "get_running_state", "inithist", "voucher"),
    "get_running_state(0)": ("running_state", "inithist", "voucher", "configuration"),
    "checkpoint(0)": ("checkpoint", "completed_checkpoint", "wedge_request"),
}


class RandomSource(Protocol):
    """What draws (bcr_sim.seeds)."""

    def happens(self, probability: float) -> bool: ...

    def number(self, least: int, most: int) -> int: ...

    def one_of(self, values: Sequence[T]) -> T: ...


class Coalition:
    """The faulty positions of every configuration, and what they have agreed on so far."""

    def __init__(self, chance: RandomSource, replicas: int, faulty: Sequence[int], clients: int) -> None:
        self.chance = chance
        self.faulty = faulty
        self.correct = [position for position in range(replicas) if position not in faulty]
        self.replicas = replicas
        self.clients = clients
        self.client = chance.number(0, clients - 1)
        self.number = chance.one_of((0, 1, 1, 2, 2, 3))
        self.pairs: Pairs = {}
        self.words: list[str] = []  # what the simulator is told
        self.configuration = 0
        if chance.happens(0.2):
            self.add(faulty[0], self.slot(faulty[0]), "ask()")
            self.configuration = 1
            self.number += 1

    def add(self, position: int, trigger: str, failure: str) -> None:
        self.pairs.setdefault((self.configuration, position), []).append(f"{trigger},{failure}")

    def maybe(self, position: int, trigger: str, failure: str, probability: float = 0.6) -> None:
        if self.chance.happens(probability):
            self.add(position, trigger, failure)

    def slot(self, position: int, later: int = 0) -> str:
        """The trigger by which the replica there comes to know of one and the same slot, or of a later one."""
        word = "client_request" if position == 0 else "shuttle"
        return f"{word}({self.client},{self.number + later})"

    def of_those_before_the_tail(self) -> list[int]:
        return [position for position in self.faulty if position != self.replicas - 1] or list(self.faulty)

    def witnesses(self) -> list[int]:
        """The correct replicas that have seen a slot which a liar behind them tells nobody of."""
        return [position for position in self.correct if position < self.of_those_before_the_tail()[-1]]

    def hold(self, sender: str, receiver: str) -> None:
        since = self.chance.number(BEGUN_MS, LATEST_MS)
        self.words.append(f"hold({sender},{receiver},{since},{since + self.chance.number(50, 3_000)})")

    def stand_still(self, process: str) -> None:
        since = self.chance.number(BEGUN_MS, LATEST_MS)
        self.words.append(f"pause({process},{since},{since + self.chance.number(50, 1_500)})")


def _hide(coalition: Coalition) -> None:
    """A slot is answered, kept from all others and forgotten; a correct replica that knows of it is late."""
    count = coalition.chance.number(1, 2)
    for position in coalition.of_those_before_the_tail():
        coalition.add(position, coalition.slot(position), f"answer_early({count})")
        coalition.maybe(position, coalition.slot(position), "ask()")
        coalition.maybe(position, coalition.slot(position), "bounce_checkpoint()")
        coalition.maybe(position, "wedge_request(0)", "crash()", 0.1)
    if coalition.chance.happens(0.7):
        for position in coalition.witnesses():
            if coalition.chance.happens(0.8):
                coalition.hold(f"replica_{position}", "olympus")
            elif coalition.chance.happens(0.5):
                coalition.stand_still(f"replica_{position}")


def _bounce(coalition: Coalition) -> None:
    """A slot, or the checkpoint behind it, turns back before everybody has seen it."""
    for position in coalition.of_those_before_the_tail():
        coalition.maybe(position, coalition.slot(position), f"bounce_result({coalition.chance.number(1, 2)})", 0.8)
        coalition.maybe(position, f"checkpoint({coalition.chance.number(0, 3)})", "bounce_checkpoint()", 0.8)
        coalition.maybe(position, "wedge_request(0)", "crash()", 0.5)


def _answer_from_the_past(coalition: Coalition) -> None:
    """Immutable replicas go on answering in the old configuration clients that have not heard of the new one."""
    for position in coalition.of_those_before_the_tail():
        coalition.add(position, "wedge_request(0)", f"answer_early({coalition.chance.number(1, 6)})")
        coalition.maybe(position, coalition.slot(position), "ask()")
    coalition.hold("olympus", f"client_{coalition.client}")
    for position in coalition.correct:
        if coalition.chance.happens(0.4):
            coalition.hold("olympus", f"replica_{position}")


def _spoil_quorums(coalition: Coalition) -> None:
    """Olympus is led from quorum to quorum, and what it says in one is said again in the next."""
    for place, position in enumerate(coalition.faulty):
        coalition.maybe(position, coalition.slot(position), "drop()")
        coalition.maybe(position, coalition.slot(position), "ask()", 0.8)
        coalition.maybe(position, "wedge_request(0)", f"extend_wedged({coalition.chance.number(1, 3)})", 0.5)
        coalition.maybe(position, "wedge_request(0)", "extra_op()", 0.25)
        coalition.maybe(position, "wedge_request(0)", f"lie_caught_up({coalition.chance.one_of((1, 2, 100))})", 0.8)
        if place or len(coalition.faulty) == 1:
            coalition.add(position, "wedge_request(0)", f"replay_catch_up({coalition.chance.one_of((1, 20, 500))})")


def _starve(coalition: Coalition) -> None:
    """The others' patience is used up before there is a reason for it, and then nothing is done."""
    for position in coalition.faulty:
        coalition.maybe(position, f"reconfiguration({coalition.configuration})", "withhold_ready()", 0.7)
        coalition.maybe(position, f"after({coalition.chance.number(1, 200)})", f"garbage({coalition.chance.number(1, 12)})", 0.7)
        coalition.maybe(position, f"after({coalition.chance.number(1, 200)})", "mute_clients()", 0.3)
        coalition.add(position, f"after({coalition.chance.number(1, 300)})", "drop_all()")


def _let_grow(coalition: Coalition) -> None:
    """What the others hold is never let go."""
    for position in coalition.faulty:
        what = coalition.chance.one_of(("no_checkpoints()", "no_result_shuttles()", f"spin({coalition.chance.number(5, 60)})"))
        coalition.add(position, coalition.slot(position), what)


def _pose(coalition: Coalition) -> None:
    """Messages in others' names, and old ones, at every turn."""
    for position in coalition.faulty:
        coalition.maybe(position, f"reconfiguration({coalition.configuration})", "misdirect()", 0.3)
        for _ in range(coalition.chance.number(1, 4)):
            trigger = coalition.chance.one_of((coalition.slot(position), *RIPE))
            word = coalition.chance.one_of(("forge", "replay_old"))
            ripe = RIPE.get(trigger, IN_A_SLOT)
            coalition.add(position, trigger, f"{word}({coalition.chance.one_of(ripe if coalition.chance.happens(0.6) else MESSAGES)})")
        coalition.maybe(position, coalition.slot(position, later=1), "ask()", 0.5)


def _come_late(coalition: Coalition) -> None:
    """The keys of more replicas than may be faulty are late, some of whom crash: the configuration has to be made anew."""
    for position in (*coalition.faulty, coalition.chance.one_of(coalition.correct)):
        until = coalition.chance.one_of((700, 2_500))
        coalition.words.append(f"hold(replica_{position},olympus,0,{until})")
        if position in coalition.faulty and coalition.chance.happens(0.3):
            coalition.words.append(f"crash(replica_{position},{coalition.chance.number(5, until)})")


def _hand_over_lies(coalition: Coalition) -> None:
    """Who says what it likes stands in a configuration that is replaced, when some of it has been done."""
    for position in coalition.faulty:
        coalition.words += [f"free({position})", f"mutate({position},{coalition.chance.number(1, 8)})"]
    asking = coalition.chance.one_of(coalition.faulty)
    coalition.add(asking, coalition.slot(asking), "ask()")
    coalition.maybe(asking, coalition.slot(asking), f"delay({coalition.chance.one_of((60, 400, 1_500))})", 0.4)  # the slot itself is late


SCHEMES: Sequence[Callable[[Coalition], None]] = (
    _hide,
    _hide,  # of which there are the most ways
    _bounce,
    _answer_from_the_past,
    _spoil_quorums,
    _starve,
    _let_grow,
    _pose,
    _come_late,
    _hand_over_lies,
    _hand_over_lies,
)


def scheme(chance: RandomSource, replicas: int, faulty: Sequence[int], clients: int) -> tuple[Pairs, list[str]]:
    """What the replicas at the positions `faulty` do by one of the schemes, and words for the simulator."""
    coalition = Coalition(chance, replicas, faulty, clients)
    chance.one_of(SCHEMES)(coalition)
    return coalition.pairs, coalition.words

"""What a free liar tells in place of what it holds: Olympus where a configuration is replaced, its neighbours in the chain, and clients.

These are consistent lies, which fit their digests and are signed, so that nothing but the rule that they break stands against them.
"""

import random
from collections.abc import Callable
from typing import Any

import msgspec
from msgspec.structs import replace

from bcr.chain.history import CaughtUp, HistoryEntry, LatestAnswer, RunningStateHandover, Wedged, WithState
from bcr.chain.messages import CompletedCheckpoint, ResultMessage, Shuttle
from bcr.faults.forgery import FORGED_STATE
from bcr.objects.operation import Operation
from bcr.signed.encoding import decode
from bcr.signed.signing import Signed, Statement
from bcr.signed.statements import Order, Request, SignedOrder, SignedRequest, digest_of_requests

Sign = Callable[[Statement], Signed[Any]]
SignOrder = Callable[[Order], tuple[SignedOrder, ...]]  # by all liars of a configuration

FORGED = (Operation("put", "forged", "forged"),)


class Lore(msgspec.Struct, frozen=True):
    """What a liar lies with: a request that some client made and an answer to some, where it has heard of any; and its keys."""

    request: SignedRequest | None
    answered: ResultMessage | None
    sign: Sign
    sign_order: SignOrder


def told_falsely(name: str, content: bytes, lore: Lore, chance: random.Random) -> Any | None:
    """Another message of this name than the one that the liar was about to send; None where there is no such lie.

    Raises MalformedMessage where `content` is not whole.
    """
    sign = lore.sign
    if name == "wedged":
        return sign(_history(decode(Signed[Wedged], content).statement, lore, chance))
    if name == "caught_up":
        return sign(_caught_up(decode(Signed[CaughtUp], content).statement, chance))
    if name == "running_state":
        honest = decode(WithState[RunningStateHandover], content).signed.statement
        fitting = replace(honest, state_digest=FORGED_STATE.digest())
        return WithState(sign(honest if chance.random() < 0.3 else fitting), FORGED_STATE)
    if name == "shuttle":
        return _shuttle(decode(Shuttle, content), sign, chance)
    if name == "completed_checkpoint":
        return _of_two_minds(decode(CompletedCheckpoint, content), sign)
    if name == "result_message":
        return _answer(decode(ResultMessage, content), lore.answered, chance)
    return None


def _history(honest: Wedged, lore: Lore, chance: random.Random) -> Wedged:
    """Cut at any place; or longer by a slot that nobody has ordered but the liars; or with another request in a slot, under its orders."""
    entries = list(honest.history)
    kind = chance.random()
    if kind < 0.25 and entries:
        return replace(honest, history=tuple(entries[: int(chance.random() * len(entries))]))
    if kind < 0.8 or not entries:
        request = lore.request if lore.request is not None and chance.random() < 0.7 else _forged(lore.request, lore.sign)
        slot = entries[-1].slot + 1 if entries else max((each.statement.slot + 1 for each in honest.checkpoint_proof), default=0)
        order = Order(honest.configuration, slot, digest_of_requests((request,)))
        return replace(honest, history=(*entries, HistoryEntry(slot, (request,), lore.sign_order(order))))
    place = int(chance.random() * len(entries))
    entry = entries[place]
    entries[place] = replace(entry, requests=(_forged(entry.requests[0], lore.sign), *entry.requests[1:]))
    return replace(honest, history=tuple(entries))


def _forged(known: SignedRequest | None, sign: Sign) -> SignedRequest:
    """What the client never asked for, under the signature for something else, or under none of its own."""
    if known is None:
        return replace(sign(Request(0, 0, FORGED)), signer=0)
    return replace(known, statement=replace(known.statement, operations=FORGED))


def _shuttle(honest: Shuttle, sign: Sign, chance: random.Random) -> Shuttle | None:
    """With another request under the orders for the first, or under an own one for it; or without the orders of those before."""
    if not honest.requests or not honest.order_proof:
        return None
    if chance.random() < 0.3:
        return replace(honest, order_proof=honest.order_proof[-1:] if len(honest.order_proof) > 1 else ())
    requests = (_forged(honest.requests[0], sign), *honest.requests[1:])
    if chance.random() < 0.5:
        return replace(honest, requests=requests)
    order = Order(honest.configuration, honest.slot, digest_of_requests(requests))
    return replace(honest, requests=requests, order_proof=(*honest.order_proof[:-1], sign(order)))


def _answer(honest: ResultMessage, other: ResultMessage | None, chance: random.Random) -> ResultMessage | None:
    """With the answer to another request, of which all is in order; or with a result that is not the one that was signed."""
    if chance.random() < 0.5:
        return None if other is None or other.answer == honest.answer else replace(honest, answer=other.answer)
    outcome = honest.answer.outcome
    return replace(honest, answer=replace(honest.answer, outcome=replace(outcome, results=("a lie",) * len(outcome.results))))


def _of_two_minds(honest: CompletedCheckpoint, sign: Sign) -> CompletedCheckpoint | None:
    """In which all have testified, and first of them the liar, to another state."""
    if not honest.proof:
        return None
    own = sign(replace(honest.proof[0].statement, state_digest=FORGED_STATE.digest()))
    return replace(honest, proof=(own, *(each for each in honest.proof if each.signer != own.signer)))


def _caught_up(honest: CaughtUp, chance: random.Random) -> CaughtUp:
    """With the right state and wrong answers to clients, or with a wrong state."""
    if honest.answers and chance.random() < 0.7:
        return replace(honest, answers=tuple(map(_with_lie, honest.answers)))
    return replace(honest, state_digest=FORGED_STATE.digest())


def _with_lie(latest: LatestAnswer) -> LatestAnswer:
    return replace(latest, outcome=replace(latest.outcome, results=("a lie",) * len(latest.outcome.results)))

"""A proof of what an operation on the store gave: checked with Olympus's public key and nothing else, also offline.

It holds what the gateway asked the chain (the request, signed by the gateway, with the caller's nonce in it), the
configuration (signed by Olympus), the outcome, the two Merkle paths from request and outcome to the slot, and the
statements of the replicas on that slot. Where a configuration was replaced meanwhile, Olympus's voucher stands in for the
answer. A proof is a JSON file, in which each of these is the base64 of its canonical bytes.
"""

import base64
import binascii
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from bcr.chain.configuration import Membership, SignedConfiguration, demand_issued
from bcr.chain.proofs import Answer, Vouched
from bcr.chain.void import AnswerToOther, named_in, without_void
from bcr.objects.operation import Operation
from bcr.signed.authentication import keys_of
from bcr.signed.encoding import decode, encode
from bcr.signed.signing import KEY_SEED_SIZE, Keyring
from bcr.signed.statements import Outcome, SignedRequest
from bcr.signed.violations import ProtocolViolation

FORMAT = "bcr proof 1"
NONCE_KEY = "nonce:"  # the key that stands for a nonce: to get it changes nothing, and it is under the signatures
NONCE_BYTES = 16
MOST_NONCE = 128  # characters
SIZE_LIMIT_BYTES = 4 << 20
_PARTS = ("configuration", "request", "answer")


class BadProof(Exception):
    """A proof that does not hold; the text says what is wrong with it. `kind` names it in a word."""

    def __init__(self, text: str, kind: str = "invalid") -> None:
        super().__init__(text)
        self.kind = kind


class Shown(msgspec.Struct, frozen=True):
    """What a proof that holds shows: these operations gave these results, executed there; `by` says on whose word."""

    operations: tuple[Operation, ...]
    results: tuple[str, ...]
    place: tuple[int, int, int]
    configuration: int
    by: str


class Proof(msgspec.Struct, frozen=True):
    """A proof as it travels. `nonce` is the caller's, which the request holds as its last operation."""

    configuration: bytes
    request: bytes
    answer: bytes
    nonce: str

    @classmethod
    def of(
        cls, configuration: SignedConfiguration, request: SignedRequest, answer: Answer | Vouched | AnswerToOther, nonce: str
    ) -> "Proof":
        """The proof of what stands in an answer to a request."""
        return cls(encode(configuration), encode(request), encode(answer), nonce)

    def plain(self) -> dict[str, str]:
        """What its JSON holds."""
        parts = {name: base64.b64encode(getattr(self, name)).decode() for name in _PARTS}
        return {"format": FORMAT, **parts, "nonce": self.nonce}

    @classmethod
    def from_plain(cls, plain: Any) -> "Proof":
        """The proof in what was read from JSON. Raises BadProof where it is none."""
        if not isinstance(plain, dict) or plain.get("format") != FORMAT:
            raise BadProof(f"no proof of the form {FORMAT!r}", "missing")
        try:
            configuration, request, answer = (base64.b64decode(plain[name], validate=True) for name in _PARTS)
        except (KeyError, TypeError, ValueError, binascii.Error) as error:
            raise BadProof(f"a part of the proof is missing, or no base64: {error}") from error
        nonce = plain.get("nonce", "")
        if not isinstance(nonce, str):
            raise BadProof("the nonce is no text")
        return cls(configuration, request, answer, nonce)

    def save(self, file: str | Path) -> None:
        """Write it to a file, for `./bcr verify`."""
        Path(file).write_text(json.dumps(self.plain(), indent=1) + "\n")

    @classmethod
    def load(cls, file: str | Path) -> "Proof":
        """The proof in a file. Raises BadProof, and OSError where it cannot be read."""
        with open(file, "rb") as stream:
            data = stream.read(SIZE_LIMIT_BYTES + 1)
        if len(data) > SIZE_LIMIT_BYTES:
            raise BadProof(f"more than {SIZE_LIMIT_BYTES:,} bytes")
        try:
            return cls.from_plain(json.loads(data))
        except (ValueError, RecursionError) as error:
            raise BadProof(f"not JSON: {error}", "missing") from error

    def check(self, olympus_key: bytes) -> Shown:
        """What it shows to somebody who trusts this key of Olympus. Raises BadProof where it does not hold."""
        try:
            return self._checked(olympus_key)
        except ProtocolViolation as violation:
            raise BadProof(violation.what) from violation

    def _checked(self, olympus_key: bytes) -> Shown:
        # The keys of somebody who only reads: nothing is signed with them.
        keys = keys_of("ed25519", bytes(KEY_SEED_SIZE)).among(Keyring(olympus_key))
        view = demand_issued(decode(SignedConfiguration, self.configuration), olympus_key, keys)
        request = decode(SignedRequest, self.request)
        view.demand_signed_by_client(request)
        self._demand_nonce(request.statement.operations)
        outcome, by = self._outcome(request, view)
        operations = request.statement.operations
        return Shown(operations, outcome.results, outcome.place, view.number, by)

    def _outcome(self, request: SignedRequest, view: Membership) -> tuple[Outcome, str]:
        recorded = decode(Answer | Vouched | AnswerToOther, self.answer)  # type: ignore[arg-type]
        named, answer = named_in(recorded, request, view), without_void(recorded)
        if isinstance(answer, Vouched):
            answer.demand_for(named, view.olympus, request)
            return answer.outcome, "Olympus"
        if not view.needed:
            raise BadProof("a configuration that accepts what t+1 replicas gave, which can be lost")
        check = answer.check(named, view, executed=request)
        return answer.outcome, f"{len(check.agreeing)} of {len(view.replicas)} replicas"

    def _demand_nonce(self, operations: Sequence[Operation]) -> None:
        if operations[-1:] != (nonce_operation(self.nonce),):
            raise BadProof("the request does not hold the nonce", "old")


def nonce_operation(nonce: str) -> Operation:
    """The operation by which a caller's nonce stands in a request: it changes nothing."""
    return Operation("get", NONCE_KEY + nonce, "*")


def in_words(proof: Proof, shown: Shown) -> str:
    """What a proof that holds shows, and what it does not, for people."""
    done = [
        f"  {operation.name} {operation.key!r} {_shortened(operation.argument)} gave {_shortened(result)}"
        for operation, result in zip(shown.operations[:-1], shown.results[:-1], strict=True)
    ]
    configuration, slot, index = shown.place
    lines = [
        "the proof holds. It shows that",
        *done,
        f"  at place {index} of slot {slot} of configuration {configuration}, on the word of {shown.by}.",
        f"The request held the nonce {proof.nonce!r}: whoever made that up knows that the answer is not older than that.",
        "It does not show what has been written since, nor who asked the gateway for it: gateways sign the requests.",
        "It rests on this: of the 2t+1 replicas of the configuration no more than t lie, and Olympus does not.",
    ]
    return "\n".join(lines)


def _shortened(text: str, limit: int = 200) -> str:
    return text if len(text) <= limit else f"{text[:limit]}… ({len(text):,} characters)"


def key_of(text: str) -> bytes:
    """Olympus's public key from its 64 hexadecimal digits. Raises ValueError."""
    try:
        key = bytes.fromhex(text.strip())
    except ValueError:
        key = b""
    if len(key) != 32:
        raise ValueError(f"a key of Olympus has 64 hexadecimal digits, {text.strip()[:20]!r} has not")
    return key

"""Checks the proof of an answer, offline, and says in words what it shows and what it does not."""

import argparse
import os
from pathlib import Path

from bcr_client.proof import BadProof, Proof, in_words, key_of
from bcr_run import output
from bcr_service.console import KEY_VARIABLE

PROVED, REFUSED, UNREADABLE = 0, 1, 2


def main(arguments: list[str]) -> int:
    """`bcr verify`: 0 the proof holds; 1 it does not; 2 it cannot be read, or there is no key."""
    parser = argparse.ArgumentParser(prog="bcr verify", description=__doc__,
                                     epilog="Exit status: 0 the proof holds; 1 it does not; 2 it cannot be read.")  # fmt: skip
    parser.add_argument("file", type=Path, metavar="FILE", help="a proof, as proof.save(file) or the console keeps it")
    parser.add_argument("--olympus-key", metavar="HEX", help=f"the public key of Olympus; or {KEY_VARIABLE} of the environment")
    options = parser.parse_args(arguments)
    given = options.olympus_key or os.environ.get(KEY_VARIABLE)
    if not given:
        output.complain(f"bcr verify: whose word is it to be? Give --olympus-key, or set {KEY_VARIABLE}")
        return UNREADABLE
    try:
        key = key_of(given)
    except ValueError as error:
        output.complain(f"bcr verify: {error}")
        return UNREADABLE
    status, text = verdict_on(options.file, key)
    (print if status == PROVED else output.complain)(f"{options.file}: {text}")
    return status


def verdict_on(file: Path, olympus_key: bytes) -> tuple[int, str]:
    """What becomes of the proof in a file: PROVED, REFUSED or UNREADABLE, and that in words."""
    try:
        proof = Proof.load(file)
    except OSError as error:
        return UNREADABLE, error.strerror or str(error)
    except BadProof as bad:
        return UNREADABLE, str(bad)
    try:
        return PROVED, in_words(proof, proof.check(olympus_key))
    except BadProof as bad:
        return REFUSED, f"the proof does not hold: {bad}"

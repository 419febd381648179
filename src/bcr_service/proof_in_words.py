"""What becomes of the saved proof of an answer, in words; `./bcr verify` asks here."""

from pathlib import Path

from bcr_client.proof import BadProof, Proof, in_words

KEY_VARIABLE = "BCR_OLYMPUS_KEY"  # of the environment: the public key of Olympus
PROVED, REFUSED, UNREADABLE = 0, 1, 2


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

"""A client's request that has no final answer yet: how often it was sent, and to whom (specification, 3.1, 4.1 and 4.8)."""

from bcr.chain.configuration import Membership
from bcr.chain.proofs import Answer, Vouched
from bcr.chain.void import AnswerToOther
from bcr.signed.signing import Signed
from bcr.signed.statements import Rejection, SignedRequest

ASKED_OFTEN = 5  # so many attempts: all replicas were asked three times, and have had fourteen client timeouts to answer
MAX_BACKOFF = 16  # a request is sent again after 1, 2, 4 … times the client timeout, and this at the most
NO_ROOM = "no room on the disks"  # why a replica rejects what it could order otherwise (specification, 13.10)


class OutstandingRequest:
    """A request that waits for its answer: sent `attempts` times, the first at `sent_ns` on the client's clock.

    `has_asked_all` says whether all replicas of the current configuration were asked. `left_out` is the request that was rejected,
    and `why`, where this one only takes its number; `refusals` are the statements of those who rejected it, where these sign.
    """

    def __init__(
        self,
        signed: SignedRequest,
        sent_ns: int,
        attempts: int = 1,
        has_asked_all: bool = False,
        left_out: SignedRequest | None = None,
        why: str = "",
        refusals: tuple[Signed[Rejection], ...] = (),
    ) -> None:
        self.signed = signed
        self.sent_ns = sent_ns
        self.attempts = attempts
        self.has_asked_all = has_asked_all
        self.left_out = left_out
        self.why = why
        self.refusals = refusals
        self._rejections: dict[int, Signed[Rejection]] = {}  # by replica

    def asked(self) -> SignedRequest:
        """The request that it is about."""
        return self.signed if self.left_out is None else self.left_out

    def named(self, request_digest: bytes) -> SignedRequest:
        """The request that what has this digest is to be held against: anybody may have sent that.

        The digest is that of a signed request, as answers have it, or of its statement, as vouchers do.
        """
        if self.left_out is not None and request_digest in (self.left_out.digest(), self.left_out.statement.digest()):
            return self.left_out
        return self.signed

    def executed(self, named: SignedRequest, results: int) -> SignedRequest:
        """The request that gave so many results, where an answer names this one.

        One that was left out and the void one in its place have one number, so an answer that names the one may be the outcome of
        the other; they have not as many operations.
        """
        if self.left_out is None:
            return named
        return next((each for each in (self.left_out, self.signed) if len(each.statement.operations) == results), named)

    def heed(self, executed: SignedRequest) -> None:
        """This is answered for good: where it is the one that was left out, somebody had ordered it all the same."""
        if executed is self.left_out:
            self.signed, self.left_out = executed, None

    def taken(self, named: SignedRequest, answer: Answer | Vouched) -> Answer | Vouched | AnswerToOther:
        """Heed a final answer that names this request; returns what goes on record of it."""
        executed = self.executed(named, len(answer.outcome.results))
        self.heed(executed)
        return answer if named is executed else AnswerToOther(named, answer)

    def patience(self) -> int:
        """After how many timeouts it is sent again, when all replicas were asked."""
        return min(1 << (self.attempts - 1), MAX_BACKOFF)

    def add_rejection(self, rejection: Signed[Rejection], configuration: Membership) -> bool:
        """Take note of what a replica of the configuration has signed; returns whether the request is to be left out.

        As many have to agree as all replicas that may be left: then nobody will order it. With checksums these are all that
        there are. If one has crashed the others cannot be as many, and none of them orders anything that somebody would miss. So
        when it has been asked for often, it is enough that one tells the truth.
        """
        said = rejection.statement
        if said.request_digest == self.signed.statement.digest():
            self._rejections[rejection.signer] = rejection
        enough = configuration.quorum if self.attempts < ASKED_OFTEN else configuration.witnesses
        return [each.statement for each in self._rejections.values()].count(said) >= enough

    def rejections(self, why: str) -> tuple[Signed[Rejection], ...]:
        """Those that were noted and give this reason."""
        return tuple(each for each in self._rejections.values() if each.statement.why == why)

"""The result cache: what a replica answers when a request comes again (paper, section 3.3)."""

from bcr.proofs import Answer


class ResultCache:
    """The answers to each client's latest requests, at most `client_window` a client.

    A client numbers its requests in turn and has at most that many outstanding, so an answer that falls out of the
    window has been accepted.
    """

    def __init__(self, client_window: int) -> None:
        self.client_window = client_window
        self._answers: dict[int, dict[int, Answer]] = {}

    def put(self, client: int, number: int, answer: Answer) -> None:
        latest = self._answers.setdefault(client, {})
        latest[number] = answer
        oldest_kept = max(latest) - self.client_window + 1
        for old in [old for old in latest if old < oldest_kept]:
            del latest[old]

    def get(self, client: int, number: int) -> Answer | None:
        return self._answers.get(client, {}).get(number)

"""What tests take of transports of their own process, which no node stands around; their fixtures are in conftest.py."""

import queue

COOKIE = b"cookie of the tests"
LIMIT_S = 20


class Inbox(queue.Queue):
    """Takes what a transport passes on."""

    def __len__(self):
        return self.qsize()

    def append(self, item):
        self.put(item)

    def take(self):
        _transport, data, _address = self.get(timeout=LIMIT_S)
        return data

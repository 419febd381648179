"""The queue of a process and of its network thread, in place of `da.common.WaitableQueue`."""

import queue


def cure_common(module):
    """Replace `da.common.WaitableQueue`.

    Its `pop` looked, and only then announced that it waits: an item that arrived between the two woke nobody up.
    The C queue of the standard library has no such gap, and does not take a condition variable for each item.
    """

    class WaitableQueue(module.WaitableQueue):
        """DistAlgo's queue with the interface of its own, and its recording of traces, on `queue.SimpleQueue`."""

        def __init__(self, iterable=(), maxlen=None, trace_files=None):
            super().__init__(trace_files=trace_files)
            self._q = queue.SimpleQueue()
            self.append = self._q.put
            for item in iterable:
                self.append(item)

        def pop(self, block=True, timeout=None):
            """The next item. Raises QueueEmpty if there is none within `timeout` seconds (None: waits for ever)."""
            try:
                if timeout is not None and timeout <= 0:
                    block = False
                return self._q.get(block, timeout)
            except queue.Empty:
                raise module.QueueEmpty() from None

        def __len__(self):
            return self._q.qsize()

    module.WaitableQueue = WaitableQueue

"""The queue of a process and of its network thread, in place of `da.common.WaitableQueue`."""

import queue
import threading


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
            self.loop = None
            for item in iterable:
                self.append(item)

        def see_to_sockets(self, loop):
            """Let this thread, which alone pops, see to the sockets of `loop` while the queue is empty; None: not any more."""
            self.loop = loop
            put = self._q.put
            if loop is None:
                self.append = put
                return
            loop.turning.add(threading.get_ident())

            def append(item):
                put(item)
                if threading.get_ident() not in loop.turning:
                    loop.wake()

            self.append = append

        def pop(self, block=True, timeout=None):
            """The next item. Raises QueueEmpty if there is none within `timeout` seconds (None: waits for ever)."""
            if timeout is not None and timeout <= 0:
                block = False
            if self.loop is not None and not self.loop.has_stopped:
                self._see_to_sockets(block, timeout)
                block = False
            try:
                return self._q.get(block, timeout)
            except queue.Empty:
                raise module.QueueEmpty() from None

        def _see_to_sockets(self, block, timeout):
            self.loop.flush()
            if self._q.empty():
                if block:
                    self.loop.wait_until(self._has_item, timeout)
                else:
                    self.loop.look()

        def _has_item(self):
            return not self._q.empty()

        def __len__(self):
            return self._q.qsize()

    module.WaitableQueue = WaitableQueue

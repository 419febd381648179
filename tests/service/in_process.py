"""The interface of a gateway with no service behind it: what is asked is executed at once, by the store itself."""

import asyncio
import contextlib
from types import SimpleNamespace

from bcr.objects.store import Store
from bcr_service import app
from bcr_service.access import for_own_pages
from bcr_service.calls import failure_in
from bcr_service.desk import Settled
from bcr_service.gateway import GatewaySettings, GatewayState
from bcr_service.metrics import Metrics

LIMIT_S = 20  # there for a hang


class Executor:
    """Stands for whom a gateway asks; `before` is called with what is asked, and may do something first, or raise."""

    def __init__(self):
        self.store, self.slots, self.asked = Store(), 0, []
        self.values = self.store.new_values()
        self.before = lambda operations: None

    async def ask(self, operations, limit_ms, nonce=None):
        self.before(operations)
        self.asked.append([operation.name for operation in operations])
        self.slots += 1
        results = self.store.execute(self.values, tuple(operations), (0, self.slots, 0))
        failure = failure_in(results)
        if failure is not None:
            raise failure
        return Settled(results, (0, self.slots, 0), None, None, None)


def gateway(start, **settings):
    return GatewayState(SimpleNamespace(operations_per_request=50, run_name=start), GatewaySettings(0, (), (), {}, False, **settings), b"")


class Interface:
    """What callers meet; `state` is the gateway's."""

    def __init__(self, start="first", **settings):
        self.executor, self.state = Executor(), gateway(start, **settings)
        self.metrics = Metrics(self.state)
        self.application = for_own_pages(app.application(self.state, self.executor, self.metrics, None), {"store.local"})

    def ask(self, method, path, body=b"", headers=None):
        """Status, headers and body of a call that ends."""

        async def asked():
            async with self.begun(method, path, body, headers) as answer:
                return answer.status, answer.headers, await answer.rest()

        return asyncio.run(asked())

    @contextlib.asynccontextmanager
    async def begun(self, method, path, body=b"", headers=None):
        """The answer to a call, once its head is there; who leaves hangs up."""
        raw_path, _, query = path.partition("?")
        fields = [(name.lower().encode(), value.encode()) for name, value in (headers or {}).items()]
        scope = {"type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "http_version": "1.1", "method": method, "scheme": "http",
                 "path": unquoted(raw_path), "raw_path": raw_path.encode(), "query_string": query.encode(), "root_path": "", "headers": fields,
                 "server": ("127.0.0.1", 8080), "client": ("127.0.0.1", 1)}  # fmt: skip
        sent, has_left, bodies = asyncio.Queue(), asyncio.Event(), [body]

        async def receive():
            if bodies:
                return {"type": "http.request", "body": bodies.pop(), "more_body": False}
            await has_left.wait()
            return {"type": "http.disconnect"}

        task = asyncio.create_task(self.application(scope, receive, sent.put))
        try:
            async with asyncio.timeout(LIMIT_S):
                yield Answer(await sent.get(), sent)
        finally:
            has_left.set()
            await task


def unquoted(path):
    """As the server of HTTP gives it."""
    from urllib.parse import unquote

    return unquote(path)


class Answer:
    def __init__(self, head, sent):
        self.status, self._sent, self._kept, self._is_over = head["status"], sent, b"", False
        self.headers = {name.decode(): value.decode() for name, value in head["headers"]}

    async def _more(self):
        message = await self._sent.get()
        self._kept += message.get("body", b"")
        self._is_over = not message.get("more_body", False)

    async def rest(self):
        while not self._is_over:
            await self._more()
        return self._kept

    async def block(self):
        """The next block of a stream of events, comments included; None at the end."""
        while b"\n\n" not in self._kept and not self._is_over:
            await self._more()
        block, found, self._kept = self._kept.partition(b"\n\n")
        return block.decode() if found else None

"""A gateway that lies: it stands in front of a right one, and does with calls and answers whatever a test wants."""

import contextlib
import threading
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def forwarded(url, method, path, body):
    """Status and body of what the right gateway answers."""
    request = urllib.request.Request(url + path, data=body, method=method)
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


@contextlib.contextmanager
def lying_gateway(url, lie):
    """The address of a gateway that answers what `lie(method, path, body, forward)` returns: status and body."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self):
            length = int(self.headers.get("content-length", 0))
            body = self.rfile.read(length) if length else None
            status, told = lie(self.command, self.path, body, lambda *call: forwarded(url, *call))
            self.send_response(status)
            self.send_header("content-length", str(len(told)))
            self.end_headers()
            with contextlib.suppress(ConnectionError):  # whoever waited no longer is gone
                self.wfile.write(told)

        do_GET = do_PUT = do_POST = do_DELETE = answer

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()

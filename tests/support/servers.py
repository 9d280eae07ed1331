"""Small blocking servers in a thread, for what the command line asks of others."""

import contextlib
import socketserver
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Server:
    """A scripted server that answers every request alike and remembers what it was asked."""

    def __init__(self, status: int, body: bytes, **headers: str) -> None:
        self.asked: list[tuple[str, dict[str, str]]] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                fields = {name.lower(): value for name, value in self.headers.items()}
                server.asked.append((self.path, fields))
                self.send_response(status)
                for name, value in {"content-length": str(len(body)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002  likewise
                """Say nothing."""

        self.handler = Handler

    @contextlib.contextmanager
    def running(self) -> Iterator[int]:
        """Serve on a free port."""
        server = ThreadingHTTPServer(("127.0.0.1", 0), self.handler)
        with serving(server):
            yield server.server_port


@contextlib.contextmanager
def serving(server: socketserver.BaseServer) -> Iterator[None]:
    """Serve in a thread of its own."""
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()

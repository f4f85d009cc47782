"""A proxy before a registry that does to its answers what networks do."""

from __future__ import annotations

import contextlib
import http.client
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Fault:
    """What happens to the next ``times`` requests of a method whose path holds ``path``.

    ``code``: that answer, in place of the registry's. ``drop``: the registry carries the request out and its
    answer is lost. ``cut``: the answer breaks off after so many bytes. ``headers`` go with ``code``.
    """

    method: str
    path: str
    times: int = 1
    code: int = 0
    drop: bool = False
    cut: int = -1
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Proxy:
    """A proxy's address, what it was asked (method, path, headers), and the faults that are due."""

    address: str
    asked: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)

    def count(self, method: str, path: str = "") -> int:
        return sum(1 for m, p, _ in self.asked if m == method and path in p)


@contextlib.contextmanager
def proxy(registry: str) -> Iterator[Proxy]:
    """A proxy on a free port of this machine."""
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            with lock:
                made.asked.append((self.command, self.path, dict(self.headers)))
                due = (f for f in made.faults if f.method == self.command and f.path in self.path and f.times)
                fault = next(due, None)
                if fault is not None:
                    fault.times -= 1
            if fault is not None and fault.code:
                self._answer(fault.code, fault.headers, b"")
                return
            code, headers, answer = self._ask(body)
            if fault is not None and fault.drop:
                self.close_connection = True
                self.connection.close()
                return
            cut = fault.cut if fault is not None else -1
            self._answer(code, headers, answer, cut)

        def _ask(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
            connection = http.client.HTTPConnection(registry, timeout=30)
            headers = {k: v for k, v in self.headers.items() if k.lower() != "content-length"}
            connection.request(self.command, self.path, body, headers)
            response = connection.getresponse()
            answer = response.read()
            found = {k: v for k, v in response.getheaders() if k.lower() != "transfer-encoding"}
            connection.close()
            return response.status, found, answer

        def _answer(self, code: int, headers: dict[str, str], body: bytes, cut: int = -1) -> None:
            self.send_response(code)
            for name, value in headers.items():
                if name.lower() != "content-length":
                    self.send_header(name, value)
            length = headers.get("Content-Length", str(len(body)))
            self.send_header("Content-Length", length)
            self.end_headers()
            with contextlib.suppress(OSError):
                self.wfile.write(body if cut < 0 else body[:cut])
            if cut >= 0:
                self.close_connection = True

        def log_message(self, *_: object) -> None:
            """Quiet."""

        do_DELETE = do_GET = do_HEAD = do_PUT = do_POST = do_PATCH = _serve

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            """A client that went away is no trouble of the proxy's."""

    with Server(("127.0.0.1", 0), Handler) as server:
        made: Proxy = Proxy(f"127.0.0.1:{server.server_address[1]}")
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield made
        server.shutdown()
        thread.join()

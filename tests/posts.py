"""Servers on loopback that receive alerts, as Slack, Teams and others do: real HTTP, and all that can go
wrong."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Got:
    """One request that came."""

    path: str
    headers: dict[str, str]
    raw: bytes

    @property
    def body(self) -> Any:
        return json.loads(self.raw)


@dataclass
class Posts:
    """What came, and what is to be answered: each answer of ``script`` once, then 200.

    An answer is a status, (status, headers), ``"cut"`` (taken, and the connection ends without a word) or
    ``"drop"`` (ended before anything was taken); something to call gives one of these.
    """

    url: str = ""
    got: list[Got] = field(default_factory=list)
    script: list[Any] = field(default_factory=list)
    tries: int = 0

    @property
    def bodies(self) -> list[Any]:
        return [one.body for one in self.got]

    @property
    def keys(self) -> list[str]:
        return [one.headers.get("idempotency-key", "") for one in self.got]


@contextmanager
def posts(script: Sequence[Any] = ()) -> Iterator[Posts]:
    """A server for the length of a block."""
    kept = Posts(script=list(script))
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            with lock:
                raw = self.rfile.read(int(self.headers.get("Content-Length", 0)))  # before anybody is killed
                kept.tries += 1
                answer = kept.script.pop(0) if kept.script else 200
                if callable(answer):
                    answer = answer()
                if answer == "drop":
                    self.close_connection = True
                    return
                status, headers = answer if isinstance(answer, tuple) else (answer, {})
                if answer == "cut" or (isinstance(status, int) and status < 400):
                    headed = {k.lower(): v for k, v in self.headers.items()}
                    kept.got.append(Got(self.path, headed, raw))
            if answer == "cut":
                self.close_connection = True
                return
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            said = b"ok" if status < 400 else b"no"
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        def log_message(self, *_: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    kept.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield kept
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

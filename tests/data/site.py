"""A real HTTP server on the loopback, for tests of sources with an address."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingTCPServer
from typing import Any


@dataclass
class Answer:
    """What a server says for one path."""

    body: bytes = b""
    code: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    head: bool = True
    cut: int = 0
    """So many bytes of the declared length never come."""


@dataclass
class Site:
    """A server on the loopback with answers by path, and what it was asked."""

    url: str
    answers: dict[str, Answer]
    asked: list[tuple[str, str]]


class Server(ThreadingTCPServer):
    """A TCP server: unlike HTTPServer it asks no name service for its own name."""

    daemon_threads = True


@contextmanager
def serving() -> Iterator[Site]:
    """A real HTTP server on a free port."""
    answers: dict[str, Answer] = {}
    asked: list[tuple[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_words: Any) -> None:
            """Say nothing."""

        def answer(self) -> None:
            asked.append((self.command, self.path))
            answer = answers.get(self.path, Answer(code=404))
            if self.command == "HEAD" and not answer.head:
                answer = Answer(code=501)
            self.send_response(answer.code)
            for name, value in {"Content-Length": str(len(answer.body)), **answer.headers}.items():
                if value:
                    self.send_header(name, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(answer.body[: len(answer.body) - answer.cut])

        do_GET = do_HEAD = answer

    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield Site(f"http://127.0.0.1:{server.server_address[1]}", answers, asked)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

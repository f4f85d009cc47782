"""The ledger over HTTP, by git's own server: what a host answers, and what is made of it."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
from tests.ledger.host import Clone, Host, git

from gitkitchen.ledger.protocol import Kept, Unwritten

STREAM = "runs/k_a/delays"


class GitServer(BaseHTTPRequestHandler):
    """git-http-backend(1) behind Python's server. ``plan``: what becomes of the next requests to push."""

    root: ClassVar[Path]
    plan: ClassVar[list[str]]
    seen: ClassVar[list[str]]

    def log_message(self, *_words: Any) -> None:
        """Nothing on standard error."""

    def do_GET(self) -> None:
        self.answer(b"")

    def do_POST(self) -> None:
        if self.headers.get("Transfer-Encoding") == "chunked":
            parts = []
            while size := int(self.rfile.readline(), 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            body = b"".join(parts)
        else:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.answer(body)

    def answer(self, body: bytes) -> None:
        path, _, query = self.path.partition("?")
        pushes = "git-receive-pack" in self.path
        self.seen.append(self.path)
        fault = self.plan.pop(0) if self.plan and pushes and self.command == "POST" else ""
        if "denied" in self.plan and pushes:
            fault = "403"
        if fault.isdigit():
            self.send_response(int(fault))
            self.end_headers()
            return
        env = {
            **os.environ, "GIT_PROJECT_ROOT": str(self.root), "GIT_HTTP_EXPORT_ALL": "1", "REMOTE_USER": "me",
            "PATH_INFO": path, "QUERY_STRING": query, "REQUEST_METHOD": self.command,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""), "CONTENT_LENGTH": str(len(body)),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
        }  # fmt: skip
        done = subprocess.run(["git", "http-backend"], input=body, env=env, capture_output=True, check=False)
        if fault == "drop":  # it was done, and nobody hears of it
            self.close_connection = True
            self.connection.close()
            return
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        headers = [line.split(": ", 1) for line in head.decode().splitlines()]
        status = next((int(v.split()[0]) for k, v in headers if k == "Status"), 200)
        self.send_response(status)
        for name, value in headers:
            if name != "Status":
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


@pytest.fixture
def served(host: Host) -> Iterator[tuple[type[GitServer], Clone]]:
    """The remote over HTTP, and a clone of it."""
    handler = type("Handler", (GitServer,), {"root": host.folder, "plan": [], "seen": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.handle_error = lambda *_words: None  # type: ignore[method-assign]
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        url = f"http://user:hunter2@127.0.0.1:{server.server_port}/remote.git"
        git(host.folder, "clone", "-q", url, "http")
        yield handler, Clone(host.folder / "http")
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_over_http(served: tuple[type[GitServer], Clone], host: Host) -> None:
    """Records are written and read over HTTP; a second look that finds nothing new fetches nothing."""
    handler, clone = served
    assert clone.ledger().append(STREAM, {"n": 1}).sequence == 1
    host.clone("b").ledger().append(STREAM, {"n": 2})
    assert [r.body["n"] for r in clone.ledger().read(STREAM)] == [1, 2]
    handler.seen.clear()
    assert clone.ledger().head(STREAM) == 2
    assert len(handler.seen) == 2, "one question: which protocol, which refs"


def test_answers_that_go_wrong(served: tuple[type[GitServer], Clone], host: Host) -> None:
    """S10: 502 before, and a connection that ends after the push was applied: one record, one object."""
    handler, clone = served
    handler.plan[:] = ["502", "drop", "503"]
    assert clone.ledger().append(STREAM, {"n": 1}).sequence == 1
    assert clone.ledger().append("publications/k", {"n": 1}, expect=0).sequence == 1
    assert host.commits() == 2
    assert [r.body["n"] for r in host.clone("b").ledger().read(STREAM)] == [1]


def test_a_token_that_may_only_read(served: tuple[type[GitServer], Clone], host: Host) -> None:
    """A job that may not push is told so after one try; its record waits, and no secret is in the message."""
    handler, clone = served
    handler.plan[:] = ["denied"]
    handler.seen.clear()
    with pytest.raises(Kept, match="we may not write there") as caught:
        clone.ledger().append(STREAM, {"n": 1})
    with pytest.raises(Unwritten, match="we may not write there"):
        clone.ledger().append("publications/k", {"n": 1}, expect=0)
    with clone.ledger().lease("k/delays", "run") as held:
        assert "we may not write there" in held.withheld
    assert "hunter2" not in f"{caught.value}{clone.said}{held.withheld}"
    assert host.heads() == {"main"}
    assert clone.waiting() == 1
    handler.plan.clear()
    assert [r.body["n"] for r in clone.ledger().read(STREAM)] == [1]

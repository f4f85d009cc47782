"""The forge on the network: threads of ``http.server`` on loopback, and what goes wrong on the way."""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from gitkitchen.github.forge import git_http
from gitkitchen.github.forge.answering import MOST_BODY, Desk, Incoming, Record, Reply
from gitkitchen.github.forge.faults import Fault

BAD_GATEWAY = b"<html><head><title>502 Bad Gateway</title></head><body>Unicorn!</body></html>"


class Server(ThreadingHTTPServer):
    """``prefix``: the path of the API (``/api/v3``); what lies beside it is Git."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, desk: Desk, prefix: str, handler: type[BaseHTTPRequestHandler], port: int = 0) -> None:
        self.desk, self.prefix = desk, prefix
        self.stopping = threading.Event()
        super().__init__(("127.0.0.1", port), handler)
        self._thread = threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self.stopping.set()
        self.shutdown()
        self.server_close()
        self._thread.join(5)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002
        """A client that went away is no error; anything else is the forge's own."""
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            self.desk.broken.append(f"the forge failed: {error!r}")


class Handler(BaseHTTPRequestHandler):
    """One connection: requests one after the other."""

    protocol_version = "HTTP/1.1"
    server: Server
    timeout = 60
    disable_nagle_algorithm = True
    """Head and body are sent one after the other: else the body would wait for what the client says last."""

    def do_GET(self) -> None:
        self._answer()

    do_HEAD = do_POST = do_PATCH = do_PUT = do_DELETE = do_GET

    def date_time_string(self, timestamp: float | None = None) -> str:
        """The Date header tells the forge's own time."""
        return super().date_time_string(self.server.desk.state.clock() if timestamp is None else timestamp)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing is printed: the log is a list of records."""

    def _answer(self) -> None:
        desk = self.server.desk
        path, _, query = self.path.partition("?")
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Incoming(self.command, path, query, headers, self._body())
        is_git = bool(git_http.PATH.fullmatch(path))
        inner = path.removeprefix(self.server.prefix) if not is_git else path
        record = Record(self.command, inner, query, None)
        with desk.lock:
            desk.log.append(record)
        fault = desk.fault(self.command, inner)
        record.fault = fault.kind if fault is not None else ""
        if fault is not None and self._strike(fault, request, record):
            return
        reply = self._do(Incoming(self.command, inner, query, headers, request.body), record, is_git, path)
        if fault is not None and self._strike_after(fault, record):
            return
        record.status = reply.status
        self._send(reply)

    def _do(self, request: Incoming, record: Record, is_git: bool, path: str) -> Reply:
        if is_git:
            return git_http.serve(self.server.desk, request, record)
        if path.startswith(f"{self.server.prefix}/"):
            return self.server.desk.answer(request, record)
        return Reply(404, {"Content-Type": "text/html"}, b"<html><body>404</body></html>")

    def _strike(self, fault: Fault, request: Incoming, record: Record) -> bool:
        """What goes wrong before anything is done; whether that was all."""
        desk = self.server.desk
        answer = fault.instead(desk.state.clock())
        if answer is not None:
            record.body = _json(request.body)
            record.status = answer.status
            headers = desk.limits.headers(None, desk.state.clock())
            self._send(desk.reply(request, answer, {**headers, **answer.headers}))
            return True
        if fault.kind == "garbage":
            record.status = 200
            self._send(Reply(200, {"Content-Type": "text/html"}, b"<html>please log in to the proxy</html>"))
            return True
        if fault.kind == "hook" and fault.hook is not None:
            fault.hook()
        if fault.kind in ("reset", "hook"):
            self._reset()
            return True
        return False

    def _strike_after(self, fault: Fault, record: Record) -> bool:
        """What goes wrong after it was done; whether no answer of ours follows."""
        if fault.kind == "slow":
            self.server.stopping.wait(fault.seconds)
            return False
        if fault.kind == "502-after":
            record.status = 502
            self._send(Reply(502, {"Content-Type": "text/html"}, BAD_GATEWAY))
            return True
        if fault.kind == "hook-after" and fault.hook is not None:
            fault.hook()
        self._reset()
        return True

    def _reset(self) -> None:
        """Lose the connection as a network does: RST instead of an orderly end. socket(7), SO_LINGER."""
        with contextlib.suppress(OSError):
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.rfile.close()
        self.connection.close()

    def _body(self) -> bytes:
        if "chunked" in self.headers.get("Transfer-Encoding", "").lower():
            parts = []
            while size := int(self.rfile.readline(64).split(b";")[0], 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline(4)
                if sum(map(len, parts)) > MOST_BODY:
                    raise OSError("a request that is too large")
            while self.rfile.readline(1024).strip():
                pass
            return b"".join(parts)
        size = int(self.headers.get("Content-Length") or 0)
        if size > MOST_BODY:
            raise OSError("a request that is too large")
        return self.rfile.read(size)

    def _send(self, reply: Reply) -> None:
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        if reply.status not in (204, 304):
            self.send_header("Content-Length", str(len(reply.body)))
        self.end_headers()
        if self.command != "HEAD" and reply.body:
            self.wfile.write(reply.body)


class StorageHandler(Handler):
    """Where artifacts lie: another host, which must never be shown a token."""

    def _answer(self) -> None:
        desk = self.server.desk
        self._body()
        path, _, query = self.path.partition("?")
        record = Record(self.command, f"/storage{path}", query, None, "storage/get")
        with desk.lock:
            desk.log.append(record)
        fault = desk.fault(self.command, record.path)
        record.fault = fault.kind if fault is not None else ""
        if fault is not None and self._strike(fault, Incoming(self.command, path, query, {}, b""), record):
            return
        reply = self._stored(path, query)
        if fault is not None and self._strike_after(fault, record):
            return
        record.status = reply.status
        self._send(reply)

    def _stored(self, path: str, query: str) -> Reply:
        desk = self.server.desk
        if self.headers.get("Authorization"):
            desk.misuse.append("a token was sent to the storage of artifacts")
            return Reply(
                400,
                {"Content-Type": "application/xml"},
                b"<Error><Code>InvalidAuthenticationInfo</Code></Error>",
            )
        owner, _, rest = path.strip("/").partition("/")
        name, _, number = rest.partition("/")
        repo = desk.state.repositories.get(f"{owner}/{name}")
        text = number.removesuffix(".zip")
        one = repo.artifacts.get(int(text)) if repo is not None and text.isdigit() else None
        if one is None or not query.startswith("sig="):
            return Reply(
                404, {"Content-Type": "application/xml"}, b"<Error><Code>BlobNotFound</Code></Error>"
            )
        return Reply(200, {"Content-Type": "application/zip"}, one.data)


def _json(body: bytes) -> Any:
    try:
        return json.loads(body) if body else None
    except (ValueError, RecursionError):
        return None

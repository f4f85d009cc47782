"""``page --serve``: the folder on this machine alone, for as long as the command runs."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from gitkitchen.errors import Infrastructure, Problem

HOST = "127.0.0.1"


class _Handler(SimpleHTTPRequestHandler):
    """Files below the folder; no listing of folders, no log, nothing kept by the browser."""

    extensions_map = {  # noqa: RUF012 (as the standard library has it)
        ".html": "text/html; charset=utf-8",
        ".css": "text/css; charset=utf-8",
        ".js": "text/javascript; charset=utf-8",
        ".json": "application/json",
        ".svg": "image/svg+xml",
        ".xml": "application/atom+xml",
        ".txt": "application/openmetrics-text; version=1.0.0; charset=utf-8",
        "": "application/octet-stream",
    }

    def end_headers(self) -> None:
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        super().end_headers()

    def list_directory(self, path: object) -> None:  # noqa: ARG002
        self.send_error(404)

    def log_message(self, *args: object) -> None:
        """Requests are nobody's business."""


def serve(folder: Path, port: int, ready: Callable[[str], None]) -> None:
    """Serve until the process is interrupted. ``port`` 0: any that is free. ``ready`` is told the address."""
    try:
        server = ThreadingHTTPServer((HOST, port), partial(_Handler, directory=str(folder)))
    except OSError as error:
        raise Infrastructure(
            Problem(
                f"port {port} cannot be had: {error.strerror}",
                hint="--serve 0 takes one that is free",
                code="port",
            )
        ) from error
    with server:
        ready(f"http://{HOST}:{server.server_address[1]}/")
        server.serve_forever()

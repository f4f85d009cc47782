"""One POST of JSON over HTTP: bounded in time and size, no redirect followed, no proxy asked but the
system's.

A webhook's address is a secret: no message has any part of it.
"""

from __future__ import annotations

import http.client
import socket
import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

from gitkitchen.alerts.channels.contract import PATIENCE, Answer
from gitkitchen.errors import Mistake, Problem
from gitkitchen.printed import text_safe

MOST_READ = 2_000
HERE = frozenset({"localhost", "127.0.0.1", "::1"})


class _Stay(urllib.request.HTTPRedirectHandler):
    """Who answers elsewhere is not who was meant: a redirect is a refusal."""

    def redirect_request(self, *_args: Any, **_named: Any) -> None:
        return None


_OPENER = urllib.request.build_opener(_Stay())


def post(address: str, body: bytes, headers: Mapping[str, str], channel: str, patience: float) -> Answer:
    """Send it once. Mistake where the address is none: https, or http to this machine."""
    try:
        parts = urlsplit(address)
        known = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in HERE)
        sound = known and bool(parts.hostname) and all(32 < ord(c) < 127 for c in address)
        request = urllib.request.Request(address, body, dict(headers), method="POST")  # noqa: S310 (looked at)
    except ValueError:
        sound = False
    if not sound:
        hint = "it begins with https:// and holds no blank"
        message = f"alerts.channels.{channel}: its address is none that can be used"
        raise Mistake(Problem(message, hint=hint, code="bad-url"))
    request.add_header("Content-Type", "application/json")
    request.add_header("User-Agent", "gitkitchen")
    try:
        with _OPENER.open(request, timeout=max(min(PATIENCE, patience), 0.1)) as answer:
            return Answer("sent", _said(answer.status, answer.read(MOST_READ)))
    except urllib.error.HTTPError as error:
        with error:
            return _refused(error)
    except (urllib.error.URLError, http.client.HTTPException, OSError, ValueError) as error:
        cause = getattr(error, "reason", error)
        if isinstance(cause, ssl.SSLCertVerificationError):
            return Answer("refused", "the server's certificate is not trusted")
        if isinstance(cause, ConnectionRefusedError | socket.gaierror):
            return Answer("busy", "the server cannot be reached")
        return Answer("unanswered", f"no answer came ({type(cause).__name__})")


def _refused(error: urllib.error.HTTPError) -> Answer:
    try:
        said = _said(error.code, error.read(MOST_READ))
    except (OSError, http.client.HTTPException):
        said = _said(error.code, b"")
    if error.code == 429 or (error.code == 503 and error.headers.get("Retry-After")):
        return Answer("busy", said, after=_after(error.headers.get("Retry-After")))
    if error.code >= 500 or error.code == 408:
        # A gateway that gives up does not know whether those behind it did.
        return Answer("unanswered", said)
    return Answer("refused", said)


def _said(status: int, body: bytes) -> str:
    text = " ".join(text_safe(body.decode("utf-8", "replace")).split())[:200]
    return f"{status} {text}".strip()


def _after(value: str | None) -> float | None:
    """Seconds of a Retry-After, which is a number or a date (RFC 9110, 10.2.3)."""
    if not value:
        return None
    if value.strip().isascii() and value.strip().isdigit():
        return float(value.strip()[:6])
    try:
        return max((parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds(), 0.0)
    except (ValueError, TypeError):
        return None

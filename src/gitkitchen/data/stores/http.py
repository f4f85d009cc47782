"""Requests to a registry: time limits, tokens, redirects, and repetition of what may be repeated.

The token flow is that of https://distribution.github.io/distribution/spec/auth/token/: a refused request
names a realm, a service and a scope; the realm gives a token for them.
"""

from __future__ import annotations

import json
import random
import re
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, BinaryIO
from urllib.parse import urljoin, urlsplit

from gitkitchen.data.stores.contract import Denied, unreachable
from gitkitchen.data.stores.credentials import Login
from gitkitchen.errors import Infrastructure, Mistake, Problem
from gitkitchen.kitchen.stores import is_loopback

if TYPE_CHECKING:
    from requests import Response

CONNECT, READ = 10.0, 60.0
"""Seconds to wait for a connection, and for the next bytes of an answer."""
ATTEMPTS = 5
LONGEST_WAIT = 60.0
"""Seconds: who asks us to wait longer is told to people instead."""
PASSING = frozenset({408, 429, 500, 502, 503, 504})
REDIRECTS = frozenset({301, 302, 303, 307, 308})
SMALL = 8 << 20
"""Bytes of an answer that is read as a whole; more is refused."""
CHALLENGE = re.compile(r'([a-z_]+)="([^"]*)"')


class Passing(Exception):
    """A fault that may be gone at the next attempt. ``wait``: seconds that the other side asked for."""

    def __init__(self, reason: str, wait: float | None = None) -> None:
        super().__init__(reason)
        self.reason, self.wait = reason, wait


class Client:
    """Requests to one registry, for one repository's name at a time. Threads share it."""

    def __init__(
        self, registry: str, label: str, logins: Mapping[str, Login | None], *, pause: float = 0.5
    ) -> None:
        """``logins``: who we are, by repository. ``pause``: seconds before the first repetition."""
        try:
            import requests
        except ImportError:
            raise Mistake(
                Problem(
                    f"the store {label} needs a package that is not installed",
                    hint="pip install 'gitkitchen[oci]'",
                    code="extra-missing",
                )
            ) from None
        self._requests: Any = requests
        self.label = label
        host = urlsplit(f"//{registry}").hostname or ""
        self.base = f"{'http' if is_loopback(host) else 'https'}://{registry}"
        self._logins, self._pause = logins, pause
        self._tokens: dict[str, str] = {}
        self._local = threading.local()

    # --- repetition ----------------------------------------------------------------------------------

    def repeat(self, what: str, attempt: Any) -> Any:
        """Try ``attempt`` again while its faults may pass, waiting longer each time. What it does must be
        the same whether it was done once or twice. Infrastructure when it does not succeed."""
        for number in range(1, ATTEMPTS + 1):
            try:
                return attempt()
            except Passing as fault:
                wait = fault.wait
                if number == ATTEMPTS or (wait is not None and wait > LONGEST_WAIT):
                    asked = f" and asks to wait {wait:.0f} s" if wait is not None else ""
                    raise unreachable(self.label, f"{what}: {fault.reason}{asked}") from None
                backoff = self._pause * 2 ** (number - 1) * random.uniform(0.5, 1.5)  # noqa: S311 (no secret)
                time.sleep(backoff if wait is None else max(wait, 0.0))
        raise AssertionError("the last attempt returns or raises")

    # --- one request -----------------------------------------------------------------------------------

    @contextmanager
    def send(
        self,
        method: str,
        url: str,
        repository: str,
        *,
        headers: Mapping[str, str] | None = None,
        data: bytes | BinaryIO | None = None,
    ) -> Iterator[Response]:
        """One request with its redirects and at most one new token; the answer's body is not read yet.

        ``url`` may be relative to the registry. Passing for faults that may pass. ``data`` that is a file
        must be sent by a request whose token is known: it is not sent twice.
        """
        where = urljoin(self.base, url)
        response = self._once(method, where, repository, headers, data)
        try:
            if response.status_code == 401 and self._renewed(response, repository) and _again(data):
                response.close()
                response = self._once(method, where, repository, headers, data)
            if response.status_code in PASSING:
                raise Passing(f"it answered {response.status_code}", _asked_wait(response.headers))
            try:
                yield response
            except self._requests.RequestException as error:  # not OSError: a full disk is no passing fault
                raise Passing(_plain(error)) from None
        finally:
            response.close()

    def _once(
        self,
        method: str,
        url: str,
        repository: str,
        headers: Mapping[str, str] | None,
        data: bytes | BinaryIO | None,
    ) -> Response:
        session = self._session()
        for _ in range(6):
            self._refuse_open(url)
            ours = url.startswith(f"{self.base}/")
            try:
                response: Response = session.request(
                    method,
                    url,
                    headers={"User-Agent": "gitkitchen", "Accept-Encoding": "identity", **(headers or {})},
                    data=data,
                    # A callable of our own: else a login in ~/.netrc would take the place of the token.
                    auth=self._signed(repository if ours else None),
                    timeout=(CONNECT, READ),
                    stream=True,
                    allow_redirects=False,
                )
            except self._requests.exceptions.SSLError as error:
                raise unreachable(self.label, f"its certificate is refused: {_plain(error)}") from None
            except (self._requests.RequestException, OSError) as error:
                raise Passing(_plain(error)) from None
            target = response.headers.get("Location")
            if response.status_code not in REDIRECTS or not target or method not in ("GET", "HEAD"):
                return response
            response.close()
            url = urljoin(url, target)
        raise unreachable(self.label, "it redirects again and again")

    def _refuse_open(self, url: str) -> None:
        """Nothing leaves this machine, and nothing is believed, without TLS."""
        parts = urlsplit(url)
        if parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname or "")):
            return
        raise unreachable(self.label, "it sends us to an address without TLS", "only https is followed")

    def _session(self) -> Any:
        session = getattr(self._local, "session", None)
        if session is None:
            session = self._local.session = self._requests.Session()
        return session

    def _signed(self, repository: str | None) -> Any:
        header = self._tokens.get(repository) if repository is not None else None

        def sign(request: Any) -> Any:
            if header is not None:
                request.headers["Authorization"] = header
            return request

        return sign

    # --- tokens ----------------------------------------------------------------------------------------

    def _renewed(self, response: Response, repository: str) -> bool:
        """Get what a refused request asks for; False where there is nothing to be got."""
        scheme, _, rest = response.headers.get("WWW-Authenticate", "").partition(" ")
        login = self._logins.get(repository)
        if scheme.lower() == "basic" and login is not None:
            header = self._requests.auth._basic_auth_str(login.user, login.password)
            known = self._tokens.get(repository)
            self._tokens[repository] = header
            return bool(known != header)
        asked = dict(CHALLENGE.findall(rest))
        if scheme.lower() != "bearer" or "realm" not in asked:
            return False
        self._refuse_open(asked["realm"])
        params = {name: asked[name] for name in ("service", "scope") if name in asked}
        token = self._token(asked["realm"], params, login)
        if token is None and login is not None:  # a login without this right may be worth less than none
            token = self._token(asked["realm"], params, None)
        if token is None:
            return False
        self._tokens[repository] = f"Bearer {token}"
        return True

    def _token(self, realm: str, params: Mapping[str, str], login: Login | None) -> str | None:
        def anonymous(request: Any) -> Any:
            return request

        auth = (
            self._requests.auth.HTTPBasicAuth(login.user, login.password) if login is not None else anonymous
        )
        try:
            response = self._session().get(
                realm, params=params, auth=auth, timeout=(CONNECT, READ), allow_redirects=False, stream=True
            )
            with response:
                if response.status_code in PASSING:
                    reason = f"its token service answered {response.status_code}"
                    raise Passing(reason, _asked_wait(response.headers))
                if response.status_code != 200:
                    return None
                value = json.loads(small(response))
        except (self._requests.RequestException, OSError) as error:
            raise Passing(_plain(error)) from None
        except ValueError:
            raise unreachable(self.label, "its token service answered no JSON") from None
        token = (value.get("token") or value.get("access_token")) if isinstance(value, dict) else None
        good = isinstance(token, str) and re.fullmatch(r"[\x21-\x7e]+", token)
        return token if good else None

    def refused(self, response: Response, what: str) -> Infrastructure:
        """The error for an answer that is no use, without anything that the other side wrote; Denied where
        it is a matter of rights."""
        if response.status_code in (401, 403):
            hint = (
                "log in with `docker login` (its config.json is read, its helpers are not), or give the job "
                "GITHUB_TOKEN and `packages: read`, to publish `packages: write`"
            )
            error = unreachable(self.label, f"{what}: it answered {response.status_code}", hint)
            return Denied(*error.problems)
        return unreachable(self.label, f"{what}: it answered {response.status_code}")


def _again(data: bytes | BinaryIO | None) -> bool:
    return data is None or isinstance(data, bytes)


def small(response: Response, most: int = SMALL) -> bytes:
    """The body of an answer that must be small. ValueError where it is not."""
    found = bytearray()
    for block in response.iter_content(1 << 16):
        found += block
        if len(found) > most:
            raise ValueError(f"an answer of more than {most:,} bytes")
    return bytes(found)


def _asked_wait(headers: Mapping[str, str]) -> float | None:
    """The seconds of Retry-After, which is a number or a date (RFC 9110, 10.2.3)."""
    text = headers.get("Retry-After", "").strip()
    if re.fullmatch(r"\d{1,9}", text):
        return float(text)
    try:
        then = parsedate_to_datetime(text)
    except (ValueError, TypeError):
        return None
    then = then if then.tzinfo else then.replace(tzinfo=UTC)
    return max((then - datetime.now(UTC)).total_seconds(), 0.0)


def _plain(error: BaseException) -> str:
    """What went wrong on the way, without addresses and their parameters, which may hold signatures."""
    kind = type(error).__name__
    words = {
        "ConnectTimeout": "no connection in time",
        "ReadTimeout": "no answer in time",
        "SSLError": "TLS failed",
        "ProxyError": "the proxy failed",
        "ChunkedEncodingError": "the connection broke",
    }
    return words.get(
        kind, "the connection failed" if "Connection" in kind else f"the request failed ({kind})"
    )

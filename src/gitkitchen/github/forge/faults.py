"""What goes wrong on purpose, and the limits that GitHub sets to everybody."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable
from dataclasses import field

from gitkitchen.frozen import dataclass
from gitkitchen.github.forge.routing import Answer, Refused
from gitkitchen.github.forge.state import Token

SECONDARY = (
    "You have exceeded a secondary rate limit and have been temporarily blocked from content creation. "
    "Please retry your request again later."
)
PRIMARY = "API rate limit exceeded for installation."

_BEFORE: dict[str, tuple[int, str]] = {
    "500": (500, "Server Error"),
    "502": (502, "Server Error"),
    "503": (503, "Service Unavailable"),
    "401": (401, "Bad credentials"),
    "403": (403, "Resource not accessible by integration"),
    "404": (404, "Not Found"),
    "422": (422, "Validation Failed"),
    "limit-403": (403, SECONDARY),
    "limit-429": (429, SECONDARY),
    "primary": (403, PRIMARY),
}
_CONNECTION = ("reset", "reset-after", "502-after", "slow", "garbage", "hook", "hook-after")
KINDS = (*_BEFORE, *_CONNECTION)
"""What can go wrong: answers instead of doing it (500, 502, 503, 401, 403, 404, 422, limit-403, limit-429,
primary), ``reset`` (nothing done, connection lost), ``reset-after`` and ``502-after`` (done, and then no
answer), ``slow`` (done, and answered late), ``garbage`` (a page of a proxy, nothing done), ``hook`` and
``hook-after`` (call something before or after it is done, and give no answer)."""


@dataclass
class Fault:
    """One thing that goes wrong: at the requests whose verb and path (a pattern, searched) match, after
    letting ``skip`` of them pass, ``times`` times (-1: for ever).

    ``retry_after``: seconds of the header of a limit (None: without it); ``reset_in``: seconds until the
    primary limit ends; ``seconds``: how slow; ``hook``: what is called.
    """

    kind: str
    verb: str = ""
    path: str = ""
    skip: int = 0
    times: int = 1
    retry_after: int | None = None
    reset_in: float = 30.0
    seconds: float = 0.0
    hook: Callable[[], None] | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"{self.kind!r} is no fault: {', '.join(KINDS)}")

    def strikes(self, verb: str, path: str) -> bool:
        """Whether it is this request's turn; counts."""
        if self.times == 0 or self.verb not in ("", verb) or not re.search(self.path, path):
            return False
        if self.skip:
            self.skip -= 1
            return False
        self.times -= 1 if self.times > 0 else 0
        return True

    def instead(self, now: float) -> Answer | None:
        """The answer that is given instead of doing anything; None where something else goes wrong."""
        if self.kind not in _BEFORE:
            return None
        status, message = _BEFORE[self.kind]
        headers: dict[str, str] = {}
        if self.retry_after is not None:
            headers["Retry-After"] = str(self.retry_after)
        if self.kind == "primary":
            headers |= {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(int(now + self.reset_in))}
        return Refused(status, message, headers=headers).answer()


@dataclass
class Limits:
    """GitHub's limits: requests an hour for a token (a job's: 1,000), and requests that make content.
    None: no limit. https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api"""

    job_per_hour: int = 1000
    per_hour: int = 5000
    writes_per_minute: int | None = 80
    writes_per_hour: int | None = 500
    _used: dict[str, tuple[float, int]] = field(default_factory=dict)
    _writes: dict[str, deque[float]] = field(default_factory=dict)

    def headers(self, token: Token | None, now: float) -> dict[str, str]:
        """What every answer says of the primary limit."""
        limit, used, reset = self.standing(token, now)
        return {
            "X-RateLimit-Limit": str(limit),
            "X-RateLimit-Remaining": str(max(limit - used, 0)),
            "X-RateLimit-Used": str(used),
            "X-RateLimit-Reset": str(reset),
            "X-RateLimit-Resource": "core",
        }

    def standing(self, token: Token | None, now: float) -> tuple[int, int, int]:
        """Limit, used, and when it starts again."""
        limit = 60 if token is None else self.job_per_hour if token.is_job else self.per_hour
        start, used = self._used.get(_key(token), (now, 0))
        if now >= start + 3600:
            start, used = now, 0
        return limit, used, int(start + 3600)

    def count(self, token: Token | None, verb: str, now: float) -> None:
        """Count a request; Refused where it is one too many."""
        limit, used, reset = self.standing(token, now)
        if used >= limit:
            raise Refused(403, PRIMARY)
        self._used[_key(token)] = (reset - 3600.0, used + 1)
        if verb in ("GET", "HEAD"):
            return
        writes = self._writes.setdefault(_key(token), deque())
        while writes and writes[0] <= now - 3600:
            writes.popleft()
        minute = sum(1 for at in writes if at > now - 60)
        if self.writes_per_minute is not None and minute >= self.writes_per_minute:
            raise Refused(403, SECONDARY, headers={"Retry-After": "60"})
        if self.writes_per_hour is not None and len(writes) >= self.writes_per_hour:
            wait = int(writes[0] + 3600 - now) + 1
            raise Refused(403, SECONDARY, headers={"Retry-After": str(wait)})
        writes.append(now)


def _key(token: Token | None) -> str:
    return token.value if token is not None else ""

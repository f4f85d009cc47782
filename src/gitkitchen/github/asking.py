"""One request after the other, within a budget: where all that the client says to GitHub passes through.

PyGithub speaks HTTP, its retries and pauses turned off: it would send one POST up to 11 times. What may be
sent again is decided here. A question may, a few times. A write may when GitHub says that it did nothing (a
limit, 403 or 429), or when doing it twice is doing it once. Otherwise, where no usable answer comes,
``Trouble("unsure")`` tells the caller to look before writing again.
https://docs.github.com/en/rest/using-the-rest-api/best-practices-for-using-the-rest-api
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from gitkitchen.errors import Mistake, Problem
from gitkitchen.frozen import dataclass
from gitkitchen.github.trouble import Trouble

if TYPE_CHECKING:
    from github.Requester import Requester

TRIES = 3
"""Of a question to which no usable answer comes."""
PAUSES = (1.0, 3.0)
"""Seconds between them."""
WITHOUT_A_WORD = 60.0
"""Seconds to wait at a limit that does not say how long."""
LIMITS = 3
"""How often one request waits at a limit."""
PACE = 1.0
"""Seconds between writes, when they are many."""
FEW = 4
"""Writes that need no pause between them."""
PAGE = 100


@dataclass(frozen=True, slots=True)
class Budget:
    """What one client may spend: requests, and seconds with all waiting. A job's token has 1,000 requests an
    hour and repository, which all jobs share."""

    requests: int = 300
    seconds: float = 300.0
    timeout: int = 15
    """Seconds without a byte of an answer."""


class Asking:
    """``clock`` gives seconds since the epoch, ``sleep`` waits."""

    def __init__(
        self,
        api_url: str,
        token: str,
        *,
        budget: Budget | None = None,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.api_url = api_url.rstrip("/")
        self.budget = budget or Budget()
        self.requests = 0
        self._token = token
        self._clock, self._sleep = clock, sleep
        self._start: float | None = None
        self._writes = 0
        self._last_write: float | None = None
        self._requester: Requester | None = None

    def get(
        self, path: str, doing: str, needs: Mapping[str, str], query: Mapping[str, Any] | None = None
    ) -> Any:
        """The answer to a question. Raises Trouble."""
        return self.ask("GET", path, doing, needs, query=query)[1]

    def pages(
        self,
        path: str,
        doing: str,
        needs: Mapping[str, str],
        query: Mapping[str, Any] | None = None,
        *,
        key: str = "",
        keep: Callable[[Any], bool] = lambda _item: True,
        most: int = 10_000,
    ) -> list[Any]:
        """All items of a list that ``keep`` wants, page by page. ``key``: where it stands in each answer.

        Raises Trouble, also where there are more than ``most``: half of a list must not be taken for the
        whole. What is not kept takes no memory: anybody may have written a thousand long comments.
        """
        found: list[Any] = []
        seen = 0
        number = 1
        while True:
            asked = {**(query or {}), "per_page": PAGE, "page": number}
            headers, answer = self.ask("GET", path, doing, needs, query=asked)
            items = answer.get(key) if key and isinstance(answer, dict) else answer
            if not isinstance(items, list):
                raise Trouble("unreachable", doing, "the answer is not the list that was asked for")
            found += filter(keep, items)
            seen += len(items)
            if 'rel="next"' not in headers.get("link", ""):
                return found
            if seen >= most:
                raise Trouble("budget", doing, f"there are more than {most}")
            number += 1

    def ask(
        self,
        verb: str,
        path: str,
        doing: str,
        needs: Mapping[str, str],
        *,
        query: Mapping[str, Any] | None = None,
        body: Any = None,
        again: bool | None = None,
    ) -> tuple[dict[str, str], Any]:
        """Headers (names in lower case) and JSON of an answer. Raises Trouble.

        ``needs``: the permissions of the job's token. ``again``: whether it may be sent again when no usable
        answer came; by default questions may.
        """
        again = verb == "GET" if again is None else again
        tries = limits = 0
        while True:
            status, headers, answer = self._once(verb, path, doing, query, body)
            if 200 <= status < 400 and not _is_garbage(verb, answer):
                return headers, answer
            if _is_limit(status, headers, answer):
                limits += 1
                self._wait(self._how_long(headers), doing, limits)
                continue
            if 400 <= status < 500:
                raise _refusal(status, headers, answer, doing, needs)
            reason = _reason(status, answer)
            if not again:
                raise Trouble("unsure", doing, reason, status=status)
            if tries >= TRIES - 1:
                raise Trouble("unreachable", doing, reason, status=status)
            self.pause(PAUSES[min(tries, len(PAUSES) - 1)], doing)
            tries += 1

    def close(self) -> None:
        """End the connection."""
        if self._requester is not None:
            self._requester.close()
            self._requester = None

    def pause(self, seconds: float, doing: str) -> None:
        """Wait, if that leaves time. Raises Trouble."""
        if seconds <= 0:
            return
        if seconds > self._left():
            raise Trouble("budget", doing, f"no time is left of {self.budget.seconds:g} s")
        self._sleep(seconds)

    def _once(
        self, verb: str, path: str, doing: str, query: Mapping[str, Any] | None, body: Any
    ) -> tuple[int, dict[str, str], Any]:
        """One request: its status (0: none came), headers and JSON."""
        if self.requests >= self.budget.requests:
            raise Trouble("budget", doing, f"{self.budget.requests} requests are spent")
        if self._left() <= 0:
            raise Trouble("budget", doing, f"no time is left of {self.budget.seconds:g} s")
        if verb != "GET":
            if self._writes >= FEW and self._last_write is not None:
                self.pause(self._last_write + PACE - self._clock(), doing)
            self._writes += 1
        self.requests += 1
        from github import GithubException

        requester = self._connect()
        given = {name: value for name, value in (query or {}).items() if value is not None}
        try:
            headers, answer = requester.requestJsonAndCheck(verb, path, parameters=given, input=body)
        except GithubException as error:
            made = {str(name).lower(): str(value) for name, value in (error.headers or {}).items()}
            return int(error.status), made, error.data
        except (OSError, ValueError, RuntimeError, AttributeError, AssertionError) as error:
            # requests' exceptions are OSErrors; the others are PyGithub's on answers that are not GitHub's.
            return 0, {}, type(error).__name__
        finally:
            if verb != "GET":
                self._last_write = self._clock()
        return _status(headers), {str(name).lower(): str(value) for name, value in headers.items()}, answer

    def _connect(self) -> Requester:
        if self._requester is None:
            import github

            hub = github.Github(
                auth=github.Auth.Token(self._token) if self._token else None,
                base_url=self.api_url,
                timeout=self.budget.timeout,
                user_agent="gitkitchen",
                per_page=PAGE,
                retry=None,
                seconds_between_requests=0,
                seconds_between_writes=0,
            )
            self._requester = hub.requester
        return self._requester

    def _left(self) -> float:
        now = self._clock()
        if self._start is None:
            self._start = now
        return self._start + self.budget.seconds - now

    def _how_long(self, headers: Mapping[str, str]) -> float:
        """Seconds that GitHub asks for: ``retry-after``, else until ``x-ratelimit-reset`` by GitHub's own
        clock, else a minute."""
        after = headers.get("retry-after", "")
        if after.isascii() and after.isdigit():
            return float(after[:9])
        reset = headers.get("x-ratelimit-reset", "")
        if headers.get("x-ratelimit-remaining") == "0" and reset.isascii() and reset.isdigit():
            try:
                now = parsedate_to_datetime(headers["date"]).timestamp()
            except (KeyError, ValueError, TypeError):
                now = self._clock()
            return max(float(reset[:12]) - now, 0.0) + 1.0
        return WITHOUT_A_WORD

    def _wait(self, seconds: float, doing: str, count: int) -> None:
        if count > LIMITS or seconds > self._left():
            raise Trouble("limit", doing, f"GitHub limits our requests and asks to wait for {seconds:.0f} s")
        self._sleep(seconds)


def library() -> None:
    """Raises Mistake where PyGithub is not installed."""
    try:
        import github  # noqa: F401
    except ImportError:
        hint = "install it: `pip install 'gitkitchen[github]'`"
        raise Mistake(Problem("PyGithub is not installed", hint=hint, code="no-pygithub")) from None


def _status(headers: Mapping[str, Any]) -> int:
    """PyGithub tells the status of failures alone; a redirect is known by where it leads."""
    return 302 if any(str(name).lower() == "location" for name in headers) else 200


def _is_garbage(verb: str, answer: Any) -> bool:
    """Not JSON, and so not GitHub's: PyGithub wraps it in ``data`` (and adds ``url`` to an answer of GET)."""
    wrapped = isinstance(answer, dict) and "data" in answer and answer.keys() <= {"data", "url"}
    return wrapped or (verb == "GET" and isinstance(answer, str))


def _is_limit(status: int, headers: Mapping[str, str], answer: Any) -> bool:
    if status == 429:
        return True
    if status != 403:
        return False
    said = _message(answer).lower()
    return "retry-after" in headers or headers.get("x-ratelimit-remaining") == "0" or "rate limit" in said


def _refusal(
    status: int, headers: Mapping[str, str], answer: Any, doing: str, needs: Mapping[str, str]
) -> Trouble:
    said = _message(answer) or f"GitHub answers {status}"
    if status == 401:
        return Trouble("denied", doing, f"the token is refused ({said})", status=status)
    if status == 403:
        return Trouble("denied", doing, said, status=status, permissions=_needed(headers, needs))
    if status in (404, 410):
        return Trouble("missing", doing, said, status=status)
    return Trouble("refused", doing, f"{said} ({status})", status=status)


def _needed(headers: Mapping[str, str], needs: Mapping[str, str]) -> dict[str, str]:
    """Of the ways that GitHub itself names (``issues=write; pull_requests=write``) ours, else the first.
    https://docs.github.com/en/rest/using-the-rest-api/troubleshooting-the-rest-api"""
    ways = []
    for way in headers.get("x-accepted-github-permissions", "").split(";"):
        pairs = [one.strip().partition("=") for one in way.split(",")]
        made = {name.replace("_", "-"): level for name, _, level in pairs if level in ("read", "write")}
        made.pop("metadata", None)
        ways += [made] if made else []
    return ways[0] if ways and dict(needs) not in ways else dict(needs)


def _reason(status: int, answer: Any) -> str:
    if status:
        return f"GitHub answers {status} and nothing that can be used"
    return f"no answer came ({answer})" if isinstance(answer, str) else "no answer came"


def _message(answer: Any) -> str:
    """What GitHub says, with the details of a 422."""
    if not isinstance(answer, dict):
        return ""
    said = str(answer.get("message", ""))[:300]
    errors = answer.get("errors")
    for error in errors[:3] if isinstance(errors, list) else ():
        if isinstance(error, str):  # of reviews, among others
            said += f"; {error[:200]}"
        if isinstance(error, dict):
            words = [str(error[key]) for key in ("resource", "field", "code", "message") if error.get(key)]
            said += f"; {' '.join(words)[:200]}"
    return said

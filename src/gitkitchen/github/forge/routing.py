"""How a request finds what answers it, and who may ask: GitHub's rules, in one place."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import field
from typing import Any
from urllib.parse import urlencode

from gitkitchen.frozen import dataclass
from gitkitchen.github.forge.state import Repository, State, Token, User

DOCUMENTATION = "https://docs.github.com/rest"


@dataclass
class Answer:
    """What goes back: ``body`` is JSON, or None for none."""

    status: int
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)


class Refused(Exception):
    """An answer that says no. ``errors`` are GitHub's details of a 422."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        errors: Sequence[dict[str, str] | str] = (),
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(f"{status} {message}")
        self.status, self.message, self.errors = status, message, list(errors)
        self.headers = headers or {}

    def answer(self) -> Answer:
        body: dict[str, Any] = {"message": self.message, "documentation_url": DOCUMENTATION}
        if self.errors:
            body["errors"] = self.errors
        return Answer(self.status, {**body, "status": str(self.status)}, self.headers)


def invalid(resource: str, wrong: str, code: str = "invalid", message: str = "") -> Refused:
    """A 422 of the usual form."""
    error = {"resource": resource, "field": wrong, "code": code}
    if message:
        error["message"] = message
    return Refused(422, "Validation Failed", errors=[error])


@dataclass
class Call:
    """One request, understood. ``repo`` is None for what belongs to no repository."""

    state: State
    token: Token | None
    repository: Repository | None
    path: dict[str, str]
    query: dict[str, Any]
    body: Any
    url: str
    """The request's own URL, without its query."""

    @property
    def repo(self) -> Repository:
        assert self.repository is not None
        return self.repository

    @property
    def user(self) -> User:
        if self.token is None:
            raise Refused(401, "Requires authentication")
        return self.token.user

    @property
    def login(self) -> str:
        return self.token.user.login if self.token is not None else ""

    def now(self) -> float:
        return self.state.clock()

    def number(self, name: str, things: dict[int, Any]) -> Any:
        """The thing whose number is a parameter of the path; 404 where there is none."""
        text = self.path[name]
        found = things.get(int(text)) if text.isascii() and text.isdigit() and len(text) < 19 else None
        if found is None:
            raise Refused(404, "Not Found")
        return found

    def commit(self, name: str) -> str:
        """The SHA of the commit that a parameter of the path names; 422 where there is none."""
        sha = self.repo.bare.resolve(self.path[name])
        if sha is None:
            raise Refused(422, f"No commit found for SHA: {self.path[name]}")
        return sha

    def paged(self, items: Sequence[Any]) -> tuple[Sequence[Any], dict[str, str]]:
        """One page, and the Link header: at most 100, 30 unless asked.
        https://docs.github.com/en/rest/using-the-rest-api/using-pagination-in-the-rest-api"""
        size = min(max(int(self.query.get("per_page", 30)), 1), 100)
        page = max(int(self.query.get("page", 1)), 1)
        last = max((len(items) + size - 1) // size, 1)
        wanted: dict[str, int] = {}
        if page > 1:
            wanted |= {"prev": page - 1, "first": 1}
        if page < last:
            wanted |= {"next": page + 1, "last": last}
        links = [
            f'<{self.url}?{urlencode({**_plain(self.query), "per_page": size, "page": number})}>; rel="{rel}"'
            for rel, number in wanted.items()
        ]
        return items[(page - 1) * size : page * size], {"Link": ", ".join(links)} if links else {}


Route = Callable[[Call], Answer]


@dataclass(frozen=True)
class Rule:
    """Who may: one of ``needs`` for an App's or job's token, ``role`` for a person's.

    ``always``: reading needs the permission in public repositories too.
    """

    answer: Route
    needs: tuple[tuple[str, str], ...]
    role: str
    always: bool
    app_only: bool


ROUTES: dict[str, Rule] = {}


def route(
    operation: str, *needs: str, role: str = "read", always: bool = False, app_only: bool = False
) -> Callable[[Route], Route]:
    """Answer an operation. ``needs``: ``checks:write`` and the like, of which one suffices."""

    def keep(answer: Route) -> Route:
        pairs = tuple((name, level) for name, _, level in (need.partition(":") for need in needs))
        ROUTES[operation] = Rule(answer, pairs, role, always, app_only)
        return answer

    return keep


def authorize(token: Token | None, repo: Repository | None, rule: Rule, verb: str) -> None:
    """Refused where the token may not ask this, in the words and with the status that GitHub uses."""
    if token is None:
        if verb != "GET" or rule.always or (repo is not None and repo.private) or repo is None:
            raise Refused(401, "Requires authentication")
        return
    if repo is None:
        return
    if token.app is None:
        _authorize_person(token, repo, rule)
        return
    accepted = "; ".join(f"{name.replace('-', '_')}={level}" for name, level in rule.needs)
    headers = {"X-Accepted-GitHub-Permissions": accepted or "metadata=read"}
    here = token.repository == repo.full_name
    if repo.private and not here:
        raise Refused(404, "Not Found", headers=headers)
    if not rule.needs or (verb == "GET" and not repo.private and not rule.always):
        return
    if not here or not any(token.grants(name, level) for name, level in rule.needs):
        raise Refused(403, "Resource not accessible by integration", headers=headers)


def _authorize_person(token: Token, repo: Repository, rule: Rule) -> None:
    if not repo.may(token.user.login, "read"):
        raise Refused(404, "Not Found")
    if rule.app_only:
        raise Refused(403, "You must authenticate via a GitHub App.")
    if not repo.may(token.user.login, rule.role):
        words = {
            "write": "Must have push access to view repository.",
            "admin": "Must have admin rights to Repository.",
        }
        raise Refused(403, words.get(rule.role, "Resource not accessible by personal access token"))


def _plain(query: dict[str, Any]) -> dict[str, Any]:
    return {name: str(value).lower() if isinstance(value, bool) else value for name, value in query.items()}

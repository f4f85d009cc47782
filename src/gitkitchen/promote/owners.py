"""Who may allow what: CODEOWNERS, and reviews of a pull request as they count.

CODEOWNERS:
https://docs.github.com/repositories/managing-your-repositorys-settings-and-features/customizing-your-repository/about-code-owners
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

from gitkitchen.frozen import dataclass

FILES = (".github/CODEOWNERS", "CODEOWNERS", "docs/CODEOWNERS")
"""Where GitHub looks, in this order; the first that exists counts."""
MAX_BYTES = 3_000_000
CODEOWNERS = "codeowners"


@dataclass(frozen=True, slots=True)
class Review:
    """A review of a pull request. ``state`` as GitHub writes it, in any case: APPROVED, CHANGES_REQUESTED,
    DISMISSED, COMMENTED. ``teams``: ``organisation/team`` of all teams that the person is in."""

    login: str
    head: str
    state: str
    teams: tuple[str, ...] = ()


def owners(texts: Mapping[str, str], path: str) -> tuple[str, ...]:
    """The owners of a path by the CODEOWNERS of a tree: those of the last line that matches it."""
    text = next((texts[name] for name in FILES if name in texts), "")
    if len(text) > MAX_BYTES:  # GitHub does not load larger ones
        return ()
    found: tuple[str, ...] = ()
    for line in text.splitlines():
        words = line.partition(" #")[0].partition("\t#")[0].split()
        if not words or words[0].startswith(("#", "!", "[")):
            continue
        matcher = _matcher(words[0])
        if matcher is not None and matcher.match(path):
            found = tuple(w for w in words[1:] if w.startswith("@"))
    return found


@lru_cache(maxsize=4096)
def _matcher(wanted: str) -> re.Pattern[str] | None:
    """A pattern of CODEOWNERS, which is gitignore's without ``!`` and ``[ ]``: as an expression on whole
    paths."""
    if "[" in wanted or "]" in wanted:
        return None
    text = wanted.replace("\\#", "#")
    anchored = "/" in text.rstrip("/")
    folder = text.endswith("/")
    parts = text.strip("/")
    if not parts:
        return None
    expression = ""
    at = 0
    while at < len(parts):
        if parts.startswith("**/", at):
            expression, at = expression + "(?:[^/]+/)*", at + 3
        elif parts.startswith("/**", at) and at + 3 == len(parts):
            expression, at = expression + "/.+", at + 3
        elif parts[at] == "*":
            expression, at = expression + "[^/]*", at + 1
            while parts.startswith("*", at):
                at += 1
        elif parts[at] == "?":
            expression, at = expression + "[^/]", at + 1
        else:
            expression, at = expression + re.escape(parts[at]), at + 1
    # `docs/*` owns files of docs and none below; every other name owns what lies below it, too.
    below = "/.+" if folder else "" if anchored and parts.endswith("/*") else "(?:/.+)?"
    return re.compile(("" if anchored else "(?:.+/)?") + expression + below + r"\Z", re.DOTALL)


def who(by: Iterable[str], texts: Mapping[str, str], path: str) -> tuple[str, ...]:
    """People and teams whom ``by`` names, the owners of ``path`` in the place of ``codeowners``."""
    found: dict[str, None] = {}
    for name in by:
        found |= dict.fromkeys(owners(texts, path) if name == CODEOWNERS else (name,))
    return tuple(found)


def approvers(reviews: Sequence[Review], head: str, author: str) -> tuple[Review, ...]:
    """Whose approval counts: the latest review of each person that decides approves this very head.

    ``reviews`` from the oldest to the newest. A comment decides nothing; the author's own counts never.
    """
    latest: dict[str, Review] = {}
    for review in reviews:
        if review.state.upper() in ("APPROVED", "CHANGES_REQUESTED", "DISMISSED"):
            latest[review.login.lower()] = review
    latest.pop(author.lower(), None)
    return tuple(r for r in latest.values() if r.state.upper() == "APPROVED" and head and r.head == head)


def allowing(approving: Iterable[Review], names: Iterable[str]) -> str:
    """The login of the first who is one of ``names`` or in one of their teams; "" where nobody is."""
    wanted = {name.removeprefix("@").lower() for name in names}
    for review in approving:
        if review.login.lower() in wanted or wanted & {
            team.removeprefix("@").lower() for team in review.teams
        }:
            return review.login
    return ""

"""One incident, one issue: found by its mark, opened once, brought up to date, closed.

As with comments, each write begins by looking, and looks again where one ended without an answer. Ours is the
oldest issue that begins with the mark and that our account wrote; another of ours with it, from two jobs that
ran at once, is closed as its duplicate.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gitkitchen.frozen import dataclass
from gitkitchen.github.asking import Asking
from gitkitchen.github.posting import LOOKS, PAUSES
from gitkitchen.github.trouble import Trouble

ISSUES = {"issues": "write"}
MOST = 5_000
"""Issues and pull requests that are looked through, the newest first."""

Json = Mapping[str, Any]


def marker_of(incident: str) -> str:
    """The first line of an incident's issue, which nobody sees."""
    return f"<!-- gitkitchen incident {incident} -->"


@dataclass(frozen=True, slots=True)
class Issue:
    """What the one issue of ``marker`` should be, and what is known of where it is.

    ``body`` is the text without the marker. ``title`` is for a new one: whoever gave it a better one keeps
    that. ``known``: the number that it had when it was written last: then nothing is searched. ``since``: a
    moment (ISO 8601) that it is not older than: only what changed since is searched. Labels find nothing:
    GitHub drops those that a token may not set.
    """

    marker: str
    title: str
    body: str
    labels: Sequence[str] = ()
    is_open: bool = True
    known: int = 0
    since: str = ""

    @property
    def whole(self) -> str:
        """The text as it is written: the mark stands before it."""
        return f"{self.marker}\n{self.body}"


def put_issue(asking: Asking, repo: str, author: str, issue: Issue) -> int:
    """Make the one issue of a mark what it should be; its number. Raises Trouble."""
    doing = "write the issue of an incident"
    for look in range(LOOKS):
        ours = _ours(asking, repo, author, issue, doing)
        try:
            done = _bring(asking, repo, ours, issue, doing)
        except Trouble as trouble:
            if look == LOOKS - 1 or trouble.kind != "unsure":
                raise
            asking.pause(PAUSES[min(look, len(PAUSES) - 1)], doing)
        else:
            for other in ours[1:]:
                if other.get("state") == "open":
                    _close(asking, repo, other, "not_planned", doing)
            return done
    raise AssertionError("the last look returns or raises")


def _ours(asking: Asking, repo: str, author: str, issue: Issue, doing: str) -> list[Json]:
    def is_ours(one: Any) -> bool:
        return (
            isinstance(one, dict)
            and "pull_request" not in one
            and (one.get("user") or {}).get("login") == author
            and str(one.get("body") or "").startswith(issue.marker)
        )

    if issue.known:
        try:
            found = asking.get(f"{repo}/issues/{issue.known}", doing, ISSUES)
        except Trouble as trouble:
            if trouble.kind != "missing":
                raise
        else:
            if is_ours(found):
                return [found]
    query = {"state": "all", "sort": "created", "direction": "desc", "since": issue.since or None}
    listed = asking.pages(f"{repo}/issues", doing, ISSUES, query, keep=is_ours, most=MOST)
    return sorted(listed, key=lambda one: int(one["number"]))


def _bring(asking: Asking, repo: str, ours: list[Json], issue: Issue, doing: str) -> int:
    if not ours:
        made = {"title": issue.title, "body": issue.whole, "labels": list(issue.labels)}
        _, answer = asking.ask("POST", f"{repo}/issues", doing, ISSUES, body=made)
        if not (isinstance(answer, dict) and isinstance(answer.get("number"), int)):
            raise Trouble("unsure", doing, "the answer does not say what was made")
        if not issue.is_open:
            _close(asking, repo, answer, "completed", doing)
        return int(answer["number"])
    one = ours[0]
    state = "open" if issue.is_open else "closed"
    wanted: dict[str, Any] = {}
    if not _same(one.get("body"), issue.whole):
        wanted["body"] = issue.whole
    if one.get("state") != state:
        wanted |= {"state": state, "state_reason": "reopened" if issue.is_open else "completed"}
    if wanted:
        path = f"{repo}/issues/{one['number']}"
        asking.ask("PATCH", path, doing, ISSUES, body=wanted, again=True)
    return int(one["number"])


def _close(asking: Asking, repo: str, one: Json, reason: str, doing: str) -> None:
    body = {"state": "closed", "state_reason": reason}
    asking.ask("PATCH", f"{repo}/issues/{one['number']}", doing, ISSUES, body=body, again=True)


def _same(one: Any, other: str) -> bool:
    return str(one or "").replace("\r\n", "\n").strip() == other.replace("\r\n", "\n").strip()

"""The one pull request of a step of the road: brought to what it should be, merged by its head, or closed.

As for comments and check runs: each write begins by looking for what is there, and looks again where it ends
without a usable answer. https://docs.github.com/en/rest/pulls/pulls
"""

from __future__ import annotations

from typing import Any

from gitkitchen.frozen import dataclass
from gitkitchen.github.asking import Asking
from gitkitchen.github.posting import LOOKS, PAUSES
from gitkitchen.github.trouble import Trouble

WRITES = {"pull-requests": "write"}
MERGES = {"contents": "write"}


@dataclass(frozen=True, slots=True)
class Step:
    """What a pull request should be: from branch ``head`` into ``base``, both of this repository."""

    head: str
    base: str
    title: str
    body: str


def put_pull(asking: Asking, repo: str, step: Step) -> int:
    """Make the open pull request of a step what it should be; its number. Raises Trouble.

    Closed or merged ones of the same branches are history and stay as they are.
    """
    doing = f"write the pull request of '{step.head}'"
    for look in range(LOOKS):
        found = open_pull(asking, repo, step.head, step.base)
        try:
            if found is None:
                body = {"title": step.title, "head": step.head, "base": step.base, "body": step.body}
                _, answer = asking.ask("POST", f"{repo}/pulls", doing, WRITES, body=body)
                return _number(answer, doing)
            if (found.get("title"), found.get("body") or "") != (step.title, step.body):
                path = f"{repo}/pulls/{found['number']}"
                body = {"title": step.title, "body": step.body}
                asking.ask("PATCH", path, doing, WRITES, body=body, again=True)
            return _number(found, doing)
        except Trouble as trouble:
            if look == LOOKS - 1 or trouble.kind != "unsure":
                raise
            asking.pause(PAUSES[min(look, len(PAUSES) - 1)], doing)
    raise AssertionError("the last look returns or raises")


def open_pull(asking: Asking, repo: str, head: str, base: str) -> dict[str, Any] | None:
    """The open pull request from one branch of ours into another; None where there is none."""
    doing = f"find the pull request of '{head}'"
    owner = repo.split("/")[2]
    query = {"head": f"{owner}:{head}", "base": base, "state": "open"}
    found = asking.pages(f"{repo}/pulls", doing, {"pull-requests": "read"}, query)
    ours = [one for one in found if isinstance(one, dict) and (one.get("head") or {}).get("ref") == head]
    return min(ours, key=lambda one: int(one["number"]), default=None)


def merge_pull(asking: Asking, repo: str, number: int, sha: str, title: str, message: str) -> None:
    """Merge a pull request whose head is exactly ``sha`` by a merge commit. Raises Trouble.

    The base is not compared: who calls reads back what stands there. Merged already is merged. ``unsure``
    where one press had no answer, whatever was said to those behind it or to a look: it may yet arrive.
    """
    doing = f"merge pull request {number}"
    path = f"{repo}/pulls/{number}/merge"
    body = {"sha": sha, "merge_method": "merge", "commit_title": title, "commit_message": message}
    unsure: Trouble | None = None
    for look in range(LOOKS):
        try:
            asking.ask("PUT", path, doing, MERGES, body=body, again=False)
        except Trouble as trouble:
            last = look == LOOKS - 1 or trouble.kind != "unsure"
            unsure = unsure or (trouble if trouble.kind == "unsure" else None)
            try:
                if is_merged(asking, repo, number):
                    return
                if not last:
                    asking.pause(PAUSES[min(look, len(PAUSES) - 1)], doing)
            except Trouble:
                last = True
            if last:
                raise unsure or trouble from None
        else:
            return
    raise AssertionError("the last look returns or raises")


def is_merged(asking: Asking, repo: str, number: int) -> bool:
    """Whether a pull request is merged by now."""
    answer = asking.get(f"{repo}/pulls/{number}", f"read pull request {number}", {"pull-requests": "read"})
    return isinstance(answer, dict) and answer.get("merged") is True


def close_pull(asking: Asking, repo: str, head: str, base: str) -> None:
    """Close the open pull request of two branches, if there is one."""
    found = open_pull(asking, repo, head, base)
    if found is not None:
        doing = f"close pull request {found['number']}"
        path = f"{repo}/pulls/{found['number']}"
        asking.ask("PATCH", path, doing, WRITES, body={"state": "closed"}, again=True)


def _number(answer: Any, doing: str) -> int:
    if isinstance(answer, dict) and isinstance(answer.get("number"), int):
        return int(answer["number"])
    raise Trouble("unsure", doing, "the answer does not say what was made")

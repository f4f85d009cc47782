"""Events of GitHub for tests: the real examples, and others derived from them."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

EXAMPLES: dict[str, list[dict[str, Any]]] = json.loads(
    (Path(__file__).parent / "github" / "payloads" / "examples.json").read_text(encoding="utf-8")
)
HEAD, BASE, OTHER = "1" * 40, "2" * 40, "3" * 40


def example(name: str, action: str | None = None) -> dict[str, Any]:
    """A copy of the first real example of an event with this action, which tests may change."""
    return copy.deepcopy(next(e for e in EXAMPLES[name] if e.get("action") == action))


def pull(
    action: str = "opened",
    *,
    repository: str = "acme/shop",
    head: str | None = "acme/shop",
    branch: str = "feature",
    target: str = "main",
    head_sha: str = HEAD,
    base_sha: str = BASE,
    number: int = 7,
) -> dict[str, Any]:
    """An event of a pull request. ``head`` None: its fork was deleted."""
    event = example("pull_request", "opened")
    event |= {"action": action, "number": number}
    event["repository"]["full_name"] = repository
    about = event["pull_request"]
    about["number"] = number
    about["head"] = {"ref": branch, "sha": head_sha, "repo": {"full_name": head} if head else None}
    about["base"] = {"ref": target, "sha": base_sha, "repo": {"full_name": repository}}
    return event


def group(head_sha: str = HEAD, base_sha: str = BASE, target: str = "main") -> dict[str, Any]:
    """An event of a merge queue."""
    event = example("merge_group", "checks_requested")
    event["repository"] = {"full_name": "acme/shop", "default_branch": "main"}
    branch = f"refs/heads/gh-readonly-queue/{target}/pr-7-{base_sha}"
    event["merge_group"] = {"head_sha": head_sha, "head_ref": branch}
    event["merge_group"] |= {"base_sha": base_sha, "base_ref": f"refs/heads/{target}"}
    return event


def push(branch: str = "main", after: str = HEAD, before: str = BASE, **more: Any) -> dict[str, Any]:
    """An event of a push to a branch."""
    event = example("push")
    event["repository"]["full_name"] = "acme/shop"
    return event | {"ref": f"refs/heads/{branch}", "before": before, "after": after} | more


def comment(body: str, action: str = "created", *, on_pull: bool = True, **more: Any) -> dict[str, Any]:
    """An event of a comment; ``more`` goes into the comment."""
    event = example("issue_comment", "created")
    event["action"] = action
    event["repository"]["full_name"] = "acme/shop"
    event["issue"]["number"] = 7
    if on_pull:
        event["issue"]["pull_request"] = {"url": "https://api.github.com/repos/acme/shop/pulls/7"}
    event["comment"] |= {"body": body} | more
    return event


def finished(event: str = "pull_request", action: str = "completed", **more: Any) -> dict[str, Any]:
    """An event of a run that ended; ``more`` goes into the run."""
    whole = example("workflow_run", "completed")
    whole["action"] = action
    whole["repository"] = {"full_name": "acme/shop", "default_branch": "main"}
    run = {"id": 99, "run_attempt": 2, "event": event, "conclusion": "success", "head_sha": HEAD}
    run |= {"head_branch": "feature", "pull_requests": []}
    run |= {"head_repository": {"full_name": "me/shop"}, "repository": {"full_name": "acme/shop"}}
    whole["workflow_run"] |= run | more
    return whole


def environ(name: str, **more: str) -> dict[str, str]:
    """What the runner sets beside the event's file."""
    values = {
        "GITHUB_ACTIONS": "true",
        "GITHUB_EVENT_NAME": name,
        "GITHUB_REPOSITORY": "acme/shop",
        "GITHUB_REF": "refs/heads/main",
        "GITHUB_SHA": HEAD,
        "GITHUB_RUN_ID": "99",
        "GITHUB_RUN_ATTEMPT": "2",
    }
    return values | more

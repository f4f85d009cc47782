"""What events carry: the payloads of webhooks, which a workflow reads as its event file.

The shapes are those of GitHub's own examples: https://github.com/octokit/webhooks (``payload-examples``).
"""

from __future__ import annotations

from typing import Any

from gitkitchen.github.forge import render, render_actions, render_pulls
from gitkitchen.github.forge.bare import EMPTY, Changed
from gitkitchen.github.forge.render import Json
from gitkitchen.github.forge.state import Comment, Pull, Repository, Review, Run, State, User

ZERO = "0" * 40


def _about(s: State, repo: Repository, sender: User) -> Json:
    about = {"repository": render.repository(s, repo), "sender": render.user(s, sender)}
    if repo.owner.type == "Organization":
        about["organization"] = {
            "login": repo.owner.login,
            "id": repo.owner.id,
            "node_id": render.node_id("O", repo.owner.id),
            "url": f"{s.api_url}/orgs/{repo.owner.login}",
            "repos_url": f"{s.api_url}/orgs/{repo.owner.login}/repos",
            "events_url": f"{s.api_url}/orgs/{repo.owner.login}/events",
            "hooks_url": f"{s.api_url}/orgs/{repo.owner.login}/hooks",
            "issues_url": f"{s.api_url}/orgs/{repo.owner.login}/issues",
            "members_url": f"{s.api_url}/orgs/{repo.owner.login}/members{{/member}}",
            "public_members_url": f"{s.api_url}/orgs/{repo.owner.login}/public_members{{/member}}",
            "avatar_url": f"{s.server_url}/avatars/u/{repo.owner.id}",
            "description": "",
        }
    return about


def pull_request(s: State, repo: Repository, pull: Pull, action: str, sender: User) -> tuple[str, Json]:
    """``pull_request``; ``action`` is opened, synchronize, reopened, closed, labeled, …"""
    payload = {
        "action": action,
        "number": pull.number,
        "pull_request": render_pulls.pull_full(s, repo, pull),
        **_about(s, repo, sender),
    }
    return "pull_request", payload


def pull_request_review(
    s: State, repo: Repository, pull: Pull, review: Review, sender: User
) -> tuple[str, Json]:
    made = render_pulls.review(s, repo, pull, review)
    payload = {
        "action": "submitted",
        "review": {**made, "state": review.state.lower()},
        "pull_request": render_pulls.pull_simple(s, repo, pull),
        **_about(s, repo, sender),
    }
    return "pull_request_review", payload


def issue_comment(
    s: State, repo: Repository, comment: Comment, action: str, sender: User, before: str | None = None
) -> tuple[str, Json]:
    """``issue_comment``; ``action`` is created, edited (with the text ``before``) or deleted."""
    payload = {
        "action": action,
        "issue": render_pulls.issue(s, repo, repo.pulls[comment.number]),
        "comment": render_pulls.comment(s, repo, comment),
        **_about(s, repo, sender),
    }
    if action == "edited":
        payload["changes"] = {"body": {"from": before or ""}}
    return "issue_comment", payload


def push(s: State, repo: Repository, ref: str, old: str, new: str, sender: User) -> Json:
    page = render.page_url(s, repo)
    bare = repo.bare
    commits = []
    if new != ZERO:
        known = [f"^{old}"] if old != ZERO and bare.kind(old) == "commit" else []
        commits = [_pushed(s, repo, facts.sha) for facts in reversed(bare.log(new, *known, most=20))]
    return {
        "ref": ref,
        "before": old,
        "after": new,
        "created": old == ZERO,
        "deleted": new == ZERO,
        "forced": ZERO not in (old, new) and not bare.is_ancestor(old, new),
        "base_ref": None,
        "compare": f"{page}/compare/{old[:12]}...{new[:12]}",
        "commits": commits,
        "head_commit": commits[-1] if commits else None,
        **_about(s, repo, sender),
        "pusher": {"name": sender.login, "email": f"{sender.login}@users.noreply.example.com"},
    }


def _pushed(s: State, repo: Repository, sha: str) -> Json:
    facts = repo.bare.facts(sha)
    before = facts.parents[0] if facts.parents else EMPTY
    changed: list[Changed] = repo.bare.changed(before, sha)
    return {
        **render.simple_commit(facts),
        "distinct": True,
        "url": f"{render.page_url(s, repo)}/commit/{sha}",
        "added": [one.path for one in changed if one.status in ("added", "copied")],
        "removed": [one.path for one in changed if one.status == "removed"],
        "modified": [one.path for one in changed if one.status not in ("added", "copied", "removed")],
    }


def created(s: State, repo: Repository, ref: str, sender: User) -> Json:
    return {
        **_named(ref),
        "master_branch": repo.default_branch,
        "description": None,
        "pusher_type": "user",
        **_about(s, repo, sender),
    }


def deleted(s: State, repo: Repository, ref: str, sender: User) -> Json:
    return {**_named(ref), "pusher_type": "user", **_about(s, repo, sender)}


def _named(ref: str) -> Json:
    kind = "branch" if ref.startswith("refs/heads/") else "tag"
    return {"ref": ref.split("/", 2)[2], "ref_type": kind}


def merge_group(
    s: State, repo: Repository, head_ref: str, head: str, base_ref: str, base: str, sender: User
) -> Json:
    """``merge_group`` with the action checks_requested. It has no pull request."""
    return {
        "action": "checks_requested",
        "merge_group": {
            "head_sha": head,
            "head_ref": f"refs/heads/{head_ref}",
            "base_sha": base,
            "base_ref": f"refs/heads/{base_ref}",
            "head_commit": render.simple_commit(repo.bare.facts(head)),
        },
        **_about(s, repo, sender),
    }


def workflow_dispatch(
    s: State, repo: Repository, path: str, ref: str, inputs: dict[str, Any], sender: User
) -> Json:
    return {"inputs": inputs or None, "ref": ref, "workflow": path, **_about(s, repo, sender)}


def repository_dispatch(s: State, repo: Repository, kind: str, payload: dict[str, Any], sender: User) -> Json:
    return {
        "action": kind,
        "branch": repo.default_branch,
        "client_payload": payload,
        **_about(s, repo, sender),
        "installation": {"id": 1, "node_id": render.node_id("IN", 1)},
    }


def schedule(s: State, repo: Repository, cron: str, sender: User) -> Json:
    """``schedule`` is no webhook: its event file holds the cron line, and the repository."""
    return {"schedule": cron, **_about(s, repo, sender)}


def workflow_run(s: State, repo: Repository, run: Run, action: str, sender: User) -> Json:
    """``workflow_run``; ``pull_requests`` is empty where the head is a fork's."""
    return {
        "action": action,
        "workflow_run": render_actions.run(s, repo, run),
        "workflow": render_actions.workflow(s, repo, run.workflow),
        **_about(s, repo, sender),
    }

"""What follows from a change: pull requests move with their branches, events are delivered."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from gitkitchen.document import parse
from gitkitchen.errors import Mistake
from gitkitchen.github.forge import payloads
from gitkitchen.github.forge.bare import Person
from gitkitchen.github.forge.state import Delivery, Pull, Repository, Run, State, Token, User, Workflow

ALWAYS_START = ("workflow_dispatch", "repository_dispatch")
"""Events of a job's token that start workflows. Everything else it does starts none.
https://docs.github.com/en/actions/security-for-github-actions/security-guides/automatic-token-authentication"""
WAITING = ("opened", "synchronize", "reopened")
"""What a job's token does with a pull request and would start workflows: they wait until a person with
write access approves them. https://docs.github.com/en/actions/concepts/security/github_token"""
ZERO = "0" * 40


def deliver(s: State, repo: Repository, token: Token | None, name: str, payload: dict[str, Any]) -> None:
    """Keep an event, and whether it may start workflows, or would if a person allowed it."""
    starts = token is None or not token.is_job or name in ALWAYS_START
    waits = not starts and name == "pull_request" and payload.get("action") in WAITING
    s.deliveries.append(Delivery(name, repo.full_name, payload, starts, waits))
    if waits:
        _waiting_runs(s, repo, repo.pulls[payload["number"]], payload["sender"]["login"])


@lru_cache(maxsize=64)
def listens(text: str, event: str) -> bool:
    """Whether the ``on:`` of a workflow names an event: as a word, in a list, or as a key. What is no YAML
    listens to nothing."""
    try:
        value = parse(text, "").value
    except Mistake:
        return False
    on = value.get("on") if isinstance(value, dict) else None
    return event in ([on] if isinstance(on, str) else on if isinstance(on, (list, dict)) else ())


def _waiting_runs(s: State, repo: Repository, pull: Pull, login: str) -> None:
    """A run of each workflow that listens to pull requests, which waits to be approved: ``action_required``,
    as the API tells of it."""
    folder = ".github/workflows/"
    for _mode, kind, sha, _size, path in repo.bare.entries(pull.head_sha, path=folder):
        text = repo.bare.blob(sha).decode("utf-8", "replace") if kind == "blob" else ""
        if not listens(text, "pull_request"):
            continue
        name = path.rpartition("/")[2].partition(".")[0]
        workflow = repo.workflows.setdefault(path, Workflow(s.id(), path, name))
        number = sum(1 for run in repo.runs.values() if run.workflow is workflow) + 1
        made = Run(
            s.id(), number, workflow, "pull_request", pull.head_ref, pull.head_sha, s.user(login),
            pull.head_repository or repo.full_name, s.clock(), s.clock(),
            status="completed", conclusion="action_required", pull=pull.number, title=pull.title,
        )  # fmt: skip
        repo.runs[made.id] = made


def person(user: User) -> Person:
    """Who commits for a user on the server."""
    return Person(user.login, f"{user.id}+{user.login}@users.noreply.example.com")


def moved(s: State, repo: Repository, before: dict[str, str], user: User, token: Token | None) -> None:
    """Refs were pushed or set: deliver what that means, and move the pull requests along."""
    after = repo.bare.refs()
    for ref in sorted({*before, *after}):
        if before.get(ref) == after.get(ref) or not ref.startswith(("refs/heads/", "refs/tags/")):
            continue
        old, new = before.get(ref, ZERO), after.get(ref, ZERO)
        deliver(s, repo, token, "push", payloads.push(s, repo, ref, old, new, user))
        if old == ZERO:
            deliver(s, repo, token, "create", payloads.created(s, repo, ref, user))
        if new == ZERO:
            deliver(s, repo, token, "delete", payloads.deleted(s, repo, ref, user))
    for other in list(s.repositories.values()):
        for pull in list(other.pulls.values()):
            if pull.state == "open" and (pull.head_repository == repo.full_name or other is repo):
                _follow(s, other, pull, user, token)


def _follow(s: State, repo: Repository, pull: Pull, user: User, token: Token | None) -> None:
    head = s.repositories.get(pull.head_repository or "")
    # A pull request whose fork is gone stays as it is; one whose branch is gone is closed.
    at = head.bare.refs().get(f"refs/heads/{pull.head_ref}") if head is not None else pull.head_sha
    if at is None:
        pull.state, pull.closed_at, pull.updated = "closed", s.clock(), s.clock()
        deliver(s, repo, token, *payloads.pull_request(s, repo, pull, "closed", user))
        return
    base = repo.bare.refs().get(f"refs/heads/{pull.base_ref}", pull.base_sha)
    if at == pull.head_sha and base == pull.base_sha:
        return
    before, pull.head_sha = pull.head_sha, at
    pull.updated = s.clock()
    refresh(s, repo, pull)
    # A pull request whose commits are all in its base, by a push, counts as merged.
    if repo.bare.is_ancestor(pull.head_sha, base):
        pull.state, pull.merged_at, pull.closed_at, pull.merged_by = "closed", s.clock(), s.clock(), user
        pull.merge_sha = base
        deliver(s, repo, token, *payloads.pull_request(s, repo, pull, "closed", user))
    elif at != before:
        event = payloads.pull_request(s, repo, pull, "synchronize", user)
        event[1].update(before=before, after=at)
        deliver(s, repo, token, *event)


def refresh(s: State, repo: Repository, pull: Pull) -> None:
    """Set ``refs/pull/N/head`` and ``refs/pull/N/merge`` to what they are now. On a conflict the merge ref
    stays where it was, as on GitHub."""
    head = s.repositories.get(pull.head_repository or "")
    if head is not None and head is not repo:
        repo.bare.take(head.bare, pull.head_sha)
    base = repo.bare.refs().get(f"refs/heads/{pull.base_ref}", pull.base_sha)
    repo.bare.set(f"refs/pull/{pull.number}/head", pull.head_sha)
    # GitHub's base.sha is the base's tip when the head last moved; here it is always the tip.
    pull.base_sha = base
    tree = repo.bare.merged(base, pull.head_sha)
    pull.mergeable = tree is not None
    if tree is not None:
        message = f"Merge {pull.head_sha} into {base}"
        who = person(s.user("github", "Organization"))
        pull.merge_sha = repo.bare.commit_tree(tree, (base, pull.head_sha), message, who, s.clock())
        repo.bare.set(f"refs/pull/{pull.number}/merge", pull.merge_sha)

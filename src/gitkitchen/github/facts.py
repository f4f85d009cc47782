"""What the client reads, as plain values. Everything in them may come from a stranger."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from gitkitchen.frozen import dataclass

ROLES = ("none", "read", "triage", "write", "maintain", "admin")
"""Of a person in a repository, each with the rights of those before it."""
GHOST = "ghost"
"""The author of what somebody wrote whose account is gone."""


@dataclass(frozen=True, slots=True)
class PullRequest:
    """A pull request as it is now. ``head_repository`` is empty when the fork was deleted;
    ``base_sha`` is the base's tip as GitHub saw it when the head last moved."""

    number: int
    title: str
    body: str
    author: str
    state: str
    draft: bool
    merged: bool
    head_sha: str
    head_ref: str
    head_owner: str
    head_repository: str
    base_sha: str
    base_ref: str
    base_repository: str
    labels: tuple[str, ...] = ()
    mergeable: bool | None = None
    """None: GitHub has not worked it out yet, or the question was for a list."""

    @property
    def is_fork(self) -> bool:
        """Whether its head is in another repository (a deleted one too)."""
        return self.head_repository != self.base_repository


@dataclass(frozen=True, slots=True)
class Started:
    """A run of a workflow. ``conclusion``: "" while it has not ended; ``title``: what ``run-name`` says."""

    id: int
    title: str
    status: str
    conclusion: str

    @classmethod
    def of(cls, run: Mapping[str, Any]) -> Started:
        number = run.get("id")
        return cls(
            number if isinstance(number, int) else 0,
            str(run.get("display_title") or "")[:1000],
            str(run.get("status") or ""),
            str(run.get("conclusion") or ""),
        )


@dataclass(frozen=True, slots=True)
class ChangedFile:
    """A file of a pull request. ``patch`` is None where GitHub shows none (binary, or too large)."""

    path: str
    status: str
    previous: str | None
    additions: int
    deletions: int
    patch: str | None


@dataclass(frozen=True, slots=True)
class Reviewed:
    """A review: ``state`` is APPROVED, CHANGES_REQUESTED, COMMENTED, DISMISSED or PENDING, of ``commit``."""

    author: str
    state: str
    commit: str
    submitted: str
    id: int = 0
    bot: bool = False

    @property
    def deleted(self) -> bool:
        """Whether its author's account is gone."""
        return self.author == GHOST


@dataclass(frozen=True, slots=True)
class Authored:
    """A commit with the accounts that GitHub knows for its author and committer ("": it knows none), and the
    names and addresses that Git has."""

    sha: str
    author: str
    committer: str
    author_mail: str
    committer_mail: str
    message: str


@dataclass(frozen=True, slots=True)
class Stored:
    """An artifact of a run; ``digest`` (``sha256:…``) is empty on servers that do not tell it."""

    id: int
    name: str
    size: int
    expired: bool
    digest: str
    run: int
    head_sha: str


def pull_request(answer: Mapping[str, Any]) -> PullRequest:
    """From GitHub's answer. Raises KeyError and TypeError where it is not one."""
    head, base = answer["head"], answer["base"]
    return PullRequest(
        number=int(answer["number"]),
        title=str(answer["title"]),
        body=str(answer.get("body") or ""),
        author=_login(answer.get("user")),
        state=str(answer["state"]),
        draft=bool(answer.get("draft")),
        merged=answer.get("merged_at") is not None,
        head_sha=str(head["sha"]),
        head_ref=str(head["ref"]),
        head_owner=_login(head.get("user")),
        head_repository=str((head.get("repo") or {}).get("full_name", "")),
        base_sha=str(base["sha"]),
        base_ref=str(base["ref"]),
        base_repository=str(base["repo"]["full_name"]),
        labels=tuple(str(label["name"]) for label in answer.get("labels", ())),
        mergeable=answer.get("mergeable"),
    )


def changed_file(answer: Mapping[str, Any]) -> ChangedFile:
    """From GitHub's answer. Raises KeyError where it is not one."""
    return ChangedFile(
        path=str(answer["filename"]),
        status=str(answer["status"]),
        previous=answer.get("previous_filename"),
        additions=int(answer.get("additions", 0)),
        deletions=int(answer.get("deletions", 0)),
        patch=answer.get("patch"),
    )


def reviewed(answer: Mapping[str, Any]) -> Reviewed:
    """From GitHub's answer. Raises KeyError where it is not one."""
    return Reviewed(
        author=_login(answer.get("user")),
        state=str(answer["state"]),
        commit=str(answer.get("commit_id") or ""),
        submitted=str(answer.get("submitted_at") or ""),
        id=int(answer.get("id") or 0),
        bot=(answer.get("user") or {}).get("type") == "Bot",
    )


def authored(answer: Mapping[str, Any]) -> Authored:
    """From GitHub's answer. Raises KeyError where it is not one."""
    commit = answer["commit"]
    author, committer = answer.get("author") or {}, answer.get("committer") or {}
    return Authored(
        sha=str(answer["sha"]),
        author=str(author.get("login") or ""),
        committer=str(committer.get("login") or ""),
        author_mail=str((commit.get("author") or {}).get("email") or ""),
        committer_mail=str((commit.get("committer") or {}).get("email") or ""),
        message=str(commit.get("message") or ""),
    )


def stored(answer: Mapping[str, Any]) -> Stored:
    """From GitHub's answer. Raises KeyError where it is not one."""
    run = answer.get("workflow_run") or {}
    return Stored(
        id=int(answer["id"]),
        name=str(answer["name"]),
        size=int(answer["size_in_bytes"]),
        expired=bool(answer["expired"]),
        digest=str(answer.get("digest") or ""),
        run=int(run.get("id") or 0),
        head_sha=str(run.get("head_sha") or ""),
    )


def started(answer: Mapping[str, Any]) -> datetime:
    """When a run was created, with its zone. Raises KeyError and ValueError where the answer is no run."""
    return datetime.fromisoformat(str(answer["created_at"]).replace("Z", "+00:00"))


def _login(user: Any) -> str:
    """A user's login; ``ghost`` for one who is gone, as GitHub shows it."""
    return str(user["login"]) if isinstance(user, dict) else GHOST

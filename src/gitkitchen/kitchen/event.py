"""What GitHub Actions says about the checkout: whose branch it is, and where it wants to go.

A job of a pull request or of a merge queue has a detached HEAD, or a branch that only looks like one of
ours (``main`` of a fork). The event says which it is. It is read as hostile input: names come from strangers.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gitkitchen.files import read_bounded

MAX_EVENT = 32 * 1024 * 1024
"""GitHub sends events of at most 25 MB."""

OWN_EVENTS = ("push", "schedule", "workflow_dispatch")
"""Events whose GITHUB_REF is the branch of what is run. Of others (workflow_run) it is the default branch,
whatever the job checks out."""

QUEUE = "gh-readonly-queue"
"""Branches below it are a merge queue's: made and removed by GitHub, never worked on."""


@dataclass(frozen=True, slots=True)
class Head:
    """``branch`` of ``repository`` (a URL) asks to get into ``target`` of ``home``. ``proposed``: it is a
    pull request's or a queue's, so that its code may not publish to an environment. ``commit``: the event
    says nothing of any other commit that may be checked out."""

    repository: str
    branch: str
    home: str
    target: str | None = None
    proposed: bool = False
    commit: str | None = None


def head_of(environ: Mapping[str, str], root: Path) -> Head | None:
    """The head that the event of this job is about; None outside of GitHub Actions, for a checkout that is
    not this job's own, and for events that are about no branch."""
    workspace, path = environ.get("GITHUB_WORKSPACE"), environ.get("GITHUB_EVENT_PATH")
    if environ.get("GITHUB_ACTIONS") != "true" or not workspace or not path:
        return None
    if not root.is_relative_to(Path(workspace).resolve()):
        return None
    event = _read(Path(path))
    server = environ.get("GITHUB_SERVER_URL") or "https://github.com"
    home = f"{server}/{environ.get('GITHUB_REPOSITORY', '')}"
    if isinstance(event.get("pull_request"), dict):
        return _pull_request(event["pull_request"], server, home)
    if isinstance(event.get("merge_group"), dict):
        return _merge_group(event["merge_group"], home)
    reference, commit = environ.get("GITHUB_REF", ""), environ.get("GITHUB_SHA")
    if environ.get("GITHUB_EVENT_NAME") in OWN_EVENTS and reference.startswith("refs/heads/") and commit:
        return Head(home, reference.removeprefix("refs/heads/"), home, commit=commit)
    return None


def _pull_request(pull: Mapping[str, Any], server: str, home: str) -> Head | None:
    head, base = _mapping(pull.get("head")), _mapping(pull.get("base"))
    repository = _text(_mapping(head.get("repo")).get("full_name"))
    branch, target = _text(head.get("ref")), _text(base.get("ref"))
    if not branch:
        return None
    # A fork that was deleted has no name: it is nobody's, and surely not ours.
    return Head(f"{server}/{repository or 'deleted/fork'}", branch, home, target, proposed=True)


def _merge_group(group: Mapping[str, Any], home: str) -> Head | None:
    branch = (_text(group.get("head_ref")) or "").removeprefix("refs/heads/")
    target = (_text(group.get("base_ref")) or "").removeprefix("refs/heads/") or None
    return Head(home, branch, home, target, proposed=True) if branch else None


def _read(path: Path) -> dict[str, Any]:
    try:
        return _mapping(json.loads(read_bounded(path, MAX_EVENT)))
    except (OSError, ValueError, RecursionError):
        return {}


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None

"""What GitHub Actions says about the checkout: whose branch it is, and where it wants to go.

A job of a pull request or of a merge queue has a detached HEAD, or a branch that only looks like one of
ours (``main`` of a fork). The event says which it is. It is read as hostile input: names come from strangers.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from gitkitchen.errors import GitKitchenError
from gitkitchen.frozen import dataclass

if TYPE_CHECKING:
    from gitkitchen.github.events import Event

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
    from gitkitchen.github.events import read_event

    try:
        return head_of_event(read_event(environ))
    except GitKitchenError:  # a damaged event says nothing
        return None


def head_of_event(event: Event) -> Head | None:
    """The head that an event is about; None for events that are about no branch. Mistake for a dispatch that
    names half a pull request."""
    from gitkitchen.github.events import Group, Pull, dispatched_pull

    about = dispatched_pull(event) or event.about
    if isinstance(about, Pull | Group):
        # A fork that was deleted has no name: it is nobody's, and surely not ours.
        origin = f"{event.server}/{about.head.repository or 'deleted/fork'}"
        return Head(origin, about.head.branch, event.home, about.base.branch, proposed=True)
    if event.name in OWN_EVENTS and event.ref.startswith("refs/heads/") and event.sha:
        branch = event.ref.removeprefix("refs/heads/")
        return Head(event.home, branch, event.home, commit=event.sha)
    return None


def run_url(environ: Mapping[str, str]) -> str:
    """The page of the job's own run; "" where it is not known."""
    names = ("GITHUB_SERVER_URL", "GITHUB_REPOSITORY", "GITHUB_RUN_ID", "GITHUB_RUN_ATTEMPT")
    server, repository, run, attempt = (environ.get(name, "") for name in names)
    whole = server and repository and run and attempt
    return f"{server}/{repository}/actions/runs/{run}/attempts/{attempt}" if whole else ""

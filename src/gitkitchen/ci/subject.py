"""What a job tests: the subject of a change, computed and checked out."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from gitkitchen import merging
from gitkitchen.errors import Mistake, Problem
from gitkitchen.git import Repository
from gitkitchen.github.events import Event, Group, Pull
from gitkitchen.merging import Merged
from gitkitchen.model import Project
from gitkitchen.road.worktree import laid_out


def subject_of(event: Event, change: Pull | Group, folder: Path) -> Merged:
    """What is tested of a change: the queue's own commit, or the head merged with the base as it is now.

    Mistake for a conflict, and for a command whose pull request has moved on; Infrastructure where commits
    cannot be had.
    """
    head, base = change.head, change.base
    if isinstance(change, Group):
        return merging.taken(folder, head.sha, base.sha, branch=head.branch)
    reference = f"refs/pull/{change.number}/head"
    if event.name != "pull_request":
        now = merging.reference_of(folder, reference)
        if now is not None and now != head.sha:
            raise Mistake(
                Problem(
                    f"the head of pull request #{change.number} is {now[:12]} now, and the command was for "
                    f"{head.sha[:12]}: nothing was tested",
                    hint="look at the new head and give the command again",
                    code="head-moved",
                )
            )
    tip = merging.tip_of(folder, base.branch) or base.sha
    return merging.merge(folder, head.sha, tip, target=base.branch, references=[reference])


@contextlib.contextmanager
def on_disk(project: Project, repository: Repository, subject: Merged) -> Iterator[Path]:
    """The project's folder with exactly the subject in it.

    That is the checkout, where it is clean, holds the same tree, and bears no branch that would say whose
    kitchen this is; otherwise a linked work tree, removed behind the block or, after a kill, by the next job.
    """
    here = repository.subject()
    if not here.dirty and here.tree == subject.tree and repository.branch() is None:
        yield project.root
        return
    with laid_out(project, repository.root, subject) as root:
        yield root

"""Everything that is wrong with a ledger: each altered, removed or misplaced record by its name."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from gitkitchen.errors import Infrastructure, Problem
from gitkitchen.ledger.folder import FolderLedger
from gitkitchen.ledger.following import objections
from gitkitchen.ledger.gaps import Compaction
from gitkitchen.ledger.layout import LEASES, Absent, View
from gitkitchen.ledger.protocol import Ledger
from gitkitchen.ledger.viewing import HINT, compactions, faults
from gitkitchen.plumbing import Plumbing

if TYPE_CHECKING:
    from gitkitchen.ledger.branch import BranchLedger


def check(ledger: Ledger, folder: Path, *, every: bool = False) -> tuple[list[Problem], int]:
    """All problems of all streams, and how many streams were looked at. ``folder``: the repository's.

    On a branch, its chain of commits is looked at too: one line from one root, and no commit that changes
    or removes a record; and the newest compaction (``every``: all), where what it was made from is here.
    Unreachable where the remote does not answer.
    """
    if isinstance(ledger, FolderLedger):
        streams = _streams(ledger)
        return [problem for stream in streams for problem in ledger.verify(stream)], len(streams)
    from gitkitchen.ledger.branch import BranchLedger

    assert isinstance(ledger, BranchLedger)
    return _on_branch(ledger, Plumbing(folder), every=every)


def _streams(ledger: FolderLedger) -> list[str]:
    """Also those that have lost all their records, and only remember how far they had been."""
    left = [
        Path(top).relative_to(ledger.root).as_posix()
        for top, _, files in os.walk(ledger.root)
        if "@head" in files
    ]
    return sorted({*ledger.streams(), *left})


def _on_branch(ledger: BranchLedger, git: Plumbing, *, every: bool) -> tuple[list[Problem], int]:
    ledger.refresh()
    view = ledger.view()
    streams = sorted(view.streams())
    problems = [problem for stream in streams for problem in faults(view, stream)]
    if view.tip is None:
        return problems, 0
    for commit, path in git.changed_files(view.tip, ""):
        if not path.startswith(f"{LEASES}/"):
            text = f"{path} of the ledger was changed or removed by commit {commit[:12]}"
            problems.append(Problem(text, hint=HINT, code="ledger-changed"))
    if not git.is_shallow():
        problems += _of_chain(git, view.tip)
    with suppress(Infrastructure):  # a compaction that cannot be read is among the problems already
        for one in compactions(view)[0 if every else -1 :]:
            problems += _of_compaction(git, view, one)
    return list(dict.fromkeys(problems)), len(streams)


def is_here(view: View, one: Compaction) -> bool:
    """Whether what a compaction was made from is in this clone, so that all it says can be checked."""
    try:
        View(view.objects, one.source)
    except Absent:
        return False
    return True


def _of_compaction(git: Plumbing, view: View, one: Compaction) -> Iterator[Problem]:
    """What is wrong with a compaction, where what it was made from is here."""
    if not is_here(view, one):
        return
    hint = f"find out who made it; `git show {one.source[:12]}` has what was there"
    try:
        for said in objections(View(view.objects, one.source), view):
            text = f"the compaction of {one.source[:12]} is not sound: {said}"
            yield Problem(text, hint=hint, code="ledger-compaction")
    except Absent:  # a partial clone's
        return
    except ValueError as error:
        text = f"the compaction of {one.source[:12]} is not sound: what it removed was damaged: {error}"
        yield Problem(text, hint=hint, code="ledger-compaction")
    if git.is_shallow():
        return
    history = set(git.commits(one.source))
    history |= {oid[:12] for oid in history}
    for oid in (*one.vouched, *one.recent):
        if oid not in history:
            text = f"the compaction of {one.source[:12]} vouches for {oid[:12]}, which was no part of it"
            yield Problem(text, hint=hint, code="ledger-compaction")


def _of_chain(git: Plumbing, tip: str) -> list[Problem]:
    problems = []
    roots, merges = git.odd_commits(tip)
    for commit in merges:
        text = f"commit {commit[:12]} of branch gitkitchen-ledger joins two lines: it has one parent only"
        problems.append(Problem(text, hint="find out who pushed it", code="ledger-chain"))
    for commit in roots[:-1]:
        text = f"branch gitkitchen-ledger begins anew at commit {commit[:12]}"
        problems.append(Problem(text, hint="find out who pushed it", code="ledger-chain"))
    return problems

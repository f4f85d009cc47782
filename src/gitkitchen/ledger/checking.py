"""Everything that is wrong with a ledger: each altered, removed or misplaced record by its name."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from gitkitchen.errors import Problem
from gitkitchen.ledger.folder import FolderLedger
from gitkitchen.ledger.layout import LEASES
from gitkitchen.ledger.protocol import Ledger
from gitkitchen.ledger.viewing import HINT, faults
from gitkitchen.plumbing import Plumbing

if TYPE_CHECKING:
    from gitkitchen.ledger.branch import BranchLedger


def check(ledger: Ledger, folder: Path) -> tuple[list[Problem], int]:
    """All problems of all streams, and how many streams were looked at. ``folder``: the repository's.

    On a branch, its chain of commits is looked at too: one line from one root, and no commit that changes
    or removes a record. Unreachable where the remote does not answer.
    """
    if isinstance(ledger, FolderLedger):
        streams = _streams(ledger)
        return [problem for stream in streams for problem in ledger.verify(stream)], len(streams)
    from gitkitchen.ledger.branch import BranchLedger

    assert isinstance(ledger, BranchLedger)
    return _on_branch(ledger, Plumbing(folder))


def _streams(ledger: FolderLedger) -> list[str]:
    """Also those that have lost all their records, and only remember how far they had been."""
    left = [
        Path(top).relative_to(ledger.root).as_posix()
        for top, _, files in os.walk(ledger.root)
        if "@head" in files
    ]
    return sorted({*ledger.streams(), *left})


def _on_branch(ledger: BranchLedger, git: Plumbing) -> tuple[list[Problem], int]:
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
    return list(dict.fromkeys(problems)), len(streams)


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

"""The ledger that ``ledger:`` in kitchen.yml names. A new kind is a module and a line here."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from gitkitchen.errors import Problem
from gitkitchen.ledger.folder import FolderLedger
from gitkitchen.ledger.protocol import Ledger
from gitkitchen.model import Project

if TYPE_CHECKING:
    from gitkitchen.ledger.apart import Apart


def open_ledger(project: Project, *, say: Callable[[Problem], None], apart: Apart | None = None) -> Ledger:
    """The project's ledger. ``say`` is told what a person should know: an old state, a record that waits.
    ``apart``: for a job that keeps for itself what it may not write; a folder is one machine's anyway."""
    if project.ledger == "branch":
        from gitkitchen.ledger.branch import BranchLedger

        return BranchLedger(project.root, project.state, say=say, beside=apart)
    return FolderLedger(project.state / "ledger")

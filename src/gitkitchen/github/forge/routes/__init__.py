"""What answers each operation: importing these modules fills the table of ``routing``."""

from __future__ import annotations

from gitkitchen.github.forge.routes import (
    actions,
    checks,
    comments,
    deployments,
    gitdata,
    issues,
    pulls,
    repositories,
    rules,
)

__all__ = [
    "actions",
    "checks",
    "comments",
    "deployments",
    "gitdata",
    "issues",
    "pulls",
    "repositories",
    "rules",
]

"""The kinds of nodes: one module each, one line in this table each."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib import import_module

from gitkitchen.run.context import Built, Task

KINDS = {
    "source": "gitkitchen.run.nodes.source",
    "sql": "gitkitchen.run.nodes.sql",
    "python": "gitkitchen.run.nodes.python",
    "run": "gitkitchen.run.nodes.run",
    "pytest": "gitkitchen.run.nodes.pytest",
    "results": "gitkitchen.run.nodes.results",
    "dbt": "gitkitchen.run.nodes.dbt",
}
"""Kind -> module with ``execute(task) -> Built``. It raises NodeFailed for what the user can mend,
Infrastructure for what they cannot."""
PROCESSES = frozenset({"python", "run", "pytest", "dbt"})
"""Kinds whose nodes are processes."""


def execute(task: Task) -> Built:
    """Execute a task by its node's kind; the kind's module is imported when it is first used."""
    return _function(task.node.kind)(task)


@cache
def _function(kind: str) -> Callable[[Task], Built]:
    function: Callable[[Task], Built] = import_module(KINDS[kind]).execute
    return function

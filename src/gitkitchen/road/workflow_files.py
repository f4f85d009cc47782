"""The workflows of a checkout beside those that ``init`` would write now."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from gitkitchen import automation
from gitkitchen.document import parse
from gitkitchen.errors import Mistake
from gitkitchen.files import read_bounded
from gitkitchen.model import Project
from gitkitchen.offering import MOST, read_record
from gitkitchen.promote.health import WorkflowFile

_MARKS = re.compile(r"^(<{7}|>{7}) ", re.M)
_RANK = {"none": 0, "read": 1, "write": 2}


def workflow_files(top: Path, project: Project, action: str, below: str) -> tuple[WorkflowFile, ...]:
    """Each workflow of a project, by what became of it. ``top``: of the repository; ``below``: the project's
    folder in it. Mistake for a damaged record of ``init``."""
    before = read_record(top).files
    wanted = automation.workflows(project, action, below)
    return tuple(_one(top, path, new, before.get(path)) for path, new in sorted(wanted.items()))


def _one(top: Path, path: str, new: str, before: str | None) -> WorkflowFile:
    try:
        text = read_bounded(top / path, MOST).decode()
    except FileNotFoundError:
        return WorkflowFile(path, "missing" if before is None else "removed")
    except (OSError, ValueError):
        return WorkflowFile(path, "foreign")
    if text == new:
        return WorkflowFile(path, "same")
    if _MARKS.search(text):
        return WorkflowFile(path, "conflict")
    lacks = tuple(_lacking(text, new))
    if before is None:
        return WorkflowFile(path, "foreign", lacks)
    return WorkflowFile(path, "edited" if before == new else "outdated", lacks)


def _lacking(text: str, new: str) -> Iterator[str]:
    """Rights that a job had as ``init`` wrote it, and has no more. A job that is gone needs none."""
    try:
        ours, theirs = parse(new, "").value, parse(text, "").value
    except Mistake:
        yield "(any): the file is no YAML, and every right"
        return
    jobs = theirs.get("jobs") if isinstance(theirs, Mapping) else None
    for name, job in ours["jobs"].items():
        kept = jobs.get(name) if isinstance(jobs, Mapping) else None
        if not isinstance(kept, Mapping):
            continue
        given = kept.get("permissions", theirs.get("permissions"))
        for right, level in (job.get("permissions") or {}).items():
            if _RANK[level] > _level(given, right):
                yield f"{name}: {right}: {level}"


def _level(given: Any, right: str) -> int:
    """What ``permissions:`` gives. Without any, the default of the repository, of which nothing is known."""
    if isinstance(given, str):
        return {"read-all": 1, "write-all": 2}.get(given, 0)
    return _RANK.get(str(given.get(right, "none")), 0) if isinstance(given, Mapping) else 0

"""Mistakes in files and arguments as text, as a document and as annotations."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from gitkitchen.errors import Problem, in_order
from gitkitchen.report.annotations import Annotation, lines
from gitkitchen.report.text import count, safe


def as_text(problems: Iterable[Problem], *, total: bool = False) -> str:
    """One line a problem, sorted by place, safe for a terminal; ``total`` adds a line of the count."""
    ordered = in_order(problems)
    told = [safe(str(p)) for p in ordered]
    if total and ordered:
        told.append(f"{count(len(ordered), 'mistake')}{_where(ordered)}")
    return "\n".join(told)


def _where(problems: tuple[Problem, ...]) -> str:
    files = {p.place.file for p in problems if p.place}
    return f" in {count(len(files), 'file')}" if files else ""


def as_document(problems: Iterable[Problem]) -> dict[str, Any]:
    """``{"version": 1, "problems": [{message, file, line, column, hint, code}]}``; null is unknown."""
    return {"version": 1, "problems": [_one(p) for p in in_order(problems)]}


def as_json(problems: Iterable[Problem]) -> str:
    """The document as text that any encoding can hold."""
    return json.dumps(as_document(problems), indent=2)


def _one(problem: Problem) -> dict[str, Any]:
    place = problem.place
    return {
        "message": problem.message,
        "file": place.file if place else None,
        "line": (place.line or None) if place else None,
        "column": (place.column or None) if place else None,
        "hint": problem.hint,
        "code": problem.code,
    }


def as_github(problems: Iterable[Problem]) -> str:
    """The problems as a GitHub runner's commands, one a line; "" where there are none."""
    remarks = []
    for problem in in_order(problems):
        said = f"{problem.message}\n{problem.hint}" if problem.hint else problem.message
        remarks.append(Annotation("error", said, problem.place, problem.code))
    return "\n".join(lines(remarks))

"""``effects/<name>.yml``: what a branch means to change; in a sandbox everything else must stay."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import field
from pathlib import Path
from typing import Any

from gitkitchen.document import Document, read, sound
from gitkitchen.document.words import near
from gitkitchen.errors import Mistake, Place, Problem, in_order
from gitkitchen.frozen import dataclass
from gitkitchen.model import Kitchen, Project
from gitkitchen.recipe.desk import Desk
from gitkitchen.recipe.expect import columns, rows, value_limit
from gitkitchen.recipe.limits import Limit

FOLDER = "effects"


@dataclass(frozen=True, slots=True)
class Intended:
    """What may change of one dataset. ``word``: ``added``, ``removed``, ``any``, or "" for what follows."""

    place: Place
    word: str = ""
    rows: Mapping[str, Limit] = field(default_factory=dict)
    columns: Mapping[str, str | Limit] = field(default_factory=dict)
    values: Mapping[str, Limit] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Effects:
    """One file: the branch that it is about and what that may change."""

    file: str
    branch: str
    datasets: Mapping[str, Intended]
    why: str = ""
    place: Place | None = None


def load_effects(project: Project, kitchen: Kitchen) -> Effects | None:
    """What this kitchen's branch declares, or None where no file is about it. Raises Mistake.

    An environment has none: its data moves with time, and ``expect:`` says how far.
    """
    if not kitchen.is_sandbox:
        return None
    found, problems = read_effects(project, None)
    own = [e for e in found if e.branch == kitchen.branch]
    files = {e.file for e in own}
    problems = [p for p in problems if p.place is None or p.place.file in files or p.code in _BLIND]
    if problems:
        raise Mistake(*problems)
    return own[0] if own else None


_BLIND = frozenset({"syntax", "missing-key", "duplicate-branch", "unreadable"})
"""Problems after which it is not known which branch a file is about."""


def read_effects(project: Project, known: Collection[str] | None) -> tuple[list[Effects], list[Problem]]:
    """All files and every mistake in them. ``known``: the datasets that exist; None asks nothing of names."""
    found: list[Effects] = []
    problems: list[Problem] = []
    branches: dict[str, str] = {}
    for path in _files(project.root):
        label = f"{FOLDER}/{path.name}"
        if path.suffix != ".yml":
            message = "a file of effects ends in .yml"
            problems.append(Problem(message, Place(label), f"rename it to {path.stem}.yml", "bad-name"))
            continue
        document, wrong = read(path, label, "effects", cache=project.state)
        problems += wrong
        if document is None or not isinstance(document.value, dict):
            continue
        effects, more = _effects(project, document, label)
        problems += more
        if effects is None:
            continue
        if effects.branch in branches:
            message = f"branch '{effects.branch[:80]}' declares its effects in {branches[effects.branch]} too"
            hint = "write them into one file"
            problems.append(Problem(message, document.place("branch"), hint, "duplicate-branch"))
        branches.setdefault(effects.branch, label)
        problems += _unknown(effects, known) if known is not None else ()
        found.append(effects)
    return found, list(in_order(problems))


def _files(root: Path) -> Iterator[Path]:
    folder = root / FOLDER
    if folder.is_dir():
        yield from sorted(p for p in folder.iterdir() if p.suffix in (".yml", ".yaml"))


def _effects(project: Project, document: Document, label: str) -> tuple[Effects | None, list[Problem]]:
    value = sound(document, lambda path: path[:2])
    if not isinstance(value.get("branch"), str):
        return None, []  # its schema has said so
    desk = Desk(project, document, FOLDER, {"vars": {}, "kitchen": {}}, frozenset())
    datasets = {name: _intended(desk, name, each) for name, each in (value.get("datasets") or {}).items()}
    why = value.get("why")
    effects = Effects(label, value["branch"], datasets, str(why or ""), document.place("datasets"))
    return effects, desk.problems


def _intended(desk: Desk, name: str, value: Any) -> Intended:
    path = ("datasets", name)
    place = desk.place(*path)
    if isinstance(value, str):
        return Intended(place, value)
    limits = {
        sql: value_limit(desk, sql, written, (*path, "values", sql))
        for sql, written in (value.get("values") or {}).items()
    }
    return Intended(
        place,
        rows=rows(desk, value.get("rows"), (*path, "rows")),
        columns=columns(desk, value.get("columns") or {}, (*path, "columns")),
        values={sql: found for sql, found in limits.items() if found is not None},
    )


def _unknown(effects: Effects, known: Collection[str]) -> Iterator[Problem]:
    for name, intended in effects.datasets.items():
        if name not in known and intended.word != "removed":
            message = f"'{name}' is no dataset of any recipe"
            hint = near(name, known) or "a dataset that goes away is declared as `removed`"
            yield Problem(message, intended.place, hint, "unknown-name")

"""What the job of a change found out, brought together as one pull-request document.

The document is a claim: what counts is said again by whoever reads it (``ci.judging``). What it shows
beside the outcomes is a view, so that what cannot be worked out is named and changes no verdict.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from gitkitchen.errors import GitKitchenError, Problem
from gitkitchen.git import Repository
from gitkitchen.github.events import Event, Pull, dispatched_pull
from gitkitchen.merging import Merged
from gitkitchen.model import Outcome, Project
from gitkitchen.past import history
from gitkitchen.plumbing import Plumbing
from gitkitchen.recipe.load import FOLDER
from gitkitchen.report import facts
from gitkitchen.report.comparison import Comparison
from gitkitchen.report.surfaces import pull as surface
from gitkitchen.report.surfaces.assemble import assemble
from gitkitchen.report.surfaces.changes import PROJECT_FILE, Files, changes, touched_lines
from gitkitchen.report.surfaces.pull import Graph, NotTested, Run, Timing
from gitkitchen.workplace import Request, enter

LOOKED_BACK = 200
"""Runs of the base among which the last one of each recipe is looked for."""
MOST_TOUCHED = 3_000
"""Files whose changed lines are kept: GitHub shows no more of a pull request either."""


def about(event: Event, subject: Merged, project: Project) -> surface.Pull:
    """Which change and which run a document is about, with nothing else in it yet."""
    change = dispatched_pull(event) or event.about
    return surface.Pull(
        project=project.name,
        project_id=project.id,
        event=event.name,
        number=change.number if isinstance(change, Pull) else None,
        head=subject.head,
        base=subject.base,
        tree=subject.tree,
        run=Run(event.run, event.attempt),
    )


def gather(
    begun: surface.Pull,
    request: Request,
    outcomes: Sequence[Outcome],
    graphs: Sequence[Graph],
    without: Sequence[tuple[str, Problem]],
    seconds: float,
    *,
    compared: bool = True,
) -> surface.Pull:
    """The whole document of a change that was tested in ``request.start``.

    ``without``: recipes ("" for all) of which there is no outcome, each with why. ``compared``: whether
    there is time to compare the data; of a job that is being ended there is none.
    """
    root = request.start
    was, now = (_files(root, tree) for tree in (begun.base, begun.tree))
    lost = [NotTested(recipe, recipe or "the recipes", str(problem), True) for recipe, problem in without]
    differences = []
    for outcome in outcomes if compared else ():
        try:
            differences += list(_differences(request, outcome))
        except GitKitchenError as error:
            why = "; ".join(p.message for p in error.problems)[:300]
            lost.append(NotTested(outcome.recipe, "how the data changes", why))
    return replace(
        assemble(
            begun,
            outcomes,
            differences=_told_once(differences),
            changes=changes(was, now),
            touched=_touched(was, now),
            could_not_run=lost,
            timing=Timing(round(seconds, 3), _base_times(request, outcomes)),
        ),
        graphs=tuple(graphs),
    )


def _files(root: Path, rev: str) -> Files:
    """The files of a tree that say what the project is, by their paths below the project."""
    repository = Repository.find(root)
    folder = root.relative_to(repository.root).as_posix().removeprefix(".")
    tree = Plumbing(repository.root).ref(f"{rev}:{folder}" if folder else f"{rev}^{{tree}}")
    if tree is None:
        return {}
    found: dict[str, bytes] = {}
    for name in (FOLDER, PROJECT_FILE):
        found |= repository.blobs(tree, name) or {}
    return found


def _touched(was: Files, now: Files) -> dict[str, tuple[tuple[int, int], ...]]:
    changed = [path for path in now if was.get(path) != now[path]][:MOST_TOUCHED]
    return {path: touched_lines(was.get(path, b""), now[path]) for path in changed}


def _differences(request: Request, outcome: Outcome) -> Iterator[Comparison]:
    """What a run built beside what the target's environment shows, rows and columns."""
    from gitkitchen.difference import compare, sides

    a, b = sides(request, outcome.run, None)
    made = {d for node in outcome.nodes if node.build is not None for d in node.build.versions}
    if only := sorted(made & (a.datasets | b.datasets)):
        yield compare(a, b, data=True, only=only)


def _told_once(differences: Sequence[Comparison]) -> list[Comparison]:
    """What concerns the whole project stands in each comparison, and is kept in the first."""
    return [replace(one, controls=()) if index else one for index, one in enumerate(differences)]


def _base_times(request: Request, outcomes: Sequence[Outcome]) -> Mapping[str, float]:
    """Seconds of the last run of each recipe in the kitchens that the outcomes are compared with."""
    bases = {o.kitchen.base for o in outcomes if o.kitchen.base}
    found: dict[str, float] = {}
    for base in sorted(bases):
        try:
            rows = history(enter(replace(request, kitchen=base), looks=True), limit=LOOKED_BACK)
        except GitKitchenError:  # a view: without it the time stands alone
            continue
        for row in rows:
            taken = _seconds(row)
            if taken is not None:
                found.setdefault(str(row.get("recipe")), taken)
    names = {facts.recipe(o): o.recipe for o in outcomes}
    return {recipe: found[recipe] for recipe in names.values() if recipe in found}


def _seconds(row: Mapping[str, object]) -> float | None:
    try:
        begun, ended = (datetime.fromisoformat(str(row[key])) for key in ("started", "finished"))
        return max(0.0, (ended - begun).total_seconds())
    except (KeyError, ValueError, TypeError):
        return None

"""A run begins: its name, the mark that it leaves, what it is given, and how a killed one goes on."""

from __future__ import annotations

import json
import secrets as randomness
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from gitkitchen.errors import Infrastructure, Mistake, Problem
from gitkitchen.files import write_atomic
from gitkitchen.holdings import base_finder, version_finder
from gitkitchen.model import Catalog, Plan, Recipe, Version
from gitkitchen.past import mark_of, was_interrupted
from gitkitchen.run.sealing import Claims
from gitkitchen.workplace import Request, Workplace

if TYPE_CHECKING:
    from gitkitchen.run.engine import RunContext
    from gitkitchen.run.journal import Journal
    from gitkitchen.supervision import Supervisors


def new_run_id(now: datetime) -> str:
    """Names sort by time, to the millisecond; the rest keeps runs of one moment apart."""
    return f"{now:%Y%m%dT%H%M%S}{now.microsecond // 1000:03}Z-{randomness.token_hex(3)}"


def begin(place: Workplace, recipe: Recipe, request: Request, run_id: str, now: datetime) -> None:
    """Leave a mark of the run before its first node: a killed run is seen in the log and can be resumed."""
    begun: dict[str, Any] = {"run": run_id, "recipe": recipe.name, "variation": recipe.variation}
    begun |= {"sets": list(request.sets), "select": list(request.select), "tree": place.subject.tree}
    begun |= {"namespace": place.kitchen.namespace, "started": now.isoformat()}
    if request.interval is not None:
        begun["interval"] = [moment.isoformat() for moment in request.interval]
    (place.run_folder(run_id) / "outcome.json").unlink(missing_ok=True)
    write_atomic(place.run_folder(run_id) / "run.json", json.dumps(begun) + "\n")


def as_begun(place: Workplace, request: Request) -> Request:
    """The request of an interrupted run again: same recipe, variation, variables and selection.

    Mistake where the run is another kitchen's, or where the command asks for something else.
    """
    run_id = str(request.resume)
    begun = mark_of(place.run_folder(run_id))
    if not begun:
        raise Mistake(
            Problem(f"run '{run_id}' left no mark to resume from", hint="`gitkitchen run` begins a new one")
        )
    if not was_interrupted(place, run_id):
        raise Mistake(
            Problem(
                f"run '{run_id}' was not interrupted: it has ended",
                hint="`gitkitchen run` begins a new one and reuses what is built",
            )
        )
    if begun["namespace"] != place.kitchen.namespace:
        raise Mistake(
            Problem(
                f"run '{run_id}' belongs to another kitchen than '{place.kitchen.label}'",
                hint="switch to its branch first",
            )
        )
    if begun["tree"] != place.subject.tree:
        raise Mistake(
            Problem(
                f"the files changed since run '{run_id}' was begun",
                hint="`gitkitchen run` begins a new one and reuses what is built",
            )
        )
    asked = (request.recipe, request.variation, request.sets, request.select)
    given = (begun["recipe"], begun["variation"], tuple(begun["sets"]), tuple(begun["select"]))
    for wanted, had in zip(asked, given, strict=True):
        if wanted and wanted != had:
            raise Mistake(
                Problem(
                    f"run '{run_id}' was begun with other arguments",
                    hint="`--resume` alone repeats them; without it a new run begins",
                )
            )
    recipe, variation, sets, select = given
    return replace(request, recipe=recipe, variation=variation, sets=sets, select=select)


def _secret_values(plan: Plan, request: Request) -> tuple[str, ...]:
    """The values of all secrets that the plan's nodes name: none of them may be shown anywhere."""
    names = {name for step in plan.steps for name in step.node.secrets}
    return tuple(sorted(filter(None, (request.environ.get(name, "") for name in names))))


def context_of(
    place: Workplace,
    plan: Plan,
    request: Request,
    run_id: str,
    catalog: Catalog,
    supervisors: Supervisors,
) -> tuple[RunContext, Journal]:
    """All that a run's nodes are given, and the journal in which each of them is recorded as it ends."""
    from gitkitchen.run.engine import RunContext
    from gitkitchen.run.journal import Journal
    from gitkitchen.run.journal import read as read_journal

    folder = place.run_folder(run_id)
    path = folder / "journal.jsonl"
    previous = read_journal(path) if request.resume else ()
    journal = Journal(path)
    find = version_finder(place.store, catalog)

    def version_of(dataset: str) -> Version:
        version = find(dataset)
        if version is None:
            raise Infrastructure(
                Problem(
                    f"the published version of '{dataset}' is not in the store",
                    hint="run the recipe that makes it again",
                )
            )
        return version

    context = RunContext(
        project=place.project,
        kitchen=place.kitchen,
        store=place.store,
        engine_factory=place.engine,
        prepare=place.prepare,
        elsewhere=place.relations is not None,
        run_id=run_id,
        folder=folder,
        supervisors=supervisors,
        journal=journal,
        version_of=version_of,
        clock=lambda: datetime.now(UTC),
        secrets=request.environ,
        masks=(*_secret_values(plan, request), *(place.warehouse.masks if place.warehouse else ())),
        interval=request.interval,
        period=request.period,
        published=find,
        previous=previous,
        base_of=base_finder(place.store, place.kitchen, catalog),
        subject=plan.subject,
    )
    environment = place.project.environment(place.kitchen.environment or "")
    if environment is not None and environment.adopt == "retest" and not request.rebuild:
        recipe = plan.recipe.name
        context.claims = Claims(place.ledger, place.project, recipe)
    return context, journal

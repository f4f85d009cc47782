"""The stages of GitKitchen, one after the other.

    branch -> kitchen -> recipe -> plan -> run -> judge -> publish -> record -> report

Each stage takes frozen values and returns the next. Input and output stand at the edges: this module
reads files and the ledger through the rooms below it; only ``gitkitchen.cli`` talks to people.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from gitkitchen.flow.beginning import as_begun, begin, context_of, new_run_id
from gitkitchen.flow.ending import End, occasion
from gitkitchen.flow.publishing import finish, publish_run
from gitkitchen.frozen import dataclass
from gitkitchen.holdings import version_finder
from gitkitchen.kitchen.authority import refusal
from gitkitchen.kitchen.event import run_url
from gitkitchen.model import (
    Catalog,
    Event,
    NodeResult,
    NodeSpec,
    Outcome,
    Plan,
    Project,
    Published,
    Recipe,
    Verdict,
)
from gitkitchen.plan.build import build_plan
from gitkitchen.plan.decide import probe_source
from gitkitchen.plan.sql_readers import SqlReaders
from gitkitchen.reading import counting_waivers, declared_effects, read
from gitkitchen.recipe.waivers import waive
from gitkitchen.run.publication import patch
from gitkitchen.run.verdict import verdict as judge_run
from gitkitchen.workplace import Request, Workplace, at_work, enter, refuse_dropped, repair

if TYPE_CHECKING:
    from gitkitchen.process import Cancel
    from gitkitchen.supervision import Supervisors


def make_plan(place: Workplace, recipe: Recipe, request: Request, catalog: Catalog) -> Plan:
    """What will run, and why."""
    with request.readers or SqlReaders() as readers:
        return build_plan(
            place.project,
            place.kitchen,
            recipe,
            subject=place.subject,
            catalog=catalog,
            store=place.store,
            selection=request.select,
            fresh=request.fresh,
            force=request.force,
            interval=request.interval,
            period=request.period,
            dataset_versions=version_finder(place.store, catalog),
            readers=readers,
            **engine_facts(place),
        )


def engine_facts(place: Workplace) -> dict[str, Any]:
    """What a plan must know of a warehouse: its dialect, its version, how its tables in place are probed."""
    warehouse = place.warehouse
    if warehouse is None:
        return {}

    def probe(project: Project, node: NodeSpec) -> str | None:
        if node.config.get("from") == "table":
            from gitkitchen.data.engines.postgres_versions import probe as probe_table

            return probe_table(warehouse, node.name, node.config)
        return probe_source(project, node)

    return {"warehouse": ("postgres", warehouse.version), "probe": probe}


def _clock() -> datetime:
    return datetime.now(UTC)


def run(
    request: Request,
    *,
    on_event: Callable[[Event], None],
    cancel: Cancel,
    now: datetime,
    before: Callable[[Workplace, Request], None] = lambda _place, _request: None,
    clock: Callable[[], datetime] = _clock,
) -> Outcome:
    """Carry a recipe through all stages and return what happened. Publishes at the one commit point.
    ``before``: raises what stands against it. ``clock``: tells when its nodes, and the run itself, ended."""
    from gitkitchen.supervision import Supervisors

    entered = enter(request, publishes=request.publish)
    before(entered, request)
    with at_work(entered, now) as place, Supervisors(request.jobs) as supervisors:
        done = _run(place, request, supervisors, on_event=on_event, cancel=cancel, now=now, clock=clock)
    _export(place, request, done)
    return done.outcome


def _export(place: Workplace, request: Request, done: Candidate) -> None:
    """Tell the tools that ``exports:`` names. All is decided and recorded."""
    if not place.project.exports:
        return
    from gitkitchen.exports.sending import tell
    from gitkitchen.exports.shapes import of_run

    server, name = (request.environ.get(f"GITHUB_{word}", "") for word in ("SERVER_URL", "REPOSITORY"))
    repository = f"{server}/{name}" if server.startswith("https://") and name else ""
    told = of_run(done.outcome, done.plan, interval=request.interval, repository=repository)
    tell(place.project, told, request.environ, request.say)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A run that published nothing, and what it would publish: ``patch`` of the catalog that it read, which
    is empty unless it passed."""

    outcome: Outcome
    plan: Plan
    patch: Mapping[str, Published | None]


def candidate(
    request: Request,
    *,
    over: Mapping[str, Published | None],
    about: Callable[[Plan, Sequence[NodeResult]], Mapping[str, Any]],
    on_event: Callable[[Event], None],
    cancel: Cancel,
    now: datetime,
    beside: Workplace | None = None,
) -> Candidate:
    """Carry a recipe through all stages but its publication, on a catalog as it will be: ``over`` is what the
    candidates before it would publish. ``about`` says what the record of the run tells beyond the usual;
    ``beside``: a kitchen that was entered from the same folder (``workplace.enter``).
    What it built is safe on the disk, or at the store, when this returns."""
    from gitkitchen.supervision import Supervisors

    request = replace(request, publish=False)
    entered = enter(request, beside=beside)
    with at_work(entered, now) as place, Supervisors(request.jobs) as supervisors:
        return _run(
            place, request, supervisors, on_event=on_event, cancel=cancel, now=now, over=over, about=about
        )


def _run(
    place: Workplace,
    request: Request,
    supervisors: Supervisors,
    *,
    on_event: Callable[[Event], None],
    cancel: Cancel,
    now: datetime,
    over: Mapping[str, Published | None] | None = None,
    about: Callable[[Plan, Sequence[NodeResult]], Mapping[str, Any]] = lambda _plan, _results: {},
    clock: Callable[[], datetime] = _clock,
) -> Candidate:
    from gitkitchen.run.engine import effects, execute
    from gitkitchen.run.intended import announce, judge_effects
    from gitkitchen.run.nodes import PROCESSES

    request = as_begun(place, request) if request.resume else request
    recipe = read(place, request)
    if any(node.kind in PROCESSES for node in recipe.nodes.values()):
        supervisors.start()  # they are ready when the plan is
    effects_declared = declared_effects(place)
    waivers = counting_waivers(place, now, request.say)
    run_id = request.resume or new_run_id(now)
    name = f"{place.kitchen.namespace}/{recipe.name}"
    barred = refusal(place.project.ledger, place.project.store, place.kitchen, request.environ)
    # An environment's jobs wait for each other at their host: one says nothing before it has something to
    # say. What comes after a publication is done under a lease that everybody sees.
    effectful = any(node.on == "publish" for node in recipe.nodes.values())
    late = not place.kitchen.is_sandbox and not effectful
    with place.ledger.lease(name, run_id, publishes=request.publish and not barred, late=late) as held:
        catalog = repair(place)
        if over:
            entries = {**catalog.entries, **over}
            catalog = replace(catalog, entries={d: e for d, e in entries.items() if e is not None})
        plan = make_plan(place, recipe, request, catalog)
        context, journal = context_of(place, plan, request, run_id, catalog, supervisors)
        context.clock = clock
        context.waive = partial(waive, recipe.name, waivers=waivers)
        begin(place, recipe, request, run_id, now)
        request.begun(plan, run_id, now)
        with journal:
            results = execute(plan, context, on_event=on_event, cancel=cancel)
            if effects_declared is not None and not cancel.is_set:
                judged = judge_effects(effects_declared, plan, results, context, cancel)
                on_event(announce(judged))
                results = (*results, judged)
            # Asked to end after the last node and before the one commit point: nothing is published.
            verdict = Verdict.CANCELLED if cancel.is_set else judge_run(results)
            journal.sync()
            held.check()
            refuse_dropped(place)
            more = {**occasion(request), **about(plan, results)}
            end = End(place, plan, catalog, run_id, now, cancel, clock, more, run_url(request.environ))
            along = partial(end.along, results, verdict) if place.ledger.whole and not effectful else None
            publication, failed = publish_run(
                place, plan, results, verdict, run_id, held, barred, request, along
            )
            if failed and not place.kitchen.is_sandbox:
                verdict = Verdict.INFRASTRUCTURE
            if publication.state in ("published", "unchanged"):
                results = (
                    *results,
                    *effects(plan, context, publication.sequence, on_event=on_event, cancel=cancel),
                )
                verdict = judge_run(results)
        changes = patch(plan, results, run_id) if over is not None and verdict is Verdict.PASSED else {}
        if changes:
            place.store.sync([r.build for r in results if r.build is not None and not r.continued])
        outcome = end.record(results, verdict, publication)
        # A cancelled run ends at once: what it built waits for the next one.
        if not cancel.is_set:
            finish(place, [r.build for r in results if r.build is not None], barred)
    place.close()
    return Candidate(outcome, plan, changes)

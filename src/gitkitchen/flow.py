"""The stages of GitKitchen, one after the other.

    branch -> kitchen -> recipe -> plan -> run -> judge -> publish -> record -> report

Each stage takes frozen values and returns the next. Input and output stand at the edges: this module
reads files and the ledger through the rooms below it; only ``gitkitchen.cli`` talks to people.
"""

from __future__ import annotations

import json
import platform
import secrets as randomness
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from gitkitchen import __version__
from gitkitchen.data.catalog import publish
from gitkitchen.data.stores.contract import Denied
from gitkitchen.errors import Infrastructure, Mistake, Problem
from gitkitchen.files import digest_bytes, write_atomic
from gitkitchen.holdings import base_finder, version_finder
from gitkitchen.kitchen.authority import refusal
from gitkitchen.kitchen.event import run_url
from gitkitchen.ledger.protocol import Held, New, Unwritten
from gitkitchen.model import (
    Build,
    Catalog,
    Event,
    NodeResult,
    NodeSpec,
    Outcome,
    Plan,
    Project,
    Publication,
    Published,
    Recipe,
    Verdict,
    Version,
)
from gitkitchen.past import mark_of, was_interrupted
from gitkitchen.plan.build import build_plan
from gitkitchen.plan.decide import probe_source
from gitkitchen.reading import counting_waivers, declared_effects, read
from gitkitchen.recipe.waivers import waive
from gitkitchen.report.essence import essence
from gitkitchen.report.outcome import to_json
from gitkitchen.run.publication import patch, withheld
from gitkitchen.run.sealing import Claims, sealed
from gitkitchen.run.verdict import verdict as judge_run
from gitkitchen.workplace import Request, Workplace, at_work, enter, refuse_dropped, repair

if TYPE_CHECKING:
    from gitkitchen.process import Cancel
    from gitkitchen.supervision import Supervisors


# --- recipe -> plan ---------------------------------------------------------------------------


def make_plan(place: Workplace, recipe: Recipe, request: Request, catalog: Catalog) -> Plan:
    """What will run, and why."""
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


# --- plan -> run -> judge -> publish -> record --------------------------------------------------


def new_run_id(now: datetime) -> str:
    """Names sort by time, to the millisecond; the rest keeps runs of one moment apart."""
    return f"{now:%Y%m%dT%H%M%S}{now.microsecond // 1000:03}Z-{randomness.token_hex(3)}"


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

    request = _as_begun(place, request) if request.resume else request
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
        context, journal = _context(place, plan, request, run_id, catalog, supervisors)
        context.clock = clock
        context.waive = partial(waive, recipe.name, waivers=waivers)
        _begin(place, recipe, request, run_id, now)
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
            more = {**_occasion(request), **about(plan, results)}
            end = _End(place, plan, catalog, run_id, now, cancel, clock, more, run_url(request.environ))
            along = partial(end.along, results, verdict) if place.ledger.whole and not effectful else None
            publication, failed = _publish(
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
            _finish(place, [r.build for r in results if r.build is not None], barred)
    place.close()
    return Candidate(outcome, plan, changes)


def _begin(place: Workplace, recipe: Recipe, request: Request, run_id: str, now: datetime) -> None:
    """Leave a mark of the run before its first node: a killed run is seen in the log and can be resumed."""
    begun: dict[str, Any] = {"run": run_id, "recipe": recipe.name, "variation": recipe.variation}
    begun |= {"sets": list(request.sets), "select": list(request.select), "tree": place.subject.tree}
    begun |= {"namespace": place.kitchen.namespace, "started": now.isoformat()}
    if request.interval is not None:
        begun["interval"] = [moment.isoformat() for moment in request.interval]
    (place.run_folder(run_id) / "outcome.json").unlink(missing_ok=True)
    write_atomic(place.run_folder(run_id) / "run.json", json.dumps(begun) + "\n")


def _as_begun(place: Workplace, request: Request) -> Request:
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


def _context(
    place: Workplace,
    plan: Plan,
    request: Request,
    run_id: str,
    catalog: Catalog,
    supervisors: Supervisors,
) -> Any:
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


def _publish(
    place: Workplace,
    plan: Plan,
    results: Sequence[NodeResult],
    verdict: Verdict,
    run_id: str,
    held: Held,
    barred: str,
    request: Request,
    along: Callable[[Publication], New] | None,
) -> tuple[Publication, bool]:
    """Write, audit, publish: the last step, or the reason why consumers keep what they have.

    ``along``: makes the record of the run that goes with its publication.
    Also whether it failed for want of the ledger: all was well, and it should have been published.
    """
    if not request.publish:
        return Publication("not_asked", "--no-publish: the versions are kept as a candidate"), False
    reason = (barred if verdict is Verdict.PASSED else "") or withheld(plan, verdict)
    if reason or held.withheld:
        return Publication("withheld", reason or held.withheld), not reason
    try:
        return _commit(place, plan, results, run_id, held, along), False
    except Denied as error:
        if not place.kitchen.is_sandbox:
            raise
        problem = error.problems[0]
        hint = f" ({problem.hint})" if problem.hint else ""
        return Publication("withheld", f"others could not read it: {problem.message}{hint}"), True
    except Unwritten as error:
        return Publication("withheld", error.problems[0].message), True


def _finish(place: Workplace, builds: Sequence[Build], barred: str) -> None:
    """Candidates and verdicts go where others find them. Who only tries something out, and may not write
    there, keeps them: they are made again where they are wanted."""
    try:
        place.store.finish(builds)
    except Denied:
        if not place.kitchen.is_sandbox and not barred:
            raise


def _commit(
    place: Workplace,
    plan: Plan,
    results: Sequence[NodeResult],
    run_id: str,
    held: Held,
    along: Callable[[Publication], New] | None,
) -> Publication:
    """The one commit point, and what is derived from it."""
    changes = patch(plan, results, run_id)
    if not changes:
        # What was published may have been lost here and built again: readers get it back.
        place.show(plan.catalog, asked=False)
        return Publication("unchanged", "consumers already have these versions", plan.catalog.sequence)
    built = [r.build for r in results if r.build is not None and not r.continued]
    try:
        place.store.sync(built)
    except Denied:
        # Who alone reads what is published here has it: it was built on this machine.
        if not (place.kitchen.is_sandbox and place.ledger.private):
            raise
    place.rehearse(plan.catalog, changes)
    published = tuple(sorted(d for d, entry in changes.items() if entry is not None))
    removed = ", ".join(sorted(d for d, entry in changes.items() if entry is None))
    said = Publication("published", f"removed: {removed}" if removed else "", None, published)
    catalog = publish(
        place.ledger,
        place.project,
        place.kitchen,
        recipe=plan.recipe.name,
        run=run_id,
        patch=changes,
        read_sequence=plan.catalog.sequence,
        fence=held.fence,
        subject=plan.subject,
        under=held,
        along=(lambda number: along(replace(said, sequence=number))) if along else None,
    )
    place.show(catalog, built=built, asked=False)
    return replace(said, sequence=catalog.sequence)


def _outcome(
    place: Workplace,
    plan: Plan,
    results: Sequence[NodeResult],
    verdict: Verdict,
    publication: Publication,
    run_id: str,
    started: datetime,
    cancel: Cancel,
) -> Outcome:
    everywhere = place.project.public_by_default
    return Outcome(
        run=run_id,
        project=place.project.name,
        project_id=place.project.id,
        recipe=plan.recipe.name,
        variation=plan.recipe.variation,
        kitchen=plan.kitchen,
        subject=plan.subject,
        started=started,
        finished=datetime.now(UTC),
        verdict=verdict,
        nodes=tuple(results),
        publication=publication,
        candidate=publication.state in ("withheld", "not_asked"),
        signal=cancel.signal,
        tools=_tools(place),
        public_columns={
            d: ("*",) if everywhere else s.node.public for s in plan.steps for d in s.node.datasets
        },
        complete=plan.complete,
    )


def _tools(place: Workplace) -> dict[str, str]:
    tools = {"gitkitchen": __version__, "python": platform.python_version()}
    if place.warehouse is not None:
        tools["postgres"] = place.warehouse.version
    if "duckdb" in sys.modules:
        tools["duckdb"] = sys.modules["duckdb"].__version__
    return tools


@dataclass
class _End:
    """The end of a run: its outcome, whole in the run's folder, in essence (never row values) in the ledger;
    there with the publication, where that is the run's last deed, or by itself."""

    place: Workplace
    plan: Plan
    catalog: Catalog
    run: str
    began: datetime
    cancel: Cancel
    clock: Callable[[], datetime]
    more: Mapping[str, Any]
    """What the record says beyond the usual."""
    url: str
    """Of the job that runs it."""
    told: Outcome | None = None
    mark: str = field(default_factory=lambda: randomness.token_hex(8))
    """What went with a publication that had no answer may arrive: the run's record is known by it."""

    def along(self, results: Sequence[NodeResult], verdict: Verdict, publication: Publication) -> New:
        self.told = outcome = self._outcome(results, verdict, publication)
        return New(self._stream, self._body(outcome, to_json(outcome)), mark=self.mark)

    def record(self, results: Sequence[NodeResult], verdict: Verdict, publication: Publication) -> Outcome:
        written = self.told if publication.state == "published" else None
        outcome = written or self._outcome(results, verdict, publication)
        text = to_json(outcome)
        write_atomic(self.place.run_folder(self.run) / "outcome.json", text)
        if written is None:
            self.place.ledger.deposit(self._stream, self._body(outcome, text), mark=self.mark)
        return outcome

    @property
    def _stream(self) -> str:
        return f"runs/{self.plan.kitchen.namespace}/{self.plan.recipe.name}"

    def _outcome(self, results: Sequence[NodeResult], verdict: Verdict, publication: Publication) -> Outcome:
        found = self.place, self.plan, results, verdict, publication, self.run, self.began, self.cancel
        return replace(_outcome(*found), finished=self.clock())

    def _body(self, outcome: Outcome, text: str) -> dict[str, Any]:
        about = {"outcome": digest_bytes(text.encode()), "built": self._built(outcome)}
        return essence(outcome, self.url) | about | dict(self.more)

    def _built(self, outcome: Outcome) -> dict[str, Any]:
        """The builds that the run made itself (``run/sealing.py``). A cancelled run vouches for nothing. Of
        an environment's only those are named that its catalog does not name: nobody asks it for more."""
        if self.cancel.is_set:
            return {}
        find = version_finder(self.place.store, self.catalog)
        built = sealed(self.plan, outcome.nodes, find, self.place.store)
        if self.plan.kitchen.is_sandbox:
            return built
        named = {entry.fingerprint for entry in self.catalog.entries.values()}
        if outcome.publication.state == "published":
            changes = patch(self.plan, outcome.nodes, self.run)
            named |= {entry.fingerprint for entry in changes.values() if entry is not None}
        own = ((node, seal["fingerprint"]) for node, seal in built.items())
        return {node: {"fingerprint": found} for node, found in own if found not in named}


def _occasion(request: Request) -> dict[str, Any]:
    """Who asked for a run, as far as gates ask: the job's event, and the interval of a scheduled run."""
    found: dict[str, Any] = {}
    if request.environ.get("GITHUB_ACTIONS") == "true" and request.environ.get("GITHUB_EVENT_NAME"):
        found["event"] = request.environ["GITHUB_EVENT_NAME"]
    if request.interval is not None and request.period is None:
        found["interval"] = [moment.isoformat() for moment in request.interval]
    if request.period is not None:
        found["backfill"] = [moment.isoformat() for moment in request.period]
    return found

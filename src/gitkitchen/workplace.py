"""A kitchen with what surrounds it: what the stages start from and what reading commands look at."""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from gitkitchen.controls.base import Base
from gitkitchen.data.catalog import load_catalog
from gitkitchen.data.consumers import refresh
from gitkitchen.data.stores import Store
from gitkitchen.errors import Conflict, Infrastructure, Mistake, Place, Problem
from gitkitchen.git import Repository
from gitkitchen.kitchen.config import find_root, load_project
from gitkitchen.kitchen.event import Head, head_of
from gitkitchen.kitchen.identity import identify
from gitkitchen.kitchen.settings import parse_set
from gitkitchen.kitchen.settings import resolve as resolve_settings
from gitkitchen.kitchen.settings import values as setting_values
from gitkitchen.kitchen.stores import lost_with_the_job
from gitkitchen.ledger import registry
from gitkitchen.ledger.protocol import Ledger
from gitkitchen.locks import shared
from gitkitchen.model import (
    Build,
    Catalog,
    Kitchen,
    Outcome,
    Project,
    Published,
    Recipe,
    Setting,
    Subject,
    Verdict,
    Version,
)
from gitkitchen.premises import find_premises, kitchen_lock, store_of, trusted_lock
from gitkitchen.recipe.effects import Effects, load_effects, read_effects
from gitkitchen.recipe.load import RawRecipe, RecipeSet, load_recipes, validate_project
from gitkitchen.recipe.resolve import resolve as resolve_recipe

if TYPE_CHECKING:
    from gitkitchen.data.engines.contract import Engine
    from gitkitchen.data.engines.postgres_server import Warehouse
    from gitkitchen.data.engines.postgres_store import Relations, WarehouseStore

Layer = tuple[str, Mapping[str, Any], Mapping[str, Place]]


@dataclass(frozen=True, slots=True)
class Request:
    """What a person or a job asked for."""

    start: Path
    recipe: str | None = None
    kitchen: str | None = None
    variation: str | None = None
    sets: tuple[str, ...] = ()
    select: tuple[str, ...] = ()
    jobs: int | None = None
    fresh: bool = False
    force: bool = False
    publish: bool = True
    resume: str | None = None
    interval: tuple[datetime, datetime] | None = None
    environ: Mapping[str, str] = field(default_factory=dict)
    say: Callable[[Problem], None] = lambda _problem: None
    """Told what a person should know though nothing ends by it: an old state of the ledger, say."""


@dataclass(frozen=True, slots=True)
class Workplace:
    """A kitchen with what surrounds it: the project, what is checked out, the ledger and the store."""

    project: Project
    kitchen: Kitchen
    subject: Subject
    ledger: Ledger
    store: Store
    moment: registry.Moment = registry.UNKNOWN

    @property
    def relations(self) -> Relations | None:
        """Where the tables are, for a kitchen whose warehouse is PostgreSQL."""
        return getattr(self.store, "relations", None)

    @property
    def warehouse(self) -> Warehouse | None:
        return self.relations.warehouse if self.relations is not None else None

    def engine(self) -> Engine:
        """A new engine for one run or query: the warehouse's, DuckDB's where there is none."""
        if self.relations is not None:
            from gitkitchen.data.engines import postgres

            return postgres.Engine(cast("WarehouseStore", self.store))
        from gitkitchen.data.engines import duckdb

        return duckdb.Engine(self.store)

    def close(self) -> None:
        """Give the warehouse's session back."""
        if self.relations is not None:
            self.relations.warehouse.close()

    def show(
        self,
        catalog: Catalog,
        *,
        missing_ok: bool = False,
        built: Iterable[Build] = (),
        asked: bool = True,
    ) -> str:
        """Bring what consumers read to a catalog. Returns where they read: a file, or ``schema`` of the
        warehouse. The rest as for ``consumers.refresh``."""
        if self.relations is not None:
            from gitkitchen.data.engines import postgres_views

            store = cast("WarehouseStore", self.store)
            return postgres_views.refresh(self.kitchen, catalog, store, missing_ok=missing_ok)
        return str(
            refresh(
                self.project,
                self.kitchen,
                catalog,
                self.store,
                missing_ok=missing_ok,
                built=built,
                asked=asked,
            )
        )

    def rehearse(self, catalog: Catalog, patch: Mapping[str, Published | None]) -> None:
        """Refuse, before anything is published, what consumers' views could not follow."""
        if self.relations is not None:
            from gitkitchen.data.engines import postgres_views

            entries = {**catalog.entries, **patch}
            after = {d: e for d, e in entries.items() if e is not None}
            postgres_views.rehearse(
                self.kitchen, replace(catalog, entries=after), cast("WarehouseStore", self.store)
            )

    def catalog(self) -> Catalog:
        return load_catalog(self.ledger, self.project, self.kitchen)

    def run_folder(self, run: str) -> Path:
        return self.project.state / "runs" / run


# --- branch -> kitchen ------------------------------------------------------------------------


def enter(request: Request, *, publishes: bool = False, looks: bool = False) -> Workplace:
    """From a folder to the kitchen of its branch. Who ``publishes`` enters only what is checked out.

    Who only ``looks`` finds a kitchen that somebody worked in; a name that was mistyped is refused.
    """
    found = find_premises(request.start, request.say)
    project, repository, ledger = found.project, found.repository, found.ledger
    branch = repository.branch()
    identity = identify(
        project,
        branch=branch,
        # The repository's own branches are named without it: a remote added or renamed changes no kitchen.
        repository=None,
        override=request.kitchen,
        home=repository.remote() if ":" in (request.kitchen or "") else None,
        publishes=publishes,
        event=_event(request, project.root, repository, branch),
    )
    moment = _moment(repository, identity)
    kitchen, known = registry.find(ledger, project, identity, moment)
    if looks and request.kitchen and kitchen.is_sandbox and not known:
        names = ", ".join(e.name for e in project.environments) or "none"
        raise Mistake(
            Problem(
                f"nobody ran anything in a kitchen '{request.kitchen}' here",
                hint=f"name an environment ({names}) or a branch that was run",
            )
        )
    warehouse = None
    if project.connections.get("warehouse"):
        from gitkitchen.data.engines.postgres_server import warehouse_of

        warehouse = warehouse_of(project.connections, request.environ, project.id)
    return Workplace(
        project=project,
        kitchen=kitchen,
        subject=repository.subject(),
        ledger=ledger,
        store=_shelved(store_of(project, kitchen, request.environ), kitchen, warehouse),
        moment=moment,
    )


def _event(request: Request, root: Path, repository: Repository, branch: str | None) -> Head | None:
    head = head_of(request.environ, root)
    if head is None or head.commit is None or branch is not None or repository.head() == head.commit:
        return head
    return None


def _moment(repository: Repository, kitchen: Kitchen) -> registry.Moment:
    if kitchen.fork or not kitchen.is_sandbox:
        return registry.UNKNOWN
    made = repository.made(kitchen.branch)
    return registry.Moment(made, lambda: kitchen.branch in repository.remote_branches())


@contextmanager
def at_work(place: Workplace, now: datetime, environ: Mapping[str, str] | None = None) -> Iterator[Workplace]:
    """The kitchen claimed, and neither dropped nor cleared up while the block lasts."""
    with shared(trusted_lock(place.project)):
        while True:
            kitchen = registry.claim(place.ledger, place.project, place.kitchen, moment=place.moment, now=now)
            if kitchen != place.kitchen:
                place = replace(
                    place,
                    kitchen=kitchen,
                    store=_shelved(store_of(place.project, kitchen, environ), kitchen, place.warehouse),
                )
            with shared(kitchen_lock(place.project, kitchen.namespace)):
                if registry.is_alive(place.ledger, kitchen):
                    yield place
                    return


def refuse_dropped(place: Workplace) -> None:
    """Conflict where the kitchen was dropped meanwhile, from another machine: it publishes nothing."""
    if not registry.is_alive(place.ledger, place.kitchen):
        label = place.kitchen.label
        raise Conflict(
            Problem(
                f"kitchen '{label}' was dropped while this run was at work: nothing is published",
                hint="run the same command again: it begins a new one",
                code="kitchen-dropped",
            )
        )


def _shelved(store: Store, kitchen: Kitchen, warehouse: Warehouse | None) -> Store:
    """A kitchen's view of the store, of which tables live in the warehouse where there is one."""
    if warehouse is None:
        return store
    from gitkitchen.data.engines.postgres_store import Relations, WarehouseStore

    relations = Relations(warehouse, namespace=kitchen.namespace, zone=kitchen.zone)
    return cast("Store", WarehouseStore(store, relations))


def repair(place: Workplace) -> Catalog:
    """The catalog, with the consumers' view file brought up to it where a crash left it behind."""
    catalog = place.catalog()
    # A sandbox of a warehouse is complete from its first run on: its views cost no row.
    if catalog.sequence or (place.relations is not None and catalog.entries):
        # A version that is lost here is no reason to stop: the run that follows may build it again.
        place.show(catalog, missing_ok=True, asked=False)
    return catalog


# --- kitchen -> recipe ------------------------------------------------------------------------


def read_recipes(project: Project, only: str | None = None) -> RecipeSet:
    """All recipes of the project; every mistake in them at once."""
    recipes = load_recipes(project, only=only)
    if recipes.problems:
        raise Mistake(*recipes.problems)
    return recipes


def choose(recipes: RecipeSet, name: str | None) -> str:
    """The recipe asked for, or the only one."""
    names = sorted(recipes.recipes)
    if name is None:
        if len(names) == 1:
            return names[0]
        if not names:
            raise Mistake(Problem("there is no recipe", hint="write recipes/<name>/recipe.yml first"))
        raise Mistake(Problem("there are several recipes", hint=f"name one of: {', '.join(names)}"))
    if name in recipes.recipes:
        return name
    near = difflib.get_close_matches(name, names, n=1)
    hint = f"did you mean '{near[0]}'?" if near else f"there are: {', '.join(names) or 'none'}"
    raise Mistake(Problem(f"there is no recipe '{name}'", hint=hint))


def settings_of(place: Workplace, raw: RawRecipe, request: Request) -> dict[str, Setting]:
    """Every variable with its origin. Lowest first: recipe, kitchen.yml, environment, variation, --set."""
    project = place.project
    layers: list[Layer] = [
        (f"recipe {raw.name}", raw.vars, raw.places_of("vars")),
        ("kitchen.yml", project.vars, _places(project, "vars")),
    ]
    name = place.kitchen.environment or place.kitchen.base
    environment = project.environment(name) if name else None
    if environment:
        where = _places(project, f"environments.{environment.name}.vars")
        layers.append((f"environment {environment.name}", environment.vars, where))
    if request.variation is not None:
        variation = raw.variation(request.variation)
        layers.append((f"variation {variation.name}", variation.vars, {}))
    declared = {name for _, values, _ in layers for name in values}
    for text in request.sets:
        given = parse_set(text)
        for name in given.keys() - declared:
            near = difflib.get_close_matches(name, sorted(declared), n=1)
            hint = f"did you mean '{near[0]}'?" if near else "declare it in `vars:` first"
            raise Mistake(Problem(f"--set {name}: there is no such variable", hint=hint))
        layers.append(("--set", given, {}))
    return resolve_settings(layers)


def _places(project: Project, prefix: str) -> dict[str, Any]:
    dotted = prefix + "."
    return {k.removeprefix(dotted): v for k, v in project.places.items() if k.startswith(dotted)}


def read(place: Workplace, request: Request) -> Recipe:
    """The recipe asked for, rendered with the variables of this kitchen and variation."""
    recipes = read_recipes(place.project)
    raw = recipes.recipes[choose(recipes, request.recipe)]
    values = setting_values(settings_of(place, raw, request))
    return resolve_recipe(raw, values, variation=request.variation, kitchen=place.kitchen)


# --- what a kitchen holds -----------------------------------------------------------------------


def version_finder(store: Store, catalog: Catalog) -> Callable[[str], Version | None]:
    """Look up the version that a catalog holds of a dataset."""
    store.expect(entry.fingerprint for entry in catalog.entries.values())

    def find(dataset: str) -> Version | None:
        entry = catalog.entries.get(dataset)
        build = store.find(entry.fingerprint) if entry else None
        return build.versions.get(dataset) if build else None

    return find


def declared_effects(place: Workplace) -> Effects | None:
    """What the branch of a sandbox declares that it changes, or None. Mistake for what is wrong in it."""
    found = load_effects(place.project, place.kitchen)
    if found is None:
        return None
    known = {d for raw in load_recipes(place.project).recipes.values() for d in raw.datasets}
    problems = [p for p in read_effects(place.project, known)[1] if p.place and p.place.file == found.file]
    problems += effects_problems([found])
    if problems:
        raise Mistake(*problems)
    return found


def effects_problems(found: Sequence[Effects]) -> list[Problem]:
    """What is wrong with the SQL of declared effects."""
    from gitkitchen.plan.facts import expression_problems

    return [
        problem
        for effects in found
        for dataset, intended in effects.datasets.items()
        for expression in intended.values
        for problem in expression_problems(dataset, expression, intended.place)
    ]


def base_finder(store: Store, kitchen: Kitchen, catalog: Catalog) -> Callable[[str], Base]:
    """Look up what a dataset is compared with: what a sandbox's base, or the environment, has published."""
    entries = catalog.pinned if kitchen.is_sandbox else catalog.entries
    label = str(kitchen.base if kitchen.is_sandbox else kitchen.environment)

    def find(dataset: str) -> Base:
        entry = entries.get(dataset)
        if entry is None:
            return Base(label=label, why=f"could not compare: {label} has published no '{dataset}' yet")
        build = store.find(entry.fingerprint)
        version = build.versions.get(dataset) if build else None
        if version is None:
            why = f"could not compare: the version of '{dataset}' that {label} published is not in the store"
            return Base(label=label, why=why, lost=True)
        return Base(version, label, "")

    return find


def tables(place: Workplace, candidate: str | None = None) -> dict[str, Version]:
    """Every dataset that a query can name here; a candidate's versions stand before the catalog's."""
    catalog = place.catalog()
    find = version_finder(place.store, catalog)
    found = {name: v for name in catalog.entries if (v := find(name)) is not None}
    if candidate is not None:
        for result in load_outcome(place, candidate).nodes:
            if result.build is not None:
                found |= result.build.versions
    return {name: v for name, v in found.items() if v.format != "file"}


@contextmanager
def open_tables(place: Workplace, candidate: str | None = None) -> Iterator[Engine]:
    """A locked-down engine in which the kitchen's datasets can be queried by name."""
    found = tables(place, candidate)
    with place.engine() as engine:
        engine.offer(found)
        yield engine


def runs(place: Workplace) -> list[Path]:
    """The folders of all runs kept here, newest first."""
    folder = place.project.state / "runs"
    return sorted((p for p in folder.iterdir() if p.is_dir()), reverse=True) if folder.is_dir() else []


def find_run(place: Workplace, name: str) -> str:
    """A run by its id, the unique beginning of one, or ``last``: this kitchen's newest."""
    folders = runs(place)
    if name == "last":
        own = next((p for p in folders if mark_of(p).get("namespace") == place.kitchen.namespace), None)
        if own is None:
            raise Mistake(
                Problem(
                    f"nothing was run in kitchen '{place.kitchen.label}' yet", hint="`gitkitchen run` first"
                )
            )
        return own.name
    names = [p.name for p in folders]
    matches = [n for n in names if n == name] or [n for n in names if n.startswith(name)]
    if len(matches) == 1:
        return matches[0]
    what = "is not unique" if matches else "does not exist here"
    raise Mistake(Problem(f"run '{name}' {what}", hint="`gitkitchen log` lists the runs"))


def was_interrupted(place: Workplace, run_id: str) -> bool:
    """Whether a run was killed or cancelled: it has no outcome, or one that says so."""
    try:
        document = json.loads((place.run_folder(run_id) / "outcome.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return True
    return bool(document.get("verdict") == Verdict.CANCELLED.value)


def last_interrupted(place: Workplace) -> str:
    """This kitchen's newest run that was interrupted."""
    for folder in runs(place):
        own = mark_of(folder).get("namespace") == place.kitchen.namespace
        if own and was_interrupted(place, folder.name):
            return folder.name
    raise Mistake(
        Problem(
            f"no run of kitchen '{place.kitchen.label}' was interrupted",
            hint="`gitkitchen run` begins a new one",
        )
    )


_MARK = {"run", "recipe", "variation", "sets", "select", "tree", "namespace", "started"}


def mark_of(folder: Path) -> dict[str, Any]:
    """The mark that a run left before its first node; empty where it left none.

    Raises Infrastructure for one that is damaged: nobody can say then which kitchen the run was of.
    """
    path = folder / "run.json"
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError):
        found = None
    if isinstance(found, dict) and found.keys() >= _MARK:
        return found
    hint = f"restore it, or remove the folder {folder}; what was built and published stays"
    raise Infrastructure(
        Problem(f"the mark of run '{folder.name}' is damaged: {path}", hint=hint, code="mark")
    )


def history(place: Workplace, limit: int) -> list[dict[str, Any]]:
    """The newest runs of this kitchen, newest first: what the ledger remembers, and runs that never ended."""
    prefix = f"runs/{place.kitchen.namespace}/"
    records = (r for stream in place.ledger.streams(prefix) for r in place.ledger.read(stream))
    # A resumed run has a record for each time that it ended: the last one counts.
    known = {str(r.body["run"]): dict(r.body) for r in records if "run" in r.body}
    rows = list(known.values())
    for folder in runs(place):
        begun = mark_of(folder) if folder.name not in known else {}
        if begun.get("namespace") == place.kitchen.namespace:
            rows.append(begun | {"verdict": "interrupted"})
    rows.sort(key=lambda row: str(row.get("started")), reverse=True)
    return rows[:limit]


def load_outcome(place: Workplace, run_id: str) -> Outcome:
    """The outcome of a run, as its file holds it."""
    from gitkitchen.report.outcome import from_document

    path = place.run_folder(run_id) / "outcome.json"
    try:
        return from_document(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise Mistake(
            Problem(
                f"run '{run_id}' has no outcome: it was interrupted",
                hint=f"`gitkitchen run --resume {run_id}` ends it",
            )
        ) from None
    except (ValueError, KeyError, TypeError) as error:
        raise Infrastructure(
            Problem(f"the outcome of run '{run_id}' cannot be read ({error})", hint="run it again")
        ) from error


def validate(start: Path, environ: Mapping[str, str] | None = None) -> list[Problem]:
    """Every mistake of every file: shapes first; then names, SQL and the graph of each recipe that loads.

    ``environ`` tells whether a job of an environment would lose its store with its runner.
    """
    from gitkitchen.plan.build import mistakes

    root = find_root(start)
    problems = list(validate_project(root))
    if problems:
        return problems
    project = load_project(root)
    lost = lost_with_the_job(project.store, project.environments, environ or {})
    if lost is not None:
        problems.append(replace(lost, place=project.places.get("store")))
    recipes = load_recipes(project)
    known = {d for raw in recipes.recipes.values() for d in raw.datasets}
    effects, wrong = read_effects(project, known)
    problems += [*wrong, *effects_problems(effects)]
    for raw in recipes.recipes.values():
        for variation in (None, *raw.variations):
            try:
                recipe = resolve_recipe(
                    raw, values_anywhere(project, raw, variation), variation=variation, kitchen=None
                )
                problems += mistakes(project, recipe, known)
            except Mistake as error:
                problems += error.problems
    return list(Mistake(*problems).problems)


def values_anywhere(project: Project, raw: RawRecipe, variation: str | None) -> dict[str, Any]:
    """The variables of a recipe where no kitchen is known: those of every environment stand."""
    layers: list[Layer] = [(raw.name, raw.vars, {})]
    layers += [(e.name, e.vars, {}) for e in reversed(project.environments)]
    layers.append(("kitchen.yml", project.vars, {}))
    if variation is not None:
        layers.append((variation, raw.variations[variation].vars, {}))
    return setting_values(resolve_settings(layers))

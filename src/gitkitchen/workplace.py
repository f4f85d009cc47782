"""A kitchen with what surrounds it: what the stages start from and what reading commands look at."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import field, replace
from datetime import datetime
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from gitkitchen.data.catalog import load_catalog
from gitkitchen.data.consumers import refresh
from gitkitchen.data.stores import Store
from gitkitchen.errors import Conflict, Mistake, Place, Problem
from gitkitchen.frozen import dataclass
from gitkitchen.git import Repository
from gitkitchen.kitchen.event import Head, head_of
from gitkitchen.kitchen.identity import identify
from gitkitchen.ledger import registry
from gitkitchen.ledger.apart import Apart
from gitkitchen.ledger.protocol import Ledger
from gitkitchen.locks import shared
from gitkitchen.model import (
    Build,
    Catalog,
    Kitchen,
    Plan,
    Project,
    Published,
    Subject,
)
from gitkitchen.premises import (
    Premises,
    door_of,
    find_premises,
    kitchen_lock,
    ledger_mark,
    store_of,
    trusted_lock,
)

if TYPE_CHECKING:
    from gitkitchen.data.engines.contract import Engine
    from gitkitchen.data.engines.postgres_server import Warehouse
    from gitkitchen.data.engines.postgres_store import Relations, WarehouseStore
    from gitkitchen.plan.sql_readers import SqlReaders

Layer = tuple[str, Mapping[str, Any], Mapping[str, Place]]
UNASKED = Subject(commit=None, tree="", dirty=True)
"""What is checked out, where nobody asks for it: it is no evidence of anything."""


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
    results: tuple[str, ...] = ()
    """Files of results for ``results:`` nodes: ``NODE=PATH``, or a path where there is one such node."""
    fresh: bool = False
    force: bool = False
    publish: bool = True
    rebuild: bool = False
    """Adopt nothing of a sandbox, whatever the environment's ``adopt:`` says in the tree that is run."""
    resume: str | None = None
    interval: tuple[datetime, datetime] | None = None
    period: tuple[datetime, datetime] | None = None
    """Of datasets that are kept by partitions only those from here until before there are built; the others
    stay as they are published."""
    environ: Mapping[str, str] = field(default_factory=dict)
    say: Callable[[Problem], None] = lambda _problem: None
    """Told what a person should know though nothing ends by it: an old state of the ledger, say."""
    apart: Apart | None = None
    """For a job that keeps for itself what it may not write to the ledger's branch."""
    begun: Callable[[Plan, str, datetime], None] = lambda _plan, _run, _now: None
    """Told, before the first node, what will be run, under which id and since when."""
    readers: SqlReaders | None = None
    """Of the SQL that is not known yet; they may have begun to load before the command itself did."""


@dataclass(frozen=True, slots=True)
class Workplace:
    """A kitchen with what surrounds it: the project, what is checked out, the ledger and the store."""

    project: Project
    kitchen: Kitchen
    subject: Subject
    ledger: Ledger
    store: Store
    repository: Repository
    branch: str | None = None
    """What is checked out there, whatever the kitchen."""
    moment: registry.Moment = registry.UNKNOWN
    shelves: Callable[[Kitchen], Store] = field(kw_only=True)
    """Another kitchen's view of the store, by the same logins."""

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

    def prepare(self) -> None:
        """Import what ``engine`` needs, so that it is there soon. Starts and opens nothing."""
        import_module(f"gitkitchen.data.engines.{'duckdb' if self.relations is None else 'postgres'}")

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


def enter(
    request: Request,
    *,
    publishes: bool = False,
    looks: bool = False,
    beside: Workplace | None = None,
    found: Premises | None = None,
    subject: Subject | None = None,
) -> Workplace:
    """From a folder to the kitchen of its branch. Who ``publishes`` enters only what is checked out.

    Who only ``looks`` finds a kitchen that somebody worked in; a name that was mistyped is refused.
    ``beside``: another kitchen of the same folder that was entered just now; git is not asked again what
    both have in common. ``found``: the folder's premises, where they were found just now; ``subject``: what
    is checked out, where that was asked just now or is of no account (``UNASKED``).
    """
    there = beside or found or find_premises(request.start, request.say, request.apart)
    project, repository, ledger = there.project, there.repository, there.ledger
    if beside is not None:
        branch = beside.branch
    elif found is None and repository.seen is not None:
        branch = repository.seen.branch
    else:
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
    closed = request.apart.closed if request.apart is not None else ""

    def shelves(kitchen: Kitchen) -> Store:
        door = door_of(project, kitchen, ledger, request.environ, closed=closed, say=request.say)
        return _shelved(store_of(project, kitchen, request.environ, door), kitchen, warehouse)

    if subject is None:
        subject = beside.subject if beside is not None else repository.subject()
    return Workplace(
        project=project,
        kitchen=kitchen,
        subject=subject,
        ledger=ledger,
        store=shelves(kitchen),
        repository=repository,
        branch=branch,
        moment=moment,
        shelves=shelves,
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
def at_work(place: Workplace, now: datetime) -> Iterator[Workplace]:
    """The kitchen claimed, and neither dropped nor cleared up while the block lasts."""
    with shared(trusted_lock(place.project)):
        while True:
            kitchen = registry.claim(place.ledger, place.project, place.kitchen, moment=place.moment, now=now)
            if kitchen != place.kitchen:
                place = replace(place, kitchen=kitchen, store=place.shelves(kitchen))
            with shared(kitchen_lock(place.project, kitchen.namespace)):
                if registry.is_alive(place.ledger, kitchen):
                    with _in_warehouse(place):
                        yield place
                    return


@contextmanager
def _in_warehouse(place: Workplace) -> Iterator[None]:
    if place.relations is None:
        yield
        return
    with place.relations.at_work(ledger_mark(place.project)):
        yield


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

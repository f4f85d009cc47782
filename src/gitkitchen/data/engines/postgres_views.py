"""What consumers of a warehouse read: one schema of views a kitchen, replaced in one transaction.

An environment's schema has its plain name, a sandbox's its namespace. The schema is a cache of the catalog,
stamped with the publication that it shows; the stamp is written in the same transaction, so that readers,
and whoever looks after a crash, see the whole old or the whole new one. Only views that were made here
are touched. A view whose columns change is made anew under its old grants, comments and owner, unless
somebody else's view stands on it: then nothing is changed, and the error names it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import field
from typing import TYPE_CHECKING, Any

from gitkitchen.data.engines.postgres_changes import Changes
from gitkitchen.data.engines.postgres_locks import PATIENCE, Tries, patiently, take
from gitkitchen.data.engines.postgres_server import explained, said
from gitkitchen.data.engines.postgres_sql import literal
from gitkitchen.data.engines.postgres_store import SCHEMA, WarehouseStore
from gitkitchen.data.sql import quote_identifier
from gitkitchen.errors import Infrastructure, Mistake, Problem
from gitkitchen.frozen import dataclass
from gitkitchen.model import Catalog, Kitchen, Version

if TYPE_CHECKING:
    from psycopg import Connection

TURN = "2s"
"""How long a publication waits at a time for another one of the same schema."""
JUST_NOW = 60.0
TAKEN = ("public", "information_schema", SCHEMA)


def schema_of(kitchen: Kitchen) -> str:
    """Where consumers of a kitchen read: environments by their plain name, sandboxes by namespace."""
    name = kitchen.environment or kitchen.namespace
    if name in TAKEN or name.startswith("pg_"):
        message = f"environment '{name}' cannot have a schema of its name in PostgreSQL"
        raise Mistake(Problem(message, hint="give the environment another name", code="schema-name"))
    return name


def refresh(kitchen: Kitchen, catalog: Catalog, store: WarehouseStore, *, missing_ok: bool = False) -> str:
    """Bring a kitchen's schema to its catalog and return its name. Does nothing where it is there already.

    Where a published version is not in the warehouse, the old views stay and Infrastructure is raised; not
    so with ``missing_ok``, for commands that may bring the version back.
    """
    schema = schema_of(kitchen)
    stamp = _stamp(store, schema)
    if stamp is not None and _is_current(store, schema, stamp, kitchen, catalog):
        return schema
    try:
        versions = _versions(store, catalog, stamp)
    except Infrastructure as error:
        if missing_ok and error.problems[0].code == "version-missing":
            return schema
        raise
    _patiently(store, schema, kitchen, catalog, versions, rehearsal=False)
    return schema


def rehearse(kitchen: Kitchen, catalog: Catalog, store: WarehouseStore) -> None:
    """Make the views of ``catalog`` and take them back: what would refuse them refuses before anything is
    published. Mistake names somebody's views that stand in the way."""
    schema = schema_of(kitchen)
    versions = _versions(store, catalog, _stamp(store, schema))
    _patiently(store, schema, kitchen, catalog, versions, rehearsal=True)


# --- what it shows -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Stamp:
    """What a schema shows, by the record in the store schema."""

    project: str
    namespace: str
    sequence: int
    shown: Mapping[str, str] = field(default_factory=dict)
    age: float = 0.0


def _stamp(store: WarehouseStore, schema: str) -> Stamp | None:
    store.relations.make_ready()
    with store.relations.warehouse.session() as own:
        return _read_stamp(own, schema)


def _read_stamp(own: Connection[Any], schema: str) -> Stamp | None:
    row = own.execute(
        "SELECT project, namespace, sequence, shown, extract(epoch FROM now() - changed)::float8 "
        f"FROM {SCHEMA}.kitchens WHERE schema = %s",
        [schema],
    ).fetchone()
    if row is None:
        return None
    return Stamp(row[0], row[1], int(row[2]), json.loads(row[3]), float(row[4]))


def _wanted(catalog: Catalog) -> dict[str, str]:
    return {n: f"{e.fingerprint} {e.content}" for n, e in sorted(catalog.entries.items())}


def current(kitchen: Kitchen, catalog: Catalog, store: WarehouseStore) -> dict[str, str] | None:
    """The views by which the schema says that it shows this very catalog, with what they show; None where it
    says something else, or nothing."""
    stamp = _stamp(store, schema_of(kitchen))
    if stamp is None or stamp.sequence != catalog.sequence or stamp.namespace != kitchen.namespace:
        return None
    shown = {n: k for n, k in stamp.shown.items() if k != "file"}
    return shown if shown == _tables_only(stamp, catalog) else None


def shown(kitchen: Kitchen, store: WarehouseStore) -> tuple[int, dict[str, str]] | None:
    """What a kitchen's schema was last made to show: the publication, and dataset to fingerprint."""
    stamp = _stamp(store, schema_of(kitchen))
    if stamp is None or stamp.namespace != kitchen.namespace:
        return None
    return stamp.sequence, {n: k.split()[0] for n, k in stamp.shown.items() if k not in ("", "file")}


def relations(own: Connection[Any], schema: str) -> dict[str, tuple[str, int]]:
    """What is in a schema: name -> kind as in pg_class, oid."""
    return _relations(own, schema)


def _is_current(store: WarehouseStore, schema: str, stamp: Stamp, kitchen: Kitchen, catalog: Catalog) -> bool:
    same = (stamp.project, stamp.namespace, stamp.sequence) == (
        store.relations.warehouse.project,
        kitchen.namespace,
        catalog.sequence,
    )
    if not same or {n: k for n, k in stamp.shown.items() if k != "file"} != _tables_only(stamp, catalog):
        return False
    with store.relations.warehouse.session() as own:
        there = _relations(own, schema)
    return all(there.get(n, ("", 0))[0] == "v" for n, k in stamp.shown.items() if k != "file")


def _tables_only(stamp: Stamp, catalog: Catalog) -> dict[str, str]:
    """What is wanted but for files, which the stamp knows as such, under the key that they had."""
    files = {n for n, k in stamp.shown.items() if k == "file"}
    return {n: k for n, k in _wanted(catalog).items() if n not in files}


def _versions(store: WarehouseStore, catalog: Catalog, stamp: Stamp | None) -> dict[str, Version]:
    """The versions of all entries that are not shown yet."""
    shown = stamp.shown if stamp is not None else {}
    found: dict[str, Version] = {}
    for name, key in _wanted(catalog).items():
        if shown.get(name) == key:
            continue
        found[name] = _version(store, catalog, name)
    return found


def _version(store: WarehouseStore, catalog: Catalog, name: str) -> Version:
    """The version of an entry. Another process may have built it since we looked: then we look again."""
    entry = catalog.entries[name]
    for again in (True, False):
        build = store.find(entry.fingerprint)
        version = build.versions.get(name) if build else None
        if version is not None:
            return version
        if again:
            store.relations.forget()
    message = f"the published version of '{name}' is not in the warehouse"
    hint = f"run recipe '{entry.recipe}' again"
    raise Infrastructure(Problem(message, hint=hint, code="version-missing"))


# --- one transaction ---------------------------------------------------------------------------------


class _Undo(Exception):
    """A rehearsal is over."""

    @classmethod
    def when(cls, rehearsal: bool) -> None:
        if rehearsal:
            raise cls


def _patiently(
    store: WarehouseStore,
    schema: str,
    kitchen: Kitchen,
    catalog: Catalog,
    versions: Mapping[str, Version],
    *,
    rehearsal: bool,
) -> None:
    """Try for a while to get the locks; between two tries, readers that waited behind us go on."""
    warehouse = store.relations.warehouse

    def attempt(tries: Tries) -> None:
        try:
            with warehouse.writing() as own:
                own.execute(f"SET LOCAL lock_timeout = '{TURN}'")
                _apply(own, store, schema, kitchen, catalog, versions, tries, rehearsal=rehearsal)
                _Undo.when(rehearsal)
        except _Undo:
            return

    patiently(schema, warehouse.session, attempt, PATIENCE)


def _apply(
    own: Connection[Any],
    store: WarehouseStore,
    schema: str,
    kitchen: Kitchen,
    catalog: Catalog,
    versions: Mapping[str, Version],
    tries: Tries,
    *,
    rehearsal: bool,
) -> None:
    """Make the views that changed, drop those that are gone, and stamp the schema."""
    own.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 1))", [f"{SCHEMA} {schema}"])
    stamp = _read_stamp(own, schema)
    _refuse_others(stamp, store, kitchen, schema)
    later = stamp is not None and stamp.sequence > catalog.sequence and abs(stamp.age) < JUST_NOW
    if later and not rehearsal:
        return  # a later publication has just been shown, and is not taken back
    there_is = own.execute("SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = %s", [schema]).fetchone()
    if not there_is:
        _create(own, schema)
    shown = stamp.shown if stamp is not None else {}
    there = _relations(own, schema)
    wanted = _wanted(catalog)
    stated = {n: "file" if n in versions and versions[n].format == "file" else k for n, k in wanted.items()}
    stated |= {n: "file" for n, k in shown.items() if k == "file" and n in wanted and n not in versions}
    tables = {n: v for n, v in versions.items() if v.format != "file"}
    # What is shown already and was dropped by somebody comes back too.
    lost = [n for n, k in stated.items() if k != "file" and n not in tables and n not in there]
    tables |= {n: _version(store, catalog, n) for n in lost}
    gone = [n for n, k in shown.items() if k != "file" and stated.get(n, "file") == "file" and n in there]
    _refuse_strangers(schema, tables, shown, there)
    changes = Changes(own, schema, there)
    with _rights(schema):
        take(own, schema, {n: there[n][1] for n in (*tables, *gone) if n in there}, tries)
        changes.make(tables)
        changes.drop(sorted(gone))
    changes.finish()
    own.execute(
        f"INSERT INTO {SCHEMA}.kitchens (schema, project, namespace, sequence, shown) "
        "VALUES (%s, %s, %s, %s, %s) ON CONFLICT (schema) DO UPDATE SET project = excluded.project, "
        "namespace = excluded.namespace, sequence = excluded.sequence, shown = excluded.shown, "
        "changed = now()",
        [schema, store.relations.warehouse.project, kitchen.namespace, catalog.sequence, json.dumps(stated)],
    )


def _create(own: Connection[Any], schema: str) -> None:
    from psycopg import errors

    try:
        own.execute(f"CREATE SCHEMA {quote_identifier(schema)}".encode())
    except errors.InsufficientPrivilege as error:
        message = f"the schema '{schema}' cannot be made: {said(error)}"
        hint = "GRANT CREATE ON DATABASE … TO the role, or CREATE SCHEMA … AUTHORIZATION the role"
        raise Infrastructure(Problem(message, hint=hint, code="store")) from error


@contextmanager
def _rights(schema: str) -> Iterator[None]:
    """Say what is lacking where the role may not change a view. To be a member of its owner is not enough
    from PostgreSQL 16 on, where a member may lack the owner's rights (INHERIT) or its name (SET)."""
    from psycopg import errors

    try:
        yield
    except errors.InsufficientPrivilege as error:
        message = f"the views of schema '{schema}' cannot be changed: {said(error)}"
        hint = "GRANT their owner TO the role; from PostgreSQL 16 on WITH INHERIT TRUE, SET TRUE"
        raise Infrastructure(Problem(message, hint=hint, code="store")) from error


def _refuse_others(stamp: Stamp | None, store: WarehouseStore, kitchen: Kitchen, schema: str) -> None:
    if stamp is None:
        return
    if (stamp.project, stamp.namespace) != (store.relations.warehouse.project, kitchen.namespace):
        message = f"the schema '{schema}' of this warehouse belongs to another project's kitchen"
        hint = "give this project a database of its own, or its environment another name"
        raise Mistake(Problem(message, hint=hint, code="schema-taken"))


def _refuse_strangers(
    schema: str,
    tables: Mapping[str, Version],
    shown: Mapping[str, str],
    there: Mapping[str, tuple[str, int]],
) -> None:
    kinds = {"r": "a table", "m": "a materialized view", "v": "a view", "f": "a foreign table"}
    for name in sorted(tables):
        kind, _ = there.get(name, ("", 0))
        if kind and (name not in shown or kind != "v"):
            message = f"{schema}.{name} is {kinds.get(kind, 'something')} that GitKitchen did not make"
            hint = "rename it or the dataset: a kitchen touches only what it owns"
            raise Mistake(Problem(message, hint=hint, code="not-ours"))


def _relations(own: Connection[Any], schema: str) -> dict[str, tuple[str, int]]:
    rows = own.execute(
        "SELECT c.relname, c.relkind::text, c.oid::bigint FROM pg_catalog.pg_class c "
        "JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = %s",
        [schema],
    ).fetchall()
    return {str(name): (str(kind), int(oid)) for name, kind, oid in rows}


# --- the end of a kitchen ------------------------------------------------------------------------------


def remove(kitchen: Kitchen, store: WarehouseStore) -> None:
    """Drop a kitchen's schema of views, with its stamp. Mistake where others' things are in it or on it."""
    schema = schema_of(kitchen)
    stamp = _stamp(store, schema)
    if stamp is None:
        return
    warehouse = store.relations.warehouse

    def attempt(tries: Tries) -> None:
        with warehouse.writing() as own, explained():
            _remove(own, store, kitchen, schema, stamp, tries)

    patiently(schema, warehouse.session, attempt, PATIENCE)


def _remove(
    own: Connection[Any], store: WarehouseStore, kitchen: Kitchen, schema: str, stamp: Stamp, tries: Tries
) -> None:
    own.execute(f"SET LOCAL lock_timeout = '{TURN}'")
    own.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 1))", [f"{SCHEMA} {schema}"])
    _refuse_others(stamp, store, kitchen, schema)
    there = _relations(own, schema)
    ours = sorted(n for n, k in stamp.shown.items() if k != "file" and n in there)
    changes = Changes(own, schema, there)
    with _rights(schema):
        take(own, schema, {n: there[n][1] for n in ours}, tries)
        changes.drop(ours)
    changes.finish()
    left = sorted(set(_relations(own, schema)))
    if left:
        message = f"schema '{schema}' holds what GitKitchen did not make: {', '.join(left[:10])}"
        raise Mistake(Problem(message, hint="move it elsewhere first", code="not-ours"))
    own.execute(f"DROP SCHEMA IF EXISTS {quote_identifier(schema)}".encode())
    own.execute(f"DELETE FROM {SCHEMA}.kitchens WHERE schema = {literal(schema)}".encode())

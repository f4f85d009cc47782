"""What of a warehouse's store schema nothing refers to any more, and its removal.

The rules are those of a folder (``data/garbage.py``): a build that is referred to, or young, keeps its
tables; one whose tables are all kept anyway is kept too. A table on which anybody's view stands is kept.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any

from gitkitchen.data.engines.errors import SqlError
from gitkitchen.data.engines.postgres_sql import quoted
from gitkitchen.data.engines.postgres_store import SCHEMA, Relations
from gitkitchen.data.engines.postgres_versions import names_of
from gitkitchen.data.manifest import build_from_json
from gitkitchen.errors import Infrastructure
from gitkitchen.frozen import dataclass
from gitkitchen.model import Build

AT_ONCE = 200
"""Builds that one statement removes."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A build of the warehouse. ``build`` is None where it cannot be read; ``bytes``: of its manifest."""

    zone: str
    fingerprint: str
    bytes: int
    build: Build | None

    @property
    def relations(self) -> frozenset[str]:
        return frozenset(names_of(self.build.versions.values())) if self.build else frozenset()

    @property
    def finished(self) -> datetime | None:
        try:
            return datetime.fromisoformat(self.build.finished) if self.build else None
        except ValueError:
            return None


@dataclass(frozen=True, slots=True)
class Table:
    """A physical table. ``shown``: a view stands on it; ``made`` None: it does not say when."""

    name: str
    zone: str
    bytes: int
    shown: bool
    made: datetime | None


@dataclass(frozen=True, slots=True)
class Holding:
    """All that one project has in the store schema. ``fingerprints``: what its schemas of views show."""

    builds: tuple[Entry, ...]
    tables: tuple[Table, ...]
    fingerprints: frozenset[str]


def holding(relations: Relations) -> Holding:
    """Look at what the project of ``relations`` has. Nothing where there is no store schema yet."""
    project = relations.warehouse.project
    with relations.warehouse.session() as own:
        there = own.execute(f"SELECT to_regclass('{SCHEMA}.kitchens') IS NOT NULL").fetchone()
        if not (there and there[0]):
            return Holding((), (), frozenset())
        builds = own.execute(
            f"SELECT zone, fingerprint, manifest FROM {SCHEMA}.builds "
            "WHERE zone = %s OR starts_with(zone, %s) ORDER BY 1, 2",
            [f"trusted {project}", f"sandbox {project} "],
        ).fetchall()
        tables = own.execute(
            "SELECT c.relname, pg_catalog.obj_description(c.oid, 'pg_class'), "
            "pg_catalog.pg_total_relation_size(c.oid), EXISTS (SELECT 1 FROM pg_catalog.pg_depend d "
            "WHERE d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjid = c.oid "
            "AND d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass) "
            "FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
            f"WHERE n.nspname = '{SCHEMA}' AND c.relkind = 'r' ORDER BY 1"
        ).fetchall()
        shown = own.execute(f"SELECT shown FROM {SCHEMA}.kitchens WHERE project = %s", [project]).fetchall()
    return Holding(
        tuple(Entry(str(z), str(f), len(m), _build(m)) for z, f, m in builds),
        tuple(t for row in tables if (t := _table(relations, *row)) is not None),
        frozenset(key.split(" ")[0] for (text,) in shown for key in _json(text).values()),
    )


def _build(manifest: str) -> Build | None:
    try:
        return build_from_json(json.loads(manifest))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def _table(relations: Relations, name: str, comment: str | None, size: int, shown: bool) -> Table | None:
    """A table that was written by this project; None for every other, whatever its comment says."""
    stamp = _json(comment or "")
    zone, dataset, content = (str(stamp.get(key, "")) for key in ("zone", "dataset", "content"))
    words = zone.split(" ")
    ours = len(words) in (2, 3) and words[1] == relations.warehouse.project
    if not ours or relations.name(dataset, content, zone=zone) != name:
        return None
    made = stamp.get("made")
    try:
        when = datetime.fromisoformat(made) if isinstance(made, str) else None
    except ValueError:
        when = None
    return Table(name, zone, size, shown, when)


def _json(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


# --- what may go -------------------------------------------------------------------------------------


def unused(
    held: Holding, references: Collection[str], *, zones: Collection[str], before: datetime
) -> tuple[list[Entry], list[Table]]:
    """Builds and tables of ``zones`` that may go, in this order. Pure.

    ``references`` are fingerprints that must stay; ``before``: what is younger stays, whoever refers to it.
    """
    wanted = set(references) | held.fingerprints
    kept: list[Entry] = []
    loose: list[Entry] = []
    for entry in held.builds:
        young = (finished := entry.finished) is not None and finished > before
        stays = entry.zone not in zones or entry.fingerprint in wanted or young
        (kept if stays else loose).append(entry)
    live = {name for entry in kept for name in entry.relations} | {t.name for t in held.tables if t.shown}
    spared = _free_of_charge(loose, live)
    gone = [entry for entry in loose if entry not in spared]
    if any(entry.build is None for entry in kept):
        return gone, []  # which tables it needs is not known: all stay until it is built again
    tables = [
        t
        for t in held.tables
        if t.zone in zones and t.name not in live and not (t.made is not None and t.made > before)
    ]
    return gone, tables


def _free_of_charge(loose: Iterable[Entry], live: Collection[str]) -> list[Entry]:
    """Of the builds that nobody names, those whose tables stay anyway: of equal ones the newest."""
    newest: dict[tuple[str, str, frozenset[str]], Entry] = {}
    for entry in loose:
        if entry.build is not None and entry.relations and entry.relations <= set(live):
            key = (entry.zone, entry.build.node, entry.relations)
            if key not in newest or newest[key].build.finished < entry.build.finished:  # type: ignore[union-attr]
                newest[key] = entry
    return list(newest.values())


# --- removing ----------------------------------------------------------------------------------------


def remove(relations: Relations, builds: Sequence[Entry], tables: Sequence[Table]) -> list[tuple[str, str]]:
    """Remove builds, then tables, each table by itself; returns what was left, and why.

    Killed anywhere, it leaves tables without a build, which the next look finds, and no build without its
    tables.
    """
    left: list[tuple[str, str]] = []
    for start in range(0, len(builds), AT_ONCE):
        part = builds[start : start + AT_ONCE]
        with relations.warehouse.writing() as own:
            own.execute(
                f"DELETE FROM {SCHEMA}.builds b USING unnest(%s::text[], %s::text[]) AS g(zone, fingerprint) "
                "WHERE b.zone = g.zone AND b.fingerprint = g.fingerprint",
                [[e.zone for e in part], [e.fingerprint for e in part]],
            )
    for table in tables:
        try:
            with relations.warehouse.writing() as own:
                own.execute("SET LOCAL lock_timeout = '2s'")
                own.execute(f"DROP TABLE IF EXISTS {quoted(SCHEMA, table.name)}")
        except SqlError as error:  # somebody's view has come to stand on it, or it is another role's
            left.append((f"{SCHEMA}.{table.name}", error.message))
        except Infrastructure as error:
            if error.problems[0].code != "lock":
                raise
            left.append((f"{SCHEMA}.{table.name}", "somebody reads it; the same command later takes it"))
    relations.forget()
    return left

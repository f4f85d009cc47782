"""The store schema of a warehouse: physical tables written once, and the builds that name them.

    gitkitchen_store.v_<40 hex>   one version's rows; the name comes from zone, dataset and content
    gitkitchen_store.builds       manifests, so that every machine that has the warehouse has them
    gitkitchen_store.kitchens     which schema of views is whose, and which publication it shows
    gitkitchen_store.ledgers      whose references must be known before anything of a project is cleared up

Zones are kept apart as in a folder: a name of one zone is no name of another, an environment reads
``trusted`` alone, a sandbox its own and ``trusted``.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from gitkitchen.data.engines.postgres_server import Warehouse
from gitkitchen.data.engines.postgres_sql import quoted
from gitkitchen.data.manifest import build_from_json, build_to_json
from gitkitchen.data.stores.claims import MOST, claimed
from gitkitchen.data.stores.contract import NAMESPACE
from gitkitchen.errors import Infrastructure, Problem
from gitkitchen.model import Build, FileEntry, TestResult, Version

if TYPE_CHECKING:
    from gitkitchen.data.store import FolderStore
    from gitkitchen.data.stores import Store

SCHEMA = "gitkitchen_store"
_LOCK = "hashtextextended('gitkitchen_store', 0)"
_CREATE = f"""
CREATE TABLE IF NOT EXISTS {SCHEMA}.builds (
  zone text, fingerprint text, manifest text NOT NULL, PRIMARY KEY (zone, fingerprint));
CREATE TABLE IF NOT EXISTS {SCHEMA}.kitchens (
  schema text PRIMARY KEY, project text NOT NULL, namespace text NOT NULL, sequence bigint NOT NULL,
  shown text NOT NULL, changed timestamptz NOT NULL DEFAULT now());
CREATE TABLE IF NOT EXISTS {SCHEMA}.ledgers (
  project text, ledger text, seen timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (project, ledger))
"""


class Relations:
    """The physical tables of one warehouse, as far as one kitchen has to do with them."""

    def __init__(self, warehouse: Warehouse, *, namespace: str, zone: Literal["trusted", "sandbox"]) -> None:
        self.warehouse = warehouse
        trusted = f"trusted {warehouse.project}"
        self.zone = trusted if zone == "trusted" else self.sandbox(namespace)
        self.zones = (self.zone,) if zone == "trusted" else (self.zone, trusted)
        self._lock = threading.RLock()
        self._tables: dict[str, int | None] | None = None
        """Table to the rows that were ever put into it (0: it is empty, -1: some were changed or removed);
        None where nothing is known of it, or it was made just now."""
        self._damaged: dict[str, bool] = {}
        self._builds: dict[str, str] = {}
        self._ready = False

    def sandbox(self, namespace: str) -> str:
        """The name of a sandbox's zone."""
        return f"sandbox {self.warehouse.project} {namespace}"

    def name(self, dataset: str, content: str, *, zone: str | None = None) -> str:
        """The name of a version's table: 42 bytes, another one in every zone."""
        identity = json.dumps([zone or self.zone, dataset, content], separators=(",", ":"))
        return f"v_{sha256(identity.encode()).hexdigest()[:40]}"

    def is_readable(self, version: Version) -> bool:
        """Whether a version's table has the name that this content has in a zone that this kitchen reads: a
        manifest, wherever it comes from, cannot lead an environment to a sandbox's table."""
        names = {self.name(version.dataset, version.content, zone=zone) for zone in self.zones}
        return version.relation in names

    def make_ready(self) -> None:
        """Make the store schema where it is not there yet. Infrastructure where the role may not."""
        with self._lock:
            if self._ready:
                return
            with self.warehouse.session() as own:
                there = own.execute(f"SELECT to_regclass('{SCHEMA}.ledgers') IS NOT NULL").fetchone()
            if not (there and there[0]):
                self._make()
            self._ready = True

    def _make(self) -> None:
        from gitkitchen.data.engines.errors import SqlError

        try:
            with self.warehouse.writing() as own:
                own.execute(f"SELECT pg_advisory_xact_lock({_LOCK})")
                # IF NOT EXISTS would ask for the right to create also where an administrator made it.
                there = own.execute(f"SELECT to_regnamespace('{SCHEMA}') IS NOT NULL").fetchone()
                if not (there and there[0]):
                    own.execute(f"CREATE SCHEMA {SCHEMA}")
                own.execute(_CREATE)
        except SqlError as error:
            message = f"the warehouse's schema {SCHEMA} cannot be made: {error.message}"
            hint = f"GRANT CREATE ON DATABASE … TO the role, or CREATE SCHEMA {SCHEMA} AUTHORIZATION the role"
            raise Infrastructure(Problem(message, hint=hint, code="store")) from error

    @contextmanager
    def at_work(self, ledger: str) -> Iterator[None]:
        """A run of this project is at work, whose publications and records are in ``ledger``."""
        self.make_ready()
        with self.warehouse.at_work():
            with self.warehouse.writing() as own:
                own.execute(
                    f"INSERT INTO {SCHEMA}.ledgers VALUES (%s, %s) "
                    "ON CONFLICT (project, ledger) DO UPDATE SET seen = now()",
                    [self.warehouse.project, ledger],
                )
            yield

    def other_ledgers(self, ledger: str, seconds: float) -> bool:
        """Whether a run with another ledger than ours was at work here within so many seconds."""
        with self.warehouse.session() as own:
            there = own.execute(f"SELECT to_regclass('{SCHEMA}.ledgers') IS NOT NULL").fetchone()
            if not (there and there[0]):
                return False
            row = own.execute(
                f"SELECT count(*) FROM {SCHEMA}.ledgers WHERE project = %s AND ledger <> %s "
                "AND seen > now() - make_interval(secs => %s)",
                [self.warehouse.project, ledger, seconds],
            ).fetchone()
        return bool(row and row[0])

    def present(self, relation: str) -> bool:
        """Whether a table is there. All are asked for once."""
        self._load()
        assert self._tables is not None
        return relation in self._tables

    def add(self, relation: str) -> None:
        """A table was made."""
        with self._lock:
            if self._tables is not None:
                self._tables[relation] = None
                self._damaged.pop(relation, None)

    def forget(self) -> None:
        """Ask the server anew when next asked."""
        with self._lock:
            self._tables = None
            self._damaged = {}

    def complete(self, version: Version) -> bool:
        """Whether the table of a version is there; of a view, those of its inputs. What another engine built
        before this project had a warehouse is not."""
        if version.format == "table":
            relation = version.relation
            there = relation is not None and self.is_readable(version) and self.present(relation)
            return there and not self.damaged(version)
        return all(self.complete(v) for v in version.inputs.values())

    def damaged(self, version: Version) -> bool:
        """Whether somebody wrote to the table of a version since it was made. The server counts what is put
        into a table, changed and removed; only where that, or an estimate of its rows that is gone, says
        that something happened, the rows are read and compared with their digest, once."""
        relation = str(version.relation)
        with self._lock:
            put = (self._tables or {}).get(relation)
            known = self._damaged.get(relation)
        if put is None or put == version.rows:
            return False
        if known is None:
            known = bool(self.verify(version))
            with self._lock:
                self._damaged[relation] = known
        return known

    def _load(self) -> None:
        with self._lock:
            if self._tables is not None:
                return
            with self.warehouse.session() as own:
                # Nothing here waits for a lock that somebody has on a table. Counts that are all 0 are those
                # of a server that lost its statistics: they say nothing. A table that was emptied has no
                # estimate of its rows any more; each was given one when it was made.
                rows = own.execute(
                    "SELECT c.relname, CASE WHEN pg_catalog.pg_stat_get_tuples_updated(c.oid) > 0 "
                    "OR pg_catalog.pg_stat_get_tuples_deleted(c.oid) > 0 THEN -1 "
                    "WHEN c.reltuples < 0 THEN 0 "
                    "ELSE nullif(pg_catalog.pg_stat_get_tuples_inserted(c.oid), 0) END "
                    "FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n "
                    f"ON n.oid = c.relnamespace WHERE n.nspname = '{SCHEMA}' AND c.relkind = 'r'"
                ).fetchall()
                self._tables = {str(name): None if put is None else int(put) for name, put in rows}
                if "builds" in self._tables:
                    # The own zone last: what both zones have is taken from there.
                    found = own.execute(
                        f"SELECT fingerprint, zone FROM {SCHEMA}.builds WHERE zone = ANY(%s) "
                        "ORDER BY zone = %s",
                        [list(self.zones), self.zone],
                    ).fetchall()
                    self._builds = {str(f): str(z) for f, z in found}

    # --- builds ----------------------------------------------------------------------------------

    def save(self, build: Build) -> None:
        """Keep a manifest beside the tables that it names."""
        self.make_ready()
        text = json.dumps(build_to_json(build), separators=(",", ":")).replace("\\u0000", "")
        with self.warehouse.writing() as own:
            own.execute(
                f"INSERT INTO {SCHEMA}.builds VALUES (%s, %s, %s) "
                "ON CONFLICT (zone, fingerprint) DO UPDATE SET manifest = excluded.manifest",
                [self.zone, build.fingerprint, text],
            )
        with self._lock:
            self._builds[build.fingerprint] = self.zone

    def has(self, fingerprint: str) -> bool:
        """Whether some machine saved a build of this fingerprint here."""
        self._load()
        return fingerprint in self._builds

    def find(self, fingerprint: str) -> Build | None:
        """The build of a fingerprint that some machine made here; None where none can be read."""
        self._load()
        zone = self._builds.get(fingerprint)
        if zone is None:
            return None
        with self.warehouse.session() as own:
            row = own.execute(
                f"SELECT manifest FROM {SCHEMA}.builds WHERE zone = %s AND fingerprint = %s",
                [zone, fingerprint],
            ).fetchone()
        try:
            build = build_from_json(json.loads(row[0])) if row else None
        except (ValueError, KeyError, TypeError, AttributeError):
            return None
        return build if build is not None and build.fingerprint == fingerprint else None

    def offered(self, namespace: str, fingerprint: str) -> Build | None:
        """What a sandbox's zone says of a fingerprint: a claim. Its tables have names of that zone."""
        self._load()
        if not NAMESPACE.fullmatch(namespace) or "builds" not in (self._tables or ()):
            return None
        with self.warehouse.session() as own:
            row = own.execute(
                f"SELECT manifest FROM {SCHEMA}.builds WHERE zone = %s AND fingerprint = %s "
                "AND octet_length(manifest) <= %s",
                [self.sandbox(namespace), fingerprint, MOST],
            ).fetchone()
        build = claimed(str(row[0]).encode("utf-8", "replace"), fingerprint) if row else None
        return build if build is not None and self.is_of(namespace, build) else None

    def is_of(self, namespace: str, build: Build) -> bool:
        """Whether all tables of a build have the names that their content has in a sandbox's zone."""
        zone = self.sandbox(namespace)
        return all(
            v.relation == self.name(v.dataset, v.content, zone=zone)
            for v in build.versions.values()
            if v.relation is not None
        )

    def verify(self, version: Version) -> list[Problem]:
        """Whether a table still has the rows that it was written with."""
        from gitkitchen.data.engines.errors import SqlError
        from gitkitchen.data.engines.postgres_versions import measured

        assert version.relation is not None
        try:
            with self.warehouse.session() as own:
                content = measured(own, quoted(SCHEMA, version.relation))[2]
            reason = "" if content == version.content else "holds other rows than were written"
        except SqlError as error:
            reason = f"cannot be read: {error.message}"
        if not reason:
            return []
        message = f"dataset '{version.dataset}': the warehouse's table {version.relation} {reason}"
        hint = "run the recipe again: it is built anew"
        return [Problem(message, hint=hint, code="damaged-table")]

    # --- what nobody needs ------------------------------------------------------------------------

    def unused(self, needed: Iterable[str]) -> list[str]:
        """The tables of this kitchen's own zone that no manifest in ``needed`` names, for collection."""
        self.forget()
        kept = set(needed)
        with self.warehouse.session() as own:
            rows = own.execute(
                "SELECT c.relname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n "
                f"ON n.oid = c.relnamespace WHERE n.nspname = '{SCHEMA}' AND c.relkind = 'r' "
                "AND pg_catalog.obj_description(c.oid, 'pg_class')::json ->> 'zone' = %s ",
                [self.zone],
            ).fetchall()
        return sorted({str(row[0]) for row in rows} - kept)

    def remove(self, relations: Sequence[str], fingerprints: Sequence[str] = ()) -> None:
        """Drop tables of the own zone and the manifests of builds. A table that a view shows is refused."""
        with self.warehouse.writing() as own:
            own.execute(
                f"DELETE FROM {SCHEMA}.builds WHERE zone = %s AND fingerprint = ANY(%s)",
                [self.zone, list(fingerprints)],
            )
            for relation in relations:
                own.execute(f"DROP TABLE IF EXISTS {quoted(SCHEMA, relation)}")
        self.forget()

    def clear(self) -> None:
        """Remove all tables and manifests of the own zone: its kitchen is over."""
        self.make_ready()
        self.remove(self.unused(()))
        with self.warehouse.writing() as own:
            own.execute(f"DELETE FROM {SCHEMA}.builds WHERE zone = %s", [self.zone])


class WarehouseStore:
    """The project's store, of which tables live in a warehouse: files, builds and verdicts are the inner
    store's, builds are the warehouse's too, and none is found whose tables are not there."""

    def __init__(self, inner: Store, relations: Relations) -> None:
        self.inner, self.relations = inner, relations
        # A folder, or a cache of a remote store, which is one.
        cast("FolderStore", inner).elsewhere = True

    def __getattr__(self, name: str) -> Any:
        # Files and verdicts are the inner store's own affair, whatever store it is.
        return getattr(self.inner, name)

    def complete(self, version: Version) -> bool:
        return self.inner.complete(version) and self.relations.complete(version)

    def save(self, build: Build) -> None:
        """Keep a build here and in the warehouse."""
        self.inner.save(build)
        if any(v.format != "file" for v in build.versions.values()):
            self.relations.save(build)

    def find(self, fingerprint: str) -> Build | None:
        """The build of a fingerprint, made here or by another machine; None where a table is gone."""
        # A folder first, then the warehouse, and what is far away last.
        places = (self.relations, self.inner) if self.inner.lazy else (self.inner, self.relations)
        for place in places:
            build = place.find(fingerprint)
            if build is not None and all(self.complete(v) for v in build.versions.values()):
                return build
        return None

    def manifest(self, fingerprint: str) -> Build | None:
        """What a build says of itself, whether or not its data is there."""
        return self.inner.manifest(fingerprint) or self.relations.find(fingerprint)

    def stands(self, version: Version) -> bool:
        """Whether all tables under a version are there, whoever wrote to them."""
        return all(self.relations.present(str(table.relation)) for table in _tables_of(version))

    def expect(self, fingerprints: Iterable[str]) -> None:
        """Say which builds will be asked for; those of the warehouse need not be looked up one by one."""
        if self.inner.lazy:
            self.inner.expect([f for f in fingerprints if not self.relations.has(f)])

    def verify(self, version: Version) -> list[Problem]:
        """Every file and every table of a version read again and compared with its digest."""
        problems = list(self.inner.verify(version)) if version.files else []
        if version.relation is not None:
            problems += self.relations.verify(version)
        for inner in version.inputs.values():
            problems += self.verify(inner)
        return problems

    def altered(self, version: Version) -> list[Problem]:
        """As ``verify``; files that are not on this machine were not read here."""
        problems = list(self.inner.altered(version))
        for each in _tables_of(version):
            problems += self.relations.verify(each)
        return problems

    def harmed(self, fingerprint: str, dataset: str, *, thoroughly: bool) -> list[Problem]:
        """As the inner store says of files; and what somebody did to tables."""
        build = self.manifest(fingerprint)
        version = build.versions.get(dataset) if build is not None else None
        if version is None:
            return []
        problems = self.inner.harmed(fingerprint, dataset, thoroughly=thoroughly)
        for table in _tables_of(version):
            if not self.relations.present(str(table.relation)):
                message = f"dataset '{dataset}': the warehouse's table {table.relation} is gone"
                hint = "run the recipe again: it is built anew"
                problems.append(Problem(message, hint=hint, code="damaged-table"))
            elif thoroughly or self.relations.damaged(table):
                problems += self.relations.verify(table)
        return problems

    # --- what sandboxes claim ----------------------------------------------------------------------

    def offered(self, namespace: str, fingerprint: str) -> Build | None:
        """What a sandbox's zone says of a fingerprint: a claim, to be checked by whoever asks."""
        return self.relations.offered(namespace, fingerprint) or self.inner.offered(namespace, fingerprint)

    def take(self, namespace: str, build: Build) -> Build:
        """Copy the files of a claim into the own zone, each verified. Its tables are still the sandbox's: the
        engine takes them. ValueError where one is not of that zone, or a file differs."""
        if not self.relations.is_of(namespace, build):
            raise ValueError("names tables that are not the sandbox's")
        return self.inner.take(namespace, build)

    def sync(self, builds: Iterable[Build]) -> None:
        """Wait until what the inner store keeps is on the disk. The server has committed tables, and their
        manifests too: what a folder has of these is a copy that may be lost."""
        if not self.inner.lazy:
            builds = [b for b in builds if any(v.files for v in b.versions.values())]
        self.inner.sync([b for b in builds if self.inner.find(b.fingerprint) is not None])

    # Named here for those who look them up by type.

    def path(self, file: FileEntry) -> Path:
        return self.inner.path(file)

    def save_verdict(self, key: str, result: TestResult) -> None:
        self.inner.save_verdict(key, result)

    def find_verdict(self, key: str) -> TestResult | None:
        return self.inner.find_verdict(key)


def _tables_of(version: Version) -> list[Version]:
    """A version that is a table; of a view, the tables under it."""
    if version.relation is not None:
        return [version]
    return [t for inner in version.inputs.values() for t in _tables_of(inner)]

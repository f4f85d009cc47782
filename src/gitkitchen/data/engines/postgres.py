"""PostgreSQL as the engine of a kitchen: versions are physical tables of the store schema.

What users write runs as a derived table of one SELECT of ours, in which the datasets that it names are
common table expressions over their versions. Reading sessions read only; a version is written once, in
one transaction, under a temporary name, and gets its name when its rows are measured.
"""

from __future__ import annotations

import json
import re
import secrets
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gitkitchen.data.diff_postgres import POSTGRES
from gitkitchen.data.engines.contract import Written
from gitkitchen.data.engines.errors import SqlError
from gitkitchen.data.engines.postgres_cursor import Cursor
from gitkitchen.data.engines.postgres_loading import (
    Loader,
    copy_in,
    copy_out,
    exported,
    numeric_bounds,
    scratch,
)
from gitkitchen.data.engines.postgres_server import Warehouse
from gitkitchen.data.engines.postgres_sql import (
    Read,
    inlined,
    literal,
    one_select,
    quoted,
    refuse_functions,
    refuse_names,
    told,
)
from gitkitchen.data.engines.postgres_store import SCHEMA, WarehouseStore
from gitkitchen.data.engines.postgres_taking import copy_plain, holds, replace_damaged
from gitkitchen.data.engines.postgres_versions import (
    ROW,
    SCHEME,
    bindings,
    in_place,
    measured,
    relation,
    renamed,
    standing,
)
from gitkitchen.data.sql import quote_identifier
from gitkitchen.errors import Infrastructure, Mistake, Problem
from gitkitchen.files import digest
from gitkitchen.model import Column, Materialize, Version

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection
    from psycopg import Connection

    from gitkitchen.data.diff_dialect import Dialect
    from gitkitchen.data.stores import Store

UNCALLABLE = (
    *("internal", "trigger", "event_trigger", "language_handler"),
    *("fdw_handler", "index_am_handler", "table_am_handler", "tsm_handler"),
)
"""Results of functions that no SELECT can call: their names (``system``) are free for columns."""


class Engine:
    """The engine of one run or query on a warehouse. Threads share it, each with a cursor of its own."""

    def __init__(self, store: WarehouseStore) -> None:
        self.store = store
        self.relations = store.relations
        self.warehouse: Warehouse = store.relations.warehouse
        self.names: dict[str, Version] = {}
        self._cursors: dict[int, Cursor] = {}
        self._imports: dict[int, DuckDBPyConnection] = {}
        self._loader: Loader | None = None
        self._exports: dict[str, Path] = {}
        self._volatile: dict[str, bool | None] = {}
        self._lock = threading.RLock()
        self._exporting = threading.Lock()

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def close(self) -> None:
        for cursor in self._cursors.values():
            cursor.close()
        self._cursors = {}
        if self._loader is not None:
            self._loader.close()
        for path in self._exports.values():
            path.unlink(missing_ok=True)
        self.warehouse.close()

    # --- names -----------------------------------------------------------------------------------

    def register(self, name: str, version: Version) -> None:
        """Let ``name`` stand for a version on every cursor."""
        relation(version)
        with self._lock:
            self.names = {**self.names, name: version}

    def offer(self, versions: Mapping[str, Version]) -> None:
        """Let names stand for versions: tables that are there cost nothing until they are named."""
        for name, version in versions.items():
            self.register(name, version)

    def cursor(self) -> Cursor:
        """The calling thread's cursor, with a session of its own once it is used. An interrupt of it reaches
        all that this thread does."""
        here = threading.get_ident()
        with self._lock:
            if here not in self._cursors:
                self._cursors[here] = Cursor(self)
            return self._cursors[here]

    def interrupt(self, cursor: Cursor) -> None:
        """Stop what a cursor is doing, or the loading of files in its thread. Other sessions go on."""
        loading = self._imports.get(cursor.thread)
        if loading is not None:
            import duckdb

            with suppress(duckdb.Error):
                loading.interrupt()
        cursor.interrupt()

    def bound(self, sql: str, names: Mapping[str, Version]) -> str:
        """A SELECT with the names that it uses bound to versions, in a WITH clause on one line before it."""
        words = set(re.findall(r"\w+", sql))
        used = {n: v for n, v in names.items() if n in words or quote_identifier(n) in sql}
        return f"{bindings(used)} {sql}".lstrip()

    def allow(self, read: Read, known: Mapping[str, Version]) -> None:
        """Refuse functions that may have effects, as this database knows them; and tables of the server that
        are no datasets (``known``)."""
        for table in read.tables:
            if table.lower().startswith("pg_") and table not in known:
                raise SqlError(f"`{table}` is not a dataset")
        with self._lock:
            new = sorted(read.words - self._volatile.keys())
        if new:
            with self.warehouse.session() as own:
                rows = own.execute(
                    "SELECT proname, bool_or(pronamespace = 'pg_catalog'::pg_catalog.regnamespace) "
                    "FROM pg_catalog.pg_proc WHERE provolatile = 'v' AND prokind <> 'a' "
                    "AND prorettype <> ALL (%s::text[]::pg_catalog.regtype[]) "
                    "AND lower(proname) = ANY(%s) GROUP BY 1",
                    [list(UNCALLABLE), new],
                ).fetchall()
            with self._lock:
                self._volatile |= dict.fromkeys(new)
                self._volatile |= {str(name).lower(): bool(own_) for name, own_ in rows}
        found = {w: v for w in read.words if (v := self._volatile[w]) is not None}
        refuse_functions(read, found)

    # --- queries ---------------------------------------------------------------------------------

    def parameters(self, sql: str) -> frozenset[str]:
        """The names of the ``$name`` parameters."""
        return one_select(sql).parameters

    def fetch(
        self, sql: str, *, params: Mapping[str, Any] | None = None, limit: int | None = None
    ) -> tuple[list[str], list[tuple[Any, ...]]]:
        """The column names and rows of one SELECT (at most ``limit`` rows)."""
        user = self._text(sql, params, self.names)
        some = "" if limit is None else f" LIMIT {int(limit)}"
        return self.cursor().rows(self._derived(user, self.names) + some, user=user)

    @property
    def diff(self) -> Dialect:
        """The words of a diff's SQL."""
        return POSTGRES

    def relation(self, name: str, version: Version, store: Store | None = None) -> str:
        """A version as it stands after FROM: its table, or its query."""
        del name  # the version says all
        if store is not None and not store.complete(version):
            hint = "run that kitchen again; what is lost is built anew"
            raise Mistake(
                Problem(f"dataset '{version.dataset}': its table is not in the warehouse", hint=hint)
            )
        return standing(version)

    def answers(self, sql: str) -> list[tuple[Any, ...]]:
        """The rows of one SELECT that was written here, over relations."""
        return self.cursor().answers(sql)

    def describe(
        self, sql: str, *, params: Mapping[str, Any] | None = None, cursor: Cursor | None = None
    ) -> tuple[Column, ...]:
        """The columns that one SELECT gives, without running it."""
        return self._described(cursor or self.cursor(), self._text(sql, params, self.names), self.names)

    def _described(self, cursor: Cursor, user: str, names: Mapping[str, Version]) -> tuple[Column, ...]:
        statement = self._derived(user, names) + " LIMIT 0"
        with cursor.working(statement, user) as connection:
            result = connection.execute(statement.encode(), prepare=True).pgresult
            assert result is not None
            fields = [(result.fname(i), result.ftype(i), result.fmod(i)) for i in range(result.nfields)]
            rows = connection.execute(
                "SELECT pg_catalog.format_type(t, m) FROM unnest(%s::oid[], %s::int[]) WITH ORDINALITY "
                "AS f(t, m, n) ORDER BY n",
                [[t for _, t, _ in fields], [m for _, _, m in fields]],
            ).fetchall()
        names_ = [(name or b"").decode() for name, _, _ in fields]
        return tuple(Column(name, told(str(row[0]))) for name, row in zip(names_, rows, strict=True))

    def _text(self, sql: str, params: Mapping[str, Any] | None, names: Mapping[str, Version]) -> str:
        """A user's SELECT, checked, its parameters in place."""
        read = one_select(sql)
        self.allow(read, names)
        missing = sorted(read.parameters - (params or {}).keys())
        if missing:
            raise SqlError(f"${missing[0]} has no value")
        return inlined(read.text, params)

    def _derived(self, user: str, names: Mapping[str, Version]) -> str:
        return self.bound(f"SELECT * FROM (\n{user}\n) AS {ROW}", names)

    # --- versions --------------------------------------------------------------------------------

    def write_table(
        self,
        dataset: str,
        sql: str,
        *,
        params: Mapping[str, Any] | None = None,
        partitions: Materialize | None = None,
        cursor: Cursor | None = None,
        inputs: Mapping[str, Version] | None = None,
        seconds: float | None = None,
        draft: Any = None,  # noqa: ARG002 - there is none
        kept: Any = None,  # noqa: ARG002 - there are no files of which it could be told
    ) -> Written:
        """Run one SELECT and keep its rows as a physical table."""
        if partitions is not None:
            message = "partitions are files, and a PostgreSQL warehouse keeps tables"
            raise Mistake(Problem(message, hint="write `materialize: table`", code="not-available"))
        names = self.names if inputs is None else inputs
        user = self._text(sql, params, names)
        select = self._derived(user, names)
        return self._written(dataset, select, cursor or self.cursor(), user=user, seconds=seconds)

    def draft(self, sql: str, **more: Any) -> None:
        """A table is measured where it is made, within its transaction."""

    def _written(
        self, dataset: str, select: str, cursor: Cursor, *, user: str = "", seconds: float | None = None
    ) -> Written:
        self.relations.make_ready()
        own = quoted(SCHEMA, f"tmp_{secrets.token_hex(12)}")
        statement = f"CREATE TABLE {own} AS {select}"
        with cursor.working(statement, user) as connection, self._transaction(connection, seconds):
            connection.execute(statement.encode(), prepare=True)
            return self._finish(dataset, connection, own)

    @contextmanager
    def _transaction(self, connection: Connection[Any], seconds: float | None = None) -> Iterator[None]:
        with connection.transaction():
            connection.execute("SET TRANSACTION READ WRITE")
            if seconds is not None:
                # The server's own watch, for the case that we are no longer there to cancel.
                connection.execute(f"SET LOCAL statement_timeout = {int(seconds * 1000) + 5000}")
            yield

    def take(self, version: Version) -> Written:
        """Copy the table of another zone into the own one, in one transaction, and measure the copy: whoever
        could write the original has no part in what was measured. Nothing is kept, and ValueError is
        raised, where it is not the plain table of the columns, rows and content that the version says."""
        self.relations.make_ready()
        own = quoted(SCHEMA, f"tmp_{secrets.token_hex(12)}")
        mine = self.cursor()
        try:
            with mine.working() as connection, self._transaction(connection):
                copy_plain(connection, str(version.relation), version.columns, own)
                return self._finish(version.dataset, connection, own, claimed=version)
        except SqlError as error:
            raise ValueError(error.message) from error
        except Infrastructure as error:
            if error.problems[0].code == "lock":  # somebody holds it: it is built
                raise ValueError(error.problems[0].message) from error
            raise

    def _finish(
        self, dataset: str, connection: Connection[Any], own: str, *, claimed: Version | None = None
    ) -> Written:
        """Measure the table just written and give it its name. Where that is taken, the table there is
        measured too: it is the same, or it is replaced."""
        columns, rows, content, stats = measured(connection, own)
        said = claimed and (claimed.columns, claimed.rows, claimed.content)
        if said is not None and said != (columns, rows, content):
            raise ValueError("its content is not what its manifest says")
        name = self.relations.name(dataset, content)
        stamp = {"zone": self.relations.zone, "dataset": dataset, "content": content}
        stamp["made"] = datetime.now(UTC).isoformat(timespec="seconds")
        connection.execute(f"COMMENT ON TABLE {own} IS {literal(json.dumps(stamp))}".encode())
        connection.execute(f"ANALYZE {own}")
        if not renamed(connection, own, name):
            if holds(connection, name, content):
                connection.execute(f"DROP TABLE {own}")
            else:
                replace_damaged(connection, own, name, dataset, self.relations)
        self.relations.add(name)
        return Written(columns, (), rows, content, stats, relation=name)

    def make_view(
        self,
        dataset: str,
        sql: str,
        inputs: Mapping[str, Version],
        *,
        params: Mapping[str, Any] | None = None,
        cursor: Cursor | None = None,
    ) -> Version:
        """A version that is its SQL over the versions of its inputs; nothing is written."""
        text = self._text(sql, params, inputs)
        columns = self._described(cursor or self.cursor(), text, inputs)
        if len({c.name for c in columns}) != len(columns):
            raise SqlError("two columns have one name: rename one")
        refuse_names([c.name for c in columns])
        content = digest(["view", SCHEME, text, {n: v.content for n, v in sorted(inputs.items())}])
        return Version(dataset, "view", "", content, columns, sql=text, inputs=dict(inputs))

    def join(self, dataset: str, parts: Sequence[Version]) -> Written:
        """The rows of several versions as one table."""
        return self._written(dataset, " UNION ALL ".join(relation(p) for p in parts), self.cursor())

    # --- files -----------------------------------------------------------------------------------

    def import_file(self, config: Mapping[str, Any], paths: Sequence[Path], *, dataset: str = "") -> Written:
        """Load the files of a source as a table."""
        with scratch(self.store.inner, ".csv") as csv, self._loading() as (loader, cursor):
            columns = loader.source_csv(cursor, config, paths, csv)
            return self._load(dataset, columns, csv)

    def import_parquet(self, path: Path, *, dataset: str = "") -> Written:
        """A Parquet file (or a folder of them) that a node wrote, as a table. ValueError where it is none."""
        with scratch(self.store.inner, ".csv") as csv, self._loading() as (loader, cursor):
            columns = loader.parquet_csv(cursor, path, csv)
            try:
                return self._load(dataset, columns, csv)
            except SqlError as error:
                raise ValueError(error.message) from error

    def import_table(self, dataset: str, config: Mapping[str, Any]) -> Written:
        """Copy what a table in place holds now: versions never change, and that table does."""
        return self._written(dataset, f"SELECT * FROM {in_place(config)}", self.cursor())

    def _load(self, dataset: str, columns: Sequence[tuple[str, str]], csv: Path) -> Written:
        self.relations.make_ready()
        own = quoted(SCHEMA, f"tmp_{secrets.token_hex(12)}")
        listed = ", ".join(f"{quote_identifier(name)} {kind}" for name, kind in columns)
        mine = self.cursor()
        with mine.working() as connection, self._transaction(connection):
            connection.execute(f"CREATE TABLE {own} ({listed})".encode())
            with connection.cursor() as cursor:
                copy_in(cursor, own, csv)
            return self._finish(dataset, connection, own)

    def export(self, name: str, version: Version) -> list[Path]:
        """A version as one Parquet file; it lasts as long as the engine."""
        del name  # the version says all
        key = version.relation or version.content
        with self._exporting:
            if key not in self._exports:
                self._exports[key] = self._exported(version)
            return [self._exports[key]]

    def _exported(self, version: Version) -> Path:
        target = self.store.inner.scratch(".parquet")
        mine = self.cursor()
        with scratch(self.store.inner, ".csv") as csv, self._loading() as (loader, _):
            select = relation(version)
            with mine.working() as connection, connection.cursor() as cursor:
                probe = cursor.execute(f"{select} LIMIT 0".encode()).pgresult
                assert probe is not None
                kinds = [(probe.ftype(i), probe.fmod(i)) for i in range(probe.nfields)]
                named = [c.name for c in version.columns]
                types = [
                    str(cursor.execute("SELECT pg_catalog.format_type(%s, %s)", k).fetchone()[0])  # type: ignore[index]
                    for k in kinds
                ]
                columns = list(zip(named, types, strict=True))
                bounds = numeric_bounds(cursor, select, [n for n, t in columns if t == "numeric"])
                copy_out(cursor, select, csv)
            loader.csv_parquet(csv, [(n, exported(bounds.get(n, t))) for n, t in columns], target)
        return target

    @contextmanager
    def _loading(self) -> Iterator[tuple[Loader, DuckDBPyConnection]]:
        with self._lock:
            if self._loader is None:
                self._loader = Loader(self.store.inner)
        cursor = self._loader.cursor()
        self._imports[threading.get_ident()] = cursor
        try:
            yield self._loader, cursor
        finally:
            del self._imports[threading.get_ident()]
            cursor.close()

"""DuckDB as the engine of a kitchen: user SQL sees datasets and nothing else.

Two instances, both in memory. The *locked* one runs whatever users wrote: it reads the store's folder
(without that, views over Parquet would fail) and no other file, no network, no environment, and its
settings cannot be changed. The *loader* runs only statements written here, on the files of sources.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import duckdb

from gitkitchen.data.diff_dialect import DUCKDB, Dialect
from gitkitchen.data.engines.contract import Draft, Written
from gitkitchen.data.engines.errors import Interrupted, SqlError
from gitkitchen.data.engines.loading import scan, told_by_line
from gitkitchen.data.engines.small import kept_cursor
from gitkitchen.data.engines.statements import explained, one_select, refuse_folded
from gitkitchen.data.engines.writing import (
    content_of,
    copy_partitions,
    copy_table,
    draft_table,
    keep_parquet,
    merge_stats,
    nobody,
)
from gitkitchen.data.sql import inline_parameters, literal, quote_identifier, read_parquet
from gitkitchen.data.store import writing
from gitkitchen.data.stores import Store
from gitkitchen.errors import Mistake, Problem
from gitkitchen.files import digest
from gitkitchen.model import Column, FileEntry, Materialize, Version

__all__ = ["Engine", "Interrupted", "SqlError", "Written", "relation"]


class Engine:
    """The engine of one run or query. Threads share it, each with a cursor of its own."""

    def __init__(self, store: Store, *, threads: int | None = None, memory_limit: str | None = None) -> None:
        self.store = store
        self._settings: dict[str, Any] = {"TimeZone": "UTC"}
        if threads is not None:
            self._settings["threads"] = threads
        if memory_limit is not None:
            self._settings["memory_limit"] = memory_limit
        with writing(store.root):
            store.root.mkdir(parents=True, exist_ok=True)
        self._locked = self._lock_down(duckdb.connect(":memory:"))
        self._loader: duckdb.DuckDBPyConnection | None = None
        self._versions: dict[str, Version] = {}
        self._offered: dict[str, tuple[str, Version]] = {}
        self._threads: dict[int, int] = {}
        self._imports: dict[int, duckdb.DuckDBPyConnection] = {}
        self._lock = threading.Lock()

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def close(self) -> None:
        for connection in (self._locked, self._loader):
            if connection is not None:
                connection.close()

    def _lock_down(self, connection: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyConnection:
        """In this order: first the store is allowed, then all else is closed, then the lock is shut."""
        self._set(connection)
        root = literal(str(self.store.root))
        connection.execute(f"SET allowed_directories = [{root}]")
        connection.execute("SET GLOBAL python_enable_replacements = false")  # no variables of ours as tables
        connection.execute("SET autoinstall_known_extensions = false")
        connection.execute("SET autoload_known_extensions = false")
        # User SQL spills into the store's temporary folder, never into the current one.
        connection.execute(f"SET temp_directory = {literal(str(self.store.scratch('.spill')))}")
        connection.execute("SET enable_external_access = false")
        connection.execute("SET lock_configuration = true")
        return connection

    def _set(self, connection: duckdb.DuckDBPyConnection) -> None:
        for name, value in self._settings.items():
            # GLOBAL: a cursor is a connection of its own and would not inherit a session's setting.
            connection.execute(f"SET GLOBAL {name} = {literal(value)}")

    # --- names -----------------------------------------------------------------------------------

    def register(self, name: str, version: Version, store: Store | None = None) -> None:
        """Let ``name`` stand for a version on every cursor. The view is made when first asked for here.

        ``store``: another kitchen's view of the same store, where the version is that kitchen's.
        """
        with self._lock:
            if self._versions.get(name) is version:
                return
            select = relation(version, store or self.store)
            with explained():
                self._locked.execute(f"CREATE OR REPLACE VIEW {quote_identifier(name)} AS {select}")
            self._versions[name] = version

    def offer(self, versions: Mapping[str, Version]) -> None:
        """Let names stand for versions. In a store that fetches when it is asked, what nobody names is not
        read: they are registered once ``fetch`` meets them."""
        if not self.store.lazy:
            for name, version in versions.items():
                self.register(name, version)
            return
        self._offered = {name.casefold(): (name, version) for name, version in versions.items()}

    def _register_named(self, text: str) -> None:
        if not self._offered:
            return
        try:
            with self.cursor() as cursor:
                named = {name.casefold() for name in cursor.get_table_names(text)}
        except duckdb.Error:  # what cannot be told of a few statements, such as PIVOT: then any may be named
            named = set(self._offered)
        for key in named & self._offered.keys():
            self.register(*self._offered[key])

    def cursor(self) -> duckdb.DuckDBPyConnection:
        """A cursor of the locked instance for the calling thread; it sees every registered name."""
        made = self._locked.cursor()
        self._threads[id(made)] = threading.get_ident()
        return made

    def interrupt(self, cursor: duckdb.DuckDBPyConnection) -> None:
        """Stop what a cursor, or the import of the thread it was made for, is doing: it gets Interrupted.

        Other threads' statements go on.
        """
        loading = self._imports.get(self._threads.get(id(cursor), 0))
        for busy in (cursor, loading):
            if busy is not None:
                with suppress(duckdb.Error):
                    busy.interrupt()

    # --- queries ---------------------------------------------------------------------------------

    def fetch(
        self, sql: str, *, params: Mapping[str, Any] | None = None, limit: int | None = None
    ) -> tuple[list[str], list[tuple[Any, ...]]]:
        """The column names and rows of one SELECT (at most ``limit`` rows).

        Moments with a zone come as text in UTC: as Python values they would need a package more. Intervals
        come as text too: Python's have no months.
        """
        text = one_select(sql)
        self._register_named(text)
        with explained(before=0), self.cursor() as cursor:
            given = dict(params) if params else None
            cursor.execute(text, given)
            shape = [(str(column[0]), str(column[1])) for column in cursor.description or ()]
            if any(_AS_TEXT.search(kind) for _, kind in shape):
                cursor.execute(_fetched_as_text(text, [kind for _, kind in shape]), given)
            rows = cursor.fetchall() if limit is None else cursor.fetchmany(limit)
        return [name for name, _ in shape], rows

    @property
    def diff(self) -> Dialect:
        """The words of a diff's SQL."""
        return DUCKDB

    def relation(self, name: str, version: Version, store: Store | None = None) -> str:
        """A version as it stands after FROM: a view of that name."""
        self.register(name, version, store)
        return quote_identifier(name)

    def answers(self, sql: str) -> list[tuple[Any, ...]]:
        """The rows of a SELECT that was written here, over registered names."""
        with explained(self.store, before=0), self.cursor() as cursor:
            return cursor.execute(sql).fetchall()

    def describe(
        self,
        sql: str,
        *,
        params: Mapping[str, Any] | None = None,
        cursor: duckdb.DuckDBPyConnection | None = None,
    ) -> tuple[Column, ...]:
        """The columns that one SELECT gives, without running it."""
        text = _inlined(sql, params)
        with explained():
            return columns_of(cursor or self.cursor(), f"SELECT * FROM (\n{text}\n)")

    # --- versions --------------------------------------------------------------------------------

    def write_table(
        self,
        dataset: str,  # noqa: ARG002 - engines with tables of their own name them by it
        sql: str,
        *,
        params: Mapping[str, Any] | None = None,
        partitions: Materialize | None = None,
        cursor: duckdb.DuckDBPyConnection | None = None,
        inputs: Mapping[str, Version] | None = None,
        seconds: float | None = None,  # noqa: ARG002 - for engines on a server, which outlives us
        draft: Draft | None = None,
        kept: Callable[[Sequence[FileEntry]], None] | None = None,
    ) -> Written:
        """Run one SELECT and keep its rows as Parquet. Raises SqlError, Interrupted, Infrastructure.

        Names stand for what was registered, or for ``inputs``: these need no view, which saves time.
        """
        text = one_select(sql)
        names = bindings(inputs, self.store) if inputs else ""
        with explained(self.store):
            own = cursor or self.cursor()
            if partitions is not None:
                return copy_partitions(own, self.store, text, params or {}, partitions, names)
            told = kept or nobody
            return copy_table(own, self.store, text, params or {}, names, draft=draft, kept=told)

    def draft(
        self,
        sql: str,
        *,
        params: Mapping[str, Any],
        inputs: Mapping[str, Version],
        cursor: duckdb.DuckDBPyConnection,
    ) -> Draft:
        """What ``write_table`` of the same arguments does first."""
        text = one_select(sql)
        with explained(self.store):
            return draft_table(cursor, self.store, text, params, bindings(inputs, self.store))

    def make_view(
        self,
        dataset: str,
        sql: str,
        inputs: Mapping[str, Version],
        *,
        params: Mapping[str, Any] | None = None,
        cursor: duckdb.DuckDBPyConnection | None = None,
    ) -> Version:
        """A version that is its SQL over the versions of its inputs; nothing is written."""
        text = _inlined(sql, params)
        with explained():
            own = cursor or self.cursor()
            columns = columns_of(own, f"(\n{text}\n)")
            refuse_folded([c.name for c in columns])
        content = digest(["view", text, {name: v.content for name, v in sorted(inputs.items())}])
        return Version(dataset, "view", "", content, columns, sql=text, inputs=dict(inputs))

    def parameters(self, sql: str) -> frozenset[str]:
        """The names of the ``$name`` parameters; SqlError where the text cannot be read."""
        with explained(before=0):
            return frozenset(n for s in kept_cursor().extract_statements(sql) for n in s.named_parameters)

    def export(self, name: str, version: Version) -> list[Path]:
        """The rows of a view written out as a file of the store."""
        self.register(name, version)
        written = self.write_table(name, f"SELECT * FROM {quote_identifier(name)}")
        return [self.store.path(f) for f in written.files]

    def join(self, dataset: str, parts: Sequence[Version]) -> Written:  # noqa: ARG002 - files have no name
        """The files of several versions as one: nothing is written anew."""
        files = tuple(f for part in parts for f in part.files)
        with self.cursor() as cursor:
            columns, rows, content = content_of(cursor, [self.store.path(f) for f in files])
        stats = merge_stats(columns, [p.stats for p in parts], [p.rows or 0 for p in parts])
        return Written(columns, files, rows, content, stats)

    def take(self, version: Version) -> Written:
        """There is no warehouse to have tables in zones."""
        raise ValueError(f"dataset '{version.dataset}' has no files")

    def import_table(self, dataset: str, config: Mapping[str, Any]) -> Written:
        """There is no warehouse to have a table in place."""
        what = f"source '{dataset}': the table {config.get('table')} needs a warehouse to stand in"
        hint = "declare `connections: {warehouse: {type: postgres, dsn: …}}`, or load a file"
        raise Mistake(Problem(what, hint=hint))

    def import_file(
        self,
        config: Mapping[str, Any],
        paths: Sequence[Path],
        *,
        dataset: str = "",  # noqa: ARG002 - files have no name
    ) -> Written:
        """Load the files of a source as a table. ``config`` is the source node's."""
        with explained(self.store, sources=True), told_by_line(config, paths), self._loading() as cursor:
            return copy_table(cursor, self.store, scan(config, paths), {})

    def import_parquet(self, path: Path, *, dataset: str = "") -> Written:  # noqa: ARG002 - files have no name
        """A Parquet file (or a folder of them) that a node wrote, as a table. ValueError where it is none."""
        with explained(self.store, sources=True), self._loading() as cursor:
            return keep_parquet(cursor, self.store, path)

    @contextmanager
    def _loading(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A cursor of the instance that may read any file; only this module gives it statements."""
        with self._lock:
            if self._loader is None:
                loader = duckdb.connect(":memory:")
                self._set(loader)
                loader.execute(f"SET temp_directory = {literal(str(self.store.scratch('.spill')))}")
                loader.execute("SET autoinstall_known_extensions = false")
                self._loader = loader
            cursor = self._loader.cursor()
        self._imports[threading.get_ident()] = cursor
        try:
            yield cursor
        finally:
            del self._imports[threading.get_ident()]
            cursor.close()


# --- statements ------------------------------------------------------------------------------------


def relation(version: Version, store: Store) -> str:
    """A version as a SELECT over files: for a view, its SQL with its inputs as CTEs around it."""
    if version.format == "table":
        return f"SELECT * FROM {read_parquet(store.paths(version))}"
    if version.format == "file":
        raise Mistake(Problem(f"dataset '{version.dataset}' is a file, not a table"))
    return f"{bindings(version.inputs, store)} SELECT * FROM (\n{version.sql}\n)"


def bindings(inputs: Mapping[str, Version], store: Store) -> str:
    """A WITH clause that binds names to versions, "" for none. One line, where no view is among them."""
    bound = [
        f"{quote_identifier(n)} AS NOT MATERIALIZED ({relation(v, store)})"
        for n, v in inputs.items()
        if v.format != "file"
    ]
    return f"WITH {', '.join(bound)}" if bound else ""


def columns_of(cursor: duckdb.DuckDBPyConnection, select: str) -> tuple[Column, ...]:
    """Names and types of a SELECT's columns, without running it."""
    rows = cursor.execute(f"DESCRIBE {select}").fetchall()
    return tuple(Column(str(row[0]), str(row[1])) for row in rows)


def _inlined(sql: str, params: Mapping[str, Any] | None) -> str:
    text = one_select(sql)
    return inline_parameters(text, params) if params else text


_AS_TEXT = re.compile(r"WITH TIME ZONE|\bINTERVAL\b")


def _fetched_as_text(text: str, kinds: Sequence[str]) -> str:
    """A SELECT with moments with a zone and intervals as text. Columns go by position: names may repeat."""
    names = [f"c{number}" for number in range(len(kinds))]
    values = [
        f"CAST({name} AS VARCHAR)" if _AS_TEXT.search(kind) else name
        for name, kind in zip(names, kinds, strict=True)
    ]
    return f"SELECT {', '.join(values)} FROM (\n{text}\n) AS t({', '.join(names)})"

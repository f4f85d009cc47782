"""The engine of a run, shared by its threads: made when first needed, one cursor a thread."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gitkitchen.model import Column, FileEntry, Materialize, Version
from gitkitchen.process import Cancel
from gitkitchen.run.context import Task

if TYPE_CHECKING:
    from gitkitchen.data.engines.contract import Engine, Written
    from gitkitchen.data.stores import Store


class Tables:
    """Reads and writes tables for the nodes of one run."""

    def __init__(self, factory: Callable[[], Engine], store: Store) -> None:
        self._factory, self._store = factory, store
        self._engine: Engine | None = None
        self._lock = threading.Lock()
        self._local = threading.local()
        self._registered: dict[str, Version] = {}
        self._busy: dict[int, Busy] = {}
        self.on_deadline: Callable[[], None] = lambda: None
        """Called when a time limit begins, so that somebody watches it."""

    @property
    def engine(self) -> Engine:
        """The engine; starting it imports DuckDB."""
        if self._engine is None:
            with self._lock:
                if self._engine is None:
                    self._engine = self._factory()
        return self._engine

    def cursor(self, versions: Mapping[str, Version]) -> Any:
        """This thread's cursor, on which ``versions`` can be read by their names."""
        engine = self.engine
        new = [n for n, v in versions.items() if v.format != "file" and self._registered.get(n) is not v]
        if new:
            with self._lock:
                for name in new:
                    engine.register(name, versions[name])
                    self._registered[name] = versions[name]
        cursor = getattr(self._local, "cursor", None)
        if cursor is None:
            cursor = self._local.cursor = engine.cursor()
        return cursor

    def version(self, task: Task, dataset: str, written: Written) -> Version:
        """What the engine wrote, as a version of ``dataset``."""
        return Version(
            dataset=dataset,
            format="table",
            fingerprint=task.fingerprint,
            content=written.content,
            columns=written.columns,
            files=written.files,
            rows=written.rows,
            stats=written.stats,
            relation=written.relation,
        )

    def import_parquet(self, task: Task, dataset: str, path: Path) -> Version:
        """A Parquet file that a node wrote, as a version. Raises ValueError where it is none."""
        with self.busy(self.cursor({}), task.cancel, None):
            written = self.engine.import_parquet(path, dataset=dataset)
        return self.version(task, dataset, written)

    def content(self, files: Sequence[FileEntry]) -> str:
        """The content digest of the rows of several files together."""
        from gitkitchen.data.engines.writing import content_of

        return content_of(self.cursor({}), [self._store.path(f) for f in files])[2]

    def measured(self, files: Sequence[FileEntry], cancel: Cancel) -> tuple[tuple[Column, ...], int, str]:
        """Columns, rows and the content digest of files that others wrote. SqlError where they are none."""
        from gitkitchen.data.engines.statements import explained
        from gitkitchen.data.engines.writing import content_of

        cursor = self.cursor({})
        with self.busy(cursor, cancel, None), explained(self._store):
            return content_of(cursor, [self._store.path(f) for f in files])

    def taken(self, version: Version, cancel: Cancel) -> Version:
        """A warehouse's table that a sandbox wrote, as a table of the own zone with the figures of the copy.
        ValueError where it is not what the version says."""
        with self.busy(self.cursor({}), cancel, None):
            written = self.engine.take(version)
        return replace(
            version,
            columns=written.columns,
            rows=written.rows,
            stats=written.stats,
            relation=written.relation,
        )

    def joined(self, dataset: str, parts: Sequence[Version]) -> Written:
        """The rows of several versions as one table of the warehouse."""
        return self.engine.join(dataset, parts)

    def files(self, name: str, version: Version) -> list[Path]:
        """The files of a version; a view, or a table without files, is written out first."""
        if version.files:
            return [self._store.path(f) for f in version.files]
        self.cursor({name: version})
        return self.engine.export(name, version)

    # --- interrupts ------------------------------------------------------------------------------

    @contextmanager
    def busy(self, cursor: Any, cancel: Cancel, timeout: float | None) -> Iterator[Busy]:
        """Mark this thread as inside the engine, so that ``interrupt`` reaches it."""
        mine = Busy(cursor, cancel, None if timeout is None else time.monotonic() + timeout)
        key = threading.get_ident()
        self._busy[key] = mine
        if timeout is not None:
            self.on_deadline()
        try:
            yield mine
        finally:
            del self._busy[key]

    def interrupt_due(self) -> float | None:
        """Interrupt what was cancelled or took too long; seconds until it must be looked at again.

        Asked again and again: an interrupt between two statements is forgotten by the engine.
        """
        wait: float | None = None
        now = time.monotonic()
        for busy in tuple(self._busy.values()):
            late = busy.deadline is not None and now >= busy.deadline
            if late or busy.cancel.is_set:
                busy.timed_out = busy.timed_out or (late and not busy.cancel.is_set)
                self.engine.interrupt(busy.cursor)
                if (also := busy.also) is not None:
                    also()
                wait = 0.05
            elif busy.deadline is not None:
                wait = min(busy.deadline - now, wait if wait is not None else busy.deadline - now)
        return wait

    def close(self) -> None:
        with self._lock:
            if self._engine is not None:
                self._engine.close()
                self._engine = None


class Busy:
    """A thread inside the engine. ``also``: what is to be called beside, to interrupt it."""

    __slots__ = ("also", "cancel", "cursor", "deadline", "timed_out")

    def __init__(self, cursor: Any, cancel: Cancel, deadline: float | None) -> None:
        self.cursor, self.cancel, self.deadline = cursor, cancel, deadline
        self.timed_out = False
        self.also: Callable[[], None] | None = None


def partitions_of(materialize: Materialize) -> Materialize | None:
    """What ``write_table`` takes: None for a table of one file."""
    return materialize if materialize.mode == "partitions" else None

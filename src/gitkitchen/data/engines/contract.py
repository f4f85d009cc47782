"""The one contract of engines: what a run, a query and the tests ask of whichever there is.

``tests/engines`` runs every engine through it. An engine keeps versions in its own way: files of the
store (DuckDB), or physical tables of a warehouse (PostgreSQL), which a version names as ``relation``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from gitkitchen.frozen import dataclass
from gitkitchen.model import Column, ColumnStats, FileEntry, Materialize, Version

if TYPE_CHECKING:
    from gitkitchen.data.diff_dialect import Dialect
    from gitkitchen.data.stores import Store


@dataclass(frozen=True, slots=True)
class Written:
    """What was written: columns, files in the store, row count, exact statistics, content digest."""

    columns: tuple[Column, ...]
    files: tuple[FileEntry, ...]
    rows: int
    content: str
    stats: Mapping[str, ColumnStats] = field(default_factory=dict)
    relation: str | None = None
    """The physical table of a warehouse that holds the rows, instead of files."""


@dataclass(frozen=True, slots=True)
class Draft:
    """The rows of one SELECT in a file that is not kept yet. ``asked`` are its names, text and values: it
    stands for nothing else."""

    asked: tuple[str, str, Mapping[str, Any]]
    path: Path
    returned: Any

    def discard(self) -> None:
        self.path.unlink(missing_ok=True)


class Engine(Protocol):
    """The engine of one run or query. Threads share it, each with a cursor of its own.

    Statements raise SqlError for what the user can mend, Interrupted after ``interrupt``, and
    Infrastructure where the engine or its storage does not answer.
    """

    def __enter__(self) -> Engine: ...
    def __exit__(self, *exception: object) -> None: ...
    def close(self) -> None: ...

    def register(self, name: str, version: Version) -> None:
        """Let ``name`` stand for a version on every cursor."""

    def offer(self, versions: Mapping[str, Version]) -> None:
        """Let names stand for versions in what ``fetch`` is asked; an engine may wait until it is asked."""

    def cursor(self) -> Any:
        """A cursor for the calling thread; it sees every registered name, and reads only."""

    def interrupt(self, cursor: Any) -> None:
        """Stop what a cursor (or the import of the thread that it was made for) is doing. Nothing else."""

    def parameters(self, sql: str) -> frozenset[str]:
        """The names of the ``$name`` parameters in one SELECT."""

    def fetch(
        self, sql: str, *, params: Mapping[str, Any] | None = None, limit: int | None = None
    ) -> tuple[list[str], list[tuple[Any, ...]]]:
        """The column names and rows of one SELECT. Moments with a zone and intervals come as text."""

    def relation(self, name: str, version: Version, store: Store | None = None) -> str:
        """What stands after FROM, in SQL written here, for a version. ``name`` may be made to stand for it;
        ``store``: another kitchen's view of the same store, where the version is that kitchen's."""

    def answers(self, sql: str) -> list[tuple[Any, ...]]:
        """The rows of one SELECT that was written here, over relations."""

    @property
    def diff(self) -> Dialect:
        """The words of a diff's SQL."""

    def describe(
        self, sql: str, *, params: Mapping[str, Any] | None = None, cursor: Any = None
    ) -> tuple[Column, ...]:
        """The columns that one SELECT gives, without running it."""

    def write_table(
        self,
        dataset: str,
        sql: str,
        *,
        params: Mapping[str, Any] | None = None,
        partitions: Materialize | None = None,
        cursor: Any = None,
        inputs: Mapping[str, Version] | None = None,
        seconds: float | None = None,
        draft: Draft | None = None,
        kept: Callable[[Sequence[FileEntry]], None] | None = None,
    ) -> Written:
        """Run one SELECT and keep its rows. ``inputs``: what its names stand for; ``seconds``: after
        these the engine may end it by itself. ``draft``: of the same statement, made before. ``kept`` may be
        told the files that hold the rows before the content digest is taken."""

    def draft(
        self, sql: str, *, params: Mapping[str, Any], inputs: Mapping[str, Version], cursor: Any
    ) -> Draft | None:
        """Execute what ``write_table`` will be asked, and keep nothing. Only where ``kept`` was told of the
        inputs' files; None where the engine does not do that."""

    def make_view(
        self,
        dataset: str,
        sql: str,
        inputs: Mapping[str, Version],
        *,
        params: Mapping[str, Any] | None = None,
        cursor: Any = None,
    ) -> Version:
        """A version that is its SQL over the versions of its inputs; nothing is written."""

    def import_file(self, config: Mapping[str, Any], paths: Sequence[Path], *, dataset: str = "") -> Written:
        """Load the files of a source as a table. ``config`` is the source node's."""

    def import_parquet(self, path: Path, *, dataset: str = "") -> Written:
        """A Parquet file (or a folder of them) as a table. ValueError where it is none."""

    def import_table(self, dataset: str, config: Mapping[str, Any]) -> Written:
        """Keep what a table in place (``source: {table: …}``) holds now."""

    def take(self, version: Version) -> Written:
        """Copy a table that lies in another zone of a warehouse into the own one. ValueError, and nothing is
        kept, where it is not what the version says. Versions of files are taken by the store."""

    def export(self, name: str, version: Version) -> list[Path]:
        """A version without files as Parquet files, for processes; they last as long as the engine."""

    def join(self, dataset: str, parts: Sequence[Version]) -> Written:
        """The rows of several versions of equal columns as one table."""

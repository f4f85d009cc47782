"""Rows between files and PostgreSQL: DuckDB reads and writes the files, COPY moves CSV.

In that CSV every value is quoted and NULL is not, so that an empty text stays one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gitkitchen.data.engines.errors import SqlError
from gitkitchen.data.engines.postgres_sql import loaded, refuse_names
from gitkitchen.data.sql import literal, quote_identifier, read_parquet

if TYPE_CHECKING:
    from collections.abc import Iterator

    from duckdb import DuckDBPyConnection

    from gitkitchen.data.stores import Store

CHUNK = 1 << 20
MOST_DIGITS = 38
"""What a decimal of Parquet holds."""


class Loader:
    """A DuckDB instance that may read any file; only this module and ``loading`` give it statements."""

    def __init__(self, store: Store) -> None:
        import duckdb

        self.store = store
        self._connection = duckdb.connect(":memory:")
        self._connection.execute("SET GLOBAL TimeZone = 'UTC'")
        self._connection.execute("SET autoinstall_known_extensions = false")
        self._connection.execute(f"SET temp_directory = {literal(str(store.scratch('.spill')))}")

    def cursor(self) -> DuckDBPyConnection:
        """A cursor for one thread; its import can be interrupted."""
        return self._connection.cursor()

    def close(self) -> None:
        self._connection.close()

    def source_csv(
        self, cursor: DuckDBPyConnection, config: Mapping[str, Any], paths: Sequence[Path], target: Path
    ) -> list[tuple[str, str]]:
        """A source's files as one CSV; its columns with their types of PostgreSQL."""
        from gitkitchen.data.engines.loading import scan, told_by_line
        from gitkitchen.data.engines.statements import explained

        with explained(self.store, sources=True), told_by_line(config, paths):
            return _csv(cursor, scan(config, paths), target)

    def parquet_csv(self, cursor: DuckDBPyConnection, path: Path, target: Path) -> list[tuple[str, str]]:
        """A Parquet file, or a folder of them, as one CSV. ValueError where it is none."""
        import duckdb

        from gitkitchen.data.engines.statements import explained

        found = sorted(path.glob("*.parquet")) if path.is_dir() else [path]
        if not found:
            raise ValueError("the folder holds no Parquet file")
        with explained(self.store, sources=True):
            try:
                return _csv(cursor, f"SELECT * FROM {read_parquet(found)}", target)
            except (duckdb.InvalidInputException, duckdb.IOException) as error:
                raise ValueError(str(error).strip().splitlines()[0]) from error

    def csv_parquet(self, source: Path, columns: Sequence[tuple[str, str]], target: Path) -> None:
        """A CSV of ours as Parquet; ``columns`` are names and DuckDB's types."""
        from gitkitchen.data.engines.statements import explained

        read = ", ".join(f"{literal(name)}: {literal(_text_type(kind))}" for name, kind in columns)
        values = ", ".join(_value_of(quote_identifier(name), kind) for name, kind in columns)
        with explained(self.store), self.cursor() as cursor:
            cursor.execute(
                f"COPY (SELECT {values} FROM read_csv({literal(str(source))}, columns = {{{read}}}, "
                "header = false, delim = ',', quote = '\"', escape = '\"', nullstr = '', "
                "allow_quoted_nulls = false, auto_detect = false, max_line_size = 1000000000)) "
                f"TO {literal(str(target))} (FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1)"
            )


def _csv(cursor: DuckDBPyConnection, select: str, target: Path) -> list[tuple[str, str]]:
    described = [(str(r[0]), str(r[1])) for r in cursor.execute(f"DESCRIBE {select}").fetchall()]
    refuse_names([name for name, _ in described])
    values = ", ".join(_sent(quote_identifier(name), kind) for name, kind in described)
    cursor.execute(
        f"COPY (SELECT {values} FROM ({select})) TO {literal(str(target))} "
        "(FORMAT csv, HEADER false, DELIM ',', QUOTE '\"', ESCAPE '\"', NULLSTR '', FORCE_QUOTE *)"
    )
    return [(name, loaded(kind)) for name, kind in described]


def _sent(name: str, kind: str) -> str:
    """A column as the text that PostgreSQL reads as the same value."""
    if kind == "BLOB":
        return f"'\\x' || hex({name}) AS {name}"
    if loaded(kind) == "jsonb":
        return f"CAST(to_json({name}) AS VARCHAR) AS {name}"
    return name


_EXPORTED = {
    "smallint": "SMALLINT", "integer": "INTEGER", "bigint": "BIGINT", "real": "FLOAT", "boolean": "BOOLEAN",
    "double precision": "DOUBLE", "date": "DATE", "uuid": "UUID", "bytea": "BLOB", "interval": "INTERVAL",
    "timestamp without time zone": "TIMESTAMP", "timestamp with time zone": "TIMESTAMP WITH TIME ZONE",
    "time without time zone": "TIME",
}  # fmt: skip


def exported(kind: str) -> str:
    """DuckDB's type for one of ``format_type()``'s: what no DECIMAL holds becomes DOUBLE, others text."""
    if kind in _EXPORTED:
        return _EXPORTED[kind]
    if kind.startswith("timestamp"):
        return "TIMESTAMP WITH TIME ZONE" if kind.endswith("with time zone") else "TIMESTAMP"
    if kind.startswith("numeric"):
        precision, _, scale = kind.removeprefix("numeric").strip("()").partition(",")
        fits = precision and int(precision) <= 38 and 0 <= int(scale or 0) <= int(precision)
        return f"DECIMAL({precision},{scale or 0})" if fits else "DOUBLE"
    return "VARCHAR"


def numeric_bounds(cursor: Any, select: str, columns: Sequence[str]) -> dict[str, str]:
    """The type ``numeric(38, scale)`` of each column of numbers without declared bounds whose values it
    holds exactly; what it cannot hold has none."""
    if not columns:
        return {}
    figures = ", ".join(
        f"coalesce(max(scale({n})), 0), coalesce(max(length(trunc(abs({n}))::text)), 1), "
        f"coalesce(bool_or({n} IN ('NaN', 'Infinity', '-Infinity')), FALSE)"
        for n in map(quote_identifier, columns)
    )
    row = cursor.execute(f"SELECT {figures} FROM ({select}) AS q".encode()).fetchone()
    found = {}
    for position, name in enumerate(columns):
        scale, digits, odd = row[3 * position : 3 * position + 3]
        if not odd and scale + digits <= MOST_DIGITS:
            found[name] = f"numeric({MOST_DIGITS},{scale})"
    return found


def _text_type(kind: str) -> str:
    return "VARCHAR" if kind in ("BLOB", "INTERVAL") else kind


def _value_of(name: str, kind: str) -> str:
    if kind == "BLOB":
        return f"unhex(substr({name}, 3)) AS {name}"
    return f"CAST({name} AS INTERVAL) AS {name}" if kind == "INTERVAL" else name


@contextmanager
def scratch(store: Store, suffix: str) -> Iterator[Path]:
    """A file of the store's temporary folder, gone afterwards."""
    path = store.scratch(suffix)
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)


def copy_in(cursor: Any, relation: str, path: Path) -> None:
    """Send a CSV of ours into a table. SqlError where the server refuses a row."""
    with (
        path.open("rb") as source,
        cursor.copy(f"COPY {relation} FROM STDIN (FORMAT csv, NULL '', ENCODING 'UTF8')") as copy,
    ):
        while chunk := source.read(CHUNK):
            copy.write(chunk)


def copy_out(cursor: Any, select: str, path: Path) -> None:
    """Receive the rows of a SELECT as a CSV of ours."""
    with (
        path.open("wb") as target,
        cursor.copy(
            f"COPY ({select}) TO STDOUT (FORMAT csv, NULL '', FORCE_QUOTE *, ENCODING 'UTF8')"
        ) as copy,
    ):
        for chunk in copy:
            target.write(chunk)


__all__ = ["Loader", "SqlError", "copy_in", "copy_out", "exported", "scratch"]

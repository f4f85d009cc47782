"""The one place where tests read the data: single SELECT statements on a cursor of the engine."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from gitkitchen.controls.asks import Misfit
from gitkitchen.controls.dialect import DIALECTS
from gitkitchen.data.diff_dialect import DUCKDB
from gitkitchen.data.diff_postgres import POSTGRES
from gitkitchen.data.engines.errors import SqlError
from gitkitchen.data.sql import quote_identifier
from gitkitchen.model import Column, Version

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from gitkitchen.data.diff_dialect import Dialect as DiffDialect
    from gitkitchen.data.engines.postgres_cursor import Cursor

_MOMENT = "TIMESTAMP WITH TIME ZONE"
_MICROSECONDS = "CASE WHEN isfinite({0}) THEN epoch_us({0}) WHEN {0} IS NOT NULL THEN 9223372036854775807 END"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST_WORDS = re.compile(r"^(?:[A-Z][A-Za-z]* )+Error: ")


class Reader:
    """A cursor on which datasets are views by their names. ``queries`` counts the statements sent.

    ``seconds`` is the wall time of the last statement.
    """

    def __init__(self, cursor: DuckDBPyConnection | Cursor) -> None:
        self._cursor: Any = cursor
        self.dialect = DIALECTS[getattr(cursor, "dialect", "duckdb")]
        self.queries = 0
        self.seconds = 0.0

    def fetch(self, sql: str) -> list[tuple[Any, ...]]:
        """The rows of one SELECT. ``Misfit`` with the engine's reason where it is none or fails."""
        return self._run(sql)[1]

    def fetch_named(self, sql: str) -> list[dict[str, Any]]:
        """The rows of one SELECT with their columns' names."""
        names, rows = self._run(sql)
        return [dict(zip(names, row, strict=True)) for row in rows]

    def answers(self, sql: str) -> list[tuple[Any, ...]]:
        """The rows of one SELECT that was written here, over what ``relation`` gives."""
        return self._run(sql, ours=True)[1]

    def relation(self, name: str, version: Version) -> str:
        """What stands after FROM for a version that can be read by ``name``."""
        if self.dialect.name != "duckdb":
            return str(self._cursor.relation(version))
        return quote_identifier(name)

    @property
    def diff(self) -> DiffDialect:
        """The words of a diff's SQL."""
        return DUCKDB if self.dialect.name == "duckdb" else POSTGRES

    def columns(self, dataset: str) -> tuple[Column, ...]:
        """The columns of a dataset as the engine sees them."""
        if self.dialect.name != "duckdb":
            try:
                return tuple(self._cursor.columns(dataset))
            except SqlError as error:
                raise Misfit(reason(error)) from error
        rows = self.fetch(
            "SELECT column_name, column_type FROM (DESCRIBE SELECT * FROM " + quote_identifier(dataset) + ")"
        )
        return tuple(Column(str(name), str(kind)) for name, kind in rows)

    def _run(self, sql: str, *, ours: bool = False) -> tuple[list[str], list[tuple[Any, ...]]]:
        started = time.perf_counter()
        self.queries += 1
        try:
            if self.dialect.name != "duckdb":
                if ours:
                    return [], self._cursor.answers(sql)
                names, rows = self._cursor.read(sql)
                return names, rows
            statement = _only_select(self._cursor.extract_statements(sql))
            cursor = self._cursor.execute(statement)
            names = [str(d[0]) for d in cursor.description or ()]
            moments = [str(d[1]) == _MOMENT for d in cursor.description or ()]
            if any(moments):
                return names, self._with_moments(statement.query, moments)
            return names, cursor.fetchall()
        except Exception as error:
            # The engine's classes cannot be imported here (only data/ knows it), so they are told by
            # name; what is not the engine's, and an interrupt of the run, goes on up.
            if not is_engine_error(error):
                raise
            raise Misfit(reason(error)) from error
        finally:
            self.seconds = time.perf_counter() - started

    def _with_moments(self, sql: str, moments: Sequence[bool]) -> list[tuple[Any, ...]]:
        """The rows of a SELECT with moments with a zone as microseconds, which need no library of zones."""
        columns = [f"c{number}" for number in range(len(moments))]
        values = [_MICROSECONDS.format(c) if m else c for c, m in zip(columns, moments, strict=True)]
        text = sql.strip().rstrip(";")
        text = f"SELECT {', '.join(values)} FROM (\n{text}\n) AS t({', '.join(columns)})"
        rows = self._cursor.execute(text).fetchall()
        return [tuple(_moment(v) if m else v for v, m in zip(r, moments, strict=True)) for r in rows]


def _moment(microseconds: int | None) -> datetime | None:
    """A moment in UTC. ``Misfit`` where Python's years do not reach it."""
    try:
        return None if microseconds is None else _EPOCH + timedelta(microseconds=microseconds)
    except OverflowError:
        raise Misfit("a moment lies outside the years 1 to 9999") from None


def _only_select(statements: Sequence[Any]) -> Any:
    if len(statements) != 1 or statements[0].type.name != "SELECT":
        raise Misfit("the SQL of a test must be one SELECT (or one expression), and nothing else")
    return statements[0]


def is_engine_error(error: Exception) -> bool:
    """True for the engine's own errors, but for an interrupt: that one ends the run, not a test."""
    if type(error).__name__ == "InterruptException":
        return False
    if isinstance(error, SqlError):
        return True
    names = {(c.__module__.lstrip("_").partition(".")[0], c.__name__) for c in type(error).__mro__}
    return ("duckdb", "Error") in names


def reason(error: Exception) -> str:
    """The engine's message as one line, without its picture of our SQL."""
    text = (error.message if isinstance(error, SqlError) else str(error)).partition("\nLINE ")[0]
    lines = [_FIRST_WORDS.sub("", line.strip()) for line in text.splitlines() if line.strip()]
    said = "the database says: " + (" ".join(lines[:3]) or type(error).__name__)
    if "pytz" in str(error):
        return (
            "a TIMESTAMP WITH TIME ZONE within a list or struct cannot be compared here; take epoch() of it"
        )
    if "GROUP BY" in said:
        said += " Write an aggregate such as sum(x), or a whole select."
    return said if len(said) <= 500 else said[:499] + "…"

"""What a version's manifest answers without any query."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from gitkitchen.controls.asks import Ask, Failing, Newest, Repeated, Repeats, Rows
from gitkitchen.controls.columns import family, moment
from gitkitchen.data.sql import literal, quote_identifier
from gitkitchen.model import Column, ColumnStats, Version

UNKNOWN = object()
_PLAIN_INTEGERS = frozenset({"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER"})


def answer(ask: Ask, version: Version | None) -> Any:
    """The answer from row count and column figures, or ``UNKNOWN``.

    What a person wrote in SQL or RE2 is never answered here: the engine must see whether it is valid.
    """
    if version is None or version.format != "table" or version.rows is None:
        return UNKNOWN
    if isinstance(ask, Rows) and (ask.where is None):
        return version.rows
    if isinstance(ask, Repeats) and ask.where is None and version.rows <= 1:
        return Repeated(0, 0)
    if not isinstance(ask, Failing | Newest) or ask.where is not None:
        return UNKNOWN
    stats = version.stats.get(ask.column)
    if stats is None:
        return UNKNOWN
    if isinstance(ask, Newest):
        return _newest(stats, version)
    if ask.nulls:
        return stats.nulls
    if ask.limits is None:
        return UNKNOWN
    return 0 if stats.nulls == version.rows or ask.limits.proved_by(stats) else UNKNOWN


def _newest(stats: ColumnStats, version: Version) -> Any:
    if stats.nulls == version.rows:
        return None
    try:
        at = moment(stats.maximum, "timestamp")
    except ValueError:
        return UNKNOWN
    assert isinstance(at, datetime)
    return at.replace(tzinfo=UTC).timestamp()


def span(version: Version | None, column: str) -> tuple[str, int] | None:
    """The column's distance from its least value (SQL) and how many values lie between least and greatest.

    None where the manifest does not tell, or the type is neither a whole number nor a date.
    """
    if version is None or version.format != "table":
        return None
    declared = next((c for c in version.columns if c.name == column), None)
    stats = version.stats.get(column)
    if declared is None or stats is None or stats.minimum is None or stats.maximum is None:
        return None
    return _span(declared, stats.minimum, stats.maximum)


def _span(column: Column, minimum: str, maximum: str) -> tuple[str, int] | None:
    name = quote_identifier(column.name)
    try:
        if column.type.upper() in _PLAIN_INTEGERS:
            least, greatest = int(minimum), int(maximum)
            return f"(CAST({name} AS BIGINT) - ({least}))", greatest - least + 1
        if family(column.type) == "date":
            first, last = moment(minimum, "date"), moment(maximum, "date")
            assert isinstance(first, datetime)
            assert isinstance(last, datetime)
            return f"({name} - CAST({literal(first.date().isoformat())} AS DATE))", (last - first).days + 1
    except ValueError:
        return None
    return None

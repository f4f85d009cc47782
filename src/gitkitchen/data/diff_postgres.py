"""The SQL of a diff in PostgreSQL's words.

Texts are compared by their bytes (``COLLATE "C"``), whatever collation a column has: two columns of
different collations could not be compared at all, and under some collations unequal texts are equal.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Literal

from gitkitchen.data.diff_dialect import Pick
from gitkitchen.data.sql import quote_identifier

_TYPES = {
    "TINYINT": "integer",  # a boolean becomes an integer, and nothing smaller
    "SMALLINT": "smallint",
    "INTEGER": "integer",
    "BIGINT": "bigint",
    "HUGEINT": "numeric",
    "DOUBLE": "double precision",
    "TIMESTAMP": "timestamp",
    "VARCHAR": "text",
}
_EQUAL = frozenset({"integer", "decimal", "float", "boolean", "date", "timestamp"})
_EQUAL_TYPES = frozenset({"UUID", "BLOB", "TIME"})
_LARGEST = "1e290"
"""Sums of floats beyond this may overflow, which PostgreSQL makes an error."""
_SPARSE = 10
"""Where a value stands in so many rows of a sample, the sample is taken to have seen them all."""


class Postgres:
    """PostgreSQL's words."""

    widest = 200  # a list of results holds 1,664
    sketches = False

    def quote(self, name: str) -> str:
        return quote_identifier(name)

    def cast(self, expression: str, type_name: str) -> str:
        return f"CAST({expression} AS {'numeric' if _is_decimal(type_name) else _TYPES[type_name]})"

    def text(self, expression: str) -> str:
        return f'(CAST({expression} AS text) COLLATE "C")'

    def plain(self, expression: str, own: str, kind: str) -> str:
        """Types that have no equality, or one that hides differences, are compared as text."""
        return expression if kind in _EQUAL or own.upper() in _EQUAL_TYPES else self.text(expression)

    def negative_zero(self, expression: str) -> str:
        """True for -0.0 alone, which SQL takes for 0.0."""
        return f"({expression} = 0 AND CAST({expression} AS text) = '-0')"

    def tried(self, expression: str, own: str, type_name: str) -> list[str]:
        """As another type, and as text where that type cannot hold it: a date may be too late for a
        timestamp. A numeric holds every number."""
        if _is_decimal(type_name):
            return [self.cast(expression, type_name)]
        if own == type_name:
            return [expression, "CAST(NULL AS text)"]
        if own != "DATE":
            return [self.cast(expression, type_name), "CAST(NULL AS text)"]
        fits = f"(NOT isfinite({expression}) OR {expression} < DATE '294276-01-01')"
        # Never NULL for a value: a key is joined by it.
        instead = f"WHEN {expression} IS NOT NULL THEN TIMESTAMP 'infinity'"
        return [
            f"CASE WHEN {fits} THEN {self.cast(expression, type_name)} {instead} END",
            f"CASE WHEN NOT {fits} THEN {self.text(expression)} END",
        ]

    def exactly(self, expression: str, is_float: bool, held: str) -> str:
        """A number as numeric. A cast keeps 15 digits of a float; by bigint, or the shortest text that reads
        back as it, none is lost."""
        if not is_float:
            return f"CAST({expression} AS numeric)"
        whole = f"{expression} = trunc({expression}) AND abs({expression}) < 9.2e18"
        told = f"CAST(CAST({expression} AS text) AS numeric)"
        found = re.fullmatch(r"DECIMAL\(\d+, ?(\d+)\)", held)
        if found:
            told = f"round({told}, {found[1]})"
        return f"CASE WHEN {whole} THEN CAST(CAST({expression} AS bigint) AS numeric) ELSE {told} END"

    def finite(self, expression: str, kind: Literal["float", "decimal", "moment"]) -> str:
        """Numbers may be NaN, which is greater than all others."""
        if kind == "moment":
            return f"isfinite({expression})"
        end = f"CAST('{_LARGEST if kind == 'float' else 'Infinity'}' AS "
        end += "double precision)" if kind == "float" else "numeric)"
        return f"({expression} < {end} AND {expression} > -{end})"

    def microseconds(self, expression: str) -> str:
        return f"(extract(epoch FROM {expression}) * 1000000)"

    def days(self, b: str, a: str) -> str:
        return f"({b} - {a})"

    def row_hash(self, expressions: list[str]) -> str:
        """64 bits with a sign, for samples and estimates; no verdict stands on it."""
        listed = ", ".join(expressions)
        whole = f"ROW({listed})" if len(expressions) > 1 else listed
        return f"hashtextextended(CAST({whole} AS text), 0)"

    def extremes(self, expression: str, kind: str) -> list[str]:
        """The least and the greatest value, as text."""
        if kind == "boolean":
            return [self.text(f"bool_and({expression})"), self.text(f"bool_or({expression})")]
        value = self._comparable(expression, kind)
        return [self.text(f"min({value})"), self.text(f"max({value})")]

    def _comparable(self, expression: str, kind: str) -> str:
        return expression if kind in _EQUAL else self.text(expression)

    def summand(self, expression: str, kind: str, *, wide: bool) -> str:  # noqa: ARG002 - sums are exact
        return self.cast(expression, "DOUBLE") if kind == "float" else expression

    def distinct(self, expression: str, kind: str) -> str:
        return f"count(DISTINCT {self._comparable(expression, kind)})"

    def about_distinct(self, expression: str, step: int, where: str) -> str:
        """Estimated by what a sample of the rows has seen; where values are rare, by one value in ``step``,
        chosen by its hash. Exact for small tables."""
        hashed = self.row_hash([expression])
        if not step:
            return f"count(DISTINCT {hashed})"
        seen = f"count(DISTINCT {hashed}) FILTER (WHERE {where})"
        rare = f"count(DISTINCT {hashed}) FILTER (WHERE {hashed} % {step} = 0) * {step}"
        rows = f"count({expression}) FILTER (WHERE {where})"
        return (
            f"CASE WHEN {seen} * {_SPARSE} < {rows} THEN {seen} "
            f"ELSE least(count({expression}), greatest({seen}, {rare})) END"
        )

    def quantiles(self, expression: str, points: tuple[float, ...], where: str) -> str:
        chosen = f" FILTER (WHERE {where})" if where else ""
        listed = f"CAST(ARRAY{list(points)} AS double precision[])"
        return f"CAST(percentile_disc({listed}) WITHIN GROUP (ORDER BY {expression}){chosen} AS text[])"

    def about_quantiles(self, expression: str, points: tuple[float, ...]) -> str:
        raise NotImplementedError("quantiles of large tables come from a sample here")

    def once(self, select: str) -> str:
        """A derived table whose expressions are evaluated once a row: without OFFSET each use of one would
        be replaced by the expression."""
        return f"({select} OFFSET 0)"

    def gathered(self, found: str, figures: Sequence[str], picks: Sequence[Pick], repeated: str = "") -> str:
        """One row: figures over what ``found`` gives, then the records of each pick. What is found is kept
        aside where it is read several times: no aggregate of PostgreSQL holds only the least few."""
        parts = [repeated] if repeated else []
        source = f"{self.once(found)} AS found"
        if picks:
            parts.append(f"found AS MATERIALIZED ({found})")
            source = "found"
        opening = f"WITH {', '.join(parts)} " if parts else ""
        return f"{opening}SELECT {', '.join([*figures, *map(self._smallest, picks)])} FROM {source}"

    def _smallest(self, pick: Pick) -> str:
        listed = ", ".join(f"CAST({expression} AS text)" for _, expression in pick.record)
        order = f" ORDER BY {', '.join(pick.by)}" if pick.by else ""
        return f"ARRAY(SELECT ARRAY[{listed}] FROM found WHERE {pick.where}{order} LIMIT {pick.most})"

    def records(self, value: Any, names: Sequence[str]) -> list[dict[str, str | None]]:
        return [dict(zip(names, record, strict=True)) for record in value or ()]

    def shown(self, text: str | None, kind: str) -> str | None:
        """Floats as DuckDB writes them (1.0 and nan, where PostgreSQL has 1 and NaN)."""
        return repr(float(text)) if kind == "float" and text is not None else text


def _is_decimal(type_name: str) -> bool:
    return type_name.startswith(("DECIMAL", "NUMERIC"))


POSTGRES = Postgres()

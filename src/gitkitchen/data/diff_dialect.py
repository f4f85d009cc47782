"""What differs between engines in the SQL of a diff: one object for each, and nothing else knows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Protocol

from gitkitchen.data.sql import quote_identifier
from gitkitchen.frozen import dataclass


@dataclass(frozen=True, slots=True)
class Pick:
    """Example rows of what a statement finds: of those that satisfy ``where`` the ``most`` least by ``by``,
    each a record of named expressions, as text."""

    record: tuple[tuple[str, str], ...]
    by: tuple[str, ...]
    where: str
    most: int


class Dialect(Protocol):
    """The words of one engine. All take and give SQL expressions; types are the words of manifests.

    ``plain`` is a value as it is compared with one of its own type. ``tried`` and ``exactly`` give what
    holds a value without loss; values that fit no type stay apart. ``step``, of what is estimated: one row
    in so many satisfies ``where``; 0 for small tables.
    """

    widest: int
    """Of so many columns one statement gives figures."""
    sketches: bool
    """Whether distinct values and quantiles can be estimated over all rows; else they come from a sample."""

    def quote(self, name: str) -> str: ...
    def cast(self, expression: str, type_name: str) -> str: ...
    def text(self, expression: str) -> str: ...
    def plain(self, expression: str, own: str, kind: str) -> str: ...
    def negative_zero(self, expression: str) -> str: ...
    def tried(self, expression: str, own: str, type_name: str) -> list[str]: ...
    def exactly(self, expression: str, is_float: bool, held: str) -> str: ...
    def finite(self, expression: str, kind: Literal["float", "decimal", "moment"]) -> str: ...
    def microseconds(self, expression: str) -> str: ...
    def days(self, b: str, a: str) -> str: ...
    def row_hash(self, expressions: list[str]) -> str: ...
    def extremes(self, expression: str, kind: str) -> list[str]: ...
    def summand(self, expression: str, kind: str, *, wide: bool) -> str: ...
    def distinct(self, expression: str, kind: str) -> str: ...
    def about_distinct(self, expression: str, step: int, where: str) -> str: ...
    def quantiles(self, expression: str, points: tuple[float, ...], where: str) -> str: ...
    def about_quantiles(self, expression: str, points: tuple[float, ...]) -> str: ...
    def once(self, select: str) -> str: ...
    def gathered(
        self, found: str, figures: Sequence[str], picks: Sequence[Pick], repeated: str = ""
    ) -> str: ...
    def records(self, value: Any, names: Sequence[str]) -> list[dict[str, str | None]]: ...
    def shown(self, text: str | None, kind: str) -> str | None: ...


class DuckDB:
    """DuckDB's words."""

    widest = 10_000
    sketches = True

    def quote(self, name: str) -> str:
        return quote_identifier(name)

    def cast(self, expression: str, type_name: str) -> str:
        return f"CAST({expression} AS {type_name})"

    def text(self, expression: str) -> str:
        return f"CAST({expression} AS VARCHAR)"

    def plain(self, expression: str, own: str, kind: str) -> str:
        return self.text(expression) if kind == "nested" or own.upper() == "INTERVAL" else expression

    def negative_zero(self, expression: str) -> str:
        """True for -0.0 alone, which SQL takes for 0.0."""
        return f"(signbit({expression}) AND {expression} = 0)"

    def tried(self, expression: str, own: str, type_name: str) -> list[str]:
        """As another type, and as text where that type cannot hold it."""
        if own == type_name:
            return [expression, "CAST(NULL AS VARCHAR)"]
        tried = f"TRY_CAST({expression} AS {type_name})"
        # Never NULL for a value: a key is joined by it.
        instead = "TIMESTAMP 'infinity'" if type_name == "TIMESTAMP" else f"CAST(0 AS {type_name})"
        return [
            f"CASE WHEN {expression} IS NOT NULL THEN coalesce({tried}, {instead}) END",
            f"CASE WHEN {tried} IS NULL THEN CAST({expression} AS VARCHAR) END",
        ]

    def exactly(self, expression: str, is_float: bool, held: str) -> str:
        """A number as ``held``, where it is one without a fraction beyond it; NULL otherwise."""
        if is_float and held == "HUGEINT":
            return f"CASE WHEN {expression} = trunc({expression}) THEN TRY_CAST({expression} AS HUGEINT) END"
        return f"TRY_CAST({expression} AS {held})"

    def finite(self, expression: str, kind: Literal["float", "decimal", "moment"]) -> str:
        """ "" where every value is."""
        return "" if kind == "decimal" else f"isfinite({expression})"

    def microseconds(self, expression: str) -> str:
        return f"epoch_us({expression})"

    def days(self, b: str, a: str) -> str:
        return f"({b} - {a})"

    def row_hash(self, expressions: list[str]) -> str:
        """64 bits, for samples and estimates; no verdict stands on it."""
        return f"hash({', '.join(expressions)})"

    def extremes(self, expression: str, kind: str) -> list[str]:  # noqa: ARG002 - others need it
        """The least and the greatest value, as text."""
        return [self.text(f"min({expression})"), self.text(f"max({expression})")]

    def summand(self, expression: str, kind: str, *, wide: bool) -> str:  # noqa: ARG002
        return self.cast(expression, "DOUBLE") if wide else expression

    def distinct(self, expression: str, kind: str) -> str:  # noqa: ARG002
        return f"count(DISTINCT {expression})"

    def about_distinct(self, expression: str, step: int, where: str) -> str:  # noqa: ARG002
        return f"approx_count_distinct({expression})"

    def quantiles(self, expression: str, points: tuple[float, ...], where: str) -> str:
        chosen = f" FILTER (WHERE {where})" if where else ""
        return f"CAST(quantile_disc({expression}, {list(points)}){chosen} AS VARCHAR[])"

    def about_quantiles(self, expression: str, points: tuple[float, ...]) -> str:
        return f"CAST(approx_quantile({expression}, {list(points)}) AS VARCHAR[])"

    def once(self, select: str) -> str:
        """A derived table whose expressions are evaluated once a row, however often they are used."""
        return f"({select})"

    def gathered(self, found: str, figures: Sequence[str], picks: Sequence[Pick], repeated: str = "") -> str:
        """One row: figures over what ``found`` gives, then the records of each pick."""
        opening = f"WITH {repeated} " if repeated else ""
        return f"{opening}SELECT {', '.join([*figures, *map(_smallest, picks)])} FROM ({found})"

    def records(self, value: Any, names: Sequence[str]) -> list[dict[str, str | None]]:  # noqa: ARG002
        return list(value or ())

    def shown(self, text: str | None, kind: str) -> str | None:  # noqa: ARG002
        return text


def _smallest(pick: Pick) -> str:
    fields = ", ".join(f"{name} := {expression}" for name, expression in pick.record)
    shape = ", ".join(f"{name} VARCHAR" for name, _ in pick.record)
    order = ", ".join(f"k{n} := {expression}" for n, expression in enumerate(pick.by))
    chosen = f"arg_min(struct_pack({fields}), struct_pack({order}), {pick.most}) FILTER (WHERE {pick.where})"
    return f"CAST({chosen} AS STRUCT({shape})[])"


DUCKDB = DuckDB()

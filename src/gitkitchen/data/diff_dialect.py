"""What differs between engines in the SQL of a diff: one object for each, and nothing else knows."""

from __future__ import annotations

from typing import Protocol

from gitkitchen.data.sql import quote_identifier


class Dialect(Protocol):
    """The words of one engine. All take and give SQL expressions.

    ``tried`` and ``exactly`` give what holds a value without loss; values that fit no type stay apart.
    """

    def quote(self, name: str) -> str: ...
    def cast(self, expression: str, type_name: str) -> str: ...
    def text(self, expression: str) -> str: ...
    def negative_zero(self, expression: str) -> str: ...
    def tried(self, expression: str, own: str, type_name: str) -> list[str]: ...
    def exactly(self, expression: str, is_float: bool, held: str) -> str: ...
    def finite(self, expression: str) -> str: ...
    def microseconds(self, expression: str) -> str: ...
    def days(self, b: str, a: str) -> str: ...
    def row_hash(self, expressions: list[str]) -> str: ...
    def about_distinct(self, expression: str) -> str: ...
    def quantiles(self, expression: str, points: tuple[float, ...], where: str) -> str: ...
    def about_quantiles(self, expression: str, points: tuple[float, ...]) -> str: ...
    def smallest(self, record: list[tuple[str, str]], by: list[str], most: int, where: str) -> str: ...


class DuckDB:
    """DuckDB's words."""

    def quote(self, name: str) -> str:
        return quote_identifier(name)

    def cast(self, expression: str, type_name: str) -> str:
        return f"CAST({expression} AS {type_name})"

    def text(self, expression: str) -> str:
        return f"CAST({expression} AS VARCHAR)"

    def negative_zero(self, expression: str) -> str:
        """True for -0.0 alone, which SQL takes for 0.0."""
        return f"(signbit({expression}) AND {expression} = 0)"

    def tried(self, expression: str, own: str, type_name: str) -> list[str]:
        """As another type, and as text where that type cannot hold it."""
        if own == type_name:
            return [expression, "CAST(NULL AS VARCHAR)"]
        tried = f"TRY_CAST({expression} AS {type_name})"
        return [tried, f"CASE WHEN {tried} IS NULL THEN CAST({expression} AS VARCHAR) END"]

    def exactly(self, expression: str, is_float: bool, held: str) -> str:
        """A number as ``held``, where it is one without a fraction beyond it; NULL otherwise."""
        if is_float and held == "HUGEINT":
            return f"CASE WHEN {expression} = trunc({expression}) THEN TRY_CAST({expression} AS HUGEINT) END"
        return f"TRY_CAST({expression} AS {held})"

    def finite(self, expression: str) -> str:
        return f"isfinite({expression})"

    def microseconds(self, expression: str) -> str:
        return f"epoch_us({expression})"

    def days(self, b: str, a: str) -> str:
        return f"({b} - {a})"

    def row_hash(self, expressions: list[str]) -> str:
        """64 bits, for samples and estimates; no verdict stands on it."""
        return f"hash({', '.join(expressions)})"

    def about_distinct(self, expression: str) -> str:
        return f"approx_count_distinct({expression})"

    def quantiles(self, expression: str, points: tuple[float, ...], where: str) -> str:
        chosen = f" FILTER (WHERE {where})" if where else ""
        return f"CAST(quantile_disc({expression}, {list(points)}){chosen} AS VARCHAR[])"

    def about_quantiles(self, expression: str, points: tuple[float, ...]) -> str:
        return f"CAST(approx_quantile({expression}, {list(points)}) AS VARCHAR[])"

    def smallest(self, record: list[tuple[str, str]], by: list[str], most: int, where: str) -> str:
        """The records of the ``most`` least keys, each a list of texts."""
        fields = ", ".join(f"{name} := {expression}" for name, expression in record)
        shape = ", ".join(f"{name} VARCHAR" for name, _ in record)
        order = ", ".join(f"k{n} := {expression}" for n, expression in enumerate(by))
        chosen = f"arg_min(struct_pack({fields}), struct_pack({order}), {most}) FILTER (WHERE {where})"
        return f"CAST({chosen} AS STRUCT({shape})[])"


DUCKDB = DuckDB()

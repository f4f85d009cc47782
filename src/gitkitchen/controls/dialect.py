"""Where engines differ in what tests ask them: the only place where a test's SQL depends on the engine.

All else that tests generate is common to DuckDB and PostgreSQL, or asked of DuckDB alone (the ways of
``controls.planner`` that gain from Parquet's footers).
"""

from __future__ import annotations

from collections.abc import Sequence

from gitkitchen.data.sql import quote_identifier
from gitkitchen.frozen import dataclass


@dataclass(frozen=True, slots=True)
class Dialect:
    """One engine's way to say it. ``derived`` stands after a derived table.

    ``passes``: one pass over a table answers many questions for the price of the dearest, and there are
    no footers to read; else what pays on Parquet is planned.
    """

    name: str
    derived: str = ""
    passes: bool = False

    def count_if(self, predicate: str) -> str:
        """How many rows satisfy a predicate."""
        return f"count_if({predicate})"

    def epoch(self, moment: str) -> str:
        """A date or time in seconds since 1970, UTC."""
        return f"epoch({moment})"

    def pair(self, first: str, second: str) -> str:
        """Two whole numbers as one value."""
        return f"[{first}, {second}]"

    def by_all(self, columns: Sequence[str]) -> str:  # noqa: ARG002 - others need them
        """An order by all columns of the result."""
        return "ORDER BY ALL"

    def matches(self, text: str, pattern: str) -> str:
        """Whether a regular expression (a SQL literal) is found in a text."""
        return f"regexp_matches({text}, {pattern})"

    def elements(self, value: str) -> str:
        """How many elements a list has."""
        return f"len({value})"

    def is_nan(self, value: str) -> str:
        """Whether a float is no number."""
        return f"isnan({value})"

    def float_type(self, name: str) -> str:
        """The name of FLOAT or DOUBLE."""
        return name

    def shape(self, table: str) -> str:
        """What a person asks to see a table's columns."""
        return f"DESCRIBE {quote_identifier(table)}"

    def absent(
        self,
        own: str,  # noqa: ARG002 - others need them
        columns: Sequence[str],  # noqa: ARG002
        target: str,  # noqa: ARG002
        target_columns: Sequence[str],  # noqa: ARG002
    ) -> str | None:
        """The condition that a row of ``own`` has no equal in ``target``; None: by NOT IN."""
        return None


@dataclass(frozen=True, slots=True)
class _Postgres(Dialect):
    def count_if(self, predicate: str) -> str:
        return f"count(*) FILTER (WHERE {predicate})"

    def epoch(self, moment: str) -> str:
        return f"extract(epoch FROM {moment})"

    def pair(self, first: str, second: str) -> str:
        return f"ARRAY[{first}, {second}]"

    def by_all(self, columns: Sequence[str]) -> str:
        return f"ORDER BY {', '.join(str(n) for n in range(1, len(columns) + 1))}"

    def matches(self, text: str, pattern: str) -> str:
        return f"({text} ~ {pattern})"

    def elements(self, value: str) -> str:
        return f"cardinality({value})"

    def is_nan(self, value: str) -> str:
        return f"({value} = CAST('NaN' AS DOUBLE PRECISION))"

    def float_type(self, name: str) -> str:
        return "REAL" if name.upper() == "FLOAT" else "DOUBLE PRECISION"

    def shape(self, table: str) -> str:
        return f"SELECT * FROM {quote_identifier(table)} LIMIT 0"

    def absent(
        self, own: str, columns: Sequence[str], target: str, target_columns: Sequence[str]
    ) -> str | None:
        # NOT IN over many keys is judged row by row here; NOT EXISTS becomes an anti-join.
        theirs, mine = (quote_identifier(n) for n in ("the other", own))
        equal = " AND ".join(
            f"{theirs}.{quote_identifier(t)} = {mine}.{quote_identifier(c)}"
            for c, t in zip(columns, target_columns, strict=True)
        )
        return f"NOT EXISTS (SELECT 1 FROM {quote_identifier(target)} AS {theirs} WHERE {equal})"


DUCKDB = Dialect("duckdb")
POSTGRES = _Postgres("postgres", derived=" AS q", passes=True)
DIALECTS = {d.name: d for d in (DUCKDB, POSTGRES)}

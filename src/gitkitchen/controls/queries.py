"""Questions as SQL. Each query returns one row: a value for each of its questions, in order."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from gitkitchen.controls.asks import (
    Aggregate,
    AnyRepeat,
    Ask,
    Failing,
    Newest,
    Orphans,
    OverRows,
    Repeated,
    Repeats,
    Returned,
    Rows,
    Single,
)
from gitkitchen.controls.check import free_name, source
from gitkitchen.controls.dialect import DUCKDB, Dialect
from gitkitchen.controls.keys import missing, present, tuple_of
from gitkitchen.data.sql import quote_identifier
from gitkitchen.frozen import dataclass

HEAD = 20_000
"""How many rows from a table's beginning tell whether a column repeats few values."""


@dataclass(frozen=True, slots=True)
class Query:
    """``sql`` returns one row: ``skip`` values to pass over, then one for each of ``asks``."""

    sql: str
    asks: tuple[Ask, ...]
    skip: int = 0


def alone(ask: Ask, dialect: Dialect = DUCKDB) -> Query:
    """The plain query that answers one question by itself: what a person would write."""
    if isinstance(ask, Single):
        return Query(f"SELECT * FROM (\n{ask.sql}\n){dialect.derived} LIMIT 2", (ask,))
    if isinstance(ask, Returned):
        return Query(f"SELECT count(*) FROM (\n{ask.sql}\n){dialect.derived}", (ask,))
    if isinstance(ask, Failing):
        return Query(f"SELECT count(*) {source(ask.dataset, ask.where, ask.predicate)}", (ask,))
    if isinstance(ask, Repeats):
        return repeats(ask, dialect)
    if isinstance(ask, Orphans):
        return orphans(ask, dialect=dialect)
    if isinstance(ask, AnyRepeat):
        return together(ask.repeats.dataset, ask.repeats.where, [ask], dialect)
    return together(ask.dataset, ask.where, [ask], dialect)


def together(
    dataset: str, where: str | None, asks: Sequence[OverRows | AnyRepeat], dialect: Dialect = DUCKDB
) -> Query:
    """One pass over the rows that answers all the questions.

    It always counts the rows too, so that an expression without an aggregate is refused in every
    company.
    """
    parts = ["count(*)", *(_part(ask, dialect) for ask in asks)]
    return Query(f"SELECT {', '.join(parts)} {source(dataset, where)}", tuple(asks), skip=1)


def _part(ask: OverRows | AnyRepeat, dialect: Dialect = DUCKDB) -> str:
    if isinstance(ask, Rows):
        return "count(*)"
    if isinstance(ask, Failing):
        return dialect.count_if(ask.predicate)
    if isinstance(ask, Newest):
        return dialect.epoch(f"max({quote_identifier(ask.column)})")
    if isinstance(ask, Aggregate):
        return f"(\n{ask.expression}\n)"
    if isinstance(ask, AnyRepeat | Repeats):
        columns = (ask.repeats if isinstance(ask, AnyRepeat) else ask).columns
        there = " AND ".join(present(columns))
        return f"{dialect.count_if(there)} - count(DISTINCT {tuple_of(columns)}) FILTER (WHERE {there})"
    there = " AND ".join(present(ask.columns))
    return dialect.count_if(f"{there} AND {missing(ask, dialect=dialect)}")


def least_and_greatest(dataset: str, asks: Sequence[Failing | Newest]) -> Query:
    """Whether any value lies outside, from min() and max(): the engine reads them from the footers."""
    parts = []
    for ask in asks:
        name = quote_identifier(ask.column)
        if isinstance(ask, Newest):
            parts.append(_part(ask))
        else:
            assert ask.limits is not None
            parts.append(f"coalesce({ask.limits.outside(f'min({name})', f'max({name})')}, FALSE)")
    return Query(f"SELECT {', '.join(parts)} {source(dataset)}", tuple(asks))


def by_value(dataset: str, where: str | None, column: str, asks: Sequence[Failing | Orphans]) -> Query:
    """All questions about one column of few values: each distinct value is judged once, for all its rows."""
    name, rows = quote_identifier(column), quote_identifier(free_name("rows", (column,)))
    parts = []
    for ask in asks:
        told = ask.predicate if isinstance(ask, Failing) else f"{name} IS NOT NULL AND {missing(ask)}"
        parts.append(f"coalesce(sum({rows}) FILTER (WHERE {told}), 0)")
    grouped = f"SELECT {name}, count(*) AS {rows} {source(dataset, where)} GROUP BY {name}"
    return Query(f"SELECT {', '.join(parts)} FROM ({grouped})", tuple(asks))


def orphans(
    ask: Orphans, *, distinct: bool = False, narrow: bool = False, dialect: Dialect = DUCKDB
) -> Query:
    """Rows without an equal in the target.

    ``distinct`` looks each distinct key up once; ``narrow`` keeps, of a target much larger than the
    dataset, only what the dataset names.
    """
    there = present(ask.columns)
    own = source(ask.dataset, ask.where, *there)
    if narrow:
        narrowed = f"{tuple_of(ask.target_columns)} IN (SELECT {tuple_of(ask.columns)} {own})"
        unmatched = missing(ask, narrowed)
    else:
        unmatched = missing(ask, dialect=dialect)
    if not distinct:
        return Query(f"SELECT count(*) {source(ask.dataset, ask.where, *there, unmatched)}", (ask,))
    names = ", ".join(quote_identifier(c) for c in ask.columns)
    rows = quote_identifier(free_name("rows", ask.columns))
    grouped = f"SELECT {names}, count(*) AS {rows} {own} GROUP BY {names}"
    return Query(f"SELECT coalesce(sum({rows}), 0) FROM ({grouped}) WHERE {unmatched}", (ask,))


def repeats(ask: Repeats, dialect: Dialect = DUCKDB) -> Query:
    """How many rows share a key, and how many keys are shared."""
    names = ", ".join(quote_identifier(c) for c in ask.columns)
    rows = quote_identifier(free_name("rows", ask.columns))
    grouped = (
        f"SELECT count(*) AS {rows} {source(ask.dataset, ask.where, *present(ask.columns))} "
        f"GROUP BY {names} HAVING count(*) > 1"
    )
    both = dialect.pair(f"coalesce(sum({rows}), 0)", "count(*)")
    return Query(f"SELECT {both} FROM ({grouped}){dialect.derived}", (ask,))


def any_repeat(ask: Repeats, *, no_nulls: bool) -> Query:
    """How many rows repeat an earlier key, by counting the distinct ones: cheaper where none does."""
    there = [] if no_nulls else present(ask.columns)
    names = ", ".join(quote_identifier(c) for c in ask.columns)
    origin = source(ask.dataset, ask.where, *there)
    counted = f"SELECT count(*) {origin}"
    if len(ask.columns) == 1:
        # Without a filter of ours the engine may answer this one from the footers.
        counted = f"SELECT count({names}) {source(ask.dataset, ask.where)}"
    return Query(
        f"SELECT ({counted}) - (SELECT count(*) FROM (SELECT DISTINCT {names} {origin}))", (AnyRepeat(ask),)
    )


def any_repeat_by_bits(ask: Repeats, spans: Sequence[tuple[str, int]]) -> Query:
    """The same with one bit for each possible key: ``spans`` gives each column's distance from its least
    value (SQL) and how many values lie between least and greatest."""
    size, terms = 1, []
    for distance, span in spans:
        terms.append(f"CAST({distance} AS BIGINT) * {size}" if size > 1 else f"CAST({distance} AS BIGINT)")
        size *= span
    place = " + ".join(terms)
    bits = f"bit_count(bitstring_agg(place, CAST(0 AS BIGINT), CAST({size - 1} AS BIGINT)))"
    places = f"SELECT {place} AS place {source(ask.dataset, ask.where)}"
    return Query(f"SELECT count(place) - coalesce({bits}, 0) FROM ({places})", (AnyRepeat(ask),))


def head(dataset: str, columns: Iterable[tuple[str, ...]]) -> str:
    """SQL for about how many distinct values each (group of) columns has in the first rows."""
    groups = list(columns)
    names = dict.fromkeys(c for group in groups for c in group)
    counts = ", ".join(f"approx_count_distinct({tuple_of(group)})" for group in groups)
    listed = ", ".join(quote_identifier(n) for n in names)
    return f"SELECT {counts} FROM (SELECT {listed} FROM {quote_identifier(dataset)} LIMIT {HEAD})"


def decoded(ask: Ask, value: Any) -> Any:
    """The value of a query's column as the question's answer."""
    if isinstance(ask, Repeats):
        return Repeated(int(value[0]), int(value[1]))
    if isinstance(ask, Rows | Failing | Orphans | Returned | AnyRepeat):
        return int(value or 0)
    return value

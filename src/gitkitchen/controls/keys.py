"""Tests of keys: ``unique`` and ``relationships``.

A row with NULL in any of the columns is not compared: as in SQL's UNIQUE and FOREIGN KEY
constraints, and as in dbt's tests of one column. ``key:`` of a node adds ``not_null`` beside.
"""

from __future__ import annotations

from gitkitchen.controls.asks import Answers, Misfit, Orphans, Repeated, Repeats, Rows
from gitkitchen.controls.check import (
    Check,
    Context,
    Finding,
    counted,
    grouped_rows,
    qualified,
    sample_values,
    source,
)
from gitkitchen.controls.columns import MOMENTS, NUMBERS, family
from gitkitchen.controls.dialect import DUCKDB, Dialect
from gitkitchen.controls.words import count, failing_rows, percent
from gitkitchen.data.sql import quote_identifier
from gitkitchen.model import Column, TestSpec


def unique(spec: TestSpec, context: Context) -> Check:
    """``{columns}``: no two rows share their values. All rows that share a key count as failing."""
    columns = tuple(context.tables.column(spec.dataset, c).name for c in spec.args["columns"])
    if not columns:
        raise Misfit("a unique test needs at least one column")
    ask = Repeats(spec.dataset, spec.where, columns)
    rows = Rows(spec.dataset, spec.where)
    origin = source(spec.dataset, spec.where, *present(columns))

    def judge(answers: Answers) -> Finding:
        found: Repeated = answers[ask]
        tested = int(answers[rows])
        observed = f"no {noun} twice" if tested else count(0)
        if found.rows:
            share = percent(found.rows / tested)
            observed = f"{count(found.rows)} share {count(found.keys, noun)} ({share} of {tested:,} rows)"
        return counted(spec, found.rows, tested, observed)

    noun = "value" if len(columns) == 1 else "key"
    names = " and ".join(columns)
    return Check(
        asks=(rows, ask),
        expected=qualified(spec, f"each {names} once"),
        judge=judge,
        cause=(
            "Usually a join multiplied the rows (its condition misses a column), or a load ran "
            "twice; look at "
            "the repeated keys of the sample and at the joins that lead here."
        ),
        reproduce=grouped_rows(columns, origin, " HAVING count(*) > 1"),
        sample=sample_values(columns, origin, " HAVING count(*) > 1", context.dialect),
    )


def relationships(spec: TestSpec, context: Context) -> Check:
    """``{columns, to_dataset, to_columns}``: each row without NULL has its equal in the other dataset."""
    args, tables = spec.args, context.tables
    own = tuple(tables.column(spec.dataset, c) for c in args["columns"])
    other = tuple(tables.column(args["to_dataset"], c) for c in args["to_columns"])
    if len(own) != len(other) or not own:
        raise Misfit(f"{len(own)} columns cannot be compared with {len(other)}; name as many in `to_columns`")
    for mine, theirs in zip(own, other, strict=True):
        _comparable(mine, theirs, args["to_dataset"])
    columns, target = tuple(c.name for c in own), args["to_dataset"]
    ask = Orphans(spec.dataset, spec.where, columns, target, tuple(c.name for c in other))
    rows = Rows(spec.dataset, spec.where)
    origin = source(spec.dataset, spec.where, *present(columns), missing(ask, dialect=context.dialect))

    def judge(answers: Answers) -> Finding:
        failing, tested = int(answers[ask]), int(answers[rows])
        none = f"all found in {target}" if tested else count(0)
        observed = failing_rows(failing, tested, f"have no match in {target}", none)
        return counted(spec, failing, tested, observed)

    return Check(
        asks=(rows, ask),
        expected=qualified(
            spec, f"each {' and '.join(columns)} is in {target}.{' and '.join(ask.target_columns)}"
        ),
        judge=judge,
        cause=(
            f"Usually {target} is older or narrower than {spec.dataset}, or codes are written "
            "differently (case, "
            f"spaces, leading zeros); look for the values of the sample in {target}."
        ),
        reproduce=f"SELECT * {origin}",
        sample=sample_values(columns, origin, dialect=context.dialect),
    )


def present(columns: tuple[str, ...]) -> list[str]:
    """Conditions that none of the columns is NULL."""
    return [f"{quote_identifier(c)} IS NOT NULL" for c in columns]


def tuple_of(columns: tuple[str, ...]) -> str:
    """One column, or several as one value."""
    names = ", ".join(quote_identifier(c) for c in columns)
    return names if len(columns) == 1 else f"row({names})"


def missing(ask: Orphans, *narrow: str, dialect: Dialect = DUCKDB) -> str:
    """The condition that a row without NULLs has no equal in the target, of which ``narrow`` keeps a part."""
    absent = dialect.absent(ask.dataset, ask.columns, ask.target, ask.target_columns)
    if absent is not None:
        return absent
    target = source(ask.target, *present(ask.target_columns), *narrow)
    return f"{tuple_of(ask.columns)} NOT IN (SELECT {tuple_of(ask.target_columns)} {target})"


def _comparable(mine: Column, theirs: Column, target: str) -> None:
    if _comparison(mine) != _comparison(theirs):
        raise Misfit(
            f"{mine.name} is {mine.type} and {target}.{theirs.name} is {theirs.type}: they cannot be equal; "
            "cast one of them in the SQL that makes it"
        )


def _comparison(column: Column) -> str:
    kind = family(column.type)
    if kind in NUMBERS:
        return "number"
    if kind in MOMENTS - {"time"}:
        return "moment"
    return column.type if kind == "other" else kind

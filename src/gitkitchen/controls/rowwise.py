"""Tests that judge each row by one column. NULL passes all of them but ``not_null``.

NaN is no NULL; it fails every ``range``, and is accepted where ``.nan`` stands among the values.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from gitkitchen.controls.asks import Answers, Failing, Misfit, Rows
from gitkitchen.controls.check import (
    Check,
    Context,
    Finding,
    counted,
    qualified,
    sample_rows,
    sample_values,
    source,
)
from gitkitchen.controls.columns import family, limits, shown, value_sql
from gitkitchen.controls.words import between, count, failing_rows, listing
from gitkitchen.data.sql import literal, quote_identifier
from gitkitchen.model import Column, TestSpec

_CONTEXT_COLUMNS = 4


def not_null(spec: TestSpec, context: Context) -> Check:
    """``{column}``: no row has NULL there."""
    column = context.tables.column(spec.dataset, spec.args["column"])
    predicate = f"{quote_identifier(column.name)} IS NULL"
    key = context.tables.key(spec.dataset)
    if not key:
        others = [c.name for c in context.tables.columns(spec.dataset) if c.name != column.name]
        key = tuple(others[:_CONTEXT_COLUMNS])
    return _check(
        spec,
        Failing(spec.dataset, spec.where, column.name, predicate, nulls=True),
        expected="no NULL",
        failing=("are NULL", "no NULL"),
        sample=sample_rows((*key, column.name), source(spec.dataset, spec.where, predicate), context.dialect),
        cause=(
            f"Usually a join found no match, or the source left {column.name} empty; look at the rows of the "
            f"sample and at the step that fills {column.name}."
        ),
    )


def accepted_values(spec: TestSpec, context: Context) -> Check:
    """``{column, values, reject}``: each value is one of ``values``; with ``reject`` none is."""
    column = context.tables.column(spec.dataset, spec.args["column"])
    values = [v for v in spec.args["values"] if v is not None]
    reject = bool(spec.args.get("reject"))
    if reject and len(values) < len(spec.args["values"]):
        raise Misfit("NULL cannot be rejected here; use a not_null test")
    if family(column.type) == "other":
        raise Misfit(
            f"values of type {column.type} cannot be listed; test a part of {column.name} in a no_rows test"
        )
    operand = _text_of(column) if family(column.type) == "text" else quote_identifier(column.name)
    listed = ", ".join(
        _fitting(functools.partial(value_sql, column.type, v, context.dialect)) for v in values
    )
    if not values:
        predicate = "FALSE" if reject else f"{operand} IS NOT NULL"
    else:
        predicate = f"{operand} {'' if reject else 'NOT '}IN ({listed})"
    names = listing([shown(v) for v in values])
    return _check(
        spec,
        Failing(spec.dataset, spec.where, column.name, predicate, costly=True),
        expected=f"{column.name} is {'none' if reject else 'one'} of {names or 'no value'}",
        failing=("have another value", "no other value")
        if not reject
        else ("have a rejected value", "none of them"),
        sample=_values_sample(spec, context, column.name, predicate),
        cause=(
            "Usually the source began to send a new code, or writes one differently (case, spaces); "
            "look at the "
            "values of the sample and either mend the source or add them to the list."
        ),
    )


def value_range(spec: TestSpec, context: Context) -> Check:
    """``{column, min, max, strict}``: each value lies inside; numbers, dates and times only."""
    args = spec.args
    column = context.tables.column(spec.dataset, args["column"])
    strict = bool(args.get("strict"))
    bounds = _fitting(lambda: limits(column.type, args.get("min"), args.get("max"), strict, context.dialect))
    name = quote_identifier(column.name)
    predicate = bounds.outside(name, name)
    return _check(
        spec,
        Failing(spec.dataset, spec.where, column.name, predicate, limits=bounds),
        expected=f"{column.name} {between(args.get('min'), args.get('max'), strict)}",
        failing=("are outside", "no value outside"),
        sample=_values_sample(spec, context, column.name, predicate),
        cause=(
            "Usually a unit changed (cents for units, seconds for minutes), a sign turned, or a "
            "placeholder such "
            f"as 9999 stands for unknown; look at the least and greatest {column.name} of the sample."
        ),
    )


def pattern(spec: TestSpec, context: Context) -> Check:
    """``{column, matches, negate}``: RE2 finds a match in each text, anywhere but for ``^`` and ``$``."""
    column = context.tables.column(spec.dataset, spec.args["column"])
    matches, negate = spec.args["matches"], bool(spec.args.get("negate"))
    if family(column.type) != "text":
        raise Misfit(
            f"a pattern needs text, and {column.name} is {column.type}; use range or accepted_values"
        )
    found = context.dialect.matches(_text_of(column), _fitting(lambda: literal(str(matches))))
    predicate = found if negate else f"NOT {found}"
    return _check(
        spec,
        Failing(spec.dataset, spec.where, column.name, predicate, costly=True),
        expected=f"{column.name} {'never ' if negate else ''}matches {matches}",
        failing=("do not match", "all match") if not negate else ("match", "none matches"),
        sample=_values_sample(spec, context, column.name, predicate),
        cause=(
            f"Usually the source changed how it writes {column.name}, or spaces and invisible "
            "characters came "
            "along; look at the values of the sample."
        ),
    )


def length(spec: TestSpec, context: Context) -> Check:
    """``{column, min, max}``: characters of a text, bytes of a BLOB, elements of a list."""
    column = context.tables.column(spec.dataset, spec.args["column"])
    low, high = spec.args.get("min"), spec.args.get("max")
    if low is None and high is None:
        raise Misfit("a length needs `min` or `max`")
    size, noun = _size(column, context)
    parts = [f"{size} {sign} {int(end)}" for sign, end in (("<", low), (">", high)) if end is not None]
    predicate = "(" + " OR ".join(parts) + ")"
    return _check(
        spec,
        Failing(spec.dataset, spec.where, column.name, predicate, costly=True),
        expected=f"{column.name} has {between(low, high, noun=noun)}",
        failing=("are too short or too long", "no other length"),
        sample=_values_sample(spec, context, column.name, predicate),
        cause=(
            "Usually a value was cut, padded, or two fields ran together because of a delimiter "
            "inside a text; "
            "look at the values of the sample."
        ),
    )


def _size(column: Column, context: Context) -> tuple[str, str]:
    name = quote_identifier(column.name)
    if family(column.type) == "text":
        return f"length({_text_of(column)})", "character"
    if column.type.upper() == "BLOB":
        return f"octet_length({name})", "byte"
    if column.type.endswith("]"):
        return context.dialect.elements(name), "element"
    raise Misfit(f"a length needs text, and {column.name} is {column.type}; use a range for numbers")


def _text_of(column: Column) -> str:
    name = quote_identifier(column.name)
    return name if column.type.upper() == "VARCHAR" else f"CAST({name} AS VARCHAR)"


def _values_sample(spec: TestSpec, context: Context, column: str, predicate: str) -> str:
    """Failing rows by their key; without a key, the failing values by how often they come."""
    origin = source(spec.dataset, spec.where, predicate)
    key = context.tables.key(spec.dataset)
    if key:
        return sample_rows((*key, column), origin, context.dialect)
    return sample_values((column,), origin, dialect=context.dialect)


def _check(
    spec: TestSpec, ask: Failing, *, expected: str, failing: tuple[str, str], sample: str, cause: str
) -> Check:
    rows = Rows(spec.dataset, spec.where)

    def judge(answers: Answers) -> Finding:
        bad, tested = int(answers[ask]), int(answers[rows])
        none = failing[1] if tested else count(0)
        return counted(spec, bad, tested, failing_rows(bad, tested, failing[0], none))

    return Check(
        asks=(rows, ask),
        expected=qualified(spec, expected),
        judge=judge,
        cause=cause,
        reproduce=f"SELECT * {source(spec.dataset, spec.where, ask.predicate)}",
        sample=sample,
        column=ask.column,
    )


def _fitting(make: Callable[[], Any]) -> Any:
    """What ``make`` returns; a value that does not fit the column is a misfit of the test."""
    try:
        return make()
    except ValueError as error:
        raise Misfit(str(error)) from error

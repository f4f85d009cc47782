"""Tests of values: ``equal``, ``close``, ``value``, ``no_rows``.

A value is an aggregate expression over the test's dataset (``where`` applies), or a whole ``select``.
NULL equals nothing, lies within no bounds and fails: ``coalesce(sum(x), 0)`` says what none means.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from datetime import date, time
from decimal import Decimal
from typing import Any

from gitkitchen.controls.asks import Aggregate, Answers, Ask, Misfit, Returned, Single
from gitkitchen.controls.check import SAMPLE, Check, Context, Finding, qualified, source, uncounted
from gitkitchen.controls.columns import Family, moment
from gitkitchen.controls.words import between, count, number, percent, plain
from gitkitchen.model import TestSpec, Tolerance

# Possessive: a row of comments can be read in one way only, so that none takes for ever.
_QUERY = re.compile(
    r"(?:\s|--[^\n]*\n|/\*(?:[^*]|\*(?!/))*+\*/)*+(?:select|with|from|values)\b", re.IGNORECASE
)
_CAUSE = (
    "Usually rows were lost or counted twice between the two sides (a join, a filter, NULL in a "
    "sum); run both "
    "queries by group to find where they part."
)


def is_query(text: object) -> bool:
    """True for a whole query, False for an expression over the dataset."""
    return _QUERY.match(str(text)) is not None


def equal(spec: TestSpec, context: Context) -> Check:
    """``{value, to}``: the two are equal: numbers by value, all else by type and value."""
    return _compared(spec, context, f"equal to {_words(spec.args['to'])}", _equal)


def close(spec: TestSpec, context: Context) -> Check:
    """``{value, to, absolute, share}``: numbers that differ by at most so much, or such a share of ``to``."""
    absolute, share = spec.args.get("absolute"), spec.args.get("share")
    if absolute is None and share is None:
        raise Misfit("a close test needs `within`")
    allowed = [f"{number(absolute)}"] if absolute is not None else []
    allowed += [f"{percent(share)}"] if share is not None else []

    def within(value: Any, to: Any) -> bool:
        right = _number(to)
        difference = abs(_number(value) - right)
        bounds = [float(absolute)] if absolute is not None else []
        bounds += [float(share) * abs(right)] if share is not None else []
        return all(difference <= bound * (1 + 1e-12) for bound in bounds)

    return _compared(spec, context, f"within {' and '.join(allowed)} of {_words(spec.args['to'])}", within)


def value(spec: TestSpec, context: Context) -> Check:
    """``{sql, min, max}``: one value inside bounds: numbers, or dates and times as ISO text."""
    uncounted(spec, where=not is_query(spec.args["sql"]))
    context.tables.columns(spec.dataset)
    low, high = spec.args.get("min"), spec.args.get("max")
    if low is None and high is None:
        raise Misfit("a value test needs `min` or `max`")
    ask = _ask(spec, spec.args["sql"])

    def judge(answers: Answers) -> Finding:
        got = answers[ask]
        inside = got is not None and _inside(got, low, high)
        return Finding(inside, plain(got), metrics=_metrics(value=got))

    return Check(
        asks=(ask,),
        expected=qualified(spec, between(low, high)),
        judge=judge,
        cause=(
            "Usually the data moved (a new source, a lost load) or the formula did; compare with the "
            "last run "
            "and look at the value by group."
        ),
        reproduce=_query(spec, spec.args["sql"]),
    )


def no_rows(spec: TestSpec, context: Context) -> Check:
    """``{sql}``: a query that must return no row; each row that it returns is a failing one."""
    if spec.where:
        raise Misfit(
            "`where` selects rows of a dataset, and a no_rows test is a whole query; put it in the SQL"
        )
    if spec.tolerate.share is not None:
        raise Misfit(
            "a no_rows test tolerates so many rows (`tolerate: 5`), not a share: it has no rows to share"
        )
    context.tables.columns(spec.dataset)
    sql = _trimmed(spec.args["sql"])
    ask = Returned(sql)

    def judge(answers: Answers) -> Finding:
        failing = int(answers[ask])
        observed = count(failing)
        return Finding(
            spec.tolerate.allows(failing, 0), observed, failing=failing, metrics={"failing": float(failing)}
        )

    most = spec.tolerate.rows
    return Check(
        asks=(ask,),
        expected=f"at most {count(most)}" if most else "no row",
        judge=judge,
        cause=spec.description
        or "The query finds rows that should not be; look at the sample and at what its conditions "
        "have in common.",
        reproduce=sql,
        sample=f"SELECT * FROM (\n{sql}\n){context.dialect.derived} LIMIT {SAMPLE}",
    )


def _compared(spec: TestSpec, context: Context, expected: str, holds: Callable[[Any, Any], bool]) -> Check:
    to = spec.args["to"]
    sides = [str(spec.args["value"]), *([to] if isinstance(to, str) else [])]
    uncounted(spec, where=not all(is_query(s) for s in sides))
    context.tables.columns(spec.dataset)
    left = _ask(spec, spec.args["value"])
    right = _ask(spec, to) if isinstance(to, str) else None

    def judge(answers: Answers) -> Finding:
        first = answers[left]
        second = answers[right] if right is not None else to
        known = first is not None and second is not None
        observed = plain(first)
        if right is not None:
            observed += f", and {_words(to)} is {plain(second)}"
        return Finding(known and holds(first, second), observed, metrics=_metrics(value=first, to=second))

    asks: tuple[Ask, ...] = (left,) if right is None else (left, right)
    # A constant over many rows would be many values: one of them will do.
    queries = [_query(spec, s) + ("" if is_query(s) else "\nLIMIT 1") for s in sides]
    reproduce = queries[0] if len(queries) == 1 else f"SELECT (\n{queries[0]}\n), (\n{queries[1]}\n)"
    shown = f"{_words(spec.args['value'])} {expected}"
    return Check(asks, qualified(_without_tolerance(spec), shown), judge, _CAUSE, reproduce)


def _without_tolerance(spec: TestSpec) -> TestSpec:
    assert spec.tolerate == Tolerance()
    return spec


def _ask(spec: TestSpec, text: object) -> Ask:
    text = _trimmed(text)
    return Single(text) if is_query(text) else Aggregate(spec.dataset, spec.where, text)


def _query(spec: TestSpec, text: object) -> str:
    text = _trimmed(text)
    return text if is_query(text) else f"SELECT {text}\n{source(spec.dataset, spec.where)}"


def _trimmed(text: object) -> str:
    return str(text).strip().rstrip(";").rstrip()


def _words(side: object) -> str:
    return plain(" ".join(side.split()) if isinstance(side, str) else side)


def _metrics(**values: Any) -> dict[str, float]:
    numbers = {
        k: v for k, v in values.items() if isinstance(v, int | float | Decimal) and not isinstance(v, bool)
    }
    return {k: float(v) for k, v in numbers.items() if math.isfinite(v)}


def _is_number(value: object) -> bool:
    return isinstance(value, int | float | Decimal) and not isinstance(value, bool)


def _number(value: Any) -> float:
    if not _is_number(value):
        raise Misfit(f"{plain(value)} is no number; only numbers can be close")
    return float(value)


def _equal(value: Any, to: Any) -> bool:
    if _is_number(value) and _is_number(to):
        if isinstance(value, Decimal) != isinstance(to, Decimal) and float in (type(value), type(to)):
            return float(value) == float(to)
        return bool(value == to)
    if isinstance(value, date) and isinstance(to, date):
        return moment(value, "timestamp") == moment(to, "timestamp")
    if type(value) is not type(to):
        raise Misfit(
            f"{plain(value)} ({type(value).__name__}) and {plain(to)} ({type(to).__name__}) cannot be "
            "compared; "
            "cast one of them, and write dates as date '2013-01-31'"
        )
    return bool(value == to)


def _inside(got: Any, low: Any, high: Any) -> bool:
    if isinstance(got, date | time):
        kind: Family = "time" if isinstance(got, time) else "timestamp"
        try:
            got = moment(got, kind)
            low, high = (None if end is None else moment(end, kind) for end in (low, high))
        except ValueError as error:
            raise Misfit(str(error)) from error
    elif not all(_is_number(v) for v in (got, low, high) if v is not None):
        raise Misfit(f"{plain(got)} ({type(got).__name__}) does not fit the bounds")
    # Python's order has no place for NaN: it lies within no bounds.
    return bool((low is None or low <= got) and (high is None or got <= high) and got == got)

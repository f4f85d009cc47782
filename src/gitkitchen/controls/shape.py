"""Tests of a table as a whole: ``rows``, ``freshness``, ``schema``. An empty table can fail the first two."""

from __future__ import annotations

import functools

from gitkitchen.controls.asks import Answers, Ask, Misfit, Newest, Rows
from gitkitchen.controls.check import Check, Context, Finding, qualified, source, uncounted
from gitkitchen.controls.columns import family, same_type
from gitkitchen.controls.words import between, count, duration, listing, number
from gitkitchen.data.sql import quote_identifier
from gitkitchen.model import Column, TestSpec


def rows(spec: TestSpec, context: Context) -> Check:
    """``{min, max, relative_to}``: the number of rows, or its ratio to the rows of another dataset.

    ``where`` selects rows of the tested dataset only. Ratios are compared as products, so that an
    empty other dataset divides nothing: 0 rows are then within every ratio, more exceed every ``max``.
    """
    uncounted(spec, where=True)
    args = spec.args
    low, high, other = args.get("min"), args.get("max"), args.get("relative_to")
    if low is None and high is None:
        raise Misfit("a rows test needs `min` or `max`")
    context.tables.columns(spec.dataset)
    own = Rows(spec.dataset, spec.where)
    asks: tuple[Ask, ...] = (own,)
    expected = between(low, high, noun="row")
    if other:
        context.tables.columns(other)
        asks = (own, Rows(other))
        expected = f"as many rows as {other}"
        if (low, high) != (1, 1):
            expected = f"{between(low, high)} times the rows of {other}"
    return Check(
        asks=asks,
        expected=qualified(spec, expected),
        judge=functools.partial(_judge_rows, low, high, other, asks),
        cause=(
            "Usually a join multiplied or dropped rows, a filter changed, or the source came in part "
            "or not at "
            "all; compare with the last run and look at the joins that lead here."
        ),
        reproduce=f"SELECT count(*) {source(spec.dataset, spec.where)}",
    )


def _judge_rows(
    low: float | None, high: float | None, other: str | None, asks: tuple[Ask, ...], answers: Answers
) -> Finding:
    own = int(answers[asks[0]])
    if other is None:
        passed = (low is None or own >= low) and (high is None or own <= high)
        return Finding(passed, count(own), metrics={"rows": float(own)})
    base = int(answers[asks[1]])
    # A float limit such as 1.1 is not exact: a millionth of a row is no difference.
    passed = (low is None or own >= low * base - 1e-6) and (high is None or own <= high * base + 1e-6)
    times = f" ({number(own / base)} times)" if base and own != base else ""
    metrics = {"rows": float(own), "relative_to": float(base)}
    return Finding(passed, f"{count(own)}, {other} has {count(base)}{times}", metrics=metrics)


def freshness(spec: TestSpec, context: Context) -> Check:
    """``{column, max_age}`` in seconds: the newest value is no older. Times without zone are UTC, a date is
    its first moment; no value at all fails."""
    uncounted(spec, where=True)
    column = context.tables.column(spec.dataset, spec.args["column"])
    if family(column.type) not in ("date", "timestamp"):
        raise Misfit(
            f"freshness needs a date or a timestamp, and {column.name} is {column.type}; "
            "cast it in the SQL that makes it"
        )
    newest = Newest(spec.dataset, spec.where, column.name)
    limit = float(spec.args["max_age"])

    def judge(answers: Answers) -> Finding:
        at = answers[newest]
        if at is None:
            return Finding(False, f"no {column.name} at all")
        age = context.now.timestamp() - float(at)
        observed = f"the newest is {duration(age)} {'old' if age >= 0 else 'in the future'}"
        return Finding(age <= limit, observed, metrics={"age_seconds": age})

    return Check(
        asks=(newest,),
        expected=qualified(spec, f"{column.name} at most {duration(limit)} old"),
        judge=judge,
        cause=(
            "Usually the source was not loaded, or delivered an old extract; look at when it was "
            "last fetched "
            "and at the last run of the step that fills it."
        ),
        reproduce=f"SELECT max({quote_identifier(column.name)}) {source(spec.dataset, spec.where)}",
    )


def schema(spec: TestSpec, context: Context) -> Check:
    """``{columns: [[name, type or None], …], ordered, extra}``: names in any case, types by any name.

    ``ordered``: the listed columns come in this order; ``extra``: others may stand among them.
    """
    uncounted(spec, where=False)
    actual = context.tables.columns(spec.dataset)
    declared = [(str(name), kind) for name, kind in spec.args["columns"]]
    ordered, extra = bool(spec.args.get("ordered")), bool(spec.args.get("extra"))
    differences = _differences(declared, actual, ordered=ordered, extra=extra)
    wanted = listing([f"{name} {kind}" if kind else name for name, kind in declared])

    def judge(_: Answers) -> Finding:
        observed = "; ".join(differences) or count(len(actual), "column") + " as declared"
        return Finding(not differences, observed, metrics={"columns": float(len(actual))})

    return Check(
        asks=(),
        expected=qualified(
            spec, f"{wanted}{', in this order' if ordered else ''}{', others allowed' if extra else ''}"
        ),
        judge=judge,
        cause=(
            "Usually the source added, renamed or retyped a column, or a CSV's types were guessed "
            "anew from other "
            "values; look at the source's header and give its types where they matter."
        ),
        reproduce=context.dialect.shape(spec.dataset),
    )


def _differences(
    declared: list[tuple[str, str | None]], actual: tuple[Column, ...], *, ordered: bool, extra: bool
) -> list[str]:
    found = {c.name.lower(): c for c in actual}
    names = [name.lower() for name, _ in declared]
    said = [f"{name} is missing" for name, _ in declared if name.lower() not in found]
    said += [
        f"{name} is {found[name.lower()].type}, not {kind}"
        for name, kind in declared
        if kind and name.lower() in found and not same_type(kind, found[name.lower()].type)
    ]
    if not extra:
        said += [f"{c.name} is not declared" for c in actual if c.name.lower() not in names]
    present = [c.name.lower() for c in actual if c.name.lower() in names]
    if ordered and present != [n for n in names if n in found]:
        said.append(f"the order is {listing([c.name for c in actual])}")
    return said

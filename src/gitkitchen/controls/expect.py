"""Expectations judged: how far a dataset has moved from what its base published, against what was said.

A statement holds where the move is within its limit. It describes the end, not the step: a column that is
expected as ``added`` may be there before, so that what was published goes on passing. Without a version to
compare with, nothing is judged and nothing passed: the result is ``skipped``, which is no evidence.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from gitkitchen.controls.asks import Misfit
from gitkitchen.controls.base import Base
from gitkitchen.controls.reader import Reader
from gitkitchen.controls.words import count, number, percent, plain
from gitkitchen.data.diff_model import SchemaChange, TableDiff
from gitkitchen.data.diff_rows import Table, compare_tables
from gitkitchen.data.diff_schema import paired, schema_changes
from gitkitchen.data.sql import quote_identifier
from gitkitchen.frozen import dataclass
from gitkitchen.model import Column, TestResult, TestSpec, TestState, Version
from gitkitchen.recipe.limits import Limit, from_plain

SLACK = 1e-12
"""How far apart two sums of the same floats may be, as a share: their order is not kept."""
_CAUSE = (
    "Usually a join, a filter or a source changed more than was meant; `gitkitchen diff --data` shows which "
    "rows and columns."
)


def before_name(dataset: str) -> str:
    """The name under which the base's version can be read; no dataset can have it."""
    return f"{dataset} (base)"


class Move:
    """A dataset now and before, each question asked once."""

    def __init__(self, dataset: str, new: Version, base: Version, key: Sequence[str], reader: Reader) -> None:
        self.dataset, self.new, self.base, self.key, self.reader = dataset, new, base, tuple(key), reader
        self.same = new.content == base.content and new.format == base.format
        self._columns: dict[str, tuple[Column, ...]] = {}
        self._rows: tuple[int, int] | None = None
        self._diff: TableDiff | None = None

    def _name(self, *, before: bool) -> str:
        return before_name(self.dataset) if before else self.dataset

    def columns(self, *, before: bool) -> tuple[Column, ...]:
        version, name = (self.base if before else self.new), self._name(before=before)
        if version.columns:
            return version.columns
        if name not in self._columns:
            self._columns[name] = self.reader.columns(name)
        return self._columns[name]

    @property
    def rows(self) -> tuple[int, int]:
        """Rows before and now."""
        if self._rows is None:
            self._rows = (self._count(before=True), self._count(before=False))
        return self._rows

    def _count(self, *, before: bool) -> int:
        version = self.base if before else self.new
        if version.rows is not None:
            return version.rows
        name = quote_identifier(self._name(before=before))
        return int(self.reader.fetch(f"SELECT count(*) FROM {name}")[0][0])

    def schema(self) -> tuple[SchemaChange, ...]:
        """Columns that are new, gone or of another type; no guess at what was renamed."""
        return schema_changes(self.columns(before=True), self.columns(before=False), {})

    def diff(self, without: Sequence[str] = (), *, examples: int = 0) -> TableDiff:
        """The two compared row by row, but for the columns ``without``."""
        left = {w.lower() for w in without}

        def table(*, before: bool) -> Table:
            version = self.base if before else self.new
            kept = tuple(c for c in self.columns(before=before) if c.name.lower() not in left)
            nulls = {n: s.nulls for n, s in version.stats.items()}
            return Table(self.reader.relation(self._name(before=before), version), kept, nulls)

        return compare_tables(
            table(before=True),
            table(before=False),
            key=self.key,
            fetch=self.reader.answers,
            examples=examples,
            profiles=False,
            sql=self.reader.diff,
        )

    @property
    def whole(self) -> TableDiff:
        if self._diff is None:
            self._diff = self.diff(examples=3)
        return self._diff

    def value(self, expression: str) -> tuple[Any, Any]:
        """An aggregate before and now. ``Misfit`` where it is none, or no number."""
        found = []
        for before in (True, False):
            name = quote_identifier(self._name(before=before))
            # Beside count(*), so that an expression without an aggregate is refused.
            text = f"SELECT count(*), (\n{expression}\n) FROM {name} AS {quote_identifier(self.dataset)}"
            rows = self.reader.fetch(text)
            if len(rows) != 1 or len(rows[0]) != 2:
                raise Misfit("an expectation's expression gives one value")
            found.append(rows[0][1])
        for value in found:
            is_number = isinstance(value, int | float | Decimal) and not isinstance(value, bool)
            if value is not None and not is_number:
                raise Misfit(f"an expectation compares numbers, and this is {type(value).__name__}")
        return found[0], found[1]


@dataclass(frozen=True, slots=True)
class Said:
    """What was found of one statement."""

    passed: bool
    observed: str
    metrics: Mapping[str, float]
    failing: int | None = None
    tested: int | None = None


def judge_expectation(spec: TestSpec, move: Move | None, base: Base) -> TestResult:
    """One statement judged. ``move`` is None where there is no version to compare with."""
    expected = expectation(spec)
    if move is None:
        state = TestState.ERROR if base.lost else TestState.SKIPPED
        return result(spec, state, base.why, expected, message=f"{spec.dataset}: {base.why}")
    started = time.perf_counter()
    try:
        said = _STATEMENTS[spec.args["of"]](spec.args, move)
    except Misfit as misfit:
        return result(
            spec, TestState.ERROR, "could not be evaluated", expected, message=f"{spec.dataset}: {misfit}"
        )
    seconds = time.perf_counter() - started
    return result(
        spec,
        TestState.PASSED if said.passed else TestState.FAILED,
        said.observed,
        expected,
        message="" if said.passed else f"{spec.dataset}: {said.observed}; expected {expected}",
        said=said,
        seconds=seconds,
    )


def result(
    spec: TestSpec,
    state: TestState,
    observed: str,
    expected: str,
    *,
    message: str = "",
    said: Said | None = None,
    seconds: float = 0.0,
    sample: tuple[Mapping[str, str], ...] = (),
) -> TestResult:
    """The result of a statement; a failing one says what usually causes it."""
    return TestResult(
        id=spec.id,
        node=spec.node,
        dataset=spec.dataset,
        phase=spec.phase,
        kind=spec.kind,
        severity=spec.severity,
        state=state,
        observed=observed,
        expected=expected,
        message=message,
        cause=(spec.description or _CAUSE) if state is TestState.FAILED else "",
        failing=said.failing if said else None,
        tested=said.tested if said else None,
        sample=sample,
        metrics=dict(said.metrics) if said else {},
        seconds=seconds,
        place=spec.place,
    )


# --- words -------------------------------------------------------------------------------------------


def expectation(spec: TestSpec) -> str:
    """What a statement expects, in words."""
    args = spec.args
    if args["of"] == "rows":
        text = from_plain(args["limit"]).text
        return (
            f"rows within {text} of the base" if args["what"] == "count" else f"rows {args['what']}: {text}"
        )
    if args["of"] == "values":
        return f"{' '.join(args['value'].split())} within {from_plain(args['limit']).text} of the base"
    listed = [f"{n} {v if isinstance(v, str) else 'in at most ' + v['text'] + ' of its rows'}"
              for n, v in args["columns"].items()]  # fmt: skip
    return f"no change of columns but: {', '.join(listed)}" if listed else "no change of columns"


def moved(before: Any, after: Any) -> str:
    """``8,035,799, 336,776 before: +7,699,023 (+2,286%)``."""
    if before is None or after is None:
        return f"{plain(after)}, {plain(before)} before"
    if not _finite(before, after):
        return f"{plain(after)}, {plain(before)} before"
    step = Decimal(str(after)) - Decimal(str(before))
    if not step:
        return f"{plain(after)}, as before"
    sign = "+" if step > 0 else "-"
    size = abs(step)
    shown = number(int(size)) if size == size.to_integral_value() else number(float(size))
    share = f" ({sign}{percent(float(size / abs(Decimal(str(before)))))})" if before else ""
    return f"{plain(after)}, {plain(before)} before: {sign}{shown}{share}"


def _finite(*values: Any) -> bool:
    return all(not isinstance(v, float) or math.isfinite(v) for v in values)


def told(diff: TableDiff) -> str:
    """What differs in a table, in one sentence."""
    rows, parts = diff.rows, []
    parts += [f"+{rows.added:,} rows"] if rows.added else []
    parts += [f"-{rows.removed:,} rows"] if rows.removed else []
    if rows.changed:
        share = f" ({percent(rows.changed / rows.matched)})" if rows.matched else ""
        parts.append(f"{count(rows.changed)} changed{share}")
    changed = [f"{c.column} in {c.changed:,}" for c in diff.columns if c.changed]
    parts += [f"columns: {', '.join(changed[:6])}{', …' if len(changed) > 6 else ''}"] if changed else []
    parts += [schema_words(c) for c in diff.schema if c.kind != "moved"][:6]
    return "; ".join(parts) or "no row or column differs"


def schema_words(change: SchemaChange) -> str:
    """``column max_id added (BIGINT)``."""
    if change.kind == "added":
        return f"column {change.column} added ({change.now})"
    if change.kind == "removed":
        return f"column {change.column} removed ({change.was})"
    if change.kind == "renamed":
        return f"column {change.was} {'likely ' if change.likely else ''}renamed to {change.now}"
    if change.kind == "retyped":
        return f"column {change.column} retyped from {change.was} to {change.now}"
    if change.kind == "nulls":
        return f"column {change.column} has {change.now} NULLs, and had none"
    return "the order of columns is another"


# --- statements --------------------------------------------------------------------------------------


def _rows(args: Mapping[str, Any], move: Move) -> Said:
    limit, what = from_plain(args["limit"]), args["what"]
    if what == "count":
        before, now = move.rows
        metrics = {"before": float(before), "after": float(now)}
        return Said(limit.allows(before, now), f"rows: {moved(before, now)}", metrics)
    if move.same:
        return Said(True, f"no row {what}: the content is that of the base", {what: 0.0}, 0, move.rows[1])
    rows = move.whole.rows
    part = getattr(rows, what)
    if part is None:
        raise Misfit(f"rows {what} cannot be told without a key; give the node its `key:`")
    whole = (rows.matched or 0) if what == "changed" else rows.a
    share = f" ({percent(part / whole)} of {whole:,})" if whole and part else ""
    observed = f"{count(part)} {what}{share}"
    return Said(limit.allows_part(part, whole), observed, {what: float(part)}, part, whole)


def _values(args: Mapping[str, Any], move: Move) -> Said:
    if move.same:
        return Said(True, "the content is that of the base", {})
    before, now = move.value(args["value"])
    return value_said(args["value"], before, now, from_plain(args["limit"]))


def value_said(expression: str, before: Any, now: Any, limit: Limit) -> Said:
    """An aggregate's move against its limit; NULL moves to nothing but NULL, and NaN to NaN."""
    words = f"{' '.join(expression.split())} is {moved(before, now)}"
    metrics = {k: float(v) for k, v in (("before", before), ("after", now)) if v is not None and _finite(v)}
    if before is None and now is None:
        return Said(True, words, metrics)
    if before is None or now is None or not _finite(before, now):
        alike = before is not None and now is not None and str(before) == str(now)
        return Said(alike or limit.text == "any", words, metrics)
    slack = SLACK if isinstance(before, float) or isinstance(now, float) else 0.0
    return Said(limit.allows(before, now, slack=slack), words, metrics)


def _columns(args: Mapping[str, Any], move: Move) -> Said:
    declared: Mapping[str, Any] = {n.lower(): v for n, v in args["columns"].items()}
    wrong = unexpected_columns(declared, move)
    share_limits = {n: from_plain(v) for n, v in declared.items() if not isinstance(v, str)}
    metrics: dict[str, float] = {}
    said = [schema_words(c) for c in move.schema() if c.kind != "moved"]
    if share_limits and not move.same:
        if not move.key:
            raise Misfit("changed rows of a column cannot be counted without a key; give the node its `key:`")
        found = {c.column.lower(): c for c in move.whole.columns}
        for name, limit in share_limits.items():
            column = found.get(name)
            if column is None or column.changed is None:
                wrong.append(f"column {name} is not there on both sides, or its rows have no key")
                continue
            matched = move.whole.rows.matched or 0
            share = f" ({percent(column.changed / matched)})" if matched and column.changed else ""
            words = f"column {column.column} changed in {count(column.changed)}{share}"
            metrics[f"{column.column} changed"] = float(column.changed)
            said.append(words)
            if not limit.allows_part(column.changed, matched):
                wrong.append(words)
    observed = "; ".join(wrong or said) or "the columns are those of the base"
    return Said(not wrong, observed, metrics)


def unexpected_columns(declared: Mapping[str, Any], move: Move) -> list[str]:
    """Changes of columns that were not declared, and declared ones that are not as they should be."""
    pairs, gone, new = paired(move.columns(before=True), move.columns(before=False))
    now = {c.name.lower() for c in move.columns(before=False)}
    wrong = [f"column {c.name} added ({c.type})" for c in new if declared.get(c.name.lower()) != "added"]
    wrong += [
        f"column {c.name} removed ({c.type})" for c in gone if declared.get(c.name.lower()) != "removed"
    ]
    wrong += [
        f"column {p.b} retyped from {p.type_a} to {p.type_b}"
        for p in pairs
        if p.type_a != p.type_b and declared.get(p.b.lower()) != "retyped"
    ]
    wrong += [f"column {n} is not there" for n, v in declared.items() if v == "added" and n not in now]
    wrong += [f"column {n} is still there" for n, v in declared.items() if v == "removed" and n in now]
    return wrong


_STATEMENTS: dict[str, Callable[[Mapping[str, Any], Move], Said]] = {
    "rows": _rows,
    "columns": _columns,
    "values": _values,
}

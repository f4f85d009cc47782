"""Tests judged: declared tests and versions in, results out."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from gitkitchen.controls.asks import Answers, Ask, Misfit
from gitkitchen.controls.check import Check, Context, Tables
from gitkitchen.controls.kinds import prepare
from gitkitchen.controls.planner import measure, measure_singly
from gitkitchen.controls.reader import Reader
from gitkitchen.frozen import dataclass
from gitkitchen.model import TestResult, TestSpec, TestState, Version

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from gitkitchen.data.engines.postgres_cursor import Cursor

_TO_MEND = (
    "A test that cannot be evaluated is never a pass; mend the test, or what it reads, as the message says."
)


def judge(
    tests: Sequence[TestSpec],
    versions: Mapping[str, Version],
    cursor: DuckDBPyConnection | Cursor,
    *,
    now: datetime,
    keys: Mapping[str, Sequence[str]] | None = None,
) -> list[TestResult]:
    """One result for each test, in order. Datasets are views on ``cursor`` by their names.

    ``now`` (with zone) is the time of the run, for freshness; ``keys`` gives the columns by which
    people know a dataset's rows, shown first in samples. A test that cannot be evaluated is
    ``ERROR`` with the reason and does not spoil the others. Raises what ends the run: an interrupt.
    """
    reader = Reader(cursor)
    return _judged(tests, versions, reader, now, keys, lambda asks: measure(asks, versions, reader))


def judge_singly(
    tests: Sequence[TestSpec],
    versions: Mapping[str, Version],
    cursor: DuckDBPyConnection | Cursor,
    *,
    now: datetime,
    keys: Mapping[str, Sequence[str]] | None = None,
) -> list[TestResult]:
    """The same results by one plain query for each question: what planning is measured against."""
    reader = Reader(cursor)
    results: list[TestResult] = []
    for spec in tests:
        results += _judged([spec], versions, reader, now, keys, lambda asks: measure_singly(asks, reader))
    return results


@dataclass(frozen=True, slots=True)
class _Prepared:
    spec: TestSpec
    check: Check | None
    reason: str = ""


def _judged(
    tests: Sequence[TestSpec],
    versions: Mapping[str, Version],
    reader: Reader,
    now: datetime,
    keys: Mapping[str, Sequence[str]] | None,
    answer: Callable[[Iterable[Ask]], Answers],
) -> list[TestResult]:
    context = Context(Tables(versions, reader, keys), now)
    prepared = [_prepared(spec, context) for spec in tests]
    answers = answer([ask for p in prepared if p.check is not None for ask in p.check.asks])
    return [_result(p, answers, reader) for p in prepared]


def _prepared(spec: TestSpec, context: Context) -> _Prepared:
    try:
        return _Prepared(spec, prepare(spec, context))
    except Misfit as misfit:
        return _Prepared(spec, None, str(misfit))


def _result(prepared: _Prepared, answers: Answers, reader: Reader) -> TestResult:
    spec, check = prepared.spec, prepared.check
    if check is None:
        return _error(spec, prepared.reason)
    try:
        finding = check.judge(answers)
    except Misfit as misfit:
        return _error(spec, str(misfit), check)
    started = time.perf_counter()
    sample: tuple[Mapping[str, str], ...] = ()
    if not finding.passed and check.sample and finding.failing:
        sample = _sample(check, reader)
    return TestResult(
        **_identity(spec),
        state=TestState.PASSED if finding.passed else TestState.FAILED,
        observed=finding.observed,
        expected=check.expected,
        message=""
        if finding.passed
        else f"{_subject(spec, check)}: {finding.observed}; expected {check.expected}",
        cause="" if finding.passed else check.cause,
        failing=finding.failing,
        tested=finding.tested,
        sample=sample,
        metrics=finding.metrics,
        seconds=sum(answers.seconds.get(a, 0.0) for a in check.asks) + (time.perf_counter() - started),
        reproduce=check.reproduce,
    )


def _sample(check: Check, reader: Reader) -> tuple[Mapping[str, str], ...]:
    """Failing rows for people; the verdict stands without them where they cannot be read."""
    try:
        rows = reader.fetch_named(check.sample)
    except Misfit:
        return ()
    return tuple({name: _text(value) for name, value in row.items()} for row in rows)


def _text(value: Any) -> str:
    return "NULL" if value is None else str(value)[:200]


def _subject(spec: TestSpec, check: Check | None) -> str:
    return f"{spec.dataset}.{check.column}" if check is not None and check.column else spec.dataset


def _error(spec: TestSpec, reason: str, check: Check | None = None) -> TestResult:
    return TestResult(
        **_identity(spec),
        state=TestState.ERROR,
        observed="could not be evaluated",
        expected=check.expected if check else "",
        message=f"{_subject(spec, check)}: {reason}",
        cause=_TO_MEND,
        reproduce=check.reproduce if check else "",
    )


def _identity(spec: TestSpec) -> dict[str, Any]:
    return {
        "id": spec.id, "node": spec.node, "dataset": spec.dataset, "phase": spec.phase, "kind": spec.kind,
        "severity": spec.severity, "place": spec.place,
    }  # fmt: skip

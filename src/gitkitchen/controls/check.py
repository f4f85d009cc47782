"""A declared test made ready: what to ask of the data, and how the answers are judged."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from datetime import datetime
from typing import Any

from gitkitchen.controls.asks import Answers, Ask, Misfit
from gitkitchen.controls.dialect import DUCKDB, Dialect
from gitkitchen.controls.reader import Reader
from gitkitchen.controls.words import allowance, plain
from gitkitchen.data.sql import quote_identifier
from gitkitchen.frozen import dataclass
from gitkitchen.model import Column, TestSpec, Version

SAMPLE = 10
_LONGEST_VALUE = 200


@dataclass(frozen=True, slots=True)
class Finding:
    """What the answers say of one test."""

    passed: bool
    observed: str
    failing: int | None = None
    tested: int | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Check:
    """``judge`` turns the answers to ``asks`` into a finding; ``sample`` is SQL for at most
    ten failing rows."""

    asks: tuple[Ask, ...]
    expected: str
    judge: Callable[[Answers], Finding]
    cause: str
    reproduce: str = ""
    sample: str = ""
    column: str = ""
    """The one column that the test is about, for its message."""


class Tables:
    """The datasets that tests may read, as their versions describe them."""

    def __init__(
        self, versions: Mapping[str, Version], reader: Reader, keys: Mapping[str, Sequence[str]] | None = None
    ) -> None:
        self._versions = versions
        self._reader = reader
        self._keys = keys or {}
        self._described: dict[str, tuple[Column, ...]] = {}
        self.dialect = reader.dialect

    def columns(self, dataset: str) -> tuple[Column, ...]:
        """All columns of a dataset; ``Misfit`` where it is unknown or no table."""
        version = self._versions.get(dataset)
        if version is None:
            raise Misfit(f"dataset {dataset!r} is not known here{_near(dataset, self._versions)}")
        if version.format == "file":
            raise Misfit(f"{dataset} is a file, not a table: its rows cannot be tested")
        if version.columns:
            return version.columns
        if dataset not in self._described:
            self._described[dataset] = self._reader.columns(dataset)
        return self._described[dataset]

    def column(self, dataset: str, name: str) -> Column:
        """One column, its name in any case; ``Misfit`` with the nearest name where there is none."""
        columns = self.columns(dataset)
        found = next((c for c in columns if c.name == name), None)
        found = found or next((c for c in columns if c.name.lower() == name.lower()), None)
        if found is None:
            raise Misfit(f"{dataset} has no column {name!r}{_near(name, [c.name for c in columns])}")
        return found

    def key(self, dataset: str) -> tuple[str, ...]:
        """The columns that name a row of the dataset for people, as far as it has them."""
        known = {c.name.lower(): c.name for c in self.columns(dataset)}
        return tuple(known[k.lower()] for k in self._keys.get(dataset, ()) if k.lower() in known)


def _near(name: str, known: Any) -> str:
    names = [str(k) for k in known]
    close = difflib.get_close_matches(name.lower(), [n.lower() for n in names], 1)
    if close:
        return f"; did you mean {next(n for n in names if n.lower() == close[0])!r}?"
    return f"; it has {', '.join(names[:12])}" if names and len(names) <= 12 else ""


@dataclass(frozen=True, slots=True)
class Context:
    """What a kind needs beside the test: the tables and the time of the run (UTC)."""

    tables: Tables
    now: datetime

    @property
    def dialect(self) -> Dialect:
        return self.tables.dialect


Kind = Callable[[TestSpec, Context], Check]


def source(dataset: str, *conditions: str | None) -> str:
    """``FROM "dataset" WHERE (…) AND (…)``: each condition on lines of its own, so that its comments end."""
    given = [f"(\n{c}\n)" if "\n" in c or "--" in c else f"({c})" for c in conditions if c]
    return f"FROM {quote_identifier(dataset)}" + (f" WHERE {' AND '.join(given)}" if given else "")


def qualified(spec: TestSpec, expected: str) -> str:
    """An expectation with the rows that it holds for and what is tolerated."""
    where = f", where {plain(' '.join(spec.where.split()))}" if spec.where else ""
    return f"{expected}{allowance(spec.tolerate)}{where}"


def counted(spec: TestSpec, failing: int, tested: int, observed: str) -> Finding:
    """The finding of a test that counts failing rows, its tolerance applied."""
    return Finding(
        passed=spec.tolerate.allows(failing, tested),
        observed=observed,
        failing=failing,
        tested=tested,
        metrics={"failing": float(failing), "tested": float(tested)},
    )


def uncounted(spec: TestSpec, *, where: bool) -> None:
    """Refuse what a kind that counts no rows cannot honour: a tolerance, and a ``where`` unless allowed."""
    if spec.tolerate.rows is not None or spec.tolerate.share is not None:
        raise Misfit(
            f"`tolerate` counts failing rows, and a {spec.kind} test has none; widen its bounds instead"
        )
    if spec.where and not where:
        raise Misfit(f"`where` selects rows, and a {spec.kind} test has none; put the condition in its SQL")


def sample_rows(columns: tuple[str, ...], origin: str, dialect: Dialect = DUCKDB) -> str:
    """SQL for the first ten rows of ``origin`` (``FROM …``) by these columns, their values as text."""
    unique = list(dict.fromkeys(columns))
    names = ", ".join(quote_identifier(c) for c in unique)
    return _as_text(columns, f"SELECT {names} {origin} {dialect.by_all(unique)} LIMIT {SAMPLE}", dialect)


def sample_values(columns: tuple[str, ...], origin: str, having: str = "", dialect: Dialect = DUCKDB) -> str:
    """SQL for the ten most frequent values of these columns in ``origin``, with the rows that have them."""
    names = ", ".join(quote_identifier(c) for c in columns)
    rows = free_name("rows", columns)
    grouped = grouped_rows(columns, origin, having)
    return _as_text(
        (*columns, rows),
        f"{grouped} ORDER BY {quote_identifier(rows)} DESC, {names} LIMIT {SAMPLE}",
        dialect,
    )


def grouped_rows(columns: tuple[str, ...], origin: str, having: str = "") -> str:
    """SQL for each value of these columns in ``origin`` with the number of its rows."""
    names = ", ".join(quote_identifier(c) for c in columns)
    rows = quote_identifier(free_name("rows", columns))
    return f"SELECT {names}, count(*) AS {rows} {origin} GROUP BY {names}{having}"


def free_name(wanted: str, taken: tuple[str, ...]) -> str:
    """``wanted``, or with underscores until no column is called so."""
    while wanted.lower() in {t.lower() for t in taken}:
        wanted += "_"
    return wanted


def _as_text(columns: tuple[str, ...], inner: str, dialect: Dialect) -> str:
    names = [quote_identifier(c) for c in dict.fromkeys(columns)]
    shown = ", ".join(f"left(CAST({n} AS VARCHAR), {_LONGEST_VALUE}) AS {n}" for n in names)
    return f"SELECT {shown} FROM ({inner}){dialect.derived}"

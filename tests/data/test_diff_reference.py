"""The diff of two tables against a slow reference in Python, on tables made to mislead it."""

from __future__ import annotations

import math
import struct
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitkitchen.data.diff_model import TableDiff
from gitkitchen.data.diff_rows import Table, compare_tables
from gitkitchen.data.sql import quote_identifier
from gitkitchen.model import Column

NAMES = (
    "id",
    "k0",
    "r0",
    "a0",
    "d1",
    "is_new",
    "repeated",
    'quo"te',
    "two words",
    "sélect",
    "n",
    "in_a",
    "p0",
    "b",
)
STRUCT = "STRUCT(x DOUBLE, y VARCHAR)"
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "INTEGER": st.integers(-3, 3),
    "BIGINT": st.sampled_from([0, 1, 2**53, 2**53 + 1, -(2**63), 2**63 - 1]),
    "DOUBLE": st.sampled_from([0.0, -0.0, 1.5, math.nan, math.inf, -math.inf, 2.0**53, 1.0]),
    "DECIMAL(9,2)": st.sampled_from([Decimal("0.00"), Decimal("1.50"), Decimal("-7.25"), Decimal("1.00")]),
    "VARCHAR": st.sampled_from(["", "a", "A", "1", "1.5", "NULL", "'", "\U0001f600"]),
    "BOOLEAN": st.booleans(),
    "DATE": st.sampled_from([date(2013, 1, 1), date(2013, 1, 2), date(1969, 12, 31)]),
    "TIMESTAMP": st.sampled_from([datetime(2013, 1, 1), datetime(2013, 1, 1, 0, 0, 0, 1)]),
    "INTEGER[]": st.sampled_from([[], [1], [1, None], [2, 1]]),
    STRUCT: st.sampled_from([{"x": 0.0, "y": "a"}, {"x": -0.0, "y": "a"}, {"x": None, "y": None}]),
}
KEYS = ("INTEGER", "VARCHAR", "DATE", "DOUBLE", "INTEGER[]")


def canonical(value: Any) -> Any:
    """A value so that two are equal as Python values where the diff must call them equal."""
    if isinstance(value, float):
        return "NaN" if math.isnan(value) else ("float", struct.pack(">d", value))
    if isinstance(value, list):
        return ("list", *(canonical(v) for v in value))
    if isinstance(value, dict):
        return ("struct", *((k, canonical(v)) for k, v in value.items()))
    return (type(value).__name__, value)


class Reference:
    """What a patient person would count, row by row."""

    def __init__(self, a: list[tuple[Any, ...]], b: list[tuple[Any, ...]], keys: int) -> None:
        self.keys = keys
        one, two = ([tuple(canonical(v) for v in row) for row in rows] for rows in (a, b))
        counts = [Counter(row[:keys] for row in rows) for rows in (one, two)]
        repeated = {k for c in counts for k, n in c.items() if n > 1 and not self._null(k)}

        def loose(row: tuple[Any, ...]) -> bool:
            return not keys or self._null(row[:keys]) or row[:keys] in repeated

        left, right = ({r[:keys]: r for r in rows if not loose(r)} for rows in (one, two))
        self.matched = left.keys() & right.keys()
        self.changed = {k for k in self.matched if left[k] != right[k]}
        spare = [Counter(r for r in rows if loose(r)) for rows in (one, two)]
        self.added = len(right.keys() - left.keys()) + sum((spare[1] - spare[0]).values())
        self.removed = len(left.keys() - right.keys()) + sum((spare[0] - spare[1]).values())
        self.left, self.right = left, right
        raw_left = {tuple(canonical(v) for v in r[:keys]): r for r in a}
        raw_right = {tuple(canonical(v) for v in r[:keys]): r for r in b}
        self.raw = {k: (raw_left[k], raw_right[k]) for k in self.matched}

    @staticmethod
    def _null(key: tuple[Any, ...]) -> bool:
        return any(part == ("NoneType", None) for part in key)

    def column(self, index: int) -> tuple[int, int, int]:
        """Changed rows, NULLs gained, NULLs lost of one column."""
        nothing = ("NoneType", None)
        pairs = [(self.left[k][index], self.right[k][index]) for k in self.matched]
        gained = sum(a != nothing and b == nothing for a, b in pairs)
        lost = sum(a == nothing and b != nothing for a, b in pairs)
        return sum(a != b for a, b in pairs), gained, lost

    def differences(self, index: int) -> list[Any]:
        found = []
        for a, b in ((x[index], y[index]) for x, y in self.raw.values()):
            if a is None or b is None or canonical(a) == canonical(b):
                continue
            if isinstance(a, float) and not (math.isfinite(a) and math.isfinite(b)):
                continue
            step = b - a
            if isinstance(step, timedelta):
                step = step.days if not isinstance(a, datetime) else step.total_seconds()
            found.append(step)
        return found


@st.composite
def two_tables(draw: Any) -> tuple[list[str], list[str], list[Any], list[Any], int]:
    """Names, types, rows of A, rows of B, and how many columns are the key."""
    keys = draw(st.integers(0, 2))
    rest = draw(st.integers(1, 3))
    types = [draw(st.sampled_from(KEYS)) for _ in range(keys)]
    types += [draw(st.sampled_from(sorted(VALUES))) for _ in range(rest)]
    names = draw(st.permutations(NAMES))[: len(types)]
    row = st.tuples(*(st.none() | VALUES[t] for t in types))
    a = draw(st.lists(row, max_size=6))
    # Mostly the same rows again, some of them changed, dropped or doubled.
    b = [draw(st.just(r) | row) for r in a if draw(st.integers(0, 4))] + draw(st.lists(row, max_size=2))
    return list(names), types, a, b, keys


@pytest.fixture(scope="module")
def engine() -> Any:
    with duckdb.connect(":memory:", config={"threads": 1}) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        yield connection


def table(connection: Any, name: str, columns: Sequence[tuple[str, str]], rows: Sequence[Any]) -> Table:
    made = ", ".join(f"{quote_identifier(n)} {t}" for n, t in columns)
    connection.execute(f"CREATE OR REPLACE TABLE {name} ({made})")
    for row in rows:
        marks = ", ".join(f"CAST(? AS {t})" for _, t in columns)
        connection.execute(f"INSERT INTO {name} VALUES ({marks})", list(row))
    return Table(name, tuple(Column(n, t) for n, t in columns))


def fetcher(connection: Any) -> Callable[[str], list[Any]]:
    return lambda sql: connection.execute(sql).fetchall()


def diff(connection: Any, a: Table, b: Table, key: Sequence[str] = (), **how: Any) -> TableDiff:
    return compare_tables(a, b, key=key, fetch=fetcher(connection), **how)


@given(two_tables())
def test_the_diff_is_what_a_patient_person_counts(engine: Any, made: Any) -> None:
    """Rows, changes of each column, NULLs and sizes are those of the reference, with any key and value."""
    names, types, a, b, keys = made
    columns = list(zip(names, types, strict=True))
    found = diff(
        engine, table(engine, "left_t", columns, a), table(engine, "right_t", columns, b), names[:keys]
    )
    expected = Reference(a, b, keys)
    assert (found.rows.a, found.rows.b) == (len(a), len(b))
    assert (found.rows.added, found.rows.removed) == (expected.added, expected.removed)
    assert found.method == ("key" if keys else "rows")
    if not keys:
        assert found.rows.changed == (None if expected.added or expected.removed else 0)
        return
    assert found.rows.matched == len(expected.matched)
    assert found.rows.changed == len(expected.changed)
    for index, column in enumerate(found.columns, start=keys):
        assert (column.changed, column.nulls_gained, column.nulls_lost) == expected.column(index)
        plain = types[index] not in ("VARCHAR", "BOOLEAN", "INTEGER[]", STRUCT)
        steps = expected.differences(index) if plain else []
        assert (column.difference.measured if column.difference else 0) == len(steps)
        if steps:
            assert column.difference is not None
            assert float(column.difference.total) == pytest.approx(float(sum(steps)))
            assert float(column.difference.maximum) == pytest.approx(float(max(steps)))
            assert column.difference.mean_absolute == pytest.approx(float(sum(map(abs, steps))) / len(steps))


@pytest.mark.long
@given(two_tables())
def test_examples_are_rows_of_the_tables(engine: Any, made: Any) -> None:
    """There are as many examples as differing rows, up to the limit, and none of what does not differ."""
    names, types, a, b, keys = made
    columns = list(zip(names, types, strict=True))
    found = diff(
        engine,
        table(engine, "left_t", columns, a),
        table(engine, "right_t", columns, b),
        names[:keys],
        examples=3,
    )
    changed = [e for e in found.examples if e.kind == "changed"]
    assert len(changed) == min(3, found.rows.changed or 0)
    added = sum(e.times for e in found.examples if e.kind == "added")
    assert bool(added) == bool(found.rows.added)
    assert all(e.a != e.b or "-0" in str(e) for e in changed)

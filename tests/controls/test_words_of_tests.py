"""Figures, shares, bounds and types as people read and write them."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitkitchen.controls.columns import family, limits, same_type, value_sql
from gitkitchen.controls.words import between, count, duration, failing_rows, listing, number, percent, plain


def test_counts_name_their_noun() -> None:
    """Figures are grouped, and one is singular."""
    assert [count(n) for n in (0, 1, 2512)] == ["no row", "1 row", "2,512 rows"]
    assert failing_rows(2512, 336_776, "are NULL", "no NULL") == "2,512 rows are NULL (0.746% of 336,776)"
    assert failing_rows(0, 5, "are NULL", "no NULL") == "no NULL"


def test_shares_never_round_to_all_or_nothing() -> None:
    """Some failing rows are never 0%, and all but one never 100%."""
    assert percent(1e-9) == "less than 0.001%"
    assert percent(1 - 1e-9) == "more than 99.9%"
    assert [percent(s) for s in (0, 0.2, 1)] == ["0%", "20%", "100%"]


def test_values_durations_and_bounds_read_well() -> None:
    """Texts are cut, figures grouped, durations in their largest fitting unit."""
    assert [plain(v) for v in (None, True, 12345, Decimal("1.50"), 0.1 + 0.2)] == [
        "NULL", "true", "12,345", "1.50", "0.3",
    ]  # fmt: skip
    assert len(plain("x" * 500)) == 120
    assert number(12_345_678.9) == "12,345,678.90"
    assert [duration(s) for s in (59, 60, 5400, 86400, 129_600, 200_000)] == [
        "59 seconds", "1 minute", "90 minutes", "1 day", "36 hours", "2.3 days",
    ]  # fmt: skip
    assert [between(1, None), between(None, 2), between(1, 2), between(3, 3)] == [
        "at least 1", "at most 2", "from 1 to 2", "exactly 3",
    ]  # fmt: skip
    assert between(1, None, True) == "more than 1"
    assert listing([str(i) for i in range(20)]).endswith("7, … (20 in all)")


@pytest.mark.parametrize(
    ("declared", "actual"),
    [
        ("int", "INTEGER"), ("text", "VARCHAR"), ("varchar(20)", "VARCHAR"),
        ("numeric(10, 2)", "DECIMAL(10,2)"),
        ("float8", "DOUBLE"), ("timestamptz", "TIMESTAMP WITH TIME ZONE"), ("int[]", "INTEGER[]"),
        ("datetime", "TIMESTAMP"), ("decimal", "DECIMAL(18,3)"), ("struct(a int)", "STRUCT(a INTEGER)"),
    ],
)  # fmt: skip
def test_a_type_may_be_called_by_any_of_its_names(declared: str, actual: str) -> None:
    """Other names and spaces mean the same type; another type does not."""
    assert same_type(declared, actual)
    assert not same_type(declared, "BLOB")


@given(st.integers(-(10**30), 10**30) | st.floats(allow_nan=False), st.integers(-5, 5), st.booleans())
def test_whole_limits_say_what_fractional_ones_say(limit: float, value: int, strict: bool) -> None:
    """A limit on whole numbers is rounded to the whole limit that decides each value alike."""
    if value <= limit or not strict:
        bound = limits("BIGINT", limit, 100, strict).low
        passes = value > limit if strict else value >= limit
        assert (bound is None or (value > bound if strict else value >= bound)) == passes
    bound = limits("BIGINT", -100, limit, strict).high
    passes = value < limit if strict else value <= limit
    assert (bound is None or (value < bound if strict else value <= bound)) == passes


def test_literals_compare_as_the_column_does() -> None:
    """A FLOAT's limits are rounded as its values were; decimals stay exact; times are UTC."""
    assert value_sql("FLOAT", 0.1) == "CAST('0.1' AS FLOAT)"
    assert value_sql("DECIMAL(10,2)", 0.1) == "0.1"
    assert value_sql("INTEGER", 2.0) in ("2.0", "2")
    assert value_sql("TIMESTAMP", "2024-01-01T02:00:00+02:00") == "CAST('2024-01-01' AS TIMESTAMP)"
    assert value_sql("VARCHAR", "it's") == "'it''s'"
    assert [family(t) for t in ("DECIMAL(4,1)", "VARCHAR[]", "ENUM('a', 'b')", "TIMESTAMP_NS")] == [
        "decimal", "other", "text", "timestamp",
    ]  # fmt: skip

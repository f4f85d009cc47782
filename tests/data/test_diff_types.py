"""Columns that changed their type or name: what still counts as the same, and what readers are told."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import duckdb
import pytest

from gitkitchen.data.diff_model import SchemaChange, TableDiff
from gitkitchen.data.diff_rows import Table, compare_tables
from gitkitchen.data.diff_types import widened
from gitkitchen.model import Column


@pytest.fixture(scope="module")
def engine() -> Any:
    with duckdb.connect(":memory:", config={"threads": 1}) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        yield connection


def diff(engine: Any, a: str, b: str, key: tuple[str, ...] = ("id",), **how: Any) -> TableDiff:
    """Two SELECTs compared."""

    def table(text: str) -> Table:
        rows = engine.execute(f"DESCRIBE {text}").fetchall()
        return Table(f"({text})", tuple(Column(r[0], r[1]) for r in rows))

    return compare_tables(table(a), table(b), key=key, fetch=lambda s: engine.execute(s).fetchall(), **how)


def one(engine: Any, a: str, b: str) -> int | None:
    """How many of one row's value ``v`` changed."""
    return diff(engine, f"select 1 as id, {a} as v", f"select 1 as id, {b} as v").columns[0].changed


@pytest.mark.parametrize(
    ("a", "b", "changed"),
    [
        ("1::integer", "1::bigint", 0),
        ("1::integer", "1.0::double", 0),
        ("9007199254740993::bigint", "9007199254740992::double", 1),
        ("1::integer", "1.5::double", 1),
        ("0.1::decimal(9,2)", "0.1::double", 0),
        ("0.1::decimal(9,2)", "0.1::decimal(18,4)", 0),
        ("1::integer", "1.00::decimal(9,2)", 0),
        ("true", "1::integer", 0),
        ("0.0::double", "'-0.0'::double", 1),
        ("'nan'::double", "'nan'::double", 0),
        ("0.1::float", "0.1::double", 1),
        ("7::integer", "'7'", 0),
        ("7::integer", "'007'", 1),
        ("date '2013-01-01'", "timestamp '2013-01-01'", 0),
        ("date '2013-01-01'", "timestamp '2013-01-01 00:00:01'", 1),
        ("timestamp '2013-01-01'", "timestamptz '2013-01-01 01:00:00+01'", 0),
        ("date '2013-01-01'", "'2013-01-01'", 0),
        ("interval '1 month'", "interval '30 days'", 1),
        ("[1, 2]", "['1', '2']", 0),
        ("null::integer", "null::varchar", 0),
        ("null::integer", "''", 1),
        ("18446744073709551615::ubigint", "-1::bigint", 1),
    ],
)
def test_values_of_two_types_are_compared_as_people_mean_them(
    engine: Any, a: str, b: str, changed: int
) -> None:
    """Numbers with numbers, times with times, the rest as text; nothing is rounded into equality."""
    assert one(engine, a, b) == changed
    assert one(engine, b, a) == changed


@pytest.mark.parametrize(
    ("was", "now", "wider"),
    [
        ("INTEGER", "BIGINT", True),
        ("BIGINT", "INTEGER", False),
        ("UINTEGER", "BIGINT", True),
        ("UBIGINT", "BIGINT", False),
        ("INTEGER", "UBIGINT", False),
        ("INTEGER", "DOUBLE", True),
        ("BIGINT", "DOUBLE", False),
        ("FLOAT", "DOUBLE", True),
        ("DOUBLE", "FLOAT", False),
        ("DECIMAL(9,2)", "DECIMAL(18,2)", True),
        ("DECIMAL(9,2)", "DECIMAL(9,4)", False),
        ("INTEGER", "DECIMAL(12,2)", True),
        ("INTEGER", "DECIMAL(10,2)", False),
        ("INTEGER", "VARCHAR", False),
        ("DATE", "TIMESTAMP", False),
    ],
)
def test_a_type_is_wider_where_every_value_stays_itself(was: str, now: str, wider: bool) -> None:
    """Only what loses no value and changes no reader's meaning is compatible."""
    assert widened(was, now) is wider


def test_a_renamed_column_is_found_by_its_content(engine: Any) -> None:
    """Equal content under another name is told as likely renamed, and its rows as unchanged."""
    found = diff(
        engine,
        "select i as id, i * 2 as price from range(50) t(i)",
        "select i as id, i * 2 as amount from range(50) t(i)",
    )
    assert found.schema == (
        SchemaChange("renamed", "amount", "price", "amount", True, True, "its content is the same"),
    )
    assert found.rows.changed == 0


def test_a_renamed_column_of_which_some_values_changed_is_found_by_the_key(engine: Any) -> None:
    """Where 9 of 10 rows of the same key agree, the column is told as likely renamed, with the figures."""
    found = diff(
        engine,
        "select i as id, i * 2 as price from range(100) t(i)",
        "select i as id, case when i < 5 then 0.5 else i * 2 end as amount from range(100) t(i)",
    )
    (change, retyped) = found.schema
    assert change.kind == "renamed"
    assert change.likely
    assert "95 of 100 rows" in change.why
    assert retyped.kind == "retyped"
    assert found.columns[0].changed == 5


def test_columns_that_only_look_alike_are_not_taken_for_one(engine: Any) -> None:
    """Two columns with as many values, but others, are one removed and one added; so is a constant."""
    found = diff(
        engine,
        "select i as id, i as old, 1 as flag from range(50) t(i)",
        "select i as id, 49 - i as fresh, 2 as mark from range(50) t(i)",
    )
    assert sorted(c.kind for c in found.schema if c.column in ("flag", "mark")) == ["added", "removed"]
    found = diff(
        engine,
        "select i as id, i % 7 as old from range(50) t(i)",
        "select i as id, (i + 3) % 7 as fresh from range(50) t(i)",
    )
    assert sorted(c.kind for c in found.schema) == ["added", "removed"]


def test_a_column_that_gains_its_first_null_breaks_the_contract(engine: Any) -> None:
    """Readers may have relied on a column that had no NULL; the other way round is no change."""
    found = diff(engine, "select 1 as id, 5 as v", "select 1 as id, null::integer as v")
    assert [(c.kind, c.breaking, c.now) for c in found.schema] == [("nulls", True, "1")]
    assert found.columns[0].nulls_gained == 1
    assert diff(engine, "select 1 as id, null::integer as v", "select 1 as id, 5 as v").schema == ()


def test_repeated_and_missing_keys_multiply_nothing(engine: Any) -> None:
    """A thousand rows of one key on both sides are compared whole: no join, and the notes say so."""
    a = "select 1 as id, i as v from range(1000) t(i) union all select 2, 0 union all select null, 1"
    b = "select 1 as id, i as v from range(1001) t(i) union all select 2, 5 union all select null, 1"
    found = diff(engine, a, b)
    assert (found.rows.added, found.rows.removed, found.rows.changed) == (1, 0, 1)
    assert found.rows.unkeyed.rows == (1001, 1002)
    assert found.rows.unkeyed.null_rows == (1, 1)
    assert any("does not tell all rows apart" in note for note in found.notes)
    assert any("NULL in the key" in note for note in found.notes)


def test_a_key_that_one_side_lacks_falls_back_to_whole_rows_and_says_so(engine: Any) -> None:
    """Without the key column on both sides, changes of single rows are not known, and not shown as 0."""
    found = diff(engine, "select 1 as v, 2 as w", "select 7 as id, 1 as v, 3 as w")
    assert found.method == "rows"
    assert found.rows.changed is None
    assert found.columns[0].changed is None
    assert "do not have the key column id" in found.notes[0]


def test_tables_without_a_common_column_are_not_called_equal(engine: Any) -> None:
    """Nothing can be compared, and nothing is shown as 0."""
    found = diff(engine, "select 1 as v", "select 'a' as w", key=())
    assert found.method == "none"
    assert not found.exact
    assert (found.rows.added, found.rows.changed) == (None, None)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("date '5000000-01-01'", "timestamp '2013-01-01'"),
        ("9e37::decimal(38,0)", "1.5::decimal(38,37)"),
    ],
    ids=["date", "decimal"],
)
def test_a_key_that_its_new_type_cannot_hold_is_another_key(engine: Any, a: str, b: str) -> None:
    """A value that fits no common type is one of its own: it comes and goes as a row."""
    for was, now in ((a, b), (b, a)):
        found = diff(engine, f"select {was} as id, 1 as v", f"select {now} as id, 1 as v")
        assert (found.rows.added, found.rows.removed, found.rows.changed) == (1, 1, 0)


def test_a_table_may_be_nothing_but_its_key(engine: Any) -> None:
    """With no column beside the key rows still come and go, with and without repeated keys."""
    found = diff(engine, "select unnest([1, 2, 2, null]) as id", "select unnest([2, 2, 3, null]) as id")
    assert (found.rows.added, found.rows.removed, found.rows.changed) == (1, 1, 0)
    found = diff(engine, "select unnest([1, 2]) as id", "select unnest([2, 3]) as id", examples=0)
    assert (found.rows.added, found.rows.removed, found.rows.matched) == (1, 1, 1)
    found = diff(engine, "select 1 as id where false", "select 1 as id where false", profiles=False)
    assert (found.rows.added, found.rows.matched, found.changes_data) == (0, 0, False)


def test_odd_types_are_compared_and_profiled(engine: Any) -> None:
    """Bytes, times, intervals, identifiers, maps, wide integers: each as key and as column."""
    values = [
        ("'a'::blob", "'b'::blob"),
        ("time '10:00'", "time '10:01'"),
        ("interval '1 day'", "interval '2 days'"),
        ("'00000000-0000-0000-0000-000000000001'::uuid", "'00000000-0000-0000-0000-000000000002'::uuid"),
        ("map {'a': 1}", "map {'a': 2}"),
        ("1::hugeint", "170141183460469231731687303715884105727::hugeint"),
        ("'infinity'::timestamp", "timestamp '2013-01-01'"),
        ("date '2013-01-01'", "'-infinity'::date"),
        ("timestamptz '2013-01-01 00:00+00'", "timestamptz '2013-01-02 00:00+00'"),
        ("timestamp_ns '2013-01-01 00:00:00.000000001'", "timestamp_ns '2013-01-01 00:00:00.000000002'"),
        ("1.5::decimal(38, 10)", "2.5::decimal(38, 10)"),
    ]
    for a, b in values:
        found = diff(engine, f"select 1 as id, {a} as v", f"select 1 as id, {b} as v")
        assert found.columns[0].changed == 1, a
        assert found.rows.changed == 1, a
        keyed = diff(engine, f"select {a} as id, 1 as v", f"select {b} as id, 1 as v")
        assert (keyed.rows.added, keyed.rows.removed, keyed.rows.matched) == (1, 1, 0), a
        whole = diff(engine, f"select {a} as v", f"select {b} as v", key=())
        assert (whole.rows.added, whole.rows.removed) == (1, 1), a


def test_sums_are_exact_where_the_type_is(engine: Any) -> None:
    """Sums of integers and decimals lose nothing, also beyond what a float holds."""
    found = diff(
        engine,
        "select i as id, 9007199254740993 as n, 0.01::decimal(18,2) as d from range(3) t(i)",
        "select i as id, 9007199254740995 as n, 0.03::decimal(18,2) as d from range(3) t(i)",
    )
    n, d = found.columns
    assert n.difference is not None
    assert d.difference is not None
    assert (n.difference.total, d.difference.total) == (6, Decimal("0.06"))
    assert n.b is not None
    assert n.b.total == 3 * 9007199254740995


def test_large_tables_say_what_is_sampled(engine: Any) -> None:
    """Above 200,000 rows distinct values are estimates and quantiles come from a sample, said so."""
    found = diff(
        engine,
        "select i as id, i % 1000 as v from range(300000) t(i)",
        "select i as id, i % 1000 + 1 as v from range(300000) t(i)",
        examples=2,
    )
    (column,) = found.columns
    assert column.changed == 300000
    assert column.b is not None
    assert not column.b.distinct_exact
    assert column.b.sampled is not None
    assert 50_000 < column.b.sampled < 200_000
    assert 480 < int(column.b.quantiles[2]) < 520
    assert len(found.examples) == 2

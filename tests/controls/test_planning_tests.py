"""The planner asks as little as it can, and gives the same results as asking everything."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from gitkitchen.controls import queries
from gitkitchen.controls.asks import AnyRepeat, Ask, Failing, Repeats
from gitkitchen.controls.check import Context, Tables
from gitkitchen.controls.judge import judge
from gitkitchen.controls.kinds import prepare
from gitkitchen.controls.planner import SMALL, measure
from gitkitchen.controls.reader import Reader
from gitkitchen.model import TestSpec, TestState

NOW = datetime(2024, 3, 10, tzinfo=UTC)
LARGE = f"""
SELECT i AS id, i % 7 AS kind, ['a', 'b', 'c'][1 + i % 3] AS code, 'user' || i || '@example.com' AS email,
  CASE WHEN i % 100 = 0 THEN NULL ELSE i // 2 END AS half, DATE '2024-01-01' + CAST(i % 50 AS INTEGER) AS day,
  CAST(i % 1000 AS INTEGER) AS customer
FROM range({SMALL + 10_000}) AS r(i)
"""


def sent(tables: Any, specs: list[TestSpec]) -> list[str]:
    """The statements that the planner sends for these tests."""
    statements: list[str] = []

    class Watched(Reader):
        def fetch(self, sql: str) -> list[tuple[Any, ...]]:
            statements.append(sql)
            return super().fetch(sql)

    reader = Watched(tables.cursor)
    context = Context(Tables(tables.versions, reader), NOW)
    asks: list[Ask] = [ask for spec in specs for ask in prepare(spec, context).asks]
    measure(asks, tables.versions, reader)
    return statements


def test_the_manifest_answers_without_any_query(tables: Any, make_test: Callable[..., TestSpec]) -> None:
    """NULLs, row counts, proved ranges, the newest time and a schema are judged on a closed database."""
    tables.table("t", "SELECT 1 AS id, DATE '2024-03-09' AS day, 1.50::DECIMAL(5,2) AS fare, 'x' AS name")
    tables.cursor.close()
    specs = [
        make_test("not_null", column="id"),
        make_test("unique", columns=["id"]),
        make_test("rows", min=1),
        make_test("range", column="id", min=0, max=1),
        make_test("range", column="day", min="2024-01-01", max="2024-03-09"),
        make_test("range", column="fare", min=1.5, max=1.5),
        make_test("freshness", column="day", max_age=86400),
        make_test("schema", columns=[["id", "int"]], extra=True),
    ]
    results = judge(specs, tables.versions, tables.cursor, now=NOW)
    assert [(r.kind, r.state) for r in results] == [(s.kind, TestState.PASSED) for s in specs]


def test_floats_and_texts_are_never_proved_by_the_manifest(
    tables: Any, make_test: Callable[..., TestSpec]
) -> None:
    """The footer's figures leave NaN out, so that a range over floats is always looked at."""
    tables.table("t", "SELECT unnest([1.0::DOUBLE, 'nan'::DOUBLE, 2.0::DOUBLE]) AS ratio")
    assert tables.versions["t"].stats["ratio"].maximum == "2.0"
    result = tables.one(make_test("range", column="ratio", min=0, max=5))
    assert (result.state, result.failing) == (TestState.FAILED, 1)


def test_a_small_table_is_read_once_for_each_where(tables: Any, make_test: Callable[..., TestSpec]) -> None:
    """However many tests: one statement for all of them that look at the same rows."""
    tables.table("t", "SELECT i AS id, 'x' || i AS name, i / 2.0::DOUBLE AS ratio FROM range(50) AS r(i)")
    specs = [
        make_test("unique", columns=["id"]),
        make_test("unique", columns=["name", "id"]),
        make_test("pattern", column="name", matches="^x"),
        make_test("range", column="ratio", min=0),
        make_test("value", sql="sum(id)", min=0),
        make_test("relationships", columns=["id"], to_dataset="t", to_columns=["id"]),
        make_test("not_null", column="id", where="id > 3"),
        make_test("length", column="name", max=4, where="id > 3"),
    ]
    assert len(sent(tables, specs)) == 2
    assert {r.state for r in tables.judge(*specs)} == {TestState.PASSED}


def large_tests(make_test: Callable[..., TestSpec]) -> list[TestSpec]:
    """Tests of the large table, each with a failing twin."""
    pairs: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
        ("range", {"column": "id", "min": 0}, {"column": "id", "min": 5}),
        ("range", {"column": "half", "min": 0, "max": 1e6}, {"column": "half", "max": 10}),
        (
            "accepted_values",
            {"column": "code", "values": ["a", "b", "c"]},
            {"column": "code", "values": ["a"]},
        ),
        ("accepted_values", {"column": "kind", "values": list(range(7))}, {"column": "kind", "values": [1]}),
        ("pattern", {"column": "code", "matches": "^[a-c]$"}, {"column": "code", "matches": "a"}),
        ("pattern", {"column": "email", "matches": "@"}, {"column": "email", "matches": "^user1"}),
        ("length", {"column": "email", "min": 5}, {"column": "email", "max": 17}),
        ("unique", {"columns": ["id"]}, {"columns": ["half"]}),
        ("unique", {"columns": ["email"]}, {"columns": ["code", "day"]}),
        (
            "relationships",
            {"columns": ["customer"], "to_dataset": "customers", "to_columns": ["id"]},
            {"columns": ["customer"], "to_dataset": "few", "to_columns": ["id"]},
        ),
        (
            "relationships",
            {"columns": ["email"], "to_dataset": "t", "to_columns": ["email"]},
            {"columns": ["customer", "code"], "to_dataset": "few", "to_columns": ["id", "code"]},
        ),
        ("value", {"sql": "count(*)", "min": 1}, {"sql": "sum(kind)", "max": 1}),
        ("not_null", {"column": "id"}, {"column": "half"}),
    ]
    return [make_test(kind, **args) for kind, *both in pairs for args in both]


def make_large(tables: Any) -> None:
    """A table over the planner's threshold, and what it refers to."""
    tables.table("t", LARGE)
    tables.table("customers", "SELECT CAST(i AS INTEGER) AS id FROM range(1000) AS r(i)")
    tables.table("few", "SELECT CAST(i AS INTEGER) AS id, 'a' AS code FROM range(10) AS r(i)")


def test_a_large_table_gives_the_same_results_as_one_by_one(
    tables: Any, make_test: Callable[..., TestSpec]
) -> None:
    """Each test passes and its twin fails, with and without a ``where``, whatever the plan was."""
    make_large(tables)
    specs = large_tests(make_test)
    states = [r.state for r in tables.judge(*specs, keys={"t": ["id"]})]
    assert states == [TestState.PASSED, TestState.FAILED] * (len(specs) // 2)
    scoped = [make_test(s.kind, **s.args, where="id % 2 = 1") for s in specs]
    assert {r.state for r in tables.judge(*scoped)} == {TestState.PASSED, TestState.FAILED}


def test_a_large_table_is_asked_sparingly(tables: Any, make_test: Callable[..., TestSpec]) -> None:
    """Ranges share one look at the footers, a column of few values one group-by, a wide column one pass."""
    make_large(tables)
    statements = sent(tables, large_tests(make_test)[::2])
    assert sum("GROUP BY" in s for s in statements) == 3, "code, kind and customer"
    assert sum("regexp_matches" in s for s in statements) == 2, "code by value, email in one pass"
    assert sum("bitstring_agg" in s for s in statements) == 1, "id: a bit for each possible key"
    assert sum("SELECT DISTINCT" in s for s in statements) == 1, "email: distinct keys"
    assert not any("min(" in s for s in statements), "ranges are proved by the manifest"


def test_a_key_that_holds_a_unique_key_is_unique(tables: Any, make_test: Callable[..., TestSpec]) -> None:
    """Where ``id`` repeats nothing, no set of columns with ``id`` does, and nothing is asked."""
    make_large(tables)
    statements = sent(
        tables, [make_test("unique", columns=["email", "id", "day"]), make_test("unique", columns=["id"])]
    )
    assert len(statements) == 1


def test_a_small_table_against_a_large_one_narrows_the_large_one(
    tables: Any, make_test: Callable[..., TestSpec]
) -> None:
    """Ten keys are not worth a hash table of all keys of the other dataset."""
    make_large(tables)
    spec = make_test("relationships", "few", columns=["id"], to_dataset="t", to_columns=["id"])
    assert [' IN (SELECT "id" FROM "few"' in s for s in sent(tables, [spec])] == [True]
    assert tables.one(spec).state == TestState.PASSED


def test_wrong_figures_of_a_manifest_cost_time_and_not_the_verdict(
    tables: Any, make_test: Callable[..., TestSpec]
) -> None:
    """Where a value lies outside the least and greatest of the manifest, uniqueness is counted plainly."""
    make_large(tables)
    repeats = Repeats("t", None, ("id",))
    wrong = queries.any_repeat_by_bits(repeats, [('(CAST("id" AS BIGINT) - (0))', 10)])
    assert wrong.asks == (AnyRepeat(repeats),)
    stats = tables.versions["t"].stats
    stats["id"] = type(stats["id"])(0, "0", "10")
    result = tables.one(make_test("unique", columns=["id"]))
    assert (result.state, result.failing) == (TestState.PASSED, 0)


def test_tests_that_ask_the_same_share_the_answer(tables: Any, make_test: Callable[..., TestSpec]) -> None:
    """Equal questions are asked once."""
    make_large(tables)
    context = Context(Tables(tables.versions, Reader(tables.cursor)), NOW)
    first, second = (
        prepare(make_test("pattern", column="email", matches="@", severity=s), context).asks[1]
        for s in ("stop", "warn")
    )
    assert isinstance(first, Failing)
    assert first == second

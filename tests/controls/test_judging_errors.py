"""A test that cannot be evaluated is an error that says why, and spoils no other test."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import duckdb
import pytest

from gitkitchen.controls.judge import judge
from gitkitchen.model import Severity, TestSpec, TestState, Version

TABLE = """
SELECT 1 AS id, 'a' AS name, 1.5::DOUBLE AS ratio, DATE '2024-01-01' AS day, TRUE AS flag, [1] AS list,
  TIMESTAMPTZ '2024-01-01 00:00:00+00' AS moment, INTERVAL 1 DAY AS wait
UNION ALL SELECT 2, 'b', 2.5, DATE '2024-01-02', FALSE, [2], NULL, NULL
"""
MOMENT = "2024-01-01 00:00:00+00:00"
MISFITS: list[tuple[str, dict[str, Any], str]] = [
    ("not_null", {"column": "nmae"}, "t has no column 'nmae'; did you mean 'name'?"),
    ("pattern", {"column": "id", "matches": "^1"}, "a pattern needs text, and id is INTEGER"),
    ("pattern", {"column": "name", "matches": "["}, "missing ]"),
    ("pattern", {"column": "name", "matches": "a\0b"}, "NUL"),
    ("length", {"column": "day", "min": 1}, "a length needs text, and day is DATE"),
    ("length", {"column": "name", "min": None, "max": None}, "a length needs `min` or `max`"),
    (
        "freshness",
        {"column": "name", "max_age": 60},
        "freshness needs a date or a timestamp, and name is VARCHAR",
    ),
    (
        "range",
        {"column": "name", "min": 1},
        "a range needs numbers, dates or times, and the column is VARCHAR",
    ),
    ("range", {"column": "flag", "min": 0}, "and the column is BOOLEAN"),
    ("range", {"column": "id", "min": "one"}, "'one' is text, and the column is INTEGER"),
    ("range", {"column": "id", "min": True}, "true is true or false, and the column is INTEGER"),
    ("range", {"column": "day", "min": 20240101}, "20240101 is a number, and the column is DATE"),
    ("range", {"column": "day", "max": "someday"}, "'someday' is not a date or time"),
    ("range", {"column": "ratio", "min": float("nan")}, "NaN is no limit"),
    ("range", {"column": "id"}, "a range needs `min` or `max`"),
    ("accepted_values", {"column": "name", "values": [1, 2]}, "1 is a number, and the column is VARCHAR"),
    ("accepted_values", {"column": "id", "values": ["1"]}, "'1' is text, and the column is INTEGER"),
    ("accepted_values", {"column": "id", "values": [1.5]}, "1.5 is no value that a column of type INTEGER"),
    ("accepted_values", {"column": "list", "values": [1]}, "values of type INTEGER[] cannot be listed"),
    ("accepted_values", {"column": "day", "values": ["x"]}, "'x' is not a date or time"),
    ("accepted_values", {"column": "name", "values": [None], "reject": True}, "use a not_null test"),
    ("unique", {"columns": []}, "at least one column"),
    (
        "relationships",
        {"columns": ["id"], "to_dataset": "t", "to_columns": ["name"]},
        "id is INTEGER and t.name is VARCHAR: they cannot be equal",
    ),
    (
        "relationships",
        {"columns": ["id", "name"], "to_dataset": "t", "to_columns": ["id"]},
        "2 columns cannot be compared with 1",
    ),
    (
        "relationships",
        {"columns": ["id"], "to_dataset": "tt", "to_columns": ["id"]},
        "dataset 'tt' is not known here; did you mean 't'?",
    ),
    ("rows", {"min": 1, "relative_to": "plane"}, "dataset 'plane' is not known here"),
    ("rows", {}, "a rows test needs `min` or `max`"),
    ("rows", {"min": 1, "tolerate": 5}, "`tolerate` counts failing rows"),
    ("equal", {"value": "sum(id)", "to": "date '2024-01-01'"}, "cannot be compared"),
    ("equal", {"value": "id", "to": 1}, "Write an aggregate such as sum(x)"),
    ("equal", {"value": "1), (2", "to": 1}, "one value is needed"),
    ("equal", {"value": "select id from t", "to": 1}, "more than one row"),
    ("equal", {"value": "select 1, 2", "to": 1}, "2 columns"),
    ("equal", {"value": "list(moment)", "to": "list(day)"}, "take epoch() of it"),
    ("value", {"sql": "max('infinity'::timestamptz)", "min": "2024-01-01"}, "outside the years 1 to 9999"),
    ("close", {"value": "max(name)", "to": 1, "absolute": 1, "share": None}, "only numbers can be close"),
    ("value", {"sql": "max(name)", "min": 1}, "does not fit the bounds"),
    ("value", {"sql": "max(nothing)", "min": 1}, 'column "nothing" not found'),
    ("value", {"sql": "select max(id) from nowhere", "min": 1}, "nowhere does not exist"),
    ("value", {"sql": "select 1; drop view t", "min": 1}, "syntax error"),
    ("value", {"sql": "1) ; drop view t; select (1", "min": 1}, "must be one SELECT"),
    ("no_rows", {"sql": "delete from t"}, "syntax error"),
    ("no_rows", {"sql": "select 1", "where": "id = 1"}, "put it in the SQL"),
    ("no_rows", {"sql": "select 1", "tolerate": 0.5}, "not a share"),
    ("not_null", {"column": "id", "where": "id >"}, "syntax error"),
    ("not_null", {"column": "id", "where": "gone = 1"}, 'column "gone" not found'),
    ("not_null", {"column": "id", "where": "true /*"}, "unterminated"),
    ("schema", {"columns": [["id", None]], "where": "id = 1"}, "`where` selects rows"),
    ("telepathy", {}, "there is no test of kind 'telepathy'"),
]
GOOD: list[tuple[str, dict[str, Any]]] = [
    ("not_null", {"column": "id"}),
    ("unique", {"columns": ["id"]}),
    ("pattern", {"column": "name", "matches": "^[ab]$"}),
    ("value", {"sql": "sum(id)", "min": 3, "max": 3}),
    ("range", {"column": "ratio", "min": 1}),
    ("rows", {"min": 2}),
]


@pytest.mark.parametrize(("kind", "args", "why"), MISFITS)
def test_what_cannot_be_evaluated_is_an_error_and_spoils_nothing(
    tables: Any, make_test: Callable[..., TestSpec], kind: str, args: dict[str, Any], why: str
) -> None:
    """A test that does not fit its data is in error with the reason; its siblings are judged all the same."""
    tables.table("t", TABLE)
    good = [make_test(k, **a) for k, a in GOOD]
    results = tables.judge(*good[:3], make_test(kind, **args), *good[3:])
    bad = results.pop(3)
    assert (bad.state, bad.observed) == (TestState.ERROR, "could not be evaluated")
    assert why in bad.message
    assert bad.message.startswith("t")
    assert "never a pass" in bad.cause
    assert bad.stops
    assert [r.state for r in results] == [TestState.PASSED] * len(good)


@pytest.mark.parametrize(
    ("kind", "args", "state", "observed"),
    [
        ("value", {"sql": "max(moment)", "min": "2024-01-01", "max": "2024-01-01T00:00"}, "passed", MOMENT),
        ("value", {"sql": "max(moment)", "min": "2024-01-01T00:00:01"}, "failed", MOMENT),
        (
            "value",
            {"sql": "select max(moment) from t -- newest", "max": "2024-01-01T01:00+01:00"},
            "passed",
            MOMENT,
        ),
        ("value", {"sql": "max(moment) filter (id > 1)", "min": "2024-01-01"}, "failed", "NULL"),
        ("equal", {"value": "max(moment)", "to": "max(day) - 1"}, "passed", MOMENT),
        ("equal", {"value": "max(moment)", "to": "select min(moment) from t"}, "passed", MOMENT),
        ("equal", {"value": "max(moment)", "to": "max(day)"}, "failed", MOMENT),
    ],
)
def test_moments_with_a_zone_are_compared_in_utc(
    tables: Any,
    make_test: Callable[..., TestSpec],
    kind: str,
    args: dict[str, Any],
    state: str,
    observed: str,
) -> None:
    """The least and the greatest moment can be tested like any date, without a library of zones."""
    tables.table("t", TABLE)
    result = tables.one(make_test(kind, **args))
    assert result.message == "" or result.state != TestState.ERROR
    assert (result.state.value, result.observed.partition(",")[0]) == (state, observed)


def test_a_file_cannot_be_measured(tables: Any, make_test: Callable[..., TestSpec]) -> None:
    """A dataset that is a file has no rows to test."""
    tables.versions["report"] = Version("report", "file", "f", "c")
    result = tables.one(make_test("rows", "report", min=1))
    assert result.state == TestState.ERROR
    assert "report is a file, not a table" in result.message


def test_a_missing_file_of_the_store_is_an_error_not_a_pass(
    tables: Any, make_test: Callable[..., TestSpec]
) -> None:
    """Where the data cannot be read, what needs reading is an error."""
    tables.table("t", TABLE)
    for file in tables.folder.glob("*.parquet"):
        file.unlink()
    unread = tables.one(make_test("value", sql="sum(id)", min=0))
    assert unread.state == TestState.ERROR
    assert "No files found" in unread.message


def test_results_carry_their_test(tables: Any, make_test: Callable[..., TestSpec]) -> None:
    """Identity, severity and place go from the test to its result."""
    tables.table("t", TABLE)
    spec = make_test("not_null", column="list", severity=Severity.WARN)
    result = tables.one(spec)
    assert (result.id, result.node, result.phase, result.severity) == (spec.id, "t", "outputs", Severity.WARN)
    assert result.metrics == {"failing": 0.0, "tested": 2.0}
    assert not result.stops


def test_an_interrupt_ends_the_run_and_not_a_test(tables: Any, make_test: Callable[..., TestSpec]) -> None:
    """Who cancels a run sees its interrupt; no test becomes an error because of it."""
    tables.table("t", TABLE)
    slow = make_test("value", sql="select count(*) from range(4000000000) a(i) where sqrt(i) < 0", min=0)
    again = threading.Event()

    def interrupt() -> None:
        while not again.wait(0.05):
            tables.cursor.interrupt()

    thread = threading.Thread(target=interrupt)
    thread.start()
    try:
        with pytest.raises(duckdb.InterruptException):
            judge([slow], tables.versions, tables.cursor, now=datetime(2024, 1, 1, tzinfo=UTC))
    finally:
        again.set()
        thread.join()

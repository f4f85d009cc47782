"""Every kind of test, judged on small real tables: state, texts for people, counts, samples."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from gitkitchen.controls.kinds import KINDS
from gitkitchen.model import TestSpec, TestState

FLIGHTS = """
SELECT * FROM (VALUES
  (1, 'EWR', 'N1', 120, 1.5::DOUBLE, DATE '2024-03-08', TIMESTAMP '2024-03-09 23:00:00',
   10.50::DECIMAL(6,2), TRUE),
  (2, 'JFK', 'N2', NULL, 'nan'::DOUBLE, DATE '2024-03-09', TIMESTAMP '2024-03-10 01:00:00', 99.99, FALSE),
  (3, 'LGA', NULL, 300, NULL, NULL, NULL, NULL, NULL),
  (3, 'jfk', 'X9', 90, -0.5::DOUBLE, DATE '2024-01-01', TIMESTAMP '2024-01-01 00:00:00', 0.00, TRUE)
) AS v(id, origin, tailnum, minutes, delay, day, landed, fare, paid)
"""
PLANES = "SELECT * FROM (VALUES ('N1', 1), ('N2', 2), (NULL, 3)) AS v(tailnum, id)"

# kind, arguments -> state, observed, expected, failing rows
CASES: list[tuple[str, dict[str, Any], str, str, str, int | None]] = [
    ("not_null", {"column": "id"}, "passed", "no NULL", "no NULL", 0),
    ("not_null", {"column": "tailnum"}, "failed", "1 row is NULL (25% of 4)", "no NULL", 1),
    ("not_null", {"column": "delay"}, "failed", "1 row is NULL (25% of 4)", "no NULL", 1),
    (
        "not_null",
        {"column": "tailnum", "tolerate": 0.25},
        "passed",
        "1 row is NULL (25% of 4)",
        "no NULL, except for at most 25% of the rows",
        1,
    ),
    (
        "not_null",
        {"column": "tailnum", "where": "id > 1"},
        "failed",
        "1 row is NULL (33.3% of 3)",
        "no NULL, where id > 1",
        1,
    ),
    ("unique", {"columns": ["origin"]}, "passed", "no value twice", "each origin once", 0),
    ("unique", {"columns": ["id"]}, "failed", "2 rows share 1 value (50% of 4 rows)", "each id once", 2),
    ("unique", {"columns": ["id", "tailnum"]}, "passed", "no key twice", "each id and tailnum once", 0),
    (
        "accepted_values",
        {"column": "origin", "values": ["EWR", "JFK", "LGA"]},
        "failed",
        "1 row has another value (25% of 4)",
        "origin is one of 'EWR', 'JFK', 'LGA'",
        1,
    ),
    (
        "accepted_values",
        {"column": "paid", "values": [True, False]},
        "passed",
        "no other value",
        "paid is one of true, false",
        0,
    ),
    (
        "accepted_values",
        {"column": "tailnum", "values": ["X9"], "reject": True},
        "failed",
        "1 row has a rejected value (25% of 4)",
        "tailnum is none of 'X9'",
        1,
    ),
    (
        "accepted_values",
        {"column": "day", "values": ["2024-03-08", "2024-03-09", "2024-01-01"]},
        "passed",
        "no other value",
        "day is one of '2024-03-08', '2024-03-09', '2024-01-01'",
        0,
    ),
    (
        "range",
        {"column": "minutes", "min": 90, "max": 300},
        "passed",
        "no value outside",
        "minutes from 90 to 300",
        0,
    ),
    (
        "range",
        {"column": "minutes", "min": 90, "max": 300, "strict": True},
        "failed",
        "2 rows are outside (50% of 4)",
        "minutes strictly between 90 and 300",
        2,
    ),
    (
        "range",
        {"column": "delay", "min": -1, "max": 5},
        "failed",
        "1 row is outside (25% of 4)",
        "delay from -1 to 5",
        1,
    ),
    (
        "range",
        {"column": "delay", "min": 0},
        "failed",
        "2 rows are outside (50% of 4)",
        "delay at least 0",
        2,
    ),
    ("range", {"column": "fare", "max": 99.99}, "passed", "no value outside", "fare at most 99.99", 0),
    (
        "range",
        {"column": "fare", "max": 99.98},
        "failed",
        "1 row is outside (25% of 4)",
        "fare at most 99.98",
        1,
    ),
    (
        "range",
        {"column": "day", "min": "2024-03-01"},
        "failed",
        "1 row is outside (25% of 4)",
        "day at least 2024-03-01",
        1,
    ),
    (
        "range",
        {"column": "landed", "max": "2024-03-10T01:00:00Z"},
        "passed",
        "no value outside",
        "landed at most 2024-03-10T01:00:00Z",
        0,
    ),
    (
        "pattern",
        {"column": "tailnum", "matches": "^N"},
        "failed",
        "1 row does not match (25% of 4)",
        "tailnum matches ^N",
        1,
    ),
    (
        "pattern",
        {"column": "tailnum", "matches": "[a-z]", "negate": True},
        "passed",
        "none matches",
        "tailnum never matches [a-z]",
        0,
    ),
    (
        "length",
        {"column": "origin", "min": 3, "max": 3},
        "passed",
        "no other length",
        "origin has exactly 3 characters",
        0,
    ),
    (
        "length",
        {"column": "tailnum", "min": 3},
        "failed",
        "3 rows are too short or too long (75% of 4)",
        "tailnum has at least 3 characters",
        3,
    ),
    ("rows", {"min": 1, "max": 4}, "passed", "4 rows", "from 1 to 4 rows", None),
    ("rows", {"min": 5}, "failed", "4 rows", "at least 5 rows", None),
    (
        "rows",
        {"min": 1, "max": 1, "where": "id = 3"},
        "failed",
        "2 rows",
        "exactly 1 row, where id = 3",
        None,
    ),
    (
        "rows",
        {"min": 1, "max": 1, "relative_to": "planes"},
        "failed",
        "4 rows, planes has 3 rows (1.33333 times)",
        "as many rows as planes",
        None,
    ),
    (
        "rows",
        {"min": 1, "max": 1.5, "relative_to": "planes"},
        "passed",
        "4 rows, planes has 3 rows (1.33333 times)",
        "from 1 to 1.5 times the rows of planes",
        None,
    ),
    (
        "relationships",
        {"columns": ["tailnum"], "to_dataset": "planes", "to_columns": ["tailnum"]},
        "failed",
        "1 row has no match in planes (25% of 4)",
        "each tailnum is in planes.tailnum",
        1,
    ),
    (
        "relationships",
        {"columns": ["tailnum", "id"], "to_dataset": "planes", "to_columns": ["tailnum", "id"]},
        "failed",
        "1 row has no match in planes (25% of 4)",
        "each tailnum and id is in planes.tailnum and id",
        1,
    ),
    (
        "relationships",
        {"columns": ["id"], "to_dataset": "planes", "to_columns": ["id"]},
        "passed",
        "all found in planes",
        "each id is in planes.id",
        0,
    ),
    (
        "freshness",
        {"column": "landed", "max_age": 12 * 3600},
        "passed",
        "the newest is 11 hours old",
        "landed at most 12 hours old",
        None,
    ),
    (
        "freshness",
        {"column": "day", "max_age": 86400},
        "failed",
        "the newest is 36 hours old",
        "day at most 1 day old",
        None,
    ),
    (
        "schema",
        {"columns": [["id", "int"], ["origin", "text"]], "extra": True, "ordered": True},
        "passed",
        "9 columns as declared",
        "id int, origin text, in this order, others allowed",
        None,
    ),
    (
        "schema",
        {"columns": [["Origin", None], ["id", "bigint"], ["gate", None]], "extra": True, "ordered": True},
        "failed",
        "gate is missing; id is INTEGER, not bigint; the order is id, origin",
        "Origin, id bigint, gate, in this order, others allowed",
        None,
    ),
    ("equal", {"value": "count(*)", "to": 4}, "passed", "4", "count(*) equal to 4", None),
    (
        "equal",
        {"value": "sum(minutes)", "to": "select 3 * max(id) from planes"},
        "failed",
        "510, and select 3 * max(id) from planes is 9",
        "sum(minutes) equal to select 3 * max(id) from planes",
        None,
    ),
    (
        "equal",
        {"value": "max(day)", "to": "date '2024-03-09'"},
        "passed",
        "2024-03-09, and date '2024-03-09' is 2024-03-09",
        "max(day) equal to date '2024-03-09'",
        None,
    ),
    ("equal", {"value": "sum(fare)", "to": 110.49}, "passed", "110.49", "sum(fare) equal to 110.49", None),
    (
        "equal",
        {"value": "sum(minutes)", "to": 0, "where": "id > 9"},
        "failed",
        "NULL",
        "sum(minutes) equal to 0, where id > 9",
        None,
    ),
    (
        "close",
        {"value": "sum(fare)", "to": 110, "absolute": 0.5, "share": None},
        "passed",
        "110.49",
        "sum(fare) within 0.5 of 110",
        None,
    ),
    (
        "close",
        {"value": "sum(fare)", "to": 110, "absolute": None, "share": 0.001},
        "failed",
        "110.49",
        "sum(fare) within 0.1% of 110",
        None,
    ),
    ("value", {"sql": "avg(minutes)", "min": 100, "max": 200}, "passed", "170", "from 100 to 200", None),
    (
        "value",
        {"sql": "select max(day) from t", "max": "2024-03-01"},
        "failed",
        "2024-03-09",
        "at most 2024-03-01",
        None,
    ),
    ("value", {"sql": "max(delay)", "max": 5}, "failed", "nan", "at most 5", None),
    ("value", {"sql": "select id from t where false", "min": 0}, "failed", "NULL", "at least 0", None),
    ("no_rows", {"sql": "select id from t where minutes > 200;"}, "failed", "1 row", "no row", 1),
    (
        "no_rows",
        {"sql": "with x as (select * from t) from x where minutes > 200 -- long", "tolerate": 1},
        "passed",
        "1 row",
        "at most 1 row",
        1,
    ),
    ("no_rows", {"sql": "select * from t where minutes > 900"}, "passed", "no row", "no row", 0),
]


@pytest.mark.parametrize(("kind", "args", "state", "observed", "expected", "failing"), CASES)
def test_each_kind_says_what_it_found(
    tables: Any,
    make_test: Callable[..., TestSpec],
    kind: str,
    args: dict[str, Any],
    state: str,
    observed: str,
    expected: str,
    failing: int | None,
) -> None:
    """A test's state, observed and expected texts and failing rows are those that a reader would write."""
    tables.table("t", FLIGHTS)
    tables.table("planes", PLANES)
    result = tables.one(make_test(kind, **args))
    assert (result.state, result.expected) == (state, expected)
    assert result.observed.startswith(observed)
    assert result.failing == failing
    if state == "failed":
        assert f"{result.observed}; expected {expected}" in result.message
        assert result.cause.endswith(".")
        assert "ook" in result.cause or "run both" in result.cause


def test_every_kind_has_a_passing_and_a_failing_case() -> None:
    """The table above leaves no kind out."""
    for kind in KINDS:
        assert {"passed", "failed"} <= {state for k, _, state, *_ in CASES if k == kind}, kind


def test_reproducing_sql_shows_the_failing_rows(tables: Any, make_test: Callable[..., TestSpec]) -> None:
    """``reproduce`` runs as it stands; for tests of rows it returns as many rows as failed."""
    tables.table("t", FLIGHTS)
    tables.table("planes", PLANES)
    for kind, args, *_ in CASES:
        result = tables.one(make_test(kind, **args))
        found = tables.cursor.execute(result.reproduce).fetchall()
        if kind == "unique":
            assert sum(row[-1] for row in found) == result.failing
        elif result.failing is not None:
            assert len(found) == result.failing, (kind, args)


EMPTY_PASSES = [
    ("not_null", {"column": "id"}),
    ("unique", {"columns": ["id"]}),
    ("accepted_values", {"column": "origin", "values": ["EWR"]}),
    ("range", {"column": "delay", "min": 0}),
    ("range", {"column": "minutes", "min": 0}),
    ("pattern", {"column": "origin", "matches": "^E"}),
    ("length", {"column": "origin", "min": 3}),
    ("relationships", {"columns": ["tailnum"], "to_dataset": "planes", "to_columns": ["tailnum"]}),
    ("no_rows", {"sql": "select * from t"}),
    ("rows", {"max": 5}),
    ("rows", {"min": 1, "max": 1, "relative_to": "t"}),
]


def test_an_empty_table_fails_nothing_but_rows_and_freshness(
    tables: Any, make_test: Callable[..., TestSpec]
) -> None:
    """Without rows no row can fail; that there are none is what ``rows`` and ``freshness`` are for."""
    tables.table("t", f"{FLIGHTS} WHERE FALSE")
    tables.table("planes", PLANES)
    assert {r.state for r in tables.judge(*(make_test(k, **a) for k, a in EMPTY_PASSES))} == {
        TestState.PASSED
    }
    few, stale = tables.judge(make_test("rows", min=1), make_test("freshness", column="day", max_age=1e12))
    assert (few.state, few.observed) == (TestState.FAILED, "no row")
    assert (stale.state, stale.observed) == (TestState.FAILED, "no day at all")


def test_an_empty_target_leaves_every_key_without_a_match(
    tables: Any, make_test: Callable[..., TestSpec]
) -> None:
    """Relationships to an empty dataset fail for each row that has a key."""
    tables.table("t", FLIGHTS)
    tables.table("planes", f"{PLANES} WHERE FALSE")
    result = tables.one(
        make_test("relationships", columns=["tailnum"], to_dataset="planes", to_columns=["tailnum"])
    )
    assert (result.failing, result.tested) == (3, 4)


def test_samples_show_the_key_first_and_at_most_ten(tables: Any, make_test: Callable[..., TestSpec]) -> None:
    """With a key, a sample is rows by their key; without one, values by how often they come."""
    tables.table("t", "SELECT i AS id, 'x' || (i % 3) AS code, NULL::INTEGER AS n FROM range(100) AS r(i)")
    spec = make_test("accepted_values", column="code", values=["x0"])
    by_key = tables.one(spec, keys={"t": ["ID", "gone"]})
    assert by_key.failing == 66
    assert len(by_key.sample) == 10
    assert by_key.sample[0] == {"id": "1", "code": "x1"}
    assert list(by_key.sample[0]) == ["id", "code"]
    assert tables.one(spec).sample == ({"code": "x1", "rows": "33"}, {"code": "x2", "rows": "33"})
    assert tables.one(make_test("not_null", column="n")).sample[0] == {"id": "0", "code": "x0", "n": "NULL"}
    assert tables.one(make_test("unique", columns=["code"])).sample[0] == {"code": "x0", "rows": "34"}


def test_long_values_are_cut_in_samples(tables: Any, make_test: Callable[..., TestSpec]) -> None:
    """One huge value does not make a huge result."""
    tables.table("t", "SELECT repeat('x', 100000) AS text")
    result = tables.one(make_test("length", column="text", max=10))
    assert result.sample == ({"text": "x" * 200, "rows": "1"},)


HOSTILE = [
    "it's",
    'say "hi"',
    "line\nbreak",
    "-- comment",
    "*/ /*",
    "'; DROP VIEW t; --",
    "😀\u202e",
    "a\\b",
    "%_",
    "$1 ?",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_and_values_stay_names_and_values(
    tables: Any, make_test: Callable[..., TestSpec], name: str
) -> None:
    """Quotes, comments, line breaks and Unicode in names and values change no judgement."""
    quoted = '"' + name.replace('"', '""') + '"'
    text = "'" + name.replace("'", "''") + "'"
    tables.table(name, f"SELECT {text} AS {quoted} UNION ALL SELECT 'other'")
    tables.table("u", f"SELECT {text} AS k")
    results = tables.judge(
        make_test("not_null", name, column=name),
        make_test("unique", name, columns=[name]),
        make_test("accepted_values", name, column=name, values=[name]),
        make_test("length", name, column=name, min=0),
        make_test("relationships", name, columns=[name], to_dataset="u", to_columns=["k"]),
        make_test("range", name, column=name, min=0),
        keys={name: [name]},
    )
    assert [r.failing for r in results] == [0, 0, 1, 0, 1, None]
    assert results[2].sample == ({name: "other"},)
    assert results[4].sample == ({name: "other", "rows": "1"},)
    assert results[5].state == TestState.ERROR


def test_columns_called_rows_or_place_do_not_collide_with_our_names(
    tables: Any, make_test: Callable[..., TestSpec]
) -> None:
    """Our own column names give way to those of the data."""
    tables.table("t", "SELECT 1 AS rows, 2 AS place, 'a' AS \"ROWS_\" UNION ALL SELECT 1, 2, 'b'")
    results = tables.judge(
        make_test("unique", columns=["rows", "place"]),
        make_test("accepted_values", column="rows_", values=["a"]),
    )
    assert [r.failing for r in results] == [2, 1]
    assert results[0].sample == ({"rows": "1", "place": "2", "rows_": "2"},)

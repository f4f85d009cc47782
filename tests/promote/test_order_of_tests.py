"""The order of tests is true of data: what is called no weaker lets nothing pass that failed before."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from itertools import product
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from gitkitchen.controls.base import Base
from gitkitchen.controls.expect import Move, before_name, judge_expectation
from gitkitchen.controls.judge import judge
from gitkitchen.controls.kinds import KINDS
from gitkitchen.controls.reader import Reader
from gitkitchen.model import Column, Severity, TestSpec, TestState, Tolerance, Version
from gitkitchen.promote.order import _ARGUMENTS, Order, compare, implies
from gitkitchen.recipe.arguments import TEST_KINDS, TOLERANT
from gitkitchen.recipe.limits import limit

NOW = datetime(2024, 1, 10, 12, tzinfo=UTC)
COLUMNS = {"number": "INTEGER", "ratio": "DOUBLE", "name": "VARCHAR", "day": "DATE", "at": "TIMESTAMP"}
PATIENT = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    deadline=None,
    phases=[Phase.generate],  # a failure names the two tests: making it smaller takes minutes
    max_examples=max(5, settings().max_examples // 6),
)

numbers = st.none() | st.integers(-1, 3)
names = st.none() | st.sampled_from(["a", "b", "ab", ""])
rows = st.fixed_dictionaries(
    {
        "number": numbers,
        "ratio": st.none() | st.sampled_from([0.0, 0.5, 1.0, 2.5, math.nan, math.inf]),
        "name": names,
        "day": st.none() | st.sampled_from([date(2024, 1, d) for d in (1, 5, 9)]),
        "at": st.none() | st.sampled_from([datetime(2024, 1, d, 12) for d in (1, 5, 9)]),
    }
)
tables = st.lists(rows, max_size=6)
others = st.lists(st.fixed_dictionaries({"number": numbers, "name": names}), max_size=3)


def of(**args: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(args)


def one(*values: Any) -> st.SearchStrategy[Any]:
    return st.sampled_from(values)


def ends(*values: Any, **more: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Two ends of which there is at least one."""
    both = of(min=st.none() | one(*values), max=st.none() | one(*values), **more)
    return both.filter(lambda a: (a["min"], a["max"]) != (None, None))


def parts(*values: str) -> st.SearchStrategy[list[str]]:
    return st.lists(one(*values), min_size=1, max_size=3, unique=True)


schemas = of(
    columns=st.lists(
        st.tuples(one(*COLUMNS), one(None, "text", "INTEGER", "int", "VARCHAR")), min_size=1
    ).map(lambda pairs: [list(pair) for pair in dict(pairs).items()]),
    ordered=st.booleans(),
    extra=st.booleans(),
) | of(
    columns=st.permutations(list(COLUMNS)).map(lambda names: [[n, None] for n in names]),
    ordered=st.booleans(),
    extra=st.booleans(),
)
ARGUMENTS: Mapping[str, st.SearchStrategy[dict[str, Any]]] = {
    "not_null": of(column=one("number", "name")),
    "unique": of(columns=parts("number", "name", "day")),
    "accepted_values": of(
        column=st.just("number"),
        values=st.lists(one(0, 1, 2, 1.0), min_size=1, unique=True),
        reject=st.booleans(),
    )
    | of(column=st.just("name"), values=parts("a", "b", "ab"), reject=st.booleans()),
    "range": ends(0, 1, 2, 1.5, column=one("number", "ratio"), strict=st.booleans())
    | ends("2024-01-01", "2024-01-05", "2024-01-05T12:00", column=one("day", "at"), strict=st.booleans()),
    "pattern": of(column=st.just("name"), matches=one("^a", "b$"), negate=st.booleans()),
    "length": ends(0, 1, 2, column=st.just("name")),
    "rows": ends(0, 1, 2, 4, relative_to=one(None, "u")),
    "relationships": one(
        {"columns": ["name"], "to_dataset": "u", "to_columns": ["name"]},
        {"columns": ["number"], "to_dataset": "u", "to_columns": ["number"]},
        {"columns": ["number", "name"], "to_dataset": "u", "to_columns": ["number", "name"]},
        {"columns": ["name", "number"], "to_dataset": "u", "to_columns": ["name", "number"]},
    ),
    "freshness": of(column=one("day", "at"), max_age=one(86400.0, 2 * 86400.0, 6 * 86400.0)),
    "schema": schemas,
    "equal": of(value=one("count(*)", "sum(number)"), to=one(0, 1, 2)),
    "close": of(
        value=one("count(*)", "sum(number)"),
        to=st.just(2),
        absolute=one(0, 1, 2),
        share=one(None, 0.0, 0.5, 1.0),
    ),
    "no_rows": of(sql=one("select * from t where number < 0", "select * from t where name = ''")),
    "value": ends(0, 1, 2, sql=one("sum(number)", "max(number)"))
    | ends("2024-01-01", "2024-01-05", sql=st.just("max(day)")),
}
WHERES = (None, None, None, "number > 0", "name = 'a'")
TOLERATED = [Tolerance(), *(Tolerance(rows=n) for n in (0, 1, 3))]
SHARES = [Tolerance(share=s) for s in (0.0, 0.25, 0.5, 1.0)]


@st.composite
def declared(draw: Any, kind: str) -> TestSpec:
    """A test of a kind with all that may stand beside it."""
    tolerances = [*TOLERATED, *(SHARES if kind != "no_rows" else [])] if kind in TOLERANT else [Tolerance()]
    queries = kind in ("no_rows", "schema")
    if draw(st.booleans()):  # bare, so that arguments meet often
        return TestSpec("t/outputs/x", "t", "outputs", kind, "t", draw(ARGUMENTS[kind]), ("t",))
    return TestSpec(
        "t/outputs/x", "t", "outputs", kind, "t", draw(ARGUMENTS[kind]), ("t",),
        severity=draw(st.sampled_from([*Severity, *[Severity.STOP] * 4])),
        where=None if queries else draw(st.sampled_from(WHERES)),
        tolerate=draw(st.sampled_from(tolerances)),
    )  # fmt: skip


@pytest.fixture(scope="module")
def cursor() -> Iterator[duckdb.DuckDBPyConnection]:
    connection = duckdb.connect(config={"threads": 1})
    connection.execute("SET TimeZone = 'UTC'")
    yield connection
    connection.close()


def filled(
    cursor: duckdb.DuckDBPyConnection, name: str, columns: Mapping[str, str], data: list[Mapping[str, Any]]
) -> Version:
    """A table with these rows, and the version that describes it; nobody counted anything."""
    shape = ", ".join(f'"{c}" {t}' for c, t in columns.items())
    cursor.execute(f'CREATE OR REPLACE TABLE "{name}" ({shape})')
    if data:
        marks = ", ".join("?" for _ in columns)
        cursor.executemany(
            f'INSERT INTO "{name}" VALUES ({marks})', [[row[c] for c in columns] for row in data]
        )
    return Version(name, "view", "f", "c", tuple(Column(c, t) for c, t in columns.items()), sql="select 1")


def test_every_kind_has_its_place_in_the_order() -> None:
    """A kind that is added must say what is weaker."""
    assert set(_ARGUMENTS) == {*TEST_KINDS, "expect"}
    assert set(KINDS) <= set(_ARGUMENTS)
    assert set(ARGUMENTS) == set(TEST_KINDS)


@pytest.mark.parametrize("kind", sorted(ARGUMENTS))
def test_no_table_passes_a_test_that_is_no_weaker_and_fails_the_old_one(
    kind: str, cursor: duckdb.DuckDBPyConnection
) -> None:
    """Whatever passes a test that is called stricter or the same passes the old one, by real judging."""
    proved = 0

    @PATIENT
    @given(st.lists(declared(kind), min_size=10, max_size=18), tables, others)
    def check(specs: list[TestSpec], data: list[Any], other: list[Any]) -> None:
        nonlocal proved
        u = filled(cursor, "u", {"number": "INTEGER", "name": "VARCHAR"}, other)
        versions = {"t": filled(cursor, "t", COLUMNS, data), "u": u}
        states = [r.state for r in judge(specs, versions, cursor, now=NOW)]
        for (a, was), (b, now) in product(zip(specs, states, strict=True), repeat=2):
            if implies(b, a) and now is TestState.PASSED:
                proved += a != b
                assert was is not TestState.FAILED, f"{b} passes, and {a} fails"

    check()
    assert proved or kind in ("pattern", "no_rows", "equal"), "the order says nothing of this kind"


@pytest.mark.parametrize("kind", sorted(ARGUMENTS))
@settings(deadline=None)
@given(st.data())
def test_weaker_is_a_strict_order(kind: str, data: st.DataObject) -> None:
    """Nothing is weaker than itself, nothing both ways, and what is weaker than weaker is weaker."""
    a, b, c = (data.draw(declared(kind)) for _ in range(3))

    def weaker(x: TestSpec, y: TestSpec) -> bool:
        return compare(x, y) is Order.WEAKER

    assert compare(a, a) is Order.SAME
    assert not (weaker(a, b) and weaker(b, a))
    assert weaker(a, b) == (compare(b, a) is Order.STRICTER)
    if implies(a, b) and implies(b, c):
        assert implies(a, c)
    if weaker(a, b) and weaker(b, c):
        assert weaker(a, c)


def spec(kind: str, *, where: str | None = None, tolerate: Tolerance | None = None, **args: Any) -> TestSpec:
    severity = Severity(args.pop("severity", "stop"))
    dataset = args.pop("dataset", "t")
    return TestSpec(
        "x", "t", "outputs", kind, dataset, args, ("t",), severity, where, tolerate or Tolerance()
    )


WEAKER = {
    "severity": (spec("not_null", column="a"), spec("not_null", column="a", severity="warn")),
    "where added": (spec("not_null", column="a"), spec("not_null", column="a", where="b > 0")),
    "rows tolerated": (
        spec("not_null", column="a"),
        spec("not_null", column="a", tolerate=Tolerance(rows=1)),
    ),
    "a share tolerated": (
        spec("unique", columns=["a"], tolerate=Tolerance(share=0.1)),
        spec("unique", columns=["a"], tolerate=Tolerance(share=0.2)),
    ),
    "a longer key": (spec("unique", columns=["a"]), spec("unique", columns=["a", "b"])),
    "a value more": (
        spec("accepted_values", column="a", values=["x"], reject=False),
        spec("accepted_values", column="a", values=["x", "y"], reject=False),
    ),
    "a rejected value less": (
        spec("accepted_values", column="a", values=["x", "y"], reject=True),
        spec("accepted_values", column="a", values=["x"], reject=True),
    ),
    "a wider range": (
        spec("range", column="a", min=0, max=5, strict=False),
        spec("range", column="a", min=0, max=6, strict=False),
    ),
    "an end that belongs to it": (
        spec("range", column="a", min=0, max=None, strict=True),
        spec("range", column="a", min=0, max=None, strict=False),
    ),
    "a later day": (
        spec("range", column="a", min=None, max="2024-01-01", strict=False),
        spec("range", column="a", min=None, max="2024-02-01", strict=False),
    ),
    "a longer text": (spec("length", column="a", min=1, max=3), spec("length", column="a", min=1, max=None)),
    "fewer rows": (
        spec("rows", min=10, max=None, relative_to=None),
        spec("rows", min=9, max=None, relative_to=None),
    ),
    "older": (spec("freshness", column="a", max_age=60.0), spec("freshness", column="a", max_age=61.0)),
    "newest of more rows": (
        spec("freshness", column="a", max_age=60.0, where="b"),
        spec("freshness", column="a", max_age=60.0),
    ),
    "a column less": (
        spec("schema", columns=[["a", None], ["b", None]], ordered=False, extra=True),
        spec("schema", columns=[["a", None]], ordered=False, extra=True),
    ),
    "a type less": (
        spec("schema", columns=[["a", "INTEGER"]], ordered=False, extra=True),
        spec("schema", columns=[["a", None]], ordered=False, extra=True),
    ),
    "others allowed": (
        spec("schema", columns=[["a", None]], ordered=False, extra=False),
        spec("schema", columns=[["a", None]], ordered=False, extra=True),
    ),
    "any order": (
        spec("schema", columns=[["a", None], ["b", None]], ordered=True, extra=False),
        spec("schema", columns=[["a", None], ["b", None]], ordered=False, extra=False),
    ),
    "less close": (
        spec("close", value="x", to=1, absolute=1, share=None),
        spec("close", value="x", to=1, absolute=2, share=None),
    ),
    "another bound": (spec("value", sql="x", min=1, max=2), spec("value", sql="x", min=None, max=2)),
}


@pytest.mark.parametrize("name", sorted(WEAKER))
def test_what_is_called_weaker(name: str) -> None:
    """Each documented way to let more pass is found, and its reverse is stricter."""
    was, now = WEAKER[name]
    assert compare(was, now) is Order.WEAKER
    assert compare(now, was) is Order.STRICTER


OTHER = {
    "another query": (spec("no_rows", sql="select 1"), spec("no_rows", sql="select 2")),
    "another expression": (spec("equal", value="a", to=1), spec("equal", value="b", to=1)),
    "another pattern": (
        spec("pattern", column="a", matches="x", negate=False),
        spec("pattern", column="a", matches="y", negate=False),
    ),
    "another condition": (spec("not_null", column="a", where="x"), spec("not_null", column="a", where="y")),
    "a moved range": (
        spec("range", column="a", min=0, max=5, strict=False),
        spec("range", column="a", min=1, max=6, strict=False),
    ),
    "rows for a share": (
        spec("not_null", column="a", tolerate=Tolerance(rows=5)),
        spec("not_null", column="a", tolerate=Tolerance(share=0.1)),
    ),
    "a share of some rows": (
        spec("not_null", column="a", where="b", tolerate=Tolerance(share=0.1)),
        spec("not_null", column="a", tolerate=Tolerance(share=0.1)),
    ),
    "another column": (spec("not_null", column="a"), spec("not_null", column="b")),
    "another target": (
        spec("relationships", columns=["a"], to_dataset="u", to_columns=["a"]),
        spec("relationships", columns=["a"], to_dataset="v", to_columns=["a"]),
    ),
    "another dataset": (spec("not_null", column="a"), spec("not_null", column="a", dataset="u")),
    "an aggregate of some rows": (
        spec("value", sql="sum(a)", min=1, max=None),
        spec("value", sql="sum(a)", min=1, max=None, where="b"),
    ),
}


@pytest.mark.parametrize("name", sorted(OTHER))
def test_what_cannot_be_judged(name: str) -> None:
    """What no order tells apart is said to be another test, never a stricter one."""
    was, now = OTHER[name]
    assert compare(was, now) is Order.OTHER
    assert compare(now, was) is Order.OTHER


LIMITS = st.one_of(
    st.sampled_from(["0", "1", "50%", "+100%", "-1", "any", "200%"]).map(limit),
    st.sampled_from([[-1, 2], ["-50%", "100%"], [1, 3]]).map(limit),
)
EXPECTED = st.one_of(
    st.builds(
        lambda w, x: {"of": "rows", "what": w, "limit": x.plain()}, one("count", "added", "changed"), LIMITS
    ),
    st.builds(lambda x: {"of": "values", "value": "sum(number)", "limit": x.plain()}, LIMITS),
    st.builds(lambda x: {"of": "columns", "columns": {"number": x.plain()}}, LIMITS),
)


def test_expectations_are_in_order_too(cursor: duckdb.DuckDBPyConnection) -> None:
    """No move of a dataset passes an expectation that is no weaker and fails the old one."""
    shape = {"id": "INTEGER", "number": "INTEGER"}
    data = st.lists(st.fixed_dictionaries({"id": st.integers(0, 5), "number": st.none() | st.integers(0, 3)}),
                    max_size=4, unique_by=lambda row: row["id"])  # fmt: skip
    proved = 0

    @PATIENT
    @given(st.lists(EXPECTED, min_size=6, max_size=10), data, data)
    def check(args: list[dict[str, Any]], before: list[Any], after: list[Any]) -> None:
        nonlocal proved
        old, new = filled(cursor, before_name("t"), shape, before), filled(cursor, "t", shape, after)
        old = Version("t", "view", "f", "old", old.columns, sql="select 1")
        move = Move("t", new, old, ("id",), Reader(cursor))
        specs = [spec("expect", **a) for a in args]
        states = [judge_expectation(s, move, Base(old, "prod")).state for s in specs]
        for (a, was), (b, now) in product(zip(specs, states, strict=True), repeat=2):
            if implies(b, a) and now is TestState.PASSED:
                proved += a != b
                assert was is not TestState.FAILED, f"{b.args} passes, and {a.args} fails"
            assert compare(a, a) is Order.SAME
            assert not (compare(a, b) is Order.WEAKER and compare(b, a) is Order.WEAKER)

    check()
    assert proved

"""Each statement of ``expect:`` and of declared effects can pass and can fail, on real tables."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pytest

from gitkitchen.controls.base import Base
from gitkitchen.controls.expect import Move, before_name, judge_expectation
from gitkitchen.controls.intended import judge_dataset
from gitkitchen.controls.reader import Reader
from gitkitchen.kitchen.config import load_project
from gitkitchen.model import Column, TestState, Version
from gitkitchen.recipe.effects import read_effects
from gitkitchen.recipe.limits import limit
from pantry import KITCHEN_YML, Pantry

SQL = "select country, count(*) as orders, sum(amount) as revenue from orders group by country"
LOSING = SQL.replace("from orders", "from orders where amount > 5")
ADDING = SQL.replace("count(*) as orders", "count(*) as orders, max(order_id) as max_id")


@pytest.fixture(scope="module")
def cursor() -> Any:
    with duckdb.connect(":memory:", config={"threads": 1}) as made:
        made.execute(
            "create table orders as select i as order_id, if(i % 3 = 0, 'FR', 'DE') as country, "
            "i + 0.5::double as amount from range(1, 31) t(i)"
        )
        yield made


def version(cursor: Any, name: str, sql: str) -> Version:
    quoted = '"' + name + '"'
    cursor.execute(f"create or replace view {quoted} as {sql}")
    columns = tuple(Column(r[0], r[1]) for r in cursor.execute(f"describe {quoted}").fetchall())
    (rows,) = cursor.execute(f"select count(*) from {quoted}").fetchone()
    return Version("by_country", "table", "f", sql, columns, rows=rows)


def moved(cursor: Any, new: str, base: str = SQL, key: tuple[str, ...] = ("country",)) -> Move:
    now = version(cursor, "by_country", new)
    before = version(cursor, before_name("by_country"), base)
    return Move("by_country", now, before, key, Reader(cursor))


def states(cursor: Any, root: Path, text: str, move: Move) -> list[TestState]:
    """How the statements of ``expect: text`` end."""
    node = Pantry(root).recipe(f"by_country:\n  sql: select 1 as x\n  expect: {text}").nodes["by_country"]
    return [
        judge_expectation(t, move, Base(move.base, "prod")).state for t in node.tests if t.kind == "expect"
    ]


@pytest.mark.parametrize(
    ("text", "sql", "code"),
    [
        ("{rows: 0%}", SQL.replace("group by country", "group by country, amount > 10"), 1),
        ("{rows: 100%}", SQL.replace("group by country", "group by country having country = 'DE'"), 0),
        ("{rows: +100%}", SQL.replace("group by country", "group by country having country = 'DE'"), 1),
        ("{rows: -1}", SQL.replace("group by country", "group by country having country = 'DE'"), 0),
        (
            "{rows: {removed: 0}}",
            SQL.replace("group by country", "group by country having country = 'DE'"),
            1,
        ),
        ("{rows: {added: 0, changed: 50%}}", LOSING, 1),
        ("{rows: {changed: 2}}", LOSING, 0),
        ("{columns: {}}", ADDING, 1),
        ("{columns: {max_id: added}}", SQL, 1),
        ("{columns: {max_id: added, revenue: 0}}", ADDING, 0),
        ("{columns: {orders: 5%, revenue: 100%}}", LOSING, 1),
        ("{columns: {orders: removed}}", SQL.replace(" count(*) as orders,", ""), 0),
        ("{columns: {orders: retyped}}", SQL.replace("count(*)", "count(*)::integer"), 0),
        ("{columns: {}}", SQL.replace("count(*)", "count(*)::integer"), 1),
        ("{values: {sum(revenue): [-3%, -2%]}}", LOSING, 0),
        ("{values: {sum(revenue): [1%, 2%]}}", LOSING, 1),
        ("{values: {sum(by_country.revenue): +1%}}", LOSING, 1),
        ("{values: {revenue: 5%}}", LOSING, 1),
        ("{values: {max(country): 5%}}", LOSING, 1),
        ("{values: {sum(revenue): 0%}, severity: warn}", LOSING, 0),
        ("[{rows: 0%}, {values: {sum(orders): any}}]", LOSING, 0),
    ],
)
def test_each_statement_decides(cursor: Any, tmp_path: Path, text: str, sql: str, code: int) -> None:
    """Every key and every form of a limit can pass and can fail."""
    found = states(cursor, tmp_path, text, moved(cursor, sql))
    wanted = 1 if "severity: warn" in text else code  # a warning fails and does not stop
    assert all(s is TestState.PASSED for s in found) == (wanted == 0), found


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{values: {revenue: 5%}}", "Write an aggregate"),
        ("{values: {max(country): 5%}}", "compares numbers"),
        ("{rows: {changed: 5%}}", "without a key"),
        ("{columns: {orders: 5%}}", "without a key"),
    ],
)
def test_what_cannot_be_judged_is_an_error(cursor: Any, tmp_path: Path, text: str, message: str) -> None:
    """An expression that is no number, or rows that no key tells apart, are never a pass."""
    move = moved(cursor, LOSING, key=())
    node = Pantry(tmp_path).recipe(f"by_country:\n  sql: select 1 as x\n  expect: {text}").nodes["by_country"]
    found = judge_expectation(node.tests[-1], move, Base(move.base, "prod"))
    assert found.state is TestState.ERROR
    assert message in found.message


def test_a_description_is_told_when_it_fails(cursor: Any, tmp_path: Path) -> None:
    """Whoever breaks an expectation reads why it is there."""
    text = "{rows: {changed: 0}, description: Finance reports these.}"
    node = Pantry(tmp_path).recipe(f"by_country:\n  sql: select 1 as x\n  expect: {text}").nodes["by_country"]
    move = moved(cursor, LOSING)
    assert judge_expectation(node.tests[-1], move, Base(move.base, "prod")).cause == "Finance reports these."


def test_of_names_the_dataset_where_a_node_makes_several(tmp_path: Path) -> None:
    """Each expectation is about the dataset that it names, and says so in its id."""
    text = "a:\n  run: make\n  outputs: {x: x.parquet, y: y.parquet}\n  expect: [{of: y, rows: 0%}]"
    (test,) = Pantry(tmp_path).recipe(text).nodes["a"].tests
    assert (test.dataset, test.id) == ("y", "a/outputs/expect(of=y, rows 0%)")


def test_equal_content_needs_no_query(cursor: Any, tmp_path: Path) -> None:
    """The digests are equal: every statement holds, and nothing is read."""
    move = moved(cursor, SQL)
    text = "[{rows: 0%, columns: {orders: 0%}, values: {sum(revenue): 0}}]"
    assert set(states(cursor, tmp_path, text, move)) == {TestState.PASSED}
    assert move.reader.queries == 0


@pytest.mark.parametrize(
    ("written", "before", "after", "fits"),
    [
        ("0%", 100, 100, True),
        ("0.5%", 1000, 1005, True),
        ("0.5%", 1000, 1006, False),
        ("0.5%", -1000, -1005, True),
        ("+5%", 100, 99, False),
        ("+5%", 100, 105, True),
        ("-5%", 100, 101, False),
        (3, 10, 7, True),
        (3, 10, 6, False),
        ("50%", 0, 0, True),
        ("50%", 0, 1, False),
        (["-1%", "5%"], 100, 104, True),
        (["-1%", "5%"], 100, 98, False),
        ([1, 2], 10, 10, False),
        ("any", 1, 10**9, True),
    ],
)
def test_limits_are_exact_at_their_edges(written: Any, before: int, after: int, fits: bool) -> None:
    """A share is of what was; of nothing no share is anything."""
    assert limit(written).allows(before, after) is fits


# --- declared effects --------------------------------------------------------------------------------


def effects_of(root: Path, datasets: str) -> Any:
    (root / "effects").mkdir()
    (root / "kitchen.yml").write_text(KITCHEN_YML)
    (root / "effects/work.yml").write_text(f"version: 1\nbranch: work\ndatasets:\n{datasets}")
    (found,), problems = read_effects(load_project(root), {"by_country"})
    assert problems == []
    return found


@pytest.mark.parametrize(
    ("datasets", "sql", "code"),
    [
        ("  by_country: {columns: {max_id: added}}\n", ADDING, 0),
        ("  by_country: {columns: {max_id: added}}\n", LOSING, 1),
        ("  by_country: any\n", LOSING, 0),
        ("  {}\n", LOSING, 1),
        ("  {}\n", SQL, 0),
        ("  {}\n", SQL.replace("from orders", "from orders /* the same */"), 0),
        ("  by_country: {columns: {orders: changed, revenue: 100%}}\n", LOSING, 0),
        ("  by_country: {columns: {orders: changed}}\n", LOSING, 1),
        ("  by_country: {columns: {orders: changed, revenue: 10%}}\n", LOSING, 1),
        ("  by_country: {rows: {changed: 100%}}\n", LOSING, 0),
        (
            "  by_country: {rows: -50%}\n",
            SQL.replace("group by country", "group by country having country = 'DE'"),
            0,
        ),
        (
            "  by_country: {rows: +50%}\n",
            SQL.replace("group by country", "group by country having country = 'DE'"),
            1,
        ),
        (
            "  by_country: {columns: {orders: changed, revenue: changed}, values: {sum(revenue): 1%}}\n",
            LOSING,
            1,
        ),
        (
            "  by_country: {columns: {orders: changed, revenue: changed}, values: {sum(revenue): 5%}}\n",
            LOSING,
            0,
        ),
        ("  by_country: {columns: {orders: removed}}\n", SQL.replace(" count(*) as orders,", ""), 0),
        ("  by_country: {columns: {orders: removed}}\n", SQL, 0),
        ("  by_country: added\n", LOSING, 1),
    ],
)
@pytest.mark.parametrize("key", [("country",), ()], ids=["key", "rows"])
def test_a_declaration_lets_change_what_it_names_and_nothing_else(
    cursor: Any, tmp_path: Path, datasets: str, sql: str, code: int, key: tuple[str, ...]
) -> None:
    """With a key and without one; what needs the key is an error without it, never a pass."""
    effects = effects_of(tmp_path, datasets)
    move = moved(cursor, sql, key=key)
    found = [r.state for r in judge_dataset(effects, "by_country", move, Base(move.base, "prod"))]
    by_key = "%}" in datasets and "columns" in datasets and "values" not in datasets
    if not key and (by_key or "changed: 100%" in datasets) and sql == LOSING:
        assert TestState.PASSED not in found
        return
    assert all(s is TestState.PASSED for s in found) == (code == 0), found


def test_another_digest_of_equal_rows_is_no_change(cursor: Any, tmp_path: Path) -> None:
    """A view that is written otherwise and gives the same rows changes nothing."""
    effects = effects_of(tmp_path, "  {}\n")
    move = moved(cursor, f"select * from ({SQL})")
    (found,) = judge_dataset(effects, "by_country", move, Base(move.base, "prod"))
    assert found.state is TestState.PASSED
    assert found.observed == "no row or column differs"


def test_a_nan_moves_to_nothing_but_nan(cursor: Any, tmp_path: Path) -> None:
    """No limit holds what is no number; without a change there is nothing to limit."""
    nan = SQL.replace("sum(amount)", "'nan'::double")
    assert states(cursor, tmp_path, "{values: {sum(revenue): 5%}}", moved(cursor, nan)) == [TestState.FAILED]
    both = replace(moved(cursor, nan, nan).base, content="other")
    move = moved(cursor, nan, nan)
    move = Move("by_country", move.new, both, ("country",), Reader(cursor))
    assert states(cursor, tmp_path, "{values: {sum(revenue): 5%}}", move) == [TestState.PASSED]

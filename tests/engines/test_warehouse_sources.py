"""Sources in place: a table of the warehouse, watched by a column, copied when it changed."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from shop import Shop

Client = psycopg.Connection[Any]
RECIPE = """\
version: 1
recipe: ticks
nodes:
  ticks:
    source: {table: raw.ticks, watch: updated_at}
    key: [id]
  counted: {sql: select count(*) as many from ticks, key: [many]}
"""


@pytest.fixture
def ticks(pg_shop: Shop, boss: Client) -> Shop:
    """A project whose source is somebody's table in the warehouse."""
    boss.execute(
        "CREATE SCHEMA raw; CREATE TABLE raw.ticks AS SELECT i AS id, 'w' || i AS word, "
        "timestamptz '2024-01-01' + i * interval '1 day' AS updated_at FROM generate_series(1, 3) i; "
        "GRANT USAGE ON SCHEMA raw TO kitchen; GRANT SELECT ON raw.ticks TO kitchen"
    )
    pg_shop.commit({"recipes/ticks/recipe.yml": RECIPE})
    return pg_shop


def test_a_watched_table_is_copied_when_it_changed(ticks: Shop, boss: Client) -> None:
    """Its version is the watched maximum, the number of rows and the columns; unchanged, nothing runs."""
    assert ticks.cli("run", "--quiet").code == 0
    assert ticks.states() == {"ticks": "passed", "counted": "passed"}
    assert ticks.cli("run", "--quiet").code == 0
    assert ticks.states() == {"ticks": "reused", "counted": "reused"}
    for change, counted in (
        ("INSERT INTO raw.ticks VALUES (9, 'new', '2024-02-01')", "passed"),
        ("DELETE FROM raw.ticks WHERE id = 1", "passed"),
        ("UPDATE raw.ticks SET word = 'x', updated_at = '2024-03-01' WHERE id = 2", "passed"),
        ("ALTER TABLE raw.ticks ALTER id TYPE bigint", "passed"),
    ):
        boss.execute(change)
        assert ticks.cli("run", "--quiet").code == 0
        assert ticks.states() == {"ticks": "passed", "counted": counted}, change
    assert ticks.rows("select many from counted") == [{"many": 3}]


def test_a_version_does_not_follow_its_table(ticks: Shop, boss: Client) -> None:
    """What was published is a copy: the table may change, or go, and consumers read what was tested."""
    assert ticks.cli("run", "--quiet").code == 0
    boss.execute("DELETE FROM raw.ticks")
    assert boss.execute("SELECT count(*) FROM prod.ticks").fetchone() == (3,)
    boss.execute("DROP TABLE raw.ticks")
    assert boss.execute("SELECT count(*) FROM prod.ticks").fetchone() == (3,)
    said = ticks.cli("run", "--quiet")
    assert said.code == 2
    assert "raw.ticks cannot be watched" in said.err


def test_a_table_without_watch_is_copied_in_every_run(ticks: Shop, boss: Client) -> None:
    """Nothing tells whether it changed; equal rows run nothing below it."""
    ticks.commit({"recipes/ticks/recipe.yml": RECIPE.replace(", watch: updated_at", "")})
    assert ticks.cli("run", "--quiet").code == 0
    assert ticks.cli("run", "--quiet").code == 0
    assert ticks.states() == {"ticks": "passed", "counted": "reused"}


def test_a_sandbox_pins_a_table_to_what_its_base_published(ticks: Shop, boss: Client) -> None:
    """Differences in a sandbox come from the change and not from time; ``--fresh`` looks."""
    assert ticks.cli("run", "--quiet").code == 0
    boss.execute("INSERT INTO raw.ticks VALUES (9, 'new', '2024-02-01')")
    ticks.git("switch", "-q", "-c", "feature/x")
    assert ticks.cli("run", "--quiet").code == 0
    assert ticks.rows("select many from counted") == [{"many": 3}]
    assert ticks.cli("run", "--quiet", "--fresh").code == 0
    assert ticks.rows("select many from counted") == [{"many": 4}]


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("{table: ticks}", "no table of others"),
        ("{table: gitkitchen_store.builds}", "no table of others"),
        ("{table: raw.ticks, options: {skip: 1}}", "has no `options`"),
        ("{file: a.csv, watch: x}", "only a table in place is watched"),
        ("{table: raw.ticks, watch: nosuch}", "cannot be watched"),
        ("{table: raw.nosuch, watch: x}", "cannot be watched"),
    ],
)
def test_what_cannot_be_a_table_in_place_is_refused(ticks: Shop, source: str, says: str) -> None:
    """Names, columns and keys that do not fit are refused with the reason."""
    text = RECIPE.replace("{table: raw.ticks, watch: updated_at}", source)
    ticks.commit({"recipes/ticks/recipe.yml": text, "recipes/ticks/a.csv": "id\n1\n"})
    said = ticks.cli("run", "--quiet")
    assert said.code == 2
    assert says in said.err


def test_a_project_without_a_warehouse_has_no_table_in_place(shop: Shop) -> None:
    """On DuckDB it is a mistake of the recipe, found by validate."""
    shop.commit({"recipes/ticks/recipe.yml": RECIPE})
    said = shop.cli("validate")
    assert said.code == 2
    assert "needs a warehouse to stand in" in said.out

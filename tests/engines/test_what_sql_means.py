"""Where the engines differ, the documentation says so, line by line, and this runs each line on both."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import warehouse
from gitkitchen.data.engines import duckdb as duckdb_engine
from gitkitchen.data.engines.contract import Engine
from gitkitchen.data.engines.errors import SqlError
from gitkitchen.data.engines.postgres import Engine as PostgresEngine
from gitkitchen.data.engines.postgres_server import Warehouse
from gitkitchen.data.engines.postgres_store import Relations, WarehouseStore
from gitkitchen.data.store import FolderStore
from gitkitchen.model import Version
from shop import Shop

PAGE = Path(__file__).parents[2] / "docs/warehouse.md"
ROW = re.compile(r"^\| `((?:select|from) .*?)` \| (.*?) \| (.*?) \|$", re.M)
FENCE = re.compile(r"^```yaml (\S+)\n(.*?)^```", re.M | re.S)
T = "select 1 as id, 'a' as word, null::integer as n union all select 2, 'B', 2 union all select 3, 'b', 1"


@pytest.fixture
def engines(server: warehouse.Server, database: str, tmp_path: Path) -> Iterator[dict[str, Engine]]:
    """Both engines, each with the small table ``t``."""
    folder = FolderStore(tmp_path / "store", namespace="k", zone="trusted")
    relations = Relations(Warehouse(server.dsn(database), project="p"), namespace="k", zone="trusted")
    with (
        duckdb_engine.Engine(folder, threads=2) as one,
        PostgresEngine(WarehouseStore(folder, relations)) as two,
    ):
        made: dict[str, Engine] = {"DuckDB": one, "PostgreSQL": two}
        for engine in made.values():
            w = engine.write_table("t", T)
            engine.register(
                "t", Version("t", "table", "f", w.content, w.columns, w.files, relation=w.relation)
            )
        yield made


def said(engine: Engine, sql: str) -> str:
    try:
        names, rows = engine.fetch(sql)
    except SqlError:
        return "error"
    if not rows:
        return f"columns: {', '.join(names)}"
    return "; ".join("NULL" if v is None else str(v) for (v,) in rows)


def test_each_documented_line_is_true(engines: dict[str, Engine]) -> None:
    """Every query of the table gives on each engine what the page says."""
    rows = ROW.findall(PAGE.read_text(encoding="utf-8"))
    assert len(rows) > 25
    for sql, *expected in rows:
        query = sql.replace("\\|", "|")
        assert [said(engine, query) for engine in engines.values()] == expected, query


def test_the_page_leaves_nothing_of_the_issue_out() -> None:
    """Case of names, NULL, time zones, division, casts, the empty text and sums have their lines."""
    text = PAGE.read_text(encoding="utf-8")
    for mark in ('"ID"', "order by n desc", "timestamptz", "7 / 2", "'5' + 1", "'' is null", "`sum` of"):
        assert mark in text, mark


def test_the_files_of_the_page_work(pg_shop: Shop, database: str, server: warehouse.Server) -> None:
    """The project and the recipe that the page shows are valid, and run."""
    found = dict(FENCE.findall(PAGE.read_text(encoding="utf-8")))
    with server.admin(database) as boss:
        boss.execute(
            "CREATE SCHEMA raw; "
            "CREATE TABLE raw.orders AS SELECT 1 AS order_id, 'DE' AS country, now() AS updated_at; "
            "GRANT USAGE ON SCHEMA raw TO kitchen; GRANT SELECT ON raw.orders TO kitchen"
        )
    pg_shop.commit({"kitchen.yml": found["kitchen.yml"], "recipes/orders/recipe.yml": found["recipe.yml"]})
    for words in (("validate",), ("run", "--quiet")):
        answer = pg_shop.cli(*words)
        assert answer.code == 0, answer.out + answer.err


def test_numbers_reach_processes_exactly(engines: dict[str, Engine]) -> None:
    """A number without bounds is exported as a decimal that holds it; what none holds becomes a float."""
    import duckdb

    engine = engines["PostgreSQL"]
    sql = "select sum(9007199254740993::bigint) as a, 0.10::numeric as b, 1e40::numeric as c, "
    sql += "null::numeric as d"
    w = engine.write_table("x", sql)
    version = Version("x", "table", "f", w.content, w.columns, w.files, relation=w.relation)
    (path,) = engine.export("x", version)
    with duckdb.connect() as plain:
        found = plain.execute(f"select a::varchar, b::varchar, c, d, typeof(a) from '{path}'").fetchall()
    assert found == [("9007199254740993", "0.10", 1e40, None, "DECIMAL(38,0)")]

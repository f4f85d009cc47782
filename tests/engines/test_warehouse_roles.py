"""Two roles in one warehouse, as the documentation sets them up: the server itself keeps sandboxes out."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.run.test_adoption import FILES, PROJECT, reasons

import warehouse
from gitkitchen.data.engines.postgres_server import Warehouse
from gitkitchen.data.engines.postgres_store import Relations
from shop import Shop

Client = psycopg.Connection[Any]
STORE = "gitkitchen_store"
DOCS = Path(__file__).parents[2] / "docs" / "warehouse.md"


def documented() -> list[str]:
    """The statements of the page's section on two roles."""
    section = DOCS.read_text(encoding="utf-8").split("## Two roles", 1)[1].split("\n## ", 1)[0]
    block = re.search(r"```text\n(.*?)```", section, re.S)
    assert block is not None
    return [line.strip() for line in block[1].split(";") if line.strip()]


def ran(shop: Shop, *words: str) -> None:
    said = shop.cli("run", "--quiet", *words)
    assert said.code == 0, said.out + said.err


def test_a_sandboxs_role_writes_nothing_of_an_environment(
    pg_shop: Shop, server: warehouse.Server, database: str, boss: Client
) -> None:
    """With the documented grants a branch runs, is adopted and collected; its role can neither change what an
    environment has, nor say anything in its name."""
    boss.execute(f"CREATE ROLE kitchen_dev LOGIN PASSWORD '{warehouse.SECRET}'")
    try:
        boss.execute(f"GRANT CREATE ON DATABASE {database} TO kitchen_dev")
        production, sandbox = server.dsn(database), server.dsn(database, "kitchen_dev")
        pg_shop.commit(FILES)
        ran(pg_shop)
        *own, last = documented()
        with psycopg.connect(production, autocommit=True) as client:
            for statement in own:
                client.execute(statement.encode())
        boss.execute(last.encode())
        pg_shop.git("switch", "-q", "-c", "feature")
        pg_shop.replace("recipes/sales/recipe.yml", "sum(amount)", "sum(2 * amount)")
        pg_shop.commit()
        os.environ["WAREHOUSE_DSN"] = sandbox
        ran(pg_shop)
        assert pg_shop.rows("select max(total) as m from totals") == [{"m": "60"}]
        pg_shop.git("switch", "-q", "main")
        pg_shop.git("merge", "-q", "--ff-only", "feature")
        with psycopg.connect(sandbox, autocommit=True) as evil:
            _squat(evil, boss)
        os.environ["WAREHOUSE_DSN"] = production
        ran(pg_shop)
        assert reasons(pg_shop)["totals"] == ("reused", "adopted from feature, tested again")
        with psycopg.connect(sandbox, autocommit=True) as evil:
            _cannot_write(evil, boss)
        assert boss.execute("SELECT total FROM prod.totals ORDER BY 1").fetchall() == [(20,), (60,)]
        os.environ["WAREHOUSE_DSN"] = sandbox
        said = pg_shop.cli("drop", "feature")
        assert said.code == 0, said.err
        os.environ["WAREHOUSE_DSN"] = production
        said = pg_shop.cli("gc", "--apply", "--grace", "0s", "--keep", "0s")
        assert said.code == 0, said.err
        ran(pg_shop)
        assert set(pg_shop.states().values()) == {"reused"}
    finally:
        boss.execute("DROP OWNED BY kitchen_dev CASCADE; DROP ROLE kitchen_dev")


def _squat(evil: Client, boss: Client) -> None:
    """Poison of that role under the name which production's copy is going to have."""
    row = boss.execute(
        f"SELECT manifest FROM {STORE}.builds WHERE starts_with(zone, 'sandbox') "
        "AND manifest::json ->> 'node' = 'totals'"
    ).fetchone()
    assert row is not None
    content = json.loads(row[0])["versions"]["totals"]["content"]
    relations = Relations(Warehouse("", project=PROJECT), namespace="k_main_0", zone="trusted")
    name = relations.name("totals", content)
    evil.execute(f"CREATE TABLE {STORE}.{name} AS SELECT 'DE'::text AS country, 666::numeric AS total")


def _cannot_write(evil: Client, boss: Client) -> None:
    names = boss.execute(
        "SELECT relname FROM pg_class WHERE relkind = 'r' AND obj_description(oid) LIKE '%\"trusted %'"
    ).fetchall()
    assert len(names) == 5
    for (name,) in names:
        for change in ("DELETE FROM", "TRUNCATE", "DROP TABLE"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                evil.execute(f"{change} {STORE}.{name}".encode())
    zone = f"trusted {PROJECT}"
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        evil.execute(f"INSERT INTO {STORE}.builds VALUES (%s, 'f', '{{}}')", [zone])
    assert evil.execute(f"DELETE FROM {STORE}.builds WHERE zone = %s", [zone]).rowcount == 0
    assert evil.execute(f"UPDATE {STORE}.builds SET manifest = '' WHERE zone = %s", [zone]).rowcount == 0
    assert evil.execute(f"UPDATE {STORE}.kitchens SET sequence = 99 WHERE schema = 'prod'").rowcount == 0
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        evil.execute("CREATE OR REPLACE VIEW prod.totals AS SELECT 'X'::text AS country, 1::numeric AS total")

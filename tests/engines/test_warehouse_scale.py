"""Five hundred datasets: a sandbox is there at once, copies nothing, costs little, and leaves nothing."""

from __future__ import annotations

import json
import time
from typing import Any

import psycopg
import pytest

import warehouse
from shop import Shop

Client = psycopg.Connection[Any]
DATASETS = 500
CATALOGS = (
    "pg_class pg_attribute pg_type pg_depend pg_rewrite pg_shdepend pg_description pg_namespace pg_init_privs"
)


def recipe() -> str:
    text = "version: 1\nrecipe: wide\nnodes:\n"
    for number in range(DATASETS):
        columns = ", ".join(f"{n} + {number} as column_{n}" for n in range(9))
        text += f"  d_{number:03}: {{sql: \"select 'w' as word, {columns}\", key: [word]}}\n"
    return text


def catalog_bytes(client: Client) -> int:
    sizes = " + ".join(f"pg_total_relation_size('pg_catalog.{c}')" for c in CATALOGS.split())
    row = client.execute(f"SELECT {sizes}").fetchone()
    assert row is not None
    return int(row[0])


@pytest.mark.long
def test_a_sandbox_of_five_hundred_datasets(
    pg_shop: Shop, boss: Client, server: warehouse.Server, database: str
) -> None:
    """All 500 answer within 2 s of the first command (bound here: 6 s on a slow machine), no row is copied,
    at most 8 kB of catalog a dataset; one changed leaf builds one; dropped, all is as before."""
    pg_shop.commit({"recipes/wide/recipe.yml": recipe()})
    assert pg_shop.cli("run", "--quiet").code == 0
    stored = "SELECT count(*) FROM pg_class WHERE relname ~ '^v_[0-9a-f]{40}$'"
    tables = boss.execute(stored).fetchone()
    before, there = catalog_bytes(boss), warehouse.inventory(boss)
    pg_shop.git("switch", "-q", "-c", "feature/x")
    begun = time.monotonic()
    assert pg_shop.cli("open", "--path").code == 0
    schema = json.loads(pg_shop.cli("settings", "--json").out)["namespace"]
    with psycopg.connect(server.dsn(database), autocommit=True) as client:
        for number in range(DATASETS):
            assert client.execute(f"SELECT word FROM {schema}.d_{number:03} LIMIT 1").fetchone() == ("w",)
    seconds = time.monotonic() - begun
    print(f"{DATASETS} datasets of a new sandbox read within {seconds:.2f} s")
    assert seconds < 6
    assert boss.execute(stored).fetchone() == tables
    each = (catalog_bytes(boss) - before) / DATASETS
    print(f"{each:.0f} bytes of catalog a dataset")
    assert each <= 8192
    leaf = recipe().replace("499 as column_0", "4990 as column_0")
    assert leaf != recipe()
    pg_shop.commit({"recipes/wide/recipe.yml": leaf})
    assert pg_shop.cli("run", "--quiet").code == 0
    assert [n for n, s in pg_shop.states().items() if s != "reused"] == ["d_499"]
    boss.execute(f"CREATE VIEW public.theirs AS SELECT word FROM {schema}.d_000")
    pg_shop.git("switch", "-q", "main")
    said = pg_shop.cli("drop", "feature/x")
    assert said.code == 2
    assert "public.theirs" in said.err
    boss.execute("DROP VIEW public.theirs")
    said = pg_shop.cli("drop", "feature/x")
    assert said.code == 0, said.err
    assert warehouse.inventory(boss) == there
    zones = boss.execute("SELECT DISTINCT split_part(zone, ' ', 1) FROM gitkitchen_store.builds").fetchall()
    assert zones == [("trusted",)]

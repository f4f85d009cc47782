"""Many kitchens on one warehouse at once: none sees another's data, and production never changes."""

from __future__ import annotations

import json
import os
import threading
import time
from typing import Any

import psycopg
import pytest

import warehouse
from shop import Shop

Client = psycopg.Connection[Any]
KITCHENS = 8
RECIPE = """\
version: 1
recipe: scaled
vars: {factor: 1}
nodes:
  seed: {source: {file: seed.csv}, key: [id]}
  scaled:
    sql: select id, n * $factor as n from seed
    with: {factor: "${{ vars.factor }}"}
    key: [id]
  total:
    sql: select sum(n)::bigint as total, count(*) as many from scaled
    tests: [{rows: {min: 1}}]
"""


@pytest.mark.long
def test_sandboxes_at_once(pg_shop: Shop, boss: Client, server: warehouse.Server, database: str) -> None:
    """Sandboxes run at the same time with different values, one is killed, one runs twice: each sees its
    own, a reader of production checks throughout, nothing is left locked."""
    seed = "id,n\n" + "".join(f"{i},{i}\n" for i in range(100))
    pg_shop.commit({"recipes/scaled/recipe.yml": RECIPE, "recipes/scaled/seed.csv": seed})
    assert pg_shop.cli("run", "--quiet").code == 0
    troubles: list[Any] = []
    stop = threading.Event()

    def read() -> None:
        with psycopg.connect(server.dsn(database, "boss"), autocommit=True) as client:
            while not stop.is_set():
                found = client.execute("SELECT total, many FROM prod.total").fetchall()
                if found != [(4950, 100)]:
                    troubles.append(found)
                time.sleep(0.01)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        runs = {}
        for factor in range(2, KITCHENS + 2):
            words = ("--kitchen", f"feature/{factor}", "--set", f"factor={factor}")
            runs[factor] = pg_shop.spawn("run", "--quiet", *words, env=dict(os.environ))
        time.sleep(1.5)
        runs[3].kill()
        for factor, process in runs.items():
            out, err = process.communicate(timeout=120)
            assert process.returncode == 0 or factor == 3, out + err
    finally:
        stop.set()
        reader.join()
    assert not troubles
    again = pg_shop.cli("run", "--quiet", "--kitchen", "feature/3", "--set", "factor=3")
    assert again.code == 0, again.out + again.err
    for factor in range(2, KITCHENS + 2):
        words = ("--kitchen", f"feature/{factor}")
        assert pg_shop.rows("select total from total", *words) == [{"total": 4950 * factor}]
        schema = json.loads(pg_shop.cli("settings", "--json", *words).out)["namespace"]
        assert boss.execute(f"SELECT total FROM {schema}.total").fetchall() == [(4950 * factor,)]
    locks = "SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a USING (pid) "
    locks += "WHERE a.application_name = 'gitkitchen' AND l.locktype <> 'virtualxid'"
    assert boss.execute(locks).fetchone() == (0,)


@pytest.mark.long
def test_recipes_at_once(pg_shop: Shop, boss: Client) -> None:
    """Recipes of one environment publish at the same time: consumers have the newest of each."""
    recipe = "version: 1\nrecipe: {name}\nnodes:\n  {name}: {{sql: {name}.sql, key: [x]}}\n"
    for round_ in range(3):
        for name in ("one", "two", "three", "four"):
            folder = f"recipes/{name}"
            pg_shop.write({f"{folder}/recipe.yml": recipe.format(name=name)})
            pg_shop.write({f"{folder}/{name}.sql": f"select {round_} as x, pg_sleep(0.2)::text as slept"})
        pg_shop.commit()
        runs = [
            pg_shop.spawn("run", name, "--quiet", env=dict(os.environ))
            for name in ("one", "two", "three", "four")
        ]
        for process in runs:
            out, err = process.communicate(timeout=120)
            assert process.returncode == 0, out + err
        for name in ("one", "two", "three", "four"):
            assert boss.execute(f"SELECT x FROM prod.{name}").fetchall() == [(round_,)], name

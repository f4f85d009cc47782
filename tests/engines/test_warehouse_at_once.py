"""Many kitchens on one warehouse at once: none sees another's data, and production never changes."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

import warehouse
from shop import Shop

Client = psycopg.Connection[Any]
KITCHENS = 16
RECIPE = """\
version: 1
recipe: scaled
nodes:
  seed: {source: {file: seed.csv}, key: [id]}
  scaled: {sql: "select id, n * 1 as n from seed", key: [id]}
  total:
    sql: select sum(n)::bigint as total, count(*) as many from scaled
    tests: [{rows: {min: 1}}]
"""
SLOW = "  slow: {sql: 'select total, pg_sleep(%s)::text as slept from total', tests: [{rows: {equals: 1}}]}\n"


def tree(shop: Shop, number: int, seconds: float) -> Shop:
    """A linked work tree on a branch of its own, whose numbers are so many times as high."""
    made = Shop(shop.root.parent / f"tree{number}")
    shop.git("worktree", "add", "-q", "-b", f"s/{number}", str(made.root))
    made.replace("recipes/scaled/recipe.yml", "n * 1 as", f"n * {number} as")
    with (made.root / "recipes/scaled/recipe.yml").open("a") as recipe:
        recipe.write(SLOW % seconds)
    made.commit(message=f"change {number}")
    return made


@contextmanager
def reading(address: str, wanted: list[Any]) -> Iterator[list[Any]]:
    """A consumer of production that asks again and again; it yields what was not as wanted."""
    wrong: list[Any] = []
    stop = threading.Event()

    def read() -> None:
        with psycopg.connect(address, autocommit=True) as client:
            while not stop.is_set():
                try:
                    found: Any = client.execute("SELECT total, many FROM prod.total").fetchall()
                except psycopg.Error as error:
                    found = error
                if found != wanted:
                    wrong.append(found)
                stop.wait(0.01)

    thread = threading.Thread(target=read)
    thread.start()
    try:
        yield wrong
    finally:
        stop.set()
        thread.join()


def until(condition: Callable[[], bool], seconds: float = 120.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.05)


def schema(shop: Shop) -> str:
    return str(json.loads(shop.cli("settings", "--json").out)["namespace"])


@pytest.mark.long
def test_sixteen_sandboxes_at_once(
    pg_shop: Shop, boss: Client, server: warehouse.Server, database: str
) -> None:
    """Sixteen sandboxes with different changes run at once, one more is dropped in the middle, one is
    killed: each sees its own data, a reader of production checks throughout, nothing is left locked, and
    when all are dropped the warehouse is as before."""
    seed = "id,n\n" + "".join(f"{i},{i}\n" for i in range(100))
    pg_shop.commit({"recipes/scaled/recipe.yml": RECIPE, "recipes/scaled/seed.csv": seed})
    assert pg_shop.cli("run", "--quiet").code == 0
    trees = {number: tree(pg_shop, number, 1.0) for number in range(2, KITCHENS + 2)}
    extra = tree(pg_shop, 100, 0)
    before, builds = warehouse.inventory(boss), warehouse.kept(boss)
    assert extra.cli("run", "--quiet").code == 0
    sleeping = "SELECT count(*) FROM pg_stat_activity WHERE query ~ 'pg_sleep' AND state = 'active'"
    sleeping += " AND pid <> pg_backend_pid()"
    with reading(server.dsn(database, "boss"), [(4950, 100)]) as wrong:
        runs = {n: t.spawn("run", "--quiet", env=dict(os.environ)) for n, t in trees.items()}
        until(lambda: boss.execute(sleeping).fetchone() != (0,))
        said = pg_shop.cli("drop", "s/100")
        assert said.code == 0, said.err
        os.killpg(runs[3].pid, signal.SIGKILL)
        ended = {n: (p.communicate(timeout=300), p.returncode) for n, p in runs.items()}
    assert not wrong
    assert {n: code for n, (_, code) in ended.items()} == dict.fromkeys(runs, 0) | {3: -signal.SIGKILL}, ended
    assert trees[3].rows("select total from total") == [{"total": 4950}], "nothing of a killed run is seen"
    again = trees[3].cli("run", "--quiet")
    assert again.code == 0, again.out + again.err
    for number, made in trees.items():
        assert made.rows("select total from total") == [{"total": 4950 * number}]
        assert made.rows("select total from slow") == [{"total": 4950 * number}]
        found = boss.execute(f"SELECT total, many FROM {schema(made)}.total").fetchall()
        assert found == [(4950 * number, 100)]
    assert extra.rows("select total from total") == [{"total": 4950}], "dropped: it sees its base again"
    for number in (*trees, 100):
        said = pg_shop.cli("drop", f"s/{number}")
        assert said.code == 0 or number == 100, said.err
    until(lambda: boss.execute(sleeping).fetchone() == (0,))
    assert warehouse.inventory(boss) == before
    assert warehouse.kept(boss) == builds


@pytest.mark.long
def test_s23_a_cancel_ends_no_query_of_another_run(pg_shop: Shop, boss: Client) -> None:
    """S23 (redshift #705: a cancel killed another run's query): of three runs that wait for their queries in
    one warehouse, as one role, one is interrupted and one is killed: their queries end, and the third's goes
    on to its end in the session that it had."""
    seed = "id,n\n" + "".join(f"{i},{i}\n" for i in range(10))
    pg_shop.commit({"recipes/scaled/recipe.yml": RECIPE, "recipes/scaled/seed.csv": seed})
    assert pg_shop.cli("run", "--quiet").code == 0
    trees = {number: tree(pg_shop, number, 12.0) for number in (2, 3, 4)}
    found = "SELECT pid FROM pg_stat_activity WHERE query ~ 'pg_sleep' AND state = 'active'"
    found += " AND pid <> pg_backend_pid() AND usename = 'kitchen'"

    def asleep() -> set[int]:
        """The sessions in which a query waits."""
        return {pid for (pid,) in boss.execute(found).fetchall()}

    runs = {n: t.spawn("run", "--quiet", env=dict(os.environ)) for n, t in trees.items()}
    until(lambda: len(asleep()) == 3)
    before = asleep()
    runs[2].send_signal(signal.SIGINT)
    os.killpg(runs[3].pid, signal.SIGKILL)
    out, err = runs[2].communicate(timeout=60)
    assert runs[2].returncode == 130, out + err
    runs[3].communicate(timeout=60)
    until(lambda: len(asleep()) == 1)
    assert asleep() < before
    out, err = runs[4].communicate(timeout=120)
    assert runs[4].returncode == 0, out + err
    assert trees[4].rows("select total from slow") == [{"total": 45 * 4}]


@pytest.mark.long
def test_twenty_branches_leave_the_warehouse_as_it_was(pg_shop: Shop, boss: Client) -> None:
    """Twenty branches opened, granted to readers, changed, run; half are dropped, half are deleted and
    collected: schemas, relations, columns, grants, default grants, locks, sessions and builds as before."""
    seed = "id,n\n" + "".join(f"{i},{i}\n" for i in range(100))
    pg_shop.commit({"recipes/scaled/recipe.yml": RECIPE, "recipes/scaled/seed.csv": seed})
    assert pg_shop.cli("run", "--quiet").code == 0
    before, builds = warehouse.inventory(boss), warehouse.kept(boss)
    for number in range(2, 22):
        pg_shop.git("switch", "-q", "-c", f"f/{number}", "main")
        assert pg_shop.cli("open", "--path").code == 0
        own = schema(pg_shop)
        boss.execute(f"GRANT USAGE ON SCHEMA {own} TO reader; GRANT SELECT ON {own}.total TO reader")
        boss.execute(
            f"ALTER DEFAULT PRIVILEGES FOR ROLE kitchen IN SCHEMA {own} GRANT SELECT ON TABLES TO reader"
        )
        pg_shop.replace("recipes/scaled/recipe.yml", "n * 1 as n", f"n * {number} as n, {number} as more")
        pg_shop.commit()
        assert pg_shop.cli("run", "--quiet").code == 0
        assert boss.execute(f"SELECT total FROM {own}.total").fetchall() == [(4950 * number,)]
    assert len(warehouse.inventory(boss)) > len(before) + 100
    pg_shop.git("switch", "-q", "main")
    for number in range(2, 22):
        if number % 2:
            said = pg_shop.cli("drop", f"f/{number}")
            assert said.code == 0, said.err
        pg_shop.git("branch", "-q", "-D", f"f/{number}")
    said = pg_shop.cli("gc", "--apply", "--grace", "0s", "--keep", "0s")
    assert said.code == 0, said.err
    assert warehouse.inventory(boss) == before
    assert warehouse.kept(boss) == builds
    assert boss.execute("SELECT total FROM prod.total").fetchall() == [(4950,)]


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

"""Promotion where PostgreSQL keeps the versions: tables are not copied, and schemas change in one step."""

from __future__ import annotations

import json
import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.engines.conftest import CONNECTION

import warehouse
from road import KITCHEN_YML, SQL, TWO, made, promoted, tree
from shop import Shop
from warehouse import SECRET


@pytest.fixture
def road(tmp_path: Path, database: str) -> Shop:
    """The road on a warehouse, with dev run."""
    shop = made(tmp_path, {**TWO, "kitchen.yml": KITCHEN_YML + CONNECTION})
    for name in ("delays", "report"):
        said = shop.cli("run", name, "--quiet")
        assert said.code == 0, said.out + said.err
    return shop


def tables(boss: psycopg.Connection[Any]) -> set[str]:
    """The physical tables of versions."""
    found = boss.execute("SELECT tablename FROM pg_tables WHERE tablename LIKE 'v\\_%'").fetchall()
    return {str(name) for (name,) in found}


def test_a_tree_goes_the_road_and_no_table_is_copied(road: Shop, boss: psycopg.Connection[Any]) -> None:
    """Staging and prod show the tables that dev built, each in a schema of its own name."""
    before = tables(boss)
    promoted(road, "staging")
    promoted(road, "prod")
    assert tables(boss) == before
    assert tree(road, "main") == tree(road, "develop")
    for schema in ("staging", "prod"):
        assert boss.execute(f"SELECT carrier FROM {schema}.worst").fetchall() == [("AA",)]


def test_a_rollback_shows_the_tables_of_then_again(road: Shop, boss: psycopg.Connection[Any]) -> None:
    """Both recipes go back in one step to what they showed, and no table is made for it."""
    promoted(road, "staging")
    road.commit({"recipes/delays/late.sql": SQL.replace("count(*)", "99 - count(*)")})
    promoted(road, "staging")
    before = tables(boss)
    said = road.cli("rollback", "staging", "--quiet", "--reason", "it counts wrong")
    assert said.code == 0, said.out + said.err
    seen = boss.execute("SELECT (SELECT max(n) FROM staging.late), (SELECT n FROM staging.worst)").fetchone()
    assert seen == (2, 2)
    assert tables(boss) == before


def test_one_transaction_of_a_reader_sees_one_landing(road: Shop, boss: psycopg.Connection[Any]) -> None:
    """Two datasets of two recipes change together: both old or both new."""
    promoted(road, "staging")
    road.commit({"recipes/delays/late.sql": SQL.replace("count(*)", "99 - count(*)")})
    promoted(road, "staging")
    seen = boss.execute("SELECT (SELECT max(n) FROM staging.late), (SELECT n FROM staging.worst)").fetchone()
    assert seen == (98, 98)


@pytest.mark.long
def test_a_transaction_that_is_open_during_a_landing_sees_the_old_one_to_its_end(
    road: Shop, boss: psycopg.Connection[Any]
) -> None:
    """A reader with one connection has read one dataset; the other, read while the promotion waits for it, is
    of the same landing. What it reads next is wholly the new one, and nobody was turned away."""
    promoted(road, "staging")
    road.commit({"recipes/delays/late.sql": SQL.replace("count(*)", "99 - count(*)")})
    with boss.transaction():
        late = boss.execute("SELECT max(n) FROM staging.late").fetchone()
        promotion = road.spawn("promote", "staging", "--quiet")
        waits = "SELECT count(*) FROM pg_locks WHERE NOT granted"
        with psycopg.connect(boss.info.dsn, password=SECRET, autocommit=True) as beside:
            until = time.monotonic() + 120
            while beside.execute(waits).fetchone() == (0,):
                assert time.monotonic() < until
                assert promotion.poll() is None, promotion.communicate()
                time.sleep(0.01)
        worst = boss.execute("SELECT n FROM staging.worst").fetchone()
    assert (late, worst) == ((2,), (2,))
    out, err = promotion.communicate(timeout=120)
    assert promotion.returncode == 0, out + err
    with boss.transaction():
        late = boss.execute("SELECT max(n) FROM staging.late").fetchone()
        worst = boss.execute("SELECT n FROM staging.worst").fetchone()
    assert (late, worst) == ((98,), (98,))


@pytest.mark.long
def test_a_reader_with_one_connection_never_sees_a_mixture(
    road: Shop, boss: psycopg.Connection[Any], server: warehouse.Server, database: str
) -> None:
    """Transactions of one connection, one after the other, while promotions come and go: each sees two
    recipes of one landing, and each landing is seen in its turn."""
    promoted(road, "staging")
    seen: list[tuple[int, int]] = []
    over = threading.Event()

    def read() -> None:
        with server.admin(database) as reader:
            while not over.is_set():
                with reader.transaction():
                    late = reader.execute("SELECT max(n) FROM staging.late").fetchone()
                    time.sleep(0.01)
                    worst = reader.execute("SELECT n FROM staging.worst").fetchone()
                assert late is not None
                assert worst is not None
                seen.append((int(late[0]), int(worst[0])))

    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(read)
        try:
            for number in (10, 20, 30):
                road.commit({"recipes/delays/late.sql": SQL.replace("count(*)", f"count(*) + {number}")})
                promoted(road, "staging")
            time.sleep(0.1)
        finally:
            over.set()
        reading.result()
    assert list(dict.fromkeys(seen)) == [(n, n) for n in (2, 12, 22, 32)]


@pytest.mark.long
def test_a_view_of_somebody_that_stands_in_the_way_stops_the_landing(
    road: Shop, boss: psycopg.Connection[Any]
) -> None:
    """What consumers' views could not follow is found before anything lands."""
    promoted(road, "staging")
    boss.execute("CREATE SCHEMA theirs")
    boss.execute("CREATE VIEW theirs.mine AS SELECT n FROM staging.late")
    road.commit({"recipes/delays/late.sql": SQL.replace("count(*) as n", "count(*)::text as n")})
    tip = road.git("rev-parse", "staging")
    said = road.cli("promote", "staging", "--quiet")
    assert said.code != 0
    assert "theirs.mine" in said.out + said.err
    assert road.git("rev-parse", "staging") == tip


@pytest.mark.long
def test_catalogs_are_rebuilt_from_what_the_schemas_show(road: Shop, boss: psycopg.Connection[Any]) -> None:
    """After the ledger was lost, landings come back from their commits and catalogs from the views' stamps;
    consumers read what they read, nothing is built again, and the road goes on."""
    promoted(road, "staging")
    promoted(road, "prod")
    before = tables(boss)
    shutil.rmtree(road.root / ".gitkitchen" / "ledger")
    said = road.cli("audit", "--rebuild", "--apply", "--json")
    assert said.code == 0, said.out + said.err
    for schema in ("staging", "prod"):
        assert boss.execute(f"SELECT carrier FROM {schema}.worst").fetchall() == [("AA",)]
    said = road.cli("query", "worst", "--kitchen", "main", "--json")
    assert said.code == 0, said.err
    assert json.loads(said.out)[0]["carrier"] == "AA"
    assert tables(boss) == before
    assert road.cli("reconcile").code == 0
    road.commit({"recipes/delays/late.sql": SQL.replace("count(*)", "99 - count(*)")})
    promoted(road, "staging")
    promoted(road, "prod")
    assert boss.execute("SELECT max(n) FROM prod.late").fetchone() == (98,)

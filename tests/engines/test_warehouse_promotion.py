"""Promotion where PostgreSQL keeps the versions: tables are not copied, and schemas change in one step."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.engines.conftest import CONNECTION

from road import KITCHEN_YML, SQL, TWO, made, promoted, tree
from shop import Shop


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


def test_one_transaction_of_a_reader_sees_one_landing(road: Shop, boss: psycopg.Connection[Any]) -> None:
    """Two datasets of two recipes change together: both old or both new."""
    promoted(road, "staging")
    road.commit({"recipes/delays/late.sql": SQL.replace("count(*)", "99 - count(*)")})
    promoted(road, "staging")
    seen = boss.execute("SELECT (SELECT max(n) FROM staging.late), (SELECT n FROM staging.worst)").fetchone()
    assert seen == (98, 98)


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

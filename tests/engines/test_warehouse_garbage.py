"""``gitkitchen gc`` in a warehouse: tables that nothing refers to go, and nothing that anybody needs; S5."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.upkeep.conftest import ORDERS, RECIPE, change

import warehouse
from gitkitchen.data.engines import postgres_garbage as garbage
from gitkitchen.data.engines.postgres_garbage import Entry, Holding, Table
from gitkitchen.data.engines.postgres_server import Warehouse
from gitkitchen.errors import Infrastructure
from gitkitchen.model import Build, Version
from gitkitchen.premises import find_premises
from gitkitchen.report.upkeep import Sweep
from gitkitchen.upkeep.collecting import Limits, look, sweep
from shop import Shop

Client = psycopg.Connection[Any]
STORE = "gitkitchen_store"
ALL = Limits(grace=0.0, keep=0.0)


@pytest.fixture
def sales(pg_shop: Shop) -> Shop:
    """Production with one publication in a warehouse."""
    pg_shop.commit({"recipes/sales/recipe.yml": RECIPE, "recipes/sales/orders.csv": ORDERS})
    ran(pg_shop)
    return pg_shop


def ran(shop: Shop, *words: str) -> None:
    said = shop.cli("run", "--quiet", *words)
    assert said.code == 0, said.out + said.err


def load(shop: Shop, number: int, *words: str) -> None:
    """Another day's orders in production."""
    shop.commit({"recipes/sales/orders.csv": ORDERS + f"9,IT,{1000 + number}\n"})
    ran(shop, *words)


def collect(shop: Shop, limits: Limits = ALL, act: Callable[..., Sweep] = sweep, **later: float) -> Sweep:
    more: dict[str, Any] = {} if act is look else {"patience": 0.3}
    return act(find_premises(shop.root), limits, datetime.now(UTC) + timedelta(**later), **more)


def tables(boss: Client) -> set[str]:
    found = boss.execute(
        f"SELECT relname FROM pg_class WHERE relnamespace = '{STORE}'::regnamespace AND relkind = 'r'"
    )
    return {str(n) for (n,) in found.fetchall() if str(n).startswith(("v_", "tmp_"))}


def builds(boss: Client) -> int:
    row = boss.execute(f"SELECT count(*) FROM {STORE}.builds").fetchone()
    assert row is not None
    return int(row[0])


def of_warehouse(found: Sweep) -> list[str]:
    return [str(i.path) for i in found.items if str(i.path).startswith(STORE)]


def total(boss: Client, schema: str = "prod") -> Any:
    row = boss.execute(f"SELECT sum(total) FROM {schema}.totals").fetchone()
    assert row is not None
    return int(row[0])


def test_old_versions_go_and_what_is_shown_stays(sales: Shop, boss: Client) -> None:
    """A dry run names exactly what --apply removes; consumers read on, and a second time there is nothing."""
    first = tables(boss)
    load(sales, 1)
    assert len(tables(boss)) == 6
    kept = tables(boss) - first
    shown = collect(sales, act=look)
    assert {n for n in of_warehouse(shown) if "/v_" in n} == {f"{STORE}/{n}" for n in first}
    assert len(tables(boss)) == 6, "a dry run changes nothing"
    assert builds(boss) == 6
    done = collect(sales)
    assert of_warehouse(done) == of_warehouse(shown)
    assert sum(i.bytes for i in done.items if i.what == "table") > 0
    assert tables(boss) == kept
    assert builds(boss) == 3
    assert total(boss) == 1061
    assert of_warehouse(collect(sales)) == []
    ran(sales)
    assert set(sales.states().values()) == {"reused"}
    said = sales.cli("gc", "--apply", "--grace", "0s", "--keep", "0s", "--json")
    assert json.loads(said.out)["left"] == []


@pytest.mark.long
def test_the_rollback_window_kept_runs_and_the_grace_period_keep_tables(sales: Shop, boss: Client) -> None:
    """What an environment showed lately, what a kept run built, and what is young, stay."""
    load(sales, 1)
    load(sales, 2, "--no-publish")
    before = tables(boss)
    assert len(before) == 9
    collect(sales, Limits(grace=0.0, keep=3600.0))
    assert tables(boss) == before, "the rollback window and the candidate"
    collect(sales, Limits(grace=3600.0, keep=0.0))
    assert tables(boss) == before, "the grace period"
    said = sales.cli("query", "select sum(total) as t from totals", "--candidate", "last", "--format", "json")
    assert said.code == 0, said.err
    collect(sales, Limits(grace=0.0, keep=0.0), days=1)
    # The newest run of a recipe is kept, whatever its age, and so is what it built.
    assert len(tables(boss)) == 6


@pytest.mark.long
def test_sandboxes_keep_what_they_read_and_lose_what_they_left_behind(sales: Shop, boss: Client) -> None:
    """A living sandbox's own tables and its base's, which it shows, stay; its older ones go."""
    change(sales, "feature/x", 1)
    namespace = json.loads(sales.cli("settings", "--json").out)["namespace"]
    sales.replace("recipes/sales/recipe.yml", "+ 1 as", "+ 2 as")
    sales.commit()
    ran(sales)
    sales.git("switch", "-q", "main")
    load(sales, 1)
    collect(sales)
    assert len(tables(boss)) == 3 + 2 + 1, "prod's three; of its base two that the sandbox shows; its own"
    assert total(boss, namespace) == 60
    assert boss.execute(f"SELECT total FROM {namespace}.top").fetchall() == [(42,)]
    sales.git("branch", "-q", "-D", "feature/x")
    collect(sales)
    assert len(tables(boss)) == 3
    gone = boss.execute("SELECT count(*) FROM pg_namespace WHERE nspname = %s", [namespace]).fetchone()
    assert gone == (0,)


def test_others_views_tables_and_projects_are_left_alone(sales: Shop, boss: Client) -> None:
    """A table on which a stranger's view stands stays, as does what another project or a person made, also
    where its comment says otherwise."""
    old = boss.execute(
        "SELECT relname FROM pg_class WHERE obj_description(oid) LIKE '%\"totals\"%' AND relkind = 'r'"
    ).fetchone()
    assert old is not None
    boss.execute(f"CREATE SCHEMA others; CREATE VIEW others.it AS SELECT * FROM {STORE}.{old[0]}")
    comment = boss.execute("SELECT obj_description(%s::regclass)", [f"{STORE}.{old[0]}"]).fetchone()
    assert comment is not None
    boss.execute(
        f"CREATE TABLE {STORE}.v_{'a' * 40} AS SELECT 1 AS x; CREATE TABLE {STORE}.v_{'b' * 40} (x int)"
    )
    boss.execute(f"COMMENT ON TABLE {STORE}.v_{'a' * 40} IS '{comment[0]}'")
    boss.execute(f"COMMENT ON TABLE {STORE}.v_{'b' * 40} IS 'not json'")
    boss.execute(f"INSERT INTO {STORE}.builds VALUES ('trusted another', 'f', '{{}}')")
    load(sales, 1)
    collect(sales)
    assert tables(boss) >= {str(old[0]), f"v_{'a' * 40}", f"v_{'b' * 40}"}
    assert boss.execute("SELECT sum(total) FROM others.it").fetchone() == (60,)
    assert boss.execute(f"SELECT count(*) FROM {STORE}.builds WHERE zone = 'trusted another'").fetchone() == (
        1,
    )


@pytest.mark.long
def test_clones_with_ledgers_of_their_own_remove_nothing_of_each_other(
    sales: Shop, boss: Client, tmp_path: Path
) -> None:
    """Another clone publishes to the same warehouse with a ledger of its own: what it refers to is not known
    here, so tables of environments stay, and the command says so; not for ever."""
    other = Shop(tmp_path / "other")
    sales.git("clone", "-q", str(sales.root), str(other.root))
    load(sales, 1)
    other.commit({"recipes/sales/orders.csv": ORDERS + "9,IT,7\n"})
    ran(other)
    before = tables(boss)
    done = collect(sales)
    assert tables(boss) == before
    assert any("another ledger" in why for _, why in done.left)
    boss.execute(f"UPDATE {STORE}.ledgers SET seen = seen - interval '40 days'")
    ran(sales)
    collect(sales)
    assert tables(boss) < before


def test_nothing_goes_while_a_run_is_at_work_on_any_machine(
    sales: Shop, boss: Client, server: warehouse.Server
) -> None:
    """The server's own lock tells; it ends with the session of the run, however that ends."""
    load(sales, 1)
    before = tables(boss)
    with psycopg.connect(os.environ["WAREHOUSE_DSN"], autocommit=True) as elsewhere:
        key = "gitkitchen 0123456789abcdef"
        elsewhere.execute("SELECT pg_advisory_lock_shared(hashtextextended(%s, 2))", [key])
        done = collect(sales)
        assert tables(boss) == before
        assert ("the warehouse", "runs are at work; the same command later takes the rest") in done.left
    collect(sales)
    assert tables(boss) < before


def test_who_lost_the_lock_removes_nothing_more(sales: Shop, boss: Client) -> None:
    """A session that breaks while it is alone is not made anew in silence: runs may be at work again."""
    here = Warehouse(os.environ["WAREHOUSE_DSN"], project="0123456789abcdef")
    kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'gitkitchen'"

    def go_on() -> None:
        with here.alone(1.0) as is_alone:
            assert is_alone
            boss.execute(kill)
            for _ in range(2):
                with contextlib.suppress(Infrastructure), here.session() as own:
                    own.execute("SELECT 1")
            with here.session():
                raise AssertionError("it has a session again")

    with pytest.raises(Infrastructure, match="others may be at work"):
        go_on()
    with here.alone(1.0) as is_alone:
        assert is_alone
    here.close()


SLOW = """\
version: 1
recipe: slow
nodes:
  slow: {sql: "select 1 as x, pg_sleep(30)::text as y", key: [x]}
"""


@pytest.mark.long
def test_a_run_has_that_lock_and_leaves_it_when_it_is_killed(sales: Shop, boss: Client) -> None:
    """As long as a run is at work nobody clears up; a dead run counts no more."""
    sales.commit({"recipes/slow/recipe.yml": SLOW})
    process = sales.spawn("run", "slow", "--quiet", env=dict(os.environ))
    elsewhere = Warehouse(os.environ["WAREHOUSE_DSN"], project="0123456789abcdef")
    try:
        asleep = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(30)%' "
        asleep += "AND pid <> pg_backend_pid()"
        end = time.monotonic() + 60
        while boss.execute(asleep).fetchone() == (0,) and time.monotonic() < end:
            time.sleep(0.05)
        with elsewhere.alone(0.1) as is_alone:
            assert not is_alone
        process.kill()
        process.communicate()
        with elsewhere.alone(30.0) as is_alone:
            assert is_alone
    finally:
        process.kill()
        elsewhere.close()


@pytest.mark.long
def test_killed_at_any_moment_it_leaves_all_that_is_needed(sales: Shop, boss: Client) -> None:
    """kill -9 in the midst of removing: production reads on, every build that is left has its tables, and the
    same command ends the work."""
    for number in range(1, 7):
        load(sales, number)
    for number in range(6):
        process = sales.spawn("gc", "--apply", "--grace", "0s", "--keep", "0s", env=dict(os.environ))
        time.sleep(0.4 + number * 0.05)
        process.kill()
        process.communicate()
        assert total(boss) == 1066
        there = tables(boss)
        for (text,) in boss.execute(f"SELECT manifest FROM {STORE}.builds").fetchall():
            assert {v["relation"] for v in json.loads(text)["versions"].values()} <= there
    collect(sales)
    assert len(tables(boss)) == 3
    ran(sales)
    assert set(sales.states().values()) == {"reused"}


def test_killed_between_builds_and_tables_the_next_one_ends_the_work(sales: Shop, boss: Client) -> None:
    """Tables that no build names any more are found by what they say of themselves."""
    first = tables(boss)
    load(sales, 1)
    kept = tables(boss) - first
    names = boss.execute(f"SELECT fingerprint, manifest FROM {STORE}.builds").fetchall()
    for fingerprint, text in names:
        if any(name in text for name in first):
            boss.execute(f"DELETE FROM {STORE}.builds WHERE fingerprint = %s", [fingerprint])
    collect(sales, Limits(grace=3600.0, keep=0.0))
    assert tables(boss) == first | kept, "they are young"
    collect(sales)
    assert tables(boss) == kept


def test_without_the_secret_the_rest_is_cleared_up(sales: Shop) -> None:
    """Where the address has no value, the command says so and goes on with the folder."""
    os.environ.pop("WAREHOUSE_DSN")
    for words in (["gc"], ["gc", "--apply"]):
        said = sales.cli(*words)
        assert said.code == 0, said.err
        assert "left the warehouse: connections.warehouse: the secret WAREHOUSE_DSN has no value" in said.out


# --- the rules ----------------------------------------------------------------------------------------

NOW = datetime(2024, 3, 10, tzinfo=UTC)
ZONES = ("trusted p", "sandbox p a", "sandbox p b")
NAMES = [f"v_{n}" for n in range(6)]


def build(fingerprint: str, names: list[str], days: int) -> Build:
    versions = {n: Version(n, "table", fingerprint, n, relation=n) for n in names}
    when = (NOW - timedelta(days=days)).isoformat()
    return Build("node", fingerprint, "d", {}, {}, versions, "r", when, 0.0)


@st.composite
def holdings(draw: st.DrawFn) -> Holding:
    entries = []
    for number in range(draw(st.integers(0, 6))):
        key = f"f{number}"
        names = draw(st.lists(st.sampled_from(NAMES), max_size=3, unique=True))
        made = build(key, names, draw(st.integers(0, 9))) if draw(st.integers(0, 5)) else None
        entries.append(Entry(draw(st.sampled_from(ZONES)), key, 1, made))
    found = [
        Table(
            name,
            draw(st.sampled_from(ZONES)),
            1,
            draw(st.integers(0, 4)) == 0,
            draw(st.none() | st.integers(0, 9).map(lambda d: NOW - timedelta(days=d))),
        )
        for name in NAMES
    ]
    return Holding(tuple(entries), tuple(found), frozenset(draw(st.lists(st.sampled_from(["f0", "f1"])))))


@given(
    holdings(),
    st.frozensets(st.sampled_from([f"f{n}" for n in range(6)])),
    st.frozensets(st.sampled_from(ZONES)),
)
def test_what_is_referred_to_stays_whole(
    held: Holding, references: frozenset[str], zones: frozenset[str]
) -> None:
    """Nothing that is referred to, shown, young, or of another zone goes; no build loses a table; what is
    left once more gives nothing."""
    before = NOW - timedelta(days=2)
    gone, tables = garbage.unused(held, references, zones=zones, before=before)
    names = {t.name for t in tables}
    for entry in held.builds:
        wanted = entry.fingerprint in references | held.fingerprints
        if wanted or entry.zone not in zones or (entry.finished and entry.finished > before):
            assert entry not in gone
        if entry not in gone:
            assert not entry.relations & names
            assert entry.build is not None or not tables
    assert all(t.zone in zones and not t.shown and not (t.made and t.made > before) for t in tables)
    left = Holding(
        tuple(e for e in held.builds if e not in gone),
        tuple(t for t in held.tables if t.name not in names),
        held.fingerprints,
    )
    assert garbage.unused(left, references, zones=zones, before=before) == ([], [])

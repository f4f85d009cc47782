"""An environment of a warehouse takes over a sandbox's tables only where ledger, rows and tests all agree."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.engines.conftest import CONNECTION
from tests.run.test_adoption import FEATURE, FILES, PROJECT, RECIPE, reasons, zone

import warehouse
from gitkitchen.data.engines.postgres_server import Warehouse
from gitkitchen.data.engines.postgres_store import Relations
from gitkitchen.data.engines.postgres_versions import TOGETHER, digesting, measured
from gitkitchen.data.manifest import build_from_json
from gitkitchen.ledger.folder import FolderLedger
from gitkitchen.run.sealing import build_seal
from lengths import some
from shop import KITCHEN_YML, Shop

Client = psycopg.Connection[Any]
RIGHT = [("DE", 20), ("FR", 60)]
SANDBOX = f"sandbox {PROJECT} {FEATURE}"
STORE = "gitkitchen_store"
POISON = "SELECT * FROM (VALUES ('DE', 666::bigint), ('FR', 666::bigint)) AS t(country, total)"


@pytest.fixture(scope="module")
def merged_once(
    server: warehouse.Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Path, str]]:
    """Prod has run; a sandbox changed `totals` and ran; main was moved to its commit, and has not run."""
    shop = Shop.begun(tmp_path_factory.mktemp("merged") / "shop")
    with warehouse.database(server) as name:
        os.environ["WAREHOUSE_DSN"] = server.dsn(name)
        try:
            shop.commit({"kitchen.yml": KITCHEN_YML + CONNECTION, ".gitignore": ".gitkitchen/\n", **FILES})
            ran(shop)
            shop.git("switch", "-q", "-c", "feature")
            shop.replace("recipes/sales/recipe.yml", "sum(amount)", "sum(2 * amount)")
            shop.commit()
            ran(shop)
            shop.git("switch", "-q", "main")
            shop.git("merge", "-q", "--ff-only", "feature")
        finally:
            os.environ.pop("WAREHOUSE_DSN")
        yield shop.root, name


@pytest.fixture
def merged(server: warehouse.Server, merged_once: tuple[Path, str], tmp_path: Path) -> Iterator[Shop]:
    """A copy of the prepared project and of its database, to be attacked."""
    root, template = merged_once
    shutil.copytree(root, tmp_path / "shop", symlinks=True)
    name = f"d{secrets.token_hex(6)}"
    with server.admin() as boss:
        boss.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        boss.execute(f"GRANT CREATE ON DATABASE {name} TO kitchen")
    os.environ["WAREHOUSE_DSN"] = server.dsn(name)
    try:
        yield Shop(tmp_path / "shop")
    finally:
        os.environ.pop("WAREHOUSE_DSN")
        with server.admin() as boss:
            boss.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def role(merged: Shop) -> Iterator[Client]:
    """What a program that has the address can do: everything that GitKitchen's own role can."""
    with psycopg.connect(os.environ["WAREHOUSE_DSN"], autocommit=True) as made:
        yield made


def ran(shop: Shop, *words: str) -> None:
    said = shop.cli("run", "--quiet", *words)
    assert said.code == 0, said.out + said.err


def manifest(role: Client, node: str = "totals", where: str = SANDBOX) -> dict[str, Any]:
    rows = role.execute(f"SELECT manifest FROM {STORE}.builds WHERE zone = %s", [where]).fetchall()
    # Of several builds of a node, the last.
    found = [value for (text,) in rows if (value := json.loads(text))["node"] == node]
    return max(found, key=lambda value: str(value["finished"]))


def keep(role: Client, value: dict[str, Any]) -> None:
    done = role.execute(
        f"UPDATE {STORE}.builds SET manifest = %s WHERE zone = %s AND fingerprint = %s",
        [json.dumps(value), SANDBOX, value["fingerprint"]],
    )
    assert done.rowcount == 1


def table(role: Client) -> str:
    return f"{STORE}.{manifest(role)['versions']['totals']['relation']}"


def plant(role: Client, select: str, where: str, content: str = "") -> dict[str, Any]:
    """Poison as a physical table with the very name that its content has in a zone; its entry."""
    role.execute(f"CREATE TABLE {STORE}.planted AS {select}")
    role.execute("SET search_path = ''")
    columns, rows, own, _ = measured(role, f"{STORE}.planted")
    relations = Relations(Warehouse("", project=PROJECT), namespace=FEATURE, zone="sandbox")
    name = relations.name("totals", content or own, zone=where)
    role.execute(f"ALTER TABLE {STORE}.planted RENAME TO {name}")
    listed = [[c.name, c.type] for c in columns]
    return {"relation": name, "content": content or own, "rows": rows, "columns": listed}


def shown(role: Client) -> list[tuple[Any, ...]]:
    return role.execute("SELECT country, total FROM prod.totals ORDER BY country").fetchall()


# --- what is adopted ------------------------------------------------------------------------------


def test_a_sandboxs_table_is_adopted_as_a_copy_and_tested_again(merged: Shop, role: Client) -> None:
    """Nothing is built twice; what prod has is its own table, which no change of the sandbox's reaches."""
    source = table(role)
    ran(merged)
    for node in ("totals", "shares"):
        assert reasons(merged)[node] == ("reused", "adopted from feature, tested again")
    tests = [t for n in merged.outcome()["nodes"] for t in n["tests"] if n["node"] != "orders"]
    assert tests
    assert not any(t["reused"] for t in tests)
    own = manifest(role, where=f"trusted {PROJECT}")["versions"]["totals"]
    assert f"{STORE}.{own['relation']}" != source
    role.execute(f"UPDATE {source} SET total = 666")
    assert shown(role) == RIGHT
    said = merged.cli("drop", "feature")
    assert said.code == 0, said.err
    assert shown(role) == RIGHT
    ran(merged)
    assert set(merged.states().values()) == {"reused"}, "it is prod's own by now"


def test_adopt_rebuild_builds_its_own(merged: Shop, role: Client) -> None:
    """`adopt: rebuild` takes nothing from sandboxes."""
    merged.replace("kitchen.yml", "{branch: main,", "{branch: main, adopt: rebuild,")
    merged.commit()
    ran(merged)
    assert merged.states()["totals"] == "passed"
    assert shown(role) == RIGHT


DAILY = """\
version: 1
recipe: daily
nodes:
  orders: {source: {table: raw.orders, watch: day}, key: [id]}
  newest: {sql: "select max(day) as last from orders", tests: [{rows: {between: [1, 1]}}]}
"""


@pytest.mark.long
def test_three_daily_loads_between_build_and_adoption_never_take_data_back(
    pg_shop: Shop, boss: Client
) -> None:
    """What a sandbox built on day 1 is not adopted on day 4; what it built on day 4 is."""
    boss.execute("CREATE SCHEMA raw; CREATE TABLE raw.orders (id int, day int)")
    boss.execute("GRANT USAGE ON SCHEMA raw TO kitchen; GRANT SELECT ON raw.orders TO kitchen")
    seen: list[Any] = []

    def load(day: int) -> None:
        if not seen or day > seen[-1]:
            boss.execute("INSERT INTO raw.orders VALUES (%s, %s)", [day, day])
        ran(pg_shop)
        seen.append(boss.execute("SELECT last FROM prod.newest").fetchall()[0][0])

    pg_shop.commit({"recipes/daily/recipe.yml": DAILY})
    load(1)
    pg_shop.git("switch", "-q", "-c", "feature")
    pg_shop.replace("recipes/daily/recipe.yml", "max(day) as last", "max(day) as last, count(*) as n")
    pg_shop.commit()
    ran(pg_shop)
    pg_shop.git("switch", "-q", "main")
    for day in (2, 3, 4):
        load(day)
    pg_shop.git("merge", "-q", "--ff-only", "feature")
    load(4)
    assert pg_shop.states()["newest"] == "passed", "the stale version was not adopted"
    pg_shop.git("switch", "-q", "feature")
    pg_shop.replace("recipes/daily/recipe.yml", "as n", "as many")
    pg_shop.commit()
    ran(pg_shop)
    pg_shop.git("switch", "-q", "main")
    pg_shop.git("merge", "-q", "--ff-only", "feature")
    load(4)
    assert reasons(pg_shop)["newest"] == ("reused", "adopted from feature, tested again")
    assert seen == [1, 2, 3, 4, 4, 4]


@pytest.mark.long
def test_killed_while_it_adopts_the_next_run_ends_the_work(merged: Shop, role: Client) -> None:
    """Half a copy is nothing; readers have the old rows or the new."""
    old = shown(role)
    for number in range(6):
        process = merged.spawn("run", "--quiet", env=dict(os.environ))
        time.sleep(0.35 + number * 0.12)
        process.kill()
        process.communicate()
        assert shown(role) in (old, RIGHT)
    ran(merged)
    assert shown(role) == RIGHT
    left = role.execute(
        f"SELECT count(*) FROM pg_class WHERE relname LIKE 'tmp%' AND relnamespace = '{STORE}'::regnamespace"
    )
    assert left.fetchone() == (0,)


@pytest.mark.parametrize("rows", [5, TOGETHER + 1, (TOGETHER << 8) + 1], ids=["few", "many", "most"])
def test_digests_of_tables_of_every_size_tell_rows_apart(role: Client, rows: int) -> None:
    """However many rows are digested together: order does not count, a doubled or changed row does."""
    role.execute("CREATE SCHEMA own; SET search_path = ''")
    selects = {
        "one": "SELECT g AS i, 'w' || g AS w FROM generate_series(1, 999) g",
        "turned": "SELECT g AS i, 'w' || g AS w FROM generate_series(1, 999) g ORDER BY g DESC",
        "doubled": "SELECT greatest(g, 2) AS i, 'w' || greatest(g, 2) AS w FROM generate_series(1, 999) g",
        "changed": "SELECT g AS i, 'w' || nullif(g, 7) AS w FROM generate_series(1, 999) g",
    }
    found = {}
    for name, select in selects.items():
        role.execute(f"CREATE TABLE own.{name} AS {select}")
        found[name] = role.execute(digesting(f"own.{name}", rows).encode()).fetchall()
    assert found["one"] == found["turned"]
    assert len({str(f) for f in found.values()}) == 3


# --- poison -----------------------------------------------------------------------------------------


def other_rows(_shop: Shop, role: Client) -> None:
    """Other rows in the table; what its manifest and its record say stays right."""
    role.execute(f"UPDATE {table(role)} SET total = 666")


def fewer_rows(_shop: Shop, role: Client) -> None:
    """One row less."""
    role.execute(f"DELETE FROM {table(role)} WHERE country = 'DE'")


def more_columns(_shop: Shop, role: Client) -> None:
    """One column more."""
    role.execute(f"ALTER TABLE {table(role)} ADD COLUMN note text")


def no_table(_shop: Shop, role: Client) -> None:
    """No table at all."""
    role.execute(f"DROP TABLE {table(role)} CASCADE")


def a_view_that_acts(_shop: Shop, role: Client) -> None:
    """A view in the table's place, of the same rows, whose reading would run somebody's function."""
    name = table(role)
    role.execute(
        "CREATE SCHEMA evil; CREATE TABLE evil.spent(n int); CREATE TABLE evil.kept AS TABLE " + name
    )
    role.execute(
        "CREATE FUNCTION evil.act() RETURNS bigint LANGUAGE sql AS "
        "'INSERT INTO evil.spent VALUES (1); SELECT 0::bigint'"
    )
    role.execute(f"DROP TABLE {name} CASCADE")
    role.execute(
        f"CREATE VIEW {name} AS SELECT country, (total + evil.act())::numeric AS total FROM evil.kept"
    )


def rows_that_are_computed(_shop: Shop, role: Client) -> None:
    """The same rows, of which reading computes a column where the server can (PostgreSQL 18)."""
    name = table(role)
    kind = "VIRTUAL" if role.info.server_version >= 180_000 else "STORED"
    role.execute(f"DROP TABLE {name} CASCADE")
    role.execute(
        f"CREATE TABLE {name} (country text, "
        f"total numeric GENERATED ALWAYS AS (CASE country WHEN 'DE' THEN 20 ELSE 60 END) {kind})"
    )
    role.execute(f"INSERT INTO {name} VALUES ('DE'), ('FR')")


def hidden_rows(_shop: Shop, role: Client) -> None:
    """A policy that shows others than it counts."""
    name = table(role)
    role.execute(f"ALTER TABLE {name} ENABLE ROW LEVEL SECURITY")
    role.execute(f"ALTER TABLE {name} FORCE ROW LEVEL SECURITY")
    role.execute(f"CREATE POLICY less ON {name} USING (country = 'DE')")


def another_table(_shop: Shop, role: Client) -> None:
    """A manifest that names poison, whose table, content, rows and columns agree."""
    value = manifest(role)
    value["versions"]["totals"] |= plant(role, POISON, SANDBOX)
    keep(role, value)


def a_table_of_another_zone(shop: Shop, role: Client) -> None:
    """A manifest that names a table of a zone which is not the sandbox's."""
    shutil.rmtree(zone(shop))
    value = manifest(role)
    value["versions"]["totals"] |= plant(role, POISON, f"sandbox {PROJECT} k_other_000000000000")
    keep(role, value)


def wrong_digest(_shop: Shop, role: Client) -> None:
    """Poison under the content digest of the truth."""
    value = manifest(role)
    name = table(role)
    role.execute(f"DROP TABLE {name} CASCADE")
    plant(role, POISON, SANDBOX, value["versions"]["totals"]["content"])


def lying_figures(_shop: Shop, role: Client) -> None:
    """A manifest whose statistics would answer the tests."""
    value = manifest(role)
    value["versions"]["totals"]["stats"] = {"total": [0, "1", "2"], "country": [0, "A", "B"]}
    keep(role, value)


def another_dataset(_shop: Shop, role: Client) -> None:
    """The build of `shares` in the place of that of `totals`."""
    keep(role, manifest(role, "shares") | {"fingerprint": manifest(role)["fingerprint"]})


def no_manifest(shop: Shop, role: Client) -> None:
    """Something that is no JSON."""
    shutil.rmtree(zone(shop))
    fingerprint = manifest(role)["fingerprint"]
    role.execute(f"UPDATE {STORE}.builds SET manifest = '[[[' WHERE fingerprint = %s", [fingerprint])


def forged_record(shop: Shop, role: Client) -> None:
    """Poison, and a record about it that was written by hand: it follows nothing and has no seal."""
    another_table(shop, role)
    folder = shop.root / ".gitkitchen" / "ledger" / "runs" / FEATURE / "sales" / "@000000"
    record = json.loads((folder / "000000001.json").read_bytes())
    record["body"]["built"]["totals"]["build"] = build_seal(build_from_json(manifest(role)))
    (folder / "000000002.json").write_text(json.dumps(record | {"sequence": 2}))


def record_of_something_else(shop: Shop, role: Client) -> None:
    """Poison, and a well-formed record that seals another build of the same fingerprint."""
    another_table(shop, role)
    _record(shop, "0" * 64)


def whole_forgery_that_fails_tests(shop: Shop, role: Client) -> None:
    """Poison with a manifest and a record that agree: the tests still see its rows."""
    value = manifest(role)
    evil = "SELECT * FROM (VALUES ('DE', 9999::bigint), ('DE', 1::bigint)) AS t(country, total)"
    value["versions"]["totals"] |= plant(role, evil, SANDBOX)
    keep(role, value)
    _record(shop, build_seal(build_from_json(value)))


def _record(shop: Shop, seal: str) -> None:
    ledger = FolderLedger(shop.root / ".gitkitchen" / "ledger")
    (record,) = ledger.read(f"runs/{FEATURE}/sales")
    body = json.loads(json.dumps(record.body))
    body["built"]["totals"]["build"] = seal
    ledger.append(f"runs/{FEATURE}/sales", body)


ATTACKS = [
    other_rows, fewer_rows, more_columns, no_table, a_view_that_acts, rows_that_are_computed, hidden_rows,
    another_table, a_table_of_another_zone, wrong_digest, lying_figures, another_dataset, no_manifest,
    forged_record, record_of_something_else, whole_forgery_that_fails_tests,
]  # fmt: skip


@pytest.mark.parametrize(
    "attack",
    some(ATTACKS, other_rows, hidden_rows, a_view_that_acts, forged_record, whole_forgery_that_fails_tests),
    ids=lambda a: a.__name__,
)
def test_poison_in_a_sandboxs_tables_is_never_read(
    merged: Shop, role: Client, attack: Callable[[Shop, Client], None]
) -> None:
    """Whatever lies there, prod builds its own, publishes the truth, and its tables have their digests."""
    attack(merged, role)
    ran(merged)
    assert merged.states()["totals"] == "passed", "it was built, not adopted"
    assert shown(role) == RIGHT
    relations = Relations(Warehouse("", project=PROJECT), namespace="k_main_0", zone="trusted")
    role.execute("SET search_path = ''")
    rows = role.execute(f"SELECT manifest FROM {STORE}.builds WHERE zone = %s", [relations.zone]).fetchall()
    for (text,) in rows:
        for version in build_from_json(json.loads(text)).versions.values():
            assert version.relation == relations.name(version.dataset, version.content)
            assert measured(role, f"{STORE}.{version.relation}")[2] == version.content
    if attack is a_view_that_acts:
        assert role.execute("SELECT count(*) FROM evil.spent").fetchone() == (0,)


def test_a_table_in_the_place_that_a_version_will_have_is_not_taken_for_it(
    merged: Shop, role: Client
) -> None:
    """Poison that waits under the name of what prod is about to build is replaced, not published."""
    content = manifest(role)["versions"]["totals"]["content"]
    plant(role, POISON, f"trusted {PROJECT}", content)
    merged.replace("kitchen.yml", "{branch: main,", "{branch: main, adopt: rebuild,")
    merged.commit()
    ran(merged)
    assert shown(role) == RIGHT


def test_a_table_that_others_stand_on_is_not_replaced_in_silence(merged: Shop, role: Client) -> None:
    """Where views stand on such a table, the run says so and publishes nothing."""
    before = shown(role)
    content = manifest(role)["versions"]["totals"]["content"]
    name = plant(role, POISON, f"trusted {PROJECT}", content)["relation"]
    role.execute(f"CREATE SCHEMA others; CREATE VIEW others.it AS SELECT * FROM {STORE}.{name}")
    said = merged.cli("run", "--quiet")
    assert said.code == 3
    assert "holds other rows than were written" in " ".join((said.out + said.err).split())
    assert shown(role) == before


@pytest.mark.long
def test_a_table_that_a_sandbox_keeps_locked_is_built(
    merged: Shop, role: Client, server: warehouse.Server
) -> None:
    """Nobody holds an environment up: after the lock's time limit it builds its own."""
    name = table(role)
    with psycopg.connect(os.environ["WAREHOUSE_DSN"]) as holder:
        holder.execute(f"LOCK TABLE {name} IN ACCESS EXCLUSIVE MODE")
        ran(merged)
        assert merged.states()["totals"] == "passed"
        assert shown(role) == RIGHT


@pytest.mark.long
def test_a_node_that_writes_into_another_nodes_table_poisons_nobody(pg_shop: Shop, boss: Client) -> None:
    """A program of a sandbox, which has the address, changes the rows of a node that was built before it: the
    environment adopts neither that node nor what was built from it."""
    evil = f"""\
import os, psycopg
with psycopg.connect(os.environ["WAREHOUSE_DSN"], autocommit=True) as c:
    for (name,) in c.execute("select relname from pg_class where relname like 'v!_%' escape '!'").fetchall():
        zone = c.execute("select obj_description(%s::regclass)", ["{STORE}." + name]).fetchone()[0]
        if "sandbox" in zone and '"orders"' in zone:
            c.execute(f"update {STORE}.{{name}} set amount = 99")
            print("changed", name)
"""
    clean = RECIPE.replace("sum(amount)", "sum(2 * amount)")
    dirty = clean.replace(
        "  totals:\n",
        f'  evil: {{needs: [orders], run: "{sys.executable} evil.py", files: [evil.py], '
        "secrets: [WAREHOUSE_DSN]}\n  totals:\n    needs: [evil]\n",
    )
    assert "needs: [evil]" in dirty
    pg_shop.commit({**FILES, "recipes/sales/recipe.yml": RECIPE})
    ran(pg_shop)
    pg_shop.git("switch", "-q", "-c", "feature")
    more = "id,country,amount\n1,DE,10\n2,FR,30\n3,IT,1\n"
    pg_shop.write({"recipes/sales/orders.csv": more})
    pg_shop.commit({"recipes/sales/recipe.yml": dirty, "recipes/sales/evil.py": evil})
    ran(pg_shop, "--fresh")
    rows = pg_shop.rows("select * from totals order by country")
    assert {"country": "FR", "total": "198"} in rows, "the sandbox itself is poisoned"
    pg_shop.git("switch", "-q", "main")
    pg_shop.git("merge", "-q", "--ff-only", "feature")
    pg_shop.commit({"recipes/sales/recipe.yml": clean})
    ran(pg_shop)
    assert [why for _, why in reasons(pg_shop).values() if "adopted" in why] == []
    found = boss.execute("SELECT country, total FROM prod.totals ORDER BY country").fetchall()
    assert found == [*RIGHT, ("IT", 2)]

"""What a recipe's SQL may not do to a warehouse, and what a run may not do to others in it."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

import warehouse
from gitkitchen.data.engines.errors import SqlError
from gitkitchen.data.engines.postgres import Engine
from gitkitchen.data.engines.postgres_server import Warehouse
from gitkitchen.data.engines.postgres_store import Relations, WarehouseStore
from gitkitchen.data.store import FolderStore
from shop import Shop

Client = psycopg.Connection[Any]

EFFECTS = [
    "select pg_read_file('/etc/passwd') as x",
    "select pg_catalog.pg_read_file('/etc/passwd') as x",
    "select \"pg_read_file\"('/etc/passwd') as x",
    "select pg_read_file/* */('/etc/passwd') as x",
    "select U&\"\\0070g_read_file\"('/etc/passwd') as x",
    "select * from pg_ls_dir('/') as x",
    "select lo_import('/etc/passwd') as x",
    "select set_config('search_path', 'secret', false) as x",
    "select nextval('secret.s') as x",
    "select pg_terminate_backend(1) as x",
    "select pg_cancel_backend(1) as x",
    "select pg_advisory_lock(1) as x",
    "select query_to_xml('select * from secret.t', true, true, '') as x",
    "select table_to_xml('secret.t'::regclass, true, true, '') as x",
    "select database_to_xml(true, true, '') as x",
    "select secret.spend() as x",
    "select * from pg_stat_get_activity(null)",
    "select pg_relation_filepath('t') as x",
    "select current_setting('data_directory') as x",
    "select * from secret.t",
    'select * from "secret"."t"',
    "select * from pg_shadow",
    "select * from pg_stat_activity",
    "select (select max(rolpassword) from pg_authid) as x",
    "select * from information_schema.tables",
    "select x from (select 1 as x) q for update",
    "select 1 as x into secret.u",
    "with d as (delete from secret.t returning *) select * from d",
    "with d as (update secret.t set x = 2 returning *) select 1 as x",
    "select 1 as x; drop table secret.t",
    "select 1 as x) as q; drop table secret.t; --",
    "select '\\'; drop table secret.t; --' as x from t where 'a",
    "select $$ $$ as x; drop table secret.t",
    "table secret.t",
    "select * from dblink('host=h', 'select 1') as t(x int)",
    "copy secret.t to '/tmp/x'",
    "do $$ begin end $$",
]


@pytest.fixture
def engine(server: warehouse.Server, database: str, boss: Client, tmp_path: Path) -> Iterator[Engine]:
    """An engine in a database with a secret that its role may read and write, as a careless admin gave it."""
    boss.execute(
        "CREATE SCHEMA secret; CREATE TABLE secret.t AS SELECT 1 AS x; CREATE SEQUENCE secret.s; "
        "CREATE FUNCTION secret.spend() RETURNS int LANGUAGE sql AS 'DELETE FROM secret.t RETURNING 1'; "
        "CREATE FUNCTION secret.pure(i int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT i + 1'; "
        "GRANT ALL ON SCHEMA secret TO kitchen; GRANT ALL ON ALL TABLES IN SCHEMA secret TO kitchen; "
        "GRANT ALL ON ALL SEQUENCES IN SCHEMA secret TO kitchen; GRANT pg_read_server_files TO kitchen"
    )
    folder = FolderStore(tmp_path / "store", namespace="k_x_0", zone="trusted")
    relations = Relations(Warehouse(server.dsn(database), project="p"), namespace="k_x_0", zone="trusted")
    with Engine(WarehouseStore(folder, relations)) as made:
        yield made
    boss.execute("REVOKE pg_read_server_files FROM kitchen")


def test_sql_has_no_effects_and_reads_only_datasets(engine: Engine, boss: Client) -> None:
    """No function with effects, no other table, no second statement, however it is written."""
    for sql in EFFECTS:
        for attempt in (lambda: engine.write_table("d", sql), lambda: engine.fetch(sql)):  # noqa: B023
            with pytest.raises(SqlError):
                attempt()
    assert boss.execute("SELECT x, (SELECT is_called FROM secret.s) FROM secret.t").fetchall() == [(1, False)]
    left = "SELECT count(*) FROM pg_class WHERE relname ~ '^(v|tmp)_[0-9a-f]{20}'"
    assert boss.execute(left).fetchone() == (0,)


def test_harmless_functions_and_words_are_free(engine: Engine) -> None:
    """Randomness, clocks, pure functions of one's own, and columns called like functions may be used."""
    sql = (
        "select random() < 2 as a, clock_timestamp() > '2000-01-01' as b, secret.pure(1) as c, "
        "spend as d, 'pg_sleep(1)' as e, system, bernoulli, timezone, "
        "timezone('Europe/Berlin', timestamptz '2024-01-01 00:00Z')::text as f "
        "from (select 7 as spend, 8 as system, 9 as bernoulli, 'UTC' as timezone) q"
    )
    expected = (True, True, 2, 7, "pg_sleep(1)", 8, 9, "UTC", "2024-01-01 01:00:00")
    assert engine.fetch(sql)[1] == [expected]
    version = int(engine.warehouse.version)
    if version >= 16:
        shuffled = "select cardinality(array_shuffle(array[1, 2])) as a, array_sample(array[3], 1) as b"
        assert engine.fetch(shuffled)[1] == [(2, [3])]
    if version >= 18:
        assert engine.fetch("select uuidv4() <> uuidv7() as a")[1] == [(True,)]


def test_behind_the_gate_stands_a_wall(engine: Engine) -> None:
    """A reading session writes nothing, and takes one statement at a time, even without the gate."""
    connection = engine.cursor().connection
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        connection.execute("DELETE FROM secret.t", prepare=True)
    with pytest.raises(psycopg.errors.SyntaxError, match="multiple commands"):
        connection.execute("SELECT 1; SELECT 2", prepare=True)
    with pytest.raises(psycopg.errors.UndefinedTable):
        connection.execute("SELECT * FROM t")


# --- time limits and strangers ---------------------------------------------------------------------------

SLOW = """\
version: 1
recipe: slow
nodes:
  slow: {sql: "select 1 as x, pg_sleep(60)::text as y", timeout-minutes: 0.02, key: [x]}
"""


@pytest.mark.long
def test_a_time_limit_ends_our_statement_and_nobody_elses(
    pg_shop: Shop, server: warehouse.Server, database: str
) -> None:
    """A node that takes too long is ended in the server; a statement of the same role goes on to its end."""
    pg_shop.commit({"recipes/slow/recipe.yml": SLOW})
    found: list[Any] = []

    def stranger() -> None:
        with psycopg.connect(server.dsn(database), autocommit=True) as client:
            found.append(client.execute("SELECT 'done' FROM pg_sleep(4)").fetchone())

    thread = threading.Thread(target=stranger)
    thread.start()
    begun = time.monotonic()
    assert pg_shop.cli("run", "--quiet").code == 1
    assert time.monotonic() - begun < 30
    assert pg_shop.states() == {"slow": "timed_out"}
    with server.admin(database) as boss:
        ours = (
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'gitkitchen' AND state = 'active'"
        )
        assert boss.execute(ours).fetchone() == (0,)
    thread.join()
    assert found == [("done",)]


@pytest.mark.long
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL], ids=["interrupted", "killed"])
def test_nothing_of_ours_goes_on_in_the_server(pg_shop: Shop, boss: Client, number: int) -> None:
    """After Ctrl-C, or kill -9, the server ends our statement soon, and no lock or half table is left."""
    text = SLOW.replace(", timeout-minutes: 0.02", "").replace("pg_sleep(60)", "pg_sleep(300)")
    pg_shop.commit({"recipes/slow/recipe.yml": text})
    process = pg_shop.spawn("run", "--quiet", env=dict(os.environ))
    ours = (
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query ~ 'pg_sleep.300'"
    )
    ours += " AND pid <> pg_backend_pid()"
    _until(lambda: boss.execute(ours).fetchone() == (1,))
    process.send_signal(number)
    process.communicate(timeout=60)
    assert process.returncode in (130, -9)
    _until(lambda: boss.execute(ours).fetchone() == (0,))
    left = "SELECT relname FROM pg_class WHERE relname ~ '^(tmp|v)_' AND relkind = 'r'"
    assert boss.execute(left).fetchall() == []


def _until(happened: Any) -> None:
    end = time.monotonic() + 60
    while not happened():
        assert time.monotonic() < end
        time.sleep(0.05)

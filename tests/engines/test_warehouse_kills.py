"""kill -9 of us, and of PostgreSQL: consumers read the whole old or the whole new, and the next command
repairs the rest."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

import warehouse
from shop import Shop

Client = psycopg.Connection[Any]
NODES = 8
SLOW_VIEWS = """
CREATE FUNCTION slow() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.15); END $$;
CREATE EVENT TRIGGER slow ON ddl_command_end WHEN TAG IN ('CREATE VIEW') EXECUTE FUNCTION slow()
"""
"""With this, a publication of eight views takes more than a second: there is time to kill in the midst."""


def recipe(generation: int) -> dict[str, str]:
    text = "version: 1\nrecipe: g\nnodes:\n  seed: {source: {file: seed.csv}, key: [id]}\n"
    before = "seed"
    for number in range(NODES - 1):
        text += f"  layer_{number}:\n    sql: select id, generation from {before}\n    key: [id]\n"
        before = f"layer_{number}"
    rows = "".join(f"{i},{generation}\n" for i in range(200))
    return {"recipes/g/recipe.yml": text, "recipes/g/seed.csv": f"id,generation\n{rows}"}


@pytest.fixture
def own_server() -> Iterator[warehouse.Server]:
    """A server that may be killed."""
    with warehouse.serving() as made:
        yield made


def shown(client: Client) -> set[tuple[int, int]]:
    """The generations and row counts that consumers find, over all datasets, in one transaction."""
    names = ["seed", *(f"layer_{n}" for n in range(NODES - 1))]
    union = " UNION ALL ".join(f"(SELECT generation, count(*) FROM prod.{n} GROUP BY 1)" for n in names)
    return {(int(g), int(c)) for g, c in client.execute(union).fetchall()}


def publications(shop: Shop) -> int:
    return len(list((shop.root / ".gitkitchen/ledger/publications").rglob("*.json")))


def spawn(shop: Shop) -> subprocess.Popen[str]:
    return shop.spawn("run", "--quiet", env=dict(os.environ))


def when(happened: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    end = time.monotonic() + 60
    while not happened():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.002)


def sessions(client: Client) -> int:
    row = client.execute(
        "SELECT count(*) FROM pg_stat_activity "
        "WHERE application_name = 'gitkitchen' AND datname = current_database()"
    ).fetchone()
    assert row is not None
    return int(row[0])


@pytest.mark.long
def test_killed_between_the_record_and_the_views(pg_shop: Shop, boss: Client) -> None:
    """Killed when the ledger has the publication and the views have not: consumers read the whole old one,
    nothing is left locked, and the next command shows the new one."""
    pg_shop.commit(recipe(0))
    assert pg_shop.cli("run", "--quiet").code == 0
    boss.execute(SLOW_VIEWS)
    pg_shop.commit(recipe(1))
    before = publications(pg_shop)
    process = spawn(pg_shop)
    when(lambda: publications(pg_shop) > before, process)
    process.kill()
    process.communicate()
    assert shown(boss) == {(0, 200)}
    end = time.monotonic() + 30
    while sessions(boss) and time.monotonic() < end:
        time.sleep(0.1)
    assert sessions(boss) == 0
    boss.execute("DROP EVENT TRIGGER slow")
    assert pg_shop.cli("open", "--path").code == 0
    assert shown(boss) == {(1, 200)}
    assert pg_shop.cli("run", "--quiet").code == 0
    assert set(pg_shop.states().values()) == {"reused"}


@pytest.mark.long
def test_killed_while_it_waits_for_a_reader(
    pg_shop: Shop, boss: Client, server: warehouse.Server, database: str
) -> None:
    """Killed before anything is published: the old data, no record; the same command ends the work."""
    pg_shop.commit(recipe(0))
    assert pg_shop.cli("run", "--quiet").code == 0
    before = publications(pg_shop)
    pg_shop.commit(recipe(1))
    waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"
    with psycopg.connect(server.dsn(database, "boss")) as reader:
        reader.execute("SELECT * FROM prod.layer_3 LIMIT 1")
        process = spawn(pg_shop)
        when(lambda: (boss.execute(waiting).fetchone() or (0,))[0] > 0, process)
        process.kill()
        process.communicate()
    end = time.monotonic() + 30
    while sessions(boss) and time.monotonic() < end:  # the server ends what it was told before it notices
        time.sleep(0.1)
    assert shown(boss) == {(0, 200)}
    assert publications(pg_shop) == before
    assert pg_shop.cli("run", "--quiet").code == 0
    assert shown(boss) == {(1, 200)}


@pytest.mark.long
@pytest.mark.parametrize("number", [signal.SIGQUIT, signal.SIGKILL], ids=["immediate", "kill"])
def test_the_server_dies_in_the_midst_of_a_publication(
    shop: Shop, own_server: warehouse.Server, number: int
) -> None:
    """PostgreSQL is shut down at once, or killed, between the record and the views: we end with exit code 3
    and words, the restarted server has the whole old views, and the next command shows the new ones."""
    from tests.engines.conftest import CONNECTION, KITCHEN_YML

    with warehouse.database(own_server) as database:
        os.environ["WAREHOUSE_DSN"] = own_server.dsn(database)
        try:
            shop.commit({"kitchen.yml": KITCHEN_YML + CONNECTION, **recipe(0)})
            assert shop.cli("run", "--quiet").code == 0
            with own_server.admin(database) as boss:
                boss.execute(SLOW_VIEWS)
            shop.commit(recipe(1))
            before = publications(shop)
            process = spawn(shop)
            when(lambda: publications(shop) > before, process)
            own_server.stop(number)
            out, err = process.communicate(timeout=60)
            assert process.returncode == 3, (process.returncode, out, err)
            assert "Traceback" not in err
            assert "warehouse" in err
            _gone(own_server)
            said = shop.cli("query", "select 1 as a from seed")
            assert said.code == 3
            assert "nothing listens at the address" in said.err
            own_server.start()
            with own_server.admin(database) as boss:
                assert shown(boss) == {(0, 200)}
                boss.execute("DROP EVENT TRIGGER slow")
                assert shop.cli("run", "--quiet").code == 0
                assert shown(boss) == {(1, 200)}
                assert set(shop.states().values()) == {"reused"}
        finally:
            del os.environ["WAREHOUSE_DSN"]


def _gone(server: warehouse.Server) -> None:
    """Wait until the killed postmaster's children are gone too, so that a new one may start."""
    end = time.monotonic() + 60
    pid = server.folder / "data/postmaster.pid"
    while time.monotonic() < end:
        left = subprocess.run(["pgrep", "-f", str(server.folder)], capture_output=True, check=False).stdout
        if not left.strip():
            break
        time.sleep(0.1)
    pid.unlink(missing_ok=True)


@pytest.mark.long
def test_kills_at_random_moments_leave_whole_publications(pg_shop: Shop, boss: Client) -> None:
    """Killed a dozen times anywhere: never a mixture, no table under a temporary name, and the same
    command ends the work."""
    pg_shop.commit(recipe(0))
    begun = time.monotonic()
    process = spawn(pg_shop)
    assert process.wait() == 0, process.communicate()
    process.communicate()
    length = time.monotonic() - begun
    moments = random.Random(20130101)
    interrupted = 0
    for generation in range(1, 13):
        pg_shop.commit(recipe(generation))
        process = spawn(pg_shop)
        time.sleep(length * (0.3 + 0.75 * moments.random()))
        process.kill()
        process.communicate()
        interrupted += process.returncode != 0
        assert shown(boss) in ({(generation - 1, 200)}, {(generation, 200)})
        assert pg_shop.cli("run", "--quiet").code == 0
        assert shown(boss) == {(generation, 200)}
    assert interrupted >= 4
    left = boss.execute("SELECT relname FROM pg_class WHERE relname LIKE 'tmp\\_%'").fetchall()
    assert left == []

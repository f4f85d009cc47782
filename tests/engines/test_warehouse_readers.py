"""Readers of many views in one transaction, while landings replace them: one landing each, never an error."""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import IsolationLevel
from tests.engines.conftest import CONNECTION

import warehouse
from gitkitchen.data.engines.postgres_locks import Tries, take
from gitkitchen.errors import Infrastructure
from gitkitchen.model import Catalog
from gitkitchen.road import effects
from gitkitchen.workplace import Request, Workplace, enter
from road import KITCHEN_YML, SQL, TWO, made, promoted
from shop import Shop

Client = psycopg.Connection[Any]
NAMES = [f"d{number:02}" for number in range(12)]
HOUR = 3600.0


def recipe(value: int) -> dict[str, str]:
    """Datasets that all say the same number. Of every third the type changes with it, so that its view is
    dropped and made anew."""
    nodes = "".join(f"  {name}: {{sql: {name}.sql, key: [n]}}\n" for name in NAMES)
    files = {"recipes/many/recipe.yml": f"version: 1\nrecipe: many\nnodes:\n{nodes}"}
    for number, name in enumerate(NAMES):
        kind = "bigint" if number % 3 == 0 and value % 2 else "integer"
        files[f"recipes/many/{name}.sql"] = f"select {value}::{kind} as n\n"
    return files


@pytest.fixture
def landings(pg_shop: Shop) -> tuple[Workplace, list[Catalog]]:
    """An environment, and two publications of it of which no view is the same."""
    found = []
    for value in (1, 2):
        pg_shop.commit(recipe(value))
        said = pg_shop.cli("run", "--quiet")
        assert said.code == 0, said.out + said.err
        place = enter(Request(start=pg_shop.root, environ=dict(os.environ)))
        found.append(place.catalog())
    return place, found


def land(place: Workplace, catalogs: list[Catalog], number: int) -> None:
    """What a landing does to consumers' views: those of one publication come after those of the other."""
    place.show(replace(catalogs[number % 2], sequence=100 + number))


def values(client: Client, names: list[str], pause: float) -> set[int]:
    """What a transaction sees, dataset by dataset."""
    found = set()
    with client.transaction():
        for name in names:
            found |= {row[0] for row in client.execute(f"SELECT n FROM prod.{name}".encode()).fetchall()}
            time.sleep(pause)
    return found


@contextmanager
def readers(
    server: warehouse.Server, database: str, count: int, slowest: float, idle: float
) -> Iterator[tuple[list[set[int]], list[str]]]:
    """So many consumers at once: forwards, backwards and at random, in both levels of isolation, and all of
    it in one statement. Yields what each transaction saw, and every error."""
    seen: list[set[int]] = []
    wrong: list[str] = []
    over = threading.Event()

    def read(number: int) -> None:
        chance = random.Random(number)
        # A statement that a client prepared is refused by the server where columns' types change.
        with psycopg.connect(server.dsn(database, "boss"), autocommit=True, prepare_threshold=None) as client:
            levels = (IsolationLevel.READ_COMMITTED, IsolationLevel.REPEATABLE_READ)
            client.isolation_level = levels[number % 2]
            while not over.is_set():
                names = chance.sample(NAMES, chance.choice((2, 2, 3, 8, len(NAMES))))
                names = [sorted(names), sorted(names, reverse=True), names][number % 3]
                try:
                    if chance.random() < 0.25:
                        columns = ", ".join(f"{n}.n" for n in names)
                        tables = ", ".join(f"prod.{n}" for n in names)
                        row = client.execute(f"SELECT {columns} FROM {tables}".encode()).fetchone()
                        seen.append(set(row or ()))
                    else:
                        seen.append(values(client, names, chance.random() * slowest / len(names)))
                except psycopg.Error as error:
                    wrong.append(f"{type(error).__name__}: {error}")
                time.sleep(chance.random() * idle)

    with ThreadPoolExecutor(count) as pool:
        running: list[Future[None]] = [pool.submit(read, number) for number in range(count)]
        try:
            yield seen, wrong
        finally:
            over.set()
        for one in running:
            one.result(HOUR)


def test_readers_of_many_views_in_any_order_meet_no_error(
    landings: tuple[Workplace, list[Catalog]], server: warehouse.Server, database: str
) -> None:
    """Whatever their order and isolation, each transaction sees one landing, and none has an error."""
    place, catalogs = landings
    with readers(server, database, 3, 0.03, 0.1) as (seen, wrong):
        for number in range(5):
            land(place, catalogs, number)
    assert wrong == []
    assert [found for found in seen if len(found) != 1] == []
    assert {1, 2} <= set().union(*seen)


@pytest.mark.long
@pytest.mark.parametrize(
    ("count", "slowest", "idle", "rounds"),
    [(12, 0.05, 0.5, 25), (3, 1.5, 2.0, 10)],
    ids=["fast", "slow"],
)
def test_many_landings_among_many_readers(
    landings: tuple[Workplace, list[Catalog]],
    server: warehouse.Server,
    database: str,
    count: int,
    slowest: float,
    idle: float,
    rounds: int,
) -> None:
    """For as long as one likes: no reader has an error or a mixture, and every landing gets its turn."""
    place, catalogs = landings
    with readers(server, database, count, slowest, idle) as (seen, wrong):
        for number in range(1_000):
            land(place, catalogs, number)
            if number >= rounds and {1, 2} <= set().union(*list(seen)):
                break  # landings are quicker than readers: on until both were read
    assert wrong == []
    assert [found for found in seen if len(found) != 1] == []
    assert {1, 2} <= set().union(*seen)


@pytest.mark.long
def test_slow_readers_of_one_view_are_waited_for(
    landings: tuple[Workplace, list[Catalog]], server: warehouse.Server, database: str
) -> None:
    """Readers one upon the other, each slower than a publication waits for all of its views at once, leave
    one view no moment free: it is waited for alone, and the publication goes through."""
    place, catalogs = landings
    over = threading.Event()

    def read(number: int) -> None:
        with server.admin(database) as client:
            time.sleep(number * 0.4)
            while not over.is_set():
                with client.transaction():
                    client.execute("SELECT n FROM prod.d07")
                    time.sleep(0.8)

    with ThreadPoolExecutor(2) as pool:
        running = [pool.submit(read, number) for number in range(2)]
        time.sleep(0.6)
        try:
            land(place, catalogs, 0)
        finally:
            over.set()
        for one in running:
            one.result()
    with server.admin(database) as client:
        assert values(client, NAMES, 0) == {1}


@pytest.mark.long
def test_two_readers_who_hold_what_the_other_end_of_the_landing_needs(
    landings: tuple[Workplace, list[Catalog]], server: warehouse.Server, database: str
) -> None:
    """A reader has the last view and asks for the first, which the landing has: the landing steps back."""
    place, catalogs = landings
    with (
        server.admin(database) as reader,
        server.admin(database) as beside,
        ThreadPoolExecutor(1) as pool,
    ):
        with reader.transaction():
            last = reader.execute("SELECT n FROM prod.d11").fetchone()
            landing = pool.submit(land, place, catalogs, 0)
            waits = "SELECT count(*) FROM pg_locks WHERE NOT granted"
            while beside.execute(waits).fetchone() == (0,) and not landing.done():
                time.sleep(0.01)
            first = reader.execute("SELECT n FROM prod.d00").fetchone()
        landing.result(HOUR)
        assert (first, last) == ((2,), (2,))
        assert values(reader, NAMES, 0) == {1}


@pytest.mark.long
def test_only_views_are_locked_and_nothing_of_them_changes(
    landings: tuple[Workplace, list[Catalog]], server: warehouse.Server, database: str
) -> None:
    """The tables below, which other schemas show too, stay free; a view that was locked is as before; and
    what is not got in time is said, with nothing left locked."""
    place, _ = landings
    text = "SELECT oid::int, relname, xmin::text FROM pg_class WHERE relnamespace = 'prod'::regnamespace"
    locks = "SELECT c.relname, l.mode FROM pg_locks l JOIN pg_class c ON c.oid = l.relation WHERE l.pid = %s"
    assert place.warehouse is not None
    with server.admin(database) as beside:
        before = beside.execute(text).fetchall()
        views = {str(name): int(oid) for oid, name, _ in before}
        for tries in (Tries(), Tries(1), Tries(2, obstacle="d05")):
            with place.warehouse.writing() as own:
                take(own, "prod", views, tries)
                held = beside.execute(locks, [own.info.backend_pid]).fetchall()
                strong = {name for name, mode in held if mode == "AccessExclusiveLock"}
                assert strong == set(NAMES)
                assert not [name for name, _ in held if name.startswith("v_")]
        with beside.transaction():
            beside.execute("SELECT n FROM prod.d09")
            for tries in (Tries(), Tries(1), Tries(2, obstacle="d05"), Tries(2, obstacle="d09")):
                with pytest.raises(Infrastructure) as caught, place.warehouse.writing() as own:
                    take(own, "prod", views, tries)
                assert caught.value.problems[0].code == "lock"
        assert beside.execute(text).fetchall() == before
        assert beside.execute("SELECT FROM pg_locks WHERE mode = 'AccessExclusiveLock'").fetchall() == []
    place.close()


@pytest.mark.long
def test_what_the_documentation_says_of_repeatable_read(
    pg_shop: Shop, server: warehouse.Server, database: str
) -> None:
    """A snapshot from before a version was built sees nothing of it, as the server has it. Who locks views
    first has them all of one publication."""
    pg_shop.commit(recipe(1))
    assert pg_shop.cli("run", "--quiet").code == 0
    with server.admin(database) as reader:
        reader.isolation_level = IsolationLevel.REPEATABLE_READ
        with reader.transaction():
            reader.execute("SELECT count(*) FROM pg_class")
            pg_shop.commit(recipe(2))
            assert pg_shop.cli("run", "--quiet").code == 0
            assert reader.execute("SELECT n FROM prod.d01").fetchall() == []
        with reader.transaction():
            reader.execute("LOCK TABLE prod.d01, prod.d02 IN ACCESS SHARE MODE")
            pg_shop.commit(recipe(3))
            publication = pg_shop.spawn("run", "--quiet")
            with server.admin(database) as beside:
                while beside.execute("SELECT FROM pg_locks WHERE NOT granted").fetchone() is None:
                    assert publication.poll() is None, publication.communicate()
                    time.sleep(0.01)
            both = [reader.execute(f"SELECT n FROM prod.{n}".encode()).fetchall() for n in ("d02", "d01")]
        assert both == [[(2,)], [(2,)]]
        out, err = publication.communicate(timeout=120)
        assert publication.returncode == 0, out + err


@pytest.fixture
def road(tmp_path: Path, database: str) -> Shop:
    """The road on a warehouse: two recipes, whose datasets change together, landed in staging."""
    shop = made(tmp_path, {**TWO, "kitchen.yml": KITCHEN_YML + CONNECTION})
    for name in ("delays", "report"):
        said = shop.cli("run", name, "--quiet")
        assert said.code == 0, said.out + said.err
    promoted(shop, "staging")
    return shop


def shown(client: Client) -> tuple[Any, Any]:
    late = client.execute("SELECT max(n) FROM staging.late").fetchone()
    worst = client.execute("SELECT n FROM staging.worst").fetchone()
    assert late is not None
    assert worst is not None
    return late[0], worst[0]


@pytest.mark.long
def test_a_transaction_that_stays_open_stops_a_promotion_before_it_lands_and_is_named(
    road: Shop, server: warehouse.Server, database: str
) -> None:
    """The promotion waits its time, says who, and has moved nothing; the same command lands afterwards."""
    road.commit({"recipes/delays/late.sql": SQL.replace("count(*)", "99 - count(*)")})
    tip = road.git("rev-parse", "staging")
    with psycopg.connect(server.dsn(database, "boss"), application_name="dashboard") as reader:
        assert shown(reader) == (2, 2)
        said = road.cli("promote", "staging", "--quiet")
        assert said.code == 3, said.out + said.err
        assert f"boss (dashboard), pid {reader.info.backend_pid}" in said.out + said.err
        assert shown(reader) == (2, 2)
    assert road.git("rev-parse", "staging") == tip
    promoted(road, "staging")
    with server.admin(database) as reader:
        assert shown(reader) == (98, 98)


@pytest.mark.long
def test_a_transaction_that_comes_between_move_and_views_is_named_and_the_next_command_completes_it(
    road: Shop, server: warehouse.Server, database: str
) -> None:
    """It has landed; consumers read the whole old landing until the reader ends, and then any command brings
    the new one."""
    road.commit({"recipes/delays/late.sql": SQL.replace("count(*)", "99 - count(*)")})
    with psycopg.connect(server.dsn(database, "boss"), application_name="dashboard") as reader:

        def watch(name: str, when: str) -> None:
            if (name, when) == ("move-branch", "after"):
                assert shown(reader) == (2, 2)

        effects.watchers.append(watch)
        try:
            said = road.cli("promote", "staging")
        finally:
            effects.watchers.remove(watch)
        assert "it has landed, and what consumers read could not follow yet" in said.out + said.err
        assert f"boss (dashboard), pid {reader.info.backend_pid}" in said.out + said.err
        assert shown(reader) == (2, 2)
    again = road.cli("promote", "staging", "--quiet")
    assert again.code == 0, again.out + again.err
    with server.admin(database) as reader:
        assert shown(reader) == (98, 98)

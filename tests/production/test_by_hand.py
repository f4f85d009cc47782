"""Schedules without GitHub: whatever calls `gitkitchen schedule run` runs what is due, once."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gitkitchen.process import Cancel
from gitkitchen.production.clock import Watch
from gitkitchen.production.running import Done, Work, run_due
from gitkitchen.production.shown import standings
from gitkitchen.workplace import Request, enter
from lengths import some
from shop import KITCHEN_YML, Shop

RECIPE = """\
version: 1
recipe: orders
variations:
  daily:
    schedule: {cron: "0 6 * * *"%s}
nodes:
  orders: {source: {file: orders.csv}, tests: [{rows: {min: 1}}]}
  total: {sql: select count(*) as n from orders, tests: [{rows: {between: [1, 1]}}]}
"""
START = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)


def made(folder: Path, more: str = "") -> Shop:
    shop = Shop(folder / "shop")
    shop.root.mkdir()
    shop.git("init", "-q", "-b", "main")
    shop.commit(
        {
            "kitchen.yml": KITCHEN_YML,
            ".gitignore": ".gitkitchen/\nready\n",
            "recipes/orders/recipe.yml": RECIPE % more,
            "recipes/orders/orders.csv": "id\n1\n",
        }
    )
    return shop


def ran(shop: Shop, now: datetime) -> list[Done]:
    clock: Callable[[], datetime] = lambda: now  # noqa: E731
    return run_due(Work(Request(start=shop.root), Cancel(), clock))


def states(shop: Shop, now: datetime) -> list[str]:
    return [s.state for s in standings(Watch.of(Request(start=shop.root)), now)]


def test_what_is_due_runs_once_for_its_interval(tmp_path: Path) -> None:
    """The first look begins the schedule; a day later one run is due; asked again, nothing is."""
    shop = made(tmp_path)
    assert ran(shop, START) == []
    (done,) = ran(shop, START + DAY)
    assert done.outcome is not None
    assert done.interval.name == "2026-03-01T06:00Z--2026-03-02T06:00Z"
    assert ran(shop, START + DAY) == []
    assert states(shop, START + DAY) == ["run"]
    assert shop.rows("select n from total") == [{"n": 1}]


def test_s7_a_scheduled_run_whose_test_fails_leaves_readers_what_they_have(tmp_path: Path) -> None:
    """S7 (bad rows stayed in production): the candidate is kept, readers see the data of before."""
    shop = made(tmp_path)
    ran(shop, START)
    ran(shop, START + DAY)
    shop.commit({"recipes/orders/orders.csv": "id\n"})
    (done,) = ran(shop, START + 2 * DAY)
    assert done.outcome is not None
    assert done.outcome.publication.state == "withheld"
    assert shop.rows("select n from total") == [{"n": 1}]
    assert states(shop, START + 2 * DAY) == ["run", "failed"]


def test_a_person_asks_for_another_run(tmp_path: Path) -> None:
    """What failed is run again when somebody says so, once, and is not superseded meanwhile."""
    shop = made(tmp_path, ", since: 2026-02-28")
    shop.commit({"recipes/orders/orders.csv": "id\n"})
    (done,) = ran(shop, START)
    shop.commit({"recipes/orders/orders.csv": "id\n1\n"})
    said = shop.cli("schedule", "again", "orders.daily", "--interval", done.interval.name)
    assert said.code == 0, said.err
    now = datetime.now(UTC)
    first, newest = ran(shop, now)
    assert first.interval == done.interval
    assert first.outcome is not None
    assert newest.outcome is not None
    assert ran(shop, now) == []
    said = shop.cli("schedule", "again", "orders.daily", "--interval", "2020-01-01T00:00Z--2020-01-02T00:00Z")
    assert said.code == 2
    assert shop.cli("schedule", "again", "orders.daily").code == 2


def test_it_waits_for_its_inputs_and_says_for_which(tmp_path: Path) -> None:
    """Waiting ends quietly; the next look goes on; behind the deadline the interval has its end."""
    shop = made(tmp_path, ', wait_for: [{file: "ready/{end:%d}"}, {query: select true}], deadline: 8h')
    ran(shop, START)
    for _ in range(2):
        (done,) = ran(shop, START + DAY)
        assert (done.outcome, done.code) == (None, 0)
        assert done.said == "waiting: there is no file 'ready/02' yet"
    assert states(shop, START + DAY) == ["waiting"]
    shop.write({"ready/02": ""})
    (done,) = ran(shop, START + DAY)
    assert done.outcome is not None
    later = START + 2 * DAY + timedelta(hours=3)
    (done,) = ran(shop, later)
    assert "input not ready by its deadline" in done.said
    assert states(shop, later) == ["run", "input_not_ready"]
    assert ran(shop, later) == []


QUERIES = {
    "true": ("select count(*) = 1 from seen", True),
    "false": ("select count(*) > 1 from seen", False),
    "interval": ("select $interval_end = timestamptz '2026-03-02 06:00:00+00'", True),
    "unknown": ("select x from nowhere", False),
    "number": ("select 1", False),
}


@pytest.mark.parametrize("name", some(QUERIES, "true", "unknown"))
def test_a_query_must_be_true(tmp_path: Path, name: str) -> None:
    """Only true is true: neither another value nor a query that cannot be answered."""
    sql, good = QUERIES[name]
    shop = made(tmp_path, f', wait_for: [{{query: "{sql}"}}]')
    recipe = "version: 1\nrecipe: seen\nnodes: {seen: {sql: select 1 as x, tests: [{rows: {min: 1}}]}}\n"
    shop.commit({"recipes/seen/recipe.yml": recipe})
    assert shop.cli("run", "seen", "--quiet").code == 0
    ran(shop, START)
    (done,) = ran(shop, START + DAY)
    assert (done.outcome is not None) is good, done.said


@pytest.mark.long
def test_a_dataset_of_another_recipe_must_be_fresh(tmp_path: Path) -> None:
    """Never published, published too long ago, and published since: only the last lets it run."""
    shop = made(tmp_path, ", wait_for: [{fresh: seen, within: 26h}], deadline: 3d")
    recipe = "version: 1\nrecipe: seen\nnodes: {seen: {sql: select 1 as x, tests: [{rows: {min: 1}}]}}\n"
    shop.commit({"recipes/seen/recipe.yml": recipe})
    now = datetime.now(UTC)
    ran(shop, now - 3 * DAY)
    (done,) = ran(shop, now)
    assert "was never published here" in done.said
    assert shop.cli("run", "seen", "--quiet").code == 0
    (done,) = ran(shop, now + timedelta(hours=1))
    assert done.outcome is not None
    (done,) = ran(shop, now + 3 * DAY)
    assert "is wanted since" in done.said


def test_pause_resume_and_list_on_the_command_line(tmp_path: Path) -> None:
    """A paused schedule says by whom and why, and runs nothing until it goes on."""
    shop = made(tmp_path, ", since: 2026-01-01")
    said = shop.cli("schedule", "pause", "orders.daily", "--reason", "the source moves")
    assert said.code == 0, said.err
    assert "prod: orders.daily is paused" in said.out
    assert "paused already" in shop.cli("schedule", "pause", "orders").out
    said = shop.cli("schedule", "run", "--quiet")
    assert "nothing is due" in said.out
    (one,) = json.loads(shop.cli("schedule", "list", "--json").out)["schedules"]
    assert one["paused"]["reason"] == "the source moves"
    assert one["intervals"]
    assert shop.cli("schedule", "resume", "orders.daily").code == 0
    said = shop.cli("schedule", "run", "--json")
    (run,) = json.loads(said.out)["runs"]
    assert run["verdict"] == "passed"
    assert "superseded" in shop.cli("schedule").out
    said = shop.cli("schedule", "pause", "order")
    assert said.code == 2
    assert "orders.daily" in said.err


def test_a_schedule_that_was_taken_away_ends(tmp_path: Path) -> None:
    """Its open intervals are superseded, and nothing is due any more."""
    shop = made(tmp_path)
    ran(shop, START)
    text = (shop.root / "recipes/orders/recipe.yml").read_text()
    shop.commit({"recipes/orders/recipe.yml": text.replace("schedule:", "vars: {}  #")})
    assert ran(shop, START + 3 * DAY) == []
    shop.commit({"recipes/orders/recipe.yml": text})
    assert ran(shop, START + 4 * DAY) == []
    assert states(shop, START + 4 * DAY) == ["superseded"] * 3


@pytest.mark.long
def test_s8_s13_a_killed_scheduled_run_is_ended_and_its_interval_run_again(tmp_path: Path) -> None:
    """S8, S13 (killed: no end, and all progress lost): the next call records the end of the run that died,
    and runs its interval with what was built."""
    shop = made(tmp_path, ", since: 2026-01-01")
    text = (shop.root / "recipes/orders/recipe.yml").read_text()
    slow = "  slow: {needs: [total], run: sleep 60}\n"
    shop.commit({"recipes/orders/recipe.yml": text + slow})
    process = shop.spawn("schedule", "run", "--quiet")
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        journals = list(shop.root.glob(".gitkitchen/runs/*/journal.jsonl"))
        if journals and '"total"' in journals[0].read_text():
            break
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    shop.commit({"recipes/orders/recipe.yml": text + slow.replace("sleep 60", "sleep 0")})
    said = shop.cli("schedule", "run", "--json")
    assert said.code == 0, said.out + said.err
    (run,) = json.loads(said.out)["runs"]
    assert run["verdict"] == "passed"
    place = enter(Request(start=shop.root))
    bodies = [r.body for r in place.ledger.read(f"runs/{place.kitchen.namespace}/orders")]
    assert [b["verdict"] for b in bodies] == ["interrupted", "passed"]
    assert bodies[0]["interval"] == bodies[1]["interval"] == run["interval"]
    assert shop.states()["total"] == "reused"

"""Between a sandbox's build and its merge production loads on: what its consumers read never gets older."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pytest
from tests.data.site import Answer, Site, serving

from shop import Shop

RECIPE = """\
version: 1
recipe: sales
nodes:
  orders: {source: {url: "%s/orders.csv"}, key: [day]}
  newest: {sql: "select max(day) as day from orders", tests: [{rows: {equals: 1}}]}
"""
DAYS = 4


@pytest.fixture
def site() -> Iterator[Site]:
    with serving() as made:
        yield made


def load(site: Site, day: int) -> None:
    rows = "".join(f"{d},{d * 10}\n" for d in range(day + 1))
    site.answers["/orders.csv"] = Answer(f"day,amount\n{rows}".encode())


@contextmanager
def reading(path: str) -> Iterator[list[tuple[int, int]]]:
    """A consumer that opens production again and again, and remembers what it saw."""
    seen: list[tuple[int, int]] = []
    stop = threading.Event()

    def read() -> None:
        while not stop.wait(0.02):
            with duckdb.connect(path, read_only=True) as reader:
                (row,) = reader.execute(
                    "select (select max(day) from orders), (select day from newest)"
                ).fetchall()
                seen.append(row)

    thread = threading.Thread(target=read)
    thread.start()
    try:
        yield seen
    finally:
        stop.set()
        thread.join()


@pytest.mark.long
def test_three_loads_between_build_and_merge(shop: Shop, site: Site) -> None:
    """A sandbox's change lands on the newest data, not on what it was built on; readers only ever move on."""
    load(site, 0)
    shop.commit({"recipes/sales/recipe.yml": RECIPE % site.url})
    assert shop.cli("run", "--quiet").code == 0
    path = shop.cli("open", "--path").out.strip()
    with reading(path) as seen:
        shop.git("switch", "-q", "-c", "feature/x")
        shop.replace(
            "recipes/sales/recipe.yml", "max(day) as day from", "max(day) as day, count(*) as n from"
        )
        shop.commit()
        assert shop.cli("run", "--quiet").code == 0
        for day in range(1, DAYS):
            load(site, day)
            shop.git("switch", "-q", "main")
            assert shop.cli("run", "--quiet").code == 0
            if (
                day == 2
            ):  # the sandbox runs once more: pinned to what production published, it fetches nothing
                shop.git("switch", "-q", "feature/x")
                asked = len(site.asked)
                assert shop.cli("run", "--quiet").code == 0
                assert site.asked[asked:] == []
                assert shop.rows("from newest") == [{"day": 2, "n": 3}]
                assert shop.cli("run", "--quiet", "--fresh").code == 0
                assert len(site.asked) > asked
        shop.git("switch", "-q", "main")
        shop.git("merge", "-q", "--no-edit", "feature/x")
        assert shop.cli("run", "--quiet").code == 0
        assert shop.rows("from newest") == [{"day": DAYS - 1, "n": DAYS}]
        assert shop.cli("drop", "feature/x").code == 0
        assert shop.cli("gc", "--apply", "--grace", "0s", "--keep", "0s").code == 0
        with duckdb.connect(path, read_only=True) as reader:
            assert reader.execute("select day, n from newest").fetchall() == [(DAYS - 1, DAYS)]
    assert seen
    assert all(orders == newest for orders, newest in seen), "a reader saw half a publication"
    assert seen == sorted(seen), "freshness fell"
    assert Path(path).exists()

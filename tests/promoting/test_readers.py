"""A reader never sees a mixture; 500 datasets land at once."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

import duckdb
import pytest

from gitkitchen.road import effects
from gitkitchen.road.ground import Ground
from gitkitchen.workplace import Request
from road import CSV, KITCHEN_YML, SQL, TWO, made, promoted
from shop import Shop


def test_a_reader_with_one_connection_never_sees_a_mixture(tmp_path: Path) -> None:
    """While promotions come and go, whoever opens what consumers read sees two recipes of one landing."""
    shop = made(tmp_path, TWO)
    promoted(shop, "staging")
    path = str(shop.root / ".gitkitchen/views/staging.duckdb")
    seen: set[tuple[int, int]] = set()
    over = threading.Event()

    def read() -> None:
        while not over.is_set():
            with duckdb.connect(path, read_only=True) as reader:
                late = reader.execute("select max(n) from late").fetchone()
                time.sleep(0.002)
                worst = reader.execute("select n from worst").fetchone()
            assert late is not None
            assert worst is not None
            seen.add((int(late[0]), int(worst[0])))

    thread = threading.Thread(target=read)
    thread.start()
    try:
        for number in (10, 20):
            shop.commit({"recipes/delays/late.sql": SQL.replace("count(*)", f"count(*) + {number}")})
            promoted(shop, "staging")
    finally:
        over.set()
        thread.join()
    assert all(late == worst for late, worst in seen), seen
    assert (22, 22) in seen or len(seen) >= 2


READER = """
import sys, duckdb
reader = duckdb.connect(sys.argv[1], read_only=True)
for line in sys.stdin:
    late = reader.execute("select max(n) from late").fetchone()[0]
    worst = reader.execute("select n from worst").fetchone()[0]
    print(late, worst, flush=True)
"""


@pytest.mark.long
def test_a_connection_that_stays_open_shows_one_landing_to_its_end(tmp_path: Path) -> None:
    """The file is replaced, and never written: who has it open goes on reading the landing that it opened,
    through two others; who opens it anew sees the newest."""
    shop = made(tmp_path, TWO)
    promoted(shop, "staging")
    argv = [sys.executable, "-c", READER, str(shop.root / ".gitkitchen/views/staging.duckdb")]

    def asked(reader: subprocess.Popen[str]) -> str:
        assert reader.stdin is not None
        assert reader.stdout is not None
        reader.stdin.write("\n")
        reader.stdin.flush()
        return reader.stdout.readline().strip()

    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as old:
        assert asked(old) == "2 2"
        for number in (10, 20):
            shop.commit({"recipes/delays/late.sql": SQL.replace("count(*)", f"count(*) + {number}")})
            promoted(shop, "staging")
            assert asked(old) == "2 2"
            with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as new:
                assert asked(new) == f"{number + 2} {number + 2}"


def wide(folder: Path, count: int) -> Shop:
    """A road with so many datasets."""
    recipe = "version: 1\nrecipe: wide\nnodes:\n  flights: {source: {file: data/flights.csv}}\n"
    files = {"kitchen.yml": KITCHEN_YML, ".gitignore": ".gitkitchen/\n", "recipes/wide/data/flights.csv": CSV}
    for number in range(count - 1):
        recipe += f"  d{number}: {{sql: d{number}.sql, tests: [{{rows: {{min: 1}}}}]}}\n"
        files[f"recipes/wide/d{number}.sql"] = f"select {number} as n, carrier from flights\n"
    return made(folder, {**files, "recipes/wide/recipe.yml": recipe})


@pytest.mark.long
def test_500_datasets_land_within_seconds_and_copy_nothing(tmp_path: Path) -> None:
    """Over its gates, a promotion of 500 datasets whose inputs did not change takes at most 3 s of work."""
    shop = wide(tmp_path, 500)
    assert shop.cli("run", "--quiet").code == 0
    store = shop.root / ".gitkitchen/store"

    def data() -> set[str]:
        return {str(p) for p in store.rglob("*.parquet")}

    before, spent, begun = data(), [0.0], [0.0]

    def watch(name: str, when: str) -> None:
        if name in ("take-lease", "judge-again", "move-branch", "read-back", "record-move", "show-views"):
            if when == "before":
                begun[0] = time.process_time()
            else:
                spent[0] += time.process_time() - begun[0]

    effects.watchers.append(watch)
    try:
        promoted(shop, "staging")
    finally:
        effects.watchers.remove(watch)
    assert data() == before
    assert len(Ground.of(Request(start=shop.root)).course("staging").landings[0].published) == 500
    assert spent[0] < 3.0

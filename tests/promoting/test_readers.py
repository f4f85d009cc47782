"""A reader never sees a mixture; of many promoters one wins; 500 datasets land at once."""

from __future__ import annotations

import os
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
from road import CSV, KITCHEN_YML, SQL, TWO, made, promoted, remote
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


CHILD = [sys.executable, "-m", "gitkitchen", "-C"]


def race(roots: list[Path], environ: dict[str, str]) -> list[tuple[int, str]]:
    """Promotions of one environment at once, each in its own clone or work tree."""
    words = ["promote", "staging", "--quiet"]
    started = [
        subprocess.Popen(
            [*CHILD, str(root), *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, **environ},
        )
        for root in roots
    ]
    return [(p.wait(), said) for p in started for said in [p.communicate()[0]]]


@pytest.mark.long
@pytest.mark.parametrize("promoters", [2, 8])
def test_s4_s6_of_many_promoters_one_wins_and_the_others_change_nothing(
    tmp_path: Path, promoters: int
) -> None:
    """S4, S6, S14: one landing, one publication, one move; who lost says so, or that it stands there."""
    host = remote(tmp_path, TWO)
    environ = host.environ("main")
    clones = [host.clone(f"c{number}", "main") for number in range(promoters)]
    count = int(os.environ.get("GITKITCHEN_RACES", "3" if promoters == 2 else "1"))
    hand = host.clone("hand", "develop")
    for number in range(count):
        hand.commit({"recipes/delays/late.sql": SQL.replace("count(*)", f"count(*) + {number + 10}")})
        hand.git("push", "-q", "origin", "develop")
        before = host.git("rev-parse", "staging")
        ended = race([clone.root for clone in clones], environ)
        codes = [code for code, _ in ended]
        assert 0 in codes, ended
        assert set(codes) <= {0, 3}, ended
        assert sum("landed as" in said for _, said in ended) == 1, ended
        assert host.git("rev-parse", "staging^1") == before
        assert host.git("rev-parse", "staging^{tree}") == host.git("rev-parse", "develop^{tree}")
        listed = host.git("ls-tree", "-r", "--name-only", "gitkitchen-ledger").splitlines()
        assert sum(p.startswith("promotions/") for p in listed) == number + 1
        assert sum(p.startswith("publications/") for p in listed) == number + 1


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

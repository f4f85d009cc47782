"""Many kitchens on one store at once: none sees another's data, and production is the same throughout."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest
from tests.upkeep.conftest import inventory

from gitkitchen.data.store import FolderStore
from gitkitchen.errors import Conflict
from gitkitchen.locks import alone, shared
from gitkitchen.model import Build, FileEntry, Version
from gitkitchen.premises import find_premises
from gitkitchen.upkeep.collecting import Limits, sweep
from shop import Shop

SLOW = '  slow: {needs: [top], run: "sleep %s; cp \\"$GITKITCHEN_INPUT_TOP\\" \\"$GITKITCHEN_OUTPUT_COPY\\"",'
COPY = " outputs: {copy: copy.parquet}, tests: [{rows: {equals: 1}}]}\n"


def tree(sales: Shop, number: int, seconds: float) -> Shop:
    """A linked work tree on a branch of its own, whose ``top`` is higher by its number."""
    made = Shop(sales.root.parent / f"tree{number}")
    sales.git("worktree", "add", "-q", "-b", f"s/{number}", str(made.root))
    made.replace(
        "recipes/sales/recipe.yml", "country, total from", f"country, total + {number} as total from"
    )
    with (made.root / "recipes/sales/recipe.yml").open("a") as recipe:
        recipe.write(SLOW % seconds + COPY)
    made.commit(message=f"change {number}")
    return made


@contextmanager
def reading(path: str, wanted: object) -> Iterator[list[object]]:
    """A consumer of production that opens the file again and again; it yields what was not as wanted."""
    wrong: list[object] = []
    stop, looked = threading.Event(), threading.Event()

    def read() -> None:
        while not stop.is_set():
            with duckdb.connect(path, read_only=True) as reader:
                found = reader.execute("select * from top").fetchall()
            if found != wanted:
                wrong.append(found)
            looked.set()
            stop.wait(0.05)

    thread = threading.Thread(target=read)
    thread.start()
    try:
        yield wrong
    finally:
        looked.wait(10)
        stop.set()
        thread.join()


def until(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


def begun(sales: Shop) -> int:
    return len(list((sales.root / ".gitkitchen/runs").glob("*/run.json")))


def side_by_side(sales: Shop, count: int, seconds: float) -> None:
    """``count`` sandboxes run at once; one more is dropped meanwhile, and one of them is killed."""
    before = inventory(sales)
    path = sales.cli("open", "--path").out.strip()
    before |= {n: d for n, d in inventory(sales).items() if n.startswith("views/")}
    trees = [tree(sales, number, seconds) for number in range(1, count + 1)]
    extra = tree(sales, 100, 0)
    assert extra.cli("run", "--quiet").code == 0
    known = begun(sales)
    with reading(path, [("DE", 40)]) as wrong:
        processes = [t.spawn("run", "--quiet") for t in trees]
        until(lambda: begun(sales) > known)
        assert sales.cli("drop", "s/100").code == 0
        until(lambda: begun(sales) == known - 1 + count)
        os.killpg(processes[0].pid, signal.SIGKILL)
        busy = sales.cli("drop", f"s/{count}")
        said = [p.communicate() for p in processes]
    assert wrong == []
    assert [p.returncode for p in processes[1:]] == [0] * (count - 1), said
    assert processes[0].returncode == -signal.SIGKILL
    if busy.code == 3:
        assert f"a run is at work in kitchen 's/{count}'" in busy.err
    for number, made in enumerate(trees[1:], 2):
        if not (number == count and busy.code == 0):
            assert made.rows("select total from top") == [{"total": 40 + number}]
            assert made.rows("select total from copy") == [{"total": 40 + number}]
    assert trees[0].rows("select total from top") == [{"total": 40}]
    assert trees[0].cli("run", "--quiet").code == 0, "the killed run's command ends the work"
    assert trees[0].rows("select total from copy") == [{"total": 41}]
    assert extra.rows("select total from top") == [{"total": 40}]
    assert {n: d for n, d in inventory(sales).items() if n in before} == before
    for number in range(1, count + 1):  # nothing is left locked: all of them can be dropped at once
        if not (number == count and busy.code == 0):
            said_drop = sales.cli("drop", f"s/{number}")
            assert said_drop.code == 0, said_drop.err
    after = inventory(sales)
    assert {n: d for n, d in after.items() if n in before} == before
    assert all(n.startswith("ledger/") for n in set(after) - set(before) if "store/tmp/" not in n), after


@pytest.mark.long
def test_three_sandboxes_at_once(sales: Shop) -> None:
    """Three at once from work trees of one repository, one more dropped in the middle, one killed."""
    side_by_side(sales, 3, 0.3)


@pytest.mark.long
def test_sixteen_sandboxes_at_once(sales: Shop) -> None:
    """Sixteen at once, one dropped in the middle, one killed; a reader of production checks throughout."""
    side_by_side(sales, 16, 1.0)


@pytest.mark.long
def test_recipes_of_one_kitchen_run_side_by_side(sales: Shop) -> None:
    """Two recipes of one kitchen at once both publish: leases are of a recipe, not of a kitchen."""
    for name in ("one", "two"):
        slow = f"  n_{name}: {{run: sleep 0.3}}\n"
        fast = f"  {name}_a: {{needs: [n_{name}], sql: select 1 as i, key: [i]}}\n"
        text = f"version: 1\nrecipe: {name}\nnodes:\n{slow}{fast}"
        sales.write({f"recipes/{name}/recipe.yml": text})
    sales.commit()
    processes = [sales.spawn("run", name, "--quiet") for name in ("one", "two")]
    said = [p.communicate() for p in processes]
    assert [p.returncode for p in processes] == [0, 0], said
    assert sales.cli("query", "one_a").code == sales.cli("query", "two_a").code == 0


# --- collecting beside runs, and killed ------------------------------------------------------------


def litter(sales: Shop, builds: int) -> None:
    """Old builds in the trusted zone that nothing refers to, each with a file of its own."""
    store = FolderStore(sales.root / ".gitkitchen/store", namespace="k_main_0", zone="trusted")
    for number in range(builds):
        temporary = store.scratch(".parquet")
        temporary.write_bytes(random.Random(number).randbytes(200))
        digest, size = store.keep(temporary)
        name = f"{number:064x}"
        version = Version("old", "table", name, "c", files=(FileEntry(digest, size),))
        store.save(Build("old", name, "d", {}, {}, {"old": version}))
    for shelf in ("files", "builds"):
        for path in (store.root / "trusted" / shelf).rglob("*"):
            os.utime(path, (time.time() - 90 * 86400,) * 2)


def litter_left(sales: Shop) -> list[Path]:
    return list((sales.root / ".gitkitchen/store/trusted/builds/00").glob("0000*.json"))


def killed_while_collecting(sales: Shop, kills: int, builds: int) -> None:
    path = sales.cli("open", "--path").out.strip()
    chance = random.Random(11)
    interrupted = 0
    for _ in range(kills):
        litter(sales, builds)
        words = ("gc", "--apply", "--grace", "1h")
        process = sales.spawn(*words)
        until(lambda: len(litter_left(sales)) < builds, 20)
        time.sleep(chance.random() * 0.01)
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        interrupted += process.returncode != 0
        with duckdb.connect(path, read_only=True) as reader:
            assert reader.execute("select total from top").fetchall() == [(40,)]
            assert reader.execute("select count(*) from orders").fetchall() == [(3,)]
        assert sales.cli(*words).code == 0
        assert not litter_left(sales)
        assert sales.cli("run", "--quiet").code == 0
        assert set(sales.states().values()) == {"reused"}
    assert interrupted


def test_killed_in_the_middle_it_leaves_everything_readable(sales: Shop) -> None:
    """kill -9 among the removals: what is published reads as before, and the same command ends the work."""
    killed_while_collecting(sales, 1, 400)


@pytest.mark.long
def test_killed_twenty_times(sales: Shop) -> None:
    """The same at twenty random moments."""
    killed_while_collecting(sales, 20, 2000)


def load(sales: Shop, number: int) -> None:
    """Back and forth: what was superseded a run ago is wanted again, if it is still there."""
    sales.commit({"recipes/sales/orders.csv": f"id,country,amount\n1,DE,{number % 2 + 10}\n"})


@contextmanager
def collecting(collect: Callable[[], None]) -> Iterator[None]:
    """Collect again and again beside a block; what it raises is raised here."""
    stop, errors = threading.Event(), []

    def work() -> None:
        try:
            while not stop.is_set():
                collect()
                stop.wait(0.01)
        except BaseException as error:  # noqa: BLE001 - shown by the thread that waits
            errors.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
    assert not errors, errors


def test_collecting_beside_runs(sales: Shop) -> None:
    """A collector as greedy as can be while production runs: no run ever misses anything."""
    premises, greedy = find_premises(sales.root), Limits(grace=0.0, keep=0.0)
    with collecting(lambda: bool(sweep(premises, greedy, datetime.now(UTC), patience=0.05))):
        for number in range(3):
            load(sales, number)
            assert sales.cli("run", "--quiet").code == 0
            assert sales.rows("select total from top") == [{"total": number % 2 + 10}]


@pytest.mark.long
def test_collecting_beside_many_runs(sales: Shop) -> None:
    """Thirty loads, in processes of their own, with collectors as processes beside them."""

    def collect() -> None:
        process = sales.spawn("gc", "--apply", "--grace", "0s", "--keep", "0s")
        said = process.communicate()
        assert process.returncode == 0, said

    with collecting(collect):
        for number in range(30):
            load(sales, number)
            process = sales.spawn("run", "--quiet")
            said = process.communicate()
            assert process.returncode == 0, said
            assert sales.rows("select total from top") == [{"total": number % 2 + 10}]


def test_a_collector_that_hangs_is_waited_for_and_then_named(tmp_path: Path) -> None:
    """Nobody waits for ever: who cannot have the lock in time ends with exit 3 and what to do."""
    lock = tmp_path / "store.lock"
    with alone(lock), pytest.raises(Conflict, match="store is being cleared up by another command") as caught:
        shared(lock, patience=0.1).__enter__()
    assert caught.value.exit_code == 3
    with shared(lock), shared(lock), pytest.raises(Conflict, match="store is in use"):
        alone(lock, patience=0.1).__enter__()


def test_a_lock_that_was_removed_is_no_lock(tmp_path: Path) -> None:
    """Whoever waited for a lock that its holder removed takes the new one: two never hold one name."""
    lock = tmp_path / "k.lock"
    got = threading.Event()

    def wait() -> None:
        with alone(lock, patience=10):
            got.set()

    with alone(lock):
        thread = threading.Thread(target=wait)
        thread.start()
        time.sleep(0.1)
        lock.unlink()
        with alone(lock, patience=1):
            time.sleep(0.1)
            assert not got.is_set() or lock.exists()
    thread.join()
    assert got.is_set()

"""kill -9 anywhere: consumers read whole old or whole new data, and the same command ends the work."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from pathlib import Path

import duckdb
import pytest

from shop import Shop

KILLS = 50
NODES = 12
RECIPE = """\
version: 1
recipe: generations
nodes:
  seed:
    source: {file: seed.csv}
    key: [id]
  python_step:
    needs: [seed]
    python: step.py:step
    tests: [{rows: {same_as: seed}}]
  shell_step:
    needs: [python_step]
    run: cp "$GITKITCHEN_INPUT_PYTHON_STEP" "$GITKITCHEN_OUTPUT_COPIED"
    outputs: {copied: copied.parquet}
    tests: [{rows: {same_as: seed}}]
"""
STEP = "def step(seed):\n    return seed\n"


def recipe() -> str:
    text = RECIPE
    before = "copied"
    for number in range(NODES):
        name = f"layer_{number:02}"
        text += (
            f"  {name}:\n    sql: select id, generation from {before}\n    key: [id]\n"
            f"    tests: [{{rows: {{same_as: seed}}}}]\n"
        )
        before = name
    return text


def seed(generation: int) -> str:
    return "id,generation\n" + "".join(f"{i},{generation}\n" for i in range(500))


def kill_session(leader: int) -> None:
    """Kill -9 every process of a session, whatever group it is in."""
    for _ in range(3):
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
            except OSError:
                continue
            if int(fields[3]) == leader:
                try:
                    os.kill(int(entry.name), signal.SIGKILL)
                except ProcessLookupError:
                    continue


def generations(path: str) -> set[tuple[str, int]]:
    """For every dataset that consumers read, the generations and row counts found in it."""
    with duckdb.connect(path, read_only=True) as reader:
        names = [
            r[0] for r in reader.execute("select view_name from duckdb_views() where not internal").fetchall()
        ]
        names = [n for n in names if not n.startswith("gitkitchen")]
        assert len(names) == NODES + 3
        found = set()
        for name in names:
            rows = reader.execute(f'select generation, count(*) from "{name}" group by all').fetchall()
            assert len(rows) == 1, f"{name} mixes generations: {rows}"
            assert rows[0][1] == 500
            found.add(rows[0][0])
        return found


def finished_nodes(shop: Shop, known: set[str]) -> set[str]:
    """The nodes that the killed run's journal says were built."""
    new = [p for p in (shop.root / ".gitkitchen/runs").iterdir() if p.name not in known]
    done = set()
    for folder in new:
        journal = folder / "journal.jsonl"
        for line in journal.read_text().splitlines() if journal.exists() else ():
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            result = entry.get("result") or entry
            if result.get("state") == "passed":
                done.add(result["node"])
    return done


@pytest.mark.long
def test_fifty_kills_leave_whole_old_or_whole_new_data(shop: Shop) -> None:
    """Killed at 50 random moments of run and publication: never a mixture, and running again ends it."""
    shop.commit({"recipes/g/recipe.yml": recipe(), "recipes/g/step.py": STEP, "recipes/g/seed.csv": seed(0)})
    begun = time.monotonic()
    first = shop.spawn("run", "--quiet")
    output = first.communicate()
    length = time.monotonic() - begun
    assert first.returncode == 0, output
    consumers = shop.cli("open", "--path").out.strip()
    assert generations(consumers) == {0}
    moments = random.Random(20130101)
    interrupted = 0
    for generation in range(1, KILLS + 1):
        shop.commit({"recipes/g/seed.csv": seed(generation)})
        known = {p.name for p in (shop.root / ".gitkitchen/runs").iterdir()}
        process = shop.spawn("run", "--quiet")
        time.sleep(moments.random() * length * 1.05)
        kill_session(process.pid)
        process.communicate()
        interrupted += process.returncode != 0
        assert generations(consumers) in ({generation - 1}, {generation})
        done = finished_nodes(shop, known)
        again = shop.spawn("run", "--quiet")
        output = again.communicate()
        assert again.returncode == 0, output
        assert generations(consumers) == {generation}
        states = shop.states()
        rebuilt = {n for n in done if states[n] != "reused"}
        assert not rebuilt, f"finished nodes were built again: {rebuilt}"
    assert interrupted >= KILLS // 2, "the kills came too late to interrupt anything"


@pytest.mark.long
def test_nothing_is_left_in_the_store_that_is_not_whole(shop: Shop) -> None:
    """After kills the store holds only complete files under final names: each is what its digest says."""
    import hashlib

    shop.commit({"recipes/g/recipe.yml": recipe(), "recipes/g/step.py": STEP, "recipes/g/seed.csv": seed(0)})
    moments = random.Random(7)
    for generation in range(6):
        shop.commit({"recipes/g/seed.csv": seed(generation)})
        process = shop.spawn("run", "--quiet")
        time.sleep(0.2 + moments.random() * 1.5)
        kill_session(process.pid)
        process.communicate()
    assert shop.cli("run").code == 0
    files = [p for p in (shop.root / ".gitkitchen/store").glob("*/files/*/*") if p.is_file()]
    assert files
    for path in files:
        assert hashlib.sha256(path.read_bytes()).hexdigest() == path.name.split(".")[0]

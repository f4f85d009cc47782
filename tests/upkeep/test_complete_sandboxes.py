"""A new sandbox answers for everything at once, and nothing is copied; only what changed is built."""

from __future__ import annotations

import json
import time
from pathlib import Path

import duckdb
import pytest
from tests.upkeep.conftest import inventory

from shop import KITCHEN_YML, Shop

BOUND = 60.0
"""Seconds for the first answers of 500 datasets: a bound against hanging; the benchmark has the figures."""


def production(shop: Shop, datasets: int, rows: int) -> None:
    """A recipe of so many datasets, each of its own rows, the last one reading another."""
    nodes = "".join(
        f"  d{n:03}: {{sql: 'select i as id, hash(i + {n}) as v from range({rows}) as r(i)', key: [id]}}\n"
        for n in range(datasets - 1)
    )
    last = "  last: {sql: 'select count(*) as n from d000', tests: [{rows: {equals: 1}}]}\n"
    shop.commit({"recipes/all/recipe.yml": f"version: 1\nrecipe: all\nnodes:\n{nodes}{last}"})
    assert shop.cli("run", "--quiet").code == 0


def answers_at_once(shop: Shop, datasets: int) -> None:
    before = inventory(shop)
    shop.git("switch", "-q", "-c", "feature/x")
    begun = time.monotonic()
    path = Path(shop.cli("open", "--path").out.strip())
    with duckdb.connect(str(path), read_only=True) as reader:
        views = "select view_name from duckdb_views() where not internal"
        names = [name for (name,) in reader.execute(views).fetchall()]
        rows = [reader.execute(f'select * from "{name}" limit 1').fetchall() for name in names]
    assert time.monotonic() - begun < BOUND
    assert len(names) == datasets
    assert all(len(found) == 1 for found in rows)
    after = inventory(shop)
    assert {n: d for n, d in after.items() if n in before} == before
    assert {n.split("/")[0] for n in after if n not in before} == {"views"}
    assert path.stat().st_size <= 1_000_000
    shop.replace("recipes/all/recipe.yml", "count(*) as n", "count(*) + 1 as n")
    shop.commit()
    plan = json.loads(shop.cli("plan", "--json").out)
    assert [s["node"] for s in plan["steps"] if s["action"] != "reuse"] == ["last"]
    assert shop.cli("run", "--quiet").code == 0
    states = shop.states()
    assert [node for node, state in states.items() if state != "reused"] == ["last"]
    files = {n for n in inventory(shop) if "/files/" in n} - set(before)
    assert len(files) == 1


def test_a_new_sandbox_answers_for_all_datasets(shop: Shop) -> None:
    """Twenty datasets: every one answers, the store stays as it is, one changed leaf builds one dataset."""
    production(shop, 20, 20)
    answers_at_once(shop, 20)


@pytest.mark.long
def test_a_new_sandbox_of_five_hundred_datasets_answers(shop: Shop) -> None:
    """The same with five hundred datasets of a thousand rows, and at most 1 MB for the sandbox."""
    production(shop, 500, 1000)
    answers_at_once(shop, 500)


def test_a_linked_work_tree_shares_the_data(shop: Shop) -> None:
    """`git worktree add`: the branch's kitchen finds production, and both see one store and one ledger."""
    production(shop, 3, 5)
    other = Shop(shop.root.parent / "other")
    shop.git("worktree", "add", "-q", "-b", "feature/w", str(other.root))
    assert other.rows("from last") == [{"n": 5}]
    other.replace("recipes/all/recipe.yml", "count(*) as n", "count(*) + 1 as n")
    other.commit()
    said = other.cli("run", "--quiet")
    assert said.code == 0, said.err
    assert [n for n, s in other.states().items() if s != "reused"] == ["last"]
    assert shop.rows("from last") == [{"n": 5}]
    assert shop.rows("from last", "--kitchen", "feature/w") == [{"n": 6}]
    assert not (other.root / ".gitkitchen/store").exists()
    shop.git("worktree", "remove", "--force", str(other.root))
    assert shop.rows("from last", "--kitchen", "feature/w") == [{"n": 6}]


def test_a_project_below_the_top_shares_it_too(shop: Shop) -> None:
    """A project in a folder of the repository has its state in the same folder of the main work tree."""
    shop.git("rm", "-q", "kitchen.yml")
    inner = Shop(shop.root / "analytics")
    text = "version: 1\nrecipe: a\nnodes:\n  x: {sql: select 1 as i, key: [i]}\n"
    shop.commit({"analytics/kitchen.yml": KITCHEN_YML, "analytics/recipes/a/recipe.yml": text})
    assert inner.cli("run", "--quiet").code == 0
    shop.git("worktree", "add", "-q", "-b", "w", str(shop.root.parent / "other"))
    assert Shop(shop.root.parent / "other/analytics").rows("from x") == [{"i": 1}]


def test_a_bare_repository_has_no_main_work_tree(shop: Shop) -> None:
    """Work trees of a bare repository have a state each: there is no main one to share."""
    text = "version: 1\nrecipe: a\nnodes:\n  x: {sql: select 1 as i, key: [i]}\n"
    shop.commit({"recipes/a/recipe.yml": text})
    bare = Shop(shop.root.parent / "bare.git")
    shop.git("clone", "-q", "--bare", str(shop.root), str(bare.root))
    bare.git("worktree", "add", "-q", "-b", "w", str(shop.root.parent / "tree"))
    tree = Shop(shop.root.parent / "tree")
    assert tree.cli("run", "--quiet").code == 0
    assert (tree.root / ".gitkitchen/store").is_dir()

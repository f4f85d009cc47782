"""Clones that share a store outside of the repository do not clear away each other's data."""

from __future__ import annotations

import subprocess
from pathlib import Path

from shop import KITCHEN_YML, Shop

RECIPE = 'version: 1\nrecipe: r\nnodes:\n  a: {sql: "select 1 as x", tests: [{rows: {min: 1}}]}\n'


def test_gc_of_one_clone_leaves_what_another_published(shop: Shop, tmp_path: Path) -> None:
    """With a ledger in each clone, nobody knows who else shows a trusted version: it stays."""
    store = tmp_path / "share"
    shop.commit({"kitchen.yml": f"{KITCHEN_YML}store: file://{store}\n", "recipes/r/recipe.yml": RECIPE})
    assert shop.cli("run").code == 0
    assert list(store.glob("trusted/files/*/*"))
    subprocess.run(["git", "clone", "-q", str(shop.root), str(tmp_path / "other")], check=True)
    other = Shop(tmp_path / "other")
    assert other.cli("run").code == 0
    assert other.states() == {"a": "reused"}, "the clones share what they built"
    shop.replace("recipes/r/recipe.yml", "1 as x", "2 as x")
    shop.commit()
    assert shop.cli("run").code == 0
    said = shop.cli("gc", "--apply", "--grace", "0s", "--keep", "0s")
    assert said.code == 0, said.out + said.err
    assert other.rows("from a") == [{"x": 1}]
    assert shop.rows("from a") == [{"x": 2}]

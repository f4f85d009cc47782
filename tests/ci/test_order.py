"""The recipes of a job in order, read where the job's tests are: in a linked work tree."""

from __future__ import annotations

from pathlib import Path

from gitkitchen.premises import find_project
from gitkitchen.road.order import in_order
from shop import Shop

RECIPES = {
    "recipes/a/recipe.yml": "version: 1\nrecipe: a\nnodes:\n  totals: {sql: totals.sql}\n",
    "recipes/a/totals.sql": "select count(*) as n from orders",
    "recipes/b/recipe.yml": "version: 1\nrecipe: b\nnodes:\n  orders: {sql: select 1 as id}\n",
}


def test_what_is_known_of_the_files_is_shared_with_the_main_work_tree(shop: Shop, tmp_path: Path) -> None:
    """Reading the order of recipes in a linked work tree leaves what it read to the run that follows."""
    shop.commit(RECIPES)
    linked = tmp_path / "linked"
    shop.git("worktree", "add", "-q", "--detach", str(linked))
    project, repository = find_project(linked)
    assert [reader.name for reader in in_order(project)] == ["b", "a"]
    assert repository.root == linked
    facts = sorted(p.name for p in (shop.root / ".gitkitchen" / "cache" / "plan").iterdir())
    assert facts == ["a.json", "b.json"]
    assert not (linked / ".gitkitchen" / "cache" / "plan").exists()

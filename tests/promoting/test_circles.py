"""Recipes that read each other are run until nothing changes; if that never happens, nothing lands."""

from __future__ import annotations

from pathlib import Path

import pytest

from road import KITCHEN_YML, made, promoted, rows, tree
from shop import Shop

RECIPE = """\
version: 1
recipe: {name}
nodes:
  {name}: {{sql: "{sql}", tests: [{{rows: {{min: 1}}}}]}}
"""
NAMES = ("ours", "theirs")


@pytest.fixture
def road(tmp_path: Path) -> Shop:
    """Two recipes that landed on staging while neither read the other."""
    files = {f"recipes/{name}/recipe.yml": RECIPE.format(name=name, sql="select 1 as n") for name in NAMES}
    shop = made(tmp_path, {"kitchen.yml": KITCHEN_YML, ".gitignore": ".gitkitchen/\n", **files})
    for name in NAMES:
        assert shop.cli("run", name, "--quiet").code == 0
    promoted(shop, "staging")
    return shop


def close(shop: Shop, ours: str, theirs: str) -> None:
    """Let each read the other on develop, where both were published before."""
    texts = {"ours": ours, "theirs": theirs}
    shop.commit(
        {f"recipes/{n}/recipe.yml": RECIPE.format(name=n, sql=sql) for n, sql in texts.items()}, "a circle"
    )


def numbers(shop: Shop) -> list[object]:
    return rows(shop, "staging", "select o.n as a, t.n as b from ours o, theirs t")


def test_a_circle_that_comes_to_rest_lands_as_it_rests(road: Shop) -> None:
    """What lands is what another run of all would build again, not what the first pass found."""
    close(road, "select least(n + 1, 2) as n from theirs", "select n from ours")
    promoted(road, "staging")
    assert numbers(road) == [(2, 2)]


def test_a_circle_that_goes_on_does_not_land(road: Shop) -> None:
    """It is said what goes round, it counts as not found out, and staging keeps what it had."""
    before = tree(road, "staging")
    close(road, "select n + 1 as n from theirs", "select n from ours")
    said = road.cli("promote", "staging", "--quiet")
    assert said.code == 3, said.out + said.err
    assert "recipes read each other in a circle" in said.out + said.err
    assert (tree(road, "staging"), numbers(road)) == (before, [(1, 1)])

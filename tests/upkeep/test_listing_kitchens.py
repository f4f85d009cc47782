"""``gitkitchen kitchens``: every kitchen with branch, age, outcome, bytes; is its branch still there?"""

from __future__ import annotations

import json
from typing import Any

from tests.upkeep.conftest import change

from shop import Shop


def listed(shop: Shop) -> dict[str, dict[str, Any]]:
    said = shop.cli("kitchens", "--json")
    assert said.code == 0, said.err
    document = json.loads(said.out)
    assert document["version"] == 1
    return {row["kitchen"]: row for row in document["kitchens"]}


def test_all_kitchens_are_listed_with_what_is_known_of_them(sales: Shop) -> None:
    """Environments, sandboxes and forks; the current one is marked; a deleted branch reads gone."""
    change(sales, "feature/x", 1)
    change(sales, "feature-x", 2)
    sales.git("switch", "-q", "main")
    assert sales.cli("run", "--quiet", "--kitchen", "me/shop:main", "--no-publish").code == 0
    sales.git("branch", "-q", "-D", "feature-x")
    rows = listed(sales)
    kinds = {name: row["kind"] for name, row in rows.items()}
    fork = "github.com/me/shop:main"
    assert kinds == {"prod": "environment", "feature/x": "sandbox", "feature-x": "sandbox", fork: "fork"}
    assert next(iter(rows)) == "prod"
    assert [n for n, row in rows.items() if row["here"]] == ["prod"]
    exists = {name: row["exists"] for name, row in rows.items()}
    assert exists == {"prod": True, "feature/x": True, "feature-x": False, fork: None}
    assert {row["last"]["verdict"] for row in rows.values()} == {"passed"}
    assert rows["prod"]["expires"] is None
    assert rows["feature/x"]["expires"] > rows["feature/x"]["used"]
    zone = sales.root / ".gitkitchen/store/sandbox" / rows["feature/x"]["namespace"]
    held = sum(p.stat().st_size for p in zone.rglob("*") if p.is_file())
    assert rows["feature/x"]["bytes"] == held > 0
    trusted = sum(
        p.stat().st_size for p in (sales.root / ".gitkitchen/store/trusted/files").rglob("*.parquet")
    )
    assert rows["prod"]["bytes"] == trusted
    text = sales.cli("kitchens").out
    assert "* prod" in text
    assert "gone" in text
    assert "✓ passed" in text


def test_kitchens_in_which_nothing_ran_are_listed_too(shop: Shop) -> None:
    """Before the first run there are the environments of kitchen.yml, and the branch that is checked out."""
    shop.git("switch", "-q", "-c", "new")
    rows = listed(shop)
    assert [(n, r["kind"], r["here"], r["last"], r["bytes"]) for n, r in rows.items()] == [
        ("prod", "environment", False, None, 0),
        ("new", "sandbox", True, None, 0),
    ]
    assert not (shop.root / ".gitkitchen/ledger").exists()


def test_it_works_without_a_branch(sales: Shop) -> None:
    """A detached HEAD is no kitchen, and the others can be listed and collected all the same."""
    sales.git("switch", "-q", "--detach")
    assert list(listed(sales)) == ["prod"]
    assert sales.cli("gc").code == 0


def test_an_interrupted_run_is_the_last_outcome(sales: Shop) -> None:
    """A run that was killed left a mark and no outcome: that is what the list says."""
    folder = sales.root / ".gitkitchen/runs/29990101T000000000Z-abcdef"
    folder.mkdir()
    space = listed(sales)["prod"]["namespace"]
    mark = {"run": folder.name, "recipe": "sales", "namespace": space, "started": "2999-01-01T00:00:00+00:00"}
    (folder / "run.json").write_text(json.dumps(mark))
    assert listed(sales)["prod"]["last"]["verdict"] == "interrupted"


def test_names_are_shown_safely(sales: Shop) -> None:
    """A branch name with characters that reverse text is shown with them written out."""
    change(sales, "a\u202egnp.exe", 1)
    out = sales.cli("kitchens").out
    assert "\u202e" not in out
    assert "gnp.exe" in out

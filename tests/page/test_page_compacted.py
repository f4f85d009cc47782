"""What the page says where a compaction of the ledger removed runs and publications that it would show."""

from __future__ import annotations

import json
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from shutil import rmtree

from gitkitchen.document import departures
from gitkitchen.kitchen.identity import namespace
from gitkitchen.ledger.protocol import New
from gitkitchen.page.views.parts import when
from gitkitchen.premises import find_premises
from page.made_site import body
from shop import KITCHEN_YML, Shop

SPACE = namespace("0123456789abcdef", "", "main")
KITCHEN = KITCHEN_YML + "ledger: branch\n"
SALES = "version: 1\nrecipe: sales\nnodes:\n  orders: {sql: select 1 as id, tests: [unique: [id]]}\n"
LEFT = "a compaction of the ledger removed older ones"
DAYS = {"sales": (200, 150, 95, 70, 20, 1), "fares": (15, 1)}
"""When each recipe ran, in days before now."""


def made(folder: Path) -> Shop:
    """A project on a remote whose ledger has half a year of runs and publications."""
    shop = Shop.begun(folder / "shop")
    shop.commit({"kitchen.yml": KITCHEN, ".gitignore": ".gitkitchen/\n", "recipes/sales/recipe.yml": SALES})
    subprocess.run(["git", "init", "-q", "--bare", str(folder / "remote.git")], check=True)
    shop.git("remote", "add", "origin", str(folder / "remote.git"))
    shop.git("push", "-q", "origin", "main")
    now = datetime.now(UTC).replace(microsecond=0)
    entries = []
    for recipe, days in DAYS.items():
        for ago in days:
            ran = body("prod", recipe, ["orders"], 3, now - timedelta(days=ago))
            ran |= {"verdict": "failed" if ago == 20 else "passed", "nodes": {"passed": ["orders"]}}
            entries.append(New(f"runs/{SPACE}/{recipe}", ran))
            shown = {"run": ran["run"], "recipe": recipe}
            shown["datasets"] = {"orders": {"content": f"{ago:012d}", "fingerprint": f"{ago}"}}
            entries.append(New(f"publications/{SPACE}", shown))
    find_premises(shop.root).ledger.append_together(entries)
    return shop


def compacted(shop: Shop, days: int) -> str:
    """The moment that the compaction's own record states."""
    shop.write({"kitchen.yml": f"{KITCHEN}retention: {{runs: {days}d}}\n"})
    said = shop.cli("ledger", "compact")
    assert said.code == 0, said.err
    before = find_premises(shop.root).ledger.gaps(f"runs/{SPACE}/sales").before
    assert before is not None
    return when(before)


def paged(shop: Shop, folder: Path) -> dict[str, str]:
    said = shop.cli("page", "--out", str(folder))
    assert said.code == 0, said.err
    return {str(p.relative_to(folder)): p.read_text("utf-8") for p in folder.rglob("*.html")}


def red(pages: dict[str, str]) -> str:
    [found] = [text for path, text in pages.items() if path.startswith("run/") and "sales failed" in text]
    return found


def test_the_page_says_from_when_on_runs_and_publications_are_kept(tmp_path: Path) -> None:
    """Nothing before a compaction; after it the grid and the versions name the moment of the ledger's own
    record, charts and delivery only if it cuts into the time that they show, a red run that the green one
    before it may be gone; a recipe that lost nothing says nothing. Made again, the page is the page anew."""
    shop = made(tmp_path)
    pages = paged(shop, tmp_path / "site")
    assert [path for path, text in pages.items() if "compaction" in text] == []
    assert "that is kept" not in red(pages)
    grid, metrics, orders = "grid/prod--sales.html", "metrics/prod--sales.html", "dataset/orders.html"

    at = compacted(shop, 120)  # older than the 90 days that charts show
    pages = paged(shop, tmp_path / "site")
    assert f"All runs since {at} are kept; {LEFT}." in pages[grid]
    assert f"All publications since {at} are kept; {LEFT}." in pages[orders]
    assert {path for path, text in pages.items() if "compaction" in text} == {grid, orders}

    at = compacted(shop, 30)
    pages = paged(shop, tmp_path / "site")
    for path in (grid, metrics, "delivery.html"):
        assert pages[path].count(f"All runs since {at} are kept; {LEFT}.") == 1, path
    assert "No run of it in this kitchen that is kept was green before." in red(pages)
    assert "a later one that was green may be among them" in red(pages)
    silent = ("grid/prod--fares.html", "metrics/prod--fares.html", "index.html", "recipe/sales.html")
    for path in silent:
        assert "compaction" not in pages[path], path
    rmtree(shop.root / ".gitkitchen/cache")
    anew = paged(shop, tmp_path / "anew")
    assert anew.keys() == pages.keys()
    assert [p for p, text in anew.items() if p.startswith("run/") and text != pages[p]] == []
    assert not departures(json.loads((tmp_path / "anew/status.json").read_text()), "status")

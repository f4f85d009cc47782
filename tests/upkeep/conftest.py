"""A shop with production data, and digests of all that a command must leave alone."""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from pathlib import Path

import pytest

from shop import Shop

RECIPE = """\
version: 1
recipe: sales
nodes:
  orders:
    source: {file: orders.csv}
    key: [id]
  totals:
    sql: select country, sum(amount) as total from orders group by country
    key: [country]
  top:
    sql: select country, total from totals order by total desc limit 1
    tests: [{rows: {equals: 1}}]
"""
ORDERS = "id,country,amount\n1,DE,10\n2,FR,20\n3,DE,30\n"
KITCHEN = """\
version: 1
project: {name: shop, id: 0123456789abcdef}
environments:
  prod: {branch: main}
sandboxes: {base: prod, ttl: 14d}
"""


@pytest.fixture(scope="session")
def model_shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Production with one publication, made once."""
    made = Shop.begun(tmp_path_factory.mktemp("model") / "shop")
    files = {"kitchen.yml": KITCHEN, "recipes/sales/recipe.yml": RECIPE, "recipes/sales/orders.csv": ORDERS}
    made.commit(files | {".gitignore": ".gitkitchen/\n"})
    said = made.cli("run", "--quiet")
    assert said.code == 0, said.out + said.err
    return made.root


@pytest.fixture
def sales(model_shop: Path, tmp_path: Path) -> Shop:
    """A copy of it, for one test alone."""
    shutil.copytree(model_shop, tmp_path / "shop", symlinks=True)
    return Shop(tmp_path / "shop")


def change(shop: Shop, branch: str, number: int) -> None:
    """A branch off main on which ``top`` means something else; run."""
    shop.git("switch", "-q", "-c", branch, "main")
    shop.replace(
        "recipes/sales/recipe.yml", "country, total from", f"country, total + {number} as total from"
    )
    shop.commit(message=f"change {number}")
    said = shop.cli("run", "--quiet")
    assert said.code == 0, said.out + said.err


def inventory(shop: Shop, *, ledger: bool = True) -> dict[str, str]:
    """Every file of the state but locks and caches that are kept by content, each with its digest."""
    state = shop.root / ".gitkitchen"
    found = {}
    for path in sorted(p for p in state.rglob("*") if p.is_file()):
        name = path.relative_to(state).as_posix()
        if name.startswith("cache/") or (name.startswith("ledger/") and not ledger):
            continue
        found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def age(folder: Path, seconds: float) -> None:
    """Make everything in a folder look as if it had been written so long ago."""
    then = time.time() - seconds
    for path in [*folder.rglob("*"), folder]:
        os.utime(path, (then, then))

"""A recipe of 500 nodes of every kind, and what a person knows of it: who reads what."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.data.site import Answer, Site

from benchmarks import generators as make
from shop import KITCHEN_YML, Shop

NODES = 500
FOLDER = f"recipes/{make.RECIPE}"
RECIPE = f"{FOLDER}/recipe.yml"
PRICES = "/prices.csv"

FILES = {
    f"{FOLDER}/data/orders.csv": "id,region,amount\n"
    + "".join(f"{i},{'NESW'[i % 4]},{i * 10}\n" for i in range(40)),
    f"{FOLDER}/sql/big_orders.sql": "select id, region from orders where amount >= $least\n",
    f"{FOLDER}/sql/by_region.sql": "select region, count(*) as n\nfrom big_orders\ngroup by region\n",
    f"{FOLDER}/score.py": '''"""Scores."""
from helpers import twice


def score(by_region, rate):
    """One row a region."""
    rows = by_region.order("region").fetchall()
    return [{"region": region, "score": twice(n) * rate} for region, n in rows]
''',
    f"{FOLDER}/helpers.py": '"""Helpers."""\n\n\ndef twice(n):\n    """Two of them."""\n    return n * 2\n',
    f"{FOLDER}/proof.py": '''"""What must hold of scores."""


def test_scores(kitchen):
    """No score is negative."""
    assert kitchen.sql("from scored where score < 0").fetchall() == []
''',
    f"{FOLDER}/page.py": '''"""The page."""
import os
from pathlib import Path

text = Path("style.css").read_text() + os.environ["TITLE"]
Path(os.environ["GITKITCHEN_OUTPUT_PAGE_HTML"]).write_text(text)
''',
    f"{FOLDER}/style.css": "p {color: red}\n",
}
HAND = """\
  orders:
    source: {file: data/orders.csv}
    key: [id]
    tests:
      - range: {column: amount, min: 0}
      - value: {sql: "select year(now())", min: 2000}
  prices:
    source: {url: "URL"}
    tests: [{not_null: [price]}]
  big_orders:
    sql: sql/big_orders.sql
    with: {least: "${{ vars.least }}"}
    key: [id]
    tests: [{accepted_values: {column: region, values: [N, E, S, W]}}]
  by_region:
    sql: sql/by_region.sql
    description: Orders by region.
    key: [region]
    tests:
      logic: [{equal: {value: sum(n), to: select count(*) from big_orders}}]
  region_names:
    sql: select region from by_region
    materialize: view
    tests: [{rows: {max: 4}}]
  by_part:
    sql: select id, region from big_orders
    materialize: {partitions: {by: region}}
    tests: [{rows: {same_as: big_orders}}]
  scored:
    python: score.py:score
    needs: [by_region]
    with: {rate: 3}
    tests: [{range: {column: score, min: 0}}]
  proof:
    pytest: proof.py
    needs: [scored]
  page:
    run: python page.py
    needs: [by_region]
    files: [style.css]
    env: {TITLE: Regions}
    outputs: {page_html: page.html}
"""
HEAD = """\
version: 1
recipe: delays
description: Five hundred nodes.
owner: "@us"
vars: {least: 15, bonus: 1, unused: 1}
nodes:
"""
BY_HAND = {
    "orders": (),
    "prices": (),
    "big_orders": ("orders",),
    "by_region": ("big_orders",),
    "region_names": ("by_region",),
    "by_part": ("big_orders",),
    "scored": ("by_region",),
    "proof": ("scored",),
    "page": ("by_region",),
}
"""Each node that is written by hand, with the nodes that it reads."""
TESTS = {
    "orders": {"orders"},
    "prices": {"prices"},
    "big_orders": {"big_orders"},
    "by_region/outputs": {"by_region"},
    "by_region/logic": {"by_region", "big_orders"},
    "region_names": {"region_names"},
    "by_part": {"by_part", "big_orders"},
    "scored": {"scored"},
}
"""The tests of those nodes, by the beginning of their ids, with the datasets that they read."""
GIVEN = ("m0000", "m0001", "m0002")
"""The models that are given the variable ``bonus``; that of the last cannot be seen in its rows."""
WITH_PRICES = "m0003"
LEAF = f"m{NODES - len(BY_HAND) - 1:04}"


def _models() -> list[make.Model]:
    models = make.warehouse(NODES - len(BY_HAND), rows=20, width=120)
    for number, name in enumerate(GIVEN):
        assert models[number].name == name
        bonus = "least(amount, 5000 + $bonus)" if name == GIVEN[-1] else "amount + $bonus"
        sql = f"select id, grp, {bonus} as amount, label from (\n{models[number].sql}\n) as plain"
        models[number] = make.Model(name, sql)
    sql = "select id, id % 97 as grp, price as amount, 'label' as label from prices"
    models[3] = make.Model(WITH_PRICES, sql)
    return models


MODELS = _models()
READS: dict[str, tuple[str, ...]] = BY_HAND | {
    m.name: ("prices",) if m.name == WITH_PRICES else m.needs for m in MODELS
}


def below(*names: str) -> set[str]:
    """Every node that reads one of these, directly or through others; slow and obvious."""
    found: set[str] = set()
    while more := {n for n, read in READS.items() if {*names, *found} & {*read}} - found:
        found |= more
    return found


def reading(test: str) -> set[str]:
    """The datasets that a test reads, by its id."""
    for beginning, read in TESTS.items():
        if test.startswith(f"{beginning}/"):
            return read
    return {test.partition("/")[0]}


@dataclass(frozen=True)
class Large:
    """The project, its web server's answers, and what its first run said."""

    shop: Shop
    site: Site
    tests: set[str]
    start: str
    """The commit before any edit."""
    tools: dict[str, str] = field(default_factory=dict)
    """Tools whose version an edit changed."""

    def replace(self, name: str, old: str, new: str) -> None:
        self.shop.replace(f"{FOLDER}/{name}", old, new)

    def recipe(self, old: str, new: str) -> None:
        """Replace what stands once in recipe.yml."""
        text = (self.shop.root / RECIPE).read_text(encoding="utf-8")
        assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in the recipe"
        self.shop.write({RECIPE: text.replace(old, new)})

    def model(self, name: str, change: str) -> None:
        """Put a model's SQL into ``change`` where it says ``{}``."""
        path = f"{FOLDER}/models/{name}.sql"
        self.shop.write({path: change.format((self.shop.root / path).read_text(encoding="utf-8"))})

    def rows(self, text: str) -> None:
        self.shop.write({f"{FOLDER}/data/orders.csv": text})

    def undo(self) -> None:
        """The project as it was committed, and the web as it was; what was built is kept."""
        self.shop.git("checkout", "-q", "-f", "main")
        self.shop.git("reset", "-q", "--hard", self.start)
        serve(self.site, prices())
        self.tools.clear()


def prices(changed: int = 0) -> str:
    return "id,price\n" + "".join(f"{i},{i * 7 + (changed if i == 5 else 0)}\n" for i in range(20))


def serve(site: Site, text: str, tag: str = "first") -> None:
    """What the web gives for the source ``prices``, under this ETag."""
    site.answers[PRICES] = Answer(text.encode(), headers={"ETag": f'"{tag}"'})


def node_lines(models: Iterable[make.Model]) -> str:
    """The generated nodes, one line each; every tenth and the last have a test."""
    lines = []
    for number, model in enumerate(models):
        node: dict[str, Any] = {"sql": f"models/{model.name}.sql"}
        if model.name in GIVEN:
            node["with"] = {"bonus": "${{ vars.bonus }}"}
        if number % 10 == 0 or model.name == LEAF:
            node["tests"] = [{"unique": ["id"]}]
        lines.append(f"  {model.name}: {json.dumps(node)}\n")
    return "".join(lines)


def files(url: str) -> Mapping[str, str]:
    """Every file of the project; ``url`` is where the web begins."""
    found = {"kitchen.yml": KITCHEN_YML, ".gitignore": ".gitkitchen/\n", **FILES}
    found |= {f"{FOLDER}/models/{m.name}.sql": m.sql + "\n" for m in MODELS}
    found[RECIPE] = HEAD + HAND.replace("URL", url + PRICES) + node_lines(MODELS)
    return found


def build(root: Path, site: Site) -> Large:
    """The project, committed and run once."""
    serve(site, prices())
    root.mkdir()
    shop = Shop(root)
    shop.git("init", "-q", "-b", "main")
    shop.commit(files(site.url))
    said = shop.cli("run", "--quiet")
    assert said.code == 0, said.out + said.err
    outcome = shop.outcome()
    assert {n["node"] for n in outcome["nodes"] if n["state"] == "passed"} == READS.keys()
    assert len(READS) == NODES
    tests = {t["id"] for n in outcome["nodes"] for t in n["tests"]}
    return Large(shop, site, tests, shop.git("rev-parse", "HEAD"))

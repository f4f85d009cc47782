"""``init``: the files of a new project, written beside what is there and over nothing."""

from __future__ import annotations

import re
import secrets
from pathlib import Path

from gitkitchen.errors import Mistake, Problem
from gitkitchen.files import write_atomic
from gitkitchen.git import Repository

KITCHEN = """\
# A kitchen is a branch and all that it runs with. `gitkitchen schema kitchen` describes every key.
version: 1
project: {{name: {name}, id: "{id}"}}
environments:
  prod: {{branch: {branch}}}
sandboxes: {{base: prod}}
connections:
  warehouse: {{type: duckdb}}
store: .gitkitchen/store
ledger: folder
"""
RECIPE = """\
# A recipe is a tested DAG of nodes. `gitkitchen schema recipe` describes every key.
version: 1
recipe: orders
description: What was ordered, by country.
nodes:
  orders:
    source: {file: orders.csv}
    key: [order_id]
    tests:
      - accepted_values: {column: status, values: [open, paid, returned]}
  sales_by_country:
    sql: sales_by_country.sql
    key: [country]
    tests:
      logic: [{equal: {value: sum(orders), to: select count(*) from orders}}]
"""
SQL = """\
select
    country,
    count(*) as orders,
    sum(amount) filter (where status <> 'returned') as revenue
from orders
group by country
"""
ORDERS = """\
order_id,country,status,amount
1,DE,paid,120.50
2,FR,paid,80.00
3,DE,returned,35.90
4,IT,open,210.00
5,FR,paid,15.25
"""
IGNORED = ".gitkitchen/"


def write_project(folder: Path, name: str) -> list[str]:
    """Write a first project into the repository of ``folder``; returns what was done, a line each.

    Nothing that exists is changed, except that ``.gitignore`` gains a line.
    """
    repository = Repository.find(folder)
    if (folder / "kitchen.yml").exists():
        raise Mistake(Problem("kitchen.yml exists already", hint="`gitkitchen validate` checks it"))
    word = re.sub(r"[^a-z0-9_-]+", "-", name.lower()).strip("-") or "analytics"
    files = {
        "kitchen.yml": KITCHEN.format(
            name=word, id=secrets.token_hex(8), branch=repository.branch() or "main"
        ),
        "recipes/orders/recipe.yml": RECIPE,
        "recipes/orders/sales_by_country.sql": SQL,
        "recipes/orders/orders.csv": ORDERS,
    }
    done = []
    for path, text in files.items():
        if (folder / path).exists():
            done.append(f"kept   {path}")
            continue
        write_atomic(folder / path, text)
        done.append(f"wrote  {path}")
    ignore = folder / ".gitignore"
    lines = ignore.read_text(encoding="utf-8") if ignore.exists() else ""
    if IGNORED not in lines.splitlines():
        write_atomic(ignore, lines + ("" if not lines or lines.endswith("\n") else "\n") + IGNORED + "\n")
        done.append("wrote  .gitignore (.gitkitchen/ holds data and is never committed)")
    return done

"""``init``: the files of a new project, written beside what is there; what it wrote is kept up to date."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from pathlib import Path

from gitkitchen.automation import editor, folder_of, hook, pinned, workflows
from gitkitchen.errors import Mistake, Place, Problem
from gitkitchen.files import write_atomic
from gitkitchen.git import Repository
from gitkitchen.kitchen.config import load_project
from gitkitchen.offering import Offered, offer, read_record

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
EXAMPLE = {
    "recipes/orders/recipe.yml": RECIPE,
    "recipes/orders/sales_by_country.sql": SQL,
    "recipes/orders/orders.csv": ORDERS,
}
IGNORED = ".gitkitchen/"


@dataclass(frozen=True, slots=True)
class Started:
    """What ``init`` did. ``action``: the one that the workflows use, or "" where there are none."""

    offered: tuple[Offered, ...]
    action: str

    @property
    def open(self) -> tuple[Problem, ...]:
        """What is left to a person."""
        return tuple(
            Problem(one.said, Place(one.path), code=f"init-{one.word}")
            for one in self.offered
            if not one.settled
        )


def action_of(folder: Path) -> str:
    """The action that ``init`` was told of before; "" where it was told of none."""
    return read_record(Repository.find(folder).root).told.get("action", "")


def write_project(folder: Path, name: str, action: str = "") -> Started:
    """Write a first project into the repository of ``folder``, or bring what ``init`` wrote up to date.

    What people wrote is never changed, except that ``.gitignore`` gains a line. ``action``
    (OWNER/REPO@SHA) is what the workflows use; without one, and none from before, there are none. Mistake
    for one that is not pinned, and for files that cannot be read.
    """
    repository = Repository.find(folder)
    top, below = repository.root, folder_of(folder, repository.root)
    told = read_record(top).told
    action = action or told.get("action", "")
    if action:
        pinned(action)
    if told.get("folder", below) != below:
        raise Mistake(
            Problem(
                f"this repository's project is in '{told['folder']}'",
                hint=f"one repository is one project: `gitkitchen -C {told['folder']} init`",
                code="other-project",
            )
        )
    word = re.sub(r"[^a-z0-9_-]+", "-", name.lower()).strip("-") or "analytics"
    done: list[Offered] = []
    where = "" if below == "." else f"{below}/"
    kitchen = KITCHEN.format(name=word, id=secrets.token_hex(8), branch=repository.branch() or "main")
    is_new = not (folder / "kitchen.yml").exists()
    files = {"kitchen.yml": kitchen, **(EXAMPLE if is_new else {})}
    done += offer(top, {where + path: text for path, text in files.items()}, {}, once=True)
    done += _ignored(folder, where)
    offered = {**editor(below), **hook(action, below)}
    if action:
        offered |= workflows(load_project(folder), action, below)
    done += offer(top, offered, {"action": action, "folder": below})
    return Started(tuple(done), action)


def _ignored(folder: Path, where: str) -> list[Offered]:
    ignore = folder / ".gitignore"
    lines = ignore.read_text(encoding="utf-8") if ignore.exists() else ""
    if IGNORED in lines.splitlines():
        return []
    write_atomic(ignore, lines + ("" if not lines or lines.endswith("\n") else "\n") + IGNORED + "\n")
    return [Offered(f"{where}.gitignore", "wrote", ".gitkitchen/ holds data and is never committed")]

"""``init``: the files of a new project, written beside what is there; what it wrote is kept up to date."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from gitkitchen.automation import editor, folder_of, hook, pinned, workflows
from gitkitchen.errors import Mistake, Place, Problem
from gitkitchen.files import write_atomic
from gitkitchen.frozen import dataclass
from gitkitchen.git import Repository
from gitkitchen.kitchen.config import DEFAULT_STORE, load_project, store_problems
from gitkitchen.kitchen.stores import parse_store, registry_of
from gitkitchen.model import Project
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
store: {store}
ledger: {ledger}
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
_WRITTEN = re.compile(
    re.escape(KITCHEN)
    .replace(re.escape("{{"), re.escape("{"))
    .replace(re.escape("}}"), re.escape("}"))
    .replace(re.escape("{name}"), "[a-z0-9_-]+")
    .replace(re.escape("{id}"), "[0-9a-f]{16}")
    .replace(re.escape("{branch}"), r"[^\s#{}]+")
    .replace(re.escape("{store}"), r"(?P<store>\S+)")
    .replace(re.escape("{ledger}"), "(?P<ledger>folder|branch)")
)
"""``kitchen.yml`` as ``init`` writes it, whatever it was told."""


@dataclass(frozen=True, slots=True)
class Started:
    """What ``init`` did. ``action``: the one that the workflows use, or "" where there are none. ``store``:
    of the project; ``advice``: what people's own files lack, for jobs."""

    offered: tuple[Offered, ...]
    action: str
    store: str
    advice: tuple[Problem, ...] = ()

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


def store_at_hand(folder: Path) -> str:
    """The store that the repository's remote brings along; "" where it is not at github.com."""
    return registry_of(Repository.find(folder).remote() or "")


def write_project(folder: Path, name: str, action: str = "", store: str = "") -> Started:
    """Write a first project into the repository of ``folder``, or bring what ``init`` wrote up to date.

    What people wrote is never changed, except that ``.gitignore`` gains a line. ``action``
    (OWNER/REPO@SHA) is what the workflows use; without one, and none from before, there are none. With one
    the ledger is a branch, and the store the registry of a repository at github.com; ``store`` names
    another. Mistake for an action that is not pinned, for a store that is none, or that a person's
    ``kitchen.yml`` does not name, and for files that cannot be read.
    """
    repository = Repository.find(folder)
    top, below = repository.root, folder_of(folder, repository.root)
    told = read_record(top).told
    first = not told.get("action", "")
    action = action or told.get("action", "")
    if action:
        pinned(action)
    if wrong := tuple(store_problems(folder, store, None)) if store else ():
        raise Mistake(*(replace(p, message=p.message.replace("store:", "--store", 1)) for p in wrong))
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
    at_hand = registry_of(repository.remote() or "") if action else ""
    choice = {"store": _scalar(store or at_hand or DEFAULT_STORE), "ledger": "branch" if action else "folder"}
    new = KITCHEN.format(name=word, id=secrets.token_hex(8), branch=repository.branch() or "main", **choice)
    is_new = not (folder / "kitchen.yml").exists()
    if not is_new:
        done += _set_up(folder, where, choice, store, wanted=bool(store) or (first and bool(action)))
    files = {"kitchen.yml": new, **(EXAMPLE if is_new else {})}
    done += offer(top, {where + path: text for path, text in files.items()}, {}, once=True)
    done += _ignored(folder, where)
    offered = {**editor(below), **hook(action, below)}
    project = load_project(folder) if action or store else None
    if action and project is not None:
        offered |= workflows(project, action, below)
    done += offer(top, offered, {"action": action, "folder": below})
    advice = tuple(_advice(project, where, at_hand)) if action and project is not None else ()
    return Started(tuple(done), action, project.store if project is not None else "", advice)


def _scalar(text: str) -> str:
    """A text as YAML reads it back."""
    return text if re.fullmatch(r"[A-Za-z0-9./][A-Za-z0-9_./:+-]*", text) else json.dumps(text)


def _set_up(
    folder: Path, where: str, choice: Mapping[str, str], store: str, *, wanted: bool
) -> list[Offered]:
    """Once jobs are set up: ledger and store of a ``kitchen.yml`` that is as ``init`` wrote it. A person's
    stays; Mistake where it names another store than the one that was asked for."""
    path = folder / "kitchen.yml"
    if path.is_symlink() or not wanted:
        return []
    text = path.read_bytes().decode(errors="replace")
    found = _WRITTEN.fullmatch(text)
    if found is None:
        project = load_project(folder)
        if store and project.store != store:
            raise Mistake(
                Problem(
                    f"--store: this file is yours, and names '{project.store}'",
                    replace(project.places.get("store", Place("kitchen.yml")), file=f"{where}kitchen.yml"),
                    f"write `store: {store}` there, then run init again",
                    "other-store",
                )
            )
        return []
    given = choice["store"] if store or found["store"] == DEFAULT_STORE else found["store"]
    ledger = "branch" if choice["ledger"] == "branch" else found["ledger"]
    new = f"{text[: found.start('store')]}{given}\nledger: {ledger}\n"
    if new == text:
        return []
    write_atomic(path, new)
    return [Offered(f"{where}kitchen.yml", "updated", f"store: {given}, ledger: {ledger}")]


def _advice(project: Project, where: str, at_hand: str) -> Iterator[Problem]:
    """What jobs lack, in a ``kitchen.yml`` that is a person's."""
    place = Place(f"{where}kitchen.yml")
    if not parse_store(project.store).remote:
        yield Problem(
            f"the store '{project.store}' is a folder: of a hosted runner it ends with the job, and no "
            "environment is published from there",
            place,
            f"`store: {at_hand or 'oci://HOST/REPOSITORY'}`, then run init again for the rights",
            "store-lost",
        )
    if project.ledger != "branch":
        yield Problem(
            "with `ledger: folder` no job sees what another published",
            place,
            "`ledger: branch`, then run init again for the rights",
            "ledger-lost",
        )


def _ignored(folder: Path, where: str) -> list[Offered]:
    ignore = folder / ".gitignore"
    lines = ignore.read_text(encoding="utf-8") if ignore.exists() else ""
    if IGNORED in lines.splitlines():
        return []
    write_atomic(ignore, lines + ("" if not lines or lines.endswith("\n") else "\n") + IGNORED + "\n")
    return [Offered(f"{where}.gitignore", "wrote", ".gitkitchen/ holds data and is never committed")]

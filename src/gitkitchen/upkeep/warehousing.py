"""What kitchens have in a warehouse: what a sandbox leaves there, and what nothing refers to any more."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gitkitchen.data.garbage import Item
from gitkitchen.errors import Mistake
from gitkitchen.frozen import dataclass
from gitkitchen.ledger.registry import Registered
from gitkitchen.model import Kitchen
from gitkitchen.premises import Premises, ledger_mark, store_of

if TYPE_CHECKING:
    from gitkitchen.data.engines.postgres_store import Relations

ELSEWHERE = 30 * 86400.0
"""Seconds for which a ledger that is not ours is believed to be in use, at least."""


def clear(premises: Premises, entry: Registered, environ: Mapping[str, str] = os.environ) -> None:
    """Remove all that only this sandbox had there. Nothing where the project has no warehouse.

    Mistake where somebody's views stand on its own, or the warehouse's secret has no value; Infrastructure
    where it does not answer. What is removed already stays so: the same command goes on.
    """
    if not premises.project.connections.get("warehouse") or entry.environment:
        return
    from gitkitchen.data.engines.postgres_server import warehouse_of
    from gitkitchen.data.engines.postgres_store import Relations, WarehouseStore

    warehouse = warehouse_of(premises.project.connections, environ, premises.project.id)
    if warehouse is None:
        return
    from gitkitchen.data.engines.postgres_views import remove

    kitchen = Kitchen(entry.project, entry.repository, entry.branch, entry.namespace)
    relations = Relations(warehouse, namespace=entry.namespace, zone="sandbox")
    try:
        remove(kitchen, WarehouseStore(store_of(premises.project, kitchen), relations))
        relations.clear()
    finally:
        warehouse.close()


@dataclass(frozen=True, slots=True)
class Unused:
    """What nothing refers to in a warehouse: as items to be shown, and as the engine knows it."""

    items: tuple[Item, ...] = ()
    builds: tuple[Any, ...] = ()
    tables: tuple[Any, ...] = ()


@contextmanager
def collecting(
    premises: Premises, left: list[tuple[str, str]], environ: Mapping[str, str] = os.environ
) -> Iterator[Relations | None]:
    """The warehouse to be looked through; None where the project has none, or its secret has no value here,
    which ``left`` is told."""
    from gitkitchen.data.engines.postgres_server import warehouse_of

    warehouse = warehouse_of(premises.project.connections, environ, premises.project.id)
    if warehouse is None:
        yield None
        return
    from gitkitchen.data.engines.postgres_store import Relations

    try:
        warehouse.parts()
    except Mistake as error:
        left.append(("the warehouse", error.problems[0].message))
        yield None
        return
    try:
        yield Relations(warehouse, namespace="", zone="trusted")
    finally:
        warehouse.close()


def unused(
    relations: Relations,
    premises: Premises,
    fingerprints: Collection[str],
    spaces: Collection[str],
    *,
    now: datetime,
    grace: float,
    keep: float,
    left: list[tuple[str, str]],
) -> Unused:
    """Builds and tables of the trusted zone, and of the sandboxes in ``spaces``, that nothing refers to.

    The trusted zone is left alone, and ``left`` is told, where another ledger than ours published to this
    warehouse lately: what it refers to is not known here.
    """
    from gitkitchen.data.engines import postgres_garbage as garbage

    zones = {relations.sandbox(space) for space in spaces}
    if relations.other_ledgers(ledger_mark(premises.project), max(keep, grace, ELSEWHERE)):
        why = "runs with another ledger published there; with `ledger: branch` all clones share one"
        left.append(("the warehouse's tables of environments", why))
    else:
        zones.add(relations.zone)
    held = garbage.holding(relations)
    before = now - timedelta(seconds=grace)
    builds, tables = garbage.unused(held, fingerprints, zones=zones, before=before)
    place, why = Path("gitkitchen_store"), "nothing refers to it"
    items = [Item("build", place / "builds" / e.fingerprint, e.bytes, why) for e in builds]
    items += [Item("table", place / t.name, t.bytes, why) for t in tables]
    return Unused(tuple(items), tuple(builds), tuple(tables))


def sweep(relations: Relations, found: Unused) -> tuple[list[Item], list[tuple[str, str]]]:
    """Remove what was found; returns what went, and what was left and why."""
    from gitkitchen.data.engines import postgres_garbage as garbage

    left = garbage.remove(relations, found.builds, found.tables)
    names = {what.partition(".")[2] for what, _ in left}
    return [item for item in found.items if item.what != "table" or item.path.name not in names], left

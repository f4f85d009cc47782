"""What a sandbox had in a warehouse: its schema of views, its tables, its builds."""

from __future__ import annotations

import os
from collections.abc import Mapping

from gitkitchen.ledger.registry import Registered
from gitkitchen.model import Kitchen
from gitkitchen.premises import Premises, store_of


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

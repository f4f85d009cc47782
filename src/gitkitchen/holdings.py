"""What a kitchen holds: versions, and tables to be asked by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from gitkitchen.controls.base import Base
from gitkitchen.data.stores import Store
from gitkitchen.errors import Place
from gitkitchen.model import (
    Catalog,
    Kitchen,
    Version,
)
from gitkitchen.past import load_outcome
from gitkitchen.workplace import Workplace

if TYPE_CHECKING:
    from gitkitchen.data.engines.contract import Engine

Layer = tuple[str, Mapping[str, Any], Mapping[str, Place]]


def version_finder(store: Store, catalog: Catalog) -> Callable[[str], Version | None]:
    """Look up the version that a catalog holds of a dataset."""
    store.expect(entry.fingerprint for entry in catalog.entries.values())

    def find(dataset: str) -> Version | None:
        entry = catalog.entries.get(dataset)
        build = store.find(entry.fingerprint) if entry else None
        return build.versions.get(dataset) if build else None

    return find


def base_finder(store: Store, kitchen: Kitchen, catalog: Catalog) -> Callable[[str], Base]:
    """Look up what a dataset is compared with: what a sandbox's base, or the environment, has published."""
    entries = catalog.pinned if kitchen.is_sandbox else catalog.entries
    label = str(kitchen.base if kitchen.is_sandbox else kitchen.environment)

    def find(dataset: str) -> Base:
        entry = entries.get(dataset)
        if entry is None:
            return Base(label=label, why=f"could not compare: {label} has published no '{dataset}' yet")
        build = store.find(entry.fingerprint)
        version = build.versions.get(dataset) if build else None
        if version is None:
            why = f"could not compare: the version of '{dataset}' that {label} published is not in the store"
            return Base(label=label, why=why, lost=True)
        return Base(version, label, "")

    return find


def tables(place: Workplace, candidate: str | None = None) -> dict[str, Version]:
    """Every dataset that a query can name here; a candidate's versions stand before the catalog's."""
    catalog = place.catalog()
    find = version_finder(place.store, catalog)
    found = {name: v for name in catalog.entries if (v := find(name)) is not None}
    if candidate is not None:
        for result in load_outcome(place, candidate).nodes:
            if result.build is not None:
                found |= result.build.versions
    return {name: v for name, v in found.items() if v.format != "file"}


@contextmanager
def open_tables(place: Workplace, candidate: str | None = None) -> Iterator[Engine]:
    """A locked-down engine in which the kitchen's datasets can be queried by name."""
    found = tables(place, candidate)
    with place.engine() as engine:
        engine.offer(found)
        yield engine

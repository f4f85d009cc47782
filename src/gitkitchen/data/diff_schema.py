"""The contract of a dataset: which columns are the same, and what a change means to readers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gitkitchen.data.diff_model import SchemaChange
from gitkitchen.data.diff_sql import Pair
from gitkitchen.data.diff_types import widened
from gitkitchen.model import Column


def paired(a: Sequence[Column], b: Sequence[Column]) -> tuple[list[Pair], list[Column], list[Column]]:
    """Columns that both have (in the order of B; names in any case, as in SQL), gone ones, new ones."""
    before = {_folded(c.name): c for c in a}
    pairs, new = [], []
    for column in b:
        old = before.pop(_folded(column.name), None)
        if old is None:
            new.append(column)
        else:
            pairs.append(Pair(old.name, column.name, old.type, column.type))
    return pairs, list(before.values()), new


def _folded(name: str) -> str:
    return "".join(c.lower() if c.isascii() else c for c in name)


def schema_changes(
    a: Sequence[Column], b: Sequence[Column], renamed: Mapping[Pair, str]
) -> tuple[SchemaChange, ...]:
    """Every change of columns, in the order of B, what is gone last. ``renamed``: likely ones and why."""
    pairs, gone, new = paired(a, b)
    likely = {p.b: (p, why) for p, why in renamed.items()}
    told: dict[str, list[SchemaChange]] = {}
    for pair in pairs:
        told[pair.b] = [*_renamed_by_case(pair), *retyped(pair)]
    for column in new:
        if column.name in likely:
            pair, why = likely[column.name]
            change = SchemaChange("renamed", pair.b, pair.a, pair.b, breaking=True, likely=True, why=why)
            told[column.name] = [change, *retyped(pair)]
        else:
            told[column.name] = [SchemaChange("added", column.name, now=column.type)]
    found = [change for column in b for change in told.get(column.name, [])]
    taken = {p.a for p in renamed}
    found += [SchemaChange("removed", c.name, was=c.type, breaking=True) for c in gone if c.name not in taken]
    if not gone and not new and [p.a for p in pairs] != [c.name for c in a]:
        found.append(SchemaChange("moved", b[0].name if b else "", why="the order of the columns is another"))
    return tuple(found)


def _renamed_by_case(pair: Pair) -> list[SchemaChange]:
    if pair.a == pair.b:
        return []
    why = "only the case of its letters: SQL takes it for the same, programs may not"
    return [SchemaChange("renamed", pair.b, pair.a, pair.b, breaking=True, why=why)]


def retyped(pair: Pair) -> list[SchemaChange]:
    """The change of a column's type, compatible where each value keeps its meaning."""
    if pair.type_a == pair.type_b:
        return []
    wider = widened(pair.type_a, pair.type_b)
    why = "every value fits as it was" if wider else "values may not fit, or mean another thing"
    return [SchemaChange("retyped", pair.b, pair.type_a, pair.type_b, breaking=not wider, why=why)]

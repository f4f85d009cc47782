"""Columns that were likely renamed: one is gone, one is new, and they hold the same."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from gitkitchen.data.diff_sql import Asked, Pair, agreement, signature
from gitkitchen.data.diff_types import group_of
from gitkitchen.model import Column

Fetch = Callable[[str], list[tuple[Any, ...]]]
"""Runs one SELECT and returns its rows."""
_AGREE = 0.9
"""So many rows of the same key must agree for two columns to count as one that was renamed."""


def renamed(
    asked: Asked, gone: Sequence[Column], new: Sequence[Column], rows: tuple[int, int], fetch: Fetch
) -> list[tuple[Pair, str]]:
    """Pairs of a column that is gone and one that is new and looks the same, each with the reason.

    ``rows``: of A and B, for samples; 0 where the engine needs none.
    """
    kinds = {group_of(c.type) for c in gone} & {group_of(c.type) for c in new}
    old = [c for c in gone if group_of(c.type) in kinds][:64]
    fresh = [c for c in new if group_of(c.type) in kinds][:64]
    if not old or not fresh:
        return []
    before = _signatures(asked, "a", old, rows[0], fetch)
    after = _signatures(asked, "b", fresh, rows[1], fetch)
    found: list[tuple[Pair, str]] = []
    used: set[str] = set()
    for column in old:
        match = next(
            (n for n in fresh if n.name not in used and n.type == column.type
             and before[column.name] == after[n.name] and before[column.name][2] > 1),
            None,
        )  # fmt: skip
        if match is not None:
            used |= {match.name}
            found.append((Pair(column.name, match.name, column.type, match.type), "its content is the same"))
    taken = {p.a for p, _ in found}
    if asked.key:
        candidates = [
            Pair(o.name, n.name, o.type, n.type)
            for o in old
            for n in fresh
            if o.name not in taken and n.name not in used and group_of(o.type) == group_of(n.type)
            and _near(before[o.name], after[n.name])
        ][:32]  # fmt: skip
        found += _agreeing(asked, candidates, fetch)
    return found


def _signatures(
    asked: Asked, side: str, columns: Sequence[Column], rows: int, fetch: Fetch
) -> dict[str, tuple[int, int, int, Any, Any]]:
    row = fetch(signature(asked, side, [(c.name, c.type) for c in columns], rows))[0]
    return {
        c.name: (
            int(row[n * 5]),
            int(row[n * 5 + 1] or 0),
            int(row[n * 5 + 2]),
            row[n * 5 + 3],
            row[n * 5 + 4],
        )
        for n, c in enumerate(columns)
    }


def _near(one: tuple[Any, ...], two: tuple[Any, ...]) -> bool:
    """Whether two columns have about as many values and about as many different ones, not just one."""

    def close(x: int, y: int) -> bool:
        return abs(x - y) <= 0.2 * max(x, y)

    return min(one[2], two[2]) > 1 and close(one[0], two[0]) and close(one[2], two[2])


def _agreeing(asked: Asked, candidates: Sequence[Pair], fetch: Fetch) -> list[tuple[Pair, str]]:
    """Of these pairs the ones whose values agree in most rows of the same key, the best first."""
    if not candidates:
        return []
    matched, *same = (int(v) for v in fetch(agreement(asked, candidates))[0])
    ranked = sorted(zip(same, candidates, strict=True), key=lambda item: -item[0])
    found: list[tuple[Pair, str]] = []
    for agree, pair in ranked:
        free = all(pair.a != p.a and pair.b != p.b for p, _ in found)
        if matched and free and agree >= _AGREE * matched:
            found.append((pair, f"{agree:,} of {matched:,} rows with the same key have the same value"))
    return found

"""A matrix: parts of one dataset, made one by one, become one version."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from gitkitchen.errors import Place
from gitkitchen.model import ColumnStats, Failure, FileEntry, Version
from gitkitchen.run.context import NodeFailed


def compose(
    dataset: str,
    parts: Sequence[Version],
    fingerprint: str,
    place: Place,
    content_of: Callable[[Sequence[FileEntry]], str],
    join: Callable[[str, Sequence[Version]], Any] | None = None,
) -> Version:
    """One version of all parts. Its content and its files do not depend on the parts' order.

    ``content_of`` digests the rows of files together, however they are split into files; ``join`` puts the
    tables of a warehouse together.

    Raises NodeFailed where the parts do not fit together.
    """
    first = parts[0]
    for part in parts:
        if part.format != "table":
            message = (
                f"'{dataset}' is a {part.format}: only tables can be put together from the parts of a matrix"
            )
            raise NodeFailed(
                Failure("error", message, place, "write a .parquet file, or take the matrix out")
            )
        if part.columns != first.columns:
            raise NodeFailed(Failure("error", _difference(dataset, first, part), place))
    ordered = sorted(parts, key=lambda part: (part.content, [f.digest for f in part.files]))
    full = [part for part in ordered if part.rows != 0] or ordered[:1]
    if full[0].relation is not None and join is not None:
        return _joined(dataset, full, fingerprint, join)
    counts = [part.rows for part in full]
    files = tuple(file for part in full for file in part.files)
    return Version(
        dataset=dataset,
        format="table",
        fingerprint=fingerprint,
        content=full[0].content if len(full) == 1 else content_of(files),
        columns=first.columns,
        files=files,
        rows=sum(c for c in counts if c is not None) if None not in counts else None,
        stats=_stats(full),
    )


def _joined(
    dataset: str, parts: Sequence[Version], fingerprint: str, join: Callable[[str, Sequence[Version]], Any]
) -> Version:
    if len(parts) == 1:
        return replace(parts[0], fingerprint=fingerprint)
    written = join(dataset, parts)
    return replace(
        parts[0],
        fingerprint=fingerprint,
        content=written.content,
        rows=written.rows,
        stats=written.stats,
        relation=written.relation,
    )


def _stats(parts: Sequence[Version]) -> dict[str, ColumnStats]:
    """Nulls add up; smallest and largest values are texts here and cannot be compared."""
    if len(parts) == 1:
        return dict(parts[0].stats)
    names = [n for n in parts[0].stats if all(n in p.stats for p in parts)]
    return {n: ColumnStats(sum(p.stats[n].nulls for p in parts)) for n in names}


def _difference(dataset: str, one: Version, other: Version) -> str:
    for a, b in zip(one.columns, other.columns, strict=False):
        if a != b:
            return (
                f"the parts of '{dataset}' differ: {a.name} {a.type} in one is {b.name} {b.type} in another"
            )
    return (
        f"the parts of '{dataset}' differ: one has {len(one.columns)} columns, another {len(other.columns)}"
    )

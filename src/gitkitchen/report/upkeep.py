"""``kitchens`` and ``gc`` as text and as documents. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from gitkitchen.data.garbage import Item
from gitkitchen.frozen import dataclass
from gitkitchen.model import State, Verdict
from gitkitchen.report.text import SYMBOLS, VERDICTS, count, safe, size, table

HEAD = ("kitchen", "kind", "age", "last run", "outcome", "only here", "branch", "left")
_MARKS = {Verdict.PASSED: SYMBOLS[State.PASSED], Verdict.FAILED: SYMBOLS[State.FAILED]}


@dataclass(frozen=True, slots=True)
class KitchenRow:
    """A kitchen as it is listed. ``bytes``: what only it holds, and dropping it would free of the store.

    ``exists``: whether Git here knows the branch; None where it cannot tell (a fork's, a queue's).
    ``born`` None: nobody ran anything in it yet. ``last`` is what the ledger remembers of the newest run.
    """

    kitchen: str
    kind: str
    repository: str
    branch: str
    environment: str | None
    namespace: str
    birth: int
    born: datetime | None
    datasets: int
    bytes: int
    exists: bool | None
    here: bool
    last: Mapping[str, Any] | None
    used: datetime | None
    expires: datetime | None


def kitchens_as_document(rows: Iterable[KitchenRow]) -> dict[str, Any]:
    """``{"version": 1, "kitchens": [...]}``; times are ISO 8601 in UTC, null is unknown or never."""
    return {"version": 1, "kitchens": [_row_document(row) for row in rows]}


def _row_document(row: KitchenRow) -> dict[str, Any]:
    last = row.last or {}
    return {
        "kitchen": row.kitchen,
        "kind": row.kind,
        "repository": row.repository,
        "branch": row.branch,
        "environment": row.environment,
        "namespace": row.namespace,
        "birth": row.birth,
        "born": _iso(row.born),
        "used": _iso(row.used),
        "expires": _iso(row.expires),
        "exists": row.exists,
        "here": row.here,
        "datasets": row.datasets,
        "bytes": row.bytes,
        "last": {k: last.get(k) for k in ("run", "recipe", "verdict", "started", "finished")}
        if last
        else None,
    }


def kitchens_as_text(rows: Sequence[KitchenRow], now: datetime) -> str:
    """A line a kitchen; ``*`` marks the one that is checked out."""
    lines = table([_cells(row, now) for row in rows], head=HEAD, widest=60)
    return "\n".join(lines)


def _cells(row: KitchenRow, now: datetime) -> Sequence[str]:
    last = row.last or {}
    left = (row.expires - now).total_seconds() if row.expires else None
    cells = (
        f"{'*' if row.here else ' '} {row.kitchen}",
        row.kind,
        _ago(row.born, now),
        _ago(row.used if last else None, now),
        _outcome(last),
        size(row.bytes),
        {True: "yes", False: "gone", None: "-"}[row.exists],
        "-" if left is None else "over" if left <= 0 else _span(left),
    )
    return [safe(cell) for cell in cells]


def _outcome(last: Mapping[str, Any]) -> str:
    if not last:
        return "-"
    try:
        verdict = Verdict(str(last.get("verdict")))
    except ValueError:
        return str(last.get("verdict") or "-")
    return f"{_MARKS.get(verdict, '!')} {VERDICTS[verdict]}"


def _ago(moment: datetime | None, now: datetime) -> str:
    return "-" if moment is None else _span(max((now - moment).total_seconds(), 0.0))


def _span(seconds: float) -> str:
    """A length of time as one figure: ``3 d``, ``5 h``, ``12 min``, ``40 s``."""
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{int(seconds // length)} {unit}"
    return f"{int(seconds)} s"


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None


# --- gc -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Sweep:
    """What is removed (``applied``) or would be, in that order, and what was left for next time and why.

    ``marked``: what goes from a store on another machine when the grace period is over. ``failed``: something
    was to be removed there, and nothing of it could be."""

    items: tuple[Item, ...]
    applied: bool
    left: tuple[tuple[str, str], ...] = ()
    marked: tuple[Item, ...] = ()
    failed: bool = False

    @property
    def bytes(self) -> int:
        return sum(item.bytes for item in self.items)


_WHAT = {
    "sandbox": ("sandbox", "sandboxes"),
    "zone": ("zone of the store", "zones of the store"),
    "run": ("run folder", "run folders"),
    "build": ("build", "builds"),
    "verdict": ("verdict", "verdicts"),
    "file": ("data file", "data files"),
    "table": ("table of the warehouse", "tables of the warehouse"),
    "temporary": ("temporary file", "temporary files"),
    "cache": ("cached file", "cached files"),
    "lease": ("lease", "leases"),
}
SHOWN = 20


def sweep_as_document(sweep: Sweep) -> dict[str, Any]:
    """``{"version": 1, "applied", "bytes", "items": [{what, path, bytes, why}], "marked": [as items], "left":
    [{what, why}]}``."""
    return {
        "version": 1,
        "applied": sweep.applied,
        "bytes": sweep.bytes,
        "items": [_item_document(i) for i in sweep.items],
        "marked": [_item_document(i) for i in sweep.marked],
        "left": [{"what": what, "why": why} for what, why in sweep.left],
    }


def _item_document(item: Item) -> dict[str, Any]:
    return {"what": item.what, "path": safe(item.place), "bytes": item.bytes, "why": item.why}


def sweep_as_text(sweep: Sweep) -> str:
    """A line a kind with its number and size, sandboxes by name; what is left, and the next step."""
    verb = "removed" if sweep.applied else "would remove"
    lines: list[str] = []
    for what, (one, many) in _WHAT.items():
        items = [i for i in sweep.items if i.what == what]
        if items:
            lines.append(f"{verb} {count(len(items), one, many)}, {size(sum(i.bytes for i in items))}")
            named = items if what in ("sandbox", "zone") else []
            lines += [f"  {safe(i.why)}" for i in named[:SHOWN]]
            if len(named) > SHOWN:
                lines.append(f"  and {len(named) - SHOWN:,} more (--json lists all)")
    lines += list(_marked(sweep))
    lines += [f"left {safe(what)}: {safe(why)}" for what, why in sweep.left]
    if not sweep.items:
        return "\n".join([*lines, "nothing to remove"])
    lines.append(f"{verb} {size(sweep.bytes)} in all")
    if not sweep.applied:
        lines.append("nothing was changed; `gitkitchen gc --apply` removes it")
    return "\n".join(lines)


def _marked(sweep: Sweep) -> Iterator[str]:
    if not sweep.marked:
        return
    verb = "marked" if sweep.applied else "would mark"
    total = sum(item.bytes for item in sweep.marked)
    yield (
        f"{verb} {count(len(sweep.marked), 'thing', 'things')} of the store, {size(total)}: removed by a "
        "`gitkitchen gc --apply` after the grace period, if nothing refers to them by then"
    )

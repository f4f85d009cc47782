"""``ledger status`` and ``ledger compact`` as text and as documents. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gitkitchen.ledger.compacting import Compacted
from gitkitchen.ledger.gaps import Compaction
from gitkitchen.ledger.sizing import BUDGET, Size
from gitkitchen.report.text import count, safe, size, table


def status_text(now: Size, made: Compacted | None, after: int | None, keep: float | None) -> str:
    """``made``: the compaction that `compact` would make, ``after``: bytes of the ledger then; None where it
    would change nothing, or cannot be said."""
    if not now.commits:
        return "the ledger is empty"
    kinds = sorted(now.bytes, key=lambda kind: -now.bytes[kind])
    rows = [(kind, str(now.records.get(kind, "")), size(now.bytes[kind])) for kind in kinds]
    lines = [*table(rows, head=("what", "records", "bytes")), ""]
    begun = f" since {now.since:%Y-%m-%d}" if now.since else ""
    lines.append(f"{size(now.total)} in {count(now.commits, 'commit')}{begun}")
    if now.growth is None:
        lines.append("it has not grown for long enough to say what a year costs")
    else:
        over = ": over its budget" if now.over else ""
        lines.append(f"it grows by {size(round(now.growth))} a year, of {size(BUDGET)}{over}")
    lines += [_told(one) for one in now.compactions]
    if made is None or after is None:
        lines.append("a compaction would change nothing")
    else:
        lines.append(
            f"`gitkitchen ledger compact` would remove {count(made.compaction.records, 'record')} "
            f"and leave about {size(after)}"
        )
    if keep is None:
        lines.append("nothing says how long records are kept: `retention: {runs: 400d}` in kitchen.yml does")
    return "\n".join(lines)


def status_document(
    now: Size, made: Compacted | None, after: int | None, keep: float | None
) -> dict[str, Any]:
    """What `ledger --json` prints: docs/ledger.md. Bytes are those of packed objects."""
    return {
        "version": 1,
        "records": dict(sorted(now.records.items())),
        "bytes": dict(sorted(now.bytes.items())),
        "total": now.total,
        "commits": now.commits,
        "since": now.since.isoformat() if now.since else None,
        "growth": None if now.growth is None else round(now.growth),
        "budget": BUDGET,
        "retention": keep,
        "compactions": [compaction_document(one) for one in now.compactions],
        "compaction": None
        if made is None or after is None
        else {"records": made.compaction.records, "bytes": after},
    }


def compacted_text(made: Compacted | None, *, dry: bool) -> str:
    if made is None:
        return "nothing to compact: there is no record to remove, and no history to close"
    one = made.compaction
    would = "would be " if dry else ""
    gone = f"{count(one.records, 'record')} of {count(len(one.streams or {}), 'stream')}"
    closed = f"{count(made.commits, 'commit')} {would}closed into one"
    lines = [f"{gone} {would}removed, {made.kept} kept; {closed}"]
    if one.before is not None:
        lines.append(f"removed is what was dated before {one.before:%Y-%m-%d %H:%M} UTC and nothing needs")
    if one.archive:
        lines.append(f"what was before {'would be' if dry else 'is'} kept as {one.archive}")
    else:
        lines.append(f"what was before, commit {one.source[:12]}, {would}not kept on the remote")
    return "\n".join(lines)


def compaction_document(one: Compaction) -> dict[str, Any]:
    return {
        "at": one.at.isoformat(),
        "by": one.by,
        "from": one.source,
        "before": one.before.isoformat() if one.before else None,
        "archive": one.archive or None,
        "records": one.records,
        "streams": {name: gone.records for name, gone in sorted((one.streams or {}).items())},
    }


def verified_text(proved: Sequence[tuple[Compaction, bool]], streams: int, problems: int) -> str:
    lines = []
    for one, here in proved:
        how = "checked record by record against what was before" if here else "what was before is not kept"
        lines.append(f"{_told(one)}: {how}")
    lines.append(f"{count(streams, 'stream')} looked at, {count(problems, 'problem')}")
    return "\n".join(lines)


def _told(one: Compaction) -> str:
    gone = count(one.records, "record")
    return safe(f"compacted {one.at:%Y-%m-%d} by {one.by} from {one.source[:12]}: {gone} removed")

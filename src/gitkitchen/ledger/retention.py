"""Which records a compaction may remove: what is old, and what nothing that is kept needs or names.

Removed are records of runs, and publications, dated before a moment. Kept, however old they are:

- all streams but those below ``runs/`` and ``publications/``: landings, holds, incidents, approvals,
  evidence, alerts, schedules, kitchens, what was acknowledged;
- the last record of every stream, so that its end, and what comes next, stays known;
- whatever a record that is kept names by its id, as a landing names the runs that proved it;
- of a schedule that is in force, the runs for intervals that are not settled;
- publications that came with a landing, and all since the last landing: what was shown right before it is
  what a rollback goes back to;
- a publication that a dataset was published by last, as of the newest record that may go: so a catalog
  is, from there on, what it was.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from gitkitchen.ledger.gaps import REMOVABLE, STREAM, Removed, removed
from gitkitchen.ledger.records import Record
from gitkitchen.model import LEAST_RETENTION

LEAST = timedelta(seconds=LEAST_RETENTION)

_ID = re.compile(r"[0-9a-f]{64}")
Streams = Mapping[str, Sequence[Record]]
"""All records of a ledger, by stream, in order."""


def moment_of(body: Mapping[str, Any]) -> datetime | None:
    """The date of a run's record or a publication: when the run ended, or began, as its name says."""
    try:
        found = datetime.fromisoformat(str(body["finished"]))
        return found if found.tzinfo else None
    except (KeyError, ValueError):
        pass
    try:
        return datetime.strptime(str(body["run"])[:15], "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
    except (KeyError, ValueError):
        return None


def removable(streams: Streams, before: datetime, *, once: bool = False) -> dict[str, list[Record]]:
    """The records that may go, by stream, in order, where what was dated before a moment need not be kept.

    ``once``: those that may have gone at any time since, whatever was recorded later. Later records make
    others less needed, but for a schedule that is in force again: its rule is left out.
    """
    return {name: gone for name, (gone, _) in _judged(streams, before, {} if once else None).items()}


def statements(streams: Streams, before: datetime) -> dict[str, Removed]:
    """What a compaction says of the records that may go."""
    return {name: removed(gone, through) for name, (gone, through) in _judged(streams, before).items()}


def _judged(
    streams: Streams, before: datetime, unsettled: Mapping[tuple[str, str], int] | None = None
) -> dict[str, tuple[list[Record], int]]:
    """By stream the records that may go, and the number up to which records were looked at."""
    named = set(_named(streams))
    unsettled = _unsettled(streams) if unsettled is None else unsettled
    found: dict[str, tuple[list[Record], int]] = {}
    for name, records in streams.items():
        if not name.startswith(REMOVABLE):
            continue
        old = _old(records, before)
        if name.startswith("publications/"):
            old = _unneeded(records, old)
        else:
            old = [r for r in old if r.sequence <= unsettled.get(_variation(name, r), r.sequence)]
        through = old[-1].sequence if old else 0
        gone = [r for r in old if r.id not in named]
        if name.startswith("publications/"):
            newest = _newest(records, through)
            gone = [r for r in gone if not r.body.get("landing") and r.sequence not in newest]
        if gone:
            found[name] = (gone, through)
    return found


def _old(records: Sequence[Record], before: datetime) -> list[Record]:
    """The records that are dated before a moment and stand behind none that is not: a clock that was slow
    makes nothing older than what was there before it. One without a date is not old, and the last is kept."""
    found: list[Record] = []
    for one in records[:-1]:
        at = moment_of(one.body)
        if at is None:
            continue
        if at >= before:
            break
        found.append(one)
    return found


def _unneeded(records: Sequence[Record], old: list[Record]) -> list[Record]:
    landed = [r.sequence for r in records if r.body.get("landing")]
    return [r for r in old if not landed or r.sequence < landed[-1]]


def _newest(records: Sequence[Record], through: int) -> set[int]:
    """The publications that tell of some dataset last, of those up to a number."""
    last: dict[str, int] = {}
    for one in records:
        if one.sequence > through:
            break
        datasets = one.body.get("datasets")
        for dataset in datasets if isinstance(datasets, Mapping) else ():
            last[dataset] = one.sequence
    return set(last.values())


def _named(streams: Streams) -> Iterator[str]:
    """All that may be ids of records in what is never removed."""
    for name, records in streams.items():
        if not name.startswith(REMOVABLE) and name != STREAM:  # a compaction names what it removed
            for one in records:
                yield from _texts(one.body)


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        if _ID.fullmatch(value):
            yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _texts(inner)


def _unsettled(streams: Streams) -> dict[tuple[str, str], int]:
    """(stream of runs, variation) -> the number behind which runs for intervals still count."""
    homes: dict[str, set[str]] = {}
    for name, records in streams.items():
        if name.startswith("kitchens/"):
            for one in records:
                homes.setdefault(str(one.body.get("environment")), set()).add(name.partition("/")[2])
    found: dict[tuple[str, str], int] = {}
    for name, records in streams.items():
        parts = name.split("/")
        if parts[0] != "schedules" or len(parts) != 3:
            continue
        recipe, _, variation = parts[2].partition(".")
        runs, begun = 0, False
        for one in records:
            kind = one.body.get("kind")
            begun = kind == "begun" or (begun and kind != "stopped")
            if kind == "settled" and isinstance(one.body.get("runs", 0), int):
                runs = one.body.get("runs", 0)
        if begun:
            found |= {(f"runs/{home}/{recipe}", variation): runs for home in homes.get(parts[1], ())}
    return found


def _variation(stream: str, record: Record) -> tuple[str, str]:
    """What a run was of, where it was for an interval."""
    return (stream, str(record.body.get("variation") or "")) if record.body.get("interval") else (stream, "")

"""What is to be done about a schedule at ``now``: which runs begin, and what is recorded. Pure.

Whoever asks again after it was done is told nothing new: an event that comes twice, late, or in another order
changes no end.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta

from gitkitchen.frozen import dataclass
from gitkitchen.model import Schedule
from gitkitchen.schedule.shapes import Due, Interval
from gitkitchen.schedule.standing import Stands, Whose, stand
from gitkitchen.schedule.timeline import History, Told, intervals, opening

SETTLE = 100
"""Intervals that have ended are settled when there are so many of them, so that nobody counts them again."""
KEPT = timedelta(days=2)
"""What ended so lately is not settled yet: a run for it may still come in."""
SHOWN = 100
"""Intervals that are recorded as missed at once, the newest; those before them are superseded."""


@dataclass(frozen=True, slots=True)
class Todo:
    """``begin``: the runs to begin, in their order; ``records``: what is to be recorded first."""

    begin: tuple[Due, ...] = ()
    records: tuple[Told, ...] = ()


def todo(
    whose: Whose,
    schedule: Schedule,
    history: History,
    now: datetime,
    *,
    running: Collection[Interval] = (),
) -> Todo:
    """What the clock does. ``running``: intervals for which a run is under way, as far as that is known."""
    records: list[Told] = []
    first = opening(schedule, history, now)
    if first is not None:
        records.append(first)
        history = history.adding(records)
    stands = stand(whose, schedule, history, now, promises=False)
    if history.pause is not None:
        return Todo((), tuple(records))
    open_ = [one for one in stands if one.open and one.interval not in running]
    over = [one for one in open_[: -schedule.most] if not one.asked]
    kept = [one for one in open_ if one not in over]
    records += _superseded(stands, over, kept, now)
    records += _settled(history, stands, over, now)
    return Todo(tuple(one.standing.due for one in kept), tuple(records))


def _superseded(stands: list[Stands], over: list[Stands], kept: list[Stands], now: datetime) -> list[Told]:
    """The intervals that are not caught up, those that follow each other in one record."""
    if not over:
        return []
    covered = next(one.interval for one in kept if one.interval > over[-1].interval)
    chosen = {one.interval for one in over}
    groups: list[list[Interval]] = []
    for one in stands:
        if one.interval not in chosen:
            groups.append([])
        elif not groups or (groups[-1] and groups[-1][-1].end != one.interval.start):
            groups.append([one.interval])
        else:
            groups[-1].append(one.interval)
    return [
        Told(
            "superseded",
            now,
            Interval(group[0].start, group[-1].end),
            covered=covered,
            reason=f"{len(group)} not caught up: covered by the run for {covered.name}",
        )
        for group in groups
        if group
    ]


def _settled(history: History, stands: list[Stands], over: list[Stands], now: datetime) -> list[Told]:
    """The record behind which nobody needs to look any more, when it is worth one."""
    ended = {one.interval for one in over}
    # While the past is caught up, its last run is the sign of that, and is not to be looked past.
    last = max(history.runs, key=lambda r: r.finished, default=None)
    seen = history.seen
    sign = last.interval if last is not None and seen is not None and last.interval.end <= seen else None
    until: datetime | None = None
    count = 0
    for one in stands:
        if (one.open and one.interval not in ended) or one.interval.end > now - KEPT:
            break
        if one.interval == sign:
            break
        until, count = one.interval.end, count + 1
    if until is None or count < SETTLE:
        return []
    later = [r.sequence for r in history.runs if r.interval.end > until]
    known = [r.sequence for r in history.runs]
    return [Told("settled", until, runs=max(0, min(later) - 1) if later else max(known, default=0))]


def refusal(whose: Whose, schedule: Schedule, history: History, interval: Interval, now: datetime) -> str:
    """Why no run may begin for an interval now; "" where it may. By the same history that the clock read, so
    that an event which came twice, or a job that waited for long, begins nothing that has its end."""
    if history.pause is not None:
        return f"the schedule is paused{f' by {history.pause.by}' if history.pause.by else ''}"
    stands = stand(whose, schedule, history, now, promises=False)
    own = next((one for one in stands if one.interval == interval), None)
    if own is None:
        return "it is no interval of the schedule, or it ended long ago"
    if not own.open:
        return f"it has ended: {own.standing.said}"
    older = [one for one in stands if one.open and one.interval < interval][-schedule.most + 1 or None :]
    if schedule.order == "oldest_first" and schedule.most > 1 and older:
        return f"the interval before it, {older[0].interval.name}, has not ended"
    return ""


def noticed(whose: Whose, schedule: Schedule, history: History, now: datetime) -> list[Told]:
    """What whoever looks records of a schedule that stopped: each interval whose time has passed without a
    run, once. A schedule that nobody has seen yet, or that is paused, misses nothing."""
    if history.era is None or history.pause is not None:
        return []
    known = {t.interval for t in history.told if t.kind == "missed"}
    found = [
        one
        for one in stand(whose, schedule, history, now, promises=False)
        if one.standing.state == "missed" and one.interval not in known
    ]
    return [Told("missed", now, one.interval, reason=one.standing.said) for one in found[-SHOWN:]]


def stopping(history: History, now: datetime) -> list[Told]:
    """What is recorded of a schedule that was taken away: its open intervals have this end."""
    if history.era is None:
        return []
    settled = {r.interval for r in history.runs if r.judged}
    left = [i for i in intervals(history, now) if i not in settled]
    records = []
    if left:
        span = Interval(left[0].start, left[-1].end)
        records.append(Told("superseded", now, span, reason="the schedule was taken away"))
    return [*records, Told("stopped", now)]

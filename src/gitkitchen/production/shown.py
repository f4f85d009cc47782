"""Schedules as people and machines see them: how each stands, what comes next, who paused it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from gitkitchen.document.words import near
from gitkitchen.errors import Mistake, Problem
from gitkitchen.frozen import dataclass
from gitkitchen.model import Schedule
from gitkitchen.printed import text_safe
from gitkitchen.production import reading
from gitkitchen.production.clock import Watch
from gitkitchen.road.ground import environment_named
from gitkitchen.schedule.shapes import Interval, Standing
from gitkitchen.schedule.standing import Stands, Whose, stand
from gitkitchen.schedule.timeline import Told, coming, intervals

LAST = 10
"""Intervals of a schedule that are shown."""


@dataclass(frozen=True, slots=True)
class Shown:
    """One schedule at one moment. ``next``: the interval that ends next; ``stands``: oldest first."""

    whose: Whose
    schedule: Schedule
    next: Interval | None
    pause: Told | None
    stands: tuple[Stands, ...]


def look(watch: Watch, now: datetime, *, environment: str | None = None, name: str = "") -> list[Shown]:
    """Every schedule of a project, as it stands at ``now``. Mistake where the name is of none."""
    ledger, project = watch.ground.ledger, watch.ground.project
    found = []
    for whose, schedule in _chosen(watch, environment, name):
        of = reading.scheduled(ledger, project, whose, schedule)
        stands = tuple(stand(whose, schedule, of.history, now))
        found.append(Shown(whose, schedule, coming(of.history, now), of.history.pause, stands))
    return found


def standings(watch: Watch, now: datetime) -> list[Standing]:
    """How every interval stands that is not settled, and what was promised of it and not kept."""
    return [
        standing
        for one in look(watch, now)
        for stands in one.stands
        for standing in (stands.standing, *stands.broken)
    ]


def turn(
    watch: Watch, kind: str, by: str, now: datetime, *, environment: str | None, name: str, reason: str
) -> list[Whose]:
    """Pause or let go on (``kind``: paused, resumed); those for which it is new."""
    if not name:
        hint = "name a recipe, or a variation as RECIPE.VARIATION"
        raise Mistake(Problem(f"nothing is named to be {kind}", hint=hint))
    ledger, project = watch.ground.ledger, watch.ground.project
    turned = []
    for whose, schedule in _chosen(watch, environment, name):
        of = reading.scheduled(ledger, project, whose, schedule)
        if (of.history.pause is not None) != (kind == "paused"):
            reading.append(ledger, of, [Told(kind, now, by=by, reason=reason)])
            turned.append(whose)
    return turned


def again(
    watch: Watch,
    by: str,
    now: datetime,
    *,
    environment: str | None,
    name: str,
    interval: Interval,
    reason: str,
) -> list[Whose]:
    """Ask for another run for an interval that has its end. Mistake for one that is none, or long settled."""
    ledger, project = watch.ground.ledger, watch.ground.project
    asked = []
    for whose, schedule in _chosen(watch, environment, name):
        of = reading.scheduled(ledger, project, whose, schedule)
        if name and interval in intervals(of.history, now):
            reading.append(ledger, of, [Told("again", now, interval, by=by, reason=reason)])
            asked.append(whose)
    if not asked:
        hint = "`gitkitchen schedule list` shows the last; `gitkitchen backfill` builds anew what is older"
        raise Mistake(
            Problem(f"{interval.name} is no interval of '{name[:80]}' that can run again", hint=hint)
        )
    return asked


def _chosen(watch: Watch, environment: str | None, name: str) -> list[tuple[Whose, Schedule]]:
    if environment is not None:
        environment_named(watch.ground.project, environment)
    everything = [
        (whose, schedule) for schedules in watch.declared.values() for whose, schedule in schedules.items()
    ]
    chosen = [
        (whose, schedule)
        for whose, schedule in sorted(everything, key=lambda item: (item[0].recipe, item[0].variation))
        if environment in (None, whose.environment) and name in ("", whose.recipe, whose.name)
    ]
    if name and not chosen:
        known = sorted({whose.name for whose, _ in everything})
        hint = near(name, known) or (f"there are {', '.join(known[:20])}" if known else "there is none")
        where = f" in '{environment}'" if environment else ""
        raise Mistake(Problem(f"nothing named '{name[:80]}' runs by the clock{where}", hint=hint))
    return chosen


# --- text and document ------------------------------------------------------------------------------


def document(found: Iterable[Shown], now: datetime) -> dict[str, Any]:
    """``schedule list --json``."""
    return {
        "version": 1,
        "at": now.isoformat(),
        "schedules": [
            {
                "environment": one.whose.environment,
                "recipe": one.whose.recipe,
                "variation": one.whose.variation,
                "cron": one.schedule.cron,
                "timezone": one.schedule.timezone,
                "next": one.next.iso() if one.next else None,
                "paused": _paused(one.pause) if one.pause else None,
                "intervals": [_interval(s) for s in one.stands[-LAST:]],
            }
            for one in found
        ],
    }


def _paused(pause: Told) -> dict[str, str]:
    return {"by": pause.by, "at": pause.at.isoformat(), "reason": pause.reason}


def _interval(stands: Stands) -> dict[str, Any]:
    one = stands.standing
    return {
        "interval": one.due.interval.iso(),
        "state": one.state,
        "run": one.run,
        "late": round(one.late),
        "said": one.said,
        "broken": [{"state": b.state, "late": round(b.late), "said": b.said} for b in stands.broken],
    }


def text(found: Sequence[Shown]) -> str:
    """For people: each schedule with when it comes next, its last intervals, what is wrong."""
    if not found:
        return "nothing runs by the clock: give a variation a `schedule:`"
    lines: list[str] = []
    for one in found:
        schedule = one.schedule
        lines.append(f"{one.whose.environment}: {one.whose.name}  ({schedule.cron} {schedule.timezone})")
        if one.pause is not None:
            why = f": {one.pause.reason}" if one.pause.reason else ""
            lines.append(
                f"  paused by {one.pause.by or 'somebody'} at {one.pause.at:%Y-%m-%d %H:%M} UTC{why}"
            )
        elif one.next is not None:
            lines.append(f"  next at {one.next.end:%Y-%m-%d %H:%M} UTC")
        else:
            lines.append("  the clock has not seen it yet")
        for stands in one.stands[-LAST:]:
            own = stands.standing
            said = f": {own.said}" if own.said and own.state != "run" else (f": {own.run}" if own.run else "")
            lines.append(f"  {own.due.interval.name}  {own.state.replace('_', ' ')}{said}")
            lines += [f"    {b.state.replace('_', ' ')}: {b.said}" for b in stands.broken]
    return "\n".join(text_safe(line) for line in lines)

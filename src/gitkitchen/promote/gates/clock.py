"""Windows of a week by the clocks on a wall, daylight saving both ways.

An instant is inside when the clock of the zone shows a time inside: an hour that is shown twice is inside
twice, one that is skipped never comes. Nothing is counted in hours since an opening.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from gitkitchen.model import Freeze, Window

DAY = 1440
AHEAD = 22
"""Days that are searched for an opening: a weekly one that a skipped hour swallows comes a week later."""
_HOUR = timedelta(hours=1)


@lru_cache(maxsize=64)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)


def is_open(window: Window, at: datetime) -> bool:
    """Whether the clock in the window's zone shows a time inside it at ``at`` (aware)."""
    local = at.astimezone(_zone(window.timezone))
    passed = local.hour * 60 + local.minute  # seconds within a minute never matter
    return _begins(window, local.date(), passed) or _begins(
        window, local.date() - timedelta(days=1), passed + DAY
    )


def _begins(window: Window, day: date, minute: int) -> bool:
    """Whether the window that begins on ``day`` covers a minute counted from that day's midnight."""
    alive = window.expires is None or day <= window.expires
    return alive and day.weekday() in window.days and window.start <= minute < window.end


def is_over(window: Window, at: datetime) -> bool:
    """Whether it will never be open again."""
    if window.expires is None:
        return False
    local = at.astimezone(_zone(window.timezone))
    return not is_open(window, at) and local.date() > window.expires


def freezes(freeze: Freeze, at: datetime) -> bool:
    """Whether it holds at ``at``."""
    if freeze.window is not None:
        return is_open(freeze.window, at)
    return freeze.start is not None and freeze.end is not None and freeze.start <= at < freeze.end


def opening(windows: Iterable[Window], at: datetime) -> datetime | None:
    """The first moment from ``at`` on at which one is open; None where none is in the next three weeks."""
    every = tuple(windows)
    if any(is_open(w, at) for w in every):
        return at
    moments = sorted({m for w in every for m in _edges(w, at) if m >= at})
    return next((m for m in moments if any(is_open(w, m) for w in every)), None)


def thaw(every: Iterable[Freeze], at: datetime) -> datetime | None:
    """The first moment from ``at`` on at which no freeze holds; None where that is not to be foreseen."""
    kept = tuple(every)
    moment = at
    for _ in range(200):  # each turn passes the end of one that holds
        holding = [f for f in kept if freezes(f, moment)]
        if not holding:
            return moment
        ends = [end for f in holding if (end := _end(f, moment)) is not None]
        if len(ends) < len(holding):
            return None
        moment = max(ends)
    return None


def _end(freeze: Freeze, at: datetime) -> datetime | None:
    if freeze.window is None:
        return freeze.end
    window = freeze.window
    moments = sorted(m for m in _edges(window, at) if m > at)
    return next((m for m in moments if not is_open(window, m)), None)


def _edges(window: Window, at: datetime) -> Iterator[datetime]:
    """Every moment near ``at`` at which it may open or close: its bounds by the clock, and jumps of the
    clock."""
    zone = _zone(window.timezone)
    first = at.astimezone(zone).date() - timedelta(days=2)
    for number in range(AHEAD + 3):
        day = first + timedelta(days=number)
        for minute in (window.start, window.end):
            wall = datetime.combine(day, time()) + timedelta(minutes=minute)
            for fold in (0, 1):
                yield wall.replace(tzinfo=zone, fold=fold).astimezone(UTC)
        yield from _jumps(window.timezone, datetime.combine(day, time(), UTC))


@lru_cache(maxsize=2048)
def _jumps(name: str, start: datetime) -> tuple[datetime, ...]:
    """The moments of a UTC day at which the clock of a zone jumps, to the minute."""
    zone = _zone(name)
    found = []
    moment, end = start, start + timedelta(days=1)
    while moment < end:
        after = moment + _HOUR
        if moment.astimezone(zone).utcoffset() != after.astimezone(zone).utcoffset():
            low, high = moment, after
            while high - low > timedelta(minutes=1):
                middle = low + timedelta(minutes=(high - low) // timedelta(minutes=2))
                if middle.astimezone(zone).utcoffset() == moment.astimezone(zone).utcoffset():
                    low = middle
                else:
                    high = middle
            found.append(high)
        moment = after
    return tuple(found)

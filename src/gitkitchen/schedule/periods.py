"""The partitions that a span of time touches: whole days, months, … of UTC."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from gitkitchen.schedule.shapes import Interval

GRAINS = ("hour", "day", "week", "month", "quarter", "year")


def floor(moment: datetime, grain: str) -> datetime:
    """The beginning of the partition that holds a moment, as ``date_trunc`` gives it."""
    if grain == "hour":
        return moment.replace(minute=0, second=0, microsecond=0)
    day = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    if grain == "week":
        return day - timedelta(days=day.weekday())
    if grain == "month":
        return day.replace(day=1)
    if grain == "quarter":
        return day.replace(day=1, month=(day.month - 1) // 3 * 3 + 1)
    return day.replace(day=1, month=1) if grain == "year" else day


def following(start: datetime, grain: str) -> datetime:
    """The beginning of the partition behind one that begins at ``start``."""
    months = {"month": 1, "quarter": 3, "year": 12}.get(grain)
    if months is None:
        return start + {"hour": timedelta(hours=1), "week": timedelta(days=7)}.get(grain, timedelta(days=1))
    month = start.month - 1 + months
    return start.replace(year=start.year + month // 12, month=month % 12 + 1)


def touched(start: datetime, end: datetime, grain: str) -> Iterator[Interval]:
    """The partitions that [start, end) touches, oldest first, each whole."""
    at = floor(start, grain)
    while at < end:
        after = following(at, grain)
        yield Interval(at, after)
        at = after


def halves(parts: list[Interval]) -> tuple[list[Interval], list[Interval]]:
    middle = len(parts) // 2
    return parts[:middle], parts[middle:]

"""The times that a cron expression names on the clock of a time zone.

Counted as Debian's cron counts (the library follows it): a job of a fixed hour whose time a clock skips runs
right behind the gap, one whose time a clock shows twice runs once, at the first; what runs every hour or
every so many minutes runs by real time. Two times that fall together are one.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from functools import cache, lru_cache
from zoneinfo import ZoneInfo

FIELDS = ("minute", "hour", "day of month", "month", "day of week")
_NICK = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_REFERENCE = datetime(2024, 1, 1, tzinfo=UTC)
"""A leap year: what no date of the four years from here on answers is answered by none."""
_TICK = timedelta(microseconds=1)
LONGEST = timedelta(days=8 * 366)
"""Between two times of one expression: the 29th of February around 2100."""


def problem(expression: str) -> tuple[str, str]:
    """What is wrong with an expression, and what to write; two empty texts where nothing is."""
    import cronsim

    words = expression.split()
    if expression.strip().lower() in _NICK:
        return f"'{expression.strip()}' is a nickname", f"write '{_NICK[expression.strip().lower()]}'"
    if len(words) != len(FIELDS):
        what = "a field" if len(words) == 1 else f"{len(words)} fields"
        return f"'{expression[:60]}' has {what}", f"cron has five: {', '.join(FIELDS)}"
    try:
        first = next(cronsim.CronSim(expression, _REFERENCE))
    except cronsim.CronSimError as error:
        return f"'{expression[:60]}' is no cron expression: {str(error)[:60]}", _hint(words)
    except StopIteration:
        return f"'{expression[:60]}' names a day that no calendar has", "see its day of month and month"
    return ("", "") if first - _REFERENCE <= LONGEST else (f"'{expression[:60]}' is too rare", "")


def _hint(words: list[str]) -> str:
    """Which field cannot stand by itself."""
    import cronsim

    for number, name in enumerate(FIELDS):
        alone = ["*"] * len(FIELDS)
        alone[number] = words[number]
        try:
            cronsim.CronSim(" ".join(alone), _REFERENCE)
        except cronsim.CronSimError:
            return f"the {name}, '{words[number][:30]}', is none"
    return f"cron has five fields: {', '.join(FIELDS)}"


def after(expression: str, timezone: str, moment: datetime) -> Iterator[datetime]:
    """The times behind ``moment``, in UTC, each once, without end. ValueError for no expression."""
    moment = moment.astimezone(UTC)
    year, month, found = moment.year, moment.month, moment
    while moment - found < LONGEST and year < datetime.max.year:
        ticks = _month(expression, timezone, year, month)
        for tick in ticks[bisect_right(ticks, moment) :]:
            yield tick
            found = tick
        year, month = (year, month + 1) if month < 12 else (year + 1, 1)
        moment = max(moment, datetime(year, month, 1, tzinfo=UTC) - _TICK)


def before(expression: str, timezone: str, moment: datetime) -> datetime:
    """The last time at or before ``moment``, in UTC. ValueError for no expression."""
    moment = moment.astimezone(UTC)
    year, month = moment.year, moment.month
    while moment.year - year <= LONGEST.days // 365:
        ticks = _month(expression, timezone, year, month)
        place = bisect_right(ticks, moment)
        if place:
            return ticks[place - 1]
        year, month = (year, month - 1) if month > 1 else (year - 1, 12)
    raise ValueError(f"'{expression[:60]}' is too rare")


@cache
def _zone(name: str) -> tzinfo:
    return UTC if name == "UTC" else ZoneInfo(name)


@lru_cache(maxsize=1024)
def _month(expression: str, timezone: str, year: int, month: int) -> tuple[datetime, ...]:
    """The times of one month of UTC, counted once: whoever looks at a schedule asks again and again."""
    from cronsim import CronSim, CronSimError

    first = datetime(year, month, 1, tzinfo=UTC)
    end = datetime(year + month // 12, month % 12 + 1, 1, tzinfo=UTC)
    try:
        # From a day before: begun inside of an hour that a clock shows twice, it would count from the first.
        ticks = CronSim(expression, (first - timedelta(days=1)).astimezone(_zone(timezone)))
    except CronSimError as error:
        raise ValueError(f"'{expression[:60]}' is no cron expression: {error}") from None
    found: list[datetime] = []
    for tick in ticks:
        moment = tick.astimezone(UTC)
        if moment >= end:
            break
        if moment >= first and (not found or moment > found[-1]):  # it may give a time twice
            found.append(moment)
    return tuple(found)

"""What a scheduled run waits for: looked at once. Whoever waits ends, and the next event looks again."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from glob import has_magic
from itertools import islice
from pathlib import Path

from gitkitchen.data.fetching import answers
from gitkitchen.errors import GitKitchenError
from gitkitchen.files import matching
from gitkitchen.holdings import open_tables
from gitkitchen.kitchen.identity import environment_namespace
from gitkitchen.model import Schedule, Wait
from gitkitchen.reading import read_recipes
from gitkitchen.recipe.schedules import moments
from gitkitchen.schedule.shapes import Interval
from gitkitchen.workplace import Workplace


def lacking(place: Workplace, schedule: Schedule, interval: Interval, now: datetime) -> str:
    """The first thing that is not there yet, in words; "" where all is.

    Infrastructure where that cannot be told: what cannot be looked at is not taken for there.
    """
    for wait in schedule.wait_for:
        look: Callable[[Workplace, Wait, Interval, datetime], str] = LOOKS[wait.kind]
        said = look(place, wait, interval, now)
        if said:
            return said
    return ""


def _fresh(place: Workplace, wait: Wait, interval: Interval, now: datetime) -> str:
    """The newest run of the recipe that makes the dataset which passed and was published, wherever it ran."""
    makers = {d: raw.name for raw in read_recipes(place.project).recipes.values() for d in raw.datasets}
    maker = makers.get(wait.what, "")
    since = now - timedelta(seconds=wait.within) if wait.within is not None else interval.end
    environment = place.project.environment(place.kitchen.environment or "")
    space = environment_namespace(place.project, environment) if environment else place.kitchen.namespace
    newest = _newest(place, f"runs/{space}/{maker}") if wait.what in place.catalog().entries else None
    if newest is not None and newest >= since:
        return ""
    was = f"was last made at {newest:%Y-%m-%d %H:%M} UTC" if newest else "was never published here"
    return f"dataset '{wait.what}' {was}, and is wanted since {since:%Y-%m-%d %H:%M} UTC"


def _newest(place: Workplace, stream: str) -> datetime | None:
    found: datetime | None = None
    head = place.ledger.head(stream)
    step = 200
    for after in range(max(0, head - step), -step, -step):
        for record in islice(place.ledger.read(stream, max(0, after)), step):
            publication = record.body.get("publication") or {}
            good = publication.get("state") in ("published", "unchanged")
            if record.body.get("verdict") == "passed" and good:
                moment = datetime.fromisoformat(record.body["finished"])
                found = moment if found is None else max(found, moment)
        if found is not None:
            return found
    return found


def _file(place: Workplace, wait: Wait, interval: Interval, _now: datetime) -> str:
    name = moments(wait.what, interval.start, interval.end)
    path = place.project.root / name  # an absolute one stays what it is
    if has_magic(name):
        anchor = Path(path.anchor)
        there = any(found.exists() for found in matching(anchor, str(path.relative_to(anchor))))
    else:
        there = path.exists()
    return "" if there else f"there is no file '{name}' yet"


def _url(_place: Workplace, wait: Wait, interval: Interval, _now: datetime) -> str:
    address = moments(wait.what, interval.start, interval.end)
    return "" if answers(address) else f"nothing answers at {address} yet"


def _query(place: Workplace, wait: Wait, interval: Interval, _now: datetime) -> str:
    given = {"interval_start": interval.start.astimezone(UTC), "interval_end": interval.end.astimezone(UTC)}
    try:
        with open_tables(place) as engine:
            named: Iterable[str] = engine.parameters(wait.what)
            params = {name: value for name, value in given.items() if name in named}
            _, rows = engine.fetch(wait.what, params=params, limit=1)
    except GitKitchenError as error:
        # What it asks of may not be published yet; a mistake in it is told all the same.
        return f"the query does not answer yet: {error.problems[0].message}"
    return "" if rows and rows[0][0] is True else f"the query '{wait.what[:80]}' is not true yet"


LOOKS: dict[str, Callable[[Workplace, Wait, Interval, datetime], str]] = {
    "fresh": _fresh,
    "file": _file,
    "url": _url,
    "query": _query,
}

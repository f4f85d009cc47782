"""``schedule:`` of a variation: read into a value, and what the schema cannot say of it."""

from __future__ import annotations

import string
from collections.abc import Collection, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Literal

from gitkitchen.document import Document
from gitkitchen.document.words import near
from gitkitchen.errors import Problem
from gitkitchen.kitchen.gates import moment, zone
from gitkitchen.kitchen.settings import duration
from gitkitchen.model import Expect, Schedule, Wait

KINDS: tuple[Literal["fresh", "file", "url", "query"], ...] = ("fresh", "file", "url", "query")
_PATH = tuple[str | int, ...]


def read(document: Document, variation: str, said: Any) -> Schedule | None:
    """A schedule whose file ``problems`` finds nothing wrong with; parts that mean nothing are left out."""
    if not isinstance(said, Mapping) or not isinstance(said.get("cron"), str):
        return None
    keys: _PATH = ("variations", variation, "schedule")
    catch_up, expect = said.get("catch_up") or {}, said.get("expect") or {}
    return Schedule(
        cron=" ".join(said["cron"].split()),
        timezone=said.get("timezone", "UTC"),
        since=_since(said),
        most=int(catch_up.get("most", 1)),
        order=catch_up.get("order", "oldest_first"),
        wait_for=tuple(
            _wait(document, (*keys, "wait_for", index), item)
            for index, item in enumerate(said.get("wait_for") or ())
        ),
        deadline=duration(said.get("deadline", "6h")),
        expect=Expect(
            start=_seconds(expect, "start"),
            end=_seconds(expect, "end"),
            longest=_seconds(expect, "longest"),
            missing=duration(expect.get("missing", "6h")),
            nodes=tuple(expect.get("nodes") or ()),
        ),
        place=document.place(*keys),
    )


def _seconds(said: Mapping[str, Any], key: str) -> float | None:
    return duration(said[key]) if key in said else None


def _since(said: Mapping[str, Any]) -> datetime | None:
    text = said.get("since")
    if text is None:
        return None
    try:
        if len(text) == len("2026-03-01"):
            return moment(text, said.get("timezone", "UTC"), last=False)
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _wait(document: Document, path: _PATH, item: Mapping[str, Any]) -> Wait:
    kind = next(k for k in KINDS if k in item)
    within = duration(item["within"]) if "within" in item else None
    return Wait(kind, str(item[kind]), within, document.place(*path))


def moments(text: str, start: datetime, end: datetime) -> str:
    """A text with ``{start}`` and ``{end}`` filled in. ValueError for other braces."""
    for name, form, conversion in _holes(text):
        if name not in ("start", "end") or conversion or "{" in form:
            raise ValueError(f"'{{{name[:40]}}}' is neither {{start}} nor {{end}}")
    return text.format(start=_Moment(start), end=_Moment(end))


def _holes(text: str) -> list[tuple[str, str, str]]:
    try:
        found = list(string.Formatter().parse(text))
    except ValueError:
        raise ValueError("its braces do not pair") from None
    return [(name, form or "", conversion or "") for _, name, form, conversion in found if name is not None]


class _Moment:
    """A time that prints as ISO where no form is asked for."""

    def __init__(self, at: datetime) -> None:
        self._at = at.astimezone(UTC)

    def __format__(self, form: str) -> str:
        return self._at.strftime(form) if form else self._at.isoformat()


# --- mistakes ---------------------------------------------------------------------------------------


def problems(
    document: Document,
    variations: Mapping[str, Any],
    nodes: Mapping[str, Any],
    environments: Collection[str],
) -> Iterator[Problem]:
    """What is wrong with a recipe's schedules: cron, time zone, names, keys that would do nothing."""
    for name, value in variations.items():
        said = value.get("schedule") if isinstance(value, Mapping) else None
        if isinstance(said, Mapping) and isinstance(said.get("cron"), str):
            keys: _PATH = ("variations", name, "schedule")
            about = f"variation '{name}', schedule"
            yield from _times(document, keys, about, said)
            yield from _waits(document, keys, about, said)
            yield from _nodes(document, keys, about, said, nodes)
            if not environments:
                message = f"{about}: kitchen.yml has no environment, and a schedule runs in environments"
                hint = "declare one under `environments:`"
                yield Problem(message, document.place(*keys), hint, "no-environment")


def _times(document: Document, keys: _PATH, about: str, said: Mapping[str, Any]) -> Iterator[Problem]:
    from gitkitchen.schedule.cron import problem

    wrong, hint = problem(said["cron"])
    if wrong:
        yield Problem(f"{about}.cron: {wrong}", document.place(*keys, "cron"), hint, "bad-cron")
    name, here = said.get("timezone", "UTC"), document.place(*keys, "timezone")
    try:
        zone(name)
    except ValueError as error:
        yield Problem(f"{about}.timezone: {error}", here, getattr(error, "hint", ""), "bad-timezone")
    else:
        if "since" in said and _since(said) is None:
            message = f"{about}.since: '{said['since'][:40]}' is no day of the calendar"
            yield Problem(message, document.place(*keys, "since"), "write 2026-03-01", "bad-since")


def _waits(document: Document, keys: _PATH, about: str, said: Mapping[str, Any]) -> Iterator[Problem]:
    waits = said.get("wait_for")
    if "deadline" in said and not waits:
        place = document.place(*keys, "deadline")
        yield Problem(f"{about}.deadline: nothing is waited for", place, "add `wait_for:`", "misplaced-key")
    for index, item in enumerate(waits or ()):
        if not isinstance(item, Mapping):
            continue
        here: _PATH = (*keys, "wait_for", index)
        if "within" in item and "fresh" not in item:
            message = f"{about}.wait_for[{index + 1}]: `within` belongs to `fresh`"
            yield Problem(message, document.place(*here, "within"), "take it away", "misplaced-key")
        for kind in ("file", "url"):
            if isinstance(item.get(kind), str):
                try:
                    moments(item[kind], datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 1, 2, tzinfo=UTC))
                except ValueError as error:
                    message = f"{about}.wait_for[{index + 1}].{kind}: {error}"
                    hint = "write {start} or {end:%Y-%m-%d}, and {{ for a brace"
                    yield Problem(message, document.place(*here, kind), hint, "bad-name")


def _nodes(
    document: Document, keys: _PATH, about: str, said: Mapping[str, Any], nodes: Mapping[str, Any]
) -> Iterator[Problem]:
    for index, name in enumerate((said.get("expect") or {}).get("nodes") or ()):
        if name not in nodes:
            message = f"{about}.expect.nodes: there is no node '{str(name)[:80]}'"
            hint = near(str(name), nodes) or f"there are {', '.join(list(nodes)[:20])}"
            place = document.place(*keys, "expect", "nodes", index)
            yield Problem(message, place, hint, "unknown-name")


def fresh_problems(
    schedules: Mapping[str, Mapping[str, Schedule]], makers: Mapping[str, str]
) -> Iterator[Problem]:
    """Datasets whose freshness is waited for that no recipe makes, or only the recipe that waits.

    ``schedules``: by recipe and variation; ``makers``: the recipe of each dataset.
    """
    for recipe, variations in schedules.items():
        for name, schedule in variations.items():
            for index, wait in enumerate(schedule.wait_for):
                if wait.kind != "fresh" or makers.get(wait.what, recipe) != recipe:
                    continue
                about = f"variation '{name}', schedule.wait_for[{index + 1}].fresh"
                if wait.what in makers:
                    message = f"{about}: '{wait.what}' is made by this recipe itself"
                    hint = "wait for its file or address, or by a query"
                else:
                    message = f"{about}: no recipe makes a dataset '{wait.what[:80]}'"
                    others = [d for d, maker in makers.items() if maker != recipe]
                    hint = near(wait.what, others) or "name a dataset of another recipe"
                yield Problem(message, wait.place, hint, "unknown-name")

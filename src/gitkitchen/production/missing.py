"""What the ledger tells of schedules that others should know: an interval that nothing ran for, inputs that
did not come, a promise that was not kept; and, by the runs that passed in time, that it is over.

Read are streams ``schedules/<environment>/<recipe>.<variation>`` (``kind``, ``interval``, ``reason``) and the
records of runs for an interval. Of an interval one thing is told, the worst, and what was recorded of it
before what follows from it: asked again, the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any

from gitkitchen.alerts.incidents import KEEP
from gitkitchen.alerts.observing import of_schedule
from gitkitchen.alerts.shapes import Happening
from gitkitchen.kitchen.identity import environment_namespace
from gitkitchen.ledger.protocol import Ledger
from gitkitchen.model import Project, Schedule, Verdict
from gitkitchen.production import reading
from gitkitchen.schedule.standing import Stands, Whose, stand

LATEST = 100
"""Records of one stream that are looked at, the newest."""
TOLD = ("missed", "input_not_ready")
BROKEN = ("incomplete", "late_end", "late_start", "too_long", "out_of_order")
"""Promises that were not kept, the one first that says most."""
Span = tuple[datetime, datetime]
Declared = Callable[[], Mapping[Whose, Schedule]]


def schedules_seen(
    ledger: Ledger,
    project: Project,
    name: str,
    now: datetime,
    *,
    declared: Declared = dict,
    job: str = "",
) -> tuple[Happening, ...]:
    """What is bad of the last days' intervals in an environment, and the newest that ran in time. Costs a
    look at the names of streams where nothing is scheduled. ``declared``: the environment's schedules; of
    others it is not known what was promised."""
    environment = project.environment(name)
    prefix = f"schedules/{name}/"
    streams = ledger.streams(prefix)
    if environment is None or not streams:
        return ()
    runs = f"runs/{environment_namespace(project, environment)}"
    schedules = declared()
    found: list[Happening | None] = []
    for stream in streams:
        recipe, dot, variation = stream.removeprefix(prefix).partition(".")
        if not dot:
            continue
        whose = Whose(name, recipe, variation)
        good = {
            span: str(b["run"]) for b, span in _spans(ledger, f"{runs}/{recipe}") if _passed(b, variation)
        }
        bad: dict[Span, tuple[str, str, str]] = {}
        if whose in schedules:
            known = reading.scheduled(ledger, project, whose, schedules[whose])
            stands = stand(whose, schedules[whose], known.history, now)
            bad = {s.interval.pair: told for s in stands if (told := _broken(s)) is not None}
            in_view = {s.interval.pair for s in stands}
            good = {span: run for span, run in good.items() if span in in_view and span not in bad}
        for body, span in _spans(ledger, stream):
            if body.get("kind") in TOLD:
                bad[span] = (str(body["kind"]), "", str(body.get("reason", "")))
        newest = max(good, key=lambda span: span[1], default=None)
        last = [(newest, ("run", good[newest], ""))] if newest is not None else []
        for span, (state, run, said) in [*sorted(bad.items(), key=lambda item: item[0][1]), *last]:
            if span[1] <= now - KEEP:
                continue
            about: dict[str, Any] = {"scheduled_for": span[1], "interval": span, "job": job}
            about |= {"said": said, "run": run or span[1].isoformat()}
            found.append(of_schedule(name, recipe, variation, state, **about))
    return tuple(h for h in found if h is not None)


def _broken(stands: Stands) -> tuple[str, str, str] | None:
    """The state, the run and the words of what was promised of an interval and not kept."""
    if not stands.broken:
        return None
    worst = min(stands.broken, key=lambda one: BROKEN.index(one.state))
    return worst.state, worst.run, "; ".join(one.said for one in stands.broken)


def _spans(ledger: Ledger, stream: str) -> Iterator[tuple[Mapping[str, Any], Span]]:
    for body in _newest(ledger, stream):
        span = _span(body)
        if span is not None:
            yield body, span


def _newest(ledger: Ledger, stream: str) -> Iterator[Mapping[str, Any]]:
    head = ledger.head(stream)
    if head:
        yield from (record.body for record in ledger.read(stream, max(head - LATEST, 0)))


def _passed(body: Mapping[str, Any], variation: str) -> bool:
    """Whether a run's record is of one that readers got, for an interval of this variation."""
    publication = body.get("publication")
    state = publication.get("state") if isinstance(publication, Mapping) else ""
    own = body.get("variation") == variation and bool(body.get("interval"))
    return own and body.get("verdict") == Verdict.PASSED.value and state in ("published", "unchanged")


def _span(body: Mapping[str, Any]) -> Span | None:
    try:
        start, end = (datetime.fromisoformat(text) for text in body["interval"])
    except (KeyError, TypeError, ValueError):
        return None
    return (start, end) if start.tzinfo and end.tzinfo else None

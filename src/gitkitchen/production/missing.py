"""What the ledger tells of schedules that others should know: an interval that nothing ran for, inputs that
did not come; and, by the runs that passed, that it is over.

Read are streams ``schedules/<environment>/<recipe>.<variation>`` (``kind``, ``interval``, ``reason``) and the
records of runs for an interval.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from gitkitchen.alerts.incidents import KEEP
from gitkitchen.alerts.observing import of_schedule
from gitkitchen.alerts.shapes import Happening
from gitkitchen.kitchen.identity import environment_namespace
from gitkitchen.ledger.protocol import Ledger
from gitkitchen.model import Project, Verdict

LATEST = 100
"""Records of one stream that are looked at, the newest."""
TOLD = ("missed", "input_not_ready")
Span = tuple[datetime, datetime]


def schedules_seen(
    ledger: Ledger, project: Project, name: str, now: datetime, *, job: str = ""
) -> tuple[Happening, ...]:
    """What is bad of the last days' intervals in an environment, and what ran. Costs a look at the names of
    streams where nothing is scheduled."""
    environment = project.environment(name)
    prefix = f"schedules/{name}/"
    streams = ledger.streams(prefix)
    if environment is None or not streams:
        return ()
    runs = f"runs/{environment_namespace(project, environment)}"
    found: list[Happening | None] = []
    for stream in streams:
        recipe, dot, variation = stream.removeprefix(prefix).partition(".")
        if not dot:
            continue
        bad = [body for body in _newest(ledger, stream) if body.get("kind") in TOLD]
        good = [body for body in _newest(ledger, f"{runs}/{recipe}") if _passed(body, variation)]
        for state, body in [*((str(b["kind"]), b) for b in bad), *(("run", b) for b in good[-1:])]:
            span = _span(body)
            if span is None or span[1] <= now - KEEP:
                continue
            about: dict[str, Any] = {"scheduled_for": span[1], "interval": span, "job": job}
            about |= {"said": str(body.get("reason", "")), "run": str(body.get("run") or span[1].isoformat())}
            found.append(of_schedule(name, recipe, variation, state, **about))
    return tuple(h for h in found if h is not None)


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

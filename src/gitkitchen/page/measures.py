"""How delivery does, by DORA's four measures and one of our own. Pure.

The definitions are DORA's (https://dora.dev/guides/dora-metrics-four-keys/): change lead time, the time
from a change's commit to its deployment; deployment frequency; change fail rate, the share of deployments
that need to be mended at once, by a rollback or a hotfix; failed deployment recovery time, how long that
takes. A deployment is a landing in an environment; what rolls back is not one that is counted as a change.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from statistics import median

from gitkitchen.frozen import dataclass
from gitkitchen.page.health import changes
from gitkitchen.page.shapes import Place, Site
from gitkitchen.promote.moves import breaks
from gitkitchen.promote.shapes import Incident, Intent

WEEK = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Delivery:
    """Of one environment, since ``since``. Times are seconds; None where there is nothing to tell them from.

    ``before``: runs in which tests stopped data before readers of production saw it, ``after``: incidents of
    data that they saw."""

    environment: str
    since: datetime
    landings: int
    weeks: float
    lead: float | None
    leads: int
    failed: int
    restore: float | None
    restored: int
    before: int
    after: int
    weekly: tuple[int, ...]
    """Landings of each week, the oldest first."""

    @property
    def frequency(self) -> float:
        """Landings a week."""
        return self.landings / self.weeks

    @property
    def fail_rate(self) -> float | None:
        return self.failed / self.landings if self.landings else None


def delivery(site: Site, place: Place) -> Delivery:
    """The measures of an environment in the time that the page looks back."""
    since = max(site.since, site.made - timedelta(days=3650))
    landings = changes(place)
    # The first landing of an environment is its beginning and changes nothing.
    forward = [m for m in landings if m.intent is not Intent.ROLLBACK and m.at >= since and m.before]
    leads = [
        max(0.0, (m.at - written).total_seconds())
        for m in forward
        if (written := site.written.get(m.source or m.commit)) is not None
    ]
    failed, times = _failures(place, since)
    weeks = max(1.0, (site.made - since) / WEEK)
    weekly = [0] * max(1, min(520, int(weeks) + (weeks > int(weeks))))
    for m in forward:
        index = int((site.made - m.at) / WEEK)
        if 0 <= index < len(weekly):
            weekly[-1 - index] += 1
    before, after = _caught(site, place, since)
    return Delivery(
        place.name,
        since,
        len(forward),
        weeks,
        median(leads) if leads else None,
        len(leads),
        failed,
        median(times) if times else None,
        len(times),
        before,
        after,
        tuple(weekly),
    )


def _failures(place: Place, since: datetime) -> tuple[int, list[float]]:
    """How many changes failed (one that a rollback or a hotfix followed, or an incident that broke the
    environment, before the next change), and how long each took to mend."""
    failed = 0
    times: list[float] = []
    current: datetime | None = None  # the change that stands and has not failed
    broken: datetime | None = None
    for moved in place.moves:
        move = moved.move
        bad = isinstance(move, Incident) and not move.closed and (breaks(move) or move.kind == "rollback")
        mends = not isinstance(move, Incident) and getattr(move, "intent", None) in (
            Intent.ROLLBACK,
            Intent.HOTFIX,
        )
        if bad or mends:
            if current is not None:
                failed += current >= since
                broken, current = broken or current, None
            if mends and broken is not None:
                if move.at >= since:
                    times.append(max(0.0, (move.at - broken).total_seconds()))
                broken = None
            continue
        if isinstance(move, Incident) and move.closed and broken is not None and breaks_before(place, move):
            if move.at >= since:
                times.append(max(0.0, (move.at - broken).total_seconds()))
            broken = None
        if getattr(move, "intent", None) is Intent.FORWARD:
            current, broken = (move.at if getattr(move, "before", "") else None), None
    return failed, times


def breaks_before(place: Place, end: Incident) -> bool:
    """Whether the incident that ``end`` closes broke the environment."""
    for moved in place.moves:
        if isinstance(moved.move, Incident) and moved.move.id == end.id and not moved.move.closed:
            return breaks(moved.move)
    return False


def _caught(site: Site, place: Place, since: datetime) -> tuple[int, int]:
    """Data that was wrong: how often a stop test kept it from readers (in a sandbox, an environment before,
    or here, where it was not published), and how often readers saw it."""
    before = sum(
        run.started >= since
        and run.verdict == "failed"
        and any(
            t.get("severity") == "stop" and t.get("state") == "failed" and not t.get("waived")
            for t in run.failing
        )
        for run in site.runs
    )
    kinds = ("rollback", "drift-data", "drift-store", "torn", "wrong-tree")
    after = sum(
        isinstance(m.move, Incident) and not m.move.closed and m.move.at >= since and m.move.kind in kinds
        for m in place.moves
    )
    return before, after


def sparkline(values: Sequence[float]) -> tuple[float, ...]:
    """Values as shares of the largest, 0 to 1."""
    most = max(values, default=0)
    return tuple(v / most if most else 0.0 for v in values)

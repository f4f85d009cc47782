"""What the ledger tells of a schedule, and the data intervals that follow from it.

The stream of a schedule begins with the moment at which its environment first saw it, and each change of its
cron stands there: so the intervals of the past do not change with the file. Between two boundaries lies one
interval; none overlaps another, and none is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from gitkitchen.frozen import dataclass
from gitkitchen.model import Schedule
from gitkitchen.schedule.cron import after, before
from gitkitchen.schedule.shapes import Interval

MOST = 20_000
"""Intervals that are looked at, at most: two years of hourly ones. What lies before them is settled first."""

SIGNS = frozenset({"waiting", "input_not_ready", "died", "again"})
"""What a job or a person says of an interval, and not who merely looks at the clock."""


@dataclass(frozen=True, slots=True)
class Told:
    """A record of a schedule's stream. ``kind``:

    ``begun``: a cron counts from ``start`` on, its times from behind ``at`` (``cron``, ``timezone``);
    ``seen``: when that was told, where ``at`` lies before it.
    ``stopped``: the schedule was taken away. ``paused``, ``resumed``: by somebody. ``superseded``: the
    intervals within ``interval`` are covered by the run for ``covered``. ``missed``: nothing ran for it.
    ``again``: somebody wants another run for it, whatever its end.
    ``waiting``, ``input_not_ready``: for or of its inputs. ``died``: a job for it ended without a word.
    ``settled``: all intervals that end by ``at`` have ended for good; runs up to ``runs`` need no look.
    """

    kind: str
    at: datetime
    interval: Interval | None = None
    by: str = ""
    reason: str = ""
    cron: str = ""
    timezone: str = ""
    start: datetime | None = None
    covered: Interval | None = None
    runs: int = 0
    seen: datetime | None = None

    def body(self) -> dict[str, Any]:
        """The record's body: what is empty is left out."""
        found: dict[str, Any] = {"kind": self.kind, "at": self.at.isoformat()}
        if self.interval is not None:
            found["interval"] = self.interval.iso()
        if self.covered is not None:
            found["covered"] = self.covered.iso()
        if self.start is not None:
            found["start"] = self.start.isoformat()
        if self.seen is not None:
            found["seen"] = self.seen.isoformat()
        texts = {"by": self.by, "reason": self.reason, "cron": self.cron, "timezone": self.timezone}
        return found | {k: v for k, v in texts.items() if v} | ({"runs": self.runs} if self.runs else {})


def told(body: Mapping[str, Any]) -> Told:
    """A record's body read back. ValueError for one that none of us wrote."""
    try:
        return Told(
            kind=str(body["kind"]),
            at=datetime.fromisoformat(body["at"]),
            interval=Interval.read(body["interval"]) if body.get("interval") else None,
            by=str(body.get("by", "")),
            reason=str(body.get("reason", "")),
            cron=str(body.get("cron", "")),
            timezone=str(body.get("timezone", "")),
            start=datetime.fromisoformat(body["start"]) if body.get("start") else None,
            covered=Interval.read(body["covered"]) if body.get("covered") else None,
            runs=int(body.get("runs", 0)),
            seen=datetime.fromisoformat(body["seen"]) if body.get("seen") else None,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"it is no record of a schedule: {error}") from None


@dataclass(frozen=True, slots=True)
class Ran:
    """A run for an interval, as its record (``sequence`` of its stream) has it. ``left_out``: nodes that did
    not run."""

    run: str
    interval: Interval
    verdict: str
    started: datetime
    finished: datetime
    left_out: tuple[str, ...] = ()
    sequence: int = 0

    @property
    def passed(self) -> bool:
        return self.verdict == "passed"

    @property
    def judged(self) -> bool:
        """Whether its verdict says something of the data."""
        return self.verdict in ("passed", "failed", "nothing_tested")


def ran(body: Mapping[str, Any], variation: str, sequence: int = 0) -> Ran | None:
    """A run's record as one for an interval of this variation; None where it is another's or for none."""
    if not body.get("interval") or body.get("variation") != variation:
        return None
    try:
        nodes = body.get("nodes") or {}
        return Ran(
            run=str(body["run"]),
            interval=Interval.read(body["interval"]),
            verdict=str(body["verdict"]),
            started=datetime.fromisoformat(body["started"]),
            finished=datetime.fromisoformat(body["finished"]),
            left_out=tuple(n for state in ("skipped", "blocked") for n in nodes.get(state, ())),
            sequence=sequence,
        )
    except (KeyError, TypeError, ValueError):
        return None


@dataclass(frozen=True, slots=True)
class History:
    """All that is known of one schedule: its stream, oldest first, and the runs for its intervals."""

    told: tuple[Told, ...] = ()
    runs: tuple[Ran, ...] = ()

    @property
    def settled(self) -> Told | None:
        return next((t for t in reversed(self.told) if t.kind == "settled"), None)

    @property
    def era(self) -> Told | None:
        """The cron that counts now; None before the first and after the schedule was taken away."""
        last = next((t for t in reversed(self.told) if t.kind in ("begun", "stopped")), None)
        return last if last is not None and last.kind == "begun" else None

    @property
    def seen(self) -> datetime | None:
        """When a clock first saw the schedule: what was due by then is caught up. Of what an earlier release
        began in the past this is not known: then it is where the intervals begin. None before the first."""
        first = next((t for t in self.told if t.kind == "begun"), None)
        return (first.seen or first.at) if first is not None else None

    @property
    def caught_up(self) -> datetime | None:
        """The last sign that the intervals that were due before the schedule was seen are caught up: a run
        for one of them ended, a job or a person said something of one, the schedule was resumed; or that it
        was seen. None before that."""
        seen = self.seen
        if seen is None:
            return None
        signs = [r.finished for r in self.runs if r.interval.end <= seen]
        signs += [
            t.at
            for t in self.told
            if t.kind == "resumed" or (t.kind in SIGNS and t.interval is not None and t.interval.end <= seen)
        ]
        return max([seen, *signs])

    @property
    def pause(self) -> Told | None:
        last = next((t for t in reversed(self.told) if t.kind in ("paused", "resumed")), None)
        return last if last is not None and last.kind == "paused" else None

    @property
    def pauses(self) -> tuple[tuple[datetime, datetime], ...]:
        """From when until when it was paused, each time that it goes on again."""
        found: list[tuple[datetime, datetime]] = []
        begin: datetime | None = None
        for one in self.told:
            if one.kind == "paused":
                begin = begin or one.at
            elif one.kind == "resumed" and begin is not None:
                found.append((begin, one.at))
                begin = None
        return tuple(found)

    def adding(self, records: Iterable[Told] = (), runs: Iterable[Ran] = ()) -> History:
        return History((*self.told, *records), (*self.runs, *runs))


def opening(schedule: Schedule, history: History, now: datetime) -> Told | None:
    """The record by which a schedule is seen for the first time, or with another cron; None where the one
    that counts is there."""
    era = history.era
    if era is not None and (era.cron, era.timezone) == (schedule.cron, schedule.timezone):
        return None
    if era is not None:
        return Told("begun", now, cron=schedule.cron, timezone=schedule.timezone)
    first = not any(t.kind == "begun" for t in history.told)
    if first and schedule.since is not None and schedule.since < now:
        since = schedule.since
        return Told("begun", since, cron=schedule.cron, timezone=schedule.timezone, start=since, seen=now)
    start = before(schedule.cron, schedule.timezone, now)
    return Told("begun", now, cron=schedule.cron, timezone=schedule.timezone, start=start)


def intervals(history: History, now: datetime) -> list[Interval]:
    """The intervals that ended by ``now`` and are not settled, oldest first."""
    settled = history.settled
    since = settled.at if settled is not None else None
    found: list[Interval] = []
    for start, end in _spans(history.told, since, now):
        if end <= now and (since is None or end > since):
            found.append(Interval(start, end))
            if len(found) > MOST:
                break
    return found


def coming(history: History, now: datetime) -> Interval | None:
    """The interval that ends next; None where nothing counts."""
    era = history.era
    if era is None:
        return None
    following = next(after(era.cron, era.timezone, max(now, era.at)))
    spans = _spans(history.told, max(now, era.at), following)
    return next((Interval(start, end) for start, end in spans if end == following), None)


def _spans(
    records: Sequence[Told], since: datetime | None, now: datetime
) -> Iterator[tuple[datetime, datetime]]:
    """The spans between boundaries, from the one that ends behind ``since`` on, up to ``now``."""
    last: datetime | None = None
    eras = [t for t in records if t.kind in ("begun", "stopped")]
    for number, era in enumerate(eras):
        until = min(now, eras[number + 1].at) if number + 1 < len(eras) else now
        if era.kind == "stopped":
            last = None
            continue
        if last is None:
            last = era.start or before(era.cron, era.timezone, era.at)
        begin = era.at
        if since is not None and since > begin:
            # Everything up to there is settled: its boundaries are counted from the last of them.
            begin = max(begin, before(era.cron, era.timezone, min(since, until)))
            last = max(last, begin) if begin > era.at else last
        for tick in after(era.cron, era.timezone, begin):
            if tick > until:
                break
            if tick > last:
                yield last, tick
                last = tick

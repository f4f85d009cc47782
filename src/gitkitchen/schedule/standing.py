"""How each interval of a schedule stands at ``now``, and what was promised of it and not kept. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from gitkitchen.frozen import dataclass
from gitkitchen.model import Schedule
from gitkitchen.schedule.shapes import Due, Interval, Standing
from gitkitchen.schedule.timeline import History, Ran, Told, intervals

ATTEMPTS = 3
"""So often a run is begun for an interval when the one before said nothing of the data: it could not check,
was cancelled, or died."""


@dataclass(frozen=True, slots=True)
class Whose:
    """Whose schedule it is."""

    environment: str
    recipe: str
    variation: str

    @property
    def stream(self) -> str:
        return f"schedules/{self.environment}/{self.recipe}.{self.variation}"

    @property
    def name(self) -> str:
        return f"{self.recipe}.{self.variation}"

    def due(self, interval: Interval) -> Due:
        return Due(self.recipe, self.variation, self.environment, interval, interval.end)


@dataclass(frozen=True, slots=True)
class Stands:
    """One interval: its end (or how it waits for one), and what was promised of it and not kept.

    ``open``: a run shall still be begun for it. ``tries``: runs that said nothing of the data.
    """

    standing: Standing
    broken: tuple[Standing, ...]
    open: bool
    tries: int
    asked: bool = False
    """Somebody asked for another run: it is not superseded."""

    @property
    def interval(self) -> Interval:
        return self.standing.due.interval


def stand(
    whose: Whose, schedule: Schedule, history: History, now: datetime, *, promises: bool = True
) -> list[Stands]:
    """How every interval that is not settled stands at ``now``, oldest first. ``promises``: whether what was
    promised of it is looked at, too."""
    by_interval: dict[Interval, list[Ran]] = {}
    for one in history.runs:
        by_interval.setdefault(one.interval, []).append(one)
    told: dict[Interval, list[Told]] = {}
    spans: list[Told] = []
    for record in history.told:
        if record.interval is None:
            continue
        if record.kind == "superseded":
            spans.append(record)
        else:
            told.setdefault(record.interval, []).append(record)
    paused = history.pause is not None
    pauses, seen, caught_up = history.pauses, history.seen, history.caught_up

    def since(interval: Interval) -> datetime | None:
        """Until when no run could be begun for it; None where nothing was in the way."""
        signs = [end for begin, end in pauses if begin <= interval.end <= end]
        if caught_up is not None and seen is not None and interval.end <= seen:
            signs.append(caught_up)
        return max(signs, default=None)

    found = [
        _one(
            whose.due(interval),
            schedule,
            by_interval.get(interval, []),
            told.get(interval, []),
            next((t for t in spans if _covers(t.interval, interval)), None),
            now,
            since(interval),
            paused=paused,
            promises=promises,
        )
        for interval in intervals(history, now)
    ]
    return _ordered(found, schedule, by_interval) if promises else found


def _covers(span: Interval | None, interval: Interval) -> bool:
    return span is not None and span.start <= interval.start and interval.end <= span.end


def _one(
    due: Due,
    schedule: Schedule,
    runs: Sequence[Ran],
    told: Sequence[Told],
    over: Told | None,
    now: datetime,
    since: datetime | None,
    *,
    paused: bool,
    promises: bool,
) -> Stands:
    """``since``: of an interval that was due before the schedule was seen, or while it was paused, the last
    sign that such are caught up. Nobody could begin its run in time, so that is not looked at; nor for what
    somebody asked for again."""
    asked = next((t.at for t in reversed(told) if t.kind == "again"), None)
    if asked is not None:
        # What was before has been looked at by a person, who wants another run.
        runs = [r for r in runs if r.started >= asked]
        told = [t for t in told if t.at >= asked]
        over = over if over is not None and over.at > asked else None
        since = max(since or asked, asked)
    standing, is_open = _end(due, schedule, runs, told, over, now, since, paused=paused)
    tries = sum(1 for r in runs if not r.judged) + sum(1 for t in told if t.kind == "died")
    counted = promises and not paused and standing.state != "superseded"
    broken = tuple(_broken(due, schedule, runs, now, standing)) if counted else ()
    if since is not None:
        broken = tuple(one for one in broken if one.state not in ("late_start", "late_end"))
    return Stands(standing, broken, is_open, tries, asked is not None)


def _end(
    due: Due,
    schedule: Schedule,
    runs: Sequence[Ran],
    told: Sequence[Told],
    over: Told | None,
    now: datetime,
    since: datetime | None,
    *,
    paused: bool,
) -> tuple[Standing, bool]:
    """The interval's end, and whether a run shall still be begun for it. ``since``: as ``_one`` has it."""
    first = min((r.started for r in runs), default=None)
    late = max(0.0, ((first or now) - due.scheduled_for).total_seconds())
    passed = next((r for r in runs if r.passed), None)
    if passed is not None:
        return Standing(due, "run", passed.run, late, "a run for it passed"), False
    judged = next((r for r in reversed(runs) if r.judged), None)
    if judged is not None:
        said = f"run {judged.run} ended {judged.verdict.replace('_', ' ')}"
        return Standing(due, "failed", judged.run, late, said), False
    unready = next((t for t in reversed(told) if t.kind == "input_not_ready"), None)
    if unready is not None:
        return Standing(due, "input_not_ready", "", late, unready.reason), False
    if over is not None:
        return Standing(due, "superseded", "", 0.0, over.reason), False
    tries = [r for r in runs if not r.judged]
    died = sum(1 for t in told if t.kind == "died")
    last = tries[-1].run if tries else ""
    if len(tries) + died >= ATTEMPTS:
        said = f"{len(tries) + died} runs for it said nothing of the data"
        return Standing(due, "missed", last, late, said), False
    if paused:
        return Standing(due, "due", last, 0.0, "the schedule is paused"), True
    waits = next((t for t in reversed(told) if t.kind == "waiting"), None)
    if waits is not None and now - due.scheduled_for <= timedelta(seconds=schedule.deadline):
        return Standing(due, "waiting", last, late, waits.reason), True
    idle = (now - (since or due.scheduled_for)).total_seconds()
    if idle > schedule.expect.missing and not runs:
        return Standing(due, "missed", last, late, "nothing ran for it in time"), True
    missed = next((t for t in reversed(told) if t.kind == "missed"), None)
    if missed is not None and not runs:
        return Standing(due, "missed", last, late, missed.reason), True
    return Standing(due, "due", last, late, "no run for it has ended" if last else "nothing ran yet"), True


def _broken(
    due: Due, schedule: Schedule, runs: Sequence[Ran], now: datetime, end: Standing
) -> Iterator[Standing]:
    expect, at = schedule.expect, due.scheduled_for
    started = min((r.started for r in runs), default=None)
    ended = min((r.finished for r in runs if r.judged), default=None)
    late = ((started or now) - at).total_seconds()
    if expect.start is not None and late > expect.start:
        said = f"it {'began' if started else 'has not begun'} {_length(late)} after it was due"
        yield Standing(due, "late_start", end.run, late, f"{said}; {_length(expect.start)} were allowed")
    behind = ((ended or now) - at).total_seconds()
    if expect.end is not None and behind > expect.end:
        said = f"it {'ended' if ended else 'has not ended'} {_length(behind)} after it was due"
        yield Standing(due, "late_end", end.run, behind, f"{said}; {_length(expect.end)} were allowed")
    for one in runs:
        took = (one.finished - one.started).total_seconds()
        if expect.longest is not None and took > expect.longest:
            said = f"run {one.run} took {_length(took)}; {_length(expect.longest)} were allowed"
            yield Standing(due, "too_long", one.run, took - expect.longest, said)
            break
    passed = next((r for r in runs if r.passed), None)
    lost = sorted(set(passed.left_out) & set(expect.nodes)) if passed is not None else []
    if passed is not None and lost:
        said = f"run {passed.run} passed without {', '.join(lost[:10])}"
        yield Standing(due, "incomplete", passed.run, 0.0, said)


def _ordered(found: list[Stands], schedule: Schedule, runs: dict[Interval, list[Ran]]) -> list[Stands]:
    """With what ran before an older interval that was to come first."""
    if schedule.order != "oldest_first":
        return found
    result: list[Stands] = []
    newest: Ran | None = None
    for one in reversed(found):
        passed = [r for r in runs.get(one.interval, ()) if r.passed]
        first = min(passed, key=lambda r: r.finished, default=None)
        if first is not None and newest is not None and newest.started < first.started:
            said = f"run {newest.run} for {newest.interval.name} began before this one"
            extra = Standing(one.standing.due, "out_of_order", first.run, 0.0, said)
            one = replace(one, broken=(*one.broken, extra))
        if first is not None and (newest is None or first.started < newest.started):
            newest = first
        result.append(one)
    return result[::-1]


def _length(seconds: float) -> str:
    """A span of time in words: ``90 s``, ``12 min``, ``5 h``, ``3 d``."""
    for size, word in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {word}"
    return f"{seconds:.0f} s"

"""The clock at GitHub: what is due in each environment is started, each interval once.

A scheduled workflow runs on the default branch alone, hours late, twice, or not at all. So it runs nothing:
it reads what is due from the files of each environment's branch and from the ledger, and starts the
production workflow on that branch, one run for one interval. An event that comes twice finds the run that is
there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

from gitkitchen.automation import PRODUCTION
from gitkitchen.errors import Conflict, Problem
from gitkitchen.files import digest
from gitkitchen.frozen import dataclass
from gitkitchen.github.facts import Started
from gitkitchen.github.trouble import Trouble
from gitkitchen.model import Environment, Schedule
from gitkitchen.premises import find_premises
from gitkitchen.production import reading
from gitkitchen.road.ground import Ground
from gitkitchen.schedule.due import noticed, stopping, todo
from gitkitchen.schedule.shapes import Due, Interval
from gitkitchen.schedule.standing import ATTEMPTS, Whose
from gitkitchen.schedule.timeline import Told
from gitkitchen.workplace import Request

_KEY = re.compile(r"\[([0-9a-f]{16})\.(\d{1,6})\]")
GOOD = frozenset({"success", "neutral", "skipped"})


class Starting(Protocol):
    """What the clock needs of the forge's client."""

    def started(self, workflow: str) -> tuple[Started, ...]: ...

    def dispatch_workflow(
        self, workflow: str, ref: str, inputs: Mapping[str, str], *, key: str = ""
    ) -> bool: ...


@dataclass(frozen=True, slots=True)
class Watch:
    """All schedules of a project, by environment: as the files of its branch have them now."""

    ground: Ground
    declared: Mapping[str, Mapping[Whose, Schedule]]

    @classmethod
    def of(cls, request: Request) -> Watch:
        """As the branches and the ledger are now. Unreachable where the remote does not answer."""
        ground = Ground.of(request)
        environments = ground.project.environments
        tips = ground.tips(e.branch for e in environments)
        found: dict[str, Mapping[Whose, Schedule]] = {}
        for environment in environments:
            tip = tips.get(environment.branch)
            recipes = ground.reading(tip).recipes if tip else {}
            found[environment.name] = reading.declared(environment, recipes)
        return cls(ground, found)

    @property
    def any(self) -> bool:
        """Whether anything runs by the clock, or did."""
        return any(self.declared.values()) or bool(self.ground.ledger.streams("schedules/"))


@dataclass(frozen=True, slots=True)
class Ticked:
    """What the clock did, in words; ``problems``: what it could not do, and tries again at its next event."""

    said: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()


def tick(watch: Watch, forge: Starting, now: datetime) -> Ticked:
    """Start what is due at ``now`` in every environment, and record what is not: superseded, missed."""
    ledger = watch.ground.ledger
    said: list[str] = []
    problems: list[Problem] = []
    runs: tuple[Started, ...] | None = None
    for environment in watch.ground.project.environments:
        schedules = watch.declared[environment.name]
        _stop(watch, environment, schedules, now)
        for whose, schedule in sorted(schedules.items(), key=lambda item: item[0].name):
            try:
                if runs is None:
                    runs = forge.started(PRODUCTION)
                own = _started(runs, whose)
                found = reading.scheduled(ledger, watch.ground.project, whose, schedule)
                found = reading.append(ledger, found, _died(found, own, now))
                found = reading.append(ledger, found, noticed(whose, schedule, found.history, now))
                running = {interval for interval in _open(found, now) if own.under_way(interval)}
                what = todo(whose, schedule, found.history, now, running=running)
                reading.append(ledger, found, what.records)
                said += [f"{whose.environment}: {one.reason}" for one in what.records if one.reason]
                for due in what.begin:
                    said.append(_start(forge, environment, due, own.next(due.interval)))
            except Conflict:
                said.append(f"{whose.environment}: {whose.name}: another clock is at it")
            except Trouble as trouble:
                problems.append(trouble.problem())
    return Ticked(tuple(said), tuple(problems))


def _stop(watch: Watch, environment: Environment, known: Mapping[Whose, Schedule], now: datetime) -> None:
    """Schedules that the files declare no more end."""
    ledger = watch.ground.ledger
    for whose in reading.gone(ledger, environment, known):
        found = reading.scheduled(ledger, watch.ground.project, whose, Schedule("0 0 * * *"))
        reading.append(ledger, found, stopping(found.history, now))


def _start(forge: Starting, environment: Environment, due: Due, key: str) -> str:
    inputs = {
        "recipe": due.recipe,
        "variation": due.variation,
        "interval": due.interval.name,
        "key": key,
    }
    new = forge.dispatch_workflow(PRODUCTION, environment.branch, inputs, key=key)
    what = f"{environment.name}: {due.recipe}.{due.variation} for {due.interval.name}"
    return f"{what} is {'started' if new else 'started already'}"


# --- what was started before ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Own:
    """The runs of the production workflow for one schedule, found by the keys in their titles."""

    whose: Whose
    runs: Mapping[str, Sequence[Started]]

    def of(self, interval: Interval) -> Sequence[Started]:
        return self.runs.get(_mark(self.whose, interval), ())

    def under_way(self, interval: Interval) -> bool:
        return any(run.status != "completed" for run in self.of(interval))

    def next(self, interval: Interval) -> str:
        """The key of the next run for an interval: the same for everybody who knows the same runs."""
        return f"[{_mark(self.whose, interval)}.{len(self.of(interval)) + 1}]"


def _mark(whose: Whose, interval: Interval) -> str:
    return digest([whose.environment, whose.recipe, whose.variation, interval.name])[:16]


def _started(runs: Sequence[Started], whose: Whose) -> Own:
    found: dict[str, list[Started]] = {}
    for run in runs:
        key = _KEY.search(run.title)
        if key is not None:
            found.setdefault(key[1], []).append(run)
    return Own(whose, found)


def _open(found: reading.Scheduled, now: datetime) -> list[Interval]:
    from gitkitchen.schedule.standing import stand

    stands = stand(found.whose, found.schedule, found.history, now, promises=False)
    return [one.interval for one in stands if one.open]


def _died(found: reading.Scheduled, own: Own, now: datetime) -> list[Told]:
    """Jobs that ended without a word in the ledger: evicted, cancelled in the queue, lost with their runner.
    Each is told once, and counts as a try."""
    records: list[Told] = []
    for interval in _open(found, now):
        bad = [r for r in own.of(interval) if r.status == "completed" and r.conclusion not in GOOD]
        known = sum(1 for r in found.history.runs if r.interval == interval)
        known += sum(1 for t in found.history.told if t.kind == "died" and t.interval == interval)
        for run in bad[: max(0, min(len(bad) - known, ATTEMPTS))]:
            reason = f"job {run.id} ended {run.conclusion or 'without a word'} and left no record"
            records.append(Told("died", now, interval, reason=reason))
    return records


# --- whatever event comes next ----------------------------------------------------------------------


def stopped(request: Request, now: datetime, *, writes: bool) -> tuple[Problem, ...]:
    """A warning of each schedule whose time passed without a run. ``writes``: each interval is recorded as
    missed, and so told once. Costs nothing where nothing was ever scheduled."""
    if not find_premises(request.start, request.say).ledger.streams("schedules/"):
        return ()
    watch = Watch.of(request)
    ground = watch.ground
    problems: list[Problem] = []
    for schedules in watch.declared.values():
        for whose, schedule in schedules.items():
            found = reading.scheduled(ground.ledger, watch.ground.project, whose, schedule)
            new = noticed(whose, schedule, found.history, now)
            if new and writes:
                reading.append(ground.ledger, found, new)
            if new:
                last = new[-1].interval
                assert last is not None
                problems.append(
                    Problem(
                        f"{whose.environment}: nothing ran for {whose.name} in time, {len(new)} "
                        f"interval{'s' if len(new) > 1 else ''}, the last {last.name}",
                        schedule.place,
                        "look whether the clock's workflow is enabled (GitHub stops it after 60 idle days): "
                        "`gitkitchen doctor`; `gitkitchen schedule list` shows how each stands",
                        "schedule-missed",
                    )
                )
    return tuple(problems)

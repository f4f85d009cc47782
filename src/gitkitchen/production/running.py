"""One run by the clock: begun once for its interval, when its inputs are there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from secrets import token_hex
from typing import TYPE_CHECKING

from gitkitchen import flow
from gitkitchen.errors import Conflict, GitKitchenError, Mistake, Problem
from gitkitchen.frozen import dataclass
from gitkitchen.model import Event, Outcome, Schedule
from gitkitchen.production import reading
from gitkitchen.production.alerting import Watch, both, watched
from gitkitchen.production.waiting import lacking
from gitkitchen.reading import read_recipes
from gitkitchen.road.dying import end_dead
from gitkitchen.road.order import in_order
from gitkitchen.schedule.due import noticed, refusal, stopping, todo
from gitkitchen.schedule.shapes import Due, Interval
from gitkitchen.schedule.standing import Whose
from gitkitchen.schedule.timeline import Told
from gitkitchen.workplace import Request, Workplace, enter

if TYPE_CHECKING:
    from gitkitchen.process import Cancel


@dataclass(frozen=True, slots=True)
class Work:
    """What surrounds runs by the clock. ``request``: of the environment's checkout, without a recipe."""

    request: Request
    cancel: Cancel
    clock: Callable[[], datetime]
    on_event: Callable[[Event], None] = lambda _event: None
    before: Callable[[Workplace, Request], None] = lambda _place, _request: None
    """Raises what stands against a run."""
    watch: Watch | None = None
    """Who tells of what happens to the environment."""


@dataclass(frozen=True, slots=True)
class Done:
    """What became of one interval. Without an ``outcome`` nothing was run: ``said`` tells why. ``problems``:
    it could not be run, and is tried again."""

    whose: Whose
    interval: Interval
    outcome: Outcome | None = None
    said: str = ""
    problems: tuple[Problem, ...] = ()
    code: int = 0


def run_interval(work: Work, whose: Whose, schedule: Schedule, interval: Interval) -> Done:
    """Run a variation for an interval, if nothing speaks against it: it has no end, its turn has come, its
    inputs are there. By the ledger as it is now, whatever the event that asks knew."""
    place = enter(work.request)
    try:
        found = reading.scheduled(place.ledger, place.project, whose, schedule)
        now = work.clock()
        why = refusal(whose, schedule, found.history, interval, now)
        if not why and schedule.wait_for:
            why = _waits(place, found, interval, now)
    finally:
        place.close()
    if why:
        return Done(whose, interval, said=why)
    request = replace(work.request, recipe=whose.recipe, variation=whose.variation, interval=interval.pair)
    watch, on_event = work.watch, work.on_event
    if watch is not None:
        request, on_event = watched(request, watch), both(on_event, watch)
    try:
        outcome = flow.run(
            request,
            on_event=on_event,
            cancel=work.cancel,
            now=now,
            before=work.before,
            clock=work.clock,
        )
    except Conflict as error:
        return Done(whose, interval, said=f"{error.problems[0].message}: the next event looks again")
    except GitKitchenError as error:
        if watch is not None:
            watch.unable(whose.environment, whose.recipe, error.problems[0].message, now)
        return Done(whose, interval, problems=error.problems, code=error.exit_code)
    if watch is not None:
        watch.ended(outcome)
    return Done(whose, interval, outcome)


def _waits(place: Workplace, found: reading.Scheduled, interval: Interval, now: datetime) -> str:
    """Why a run does not begin for want of its inputs, recorded when that is news."""
    lack = lacking(place, found.schedule, interval, now)
    if not lack:
        return ""
    late = now > interval.end + timedelta(seconds=found.schedule.deadline)
    kind = "input_not_ready" if late else "waiting"
    own = [t for t in found.history.told if t.interval == interval]
    if not (own and own[-1].kind == kind):
        reading.append(place.ledger, found, [Told(kind, now, interval, reason=lack)])
    return f"input not ready by its deadline: {lack}" if late else f"waiting: {lack}"


def run_due(work: Work) -> list[Done]:
    """Everything that is due in the environment that is checked out, one run after the other, a recipe after
    those that it reads. For any clock that can start a command; Mistake where no environment is checked out.

    Two at once do the same as one: the ledger's lease of a recipe lets one of them begin.
    """
    place = enter(work.request)
    environment = place.project.environment(place.kitchen.environment or "")
    if environment is None:
        place.close()
        raise Mistake(
            Problem(
                f"'{place.kitchen.label}' is no environment, and schedules run in environments",
                hint=f"there are: {', '.join(e.name for e in place.project.environments) or 'none'}",
            )
        )
    end_dead(place, work.clock())
    rank = {reader.name: number for number, reader in enumerate(in_order(place.project))}
    known = reading.declared(environment, read_recipes(place.project).recipes)
    for whose in reading.gone(place.ledger, environment, known):
        found = reading.scheduled(place.ledger, place.project, whose, Schedule("0 0 * * *"))
        reading.append(place.ledger, found, stopping(found.history, work.clock()))
    done: list[Done] = []
    for whose in sorted(known, key=lambda w: (rank.get(w.recipe, len(rank)), w.variation)):
        for due in _begin(place, whose, known[whose], work.clock()):
            if not work.cancel.is_set:
                done.append(run_interval(work, whose, known[whose], due.interval))
    place.close()
    if work.watch is not None:
        work.watch.looked(environment.name, lambda: known)
    return done


def _begin(place: Workplace, whose: Whose, schedule: Schedule, now: datetime) -> tuple[Due, ...]:
    """What is due of one schedule, with what is recorded of it. Nothing while its recipe is running: what
    that run is for is not known here, and must not be superseded."""
    try:
        name = f"{place.kitchen.namespace}/{whose.recipe}"
        with place.ledger.lease(name, f"clock-{token_hex(4)}", publishes=False):
            found = reading.scheduled(place.ledger, place.project, whose, schedule)
            found = reading.append(place.ledger, found, noticed(whose, schedule, found.history, now))
            what = todo(whose, schedule, found.history, now)
            reading.append(place.ledger, found, what.records)
    except Conflict:
        return ()
    return what.begin

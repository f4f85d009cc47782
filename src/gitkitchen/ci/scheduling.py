"""What the clock asks of a job: to start what is due, to run one interval, to notice what stopped."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from gitkitchen.ci.decide import Action
from gitkitchen.ci.shapes import Failure, Job, Report
from gitkitchen.errors import FAILED, INFRASTRUCTURE, GitKitchenError
from gitkitchen.model import Project, Schedule
from gitkitchen.reading import read_recipes
from gitkitchen.schedule.standing import Whose
from gitkitchen.workplace import Request

if TYPE_CHECKING:
    from gitkitchen.production.clock import Watch as ClockWatch


def clock(job: Job, report: Report, run: Callable[[Report], Report]) -> Report:
    """Start what is due. A project whose variations have no schedule is ``run`` as it is checked out."""
    from gitkitchen.production.clock import Watch

    watch = Watch.of(Request(start=job.start, environ=job.environ, say=job.say))
    try:
        return _ticked(job, report, run, watch)
    finally:  # what it missed and was late with, and what quiet hours held back
        if job.watch is not None:
            for name, schedules in watch.declared.items():
                job.watch.looked(name, partial(dict, schedules))


def _ticked(job: Job, report: Report, run: Callable[[Report], Report], watch: ClockWatch) -> Report:
    from gitkitchen.production.clock import tick

    if not watch.any:
        if report.decision.environment is None:
            return replace(report, said=("no variation has a schedule",))
        decision = replace(report.decision, action=Action.RUN)
        return run(replace(report, decision=decision))
    try:
        with job.client(job.environ) as client:
            done = tick(watch, client, job.clock())
    except GitKitchenError as error:
        failure = Failure("", error.problems, error.exit_code)
        return replace(report, failures=(failure,))
    failures = tuple(Failure("", (problem,), INFRASTRUCTURE) for problem in done.problems)
    return replace(report, said=done.said or ("nothing is due",), failures=failures)


def scheduled(job: Job, report: Report, project: Project) -> Report:
    """One run by the clock, in the environment that is checked out."""
    from gitkitchen.production.running import Work, run_interval
    from gitkitchen.road.reconcile import refusal_to_run

    decision = report.decision
    assert decision.interval is not None
    assert decision.environment is not None
    whose = Whose(decision.environment, decision.recipe, decision.variation)
    raw = read_recipes(project).recipes.get(decision.recipe)
    variation = raw.variations.get(decision.variation) if raw is not None else None
    if variation is None or variation.schedule is None:
        return replace(report, said=(f"{whose.name} has no schedule on this branch any more",))
    request = Request(start=job.start, jobs=job.jobs, environ=job.environ, say=job.say, apart=job.apart)
    told = list[str]()
    refused = refusal_to_run(request, decision.environment, job.clock(), told.append)
    report = replace(report, said=tuple(told))
    look_after(job, decision.environment, project)
    if refused is not None:
        return replace(report, failures=(Failure(decision.recipe, (refused,), FAILED),))
    work = Work(request, job.cancel, job.clock, job.on_event, watch=job.watch)
    done = run_interval(work, whose, variation.schedule, decision.interval)
    signal = (job.cancel.signal or 2) if job.cancel.is_set else None
    if done.problems:
        failure = Failure(decision.recipe, done.problems, done.code)
        return replace(report, failures=(failure,), signal=signal)
    if done.outcome is None:
        return replace(report, said=(*report.said, done.said), signal=signal)
    job.ended(done.outcome)
    look_after(job, decision.environment, project)  # whether it kept what was promised of it
    return replace(report, outcomes=(done.outcome,), signal=signal)


def look_after(job: Job, environment: str | None, project: Project) -> None:
    """Tell what the environment that is checked out shows of itself and of its schedules."""
    if job.watch is not None and environment is not None:
        job.watch.looked(environment, partial(_declared, environment, project))


def _declared(environment: str, project: Project) -> Mapping[Whose, Schedule]:
    from gitkitchen.production import reading

    found = project.environment(environment)
    return reading.declared(found, read_recipes(project).recipes) if found is not None else {}


LOOKING = (Action.TEST, Action.RUN, Action.PROMOTE, Action.ROLLBACK, Action.ABSORB, Action.VIEW)
"""What a job does beside which it notices schedules that stopped; of all but the first and the last the job
may write the ledger."""


def with_missed(job: Job, report: Report) -> Report:
    """With a warning of each schedule that stopped. What hinders looking hinders nothing."""
    if report.decision.action not in LOOKING or report.signal is not None:
        return report
    from gitkitchen.production.clock import stopped

    writes = report.decision.action not in (Action.TEST, Action.VIEW)
    try:
        request = Request(start=job.start, environ=job.environ, say=job.say)
        found = stopped(request, job.clock(), writes=writes)
    except GitKitchenError:
        return report
    return replace(report, warnings=(*report.warnings, *found))

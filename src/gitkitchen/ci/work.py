"""A decision is carried out: the change is merged and its recipes run, a branch is run, a kitchen is dropped.

Everything goes through the same stages as ``gitkitchen run``. What a job finds out is one frozen ``Report``;
showing it comes after, in ``results`` and the command line.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import replace
from typing import TYPE_CHECKING

from gitkitchen import merging
from gitkitchen.ci import resuming, scheduling
from gitkitchen.ci.decide import Action, decide
from gitkitchen.ci.judging import project_folder
from gitkitchen.ci.shapes import Failure, Job, Report
from gitkitchen.ci.testing import run_recipes, test_change
from gitkitchen.errors import (
    FAILED,
    INFRASTRUCTURE,
    MISTAKE,
    Conflict,
    GitKitchenError,
    Infrastructure,
    Mistake,
    Problem,
)
from gitkitchen.git import Repository
from gitkitchen.github.events import Event, Push
from gitkitchen.kitchen.config import find_root, load_project
from gitkitchen.kitchen.event import Head, head_of_event
from gitkitchen.kitchen.identity import identify
from gitkitchen.model import Project
from gitkitchen.premises import find_premises
from gitkitchen.production.alerting import watching
from gitkitchen.road.shown import text
from gitkitchen.upkeep import ending
from gitkitchen.workplace import Request

if TYPE_CHECKING:
    from gitkitchen.production.alerting import Watch


def carry_out(job: Job, event: Event) -> Report:
    """Decide about an event, and do it. Mistakes and failures of recipes become part of the report;
    GitKitchenError where the job could not begin."""
    project = load_project(find_root(job.start))
    decision = decide(event, project)
    job.decided(decision)
    folder = project_folder(project.root, Repository.find(project.root).root)
    return scheduling.with_missed(job, _carried_out(job, Report(event, decision, folder=folder), project))


def _carried_out(job: Job, report: Report, project: Project) -> Report:
    decision = report.decision
    if decision.action is Action.TEST:
        return test_change(job, report, project)
    if decision.action in (Action.RUN, Action.SCHEDULED, Action.PROMOTE, Action.ROLLBACK, Action.ABSORB):
        with _watching(job) as watch:
            job = replace(job, watch=watch)
            if decision.action is Action.RUN:
                ended = _run(job, report, project)
            elif decision.action is Action.SCHEDULED:
                ended = scheduling.scheduled(job, report, project)
            else:
                from gitkitchen.ci.moving import move  # with the whole road, which few jobs need

                ended = move(job, report, project)
            return resuming.afterwards(job, ended, project)
    if decision.action is Action.CLOCK:
        with _watching(job) as watch:
            watched_job = replace(job, watch=watch)
            ended = scheduling.clock(watched_job, report, lambda r: _run(watched_job, r, project))
            return resuming.afterwards(watched_job, ended, project)
    if decision.action is Action.RESUME:
        return resuming.resumed(job, report, project)
    if decision.action is Action.VIEW:
        return _view(job, report)
    if decision.action is Action.DROP:
        return _drop(job, report, project)
    if decision.action is Action.POST:
        return _post(job, report, project)
    if decision.action is Action.OBEY:
        return _obey(job, report)
    return report


def _watching(job: Job) -> AbstractContextManager[Watch]:
    """Who is to know learns of it from this job, which has the secrets of the environment's branch."""
    return watching(
        job.start,
        job.environ,
        job.clock,
        job.say,
        forge=(lambda: job.client(job.environ)) if job.environ.get("GITHUB_TOKEN") else None,
        hurried=lambda: job.cancel.is_set,
    )


def _run(job: Job, report: Report, project: Project) -> Report:
    """The recipes of a branch of our own, as it is checked out. A push that is not the branch's newest does
    nothing: run again, it would take consumers back in time."""
    repository = Repository.find(project.root)
    about, branch = report.event.about, report.decision.branch
    meant = about.after if isinstance(about, Push) else report.event.sha
    tip = merging.tip_of(repository.root, branch)
    if tip is not None and meant and tip != meant:
        said = f"superseded: branch '{branch}' is at {tip[:12]}, and this job is for {meant[:12]}"
        return replace(report, said=(said,), superseded=True)
    head = repository.head()
    if meant and head != meant:
        raise Mistake(
            Problem(
                f"{(head or 'nothing')[:12]} is checked out, and this job is for {meant[:12]} of '{branch}'",
                hint="check out without `ref:`, and commit nothing in the job",
                code="other-commit",
            )
        )
    if report.decision.environment:
        from gitkitchen.road.reconcile import refusal_to_run

        told = list[str]()
        request = Request(start=job.start, environ=job.environ, say=job.say)
        refused = refusal_to_run(request, report.decision.environment, job.clock(), told.append)
        report = replace(report, said=(*report.said, *told))
        scheduling.look_after(job, report.decision.environment, project)
        if refused is not None:
            return replace(report, failures=(Failure("", (refused,), FAILED),))
    return run_recipes(job, report, project.root, fresh=report.decision.fresh)


def _view(job: Job, report: Report) -> Report:
    """How the gates of a promotion stand, for whoever looks at its pull request. The job is the pull
    request's: what it says is a view, and opens nothing. That it cannot be said is a warning."""
    from gitkitchen.road.landing import foresee
    from gitkitchen.road.waiting import acting
    from gitkitchen.road.walking import Asked

    said = list[str]()
    request = acting(Request(start=job.start, environ=job.environ, say=job.say))
    asked = Asked(str(report.decision.environment), request, job.cancel, clock=job.clock, say=said.append)
    try:
        shown = foresee(asked, job.clock()).shown(dry=True)
    except GitKitchenError as error:
        return replace(report, warnings=error.problems)
    return replace(report, said=(*said, text(shown)))


def _post(job: Job, report: Report, project: Project) -> Report:
    from gitkitchen.ci.poster import post

    assert report.decision.run is not None
    with job.client(job.environ) as client:
        done = post(report.event, report.decision.run, project, client, job.clock())
    failures = (Failure("", done.refused, MISTAKE),) if done.refused else ()
    return replace(report, said=done.said, warnings=done.warnings, failures=failures, pull=done.pull)


def _obey(job: Job, report: Report) -> Report:
    """Answer a command. Run again where GitHub did not answer, it starts nothing twice."""
    from gitkitchen.github.obeying import obey
    from gitkitchen.github.trouble import Trouble

    comment, command = report.decision.comment, report.decision.command
    assert comment is not None
    assert command is not None
    branch = report.event.default_branch
    try:
        with job.client(job.environ) as client:
            answer = obey(comment, command, client, workflow=job.workflow, branch=branch)
    except Trouble as trouble:
        return replace(report, failures=(Failure("", (trouble.problem(),), INFRASTRUCTURE),))
    return replace(report, said=(answer.said,))


def _drop(job: Job, report: Report, project: Project) -> Report:
    """Remove the kitchen of a branch that is gone. That it cannot be is a warning: `gc` comes to it."""
    event, branch = report.event, report.decision.branch
    origin = f"{event.server}/{report.decision.repository or event.repository}"
    head = head_of_event(event) or Head(event.home, branch, event.home)
    head = replace(head, repository=origin, branch=branch)
    kitchen = identify(project, branch=branch, repository=None, override=None, event=head)
    premises = find_premises(job.start, job.say)
    try:
        ending.drop(premises, kitchen.label, job.clock())
    except Mistake as error:
        if error.problems[0].code == "no-kitchen":
            return replace(report, said=(f"'{kitchen.label}' left nothing behind",))
        return replace(report, failures=(Failure("", error.problems, error.exit_code),))
    except (Conflict, Infrastructure) as error:
        return replace(report, warnings=error.problems)
    return replace(report, said=(f"dropped kitchen '{kitchen.label}'",))

"""A trusted job goes on with promotions that waited, where nothing stands against them any more, and tells of
those that were lost."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from gitkitchen.ci.decide import Action
from gitkitchen.errors import GitKitchenError
from gitkitchen.github.events import Push, Schedule
from gitkitchen.github.trouble import Trouble
from gitkitchen.model import Environment, Project
from gitkitchen.workplace import Request

if TYPE_CHECKING:
    from gitkitchen.ci.shapes import Job, Report
    from gitkitchen.github.api import Client


def resumed(job: Job, report: Report, project: Project) -> Report:
    """The pull request of a promotion was reviewed. The job runs the default branch's code; that of the
    review, which ran the candidate's, is only the bell."""
    environment = project.environment(report.decision.environment or "")
    found = (environment,) if environment is not None else ()
    return replace(report, said=(*report.said, *_gone_on(job, report, project, found)))


def afterwards(job: Job, report: Report, project: Project) -> Report:
    """Behind what a push or a schedule asked for: windows open and soaks end by the clock alone, and whatever
    comes next notices. It changes no verdict."""
    if not isinstance(report.event.about, Push | Schedule) or report.superseded or report.signal is not None:
        return report
    said = _gone_on(job, report, project, tuple(e for e in project.environments if e.source))
    return replace(report, said=(*report.said, *said))


def _gone_on(
    job: Job, report: Report, project: Project, environments: tuple[Environment, ...]
) -> tuple[str, ...]:
    from gitkitchen.road.waiting import Forge, go_on

    if project.ledger != "branch" or not environments or not job.environ.get("GITHUB_TOKEN"):
        return ()
    request = Request(start=job.start, environ=job.environ, say=job.say)
    mark = f"run {report.event.run}.{report.event.attempt}"
    try:
        with job.client(job.environ) as client:
            forge = Forge(client, report.event.default_branch, mark)
            said = tuple(go_on(request, environments, forge, job.clock()))
            return (*said, *_lost(job, request, environments, client))
    except (GitKitchenError, Trouble) as error:
        if report.decision.action is Action.RESUME:
            return (f"whether a promotion can go on is not known: {error}",)
        return ()


def _lost(job: Job, request: Request, environments: tuple[Environment, ...], client: Client) -> Iterator[str]:
    """Promotions that were started and never ran. What hinders looking hinders nothing."""
    from gitkitchen.automation import PROMOTE
    from gitkitchen.road.dropped import dropped
    from gitkitchen.road.ground import Ground

    try:
        lost = dropped(Ground.of(request), environments, lambda: client.started(PROMOTE))
    except (GitKitchenError, Trouble):
        return
    for one in lost:
        if job.watch is not None:
            job.watch.dropped(one.environment, one.said, one.landing.at, one.landing.commit, f"job {one.job}")
        yield f"{one.environment}: {one.said}"

"""A decision is carried out: the change is merged and its recipes run, a branch is run, a kitchen is dropped.

Everything goes through the same stages as ``gitkitchen run``. What a job finds out is one frozen ``Report``;
showing it comes after, in ``results`` and the command line.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from gitkitchen import flow, merging
from gitkitchen.automation import COMMAND
from gitkitchen.ci import comparing, gathering, resuming, scheduling
from gitkitchen.ci.decide import Action, Decision, decide
from gitkitchen.ci.judging import project_folder
from gitkitchen.ci.moving import outcomes_of
from gitkitchen.ci.subject import on_disk, subject_of
from gitkitchen.errors import (
    FAILED,
    INFRASTRUCTURE,
    INTERRUPTED,
    MISTAKE,
    NOTHING_TESTED,
    PASSED,
    TERMINATED,
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
from gitkitchen.ledger.apart import Apart, kept
from gitkitchen.merging import Merged
from gitkitchen.model import Event as RunEvent
from gitkitchen.model import Outcome, Project, State, Verdict
from gitkitchen.premises import find_premises, find_project
from gitkitchen.production.alerting import both, refusal_of, watched, watching
from gitkitchen.promote.shapes import Intent
from gitkitchen.report.facts import versions
from gitkitchen.report.surfaces.pull import Graph, Pull
from gitkitchen.road.order import Reader, in_order
from gitkitchen.road.shown import code_of as code_of_end
from gitkitchen.road.shown import text
from gitkitchen.upkeep import ending
from gitkitchen.workplace import Request, enter

if TYPE_CHECKING:
    from gitkitchen.github.api import Client
    from gitkitchen.process import Cancel
    from gitkitchen.production.alerting import Watch
    from gitkitchen.report.comparison import Comparison

SIGTERM = 15
"""The workflow of the default branch that tests what a command names, as `init` calls its file."""

CODES = {
    Verdict.PASSED: PASSED,
    Verdict.FAILED: FAILED,
    Verdict.INFRASTRUCTURE: INFRASTRUCTURE,
    Verdict.NOTHING_TESTED: NOTHING_TESTED,
    Verdict.CANCELLED: INTERRUPTED,
}

WORST = (FAILED, MISTAKE, INFRASTRUCTURE, NOTHING_TESTED, PASSED)
"""Which of several exit codes is the job's: the first of these. A job that was cancelled says only that."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A recipe that has no outcome ("" for the job as a whole), and why."""

    recipe: str
    problems: tuple[Problem, ...]
    code: int


@dataclass(frozen=True, slots=True)
class Report:
    """What a job did. ``subject``: what a change was tested as; ``said``: sentences for people; ``signal``:
    the one by which it was cancelled."""

    event: Event
    decision: Decision
    subject: Merged | None = None
    outcomes: tuple[Outcome, ...] = ()
    failures: tuple[Failure, ...] = ()
    said: tuple[str, ...] = ()
    warnings: tuple[Problem, ...] = ()
    difference: Comparison | None = None
    signal: int | None = None
    superseded: bool = False
    """A newer push of the same branch counts, and this one did nothing."""
    graphs: tuple[Graph, ...] = ()
    pull: Pull | None = None
    """Of a change that was tested: all that is shown of it."""
    folder: str = ""
    """Where the project is in its repository: what is shown of files is relative to that."""

    @property
    def code(self) -> int:
        """The exit code. Where something was to be tested, no outcome at all is never green."""
        if self.signal is not None:
            return TERMINATED if self.signal == SIGTERM else INTERRUPTED
        found = {CODES[o.verdict] for o in self.outcomes} | {f.code for f in self.failures}
        if self.decision.action is Action.REFUSE:
            return MISTAKE
        if not found and self.decision.action in (Action.TEST, Action.RUN) and not self.superseded:
            return NOTHING_TESTED
        return next((code for code in WORST if code in found), PASSED)

    @property
    def word(self) -> str:
        """How the job ended, for machines: a verdict, or ignored, refused, superseded, done."""
        if self.signal is not None:
            return Verdict.CANCELLED.value
        if self.superseded:
            return "superseded"
        if self.decision.action in (Action.IGNORE, Action.VIEW):
            return "ignored"
        if self.code == MISTAKE:
            return "refused"
        tested = self.decision.action is Action.SCHEDULED and self.outcomes
        if tested or self.decision.action in (Action.TEST, Action.RUN):
            return next(v.value for v, code in CODES.items() if code == self.code)
        return "done"


@dataclass(frozen=True, slots=True)
class Job:
    """What surrounds the work of a job. ``decided`` is told what will be done, ``begun`` the subject before
    the first recipe, ``ended`` each outcome as it comes: what is written by then survives a kill."""

    start: Path
    environ: Mapping[str, str]
    cancel: Cancel
    clock: Callable[[], datetime]
    on_event: Callable[[RunEvent], None] = lambda _event: None
    say: Callable[[Problem], None] = lambda _problem: None
    decided: Callable[[Decision], None] = lambda _decision: None
    begun: Callable[[Event, Merged], None] = lambda _event, _merged: None
    ended: Callable[[Outcome], None] = lambda _outcome: None
    jobs: int | None = None
    client: Callable[[Mapping[str, str]], Client] = lambda environ: _client(environ)
    """What speaks with GitHub's API, from the job's environment."""
    workflow: str = COMMAND
    """The file of the default branch's workflow that commands start."""
    apart: Apart | None = None
    """How what a change publishes in its own kitchen is kept for this job: by default, where the job may
    not write the ledger."""
    watch: Watch | None = None
    """Who tells of what happens to environments; of a job on one it is made by ``carry_out``."""


def _client(environ: Mapping[str, str]) -> Client:
    from gitkitchen.github.api import Client

    return Client.of_job(environ)


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
        return _test(job, report, project)
    if decision.action in (Action.RUN, Action.SCHEDULED, Action.PROMOTE, Action.ROLLBACK, Action.ABSORB):
        with _watching(job) as watch:
            job = replace(job, watch=watch)
            if decision.action is Action.RUN:
                ended = _run(job, report, project)
            elif decision.action is Action.SCHEDULED:
                ended = scheduling.scheduled(job, report, project)
            else:
                ended = _move(job, report, project)
        return resuming.afterwards(job, ended, project)
    if decision.action is Action.CLOCK:
        with _watching(job) as watch:
            watched_job = replace(job, watch=watch)
            ended = scheduling.clock(watched_job, report, lambda r: _run(watched_job, r, project))
        return resuming.afterwards(job, ended, project)
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


# --- a change ---------------------------------------------------------------------------------------


def _test(job: Job, report: Report, project: Project) -> Report:
    began = job.clock()
    repository = Repository.find(project.root)
    assert report.decision.change is not None
    subject = subject_of(report.event, report.decision.change, repository.root)
    job.begun(report.event, subject)
    report = replace(report, subject=subject)
    apart = job.apart or Apart(secrets.token_hex(8))
    job = replace(job, apart=apart)
    with (
        kept(repository.root, repository.common, project.state, apart),
        on_disk(project, repository, subject) as root,
    ):
        if report.decision.dataset:
            return _compared(job, report, root)
        report = _recipes(job, report, root, fresh=report.decision.fresh)
        request = Request(start=root, environ=job.environ, say=job.say, apart=apart)
        without = [(f.recipe, p) for f in report.failures for p in f.problems]
        seconds = (job.clock() - began).total_seconds()
        about = gathering.about(report.event, subject, project)
        found = gathering.gather(
            about, request, report.outcomes, report.graphs, without, seconds, compared=report.signal is None
        )
        return replace(report, pull=found)


def _recipes(
    job: Job, report: Report, root: Path, *, fresh: bool = False, only: frozenset[str] | None = None
) -> Report:
    """Run every recipe of a folder (``only``: of these), after those that it reads; one that cannot begin
    stops no other.

    Of a change, a recipe is not tested on data that the change would replace: neither what did not pass nor
    what could not be published to the change's kitchen stands in for the new.
    """
    try:
        # With the state of the main work tree: what it knows of these files by content is not read again.
        readers = [r for r in in_order(find_project(root)[0]) if only is None or r.name in only]
    except GitKitchenError as error:
        return replace(report, failures=(Failure("", error.problems, error.exit_code),))
    request = Request(
        start=root, jobs=job.jobs, fresh=fresh, environ=job.environ, say=job.say, apart=job.apart
    )
    on_event = job.on_event
    if job.watch is not None:
        request, on_event = watched(request, job.watch), both(job.on_event, job.watch)
    outcomes: list[Outcome] = []
    failures: list[Failure] = []
    strict = report.decision.action is Action.TEST
    unseen: set[str] = set()
    for reader in readers:
        name = reader.name
        if job.cancel.is_set:
            break
        if strict and (lost := sorted(reader.reads & unseen)):
            failures.append(Failure(name, (_not_tested(name, lost),), INFRASTRUCTURE))
            unseen |= reader.makes
            continue
        try:
            outcome = flow.run(
                replace(request, recipe=name), on_event=on_event, cancel=job.cancel, now=job.clock()
            )
        except GitKitchenError as error:
            busy = isinstance(error, Conflict)  # whoever holds the lease tells of it
            if job.watch is not None and report.decision.environment and not busy:
                said = error.problems[0].message
                job.watch.unable(str(report.decision.environment), name, said, job.clock())
            failures.append(Failure(name, error.problems, error.exit_code))
            unseen |= reader.makes
            continue
        unseen |= _unseen(request, outcome, reader) if strict else set()
        outcomes.append(outcome)
        job.ended(outcome)
        if job.watch is not None:
            job.watch.ended(outcome)
    failures += _in_circles(readers, outcomes) if strict else []
    # SIGINT where the cancel names no signal: it was asked to end all the same.
    signal = (job.cancel.signal or 2) if job.cancel.is_set else None
    graphs = tuple(Graph(r.name, r.needs) for r in readers)
    return replace(report, outcomes=tuple(outcomes), failures=tuple(failures), signal=signal, graphs=graphs)


def _unseen(request: Request, outcome: Outcome, reader: Reader) -> set[str]:
    """The datasets of a run that the next recipe would not see as the run built them."""
    if outcome.verdict is not Verdict.PASSED:
        return set(reader.makes)
    if outcome.publication.state in ("published", "unchanged"):
        return set()
    place = enter(replace(request, recipe=outcome.recipe))
    entries = place.catalog().entries
    place.close()
    shown = {name: entries[name].content for name in entries}
    return {name for name, version in versions(outcome).items() if shown.get(name) != version.content}


def _in_circles(readers: Sequence[Reader], outcomes: Sequence[Outcome]) -> list[Failure]:
    """The recipes that ran before others which then built anew what they read: they saw the old."""
    built = {
        dataset
        for outcome in outcomes
        for node in outcome.nodes
        if node.build is not None and node.state is not State.REUSED
        for dataset in node.build.versions
    }
    found = []
    for index, reader in enumerate(readers):
        later = {dataset for other in readers[index + 1 :] for dataset in other.makes}
        if lost := sorted(reader.reads & later & built):
            problem = Problem(
                f"'{reader.name}' was tested on the {', '.join(lost[:10])} of before this change: recipes "
                "read each other in a circle",
                hint="run the job again: it begins from what this one built",
                code="circle",
            )
            found.append(Failure(reader.name, (problem,), INFRASTRUCTURE))
    return found


def _not_tested(recipe: str, lost: Sequence[str]) -> Problem:
    named = ", ".join(f"'{name}'" for name in lost[:10])
    return Problem(
        f"'{recipe}' was not tested: it reads {named}, whose new version did not pass or could not be "
        "published to this kitchen",
        hint="see the recipe that makes it",
        code="not-tested",
    )


def _compared(job: Job, report: Report, root: Path) -> Report:
    """The dataset that was asked for, as its run built it, beside the base's: by `gitkitchen diff --data`.
    Only the recipes that lead to it run, so that nothing is said of the change as a whole."""
    name = report.decision.dataset
    try:
        readers = in_order(find_project(root)[0])
        maker = comparing.maker(readers, name)
        wanted = comparing.leading_to(readers, maker)
        report = _recipes(job, report, root, fresh=report.decision.fresh, only=wanted)
        if report.signal is not None:
            return report
        request = Request(start=root, environ=job.environ, say=job.say, apart=job.apart)
        return replace(report, difference=comparing.one(request, report.outcomes, maker, name))
    except GitKitchenError as error:
        failure = Failure("", error.problems, error.exit_code)
        return replace(report, failures=(*report.failures, failure))


# --- a branch ---------------------------------------------------------------------------------------


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
    return _recipes(job, report, project.root, fresh=report.decision.fresh)


def _move(job: Job, report: Report, project: Project) -> Report:
    """A promotion or rollback that was asked for, or what came to a branch by somebody's hand."""
    from gitkitchen.road.absorbing import absorb
    from gitkitchen.road.ground import Ground, environment_named
    from gitkitchen.road.hub import hub_of
    from gitkitchen.road.landing import foresee, promote
    from gitkitchen.road.looking import refuse_unauthorised
    from gitkitchen.road.proving import Proof
    from gitkitchen.road.reconcile import first
    from gitkitchen.road.rollback import Back, rollback
    from gitkitchen.road.walking import Asked

    decision, said, proofs = report.decision, list[str](), list[Proof]()
    asked = Asked(
        environment=str(decision.environment),
        request=Request(start=job.start, jobs=job.jobs, environ=job.environ, say=job.say),
        cancel=job.cancel,
        intent=Intent.HOTFIX if decision.data == "hotfix" else Intent.FORWARD,
        rev=decision.rev,
        reason=decision.why,
        over=decision.over,
        clock=job.clock,
        on_event=job.on_event,
        say=said.append,
        proved=proofs.append,
    )
    try:
        if decision.action is Action.ABSORB:
            ground = Ground.of(asked.request)
            environment = environment_named(ground.project, asked.environment)
            refuse_unauthorised(ground, environment, job.environ)
            if first(ground, asked.request, environment, asked.clock(), asked.say):
                ground = Ground.of(asked.request)
            done = absorb(ground, asked, hand=True)
        else:
            with job.client(job.environ) as client:
                hub = hub_of(client, job.environ, report.event.default_branch, project.id)
                asked = replace(asked, hub=hub)
                if decision.dry:
                    return replace(report, said=(*said, text(foresee(asked, job.clock()).shown(dry=True))))
                if decision.action is Action.ROLLBACK:
                    done = rollback(asked, Back(decision.rev, decision.data))
                else:
                    done = promote(asked)
    except GitKitchenError as error:
        failure = Failure("", error.problems, error.exit_code)
        _tell_of(job, asked.environment, error.problems[0].message)
        return replace(report, said=tuple(said), failures=(failure,))
    if done is None:
        _tell_of(job, asked.environment, None)
        return replace(report, said=("the ledger has it already",))
    told = text(done.shown())
    report = replace(report, outcomes=outcomes_of(proofs, done))
    for outcome in report.outcomes:
        job.ended(outcome)
    code = code_of_end(done.end, done.gates)
    _tell_of(job, asked.environment, refusal_of(done.shown()))
    if code == PASSED:
        return replace(report, said=(*said, told))
    if job.cancel.is_set:
        report = replace(report, signal=job.cancel.signal or 2)
    failure = Failure("", (Problem(told, code=f"promotion-{done.end.value}"),), code)
    return replace(report, said=tuple(said), failures=(failure,))


def _tell_of(job: Job, environment: str, refused: str | None) -> None:
    """A move ended: refused in these words, landed (""), or it says nothing (None)."""
    if job.watch is None:
        return
    if refused is not None:
        job.watch.moved(environment, refused, job.clock())
    job.watch.looked(environment)


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


# --- what is said at GitHub --------------------------------------------------------------------------


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


# --- the end of a kitchen ---------------------------------------------------------------------------


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


def problems_of(failures: Sequence[Failure]) -> Iterable[Problem]:
    """What went wrong without an outcome, each with the recipe that it concerns."""
    for failure in failures:
        for problem in failure.problems:
            about = f"recipe '{failure.recipe}': " if failure.recipe and not problem.place else ""
            yield replace(problem, message=f"{about}{problem.message}")

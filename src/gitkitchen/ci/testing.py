"""A change is tested: merged, and its recipes run one after the other, each on what those before it built."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from gitkitchen import flow
from gitkitchen.ci import comparing, gathering
from gitkitchen.ci.decide import Action
from gitkitchen.ci.shapes import Failure, Job, Report
from gitkitchen.ci.subject import on_disk, subject_of
from gitkitchen.errors import INFRASTRUCTURE, Conflict, GitKitchenError, Problem
from gitkitchen.git import Repository
from gitkitchen.ledger.apart import Apart, kept
from gitkitchen.model import Outcome, Project, State, Verdict
from gitkitchen.premises import find_project
from gitkitchen.production.alerting import both, watched
from gitkitchen.report.facts import versions
from gitkitchen.report.surfaces.pull import Graph
from gitkitchen.road.order import Reader, in_order
from gitkitchen.workplace import Request, enter


def test_change(job: Job, report: Report, project: Project) -> Report:
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
        report = run_recipes(job, report, root, fresh=report.decision.fresh)
        request = Request(start=root, environ=job.environ, say=job.say, apart=apart)
        without = [(f.recipe, p) for f in report.failures for p in f.problems]
        seconds = (job.clock() - began).total_seconds()
        about = gathering.about(report.event, subject, project)
        found = gathering.gather(
            about, request, report.outcomes, report.graphs, without, seconds, compared=report.signal is None
        )
        return replace(report, pull=found)


def run_recipes(
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
        report = run_recipes(job, report, root, fresh=report.decision.fresh, only=wanted)
        if report.signal is not None:
            return report
        request = Request(start=root, environ=job.environ, say=job.say, apart=job.apart)
        return replace(report, difference=comparing.one(request, report.outcomes, maker, name))
    except GitKitchenError as error:
        failure = Failure("", error.problems, error.exit_code)
        return replace(report, failures=(*report.failures, failure))

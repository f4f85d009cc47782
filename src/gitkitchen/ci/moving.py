"""A promotion or rollback is carried out, and what of it is shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from gitkitchen.ci.decide import Action
from gitkitchen.ci.shapes import Failure, Job, Report
from gitkitchen.errors import PASSED, GitKitchenError, Problem
from gitkitchen.model import Outcome, Project, Publication
from gitkitchen.production.alerting import refusal_of
from gitkitchen.promote.protocol import End
from gitkitchen.promote.shapes import Intent
from gitkitchen.report.facts import versions
from gitkitchen.road.absorbing import absorb
from gitkitchen.road.ground import Ground, environment_named
from gitkitchen.road.hub import hub_of
from gitkitchen.road.landing import foresee, promote
from gitkitchen.road.looking import refuse_unauthorised
from gitkitchen.road.proving import Proof
from gitkitchen.road.reconcile import first
from gitkitchen.road.rollback import Back, rollback
from gitkitchen.road.shown import WORDS, text
from gitkitchen.road.shown import code_of as code_of_end
from gitkitchen.road.walking import Asked, Done
from gitkitchen.workplace import Request

OPEN = (End.UNFINISHED,)
"""Ends at which nobody knows yet whether it was published: then nothing is claimed of it."""


def move(job: Job, report: Report, project: Project) -> Report:
    """A promotion or rollback that was asked for, or what came to a branch by somebody's hand."""
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
            done = _absorbed(job, asked)
        else:
            with job.client(job.environ) as client:
                hub = hub_of(client, job.environ, report.event.default_branch, project.id)
                asked = replace(asked, hub=hub)
                if decision.dry:
                    return replace(report, said=(*said, text(foresee(asked, job.clock()).shown(dry=True))))
                back = Back(decision.rev, decision.data)
                done = rollback(asked, back) if decision.action is Action.ROLLBACK else promote(asked)
    except GitKitchenError as error:
        failure = Failure("", error.problems, error.exit_code)
        _tell_of(job, asked.environment, error.problems[0].message)
        return replace(report, said=tuple(said), failures=(failure,))
    if done is None:
        _tell_of(job, asked.environment, None)
        return replace(report, said=("the ledger has it already",))
    return _ended(job, replace(report, outcomes=outcomes_of(proofs, done)), done, said)


def _absorbed(job: Job, asked: Asked) -> Done | None:
    """What came to the branch by somebody's hand, judged; None where the ledger has it already."""
    ground = Ground.of(asked.request)
    environment = environment_named(ground.project, asked.environment)
    refuse_unauthorised(ground, environment, job.environ)
    if first(ground, asked.request, environment, asked.clock(), asked.say):
        ground = Ground.of(asked.request)
    return absorb(ground, asked, hand=True)


def _ended(job: Job, report: Report, done: Done, said: Sequence[str]) -> Report:
    """The report of a move that came to an end, and who is to know of it knows."""
    for outcome in report.outcomes:
        job.ended(outcome)
    told, code = text(done.shown()), code_of_end(done.end, done.gates)
    _tell_of(job, str(report.decision.environment), refusal_of(done.shown()))
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


def outcomes_of(proofs: Sequence[Proof], done: Done) -> tuple[Outcome, ...]:
    """The outcomes that stand for a move's end, in the order of the runs: each says what consumers read now.

    ``proofs``: those of the move, the newest last. An attempt that another overtook tells nothing, nor does
    the proof of what stood on the branch before. Of a landing that is not this move's nothing was proved.
    """
    if not proofs or done.end in OPEN or (done.end is End.LANDED and not done.new):
        return ()
    proof, landing = proofs[-1], done.landing
    if landing is not None and landing.tree == proof.tree and landing.before == proof.base:
        return tuple(
            _landed(o, landing.published, proof.sequence + 1) if o.variation is None else _proved(o)
            for o in proof.outcomes
        )
    if landing is not None or (done.stretch is not None and done.stretch.tree != proof.tree):
        return ()
    return tuple(
        replace(o, publication=Publication("withheld", WORDS[done.end].replace(": ", ", ")), candidate=True)
        for o in proof.outcomes
    )


def _landed(outcome: Outcome, published: Sequence[str], sequence: int) -> Outcome:
    """``sequence``: of the one publication that carries all recipes of the landing."""
    mine = tuple(sorted(versions(outcome).keys() & set(published)))
    found = Publication("published" if mine else "unchanged", "", sequence, mine)
    return replace(outcome, publication=found, candidate=False)


def _proved(outcome: Outcome) -> Outcome:
    """A variation, of which a landing publishes nothing."""
    said = "a landing proves a variation, and its own runs publish it"
    return replace(outcome, publication=Publication("withheld", said), candidate=True)

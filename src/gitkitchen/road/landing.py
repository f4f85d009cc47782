"""Promotion: a tree that its source has landed is proved, judged, and lands on the next environment's branch.

The order of the steps is that of ``promote/protocol.py``. What was tested is what lands: a commit with the
source's own tree on top of the tested tip, and with it, in one step where the ledger can, the versions that
the tested runs have shown. Nothing is rebased. Whoever finds that something moved has changed nothing, and
begins again from the start, with another proof.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from gitkitchen.answers import Answer
from gitkitchen.errors import Conflict, Infrastructure, Problem
from gitkitchen.ledger.committing import RefMoved
from gitkitchen.ledger.lease import LeaseLost
from gitkitchen.promote.protocol import End
from gitkitchen.promote.shapes import Intent, Method
from gitkitchen.road import publishing
from gitkitchen.road.absorbing import absorb
from gitkitchen.road.carrying import Walk, brought_back, refusal
from gitkitchen.road.effects import effect
from gitkitchen.road.ground import Ground, environment_named, unanswered
from gitkitchen.road.hotfix import look_hotfix
from gitkitchen.road.incidents import course_of
from gitkitchen.road.judging import judge, passed
from gitkitchen.road.looking import (
    Moved,
    Stretch,
    checkout_of,
    look,
    refuse_shallow,
    refuse_unauthorised,
    workflows_changed,
)
from gitkitchen.road.mending import refusal_of
from gitkitchen.road.reconcile import first
from gitkitchen.road.walking import Asked, Done, case_of, proved, site

ATTEMPTS = 3
"""How often a promotion begins from the start where others are faster: each time with a new proof."""


def promote(asked: Asked) -> Done:
    """Move a tree one environment further, if everything that guards the environment allows it.

    Where it is asked again, it goes on from what is there. Mistake where there is nothing that could be
    moved, Conflict where another promotion of the environment is under way.
    """
    for attempt in range(ATTEMPTS):
        ground = Ground.of(asked.request)
        try:
            return _once(ground, asked)
        except (Moved, RefMoved, LeaseLost) as error:
            if asked.hub is not None:
                asked.hub.withdrawn()
            if attempt == ATTEMPTS - 1 or asked.cancel.is_set:
                return Done(End.LOST, asked.environment, problems=(*_holds(asked), *error.problems))
            asked.say(f"{error.problems[0].message}; trying again from the start, with another proof")
    raise AssertionError("the last attempt returns")


def _holds(asked: Asked) -> tuple[Problem, ...]:
    """The holds that are in force: what moved may have been taken away by one."""
    try:
        found = Ground.of(asked.request).course(asked.environment).holds
    except (Infrastructure, Conflict):
        return ()
    return tuple(
        Problem(
            f"{asked.environment} is on hold by {h.by} since {h.at:%Y-%m-%d %H:%M} UTC: {h.reason} ({h.id})",
            hint=f"`gitkitchen hold {asked.environment} --release` ends it",
            code="held",
        )
        for h in found
        if asked.intent is Intent.FORWARD
    )


def foresee(asked: Asked, at: datetime) -> Done:
    """How a promotion's gates stand at a moment, by what is known without running anything. Nothing changes.

    Mistake where there is nothing that could be moved.
    """
    ground = Ground.of(asked.request)
    stretch = _look(ground, asked, dry=True)
    if stretch.stands:
        return Done(End.LANDED, asked.environment, stretch, stretch.course.last)
    said = list(_said(ground, stretch))
    if stretch.course.tip not in ("", stretch.base):
        said.append(
            f"{stretch.base[:12]} on branch '{stretch.environment.branch}' is not in the ledger: a promotion "
            "proves it first"
        )
    case = case_of(ground, asked, stretch, stretch.course, None)
    bound = (stretch.tree, stretch.base, stretch.policy)
    kept = publishing.kept_evidence(ground.ledger, asked.environment, *bound)
    gates = judge(replace(case, kept=kept), at)
    end = End.CLEAN if passed(gates) else refusal(gates)
    return Done(end, asked.environment, stretch, gates=gates, said=tuple(said))


def _look(ground: Ground, asked: Asked, *, dry: bool = False) -> Stretch:
    if asked.intent is Intent.HOTFIX:
        return look_hotfix(ground, asked.environment, asked.rev, dry=dry)
    return look(ground, asked.environment, intent=asked.intent, rev=asked.rev, dry=dry)


def _once(ground: Ground, asked: Asked) -> Done:
    environment = environment_named(ground.project, asked.environment)
    refuse_unauthorised(ground, environment, asked.request.environ)
    refuse_shallow(ground)
    with effect("reconcile"):
        if first(ground, asked.request, environment, asked.clock(), asked.say):
            ground = Ground.of(asked.request)
        before = absorb(ground, asked)
    if before is not None:
        if before.end is not End.LANDED:
            return before
        asked.say(_absorbed(before))
        ground = Ground.of(asked.request)
    broken_now = refusal_of(ground.ledger, ground.course(environment.name), asked)
    if broken_now is not None:
        return broken_now
    with effect("look"):
        stretch = _look(ground, asked)
        checkout = checkout_of(ground, stretch.environment)
    if stretch.stands:
        return stands(ground, asked, stretch)
    said = _said(ground, stretch)
    propose(ground, stretch)
    if asked.hub is not None:
        asked.hub.opened(stretch)
    with site(ground, asked, stretch.candidate, stretch.tree) as (root, place):
        proof = proved(asked, ground, stretch, root, place)
        with effect("judge"):
            course = course_of(place.ledger, asked.environment)
            gates = judge(case_of(ground, asked, stretch, course, proof), asked.clock())
            if asked.hub is not None:
                asked.hub.shown(stretch, gates, proof.evidence)
        if asked.cancel.is_set:
            # What a run that was ended did not show is no verdict on the tree.
            ended_early = "it was interrupted before it landed; what was built is reused"
            return Done(End.WAITING, asked.environment, stretch, said=(*said, ended_early))
        if not passed(gates) or proof.patch is None:
            said += tuple(asked.hub.notes) if asked.hub is not None else ()
            return Done(refusal(gates), asked.environment, stretch, gates=gates, said=said)
        place.rehearse(place.catalog(), proof.patch)
        walk = Walk(ground, asked, stretch, proof, place, checkout)
        done = walk.land(gates)
    return replace(done, said=(*said, *done.said))


def _absorbed(before: Done) -> str:
    """What was recorded of what stood on the branch before anything was promoted."""
    landing = before.landing
    assert landing is not None
    count = len(landing.published)
    how = "by hand" if landing.method is Method.HAND else "by a promotion that did not end"
    said = f"{landing.commit[:12]} came to branch '{landing.branch}' {how}; it is proved and recorded now"
    return f"{said}, and {count or 'no'} dataset{'s' if count != 1 else ''} published with it"


def stands(ground: Ground, asked: Asked, stretch: Stretch) -> Done:
    """It has landed already: only what is derived from it may be left to do."""
    with site(ground, asked, stretch.base, stretch.tree) as (_, place), effect("show-views"):
        place.show(place.catalog(), missing_ok=True, asked=False)
    last = stretch.course.last
    said = brought_back(ground, asked, last) if last is not None else ()
    return Done(End.LANDED, asked.environment, stretch, last, said=said)


def _said(ground: Ground, stretch: Stretch) -> tuple[str, ...]:
    changed = workflows_changed(ground, stretch)
    if not changed:
        return ()
    said = (
        f"it changes {', '.join(changed[:5])}: pushing workflow files needs the `workflows` right, which a "
    )
    return (said + "job's own token never has: a person or an App with that right pushes it, or merges it",)


def propose(ground: Ground, stretch: Stretch) -> None:
    """Put the candidate on its branch, where people and the forge can see it."""
    if stretch.proposed == stretch.candidate:
        return
    with effect("push-candidate"):
        pushed = ground.move({stretch.branch: (stretch.candidate, stretch.proposed or None)})
    if pushed.answer is Answer.APPLIED:
        return
    if pushed.answer is Answer.OVERTAKEN:
        raise Moved(f"another promotion moved '{stretch.branch}'")
    if ground.tip(stretch.branch) != stretch.candidate:
        error = unanswered(f"branch '{stretch.branch}'", pushed)
        said = _said(ground, stretch)
        if said and pushed.answer in (Answer.REFUSED, Answer.DENIED):
            raise Infrastructure(replace(error.problems[0], hint=said[0], code="workflows"))
        raise error

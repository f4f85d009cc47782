"""Rollback: an environment goes back to what it showed, by one command, and is held until it is released.

It goes the road of a promotion (``landing.Walk``), as ``promote/protocol.py`` has it: nobody is asked and
nothing soaks. Under the lease all candidates are taken away, then the hold and the incident are recorded, and
only then its own candidate comes: whatever promotion was under way finds its candidate gone, its gates closed
and the tip moved.
"""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import datetime
from typing import Any

from gitkitchen import history
from gitkitchen.errors import Conflict, Infrastructure, Mistake, Problem
from gitkitchen.files import digest
from gitkitchen.frozen import dataclass
from gitkitchen.kitchen.identity import environment_namespace
from gitkitchen.ledger.committing import RefMoved
from gitkitchen.ledger.lease import LeaseLost
from gitkitchen.ledger.protocol import Held, New
from gitkitchen.merging import Merged
from gitkitchen.promote.moves import Course, body_of
from gitkitchen.promote.protocol import End
from gitkitchen.promote.shapes import Evidence, Hold, Incident, Intent, stream_of
from gitkitchen.road import publishing
from gitkitchen.road.absorbing import absorb, broken, found_of
from gitkitchen.road.carrying import Walk, refusal
from gitkitchen.road.completing import complete, published_with
from gitkitchen.road.effects import effect
from gitkitchen.road.ground import Ground, environment_named
from gitkitchen.road.holding import void_candidate
from gitkitchen.road.incidents import course_of
from gitkitchen.road.judging import judge, passed, policy_of
from gitkitchen.road.landing import propose, stands
from gitkitchen.road.looking import (
    Moved,
    Stretch,
    candidate_of,
    checkout_of,
    refuse_unauthorised,
    refuse_unfit,
    ruling_of,
)
from gitkitchen.road.reconcile import first
from gitkitchen.road.restoring import (
    Then,
    find_then,
    kept_rollback,
    patch_to,
    proof_of_then,
    refuse_collected,
)
from gitkitchen.road.walking import Asked, Done, actors, case_of, proved, site, under_lease
from gitkitchen.road.worktree import laid_out
from gitkitchen.workplace import Workplace, enter

ATTEMPTS = 3
PATIENCE = 60.0
"""Seconds to wait for whoever is moving the environment right now."""
FORMS = ("restore", "current", "keep-tree")


@dataclass(frozen=True, slots=True)
class Back:
    """How far: ``to`` a commit that landed, a run, a moment ("": what was live before); and what comes back,
    one of ``FORMS``: tree and catalog of then; tree of then with what it makes of today's sources; the
    catalog of then alone."""

    to: str = ""
    data: str = "restore"


def rollback(asked: Asked, back: Back) -> Done:
    """Bring an environment back, and hold it. The same command again ends what was begun.

    Mistake where there is nothing to go back to or versions of then are gone: then nothing was changed.
    """
    if not asked.reason.strip():
        hint = "--reason TEXT: it stands in the incident and in the hold"
        raise Mistake(Problem("a rollback needs a reason", hint=hint, code="no-reason"))
    asked = replace(asked, intent=Intent.ROLLBACK, reason=asked.reason.strip())
    patient, attempt = time.monotonic() + PATIENCE, 0
    while True:
        ground = Ground.of(asked.request)
        try:
            return _as_held(ground, asked, _once(ground, asked, back))
        except (Moved, RefMoved, LeaseLost) as error:
            attempt += 1
            if attempt == ATTEMPTS or asked.cancel.is_set:
                return _as_held(ground, asked, Done(End.LOST, asked.environment, problems=error.problems))
            asked.say(f"{error.problems[0].message}; trying again from the start")
        except Conflict as error:  # somebody is moving it: nobody shall have to ask twice
            if asked.cancel.is_set or time.monotonic() > patient:
                raise
            asked.say(f"waiting: {error.problems[0].message}")
            time.sleep(1.0)


def _as_held(ground: Ground, asked: Asked, done: Done) -> Done:
    """What did not land although the hold stands is not "nothing was changed"."""
    if done.end not in (End.LOST, End.WAITING):
        return done
    tip = ground.tip(environment_named(ground.project, asked.environment).branch)
    course = Ground.of(asked.request).course(asked.environment)
    ident = _ident(asked.environment, tip)
    if not any(h.incident == ident for h in course.holds):
        return done
    said = f"environment '{asked.environment}' is on hold, and what shall come back has not landed yet"
    return replace(done, end=End.UNFINISHED, said=(*done.said, said))


def foresee_back(asked: Asked, back: Back, at: datetime) -> Done:
    """What a rollback would bring back, and how its gates stand. Nothing is run, nothing changes."""
    asked = replace(asked, intent=Intent.ROLLBACK)
    ground = Ground.of(asked.request)
    stretch, then = look_back(ground, asked, back, at)
    patch, _ = patch_to(ground.ledger, _namespace(ground, stretch), then.sequence)
    if _stands(stretch, back, patch, ground, then):
        return Done(End.LANDED, asked.environment, stretch, stretch.course.last)
    if back.data != "current":
        subject = Merged(stretch.candidate, stretch.candidate, stretch.tree, stretch.candidate)
        with laid_out(ground.project, ground.folder, subject) as root:
            place = enter(replace(asked.request, start=root, kitchen=asked.environment))
            try:
                refuse_collected(place, patch)
            finally:
                place.close()
    names = ", ".join(list(patch)[:5]) + (" …" if len(patch) > 5 else "")
    said = {
        "restore": f"tree {stretch.tree[:12]} and {len(patch)} datasets of then come back ({names})",
        "keep-tree": f"the tree stays; {len(patch)} datasets of then come back ({names})",
        "current": f"tree {stretch.tree[:12]} comes back, built on today's sources and tested before",
    }[back.data]
    case = case_of(ground, asked, stretch, stretch.course, None)
    case = replace(case, kept=publishing.Kept(_evidence(stretch, then, back), (), ()))
    gates = judge(case, at)
    end = End.CLEAN if passed(gates) else refusal(gates)
    return Done(end, asked.environment, stretch, gates=gates, said=(said, "the environment will be held"))


# --- the walk ----------------------------------------------------------------------------------------


def _once(ground: Ground, asked: Asked, back: Back) -> Done:
    environment = environment_named(ground.project, asked.environment)
    refuse_unauthorised(ground, environment, asked.request.environ)
    with effect("reconcile"):
        try:
            if first(ground, asked.request, environment, asked.clock(), asked.say):
                ground = Ground.of(asked.request)
        except (Infrastructure, Conflict) as error:  # who rolls back is in a hurry: it hinders nothing
            asked.say(f"{environment.name}: it could not be reconciled: {error.problems[0].message}")
        _settle(ground, asked)
    ground = Ground.of(asked.request)
    with effect("look"):
        stretch, then = look_back(ground, asked, back, asked.clock())
        checkout = checkout_of(ground, stretch.environment)
        patch, _ = patch_to(ground.ledger, _namespace(ground, stretch), then.sequence)
    if _stands(stretch, back, patch, ground, then):
        return stands(ground, asked, stretch)
    with site(ground, asked, stretch.candidate, stretch.tree) as (root, place):
        if back.data == "current":
            proof = proved(asked, ground, stretch, root, place, _told(back, then))
        else:
            bound = (stretch.tree, stretch.base, stretch.policy)
            with effect("prove"):
                proof = proof_of_then(place, _evidence(stretch, then, back), bound, then.sequence)
            with effect("record-evidence"):
                at = asked.clock()
                body = publishing.evidence_body(asked.environment, proof, stretch.candidate, at, ())
                stream = publishing.evidence_stream(asked.environment)
                place.ledger.append(stream, body | _told(back, then))
        with effect("judge"):
            gates = judge(
                case_of(ground, asked, stretch, course_of(place.ledger, asked.environment), proof),
                asked.clock(),
            )
        if not passed(gates) or proof.patch is None:
            return Done(refusal(gates), asked.environment, stretch, gates=gates)
        place.rehearse(place.catalog(), proof.patch)

        def prepare(held: Held, course: Course) -> Course:
            return _close_the_road(ground, asked, stretch, place, held, course)

        return Walk(ground, asked, stretch, proof, place, checkout, prepare).land(gates)


def look_back(ground: Ground, asked: Asked, back: Back, now: datetime) -> tuple[Stretch, Then]:
    """What a rollback would move, and what it goes back to. Mistake where there is nothing of the kind."""
    name = asked.environment
    environment = environment_named(ground.project, name)
    base = ground.tip(environment.branch)
    if not base:
        hint = "promote to it: that makes the branch"
        raise Mistake(Problem(f"there is no branch '{environment.branch}'", hint=hint, code="no-then"))
    ruling, project = ruling_of(ground, environment, base)
    environment = project.environment(name) or environment
    course = ground.course(name)
    then = find_then(ground, environment, course, base, back.to, now)
    head = base if back.data == "keep-tree" else then.landing.commit
    commit = history.commit_of(ground.folder, head)
    reading = ground.reading(head)
    refuse_unfit(ground, reading, environment)
    mark = ("GitKitchen-Rollback", f"{back.data} {then.landing.commit}")
    what = f"roll {name} back to {then.landing.commit[:12]}"
    candidate = candidate_of(ground, name, what, commit, [base], mark)
    ruled = ruling or reading
    policy = policy_of(ruled, name)
    stretch = Stretch(
        *(Intent.ROLLBACK, environment, None, base, head, commit.tree, candidate, ""),
        *(ruled, reading, policy, course),
        data=back.data,
    )
    return stretch, then


def _settle(ground: Ground, asked: Asked) -> None:
    """What stands on the branch and is not recorded: it is completed where its records can be, and else it
    is what is rolled back from. Nothing of it is built: whoever rolls back is in a hurry."""
    environment = environment_named(ground.project, asked.environment)
    found = found_of(ground, environment, hand=False)
    if found is None:
        return
    if found.rollback:
        absorb(ground, asked)
        return
    tip = found.commit
    verdict = complete(ground, environment, found.course, tip.oid)
    with site(ground, asked, tip.oid, tip.tree) as (_, place), under_lease(place, asked) as held:
        course = course_of(place.ledger, asked.environment)
        if course.moves != found.course.moves:
            raise Moved(f"environment '{asked.environment}' has moved")
        if not isinstance(verdict, tuple):
            more = published_with(replace(ground, ledger=place.ledger), environment, verdict, held)
            if not isinstance(more, str):
                new = [*more, New(stream_of(asked.environment), body_of(verdict), course.moves)]
                with effect("record-move"):
                    publishing.write(place, new, held)
                return
            verdict = ("drift-branch", f"the landing of {tip.oid[:12]} has no record, and {more}")
        broken(place, asked, held, course, *verdict, tip.oid)


def _namespace(ground: Ground, stretch: Stretch) -> str:
    return environment_namespace(ground.project, stretch.environment)


def _stands(stretch: Stretch, back: Back, patch: object, ground: Ground, then: Then) -> bool:
    """Whether this very rollback has landed and is what stands there."""
    last = stretch.course.last
    if last is None or last.commit != stretch.base:
        return False
    if last.commit == then.landing.commit and (not patch or back.data == "current"):
        return stretch.tree == last.tree
    if last.intent is not Intent.ROLLBACK or last.data != back.data:
        return False
    kept = kept_rollback(ground.ledger, stretch.environment.name, last.tree, last.before)
    same = kept is not None and kept["rollback"]["to"] == then.landing.commit
    return same and (not back.to or back.data == "current" or not patch)


def _evidence(stretch: Stretch, then: Then, back: Back) -> tuple[Evidence, ...]:
    """What proved the tree that is to stand there, when it landed."""
    if back.data == "restore":
        return then.landing.evidence
    found = stretch.course.stood_on(stretch.tree)
    return found[-1].evidence if found else ()


def _told(back: Back, then: Then) -> dict[str, Any]:
    """What its record says of where it goes: by it a landing whose own records are missing is completed."""
    return {"rollback": {"data": back.data, "to": then.landing.commit, "restores": then.sequence}}


# --- the hold ----------------------------------------------------------------------------------------


def _ident(environment: str, base: str) -> str:
    return f"rollback-{digest([environment, base])[:12]}"


def _close_the_road(
    ground: Ground, asked: Asked, stretch: Stretch, place: Workplace, held: Held, course: Course
) -> Course:
    """No candidate of another, an incident and a hold; then the candidate. Returns the course behind it."""
    with effect("clear-candidates"):
        void_candidate(ground, stretch.environment)
    with effect("record-hold"):
        new = [New(stream_of(asked.environment), body_of(move)) for move in _moves(asked, stretch, course)]
        if new:
            new[0] = replace(new[0], expect=course.moves)
            publishing.write(place, new, held)
    propose(ground, stretch)
    if asked.hub is not None:
        asked.hub.opened(stretch)
    return course_of(place.ledger, asked.environment)


def _moves(asked: Asked, stretch: Stretch, course: Course) -> list[Incident | Hold]:
    """The incident and the hold of this rollback, those that are not recorded yet."""
    name, at = asked.environment, asked.clock()
    ident = _ident(name, stretch.base)
    said = f"rolled back from {stretch.base[:12]} ({stretch.data} {stretch.head[:12]}): {asked.reason}"
    found: list[Incident | Hold] = []
    if not any(i.id == ident for i in course.incidents):
        found.append(Incident(name, ident, "rollback", at, said, stretch.base))
    if not any(h.incident == ident for h in course.holds):
        by = ", ".join(a.name for a in actors(asked.request))
        found.append(Hold(name, f"h-{digest([name, ident])[:8]}", by, at, asked.reason, ident))
    return found

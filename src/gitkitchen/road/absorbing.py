"""A commit that came to an environment's branch and is not in the ledger: it is proved, and recorded or not.

It may be what a killed promotion left, a merge by the button, or a push by somebody's hand. Its tree is run
as a candidate like any other. One that passes publishes what it showed; one that does not, or that is another
than was proposed, publishes nothing: the environment is broken until something proved lands on it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gitkitchen import history
from gitkitchen.errors import Infrastructure
from gitkitchen.files import digest
from gitkitchen.frozen import dataclass
from gitkitchen.history import MAIL, Commit
from gitkitchen.ledger.protocol import Held, New
from gitkitchen.model import Environment
from gitkitchen.promote.moves import Course, body_of, landing_in, trailers_in
from gitkitchen.promote.protocol import End
from gitkitchen.promote.shapes import (
    Actor,
    GateResult,
    Incident,
    Intent,
    Landing,
    Method,
    Standing,
    stream_of,
)
from gitkitchen.road import publishing
from gitkitchen.road.effects import effect
from gitkitchen.road.ground import Ground, before, environment_named, landed_by
from gitkitchen.road.incidents import course_of
from gitkitchen.road.judging import judge_tree, passed, policy_of
from gitkitchen.road.looking import Moved, Stretch, ruling_of
from gitkitchen.road.proving import Proof
from gitkitchen.road.restoring import evidence_in, kept_rollback, proof_of_then
from gitkitchen.road.walking import (
    Asked,
    Done,
    case_of,
    ended,
    proved,
    refuse_newer,
    site,
    tip_of_ledger,
    under_lease,
    waived,
)
from gitkitchen.workplace import Workplace

CANDIDATE = "gitkitchen-candidate"


@dataclass(frozen=True, slots=True)
class Found:
    """A tip that nobody recorded. ``told`` is what its own trailers say of it; ``proposed`` the candidate
    that it merges."""

    environment: Environment
    commit: Commit
    base: str
    told: Landing | None
    proposed: Commit | None
    course: Course
    rollback: Mapping[str, Any] | None = None
    """Of a rollback, the record of what it goes back to."""


def absorb(ground: Ground, asked: Asked, *, hand: bool = False) -> Done | None:
    """Record what stands on an environment's branch and is not in the ledger; None where all is.

    ``hand``: also of an environment that nothing was ever promoted to, whose branch people have moved so far.
    Infrastructure where it cannot be found out now.
    """
    environment = environment_named(ground.project, asked.environment)
    with effect("look-for-work"):
        found = found_of(ground, environment, hand=hand)
    if found is None:
        return None
    wrong = _wrong(ground, found)
    if wrong is not None:
        return _incident(ground, asked, found, *wrong)
    _bring_along(ground, found)
    tip = found.commit
    with site(ground, asked, tip.oid, tip.tree) as (root, place):
        stretch = _stretch(ground, found)
        proof = _proof_of_then(found, stretch, place) or proved(asked, ground, stretch, root, place)
        return _record(ground, asked, found, stretch, proof, place)


def found_of(ground: Ground, environment: Environment, *, hand: bool) -> Found | None:
    tip = ground.tip(environment.branch)
    course = ground.course(environment.name)
    if not tip or tip == course.tip or any(i.commit == tip for i in course.incidents):
        return None
    commit = history.commit_of(ground.folder, tip)
    told = _told(commit, environment.name)
    if not course.landings and told is None and not hand:
        return None
    base = commit.parents[0] if commit.parents else ""
    above = [history.commit_of(ground.folder, oid) for oid in commit.parents[1:]]
    proposed = next((c for c in above if _is_candidate(c, environment.name)), None)
    said = proposed.trailers if proposed is not None else commit.trailers
    kept = None
    if "gitkitchen-rollback" in said or (told is not None and told.intent is Intent.ROLLBACK):
        kept = kept_rollback(ground.ledger, environment.name, commit.tree, base)
    return Found(environment, commit, base, told, proposed, course, kept)


def _proof_of_then(found: Found, stretch: Stretch, place: Workplace) -> Proof | None:
    """Of a rollback that brings versions of then back: what it had shown, and nothing is run."""
    if found.rollback is None or found.rollback["rollback"]["data"] == "current":
        return None
    bound = (stretch.tree, stretch.base, stretch.policy)
    evidence = evidence_in(found.rollback)
    return proof_of_then(place, evidence, bound, int(found.rollback["rollback"]["restores"]))


def _told(commit: Commit, environment: str) -> Landing | None:
    """What a commit of ours says of itself; nothing where it is not ours, or was edited."""
    try:
        found = landing_in(trailers_in(commit.message), commit.oid)
    except Infrastructure:
        return None
    if found is None or found.landing.environment != environment or found.landing.tree != commit.tree:
        return None
    return found.landing


def _is_candidate(commit: Commit, environment: str) -> bool:
    named = commit.trailers.get(CANDIDATE) == (environment,) or _told(commit, environment) is not None
    return named and commit.committer.endswith(f"<{MAIL}>")


def _wrong(ground: Ground, found: Found) -> tuple[str, str] | None:
    """What makes a tip wrong whatever its tests say: kind of the incident, and a sentence."""
    tip, last = found.commit, found.course.last
    if found.proposed is not None and found.proposed.tree != tip.tree:
        said = (
            f"{tip.oid[:12]} merges the candidate {found.proposed.oid[:12]}, and its tree "
            f"{tip.tree[:12]} is not the candidate's, {found.proposed.tree[:12]}: nobody tested it"
        )
        return "wrong-tree", said
    if last is not None and not ground.is_ancestor(last.commit, tip.oid):
        said = (
            f"branch '{found.environment.branch}' was rewritten: {tip.oid[:12]} does not follow "
            f"{last.commit[:12]}, which landed last"
        )
        return "drift-branch", said
    return None


def _bring_along(ground: Ground, found: Found) -> None:
    """A promotion that was killed between the branch and its checkout left the files of before."""
    if ground.remote is not None or found.told is None or not found.base:
        return
    place = history.checkouts(ground.folder).get(history.BRANCHES + found.environment.branch)
    if place is not None and history.index_tree(place) == history.commit_of(ground.folder, found.base).tree:
        history.bring_along(place, found.base, found.commit.oid)


def _stretch(ground: Ground, found: Found) -> Stretch:
    """The tip as if it were to land: judged by the policy that stood there before it."""
    tip, told = found.commit, found.told
    reading = ground.reading(tip.oid)
    # What came by hand may be many commits: none of them rules over those behind it.
    ruling, project = ruling_of(ground, found.environment, found.course.tip or found.base)
    environment = project.environment(found.environment.name) or found.environment
    source = before(project, environment)
    head = told.source if told is not None else (tip.parents[1] if tip.parents[1:] else tip.oid)
    if found.proposed is not None and found.proposed.parents:
        head = found.proposed.parents[-1]
    intent = told.intent if told is not None else Intent.FORWARD
    data = told.data if told is not None else "adopt"
    if found.rollback is not None:
        intent, data = Intent.ROLLBACK, found.rollback["rollback"]["data"]
        head = found.base if data == "keep-tree" else found.rollback["rollback"]["to"]
    known = (
        intent is Intent.FORWARD
        and source is not None
        and head in landed_by(ground, source, ground.tip(source.branch))
    )
    ruled = ruling or reading
    return Stretch(
        intent,
        environment,
        source if known else None,
        found.base,
        head,
        tip.tree,
        tip.oid,
        "",
        ruled,
        reading,
        policy_of(ruled, environment.name),
        found.course,
        data=data,
    )


def _record(
    ground: Ground, asked: Asked, found: Found, stretch: Stretch, proof: Proof, place: Workplace
) -> Done:
    """Under the lease: the move and what it publishes, or an incident."""
    name = found.environment.name
    with under_lease(place, asked) as held:
        with effect("judge-again"):
            course = course_of(place.ledger, name)
            gates = judge_tree(case_of(ground, asked, stretch, course, proof), asked.clock())
            if ground.tip(found.environment.branch) != found.commit.oid:
                raise Moved(f"branch '{found.environment.branch}' has moved on")
            refuse_newer(place.ledger, proof, name, found.course.moves)
        if any(g.standing is Standing.UNKNOWN for g in gates):
            return Done(End.WAITING, name, stretch, gates=gates)
        if not passed(gates) or proof.patch is None:
            said = (
                f"{found.commit.oid[:12]} stands on branch '{found.environment.branch}' and does not pass: "
            )
            told = said + "; ".join(g.reason for g in gates if g.standing is not Standing.PASSED)
            return broken(place, asked, held, course, "drift-branch", told, found.commit.oid, gates)
        landing = _landing(asked, found, stretch, proof, gates, held, tip_of_ledger(place.ledger))
        new = publishing.records(place, landing, proof, held, course.moves, ended(course, landing))
        with effect("record-move"):
            publishing.write(place, new, held)
        with effect("show-views"):
            publishing.show(place, proof)
    return Done(End.LANDED, name, stretch, landing, gates, new=True)


def _landing(
    asked: Asked,
    found: Found,
    stretch: Stretch,
    proof: Proof,
    gates: tuple[GateResult, ...],
    held: Held,
    ledger: str,
) -> Landing:
    assert proof.patch is not None
    tip, told = found.commit, found.told
    method = Method.HAND
    if found.proposed is not None:
        method = Method.BUTTON
    elif told is not None and tip.committer.endswith(f"<{MAIL}>"):
        method = told.method
    who = Actor(tip.committer.partition(" <")[0] or "unknown", "committer", tip.oid)
    return Landing(
        environment=found.environment.name,
        branch=found.environment.branch,
        intent=stretch.intent,
        method=method,
        tree=tip.tree,
        commit=tip.oid,
        before=found.base,
        source=stretch.head,
        source_environment=stretch.source.name if stretch.source is not None else "",
        at=asked.clock(),
        evidence=proof.evidence,
        gates=gates,
        actors=told.actors if told is not None else (who,),
        waivers=waived(proof),
        policy=stretch.policy,
        ledger=ledger,
        fence=held.fence,
        data=stretch.data,
        published=tuple(sorted(proof.patch)),
        reason=told.reason if told is not None else "",
        told="trailers" if told is not None else "",
    )


# --- what is wrong -----------------------------------------------------------------------------------


def _incident(ground: Ground, asked: Asked, found: Found, kind: str, said: str) -> Done:
    """Record what is wrong, once. Nothing is published, and nothing lands before somebody mends it."""
    with (
        site(ground, asked, found.commit.oid, found.commit.tree) as (_, place),
        under_lease(place, asked) as held,
    ):
        with effect("judge-again"):
            if ground.tip(found.environment.branch) != found.commit.oid:
                raise Moved(f"branch '{found.environment.branch}' has moved on")
        return broken(place, asked, held, found.course, kind, said, found.commit.oid)


def broken(
    place: Workplace,
    asked: Asked,
    held: Held,
    course: Course,
    kind: str,
    said: str,
    commit: str,
    gates: tuple[GateResult, ...] = (),
) -> Done:
    """The end of what landed and was not proved: an incident in the ledger, told once."""
    name = asked.environment
    ident = f"{kind}-{digest([name, kind, commit])[:12]}"
    incident = Incident(name, ident, kind, asked.clock(), said, commit)
    with effect("record-incident"):
        publishing.write(place, [New(stream_of(name), body_of(incident), course.moves)], held)
    with effect("alert"):
        asked.say(f"incident {ident} of environment '{name}': {said}; nothing was published")
    return Done(End.BROKEN, name, gates=gates, said=(said,))

"""What comes before any work on an environment: what others left half done is ended or named.

Each part is derived from the one commit point that it stands behind: a record from its commit, views from
the catalog, the end of a run from its lease. So whoever is killed here runs again and ends at the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from secrets import token_hex

from gitkitchen.errors import FAILED, Conflict, GitKitchenError, Infrastructure, Problem
from gitkitchen.frozen import dataclass
from gitkitchen.kitchen.authority import refusal
from gitkitchen.ledger.protocol import Held, New
from gitkitchen.model import Environment
from gitkitchen.promote.moves import Course, body_of, breaks
from gitkitchen.promote.shapes import Incident, Landing, stream_of
from gitkitchen.road.audit import commits_since
from gitkitchen.road.completing import bring_along, complete, published_with
from gitkitchen.road.drifting import check_data, check_grants, mend_views
from gitkitchen.road.dying import end_dead
from gitkitchen.road.effects import effect
from gitkitchen.road.ground import Ground, before, environment_named
from gitkitchen.road.incidents import close_incident, course_of, lease_of, open_incident
from gitkitchen.workplace import UNASKED, Request, Workplace, at_work, enter

ABOUT_BRANCH = ("drift-branch", "torn", "wrong-tree")


@dataclass(frozen=True, slots=True)
class Found:
    """One thing that was found or done, as a stable word and a sentence."""

    environment: str
    code: str
    said: str


@dataclass(frozen=True, slots=True)
class Reconciled:
    """All that was found and done, and how the environments stand behind it."""

    found: tuple[Found, ...]
    courses: tuple[Course, ...]

    @property
    def broken(self) -> tuple[Incident, ...]:
        return tuple(i for course in self.courses for i in course.incidents if breaks(i))


def reconcile(
    request: Request,
    environments: Sequence[Environment],
    now: datetime,
    *,
    accept: bool = False,
    thoroughly: bool = False,
) -> Reconciled:
    """Bring what is derived up to what is recorded, and record what went wrong, each once.

    ``accept``: take rights that were changed by hand for what they shall be. ``thoroughly``: read all data
    that consumers read, and compare it with its digests. Raises what hinders looking; an environment that
    somebody else is moving right now is left alone.
    """
    ground = Ground.of(request)
    found = [
        Found(environment.name, code, said)
        for environment in environments
        for code, said in _environment(
            ground, request, environment, now, accept=accept, thoroughly=thoroughly
        )
    ]
    return Reconciled(tuple(found), tuple(course_of(ground.ledger, e.name) for e in environments))


def first(
    ground: Ground, request: Request, environment: Environment, now: datetime, say: Callable[[str], None]
) -> bool:
    """The first step of a job that works on an environment: what others left half done there is ended. Tells
    ``say`` of it, and whether there was anything.

    A commit that nobody landed is no incident yet: such a job proves it (``absorbing``).
    """
    found = list(_environment(ground, request, environment, now, accept=False, proves=True))
    for _, said in found:
        say(f"{environment.name}: {said}")
    return bool(found)


def refusal_to_run(request: Request, name: str, now: datetime, say: Callable[[str], None]) -> Problem | None:
    """The first step of a job that runs an environment's recipes, and why it may not: from a branch that
    stands on what was denounced, no data is released. What hinders looking is told, and hinders no run."""
    ground = Ground.of(request)
    environment = environment_named(ground.project, name)
    try:
        first(ground, request, environment, now, say)
    except (Infrastructure, Conflict) as error:
        say(f"{name}: it could not be reconciled: {error.problems[0].message}")
    return _refusal(Ground.of(request).course(name), ground.tip(environment.branch))


def _refusal(course: Course, tip: str) -> Problem | None:
    found = [i for i in course.incidents if i.kind in ABOUT_BRANCH]
    if not found or tip == course.tip:
        return None
    name = course.environment
    text = f"environment '{name}' is broken ({found[0].kind}, {found[0].id}): {found[0].said}"
    hint = (
        "nothing is run from it before its branch is mended: put it back where it landed, roll it back, or "
        f"`gitkitchen promote {name} --over {found[0].id} --reason TEXT`"
    )
    return Problem(text, hint=hint, code="broken")


class Broken(GitKitchenError):
    """An environment stands on what was denounced: nothing is released from there."""

    exit_code = FAILED


def refuse_to_run(place: Workplace, request: Request) -> None:
    """As jobs are refused, a run by hand is that would publish from the branch of a broken environment: raise
    Broken. One that publishes nothing goes on, for whoever looks into it."""
    name = place.kitchen.environment
    project = place.project
    if not request.publish or name is None or place.ledger.head(stream_of(name)) == 0:
        return
    if refusal(project.ledger, project.store, place.kitchen, request.environ):
        return  # it makes a candidate, and says so
    problem = _refusal(course_of(place.ledger, name), place.repository.head() or "")
    if problem is not None:
        looks = "`gitkitchen run --no-publish` runs it all the same, and releases nothing"
        raise Broken(replace(problem, hint=f"{problem.hint}; {looks}"))


def _environment(
    ground: Ground,
    request: Request,
    environment: Environment,
    now: datetime,
    *,
    accept: bool,
    proves: bool = False,
    thoroughly: bool = False,
) -> Iterator[tuple[str, str]]:
    """``proves``: whoever asks proves what stands unrecorded on the branch."""
    request = replace(request, kitchen=environment.branch, recipe=None)
    entered = enter(request, found=ground.premises(request.say), subject=UNASKED)
    with at_work(entered, now) as place:
        for run, recipe in end_dead(place, now):
            yield "run-ended", f"run {run} of '{recipe}' died: its end is recorded"
        yield from _branch(ground, environment, now, proves=proves)
        yield from mend_views(place, environment.name, now)
        yield from check_data(place, environment.name, now, thoroughly=thoroughly)
        yield from check_grants(place, environment.name, now, accept=accept)
    place.close()


# --- the branch --------------------------------------------------------------------------------------


def _branch(
    ground: Ground, environment: Environment, now: datetime, *, proves: bool
) -> Iterator[tuple[str, str]]:
    with effect("look-for-work"):
        course = course_of(ground.ledger, environment.name)
        tip = ground.tip(environment.branch)
    open_ones = [i for i in course.incidents if i.kind in ABOUT_BRANCH]
    if not course.landings or (tip == course.tip and not open_ones):
        return
    if proves and tip and any(i.commit == tip for i in open_ones):
        return  # it is denounced, and nothing has changed since
    holder = f"reconcile-{token_hex(4)}"
    try:
        lease = ground.ledger.lease(lease_of(environment.name), holder)
        with effect("take-lease"):
            held = lease.__enter__()
    except Conflict as error:
        yield "in-use", f"left alone: {error.problems[0].message}"
        return
    try:
        if held.withheld:
            raise Infrastructure(held.withheld)
        yield from _under_lease(ground, environment, now, held, proves=proves)
    finally:
        with effect("give-back-lease"):
            lease.__exit__(None, None, None)


def _under_lease(
    ground: Ground, environment: Environment, now: datetime, held: Held, *, proves: bool
) -> Iterator[tuple[str, str]]:
    with effect("judge-again"):
        course = course_of(ground.ledger, environment.name)
        tip = ground.tip(environment.branch)
        since = [] if tip == course.tip else commits_since(ground, course, tip)
    for oid in reversed(since):
        verdict = complete(ground, environment, course, oid)
        if isinstance(verdict, Landing):
            more = published_with(ground, environment, verdict, held)
            if isinstance(more, str):
                said = f"the landing of {oid[:12]} has no record, and {more}"
                if not proves:
                    yield "unproved", f"{said}: `gitkitchen promote {environment.name}` proves it anew"
                return
            bring_along(ground, environment, verdict)
            entries = [*more, New(stream_of(environment.name), body_of(verdict), course.moves)]
            with effect("record-move"):
                ground.ledger.append_together(entries, under=held)
            course = course_of(ground.ledger, environment.name)
            yield "completed", f"the landing of {oid[:12]} had no record: it is completed from its trailers"
            continue
        kind, said = verdict
        if kind == "wrong-tree" or (
            not proves and (kind != "drift-branch" or before(ground.project, environment) is not None)
        ):
            # What stands on the branch is what is wrong, however many commits it is away from what landed.
            yield from _wrong(ground, course, kind, said, oid, now, held)
        break
    else:
        if tip != course.tip and not since and not proves:
            said = f"branch '{environment.branch}' stands on {tip[:12] or 'nothing'}, and {course.tip[:12]} "
            said += "is the last that landed: somebody took it back by hand"
            yield from _wrong(ground, course, "drift-branch", said, tip, now, held)
    course = course_of(ground.ledger, environment.name)
    for incident in course.incidents:
        if incident.kind in ABOUT_BRANCH and tip == course.tip:
            said = f"branch '{environment.branch}' stands on {tip[:12]}, which is recorded"
            if close_incident(ground.ledger, incident, said, now, under=held):
                yield "closed", f"incident {incident.id} ({incident.kind}) is over: {said}"


def _wrong(
    ground: Ground, course: Course, kind: str, said: str, commit: str, now: datetime, held: Held
) -> Iterator[tuple[str, str]]:
    if any(i.kind in ABOUT_BRANCH and i.commit == commit for i in course.incidents):
        return  # whoever proved it has said so
    # Only a wrong tree is past mending: any other commit may still be proved, and is named in words alone.
    named = commit if kind == "wrong-tree" else ""
    _, new = open_incident(ground.ledger, course.environment, kind, said, now, commit=named, under=held)
    if new:
        yield kind, said

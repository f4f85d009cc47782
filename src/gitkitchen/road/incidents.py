"""Moves that are not landings: incidents, holds and their releases, each written once.

They are conditions for those who land: a landing expects the stream of moves to end where it did when its
gates were judged, so that a hold or an incident that came meanwhile stops it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from gitkitchen.errors import Conflict, Mistake, Problem
from gitkitchen.files import digest
from gitkitchen.ledger.lease import LeaseLost
from gitkitchen.ledger.protocol import Held, Ledger
from gitkitchen.promote.bodies import TEXT, cut
from gitkitchen.promote.moves import Course, body_of, bounded, fold, moves_of
from gitkitchen.promote.shapes import Hold, Incident, Move, Release, stream_of
from gitkitchen.road.effects import effect

ATTEMPTS = 20


def lease_of(environment: str) -> str:
    """The lease under which an environment is moved."""
    return f"promote/{environment}"


def course_of(ledger: Ledger, environment: str) -> Course:
    """What happened to an environment. Infrastructure names a bad record."""
    return fold(environment, moves_of(ledger.read(stream_of(environment))))


def open_incident(
    ledger: Ledger,
    environment: str,
    kind: str,
    said: str,
    at: datetime,
    *,
    commit: str = "",
    under: Held | None = None,
) -> tuple[Incident, bool]:
    """Record that something is wrong with an environment, and whether that was new: while an incident of
    this kind on this commit (without one: in these words) is open, no other is recorded, however often it
    is found."""

    def same(one: Incident) -> bool:
        return (one.kind, one.commit) == (kind, commit) and bool(commit or one.said == cut(said, TEXT))

    def decide(course: Course) -> Incident | None:
        if any(map(same, course.incidents)):
            return None
        key = digest([environment, kind, commit, course.moves])[:12]
        return Incident(environment, f"i-{key}", kind, at, said, commit)

    made = _note(ledger, environment, "record-incident", decide, under)
    if isinstance(made, Incident):
        return made, True
    course = course_of(ledger, environment)
    return next(i for i in course.incidents if same(i)), False


def close_incident(
    ledger: Ledger, incident: Incident, said: str, at: datetime, *, under: Held | None = None
) -> bool:
    """Record that an incident is over; False where it was not open any more."""

    def decide(course: Course) -> Incident | None:
        still = any(i.id == incident.id for i in course.incidents)
        return replace(incident, at=at, said=said, closed=True) if still else None

    return _note(ledger, incident.environment, "record-incident", decide, under) is not None


def hold(
    ledger: Ledger,
    environment: str,
    by: str,
    reason: str,
    at: datetime,
    *,
    incident: str = "",
    under: Held | None = None,
) -> tuple[Hold, bool]:
    """Let nothing be promoted to an environment until the hold is released, and whether that was new: asked
    again by the same person for the same reason while it is in force, it writes nothing."""

    def same(one: Hold) -> bool:
        wanted = bounded(Hold(environment, "h", by, at, reason, incident))
        assert isinstance(wanted, Hold)
        return (one.by, one.reason, one.incident) == (wanted.by, wanted.reason, wanted.incident)

    def decide(course: Course) -> Hold | None:
        if any(map(same, course.holds)):
            return None
        key = digest([environment, by, reason, course.moves])[:8]
        return Hold(environment, f"h-{key}", by, at, reason, incident)

    made = _note(ledger, environment, "record-hold", decide, under)
    if isinstance(made, Hold):
        return made, True
    return next(h for h in course_of(ledger, environment).holds if same(h)), False


def release(
    ledger: Ledger,
    environment: str,
    by: str,
    reason: str,
    at: datetime,
    *,
    names: tuple[str, ...] = (),
    under: Held | None = None,
) -> tuple[Hold, ...]:
    """Release the holds of these ids, or all that are in force; those that were released by this.

    Mistake where an id is none of an environment's holds; one that is released already is left alone.
    """
    course = course_of(ledger, environment)
    ever = {m.id for m in moves_of(ledger.read(stream_of(environment))) if isinstance(m, Hold)}
    for name in names:
        if name not in ever:
            known = ", ".join(h.id for h in course.holds) or "none"
            raise Mistake(
                Problem(
                    f"environment '{environment}' has no hold '{name[:80]}'",
                    hint=f"in force: {known}",
                    code="no-hold",
                )
            )
    found = []
    for one in course.holds:
        if names and one.id not in names:
            continue

        def decide(now: Course, one: Hold = one) -> Release | None:
            still = any(h.id == one.id for h in now.holds)
            return Release(environment, one.id, by, at, reason) if still else None

        if _note(ledger, environment, "record-release", decide, under) is not None:
            found.append(one)
    return tuple(found)


def _note(
    ledger: Ledger,
    environment: str,
    name: str,
    decide: Callable[[Course], Move | None],
    under: Held | None,
) -> Move | None:
    """Write the move that ``decide`` makes of the environment's course, on that very course; None where it
    makes none."""
    for _ in range(ATTEMPTS):
        course = course_of(ledger, environment)
        move = decide(course)
        if move is None:
            return None
        try:
            with effect(name):
                ledger.append(stream_of(environment), body_of(move), expect=course.moves, under=under)
        except LeaseLost:
            raise
        except Conflict:
            continue
        return move
    raise Conflict(
        Problem(
            f"{ATTEMPTS} other moves of '{environment}' came first; nothing was written",
            hint="run the command again",
            code="ledger-moved",
        )
    )

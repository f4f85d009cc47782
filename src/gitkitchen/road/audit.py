"""Who moved what, when, and with which evidence: the moves of environments, from the ledger and from Git."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from gitkitchen import history
from gitkitchen.errors import Infrastructure
from gitkitchen.frozen import dataclass
from gitkitchen.model import Environment
from gitkitchen.promote.moves import Course, fold, landing_in, moves_of, trailers_in
from gitkitchen.promote.shapes import Landing, Move, stream_of
from gitkitchen.road.ground import Ground

MOST = 1_000_000
"""Commits of a branch that are looked through."""
MARK = "GitKitchen-Landing:"
"""By which git finds the commits that tell of a landing."""


@dataclass(frozen=True, slots=True)
class Row:
    """A move. ``sequence`` is 0, ``record`` "" for a landing that only its commit's trailers tell of."""

    environment: str
    sequence: int
    record: str
    move: Move

    @property
    def recorded(self) -> bool:
        return bool(self.record)


@dataclass(frozen=True, slots=True)
class Audited:
    """An environment: its course, the rows in order, and where its branch stands ("" where there is none)."""

    environment: Environment
    course: Course
    rows: tuple[Row, ...]
    tip: str


def audit(
    ground: Ground, environments: Sequence[Environment], since: datetime | None = None
) -> tuple[Audited, ...]:
    """The moves of environments, each in the order of its records; ``since``: only those from then on.

    A landing of the branch whose record is missing stands behind the last record, as its trailers tell it.
    Infrastructure names a bad record, and where the remote does not answer.
    """
    tips = ground.tips(e.branch for e in environments)
    return tuple(_audited(ground, e, tips.get(e.branch, ""), since) for e in environments)


def _audited(ground: Ground, environment: Environment, tip: str, since: datetime | None) -> Audited:
    name = environment.name
    records = list(ground.ledger.read(stream_of(name)))
    moves = list(moves_of(records))
    rows = [Row(name, r.sequence, r.id, move) for r, move in zip(records, moves, strict=True)]
    course = fold(name, moves)
    rows += [Row(name, 0, "", told) for told in unrecorded(ground, environment, course, tip)]
    kept = tuple(row for row in rows if since is None or row.move.at >= since)
    return Audited(environment, course, kept, tip)


def unrecorded(ground: Ground, environment: Environment, course: Course, tip: str) -> Iterator[Landing]:
    """The landings that a branch's commits since the last record tell of, the oldest first. What cannot be
    read is left to ``verify``."""
    if not tip or tip == course.tip:
        return
    last = [course.tip] if course.tip and ground.is_ancestor(course.tip, tip) else []
    known = {landing.commit for landing in course.landings}
    for commit in reversed(list(history.line(ground.folder, tip, below=last, having=MARK))):
        try:
            told = landing_in(trailers_in(commit.message), commit.oid)
        except Infrastructure:
            continue
        if commit.oid in known:
            continue
        if told is not None and told.landing.environment == environment.name:
            yield told.landing


def commits_since(ground: Ground, course: Course, tip: str) -> list[str]:
    """The commits that a branch stood on since the last that is recorded, the newest first, without it; all,
    where it never stood on that one."""
    if not tip:
        return []
    recorded = {landing.commit for landing in course.landings}
    found = []
    for oid in history.first_parents(ground.folder, tip, MOST):
        if oid in recorded:
            break
        found.append(oid)
    return found

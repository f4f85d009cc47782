"""The moves of an environment, folded to where it stands: what is live, what holds it, what is wrong.

The order of moves is the order of their records and never that of their times (clocks differ, records do
not); a time is only asked for what was live at a moment, and then counts as no earlier than the times
before it. ``bodies`` makes records of moves, ``trailers`` what a landing's commit says of itself.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from datetime import datetime

from gitkitchen.frozen import dataclass
from gitkitchen.promote.bodies import body_of, bounded, move_of, moves_of
from gitkitchen.promote.shapes import Hold, Incident, Landing, Method, Move, Release
from gitkitchen.promote.trailers import Told, landing_in, message_of, told, trailers_in, trailers_of

__all__ = [
    "KINDS",
    "Course",
    "Told",
    "body_of",
    "bounded",
    "breaks",
    "fold",
    "landing_in",
    "message_of",
    "move_of",
    "moves_of",
    "told",
    "trailers_in",
    "trailers_of",
]

KINDS: Mapping[str, bool] = {
    "rollback": False,
    "wrong-tree": True,
    "torn": True,
    "drift-branch": True,
    "drift-data": True,
    "drift-store": True,
    "drift-grants": False,
    "lost-run": False,
}
"""Kinds of incidents, and whether an environment is broken while one is open. One of another kind breaks it:
what is not understood is not passed over.

``rollback``: it was rolled back. ``wrong-tree``: another tree landed than was tested. ``torn``: a commit
landed whose record cannot be completed. ``drift-branch``: its branch stands on a commit that nobody landed.
``drift-data``: what consumers read was changed by hand. ``drift-store``: so was the data under it.
``drift-grants``: so were rights to read it.
``lost-run``: a run on it died and nobody ended it."""


def breaks(incident: Incident) -> bool:
    """Whether an environment is broken while this incident is open."""
    return not incident.closed and KINDS.get(incident.kind, True)


@dataclass(frozen=True, slots=True)
class Course:
    """All that happened to an environment, and where it stands; tuples are in the order of the records."""

    environment: str
    landings: tuple[Landing, ...] = ()
    since: tuple[datetime, ...] = ()
    """From when on each landing was live: its time, or the latest before it where a clock went back."""
    holds: tuple[Hold, ...] = ()
    """Those in force."""
    incidents: tuple[Incident, ...] = ()
    """Those that are open."""
    moves: int = 0
    """How many records were folded: the head of the stream."""
    odd: tuple[tuple[int, str], ...] = ()
    """(number of the record, what does not fit to those before it)"""

    @property
    def last(self) -> Landing | None:
        """What is live."""
        return self.landings[-1] if self.landings else None

    @property
    def tip(self) -> str:
        """The commit at which the environment's branch must stand; "" before the first landing."""
        return self.landings[-1].commit if self.landings else ""

    @property
    def tree(self) -> str:
        """The tree that is live; "" before the first landing."""
        return self.landings[-1].tree if self.landings else ""

    @property
    def broken(self) -> tuple[str, ...]:
        """Why the environment is broken, a sentence each; empty where it is healthy."""
        return tuple(f"{i.kind} ({i.id}): {i.said}" for i in self.incidents if breaks(i))

    @property
    def healthy(self) -> bool:
        """Something landed, and no incident that breaks it is open."""
        return bool(self.landings) and not any(map(breaks, self.incidents))

    @property
    def fence(self) -> int:
        """The highest fence under which something landed: a lower one is a stale holder's."""
        return max((landing.fence for landing in self.landings), default=0)

    def live_at(self, moment: datetime) -> Landing | None:
        """What was live at a moment; None before the first landing."""
        found = None
        for landing, since in zip(self.landings, self.since, strict=True):
            if since > moment:
                break
            found = landing
        return found

    def landed(self, commit: str) -> Landing | None:
        """The newest landing of a commit; None where it never landed."""
        return next((l for l in reversed(self.landings) if l.commit == commit), None)  # noqa: E741

    def stood_on(self, tree: str) -> tuple[Landing, ...]:
        """The landings of a tree."""
        return tuple(landing for landing in self.landings if landing.tree == tree)


def fold(environment: str, moves: Iterable[Move]) -> Course:
    """Where an environment stands after all its moves, in the order of their records from the first on.

    What does not fit (the release of a hold that is not in force, the end of an incident that is not open,
    a landing on another tip than the one before or an incident left) changes nothing else and is said in
    ``odd``.
    """
    landings: list[Landing] = []
    since: list[datetime] = []
    holds: dict[str, Hold] = {}
    incidents: dict[str, Incident] = {}
    odd: list[tuple[int, str]] = []
    told: set[str] = set()
    fence = number = 0
    for number, move in enumerate(moves, 1):
        if move.environment != environment:
            odd.append((number, f"it is a move of '{move.environment}'"))
        elif isinstance(move, Landing):
            odd += [(number, text) for text in _unfit(move, landings, fence, told)]
            fence = max(fence, move.fence)
            since.append(max(move.at, since[-1]) if since else move.at)
            landings.append(move)
        elif isinstance(move, Hold):
            if move.id in holds:
                odd.append((number, f"hold {move.id} is in force already"))
            holds[move.id] = move
        elif isinstance(move, Release):
            if holds.pop(move.hold, None) is None:
                odd.append((number, f"it releases hold {move.hold}, which is not in force"))
        elif move.closed:
            if incidents.pop(move.id, None) is None:
                odd.append((number, f"it closes incident {move.id}, which is not open"))
        else:
            if move.id in incidents:
                odd.append((number, f"incident {move.id} is open already"))
            incidents[move.id] = move
            told.add(move.commit)
    return Course(
        environment,
        tuple(landings),
        tuple(since),
        tuple(holds.values()),
        tuple(incidents.values()),
        number,
        tuple(odd),
    )


def _unfit(move: Landing, landings: list[Landing], fence: int, told: Container[str]) -> Iterable[str]:
    """``fence``: the highest of ``landings``. ``told``: the commits that incidents were about; what lands on
    one of them mends it."""
    before = landings[-1] if landings else None
    if before is not None and move.before != before.commit and (not move.before or move.before not in told):
        yield f"it landed on {move.before[:12] or 'nothing'}, and {before.commit[:12]} had landed before it"
    if move.method is not Method.HAND and move.told != "rebuilt" and 0 < move.fence < fence:
        yield f"it landed under fence {move.fence}, and {fence} had been given out before it"

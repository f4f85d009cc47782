"""Watches the effects of a command, and holds them to the protocol's table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise

from gitkitchen.promote.protocol import DONE, FORGE_ONLY, Purpose, Route, Way, route
from gitkitchen.road import effects


@dataclass
class Walk:
    """What a command did: its steps in order, and those that it did inside of its first, `reconcile`."""

    steps: list[str] = field(default_factory=list)
    within: list[str] = field(default_factory=list)
    points: list[tuple[str, str]] = field(default_factory=list)
    """Every moment at which it could be killed: before and after each effect, in order."""
    _inside: int = 0

    def watch(self, name: str, when: str) -> None:
        self.points.append((name, when))
        if when == "before":
            (self.within if self._inside else self.steps).append(name)
        if name == "reconcile":
            self._inside += 1 if when == "before" else -1


@contextmanager
def watched() -> Iterator[Walk]:
    """The walk of the commands of a block."""
    walk = Walk()
    effects.watchers.append(walk.watch)
    try:
        yield walk
    finally:
        effects.watchers.remove(walk.watch)


def strays(path: Route, steps: Sequence[str], *, forge: bool) -> list[str]:
    """The steps of a walk that its route does not lead to; none where the walk is the route's."""
    left_out = frozenset() if forge else FORGE_ONLY
    found = [] if steps[0] == path.steps[0].name else [f"it begins with {steps[0]}"]
    found += [
        f"{here} leads to {there}"
        for here, there in pairwise(steps)
        if there not in _next(path, here, left_out)
    ]
    if _ends(path, steps[-1], left_out):
        return found
    return [*found, f"it ends behind {steps[-1]}"]


def _next(path: Route, here: str, left_out: frozenset[str]) -> set[str]:
    """The steps that an answer of ``here`` leads to. An end under the lease gives it back first."""
    found = set()
    for answer in (DONE, *path.step(here).answers):
        to = path.after(here, answer)
        while isinstance(to, str) and to in left_out:
            to = path.after(to)
        if isinstance(to, str):
            found.add(to)
        elif path.holds(here) or here == "take-lease":
            found.add("give-back-lease")
    return found


def _ends(path: Route, last: str, left_out: frozenset[str]) -> bool:
    """Whether a walk may end behind a step."""
    if last == "give-back-lease":
        return True
    for answer in (DONE, *path.step(last).answers):
        to = path.after(last, answer)
        while isinstance(to, str) and to in left_out:
            to = path.after(to)
        if not isinstance(to, str):
            return True
    return False


def names_of(*purposes: Purpose, way: Way) -> set[str]:
    """Every step of some routes, aside ones included."""
    paths = [route(purpose, way) for purpose in purposes]
    return {step.name for path in paths for step in (*path.steps, *path.aside)}

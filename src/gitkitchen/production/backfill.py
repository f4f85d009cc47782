"""The past built anew: of datasets that are kept by partitions only those that a span of time touches.

The whole span is one run. Where it does not pass, its halves are tried, and so on down to one partition: what
is bad is held back alone, and everything else is published. Each partition is built once, for the store keeps
it as soon as it is there: a backfill that was killed goes on with the same command.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field, replace
from datetime import datetime
from typing import TYPE_CHECKING

from gitkitchen import flow
from gitkitchen.errors import Mistake, Problem
from gitkitchen.frozen import dataclass
from gitkitchen.model import Event, Outcome, Verdict
from gitkitchen.plan.decide import by_partitions
from gitkitchen.reading import read
from gitkitchen.schedule import periods
from gitkitchen.schedule.shapes import Interval
from gitkitchen.workplace import Request, enter

if TYPE_CHECKING:
    from gitkitchen.process import Cancel

MOST = 20_000
"""Partitions of one backfill."""


@dataclass(frozen=True, slots=True)
class Span:
    """What a backfill touches. ``nodes``: those that keep partitions, each with its grain; ``parts``: the
    partitions of the coarsest grain."""

    recipe: str
    nodes: Mapping[str, str]
    parts: tuple[Interval, ...]


@dataclass(frozen=True, slots=True)
class Filled:
    """``published``: partitions that readers have as they were built now; ``held``: those that did not pass,
    with the run that says why. ``cancelled``: it was asked to end, the same command goes on."""

    span: Span
    published: tuple[Interval, ...] = ()
    held: Mapping[Interval, str] = field(default_factory=dict)
    cancelled: bool = False
    outcome: Outcome | None = None
    """The last run."""
    stopped: Outcome | None = None
    """A run that said nothing of the data, by which the backfill ended."""


def span_of(request: Request, start: datetime, end: datetime) -> Span:
    """The partitions between two moments. Mistake where no node keeps any."""
    place = enter(request)
    try:
        recipe = read(place, request)
    finally:
        place.close()
    nodes = {n.name: n.materialize.grain or "day" for n in recipe.nodes.values() if by_partitions(n)}
    if not nodes:
        raise Mistake(
            Problem(
                f"recipe '{recipe.name}' has no SQL node that keeps partitions by time",
                hint="write `materialize: {partitions: {by: COLUMN, grain: day}}` at the node",
                code="no-partitions",
            )
        )
    if end <= start:
        raise Mistake(Problem("the span ends before it begins", hint="backfill FROM TO: FROM is the older"))
    # Runs over halves must touch whole partitions of every node: the coarsest grain says where to cut.
    grain = max(nodes.values(), key=periods.GRAINS.index)
    parts = []
    for part in periods.touched(start, end, grain):
        parts.append(part)
        if len(parts) > MOST:
            hint = f"at most {MOST:,} at once; give a shorter span"
            raise Mistake(
                Problem(f"between FROM and TO there are too many partitions of a {grain}", hint=hint)
            )
    return Span(recipe.name, nodes, tuple(parts))


def backfill(
    request: Request,
    span: Span,
    *,
    on_event: Callable[[Event], None],
    cancel: Cancel,
    clock: Callable[[], datetime],
    told: Callable[[list[Interval], Outcome], None] = lambda _parts, _outcome: None,
) -> Filled:
    """Build, test and publish the partitions of a span. ``told`` hears of each run."""
    published: list[Interval] = []
    held: dict[Interval, str] = {}
    outcome: Outcome | None = None
    waiting = [list(span.parts)]
    while waiting and not cancel.is_set:
        parts = waiting.pop(0)
        period = (parts[0].start, parts[-1].end)
        asked = replace(request, recipe=span.recipe, period=period, interval=period)
        outcome = flow.run(asked, on_event=on_event, cancel=cancel, now=clock())
        told(parts, outcome)
        if outcome.verdict is Verdict.PASSED:
            published += parts
        elif outcome.verdict in (Verdict.INFRASTRUCTURE, Verdict.CANCELLED):
            done = outcome.verdict is Verdict.CANCELLED
            return Filled(span, tuple(published), held, done, outcome, None if done else outcome)
        elif len(parts) == 1:
            held[parts[0]] = outcome.run
        else:
            first, second = periods.halves(parts)
            waiting[:0] = [first, second]
    return Filled(span, tuple(published), held, cancel.is_set, outcome)

"""Holding an environment, and letting it go: under the lease by which it is moved, so that no landing passes
beside a hold."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from secrets import token_hex

from gitkitchen.answers import Answer
from gitkitchen.errors import Infrastructure
from gitkitchen.ledger.protocol import Held
from gitkitchen.model import Environment
from gitkitchen.promote.shapes import Hold
from gitkitchen.road.effects import effect
from gitkitchen.road.ground import CANDIDATES, Ground, unanswered
from gitkitchen.road.incidents import hold, lease_of, release


def hold_environment(
    ground: Ground, environment: Environment, by: str, reason: str, now: datetime
) -> tuple[Hold, bool]:
    """Hold an environment; the hold, and whether it is new. Conflict while somebody is moving it."""
    with _lease(ground, environment) as held:
        with effect("clear-candidates"):
            void_candidate(ground, environment)
        return hold(ground.ledger, environment.name, by, reason, now, under=held)


def release_environment(
    ground: Ground, environment: Environment, by: str, reason: str, now: datetime, names: tuple[str, ...]
) -> tuple[Hold, ...]:
    """Release holds by their ids, or all; those that were in force. Conflict while somebody is moving it."""
    with _lease(ground, environment) as held:
        return release(ground.ledger, environment.name, by, reason, now, names=names, under=held)


@contextmanager
def _lease(ground: Ground, environment: Environment) -> Iterator[Held]:
    lease = ground.ledger.lease(lease_of(environment.name), f"hold-{token_hex(4)}")
    with effect("take-lease"):
        held = lease.__enter__()
    try:
        if held.withheld:
            raise Infrastructure(held.withheld)
        yield held
    finally:
        with effect("give-back-lease"):
            lease.__exit__(None, None, None)


def void_candidate(ground: Ground, environment: Environment) -> None:
    """Take away the branch of the candidate: a button that somebody presses late finds nothing to merge."""
    name = f"{CANDIDATES}{environment.name}"
    tip = ground.tip(name)
    if not tip:
        return
    pushed = ground.move({name: ("", tip)})
    if pushed.answer is not Answer.APPLIED and ground.tip(name):
        raise unanswered(f"branch '{name}'", pushed)

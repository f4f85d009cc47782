"""``freeze``: while one holds nothing moves forward."""

from __future__ import annotations

from collections.abc import Iterator

from gitkitchen.model import Freeze
from gitkitchen.promote.gates.case import Case, later, listed, moment, passed, pending
from gitkitchen.promote.gates.clock import freezes, thaw
from gitkitchen.promote.shapes import GateResult

NAME = "freeze"


def judge(case: Case) -> Iterator[GateResult]:
    """Pending while one holds; ``when`` is the end of all that follow on each other."""
    every = case.gate.freeze
    if not every:
        return
    holding = [f for f in every if freezes(f, case.at)]
    if not holding:
        yield passed(NAME, f"no freeze at {moment(case.at)}")
        return
    when = thaw(every, case.at)
    environment = case.facts.environment
    reason = f"{environment} is frozen: {listed([_shown(f) for f in holding])}"
    change = f"time, or whoever may change the gate of {environment} in kitchen.yml"
    at = later(when) if when else ()
    yield pending(NAME, reason, change, case.promote("--dry-run", *at), when)


def _shown(freeze: Freeze) -> str:
    if freeze.window is not None:
        last = f" until {freeze.window.expires}" if freeze.window.expires else ""
        return f"{freeze.reason} ({freeze.window.text}{last})"
    return f"{freeze.reason} (until {moment(freeze.end)})" if freeze.end else freeze.reason

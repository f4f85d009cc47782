"""``allow``: one of the windows must be open."""

from __future__ import annotations

from collections.abc import Iterator

from gitkitchen.promote.gates.case import Case, failed, later, listed, moment, passed, pending
from gitkitchen.promote.gates.clock import is_open, is_over, opening
from gitkitchen.promote.shapes import GateResult

NAME = "allow"


def judge(case: Case) -> Iterator[GateResult]:
    """Pending until one opens, failed where all have expired."""
    windows = case.gate.allow
    if not windows:
        return
    environment = case.facts.environment
    open_ = [w for w in windows if is_open(w, case.at)]
    if open_:
        yield passed(NAME, f"{moment(case.at)} is in the window {listed([w.text for w in open_])}")
    elif all(is_over(w, case.at) for w in windows):
        said = listed([f"{w.text} on {w.expires}" for w in windows])
        reason = f"every window of {environment} has expired: {said}"
        change = f"whoever may change the gate of {environment} in kitchen.yml"
        yield failed(NAME, reason, change, "gitkitchen policy")
    else:
        left = [w for w in windows if not is_over(w, case.at)]
        when = opening(left, case.at)
        reason = f"{moment(case.at)} is outside of {listed([w.text for w in left])}"
        if when is None:  # it expires before its next day comes
            change = f"whoever may change the gate of {environment} in kitchen.yml"
            yield failed(NAME, f"{reason}, which does not open again", change, "gitkitchen policy")
        else:
            command = case.promote("--dry-run", *later(when))
            yield pending(NAME, reason, "time alone", command, when)

"""Gates: whether a tree may move into an environment now, by the *target's* ``gate:``. Pure.

``judge`` takes the gate, the facts (``Facts``; whoever gathers them is ``road.facts``), a moment and the
intent, and answers with one result or more for each gate of the table. A tree may move when ``may_move``
says so: what is missing is pending, what could not be read is unknown, and neither is passed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta

from gitkitchen.frozen import dataclass
from gitkitchen.model import Gate
from gitkitchen.promote.gates import (
    allow,
    approvals,
    command,
    contract,
    freeze,
    hold,
    hotfix,
    previous,
    required,
    soak,
)
from gitkitchen.promote.gates.case import Case
from gitkitchen.promote.gates.facts import Facts, Unread
from gitkitchen.promote.shapes import GateResult, Intent, Standing

__all__ = ["TABLE", "Facts", "Kind", "Unread", "earliest", "gate_of", "judge", "may_move"]

_FORWARD = frozenset({Intent.FORWARD})
_CHANGES = frozenset({Intent.FORWARD, Intent.HOTFIX})
_EVERY = frozenset(Intent)


@dataclass(frozen=True, slots=True)
class Kind:
    """A gate: its name in results, the intents that it judges, and how."""

    name: str
    intents: frozenset[Intent]
    judge: Callable[[Case], Iterator[GateResult]]


TABLE = (
    Kind(required.NAME, _EVERY, required.judge),
    Kind(hold.NAME, _FORWARD, hold.judge),
    Kind(hotfix.NAME, _FORWARD, hotfix.judge),
    Kind(previous.NAME, _FORWARD, previous.judge),
    Kind(soak.NAME, _FORWARD, soak.judge),
    Kind(approvals.NAME, _CHANGES, approvals.judge),
    Kind(contract.NAME, _CHANGES, contract.judge),
    Kind(command.NAME, _CHANGES, command.judge),
    Kind(allow.NAME, _CHANGES, allow.judge),
    Kind(freeze.NAME, _CHANGES, freeze.judge),
)
"""In the order in which they are shown. A rollback waits for nobody and no clock: what it goes back to was
proved when it landed, and ``required`` looks for that."""


def gate_of(gate: Gate, intent: Intent) -> Gate:
    """The list that an intent passes: of a hotfix the shorter one, where there is one."""
    return gate.hotfix if intent is Intent.HOTFIX and gate.hotfix is not None else gate


def judge(gate: Gate, facts: Facts, at: datetime, intent: Intent) -> tuple[GateResult, ...]:
    """What every gate says at ``at`` (aware). ``gate``: of the target environment at the base."""
    case = Case(gate_of(gate, intent), facts, at, intent)
    return tuple(result for kind in TABLE if intent in kind.intents for result in kind.judge(case))


def may_move(results: Sequence[GateResult]) -> bool:
    """Whether all are passed: no result at all, and two of one gate, are no permission."""
    names = {r.gate for r in results}
    return (
        bool(results) and len(names) == len(results) and all(r.standing is Standing.PASSED for r in results)
    )


def earliest(gate: Gate, facts: Facts, at: datetime, intent: Intent) -> datetime | None:
    """The first moment from ``at`` on at which all pass if nothing changes but the time; None: never."""
    moment = at
    for _ in range(200):  # each turn ends in a later moment, which a gate has named
        waiting = [r for r in judge(gate, facts, moment, intent) if r.standing is not Standing.PASSED]
        if not waiting:
            return moment
        named = [r.when for r in waiting if r.when is not None]
        if len(named) < len(waiting):
            return None
        moment = max(max(named), moment + timedelta(seconds=1))
    return None

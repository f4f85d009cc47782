"""Mistakes that a protocol like this is known to be made with, each as a change of the table.

They are the list of `docs/protocol.md`, in its order. Each says with whom it is played and which property
of `world.pml` it breaks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from types import MappingProxyType

from tests.protocol.writing import Cast, Table, without

from gitkitchen.promote.protocol import (
    BASE,
    CANDIDATE,
    DONE,
    EVIDENCE,
    FENCE,
    POLICY,
    TREE,
    VERSIONS,
    Does,
    End,
    Purpose,
    Route,
    Step,
    Way,
)

FORWARD, HOTFIX, ROLLBACK = Purpose.FORWARD, Purpose.HOTFIX, Purpose.ROLLBACK
RECONCILE, ABSORB, HOLD = Purpose.RECONCILE, Purpose.ABSORB, Purpose.HOLD
PUSH, BUTTON, LOCAL = Way.PUSH, Way.BUTTON, Way.LOCAL
TWO_PUSHES = Cast("two pushes", ((FORWARD, PUSH), (FORWARD, PUSH)), crashes=0, commits=7)
TWO_BUTTONS = Cast("two buttons", ((FORWARD, BUTTON), (FORWARD, BUTTON)), bugs=1, commits=8)
ROLLED_BACK = Cast("rollback", ((FORWARD, BUTTON), (ROLLBACK, BUTTON)), commits=8)
KEPT = Cast("keeper", ((FORWARD, BUTTON), (ABSORB, PUSH)), commits=7)
HELD = Cast("hold", ((FORWARD, BUTTON), (HOLD, PUSH)), commits=6)


@dataclass(frozen=True, slots=True)
class Mistake:
    name: str
    breaks: str
    """The property that Spin finds broken."""
    cast: Cast
    change: Callable[[Route], Route] = lambda path: path
    defines: tuple[tuple[str, int], ...] = ()
    extra: str = ""

    @property
    def table(self) -> Table:
        return Table(self.change, dict(self.defines), self.extra)


def _answering(path: Route, name: str, **answers: str | End) -> Route:
    """The route where a step's answers lead elsewhere; unchanged where it has no such step."""

    def other(step: Step) -> Step:
        if step.name != name:
            return step
        return replace(step, answers=MappingProxyType({**step.answers, **answers}))

    return replace(path, steps=tuple(map(other, path.steps)), aside=tuple(map(other, path.aside)))


def _moved(path: Route, name: str, *, before: str = "", behind: str = "") -> Route:
    """The route with a step in another place; unchanged where it lacks one of the two."""
    names = [step.name for step in path.steps]
    if name not in names or (before or behind) not in names:
        return path
    step = path.steps[names.index(name)]
    rest = [other for other in path.steps if other.name != name]
    at = [other.name for other in rest].index(before or behind)
    rest.insert(at if before else at + 1, step)
    return replace(path, steps=tuple(rest))


def _lacking(path: Route, name: str) -> Route:
    return replace(path, steps=tuple(step for step in path.steps if step.name != name))


def _rebasing(path: Route) -> Route:
    """A refused push puts the candidate on the new tip, and pushes that."""
    if "atomic-push" not in {step.name for step in path.steps}:
        return path
    path = _answering(path, "atomic-push", moved="rebase")
    rebase = Step("rebase", Does.WRITES, (), MappingProxyType({DONE: "atomic-push", "refused": End.LOST}), "")
    return replace(path, aside=(*path.aside, rebase))


REBASE = """
inline e_rebase(mask) {
  if
  :: made == NC -> ans = A_REFUSED
  :: else -> base = tip; mv = moves; ver0 = vers; cand = made; new_commit(MIX, tip, 0, purpose); ans = A_DONE
  fi
}
"""

MISTAKES = (
    Mistake(
        "head pinned but not base",
        "commits_of_others_stay",
        TWO_PUSHES,
        lambda path: without(path, BASE),
    ),
    Mistake("rebase and retry", "published_was_tested", TWO_PUSHES, _rebasing, extra=REBASE),
    Mistake(
        "record after claim",
        "claimed_is_recorded",
        TWO_BUTTONS,
        lambda path: _moved(path, "report-landed", before="record-move"),
    ),
    Mistake(
        "lease without fencing",
        "losers_change_nothing",
        TWO_PUSHES,
        lambda path: without(path, FENCE),
    ),
    Mistake(
        "gates judged once",
        "held_takes_no_forward",
        HELD,
        lambda path: _lacking(path, "judge-again") if path.purpose is FORWARD else path,
    ),
    Mistake(
        "merge not read back",
        "published_was_tested",
        TWO_BUTTONS,
        lambda path: without(path, TREE),
    ),
    Mistake(
        "no answer taken for no",
        "losers_change_nothing",
        replace(TWO_PUSHES, losts=1),
        lambda path: _answering(path, "atomic-push", unknown=End.LOST),
    ),
    Mistake(
        "read back while the push is under way",
        "losers_change_nothing",
        TWO_PUSHES,
        lambda path: _answering(path, "atomic-push", unknown="read-back"),
    ),
    Mistake(
        "no answer taken for yes",
        "claimed_is_recorded",
        TWO_PUSHES,
        lambda path: _answering(path, "atomic-push", unknown="show-views"),
    ),
    Mistake(
        "hold after rollback",
        "rollback_is_not_undone",
        ROLLED_BACK,
        lambda path: _moved(path, "record-hold", behind="record-move") if path.purpose is ROLLBACK else path,
    ),
    Mistake(
        "data before tree",
        "published_has_landed",
        TWO_BUTTONS,
        lambda path: _moved(path, "record-move", before="merge-button"),
    ),
    Mistake("lease without end", "all_ends_well", TWO_BUTTONS, defines=(("LEASES_END", 0),)),
    Mistake(
        "candidate left for a late button",
        "held_takes_no_forward",
        HELD,
        lambda path: _lacking(path, "clear-candidates"),
    ),
    Mistake(
        "button without the head",
        "losers_change_nothing",
        TWO_BUTTONS,
        lambda path: without(path, CANDIDATE),
    ),
    Mistake(
        "whatever is on the branch is published",
        "published_was_tested",
        KEPT,
        lambda path: without(path, EVIDENCE) if path.purpose is ABSORB else path,
    ),
    Mistake("policy of another day", "judged_by_this_policy", TWO_PUSHES, lambda path: without(path, POLICY)),
    Mistake(
        "data of another day", "published_is_not_older", TWO_PUSHES, lambda path: without(path, VERSIONS)
    ),
)

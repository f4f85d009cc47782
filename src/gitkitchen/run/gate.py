"""Whether a node may begin, from how the nodes before it ended. Pure but for the clock of its caller."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from gitkitchen.errors import Mistake
from gitkitchen.model import GOOD_STATES, Failure, NodeResult, Plan, State, Step
from gitkitchen.run import late
from gitkitchen.run.context import RunContext
from gitkitchen.run.results import result_of

_STATUS = frozenset({"success", "failure", "always", "cancelled"})


def befores(step: Step) -> dict[str, None]:
    """The nodes that must end before a step, each once."""
    return dict.fromkeys([*step.after, *(maker for maker in step.reads.values() if maker)])


def above(step: Step, steps: Mapping[str, Step]) -> dict[str, None]:
    """All nodes above a step, near ones first."""
    found: dict[str, None] = {}
    open_names = list(befores(step))
    while open_names:
        name = open_names.pop(0)
        if name not in found:
            found[name] = None
            if name in steps:
                open_names += befores(steps[name])
    return found


def closed(
    step: Step,
    plan: Plan,
    context: RunContext,
    steps: Mapping[str, Step],
    results: Mapping[str, NodeResult],
    *,
    cancelled: bool,
) -> NodeResult | None:
    """The result of a node that does not begin, or None where it may.

    A condition with success(), failure(), always() or cancelled() in it is asked however the nodes before
    it ended; every other one, and a node without one, waits for success.
    """
    node = step.node
    if cancelled:
        failure = Failure("cancelled", "the run was cancelled before it began", node.place)
        return result_of(step, State.CANCELLED, failure)
    direct = [results[n] for n in befores(step) if n in results]
    asks = node.condition is not None and _asks_status(node.condition)
    if not asks:
        stopped = _stopped(step, direct)
        if stopped is not None:
            return stopped
    if node.condition is not None:
        refused = _refused(step, plan, context, steps, results, direct)
        if refused is not None:
            return refused
    return _without_data(step, results)


def _stopped(step: Step, direct: Iterable[NodeResult]) -> NodeResult | None:
    """What a node becomes after nodes that did not end well."""
    made_by = {maker for maker in step.reads.values() if maker}
    for result in direct:
        if result.state in GOOD_STATES or (result.continued and result.node not in made_by):
            continue
        if result.state is State.SKIPPED:
            return result_of(step, State.SKIPPED, None, reasons=(f"needs {result.node}, which was skipped",))
        if result.state is State.CANCELLED:
            failure = Failure("cancelled", f"'{result.node}', which it needs, was cancelled", step.node.place)
            return result_of(step, State.CANCELLED, failure)
        return _blocked(step, result)
    return None


def _blocked(step: Step, by: NodeResult) -> NodeResult:
    """Blocked, naming the node at the root of it."""
    failure = by.failure
    if by.state is State.BLOCKED and failure is not None:
        blocked = Failure(failure.kind, failure.message, failure.place, failure.hint)
    else:
        what = failure.message if failure is not None else f"it {by.state.value}"
        kind = failure.kind if failure is not None else "error"
        place = (failure.place if failure is not None else None) or by.place
        blocked = Failure(
            kind, f"needs '{by.node}', which did not pass: {what}", place, "mend that node first"
        )
    return replace(result_of(step, State.BLOCKED, blocked), continued=by.continued)


def _asks_status(condition: str) -> bool:
    from gitkitchen.recipe.render import functions

    try:
        return bool(functions(condition, bare=True) & _STATUS)
    except ValueError:
        return False  # the condition itself is refused below, with its place


def _refused(
    step: Step,
    plan: Plan,
    context: RunContext,
    steps: Mapping[str, Step],
    results: Mapping[str, NodeResult],
    direct: Iterable[NodeResult],
) -> NodeResult | None:
    """Skipped where the condition is false, an error where it cannot be evaluated."""
    from gitkitchen.recipe.render import condition

    node = step.node
    assert node.condition is not None
    over = {n: results[n] for n in above(step, steps) if n in results}
    known: dict[str, Any] = late.names(plan, context, node, over)
    known.pop("secrets")
    known["status"] = late.status(over.values(), direct, cancelled=False)
    try:
        if condition(node.condition, known):
            return None
    except Mistake as error:
        problem = error.problems[0]
        hint = problem.hint or "a condition can name the nodes above it: those in `needs:` and theirs"
        return result_of(step, State.ERROR, Failure("error", problem.message, node.place, hint))
    return result_of(step, State.SKIPPED, None, reasons=(f"its condition is false: {node.condition}",))


def _without_data(step: Step, results: Mapping[str, NodeResult]) -> NodeResult | None:
    """Blocked where an input was not made (only a node with a condition like always() comes this far)."""
    if step.node.kind in ("run", "pytest") and step.node.condition is not None:
        return None  # such a node may look at what is there
    for dataset, maker in step.reads.items():
        made = results.get(maker) if maker else None
        if made is not None and (made.build is None or dataset not in made.build.versions):
            return _blocked(step, made)
    return None

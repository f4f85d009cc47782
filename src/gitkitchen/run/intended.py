"""The declared effects of a branch, judged once all nodes have ended: one more result beside theirs."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from gitkitchen.errors import GitKitchenError, Place
from gitkitchen.model import Event, Failure, NodeResult, Plan, State, TestResult, Version
from gitkitchen.process import Cancel
from gitkitchen.run.checks import masked
from gitkitchen.run.context import RunContext
from gitkitchen.run.expectations import move_of
from gitkitchen.run.tables import Tables

if TYPE_CHECKING:
    from gitkitchen.recipe.effects import Effects

KIND = "effects"


def judge_effects(
    effects: Effects, plan: Plan, results: Sequence[NodeResult], context: RunContext, cancel: Cancel
) -> NodeResult:
    """What the datasets of this run became beside what the branch declares. Named after its file."""
    started, begun = context.clock(), time.perf_counter()
    place = effects.place or Place(effects.file)
    tests, failure = _judged(effects, plan, results, context, cancel, place)
    stopping = [t for t in tests if t.stops]
    if stopping and failure is None:
        more = f" (and {len(stopping) - 1} more)" if len(stopping) > 1 else ""
        failure = Failure("test", f"{stopping[0].message}{more}", stopping[0].place or place)
    why = f": {effects.why}" if effects.why else ""
    return NodeResult(
        node=effects.file,
        kind=KIND,
        state=State.PASSED if failure is None else _STATES.get(failure.kind, State.ERROR),
        started=started,
        seconds=time.perf_counter() - begun,
        attempts=1,
        tests=tests,
        failure=failure,
        reasons=(f"branch '{effects.branch}' declares what it changes{why}",),
        place=place,
        owner=plan.recipe.owner,
    )


_STATES = {"test": State.FAILED, "cancelled": State.CANCELLED}
GRACE = 7.5
"""Seconds that a query has to end after a cancel, as the nodes have."""


def _judged(
    effects: Effects,
    plan: Plan,
    results: Sequence[NodeResult],
    context: RunContext,
    cancel: Cancel,
    place: Place,
) -> tuple[tuple[TestResult, ...], Failure | None]:
    """The results, or why there are none. A thread judges, so that this one hears a cancel."""
    tables = Tables(context.engine_factory, context.store)
    found: list[TestResult] = []
    errors: list[Exception] = []

    def work() -> None:
        try:
            found.extend(_tests(effects, plan, results, context, tables, cancel))
        except Exception as error:  # noqa: BLE001 - raised again, or told, by the thread that waits
            errors.append(error)

    thread = threading.Thread(target=work, daemon=True, name="effects")
    thread.start()
    asked: float | None = None
    while thread.is_alive() and (asked is None or time.monotonic() - asked < GRACE):
        thread.join(0.05)
        if cancel.is_set:
            asked = asked or time.monotonic()
            tables.interrupt_due()
    if cancel.is_set:
        if not thread.is_alive():
            tables.close()
        return (), Failure("cancelled", "the run was cancelled while the declared effects were judged", place)
    tables.close()
    if errors:
        if not isinstance(errors[0], (GitKitchenError, OSError)):
            raise errors[0]
        problems = getattr(errors[0], "problems", ())
        said, hint = (problems[0].message, problems[0].hint) if problems else (str(errors[0]), "")
        return (), Failure("infrastructure", f"the declared effects could not be judged: {said}", place, hint)
    return tuple(masked(t, context.masks) for t in found) if context.masks else tuple(found), None


def _tests(
    effects: Effects,
    plan: Plan,
    results: Sequence[NodeResult],
    context: RunContext,
    tables: Tables,
    cancel: Cancel,
) -> Iterator[TestResult]:
    from gitkitchen.controls.intended import judge_dataset, judge_file, judge_removed

    keys = {d: s.node.key for s in plan.steps if s.node.key for d in s.node.datasets}
    for dataset, version in _built(results).items():
        if cancel.is_set:
            return
        base = context.base_of(dataset)
        if version.format == "file" or (base.version is not None and base.version.format == "file"):
            yield judge_file(effects, dataset, version, base)
            continue
        move = move_of(dataset, version, base.version, tables, keys)
        with tables.busy(tables.cursor({}), cancel, None):
            found = list(judge_dataset(effects, dataset, move, base))
        yield from found
    if plan.complete:
        declared = plan.recipe.datasets
        for dataset, entry in plan.catalog.pinned.items():
            if entry.recipe == plan.recipe.name and dataset not in declared:
                yield judge_removed(effects, dataset)


def _built(results: Sequence[NodeResult]) -> Mapping[str, Version]:
    return {d: v for r in results if r.build is not None for d, v in r.build.versions.items()}


def announce(result: NodeResult) -> Event:
    """What watchers are told of it."""
    return Event("finished", result.node, result=result)

"""The declared effects of a branch, judged once all nodes have ended: one more result beside theirs."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from gitkitchen.errors import Place
from gitkitchen.model import Event, Failure, NodeResult, Plan, State, TestResult, Version
from gitkitchen.process import Cancel
from gitkitchen.run.context import RunContext
from gitkitchen.run.expectations import move_of
from gitkitchen.run.results import ended_too_late
from gitkitchen.run.tables import Tables

if TYPE_CHECKING:
    from gitkitchen.recipe.effects import Effects

KIND = "effects"


def judge_effects(
    effects: Effects, plan: Plan, results: Sequence[NodeResult], context: RunContext, cancel: Cancel
) -> NodeResult:
    """What the datasets of this run became beside what the branch declares. Named after its file."""
    started, begun = context.clock(), time.perf_counter()
    tables = Tables(context.engine_factory, context.store)
    place = effects.place or Place(effects.file)
    try:
        tests = tuple(_tests(effects, plan, results, context, tables, cancel))
    finally:
        tables.close()
    stopping = [t for t in tests if t.stops]
    failure = None
    if stopping:
        more = f" (and {len(stopping) - 1} more)" if len(stopping) > 1 else ""
        failure = Failure("test", f"{stopping[0].message}{more}", stopping[0].place or place)
    result = NodeResult(
        node=effects.file,
        kind=KIND,
        state=State.FAILED if stopping else State.PASSED,
        started=started,
        seconds=time.perf_counter() - begun,
        attempts=1,
        tests=tests,
        failure=failure,
        reasons=(f"branch '{effects.branch}' declares what it changes",),
        place=place,
        owner=plan.recipe.owner,
    )
    return ended_too_late(result) if cancel.is_set else result


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

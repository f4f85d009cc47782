"""The tests of a node: verdicts that are known are taken from the store, the rest is judged together."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from gitkitchen.files import digest
from gitkitchen.model import TestResult, TestSpec, TestState, Version
from gitkitchen.plan.fingerprint import test_key
from gitkitchen.printed import mask, masks
from gitkitchen.process import Cancel
from gitkitchen.run import expectations
from gitkitchen.run.context import RunContext
from gitkitchen.run.tables import Tables

JUDGE = "gitkitchen.controls.judge"
"""The module that judges: imported only where something is judged."""
_KEPT = frozenset({TestState.PASSED, TestState.FAILED})


def check(
    specs: Sequence[TestSpec],
    find: Callable[[str], Version | None],
    context: RunContext,
    tables: Tables,
    cancel: Cancel,
    row_keys: Mapping[str, Sequence[str]],
    *,
    anew: bool = False,
) -> tuple[TestResult, ...]:
    """Judge tests, in their order. ``find`` gives the version of a dataset that a test reads, or None;
    ``row_keys`` the columns by which people know a dataset's rows. ``anew``: no verdict of before counts.

    A test whose dataset is not there is an error of its own: what could not be checked did not pass.
    """
    if not specs:
        return ()
    results: dict[str, TestResult] = {
        r.id: r for r in expectations.check(specs, find, context, tables, cancel, row_keys)
    }
    open_specs: list[TestSpec] = []
    keys: dict[str, str] = {}
    versions: dict[str, Version] = {}
    for spec in specs:
        if spec.id in results:
            continue
        found = {name: find(name) for name in dict.fromkeys((spec.dataset, *spec.reads)) if name}
        missing = [name for name, version in found.items() if version is None]
        if missing:
            results[spec.id] = _unreadable(spec, f"there is no version of '{missing[0]}' to read")
            continue
        there = {name: version for name, version in found.items() if version is not None}
        versions |= there
        key = test_key(spec, {name: version.content for name, version in there.items()})
        known = context.store.find_verdict(key) if key and not anew else None
        if known is not None:
            results[spec.id] = replace(known, node=spec.node, reused=True, place=spec.place)
            continue
        if key:
            keys[spec.id] = key
        open_specs.append(spec)
    if open_specs:
        for result in _judge(open_specs, versions, context, tables, cancel, row_keys):
            results[result.id] = result
            if result.id in keys and result.state in _KEPT:
                context.store.save_verdict(keys[result.id], result)
    return tuple(results[spec.id] for spec in specs if spec.id in results)


def _judge(
    specs: Sequence[TestSpec],
    versions: Mapping[str, Version],
    context: RunContext,
    tables: Tables,
    cancel: Cancel,
    row_keys: Mapping[str, Sequence[str]],
) -> list[TestResult]:
    from gitkitchen.controls.judge import judge

    cursor = tables.cursor(versions)
    with tables.busy(cursor, cancel, None):
        results = list(judge(specs, versions, cursor, now=context.clock(), keys=row_keys))
    return [masked(result, context.masks) for result in results] if context.masks else results


def masked(result: TestResult, secrets: Sequence[str]) -> TestResult:
    """A result that shows no secret, also where a node returned one as data."""
    hidden = masks(secrets)
    return replace(
        result,
        observed=mask(result.observed, hidden),
        message=mask(result.message, hidden),
        sample=tuple({k: mask(v, hidden) for k, v in row.items()} for row in result.sample),
    )


def _unreadable(spec: TestSpec, why: str) -> TestResult:
    return TestResult(
        id=spec.id,
        node=spec.node,
        dataset=spec.dataset,
        phase=spec.phase,
        kind=spec.kind,
        severity=spec.severity,
        state=TestState.ERROR,
        observed=why,
        expected="data to test",
        message=why,
        place=spec.place,
    )


# --- tests that a node ran itself -------------------------------------------------------------------


def own_key(fingerprint: str, number: int) -> str:
    """The key under which the store keeps the n-th verdict that a build brought along."""
    return digest(["tests of the node itself", fingerprint, number])


def keep_own(fingerprint: str, results: Sequence[TestResult], context: RunContext) -> None:
    """Keep what a node's own tests said. The last one first: where the first is, all are."""
    for number in range(len(results) - 1, -1, -1):
        context.store.save_verdict(own_key(fingerprint, number), results[number])


def own(fingerprint: str, context: RunContext) -> tuple[TestResult, ...]:
    """What the node's own tests said when it was built; () where they are not known."""
    found: list[TestResult] = []
    while (result := context.store.find_verdict(own_key(fingerprint, len(found)))) is not None:
        found.append(replace(result, reused=True))
    return tuple(found)

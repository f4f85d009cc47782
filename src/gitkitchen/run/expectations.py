"""``expect:`` in a run: each dataset beside what its base has published, verdicts on known pairs reused."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from gitkitchen.files import digest
from gitkitchen.model import FINGERPRINT_SCHEME, TestResult, TestSpec, TestState, Version
from gitkitchen.plan.fingerprint import depends_on_time, test_meaning, tool_version
from gitkitchen.process import Cancel
from gitkitchen.run.context import RunContext
from gitkitchen.run.tables import Tables

if TYPE_CHECKING:
    from gitkitchen.controls.expect import Move

KIND = "expect"
_KEPT = frozenset({TestState.PASSED, TestState.FAILED})


def check(
    specs: Sequence[TestSpec],
    find: Callable[[str], Version | None],
    context: RunContext,
    tables: Tables,
    cancel: Cancel,
    row_keys: Mapping[str, Sequence[str]],
) -> Iterator[TestResult]:
    """A result for each expectation among ``specs`` whose dataset there is."""
    moves: dict[str, Move | None] = {}
    for spec in specs:
        new = find(spec.dataset) if spec.kind == KIND else None
        if new is None:
            continue
        base = context.base_of(spec.dataset)
        rows = row_keys.get(spec.dataset, ())
        timeless = base.version is not None and not depends_on_time(spec)
        key = _key(spec, new, base.version, rows) if timeless and base.version is not None else None
        known = context.store.find_verdict(key) if key else None
        if known is not None:
            yield replace(known, node=spec.node, reused=True, place=spec.place)
            continue
        from gitkitchen.controls.expect import judge_expectation

        if spec.dataset not in moves:
            moves[spec.dataset] = move_of(spec.dataset, new, base.version, tables, row_keys)
        with tables.busy(tables.cursor({}), cancel, None):
            result = judge_expectation(spec, moves[spec.dataset], base)
        if key and result.state in _KEPT:
            context.store.save_verdict(key, result)
        yield result


def _key(spec: TestSpec, new: Version, base: Version, rows: Sequence[str]) -> str:
    return digest(
        {
            "scheme": FINGERPRINT_SCHEME,
            "test": test_meaning(spec),
            "move": [base.content, new.content],
            "key": list(rows),
            "duckdb": tool_version("duckdb"),
        }
    )


def move_of(
    dataset: str,
    new: Version,
    base: Version | None,
    tables: Tables,
    row_keys: Mapping[str, Sequence[str]],
) -> Move | None:
    """A dataset beside its base, readable on this thread's cursor; None where there is no base."""
    from gitkitchen.controls.expect import Move, before_name
    from gitkitchen.controls.reader import Reader

    if base is None:
        return None
    cursor = tables.cursor({dataset: new, before_name(dataset): base})
    return Move(dataset, new, base, row_keys.get(dataset, ()), Reader(cursor))

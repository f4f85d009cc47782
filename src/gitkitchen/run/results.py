"""The results of nodes, from what happened to them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from gitkitchen.model import Build, Failure, NodeResult, State, Step, TestResult
from gitkitchen.plan.fingerprint import INFORMAL
from gitkitchen.run.context import Built, NodeFailed


def result_of(
    step: Step,
    state: State,
    failure: Failure | None = None,
    *,
    build: Build | None = None,
    tests: tuple[TestResult, ...] = (),
    reasons: tuple[str, ...] = (),
) -> NodeResult:
    """A step's result; its reasons are the plan's, unless the run knows better."""
    node = step.node
    return NodeResult(
        node=node.name,
        kind=node.kind,
        state=state,
        build=build,
        tests=tests,
        failure=failure,
        reasons=reasons or step.reasons,
        place=node.place,
        owner=node.owner,
    )


def judged(
    step: Step,
    state: State,
    build: Build | None,
    tests: tuple[TestResult, ...],
    *,
    reasons: tuple[str, ...] = (),
) -> NodeResult:
    """``state``, or FAILED where a test stops it. Its build is kept either way: a candidate."""
    stopping = [t for t in tests if t.stops]
    failure = None
    if stopping:
        first = stopping[0]
        more = f" (and {len(stopping) - 1} more)" if len(stopping) > 1 else ""
        said = first.message or f"observed {first.observed}; expected {first.expected}"
        failure = Failure("test", f"test {first.id}: {said}{more}", first.place or step.node.place)
        state = State.FAILED
    return result_of(step, state, failure, build=build, tests=tests, reasons=reasons)


def with_log(
    result: NodeResult, built: Built, log: str, attempts: int, started: datetime, seconds: float
) -> NodeResult:
    """With what its process printed and reported, when and how long it ran, and how often it was tried."""
    return replace(
        result,
        started=started,
        seconds=seconds,
        log=log if built.logged else None,
        log_tail=built.tail,
        metrics=built.metrics,
        links=built.links,
        attempts=attempts,
    )


def failed(step: Step, error: NodeFailed, log: str | None = None) -> NodeResult:
    """The result of a node that gave nothing."""
    shown = log if error.logged else None
    return replace(result_of(step, error.state, error.failure), log=shown, log_tail=error.tail)


def cancelled_while_tested(step: Step) -> NodeFailed:
    """The end of a node whose tests were interrupted by a cancel."""
    failure = Failure("cancelled", "cancelled while its tests ran", step.node.place)
    return NodeFailed(failure, state=State.CANCELLED)


def ended_too_late(result: NodeResult) -> NodeResult:
    """What ended well after a cancel was asked for: its build is kept for the next run, and this run is
    cancelled all the same, however little was missing."""
    failure = Failure(
        "cancelled", "it ended after the run was cancelled; the next run reuses it", result.place
    )
    return replace(result, state=State.CANCELLED, failure=failure)


def same_meaning(old: Mapping[str, str], new: Mapping[str, str]) -> bool:
    """Whether two definitions are equal but for the moment that a volatile one is keyed by."""

    def timeless(parts: Mapping[str, str]) -> dict[str, str]:
        return {k: v for k, v in parts.items() if k != "interval" and not k.startswith(INFORMAL)}

    return timeless(old) == timeless(new)


def journal_entry(result: NodeResult) -> dict[str, Any]:
    """What the journal keeps of a node's end; the build itself is in the store."""
    entry: dict[str, Any] = {
        "kind": "node",
        "node": result.node,
        "state": result.state.value,
        "seconds": round(result.seconds, 6),
        "attempts": result.attempts,
    }
    if result.started is not None:
        entry["started"] = result.started.isoformat()
    if result.build is not None:
        entry["fingerprint"] = result.build.fingerprint
    if result.failure is not None:
        entry["failure"] = [result.failure.kind, result.failure.message]
    if result.tests:
        entry["tests"] = {t.id: t.state.value for t in result.tests}
    return entry

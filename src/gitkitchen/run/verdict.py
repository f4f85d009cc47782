"""From the results of nodes to one verdict. Pure; green needs evidence (promise 4)."""

from __future__ import annotations

from collections.abc import Iterable

from gitkitchen.model import NodeResult, State, TestState, Verdict

_BAD = frozenset({State.FAILED, State.ERROR, State.TIMED_OUT, State.BLOCKED})
_EVIDENCE = frozenset({TestState.PASSED, TestState.FAILED})


def verdict(results: Iterable[NodeResult]) -> Verdict:
    """Judge a run by its worst node; without one evaluated test there is nothing to be green about.

    A node that was cancelled makes the run cancelled: it says nothing about the data. Failures that
    ``continue-on-error`` excused do not fail the run, and are no evidence either.
    """
    nodes = tuple(results)
    if any(n.state is State.CANCELLED for n in nodes):
        return Verdict.CANCELLED
    bad = [n for n in nodes if n.state in _BAD and not n.continued]
    if bad:
        causes = [n for n in bad if n.state is not State.BLOCKED] or bad
        kinds = {n.failure.kind if n.failure else "error" for n in causes}
        return Verdict.INFRASTRUCTURE if kinds == {"infrastructure"} else Verdict.FAILED
    evidence = [t for n in nodes if not n.continued for t in n.tests if t.state in _EVIDENCE]
    return Verdict.PASSED if evidence else Verdict.NOTHING_TESTED

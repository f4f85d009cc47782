"""What the ledger remembers of a run: enough to judge by it and to show it, and no values of rows.

A record is kept for ever, one for each run, so it is small: what is as it was in the record before is said in
the same bytes and place (Git packs that to almost nothing), figures are rounded, and of nodes that passed
there are three numbers. The lists ``at`` and ``took`` are *columns*: their entries stand for the nodes in the
order of ``nodes`` (its states by name, then its lists), and are absent behind the last that is not 0.

Whoever may read a public repository may read its ledger: messages and figures are those of
``facts.public_…``, and the end of a log is kept only where every dataset of the run is declared public.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gitkitchen.model import GOOD_STATES, NodeResult, Outcome, State, TestResult, TestState
from gitkitchen.report import facts
from gitkitchen.report.text import clip_bytes, encodable, safe_lines

TOLD = 40
"""Failing tests, and failed nodes, of which is told what they said; of all others, that they failed."""
MESSAGE = 300
"""Bytes of a text."""
TAIL = 20
"""Lines of the log of a failed node, each of at most ``LINE`` bytes."""
LINE = 200
FIGURES = 60
"""Metrics of a run, at most."""

_OWN = frozenset({State.FAILED, State.ERROR, State.TIMED_OUT})
_BAD = frozenset({TestState.FAILED, TestState.ERROR})


def essence(outcome: Outcome, url: str = "") -> dict[str, Any]:
    """The body of a run's record. ``url``: of the job that ran it, "" where it was none.

    ``nodes``: state -> names. ``at``: seconds from the run's start, ``took``: seconds (columns, see above);
    ``tries``: node -> attempts, of those with more than one. ``rows``: dataset -> rows of what the run
    vouches for. ``metrics``: ``node.name`` -> figure. ``failing``: tests; ``failed``: node -> why, with
    hint, reasons and tail. What is empty is left out.
    """
    states: dict[str, list[str]] = {}
    for node in outcome.nodes:
        states.setdefault(node.state.value, []).append(node.node)
    counts: dict[str, int] = {}
    for test in outcome.tests:
        counts[test.state.value] = counts.get(test.state.value, 0) + 1
    failing = [t for t in outcome.tests if t.state in _BAD]
    publication: dict[str, Any] = {
        "state": outcome.publication.state,
        "sequence": outcome.publication.sequence,
    }
    if outcome.publication.state == "withheld" and outcome.publication.reason:
        publication["reason"] = _text(facts.public_message(outcome, outcome.publication.reason))
    body = {
        "run": outcome.run,
        "recipe": outcome.recipe,
        "variation": outcome.variation,
        "kitchen": {
            "repository": outcome.kitchen.repository,
            "branch": outcome.kitchen.branch,
            "birth": outcome.kitchen.birth,
        },
        "subject": {
            "commit": outcome.subject.commit,
            "tree": outcome.subject.tree,
            "dirty": outcome.subject.dirty,
        },
        "verdict": outcome.verdict.value,
        "started": outcome.started.isoformat(),
        "finished": outcome.finished.isoformat(),
        "publication": publication,
        "nodes": states,
        "tests": counts,
        "failing": [_failing(outcome, t, told=i < TOLD) for i, t in enumerate(failing)],
    }
    return body | {key: value for key, value in _shown(outcome, states, url) if value}


def _shown(outcome: Outcome, states: Mapping[str, Sequence[str]], url: str) -> Iterator[tuple[str, Any]]:
    """What nobody judges by, and the page shows."""
    results = {n.node: n for n in outcome.nodes}
    order = [results[name] for state in sorted(states) for name in states[state]]
    yield "at", _column([_since(outcome, n) for n in order])
    yield "took", _column([_rounded(n.seconds) if n.attempts else 0 for n in order])
    yield "tries", {n.node: n.attempts for n in outcome.nodes if n.attempts > 1}
    yield "rows", {d: v.rows for d, v in facts.versions(outcome).items() if v.rows is not None}
    yield "metrics", dict(list(_figures(outcome))[:FIGURES])
    bad = [n for n in outcome.nodes if n.state in _OWN]
    yield "failed", {n.node: told for n in bad[:TOLD] if (told := _failed(outcome, n))}
    yield "parts", not outcome.complete
    yield "url", url


def _failing(outcome: Outcome, test: TestResult, *, told: bool) -> dict[str, Any]:
    found: dict[str, Any] = {
        "id": test.id,
        "state": test.state.value,
        "severity": test.severity.value,
        "failing": test.failing,
        "tested": test.tested,
    }
    if test.waived:
        found["waived"] = [test.waived.approver, test.waived.expires]
    if told:
        message = facts.public_message(outcome, facts.why(test))
        said = {
            "observed": _text(facts.public_observed(outcome, test)) if test.state is TestState.FAILED else "",
            "expected": _text(test.expected),
            "message": _text(message),
        }
        found |= {key: text for key, text in said.items() if text}
    return found


def _failed(outcome: Outcome, node: NodeResult) -> dict[str, Any]:
    """Why a node did not pass. Where a test of it says so, that is said there."""
    failure = node.failure
    found: dict[str, Any] = {}
    if failure is not None and failure.kind != "test":
        found["kind"] = failure.kind
        found["said"] = _text(facts.public_message(outcome, failure.message))
        if failure.hint:
            found["hint"] = _text(facts.public_message(outcome, failure.hint))
    if node.reasons:
        found["why"] = [_text(facts.public_message(outcome, reason)) for reason in node.reasons[:5]]
    if node.log_tail and facts.is_open(outcome):
        lines = [line for raw in node.log_tail[-TAIL:] for line in safe_lines(encodable(raw))]
        found["tail"] = [clip_bytes(line, LINE) for line in lines[-TAIL:]]
    return found


def _figures(outcome: Outcome) -> Iterator[tuple[str, float]]:
    """What nodes measured of themselves, and tests of kinds whose figure somebody asked for by name."""
    for node in outcome.nodes:
        for name, value in node.metrics.items():
            if value == value and abs(value) != float("inf"):
                yield _text(f"{node.node}.{name}"), float(f"{value:.6g}")
    for test in outcome.tests:
        if test.kind == "value" and test.state in (TestState.PASSED, TestState.FAILED):
            for name, value in test.metrics.items():
                if value == value and abs(value) != float("inf"):
                    yield _text(f"{test.id}.{name}"), float(f"{value:.6g}")


def _since(outcome: Outcome, node: NodeResult) -> float:
    if node.started is None or not node.attempts or node.state not in _OWN | GOOD_STATES:
        return 0
    return _rounded(max(0.0, (node.started - outcome.started).total_seconds()))


def _rounded(seconds: float) -> float:
    """Two digits of what is short, whole seconds of what is long."""
    value = round(seconds) if seconds >= 10 else float(f"{seconds:.2g}")
    return int(value) if value == int(value) else value


def _column(values: Sequence[float]) -> list[float]:
    end = len(values)
    while end and not values[end - 1]:
        end -= 1
    return list(values[:end])


def _text(text: str) -> str:
    return clip_bytes(encodable(text.strip()), MESSAGE)

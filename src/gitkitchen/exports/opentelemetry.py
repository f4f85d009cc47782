"""A run as an OpenTelemetry trace: a span of the run, below it one of each node, below that one of its tests.

Where TRACEPARENT is set (https://www.w3.org/TR/trace-context/), the run is a part of that trace, and is
recorded only if that one is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, Span, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Status, StatusCode, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from gitkitchen import __version__
from gitkitchen.exports.shapes import Told, ended, judged, tested_from
from gitkitchen.model import GOOD_STATES, NodeResult, TestState, Verdict
from gitkitchen.report.facts import public_message


def spans(told: Told, environ: Mapping[str, str]) -> Sequence[ReadableSpan]:
    """The spans of a run, the inner ones first; none where a caller's trace is not recorded."""
    outcome = told.outcome
    kept = InMemorySpanExporter()
    about = {"service.name": "gitkitchen", "service.version": __version__}
    resource = Resource.create(about | {"gitkitchen.project": outcome.project})
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(kept))
    tracer = provider.get_tracer("gitkitchen", __version__)
    carrier = {n.lower(): environ[n] for n in ("TRACEPARENT", "TRACESTATE") if environ.get(n)}
    above = TraceContextTextMapPropagator().extract(carrier)
    whole: Any = tracer.start_span(
        f"run {outcome.recipe}", above, attributes=_of_run(told), start_time=_nanoseconds(outcome.started)
    )
    _judge(whole, outcome.verdict is Verdict.PASSED, outcome.verdict.value)
    for node in told.nodes():
        assert node.started is not None
        span: Any = tracer.start_span(
            f"node {node.node}",
            set_span_in_context(whole),
            attributes=_of_node(node),
            start_time=_nanoseconds(node.started),
        )
        reason = public_message(outcome, node.failure.message) if node.failure is not None else ""
        _judge(span, node.state in GOOD_STATES, reason or node.state.value)
        if judged(node):
            batch: Any = tracer.start_span(
                f"tests of {node.node}",
                set_span_in_context(span),
                attributes=_of_tests(node),
                start_time=_nanoseconds(tested_from(node)),
            )
            bad = [t.id for t in node.tests if t.stops and t.state is not TestState.PASSED]
            _judge(batch, not bad, ", ".join(bad[:20]))
            batch.end(_nanoseconds(ended(node)))
        span.end(_nanoseconds(ended(node)))
    whole.end(_nanoseconds(max([outcome.finished, *(ended(n) for n in told.nodes())])))
    found = kept.get_finished_spans()
    provider.shutdown()
    return found


def _judge(span: Span, good: bool, why: str) -> None:
    span.set_status(Status(StatusCode.OK) if good else Status(StatusCode.ERROR, why))


def _of_run(told: Told) -> dict[str, Any]:
    outcome = told.outcome
    found: dict[str, Any] = {
        "gitkitchen.run": outcome.run,
        "gitkitchen.recipe": outcome.recipe,
        "gitkitchen.kitchen": outcome.kitchen.label,
        "gitkitchen.verdict": outcome.verdict.value,
        "gitkitchen.publication": outcome.publication.state,
        "gitkitchen.tree": outcome.subject.tree,
        "vcs.ref.head.revision": outcome.subject.commit or "",
        "vcs.ref.head.name": outcome.kitchen.branch,
    }
    if outcome.variation:
        found["gitkitchen.variation"] = outcome.variation
    if told.interval is not None:
        found["gitkitchen.interval"] = [moment.isoformat() for moment in told.interval]
    return found


def _of_node(node: NodeResult) -> dict[str, Any]:
    made = node.build.versions.values() if node.build is not None else ()
    return {
        "gitkitchen.node": node.node,
        "gitkitchen.node.kind": node.kind,
        "gitkitchen.node.state": node.state.value,
        "gitkitchen.node.attempts": node.attempts,
        "gitkitchen.datasets": [version.dataset for version in made],
        "gitkitchen.rows": sum(version.rows or 0 for version in made),
    }


def _of_tests(node: NodeResult) -> dict[str, Any]:
    counts = {state: sum(t.state is state for t in node.tests) for state in TestState}
    return {f"gitkitchen.tests.{state.value}": n for state, n in counts.items() if n}


def _nanoseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1_000_000) * 1000

"""A run as one self-contained HTML file: no script, nothing fetched, readable for years.

The template (``templates/report.html.j2``) gets plain values, renders in a locked environment that escapes
everything, and the page forbids by its own policy whatever an escape could have missed.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from gitkitchen.model import NodeResult, Outcome, State, TestResult, TestState, Verdict, Version
from gitkitchen.report import facts, text
from gitkitchen.report.facts import HIDDEN, Finding
from gitkitchen.report.text import SYMBOLS, WORDS, duration, moment, safe, safe_lines
from gitkitchen.shipped import find

if TYPE_CHECKING:
    from jinja2 import Template

TONES = {
    State.PASSED: "good",
    State.REUSED: "good",
    State.FAILED: "bad",
    State.ERROR: "bad",
    State.TIMED_OUT: "bad",
    State.CANCELLED: "warn",
    State.BLOCKED: "warn",
    State.SKIPPED: "quiet",
}
TITLES = {
    "stop": "What failed",
    "excused": "Failed and excused",
    "waived": "Failed and waived",
    "warn": "Warnings",
    "log": "Noted",
}
_WEIGHT_TONE = {"stop": "bad", "excused": "warn", "waived": "warn", "warn": "warn", "log": "quiet"}
_VERDICT = {Verdict.PASSED: ("good", "✓"), Verdict.FAILED: ("bad", "✗"), Verdict.CANCELLED: ("warn", "■")}
_NARROWEST = 4.0  # thousandths of the time line: what took no time can still be seen


def page(outcome: Outcome, *, public_only: bool = False) -> str:
    """The whole page. ``public_only`` hides values of columns that are not public, and logs."""
    view = _View(outcome, public_only)
    css = find("templates/report.css").read_text(encoding="utf-8")
    return _template().render(view.page(), css=_trusted(css), policy=_policy(css))


def _policy(css: str) -> str:
    digest = base64.b64encode(hashlib.sha256(css.encode()).digest()).decode()
    return f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"


def _trusted(css: str) -> Any:
    from markupsafe import Markup

    return Markup(css)  # noqa: S704 - our own file, no value is in it


@lru_cache(maxsize=1)
def _template() -> Template:
    from jinja2 import StrictUndefined
    from jinja2.sandbox import ImmutableSandboxedEnvironment
    from markupsafe import Markup

    def shown(value: object) -> object:
        """Every text that the template prints loses what a reader cannot see or should not trust."""
        return safe(value) if isinstance(value, str) and not isinstance(value, Markup) else value

    environment = ImmutableSandboxedEnvironment(
        autoescape=True,
        undefined=StrictUndefined,
        finalize=shown,
        trim_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.from_string(find("templates/report.html.j2").read_text(encoding="utf-8"))


class _View:
    """The values of the page, in its order. Texts are raw here: the template makes each one safe."""

    def __init__(self, outcome: Outcome, public_only: bool) -> None:
        self.outcome = outcome
        self.public_only = public_only
        self.findings = facts.findings(outcome)
        self.length = max(facts.seconds_of(outcome), 0.001)

    def page(self) -> dict[str, Any]:
        """Everything that the template names."""
        outcome = self.outcome
        tone, mark = _VERDICT.get(outcome.verdict, ("warn", "!"))
        groups = list(self._groups())
        untested = facts.untested(outcome)
        return {
            "title": f"{facts.recipe(outcome)} {text.VERDICTS[outcome.verdict]}",
            "over": f"{outcome.project} · {facts.recipe(outcome)} · {facts.kitchen(outcome)}",
            "tone": tone,
            "mark": mark,
            "headline": _capital(facts.headline(outcome)),
            "published": facts.published(outcome),
            "next": facts.next_step(outcome),
            "facts": list(self._facts()),
            "sections": list(_sections(groups, untested)),
            "groups": groups,
            "untested": untested,
            "nodes": [self._node(i, n) for i, n in self._by_weight()],
            "nodes_said": facts.nodes_sentence(outcome),
            "axis": f"0 to {duration(facts.seconds_of(outcome))}",
            "footer": list(self._footer()),
        }

    def _facts(self) -> Iterator[tuple[str, str]]:
        outcome = self.outcome
        yield "started", moment(outcome.started)
        yield "took", duration(facts.seconds_of(outcome))
        yield "commit", facts.subject(outcome)
        yield "nodes", facts.nodes_sentence(outcome).partition(": ")[2] or "none"
        yield "tests", facts.tests_sentence(outcome).partition(": ")[2] or "none"
        yield "run", outcome.run
        if not outcome.complete:
            yield "selection", "a part of the recipe"

    def _footer(self) -> Iterator[str]:
        outcome = self.outcome
        yield " · ".join(f"{tool} {version}" for tool, version in outcome.tools.items())
        here = f"namespace {outcome.kitchen.namespace} · project {outcome.project_id}"
        yield f"tree {outcome.subject.tree} · {here}"
        if self.public_only:
            yield "Values of columns that are not public are hidden."
        elif any(t.sample for t in outcome.tests) or any(n.log_tail for n in outcome.nodes):
            yield "This page holds values of failing rows and lines of logs: keep it where the data may be."

    # --- findings

    def _groups(self) -> Iterator[dict[str, Any]]:
        for weight, title in TITLES.items():
            group = [f for f in self.findings if f.weight == weight]
            if group:
                shown = [self._finding(f) for f in group]
                yield {"anchor": weight, "title": title, "count": f"{len(group):,}", "findings": shown}

    def _finding(self, finding: Finding) -> dict[str, Any]:
        tone = _WEIGHT_TONE[finding.weight]
        node, test = finding.node, finding.test
        return {
            "title": finding.title,
            "word": finding.word + (", reused verdict" if test and test.reused else ""),
            "tone": tone,
            "fill": f"f-{tone}",
            "edge": f"{tone}-edge",
            "mark": {"waived": "!", "warn": "!", "log": "·"}.get(finding.weight, "✗"),
            "place": str(finding.place) if finding.place else "",
            "fields": list(self._test_fields(test) if test else self._failure_fields(node)),
            "cause": test.cause if test else "",
            "sample": self._sample(test) if test else None,
            "tail": None if test else self._tail(node),
            "command": facts.reproduce(self.outcome, finding),
        }

    def _test_fields(self, test: TestResult) -> Iterator[dict[str, Any]]:
        observed = facts.public_observed(self.outcome, test) if self.public_only else test.observed
        if test.state is not TestState.ERROR:
            yield from _field("observed", observed)
        yield from _field("expected", test.expected)
        if test.failing and test.tested:
            part = round(1000 * min(1.0, test.failing / test.tested), 1)
            yield from _field("failing", text.share(test.failing, test.tested), share=part)
        yield from _field("why", self._message(facts.why(test)))
        yield from _field("waived", facts.waiver(test))

    def _failure_fields(self, node: NodeResult) -> Iterator[dict[str, Any]]:
        if node.failure is not None:
            yield from _field("why", self._message(node.failure.message))
            yield from _field("hint", node.failure.hint)
        if node.attempts > 1:
            yield from _field("tried", f"{node.attempts:,} times")

    def _message(self, message: str) -> str:
        return facts.public_message(self.outcome, message) if self.public_only else message

    def _sample(self, test: TestResult) -> dict[str, Any] | None:
        sample = facts.public_sample(self.outcome, test) if self.public_only else test.sample
        columns = list(dict.fromkeys(c for row in sample for c in row))
        if not columns:
            return None
        return {
            "label": f"Failing rows of {test.dataset}",
            "columns": columns,
            "rows": [[_cell(row.get(c, "")) for c in columns] for row in sample],
            "more": facts.left_out(test, len(sample)),
        }

    def _tail(self, node: NodeResult) -> dict[str, Any] | None:
        if self.public_only or not (node.log_tail or node.log):
            return None
        lines = [line for raw in node.log_tail for line in safe_lines(raw)]
        where = f".gitkitchen/runs/{self.outcome.run}/{node.log}" if node.log else "no log file was kept"
        return {"lines": lines, "note": f"The last lines of its log; all of it: {where}"} if lines else None

    # --- nodes

    def _by_weight(self) -> list[tuple[int, NodeResult]]:
        """What failed first, then the order of the plan; the number stays the plan's, for anchors."""
        rank = {State.FAILED: 0, State.ERROR: 0, State.TIMED_OUT: 0, State.CANCELLED: 1, State.BLOCKED: 2}
        return sorted(enumerate(self.outcome.nodes, 1), key=lambda pair: rank.get(pair[1].state, 3))

    def _node(self, index: int, node: NodeResult) -> dict[str, Any]:
        rows = facts.rows_of(node)
        told = node.state in (State.ERROR, State.TIMED_OUT)  # its log stands with the findings
        return {
            "anchor": f"n{index}",
            "name": node.node,
            "kind": node.kind,
            "word": WORDS[node.state] + (", excused" if node.continued else ""),
            "tone": TONES[node.state],
            "fill": f"f-{TONES[node.state]}",
            "mark": SYMBOLS[node.state],
            "rows": f"{rows:,}" if rows is not None else "",
            "tests_said": _passed(node.tests),
            "bar": self._bar(node),
            "time": duration(node.seconds) if node.attempts else "",
            "open": node.state is State.FAILED,
            "reason": "; ".join(node.reasons)
            or (self._message(node.failure.message) if node.failure else ""),
            "fields": list(self._node_fields(node)),
            "links": [_link(label, url) for label, url in node.links.items()],
            "versions": [_version(v) for v in node.build.versions.values()] if node.build else [],
            "tests": [self._test(t) for t in node.tests],
            "tail": None if told else self._tail(node),
        }

    def _bar(self, node: NodeResult) -> dict[str, Any] | None:
        if node.started is None or not node.attempts:
            return None
        since = max(0.0, (node.started - self.outcome.started).total_seconds())
        start = min(1000 * since / self.length, 1000 - _NARROWEST)
        width = max(_NARROWEST, min(1000 * node.seconds / self.length, 1000 - start))
        label = f"began after {duration(since)}, took {duration(node.seconds)}"
        return {"x": round(start, 1), "width": round(width, 1), "label": label}

    def _node_fields(self, node: NodeResult) -> Iterator[tuple[str, str]]:
        yield "why", "; ".join(node.reasons)
        if node.failure is not None:
            yield "ended", self._message(node.failure.message)
        if node.place is not None:
            yield "at", str(node.place)
        if node.owner:
            yield "owner", node.owner
        if node.attempts > 1:
            yield "attempts", f"{node.attempts:,}"
        if node.build is not None and node.build.run not in ("", self.outcome.run):
            yield "built by", f"run {node.build.run}"
        if node.build is not None and node.build.inputs:
            yield "inputs", ", ".join(f"{name} {content[:12]}" for name, content in node.build.inputs.items())
        for name, value in node.metrics.items():
            yield name, text.number(value)

    def _test(self, test: TestResult) -> dict[str, Any]:
        passed = test.state is TestState.PASSED
        weight = test.severity.value if test.state in (TestState.FAILED, TestState.ERROR) else "log"
        weight = "warn" if test.waived else weight
        mark = (
            "✓"
            if passed
            else "-"
            if test.state is TestState.SKIPPED
            else {"stop": "✗", "warn": "!"}.get(weight, "·")
        )
        observed = facts.public_observed(self.outcome, test) if self.public_only else test.observed
        if test.state is TestState.ERROR:
            observed = self._message(test.message)
        return {
            "name": facts.test_name(test),
            "word": "waived" if test.waived else text.severity_word(test.severity, test.state),
            "tone": "good" if passed else _WEIGHT_TONE[weight],
            "mark": mark,
            "observed": text.one_line(observed),
            "expected": test.expected,
            "severity": test.severity.value,
            "reused": test.reused,
            "time": "" if test.reused else duration(test.seconds),
        }


def _capital(words: str) -> str:
    return words[:1].upper() + words[1:]


def _sections(groups: Sequence[dict[str, Any]], untested: Sequence[str]) -> Iterator[tuple[str, str]]:
    for group in groups:
        yield group["anchor"], f"{group['title']} {group['count']}"
    if untested:
        yield "untested", f"Not tested {len(untested):,}"
    yield "nodes", "Nodes"
    yield "details", "Node by node"


def _field(label: str, value: str, share: float | None = None) -> Iterator[dict[str, Any]]:
    if lines := safe_lines(value):
        yield {"label": label, "lines": lines, "share": share}


def _cell(value: str) -> dict[str, Any]:
    return {"text": value, "number": text.is_number(value), "hidden": value == HIDDEN}


def _passed(tests: Sequence[TestResult]) -> str:
    if not tests:
        return ""
    return f"{sum(t.state is TestState.PASSED for t in tests):,} of {len(tests):,}"


def _link(label: str, url: str) -> dict[str, str]:
    """A link that a node reported; only the web's own schemes become one, all else stays text."""
    return {"label": label, "text": url, "href": url if url.startswith(("https://", "http://")) else ""}


def _version(version: Version) -> dict[str, str]:
    return {
        "dataset": version.dataset,
        "rows": f"{version.rows:,}" if version.rows is not None else "",
        "columns": f"{len(version.columns):,}" if version.columns else "",
        "size": text.size(version.bytes) if version.files else version.format,
        "content": version.content[:12],
        "fingerprint": version.fingerprint[:12],
    }

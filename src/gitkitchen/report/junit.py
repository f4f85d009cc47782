"""JUnit XML: each node a suite, each test a case with its file and line.

Readers of JUnit know no warnings: a ``warn`` or ``log`` test that failed is a passed case whose status, name
and output say so. A node that ended badly is an error case; a node with nothing tested has a skipped case
that says it, so that an empty suite never looks green. XML 1.0 cannot hold control characters: they become
visible escapes.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from typing import TYPE_CHECKING

from gitkitchen.model import GOOD_STATES, NodeResult, Outcome, Severity, State, TestResult, TestState, Verdict
from gitkitchen.report import facts
from gitkitchen.report.text import VERDICTS, WORDS, safe, safe_lines, severity_word

if TYPE_CHECKING:
    from junit_xml import TestCase, TestSuite

# What XML 1.0 has no form for, not even as a reference (https://www.w3.org/TR/xml/#charsets).
_FORBIDDEN = re.compile("[^\x09\x0a\x0d\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def to_xml(outcome: Outcome) -> str:
    """The whole document with its declaration. Rows show only values of public columns."""
    suites = [_suite(outcome, node) for node in outcome.nodes]
    if not any(t.state in (TestState.PASSED, TestState.FAILED) for t in outcome.tests):
        suites.append(_nothing_tested(outcome))
    root = ET.Element(
        "testsuites", {"name": _line(facts.recipe(outcome)), "time": f"{facts.seconds_of(outcome):.3f}"}
    )
    totals = dict.fromkeys(("tests", "failures", "errors", "skipped"), 0)
    for suite in suites:
        element = suite.build_xml_doc()
        for key in totals:
            totals[key] += int(element.get(key, "0"))
        root.append(element)
    root.attrib |= {key: str(amount) for key, amount in totals.items()}
    ET.indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ET.tostring(root, encoding="unicode")}\n'


def _line(value: str) -> str:
    return _FORBIDDEN.sub("�", safe(value))


def _block(value: str) -> str:
    return _FORBIDDEN.sub("�", "\n".join(safe_lines(value)))


def _suite(outcome: Outcome, node: NodeResult) -> TestSuite:
    from junit_xml import TestSuite

    cases = [_test_case(outcome, node, test) for test in node.tests]
    if (case := _node_case(outcome, node)) is not None:
        cases.insert(0, case)
    properties = {"kind": node.kind, "state": WORDS[node.state], "owner": node.owner, **_figures(node)}
    properties |= {f"waived {facts.test_name(t)}": facts.waiver(t) for t in node.tests if t.waived}
    return TestSuite(
        _line(f"{outcome.recipe}.{node.node}"),
        cases,
        package=_line(outcome.recipe),
        timestamp=(node.started or outcome.started).isoformat(timespec="seconds"),
        file=_line(node.place.file) if node.place else None,
        properties={_line(k): _line(v) for k, v in properties.items() if v},
    )


def _figures(node: NodeResult) -> Mapping[str, str]:
    rows = facts.rows_of(node)
    return {"rows": str(rows)} if rows is not None else {}


def _case(outcome: Outcome, node: NodeResult, name: str, seconds: float, status: str) -> TestCase:
    from junit_xml import TestCase

    return TestCase(_line(name), _line(f"{outcome.recipe}.{node.node}"), seconds, status=status)


def _test_case(outcome: Outcome, node: NodeResult, test: TestResult) -> TestCase:
    word = "waived" if test.waived else severity_word(test.severity, test.state)
    marked = "" if test.severity is Severity.STOP else f" [{test.severity.value}]"
    marked = " [waived]" if test.waived else marked
    case = _case(outcome, node, facts.test_name(test) + marked, test.seconds, word)
    place = test.place or node.place
    if place is not None:
        case.file, case.line = _line(place.file), place.line or None
    said = _said(outcome, test)
    message = _line(f"{word}: {_observed(outcome, test)}; expected {test.expected}")
    excused = " (excused: continue-on-error)" if node.continued else ""
    if test.stops and test.state is TestState.FAILED and not node.continued:
        case.add_failure_info(message, said, "stop")
    elif test.state is TestState.ERROR and not node.continued and test.severity is Severity.STOP:
        case.add_error_info(message, said, "not-evaluated")
    elif test.state is TestState.SKIPPED:
        case.add_skipped_info(_line(test.message) or "skipped")
    elif test.state is TestState.ERROR:  # weaker than stop, or excused: no failure, and no pass either
        case.add_skipped_info(message + excused, said)
    elif test.state is not TestState.PASSED:
        case.stdout = f"{message}{excused}\n{said}"
    elif test.reused:
        case.stdout = "reused: this verdict was given on identical content"
    return case


def _observed(outcome: Outcome, test: TestResult) -> str:
    observed = facts.public_observed(outcome, test) if test.state is not TestState.ERROR else ""
    return observed or facts.public_message(outcome, test.message) or "nothing"


def _said(outcome: Outcome, test: TestResult) -> str:
    parts = [
        f"severity: {test.severity.value}",
        f"observed: {_observed(outcome, test)}",
        f"expected: {test.expected}",
        f"failing: {facts.measured(test)}" if facts.measured(test) else "",
        f"cause: {test.cause}" if test.cause else "",
        f"waived {facts.waiver(test)}" if test.waived else "",
        "reused: this verdict was given on identical content" if test.reused else "",
        *(", ".join(f"{k}={v}" for k, v in row.items()) for row in facts.public_sample(outcome, test)),
    ]
    return "\n".join(_line(part) for part in parts if part)


def _node_case(outcome: Outcome, node: NodeResult) -> TestCase | None:
    """The case that stands for the node itself, where its tests do not tell the whole of it."""
    if node.state in GOOD_STATES and node.tests:
        return None
    if node.state is State.FAILED and any(t.stops for t in node.tests):
        return None
    case = _case(outcome, node, f"node {node.node}", node.seconds, WORDS[node.state])
    place = (node.failure.place if node.failure else None) or node.place
    if place is not None:
        case.file, case.line = _line(place.file), place.line or None
    message = node.failure.message if node.failure else "; ".join(node.reasons)
    told = _line(f"{WORDS[node.state]}: {facts.public_message(outcome, message)}")
    hint = _block(node.failure.hint) if node.failure else ""
    if node.state in GOOD_STATES:
        case.add_skipped_info("not tested: this node has no test")
    elif node.state in (State.BLOCKED, State.SKIPPED):
        case.add_skipped_info(told)
    elif node.continued:
        case.stdout = f"{told} (excused: continue-on-error)"
    else:
        case.add_error_info(told, hint, node.failure.kind if node.failure else "error")
    return case


def _nothing_tested(outcome: Outcome) -> TestSuite:
    from junit_xml import TestCase, TestSuite

    case = TestCase("evidence", _line(outcome.recipe), status=VERDICTS[Verdict.NOTHING_TESTED])
    case.add_error_info("nothing was tested: no test of this run was evaluated, which is never green")
    return TestSuite(_line(f"{outcome.recipe}.evidence"), [case])

"""JUnit XML that every reader can parse."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from gitkitchen.model import Outcome, State, TestState, Verdict
from gitkitchen.report.junit import to_xml

FORBIDDEN = re.compile("[^\x09\x0a\x0d\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def cases(outcome: Outcome) -> dict[str, ET.Element]:
    return {c.get("name", ""): c for c in ET.fromstring(to_xml(outcome)).iter("testcase")}


def test_junit_golden(rich_outcome: Outcome, golden: Callable[[str, str], None]) -> None:
    """The document reads as its file in golden/ does."""
    golden("junit-rich.xml", to_xml(rich_outcome))


@given(data=st.data())
def test_junit_is_xml_whatever_names_hold(data: st.DataObject, outcomes: st.SearchStrategy[Outcome]) -> None:
    """\\ufffe, lone surrogates and control characters never reach the document, and its counts add up."""
    text = to_xml(data.draw(outcomes))
    assert not FORBIDDEN.search(text)
    root = ET.fromstring(text.encode())
    for key, tag in (
        ("tests", "testcase"),
        ("failures", "failure"),
        ("errors", "error"),
        ("skipped", "skipped"),
    ):
        assert int(root.get(key, "-1")) == len(list(root.iter(tag))), key


def test_each_test_is_a_case_with_its_place(rich_outcome: Outcome) -> None:
    """A reader can jump from the case to the line that declares the test."""
    case = cases(rich_outcome)["logic rows(same_as=flights)"]
    assert (case.get("file"), case.get("line")) == ("recipes/delays/recipe.yml", "31")
    failure = case.find("failure")
    assert failure is not None
    assert failure.get("message", "").startswith(
        "failed: 8,035,799 rows, 23.86 times those of flights; expected"
    )


def test_severities_are_visible(rich_outcome: Outcome) -> None:
    """A warning is no failure, and says that it is a warning."""
    case = cases(rich_outcome)["relationships(tailnum → planes.tailnum) [warn]"]
    assert case.get("status") == "warning"
    assert case.find("failure") is None
    assert (case.findtext("system-out") or "").startswith("warning: 50,094 rows")


def test_a_node_that_ends_badly_is_an_error(rich_outcome: Outcome) -> None:
    """Errors, timeouts, cancellations are errors; blocked and skipped are skipped; excused ones pass."""
    found = cases(rich_outcome)
    tags = {
        name: [c.tag for c in found[f"node {name}"]]
        for name in ("report", "slow", "stopped", "summary", "winter", "excused")
    }
    assert tags == {
        "report": ["error"],
        "slow": ["error"],
        "stopped": ["error"],
        "summary": ["skipped"],
        "winter": ["skipped"],
        "excused": ["system-out"],
    }


def test_nothing_tested_is_visible(rich_outcome: Outcome) -> None:
    """A node without a test is a skipped case; a run without evidence holds an error."""
    skipped = cases(rich_outcome)["node planes"].find("skipped")
    assert skipped is not None
    assert skipped.get("message") == "not tested: this node has no test"
    for empty in (
        replace(rich_outcome, nodes=(), verdict=Verdict.NOTHING_TESTED),
        replace(rich_outcome, nodes=(rich_outcome.nodes[2],), verdict=Verdict.NOTHING_TESTED),
    ):
        assert ET.fromstring(to_xml(empty)).get("errors") == "1"


def test_an_unevaluated_warning_is_not_a_pass(rich_outcome: Outcome) -> None:
    """A test of weaker severity that could not be evaluated is skipped with its reason."""
    node = rich_outcome.nodes[1]
    broken = replace(node.tests[1], state=TestState.ERROR, observed="", message="no such column")
    case = cases(replace(rich_outcome, nodes=(replace(node, tests=(broken,)),)))[
        "relationships(tailnum → planes.tailnum) [warn]"
    ]
    skipped = case.find("skipped")
    assert skipped is not None
    assert "no such column" in skipped.get("message", "")


def test_reused_verdicts_say_so(rich_outcome: Outcome) -> None:
    """A verdict given before on identical content is evidence, and shown as reused."""
    assert "reused" in (cases(rich_outcome)["not_null(carrier)"].findtext("system-out") or "")


def test_junit_shows_public_values_only(rich_outcome: Outcome) -> None:
    """CI shows this file to everybody who may read the job: other values are hidden."""
    text = to_xml(rich_outcome)
    for secret in ("Jane Doe", "日本語", "-4711"):
        assert secret not in text
    assert "origin=EWR, day=1, rows=hidden, remark=hidden" in text
    assert rich_outcome.nodes[3].state is State.FAILED

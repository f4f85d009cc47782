"""Green needs evidence: what a check run concludes, whatever a document claims."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitkitchen.errors import Place
from gitkitchen.finding import PolicyFinding
from gitkitchen.model import GOOD_STATES, Outcome, State, Subject, TestState, Verdict, Waived
from gitkitchen.report.surfaces.checks import PROJECT, concluded
from gitkitchen.report.surfaces.comment import comment
from gitkitchen.report.surfaces.document import from_document, to_document
from gitkitchen.report.surfaces.judging import exit_code, judge, judge_all
from gitkitchen.report.surfaces.pull import NotTested, Pull
from pulls import GREEN, HEAD, STOPPED, TREE, WAIVERS, cases, node

PASSED = cases()["passed"]


def of(outcome: Outcome, **more: object) -> Pull:
    return replace(PASSED, recipes=(outcome,), not_tested=(), **more)  # type: ignore[arg-type]


def test_a_claim_of_green_is_asked_again() -> None:
    """An outcome that calls itself passed is judged by its nodes and tests."""
    for outcome, conclusion in (
        (replace(STOPPED, verdict=Verdict.PASSED), "failure"),
        (replace(GREEN, nodes=()), "action_required"),
        (replace(GREEN, nodes=tuple(replace(n, tests=()) for n in GREEN.nodes)), "action_required"),
        (replace(GREEN, nodes=(*GREEN.nodes, node("x", State.CANCELLED))), "cancelled"),
        (replace(GREEN, nodes=(*GREEN.nodes, node("x", State.BLOCKED))), "failure"),
        (replace(GREEN, complete=False), "action_required"),
        (replace(GREEN, subject=Subject(HEAD, "9" * 40)), "failure"),
        (replace(GREEN, subject=Subject(HEAD, TREE, dirty=True)), "failure"),
    ):
        assert judge(of(outcome), outcome).conclusion == conclusion
        (check,) = concluded(of(outcome))
        assert check.conclusion == conclusion
        assert "✅" not in check.summary + check.text


def test_a_failing_stop_test_in_a_node_that_passed_is_a_failure() -> None:
    """The test decides and not the state beside it."""
    nodes = (replace(STOPPED.nodes[2], state=State.PASSED),)
    outcome = replace(GREEN, nodes=(*GREEN.nodes[:2], *nodes))
    assert judge(of(outcome), outcome).conclusion == "failure"


@pytest.mark.parametrize(
    ("finding", "conclusion"),
    [
        (PolicyFinding("a", "failure", "m"), "failure"),
        (PolicyFinding("a", "action", "m", "kitchen.yml", 3), "action_required"),
        (PolicyFinding("a", "action", "m", allowed_by="@ada"), "success"),
        (PolicyFinding("a", "notice", "m"), "success"),
        (PolicyFinding("a", "action", "m", "recipes/delays/recipe.yml", 3), "action_required"),
    ],
    ids=["failure", "action", "allowed", "notice", "of-the-recipe"],
)
def test_policy_keeps_a_passed_recipe_from_green(finding: PolicyFinding, conclusion: str) -> None:
    """A refusal fails, what waits for approval waits, what is allowed or noted changes nothing."""
    pull = of(GREEN, policy=(finding,))
    assert judge(pull, GREEN).conclusion == conclusion
    assert (exit_code(pull) == 0) is (conclusion == "success")


def test_a_finding_of_one_recipe_leaves_the_others_alone() -> None:
    """What is wrong in a recipe's folder concerns that recipe; what is wrong elsewhere concerns all."""
    (delays, airports) = PASSED.recipes
    for path, expected in (
        ("recipes/airports/recipe.yml", ["success", "action_required"]),
        ("kitchen.yml", ["action_required", "action_required"]),
        ("", ["action_required", "action_required"]),
    ):
        pull = replace(PASSED, policy=(PolicyFinding("a", "action", "m", path, 1),), not_tested=())
        assert [judge(pull, o).conclusion for o in (delays, airports)] == expected


def test_a_waiver_excuses_its_test_and_nothing_else() -> None:
    """In force and alone it makes the run pass; expired, or with work left undone, it does not."""
    test = STOPPED.nodes[2].tests[0]
    only = replace(STOPPED, nodes=(*STOPPED.nodes[:2], replace(STOPPED.nodes[2], tests=(test,))))
    waiver = WAIVERS[0]
    assert judge(of(only, waivers=(waiver,)), only).words == "passed with 1 waived test"
    assert judge(of(only, waivers=(waiver,)), only).green
    for one in (
        replace(waiver, standing="expired"),
        replace(waiver, standing="unused"),
        replace(waiver, recipe="other"),
        replace(waiver, tests=("late_by_hour/outputs/other",)),
    ):
        assert judge(of(only, waivers=(one,)), only).conclusion == "failure"
    assert judge(of(STOPPED, waivers=(waiver,)), STOPPED).conclusion == "failure"


def test_a_waiver_that_the_run_knows_is_shown_and_the_run_is_green() -> None:
    """A test that the run itself took as waived stands among the failures, with until when and by whom."""
    waived = Waived(reason="the feed is late", approver="@ada", expires="2027-01-31", place=Place("w.yml", 3))
    test = replace(STOPPED.nodes[2].tests[0], waived=waived)
    made = replace(STOPPED.nodes[2], state=State.PASSED, tests=(test, STOPPED.nodes[2].tests[3]))
    outcome = replace(GREEN, nodes=(*GREEN.nodes[:2], made))
    pull = of(outcome)
    assert judge(pull, outcome).words == "passed with 1 waived test"
    assert judge(pull, outcome).green
    body = comment(pull).body
    assert "### Failed" in body
    assert "waived: until 2027-01-31 by @&#8203;ada: the feed is late (w.yml:3)" in body
    (check,) = concluded(pull)
    (note,) = check.annotations
    assert (note.level, note.title) == ("notice", "late_by_hour: rows(same_as=flights): waived")
    assert from_document(to_document(pull)).recipes[0].nodes[2].tests[0].waived == waived


def test_what_did_not_run_at_all_is_a_check_of_its_own() -> None:
    """A recipe that should have run and has no outcome has a check that is not green."""
    pull = replace(of(GREEN), not_tested=(NotTested("orders", "orders", "no data", True),))
    assert [(c.name, c.conclusion) for c in concluded(pull)] == [
        ("GitKitchen / delays", "success"),
        ("GitKitchen / orders", "action_required"),
    ]
    assert judge_all(pull).conclusion == "action_required"
    nothing = replace(pull, recipes=(), not_tested=(), policy=())
    (check,) = concluded(nothing)
    assert (check.name, check.conclusion) == (PROJECT, "action_required")
    assert exit_code(nothing) == 4


@given(data=st.data())
def test_green_is_never_without_evidence(data: st.DataObject, outcomes: st.SearchStrategy[Outcome]) -> None:
    """Whatever an outcome says: a success has an evaluated test, no stop failure, and is whole."""
    outcome = data.draw(outcomes)
    outcome = replace(outcome, subject=replace(outcome.subject, tree=TREE))
    pull = of(outcome)
    judged = judge(pull, outcome)
    assert judged.conclusion in ("success", "failure", "action_required", "cancelled")
    if judged.green:
        assert outcome.verdict is Verdict.PASSED
        assert outcome.complete
        assert not outcome.subject.dirty
        kept = [n for n in outcome.nodes if not n.continued]
        assert any(t.state in (TestState.PASSED, TestState.FAILED) for n in kept for t in n.tests)
        assert all(n.state in GOOD_STATES or n.state is State.SKIPPED for n in kept)
        assert not any(t.stops for n in kept for t in n.tests)

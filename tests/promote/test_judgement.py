"""A pull request is green by evidence for its own tree, judged by the policy of its target, and by nothing
else.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.promote.requests import FILE, POLICY, RECIPE, TODAY, WAIVER, Requests, codes, green

from gitkitchen.model import Outcome, Severity, State, Subject, TestResult, TestState, Verdict, Waived
from gitkitchen.promote.owners import Review, allowing, approvers, owners

RANGE = "orders/outputs/range(n, max=5)"
FAILED = {RANGE: TestState.FAILED}


def test_a_whole_run_on_this_tree_is_green(requests: Requests) -> None:
    """All that is required has a result that passed."""
    requests.begin()
    requests.change((FILE, "max: 5", "max: 4"))
    judgement = requests.judge()
    assert (judgement.conclusion, judgement.findings) == ("success", ())


def test_a_reused_verdict_is_evidence(requests: Requests) -> None:
    """A verdict on identical content need not be given again."""
    requests.begin()
    outcome = green(requests.reading("HEAD"), states={"orders": State.REUSED, "totals": State.REUSED})
    nodes = tuple(replace(n, tests=tuple(replace(t, reused=True) for t in n.tests)) for n in outcome.nodes)
    assert requests.judge([replace(outcome, nodes=nodes)]).conclusion == "success"


def edited(outcome: Outcome, node: str, **changes: Any) -> Outcome:
    return replace(
        outcome, nodes=tuple(replace(n, **changes) if n.node == node else n for n in outcome.nodes)
    )


CLAIMS = {
    "no outcome": (lambda o: [], "nothing-tested"),
    "another tree": (lambda o: [replace(o, subject=Subject("c", "0" * 40))], "other-tree"),
    "a dirty tree": (lambda o: [replace(o, subject=replace(o.subject, dirty=True))], "other-tree"),
    "another recipe": (lambda o: [o, replace(o, recipe="unknown")], "unknown-recipe"),
    "a node missing": (lambda o: [replace(o, nodes=o.nodes[1:])], "missing-result"),
    "a test missing": (lambda o: [edited(o, "orders", tests=o.nodes[0].tests[1:])], "missing-result"),
    "no test at all": (
        lambda o: [edited(edited(o, "orders", tests=()), "totals", tests=())],
        "nothing-tested",
    ),
    "a skipped node": (lambda o: [edited(o, "orders", state=State.SKIPPED, tests=())], "required-test"),
    "a part": (lambda o: [replace(o, complete=False)], "required-recipe"),
    "another variation": (lambda o: [replace(o, variation="strict")], "unknown-recipe"),
    "cancelled": (lambda o: [replace(o, verdict=Verdict.CANCELLED)], "not-green"),
    "could not check": (lambda o: [replace(o, verdict=Verdict.INFRASTRUCTURE)], "not-green"),
    "nothing tested": (lambda o: [replace(o, verdict=Verdict.NOTHING_TESTED)], "not-green"),
    "a crash": (lambda o: [edited(o, "totals", state=State.ERROR)], "failed-node"),
    "an excuse nobody declared": (
        lambda o: [edited(o, "totals", state=State.ERROR, continued=True)],
        "failed-node",
    ),
    "an undeclared test": (
        lambda o: [
            edited(
                o,
                "totals",
                tests=(
                    *o.nodes[1].tests,
                    TestResult(
                        "x", "totals", "totals", "outputs", "own", Severity.STOP, TestState.FAILED, "", ""
                    ),
                ),
            )
        ],
        "failed-test",
    ),
    "effects": (
        lambda o: [
            replace(o, nodes=(*o.nodes, replace(o.nodes[0], node="effects/x.yml", state=State.FAILED)))
        ],
        "failed-node",
    ),
}


@pytest.mark.parametrize("name", sorted(CLAIMS))
def test_a_claim_that_is_no_evidence_is_never_green(requests: Requests, name: str) -> None:
    """Whatever an outcome says of itself: what is missing, of other content or not green fails."""
    forge, code = CLAIMS[name]
    requests.begin()
    judgement = requests.judge(forge(green(requests.reading("HEAD"))))
    assert judgement.conclusion == "failure"
    assert code in codes(judgement, "failure")


@pytest.mark.parametrize("state", [TestState.FAILED, TestState.ERROR, TestState.SKIPPED])
def test_the_declared_severity_counts_and_no_other(requests: Requests, state: TestState) -> None:
    """An outcome that calls a stop test a warning, in a node that passed, is not believed."""
    requests.begin()
    outcome = green(requests.reading("HEAD"), tests={RANGE: state})
    tests = tuple(replace(t, severity=Severity.LOG) for t in outcome.nodes[0].tests)
    judgement = requests.judge([edited(outcome, "orders", tests=tests)])
    assert judgement.conclusion == ("success" if state is TestState.SKIPPED else "failure")
    if state is TestState.SKIPPED:
        assert codes(judgement, "notice") == ["not-tested"]


def test_a_warning_that_failed_is_no_failure(requests: Requests) -> None:
    """Severity warn tells, and stops nothing, here as in a run."""
    requests.begin({FILE: RECIPE.replace("max: 5}", "max: 5}\n        severity: warn")})
    outcome = green(requests.reading("HEAD"), tests=FAILED)
    assert requests.judge([outcome]).conclusion == "success"


# --- what is required --------------------------------------------------------------------------------

REQUIRED = {
    "a kind": ('["orders/orders/unique"]', "success"),
    "a name": ('["orders/orders/range(n, max=5)"]', "success"),
    "every node": ('["orders/*/*"]', "success"),
    "a kind that a node lacks": ('["orders/*/unique"]', "failure"),
    "a node that is not there": ('["orders/gone/unique"]', "failure"),
    "a recipe that is not there": ('["other/*/unique"]', "failure"),
    "a test that is not there": ('["orders/orders/freshness"]', "failure"),
}


@pytest.mark.parametrize("name", sorted(REQUIRED))
def test_required_tests(requests: Requests, name: str) -> None:
    """Each node that a line means has such a test, and a line that means nothing is never met."""
    tests, conclusion = REQUIRED[name]
    requests.begin(policy=POLICY.replace('["orders/orders/unique"]', tests))
    judgement = requests.judge()
    assert judgement.conclusion == conclusion, judgement.findings
    assert set(codes(judgement, "failure")) == ({"required-test"} if conclusion == "failure" else set())


@pytest.mark.parametrize(("least", "code"), [("stop", "required-severity"), ("warn", "")])
def test_the_least_severity_of_required_tests(requests: Requests, least: str, code: str) -> None:
    """A required test that only warns is enough where the policy says so."""
    recipe = RECIPE.replace("key: [id]", "").replace(
        "- range", "- unique: [id]\n        severity: warn\n      - range"
    )
    requests.begin({FILE: recipe}, POLICY.replace("    recipes:", f"    severity: {least}\n    recipes:"))
    assert codes(requests.judge(), "failure") == ([code] if code else [])


def test_required_recipes_and_variations(requests: Requests) -> None:
    """Each has an outcome of its own."""
    policy = POLICY.replace("[orders]", '[orders, "orders:strict"]', 1)
    requests.begin({FILE: RECIPE + "variations: {strict: {vars: {}}}\n"}, policy)
    head = requests.reading("HEAD")
    assert codes(requests.judge(), "failure") == ["required-recipe"]
    both = [green(head), green(head, variation="strict")]
    assert requests.judge(both).conclusion == "success"


def test_a_variation_of_some_nodes_is_whole_with_these(requests: Requests) -> None:
    """What a variation does not select is not missing; what it selects is."""
    policy = POLICY.replace("[orders]", '["orders:part"]', 1)
    requests.begin({FILE: RECIPE + "variations: {part: {nodes: [orders]}}\n"}, policy)
    outcome = replace(green(requests.reading("HEAD"), variation="part"), complete=False)
    assert requests.judge([replace(outcome, nodes=outcome.nodes[:1])]).conclusion == "success"
    assert "missing-result" in codes(requests.judge([replace(outcome, nodes=outcome.nodes[1:])]), "failure")


def test_the_policy_is_that_of_the_target(requests: Requests) -> None:
    """A pull request that takes away its own requirement still has to meet it."""
    requests.begin()
    requests.change(
        ("kitchen.yml", POLICY, "policy: {changes: {by: ['@dev']}}\n"), (FILE, "    key: [id]\n", "")
    )
    judgement = requests.judge(reviews=[requests.approved("dev2"), requests.approved("dev")])
    assert judgement.conclusion == "failure"
    assert codes(judgement, "failure") == ["required-test"]
    assert not any(f.allowed_by for f in judgement.findings)


# --- who allows --------------------------------------------------------------------------------------


def weakened(requests: Requests) -> None:
    requests.begin({"CODEOWNERS": "* @all\n/recipes/ @owner @acme/data\n"})
    requests.change((FILE, "max: 5", "max: 6"))


def test_who_may_allow_is_told_with_the_owners_of_the_file(requests: Requests) -> None:
    """The names of the policy, and the owners of the path in the place of `codeowners`."""
    weakened(requests)
    (finding,) = requests.judge().findings
    assert finding.who_may_allow == ("@boss", "@owner", "@acme/data")


def test_approvals_count_for_this_head_alone(requests: Requests) -> None:
    """An older head, a later refusal, a dismissal, the author and strangers allow nothing; comments change
    nothing.
    """
    weakened(requests)
    yes = requests.approved("boss")
    asked: list[tuple[list[Review], str]] = [
        ([], "action_required"),
        ([yes], "success"),
        ([requests.approved("BOSS")], "success"),
        ([requests.approved("x", "acme/data")], "success"),
        ([requests.approved("x", "Acme/Data")], "success"),
        ([requests.approved("x", "other/data")], "action_required"),
        ([requests.approved("owner")], "success"),
        ([requests.approved("all")], "action_required"),
        ([requests.approved("boss", head="HEAD~1")], "action_required"),
        ([yes, requests.approved("boss", state="CHANGES_REQUESTED")], "action_required"),
        ([yes, requests.approved("boss", state="dismissed")], "action_required"),
        ([yes, requests.approved("boss", state="COMMENTED")], "success"),
        ([requests.approved("boss", state="CHANGES_REQUESTED"), yes], "success"),
        ([requests.approved("boss", state="CHANGES_REQUESTED"), requests.approved("owner")], "success"),
    ]
    for reviews, conclusion in asked:
        assert requests.judge(reviews=reviews).conclusion == conclusion, reviews
    assert requests.judge(reviews=[yes], author="Boss").conclusion == "action_required"


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["a", "b"]),
            st.sampled_from(["h", "old"]),
            st.sampled_from(["APPROVED", "CHANGES_REQUESTED", "DISMISSED", "COMMENTED"]),
        ),
        max_size=8,
    )
)
def test_only_the_last_decision_of_a_person_counts(said: list[tuple[str, str, str]]) -> None:
    """Against a slow reading from the end: an approval of this head after which the person decided nothing
    else.
    """
    reviews = [Review(*each) for each in said]
    for login in ("a", "b"):
        own = [r for r in reviews if r.login == login and r.state != "COMMENTED"]
        counts = bool(own) and (own[-1].state, own[-1].head) == ("APPROVED", "h")
        assert (login in {r.login for r in approvers(reviews, "h", "nobody")}) is counts
        assert bool(allowing(approvers(reviews, "h", login), [f"@{login}"])) is False


# --- waivers -----------------------------------------------------------------------------------------


def waived(requests: Requests, waiver: str = WAIVER, policy: str = POLICY) -> None:
    requests.begin({"waivers/n.yml": waiver}, policy)


def failing(requests: Requests) -> list[Outcome]:
    return [green(requests.reading("HEAD"), tests=FAILED)]


def test_a_waiver_of_the_target_excuses_its_test_and_is_shown(requests: Requests) -> None:
    """The named failure of the named node, with reason, approver and end."""
    waived(requests)
    judgement = requests.judge(failing(requests))
    assert (judgement.conclusion, codes(judgement, "notice")) == ("success", ["waived"])
    (finding,) = judgement.findings
    assert (finding.path, finding.line) == ("waivers/n.yml", 4)
    assert "waived by @ana until 2026-12-10: The feed counts boxes" in finding.message
    assert [w.file for w in judgement.waivers] == ["waivers/n.yml"]


def test_a_waiver_excuses_nothing_else(requests: Requests) -> None:
    """Not another test, not what could not be evaluated, not a node that failed."""
    waived(requests)
    head = requests.reading("HEAD")
    others = [
        green(head, tests={"orders/outputs/unique(id)": TestState.FAILED}),
        green(head, tests={"totals/outputs/rows(equals=1)": TestState.FAILED}),
        green(head, tests={RANGE: TestState.ERROR}),
        green(head, tests=FAILED, states={"orders": State.FAILED}),
    ]
    assert [requests.judge([o]).conclusion for o in others] == ["failure"] * 4


@pytest.mark.parametrize(
    ("waiver", "policy", "why"),
    [
        (WAIVER.replace("2026-12-10", "2026-11-20"), POLICY, "expired"),
        (WAIVER.replace("2026-12-10", "2027-11-20"), POLICY, "too long"),
        (WAIVER.replace("@ana", "@eve"), POLICY.replace(', "@acme/analysts"', ""), "somebody else"),
        (WAIVER, POLICY.replace('"orders/orders/*"', '"orders/totals/*"'), "another test"),
        (WAIVER, POLICY.replace("environments: [prod]", "environments: [dev]"), "another environment"),
    ],
    ids=lambda value: value if len(value) < 20 else "",
)
def test_a_waiver_beyond_the_policy_waives_nothing(
    requests: Requests, waiver: str, policy: str, why: str
) -> None:
    """Expiry, length, approver, test and environment are all limits."""
    requests.shop.replace("kitchen.yml", "environments:", "environments:\n  dev: {branch: dev}")
    waived(requests, waiver, policy)
    assert requests.judge(failing(requests)).conclusion == "failure", why


def test_a_waiver_ends_with_its_last_day(requests: Requests) -> None:
    """The last day counts, the next does not."""
    waived(requests, WAIVER.replace("2026-12-10", TODAY.isoformat()))
    assert requests.judge(failing(requests)).conclusion == "success"
    assert requests.judge(failing(requests), today=TODAY + timedelta(days=1)).conclusion == "failure"


def test_a_waiver_of_the_pull_request_waits_for_its_approver(requests: Requests) -> None:
    """It waives nothing by itself; the person whom it names has to approve this head, and nobody else will
    do.
    """
    requests.begin()
    requests.change(files={"waivers/n.yml": WAIVER})
    alone = requests.judge(failing(requests))
    assert (alone.conclusion, codes(alone)) == ("failure", ["waiver-added"])
    assert requests.judge(failing(requests), reviews=[requests.approved("boss")]).conclusion == "failure"
    allowed = requests.judge(failing(requests), reviews=[requests.approved("ana")])
    assert (allowed.conclusion, codes(allowed, "notice")) == ("success", ["waived"])
    assert requests.judge(reviews=[requests.approved("boss")]).conclusion == "action_required"


def test_a_waiver_needs_an_approver_whom_the_policy_knows(requests: Requests) -> None:
    """Naming somebody does not make them one: a team is asked who is in it."""
    requests.begin()
    requests.change(files={"waivers/n.yml": WAIVER.replace("@ana", "@eve")})
    reviews = [requests.approved("eve")]
    assert requests.judge(failing(requests), reviews=reviews).conclusion == "failure"
    reviews = [requests.approved("eve", "acme/analysts")]
    assert requests.judge(failing(requests), reviews=reviews).conclusion == "success"


def test_an_edited_waiver_is_a_new_one(requests: Requests) -> None:
    """A later end is asked for again."""
    waived(requests)
    requests.change(("waivers/n.yml", "2026-12-10", "2026-12-12"))
    judgement = requests.judge(failing(requests))
    assert (judgement.conclusion, codes(judgement)) == ("failure", ["waiver-added"])


def test_a_removed_waiver_is_told_and_counts_no_more(requests: Requests) -> None:
    """Stricter needs nobody."""
    waived(requests)
    requests.shop.git("rm", "-q", "waivers/n.yml")
    requests.change()
    assert codes(requests.judge(), "notice") == ["waiver-removed"]
    assert requests.judge().conclusion == "success"
    assert requests.judge(failing(requests)).conclusion == "failure"


def test_an_outcome_that_calls_itself_waived_is_not_believed(requests: Requests) -> None:
    """The mark in an outcome is a claim; the waivers of target and policy decide."""
    requests.begin()
    outcome = failing(requests)[0]
    mark = Waived("trust me", "@boss", "2099-01-01")
    tests = tuple(replace(t, waived=mark if t.id == RANGE else None) for t in outcome.nodes[0].tests)
    judgement = requests.judge([edited(outcome, "orders", tests=tests)])
    assert judgement.conclusion == "failure"
    assert any("no waiver that counts covers it" in f.message for f in judgement.findings)


# --- what cannot be read -----------------------------------------------------------------------------


def test_a_target_that_cannot_be_read_lets_nothing_through(requests: Requests) -> None:
    """Without its policy nobody knows what is required."""
    requests.begin(policy="polcy: {}\n")
    requests.change(("kitchen.yml", "polcy: {}\n", ""))
    judgement = requests.judge([])
    assert (judgement.conclusion, codes(judgement, "failure")) == ("failure", ["unreadable-target"])


def test_a_head_that_cannot_be_read_names_the_line(requests: Requests) -> None:
    """A recipe with a mistake has no tests to speak of: the check fails where the mistake is."""
    requests.begin()
    requests.change((FILE, "range: {column", "rnge: {column"))
    judgement = requests.judge([])
    assert (judgement.findings[0].code, judgement.findings[0].path) == ("unreadable", FILE)
    assert judgement.findings[0].line == 8
    assert judgement.conclusion == "failure"


# --- code owners -------------------------------------------------------------------------------------

OWNERS = """\
# a comment
*                 @all
*.sql             @sql # the last one that matches counts
/recipes/         @recipes me@example.org
docs/*            @docs
apps/**/x.yml     @apps
/waivers
build/logs/**     @logs
[bad]             @nobody
!not              @nobody
"""


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        ("readme", ("@all",)),
        ("a/b/c.sql", ("@sql",)),
        ("recipes/x/a.sql", ("@recipes",)),
        ("other/recipes/a", ("@all",)),
        ("docs/a", ("@docs",)),
        ("docs/a/b", ("@all",)),
        ("apps/x.yml", ("@apps",)),
        ("apps/a/b/x.yml", ("@apps",)),
        ("waivers/a.yml", ()),
        ("build/logs/a/b", ("@logs",)),
        ("x/docs/a", ("@all",)),
    ],
)
def test_code_owners(path: str, wanted: tuple[str, ...]) -> None:
    """The examples of GitHub's documentation: the last line that matches, folders, stars, no owner."""
    assert owners({".github/CODEOWNERS": OWNERS, "CODEOWNERS": "* @second\n"}, path) == wanted


def test_the_first_file_of_owners_counts() -> None:
    """.github, then the top, then docs."""
    assert owners({"docs/CODEOWNERS": "* @c\n", "CODEOWNERS": "* @b\n"}, "x") == ("@b",)
    assert owners({}, "x") == ()

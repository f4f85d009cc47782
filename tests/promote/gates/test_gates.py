"""Every gate but approvals and windows: when it passes, waits, fails, and when nobody can tell."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitkitchen.finding import PolicyFinding
from gitkitchen.model import Approvals, Contract, Freeze, Gate, GateCommand, Soak
from gitkitchen.promote.gates import TABLE, Facts, judge, may_move
from gitkitchen.promote.gates.facts import Break, CommandRun, Hotfix, SourceRun, Unread, Wanted
from gitkitchen.promote.shapes import Evidence, GateResult, Hold, Intent, Standing
from road_facts import BASE, NEWER, NOW, OTHER, TREE, evidence, facts, results, review, run, source

PASSED, PENDING, FAILED, UNKNOWN = Standing.PASSED, Standing.PENDING, Standing.FAILED, Standing.UNKNOWN
NO = Unread("the remote gave no answer", "contents: read")
OPEN = Gate()


def one(name: str, known: Facts, gate: Gate = OPEN, intent: Intent = Intent.FORWARD) -> GateResult:
    return results(gate, known, NOW, intent)[name]


def test_facts_that_nobody_gathered_open_no_gate() -> None:
    """A fact that was forgotten is unread: every gate that needs it is unknown, and nothing may move."""
    gate = Gate(
        Approvals(1, codeowners=True),
        Soak(1, 1),
        contract=Contract(),
        commands=(GateCommand("lint", ("true",)),),
    )
    found = judge(gate, Facts("prod", TREE, BASE, "p", source="staging"), NOW, Intent.FORWARD)
    assert {r.standing for r in found} == {UNKNOWN}
    assert len(found) == 10
    assert not may_move(found)


def test_no_gate_is_no_permission() -> None:
    """Nothing to judge, and two results of one gate, never let anything through (S2)."""
    fine = GateResult("a", PASSED, "")
    assert not may_move(())
    assert may_move((fine,))
    assert not may_move((fine, fine))
    assert not may_move((fine, replace(fine, gate="b", standing=UNKNOWN)))


# --- required


@pytest.mark.parametrize(
    ("found", "standing", "words"),
    [
        ((evidence(),), PASSED, "1 recipe green"),
        ((), PENDING, "no evidence on tree"),
        ((evidence(tree=OTHER),), PENDING, "no evidence"),
        ((evidence(base=OTHER),), PENDING, "no evidence"),
        ((evidence(policy=NEWER),), PENDING, "no evidence"),
        ((evidence("other"),), PENDING, "no evidence"),
        ((evidence(variation="strict"),), PENDING, "no evidence"),
        ((evidence(verdict="failed"),), FAILED, "delays (failed, run delays-1)"),
        ((evidence(tests=0),), FAILED, "nothing tested"),
        ((evidence(verdict="nothing_tested", tests=0),), FAILED, "nothing tested"),
        ((evidence(verdict="could_not_check"),), UNKNOWN, "could not check"),
        ((evidence(verdict="cancelled"),), UNKNOWN, "could not check"),
        ((evidence(verdict="could_not_check"), evidence()), PASSED, "green"),
        ((evidence(), evidence(verdict="could_not_check")), PASSED, "green"),
        ((evidence(), evidence()), PASSED, "3 tests"),
        ((evidence(), evidence(verdict="failed")), FAILED, "contradict"),
        ((evidence(verdict="failed"), evidence()), FAILED, "contradict"),
        ((evidence(verdict="failed", versions="old"), evidence()), PASSED, "green"),
        ((evidence(), evidence(verdict="failed", versions="new")), FAILED, "not green"),
    ],
)
def test_required(found: tuple[Evidence, ...], standing: Standing, words: str) -> None:
    """Missing is pending, a contradiction an error, no answer neither pass nor fail (S2, S17, S24)."""
    result = one("required", facts(evidence=found))
    assert (result.standing, words in result.reason) == (standing, True), result


def test_every_recipe_of_the_tree_is_required() -> None:
    """One recipe without evidence keeps all from moving, and a tree without recipes proves nothing."""
    both = (Wanted("delays"), Wanted("sales", "daily"))
    assert one("required", facts(wanted=both)).standing is PENDING
    assert "sales:daily" in one("required", facts(wanted=both)).reason
    proved = (evidence(), evidence("sales", variation="daily"))
    assert one("required", facts(wanted=both, evidence=proved)).standing is PASSED
    assert one("required", facts(wanted=())).standing is FAILED
    assert one("required", facts(wanted=NO)).standing is UNKNOWN
    assert one("required", facts(evidence=NO)).standing is UNKNOWN


def test_evidence_is_of_the_plan_that_is_wanted() -> None:
    """A run of another plan, though on this tree and base, is not what will be published."""
    assert one("required", facts(wanted=(Wanted("delays", None, "plan"),))).standing is PASSED
    assert one("required", facts(wanted=(Wanted("delays", None, "another"),))).standing is PENDING


def test_a_rollback_is_proved_by_what_it_was_proved_by_then() -> None:
    """Evidence of the tree counts on whatever base and policy; of another tree it does not."""
    old = facts(evidence=(evidence(base=OTHER, policy=NEWER),))
    assert one("required", old, intent=Intent.ROLLBACK).standing is PASSED
    assert (
        one("required", facts(evidence=(evidence(tree=OTHER),)), intent=Intent.ROLLBACK).standing is PENDING
    )


def test_what_the_policy_finds_blocks_beside_the_recipes() -> None:
    """A failure nobody can allow; a change of what judges waits for whoever may; a notice says nothing."""
    hard = PolicyFinding("required-test", "failure", "required test 'a/b/c': no result", "kitchen.yml", 9)
    soft = PolicyFinding("gate-changed", "action", "the gate changed", "kitchen.yml", 4, ("@ann",))
    note = PolicyFinding("waived", "notice", "waived")
    result = one("required:policy", facts(findings=(hard, soft)))
    assert (result.standing, "kitchen.yml:9" in result.reason) == (FAILED, True)
    result = one("required:policy", facts(findings=(soft,)))
    assert (result.standing, result.change) == (PENDING, "an approval by @ann")
    assert one("required:policy", facts(findings=(replace(soft, who_may_allow=()),))).standing is FAILED
    assert one("required:policy", facts(findings=NO)).standing is UNKNOWN
    assert "required:policy" not in results(OPEN, facts(findings=(note, replace(soft, allowed_by="ann"))))


# --- hold, hotfix, previous


def test_an_environment_on_hold_takes_no_forward_promotion() -> None:
    """Its own open hold stops a forward promotion alone; others are how it gets well (S30)."""
    hold = Hold("prod", "h1", "ann", NOW, "bad numbers", "i1")
    result = one("hold", facts(holds=(hold,)))
    assert (result.standing, result.command) == (FAILED, "gitkitchen hold prod --release")
    assert "by ann since 2026-11-18 12:00 UTC: bad numbers" in result.reason
    assert one("hold", facts(holds=(replace(hold, environment="staging"),))).standing is PASSED
    assert one("hold", facts(holds=NO)).standing is UNKNOWN
    for intent in (Intent.ROLLBACK, Intent.HOTFIX):
        assert "hold" not in results(OPEN, facts(holds=(hold,)), NOW, intent)


def test_a_hotfix_that_is_not_back_ported_blocks() -> None:
    """What was mended in production alone must be in what replaces it."""
    fix = Hotfix("f" * 40, contained=False, at=NOW, reason="wrong sign", pull=12)
    result = one("hotfix", facts(hotfixes=(replace(fix, contained=True), fix)))
    assert (result.standing, "wrong sign" in result.reason, "#12" in result.change) == (PENDING, True, True)
    url = "https://github.example/o/r/pull/12"
    told = one("hotfix", facts(hotfixes=(replace(fix, url=url),)))
    assert (f"#12 ({url})" in told.change, told.command) == (True, "gh pr view 12")
    brought = one("hotfix", facts(hotfixes=(replace(fix, pull=0, branch="back"),)))
    assert ("branch back" in brought.change, brought.command) == (True, "git merge back")
    assert "git cherry-pick" in one("hotfix", facts(hotfixes=(replace(fix, pull=0),))).command
    assert one("hotfix", facts(hotfixes=(replace(fix, contained=True),))).standing is PASSED
    assert one("hotfix", facts(hotfixes=(replace(fix, contained=NO),))).standing is UNKNOWN
    assert one("hotfix", facts(hotfixes=NO)).standing is UNKNOWN
    assert "hotfix" not in results(OPEN, facts(hotfixes=(fix,)), NOW, Intent.HOTFIX)


@pytest.mark.parametrize(
    ("given", "level", "standing"),
    [
        ({}, "landed", PASSED),
        ({"stood": ()}, "landed", PENDING),
        ({"stood": (), "runs": ()}, "healthy", PENDING),
        ({"trouble": ("open incident i1",)}, "landed", PASSED),
        ({"trouble": ("open incident i1",)}, "healthy", FAILED),
        ({"runs": (run(verdict="failed"),)}, "landed", PASSED),
        ({"runs": (run(verdict="failed"),)}, "healthy", FAILED),
        ({"runs": (run(verdict="failed"), run(minute=1))}, "healthy", PASSED),
        ({"runs": (run(), run("sales", "failed", 1))}, "healthy", FAILED),
        ({"runs": (run(tree=OTHER),)}, "healthy", PENDING),
        ({"runs": (run(verdict="failed", tree=OTHER), run(minute=1))}, "healthy", PASSED),
        ({"runs": (run(verdict="could_not_check"),)}, "healthy", UNKNOWN),
        ({"runs": (run(), run(verdict="could_not_check", minute=1))}, "healthy", UNKNOWN),
    ],
)
def test_previous(given: dict[str, object], level: str, standing: Standing) -> None:
    """`landed` asks that the tree stood in the source; `healthy` also how it does there (S11, S24)."""
    gate = Gate(previous=level)  # type: ignore[arg-type]
    assert one("previous", facts(previous=source(**given)), gate).standing is standing


def test_previous_is_asked_where_there_is_one() -> None:
    """The first environment of the road has none; where it cannot be read nothing is known."""
    assert "previous" not in results(OPEN, facts(source=None, previous=NO))
    assert one("previous", facts(previous=NO)).standing is UNKNOWN


# --- soak


def test_soak_in_hours_counts_the_time_that_the_tree_stood() -> None:
    """Time before, between and after does not count; what stood before an incident has not soaked."""
    gate = Gate(soak=Soak(hours=24))
    assert one("soak:hours", facts(), gate).standing is PASSED
    young = source(stood=((NOW - timedelta(hours=20), None),))
    result = one("soak:hours", facts(previous=young), gate)
    assert (result.standing, result.when) == (PENDING, NOW + timedelta(hours=4))
    assert "20 h of 24 h" in result.reason
    parts = source(
        stood=((NOW - timedelta(hours=50), NOW - timedelta(hours=35)), (NOW - timedelta(hours=9), None))
    )
    assert one("soak:hours", facts(previous=parts), gate).standing is PASSED, "15 and 9 hours"
    hurt = source(incidents=(NOW - timedelta(hours=10),))
    assert one("soak:hours", facts(previous=hurt), gate).when == NOW + timedelta(hours=14)
    gone = source(stood=((NOW - timedelta(hours=20), NOW - timedelta(hours=10)),))
    result = one("soak:hours", facts(previous=gone), gate)
    assert (result.standing, result.when) == (PENDING, None), "it does not soak where it does not stand"
    assert one("soak:hours", facts(previous=NO), gate).standing is UNKNOWN
    exact = source(stood=((NOW - timedelta(hours=24), None),))
    assert one("soak:hours", facts(previous=exact), gate).standing is PASSED
    assert (
        one(
            "soak:hours", facts(previous=source(stood=((NOW - timedelta(hours=24, seconds=-1), None),))), gate
        ).standing
        is PENDING
    )


@pytest.mark.parametrize(
    ("runs", "standing"),
    [
        ((run(), run(minute=1), run(minute=2)), PASSED),
        ((run(), run(minute=1)), PENDING),
        ((run(), run(minute=1), run(verdict="failed", minute=2)), PENDING),
        ((run(verdict="failed"), run(minute=1), run(minute=2), run(minute=3)), PASSED),
        ((run(), run(minute=1), run(verdict="could_not_check", minute=2), run(minute=3)), PASSED),
        ((run(), run(minute=1), run(minute=2, scheduled=False)), PENDING),
        ((run(), run(minute=1), run(minute=2, tree=OTHER)), PENDING),
        ((run(), run(minute=1), run("sales", minute=2)), PENDING),
        ((run(), run(minute=1), run(minute=60 * 40)), PENDING),
    ],
)
def test_soak_in_green_scheduled_runs(runs: tuple[SourceRun, ...], standing: Standing) -> None:
    """Three in a row of this tree by the clock, until now; a red one begins the row anew."""
    assert (
        one("soak:green_runs", facts(previous=source(runs=runs)), Gate(soak=Soak(green_runs=3))).standing
        is standing
    )


def test_green_runs_are_asked_of_each_recipe_with_a_schedule() -> None:
    """Of two recipes with a schedule both need them; without a schedule none will come, and that is said."""
    gate = Gate(soak=Soak(green_runs=1))
    two = source(scheduled=("delays", "sales:daily"))
    result = one("soak:green_runs", facts(previous=two), gate)
    assert (result.standing, "sales:daily 0 of 1" in result.reason) == (PENDING, True)
    both = source(scheduled=two.scheduled, runs=(run(), run("sales", variation="daily")))
    assert one("soak:green_runs", facts(previous=both), gate).standing is PASSED
    assert (
        "nothing has run by a schedule in staging"
        in one("soak:green_runs", facts(previous=source(scheduled=())), gate).reason
    )
    red = source(runs=(run(verdict="failed"),))
    assert "delays was failed in run delays-0" in one("soak:green_runs", facts(previous=red), gate).reason
    assert one("soak:green_runs", facts(previous=NO), gate).standing is UNKNOWN


# --- contract, command


def test_contract_keeps_what_readers_have() -> None:
    """Additive lets columns be added; none not even that; who is named in `by` may allow more."""
    gone = Break("delays", "column carrier is removed", file="recipes/d/recipe.yml")
    new = Break("delays", "column x is added", breaking=False)
    additive, none = Gate(contract=Contract()), Gate(contract=Contract("none"))
    assert one("contract", facts(breaks=(new,)), additive).standing is PASSED
    assert one("contract", facts(breaks=(new,)), none).standing is FAILED
    assert one("contract", facts(breaks=(gone,)), additive).standing is FAILED
    assert one("contract", facts(breaks=()), none).standing is PASSED
    assert one("contract", facts(breaks=NO), additive).standing is UNKNOWN
    held = Gate(contract=Contract(datasets=("late_*",)))
    assert one("contract", facts(breaks=(gone,)), held).standing is PASSED
    by = Gate(contract=Contract(by=("@acme/data",)))
    assert one("contract", facts(breaks=(gone,)), by).standing is PENDING
    assert one("contract", facts(breaks=(gone,), reviews=(review("ben"),)), by).standing is PENDING
    assert one("contract", facts(breaks=(gone,), reviews=(review("ann"),)), by).standing is PASSED
    assert (
        one("contract", facts(breaks=(gone,), reviews=(review("ann", tree=OTHER),)), by).standing is PENDING
    )
    assert one("contract", facts(breaks=(gone,), reviews=(review("ann"),), teams={}), by).standing is UNKNOWN
    assert one("contract", facts(breaks=(gone,), reviews=NO), by).standing is UNKNOWN
    owners = Gate(contract=Contract(by=("codeowners",)))
    mine = (replace(gone, owners=("@ben",)),)
    assert one("contract", facts(breaks=mine, reviews=(review("ben"),)), owners).standing is PASSED
    assert one("contract", facts(breaks=mine, reviews=(review("ann"),)), owners).standing is PENDING
    assert one("contract", facts(breaks=(gone,), reviews=(review("ann"),)), owners).standing is PENDING


@pytest.mark.parametrize(
    ("runs", "standing", "words"),
    [
        ((CommandRun("lint", TREE, 0),), PASSED, "ended with 0"),
        ((CommandRun("lint", TREE, 1, "line 3 is\nwrong"),), FAILED, "ended with 1: line 3 is wrong"),
        ((), PENDING, "not run"),
        ((CommandRun("lint", OTHER, 0),), PENDING, "not run"),
        ((CommandRun("other", TREE, 0),), PENDING, "not run"),
        ((CommandRun("lint", TREE, None, "it took longer than 60 s"),), UNKNOWN, "longer than 60 s"),
        ((CommandRun("lint", TREE, 0), CommandRun("lint", TREE, 0)), PASSED, "ended with 0"),
        ((CommandRun("lint", TREE, 0), CommandRun("lint", TREE, 1)), FAILED, "2 different results"),
        (NO, UNKNOWN, "no answer"),
    ],
)
def test_command(runs: tuple[CommandRun, ...] | Unread, standing: Standing, words: str) -> None:
    """It passes where it ended with 0 on this tree, once; no answer is neither pass nor fail."""
    gate = Gate(commands=(GateCommand("lint", ("python", "-m", "lint it")),))
    result = one("command:lint", facts(commands=runs), gate)
    assert (result.standing, words in result.reason) == (standing, True), result


# --- intents


def test_which_gates_an_intent_passes() -> None:
    """Forward passes all; a hotfix nothing that is asked of the source; a rollback what it was proved by."""
    gate = Gate(
        Approvals(1),
        Soak(1, 1),
        (),
        (Freeze("x", NOW, NOW),),
        "healthy",
        Contract(),
        (GateCommand("lint", ("x",)),),
    )
    names = {i: [n.partition(":")[0] for n in results(gate, facts(), NOW, i)] for i in Intent}
    kinds = [k.name for k in TABLE if k.name != "allow"]
    assert list(dict.fromkeys(names[Intent.FORWARD])) == kinds
    assert names[Intent.HOTFIX] == ["required", "approvals", "contract", "command", "freeze"]
    assert names[Intent.ROLLBACK] == ["required"]
    short = replace(gate, hotfix=Gate(Approvals(2)))
    assert list(results(short, facts(), NOW, Intent.HOTFIX)) == ["required", "approvals"]
    assert "0 of 2" in one("approvals", facts(), short, Intent.HOTFIX).reason
    assert "0 of 1" in one("approvals", facts(), short).reason


EVIDENCE = st.lists(
    st.builds(
        evidence,
        st.sampled_from(["delays", "sales"]),
        tree=st.sampled_from([TREE, OTHER]),
        base=st.sampled_from([BASE, OTHER]),
        versions=st.sampled_from(["a", "b"]),
        verdict=st.sampled_from(["passed", "failed", "could_not_check", "cancelled", "nothing_tested"]),
        tests=st.integers(0, 2),
    ),
    max_size=6,
)


@given(EVIDENCE, st.sampled_from(["a", "b", "c"]), st.sampled_from([TREE, OTHER]))
def test_one_green_run_more_never_takes_a_pass_away(found: list[Evidence], versions: str, tree: str) -> None:
    """More green evidence never turns passed into anything else, and without any there is no pass."""
    wanted = (Wanted("delays"), Wanted("sales"))
    before = one("required", facts(wanted=wanted, evidence=tuple(found)))
    more = evidence(versions=versions, tree=tree)
    if before.standing is PASSED:
        assert one("required", facts(wanted=wanted, evidence=(*found, more))).standing is PASSED
        assert {e.recipe for e in found if e.verdict == "passed" and e.tree == TREE and e.tests} == {
            "delays",
            "sales",
        }


@given(
    st.lists(st.tuples(st.sampled_from(["passed", "failed", "cancelled"]), st.integers(0, 900)), max_size=6),
    st.integers(1, 3),
)
def test_one_green_scheduled_run_more_never_takes_a_pass_away(
    given_runs: list[tuple[str, int]], needed: int
) -> None:
    """Soaking on never ends a soak."""
    runs = tuple(run(verdict=v, minute=m) for v, m in sorted(given_runs, key=lambda p: p[1]))
    gate = Gate(soak=Soak(1, needed))
    for name in ("soak:hours", "soak:green_runs"):
        if one(name, facts(previous=source(runs=runs)), gate).standing is PASSED:
            later = facts(previous=source(runs=(*runs, run(minute=1000))))
            assert results(gate, later, NOW + timedelta(hours=1))[name].standing is PASSED

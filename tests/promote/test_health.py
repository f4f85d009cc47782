"""What is judged of a project's protection: every gap has its level, and what is unknown never counts."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitkitchen.promote.advice import ADVICE
from gitkitchen.promote.diagnosis import judge
from gitkitchen.promote.health import (
    LEDGER,
    LEVELS,
    Branch,
    Facts,
    Finding,
    Health,
    Hosting,
    Required,
    Rules,
    Unread,
    WorkflowFile,
)

GOLDEN = Path(__file__).parent / "golden" / "findings.txt"
UNREAD = Unread("not read: Resource not accessible by integration", "administration: read")
PATH = ".github/workflows/gitkitchen-publish.yml"
STRONG = Rules(
    pull_request=True,
    no_force=True,
    no_deletion=True,
    checks=(Required("GitKitchen / (project)", app=True),),
    strict=True,
    code_owners=True,
    dismiss_stale=True,
    methods=("merge",),
)
MAIN = Branch("main", "prod", exists=True, rules=STRONG)
RECORDS = Branch(
    LEDGER, "", exists=True, rules=Rules(no_force=True, no_deletion=True, updates=True, apps=("App 7",))
)
OWN = Branch("gitkitchen/promote/prod", "", exists=True, rules=Rules())
HOSTING = Hosting(
    methods=("merge",),
    archived=False,
    in_plan=True,
    enabled=True,
    default="read",
    pulls=True,
    workflows={PATH: "active"},
)
GOOD = Facts(
    environments=(("prod", "main"),),
    policy=True,
    store="oci://ghcr.io/octo/shop",
    folder_store=False,
    ledger="branch",
    unowned=(),
    action="octo/kitchen@" + "a" * 40,
    workflows=(WorkflowFile(PATH, "same"),),
    remote=True,
    name="octo/shop",
    hosting=HOSTING,
    branches=(MAIN, RECORDS, OWN),
    atomic=True,
)


def hosting(**changed: Any) -> Facts:
    return replace(GOOD, hosting=replace(HOSTING, **changed))


def rules(branch: Branch, **changed: Any) -> Facts:
    made = replace(branch, rules=replace(branch.rules, **changed))  # type: ignore[type-var]
    return replace(GOOD, branches=tuple(made if one is branch else one for one in GOOD.branches))


def workflow(state: str, *lacks: str) -> Facts:
    return replace(GOOD, workflows=(WorkflowFile(PATH, state, lacks),))


WRONG: dict[str, Facts] = {
    "no-environment": replace(GOOD, environments=(), branches=(RECORDS,)),
    "no-policy": replace(GOOD, policy=False),
    "store-on-runner": replace(GOOD, store=".gitkitchen/store", folder_store=True),
    "ledger-on-runner": replace(GOOD, ledger="folder", branches=(MAIN, OWN), atomic=None),
    "no-code-owners": replace(GOOD, unowned=("kitchen.yml", PATH)),
    "no-workflows": replace(GOOD, action="", workflows=()),
    "workflow-missing": workflow("missing"),
    "workflow-outdated": workflow("outdated"),
    "workflow-conflict": workflow("conflict"),
    "workflow-foreign": workflow("foreign"),
    "workflow-edited": workflow("edited"),
    "workflow-rights": workflow("same", "publish: contents: write"),
    "no-forge": replace(GOOD, remote=False, name="", hosting=UNREAD),
    "forge-unread": replace(GOOD, hosting=UNREAD),
    "archived": hosting(archived=True),
    "rules-not-in-plan": hosting(in_plan=False),
    "actions-off": hosting(enabled=False),
    "actions-open-no-pulls": hosting(pulls=False),
    "default-write": hosting(default="write"),
    "workflow-unknown": hosting(workflows={}),
    "workflow-disabled": hosting(workflows={PATH: "disabled_inactivity"}),
    "branch-missing": replace(GOOD, branches=(replace(MAIN, exists=False), RECORDS, OWN)),
    "unprotected": replace(GOOD, branches=(replace(MAIN, rules=Rules()), RECORDS, OWN)),
    "pull-request-optional": rules(MAIN, pull_request=False),
    "force-push": rules(MAIN, no_force=False),
    "deletion": rules(MAIN, no_deletion=False),
    "check-not-required": rules(MAIN, checks=(Required("lint"),)),
    "check-of-the-judged": rules(MAIN, checks=(Required("GitKitchen", app=True),)),
    "check-of-anybody": rules(MAIN, checks=(Required("GitKitchen / (project)"),)),
    "base-may-move": rules(MAIN, strict=False),
    "other-merges": replace(
        rules(MAIN, methods=()),
        environments=(("dev", "develop"), ("prod", "main")),
        hosting=replace(HOSTING, methods=("merge", "squash")),
    ),
    "owners-not-asked": rules(MAIN, code_owners=False),
    "stale-approvals": rules(MAIN, dismiss_stale=False),
    "bypass": rules(MAIN, passing=("administrators", "the team 4")),
    "ledger-unprotected": rules(RECORDS, no_force=False, no_deletion=False),
    "ledger-refused": rules(RECORDS, pull_request=True, checks=(Required("lint"),), signatures=True),
    "ledger-open": rules(RECORDS, updates=False),
    "own-branch-refused": rules(OWN, pull_request=True, queue=True),
    "no-landing": rules(MAIN, linear=True),
    "not-atomic": replace(GOOD, atomic=False),
}
"""For each code facts that are good but for this."""


def failing(health: Health) -> list[Finding]:
    return [one for one in health.findings if one.state != "ok"]


def test_a_project_that_lacks_nothing_is_enforced() -> None:
    """Every finding is ok, and every level holds."""
    health = judge(GOOD)
    assert failing(health) == []
    assert (health.level, health.at_most, health.against("enforced")) == ("enforced", "enforced", ())


def test_every_code_has_facts_that_bring_it_about() -> None:
    """No advice without a case, and no case without advice."""
    assert set(WRONG) == set(ADVICE)


@pytest.mark.parametrize("code", sorted(WRONG))
def test_one_gap_is_found_alone_and_takes_its_level(code: str) -> None:
    """Facts that are wrong in one thing have one finding, and reach the level below the one it is for."""
    health = judge(WRONG[code])
    assert {one.code for one in failing(health)} == {code}
    level = ADVICE[code].level
    assert health.level == LEVELS[LEVELS.index(level) - 1]
    assert bool(health.against("guarded")) == (level == "guarded")
    assert health.against("enforced")


def test_every_finding_reads_as_it_should() -> None:
    """What is found, why it matters and how to mend it, of every code: the golden file, read by people."""
    lines: list[str] = []
    for code in ADVICE:
        for one in failing(judge(WRONG[code])):
            lines += [f"{code} ({one.state}, {one.level})", f"  {one.about}: {one.said}", f"  why: {one.why}"]
            lines += [f"  fix: {one.fix}", *([f"  right: {one.right}"] if one.right else []), ""]
    text = "\n".join(lines)
    if os.environ.get("REPORT_GOLDEN") == "write":
        GOLDEN.write_text(text, encoding="utf-8")
    assert text == GOLDEN.read_text(encoding="utf-8")


def test_the_documentation_has_a_row_for_each_code() -> None:
    """With the level, the why and the fix that the command prints."""
    page = (Path(__file__).parents[2] / "docs" / "doctor.md").read_text(encoding="utf-8")
    rows = [line.split(" | ") for line in page.splitlines() if line.startswith("| `") and " | " in line]
    told = {row[0].strip("| `"): (row[2], row[3], row[4]) for row in rows if len(row) == 6}
    assert told == {code: (one.level, one.why, one.fix) for code, one in ADVICE.items()}


# --- what is unknown -----------------------------------------------------------------------------


def _less(facts: Facts, name: str) -> Facts:
    return replace(facts, hosting=replace(facts.hosting, **{name: UNREAD}))  # type: ignore[type-var]


BLIND: dict[str, Callable[[Facts], Facts]] = {
    **{
        name: lambda facts, name=name: _less(facts, name)
        for name in ("methods", "archived", "enabled", "default", "pulls", "workflows")
    },
    **{
        f"{branch.name} {what}": lambda facts, branch=branch, what=what: replace(
            facts,
            branches=tuple(
                replace(one, **{what: UNREAD}) if one.name == branch.name else one for one in facts.branches
            ),
        )
        for branch in (MAIN, RECORDS, OWN)
        for what in ("rules", *(("exists",) if branch is MAIN else ()))
    },
    "atomic": lambda facts: replace(facts, atomic=UNREAD),
}


@pytest.mark.parametrize("name", sorted(set(BLIND) - {"methods"}))
def test_what_cannot_be_read_is_unknown_with_what_it_takes(name: str) -> None:
    """Of good facts, each one that is not read becomes unknown, names the right, and holds back its level."""
    health = judge(BLIND[name](GOOD))
    found = failing(health)
    assert found
    assert {one.state for one in found} == {"unknown"}
    assert all(one.right == UNREAD.right for one in found)
    assert health.level == found[0].reached
    assert health.at_most == "enforced"


@given(st.sampled_from(sorted(WRONG)), st.sets(st.sampled_from(sorted(BLIND))))
def test_seeing_less_never_reaches_more(code: str, blind: set[str]) -> None:
    """Whatever is wrong and whatever is not read: the level is no higher than when all is seen, and what
    could be true of the unseen lies between."""
    facts = WRONG[code]
    seen = judge(facts)
    if not isinstance(facts.hosting, Unread):
        for name in sorted(blind):
            facts = BLIND[name](facts)
    health = judge(facts)
    assert LEVELS.index(health.level) <= LEVELS.index(seen.level) <= LEVELS.index(health.at_most)


@given(st.sets(st.sampled_from([one.name for one in fields(Rules) if one.type == "bool"])), st.booleans())
def test_rules_of_which_a_part_is_hidden_are_never_told_as_absent(held: set[str], hidden: bool) -> None:
    """Where a classic protection cannot be read, no rule counts as missing, and none as held."""
    made = Rules(**dict.fromkeys(held, True))  # type: ignore[arg-type]
    rest = UNREAD if hidden else None
    branch = replace(MAIN, rules=replace(made, rest=rest))
    found = judge(replace(GOOD, branches=(branch,))).findings
    wanted = {
        "force-push": made.no_force,
        "deletion": made.no_deletion,
        "base-may-move": made.strict or made.queue,
    }
    for one in found:
        if one.code in wanted:
            assert one.state == ("ok" if wanted[one.code] else "unknown" if hidden else "gap")


# --- landing -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("facts", "button", "push"),
    [
        (GOOD, "yes", "no"),
        (rules(MAIN, pull_request=False), "yes", "yes"),
        (rules(MAIN, we_pass=True), "yes", "yes"),
        (rules(MAIN, we_pass=UNREAD), "yes", "unknown"),
        (rules(MAIN, queue=True), "no", "no"),
        (rules(MAIN, linear=True, we_pass=True), "no", "yes"),
        (rules(MAIN, methods=("squash",)), "no", "no"),
        (hosting(methods=("squash", "rebase")), "no", "no"),
        (hosting(methods=UNREAD), "unknown", "no"),
        (rules(MAIN, rest=UNREAD), "unknown", "no"),
        (rules(MAIN, pull_request=False, rest=UNREAD), "unknown", "unknown"),
        (rules(MAIN, signatures=True), "no", "no"),
        (rules(MAIN, updates=True), "no", "no"),
    ],
    ids=[
        "guarded",
        "open",
        "we-pass",
        "who-passes",
        "queue",
        "linear",
        "squash-rule",
        "squash-only",
        "methods-unread",
        "rest",
        "open-rest",
        "signed",
        "closed",
    ],
)
def test_how_trees_land(facts: Facts, button: str, push: str) -> None:
    """By button, by push, by both or by none, each with what stands against it or is missing to know."""
    ((_environment, _branch, ways),) = judge(facts).landing
    assert tuple(way.possible for way in ways) == (button, push)
    for way in ways:
        assert bool(way.because) >= (way.possible == "no")
        assert bool(way.right) == (way.possible == "unknown")

"""``required``: every recipe of the tree is proved on it, and the target's policy has nothing against it.

Evidence is bound to tree, plan, base and policy: what is bound to others is not there. Of two runs on the
same versions that disagree one is wrong, and nobody can say which: that is an error, not a choice. A run
that could not check says nothing.
"""

from __future__ import annotations

from collections.abc import Iterator

from gitkitchen.finding import PolicyFinding
from gitkitchen.model import Verdict
from gitkitchen.promote.gates.case import OWN_RUN, Case, failed, listed, passed, pending, short, unknown
from gitkitchen.promote.gates.facts import Unread, Wanted
from gitkitchen.promote.shapes import Evidence, GateResult, Intent

NAME = "required"
_SILENT = frozenset({Verdict.INFRASTRUCTURE.value, Verdict.CANCELLED.value})
"""Verdicts of runs that say nothing of the tree."""


def judge(case: Case) -> Iterator[GateResult]:
    """One result for the recipes, one for the policy where it has something to say."""
    facts = case.facts
    if isinstance(facts.wanted, Unread):
        yield unknown(NAME, facts.wanted, case.promote())
    elif isinstance(facts.evidence, Unread):
        yield unknown(NAME, facts.evidence, case.promote())
    else:
        yield _recipes(case, facts.wanted, facts.evidence)
    yield from _policy(case)


def _recipes(case: Case, wanted: tuple[Wanted, ...], evidence: tuple[Evidence, ...]) -> GateResult:
    if not wanted:
        reason = f"tree {short(case.facts.tree)} has no recipe: nothing can be tested on it"
        return failed(
            NAME, reason, "whoever changes the tree: without a test nothing is proved", "gitkitchen validate"
        )
    missing: list[str] = []
    silent: list[str] = []
    bad: list[str] = []
    torn: list[str] = []
    tests = 0
    for one in dict.fromkeys(wanted):
        bound = [e for e in evidence if _is_bound(case, one, e)]
        speaking = [e for e in bound if e.verdict not in _SILENT]
        if not speaking:
            (silent if bound else missing).append(one.label)
            continue
        last = speaking[-1]
        same = {e.verdict for e in speaking if (e.plan, e.versions) == (last.plan, last.versions)}
        if len(same) > 1:
            torn.append(f"{one.label} ({', '.join(sorted(same))})")
        elif last.verdict != Verdict.PASSED.value or last.tests < 1:
            words = last.verdict.replace("_", " ") if last.tests >= 1 else "nothing tested"
            bad.append(f"{one.label} ({words}, run {last.run})")
        tests += last.tests
    return _said(case, tuple(dict.fromkeys(wanted)), tests, missing, silent, bad, torn)


def _said(
    case: Case,
    wanted: tuple[Wanted, ...],
    tests: int,
    missing: list[str],
    silent: list[str],
    bad: list[str],
    torn: list[str],
) -> GateResult:
    tree = short(case.facts.tree)
    if torn:
        reason = f"runs on the same versions of tree {tree} contradict each other: {listed(torn)}"
        change = "whoever owns the recipe: make it repeatable, or say `volatile: true`; then a new tree"
        return failed(NAME, reason, change, "gitkitchen log")
    if bad:
        reason = f"not green on tree {tree}: {listed(bad)}"
        change = "whoever owns the recipe: mend it in the source environment, and promote that tree"
        return failed(NAME, reason, change, f"gitkitchen show {bad[0].rpartition(' ')[2].rstrip(')')}")
    if missing:
        reason = f"no evidence on tree {tree} with this base and policy: {listed(missing)}"
        return pending(NAME, reason, OWN_RUN, case.promote())
    if silent:
        said = Unread(f"the runs on tree {tree} could not check: {listed(silent)}")
        return unknown(NAME, said, case.promote())
    varied = sum(1 for w in wanted if w.variation)
    words = _count(len(wanted) - varied, "recipe") + (f" and {_count(varied, 'variation')}" if varied else "")
    return passed(NAME, f"{words} green on tree {tree}, {tests:,} tests")


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' if number > 1 else ''}"


def _is_bound(case: Case, wanted: Wanted, evidence: Evidence) -> bool:
    facts = case.facts
    same = (evidence.recipe, evidence.variation) == (wanted.recipe, wanted.variation)
    if not same or evidence.tree != facts.tree or not facts.tree:
        return False
    if case.intent is Intent.ROLLBACK:  # it was proved when it landed, on the base and by the policy of then
        return True
    planned = not wanted.plan or evidence.plan == wanted.plan
    return planned and evidence.base == facts.base and evidence.policy == facts.policy


def _policy(case: Case) -> Iterator[GateResult]:
    findings = case.facts.findings
    name = f"{NAME}:policy"
    if isinstance(findings, Unread):
        yield unknown(name, findings, case.promote())
        return
    blocking = [f for f in findings if f.blocks]
    hard = [f for f in blocking if f.severity == "failure"]
    if hard:
        reason = f"the policy of {case.facts.environment} refuses it: {listed([_shown(f) for f in hard])}"
        change = "whoever changes the tree: nobody can allow this"
        yield failed(name, reason, change, "gitkitchen policy")
    elif blocking:
        who = dict.fromkeys(n for f in blocking for n in f.who_may_allow)
        reason = f"it changes what judges {case.facts.environment}: {listed([_shown(f) for f in blocking])}"
        change = (
            f"an approval by {' or '.join(who)}"
            if who
            else "nobody: the policy names nobody who may allow it"
        )
        yield (
            pending(name, reason, change, _review(case))
            if who
            else failed(name, reason, change, "gitkitchen policy")
        )


def _shown(finding: PolicyFinding) -> str:
    place = f" ({finding.place})" if finding.place else ""
    return f"{finding.message}{place}"


def _review(case: Case) -> str:
    return f"gh pr review {case.facts.pull} --approve" if case.facts.pull else case.promote()

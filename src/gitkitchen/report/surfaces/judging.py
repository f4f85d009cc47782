"""From the document to conclusions: what a check run says, and what the job ends with.

Green needs evidence: the outcomes' nodes and tests are asked again, whatever verdict they claim, and what
was left out, ran other content, or waits for somebody's approval is never a success. ``neutral`` and
``skipped`` satisfy a required check, and are never concluded
(https://docs.github.com/en/pull-requests, "about status checks").
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from gitkitchen.errors import FAILED, INFRASTRUCTURE, NOTHING_TESTED, PASSED
from gitkitchen.finding import PolicyFinding
from gitkitchen.frozen import dataclass
from gitkitchen.model import Outcome, State, Verdict
from gitkitchen.report import facts
from gitkitchen.report.surfaces.pull import NotTested, Pull
from gitkitchen.report.text import VERDICTS, count
from gitkitchen.run.verdict import verdict as verdict_of

Conclusion = Literal["success", "failure", "action_required", "cancelled"]

_WORST = (Verdict.PASSED, Verdict.NOTHING_TESTED, Verdict.CANCELLED, Verdict.INFRASTRUCTURE, Verdict.FAILED)
_CONCLUSIONS: dict[Verdict, Conclusion] = {
    Verdict.PASSED: "success",
    Verdict.FAILED: "failure",
    Verdict.INFRASTRUCTURE: "failure",
    Verdict.NOTHING_TESTED: "action_required",
    Verdict.CANCELLED: "cancelled",
}
_OF_MANY = {
    Verdict.FAILED: "failed",
    Verdict.INFRASTRUCTURE: "could not be checked",
    Verdict.NOTHING_TESTED: "tested nothing",
    Verdict.CANCELLED: "cancelled",
}
_RANK: tuple[Conclusion, ...] = ("success", "action_required", "cancelled", "failure")
_CODES = {
    Verdict.PASSED: PASSED,
    Verdict.FAILED: FAILED,
    Verdict.INFRASTRUCTURE: INFRASTRUCTURE,
    Verdict.NOTHING_TESTED: NOTHING_TESTED,
    Verdict.CANCELLED: INFRASTRUCTURE,
}


@dataclass(frozen=True, slots=True)
class Judgement:
    """``verdict`` of the run itself; ``conclusion`` with all that stands beside it; ``words`` says both."""

    verdict: Verdict
    conclusion: Conclusion
    words: str
    why: tuple[str, ...] = ()
    """What keeps a run that passed from being green."""

    @property
    def unsaid(self) -> tuple[str, ...]:
        """What of ``why`` the words do not say already."""
        return tuple(reason for reason in self.why if not self.words.endswith(reason))

    @property
    def green(self) -> bool:
        return self.conclusion == "success"


def judge(pull: Pull, outcome: Outcome) -> Judgement:
    """One recipe's conclusion."""
    verdict = _verdict(outcome)
    why = tuple(_against(pull, outcome))
    waived = waived_tests(pull, outcome)
    if verdict is Verdict.FAILED and _only_waived(outcome, waived):
        verdict = Verdict.PASSED
    conclusion = _worst(_CONCLUSIONS[verdict], *(c for c, _ in why))
    words = _words(outcome, verdict, len(waived))
    if verdict is Verdict.PASSED and conclusion != "success":
        words = f"passed, but {why[0][1]}"
    return Judgement(verdict, conclusion, words, tuple(text for _, text in why))


def judge_all(pull: Pull) -> Judgement:
    """The conclusion of the whole: the worst of its recipes; without one, nothing was tested."""
    each = [judge(pull, outcome) for outcome in pull.recipes]
    verdict = max((j.verdict for j in each), key=_WORST.index, default=Verdict.NOTHING_TESTED)
    if not each and any(f.blocks and f.severity == "failure" for f in pull.policy):
        verdict = Verdict.INFRASTRUCTURE
    without = [text for _, text in _unshown(pull)]
    parts = (j.conclusion for j in each)
    conclusion = _worst(_CONCLUSIONS[verdict], *parts, *(c for c, _ in _unshown(pull)))
    return Judgement(verdict, conclusion, _all_words(each, verdict, conclusion), tuple(without))


def exit_code(pull: Pull) -> int:
    """The exit code that the document stands for; what waits for approval is a failure of the job."""
    judged = judge_all(pull)
    code = _CODES[judged.verdict]
    return FAILED if code == PASSED and not judged.green else code


def _verdict(outcome: Outcome) -> Verdict:
    """The worse of what the outcome claims and what its nodes say."""
    found = [outcome.verdict, verdict_of(outcome.nodes)]
    if any(f.weight == "stop" and f.test is not None for f in facts.findings(outcome)):
        found.append(Verdict.FAILED)
    return max(found, key=_WORST.index)


def _against(pull: Pull, outcome: Outcome) -> Iterator[tuple[Conclusion, str]]:
    """What speaks against a recipe beside its own tests, the heaviest first."""
    if outcome.subject.tree != pull.tree or outcome.subject.dirty:
        yield "failure", "its outcome is of other content than this pull request's"
    found = findings_about(pull, outcome)
    if failing := [f for f in found if f.severity == "failure"]:
        yield "failure", f"the policy refuses it ({count(len(failing), 'finding')})"
    if not outcome.complete:
        yield "action_required", "only a part of it ran"
    if missing := [n for n in pull.not_tested if n.blocks and n.recipe in ("", outcome.recipe)]:
        yield "action_required", f"{count(len(missing), 'part')} could not run"
    if asked := [f for f in found if f.severity == "action" and f.blocks]:
        yield "action_required", f"someone must approve it ({count(len(asked), 'finding')})"


def _unshown(pull: Pull) -> Iterator[tuple[Conclusion, str]]:
    """What no outcome answers for: recipes that did not run at all, and findings where nothing ran."""
    shown = {o.recipe for o in pull.recipes}
    for each in absent(pull):
        yield "action_required", f"{each.recipe or 'this'} did not run: {each.why}"
    if not shown:
        for finding in pull.policy:
            if finding.blocks:
                yield "failure" if finding.severity == "failure" else "action_required", finding.message


def absent(pull: Pull) -> tuple[NotTested, ...]:
    """What should have run, of recipes of which there is no outcome: the first reason of each recipe."""
    shown = {o.recipe for o in pull.recipes}
    found: dict[str, NotTested] = {}
    for each in pull.not_tested:
        if each.blocks and each.recipe not in shown and (each.recipe or not shown):
            found.setdefault(each.recipe, each)
    return tuple(found.values())


def findings_about(pull: Pull, outcome: Outcome) -> list[PolicyFinding]:
    """The policy's findings about a recipe. One whose place is in no recipe that ran is about all of them."""
    folders: dict[str, set[str]] = {}
    for each in pull.recipes:
        folders.setdefault(_folder(each, pull.folder), set()).add(each.recipe)
    everybody = {outcome.recipe}
    depth = 2 + (pull.folder.count("/") + 1 if pull.folder else 0)
    return [
        f
        for f in pull.policy
        if outcome.recipe in folders.get("/".join(f.path.split("/")[:depth]), everybody)
    ]


def _folder(outcome: Outcome, project: str) -> str:
    """The recipe's folder, as its nodes' places tell it."""
    above = f"{project}/" if project else ""
    otherwise = f"{above}recipes/{outcome.recipe}/recipe.yml"
    file = next((n.place.file for n in outcome.nodes if n.place), otherwise)
    return above + "/".join(file.removeprefix(above).split("/")[:2])


def waived_tests(pull: Pull, outcome: Outcome) -> frozenset[str]:
    """The ids of this recipe's failing tests that a waiver excuses, as the run or the document says."""
    standing = [w for w in pull.waivers if w.standing == "used" and w.recipe == outcome.recipe]
    excused = {t for w in standing for t in w.tests}
    tests = [(f.weight, f.test.id) for f in facts.findings(outcome) if f.test is not None]
    return frozenset(name for weight, name in tests if weight == "waived" or name in excused)


def _only_waived(outcome: Outcome, waived: frozenset[str]) -> bool:
    """Whether all that failed is waived, and nothing was left undone for it."""
    heavy = [f for f in facts.findings(outcome) if f.weight == "stop"]
    undone = any(n.state in (State.BLOCKED, State.CANCELLED) for n in outcome.nodes)
    return bool(heavy) and not undone and all(f.test is not None and f.test.id in waived for f in heavy)


def _worst(*conclusions: Conclusion) -> Conclusion:
    return max(conclusions, key=_RANK.index)


def _words(outcome: Outcome, verdict: Verdict, waived: int) -> str:
    if verdict is Verdict.PASSED:
        return f"passed with {count(waived, 'waived test')}" if waived else "passed"
    if verdict is outcome.verdict:
        return facts.headline(outcome)
    return VERDICTS[verdict]


def _all_words(each: list[Judgement], verdict: Verdict, conclusion: Conclusion) -> str:
    if not each:
        return VERDICTS[verdict]
    if conclusion == "success":
        return "passed" if len(each) == 1 else f"all {len(each):,} recipes passed"
    if verdict is Verdict.PASSED:
        return "passed, and not to be merged yet"
    if len(each) == 1:
        return VERDICTS[verdict]
    bad = sum(j.verdict is verdict for j in each)
    return f"{bad:,} of {count(len(each), 'recipe')} {_OF_MANY[verdict]}"

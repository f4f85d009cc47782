"""The policy of the target, applied to a pull request: findings and one conclusion. Pure; nothing is read
here.

The judged do not judge: what is required, what may be waived and who may allow what stands in the *target's*
``kitchen.yml`` and CODEOWNERS. The head's own are only looked at to list how they differ.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import date

from gitkitchen.finding import Conclusion, PolicyFinding, conclusion, in_order
from gitkitchen.frozen import dataclass
from gitkitchen.model import Outcome, Policy
from gitkitchen.promote.changes import at, changes, new_waivers, removed_waivers
from gitkitchen.promote.evidence import required, weigh
from gitkitchen.promote.owners import Review, allowing, approvers, who
from gitkitchen.recipe.waivers import Waiver, void
from gitkitchen.trees import Reading

__all__ = ["Case", "Conclusion", "Judgement", "PolicyFinding", "Review", "judge", "judge_changes"]

_ABSENT = "missing-file"
_MOST = 100


@dataclass(frozen=True, slots=True)
class Case:
    """All that is judged.

    ``target``: the tip of the branch that is merged into. ``head``: the tree that was tested (the merge of
    the two, as we computed it). ``head_sha``: the commit that reviewers saw. ``environment``: that of the
    target's branch, or the base of sandboxes. ``reviews`` from the oldest to the newest; ``author`` opened
    the request.
    """

    target: Reading
    head: Reading
    head_sha: str
    outcomes: Sequence[Outcome]
    today: date
    environment: str | None = None
    author: str = ""
    reviews: Sequence[Review] = ()


@dataclass(frozen=True, slots=True)
class Judgement:
    """``waivers`` are those that count here: of the target, and new ones that were approved."""

    conclusion: Conclusion
    findings: tuple[PolicyFinding, ...]
    waivers: tuple[Waiver, ...] = ()


def judge(case: Case) -> Judgement:
    """Everything that the target's policy says of a pull request."""
    unreadable = list(_unreadable(case))
    if unreadable:
        return _judgement(unreadable)
    policy = case.target.project.policy if case.target.project is not None else None
    found, waivers = _changes(case, policy)
    accepted, said = weigh(case.head, case.outcomes, _covering(waivers))
    found += [replace(f, path=_placed(case, f)) for f in said]
    if policy is not None:
        lines = {k: p.line for k, p in case.head.project.places.items()} if case.head.project else {}
        asked = required(policy, case.head, accepted, _covering(waivers), lines)
        found += [replace(f, path=at(case.head.folder, f.path)) for f in asked]
    return _judgement(found, waivers)


def judge_changes(case: Case) -> Judgement:
    """What has to be allowed by somebody, without asking what was tested."""
    unreadable = list(_unreadable(case))
    if unreadable:
        return _judgement(unreadable)
    policy = case.target.project.policy if case.target.project is not None else None
    return _judgement(*_changes(case, policy))


def _judgement(found: Sequence[PolicyFinding], waivers: Sequence[Waiver] = ()) -> Judgement:
    ordered = in_order(found)
    return Judgement(conclusion(ordered), ordered, tuple(waivers))


def _placed(case: Case, finding: PolicyFinding) -> str:
    return at(case.head.folder, finding.path)


def _unreadable(case: Case) -> Iterator[PolicyFinding]:
    """What cannot be read cannot be judged. A target without any ``kitchen.yml`` has no policy."""
    for problem in case.target.problems:
        if problem.code == _ABSENT and case.target.project is None:
            continue
        where = f"{problem.place}: " if problem.place else ""
        message = f"the target cannot be read, so that its policy is not known: {where}{problem.message}"
        yield PolicyFinding("unreadable-target", "failure", message)
        return
    for problem in case.head.problems[:_MOST]:
        path, line = (problem.place.file, problem.place.line) if problem.place else ("", 0)
        yield PolicyFinding(
            "unreadable", "failure", str(replace(problem, place=None)), at(case.head.folder, path), line
        )


def _changes(case: Case, policy: Policy | None) -> tuple[list[PolicyFinding], list[Waiver]]:
    """The changes with who may allow and who did, and the waivers that count."""
    approving = approvers(case.reviews, case.head_sha, case.author)
    texts = case.target.texts
    found: list[PolicyFinding] = []
    for finding in changes(case.target, case.head):
        if policy is None:  # nobody was asked to guard anything
            found.append(replace(finding, severity="notice"))
            continue
        names = who(policy.changes_by, texts, finding.path)
        allowed = allowing(approving, names) if finding.severity == "action" else ""
        found.append(replace(finding, who_may_allow=names, allowed_by=allowed))
    found += removed_waivers(case.target, case.head)
    new = new_waivers(case.target, case.head)
    counting = [w for w in case.head.waivers if w not in new and not _void(case, policy, w)]
    for waiver in new:
        finding = _new_waiver(case, policy, waiver, approving)
        found.append(finding)
        if finding.allowed_by and not _void(case, policy, waiver):
            counting.append(waiver)
    return found, counting


def _void(case: Case, policy: Policy | None, waiver: Waiver) -> str:
    return void(waiver, policy, case.environment, case.today)


def _new_waiver(
    case: Case, policy: Policy | None, waiver: Waiver, approving: Sequence[Review]
) -> PolicyFinding:
    """A waiver that the pull request brings. It waives nothing in it before its own approver approved."""
    path = at(case.head.folder, waiver.file)
    about = f"{waiver.recipe}/{waiver.node}/{waiver.rule} would be waived until {waiver.expires}"
    why = _void(case, policy, waiver)
    if policy is None or policy.waivers is None:
        severity = "notice" if policy is None else "action"
        names = who(policy.changes_by, case.target.texts, path) if policy is not None else ()
        said = f"{about}, and is not: {why}"
        allowed = allowing(approving, names)
        return PolicyFinding("waiver-added", severity, said, path, waiver.place.line, names, allowed)  # type: ignore[arg-type]
    if why:
        names = who(policy.changes_by, case.target.texts, path)
        said = f"{about}, and is not: {why}"
        return PolicyFinding(
            "waiver-added", "action", said, path, waiver.place.line, names, allowing(approving, names)
        )
    names = who(policy.waivers.by, case.target.texts, path)
    named = [r for r in approving if f"@{r.login}".lower() == waiver.approver.lower()]
    said = f"{about}, once {waiver.approver} approves this head: {waiver.reason}"
    return PolicyFinding(
        "waiver-added", "action", said, path, waiver.place.line, names, allowing(named, names)
    )


def _covering(waivers: Sequence[Waiver]) -> Callable[[str, str, str], Waiver | None]:
    def find(recipe: str, node: str, test_id: str) -> Waiver | None:
        return next((w for w in waivers if w.covers(recipe, node, test_id)), None)

    return find

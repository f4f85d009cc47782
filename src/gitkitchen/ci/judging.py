"""What a stranger's document says is judged again: by the target's policy, on trees that are read here.

Nothing of the document decides. The trees are the claim's own commits, fetched and merged here and read
without a checkout; the policy, its approvers and who may waive are those of the target's present tip.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path

from gitkitchen import merging
from gitkitchen.errors import Problem
from gitkitchen.finding import PolicyFinding
from gitkitchen.frozen import dataclass
from gitkitchen.github.artifacts import Claim, Refused
from gitkitchen.merging import Merged
from gitkitchen.model import NodeResult, Outcome, Severity, TestResult, TestState
from gitkitchen.promote.owners import FILES, Review
from gitkitchen.promote.policy import Case, Judgement, judge
from gitkitchen.recipe.waivers import Waiver
from gitkitchen.report.surfaces import pull as surface
from gitkitchen.report.surfaces.judging import findings_about, judge_all
from gitkitchen.report.surfaces.judging import judge as conclude
from gitkitchen.report.surfaces.located import at, located
from gitkitchen.report.surfaces.pull import NotTested, Pull
from gitkitchen.trees import Reading, read_tree

ECHOES = frozenset({"failed-test", "failed-node", "could-not-check", "not-green"})
"""Findings that a recipe's own results tell better, where it is red by them already."""
TOLD = frozenset({"waived", "not-tested"})
"""Findings that other parts of the document tell."""


MOST_TEAMS = 20
MOST_APPROVERS = 20
Member = Callable[[str, str], bool]
_TEAM = re.compile(r"@([A-Za-z0-9][A-Za-z0-9-]{0,99}/[A-Za-z0-9._-]{1,100})")


@dataclass(frozen=True, slots=True)
class Asked:
    """What the judge must know of a change that GitHub alone knows. ``target``: the branch that it would land
    on; ``queue``: it is a merge queue's, and was approved as a pull request before it came there."""

    target: str
    reviews: tuple[Review, ...] = ()
    author: str = ""
    head: str = ""
    """The commit that reviewers saw."""
    queue: bool = False
    branch: str = ""
    """The queue's own branch, which leads to its commits as long as it lasts."""


def merged_again(folder: Path, claim: Claim, asked: Asked) -> tuple[Merged, str]:
    """The tree that was tested, computed here from head and base, and the target's present tip.

    Refused where the base is none of the target's between where the head left it and its tip: of an older
    one, what the change takes away would look as if it had never been there. Unmergeable for a conflict.
    """
    tip = merging.tip_of(folder, asked.target) or claim.base
    if asked.queue:
        merged = merging.taken(folder, claim.head, claim.base, branch=asked.branch)
        merging.bring(folder, tip, [f"refs/heads/{asked.target}"])
        if not merging.is_queued(folder, claim.head, claim.base):
            raise Refused(
                f"its base {claim.base[:12]} is none on which a merge queue of '{asked.target}' could have "
                f"built {claim.head[:12]}",
                "base",
            )
    else:
        references = [f"refs/pull/{claim.number}/head"]
        if tip != claim.base:
            merging.bring(folder, tip, [f"refs/heads/{asked.target}"])
        merged = merging.merge(folder, claim.head, claim.base, target=asked.target, references=references)
        if not merging.lies_between(folder, claim.head, claim.base, tip):
            raise Refused(
                f"its base {claim.base[:12]} is no commit of '{asked.target}' since the change left it",
                "base",
            )
    if claim.tree and merged.tree != claim.tree:
        raise Refused(
            f"it is about tree {claim.tree[:12]}, and head and base make {merged.tree[:12]}", "tree"
        )
    return merged, tip


def judged(
    pull: Pull, merged: Merged, tip: str, asked: Asked, place: tuple[Path, str], today: date, member: Member
) -> Pull:
    """The document with policy, waivers and each test's waiver as they are by the target's policy.

    ``place``: the repository, and the folder of ``kitchen.yml`` in it. ``member`` says whether a person is in
    a team (``organisation/team``); it is asked only of teams that the target names. What is claimed of these
    is forgotten. Raises Mistake and Infrastructure where a tree cannot be read.
    """
    folder, project = place
    now = read_tree(folder, tip, project=project)
    base = tip if asked.queue else merged.base
    target = now if base == tip else _governed(read_tree(folder, base, project=project), now)
    head = read_tree(folder, merged.commit, project=project)
    if now.project is not None:
        if head.project is not None and (pull.project_id != head.project.id):
            raise Refused(f"it is of project '{pull.project}', and its tree of another", "project")
        pull = replace(pull, project=now.project.name, project_id=now.project.id)
    pull = located(pull, project)
    environment = _environment(now, asked.target)
    reviews = tuple(_with_teams(now, asked, member))
    judgement = judge(Case(target, head, asked.head, pull.recipes, today, environment, asked.author, reviews))
    return _replaced(pull, judgement, head, today, asked, moved=tip != merged.base)


def _governed(reading: Reading, by: Reading) -> Reading:
    """An older tree of the target with what decides as it is now: policy, code owners, waivers that stand."""
    texts = {path: text for path, text in reading.texts.items() if path not in FILES}
    texts |= {path: text for path, text in by.texts.items() if path in FILES}
    project = reading.project
    if project is not None and by.project is not None:
        project = replace(project, policy=by.project.policy)
    elif by.project is not None:
        project = by.project
    standing = tuple(w for w in reading.waivers if w in by.waivers)
    return replace(reading, project=project, texts=texts, waivers=standing)


def _with_teams(target: Reading, asked: Asked, member: Member) -> Iterator[Review]:
    """The reviews, oldest first; those that approve this head with the teams that decide anything here."""
    policy = target.project.policy if target.project is not None else None
    texts = [
        *(policy.changes_by if policy else ()),
        *(policy.waivers.by if policy and policy.waivers else ()),
    ]
    texts += [target.texts[name] for name in FILES if name in target.texts]
    teams = list(dict.fromkeys(t for text in texts for t in _TEAM.findall(text)))[:MOST_TEAMS]
    known: dict[str, tuple[str, ...]] = {}
    for review in asked.reviews:
        decides = policy is not None and review.head == asked.head and review.state.upper() == "APPROVED"
        if decides and review.login not in known and len(known) < MOST_APPROVERS:
            known[review.login] = tuple(team for team in teams if member(team, review.login))
        yield replace(review, teams=known.get(review.login, ()) if decides else ())


def _environment(target: Reading, branch: str) -> str | None:
    if target.project is None:
        return None
    found = target.project.environment_of(branch)
    return found.name if found is not None else target.project.sandbox_base


# --- into the document -------------------------------------------------------------------------------


def _replaced(
    pull: Pull, judgement: Judgement, head: Reading, today: date, asked: Asked, *, moved: bool
) -> Pull:
    recipes = tuple(_waived_again(o, judgement.waivers) for o in pull.recipes)
    bare = replace(pull, recipes=recipes, policy=(), waivers=())
    bare = replace(bare, waivers=tuple(_waivers(recipes, judgement, head, today)))
    findings = [_finding(f, asked) for f in judgement.findings if f.code not in TOLD]
    kept = tuple(f for f in findings if not _is_echo(f, bare))
    lost = [*pull.not_tested, *_without(pull, head)]
    if moved and not asked.queue:
        lost.append(NotTested("", f"what '{asked.target}' is now", "it moved on after this was tested"))
    return replace(bare, policy=kept, not_tested=tuple(lost))


def _without(pull: Pull, head: Reading) -> Iterator[NotTested]:
    """Recipes of the tree of which the document says nothing: each of them should have run."""
    told = {o.recipe for o in pull.recipes if o.variation is None}
    told |= {n.recipe for n in pull.not_tested if n.blocks and n.what in ("", n.recipe)}
    for name in sorted(set(head.recipes) - told):
        yield NotTested(name, name, "the job left no outcome of it", True)


def _waived_again(outcome: Outcome, waivers: Sequence[Waiver]) -> Outcome:
    """The outcome with exactly those tests waived that a waiver which counts covers."""

    def test(node: NodeResult, one: TestResult) -> TestResult:
        found = next((w for w in waivers if w.covers(outcome.recipe, node.node, one.id)), None)
        failed = one.state is TestState.FAILED and one.severity is Severity.STOP
        return replace(one, waived=found.waived if found is not None and failed else None)

    nodes = tuple(replace(n, tests=tuple(test(n, t) for t in n.tests)) for n in outcome.nodes)
    return replace(outcome, nodes=nodes)


def _waivers(
    recipes: Sequence[Outcome], judgement: Judgement, head: Reading, today: date
) -> Iterator[surface.Waiver]:
    for waiver in head.waivers:
        tests = tuple(
            t.id
            for outcome in recipes
            for node in outcome.nodes
            for t in node.tests
            if t.waived is not None and waiver.covers(outcome.recipe, node.node, t.id)
        )
        counts = waiver in judgement.waivers
        standing: surface.Standing = "used" if counts and tests else "unused"
        if waiver.expires < today:
            standing = "expired"
        yield surface.Waiver(
            rule=waiver.rule,
            recipe=waiver.recipe,
            node=waiver.node,
            reason=waiver.reason,
            approver=waiver.approver,
            expires=waiver.expires.isoformat(),
            standing=standing,
            tests=tests if standing == "used" else (),
            place=at(head.folder, waiver.place),
        )


def _finding(found: PolicyFinding, asked: Asked) -> PolicyFinding:
    """In a queue what waited for somebody has been waited for: it is told, and waits no more."""
    if asked.queue and found.severity == "action":
        return replace(found, severity="notice")
    return found


def _is_echo(finding: PolicyFinding, bare: Pull) -> bool:
    """Whether the results say it already, and are red for it without the policy."""
    if finding.code == "nothing-tested":
        return judge_all(bare).conclusion != "success"
    if finding.code not in ECHOES:
        return False
    shown = replace(bare, policy=(finding,))
    about = [o for o in bare.recipes if findings_about(shown, o)]
    return bool(about) and all(conclude(bare, o).conclusion == "failure" for o in about)


def refusal(about: Pull, problems: Iterable[Problem], project: str = "") -> Pull:
    """A document that says only why there is no other. ``project``: the folder that places are below."""
    findings = tuple(
        PolicyFinding(
            p.code or "refused",
            "failure",
            f"{p.message} ({p.hint})" if p.hint else p.message,
            place.file if place else "",
            place.line if place else 0,
        )
        for p in problems
        for place in (at(project, p.place),)
    )
    return replace(about, policy=findings, folder=project)


def project_folder(root: Path, repository: Path) -> str:
    """The folder of ``kitchen.yml`` in its repository."""
    return root.resolve().relative_to(repository.resolve()).as_posix().removeprefix(".")

"""Hotfix: a branch made from what stands on an environment lands there straight, and is brought back.

What was mended there alone would be lost with the next promotion: its tree is set and not merged. So a
back-port is made of the change alone, on top of the branch where people work, and until what is promoted has
the change, gate ``hotfix`` lets nothing pass.
"""

from __future__ import annotations

from gitkitchen import history
from gitkitchen.answers import Answer
from gitkitchen.errors import Mistake, Problem
from gitkitchen.frozen import dataclass
from gitkitchen.model import Environment
from gitkitchen.promote.shapes import Intent, Landing
from gitkitchen.road.effects import effect
from gitkitchen.road.ground import CANDIDATES, Ground, before, environment_named
from gitkitchen.road.judging import policy_of
from gitkitchen.road.looking import Stretch, candidate_of, refuse_shallow, refuse_unfit, ruling_of

BACKPORTS = "gitkitchen-backport/"
"""The branches of back-ports: ordinary changes, tested in kitchens of their own, and so not reserved."""


def look_hotfix(ground: Ground, name: str, branch: str, *, dry: bool = False) -> Stretch:
    """What a hotfix moves: the tree of a branch that has everything that stands on the environment. ``dry``:
    nothing is written.

    Mistake where there is no such branch, or landing it would undo something.
    """
    refuse_shallow(ground)
    environment = environment_named(ground.project, name)
    branch = branch.removeprefix("refs/heads/")
    if not branch:
        hint = f"`gitkitchen promote {name} --hotfix --from BRANCH`"
        raise Mistake(Problem("a hotfix comes from a branch", hint=hint, code="no-branch"))
    if any(branch == e.branch for e in ground.project.environments):
        raise Mistake(
            Problem(
                f"'{branch[:80]}' is the branch of an environment: what stands there goes the road",
                hint=f"`git switch -c fix {environment.branch}`, mend it there, and name that branch",
                code="no-hotfix",
            )
        )
    tips = ground.tips([branch, environment.branch, CANDIDATES + name])
    base, head = tips.get(environment.branch, ""), tips.get(branch, "")
    if not base or not head:
        gone = environment.branch if not base else branch
        hint = "push it first" if ground.remote is not None else "name a branch of this repository"
        raise Mistake(Problem(f"there is no branch '{gone[:80]}'", hint=hint, code="no-branch"))
    ruling, project = ruling_of(ground, environment, base)
    environment = project.environment(name) or environment
    course = ground.course(name)
    last = course.last
    there = last is not None and (last.commit, last.source) == (base, head)
    if not there and not ground.is_ancestor(base, head):
        raise Mistake(
            Problem(
                f"branch '{branch[:80]}' does not have {base[:12]}, which stands on '{environment.branch}': "
                "its tree would undo what landed",
                hint=f"merge '{environment.branch}' into it, or make it anew from there",
                code="hotfix-behind",
            )
        )
    commit = history.commit_of(ground.folder, head)
    reading = ground.reading(head)
    refuse_unfit(ground, reading, environment)
    candidate = candidate_of(ground, name, f"hotfix to {name}", commit, [base, head], dry=dry)
    ruled = ruling or reading
    return Stretch(
        *(
            Intent.HOTFIX,
            environment,
            None,
            base,
            head,
            commit.tree,
            candidate,
            tips.get(CANDIDATES + name, ""),
        ),
        *(ruled, reading, policy_of(ruled, name), course),
        origin=branch,
    )


# --- bringing it back --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Backport:
    """Where a hotfix is brought back to: ``into`` that environment's branch, by ``branch`` ("": nothing has
    to be, or it could not be made). ``said``: for people."""

    into: Environment | None
    branch: str
    said: str


def backport_branch(environment: str, commit: str) -> str:
    """The branch by which a hotfix is brought back."""
    return f"{BACKPORTS}{environment}-{commit[:12]}"


def people_merge_into(ground: Ground, environment: Environment) -> Environment | None:
    """The environment at the beginning of the road to another: where people land, and from where everything
    comes. A back-port further on would be gone with the next promotion to there."""
    found, seen = before(ground.project, environment), {environment.name}
    while found is not None and found.name not in seen:
        seen.add(found.name)
        earlier = before(ground.project, found)
        if earlier is None:
            return found
        found = earlier
    return None


def bring_back(ground: Ground, landing: Landing) -> Backport:
    """Make the branch of a hotfix's back-port: its change alone, on top of where people work.

    Done again, it finds the branch that is there. Where the change does not fit, whoever knows it brings it.
    """
    with effect("open-backport"):
        return _brought(ground, landing)


def _brought(ground: Ground, landing: Landing) -> Backport:
    environment = environment_named(ground.project, landing.environment)
    into = people_merge_into(ground, environment)
    if into is None:
        return Backport(None, "", "")
    branch = backport_branch(landing.environment, landing.commit)
    tips = ground.tips([into.branch, branch])
    tip = tips.get(into.branch, "")
    if not tip:
        return Backport(into, "", f"there is no branch '{into.branch}' to bring the hotfix back to")
    if history.has_change(ground.folder, tip, landing.before, landing.commit):
        return Backport(into, "", f"'{into.branch}' has the hotfix")
    merge = f"`git switch {into.branch} && git merge {branch}`"
    if tips.get(branch):
        return Backport(into, branch, f"the hotfix is not in '{into.branch}' yet: {merge}")
    tree = history.with_change(ground.folder, tip, landing.before, landing.commit)
    if not tree:
        return Backport(
            into,
            "",
            f"the hotfix does not fit into '{into.branch}' by itself: "
            f"`git switch {into.branch} && git cherry-pick -m 1 -x {landing.commit[:12]}`",
        )
    reason = " ".join(landing.reason.split())[:200]
    message = f"Bring hotfix {landing.commit[:12]} of {landing.environment} back\n\n{reason}\n"
    commit = history.set_tree(ground.folder, tree, [tip], message, int(landing.at.timestamp()))
    pushed = ground.move({branch: (commit, None)})
    if pushed.answer is not Answer.APPLIED and not ground.tip(branch):
        said = f"the branch of the back-port could not be made ({pushed.said}): "
        return Backport(into, "", f"{said}`git cherry-pick -m 1 -x {landing.commit[:12]}`")
    return Backport(into, branch, f"the hotfix is not in '{into.branch}' yet: {merge}")

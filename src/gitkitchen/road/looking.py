"""What shall move: which commit of which source, onto which tip of which environment."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from gitkitchen import history
from gitkitchen.errors import Infrastructure, Mistake, Problem
from gitkitchen.frozen import dataclass
from gitkitchen.git import Repository
from gitkitchen.history import BRANCHES, Commit
from gitkitchen.kitchen.authority import promotion_refusal
from gitkitchen.model import Environment, Project
from gitkitchen.promote.moves import Course
from gitkitchen.promote.shapes import Intent
from gitkitchen.road.ground import CANDIDATES, Ground, before, environment_named, landed_by
from gitkitchen.road.judging import policy_of
from gitkitchen.trees import Reading

WORKFLOWS = ".github/workflows/"


@dataclass(frozen=True, slots=True)
class Stretch:
    """The part of the road that a promotion goes.

    ``base``: the tip of the environment's branch ("" for one that is to be made); ``head``: the commit of the
    source whose tree is promoted; ``candidate``: the commit with that tree on top of both; ``ruling``: the
    tree whose policy counts; ``policy`` its digest; ``proposed``: where the candidates' branch was.
    """

    intent: Intent
    environment: Environment
    source: Environment | None
    base: str
    head: str
    tree: str
    candidate: str
    proposed: str
    ruling: Reading
    reading: Reading
    policy: str
    course: Course
    origin: str = ""
    """The branch that a hotfix comes from."""
    data: str = "adopt"
    """What happens to the data: as ``Landing.data``."""

    @property
    def branch(self) -> str:
        """The branch of the candidate."""
        return CANDIDATES + self.environment.name

    @property
    def label(self) -> str:
        return self.source.name if self.source is not None else self.origin or self.head[:12]

    @property
    def stands(self) -> bool:
        """Whether the environment stands on this tree already, by its last landing and by its branch."""
        last = self.course.last
        return last is not None and (last.commit, last.tree, last.source) == (self.base, self.tree, self.head)


def ruling_of(ground: Ground, environment: Environment, base: str) -> tuple[Reading | None, Project]:
    """The tree whose policy counts (None: there is no branch yet), and the project whose environments do.

    They are the target's own; where its tree does not know the environment yet, those of the checkout.
    """
    if not base:
        return None, ground.project
    reading = ground.reading(base)
    project = reading.project
    if project is not None and project.environment(environment.name) is not None:
        return reading, project
    return reading, ground.project


def look(ground: Ground, name: str, *, intent: Intent, rev: str = "", dry: bool = False) -> Stretch:
    """What a promotion to environment ``name`` would move: the newest that its source has landed, or ``rev``.

    ``dry``: nothing is written: the candidate has its name, and is no commit of the repository yet.

    Hotfix and rollback have looks of their own. Mistake where there is nothing to move, or what is asked for
    would go back or round; Infrastructure where it cannot be found out.
    """
    environment = environment_named(ground.project, name)
    refuse_shallow(ground)
    below = before(ground.project, environment)
    branches = {environment.branch, CANDIDATES + name, *([below.branch] if below is not None else ())}
    tips = ground.tips(branches)
    base = tips.get(environment.branch, "")
    # Where the tip is none that landed, what it says of its own gates counts for nothing.
    ruling, project = ruling_of(ground, environment, ground.course(name).tip or base)
    environment = project.environment(name) or environment
    source = before(project, environment)
    if source is None:
        raise Mistake(
            Problem(
                f"nothing promotes to '{name}': it is the first environment",
                hint=f"merge pull requests into '{environment.branch}'",
                code="no-source",
            )
        )
    if source.branch not in branches or environment.branch not in branches:  # as the target's own policy says
        tips = ground.tips([source.branch, environment.branch, CANDIDATES + name])
    head = _head(ground, source, tips.get(source.branch, ""), rev)
    course = ground.course(name)
    _refuse_older(ground, course, head, name)
    commit = history.commit_of(ground.folder, head)
    reading = ground.reading(head)
    refuse_unfit(ground, reading, environment)
    parents = [oid for oid in (base, head) if oid]
    candidate = candidate_of(ground, name, f"{source.name} to {name}", commit, parents, dry=dry)
    ruled = ruling or reading
    return Stretch(
        intent,
        environment,
        source,
        base,
        head,
        commit.tree,
        candidate,
        tips.get(CANDIDATES + name, ""),
        ruled,
        reading,
        policy_of(ruled, name),
        course,
    )


def candidate_of(
    ground: Ground,
    name: str,
    what: str,
    of: Commit,
    parents: list[str],
    *more: tuple[str, str],
    dry: bool = False,
) -> str:
    """The commit with the tree of ``of``, on top of ``parents``, that is proposed to environment ``name``.

    ``dry``: its name alone, and nothing is written."""
    trailers = "".join(f"{key}: {value}\n" for key, value in (("GitKitchen-Candidate", name), *more))
    made = history.foreseen_tree if dry else history.set_tree
    return made(ground.folder, of.tree, parents, f"Candidate: {what}\n\n{trailers}", of.when)


def refuse_shallow(ground: Ground) -> None:
    """Mistake where this repository's own history is cut off: order comes from ancestry, and an older commit
    could pass for a newer one. (What a remote has is fetched: ``Ground.of``.)"""
    if ground.remote is None and ground.repository.shallow:
        hint = "`git fetch --unshallow` brings the rest; then run the same command again"
        raise Mistake(Problem("the history of this clone is cut off (shallow)", hint=hint, code="shallow"))


def _head(ground: Ground, source: Environment, tip: str, rev: str) -> str:
    if not tip:
        if not ground.course(source.name).landings:
            made = f"`git branch {source.branch} COMMIT` makes it"
            brought = f"`git fetch origin {source.branch}:{source.branch}` brings it from a remote"
            pushed = f"push it: `git push {ground.remote} COMMIT:refs/heads/{source.branch}`"
            raise Mistake(
                Problem(
                    f"there is no branch '{source.branch}', from which environment '{source.name}' promotes",
                    hint=pushed if ground.remote else f"{made}, {brought}",
                    code="no-branch",
                )
            )
        raise Mistake(
            Problem(
                f"branch '{source.branch}' of environment '{source.name}' is gone: nothing promotes from it",
                hint="push it again; what it landed is in the ledger",
                code="source-gone",
            )
        )
    landed = landed_by(ground, source, tip)
    if rev:
        wanted = history.commit_of(ground.folder, rev).oid
        if wanted not in landed:
            raise Mistake(
                Problem(
                    f"{wanted[:12]} is nothing that environment '{source.name}' has landed",
                    hint=f"name a commit that branch '{source.branch}' stood on",
                    code="not-landed",
                )
            )
    else:
        wanted = max(landed, key=lambda oid: landed[oid])
    if not ground.is_ancestor(wanted, tip):
        raise Mistake(
            Problem(
                f"branch '{source.branch}' was rewritten: {wanted[:12]}, which environment '{source.name}' "
                f"landed, is not in it any more",
                hint="find out by whom; what stands there now must land there first",
                code="source-rewritten",
            )
        )
    return wanted


def _refuse_older(ground: Ground, course: Course, head: str, name: str) -> None:
    """Order comes from ancestry and the ledger: what is older than what came last is no way forward."""
    newest = next((l.source for l in reversed(course.landings) if l.intent is Intent.FORWARD), "")  # noqa: E741
    if newest and newest != head and ground.is_ancestor(head, newest):
        raise Mistake(
            Problem(
                f"{head[:12]} is older than {newest[:12]}, which was promoted to '{name}' already",
                hint="going back is a rollback, and never a promotion; what came to the target by hand must "
                "come into the first environment, too: merge it there",
                code="older",
            )
        )


def refuse_unfit(ground: Ground, reading: Reading, environment: Environment) -> None:
    """A tree that would be another project, or that keeps its records elsewhere, cannot be followed."""
    project = reading.project
    if project is None:
        raise Mistake(*reading.problems[:20])
    mine = project.environment(environment.name)
    said = ""
    if project.id != ground.project.id:
        said = f"its project id is {project.id}, and this project's is {ground.project.id}"
    elif project.ledger != ground.project.ledger:
        said = f"it says `ledger: {project.ledger}`, and the checkout `ledger: {ground.project.ledger}`"
    elif mine is None or mine.branch != environment.branch:
        said = f"it has no environment '{environment.name}' on branch '{environment.branch}'"
    if said:
        raise Mistake(
            Problem(
                f"the tree to promote does not fit: {said}",
                hint="check out a branch whose kitchen.yml says the same, or mend the source",
                code="other-project",
            )
        )


def checkout_of(ground: Ground, environment: Environment) -> Path | None:
    """The work tree in which the environment's branch is checked out, where its local branch shall move.

    Mistake where its files are changed: they would be mixed up with those that land.
    """
    if ground.remote is not None:
        return None
    place = history.checkouts(ground.folder).get(BRANCHES + environment.branch)
    if place is not None and Repository.find(place).subject().dirty:
        raise Mistake(
            Problem(
                f"branch '{environment.branch}' is checked out in {place}, with uncommitted changes",
                hint="commit or stash them, or switch to another branch there",
                code="dirty-target",
            )
        )
    return place


def workflows_changed(ground: Ground, stretch: Stretch) -> tuple[str, ...]:
    """The workflow files that the landing changes: a push of them needs a right of its own."""
    if not stretch.base:
        return ()
    names = history.changed(ground.folder, stretch.base, stretch.tree)
    return tuple(name for name in names if name.startswith(WORKFLOWS))


def refuse_unauthorised(ground: Ground, environment: Environment, environ: Mapping[str, str]) -> None:
    """Mistake where nobody may promote to the environment from here."""
    default = ""
    if environ.get("GITHUB_EVENT_PATH"):
        from gitkitchen.github.events import read_event

        default = read_event(environ).default_branch
    project = ground.project
    why = promotion_refusal(
        project.ledger, project.store, environment.name, environment.branch, default, environ
    )
    if why:
        hint = "start the promotion's workflow at GitHub, or from here with `gh workflow run`"
        raise Mistake(Problem(why, hint=hint, code="not-here"))


def moved_since(ground: Ground, stretch: Stretch) -> None:
    """Raise Moved where a branch that the evidence is bound to is elsewhere by now."""
    origin = stretch.source.branch if stretch.source is not None else stretch.origin
    tips = ground.tips(filter(None, [stretch.environment.branch, origin, stretch.branch]))
    now = tips.get(stretch.environment.branch, "")
    if now != stretch.base:
        raise Moved(f"branch '{stretch.environment.branch}' {_where(now, stretch.base)}")
    source = tips.get(origin, "")
    if origin and (not source or not ground.is_ancestor(stretch.head, source)):
        raise Moved(f"branch '{origin}' {_where(source, stretch.head)}")
    if stretch.intent is Intent.ROLLBACK:
        return  # its candidate comes when all others are taken away
    mine = tips.get(stretch.branch, "")
    if mine != stretch.candidate:
        raise Moved(f"the candidate on '{stretch.branch}' {_where(mine, stretch.candidate)}")


def _where(now: str, then: str) -> str:
    there = f"is at {now[:12]}" if now else "is gone"
    return f"{there}, and this promotion was proved on {then[:12] or 'no branch'}"


class Moved(Infrastructure):
    """Something that the evidence is bound to moved. Nothing was changed: prove again, from the start."""

    def __init__(self, what: str) -> None:
        super().__init__(
            Problem(
                f"{what}: nothing was changed",
                hint="run the same command again: it begins from what is there, and what is built is reused",
                code="moved",
            )
        )

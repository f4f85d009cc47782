"""What a promotion stands on: the repository, where its branches are, and the ledger.

With ``ledger: branch`` the branches that count are the remote's; with ``ledger: folder``, and where there is
no remote, they are those of this repository. Refs are moved by compare-and-swap alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from gitkitchen import history
from gitkitchen.answers import Answer, Pushed
from gitkitchen.errors import Infrastructure, Mistake, Problem
from gitkitchen.frozen import dataclass
from gitkitchen.git import Repository
from gitkitchen.history import BRANCHES
from gitkitchen.ledger.opening import open_ledger
from gitkitchen.ledger.protocol import Ledger
from gitkitchen.model import Environment, Project
from gitkitchen.plumbing import Moves, Plumbing
from gitkitchen.premises import Premises, find_premises
from gitkitchen.promote.moves import Course, fold, moves_of
from gitkitchen.promote.shapes import stream_of
from gitkitchen.trees import Reading, read_known
from gitkitchen.workplace import Request

CANDIDATES = "gitkitchen/promote/"
"""The branches of candidates, one for each environment."""
LIMIT = 120.0
"""Seconds for one call to the remote."""


@dataclass(frozen=True, slots=True)
class Ground:
    """``project`` is that of the checkout; ``folder`` the top of the repository, ``inner`` the project's
    folder in it. ``remote``: whose branches count; None: our own."""

    project: Project
    ledger: Ledger
    folder: Path
    inner: str
    git: Plumbing
    remote: str | None
    repository: Repository

    @classmethod
    def of(cls, request: Request) -> Ground:
        """The ground around a folder, as it is now. Mistake where there is no project."""
        found = find_premises(request.start, request.say)
        git = Plumbing(found.repository.root, LIMIT)
        inner = found.project.root.resolve().relative_to(found.repository.root.resolve()).as_posix()
        remote = git.remote() if found.project.ledger == "branch" else None
        if remote and found.repository.shallow:
            # Order comes from ancestry: with history cut off, an older commit could pass for a newer one.
            names = [BRANCHES + environment.branch for environment in found.project.environments]
            git.fetch(remote, sorted(git.list(remote, names)), whole=True)
        inner, repository = inner.removeprefix("."), found.repository
        return cls(found.project, found.ledger, repository.root, inner, git, remote, repository)

    def premises(self, say: Callable[[Problem], None]) -> Premises:
        """The same project and repository, with a ledger that looks anew."""
        return Premises(self.project, self.repository, open_ledger(self.project, say=say))

    # --- refs -------------------------------------------------------------------------------------------

    def tips(self, branches: Iterable[str]) -> dict[str, str]:
        """Where branches are now; those that do not exist are left out. Their commits are here behind it.

        Unreachable where the remote does not answer.
        """
        names = {BRANCHES + branch: branch for branch in branches}
        if self.remote is None:
            return {names[name]: tip for name, tip in self.git.refs(names).items()}
        listed = self.git.list(self.remote, names)
        objects = self.git.objects()
        missing = [name for name, oid in listed.items() if objects.read(oid) is None]
        objects.close()
        if missing:
            self.git.fetch(self.remote, missing)
        return {names[name]: oid for name, oid in listed.items() if name in names}

    def tip(self, branch: str) -> str:
        """Where a branch is now; "" where there is none."""
        return self.tips([branch]).get(branch, "")

    def move(self, moves: Moves) -> Pushed:
        """Move branches (by their names without ``refs/heads/``), all or none."""
        refs = {BRANCHES + branch: move for branch, move in moves.items()}
        if self.remote is not None:
            return self.git.push(self.remote, refs, atomic=len(refs) > 1)
        if self.git.move_all(refs):
            return Pushed(Answer.APPLIED)
        if all((self.git.ref(name) or "") == new for name, (new, _) in refs.items()):
            return Pushed(Answer.APPLIED)  # and git ended before it could say so
        for name, (_, old) in refs.items():
            there = self.git.ref(name)
            if there != old:
                where = f"is at {there[:12]}" if there else "is gone"
                return Pushed(Answer.OVERTAKEN, f"branch '{name.removeprefix(BRANCHES)}' {where}")
        return Pushed(Answer.REFUSED, "git could not move the branch")

    # --- what is there ----------------------------------------------------------------------------------

    def reading(self, rev: str) -> Reading:
        """The project as a commit has it."""
        return read_known(self.folder, history.commit_of(self.folder, rev).tree, project=self.inner)

    def course(self, environment: str) -> Course:
        """What happened to an environment, by the ledger as it was seen last."""
        return fold(environment, moves_of(self.ledger.read(stream_of(environment))))

    def is_ancestor(self, old: str, new: str) -> bool:
        return self.git.is_ancestor(old, new)


def environment_named(project: Project, name: str) -> Environment:
    """An environment by its name. Mistake where there is none."""
    found = project.environment(name)
    if found is None:
        names = ", ".join(e.name for e in project.environments) or "none"
        raise Mistake(
            Problem(
                f"there is no environment '{name[:80]}'", hint=f"there are: {names}", code="no-environment"
            )
        )
    return found


def before(project: Project, environment: Environment) -> Environment | None:
    """The environment that promotes to another: that of its ``from:``, else the one before it."""
    return environment_named(project, environment.source) if environment.source else None


def after(project: Project, environment: Environment) -> tuple[Environment, ...]:
    """The environments that another promotes to."""
    return tuple(e for e in project.environments if before(project, e) == environment)


def landed_by(ground: Ground, environment: Environment, tip: str) -> Mapping[str, int]:
    """The commits that an environment has landed, each with its place in the order: the highest is newest.

    Those of its moves in the ledger; of an environment that nothing was ever promoted to, those that its
    branch stood on, as far as none was denounced.
    """
    course = ground.course(environment.name)
    if course.landings:
        return {landing.commit: number for number, landing in enumerate(course.landings)}
    if not tip:
        return {}
    commits = list(history.first_parents(ground.folder, tip))
    denounced = {incident.commit for incident in course.incidents}
    bad = [number for number, commit in enumerate(commits) if commit in denounced]
    commits = commits[bad[-1] + 1 :] if bad else commits  # what was denounced, and what came on top of it
    return {commit: len(commits) - number for number, commit in enumerate(commits)}


def unanswered(what: str, pushed: Pushed) -> Infrastructure:
    """The error for a ref that could not be moved."""
    why = {
        Answer.OVERTAKEN: "somebody else moved it first",
        Answer.REFUSED: f"the remote refused it ({pushed.said})",
        Answer.DENIED: f"we may not write there ({pushed.said})",
    }.get(pushed.answer, f"the remote did not say whether it was ({pushed.said})")
    return Infrastructure(
        Problem(f"{what} was not moved: {why}", hint="run the command again", code="not-moved")
    )

"""Commits as promotion reads and makes them: what each holds, in which order a branch had them."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory

from gitkitchen.answers import mending, said
from gitkitchen.errors import Infrastructure, Mistake, Problem
from gitkitchen.frozen import dataclass
from gitkitchen.git import LOCAL, OPTIONS, Repository, environment, quoted
from gitkitchen.plumbing import DURABLE
from gitkitchen.process import Captured, capture

WHO, MAIL = "GitKitchen", "promote@gitkitchen.invalid"
BRANCHES = "refs/heads/"
DEEP = 100_000
"""Commits that are looked through for one."""

_OID = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_ROLLBACK = re.compile(r"(?m)^GitKitchen-(?:Intent: rollback|Rollback: .*)$")
_SHAPE = "%H%n%T%n%P%n%an <%ae>%n%cn <%ce>%n%ct%n%B%x00"
_TRAILER = re.compile(r"([A-Za-z][A-Za-z0-9-]*): (.*)")


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit. ``when`` is the committer's time, in seconds since the epoch: never a source of order."""

    oid: str
    tree: str
    parents: tuple[str, ...]
    author: str
    committer: str
    when: int
    message: str

    @property
    def trailers(self) -> Mapping[str, tuple[str, ...]]:
        """The trailers of the message's last paragraph by name in small letters: git-interpret-trailers(1),
        without folded lines. Empty where that paragraph has other lines, too."""
        found: dict[str, list[str]] = {}
        for line in self.message.rstrip().rpartition("\n\n")[2].splitlines():
            match = _TRAILER.fullmatch(line)
            if match is None:
                return {}
            found.setdefault(match[1].lower(), []).append(match[2])
        return {name: tuple(values) for name, values in found.items()}


def commit_of(folder: Path, rev: str) -> Commit:
    """The commit that a revision names. Mistake where there is none."""
    return _known(folder, rev) if _OID.fullmatch(rev) else _commit(folder, rev)


@lru_cache(maxsize=256)
def _known(folder: Path, oid: str) -> Commit:
    """What an object's name stands for never changes; that there is none is not kept."""
    return _commit(folder, oid)


def _commit(folder: Path, rev: str) -> Commit:
    if rev and not re.search(r"[\0-\x1f]", rev):
        words = ("log", "-1", "--no-show-signature", f"--format={_SHAPE}")
        done = _git(folder, *words, "--end-of-options", f"{rev}^{{commit}}", "--")
        if done.code == 0:
            for commit in _commits(done.output):
                return commit
    raise Mistake(
        Problem(
            f"there is no commit {rev[:80]!r} in this repository",
            hint="name a branch, a tag or a commit; fetch it first",
            code="no-revision",
        )
    )


def _commits(output: bytes) -> Iterator[Commit]:
    for entry in output.decode(errors="replace").split("\0"):
        lines = entry.lstrip("\n").split("\n", 6)
        if len(lines) == 7:
            oid, tree, parents, author, committer, when, message = lines
            yield Commit(
                oid, tree, tuple(parents.split()), author, committer, int(when), message.rstrip("\n")
            )


def first_parents(folder: Path, tip: str, most: int = 10_000) -> Iterator[str]:
    """The commits that a branch stood on, the newest first, as far as its first parents tell."""
    words = ("rev-list", "--first-parent", f"--max-count={most}", "--end-of-options", tip)
    yield from _checked(folder, *words).out.split()


@lru_cache(maxsize=4)
def trees(folder: Path, tip: str, most: int) -> tuple[str, ...]:
    """The trees of the commits that a branch at commit ``tip`` stood on, the newest first."""
    words = ("log", "--first-parent", "--no-show-signature", "--format=%T", f"--max-count={most}")
    return tuple(_checked(folder, *words, "--end-of-options", tip, "--").out.split())


def line(
    folder: Path, tip: str, *, below: Sequence[str] = (), having: str = "", most: int | None = None
) -> Iterator[Commit]:
    """The commits that a branch stood on, the newest first, without what ``below`` has; with ``having`` only
    those of which a line of the message begins with it; with ``most`` so many. One call, however many."""
    words = ["log", "--first-parent", "--no-show-signature", f"--format={_SHAPE}"]
    words += [f"--max-count={most}"] if most is not None else []
    words += ["--basic-regexp", f"--grep=^{re.escape(having)}"] if having else []
    yield from _commits(
        _checked(folder, *words, "--end-of-options", tip, *(f"^{oid}" for oid in below), "--").output
    )


def between(folder: Path, tip: str, bottom: str | None) -> tuple[Commit, ...]:
    """The commits that ``tip`` has and ``bottom`` has not, the oldest first, at most 10,000. One call."""
    words = ["log", "--topo-order", "--max-count=10000", "--no-show-signature", f"--format={_SHAPE}"]
    words += ["--end-of-options", tip, *([f"^{bottom}"] if bottom else []), "--"]
    return tuple(_commits(_checked(folder, *words).output))[::-1]


@lru_cache(maxsize=4)
def changed(folder: Path, before: str, after: str) -> tuple[str, ...]:
    """The paths in which two trees or commits, by their objects' names, differ."""
    words = ("diff-tree", "-r", "-z", "--name-only", "--no-renames", "--end-of-options", before, after)
    names = _checked(folder, *words).output.split(b"\0")
    return tuple(n.decode(errors="surrogateescape") for n in names if n)


def has_change(folder: Path, head: str, before: str, after: str) -> bool:
    """Whether ``head`` has all that changed from commit ``before`` to its descendant ``after``: merging that
    on top of ``before`` into the files of ``head`` changes nothing.

    False also where it conflicts: whatever ``head`` has there is not that change as it was made.
    """
    return with_change(folder, head, before, after) == commit_of(folder, head).tree


def comes_from(folder: Path, head: str, wanted: Collection[str], bottom: str) -> bool:
    """Whether a commit of ``wanted`` is among those that ``head`` was made of.

    Not all ancestors are: a merge that has the tree of one of its parents, as ours have, took nothing from
    the others, and a rollback took nothing from what is below it. ``bottom``: an ancestor of all ``wanted``.
    """
    shape = "%H %T %P%n%B%x00"
    words = ["log", "--no-show-signature", f"--max-count={DEEP}", f"--format={shape}"]
    words += ["--end-of-options", head, *([f"^{bottom}"] if bottom else []), "--"]
    trees: dict[str, str] = {}
    above: dict[str, list[str]] = {}
    for entry in _checked(folder, *words).output.decode(errors="replace").split("\0"):
        first, _, message = entry.lstrip("\n").partition("\n")
        if first:
            oid, trees[oid], *parents = first.split()
            above[oid] = [] if _ROLLBACK.search(message) else parents
    seen, left = set[str](), [head]
    while left:
        oid = left.pop()
        if oid in wanted:
            return True
        if oid not in seen:
            seen.add(oid)
            parents = above.get(oid, [])
            same = [p for p in parents if trees.get(p) == trees[oid]]
            left += same if same and len(parents) > 1 else parents
    return False


def with_change(folder: Path, head: str, before: str, after: str) -> str:
    """The tree of ``head`` with all that changed from commit ``before`` to its descendant ``after``; ""
    where that conflicts with what ``head`` has there."""
    tree = commit_of(folder, head).tree
    # git-merge-tree(1) takes the base from the history alone before git 2.40: this commit has the right one.
    stand_in = set_tree(folder, tree, [before], "What a change is looked for in\n", 1_000_000_000)
    done = _git(folder, "merge-tree", "--write-tree", "--no-messages", stand_in, after)
    if done.code not in (0, 1):
        hint = "install git 2.38 or newer"
        raise Infrastructure(Problem(f"`git merge-tree` failed: {said(done)}", hint=hint, code="git-failed"))
    return done.out.split()[0] if done.code == 0 and done.out.split() else ""


def foreseen_tree(folder: Path, tree: str, parents: Sequence[str], message: str, when: int) -> str:
    """The name that the commit of ``set_tree`` would have. It is written aside and thrown away: a repository
    that may only be read will do, and nothing in it changes."""
    objects = quoted(str(Repository.find(folder).objects))
    with TemporaryDirectory(prefix="gitkitchen-objects-") as aside:
        extra = {"GIT_OBJECT_DIRECTORY": aside, "GIT_ALTERNATE_OBJECT_DIRECTORIES": objects}
        return set_tree(folder, tree, parents, message, when, extra=extra)


def set_tree(
    folder: Path,
    tree: str,
    parents: Sequence[str],
    message: str,
    when: int,
    *,
    extra: Mapping[str, str] | None = None,
) -> str:
    """A commit with exactly ``tree`` on ``parents``, by the program itself; of the same, the same."""
    who = {
        f"GIT_{role}_{key}": value
        for role in ("AUTHOR", "COMMITTER")
        for key, value in (("NAME", WHO), ("EMAIL", MAIL), ("DATE", f"{when} +0000"))
    }
    above = [word for parent in parents for word in ("-p", parent)]
    made = _checked(
        folder, "commit-tree", *above, "-F", "-", tree, extra={**who, **(extra or {})}, input=message.encode()
    ).out.strip()
    if not _OID.fullmatch(made):
        raise Infrastructure(Problem("git made no commit", hint="see that `git fsck` finds nothing"))
    return made


def checkouts(folder: Path) -> dict[str, Path]:
    """The branches that are checked out in any work tree, by their whole names, with the work tree."""
    found: dict[str, Path] = {}
    place = Path()
    for line in _checked(folder, "worktree", "list", "--porcelain", "-z").output.split(b"\0"):
        word, _, rest = line.decode(errors="surrogateescape").partition(" ")
        if word == "worktree":
            place = Path(rest)
        elif word == "branch":
            found[rest] = place
    return found


def bring_along(place: Path, before: str, after: str) -> bool:
    """Bring a clean checkout of a branch that moved to where it is; False, and nothing is changed, where
    files of it would be lost. git-read-tree(1), two-tree merge."""
    return _git(place, "read-tree", "-m", "-u", "--end-of-options", before, after).code == 0


def index_tree(place: Path) -> str:
    """The tree that the index of a work tree holds; "" where it holds a conflict."""
    done = _git(place, "write-tree")
    return done.out.strip() if done.code == 0 else ""


def _git(
    folder: Path, *argv: str, input: bytes | None = None, extra: Mapping[str, str] | None = None
) -> Captured:
    env = environment(os.environ, {**LOCAL, **(extra or {})})
    return capture(["git", *OPTIONS, *DURABLE, *argv], env=env, cwd=folder, input=input)


def _checked(
    folder: Path, *argv: str, input: bytes | None = None, extra: Mapping[str, str] | None = None
) -> Captured:
    done = _git(folder, *argv, input=input, extra=extra)
    if done.code:
        raise Infrastructure(
            Problem(
                f"`git {argv[0]}` failed: {said(done)}",
                hint=mending(done),
                code="git-failed",
            )
        )
    return done

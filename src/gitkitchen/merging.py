"""The subject of a pull request: the merge tree of head and base, computed by us, and a work tree of it.

GitHub's own merge commit may be older than the base, and its merge queue once made wrong trees for hours. So
``git merge-tree --write-tree`` says what is tested, and what was merged is recorded as (head, base, tree).
Clones of jobs are shallow: what is missing is fetched, deeper in steps, up to a bound.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from gitkitchen.answers import Unreachable, mending, said
from gitkitchen.errors import Infrastructure, Mistake, Problem
from gitkitchen.frozen import dataclass
from gitkitchen.git import OPTIONS, environment
from gitkitchen.plumbing import Plumbing
from gitkitchen.printed import text_safe
from gitkitchen.process import Captured, capture

DEPTHS = (50, 200, 1_000, 5_000)
"""Commits by which a shallow clone is deepened, step by step, to find where two branches parted."""

LIMIT = 120.0
"""Seconds for one git command that may reach the remote."""

# What merges is the same for everyone, whatever a machine's configuration says: git-config(1), merge.*.
MERGING = (
    *("-c", "merge.renames=true", "-c", "diff.renames=true", "-c", "merge.directoryRenames=conflict"),
    *("-c", "merge.renormalize=false"),
)
WHEN = "1577836800 +0000"
"""The date of every merge commit of ours: the same head and base give the same commit."""

BEGUN = 3600.0
"""Seconds after which a work tree that is marked as just being added is one of a command that was killed."""
MOST_QUEUED = 10_000
"""Commits of a merge queue's chain that are looked at."""

_OID = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


class Unmergeable(Mistake):
    """Head and base cannot be merged: the author has to bring them together. Nothing was tested."""

    def __init__(self, head: str, base: str, target: str, files: Sequence[str]) -> None:
        self.head, self.base, self.files = head, base, tuple(files)
        shown = ", ".join(text_safe(f) for f in files[:10]) + (
            f" and {len(files) - 10} more" if files[10:] else ""
        )
        super().__init__(
            Problem(
                f"{head[:12]} conflicts with '{target}' at {base[:12]}{f' in {shown}' if shown else ''}: "
                "there is no merge to test",
                hint=f"merge or rebase onto '{target}', settle the conflicts, and push",
                code="conflict",
            )
        )


@dataclass(frozen=True, slots=True)
class Merged:
    """What is tested: ``tree``, the merge of ``head`` into ``base``; ``commit`` holds it."""

    head: str
    base: str
    tree: str
    commit: str


def tip_of(folder: Path, branch: str) -> str | None:
    """Where the remote has a branch now; None where it has none, or cannot be asked."""
    return reference_of(folder, f"refs/heads/{branch}")


def reference_of(folder: Path, name: str) -> str | None:
    """Where the remote has a ref now; None where it has none, or cannot be asked."""
    plumbing = Plumbing(folder)
    remote = plumbing.remote()
    if remote is None:
        return None
    try:
        return plumbing.list(remote, [name]).get(name)
    except Unreachable:
        return None


def merge(folder: Path, head: str, base: str, *, target: str, references: Iterable[str] = ()) -> Merged:
    """The merge tree of two commits, and a commit of it that no ref names.

    ``references`` of the remote lead to the commits where they cannot be fetched by themselves
    (``refs/pull/7/head``). Unmergeable for a conflict; Infrastructure where a commit cannot be had.
    """
    for commit in (head, base):
        _have(folder, commit, [*references, f"refs/heads/{target}"])
    _have_bases(folder, head, base, target)
    words = ("merge-tree", "--write-tree", "-z", "--name-only", "--no-messages", base, head)
    done = _git(folder, *MERGING, *words)
    first, *names = done.output.split(b"\0")
    tree = first.decode(errors="replace").strip()
    if done.code == 1 and _OID.fullmatch(tree):
        raise Unmergeable(head, base, target, [n.decode(errors="replace") for n in names if n])
    if done.code or not _OID.fullmatch(tree):
        raise _failed(done)
    if _tree(folder, head) == tree:
        return Merged(head, base, tree, head)
    return Merged(head, base, tree, _commit(folder, tree, (base, head)))


def taken(folder: Path, head: str, base: str, *, branch: str) -> Merged:
    """A merge that somebody else made (a merge queue): its own tree is read from the commit."""
    _have(folder, head, [f"refs/heads/{branch}"])
    return Merged(head, base, _tree(folder, head), head)


def bring(folder: Path, commit: str, references: Iterable[str] = ()) -> None:
    """Have a commit here with where it comes from. Infrastructure where it cannot be had."""
    _have(folder, commit, references)


def lies_between(folder: Path, head: str, base: str, tip: str) -> bool:
    """Whether ``base`` is a commit of ``tip``'s history that is no older than where ``head`` left it."""
    _have_bases(folder, head, tip, "the target")
    left = _git(folder, "merge-base", "--all", head, tip).out.split()
    return bool(left) and all(
        _is_ancestor(folder, a, b) for a, b in [(base, tip), *((m, base) for m in left)]
    )


def is_queued(folder: Path, head: str, base: str) -> bool:
    """Whether a merge queue may have built ``head`` on ``base``: it puts one change behind the other, each
    with the one before as its first parent, and the first behind the target's tip of then."""
    listed = _git(folder, "rev-list", "--first-parent", f"--max-count={MOST_QUEUED}", head)
    return base in listed.out.split()[1:]


def changes_of(folder: Path, head: str, base: str) -> tuple[str, ...]:
    """The heads that a queue merged between ``base`` and ``head``, the first one first; of one that was
    squashed or rebased, nothing tells."""
    listed = _git(
        folder, "rev-list", "--first-parent", "--parents", f"--max-count={MOST_QUEUED}", head, f"^{base}"
    )
    rows = [line.split() for line in listed.out.splitlines()]
    return tuple(row[2] for row in reversed(rows) if len(row) == 3)


def _is_ancestor(folder: Path, old: str, new: str) -> bool:
    return _git(folder, "merge-base", "--is-ancestor", old, new).code == 0


@contextlib.contextmanager
def checked_out(folder: Path, merged: Merged, place: Path) -> Iterator[Path]:
    """A linked work tree of what was merged, in ``place``, as long as the block lasts."""
    place.parent.mkdir(parents=True, exist_ok=True)
    _forget_killed(folder, place.parent)
    _checked(folder, "worktree", "add", "--quiet", "--detach", "--", str(place), merged.commit)
    try:
        yield place
    finally:
        # A second cancel must not keep it: what stays is forgotten by the next job.
        _git(folder, "worktree", "remove", "--force", "--force", "--", str(place))


def _forget_killed(folder: Path, places: Path) -> None:
    """Let Git forget the work trees in ``places`` whose folders are gone: those of commands that were killed.

    Not by `git worktree prune`: of a work tree that another command is just adding, it may see the entry
    before the mark that tells it to keep away, and takes the whole at any time after that.
    """
    own = folder / ".git"
    if not own.is_dir():
        own = folder / _checked(folder, "rev-parse", "--git-common-dir").out.strip()
    try:
        entries = list((own / "worktrees").iterdir())  # gitrepository-layout(5)
    except OSError:
        return
    for entry in entries:
        try:
            work = Path((entry / "gitdir").read_text(encoding="utf-8").rstrip("\n")).parent
            age = time.time() - entry.stat().st_mtime
        except (OSError, UnicodeDecodeError):
            continue
        if work.exists() or os.path.realpath(work.parent) != os.path.realpath(places):
            continue
        if age > BEGUN or not (entry / "locked").exists():
            _git(folder, "worktree", "remove", "--force", "--force", "--", str(work))


# --- commits, and where they parted -----------------------------------------------------------------


def _have(folder: Path, commit: str, references: Iterable[str]) -> None:
    """Fetch a commit where it is missing: by itself, or by the refs that should lead to it."""
    if not _OID.fullmatch(commit):
        raise Mistake(Problem(f"{text_safe(commit)[:80]!r} is no commit", code="no-commit"))
    if _is_here(folder, commit):
        return
    remote = Plumbing(folder).remote()
    last = "there is no remote to fetch it from"
    for name in (commit, *references) if remote else ():
        done = _fetch(folder, str(remote), (name,))
        if _is_here(folder, commit):
            return
        last = said(done) if done.code else f"{name} does not lead to it"
    raise Infrastructure(
        Problem(
            f"commit {commit[:12]} is not in this clone and could not be fetched: {last}",
            hint="check out with `fetch-depth: 0`; after a force-push the run of the newer head counts",
            code="no-commit",
        )
    )


def _have_bases(folder: Path, head: str, base: str, target: str) -> None:
    """Deepen a shallow clone until it is certain where head and base parted."""
    if _is_certain(folder, head, base):
        return
    remote = Plumbing(folder).remote()
    last = ""
    for depth in DEPTHS if remote else ():
        done = _fetch(folder, str(remote), (head, base), f"--deepen={depth}")
        if done.code:
            last = f": {said(done)}"
            break
        if _is_certain(folder, head, base):
            return
    if _shallow(folder):
        raise Infrastructure(
            Problem(
                f"within {sum(DEPTHS):,} commits it cannot be seen where {head[:12]} left '{target}'{last}",
                hint="check out with `fetch-depth: 0`",
                code="shallow",
            )
        )
    raise Mistake(
        Problem(
            f"{head[:12]} and '{target}' at {base[:12]} have no common history: there is no merge to test",
            hint=f"begin the branch anew from '{target}'",
            code="unrelated",
        )
    )


def _is_certain(folder: Path, head: str, base: str) -> bool:
    """Whether the merge bases found here are all that there are.

    They are when no commit of either side beyond them is cut off: a hidden ancestor could be a nearer one.
    """
    found = _git(folder, "merge-base", "--all", head, base).out.split()
    cut = _shallow(folder)
    if not cut:
        return bool(found)
    sides = _checked(folder, "rev-list", head, base, *(f"^{f}" for f in found)).out.split()
    return bool(found) and cut.isdisjoint(sides)


def _shallow(folder: Path) -> frozenset[str]:
    """The commits whose parents this clone lacks."""
    path = _checked(folder, "rev-parse", "--path-format=absolute", "--git-path", "shallow").out.strip()
    try:
        return frozenset(Path(path).read_text(encoding="ascii").split())
    except FileNotFoundError:
        return frozenset()


def _is_here(folder: Path, commit: str) -> bool:
    return _git(folder, "cat-file", "-e", f"{commit}^{{commit}}", local=True).code == 0


def _fetch(folder: Path, remote: str, names: Sequence[str], *depth: str) -> Captured:
    words = ["fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--refmap=", "--no-auto-maintenance"]
    words += ["--no-recurse-submodules", "--no-prune"]
    if not depth and _shallow(folder):
        depth = (f"--depth={DEPTHS[0]}",)
    return _git(folder, *words, *depth, "--", remote, *names)


def _tree(folder: Path, commit: str) -> str:
    return _checked(folder, "rev-parse", "--verify", "--end-of-options", f"{commit}^{{tree}}").out.strip()


def _commit(folder: Path, tree: str, parents: Sequence[str]) -> str:
    who = {
        f"GIT_{role}_{key}": value
        for role in ("AUTHOR", "COMMITTER")
        for key, value in (("NAME", "GitKitchen"), ("EMAIL", "merge@gitkitchen.invalid"), ("DATE", WHEN))
    }
    words = [word for parent in parents for word in ("-p", parent)]
    message = "Merge, as GitKitchen tests it"
    return _checked(folder, "commit-tree", *words, "-m", message, tree, extra=who).out.strip()


# --- processes --------------------------------------------------------------------------------------


def _git(folder: Path, *argv: str, local: bool = False, extra: dict[str, str] | None = None) -> Captured:
    """One bounded git command. A partial clone may fetch what it lacks, unless ``local``."""
    more = {"GIT_ALLOW_PROTOCOL": "none"} if local else {}
    try:
        return capture(
            ["git", *OPTIONS, *argv],
            env=environment(os.environ, {**more, **(extra or {})}),
            cwd=folder,
            timeout=LIMIT,
        )
    except TimeoutError:
        return Captured(-1, b"", f"fatal: no answer within {LIMIT:g} s".encode())


def _checked(folder: Path, *argv: str, extra: dict[str, str] | None = None) -> Captured:
    done = _git(folder, *argv, extra=extra)
    if done.code:
        raise _failed(done)
    return done


def _failed(done: Captured) -> Infrastructure:
    old = "usage: git merge-tree" in done.err or "unknown option" in done.err
    hint = "install git 2.38 or newer" if old else mending(done)
    return Infrastructure(
        Problem(f"git could not lay out or merge files: {said(done)}", hint=hint, code="git-failed")
    )

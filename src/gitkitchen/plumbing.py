"""Git below the work tree: objects, refs, and one remote; what a branch that nobody checks out needs.

Nothing here touches the index, the work tree or the configuration. Every call that leaves this machine
has a time limit and a session without a terminal; every other call is forbidden to leave it (a partial
clone would fetch what it lacks, without limit). Names stand behind ``--end-of-options`` or ``--``.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from gitkitchen.answers import Answer, Pushed, Unreachable, mending, pushed, said, unreachable
from gitkitchen.errors import Infrastructure, Problem
from gitkitchen.frozen import dataclass
from gitkitchen.git import LOCAL, OPTIONS, environment
from gitkitchen.objects import OID, Objects, Tree, decoded, encoded
from gitkitchen.process import Captured, capture

DURABLE = ("-c", "core.fsync=committed", "-c", "i18n.commitEncoding=UTF-8")
WHO = "GitKitchen"
MAIL = "ledger@gitkitchen.invalid"  # RFC 2606: nobody's

Moves = Mapping[str, tuple[str, str | None]]
"""Refs that shall move: the new object ("" deletes), and the one that must be there (None: no such ref)."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A file of a tree: ``100644``, ``100755`` or a link, ``120000``; its object; its size in bytes."""

    mode: str
    oid: str
    size: int


@dataclass(frozen=True, slots=True)
class Plumbing:
    """The repository around ``folder``. ``limit``: seconds for one call to a remote."""

    folder: Path
    limit: float = 30.0

    # --- refs ---------------------------------------------------------------------------------

    def ref(self, name: str) -> str | None:
        """The object that a ref names; None where there is none."""
        done = self._git("rev-parse", "--verify", "--quiet", "--end-of-options", name)
        return done.out.strip() if done.code == 0 else None

    def refs(self, names: Iterable[str]) -> dict[str, str]:
        """The objects that refs name, by their whole names, without those that do not exist. One call."""
        wanted = set(names)
        words = ("for-each-ref", "--format=%(objectname) %(refname)", "--", *sorted(wanted))
        lines = decoded(self._checked(*words).output).splitlines() if wanted else []
        found = (line.partition(" ")[::2] for line in lines)
        return {name: oid for oid, name in found if name in wanted}

    def below(self, prefix: str) -> list[str]:
        """The whole names of the refs below a prefix, which ends in a slash."""
        return decoded(self._checked("for-each-ref", "--format=%(refname)", "--", prefix).output).split()

    def move(self, name: str, new: str, old: str | None) -> bool:
        """Set a ref that must be at ``old`` (None: not exist); False, unchanged, where it is not."""
        zero = "0" * len(new)
        done = self._git("update-ref", "--no-deref", "--end-of-options", name, new, old or zero)
        return done.code == 0

    def move_all(self, moves: Moves) -> bool:
        """Set several refs, all or none; False, unchanged, where one is not where it must be."""
        lines = []
        for name, (new, old) in moves.items():
            # git-update-ref(1): with -z, an empty old value means any, and zeroes that it must not exist.
            lines.append(
                f"update {name}\0{new}\0{old or '0' * len(new)}\0" if new else f"delete {name}\0{old}\0"
            )
        done = self._git("update-ref", "--no-deref", "-z", "--stdin", input=encoded("".join(lines)))
        return done.code == 0

    def drop(self, name: str) -> None:
        """Remove a ref, if it is there."""
        self._git("update-ref", "--no-deref", "-d", "--end-of-options", name)

    def is_ancestor(self, old: str, new: str) -> bool:
        if old == new:
            return True
        done = self._git("merge-base", "--is-ancestor", "--end-of-options", old, new)
        return done.code == 0

    def changed_files(self, tip: str, folder: str) -> list[tuple[str, str]]:
        """(commit, path) of each file below ``folder`` ("": all) that was changed or removed after it was
        made."""
        words = ("--format=%x01%H", "--diff-filter=MDT", "--no-renames", "--name-only", "-z")
        done = self._checked(
            "log", *words, "--end-of-options", tip, "--", f":(top,literal){folder}" if folder else ":(top)"
        )
        found = []
        for part in decoded(done.output).split("\1")[1:]:
            commit, *names = (p.strip("\n") for p in part.split("\0"))
            found += [(commit, name) for name in names if name]
        return found

    def odd_commits(self, tip: str) -> tuple[list[str], list[str]]:
        """The commits without a parent, the newest first, and those with several, in all that ``tip`` has."""
        roots = self._checked("rev-list", "--max-parents=0", "--end-of-options", tip).out.split()
        merges = self._checked("rev-list", "--min-parents=2", "--end-of-options", tip).out.split()
        return roots, merges

    def commits(self, tip: str, since: int = 0) -> list[str]:
        """All commits that ``tip`` has, with itself, the newest first; ``since``: those made from then on, in
        seconds since 1970."""
        return self._checked("rev-list", f"--max-age={since}", "--end-of-options", tip).out.split()

    def time_of(self, commit: str) -> int:
        """When a commit was made, in seconds since 1970."""
        return int(self._checked("show", "-s", "--format=%ct", "--end-of-options", commit).out)

    def reached(self, tip: str) -> dict[str, str]:
        """All objects that a commit reaches, each with its path in the tree ("": a commit, or the top)."""
        listed = self._checked("rev-list", "--objects", "--end-of-options", tip)
        return dict(line.partition(" ")[::2] for line in decoded(listed.output).splitlines())

    def packed(self, tip: str) -> dict[str, tuple[str, int]]:
        """All objects that a commit reaches: what each is, and the bytes that it takes once it is packed,
        as `git gc` would. Nothing of it is kept."""
        with tempfile.TemporaryDirectory(prefix="gitkitchen-pack-") as folder:
            self._checked("pack-objects", "-q", "--revs", f"{folder}/all", input=f"{tip}\n".encode())
            index = next(Path(folder).glob("*.idx"))
            done = self._checked("verify-pack", "-v", "--", str(index))
        found = {}
        for line in decoded(done.output).splitlines():
            words = line.split()  # git-verify-pack(1): object, kind, size, bytes, offset
            if len(words) >= 5 and OID.fullmatch(words[0]):
                found[words[0]] = (words[1], int(words[3]))
        return found

    def is_shallow(self) -> bool:
        return self._git("rev-parse", "--is-shallow-repository").out.strip() == "true"

    def lacks(self, tip: str, known: str | None) -> bool:
        """Whether a partial clone has ``tip`` without all that belongs to it (beyond ``known``)."""
        promisors = r"^(remote\..*\.promisor|extensions\.partialclone)$"
        if self._git("config", "--get-regexp", promisors).code:
            return False
        without = [f"^{known}"] if known else []
        done = self._git("rev-list", "--objects", "--missing=print", "--end-of-options", tip, *without)
        return done.code != 0 or any(line.startswith(b"?") for line in done.output.splitlines())

    # --- objects ------------------------------------------------------------------------------

    def objects(self) -> Objects:
        return Objects(self.folder)

    def listing(self, rev: str) -> dict[str, Listed] | None:
        """All files of a commit's or tree's tree by path, without submodules; None: it is not here."""
        words = ("-r", "-l", "-z", "--full-tree", "--end-of-options", f"{rev}^{{tree}}")
        done = self._git("ls-tree", *words) if rev and not re.search(r"[\0-\x1f]", rev) else None
        if done is None or done.code:
            return None
        found: dict[str, Listed] = {}
        for entry in done.output.split(b"\0"):
            about, tab, path = entry.partition(b"\t")
            mode, kind, oid, size = about.split() if tab else (b"", b"", b"", b"")
            if kind == b"blob":
                found[decoded(path)] = Listed(mode.decode(), oid.decode(), int(size) if size.isdigit() else 0)
        return found

    def contents(self, oids: Iterable[str]) -> dict[str, bytes]:
        """Objects with their content, all in one call; those that are not here are left out."""
        asked = list(dict.fromkeys(oids))
        done = self._git("cat-file", "--batch", input="".join(f"{oid}\n" for oid in asked).encode())
        found: dict[str, bytes] = {}
        at = 0
        for oid in asked:
            end = done.output.find(b"\n", at)
            words = done.output[at:end].split() if end >= 0 else []
            at = end + 1
            if len(words) == 3:
                found[oid] = done.output[at : at + int(words[2])]
                at += int(words[2]) + 1
            elif end < 0:
                break
        return found

    def write(self, data: bytes) -> str:
        """Keep a file's content and return its object."""
        return self._checked("hash-object", "-w", "--stdin", "--no-filters", input=data).out.strip()

    def width(self) -> int:
        """How many digits an object's name has here."""
        return len(self._checked("hash-object", "-t", "tree", "--stdin", input=b"").out.strip())

    def trees(self, trees: Sequence[Tree]) -> list[str]:
        """Write trees, whose entries exist already or are among them, and return their objects in the same
        order."""
        lines = []
        for tree in trees:
            for name, entry in tree.items():
                kind = "tree" if entry.is_folder else "blob"
                lines.append(encoded(f"{entry.mode} {kind} {entry.oid}\t{name}\0"))
            lines.append(b"\0")  # git-mktree(1): with --batch, an empty line ends a tree
        done = self._checked("mktree", "-z", "--batch", "--missing", input=b"".join(lines))
        return done.out.split()

    def commit(self, tree: str, parent: str | None, message: str) -> str:
        """A commit by the program itself, whoever is configured: CI has no identity."""
        who = {
            f"GIT_{r}_{k}": v for r in ("AUTHOR", "COMMITTER") for k, v in (("NAME", WHO), ("EMAIL", MAIL))
        }
        words = ("-p", parent) if parent else ()
        return self._checked(
            "commit-tree", *words, "-F", "-", tree, input=message.encode(), extra=who
        ).out.strip()

    # --- the remote ---------------------------------------------------------------------------

    def remote(self) -> str | None:
        """The name of ``origin``, or of the only remote."""
        names = decoded(self._checked("remote").output).splitlines()
        return "origin" if "origin" in names else names[0] if len(names) == 1 else None

    def list(self, remote: str, patterns: Iterable[str]) -> dict[str, str]:
        """The refs of a remote that match, with their objects. Unreachable where it does not answer."""
        done = self._network("ls-remote", "--refs", "--quiet", "--", remote, *patterns)
        if done.code:
            raise unreachable(remote, said(done))
        lines = (line.partition("\t") for line in decoded(done.output).splitlines())
        return {name: oid for oid, _, name in lines if OID.fullmatch(oid)}

    def fetch(
        self,
        remote: str,
        refs: Sequence[str],
        *,
        shallow: bool = False,
        again: bool = False,
        whole: bool = False,
    ) -> None:
        """Bring the objects of some refs here, whole even in a partial clone; no ref of ours is moved.

        ``shallow`` brings no history; ``again`` also what git believes to have; ``whole`` all
        history that a shallow clone lacks.
        """
        words = ["fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--refmap=", "--no-filter"]
        words += ["--no-recurse-submodules", "--no-auto-maintenance", "--no-prune"]
        words += (["--depth=1"] if shallow else []) + (["--refetch"] if again else [])
        words += ["--unshallow"] if whole else []
        done = self._network(*words, "--", remote, *refs)
        if done.code:
            raise unreachable(remote, said(done))

    def push(self, remote: str, moves: Moves, *, atomic: bool = False) -> Pushed:
        """Ask a remote to move refs. Never raises for what the remote does. ``atomic``: all or none."""
        leases = [f"--force-with-lease={ref}:{old or ''}" for ref, (_, old) in moves.items()]
        specs = [f"{new}:{ref}" for ref, (new, _) in moves.items()]
        words: tuple[str, ...] = (
            "--porcelain",
            "--no-verify",
            "--no-follow-tags",
            "--recurse-submodules=no",
            "--no-signed",
        )
        words += ("--atomic",) if atomic else ()
        try:
            done = self._network("push", *words, *leases, "--", remote, *specs)
        except Unreachable as error:
            return Pushed(Answer.UNKNOWN, error.problems[0].message)
        return pushed(done, set(moves))

    def offers_atomic(self, remote: str) -> bool | None:
        """Whether a remote offers pushes that move several refs or none; None where it does not say. Nothing
        is pushed: git asks before it would. https://git-scm.com/docs/protocol-capabilities (``atomic``)"""
        words = ("--no-verify", "--no-follow-tags", "--recurse-submodules=no", "--no-signed")
        probe = "HEAD:refs/heads/gitkitchen/probe"
        try:
            done = self._network("push", "--dry-run", "--atomic", *words, "--", remote, probe)
        except Unreachable:
            return None
        if not done.code:
            return True
        return False if "does not support --atomic" in done.err else None

    # --- processes ----------------------------------------------------------------------------

    def _git(
        self, *argv: str, input: bytes | None = None, extra: Mapping[str, str] | None = None
    ) -> Captured:
        env = environment(os.environ, {**LOCAL, **(extra or {})})
        return capture(["git", *OPTIONS, *DURABLE, *argv], env=env, cwd=self.folder, input=input)

    def _checked(
        self, *argv: str, input: bytes | None = None, extra: Mapping[str, str] | None = None
    ) -> Captured:
        done = self._git(*argv, input=input, extra=extra)
        if done.code:
            raise Infrastructure(
                Problem(
                    f"`git {argv[0]}` failed: {said(done)}",
                    hint=mending(done),
                    code="git-failed",
                )
            )
        return done

    def _network(self, *argv: str) -> Captured:
        env = environment(os.environ)
        try:
            return capture(["git", *OPTIONS, *argv], env=env, cwd=self.folder, timeout=self.limit)
        except TimeoutError:
            raise unreachable(argv[0], f"no answer within {self.limit:g} s") from None

"""A bare repository on the forge's disk: what a server does with Git, and nothing of a work tree."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from gitkitchen.errors import Infrastructure, Problem
from gitkitchen.frozen import dataclass
from gitkitchen.git import OPTIONS, environment
from gitkitchen.process import Captured, capture

TIMEOUT = 60.0
EMPTY = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
"""The empty tree."""

HOOK = r"""#!/bin/sh
# The forge's update hook: githooks(5). What it may refuse comes from the forge, by the environment.
ref=$1 old=$2 new=$3
zero=0000000000000000000000000000000000000000
tab=$(printf '\t')
refuse() { printf '%s' "$1" | tr '\t' '\n' >&2; echo >&2; exit 1; }
lookup() { printf '%s\n' "$1" | while IFS= read -r line; do
  case $line in "$ref$tab"*) printf '%s' "${line#*$tab}"; break;; esac; done; }
said=$(lookup "$FORGE_DENIED")
[ -z "$said" ] || refuse "$said"
if [ "$new" = $zero ]; then
  said=$(lookup "$FORGE_NO_DELETION"); [ -z "$said" ] || refuse "$said"
  exit 0
fi
if [ "$old" != $zero ] && ! git merge-base --is-ancestor "$old" "$new"; then
  said=$(lookup "$FORGE_NO_FORCE"); [ -z "$said" ] || refuse "$said"
fi
range=$new; [ "$old" = $zero ] || range="$old..$new"
said=$(lookup "$FORGE_LINEAR")
[ -z "$said" ] || [ -z "$(git rev-list --merges --max-count=1 "$range")" ] || refuse "$said"
said=$(lookup "$FORGE_SIGNED")
[ -z "$said" ] || for commit in $(git rev-list "$range"); do
  git cat-file commit "$commit" | sed '/^$/q' | grep -q '^gpgsig' || refuse "$said"; done
if [ -n "$FORGE_NO_WORKFLOWS" ]; then
  file=$(git log -m --format= --name-only "$new" --not --all -- .github/workflows | sort -u | head -n 1)
  said="refusing to allow a GitHub App to create or update workflow \`$file\`"
  [ -z "$file" ] || refuse "$said without \`workflows\` permission"
fi
exit 0
"""


_SHA = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True, slots=True)
class Person:
    name: str
    email: str


@dataclass(frozen=True, slots=True)
class CommitFacts:
    """A commit as Git has it; dates are in seconds since the epoch."""

    sha: str
    tree: str
    parents: tuple[str, ...]
    author: Person
    authored: int
    committer: Person
    committed: int
    message: str


@dataclass(frozen=True, slots=True)
class Changed:
    """A file that differs. ``patch`` is None where Git shows none (binary, empty), or none was asked for."""

    path: str
    previous: str | None
    status: str
    blob: str
    additions: int
    deletions: int
    patch: str | None


_STATUS = {
    "A": "added",
    "M": "modified",
    "D": "removed",
    "R": "renamed",
    "C": "copied",
    "T": "changed",
}


@dataclass(frozen=True, slots=True)
class Bare:
    """A bare repository. ``path`` ends in ``.git``."""

    path: Path

    @classmethod
    def make(cls, path: Path, default_branch: str) -> Bare:
        """A new one that is served over HTTP: pushes allowed, but not to what GitHub keeps for itself."""
        path.mkdir(parents=True)
        bare = cls(path)
        bare.git("init", "--quiet", "--bare", f"--initial-branch={default_branch}", ".")
        settings = {
            "http.receivepack": "true",
            "http.uploadpack": "true",
            "receive.hideRefs": "refs/pull",
            "receive.advertiseAtomic": "true",
            "uploadpack.allowAnySHA1InWant": "true",
            "uploadpack.allowFilter": "true",
            "gc.auto": "0",
            "receive.autogc": "false",
        }
        lines = [f"\t{key.partition('.')[2]} = {value}" for key, value in settings.items()]
        sections = [f"[{key.partition('.')[0]}]\n{line}" for key, line in zip(settings, lines, strict=True)]
        with (path / "config").open("a", encoding="utf-8") as config:
            config.write("\n".join(sections) + "\n")
        hook = path / "hooks" / "update"
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(HOOK, encoding="utf-8")
        hook.chmod(0o755)
        return bare

    def run(self, *argv: str, extra: Mapping[str, str] | None = None, input: bytes | None = None) -> Captured:
        env = environment(os.environ, {"GIT_DIR": str(self.path), **(extra or {})})
        return capture(["git", *OPTIONS, *argv], env=env, cwd=self.path, input=input, timeout=TIMEOUT)

    def git(self, *argv: str, extra: Mapping[str, str] | None = None, input: bytes | None = None) -> str:
        """What git prints. Raises Infrastructure where it fails."""
        done = self.run(*argv, extra=extra, input=input)
        if done.code:
            problem = Problem(f"`git {argv[0]}` of the forge failed: {done.err[:300]}", code="forge-git")
            raise Infrastructure(problem)
        return done.output.decode("utf-8", "surrogateescape")

    def refs(self) -> dict[str, str]:
        """Every ref and the object it names."""
        lines = self.git("for-each-ref", "--format=%(objectname) %(refname)").splitlines()
        return {name: sha for sha, _, name in (line.partition(" ") for line in lines)}

    def resolve(self, name: str) -> str | None:
        """The commit that a branch, tag, full ref, or (part of a) SHA names."""
        if not name or name.startswith("-") or re.search(r"[\0-\x20~^:?*\[\\]|\.\.|@\{", name):
            return None
        if re.fullmatch(r"[0-9a-f]{40}", name):
            return name if self.kind(name) == "commit" else None
        for candidate in (f"refs/heads/{name}", f"refs/tags/{name}", f"refs/{name}", name):
            done = self.run("rev-parse", "--verify", "--quiet", "--end-of-options", f"{candidate}^{{commit}}")
            if not done.code:
                return done.out.strip()
        return None

    def set(self, ref: str, sha: str | None, *, old: str | None = None) -> bool:
        """Move a ref (None: remove it); False where it was not at ``old``."""
        words = ("-d", "--", ref) if sha is None else ("--", ref, sha)
        return not self.run("update-ref", *words, *([old] if old is not None else [])).code

    def facts(self, sha: str) -> CommitFacts:
        return _facts(self, sha) if _SHA.fullmatch(sha) else self.log(sha, most=1)[0]

    def log(self, *revs: str, most: int = 10_000, first_parent: bool = False) -> list[CommitFacts]:
        """Commits, newest first."""
        form = "%H%x00%T%x00%P%x00%an%x00%ae%x00%at%x00%cn%x00%ce%x00%ct%x00%B%x00%x01"
        flags = ["--first-parent"] if first_parent else []
        out = self.git(
            "log", f"--max-count={most}", f"--format={form}", *flags, "--end-of-options", *revs, "--"
        )
        found = []
        for entry in out.split("\x00\x01\n")[:-1]:
            sha, tree, parents, an, ae, at, cn, ce, ct, message = entry.split("\x00")
            found.append(
                CommitFacts(
                    sha, tree, tuple(parents.split()), Person(an, ae), int(at), Person(cn, ce), int(ct),
                    message.removesuffix("\n"),
                )
            )  # fmt: skip
        return found

    def merge_base(self, one: str, other: str) -> str | None:
        done = self.run("merge-base", "--end-of-options", one, other)
        return done.out.strip() or None

    def is_ancestor(self, old: str, new: str) -> bool:
        return not self.run("merge-base", "--is-ancestor", "--end-of-options", old, new).code

    def changed(self, old: str, new: str, *, patches: bool = False) -> list[Changed]:
        """The files that differ between two trees or commits, by path; with their ``patches``, if asked for:
        each takes a process."""
        if _SHA.fullmatch(old) and _SHA.fullmatch(new):
            return list(_changed(self, old, new, patches))
        return self._changed(old, new, patches)

    def _changed(self, old: str, new: str, patches: bool) -> list[Changed]:
        raw = self.git("diff-tree", "-r", "-M", "-z", "--raw", "--numstat", "--end-of-options", old, new)
        fields = raw.split("\0")
        heads: list[tuple[str, str, str | None, str]] = []  # status, path, previous, blob
        counts: dict[str, tuple[int, int]] = {}
        at = 0
        while at < len(fields) and fields[at]:
            if fields[at].startswith(":"):
                words = fields[at].split(" ")
                letter = words[4][0]
                blob = words[2] if letter == "D" else words[3]
                moved = letter in "RC"
                path, previous = (fields[at + 2], fields[at + 1]) if moved else (fields[at + 1], None)
                heads.append((letter, path, previous, blob))
                at += 3 if moved else 2
            else:
                added, removed, path = fields[at].split("\t", 2)
                if not path:
                    path = fields[at + 2]
                    at += 2
                counts[path] = (int(added) if added != "-" else 0, int(removed) if removed != "-" else 0)
                at += 1
        return [
            Changed(
                path,
                previous,
                _STATUS[letter],
                blob,
                *counts.get(path, (0, 0)),
                self._patch(old, new, path, previous) if patches else None,
            )
            for letter, path, previous, blob in sorted(heads, key=lambda head: head[1])
        ]

    def _patch(self, old: str, new: str, path: str, previous: str | None) -> str | None:
        names = [path] if previous is None else [path, previous]
        flags = ("--no-color", "--no-ext-diff", "-M", "--literal-pathspecs")
        extra = {"GIT_LITERAL_PATHSPECS": "1"}
        out = self.git("diff", *flags[:-1], old, new, "--", *names, extra=extra)
        start = out.find("\n@@ ")
        return out[start + 1 :].removesuffix("\n") if start >= 0 else None

    def merged(self, base: str, head: str) -> str | None:
        """The tree of merging two commits; None where they conflict."""
        done = self.run("merge-tree", "--write-tree", "--end-of-options", base, head)
        return done.out.split("\n", 1)[0].strip() if not done.code else None

    def commit_tree(self, tree: str, parents: tuple[str, ...], message: str, who: Person, when: float) -> str:
        stamp = f"{int(when)} +0000"
        extra: dict[str, str] = {}
        for role in ("AUTHOR", "COMMITTER"):
            extra |= {
                f"GIT_{role}_NAME": who.name, f"GIT_{role}_EMAIL": who.email, f"GIT_{role}_DATE": stamp,
            }  # fmt: skip
        flags = [word for parent in parents for word in ("-p", parent)]
        return self.git("commit-tree", tree, *flags, extra=extra, input=message.encode()).strip()

    def tree_with(self, base: str | None, files: Mapping[str, str | bytes | None]) -> str:
        """The tree of ``base`` with files written (None: removed)."""
        index = self.path / f"forge-index-{os.getpid()}-{id(files)}"
        extra = {"GIT_INDEX_FILE": str(index)}
        try:
            self.git("read-tree", base if base else "--empty", extra=extra)
            lines = []
            for name, content in files.items():
                if content is None:
                    lines.append(f"0 {'0' * 40}\t{name}\0")
                    continue
                data = content.encode() if isinstance(content, str) else content
                blob = self.git("hash-object", "-w", "--stdin", input=data).strip()
                lines.append(f"100644 {blob}\t{name}\0")
            self.git("update-index", "-z", "--index-info", extra=extra, input="".join(lines).encode())
            return self.git("write-tree", extra=extra).strip()
        finally:
            index.unlink(missing_ok=True)

    def entries(
        self, tree: str, *, recursive: bool = False, path: str = ""
    ) -> list[tuple[str, str, str, int | None, str]]:
        """(mode, kind, sha, size, path) of a tree, or of what lies at ``path`` (``a/`` lists the folder)."""
        flags = ["-r", "-t"] if recursive else []
        extra = {"GIT_LITERAL_PATHSPECS": "1"}
        out = self.git(
            "ls-tree", "-l", "-z", "--full-tree", *flags, tree, *(["--", path] if path else []), extra=extra
        )
        found = []
        for entry in out.split("\0")[:-1]:
            about, _, name = entry.partition("\t")
            mode, kind, sha, size = about.split()
            found.append((mode, kind, sha, None if size == "-" else int(size), name))
        return found

    def blob(self, sha: str) -> bytes:
        done = self.run("cat-file", "blob", sha)
        if done.code:
            raise KeyError(sha)
        return done.output

    def kind(self, sha: str) -> str | None:
        try:
            return _kind(self, sha) if _SHA.fullmatch(sha) else None
        except KeyError:
            return None

    def take(self, other: Bare, sha: str) -> None:
        """Have a commit, and all behind it, of another repository on this disk."""
        if self.kind(sha) != "commit":
            self.git("fetch", "--quiet", "--no-tags", str(other.path), sha)


# What an object's name stands for never changes; that there is no such object is not kept.


@lru_cache(maxsize=1024)
def _facts(bare: Bare, sha: str) -> CommitFacts:
    return bare.log(sha, most=1)[0]


@lru_cache(maxsize=1024)
def _changed(bare: Bare, old: str, new: str, patches: bool) -> tuple[Changed, ...]:
    return tuple(bare._changed(old, new, patches))


@lru_cache(maxsize=4096)
def _kind(bare: Bare, sha: str) -> str:
    done = bare.run("cat-file", "-t", sha)
    if done.code:
        raise KeyError(sha)
    return done.out.strip()

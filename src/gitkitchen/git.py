"""All of git that GitKitchen uses, in one place, with a cleaned environment.

Few and plain calls (each costs a process): what can be asked together is asked together. Names that
come from people or branches stand after ``--end-of-options`` or ``--``, so that none becomes an option.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from gitkitchen.errors import Infrastructure, Mistake, Problem
from gitkitchen.files import digest_bytes, read_bounded
from gitkitchen.frozen import dataclass
from gitkitchen.model import Subject
from gitkitchen.process import Captured, capture

# What of git's environment is the user's choice of *how* git works (who commits, which configuration,
# how to reach a server). The rest says *where* it works (GIT_DIR, GIT_INDEX_FILE, GIT_WORK_TREE, …): set by
# a hook that called us, it would point every command at somebody else's index.
KEPT = frozenset(
    {
        "GIT_ALLOW_PROTOCOL",
        "GIT_ASKPASS",
        "GIT_AUTHOR_EMAIL",
        "GIT_AUTHOR_NAME",
        "GIT_CEILING_DIRECTORIES",
        "GIT_COMMITTER_EMAIL",
        "GIT_COMMITTER_NAME",
        "GIT_CONFIG_COUNT",
        "GIT_CONFIG_GLOBAL",
        "GIT_CONFIG_NOSYSTEM",
        "GIT_CONFIG_SYSTEM",
        "GIT_EXEC_PATH",
        "GIT_SSH",
        "GIT_SSH_COMMAND",
        "GIT_SSL_CAINFO",
        "GIT_SSL_NO_VERIFY",
    }
)
CONFIG_PAIR = re.compile(r"GIT_CONFIG_(KEY|VALUE)_\d+")

# Optional locks: a status that refreshes the index would change a file that we promise not to touch.
FIXED = {"LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0", "GIT_PAGER": "cat"}

# Settings of a user that would run programs or change what a command prints or accepts.
SETTINGS = (
    ("core.hooksPath", os.devnull),  # githooks(5): post-index-change runs even after `add`
    ("core.fsmonitor", "false"),  # git-config(1): may name a program
    ("core.safecrlf", "false"),  # `true` makes `add` fail on mixed line endings
    ("core.splitIndex", "false"),  # a temporary index would leave sharedindex files in the repository
    ("core.looseCompression", "0"),  # objects of a temporary index live for milliseconds
    ("advice.addEmbeddedRepo", "false"),
    ("commit.gpgSign", "false"),
    ("gc.auto", "0"),
)
OPTIONS = tuple(part for key, value in SETTINGS for part in ("-c", f"{key}={value}"))
LOCAL = {"GIT_ALLOW_PROTOCOL": "none"}  # git(1): a list of the transports that are allowed

# Everything but our own state, whether or not .gitignore names it.
EVERYTHING = (":(top)", ":(top,exclude,glob).gitkitchen/**")


def environment(environ: Mapping[str, str], extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment for a git process: ``environ`` without what would redirect git, plus ``extra``."""
    kept = {
        name: value
        for name, value in environ.items()
        if not name.startswith("GIT_") or name in KEPT or CONFIG_PAIR.fullmatch(name)
    }
    return {**kept, **FIXED, **(extra or {})}


@dataclass(frozen=True, slots=True)
class Seen:
    """What was checked out at a moment, without changes of the work tree. ``branch``: None: detached."""

    commit: str
    tree: str
    branch: str | None


@dataclass(frozen=True, slots=True)
class Repository:
    """A work tree. ``root`` is its top folder (of a linked worktree: that worktree's own top)."""

    root: Path
    index: Path
    objects: Path
    common: Path = Path()
    """The folder that all work trees of the repository share: ``.git`` of the main one."""
    linked: bool = False
    """Whether this is a linked work tree (``git worktree add``)."""
    shallow: bool = False
    """Whether its history is cut off."""
    seen: Seen | None = field(default=None, compare=False)
    """What was checked out when it was found, for who asks at once; None where that is not sure."""

    @classmethod
    def find(cls, start: Path) -> Repository:
        """The work tree around ``start``. Mistake where there is none."""
        questions = (
            "--path-format=absolute",
            "--show-toplevel",
            "--git-path",
            "index",
            "--git-path",
            "objects",
            "--git-common-dir",
            "--git-dir",
            "--is-shallow-repository",
        )
        at: tuple[str, ...] = ("HEAD^{commit}", "HEAD^{tree}", "--symbolic-full-name", "HEAD")
        done = _capture(start, ("rev-parse", *questions, *at))
        if done.code:  # also where there is no commit yet
            at = ()
            done = _capture(start, ("rev-parse", *questions))
        lines = _text(done.output).split("\n")[:-1]
        if done.code or not 6 <= len(lines) <= 6 + len(at):
            raise _no_repository(start, _text(done.errors))
        root, index, objects, common, own = map(Path, lines[:5])
        linked, shallow, seen = own != common, lines[5] == "true", _seen(lines[6:])
        return cls(root, index, objects, common, linked=linked, shallow=shallow, seen=seen)

    @property
    def main(self) -> Path | None:
        """The main work tree's top; None where the repository is bare or its ``.git`` lies elsewhere."""
        return self.common.parent if self.common.name == ".git" else None

    @classmethod
    def init(cls, path: Path, branch: str = "main") -> Repository:
        """A new repository in ``path`` (made where missing) whose first branch is ``branch``."""
        path.mkdir(parents=True, exist_ok=True)
        _checked(path, ("init", "--quiet", f"--initial-branch={branch}"))
        return cls.find(path)

    def branch(self) -> str | None:
        """The branch that is checked out, also before its first commit; None when HEAD is detached."""
        done = _capture(self.root, ("symbolic-ref", "--quiet", "HEAD"))
        if done.code == 1:
            return None
        name = done.output.removesuffix(b"\n")
        if done.code or not name.startswith(b"refs/heads/"):
            raise _failed(("symbolic-ref", "HEAD"), _text(done.errors))
        try:
            return name.removeprefix(b"refs/heads/").decode()
        except UnicodeDecodeError:
            problem = Problem(
                f"the name of the branch that is checked out is not UTF-8: {name!r}",
                hint="rename it with `git branch -m NEW` or name the kitchen with --kitchen",
                code="branch-name",
            )
            raise Mistake(problem) from None

    def who(self) -> str:
        """The name that Git would write into a commit here. Mistake where it knows none."""
        return who(self.root)

    def head(self) -> str | None:
        """The commit that is checked out; None in a repository without commits."""
        done = _capture(self.root, ("rev-parse", "--verify", "--quiet", "HEAD^{commit}"))
        return _text(done.output).strip() or None

    def subject(self, known: Subject | None = None) -> Subject:
        """What is checked out, as a Git tree; files that git ignores and ``.gitkitchen/`` are no part of it.
        ``known``: what it was before: of the same commit the tree is not asked again.

        A dirty work tree (changed, staged, untracked files, or no commit yet) has the tree that committing
        all of it would give. The repository's index and objects stay as they are.
        """
        flags = ("--branch", "-z", "--untracked-files=normal", "--ignore-submodules=none", "--no-renames")
        status = _checked(self.root, ("status", "--porcelain=v2", *flags, "--", *EVERYTHING))
        entries = [e for e in status.split(b"\0") if e]
        oid = next(
            (e.split(b" ")[2].decode() for e in entries if e.startswith(b"# branch.oid ")), "(initial)"
        )
        commit = None if oid == "(initial)" else oid
        if commit and all(e.startswith(b"# ") for e in entries):
            if known is not None and known.commit == commit and not known.dirty:
                return known
            if self.seen is not None and self.seen.commit == commit:
                return Subject(commit=commit, tree=self.seen.tree)
            return Subject(commit=commit, tree=self.tree_of(commit))
        return Subject(commit=commit, tree=self._work_tree(), dirty=True)

    def tree_of(self, rev: str) -> str:
        """The tree of a commit, branch, or tag. Mistake when there is no such revision."""
        if not rev or re.search(r"[\0-\x1f]", rev):
            raise _no_revision(rev)
        name = f"{rev}^{{tree}}"
        done = _capture(self.root, ("rev-parse", "--verify", "--quiet", "--end-of-options", name))
        tree = _text(done.output).strip()
        if done.code or not re.fullmatch(r"[0-9a-f]{40,64}", tree):
            raise _no_revision(rev)
        return tree

    def blobs(self, tree: str, folder: str, most: int = 2_000_000) -> dict[str, bytes] | None:
        """The files below ``folder`` of a tree by their paths, but for larger ones; None: no such tree."""
        if not re.fullmatch(r"[0-9a-f]{40,64}", tree):
            return None
        listed = _capture(self.root, ("ls-tree", "-r", "-l", "-z", "--full-tree", tree, "--", folder))
        if listed.code:
            return None
        names: dict[str, str] = {}
        for entry in listed.output.split(b"\0"):
            about, tab, path = entry.partition(b"\t")
            words = about.split()
            if tab and len(words) == 4 and words[1] == b"blob" and int(words[3]) <= most:
                names[_text(path)] = words[2].decode()
        asked = "".join(f"{oid}\n" for oid in names.values()).encode()
        done = _capture(self.root, ("cat-file", "--batch"), input=asked) if names else None
        found: dict[str, bytes] = {}
        rest = done.output if done is not None else b""
        for name in names:
            head, _, rest = rest.partition(b"\n")
            size = int(head.split()[-1])
            found[name], rest = rest[:size], rest[size + 1 :]
        return found

    def tracked(self) -> tuple[str, ...]:
        """The paths of the index, relative to ``root``: what is committed or staged."""
        listed = _checked(self.root, ("ls-files", "-z", "--cached", "--", *EVERYTHING))
        return tuple(os.fsdecode(name) for name in listed.split(b"\0") if name)

    def tracked_below(self, folder: Path) -> str | None:
        """A path of the index in ``folder``, relative to ``root``; None where nothing in it is tracked."""
        listed = _checked(self.root, ("ls-files", "-z", "--cached", "--", f":(literal){folder}"))
        return _text(listed.split(b"\0")[0]) or None

    def branches(self) -> frozenset[str]:
        """The local branches. Those whose name is not UTF-8 are left out: they are no kitchens."""
        return frozenset(self._references("refs/heads/"))

    def remote_branches(self) -> frozenset[str]:
        """The branches that any remote had when it was last asked, without the remote's own name."""
        remotes = _text(_checked(self.root, ("remote",))).split("\n")[:-1]
        found = (name for remote in remotes for name in self._references(f"refs/remotes/{remote}/"))
        return frozenset(found) - {"HEAD"}

    def _references(self, prefix: str) -> Iterator[str]:
        """The names below ``refs/<kind>/``, without that beginning."""
        listed = _checked(self.root, ("for-each-ref", "--format=%(refname)", prefix))
        for line in listed.split(b"\n"):
            with contextlib.suppress(UnicodeDecodeError):
                name = line.decode()
                if name.startswith(prefix):
                    yield name.removeprefix(prefix)

    def made(self, branch: str) -> str | None:
        """A digest of the moment at which a local branch was made; None where Git does not remember it.

        It is the first line of the branch's reflog, as long as that tells of the branch's creation: it
        dies with the branch, and one that is made again under the name begins with another.
        """
        try:
            raw = read_bounded(self.common / "logs" / "refs" / "heads" / branch, 4096)
        except (OSError, ValueError):
            return None
        line = raw.partition(b"\n")[0]
        return digest_bytes(line) if re.match(rb"0{40}(0{24})? ", line) else None

    def remote(self) -> str | None:
        """The URL of ``origin``, or of the only remote, without a user name, password or token in it."""
        done = _capture(self.root, ("config", "-z", "--get-regexp", r"^remote\..*\.url$"))
        urls: dict[str, str] = {}
        for entry in _text(done.output).split("\0"):
            key, newline, value = entry.partition("\n")
            if newline:
                urls.setdefault(key.removeprefix("remote.").removesuffix(".url"), value)
        url = urls.get("origin") or (next(iter(urls.values())) if len(urls) == 1 else None)
        return without_credentials(url) if url else None

    def switch(self, branch: str, *, create: bool = False) -> None:
        """Check out a branch, or make it here and now."""
        _checked(self.root, ("switch", "--quiet", "--create" if create else "--no-guess", branch))

    def commit(self, message: str, *, author: tuple[str, str] | None = None) -> str:
        """Commit the whole work tree and return the commit. ``author``: name and e-mail address."""
        extra: dict[str, str] = {}
        if author:
            for role in ("AUTHOR", "COMMITTER"):
                extra |= {f"GIT_{role}_NAME": author[0], f"GIT_{role}_EMAIL": author[1]}
        _checked(self.root, ("add", "--all", "--", *EVERYTHING))
        _checked(self.root, ("commit", "--quiet", "--allow-empty", f"--message={message}"), extra)
        return self.head() or ""

    def _work_tree(self) -> str:
        """The tree of a temporary index with the whole work tree; its objects are thrown away with it."""
        with tempfile.TemporaryDirectory(prefix="gitkitchen-index-") as folder:
            index, objects = Path(folder, "index"), Path(folder, "objects")
            objects.mkdir()
            if self.index.exists():
                # With its time: by it git knows which files changed too soon after it was written to be
                # told by size and time alone (git's Documentation/technical/racy-git.txt).
                shutil.copy2(self.index, index)
            extra = {
                "GIT_INDEX_FILE": str(index),
                "GIT_OBJECT_DIRECTORY": str(objects),
                "GIT_ALTERNATE_OBJECT_DIRECTORIES": quoted(str(self.objects)),
            }
            add = ("add", "--all", "--sparse", "--ignore-errors", "--", *EVERYTHING)
            done = _capture(self.root, add, extra)
            # 1: some file could not be read, or a nested repository has no commit. The rest is added, and
            # a dirty tree is never evidence: it may stand without them.
            if done.code not in (0, 1):
                raise _failed(add, _text(done.errors))
            return _text(_checked(self.root, ("write-tree",), extra)).strip()


def _seen(lines: Sequence[str]) -> Seen | None:
    """What ``git rev-parse`` says of HEAD: commit, tree, and its branch or, where there is none, ``HEAD``."""
    if len(lines) != 3 or not all(re.fullmatch(r"[0-9a-f]{40,64}", line) for line in lines[:2]):
        return None
    commit, tree, name = lines
    if name == "HEAD":
        return Seen(commit, tree, None)
    branch = name.removeprefix("refs/heads/")
    plain = branch != name and not any("\udc80" <= char <= "\udcff" for char in branch)
    return Seen(commit, tree, branch) if plain else None


def who(folder: Path) -> str:
    """The name that Git would write into a commit in a folder. Mistake where it knows none."""
    done = _capture(folder, ("var", "GIT_AUTHOR_IDENT"))
    name = _text(done.output).partition("<")[0].strip()
    if done.code or not name:
        hint = '`git config user.name "Your Name"` says it'
        raise Mistake(Problem("Git does not know who you are", hint=hint, code="no-name"))
    return name


def merge_texts(
    start: Path, ours: str, base: str, theirs: str, names: tuple[str, str, str]
) -> tuple[str, int]:
    """Three versions of a text as one, and how many places are left to a person: these stand in it with all
    three, between marks that bear ``names``. Infrastructure where git cannot do it."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder, name) for name in ("ours", "base", "theirs")]
        for path, text in zip(paths, (ours, base, theirs), strict=True):
            path.write_bytes(text.encode())
        labels = [word for name in names for word in ("-L", name)]
        argv = ("merge-file", "-p", "--diff3", "-q", *labels, "--", *map(str, paths))
        done = _capture(start, argv)
    if done.code < 0 or done.code > 127:  # git-merge-file(1): the number of conflicts, at most 127; 255 fails
        raise _failed(argv[:1], _text(done.errors))
    return done.output.decode(), done.code


def without_credentials(url: str) -> str:
    """``https://user:token@host/path`` without what stands before the ``@``; other forms as they are."""
    parts = urlsplit(url)
    if parts.scheme in ("http", "https") and "@" in parts.netloc:
        return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
    if parts.password is not None:
        return urlunsplit(parts._replace(netloc=f"{parts.username}@{parts.netloc.rpartition('@')[2]}"))
    return url


def _capture(
    folder: Path, argv: Sequence[str], extra: Mapping[str, str] | None = None, *, input: bytes | None = None
) -> Captured:
    try:
        return capture(["git", *OPTIONS, *argv], env=environment(os.environ, extra), cwd=folder, input=input)
    except FileNotFoundError:
        if not folder.is_dir():
            raise Mistake(Problem(f"there is no folder {folder}", code="no-folder")) from None
        problem = Problem(
            "git was not found", hint="install git 2.35 or newer and put it on PATH", code="no-git"
        )
        raise Infrastructure(problem) from None
    except NotADirectoryError:
        raise Mistake(Problem(f"{folder} is not a folder", code="no-folder")) from None


def _checked(folder: Path, argv: Sequence[str], extra: Mapping[str, str] | None = None) -> bytes:
    done = _capture(folder, argv, extra)
    if done.code:
        raise _failed(argv, _text(done.errors))
    return done.output


def _text(output: bytes) -> str:
    return output.decode(errors="surrogateescape")


def quoted(path: str) -> str:
    """A path for GIT_ALTERNATE_OBJECT_DIRECTORIES, where a colon separates and quotes protect: git(1)."""
    if not re.search(r'[:"\n]', path):
        return path
    escaped = path.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def _said(errors: str) -> str:
    lines = [line for line in errors.splitlines() if line.startswith(("fatal:", "error:"))]
    return (lines or errors.splitlines() or ["it said nothing"])[0]


def _failed(argv: Sequence[str], errors: str) -> Infrastructure:
    return Infrastructure(
        Problem(
            f"`git {argv[0]}` failed: {_said(errors)}",
            hint="run the same in this folder to see more, then run the command again",
            code="git-failed",
        )
    )


def _no_revision(rev: str) -> Mistake:
    hint = "`git branch --all` and `git tag` list the names that exist"
    return Mistake(Problem(f"there is no revision {rev!r} in this repository", hint=hint, code="no-revision"))


def _no_repository(start: Path, errors: str) -> Mistake:
    if "dubious ownership" in errors:
        hint = f"if you trust it: `git config --global --add safe.directory {start}`"
        return Mistake(
            Problem(f"{start} belongs to another user and git refuses it", hint=hint, code="ownership")
        )
    if "work tree" in errors:
        hint = "clone it, or add a work tree with `git worktree add`"
        return Mistake(Problem(f"{start} is a repository without a work tree", hint=hint, code="bare"))
    hint = "go to the project's folder, or make it a repository with `git init`"
    return Mistake(Problem(f"{start} is not inside a Git repository", hint=hint, code="no-repository"))

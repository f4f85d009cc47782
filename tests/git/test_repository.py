"""Real repositories: where we are, what is checked out, and its tree, without touching anything."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from gitkitchen.answers import mending
from gitkitchen.errors import Mistake
from gitkitchen.git import Repository, environment, without_credentials
from gitkitchen.process import Captured


def git(folder: Path, *argv: str) -> str:
    """What git says, with no help of ours."""
    done = subprocess.run(["git", *argv], cwd=folder, check=True, capture_output=True)
    return done.stdout.decode(errors="surrogateescape").strip()


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """A repository with one commit of two files, one folder ignored."""
    made = Repository.init(tmp_path / "work", "main")
    write(made.root, "a.sql", "select 1\n")
    write(made.root, ".gitignore", "ignored/\n")
    made.commit("first")
    return made


def committed_tree(repository: Repository) -> str:
    """The tree that git itself gives when all of the work tree is committed in a clone-like copy."""
    git(repository.root, "add", "--all")
    return git(repository.root, "write-tree")


def test_find_from_a_folder_inside(repository: Repository) -> None:
    """The top of the work tree is found from any folder in it."""
    inner = repository.root / "recipes" / "x"
    inner.mkdir(parents=True)
    assert Repository.find(inner) == repository


def test_find_outside_a_repository(tmp_path: Path) -> None:
    """Outside of a repository the message says what to do."""
    with pytest.raises(Mistake) as caught:
        Repository.find(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path} is not inside a Git repository; go to the project's folder, or make it a repository "
        "with `git init`"
    )


def test_find_in_a_bare_repository(tmp_path: Path) -> None:
    """A repository without a work tree is named as that."""
    git(tmp_path, "init", "--bare", "bare.git")
    with pytest.raises(Mistake, match="is a repository without a work tree"):
        Repository.find(tmp_path / "bare.git")


def test_find_in_a_folder_that_does_not_exist(tmp_path: Path) -> None:
    """A missing folder is not mistaken for a missing git."""
    with pytest.raises(Mistake, match="there is no folder"):
        Repository.find(tmp_path / "none")


def test_clean_tree(repository: Repository) -> None:
    """A clean work tree is the tree of HEAD and evidence."""
    subject = repository.subject()
    assert subject.commit == git(repository.root, "rev-parse", "HEAD") == repository.head()
    assert subject.tree == git(repository.root, "rev-parse", "HEAD^{tree}") == repository.tree_of("main")
    assert not subject.dirty


@pytest.mark.parametrize("change", ["changed", "untracked", "deleted", "staged", "mode", "link"])
def test_dirty_tree_is_what_a_commit_would_hold(repository: Repository, change: str) -> None:
    """Whatever differs from HEAD, the subject is the tree that committing everything gives."""
    root = repository.root
    if change == "changed":
        write(root, "a.sql", "select 2\n")
    elif change == "untracked":
        write(root, "deep/er/new file.sql", "select 3\n")
    elif change == "deleted":
        (root / "a.sql").unlink()
    elif change == "staged":
        write(root, "b.sql", "select 4\n")
        git(root, "add", "b.sql")
        write(root, "b.sql", "select 5\n")
    elif change == "mode":
        (root / "a.sql").chmod(0o755)
    else:
        (root / "link.sql").symlink_to("a.sql")
    before = (root / ".git/index").read_bytes()
    objects = sorted((root / ".git/objects").rglob("*"))
    subject = repository.subject()
    assert subject.dirty
    assert subject.commit == repository.head()
    assert (root / ".git/index").read_bytes() == before, "HEAD's index is untouched"
    assert sorted((root / ".git/objects").rglob("*")) == objects, "no object is left behind"
    assert subject.tree == committed_tree(repository)


def test_a_change_as_fast_as_the_clock_is_seen(repository: Repository) -> None:
    """A file rewritten with the same size in the same second as the index is part of the dirty tree."""
    file, second = repository.root / "a.sql", 1_700_000_000
    git(repository.root, "config", "core.trustctime", "false")
    for text in ("select 1;\n", "select 9;\n"):
        file.write_text(text)
        os.utime(file, (second, second))
        if text == "select 1;\n":
            git(repository.root, "add", "a.sql")
            os.utime(repository.index, (second, second))
    write(repository.root, "b.sql", "select 1\n")
    tree = repository.subject().tree
    assert tree == committed_tree(repository)
    assert git(repository.root, "show", f"{tree}:a.sql") == "select 9;"


def test_ignored_files_and_our_state_are_no_part(repository: Repository) -> None:
    """Ignored files and .gitkitchen/ make nothing dirty and stay out of a dirty tree."""
    clean = repository.subject()
    write(repository.root, "ignored/data.csv", "x\n")
    write(repository.root, ".gitkitchen/store/file", "x\n")
    assert repository.subject() == clean
    write(repository.root, "b.sql", "select 1\n")
    tree = repository.subject().tree
    (repository.root / "ignored/data.csv").unlink()
    (repository.root / ".gitkitchen/store/file").unlink()
    assert repository.subject().tree == tree == committed_tree(repository)


def test_without_commits(tmp_path: Path) -> None:
    """Before the first commit there is a branch, no commit, and a tree of the files at hand."""
    repository = Repository.init(tmp_path / "new", "trunk")
    assert (repository.branch(), repository.head()) == ("trunk", None)
    empty = repository.subject()
    assert (empty.commit, empty.tree, empty.dirty) == (None, "4b825dc642cb6eb9a060e54bf8d69288fbee4904", True)
    write(repository.root, "a.sql", "select 1\n")
    assert repository.subject().tree == committed_tree(repository)


def test_detached_head(repository: Repository) -> None:
    """A detached HEAD has a commit and a tree and no branch."""
    git(repository.root, "checkout", "--quiet", "--detach")
    assert repository.branch() is None
    assert repository.subject().commit == repository.head()


def test_linked_worktree(repository: Repository, tmp_path: Path) -> None:
    """A linked worktree has a root, a branch, an index and a subject of its own."""
    git(repository.root, "worktree", "add", "--quiet", "-b", "feature", str(tmp_path / "linked"))
    linked = Repository.find(tmp_path / "linked")
    assert (linked.root, linked.branch()) == (tmp_path / "linked", "feature")
    assert linked.subject() == repository.subject()
    write(linked.root, "a.sql", "select 9\n")
    assert linked.subject().dirty
    assert not repository.subject().dirty
    assert linked.subject().tree == committed_tree(linked)


def test_submodule(repository: Repository, tmp_path: Path) -> None:
    """A changed file inside a submodule makes the work tree dirty; a submodule breaks nothing."""
    other = Repository.init(tmp_path / "other")
    write(other.root, "x.sql", "select 1\n")
    other.commit("other")
    allow = ("-c", "protocol.file.allow=always")
    git(repository.root, *allow, "submodule", "--quiet", "add", str(other.root), "vendored")
    repository.commit("with a submodule")
    clean = repository.subject()
    assert not clean.dirty
    write(repository.root, "vendored/x.sql", "select 2\n")
    assert (repository.subject().dirty, repository.subject().tree) == (True, clean.tree)


def test_nested_repository_without_commits(repository: Repository) -> None:
    """A repository inside the work tree that has no commit yet does not break the subject."""
    Repository.init(repository.root / "nested")
    write(repository.root, "b.sql", "select 1\n")
    subject = repository.subject()
    assert subject.dirty
    assert subject.tree != repository.tree_of("HEAD"), "b.sql is in it"


def test_nested_repository_with_commits(repository: Repository) -> None:
    """A repository inside the work tree counts as its commit, as for git."""
    nested = Repository.init(repository.root / "nested")
    write(nested.root, "a", "1")
    nested.commit("nested")
    assert repository.subject().tree == committed_tree(repository)


@pytest.mark.parametrize(
    "settings",
    [
        {"core.autocrlf": "true", "core.safecrlf": "true"},
        {"core.autocrlf": "input"},
        {"core.fileMode": "false"},
        {"core.splitIndex": "true"},
        {"core.fsmonitor": "/bin/false"},
        {"status.showUntrackedFiles": "no"},
        {"status.renames": "copies", "diff.ignoreSubmodules": "all"},
        {"core.quotePath": "true", "color.ui": "always"},
    ],
    ids=lambda s: " ".join(s),
)
def test_odd_settings_change_nothing(repository: Repository, settings: dict[str, str]) -> None:
    """Line endings, file modes, split indexes and colours of a configuration do not break a subject."""
    for key, value in settings.items():
        git(repository.root, "config", key, value)
    write(repository.root, "ümlaut \t tab.sql", "select 1\r\nselect 2\n")
    (repository.root / "a.sql").write_bytes(b"select 1\r\nunion all select 2\r\n")
    subject = repository.subject()
    assert subject.dirty
    for key in ("core.safecrlf", "core.fsmonitor"):
        git(repository.root, "config", key, "false")
    assert subject.tree == committed_tree(repository)


def test_crlf_checkout_is_clean(repository: Repository) -> None:
    """A file that differs only by the line ending that its attributes ask for is not dirty."""
    write(repository.root, ".gitattributes", "*.txt text eol=crlf\n")
    (repository.root / "notes.txt").write_bytes(b"a\r\nb\r\n")
    repository.commit("notes")
    assert not repository.subject().dirty


def test_hooks_do_not_run(repository: Repository) -> None:
    """No hook of the repository runs while we look or commit."""
    for name in ("post-index-change", "pre-commit", "reference-transaction", "post-checkout"):
        hook = write(repository.root, f".git/hooks/{name}", "#!/bin/sh\ntouch ran\nexit 1\n")
        hook.chmod(0o755)
    write(repository.root, "b.sql", "select 1\n")
    repository.subject()
    repository.commit("second")
    repository.switch("other", create=True)
    assert not (repository.root / "ran").exists()


def test_called_from_a_hook(repository: Repository, tmp_path: Path) -> None:
    """Variables that a hook sets for git do not lead us to another repository or index."""
    other = Repository.init(tmp_path / "other")
    hooked = {"GIT_DIR": str(other.root / ".git"), "GIT_INDEX_FILE": "x", "GIT_WORK_TREE": str(other.root)}
    script = "from pathlib import Path; from gitkitchen.git import Repository as R; "
    script += "print(R.find(Path()).subject().tree)"
    env = {**os.environ, **hooked}
    tree = subprocess.check_output([sys.executable, "-c", script], env=env, cwd=repository.root, text=True)
    assert tree.strip() == repository.tree_of("HEAD")


def test_environment_keeps_who_and_drops_where() -> None:
    """Who commits and which configuration counts stays; where git would work goes."""
    given = {
        "GIT_DIR": "x",
        "GIT_CONFIG_KEY_0": "safe.directory",
        "GIT_AUTHOR_NAME": "A",
        "LC_ALL": "de_DE",
        "HOME": "/h",
    }
    cleaned = environment(given, {"GIT_INDEX_FILE": "i"})
    assert cleaned == {
        "GIT_CONFIG_KEY_0": "safe.directory",
        "GIT_AUTHOR_NAME": "A",
        "HOME": "/h",
        "LC_ALL": "C",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_PAGER": "cat",
        "GIT_INDEX_FILE": "i",
    }


@pytest.mark.parametrize(
    "rev", ["--all", "-h", "--output=pwned", "--git-dir", "", "a\nb", "a\0b", "nope", "HEAD^{blob}"]
)
def test_names_are_never_options(repository: Repository, rev: str) -> None:
    """A revision with a leading dash or control characters is a name that does not exist, never an option."""
    with pytest.raises(Mistake, match="there is no revision"):
        repository.tree_of(rev)
    assert not (repository.root / "pwned").exists()


@pytest.mark.parametrize("name", ["-D", "--orphan", "--detach", "-"])
def test_branches_with_a_leading_dash_are_read_as_names(repository: Repository, name: str) -> None:
    """A branch that plumbing gave a name with a dash is reported by that name."""
    git(repository.root, "update-ref", f"refs/heads/{name}", "HEAD")
    git(repository.root, "symbolic-ref", "HEAD", f"refs/heads/{name}")
    assert repository.branch() == name
    assert not repository.subject().dirty


def test_branch_called_like_the_sign_for_detached(repository: Repository) -> None:
    """A branch may be called (detached) and is not."""
    repository.switch("(detached)", create=True)
    assert repository.branch() == "(detached)"
    assert repository.subject().commit == repository.head()


def test_branch_that_is_not_utf8(repository: Repository) -> None:
    """A branch name in another encoding is refused with a way out, not a traceback."""
    ref = os.fsdecode(b"refs/heads/caf\xe9")
    git(repository.root, "update-ref", ref, "HEAD")
    git(repository.root, "symbolic-ref", "HEAD", ref)
    with pytest.raises(Mistake, match="is not UTF-8: b'refs/heads/caf"):
        repository.branch()


def test_remote(repository: Repository) -> None:
    """The remote is origin, or the only one, or unknown; never with a token in it."""
    assert repository.remote() is None
    git(repository.root, "remote", "add", "upstream", "https://me:s3cret@example.org/o/r.git")
    assert repository.remote() == "https://example.org/o/r.git"
    git(repository.root, "remote", "add", "fork", "git@example.org:me/r.git")
    assert repository.remote() is None
    git(repository.root, "remote", "add", "origin", "ssh://git:pw@example.org/o/r.git")
    assert repository.remote() == "ssh://git@example.org/o/r.git"


@pytest.mark.parametrize(
    ("url", "clean"),
    [
        ("https://token@github.com/o/r", "https://github.com/o/r"),
        ("https://u:p@host:8443/o/r", "https://host:8443/o/r"),
        ("git@github.com:o/r.git", "git@github.com:o/r.git"),
        ("/srv/git/r.git", "/srv/git/r.git"),
    ],
)
def test_credentials_go(url: str, clean: str) -> None:
    """User names and passwords of web addresses are cut off, other addresses stay."""
    assert without_credentials(url) == clean


def test_commit_needs_no_configured_author(repository: Repository) -> None:
    """A commit can carry an author where git knows none."""
    commit = repository.commit("second", author=("Demo", "demo@example.org"))
    assert git(repository.root, "log", "-1", "--format=%H %an <%ce>") == f"{commit} Demo <demo@example.org>"


def test_objects_folder_with_a_colon(tmp_path: Path) -> None:
    """A repository in a folder with a colon and quotes in its name has a dirty tree, too."""
    repository = Repository.init(tmp_path / 'a:b "c"')
    write(repository.root, "a.sql", "select 1\n")
    repository.commit("first")
    write(repository.root, "b.sql", "select 2\n")
    assert repository.subject().tree == committed_tree(repository)


def test_unreadable_file(repository: Repository) -> None:
    """A file that cannot be read leaves the subject dirty and does not end the command."""
    secret = write(repository.root, "locked.sql", "select 1\n")
    secret.chmod(0)
    assert repository.subject().dirty


def test_unmerged_index(repository: Repository) -> None:
    """In the middle of a conflicting merge the subject is dirty and has a tree."""
    write(repository.root, "a.sql", "select 2\n")
    repository.switch("other", create=True)
    repository.commit("theirs")
    repository.switch("main")
    write(repository.root, "a.sql", "select 3\n")
    repository.commit("ours")
    subprocess.run(["git", "merge", "other"], cwd=repository.root, capture_output=True, check=False)
    subject = repository.subject()
    assert (subject.dirty, subject.tree) == (True, committed_tree(repository))


def test_a_clean_subject_costs_two_processes(repository: Repository, tmp_path: Path) -> None:
    """Warm runs are short, so the subject of a clean work tree asks git twice."""
    real = subprocess.run(["which", "git"], check=True, capture_output=True, text=True).stdout.strip()
    counter = write(tmp_path, "bin/git", f'#!/bin/sh\necho x >> {tmp_path}/calls\nexec {real} "$@"\n')
    counter.chmod(0o755)
    script = "import sys; from pathlib import Path; from gitkitchen.git import Repository as R; p = Path();"
    script += "r = R(p.resolve(), p / '.git/index', p / '.git/objects'); assert not r.subject().dirty"
    env = {**os.environ, "PATH": f"{counter.parent}:{os.environ['PATH']}"}
    subprocess.run([sys.executable, "-c", script], cwd=repository.root, env=env, check=True)
    assert (tmp_path / "calls").read_text().split() == ["x", "x"]


@pytest.mark.parametrize(
    ("err", "word"),
    [
        ("fatal: unable to write loose object file: No space left on device", "free space"),
        ("error: unable to create temporary file: Read-only file system", "writable"),
        ("error: insufficient permission for adding an object: Permission denied", "writable"),
        ("fatal: loose object 0123 is corrupt", "fsck"),
    ],
    ids=["full", "read-only", "denied", "damaged"],
)
def test_what_git_could_not_do_says_what_to_mend(err: str, word: str) -> None:
    """A full disk is no damaged repository: the hint is about what git said."""
    assert word in mending(Captured(128, b"", err.encode()))

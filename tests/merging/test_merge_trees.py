"""The subject of a pull request: the merge of head and base, whatever the clone lacks."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from gitkitchen import merging
from gitkitchen.errors import Infrastructure, Mistake
from gitkitchen.merging import Unmergeable


def git(root: Path, *words: str, **more: str) -> str:
    done = subprocess.run(
        ["git", *words], cwd=root, check=True, capture_output=True, text=True, env={**os.environ, **more}
    )
    return done.stdout.strip()


def commit(root: Path, message: str, **files: str) -> str:
    for name, text in files.items():
        (root / name).write_text(text)
    git(root, "add", "-A")
    git(root, "commit", "-q", "--allow-empty", "-m", message)
    return git(root, "rev-parse", "HEAD")


@pytest.fixture
def forge(tmp_path: Path) -> Path:
    """A repository with a long history, `main` ahead of `feature` by one change, both beside each other."""
    root = tmp_path / "forge"
    root.mkdir()
    git(root, "init", "-q", "-b", "main")
    git(root, "config", "uploadpack.allowAnySHA1InWant", "true")
    for n in range(2):
        commit(root, f"early {n}", a="".join(f"line {i}\n" for i in range(20)), n=str(n))
    git(root, "checkout", "-q", "-b", "feature")
    for n in range(3):
        commit(root, f"feature {n}", b=str(n))
    git(root, "checkout", "-q", "main")
    for n in range(2):
        commit(root, f"main {n}", c=str(n))
    return root


def clone(forge: Path, *options: str, branch: str = "main") -> Path:
    target = forge.parent / "clone"
    git(forge.parent, "clone", "-q", *options, "-b", branch, f"file://{forge}", str(target))
    return target


def tips(forge: Path) -> tuple[str, str]:
    return git(forge, "rev-parse", "feature"), git(forge, "rev-parse", "main")


def test_the_tree_is_that_of_git_merge(forge: Path) -> None:
    """The merge tree is the one that `git merge` makes, and the same for the same head and base."""
    head, base = tips(forge)
    found = merging.merge(forge, head, base, target="main")
    git(forge, "merge", "-q", "--no-edit", "feature")
    assert found.tree == git(forge, "rev-parse", "HEAD^{tree}")
    assert (found.head, found.base) == (head, base)
    assert merging.merge(forge, head, base, target="main") == found
    assert git(forge, "rev-list", "--parents", "-1", found.commit).split()[1:] == [base, head]
    assert git(forge, "for-each-ref", "--contains", found.commit) == ""


def test_a_head_that_has_the_base_is_itself(forge: Path) -> None:
    """Where the base is contained, head's own tree and commit are tested."""
    base = git(forge, "rev-parse", "main~3")
    head = git(forge, "rev-parse", "feature")
    found = merging.merge(forge, head, base, target="main")
    assert (found.commit, found.tree) == (head, git(forge, "rev-parse", f"{head}^{{tree}}"))


def test_nothing_of_the_work_tree_changes(forge: Path) -> None:
    """Merging touches neither files nor index nor branches."""
    (forge / "a").write_text("changed")
    before = git(forge, "status", "--porcelain"), git(forge, "for-each-ref")
    merging.merge(forge, *tips(forge), target="main")
    assert (git(forge, "status", "--porcelain"), git(forge, "for-each-ref")) == before


def test_a_conflict_is_an_outcome_of_its_own(forge: Path) -> None:
    """Head and base that conflict are refused with the files that do, and a hint for the author."""
    base = commit(forge, "ours", a="main")
    git(forge, "checkout", "-q", "feature")
    head = commit(forge, "theirs", a="feature")
    with pytest.raises(
        Unmergeable, match=r"conflicts with 'main'.* in a: there is no merge to test"
    ) as caught:
        merging.merge(forge, head, base, target="main")
    assert (caught.value.files, caught.value.exit_code) == (("a",), 2)
    assert "merge or rebase onto 'main'" in caught.value.problems[0].hint


def test_conflicting_names_are_shown_harmless(forge: Path) -> None:
    """File names of strangers neither break a message nor command a runner."""
    name = "x\n::error::y\x1b[31m"
    base = commit(forge, "ours", **{name: "main"})
    git(forge, "checkout", "-q", "feature")
    head = commit(forge, "theirs", **{name: "feature"})
    with pytest.raises(Unmergeable) as caught:
        merging.merge(forge, head, base, target="main")
    assert caught.value.files == (name,)
    assert "\x1b" not in str(caught.value)


def test_a_users_configuration_changes_no_merge(forge: Path, tmp_path: Path) -> None:
    """What a machine's configuration says of merging does not change what is tested."""
    git(forge, "checkout", "-q", "feature")
    git(forge, "mv", "a", "renamed")
    head = commit(forge, "rename")
    git(forge, "checkout", "-q", "main")
    base = commit(forge, "edit", a="".join(f"line {i}\n" for i in range(20)) + "more\n")
    found = merging.merge(forge, head, base, target="main")
    git(forge, "config", "merge.renames", "false")
    git(forge, "config", "diff.renames", "false")
    assert merging.merge(forge, head, base, target="main") == found


@pytest.mark.parametrize(
    "options", [("--depth=1",), ("--depth=2", "--no-single-branch"), ("--filter=blob:none",)]
)
def test_a_clone_of_a_job_gets_what_it_lacks(forge: Path, options: tuple[str, ...]) -> None:
    """Shallow, deeper and partial clones find the same tree as a whole one."""
    git(forge, "config", "uploadpack.allowFilter", "true")
    whole = merging.merge(forge, *tips(forge), target="main")
    assert merging.merge(clone(forge, *options), *tips(forge), target="main") == whole


def test_a_shallow_clone_does_not_take_a_farther_base(forge: Path) -> None:
    """Where history is cut, an ancestor that both sides show may not be the nearest one: it is looked for.

    Both sides merged `old` lately, and come from `new` by longer ways; the head took `new` back. From `new`
    the merge is the head's file; from `old` it would be the base's.
    """

    def node(text: str, *parents: str) -> str:
        (forge / "f").write_text(text)
        blob = git(forge, "hash-object", "-w", "f")
        tree = subprocess.run(
            ["git", "mktree"],
            cwd=forge,
            check=True,
            capture_output=True,
            text=True,
            input=f"100644 blob {blob}\tf\n",
        ).stdout.strip()
        return git(forge, "commit-tree", "-m", "x", *(w for p in parents for w in ("-p", p)), tree)

    old = node("old\n")
    new = node("new\n", old)
    head = node("old\n", old, node("old\n", node("new\n", node("new\n", new))))
    base = node("new\n", old, node("new\n", node("newer\n", node("new\n", new))))
    git(forge, "update-ref", "refs/heads/main", base)
    git(forge, "update-ref", "refs/heads/feature", head)
    shallow = clone(forge, "--depth=3", "--no-single-branch")
    assert git(shallow, "merge-base", head, base) == old
    assert merging.merge(shallow, head, base, target="main").tree == git(forge, "rev-parse", "feature^{tree}")


def test_a_forks_head_is_reached_by_its_pull_request(forge: Path, tmp_path: Path) -> None:
    """A server that gives no commit by its name gives it by refs/pull/N/head."""
    git(forge, "config", "uploadpack.allowAnySHA1InWant", "false")
    git(forge, "checkout", "-q", "--detach", "feature")
    head = commit(forge, "of a fork", e="fork")
    git(forge, "update-ref", "refs/pull/7/head", head)
    git(forge, "checkout", "-q", "main")
    base = git(forge, "rev-parse", "main")
    found = merging.merge(clone(forge), head, base, target="main", references=["refs/pull/7/head"])
    assert found.tree == merging.merge(forge, head, base, target="main").tree


def test_a_commit_that_nobody_has_is_infrastructure(forge: Path) -> None:
    """A head that was pushed away, or a clone without a remote, ends with exit code 3 and a hint."""
    for root in (forge, clone(forge)):
        with pytest.raises(Infrastructure, match="could not be fetched") as caught:
            merging.merge(root, "f" * 40, tips(forge)[1], target="main")
        assert "fetch-depth: 0" in caught.value.problems[0].hint


def test_a_history_that_is_cut_without_a_remote(forge: Path) -> None:
    """Where the rest of the history cannot be had, it is not guessed."""
    root = clone(forge, "--depth=2", "--no-single-branch")
    git(root, "remote", "remove", "origin")
    with pytest.raises(Infrastructure, match="it cannot be seen where"):
        merging.merge(root, *tips(forge), target="main")


def test_histories_without_a_common_beginning(forge: Path) -> None:
    """A branch that began elsewhere has no merge."""
    git(forge, "checkout", "-q", "--orphan", "strange")
    head = commit(forge, "strange", z="z")
    with pytest.raises(Mistake, match="no common history"):
        merging.merge(forge, head, tips(forge)[1], target="main")


@pytest.mark.parametrize("name", ["--output=x", "main", "", "HEAD", "1" * 39])
def test_what_is_no_commit_reaches_no_command(forge: Path, name: str) -> None:
    """Only object ids are commits: no option, no branch."""
    with pytest.raises(Mistake, match="is no commit"):
        merging.merge(forge, name, tips(forge)[1], target="main")


def test_a_queues_tree_is_the_queues_own(forge: Path) -> None:
    """Of a merge queue the tree of its own commit is tested, fetched where it is missing."""
    head, base = tips(forge)
    found = merging.taken(clone(forge, "--depth=1"), head, base, branch="feature")
    assert (found.tree, found.commit) == (git(forge, "rev-parse", f"{head}^{{tree}}"), head)


def fail_within(forge: Path, merged: merging.Merged, place: Path) -> None:
    with merging.checked_out(forge, merged, place) as root:
        assert git(root, "rev-parse", "HEAD^{tree}") == merged.tree
        assert git(root, "status", "--porcelain") == ""
        assert git(forge, "rev-parse", "--abbrev-ref", "HEAD") == "main"
        raise ValueError("work")


def test_a_work_tree_of_the_merge_comes_and_goes(forge: Path, tmp_path: Path) -> None:
    """The merge is checked out beside what is there, clean, and removed also when the work in it fails."""
    merged = merging.merge(forge, *tips(forge), target="main")
    place = tmp_path / "deep" / "place"
    with pytest.raises(ValueError, match="work"):
        fail_within(forge, merged, place)
    assert not place.exists()
    assert len(git(forge, "worktree", "list").splitlines()) == 1


def test_what_a_killed_command_left_is_forgotten_and_nothing_else(forge: Path, tmp_path: Path) -> None:
    """A work tree of ours whose folder is gone; not those of people, nor one that another is just adding."""
    merged = merging.merge(forge, *tips(forge), target="main")
    killed, theirs = tmp_path / "places" / "killed", tmp_path / "elsewhere"
    for path in (killed, theirs):
        git(forge, "worktree", "add", "--quiet", "--detach", str(path), merged.commit)
        shutil.rmtree(path)
    begun = forge / ".git" / "worktrees" / "begun"
    begun.mkdir()
    with merging.checked_out(forge, merged, tmp_path / "places" / "one"):
        assert {path.name for path in begun.parent.iterdir()} == {"begun", "elsewhere", "one"}
        (begun / "locked").write_text("initializing")
        (begun / "gitdir").write_text(f"{tmp_path / 'places' / 'begun' / '.git'}\n")
        with merging.checked_out(forge, merged, tmp_path / "places" / "two"):
            assert (begun / "gitdir").exists()
        os.utime(begun, (0, 0))
        with merging.checked_out(forge, merged, tmp_path / "places" / "two"):
            assert {path.name for path in begun.parent.iterdir()} == {"elsewhere", "one", "two"}


def test_where_the_target_is_now(forge: Path) -> None:
    """The remote is asked where the target is; without one, or without the branch, nobody knows."""
    root = clone(forge)
    assert merging.tip_of(root, "feature") == tips(forge)[0]
    assert merging.tip_of(root, "none") is None
    assert merging.tip_of(forge, "main") is None
    git(root, "remote", "set-url", "origin", "file:///nowhere/at/all")
    assert merging.tip_of(root, "main") is None

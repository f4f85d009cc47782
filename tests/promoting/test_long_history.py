"""A promotion asks Git as often in a repository with many commits as in one with few."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from gitkitchen import history
from gitkitchen.plumbing import Plumbing
from road import made, promoted
from shop import Shop


def grown(shop: Shop, commits: int) -> None:
    """So many more commits on `develop`, each with another file, and the checkout brought to the last."""
    lines = []
    for number in range(commits):
        who = f"committer A <a@example.invalid> {1_700_000_000 + number} +0000"
        lines += ["commit refs/heads/develop", who, "data 4", "more"]
        lines += ["from refs/heads/develop^0"] if number == 0 else []
        lines += ["M 100644 inline notes.txt", f"data {len(str(number))}", f"{number}", ""]
    stream = "\n".join(lines)
    subprocess.run(["git", "fast-import", "--quiet"], cwd=shop.root, input=stream, text=True, check=True)
    shop.git("reset", "-q", "--hard", "develop")


def test_a_long_history_costs_no_more_calls_of_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first promotion from an environment that people push to looks at what its branch stood on, in one
    call, and not in one for each of its commits."""
    calls: list[object] = []
    start = subprocess.Popen.__init__

    def counted(self: subprocess.Popen[bytes], argv: object, *rest: object, **about: object) -> None:
        calls.append(argv)
        start(self, argv, *rest, **about)  # type: ignore[call-overload]

    counts = []
    for name, commits in (("few", 2), ("many", 150)):
        (tmp_path / name).mkdir()
        shop = made(tmp_path / name)
        grown(shop, commits)
        with monkeypatch.context() as patch:
            patch.setattr(subprocess.Popen, "__init__", counted)
            calls.clear()
            promoted(shop, "staging")
            counts.append(len(calls))
    assert counts[0] == counts[1]
    assert counts[0] < 40, "what was asked once is not asked again"


def test_the_commits_between_two_are_those_of_git_in_its_order(tmp_path: Path) -> None:
    """Messages with empty lines and without words, merges: each commit once, the oldest first."""
    shop = made(tmp_path)
    bottom = shop.git("rev-parse", "HEAD")
    shop.commit({"a.txt": "1"}, "one\n\nmore of it\n\nand: more")
    shop.git("switch", "-q", "-c", "side", bottom)
    shop.git("commit", "-q", "--allow-empty", "--allow-empty-message", "-m", "")
    shop.git("merge", "-q", "--no-ff", "-m", "both", "develop")
    found = history.between(shop.root, "side", bottom)
    wanted = shop.git("rev-list", "--reverse", "--topo-order", "side", f"^{bottom}").split()
    assert [c.oid for c in found] == wanted
    assert found == tuple(history.commit_of(shop.root, oid) for oid in wanted)
    assert found[-1].message == "both"
    assert [c.message for c in found if c.message.startswith("one")] == ["one\n\nmore of it\n\nand: more"]


def test_refs_that_do_not_exist_or_lie_below_a_name_are_none_of_those_asked_for(tmp_path: Path) -> None:
    """One call tells where many refs are; a branch is never taken for one whose name begins like it."""
    shop = made(tmp_path)
    shop.git("branch", "feature/a/b")
    git = Plumbing(shop.root)
    tip = shop.git("rev-parse", "HEAD")
    asked = ["refs/heads/feature/a", "refs/heads/feature/a/b", "refs/heads/gone", "refs/heads/main"]
    assert git.refs(asked) == {"refs/heads/feature/a/b": tip, "refs/heads/main": tip}
    assert git.refs([]) == {}

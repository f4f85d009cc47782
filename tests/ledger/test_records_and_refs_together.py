"""Records of several streams and refs of the repository move together, or nothing does."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from tests.ledger.host import QUICK, Clone, Host, git

from gitkitchen.errors import Conflict, Infrastructure
from gitkitchen.ledger.committing import RefMoved
from gitkitchen.ledger.folder import FolderLedger
from gitkitchen.ledger.lease import LeaseLost
from gitkitchen.ledger.protocol import New

PROD = "refs/heads/prod"


def two(expect: int = 0) -> list[New]:
    return [New("moves/prod", {"n": 1}, expect), New("publications/k_main_0123456789ab", {"n": 2}, expect)]


def grown(clone: Clone, message: str) -> str:
    git(clone.root, "commit", "-q", "--allow-empty", "-m", message)
    return git(clone.root, "rev-parse", "HEAD")


def ends(host: Host) -> tuple[str, str]:
    """Where the branch is, and the ledger's."""
    found = git(
        host.remote, "for-each-ref", "--format=%(refname) %(objectname)", PROD, "refs/heads/gitkitchen-ledger"
    )
    there = dict(line.split() for line in found.splitlines())
    return there.get(PROD, ""), there.get("refs/heads/gitkitchen-ledger", "")


def test_one_push_moves_the_branch_and_both_streams(host: Host) -> None:
    """The branch and the records are there together, in one commit of the ledger."""
    clone = host.clone("a")
    tip = grown(clone, "one")
    found = clone.ledger().append_together(two(), beside={PROD: (tip, None)})
    assert [r.body for r in found] == [{"n": 1}, {"n": 2}]
    assert ends(host)[0] == tip
    assert git(host.remote, "rev-list", "--count", "gitkitchen-ledger") == "1"
    other = host.clone("b").ledger()
    assert (other.head("moves/prod"), other.head("publications/k_main_0123456789ab")) == (1, 1)


def test_a_branch_that_moved_lets_nothing_be_written(host: Host) -> None:
    """Where the branch is elsewhere, neither it nor the ledger changes, and the refusal says where it is."""
    one, other = host.clone("a"), host.clone("b")
    base = git(one.root, "rev-parse", "HEAD")
    git(one.root, "push", "-q", "origin", f"{base}:{PROD}")
    theirs = grown(other, "theirs")
    git(other.root, "push", "-q", "origin", f"{theirs}:{PROD}")
    before = ends(host)
    with pytest.raises(RefMoved, match=theirs[:12]):
        one.ledger().append_together(two(), beside={PROD: (grown(one, "ours"), base)})
    assert ends(host) == before


def test_a_stream_that_moved_keeps_the_branch_where_it_is(host: Host) -> None:
    """Where a stream has another head than expected, the branch does not move either."""
    clone = host.clone("a")
    clone.ledger().append("moves/prod", {"n": 0}, expect=0)
    before = ends(host)
    with pytest.raises(Conflict, match="moves/prod"):
        clone.ledger().append_together(two(), beside={PROD: (grown(clone, "ours"), None)})
    assert ends(host) == before


def test_other_records_in_between_do_not_matter(host: Host) -> None:
    """A ledger that grew by something else is looked at again, and the move is made on top of it."""
    clone, other = host.clone("a"), host.clone("b")
    ledger = clone.ledger()
    ledger.head("moves/prod")
    other.ledger().append("runs/k_x_0123456789ab/r", {"n": 9}, expect=0)
    tip = grown(clone, "one")
    ledger.append_together(two(), beside={PROD: (tip, None)})
    assert ends(host)[0] == tip
    assert host.clone("c").ledger().head("runs/k_x_0123456789ab/r") == 1


def test_a_lost_answer_is_seen_and_nothing_is_written_twice(host: Host) -> None:
    """The push was applied and its answer was lost: the records are found by their marks."""
    clone = host.clone("a")
    tip = grown(clone, "one")
    flag = host.folder / "dropped"
    host.hook("post-receive", f"[ -e {flag} ] || {{ touch {flag}; kill -9 $PPID; }}")
    found = clone.ledger().append_together(two(), beside={PROD: (tip, None)})
    assert [r.sequence for r in found] == [1, 1]
    assert ends(host)[0] == tip
    assert host.clone("b").ledger().head("moves/prod") == 1


def test_a_remote_that_refuses_the_branch_takes_no_record(host: Host) -> None:
    """A rule that guards the branch refuses the whole push."""
    clone = host.clone("a")
    host.hook("update", f'[ "$1" != {PROD} ]')
    with pytest.raises(Infrastructure, match="refused"):
        clone.ledger().append_together(two(), beside={PROD: (grown(clone, "one"), None)})
    assert ends(host) == ("", "")


def test_who_lost_the_lease_moves_nothing(host: Host) -> None:
    """A lease that has passed to another holder lets neither branch nor ledger move."""
    one, other = host.clone("a"), host.clone("b")
    mine = one.ledger()
    with mine.lease("promote/prod", "one") as held:
        lost = other.ledger()
        lost.head("moves/prod")
        view = lost.view()
        path = next(p for p in _files(host) if "lease" in p)
        assert view.file(path) is not None
        text = subprocess.run(
            ["git", "show", f"gitkitchen-ledger:{path}"], cwd=host.remote, check=True, capture_output=True
        ).stdout
        lost.commit(
            [],
            lambda _view: {path: text.replace(b'"fence":1', b'"fence":2').replace(b'"mark":"', b'"mark":"x')},
        )
        with pytest.raises(LeaseLost):
            mine.append_together(two(), under=held, beside={PROD: (grown(one, "ours"), None)})
    assert ends(host)[0] == ""


def _files(host: Host) -> list[str]:
    return git(host.remote, "ls-tree", "-r", "--name-only", "gitkitchen-ledger").splitlines()


def test_without_a_remote_the_same_holds(tmp_path: Path) -> None:
    """In a repository of its own, branch and ledger move by one transaction of refs, or not at all."""
    root = tmp_path / "own"
    root.mkdir()
    git(root, "init", "-q", "-b", "main")
    clone = Clone(root)
    first = grown(clone, "first")
    second = grown(clone, "second")
    clone.ledger(QUICK).append_together(two(), beside={PROD: (first, None)})
    assert git(root, "rev-parse", PROD) == first
    ledger = git(root, "rev-parse", "gitkitchen-ledger")
    with pytest.raises(RefMoved):
        clone.ledger(QUICK).append_together(two(1), beside={PROD: (second, second)})
    assert git(root, "rev-parse", PROD, "gitkitchen-ledger").split() == [first, ledger]


def test_a_folder_says_that_it_is_not_whole(tmp_path: Path) -> None:
    """A ledger in a folder writes one record after the other, and takes no refs."""
    ledger = FolderLedger(tmp_path)
    assert not ledger.whole
    assert [r.sequence for r in ledger.append_together(two())] == [1, 1]
    with pytest.raises(ValueError, match="no refs"):
        ledger.append_together(two(1), beside={PROD: ("0" * 40, None)})

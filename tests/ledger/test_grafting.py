"""Trees of the ledger's branch are named by us and written by git: both must say the same."""

from __future__ import annotations

import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.ledger.host import BRANCH, Host, git

from gitkitchen.ledger.branch import BranchLedger
from gitkitchen.objects import FILE, FOLDER, Entry, name_of
from gitkitchen.plumbing import Plumbing

NAMES = st.text(st.sampled_from("ab0@.-é\udcff"), min_size=1, max_size=4).filter(
    lambda n: n not in (".", "..")
)
KINDS = st.sampled_from((FILE, FOLDER))


@pytest.mark.parametrize("algorithm", ["sha1", "sha256"])
def test_a_tree_has_the_name_that_git_gives_it(
    tmp_path_factory: pytest.TempPathFactory, algorithm: str
) -> None:
    """Whatever the names: a folder sorts as if a slash ended its name, beside files that begin like it."""
    root = tmp_path_factory.mktemp(algorithm)
    subprocess.run(["git", "init", "-q", "--bare", f"--object-format={algorithm}", str(root)], check=True)
    plumbing = Plumbing(root)
    width = plumbing.width()
    assert width == {"sha1": 40, "sha256": 64}[algorithm]

    @given(st.lists(st.dictionaries(NAMES, KINDS, max_size=6), min_size=10, max_size=10))
    def same(made: list[dict[str, str]]) -> None:
        trees = [
            {name: Entry(kind, f"{number:0{width}x}") for number, (name, kind) in enumerate(tree.items(), 1)}
            for tree in made
        ]
        assert [name_of(tree, width) for tree in trees] == plumbing.trees(trees)

    same()


def test_records_at_any_depth_are_one_whole_commit(host: Host) -> None:
    """Streams in folders that are there, and in new ones: git finds every object, and each record is read."""
    clone = host.clone("one")
    streams = ("a", "a/b/c/d", "a/b", "x-y", "x")
    for stream in streams:
        clone.ledger().append(stream, {"of": stream})
    git(host.remote, "fsck", "--strict", "--connectivity-only", BRANCH)
    read: BranchLedger = host.clone("two").ledger()
    found = {stream: [record.body["of"] for record in read.read(stream)] for stream in read.streams()}
    assert found == {stream: [stream] for stream in streams}

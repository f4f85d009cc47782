"""One logical write is one object, and state is what Git says: SURVIVE S10, S12, S15."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gitkitchen.github.forge.faults import Fault
from gitkitchen.road import effects
from lengths import some
from road import TWO, made, promoted, remote, rows, tree
from town import Town, towned

CHILD = """
import os, signal, sys
from gitkitchen.cli.main import main
from gitkitchen.road import effects
def kill(step, now):
    if (step, now) == ("take-lease", "after"):
        os.kill(os.getpid(), signal.SIGKILL)
effects.watchers.append(kill)
sys.exit(main(["-C", sys.argv[1], "promote", "staging", "--quiet"]))
"""


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    with towned(tmp_path) as found:
        found.repo.protect("staging")
        yield found


FAULTS = [
    ("POST", r"/pulls$"),
    ("PUT", r"/merge$"),
    ("POST", r"/comments$"),
    ("POST", r"/dispatches$"),
]
KINDS = ("502-after", "reset-after", "503", "reset")


@pytest.mark.long
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("verb", "path"), FAULTS, ids=["pull", "merge", "comment", "dispatch"])
def test_s10_one_logical_write_is_one_object(town: Town, verb: str, path: str, kind: str) -> None:
    """S10 (one dispatch became 47 runs): whatever answer is lost, however often it is asked for,
    there is one pull request, one landing, one comment about it, and one start of the next step."""
    fault = Fault(kind, verb, path, times=1)
    town.forge.desk.faults.append(fault)
    for _ in range(3):
        town.promote("staging")
        town.time.now += 120
    assert fault.times == 0, "the fault never struck"
    assert town.promote("staging").code == 0
    assert len(town.pulls()) == 1
    moves = [m for m in town.moves("staging") if m["move"] == "landing"]
    assert len(moves) == 1
    assert [m["move"] for m in town.moves("staging")] == ["landing"]
    told = [c for c in town.repo.repo.comments.values() if str(moves[0]["commit"]) in c.body]
    assert len(told) <= 1
    started = [
        d for d in town.repo.deliveries("workflow_dispatch") if d.payload["inputs"]["promote"] == "prod"
    ]
    assert len(started) <= 1
    assert town.tree("staging") == town.tree("develop")


@pytest.mark.long
def test_s12_merged_is_what_git_says(town: Town) -> None:
    """S12 (gitops-promoter #1104: merged but recorded open): the button's answer, the record and
    the pull request's state are lost. It is found on the branch, recorded once, and not merged again."""
    killed: list[str] = []

    def kill(name: str, when: str) -> None:
        if (name, when) == ("merge-button", "after") and not killed:
            killed.append(name)
            raise KeyboardInterrupt

    effects.watchers.append(kill)
    try:
        with pytest.raises(KeyboardInterrupt):
            town.promote("staging")
    finally:
        effects.watchers.remove(kill)
    landed = town.repo.head("staging")
    assert town.moves("staging") == []
    (pull,) = town.pulls()
    pull.state, pull.merged_at, pull.merge_sha = "open", None, None  # the forge has forgotten it
    town.time.now += 3600
    for _ in range(3):
        said = town.promote("staging")
        assert said.code == 0, said.out
        town.time.now += 60
    assert town.repo.head("staging") == landed
    (move,) = town.moves("staging")
    assert move["commit"] == landed
    assert town.rows("staging") == [("AA",)]


@pytest.mark.parametrize("where", some(["folder", "branch"], "folder"))
def test_s15_a_killed_promoter_leaves_no_lock_to_be_forced(tmp_path: Path, where: str) -> None:
    """S15 (Terraform: a killed apply keeps its lock): kill -9 while it holds the lease; the
    next promotion lands without any command that forces, breaks or deletes something."""
    if where == "folder":
        shop = made(tmp_path, TWO)
        environ: dict[str, str] = {}
    else:
        host = remote(tmp_path, TWO)
        shop = host.clone("job", "main")
        environ = host.environ("main")
    child = subprocess.run(
        [sys.executable, "-c", CHILD, str(shop.root)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environ},
    )
    assert child.returncode == -signal.SIGKILL, child.stdout + child.stderr
    if where == "folder":
        promoted(shop, "staging")
        assert rows(shop, "staging", "select carrier from worst") == [("AA",)]
        assert tree(shop, "staging") == tree(shop, "develop")
        return
    said = host.job(shop, "main", "promote", "staging", "--quiet")
    assert said.code == 0, said.out + said.err
    assert host.git("rev-parse", "staging^{tree}") == host.git("rev-parse", "develop^{tree}")

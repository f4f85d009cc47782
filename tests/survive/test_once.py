"""One logical write is one object, state is what Git says, and no start is lost: SURVIVE S10,
S12, S14, S15, S18."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gitkitchen.github.forge.faults import Fault
from gitkitchen.ledger.branch import BranchLedger
from gitkitchen.ledger.layout import lease_file
from gitkitchen.road import effects
from gitkitchen.road.ground import Ground
from gitkitchen.workplace import Request
from lengths import some
from road import KITCHEN_YML, TWO, made, promoted, remote, rows, tree
from shop import Said
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
    assert len(told) == 1
    started = [
        d for d in town.repo.deliveries("workflow_dispatch") if d.payload["inputs"]["promote"] == "prod"
    ]
    assert len(started) == 1
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


def taken(lease: dict[str, Any], **more: object) -> bytes:
    """The lease as whoever found it expired takes it, on a machine that this one cannot look into."""
    process = {"machine": "elsewhere", "pid": 1, "started": "1"}
    given = {"fence": lease["fence"] + 1, "mark": "another", "holder": "another", "process": process}
    return json.dumps(lease | given | {"expires": "2199-01-01T00:00:00+00:00"} | more).encode()


def in_a_folder(root: Path, **more: object) -> None:
    """Somebody else takes the lease of staging."""
    folder = root / ".gitkitchen/ledger/@leases/promote/staging"
    newest = max(folder.iterdir())
    held = json.loads(newest.read_bytes())
    (folder / f"{held['fence'] + 1:09d}.json").write_bytes(taken(held, **more))


def on_a_branch(root: Path, **more: object) -> None:
    """Somebody else takes the lease of staging, from another clone."""
    name = lease_file("promote/staging")
    ledger = BranchLedger(root, root / ".gitkitchen", say=print)
    ledger.commit([], lambda view: {name: taken(json.loads(view.file(name) or b"{}"), **more)})


def asleep(command: Callable[[], Said], at: tuple[str, str], then: Callable[[], None]) -> Said:
    """A promotion that sleeps at a moment, once, while something else happens."""
    slept: list[str] = []

    def sleep(name: str, when: str) -> None:
        if (name, when) == at and not slept:
            slept.append(name)
            then()

    effects.watchers.append(sleep)
    try:
        return command()
    finally:
        effects.watchers.remove(sleep)


@pytest.mark.parametrize(
    "step", some([("judge-again", "after"), ("record-move", "before")], ("record-move", "before"))
)
def test_s14_who_slept_past_its_lease_moves_and_records_nothing(
    tmp_path: Path, step: tuple[str, str]
) -> None:
    """S14 (Airflow #23520: one task ran twice at once): another has the lease when a promoter wakes up. What
    it would have written is refused, and it names the holder; given back, the same command lands once."""
    shop = made(tmp_path, TWO)
    before = shop.git("rev-parse", "staging")
    promote = lambda: shop.cli("promote", "staging", "--quiet")  # noqa: E731
    said = asleep(promote, step, lambda: in_a_folder(shop.root))
    assert (said.code, "another" in said.err) == (3, True), said.out + said.err
    ledger = Ground.of(Request(start=shop.root)).ledger
    assert [s for s in ledger.streams() if s.startswith(("promotions/", "publications/"))] == []
    assert (shop.git("rev-parse", "staging") == before) is (step[0] == "judge-again")
    in_a_folder(shop.root, released=True)
    promoted(shop, "staging")
    assert [r.body["move"] for r in ledger.read("promotions/staging")] == ["landing"]
    assert rows(shop, "staging", "select carrier from worst") == [("AA",)]


@pytest.mark.long
def test_s14_who_slept_past_its_lease_pushes_nothing(tmp_path: Path) -> None:
    """S14 over a remote: the push itself is refused, branch and records together."""
    host = remote(tmp_path, TWO)
    shop, other = host.clone("job", "main"), host.clone("other", "main")
    before = host.git("rev-parse", "staging")

    def promote() -> Said:
        return host.job(shop, "main", "promote", "staging", "--quiet")

    said = asleep(promote, ("atomic-push", "before"), lambda: on_a_branch(other.root))
    assert (said.code, "another" in said.err) == (3, True), said.out + said.err
    assert host.git("rev-parse", "staging") == before
    kept = host.git("ls-tree", "-r", "--name-only", "gitkitchen-ledger").splitlines()
    assert [name for name in kept if name.startswith(("promotions/", "publications/"))] == []
    on_a_branch(other.root, released=True)
    assert promote().code == 0
    assert host.git("rev-parse", "staging^{tree}") == host.git("rev-parse", "develop^{tree}")


ALERTS = """\
alerts:
  channels: {issues: {type: github_issue}}
  rules: [{channels: [issues]}]
"""


@pytest.mark.long
@pytest.mark.parametrize("conclusion", ["cancelled", "startup_failure", "success"])
def test_s18_a_promotion_that_was_dropped_from_its_queue_is_told(tmp_path: Path, conclusion: str) -> None:
    """S18 (the concurrency group dropped the queued promotion): the job that a landing started ended before
    it began. The next push says so and opens one issue, however often it is seen; the promotion that is
    started by hand lands, and closes it. A job that had its say is nobody's business."""
    text = KITCHEN_YML + f"ledger: branch\nstore: file://{tmp_path}/store\n" + ALERTS
    with towned(tmp_path, {"kitchen.yml": text}) as town:
        rights = {"contents": "write", "pull_requests": "write", "actions": "write", "checks": "write"}
        town.token = town.forge.job_token(town.repo, **rights, issues="write")
        assert town.promote("staging").code == 0
        (run,) = [r for r in town.repo.repo.runs.values() if "promote prod" in r.title]
        run.status, run.conclusion = "queued", None

        def seen() -> list[str]:
            before = town.repo.head("develop")
            town.repo.commit("develop", {"b.txt": f"{town.count}"}, author="olga")
            said = town.pushed("develop", before)
            assert said.code == 0
            told = [i.title for i in town.repo.repo.issues.values() if i.state == "open"]
            assert bool(told) == ("never ran" in said.out)
            return told

        assert seen() == []
        run.status, run.conclusion = "completed", conclusion
        if conclusion == "success":
            assert seen() == []
            return
        assert seen() == ["[flights prod] a promotion was refused"]
        assert seen() == ["[flights prod] a promotion was refused"]
        (issue,) = town.repo.repo.issues.values()
        assert f"job {run.id} ended {conclusion}" in str(issue.body).replace("\\_", "_")
        assert "| **Failures in a row** | 1 |" in str(issue.body)
        assert town.promote("prod").code == 0
        assert [i.state for i in town.repo.repo.issues.values()] == ["closed"]
        assert seen() == []

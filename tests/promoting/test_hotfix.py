"""Hotfixes: straight to production, brought back by themselves, and never lost on the way."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gitkitchen.promote.shapes import Intent
from gitkitchen.road.ground import Ground
from gitkitchen.workplace import Request
from road import FILES, SQL, made, promoted, remote, rows, tree
from shop import Said, Shop

WORDS = ("--hotfix", "--from", "fix", "--reason", "wrong sign", "--quiet")
GATES = (
    "{command: [{name: slow, run: ['false']}], hotfix: {command: [{name: quick, run: [test, -f, fix.txt]}]}}"
)


def road(folder: Path, gate: str = "") -> Shop:
    """dev, staging and prod stand on one tree; develop has gone on since."""
    text = FILES["kitchen.yml"]
    shop = made(folder, {**FILES, "kitchen.yml": text, "notes.txt": "one\ntwo\nthree\n"})
    if gate:
        shop.commit({"kitchen.yml": text.replace("branch: main", f"branch: main, gate: {gate}")})
    promoted(shop, "staging")
    promoted(shop, "prod")
    shop.commit({"later.txt": "of develop\n"})
    shop.git("switch", "-q", "-c", "fix", "main")
    return shop


def hot(shop: Shop, code: int = 0, *words: str) -> Said:
    said = shop.cli("promote", "prod", *WORDS, *words)
    assert said.code == code, said.out + said.err
    return said


def standing(shop: Shop, environment: str, gate: str) -> str:
    said = shop.cli("promote", environment, "--dry-run", "--json")
    return {g["gate"]: g["standing"] for g in json.loads(said.out)["gates"]}.get(gate, "")


def test_a_hotfix_lands_is_brought_back_and_blocks_until_it_is_in(tmp_path: Path) -> None:
    """Straight from its branch; a branch with its change alone; no promotion passes without it; then all."""
    shop = road(tmp_path)
    shop.commit({"fix.txt": "mended\n"}, "mend")
    before = shop.git("count-objects"), shop.git("show-ref")
    hot(shop, 1, "--dry-run")
    assert (shop.git("count-objects"), shop.git("show-ref")) == before, "a dry run writes nothing"
    said = hot(shop)
    course = Ground.of(Request(start=shop.root)).course("prod")
    assert course.last is not None
    assert (course.last.intent, course.last.reason) == (Intent.HOTFIX, "wrong sign")
    assert course.last.source_environment == ""
    assert tree(shop, "main") == tree(shop, "fix")
    branch = f"gitkitchen-backport/prod-{course.last.commit[:12]}"
    assert f"git merge {branch}" in said.out
    assert shop.git("diff", "--name-only", f"develop..{branch}") == "fix.txt"
    shop.git("switch", "-q", "develop")
    promoted(shop, "staging")
    said = shop.cli("promote", "prod", "--quiet")
    assert said.code == 1
    assert "lacks what was mended in prod" in said.out
    assert f"whoever merges the back-port branch {branch}" in said.out
    assert f"git merge {branch}" in said.out
    assert shop.git("show", "main:fix.txt") == "mended"
    shop.git("merge", "-q", "-m", "back", branch)
    promoted(shop, "staging")
    promoted(shop, "prod")
    assert shop.git("show", "main:fix.txt") == "mended"
    assert shop.git("show", "main:later.txt") == "of develop"


@pytest.mark.long
def test_the_shorter_list_of_gates_is_the_targets(tmp_path: Path) -> None:
    """What forward promotions wait for a hotfix does not; what its own list asks it does."""
    text = FILES["kitchen.yml"].replace("branch: main", f"branch: main, gate: {GATES}")
    shop = made(tmp_path, {**FILES, "kitchen.yml": text})
    shop.git("switch", "-q", "-c", "fix", "main")
    shop.commit({"other.txt": "no fix\n"})
    assert "command:quick" in hot(shop, 1).out
    shop.commit({"fix.txt": "mended\n"})
    assert "command:slow" not in hot(shop).out


@pytest.mark.long
def test_the_same_command_again_lands_nothing_twice_and_makes_the_back_port(tmp_path: Path) -> None:
    """Also where the branch of the back-port was taken away."""
    shop = road(tmp_path)
    shop.commit({"fix.txt": "mended\n"})
    hot(shop)
    tip = shop.git("rev-parse", "main")
    branch = f"gitkitchen-backport/prod-{tip[:12]}"
    made_first = shop.git("rev-parse", branch)
    shop.git("branch", "-q", "-D", branch)
    assert "already" in hot(shop).out
    assert shop.git("rev-parse", "main") == tip
    assert shop.git("rev-parse", branch) == made_first


@pytest.mark.long
def test_a_branch_that_would_undo_what_landed_is_refused(tmp_path: Path) -> None:
    """A hotfix lacks nothing that stands there, is a branch of its own, and is named."""
    shop = road(tmp_path)
    shop.commit({"fix.txt": "mended\n"})
    shop.git("switch", "-q", "develop")
    promoted(shop, "staging")
    promoted(shop, "prod")
    assert "would undo what landed" in hot(shop, 2).err
    for name in ("develop", "staging", "nowhere", ""):
        said = shop.cli("promote", "prod", "--hotfix", "--from", name)
        assert said.code == 2, name
    assert shop.cli("promote", "prod", "--hotfix").code == 2


@pytest.mark.long
def test_a_change_that_does_not_fit_is_told_with_its_command(tmp_path: Path) -> None:
    """Where people changed the same lines meanwhile, no branch is made, and what to type brings it."""
    shop = road(tmp_path)
    shop.commit({"notes.txt": "one\nmended\nthree\n"})
    shop.git("switch", "-q", "develop")
    shop.commit({"notes.txt": "one\nchanged\nthree\n"})
    said = hot(shop)
    commit = shop.git("rev-parse", "main")[:12]
    assert f"git switch develop && git cherry-pick -m 1 -x {commit}" in said.out
    assert "backport" not in shop.git("for-each-ref")


@pytest.mark.long
def test_s20_a_back_port_after_a_rollback_reverts_nothing(tmp_path: Path) -> None:
    """A fix on a rolled-back production brings its own change back and not the rollback."""
    shop = road(tmp_path)
    shop.git("switch", "-q", "develop")
    promoted(shop, "staging")
    promoted(shop, "prod")
    assert shop.cli("rollback", "prod", "--quiet", "--reason", "wrong").code == 0
    shop.git("branch", "-f", "fix", "main")
    shop.git("switch", "-q", "fix")
    shop.commit({"fix.txt": "mended\n"})
    hot(shop)
    branch = f"gitkitchen-backport/prod-{shop.git('rev-parse', 'main')[:12]}"
    assert shop.git("diff", "--name-status", f"develop..{branch}") == "A\tfix.txt"
    assert shop.git("show", f"{branch}:later.txt") == "of develop"
    assert rows(shop, "prod") == [("AA", 2), ("UA", 1)]


@pytest.mark.long
def test_ancestry_that_took_nothing_over_is_no_back_port(tmp_path: Path) -> None:
    """Merged into staging, and gone there with the next promotion: it is not in, whatever the graph says."""
    shop = road(tmp_path)
    shop.commit({"fix.txt": "mended\n"})
    hot(shop)
    shop.git("switch", "-q", "staging")
    shop.git("merge", "-q", "-m", "by hand", "main")
    shop.git("switch", "-q", "develop")
    shop.commit({"recipes/delays/late.sql": SQL + "-- more\n"})
    promoted(shop, "staging")
    assert shop.git("merge-base", "--is-ancestor", "main", "staging") == ""
    assert "fix.txt" not in shop.git("ls-tree", "--name-only", "staging")
    assert standing(shop, "prod", "hotfix") == "pending"


@pytest.mark.long
def test_on_a_remote_the_back_port_is_pushed(tmp_path: Path) -> None:
    """The branches that count are the remote's."""
    host = remote(tmp_path)
    for environment in ("staging", "prod"):
        job = host.clone(f"to-{environment}", "main")
        assert host.job(job, "main", "promote", environment, "--quiet").code == 0
    mender = host.clone("mender", "main")
    mender.git("switch", "-q", "-c", "fix")
    mender.commit({"fix.txt": "mended\n"})
    mender.git("push", "-q", "origin", "fix")
    said = host.job(host.clone("job", "main"), "main", "promote", "prod", *WORDS)
    assert said.code == 0, said.out + said.err
    assert host.git("show", "main:fix.txt") == "mended"
    branch = f"gitkitchen-backport/prod-{host.git('rev-parse', 'main')[:12]}"
    assert host.git("diff", "--name-only", f"develop..{branch}") == "fix.txt"

"""kill -9 before and after every effect of a promotion: the same command ends it, and nothing is torn."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from gitkitchen.promote.protocol import Purpose, Way, route
from gitkitchen.promote.shapes import Landing
from gitkitchen.road.ground import Ground
from gitkitchen.workplace import Request
from road import TWO, made, promoted, remote, rows, tree
from shop import Shop
from walks import watched

CHILD = """
import os, signal, sys
from gitkitchen.cli.main import main
from gitkitchen.road import effects
name, when, root = sys.argv[1:4]
def kill(step, now):
    if (step, now) == (name, when):
        os.kill(os.getpid(), signal.SIGKILL)
effects.watchers.append(kill)
sys.exit(main(["-C", root, "promote", "staging", "--quiet"]))
"""
LOCAL = [step.name for step in route(Purpose.FORWARD, Way.LOCAL).steps]
QUICK = {("record-move", "after")}  # torn behind its branch: tests/auditing/test_promoted.py


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """A road whose staging shows the first tree, with another one run on dev."""
    found = made(tmp_path, TWO)
    for name in ("delays", "report"):
        assert found.cli("run", name, "--quiet").code == 0
    promoted(found, "staging")
    found.replace("recipes/delays/late.sql", "count(*)", "99 - count(*)")
    found.commit()
    for name in ("delays", "report"):
        assert found.cli("run", name, "--quiet").code == 0
    return found


def done(shop: Shop) -> list[str]:
    """The effects of a whole promotion, in order, by the code itself."""
    with watched() as walk:
        promoted(shop, "staging")
    return walk.steps


def killed(shop: Shop, name: str, when: str, environ: Mapping[str, str] | None = None) -> None:
    """A promotion that is killed at a step."""
    child = subprocess.run(
        [sys.executable, "-c", CHILD, name, when, str(shop.root)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **(environ or {})},
    )
    assert child.returncode == -signal.SIGKILL, child.stdout + child.stderr


def landings(shop: Shop) -> tuple[Landing, ...]:
    return Ground.of(Request(start=shop.root)).course("staging").landings


def check(shop: Shop) -> None:
    """Old or new, whole: never one recipe's data with another's tree."""
    seen = (
        rows(shop, "staging", "select n from late order by n"),
        rows(shop, "staging", "select * from worst"),
    )
    assert seen in (([(1,), (2,)], [("AA", 2)]), ([(97,), (98,)], [("UA", 98)]))


def test_the_steps_are_those_of_the_protocol(shop: Shop) -> None:
    """A promotion without a forge does the steps of its route, in that order, and no other."""
    seen = done(shop)
    assert seen == LOCAL


POINTS = [
    pytest.param(name, when, marks=() if (name, when) in QUICK else pytest.mark.long)
    for name in LOCAL
    for when in ("before", "after")
]


@pytest.mark.parametrize(("name", "when"), POINTS)
def test_the_same_command_ends_what_was_killed(shop: Shop, name: str, when: str) -> None:
    """Killed at any point, readers see the whole old or the whole new, and the next promotion ends it."""
    killed(shop, name, when)
    check(shop)
    promoted(shop, "staging")
    assert tree(shop, "staging") == tree(shop, "develop")
    assert rows(shop, "staging", "select * from worst") == [("UA", 98)]
    found = landings(shop)
    assert len(found) == 2
    assert found[-1].commit == shop.git("rev-parse", "staging")
    assert found[-1].before == found[0].commit
    assert found[-1].source == shop.git("rev-parse", "develop")
    ledger = Ground.of(Request(start=shop.root)).ledger
    assert [p for stream in ledger.streams() for p in ledger.verify(stream)] == []
    assert shop.git("status", "--porcelain") == ""
    assert json.loads(shop.cli("promote", "staging", "--json").out)["new"] is False


AGAIN = [
    "take-lease",
    "judge-again",
    "record-move",
    "show-views",
    "give-back-lease",
]


@pytest.mark.long
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("name", AGAIN)
def test_who_completes_a_killed_one_may_be_killed_too(shop: Shop, name: str, when: str) -> None:
    """The branch moved, nothing is recorded; whoever completes it is killed, and the third one ends it."""
    killed(shop, "move-branch", "after")
    killed(shop, name, when)
    check(shop)
    promoted(shop, "staging")
    found = landings(shop)
    assert [move.told for move in found] == ["", "trailers"]
    assert found[-1].commit == shop.git("rev-parse", "staging")
    assert rows(shop, "staging", "select * from worst") == [("UA", 98)]
    publications = list((shop.root / ".gitkitchen/ledger/publications").glob("k_staging_*/@0*/*.json"))
    assert len(publications) <= 3


PUSHED = [s.name for s in route(Purpose.FORWARD, Way.PUSH).steps]
THERE = [
    pytest.param(name, when, marks=() if (name, when) == ("atomic-push", "after") else pytest.mark.long)
    for name in PUSHED
    if name not in ("open-pull", "record-move", "report-landed", "close-pull", "dispatch-next")
    for when in ("before", "after")
]


@pytest.mark.parametrize(("name", "when"), THERE)
def test_a_killed_push_is_whole_or_not_there(tmp_path: Path, name: str, when: str) -> None:
    """On a remote, branch and ledger agree after every kill, and another job's promotion ends it."""
    host = remote(tmp_path, TWO)
    killed(host.clone("killed", "main"), name, when, host.environ("main"))
    listed = host.git("for-each-ref", "refs/heads/gitkitchen-ledger") and host.git(
        "ls-tree", "-r", "--name-only", "gitkitchen-ledger"
    )
    moved = host.git("rev-parse", "staging") != host.git("rev-parse", "main")
    assert ("promotions/" in listed) is moved
    assert ("publications/" in listed) is moved
    said = host.job(host.clone("next", "main"), "main", "promote", "staging", "--quiet")
    assert said.code == 0, said.out + said.err
    assert host.git("rev-parse", "staging^{tree}") == host.git("rev-parse", "develop^{tree}")
    listed = host.git("ls-tree", "-r", "--name-only", "gitkitchen-ledger")
    assert (listed.count("promotions/"), listed.count("publications/")) == (1, 1)
    assert rows(host.clone("reader", "staging"), "staging", "select * from worst") == [("AA", 2)]

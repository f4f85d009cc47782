"""kill -9 before and after every effect of a rollback: the same command ends it, and nothing is torn."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from gitkitchen.promote.protocol import FORGE_ONLY, Purpose, Way, route
from gitkitchen.promote.shapes import Intent
from gitkitchen.road.ground import Ground
from gitkitchen.workplace import Request
from road import TWO, Remote, made, promoted, remote, rows, tree
from shop import Shop

CHILD = """
import os, signal, sys
from gitkitchen.cli.main import main
from gitkitchen.road import effects
name, when, root, *words = sys.argv[1:]
def kill(step, now):
    if (step, now) == (name, when):
        os.kill(os.getpid(), signal.SIGKILL)
effects.watchers.append(kill)
sys.exit(main(["-C", root, *words]))
"""
WORDS = ("rollback", "staging", "--quiet", "--reason", "it counts wrong")
TOLD = FORGE_ONLY | {"report-landed"}
QUICK = {("record-hold", "after"), ("move-branch", "after")}


def killed(
    shop: Shop, name: str, when: str, words: tuple[str, ...], environ: Mapping[str, str] | None = None
) -> None:
    child = subprocess.run(
        [sys.executable, "-c", CHILD, name, when, str(shop.root), *words],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **(environ or {})},
    )
    assert child.returncode == -signal.SIGKILL, child.stdout + child.stderr


def bad(shop: Shop) -> None:
    shop.replace("recipes/delays/late.sql", "count(*)", "99 - count(*)")
    shop.commit()


GOOD, WRONG = ([(1,), (2,)], [("AA", 2)]), ([(97,), (98,)], [("UA", 98)])


def seen(shop: Shop) -> tuple[list[object], list[object]]:
    return rows(shop, "staging", "select n from late order by n"), rows(
        shop, "staging", "select * from worst"
    )


POINTS = [
    pytest.param(
        step.name,
        when,
        form,
        marks=() if (step.name, when) in QUICK and form == "restore" else pytest.mark.long,
    )
    for form in ("restore", "current", "keep-tree")
    for step in route(Purpose.ROLLBACK, Way.LOCAL).steps
    if step.name not in TOLD
    for when in ("before", "after")
]


@pytest.mark.parametrize(("name", "when", "form"), POINTS)
def test_the_same_command_ends_what_was_killed(tmp_path: Path, name: str, when: str, form: str) -> None:
    """Killed at any point, readers see the whole old or the whole new; asked again, it is there, once."""
    shop = made(tmp_path, TWO)
    promoted(shop, "staging")
    bad(shop)
    promoted(shop, "staging")
    words = (*WORDS, *(("--keep-tree",) if form == "keep-tree" else ("--data", form)))
    killed(shop, name, when, words)
    assert seen(shop) in (GOOD, WRONG)
    said = shop.cli(*words)
    assert said.code == 0, said.out + said.err
    assert seen(shop) == GOOD
    course = Ground.of(Request(start=shop.root)).course("staging")
    first, second, last = course.landings
    assert (last.intent, last.data, last.before) == (Intent.ROLLBACK, form, second.commit)
    assert last.commit == shop.git("rev-parse", "staging")
    assert tree(shop, "staging") == (second if form == "keep-tree" else first).tree
    assert len(course.holds) == 1
    assert [i.kind for i in course.incidents] == ["rollback"]
    ledger = Ground.of(Request(start=shop.root)).ledger
    assert [p for stream in ledger.streams() for p in ledger.verify(stream)] == []
    assert shop.git("status", "--porcelain") == ""


@pytest.mark.long
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("name", ["take-lease", "judge-again", "record-move", "give-back-lease"])
def test_a_promotion_completes_a_killed_rollback_as_what_it_is(tmp_path: Path, name: str, when: str) -> None:
    """Whoever comes next records the rollback with the data of then, and does not pass its hold."""
    shop = made(tmp_path, TWO)
    promoted(shop, "staging")
    bad(shop)
    promoted(shop, "staging")
    killed(shop, "move-branch", "after", WORDS)
    killed(shop, name, when, ("promote", "staging", "--quiet"))
    assert seen(shop) in (GOOD, WRONG)
    said = shop.cli("promote", "staging", "--quiet")
    assert (said.code, "on hold" in said.out) == (1, True), said.out + said.err
    assert seen(shop) == GOOD
    last = Ground.of(Request(start=shop.root)).course("staging").last
    assert last is not None
    assert (last.intent, last.data) == (Intent.ROLLBACK, "restore")


def host(tmp_path: Path) -> Remote:
    found = remote(tmp_path, TWO)
    assert found.job(found.clone("one", "main"), "main", "promote", "staging", "--quiet").code == 0
    dev = found.clone("dev")
    bad(dev)
    dev.git("push", "-q", "origin", "develop")
    said = found.job(found.clone("two", "main"), "main", "promote", "staging", "--quiet")
    assert said.code == 0, said.out + said.err
    return found


@pytest.mark.long
def test_a_rollback_is_one_push(tmp_path: Path) -> None:
    """Branch, move and publication in one commit of the ledger; a laptop is refused, and told the way."""
    found = host(tmp_path)
    good = found.git("rev-parse", "staging~1^{tree}")
    laptop = found.clone("laptop")
    assert "jobs on branch" in laptop.cli(*WORDS).err
    assert laptop.cli(*WORDS, "--dry-run").code == 0
    said = found.job(found.clone("job", "main"), "main", *WORDS)
    assert said.code == 0, said.out + said.err
    assert found.git("rev-parse", "staging^{tree}") == good
    assert seen(found.clone("reader", "main")) == GOOD
    (commit,) = found.git("log", "-1", "--format=%H", "gitkitchen-ledger", "--", "publications").split()
    added = found.git("diff-tree", "--no-commit-id", "-r", "--name-only", commit).splitlines()
    assert {p.split("/")[0] for p in added} >= {"promotions", "publications"}
    said = found.job(found.clone("next", "main"), "main", "promote", "staging", "--quiet")
    assert (said.code, "on hold" in said.out) == (1, True), said.out + said.err


PUSHED = [
    pytest.param(step.name, when)
    for step in route(Purpose.ROLLBACK, Way.PUSH).steps
    if step.name not in TOLD | {"record-move"}
    for when in ("before", "after")
]


@pytest.mark.long
@pytest.mark.parametrize(("name", "when"), PUSHED)
def test_a_killed_push_of_a_rollback_is_whole_or_not_there(tmp_path: Path, name: str, when: str) -> None:
    """On a remote: the old or the new, and another job's same command ends it."""
    found = host(tmp_path)
    killed(found.clone("killed", "main"), name, when, WORDS, found.environ("main"))
    said = found.job(found.clone("again", "main"), "main", *WORDS)
    assert said.code == 0, said.out + said.err
    shop = found.clone("reader", "staging")
    assert seen(shop) == GOOD
    course = Ground.of(Request(start=shop.root)).course("staging")
    assert [m.intent for m in course.landings] == [Intent.FORWARD, Intent.FORWARD, Intent.ROLLBACK]
    assert len(course.holds) == 1

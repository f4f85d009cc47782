"""S3, S20 and S30 of what must be survived: order, reverts, and why somebody moves."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gitkitchen.promote.shapes import Intent
from gitkitchen.road.ground import Ground
from gitkitchen.workplace import Request
from road import TWO, made, promoted, rows, tree
from shop import Shop

GOOD = [("AA", 2), ("UA", 1)]


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """Staging landed a tree, and then another."""
    found = made(tmp_path, TWO)
    promoted(found, "staging")
    found.replace("recipes/delays/late.sql", "count(*)", "99 - count(*)")
    found.commit({"feature.txt": "wanted\n"})
    promoted(found, "staging")
    return found


def test_s20_promote_roll_back_fix_promote_again_has_the_change(shop: Shop) -> None:
    """The classic of merges: after a revert, the change silently vanishes with the next one. Not here."""
    assert shop.cli("rollback", "staging", "--quiet", "--reason", "counts wrong").code == 0
    assert "feature.txt" not in shop.git("ls-tree", "--name-only", "staging")
    shop.replace("recipes/delays/late.sql", "99 - count(*)", "count(*)")
    shop.commit()
    assert shop.cli("hold", "staging", "--release").code == 0
    promoted(shop, "staging")
    assert shop.git("show", "staging:feature.txt") == "wanted"
    assert tree(shop, "staging") == tree(shop, "develop")
    assert rows(shop, "staging") == GOOD


def test_s3_the_newest_is_what_landed_last_and_not_what_is_dated_so(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A commit dated years back is promoted where it is the newest; an older one, dated ahead, never."""
    for key in ("GIT_AUTHOR_DATE", "GIT_COMMITTER_DATE"):
        monkeypatch.setitem(os.environ, key, "2036-01-01T00:00:00Z")
    shop.commit({"a.txt": "dated ahead"})
    ahead = shop.git("rev-parse", "develop")
    for key in ("GIT_AUTHOR_DATE", "GIT_COMMITTER_DATE"):
        monkeypatch.setitem(os.environ, key, "2016-01-01T00:00:00Z")
    shop.commit({"a.txt": "newest, dated back"})
    newest = shop.git("rev-parse", "develop")
    promoted(shop, "staging")
    course = Ground.of(Request(start=shop.root)).course("staging")
    assert course.last is not None
    assert course.last.source == newest
    said = shop.cli("promote", "staging", "--from", ahead, "--quiet")
    assert said.code == 2
    assert "older" in said.err
    assert shop.cli("rollback", "staging", "--quiet", "--reason", "back").code == 0
    assert "a.txt" not in shop.git("ls-tree", "--name-only", "staging")


def test_s30_old_jobs_go_no_way_back_and_guard_no_rollback(shop: Shop) -> None:
    """An old promotion that runs again does not take consumers back; a rollback is asked for as one, and no
    guard against going back stops it; nor does an old promotion undo it."""
    first = Ground.of(Request(start=shop.root)).course("staging").landings[0]
    bad = shop.git("rev-parse", "develop")
    said = shop.cli("promote", "staging", "--from", first.source, "--quiet")
    assert said.code == 2
    assert "going back is a rollback" in said.err
    assert shop.cli("hold", "staging", "--reason", "look first").code == 0
    assert shop.cli("rollback", "staging", "--quiet", "--reason", "wrong", "--to", first.source).code == 0
    course = Ground.of(Request(start=shop.root)).course("staging")
    assert course.last is not None
    assert (course.last.intent, course.last.tree) == (Intent.ROLLBACK, first.tree)
    for words in ((), ("--from", bad), ("--from", first.source)):
        assert shop.cli("promote", "staging", "--quiet", *words).code in (1, 2), words
    assert tree(shop, "staging") == first.tree
    assert rows(shop, "staging") == GOOD

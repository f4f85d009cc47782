"""Rollback without a forge: what comes back, what is held, and what cannot be."""

from __future__ import annotations

import json
from pathlib import Path

import duckdb
import pytest

from gitkitchen.promote.moves import Course, moves_of
from gitkitchen.promote.protocol import Purpose, Way, route
from gitkitchen.promote.shapes import Incident, Intent, Landing, Move, stream_of
from gitkitchen.road import effects
from gitkitchen.road.ground import Ground
from gitkitchen.workplace import Request
from road import FILES, SQL, TWO, made, promoted, rows, tree
from shop import Said, Shop

BAD = SQL.replace("count(*)", "99 - count(*)")
MORE = FILES["recipes/delays/data/flights.csv"] + "DL,1\n"
GOOD_ROWS, BAD_ROWS = [("AA", 2), ("UA", 1)], [("AA", 97), ("UA", 98)]
NOW = [("AA", 2), ("DL", 1), ("UA", 1)]


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """Staging landed a good tree, and then one that counts wrong and has more data."""
    found = made(tmp_path, TWO)
    promoted(found, "staging")
    found.commit({"recipes/delays/late.sql": BAD}, "wrong")
    promoted(found, "staging")
    return found


def back(shop: Shop, *words: str, code: int = 0, environment: str = "staging") -> Said:
    said = shop.cli("rollback", environment, "--quiet", "--reason", "it counts wrong", *words)
    assert said.code == code, said.out + said.err
    return said


def course(shop: Shop, environment: str = "staging") -> Course:
    return Ground.of(Request(start=shop.root)).course(environment)


def course_moves(shop: Shop, environment: str = "staging") -> list[Move]:
    return list(moves_of(Ground.of(Request(start=shop.root)).ledger.read(stream_of(environment))))


def landed(shop: Shop, environment: str = "staging") -> Landing:
    last = course(shop, environment).last
    assert last is not None
    return last


def test_tree_and_data_of_then_come_back_and_stay(shop: Shop) -> None:
    """One command: the old tree and its rows; nothing is built, and no promotion passes the hold."""
    builds = sorted((shop.root / ".gitkitchen/store").rglob("builds/*/*"))
    assert rows(shop, "staging") == BAD_ROWS
    back(shop)
    first, bad, last = course(shop).landings
    assert rows(shop, "staging") == GOOD_ROWS
    assert rows(shop, "staging", "select * from worst") == [("AA", 2)]
    assert sorted((shop.root / ".gitkitchen/store").rglob("builds/*/*")) == builds
    assert tree(shop, "staging") == first.tree != bad.tree
    assert (last.intent, last.data, last.source, last.before) == (
        Intent.ROLLBACK,
        "restore",
        first.commit,
        bad.commit,
    )
    assert last.published == ("late", "worst")
    (hold,) = course(shop).holds
    (incident,) = course(shop).incidents
    assert (hold.reason, hold.incident, incident.kind) == ("it counts wrong", incident.id, "rollback")
    assert course(shop).healthy
    said = shop.cli("promote", "staging", "--quiet")
    assert said.code == 1
    assert "on hold" in said.out
    assert tree(shop, "staging") == first.tree
    assert shop.cli("audit", "--verify").code == 0


def test_what_others_left_half_done_is_ended_first(shop: Shop) -> None:
    """A rollback begins as every command that moves an environment does: views that somebody changed are an
    incident, and what dead runs left is ended."""
    view = shop.cli("open", "--path", "--kitchen", "staging").out.strip()
    with duckdb.connect(view) as db:
        db.execute("create or replace view late as select 'XX' as carrier, 1 as n")
    said = back(shop)
    kinds = [m.kind for m in course_moves(shop) if isinstance(m, Incident)]
    assert kinds == ["drift-data", "drift-data", "rollback"], said.out + said.err
    assert rows(shop, "staging") == GOOD_ROWS


@pytest.mark.long
def test_the_same_command_again_changes_nothing(shop: Shop) -> None:
    """Asked twice, it went back once: it does not go back and forth between two trees."""
    back(shop)
    moves = course(shop).moves
    tip = shop.git("rev-parse", "staging")
    assert "already" in back(shop).out
    assert "already" in back(shop, "--to", landed(shop).source).out
    assert (shop.git("rev-parse", "staging"), course(shop).moves) == (tip, moves)


@pytest.mark.long
def test_s20_after_a_fix_everything_comes_again(shop: Shop) -> None:
    """Promoting again after a rollback brings fix and all that was rolled back, and ends the incident."""
    shop.commit({"more.txt": "in the tree that went back, too\n"})
    assert shop.cli("promote", "staging", "--quiet").code == 0
    back(shop)
    assert shop.cli("hold", "staging", "--release").code == 0
    shop.commit({"recipes/delays/late.sql": SQL + "-- right\n"})
    promoted(shop, "staging")
    assert tree(shop, "staging") == tree(shop, "develop")
    assert shop.git("show", "staging:more.txt")
    assert rows(shop, "staging") == GOOD_ROWS
    assert course(shop).incidents == ()


@pytest.mark.long
def test_the_tree_of_then_on_todays_sources_is_tested_first(shop: Shop) -> None:
    """``--data current``: what the old tree makes of its files is run as a candidate and published."""
    back(shop, "--data", "current")
    last = landed(shop)
    assert (last.data, last.intent, tree(shop, "staging")) == (
        "current",
        Intent.ROLLBACK,
        course(shop).landings[0].tree,
    )
    assert all(e.base == last.before for e in last.evidence)
    assert rows(shop, "staging") == GOOD_ROWS
    assert "already" in back(shop, "--data", "current").out


@pytest.mark.long
def test_the_catalog_of_then_under_the_tree_of_now(shop: Shop) -> None:
    """``--keep-tree``: readers get the rows of before, and the tree is the one that stands there."""
    bad = landed(shop)
    back(shop, "--keep-tree")
    last = landed(shop)
    assert (last.data, last.tree, last.before) == ("keep-tree", bad.tree, bad.commit)
    assert tree(shop, "staging") == bad.tree
    assert rows(shop, "staging") == GOOD_ROWS
    assert "already" in back(shop, "--keep-tree").out
    assert shop.cli("audit", "--verify").code == 0
    back(shop)
    assert tree(shop, "staging") == course(shop).landings[0].tree


@pytest.mark.long
def test_back_to_a_run_to_a_moment_to_a_commit_of_the_source(shop: Shop) -> None:
    """What ``--to`` may name is found in the ledger, and what it does not have is refused."""
    first, bad = course(shop).landings
    head = shop.git("rev-parse", "develop~1")
    for to in (first.commit[:10], head, first.at.isoformat(), first.evidence[0].run):
        document = json.loads(back(shop, "--dry-run", "--json", "--to", to).out)
        assert (document["end"], document["tree"]) == ("clean", first.tree), to
    shop.commit({"other.txt": "never promoted"})
    for to in ("2001-01-01", "no-such", "20200101T000000000Z-abcdef", "develop"):
        assert "nothing to go back to" in back(shop, "--to", to, code=2).err
    assert landed(shop) == bad


@pytest.mark.long
def test_back_to_a_run_of_the_same_tree(tmp_path: Path) -> None:
    """A later run on the same tree published bad rows: the rows of an earlier run come back."""
    shop = made(tmp_path, TWO)
    promoted(shop, "staging")
    first = landed(shop)
    shop.git("switch", "-q", "staging")
    flights = shop.root / "recipes/delays/data/flights.csv"
    shop.git("update-index", "--assume-unchanged", "recipes/delays/data/flights.csv")
    flights.write_text(MORE)
    assert shop.cli("run", "delays", "--quiet").code == 0
    flights.write_text(FILES["recipes/delays/data/flights.csv"])
    shop.git("update-index", "--no-assume-unchanged", "recipes/delays/data/flights.csv")
    assert rows(shop, "staging") == NOW
    back(shop, "--to", first.evidence[0].run)
    assert rows(shop, "staging") == GOOD_ROWS
    assert landed(shop).tree == first.tree


@pytest.mark.long
def test_versions_that_were_collected_are_refused_before_anything_moves(shop: Shop) -> None:
    """What is not in the store any more is named, and neither a branch nor the ledger has changed."""
    before = shop.git("for-each-ref"), course(shop).moves
    for path in (shop.root / ".gitkitchen/store/trusted/builds").glob("*/*.json"):
        if '"worst"' in path.read_text():
            path.unlink()
    for words in ((), ("--keep-tree",), ("--dry-run",)):
        said = back(shop, *words, code=2)
        assert "not in the store any more: worst" in said.err
        assert "--data current" in said.err
    assert (shop.git("for-each-ref"), course(shop).moves) == before
    back(shop, "--data", "current")
    assert rows(shop, "staging", "select * from worst") == [("AA", 2)]


@pytest.mark.long
def test_garbage_collection_keeps_what_was_live_before_the_last_landing(shop: Shop) -> None:
    """However old it is: a rollback needs it."""
    assert shop.cli("gc", "--apply", "--grace", "0s", "--keep", "0s").code == 0
    back(shop)
    assert rows(shop, "staging") == GOOD_ROWS


@pytest.mark.long
def test_a_dry_run_says_what_would_come_and_changes_nothing(shop: Shop) -> None:
    """Refs, ledger and files are those of before."""
    before = shop.git("for-each-ref"), course(shop).moves
    said = back(shop, "--dry-run")
    assert "2 datasets of then come back (late, worst)" in said.out
    assert "will be held" in said.out
    assert (shop.git("for-each-ref"), course(shop).moves) == before


@pytest.mark.long
def test_what_a_hand_pushed_is_what_is_rolled_back_from(shop: Shop) -> None:
    """An unproved commit on the branch is an incident; what was accepted last comes back, unasked."""
    accepted = landed(shop)
    shop.git("switch", "-q", "staging")
    shop.commit({"recipes/delays/late.sql": "select nonsense from\n"}, "by hand")
    shop.git("switch", "-q", "develop")
    hand = shop.git("rev-parse", "staging")
    back(shop)
    last = landed(shop)
    assert (last.tree, last.before, last.source) == (accepted.tree, hand, accepted.commit)
    kinds = [i.kind for i in course(shop).incidents]
    assert kinds == ["rollback"]
    assert rows(shop, "staging") == BAD_ROWS


@pytest.mark.long
def test_nothing_to_go_back_to(tmp_path: Path) -> None:
    """An environment that nothing or one tree was promoted to has no before; a reason is asked for."""
    shop = made(tmp_path)
    assert "nothing was ever promoted" in back(shop, code=2).err
    promoted(shop, "staging")
    assert "only one tree" in back(shop, code=2).err
    assert shop.cli("rollback", "staging").code == 2


def test_the_steps_are_those_of_the_protocol(shop: Shop) -> None:
    """Candidates are cleared and the hold recorded before the rollback's own candidate is there. What
    reconciling does has a route of its own."""
    seen: list[str] = []
    open_ones: list[str] = []

    def watch(name: str, when: str) -> None:
        if when == "before":
            open_ones.append(name)
            return
        open_ones.pop()
        if "reconcile" not in open_ones:
            seen.append(name)

    effects.watchers.append(watch)
    try:
        back(shop)
    finally:
        effects.watchers.pop()
    wanted = [step.name for step in route(Purpose.ROLLBACK, Way.LOCAL).steps]
    assert seen == wanted


@pytest.mark.long
def test_a_promotion_under_way_cannot_undo_it(shop: Shop) -> None:
    """One that was proved before, and takes the lease behind it, finds the hold and lands nothing."""
    shop.commit({"late.txt": "late"})
    done: list[Said] = []

    def while_it_waits(name: str, when: str) -> None:
        if (name, when) == ("take-lease", "before") and not done:
            done.append(Said(0, "", ""))
            done[0] = back(shop)

    effects.watchers.append(while_it_waits)
    try:
        said = shop.cli("promote", "staging", "--quiet")
    finally:
        effects.watchers.remove(while_it_waits)
    assert said.code == 1, said.out + said.err
    assert "on hold" in said.out
    assert landed(shop).intent is Intent.ROLLBACK
    assert isinstance(course(shop).incidents[0], Incident)

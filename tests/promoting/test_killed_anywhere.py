"""kill -9 at every point that a whole walk of the code shows: the same command ends the work, and nothing is
lost, torn, or published untested. Processes are forked from a warm one."""

from __future__ import annotations

import json
import random
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.auditing.made_road import make_road
from tests.promoting.test_landing_on_a_forge import town

from gitkitchen.promote.moves import body_of
from gitkitchen.promote.protocol import Purpose, Way, route
from gitkitchen.road import effects
from gitkitchen.road.ground import Ground
from gitkitchen.workplace import Request
from road import SQL, TWO, made, promoted, remote, rows, tree
from shop import Shop
from town import WORKFLOW, Town
from warm import Warm, every, kept, warm

__all__ = ["town"]
OLD, NEW = [("AA", 2)], [("UA", 98)]


@pytest.fixture
def forked(tmp_path: Path) -> Iterator[Warm]:
    with warm(tmp_path / "warm") as found:
        yield found


def ground(root: Path) -> Ground:
    return Ground.of(Request(start=root))


def moves(root: Path, environment: str) -> list[dict[str, Any]]:
    """The moves of an environment, without what every try makes anew."""
    course = ground(root).course(environment)
    return [body_of(move) for move in (*course.landings, *course.holds, *course.incidents)]


def kill_everywhere(
    forked: Warm,
    base: Path,
    root: Path,
    words: tuple[str, ...],
    state: Callable[[], Any],
    *,
    consistent: Callable[[], None] = lambda: None,
    environ: Mapping[str, str] | None = None,
    only: tuple[tuple[str, str], ...] = (),
    code: int = 0,
) -> int:
    """Kills ``words`` at all its points, each time from the state in which ``base`` is now, and runs it
    again: it must end as a walk that nobody killed. How many points there were."""
    saved = forked.folder / "saved"
    kept(base, saved)
    whole = forked.run(root, *words, environ=environ)
    assert whole.code == code, whole.said
    expected = state()
    again = forked.run(root, *words, environ=environ)
    assert (again.code, state()) == (code, expected), again.said
    assert whole.points
    for at in every(whole.points, only):
        point = whole.points[at - 1]
        kept(saved, base)
        killed = forked.run(root, *words, at=at, environ=environ)
        assert killed.code == -signal.SIGKILL, (point, killed.said)
        consistent()
        ended = forked.run(root, *words, environ=environ)
        assert ended.code == code, (point, ended.said)
        assert state() == expected, point
    return len(whole.points)


def whole(root: Path) -> None:
    ledger = ground(root).ledger
    assert [p for stream in ledger.streams() for p in ledger.verify(stream)] == []


@pytest.mark.long
def test_a_promotion_in_a_folder(tmp_path: Path, forked: Warm) -> None:
    """Readers see the whole old or the whole new; one landing more, whoever writes its record. (Always tried:
    `auditing/test_promoted.py` between branch and record, `test_killed.py` behind it.)"""
    base = tmp_path / "base"
    base.mkdir()
    shop = made(base, TWO)
    for name in ("delays", "report"):
        assert shop.cli("run", name, "--quiet").code == 0
    promoted(shop, "staging")
    shop.replace("recipes/delays/late.sql", "count(*)", "99 - count(*)")
    shop.commit()

    def state() -> Any:
        whole(shop.root)
        assert shop.git("status", "--porcelain") == ""
        assert tree(shop, "staging") == tree(shop, "develop")
        assert rows(shop, "staging", "select * from worst") == NEW
        course = ground(shop.root).course("staging")
        assert course.tip == shop.git("rev-parse", "staging")
        assert not course.odd
        return len(course.landings), course.healthy

    def consistent() -> None:
        seen = rows(shop, "staging", "select * from worst")
        assert seen in (OLD, NEW)
        best = rows(shop, "staging", "select carrier, n from late order by n desc, carrier limit 1")
        assert best == seen

    kill_everywhere(forked, base, shop.root, ("promote", "staging"), state, consistent=consistent)


@pytest.mark.long
def test_a_promotion_by_push(tmp_path: Path, forked: Warm) -> None:
    """Branch, record and publication are there together or not at all, whoever was killed when."""
    base = tmp_path / "base"
    base.mkdir()
    host = remote(base, TWO)
    root = host.clone("job", "main").root

    def counts() -> tuple[bool, int, int]:
        ledger = host.git("for-each-ref", "refs/heads/gitkitchen-ledger")
        listed = host.git("ls-tree", "-r", "--name-only", "gitkitchen-ledger") if ledger else ""
        moved = host.git("rev-parse", "staging") != host.git("rev-parse", "main")
        return moved, listed.count("promotions/"), listed.count("publications/")

    def state() -> Any:
        assert host.git("rev-parse", "staging^{tree}") == host.git("rev-parse", "develop^{tree}")
        host.git("fsck", "--connectivity-only")
        return counts()

    def consistent() -> None:
        assert counts() in [(False, 0, 0), (True, 1, 1)]

    kill_everywhere(
        *(forked, base, root, ("promote", "staging"), state),
        consistent=consistent,
        environ=host.environ("main"),
    )


@pytest.mark.long
def test_a_promotion_by_the_button(town: Town, forked: Warm) -> None:
    """On the forge: each change is killed on its way at another point, and the next job ends it.

    Before the landing the steps are those of a push, but for the pull request.
    """
    town.repo.protect("staging")
    names = [step.name for step in route(Purpose.FORWARD, Way.BUTTON).steps]
    own = {"open-pull", *names[names.index("merge-button") :]}
    left = [0]
    while left:
        at = left.pop(0)
        number = town.count = town.count + 1
        sql = SQL.replace("count(*)", f"count(*) + {number}")
        town.repo.commit("develop", {"recipes/delays/late.sql": sql}, author="olga")
        before = len(town.moves("staging"))
        ended = [job(town, forked, at), job(town, forked, 0)] if at else [job(town, forked, 0)]
        if at == 0:
            assert own <= {name for name, _ in ended[0].points}
            left = [n for n, (name, _) in enumerate(ended[0].points, 1) if name in own]
        else:
            assert ended[0].code == -signal.SIGKILL, ended[0].said
        assert ended[-1].code == 0, (at, ended[0].points[-1:], ended[-1].said)
        assert town.tree("staging") == town.tree("develop"), at
        after = town.moves("staging")
        assert [m["move"] for m in after[before:]] == ["landing"], (at, after[before:])
        assert after[-1]["commit"] == town.repo.head("staging")
    assert {pull.state for pull in town.pulls()} == {"closed"}


def job(town: Town, forked: Warm, at: int) -> Any:
    town.count += 1
    root = town.folder / f"job{town.count}"
    Shop(town.folder).git("clone", "-q", "-b", "main", town.repo.git_url(town.token), str(root))
    event = town.folder / "event.json"
    inputs = {"promote": "staging"}
    told = town.repo.event("workflow_dispatch", workflow=WORKFLOW, ref="refs/heads/main", inputs=inputs)
    event.write_text(json.dumps(told))
    environ = {
        **town.forge.environ(town.repo, town.token),
        "GITHUB_ACTIONS": "true",
        "GITHUB_TOKEN": town.token,
        "GITHUB_EVENT_NAME": "workflow_dispatch",
        "GITHUB_EVENT_PATH": str(event),
        "GITHUB_WORKSPACE": str(root),
        "GITHUB_RUN_ID": str(town.count),
        "GITHUB_RUN_ATTEMPT": "1",
        "GITHUB_REF": "refs/heads/main",
        "GITHUB_SHA": town.repo.head("main"),
        "GITHUB_ACTOR": "olga",
        "GITHUB_WORKFLOW_REF": f"{town.repo.full_name}/{WORKFLOW}@refs/heads/main",
    }
    return forked.run(root, "promote", "staging", "--method", "button", at=at, environ=environ)


@pytest.mark.parametrize(
    ("kind", "only"),
    [
        ("folder", (("record-hold", "before"),)),
        pytest.param("folder", (), marks=pytest.mark.long),
        pytest.param("branch", (), marks=pytest.mark.long),
    ],
    ids=["quick", "folder", "branch"],
)
def test_a_hold_and_its_release(
    tmp_path: Path, forked: Warm, kind: str, only: tuple[tuple[str, str], ...]
) -> None:
    """Held once, released once; and while it is not released, the candidate is gone."""
    road = make_road(tmp_path / "base", kind)
    road.land("prod", "one")
    road.shop.git("branch", "gitkitchen/promote/prod", "work")
    if road.remote is not None:
        road.shop.git("push", "-q", "origin", "gitkitchen/promote/prod")

    def state() -> Any:
        course = ground(road.shop.root).course("prod")
        words = ("ls-remote", "origin") if road.remote is not None else ("for-each-ref",)
        there = road.shop.git(*words, "refs/heads/gitkitchen/promote/*")
        return [(h.by, h.reason) for h in course.holds], course.moves, there

    def consistent() -> None:
        course = ground(road.shop.root).course("prod")
        assert len(course.holds) <= 1
        if course.holds:
            assert state()[-1] == ""

    held = ("hold", "prod", "--reason", "quarter")
    kill_everywhere(forked, tmp_path / "base", road.shop.root, held, state, consistent=consistent, only=only)
    if not only:
        words = ("hold", "prod", "--release")
        assert kill_everywhere(forked, tmp_path / "base", road.shop.root, words, state) >= 6


@pytest.mark.long
@pytest.mark.parametrize("kind", ["folder", "branch"])
def test_what_reconcile_mends(tmp_path: Path, forked: Warm, kind: str) -> None:
    """A landing without a record, with a hand's push on top, and views that a hand changed."""
    base = tmp_path / "base"
    road = make_road(base, kind)
    road.land("prod", "one")
    road.commit(road.landing("prod", "two"))
    road.by_hand("prod", "on top")

    def state() -> Any:
        course = ground(road.shop.root).course("prod")
        assert not course.odd
        return [(m.reason, m.told) for m in course.landings], [i.kind for i in course.incidents], course.moves

    kill_everywhere(forked, base, road.shop.root, ("reconcile", "prod"), state, code=1)


@pytest.mark.long
def test_views_that_a_hand_changed(tmp_path: Path, forked: Warm) -> None:
    """Reported once, mended, closed: killed anywhere between, the next reconcile goes on from there."""
    import duckdb

    base = tmp_path / "base"
    base.mkdir()
    shop = made(base, TWO)
    promoted(shop, "staging")
    with duckdb.connect(str(shop.root / ".gitkitchen/views/staging.duckdb")) as views:
        views.execute("create or replace view late as select 'ZZ' as carrier, 1 as n")

    def state() -> Any:
        assert rows(shop, "staging", "select * from worst") == OLD
        assert rows(shop, "staging") == [("AA", 2), ("UA", 1)]
        course = ground(shop.root).course("staging")
        assert not course.odd
        return [i.kind for i in course.incidents], course.moves

    kill_everywhere(forked, base, shop.root, ("reconcile", "staging"), state)


@pytest.mark.long
@pytest.mark.parametrize("kind", ["folder", "branch"])
def test_a_ledger_that_is_rebuilt(tmp_path: Path, forked: Warm, kind: str) -> None:
    """`audit --rebuild --apply`, killed at any record, ends with each landing once."""
    base = tmp_path / "base"
    road = make_road(base, kind)
    for text in ("one", "two", "three"):
        road.land("prod", text)
    if road.remote is None:
        road.shop.git("clean", "-qfdx", ".gitkitchen")
        assert not (road.shop.root / ".gitkitchen").exists()
    else:
        road.shop.git("push", "-q", "origin", ":gitkitchen-ledger")
        fresh = base / "fresh"
        road.shop.git("clone", "-q", "-b", "main", road.remote.as_uri(), str(fresh))
        road.shop = Shop(fresh)

    def state() -> Any:
        whole(road.shop.root)
        return moves(road.shop.root, "prod")

    words = ("audit", "--rebuild", "--apply")
    assert kill_everywhere(forked, base, road.shop.root, words, state) >= 6


@pytest.mark.long
def test_twenty_random_kills_on_the_whole_road(tmp_path: Path, forked: Warm) -> None:
    """At any moment, not only at effects: what was acknowledged stays, readers see one landing, and the same
    commands bring every change to the end of the road."""
    shop = made(tmp_path, TWO)
    for environment in ("staging", "prod"):
        promoted(shop, environment)
    dice = random.Random(20)
    done = {"staging": 0, "prod": 0}
    kills, took = 0, 0.0
    for number in range(1, 61):
        shop.commit({"recipes/delays/late.sql": SQL.replace("count(*)", f"count(*) + {number}")})
        for environment in ("staging", "prod"):
            known = ground(shop.root).course(environment).landings
            if number > 1:  # the first change shows how long a promotion takes on this machine
                after = dice.uniform(0.02, took)
                killed = forked.run(shop.root, "promote", environment, after=after)
                kills += killed.code == -signal.SIGALRM
                # As long as promotions take now, whatever else the machine does.
                took = took * 1.1 if killed.code else (took + after) / 2
                ((_, best),) = rows(
                    shop, environment, "select carrier, max(n) from late group by 1 order by 2 desc limit 1"
                )
                ((_, worst),) = rows(shop, environment, "select * from worst")
                assert best == worst
                assert worst in (2 + done[environment], 2 + number)
            landings = ground(shop.root).course(environment).landings
            assert landings[: len(known)] == known
            if number > 1 and killed.code == 0:
                assert len(landings) == len(known) + 1
            began = time.monotonic()
            ended = forked.run(shop.root, "promote", environment)
            took = took or time.monotonic() - began
            assert ended.code == 0, ended.said
            course = ground(shop.root).course(environment)
            assert course.landings[: len(landings)] == landings
            assert (len(course.landings), course.healthy, course.odd) == (len(known) + 1, True, ())
            assert rows(shop, environment, "select * from worst") == [("AA", 2 + number)]
            done[environment] = number
        if kills >= 20:
            break
    whole(shop.root)
    assert shop.git("status", "--porcelain") == ""
    assert kills >= 20
    assert not effects.watchers

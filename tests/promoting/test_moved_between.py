"""Base, head, candidate, policy, versions and moves are moved, rewritten or deleted between any two steps of
a promotion: it is refused, says what moved, and has changed nothing. The list of steps is the code's own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from gitkitchen.errors import GitKitchenError
from gitkitchen.road import effects, landing
from gitkitchen.road.ground import Ground
from gitkitchen.workplace import Request
from lengths import some
from road import KITCHEN_YML, TWO, made, promoted, rows, tree
from shop import Shop
from walks import watched
from warm import kept

CANDIDATE = "gitkitchen/promote/staging"
LANDS = "move-branch"


def ground(shop: Shop) -> Ground:
    return Ground.of(Request(start=shop.root))


def by_hand(shop: Shop, branch: str, files: Mapping[str, str]) -> None:
    """A commit on a branch that is not checked out."""
    place = shop.root.parent / "hand"
    shop.git("worktree", "add", "-q", str(place), branch)
    Shop(place).commit(files)
    shop.git("worktree", "remove", "--force", str(place))


def push(shop: Shop) -> bool:
    by_hand(shop, "staging", {"hand.txt": "x"})
    return True


def rule(shop: Shop) -> bool:
    text = KITCHEN_YML.replace("{branch: staging}", "{branch: staging, gate: {approvals: 1}}")
    by_hand(shop, "staging", {"kitchen.yml": text})
    return True


def ref(name: str, to: str) -> Callable[[Shop], bool]:
    def move(shop: Shop) -> bool:
        there = shop.git("for-each-ref", f"refs/heads/{name}")
        if not there:
            return False
        shop.git("update-ref", *(["-d", f"refs/heads/{name}"] if not to else [f"refs/heads/{name}", to]))
        return True

    return move


def publish(shop: Shop) -> bool:
    """A run publishes: the same versions once more, which is enough."""
    ledger = ground(shop).ledger
    (stream,) = [s for s in ledger.streams("publications") if "staging" in s]
    *_, last = ledger.read(stream)
    ledger.append(stream, last.body)
    return True


def hold(shop: Shop) -> bool:
    return shop.cli("hold", "staging", "--reason", "stop").code == 0


@dataclass(frozen=True)
class Move:
    """``told``: what the refusal must say, one or the other. ``until``: the last moment when it is compared;
    behind it what was compared stays true."""

    do: Callable[[Shop], bool]
    told: str | tuple[str, ...]
    until: tuple[str, str] = (LANDS, "before")
    since: tuple[str, str] = ("look", "after")
    """From when on it is relied upon."""
    says: tuple[str, ...] = ()
    """What it must say besides."""


HEAD = ("branch 'develop'", "a promotion into dev")
"""By what is compared, or by the gate that asks whether the source has landed it."""
MOVES = {
    "base-pushed": Move(push, "branch 'staging'"),
    "base-rewritten": Move(ref("staging", "develop~2"), "branch 'staging'"),
    "base-deleted": Move(ref("staging", ""), "branch 'staging'"),
    "policy": Move(rule, "branch 'staging'"),
    "head-rewritten": Move(ref("develop", "develop~2"), HEAD, ("judge-again", "before")),
    "head-deleted": Move(ref("develop", ""), HEAD, ("judge-again", "before")),
    "candidate-deleted": Move(ref(CANDIDATE, ""), CANDIDATE),
    "candidate-moved": Move(ref(CANDIDATE, "main"), CANDIDATE),
    "versions": Move(publish, "published meanwhile", ("judge-again", "before"), ("prove", "after")),
    # A hold takes the candidate away: it is the hold that is told, by whom, why, and how it ends.
    "held": Move(hold, "on hold by Test", ("take-lease", "before"), says=("stop", "hold staging --release")),
}


@pytest.mark.parametrize("name", some(MOVES, "candidate-deleted"))
def test_what_moved_is_named_and_nothing_is_changed(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Injected at every effect from the look to the landing: no landing, no record, readers see the old."""
    monkeypatch.setattr(landing, "ATTEMPTS", 1)  # else it begins again by itself, and lands on what is there
    base = tmp_path / "base"
    base.mkdir()
    shop = made(base, TWO)
    promoted(shop, "staging")
    shop.replace("recipes/delays/late.sql", "count(*)", "99 - count(*)")
    shop.commit()
    shop.commit({"b.txt": "b"})
    shop.git("switch", "-q", "-c", "elsewhere")
    kept(base, tmp_path / "saved")
    with watched() as walk:
        promoted(shop, "staging")
    move = MOVES[name]
    points = walk.points[walk.points.index(move.since) :]
    points = points[: points.index(move.until) + 1]
    assert len(points) >= 7
    tried = 0
    for point in points if name != "candidate-deleted" else points[-3:]:
        kept(tmp_path / "saved", base)
        done: list[tuple[str, int]] = []

        def inject(*now: str, point: tuple[str, str] = point, done: list[tuple[str, int]] = done) -> None:
            if now == point and not done and move.do(shop):
                done.append((refs(shop), ground(shop).course("staging").moves))

        effects.watchers.append(inject)
        try:
            said = shop.cli("promote", "staging", "--quiet")
        finally:
            effects.watchers.remove(inject)
        if not done:
            continue  # there was nothing to move yet, or the lease kept it from happening
        tried += 1
        told = said.out + said.err
        assert said.code in (1, 3), (point, told)
        wanted = (move.told,) if isinstance(move.told, str) else move.told
        assert any(text in told for text in wanted), (point, told)
        assert all(text in told for text in move.says), (point, told)
        assert "Traceback" not in told
        before = done[0]
        assert refs(shop) == before[0], point
        assert ground(shop).course("staging").moves == before[1], point
        assert rows(shop, "staging", "select * from worst") == [("AA", 2)], point
    assert tried >= 2


def refs(shop: Shop) -> str:
    """All branches but the candidate's, which a promotion may always show anew."""
    listed = shop.git("for-each-ref", "--format=%(refname) %(objectname)", "refs/heads").splitlines()
    return "\n".join(line for line in listed if CANDIDATE not in line)


@pytest.mark.long
def test_versions_that_move_under_the_landing_leave_it_to_the_next(tmp_path: Path) -> None:
    """Without a remote the branch moves before its record: where a run publishes in between, nothing is
    published on top of it, and the same command proves the tree anew."""
    shop = made(tmp_path, TWO)
    promoted(shop, "staging")
    shop.replace("recipes/delays/late.sql", "count(*)", "99 - count(*)")
    shop.commit()
    done: list[bool] = []

    def inject(name: str, when: str) -> None:
        if (name, when) == ("move-branch", "after") and not done:
            done.append(publish(shop))

    effects.watchers.append(inject)
    try:
        said = shop.cli("promote", "staging", "--quiet")
    except GitKitchenError as error:  # pragma: no cover
        raise AssertionError("the command line tells every error") from error
    finally:
        effects.watchers.remove(inject)
    assert done
    if said.code != 0:
        assert rows(shop, "staging", "select * from worst") == [("AA", 2)]
        promoted(shop, "staging")
    assert tree(shop, "staging") == tree(shop, "develop")
    assert rows(shop, "staging", "select * from worst") == [("UA", 98)]

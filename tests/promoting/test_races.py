"""S4, S6, S14: of many promoters at once one wins, and the others change nothing that anybody reads.

``GITKITCHEN_RACES`` says how many races of two there are, on the local branches and over a remote together;
of eight there are a fifth as many. `make races` runs 1,000 and 200.
"""

from __future__ import annotations

import os
from pathlib import Path

import duckdb
import pytest
from tests.promoting.racing import promoters

from gitkitchen.data.catalog import load_catalog
from gitkitchen.data.consumers import shown
from gitkitchen.road.ground import Ground
from gitkitchen.workplace import Request, enter
from road import SQL, TWO, made, remote
from shop import Shop

RACES = int(os.environ.get("GITKITCHEN_RACES", "60"))


ROUND = 50
"""Races in one repository: a longer history makes each of them dearer, and a new repository costs as much as
some races."""


def share(kind: str, many: int) -> int:
    """How many races of so many promoters: four of five on local branches, for those are cheap."""
    whole = RACES if many == 2 else RACES // 5
    over = max(1, whole // 5)
    return over if kind == "remote" else max(1, whole - over)


def rounds(kind: str) -> list[object]:
    """(promoters, first race, races) of each repository."""
    return [
        pytest.param(many, first, min(ROUND, share(kind, many) - first), id=f"{many}-from-{first}")
        for many in (2, 8)
        for first in range(0, share(kind, many), ROUND)
    ]


def change(shop: Shop, number: int) -> tuple[int, int]:
    """Commit the other one of two contents on `develop`: what consumers shall read of both recipes."""
    more = 10 * (number % 2 + 1)
    shop.commit({"recipes/delays/late.sql": SQL.replace("count(*)", f"count(*) + {more}")})
    return 2 + more, 2 + more


def winner(ended: list[tuple[int, str]]) -> int:
    """The one promoter that landed. The others found that it stands there, or say that they lost."""
    assert {code for code, _ in ended} <= {0, 3}, "\n".join(said for _, said in ended)
    landed = [number for number, (_, said) in enumerate(ended) if "landed as" in said]
    assert len(landed) == 1, ended
    assert ended[landed[0]][0] == 0
    assert all("already" in said for code, said in ended if code == 0 and "landed as" not in said), ended
    return landed[0]


def agrees(root: Path, tip: str, number: int, wanted: tuple[int, int]) -> None:
    """Move, catalog and what consumers read are those of the branch's tip, which came ``number``-th; the
    lease is free, and no temporary tree is left."""
    ground = Ground.of(Request(start=root))
    course = ground.course("staging")
    assert (course.tip, course.moves, len(course.landings)) == (tip, number, number)
    place = enter(Request(start=root, kitchen="staging"))
    try:
        catalog = load_catalog(place.ledger, place.project, place.kitchen)
        stream = next(s for s in ground.ledger.streams("publications/") if "staging" in s)
        records = list(ground.ledger.read(stream, after=number - 1))
        assert [r.body["landing"] for r in records] == [tip]
        entries = {dataset: entry.fingerprint for dataset, entry in catalog.entries.items()}
        assert shown(place.project, place.kitchen) == (catalog.sequence, entries)
        with place.ledger.lease("promote/staging", "the test") as held:
            assert not held.withheld
    finally:
        place.close()
    path = str(root / ".gitkitchen/views/staging.duckdb")
    with duckdb.connect(path, read_only=True) as reader:
        seen = reader.execute("select (select max(n) from late), (select n from worst)").fetchone()
    assert seen == wanted
    assert list((root / ".gitkitchen/ci").glob("*")) == []


def refs(shop: Shop) -> dict[str, str]:
    words = shop.git("for-each-ref", "--format=%(refname) %(objectname)").split()
    return dict(zip(words[::2], words[1::2], strict=True))


@pytest.mark.long
@pytest.mark.parametrize(("many", "first", "races"), rounds("local"))
def test_s4_s6_of_many_promoters_of_local_branches_one_wins(
    tmp_path: Path, many: int, first: int, races: int
) -> None:
    """One repository, one ledger in a folder: one move, one publication, one commit; nothing else is left."""
    shop = made(tmp_path, TWO)
    with promoters(tmp_path / "meeting", [shop.root] * many, os.environ) as racing:
        for number in range(races):
            wanted = change(shop, number)
            before = refs(shop)
            winner(racing.race(first + number))
            after = refs(shop)
            tip = after["refs/heads/staging"]
            assert shop.git("rev-parse", "staging^1", "staging^2").split() == [
                before["refs/heads/staging"],
                before["refs/heads/develop"],
            ]
            assert after == {
                **before,
                "refs/heads/staging": tip,
                "refs/heads/gitkitchen/promote/staging": tip,
            }
            agrees(shop.root, tip, number + 1, wanted)
            assert shop.git("worktree", "list", "--porcelain").count("worktree ") == 1
    assert shop.cli("audit", "--verify").code == 0


@pytest.mark.long
@pytest.mark.parametrize(("many", "first", "races"), rounds("remote"))
def test_s4_s6_of_many_promoters_over_a_remote_one_wins(
    tmp_path: Path, many: int, first: int, races: int
) -> None:
    """Each in a clone of its own, the ledger on a branch: branch, move and publication come in one push."""
    host = remote(tmp_path, TWO)
    clones = [host.clone(f"c{number}", "main") for number in range(many)]
    hand = host.clone("hand", "develop")
    environ = {**os.environ, **host.environ("main")}
    with promoters(tmp_path / "meeting", [clone.root for clone in clones], environ) as racing:
        for number in range(races):
            wanted = change(hand, number)
            hand.git("push", "-q", "origin", "develop")
            before = host.git("rev-parse", "staging", "develop").split()
            won = winner(racing.race(first + number))
            tip = host.git("rev-parse", "staging")
            assert host.git("rev-parse", "staging^1", "staging^2").split() == before
            assert sorted(host.git("for-each-ref", "--format=%(refname:short)").split()) == [
                "develop",
                "gitkitchen-ledger",
                "gitkitchen/promote/staging",
                "main",
                "staging",
            ]
            assert host.git("rev-parse", "gitkitchen/promote/staging") == tip
            agrees(clones[won].root, tip, number + 1, wanted)
            for clone in clones:
                assert clone.git("worktree", "list", "--porcelain").count("worktree ") == 1
                assert list((clone.root / ".gitkitchen/ci").glob("*")) == []

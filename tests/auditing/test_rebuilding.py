"""``audit --rebuild``: after the ledger was lost, what can be known again is, and the rest is said."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from tests.auditing.made_road import Road, make_road

from gitkitchen.road.incidents import course_of
from gitkitchen.road.rebuilding import LOST


def lose(road: Road) -> None:
    """The ledger is gone, everywhere."""
    if road.remote is None:
        shutil.rmtree(road.shop.root / ".gitkitchen/ledger")
        return
    road.shop.git("push", "-q", "origin", "--delete", "gitkitchen-ledger")
    for ref in road.shop.git("for-each-ref", "--format=%(refname)", "refs/gitkitchen").split():
        road.shop.git("update-ref", "-d", ref)


def rebuilt(road: Road, *words: str) -> dict[str, Any]:
    said = road.shop.cli("audit", "--rebuild", "--json", *words)
    assert said.code == 0, said.err
    document: dict[str, Any] = json.loads(said.out)
    assert document["lost"] == list(LOST)
    return {e["environment"]: e for e in document["environments"]}


def test_landings_are_rebuilt_from_their_commits(either: Road) -> None:
    """Dry run first; then the records, marked as rebuilt, say what the trailers say, in order."""
    for text in ("one", "two", "three"):
        either.land("prod", text)
    either.shop.cli("hold", "prod", "--reason", "x")
    before = course_of(either.ledger, "prod")
    lose(either)
    found = rebuilt(either, "prod")["prod"]
    assert [m["commit"] for m in found["landings"]] == [m.commit for m in before.landings]
    assert course_of(either.ledger, "prod").moves == 0
    rebuilt(either, "prod", "--apply")
    after = course_of(either.ledger, "prod")
    assert [(m.commit, m.tree, m.evidence, m.told) for m in after.landings] == [
        (m.commit, m.tree, m.evidence, "rebuilt") for m in before.landings
    ]
    assert [a for m in after.landings for a in m.actors] == [a for m in before.landings for a in m.actors]
    assert not after.holds  # only the ledger had it
    said = either.shop.cli("audit", "prod", "--verify")
    assert said.code == 0, said.out
    assert "forward (rebuilt)" in either.shop.cli("audit", "prod").out


def test_it_says_what_nobody_knows_any_more(near: Road) -> None:
    """Holds, incidents, reasons and outcomes are lost; what a commit cannot tell is named."""
    near.land("prod", "one")
    hand = near.by_hand("prod", "by hand")
    wrong = near.commit(near.landing("prod", "two"), tree=near.tree("prod", "other"))
    lose(near)
    said = near.shop.cli("audit", "prod", "--rebuild")
    assert said.code == 0
    assert "nothing was written; --apply writes it" in said.out
    assert f"commit {wrong.commit[:12]} tells of a landing that it is not" in said.out
    assert "what 1 commits of branch 'main' were: they have no trailers" in said.out
    for text in LOST:
        assert text in said.out
    assert hand[:12] not in said.out


def test_a_ledger_that_is_there_is_not_written_over(near: Road) -> None:
    """Nothing lost, nothing rebuilt; asked again after a rebuild, it writes nothing more."""
    near.land("prod", "one")
    assert rebuilt(near, "prod", "--apply")["prod"]["whole"]
    assert course_of(near.ledger, "prod").moves == 1
    lose(near)
    rebuilt(near, "prod", "--apply")
    rebuilt(near, "prod", "--apply")
    assert course_of(near.ledger, "prod").moves == 1
    near.land("prod", "two")
    assert rebuilt(near, "prod", "--apply")["prod"]["whole"]


def test_a_rebuild_that_was_cut_off_goes_on(near: Road) -> None:
    """Half of the records are there: the same command writes the other half."""
    for text in ("one", "two", "three"):
        near.land("prod", text)
    lose(near)
    rebuilt(near, "prod", "--apply")
    folder = near.shop.root / ".gitkitchen/ledger/promotions/prod"
    (folder / "@000000/000000003.json").unlink()
    (folder / "@head").write_text("2")
    rebuilt(near, "prod", "--apply")
    assert [m.reason for m in course_of(near.ledger, "prod").landings] == [
        "release one",
        "release two",
        "release three",
    ]


@pytest.mark.parametrize("kind", ["folder"])
def test_catalogs_are_rebuilt_from_what_consumers_read(tmp_path: Path, kind: str) -> None:
    """What the views of an environment show is what was published last: its catalog is that again, and
    nothing is built anew."""
    road = make_road(tmp_path, kind)
    road.shop.git("switch", "-q", "main")
    assert road.shop.cli("run", "--quiet").code == 0
    rows = road.shop.rows("select n from totals")
    lose(road)
    assert sorted(rebuilt(road, "prod", "--apply")["prod"]["datasets"]) == ["orders", "totals"]
    assert road.shop.rows("select n from totals") == rows
    assert road.shop.cli("run", "--quiet").code == 0
    assert set(road.shop.states().values()) == {"reused"}

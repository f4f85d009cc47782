"""A broken environment takes nothing until somebody says for the record that it shall."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gitkitchen.promote.moves import moves_of
from gitkitchen.promote.shapes import Incident, Landing, stream_of
from gitkitchen.road.ground import Ground
from gitkitchen.workplace import Request
from road import FILES, KITCHEN_YML, SQL, made, promoted, rows, tree
from shop import Shop

GATED = KITCHEN_YML.replace(
    "{branch: staging}",
    "{branch: staging, gate: {command: [{name: allowed, run: [test, -e, allowed.txt]}]}}",
)


def denounced(folder: Path) -> tuple[Shop, str]:
    """A road whose staging stands on two commits by hand: the first takes the gate away, the second the rows.
    The promotion that found it has said so. And the incident's id."""
    shop = made(folder, {**FILES, "kitchen.yml": GATED, "allowed.txt": "yes"})
    promoted(shop, "staging")
    shop.git("switch", "-q", "staging")
    shop.commit({"kitchen.yml": KITCHEN_YML})
    shop.commit({"recipes/delays/late.sql": SQL + "limit 0\n"})
    shop.git("switch", "-q", "develop")
    said = shop.cli("promote", "staging", "--quiet")
    assert said.code == 1, said.out + said.err
    (incident,) = Ground.of(Request(start=shop.root)).course("staging").incidents
    return shop, incident.id


@pytest.mark.long
def test_asking_twice_does_not_heal(tmp_path: Path) -> None:
    """S1: what nobody tested stays denounced however often it is asked; over it only with its id and a
    reason, which stay in the record."""
    shop, ident = denounced(tmp_path)
    tip = shop.git("rev-parse", "staging")
    shop.commit({"a.txt": "mended"})
    for _ in range(2):
        said = shop.cli("promote", "staging", "--quiet")
        assert said.code == 1, said.out + said.err
        assert f"--over {ident}" in said.out + said.err
    assert shop.cli("promote", "staging", "--over", ident).code == 2
    assert shop.cli("promote", "staging", "--over", "i-nonsense", "--reason", "x").code == 2
    assert shop.git("rev-parse", "staging") == tip
    assert rows(shop, "staging") == [("AA", 2), ("UA", 1)]
    words = ("--over", ident, "--reason", "read every line of it")
    promoted(shop, "staging", *words)
    assert tree(shop, "staging") == tree(shop, "develop")
    ground = Ground.of(Request(start=shop.root))
    *_, closed, landing = moves_of(ground.ledger.read(stream_of("staging")))
    assert isinstance(closed, Incident)
    assert (closed.id, closed.closed) == (ident, True)
    assert "read every line of it" in closed.said
    assert isinstance(landing, Landing)
    assert landing.reason == "read every line of it"
    again = shop.cli("promote", "staging", "--json", *words)
    assert json.loads(again.out)["new"] is False


def test_a_run_on_its_checkout_releases_nothing(tmp_path: Path) -> None:
    """Whoever runs a broken environment by hand is refused as a job is, with the ways out; a look is free.
    Back where it landed it runs again."""
    shop, ident = denounced(tmp_path)
    shop.git("switch", "-q", "staging")
    shop.commit({"recipes/delays/late.sql": SQL.replace("count(*)", "7")})
    said = shop.cli("run", "--quiet")
    assert said.code == 1, said.out + said.err
    assert f"broken (drift-branch, {ident})" in said.err
    for way in ("put it back where it landed", "roll it back", f"--over {ident}", "--no-publish"):
        assert way in said.err
    assert rows(shop, "staging") == [("AA", 2), ("UA", 1)]
    assert shop.cli("run", "--quiet", "--no-publish").code == 0
    assert rows(shop, "staging") == [("AA", 2), ("UA", 1)]
    shop.git("reset", "-q", "--hard", Ground.of(Request(start=shop.root)).course("staging").tip)
    assert shop.cli("run", "--quiet").code == 0


@pytest.mark.long
def test_what_stands_there_unproved_does_not_rule(tmp_path: Path) -> None:
    """The gates are those of what landed last: commits by hand cannot take them away for what follows."""
    shop, ident = denounced(tmp_path)
    shop.git("rm", "-q", "allowed.txt")
    shop.commit()
    said = shop.cli("promote", "staging", "--quiet", "--over", ident, "--reason", "x")
    assert said.code == 1, said.out + said.err
    assert "command:allowed" in said.out
    shop.commit({"allowed.txt": "yes"})
    promoted(shop, "staging", "--over", ident, "--reason", "x")


@pytest.mark.long
def test_a_branch_that_is_put_back_is_whole_again(tmp_path: Path) -> None:
    """Where it landed, its record stands: the next command sees it, closes the incident, and goes on."""
    shop, _ = denounced(tmp_path)
    landed = Ground.of(Request(start=shop.root)).course("staging").tip
    shop.git("update-ref", "refs/heads/staging", landed)
    promoted(shop, "staging")
    assert Ground.of(Request(start=shop.root)).course("staging").healthy

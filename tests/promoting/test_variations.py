"""What an environment runs by the clock is proved before a tree lands there, and not published with it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from gitkitchen.ci.moving import outcomes_of
from gitkitchen.model import Schedule, Variation
from gitkitchen.promote.protocol import End
from gitkitchen.road import proving, walking
from gitkitchen.road.ground import Ground
from gitkitchen.road.variations import runs_in, variants
from gitkitchen.workplace import Request, enter
from road import FILES, RECIPE, made, promoted, rows, tree
from shop import Shop

NIGHTLY = """\
version: 1
recipe: delays
vars: {least: 0}
variations:
  nightly:
    vars: {least: ${LEAST}}
    environments: [staging]
    schedule: {cron: "17 5 * * *", timezone: America/New_York}
  elsewhere: {vars: {least: 99}, environments: [prod]}
  byhand: {vars: {least: 99}}
"""
SQL = "select carrier, count(*) as n from flights where late >= $least group by carrier\n"


def files(least: int) -> dict[str, str]:
    """A recipe whose variation finds rows as long as ``least`` is at most 1."""
    nodes = RECIPE[RECIPE.index("nodes:") :].replace(
        "    sql: late.sql\n", '    sql: late.sql\n    with: {least: "${{ vars.least }}"}\n'
    )
    recipe = NIGHTLY.replace("${LEAST}", str(least)) + nodes
    return {**FILES, "recipes/delays/recipe.yml": recipe, "recipes/delays/late.sql": SQL}


@pytest.fixture
def road(tmp_path: Path) -> Shop:
    """A road whose variation for staging passes."""
    shop = made(tmp_path, files(1))
    assert shop.cli("run", "--quiet").code == 0
    return shop


def bodies(shop: Shop, stream: str) -> list[Mapping[str, Any]]:
    place = enter(Request(start=shop.root))
    try:
        return [record.body for record in place.ledger.read(stream)]
    finally:
        place.close()


def runs_of(shop: Shop, environment: str) -> list[Mapping[str, Any]]:
    place = enter(Request(start=shop.root, kitchen=environment))
    try:
        return [record.body for record in place.ledger.read(f"runs/{place.kitchen.namespace}/delays")]
    finally:
        place.close()


def test_a_variation_of_the_target_is_evidence_and_is_not_published(road: Shop) -> None:
    """It is proved for its last interval under its own name; what lands is what the recipe itself made."""
    said = road.cli("promote", "staging")
    assert said.code == 0, said.out + said.err
    assert "1 recipe and 1 variation green on tree" in said.out
    assert rows(road, "staging") == [("AA", 2), ("UA", 1)], "without the variation's variables"
    landing = Ground.of(Request(start=road.root)).course("staging").landings[-1]
    assert [(e.recipe, e.variation, e.verdict) for e in landing.evidence] == [
        ("delays", None, "passed"),
        ("delays", "nightly", "passed"),
    ]
    plain, nightly = runs_of(road, "staging")
    assert "interval" not in plain
    start, end = (datetime.fromisoformat(text) for text in nightly["interval"])
    assert (end.minute, (end - start).total_seconds()) == (17, pytest.approx(86400, abs=3600))
    assert nightly["variation"] == "nightly"
    assert "candidate" in nightly


@pytest.mark.long
def test_what_runs_there_only_by_hand_or_elsewhere_is_not_asked_for(road: Shop) -> None:
    """Variations of other environments would fail here, and nobody asks; production asks for its own."""
    promoted(road, "staging")
    said = road.cli("promote", "prod")
    assert said.code == 1
    assert "delays:elsewhere (failed" in said.out
    assert "delays:nightly" not in said.out


def test_a_variation_that_fails_lands_nothing_and_is_named(road: Shop) -> None:
    """The plain recipe is green; its variation is not: neither tree nor data moves."""
    promoted(road, "staging")
    tip, before = road.git("rev-parse", "staging"), rows(road, "staging")
    road.commit({**files(2), "recipes/delays/data/flights.csv": "carrier,late\nAA,1\nZZ,1\n"})
    assert road.cli("run", "--quiet").code == 0
    said = road.cli("promote", "staging")
    assert said.code == 1, said.out + said.err
    assert "required" in said.out
    assert "not green on tree" in said.out
    assert "delays:nightly (failed, run " in said.out
    assert (road.git("rev-parse", "staging"), rows(road, "staging")) == (tip, before)
    proof = bodies(road, "evidence/staging")[-1]
    assert proof["datasets"] is None
    assert [(r["variation"], r["verdict"]) for r in proof["runs"]] == [
        (None, "passed"),
        ("nightly", "failed"),
    ]
    again = road.cli("promote", "staging", "--dry-run")
    assert again.code == 1
    assert "delays:nightly" in again.out, "what is kept of the proof names it too"
    road.commit(files(1))
    promoted(road, "staging")
    assert tree(road, "staging") == tree(road, "develop")


def test_a_variation_that_cannot_be_run_is_a_row_of_its_own(road: Shop) -> None:
    """A mistake that only its variables make is told as that of the variation."""
    text = files(1)["recipes/delays/recipe.yml"].replace(
        "vars: {least: 1}", "vars: {least: 1, where: nowhere}"
    )
    text = text.replace("vars: {least: 0}", "vars: {least: 0, where: flights}")
    text = text.replace("file: data/flights.csv", 'file: "data/${{ vars.where }}.csv"')
    road.commit({"recipes/delays/recipe.yml": text})
    said = road.cli("promote", "staging")
    assert said.code in (1, 3), said.out + said.err
    assert "delays:nightly" in said.out
    assert tree(road, "staging") != tree(road, "develop")


def test_a_proof_is_no_run_for_an_interval(road: Shop) -> None:
    """Whether its candidate passed or failed: by the clock, the interval is as it was before."""
    road.commit(files(2))
    assert road.cli("promote", "staging", "--quiet").code == 1
    road.commit(files(1))
    promoted(road, "staging")
    road.git("switch", "-q", "staging")
    shown = json.loads(road.cli("schedule", "list", "--json").out)
    [found] = [s for s in shown["schedules"] if s["variation"] == "nightly"]
    assert [i for i in found["intervals"] if i["run"]] == []
    assert {i["state"] for i in found["intervals"]} <= {"due", "waiting"}


@pytest.mark.long
def test_a_rollback_asks_what_was_asked_then(tmp_path: Path) -> None:
    """A landing from before the recipe had a variation, or from before variations were proved, can be brought
    back: nobody asks it for evidence that it never had."""
    shop = made(tmp_path, FILES)
    assert shop.cli("run", "--quiet").code == 0
    promoted(shop, "staging")
    first = shop.git("rev-parse", "staging")
    shop.commit(files(1))
    assert shop.cli("run", "--quiet").code == 0
    promoted(shop, "staging")
    shop.commit({"recipes/delays/late.sql": SQL.replace("count(*)", "count(*) + 1")})
    promoted(shop, "staging")
    said = shop.cli("rollback", "staging", "--quiet", "--reason", "it counts wrong")
    assert said.code == 0, said.out + said.err
    said = shop.cli("rollback", "staging", "--to", first, "--quiet", "--reason", "older")
    assert said.code == 0, said.out + said.err
    assert rows(shop, "staging") == [("AA", 2), ("UA", 1)]
    assert tree(shop, "staging") == tree(shop, first)


@pytest.mark.long
def test_a_job_tells_of_a_variation_that_nothing_of_it_was_published(
    road: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reports of a landing say of the recipe what was published, of the variation that it was proved."""
    proofs: list[proving.Proof] = []
    prove = proving.prove

    def watched(*given: Any, **named: Any) -> proving.Proof:
        proofs.append(prove(*given, **named))
        return proofs[-1]

    monkeypatch.setattr(walking, "prove", watched)
    promoted(road, "staging")
    landing = Ground.of(Request(start=road.root)).course("staging").landings[-1]
    told = outcomes_of(proofs, walking.Done(End.LANDED, "staging", None, landing, new=True))
    assert [(o.variation, o.publication.state, o.candidate) for o in told] == [
        (None, "published", False),
        ("nightly", "withheld", True),
    ]


def test_what_an_environment_runs() -> None:
    """A variation that names it; one with a schedule that names none, which runs in all."""
    clock = Schedule("17 5 * * *")
    assert runs_in("prod", Variation("v", environments=("dev", "prod")))
    assert runs_in("prod", Variation("v", schedule=clock))
    assert not runs_in("prod", Variation("v", environments=("dev",), schedule=clock))
    assert not runs_in("prod", Variation("v"))


class _Raw:
    def __init__(self, **variations: Variation) -> None:
        self.variations = variations


def test_variations_come_in_the_order_of_their_recipes_with_the_interval_that_ended_last() -> None:
    """One without a schedule has none; one that is due at this moment has ended."""
    clock = Variation("v", schedule=Schedule("0 6 * * *"))
    recipes: Any = {"a": _Raw(v=clock), "b": _Raw(z=Variation("z", environments=("prod",)), y=clock)}
    now = datetime(2026, 3, 2, 6, tzinfo=UTC)
    found = list(variants("prod", recipes, ["b", "a"], now))
    assert [v.label for v in found] == ["b:y", "b:z", "a:v"]
    assert found[0].interval is not None
    assert found[0].interval.pair == (datetime(2026, 3, 1, 6, tzinfo=UTC), now)
    assert found[1].interval is None

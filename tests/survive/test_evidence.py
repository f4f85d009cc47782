"""Failures of other tools that ended green, or red, without evidence: SURVIVE S2 and S24."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gitkitchen.github.forge.faults import Fault
from gitkitchen.road import effects
from road import FILES, RECIPE, made, promoted, remote
from town import Town, towned

UNTESTED = """\
version: 1
recipe: delays
nodes:
  flights: {source: {file: data/flights.csv}}
  late: {sql: late.sql}
"""


@pytest.mark.parametrize("what", ["no tests", "no recipes", "no nodes"])
def test_s2_no_evidence_is_never_green(tmp_path: Path, what: str) -> None:
    """S2 (Atlantis #6529: success 0/0): a tree in which nothing was tested lands nowhere."""
    shop = made(tmp_path)
    promoted(shop, "staging")
    before = shop.git("rev-parse", "staging")
    views = (shop.root / ".gitkitchen/views/staging.duckdb").read_bytes()
    if what == "no recipes":
        shop.git("rm", "-q", "-r", "recipes")
        shop.commit()
    else:
        text = UNTESTED if what == "no tests" else "version: 1\nrecipe: delays\nnodes: {}\n"
        shop.commit({"recipes/delays/recipe.yml": text})
    said = shop.cli("promote", "staging", "--quiet", "--json")
    assert said.code != 0, said.out
    if said.out:
        gates = {gate["gate"]: gate["standing"] for gate in json.loads(said.out)["gates"]}
        assert gates["required"] != "passed"
    assert shop.git("rev-parse", "staging") == before
    assert (shop.root / ".gitkitchen/views/staging.duckdb").read_bytes() == views


def test_s2_while_it_is_being_proved_nobody_else_sees_it_green(tmp_path: Path) -> None:
    """S2: another command that looks while the proof is under way finds it pending, and counts nothing."""
    shop = made(tmp_path)
    seen: dict[str, str] = {}

    def look(name: str, when: str) -> None:
        if (name, when) == ("prove", "after") and not seen:
            said = shop.cli("promote", "staging", "--quiet", "--dry-run", "--json")
            seen.update({gate["gate"]: gate["standing"] for gate in json.loads(said.out)["gates"]})
            assert said.code == 1

    effects.watchers.append(look)
    try:
        promoted(shop, "staging")
    finally:
        effects.watchers.remove(look)
    assert seen["required"] == "pending"


def test_s2_evidence_of_another_tree_is_none(tmp_path: Path) -> None:
    """S2: what was proved of one tree says nothing of the next, however little it differs."""
    shop = made(tmp_path)
    promoted(shop, "staging")
    shop.commit({"recipes/delays/recipe.yml": RECIPE + "# a comment\n"})
    said = shop.cli("promote", "staging", "--quiet", "--dry-run", "--json")
    gates = {gate["gate"]: gate["standing"] for gate in json.loads(said.out)["gates"]}
    assert (said.code, gates["required"]) == (1, "pending")


@pytest.mark.long
@pytest.mark.parametrize("kind", ["limit-429", "limit-403", "primary", "503", "reset"])
def test_s24_a_limit_is_no_verdict(tmp_path: Path, kind: str) -> None:
    """S24: where the forge does not answer who approved, the gate is unknown, not failed: exit code 3, as of
    what could not be checked, no incident, nothing moved; when it answers again, the same command lands."""
    gated = FILES["kitchen.yml"].replace("{branch: staging}", "{branch: staging, gate: {approvals: 1}}")
    gated += f"ledger: branch\nstore: file://{tmp_path}/store\n"
    with towned(tmp_path, {"kitchen.yml": gated}) as town:
        before = town.repo.head("staging")
        assert town.promote("staging").code == 1
        town.repo.review(_step(town), "petra")
        fault = Fault(kind, "GET", r"/pulls/\d+/reviews", times=-1, retry_after=3600, reset_in=3600)
        town.forge.desk.faults.append(fault)
        said = town.promote("staging")
        assert "approvals unknown" in said.out, said.out
        assert "approvals failed" not in said.out
        assert said.code == 3
        assert town.repo.head("staging") == before
        assert town.moves("staging") == []
        town.forge.desk.faults.clear()
        town.time.now += 7200
        assert town.promote("staging").code == 0
        assert [m["move"] for m in town.moves("staging")] == ["landing"]


def test_s24_a_remote_that_is_away_is_no_verdict(tmp_path: Path) -> None:
    """S24: a remote that is gone ends a promotion with 3, could not check, and never with 1."""
    host = remote(tmp_path)
    clone = host.clone("job", "main")
    before = host.git("rev-parse", "staging")
    host.path.rename(tmp_path / "away")
    said = host_job(tmp_path, host, clone)
    assert said.code == 3, said.out + said.err
    (tmp_path / "away").rename(host.path)
    assert host.git("rev-parse", "staging") == before
    assert host_job(tmp_path, host, clone).code == 0


def host_job(folder, host, clone):  # type: ignore[no-untyped-def]
    return host.job(clone, "main", "promote", "staging", "--quiet")


def _step(town: Town):  # type: ignore[no-untyped-def]
    (found,) = [p for p in town.pulls() if p.state == "open"]
    return found

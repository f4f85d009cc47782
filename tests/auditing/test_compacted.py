"""A ledger that was compacted, as its users meet it: the commands that read it all, and what they say."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from tests.auditing.made_road import KITCHEN, Road, make_road
from tests.ledger.compacted import publication, run

from gitkitchen.data.catalog import entries_at
from gitkitchen.errors import Mistake
from gitkitchen.kitchen.identity import environment_namespace
from gitkitchen.ledger.protocol import New
from shop import Shop


def whole(road: Road) -> bool:
    said = road.shop.cli("audit", "--verify", "--json")
    found = json.loads(said.out)["problems"]
    assert said.code == (1 if found else 0), said.err
    return not found


def asked(road: Road, sql: str) -> list[list[object]]:
    said = road.shop.cli("query", "--ledger", "--json", sql)
    assert said.code == 0, said.err
    return [list(row.values()) for row in json.loads(said.out)]


@pytest.mark.long
def test_a_compacted_ledger_is_whole_and_says_what_it_left_behind(tmp_path: Path) -> None:
    """Status, dry run, compaction, audit, tables and page agree; a landing's tip of the ledger is vouched
    for; what was shown before is told to be unknown, and never told wrongly."""
    road = make_road(tmp_path, "branch")
    assert road.remote is not None
    prod = road.project.environment("prod")
    assert prod is not None
    space = environment_namespace(road.project, prod)
    entries = [New(f"runs/{space}/delays", run(days)) for days in range(790, 0, -100)]
    value = {"content": "0" * 64, "zone": "trusted", "node": "a", "recipe": "delays", "run": "r"}
    for days in range(790, 0, -100):
        body = publication(days, "totals")
        body["datasets"]["totals"] |= value
        entries.append(New(f"publications/{space}", body))
    road.ledger.append_together(entries)
    words = ["git", "rev-parse", "refs/heads/gitkitchen-ledger"]
    tip = subprocess.run(words, cwd=road.remote, check=True, capture_output=True, text=True).stdout.strip()
    road.land("prod", "one", ledger=tip)
    assert whole(road)
    runs = asked(road, "select count(*) from runs")
    last = entries_at(road.ledger, space, 8)

    status = json.loads(road.shop.cli("ledger", "--json").out)
    subprocess.run(["git", "gc", "-q", "--prune=now"], cwd=road.remote, check=True)
    packs = sum(p.stat().st_size for p in (road.remote / "objects/pack").glob("*.pack"))
    assert 0 < status["total"] <= packs
    assert status["total"] == sum(status["bytes"].values())
    assert (status["records"]["runs"], status["commits"], status["growth"]) == (9, 3, None)
    assert (status["compaction"]["records"], status["retention"], status["compactions"]) == (0, None, [])
    said = road.shop.cli("ledger", "compact", "--keep", "400d", "--dry-run")
    assert "7 records of 2 streams would be removed" in said.out, said.err
    assert subprocess.run(words, cwd=road.remote, capture_output=True, text=True).stdout.strip() != tip
    before = asked(road, "select count(*) from records")
    old = subprocess.run(words, cwd=road.remote, check=True, capture_output=True, text=True).stdout.strip()
    kitchen = KITCHEN.format(kind="branch") + "retention: {runs: 400d}\n"
    (road.shop.root / "kitchen.yml").write_text(kitchen, encoding="utf-8")
    assert json.loads(road.shop.cli("ledger", "status", "--json").out)["retention"] == 400 * 86400
    said = road.shop.cli("ledger", "compact")
    assert said.code == 0, said.err
    assert "7 records of 2 streams removed" in said.out
    assert "is kept as refs/gitkitchen/archive/" in said.out
    assert "nothing to compact" in road.shop.cli("ledger", "compact").out

    road.land("prod", "two", ledger=old)
    assert whole(road), "what landed after the compaction was judged before it"
    assert asked(road, "select count(*) from records") == [[before[0][0] - 7 + 1 + 2]]
    assert asked(road, "select count(*) from runs") == [[runs[0][0] - 4 + 1]]
    said = road.shop.cli("ledger", "verify")
    assert said.code == 0, said.err
    assert "checked record by record against what was before" in said.out
    assert "7 records removed" in road.shop.cli("ledger").out
    assert road.shop.cli("page", "--out", str(tmp_path / "page")).code == 0
    assert entries_at(road.ledger, space, 8) == last
    with pytest.raises(Mistake, match="a compaction removed publications from before"):
        entries_at(road.ledger, space, 3)

    other = tmp_path / "other"
    subprocess.run(["git", "clone", "-q", "-b", "main", road.remote.as_uri(), str(other)], check=True)
    said = Shop(other).cli("audit", "--verify")
    assert said.code == 0, said.out + said.err


def test_what_is_refused(tmp_path: Path) -> None:
    """A folder, a time too short, a document where there is none: each with what to do."""
    road = make_road(tmp_path, "folder")
    for words in (["ledger"], ["ledger", "compact"], ["ledger", "verify"]):
        said = road.shop.cli(*words)
        assert (said.code, "the ledger is a folder" in said.err) == (2, True)
    kitchen = KITCHEN.format(kind="branch")
    (road.shop.root / "kitchen.yml").write_text(kitchen, encoding="utf-8")
    said = road.shop.cli("ledger", "compact", "--keep", "29d")
    assert (said.code, "`--keep 30d` is the least" in said.err) == (2, True)
    assert road.shop.cli("ledger", "--json", "verify").code == 2
    assert road.shop.cli("ledger").out == "the ledger is empty\n"
    assert road.shop.cli("ledger", "compact").out.startswith("nothing to compact")
    for more, why in (("29d", "less than 30d"), ("400", "a duration such as 400d")):
        (road.shop.root / "kitchen.yml").write_text(
            f"{kitchen}retention: {{runs: {more}}}\n", encoding="utf-8"
        )
        said = road.shop.cli("validate")
        assert (said.code, why in said.out + said.err) == (2, True), said.out + said.err
    folder = KITCHEN.format(kind="folder") + "retention: {runs: 400d}\n"
    (road.shop.root / "kitchen.yml").write_text(folder, encoding="utf-8")
    said = road.shop.cli("validate")
    assert (said.code, "retention is of a ledger on a branch" in said.out + said.err) == (2, True)

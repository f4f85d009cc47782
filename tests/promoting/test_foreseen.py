"""`promote --dry-run`: how every gate stands, from what is known, and nothing is changed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from road import FILES, made, promoted
from shop import Shop


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """A road whose staging lets things in on Mondays to Thursdays."""
    text = FILES["kitchen.yml"].replace(
        "staging: {branch: staging}", 'staging: {branch: staging, gate: {allow: ["Mon-Thu 08:00-16:00 UTC"]}}'
    )
    found = made(tmp_path, {**FILES, "kitchen.yml": text})
    assert found.cli("run", "--quiet").code == 0
    return found


def state(shop: Shop) -> tuple[str, list[str]]:
    """Every ref, and every file of the ledger, the store and the views."""
    kept = shop.root / ".gitkitchen"
    folders = [kept / name for name in ("ledger", "store", "views", "runs")]
    names = sorted(str(p) for f in folders for p in f.rglob("*") if p.is_file() and "@scratch" not in str(p))
    return shop.git("for-each-ref"), names


def seen(shop: Shop, *words: str) -> dict[str, str]:
    said = shop.cli("promote", "staging", "--dry-run", "--json", *words)
    document = json.loads(said.out)
    assert said.code in ((0,) if document["end"] == "clean" else (1, 3)), said.err
    return {gate["gate"]: gate["standing"] for gate in document["gates"]}


def test_before_anything_was_run_the_evidence_is_missing(shop: Shop) -> None:
    """What nobody ran on this tree for this target is pending; the clock says when the window opens."""
    before = state(shop)
    gates = seen(shop, "--at", "2026-11-21T12:00Z")  # a Saturday
    assert gates["required"] == "pending"
    assert gates["allow"] == "pending"
    assert seen(shop, "--at", "2026-11-23T12:00Z")["allow"] == "passed"
    assert state(shop) == before
    text = shop.cli("promote", "staging", "--dry-run", "--at", "2026-11-21T12:00Z").out
    assert "not before 2026-11-23 08:00 UTC" in text
    assert "it would not land now" in text
    alone = shop.cli("promote", "staging", "--dry-run", "--at", "2026-11-23T12:00Z")
    assert (alone.code, "nothing stands against it" in alone.out) == (1, True), "only its own run is missing"


def test_what_was_proved_is_remembered(tmp_path: Path) -> None:
    """A promotion that waits leaves evidence, which a dry run finds again until something moves."""
    text = FILES["kitchen.yml"].replace("branch: staging}", "branch: staging, gate: {approvals: 1}}")
    shop = made(tmp_path, {**FILES, "kitchen.yml": text})
    said = shop.cli("promote", "staging", "--quiet")
    assert said.code == 3, said.out + said.err
    assert "unknown" in said.out
    assert seen(shop)["required"] == "passed"
    shop.commit({"a.txt": "a"})
    assert seen(shop)["required"] == "pending"


def test_a_policy_is_that_of_the_target(shop: Shop) -> None:
    """A source that takes the gate out of kitchen.yml is still judged by the target's."""
    shop.replace("kitchen.yml", ', gate: {allow: ["Mon-Thu 08:00-16:00 UTC"]}', "")
    shop.commit()
    assert seen(shop, "--at", "2026-11-21T12:00Z")["allow"] == "pending"


@pytest.mark.parametrize("moment", ["tomorrow", "2026-11-23T12:00"])
def test_a_moment_that_is_none_is_refused(shop: Shop, moment: str) -> None:
    """A moment without a time zone would be another one for every reader."""
    said = shop.cli("promote", "staging", "--dry-run", "--at", moment)
    assert said.code == 2


def test_a_moment_cannot_be_chosen_for_a_real_promotion(shop: Shop) -> None:
    """--at without --dry-run would be a way around a window."""
    said = shop.cli("promote", "staging", "--at", "2026-11-23T12:00Z")
    assert said.code == 2
    assert "--dry-run" in said.err


def test_a_commit_by_hand_is_told(tmp_path: Path) -> None:
    """What stands on the branch and is not in the ledger is said before it is proved."""
    shop = made(tmp_path)
    promoted(shop, "staging")
    shop.git("switch", "-q", "staging")
    shop.commit({"a.txt": "a"})
    shop.git("switch", "-q", "develop")
    shop.commit({"b.txt": "b"})
    assert "is not in the ledger" in shop.cli("promote", "staging", "--dry-run").out


def test_what_stands_there_already_is_said(tmp_path: Path) -> None:
    """A dry run of what has landed does not say that it would not."""
    shop = made(tmp_path)
    promoted(shop, "staging")
    said = shop.cli("promote", "staging", "--dry-run")
    assert said.code == 0
    assert "already" in said.out
    assert "would" not in said.out


def test_looking_writes_nothing_at_all(shop: Shop) -> None:
    """No ref, no file, and no object: a repository that may only be read will do."""
    git = shop.root / ".git"
    before = {path: path.stat().st_mtime_ns for path in git.rglob("*") if path.is_file()}
    refs = shop.git("for-each-ref")
    assert shop.cli("promote", "staging", "--dry-run").code == 1
    after = {path: path.stat().st_mtime_ns for path in git.rglob("*") if path.is_file()}
    assert (after, shop.git("for-each-ref")) == (before, refs)

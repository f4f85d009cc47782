"""What a promotion says of a recipe that cannot be proved now: that nothing is known, never that it fails."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gitkitchen import flow
from gitkitchen.errors import Infrastructure, Problem
from gitkitchen.road.ground import Ground
from gitkitchen.workplace import Request, enter
from road import TWO, made, promoted


def test_while_somebody_is_at_work_on_a_recipe_nothing_is_said_of_the_others(tmp_path: Path) -> None:
    """Exit code 3, the holder is named, and nothing moved; when it has ended, the same command lands."""
    shop = made(tmp_path, TWO)
    tip = shop.git("rev-parse", "staging")
    place = enter(Request(start=shop.root, kitchen="staging"))
    with place.ledger.lease(f"{place.kitchen.namespace}/delays", "the run of somebody"):
        said = shop.cli("promote", "staging", "--quiet")
    assert said.code == 3, said.out + said.err
    assert "the run of somebody" in said.err
    assert "failed" not in said.out
    assert shop.git("rev-parse", "staging") == tip
    assert Ground.of(Request(start=shop.root)).course("staging").moves == 0
    promoted(shop, "staging")


def test_who_reads_what_could_not_be_made_is_not_called_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A recipe that could not be run leaves those that read from it unknown, too: no gate has failed, and the
    exit code is that of what could not be checked."""
    shop = made(tmp_path, TWO)
    run = flow.candidate

    def away(request: Request, **about: Any) -> flow.Candidate:
        if request.recipe == "delays":
            raise Infrastructure(Problem("the source is away"))
        return run(replace(request), **about)

    monkeypatch.setattr(flow, "candidate", away)
    said = shop.cli("promote", "staging", "--quiet")
    assert said.code == 3
    assert "? recipe:delays unknown" in said.out
    assert "? recipe:report unknown: recipe 'report': it reads late" in said.out
    assert "✗" not in said.out

"""Who may let something pass, and by whose rules: SURVIVE S22."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gitkitchen.github.forge.state import Pull
from road import KITCHEN_YML
from town import Town, towned

pytestmark = pytest.mark.long


@pytest.fixture
def gated(tmp_path: Path) -> Iterator[Town]:
    """Staging asks for one approval; the pull request of the step is open."""
    text = KITCHEN_YML + f"ledger: branch\nstore: file://{tmp_path}/store\n"
    text = text.replace("{branch: staging}", "{branch: staging, gate: {approvals: 1}}")
    with towned(tmp_path, {"kitchen.yml": text}) as town:
        town.repo.allow("rita", "write")
        town.repo.allow("mallory", "read")
        assert town.promote("staging").code == 1
        yield town


def step(town: Town) -> Pull:
    (found,) = [p for p in town.pulls() if p.state == "open"]
    return found


def refused(town: Town, *words: str) -> None:
    before = town.repo.head("staging")
    said = town.promote("staging")
    assert said.code == 1, said.out
    for word in words:
        assert word in said.out, said.out
    assert town.repo.head("staging") == before
    assert town.moves("staging") == []


def test_s22_who_asked_for_changes_later_no_longer_approves(gated: Town) -> None:
    """S22: the latest word of each person counts, and who asks for changes blocks what others approve."""
    pull = step(gated)
    gated.repo.review(pull, "petra")
    gated.repo.review(pull, "petra", "CHANGES_REQUESTED")
    refused(gated, "petra")
    gated.repo.review(pull, "rita")
    refused(gated, "petra")
    gated.repo.review(pull, "petra")
    assert gated.promote("staging").code == 0


def test_s22_a_stranger_deploys_nothing(gated: Town) -> None:
    """S22: neither the review nor any comment of somebody who may not write moves or opens anything."""
    pull = step(gated)
    gated.repo.review(pull, "mallory")
    for words in ("/deploy", "/kitchen promote staging", "/kitchen run"):
        comment = gated.repo.comment(pull, "mallory", words)
        event = gated.repo.event("issue_comment", "created", comment=comment)
        gated.job("issue_comment", event, "refs/heads/main")
    assert gated.repo.deliveries("workflow_dispatch") == []
    refused(gated, "0 of 1 approvals")


def test_s22_the_policy_is_that_of_the_target(gated: Town) -> None:
    """S22: a change that takes the gate away is judged by the gate that it takes away."""
    text = KITCHEN_YML + f"ledger: branch\nstore: file://{gated.folder}/store\n"
    gated.repo.commit("develop", {"kitchen.yml": text}, author="olga")
    refused(gated, "0 of 1 approvals")


def test_s22_an_approval_of_another_head_is_void(gated: Town) -> None:
    """S22: what was approved was that tree; another one asks again."""
    gated.repo.review(step(gated), "petra")
    gated.repo.commit("develop", {"b.txt": "b"}, author="olga")
    refused(gated, "0 of 1 approvals")

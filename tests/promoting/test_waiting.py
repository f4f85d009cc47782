"""Promotions that wait go on by themselves: when the approval comes, or the window opens, never before."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from gitkitchen.github.forge.state import Pull
from road import KITCHEN_YML
from shop import Said
from town import WORKFLOW, Town, towned

TESTS = ".github/workflows/gitkitchen-pull-request.yml"
MAIN = "refs/heads/main"
BOT = "github-actions[bot]"


def gated(folder: Path, gate: str) -> dict[str, str]:
    text = KITCHEN_YML.replace("{branch: staging}", f"{{branch: staging, gate: {gate}}}")
    return {"kitchen.yml": f"{text}ledger: branch\nstore: file://{folder}/store\n"}


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    """A road whose staging asks for one approval. Petra may write, as rita may; olga wrote the change."""
    with towned(tmp_path, gated(tmp_path, "{approvals: 1}")) as found:
        found.repo.allow("rita", "write")
        yield found


def asked(town: Town, by: str, **inputs: str) -> Said:
    """Somebody starts a promotion to staging."""
    event = town.repo.event(
        "workflow_dispatch", workflow=WORKFLOW, ref=MAIN, inputs={"promote": "staging", **inputs}
    )
    return town.job("workflow_dispatch", event, MAIN, GITHUB_ACTOR=by)


def reviewed(town: Town, pull: Pull, by: str) -> tuple[Said, Said]:
    """Somebody approves: the job of the pull request, and the trusted one behind it."""
    town.time.now += 60
    town.repo.review(pull, by)
    event = town.repo.deliveries("pull_request_review")[-1].payload
    view = town.job("pull_request_review", event, MAIN, GITHUB_ACTOR=by)
    run = town.repo.run(TESTS, "pull_request_review", pull.head_sha, pull=pull)
    done = town.job("workflow_run", town.repo.event("workflow_run", run=run), MAIN, GITHUB_ACTOR=by)
    return view, done


def started(town: Town) -> list[dict[str, Any]]:
    return [d.payload["inputs"] for d in town.repo.deliveries("workflow_dispatch")]


@pytest.mark.long
def test_an_approval_lets_a_promotion_go_on(town: Town) -> None:
    """Whoever asked may not approve, not even by the job that goes on for them; the approval of another
    starts the promotion's own workflow with what was asked, and that lands it. The view shows approvals."""
    said = asked(town, "petra", reason="first of the week")
    assert said.code == 1, said.out
    (pull,) = town.pulls()
    view, done = reviewed(town, pull, "petra")
    assert "approvals unknown" not in view.out
    assert "petra's does not count: they asked for this promotion" in view.out
    assert (done.code, "waits on: approvals pending" in done.out) == (0, True), done.out
    assert started(town) == []
    view, done = reviewed(town, pull, "rita")
    assert "approvals passed" in view.out, view.out
    assert (done.code, "gitkitchen-promote.yml is started for it" in done.out) == (0, True), done.out
    (inputs,) = started(town)
    assert {k: inputs[k] for k in ("promote", "reason")} == {
        "promote": "staging",
        "reason": "first of the week",
    }
    before = town.repo.head("staging")
    said = asked(town, BOT, **{k: v for k, v in inputs.items() if k != "promote"})
    assert said.code == 0, said.out
    assert town.repo.head("staging") != before
    assert town.tree("staging") == town.tree("develop")
    assert town.moves("staging")[-1]["reason"] == "first of the week"


@pytest.mark.long
def test_a_window_that_opened_is_noticed_by_what_comes_next(tmp_path: Path) -> None:
    """On Saturday it waits, and what a schedule does then starts nothing; on Monday the next scheduled job
    starts it. What has landed, or is held, is not started."""
    with towned(tmp_path, gated(tmp_path, '{allow: ["Mon-Fri 08:00-16:00 UTC"]}')) as town:

        def tick() -> Said:
            event = town.repo.event("schedule", cron="17 5 * * *")
            event["ref"] = "refs/heads/develop"
            return town.job("schedule", event, "refs/heads/develop", GITHUB_ACTOR=BOT)

        said = asked(town, "petra")
        assert (said.code, "allow" in said.out) == (1, True), said.out
        said = tick()
        assert (said.code, "its promotion waits on: allow" in said.out) == (0, True), said.out
        assert started(town) == []
        town.time.now = datetime(2026, 11, 23, 9, tzinfo=UTC).timestamp()
        said = tick()
        assert (said.code, "is started for it" in said.out) == (0, True), said.out
        (inputs,) = started(town)
        assert asked(town, BOT, key=inputs["key"]).code == 0
        count = len(started(town))
        assert "is started for it" not in tick().out
        assert len(started(town)) == count

"""Alerts of the jobs of `ci` on a forge, with the ledger on a branch: an issue an incident, across jobs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gitkitchen.github.forge.state import Issue
from road import KITCHEN_YML
from town import Town, towned

ALERTS = """\
alerts:
  channels:
    issues: {type: github_issue, labels: [data]}
  rules:
    - {channels: [issues]}
"""
RECIPE = """\
version: 1
recipe: feed
owner: "@olga"
nodes:
  orders: {source: {file: orders.csv}, tests: [{rows: {min: 2}}]}
"""
GOOD, SHORT = "id\n1\n2\n", "id\n1\n"
KITCHEN = "version: 1\nproject: {name: shop, id: 0123456789abcdef}\nenvironments:\n  prod: {branch: main}\n"


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    files = {
        "kitchen.yml": f"{KITCHEN}ledger: branch\nstore: file://{tmp_path}/store\n{ALERTS}",
        "recipes/feed/recipe.yml": RECIPE,
        "recipes/feed/orders.csv": GOOD,
        ".gitignore": ".gitkitchen/\n",
    }
    with towned(tmp_path, files, only=True) as made:
        made.token = made.forge.job_token(made.repo, contents="write", issues="write", actions="write")
        yield made


def issues(town: Town) -> list[Issue]:
    return list(town.repo.repo.issues.values())


def pushed(town: Town, orders: str) -> int:
    before = town.repo.head("main")
    town.repo.commit("main", {"recipes/feed/orders.csv": orders}, author="olga")
    return town.pushed("main", before).code


def kept(town: Town) -> list[dict[str, Any]]:
    listed = town.git("ls-tree", "-r", "--name-only", "gitkitchen-ledger").splitlines()
    paths = sorted(p for p in listed if p.startswith("alerts/"))
    found = [json.loads(town.git("show", f"gitkitchen-ledger:{p}")) for p in paths]
    return [r["body"] for r in sorted(found, key=lambda r: r["sequence"])]


@pytest.mark.long
def test_one_issue_from_its_opening_to_its_end(town: Town) -> None:
    """Three jobs on three machines: opened with the owner mentioned, brought up to date, closed as completed;
    what changed is a commit; the ledger has one opening, one update, one close, each delivered."""
    assert pushed(town, GOOD + "3\n") == 0
    assert issues(town) == []
    assert pushed(town, SHORT) == 1
    (issue,) = issues(town)
    assert (issue.state, issue.labels) == ("open", ["gitkitchen", "data"])
    assert issue.user.login == "github-actions[bot]"
    body = str(issue.body)
    assert "| **Owner** | @olga |" in body
    assert "| **Observed** | 1 row |" in body
    assert "Changed since the last green run" in body
    assert "/actions/runs/" in body
    assert pushed(town, "id\n2\n") == 1
    (issue,) = issues(town)
    assert "| **Failures in a row** | 2 |" in str(issue.body)
    assert pushed(town, GOOD) == 0
    (issue,) = issues(town)
    assert (issue.state, issue.state_reason) == ("closed", "completed")
    assert "**Recovered**" in str(issue.body)
    told = [f"{b['kind']} {b.get('message', '')}".strip() for b in kept(town)]
    assert told == [
        "opened", "delivered opened", "updated", "delivered updated", "closed", "delivered closed",
    ]  # fmt: skip


@pytest.mark.long
def test_a_group_is_one_issue(town: Town) -> None:
    """Twelve failing tests of a node: one issue with twelve lines, in which those that are well again say so
    (what fails is told with its node, what is well with its run), closed with the last; the ledger has
    twelve incidents, each opened and closed once."""
    tests = ", ".join(f"{{rows: {{min: {2 + k % 2}, max: {90 + k}}}}}" for k in range(12))
    recipe = RECIPE.replace("{rows: {min: 2}}", tests)
    town.repo.commit("main", {"recipes/feed/recipe.yml": recipe}, author="olga")
    assert pushed(town, SHORT) == 1
    (issue,) = issues(town)
    assert issue.title == "[shop prod] feed: orders: 12 tests failed"
    assert str(issue.body).count("failed: 1 row; expected") == 12
    assert pushed(town, GOOD) == 1
    (issue,) = issues(town)
    assert str(issue.body).count("failed: 2 rows; expected") == 6
    assert str(issue.body).count(" recovered\n") == 6
    assert issue.state == "open"
    assert pushed(town, GOOD + "3\n") == 0
    (issue,) = issues(town)
    assert (issue.state, issue.state_reason) == ("closed", "completed")
    told = [b for b in kept(town) if b["kind"] == "delivered"]
    assert [b["message"] for b in told] == ["opened", "updated", "updated", "closed"]
    assert {len(b["with"]) for b in told} == {11}
    kinds = [b["kind"] for b in kept(town)]
    assert (kinds.count("opened"), kinds.count("updated"), kinds.count("closed")) == (12, 6, 12)


@pytest.mark.long
def test_without_the_permission_the_job_is_what_it_was(town: Town) -> None:
    """A token that may write no issue: the verdict is the data's, the job says what to add, and the
    message waits in the ledger."""
    town.token = town.forge.job_token(town.repo, contents="write", actions="write")
    before = town.repo.head("main")
    town.repo.commit("main", {"recipes/feed/orders.csv": SHORT}, author="olga")
    said = town.pushed("main", before)
    assert said.code == 1
    assert "issues: write" in said.out
    assert issues(town) == []
    told = [b["kind"] for b in kept(town)]
    assert told == ["opened"]


@pytest.mark.long
def test_a_promotion_that_is_refused(tmp_path: Path) -> None:
    """A gate that fails opens one issue about the environment, in the gate's words, however often; the
    landing closes it."""
    gate = "gate: {command: [{name: lint, run: [test, -e, fine.txt]}]}"
    text = KITCHEN_YML.replace("{branch: staging}", f"{{branch: staging, {gate}}}")
    text += f"ledger: branch\nstore: file://{tmp_path}/store\n{ALERTS}"
    with towned(tmp_path, {"kitchen.yml": text}) as town:
        rights = {"contents": "write", "pull_requests": "write", "actions": "write", "checks": "write"}
        town.token = town.forge.job_token(town.repo, **rights, issues="write")
        for failures in ("1", "2"):
            assert town.promote("staging").code == 1
            (issue,) = issues(town)
            assert issue.title == "[flights staging] a promotion was refused"
            assert "command:lint" in str(issue.body)
            assert f"| **Failures in a row** | {failures} |" in str(issue.body)
        town.repo.commit("develop", {"fine.txt": ""}, author="olga")
        assert town.promote("staging").code == 0
        (issue,) = issues(town)
        assert (issue.state, issue.state_reason) == ("closed", "completed")

"""Each event decides what its job does; what is not for us ends quietly."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import occasions
from gitkitchen.ci.decide import Action, Decision, decide
from gitkitchen.errors import Mistake
from gitkitchen.github.commands import Command
from gitkitchen.github.events import parse_event
from gitkitchen.model import Environment, Project
from occasions import EXAMPLES, environ

PROJECT = Project(
    Path("/work"), "shop", "7c1e", (Environment("dev", "develop"), Environment("prod", "main")), "prod"
)


def decided(value: Any, name: str, **more: str) -> Decision:
    return decide(parse_event(json.dumps(value).encode(), name, environ(name, **more)), PROJECT)


CASES = [
    *(pytest.param("pull_request", occasions.pull(a), Action.TEST, id=f"pull-{a}")
      for a in ("opened", "synchronize", "reopened", "ready_for_review")),
    *(pytest.param("pull_request", occasions.pull(a), Action.IGNORE, id=f"pull-{a}")
      for a in ("labeled", "edited", "assigned", "converted_to_draft", "locked", "no-such-action")),
    pytest.param("pull_request", occasions.pull("edited") | {"changes": {"base": {"ref": {"from": "x"}}}},
                 Action.TEST, id="pull-base-changed"),
    pytest.param("pull_request", occasions.pull("edited") | {"changes": {"title": {"from": "x"}}},
                 Action.IGNORE, id="pull-title-changed"),
    pytest.param("pull_request", occasions.pull(head="me/shop", branch="main"), Action.TEST, id="fork"),
    pytest.param("pull_request", occasions.pull(head=None), Action.TEST, id="fork-deleted"),
    pytest.param("pull_request", occasions.pull(branch="dependabot/pip/x"), Action.TEST, id="dependabot"),
    pytest.param("pull_request", occasions.pull("closed"), Action.DROP, id="closed"),
    pytest.param("pull_request", occasions.pull("closed", head="me/shop", branch="main"), Action.DROP,
                 id="fork-closed"),
    pytest.param("pull_request", occasions.pull("closed", branch="develop"), Action.IGNORE,
                 id="closed-environment"),
    pytest.param("pull_request", occasions.pull(branch="develop"), Action.REFUSE, id="no-promotion"),
    pytest.param("pull_request", occasions.pull(branch="gitkitchen/promote/prod"), Action.REFUSE, id="own"),
    pytest.param("pull_request_target", occasions.pull(), Action.REFUSE, id="target"),
    pytest.param("pull_request_review", occasions.pull("submitted"), Action.IGNORE, id="review"),
    pytest.param("merge_group", occasions.group(), Action.TEST, id="queue"),
    pytest.param("merge_group", occasions.group() | {"action": "destroyed"}, Action.IGNORE, id="queue-left"),
    pytest.param("push", occasions.push("main"), Action.RUN, id="push"),
    pytest.param("push", occasions.push("main", forced=True), Action.RUN, id="force-push"),
    pytest.param("push", occasions.push("feature"), Action.IGNORE, id="push-sandbox"),
    pytest.param("push", occasions.push("feature", after="0" * 40), Action.DROP, id="push-deleted"),
    pytest.param("push", occasions.push("gitkitchen-ledger"), Action.IGNORE, id="push-ledger"),
    pytest.param("push", occasions.push() | {"ref": "refs/tags/main"}, Action.IGNORE, id="push-tag"),
    pytest.param("schedule", {"schedule": "17 5 * * *"}, Action.CLOCK, id="schedule"),
    pytest.param("workflow_dispatch", {"inputs": None}, Action.RUN, id="dispatch"),
    pytest.param("repository_dispatch", {"client_payload": {}}, Action.RUN, id="repository-dispatch"),
    pytest.param("delete", {"ref": "feature", "ref_type": "branch"}, Action.DROP, id="delete"),
    pytest.param("delete", {"ref": "feature", "ref_type": "tag"}, Action.IGNORE, id="delete-tag"),
    pytest.param("delete", {"ref": "main", "ref_type": "branch"}, Action.IGNORE, id="delete-environment"),
    pytest.param("delete", {"ref": "gitkitchen/x", "ref_type": "branch"}, Action.IGNORE, id="delete-own"),
    pytest.param("workflow_run", occasions.finished(), Action.POST, id="finished"),
    pytest.param("workflow_run", occasions.finished(conclusion="cancelled"), Action.POST, id="cancelled"),
    pytest.param("workflow_run", occasions.finished("push"), Action.IGNORE, id="finished-push"),
    pytest.param("workflow_run", occasions.finished(action="requested"), Action.IGNORE, id="requested"),
    pytest.param("workflow_run", occasions.finished(repository={"full_name": "me/shop"}), Action.IGNORE,
                 id="finished-elsewhere"),
    pytest.param("issue_comment", occasions.comment("/kitchen run"), Action.OBEY, id="comment"),
    pytest.param("issue_comment", occasions.comment("/kitchen runn"), Action.OBEY, id="comment-unclear"),
    pytest.param("issue_comment", occasions.comment("nice"), Action.IGNORE, id="comment-none"),
    pytest.param("issue_comment", occasions.comment("/kitchen run", "edited"), Action.IGNORE, id="edited"),
    pytest.param("issue_comment", occasions.comment("/kitchen run", on_pull=False), Action.IGNORE,
                 id="comment-on-issue"),
    pytest.param("issue_comment", occasions.comment("/kitchen run", user={"login": "b[bot]", "type": "Bot"}),
                 Action.IGNORE, id="comment-of-bot"),
    pytest.param("star", {"action": "created"}, Action.IGNORE, id="star"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value", "action"), CASES)
def test_what_an_event_decides(name: str, value: dict[str, Any], action: Action) -> None:
    """Each event decides one action, and says why in a sentence."""
    found = decided(value, name)
    assert found.action is action
    assert len(found.reason) > 10


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_real_event_is_decided(name: str) -> None:
    """No real event is left without a decision and its reason."""
    for value in EXAMPLES[name]:
        assert decided(value, name, GITHUB_REPOSITORY=value["repository"]["full_name"]).reason


def test_what_is_run_names_its_environment() -> None:
    """A push of an environment's branch runs that environment; one by hand on a branch runs its sandbox."""
    assert decided(occasions.push("develop"), "push").environment == "dev"
    by_hand = decided({"inputs": {"fresh": "true"}}, "workflow_dispatch", GITHUB_REF="refs/heads/x")
    assert (by_hand.branch, by_hand.environment, by_hand.fresh) == ("x", None, True)
    assert decided({}, "schedule", GITHUB_REF="refs/heads/x").action is Action.CLOCK
    assert decided({}, "workflow_dispatch", GITHUB_REF="refs/tags/v1").action is Action.IGNORE


def test_the_kitchen_that_is_dropped_is_the_forks() -> None:
    """The end of a fork's pull request drops the fork's kitchen, and never ours of the same branch."""
    fork = decided(occasions.pull("closed", head="me/shop", branch="x"), "pull_request")
    ours = decided(occasions.pull("closed", branch="x"), "pull_request")
    gone = decided(occasions.pull("closed", head=None, branch="x"), "pull_request")
    assert [d.repository for d in (fork, ours, gone)] == ["me/shop", "", "deleted/fork"]


def test_a_command_and_its_dispatch() -> None:
    """A comment's command is parsed; the dispatch that it causes tests the one head that it names."""
    assert decided(occasions.comment("/kitchen diff orders"), "issue_comment").command == Command(
        "diff", "orders"
    )
    inputs = {"number": "7", "head_repository": "me/shop", "head_branch": "x", "head_sha": "1" * 40}
    inputs |= {"base_branch": "main", "base_sha": "2" * 40, "fresh": "true"}
    found = decided({"inputs": inputs}, "workflow_dispatch")
    assert (found.action, found.fresh) == (Action.TEST, True)
    assert found.change is not None
    assert found.change.head.sha == "1" * 40
    with pytest.raises(Mistake, match="no whole pull request"):
        decided({"inputs": inputs | {"head_sha": "main"}}, "workflow_dispatch")
    taken = inputs | {"head_repository": "acme/shop", "head_branch": "main"}
    assert decided({"inputs": taken}, "workflow_dispatch").action is Action.REFUSE


@pytest.mark.parametrize(
    ("pull", "action"),
    [
        (occasions.pull(branch="gitkitchen/promote/prod"), Action.VIEW),
        (occasions.pull("synchronize", branch="develop"), Action.VIEW),
        (occasions.pull("closed", branch="gitkitchen/promote/prod"), Action.IGNORE),
        (occasions.pull(branch="main", target="develop"), Action.REFUSE),
        (occasions.pull(branch="gitkitchen/promote/dev"), Action.REFUSE),
        (occasions.pull(branch="gitkitchen/promote/prod", target="develop"), Action.REFUSE),
        (occasions.pull(head="me/shop", branch="gitkitchen/promote/prod"), Action.TEST),
    ],
    ids=["candidate", "by-hand", "closed", "back", "none", "elsewhere", "fork"],
)
def test_a_promotions_pull_request_is_looked_at(pull: dict[str, Any], action: Action) -> None:
    """Of a promotion, by its candidate or by hand, the job only says how it stands; another pull request of
    these branches is refused with what to do, and a fork's is a stranger's like any other."""
    dev, prod = PROJECT.environments
    project = replace(PROJECT, environments=(dev, replace(prod, source="dev")))
    found = decide(parse_event(json.dumps(pull).encode(), "pull_request", environ("pull_request")), project)
    assert found.action is action
    assert found.environment == ("prod" if action is Action.VIEW else None)
    assert action is not Action.REFUSE or "from a branch of their own" in found.reason

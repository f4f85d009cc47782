"""Detached checkouts, queues and forks in a job of GitHub Actions: the event says whose branch it is."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitkitchen.errors import Mistake
from gitkitchen.kitchen.event import Head, head_of
from gitkitchen.kitchen.identity import identify
from gitkitchen.model import Environment, Kitchen, Project
from shop import Shop

HOME = "https://github.com/acme/flights"
PROJECT = Project(
    Path("/work"), "flights", "7c1e2b", (Environment("dev", "develop"), Environment("prod", "main")), "prod"
)


def job(folder: Path, event: Any, **more: str) -> dict[str, str]:
    """The environment of a job whose workspace is ``folder``."""
    path = folder.parent / "event.json"
    path.write_text(event if isinstance(event, str) else json.dumps(event))
    values = {
        "GITHUB_ACTIONS": "true",
        "GITHUB_WORKSPACE": str(folder),
        "GITHUB_EVENT_PATH": str(path),
        "GITHUB_REPOSITORY": "acme/flights",
        "GITHUB_EVENT_NAME": "pull_request",
    }
    return values | more


def pull(repository: str | None, branch: str, target: str = "main") -> dict[str, Any]:
    repo = {"full_name": repository} if repository else None
    head = {"ref": branch, "sha": "1" * 40, "repo": repo}
    base = {"ref": target, "sha": "2" * 40, "repo": {"full_name": "acme/flights"}}
    return {"pull_request": {"number": 7, "head": head, "base": base}}


def kitchen(folder: Path, event: Any, branch: str | None = None, **more: Any) -> Kitchen:
    head = head_of(job(folder, event), folder)
    values = {"repository": None, "override": None, "event": head} | more
    return identify(PROJECT, branch=branch, **values)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "workspace"
    made.mkdir()
    return made


def test_a_pull_request_of_our_own_branch(folder: Path) -> None:
    """A detached checkout is the kitchen of the pull request's branch, the one that a laptop has."""
    found = kitchen(folder, pull("acme/flights", "feature/x"))
    assert found == identify(PROJECT, branch="feature/x", repository=None, override=None)


def test_the_base_is_the_environment_of_the_target_branch(folder: Path) -> None:
    """A pull request into develop starts from dev's data; into any other branch from sandboxes.base."""
    assert kitchen(folder, pull("acme/flights", "x", "develop")).base == "dev"
    assert kitchen(folder, pull("acme/flights", "x", "other")).base == "prod"


@pytest.mark.parametrize("checked_out", [None, "main"])
def test_main_of_a_fork(folder: Path, checked_out: str | None) -> None:
    """A fork's main is a sandbox, also where the job checked it out as a branch named main."""
    found = kitchen(folder, pull("me/flights", "main"), checked_out)
    assert (found.environment, found.repository, found.fork) == (None, "github.com/me/flights", True)
    assert found.namespace != identify(PROJECT, branch="main", repository=None, override=None).namespace


def test_a_fork_that_was_deleted_is_not_ours(folder: Path) -> None:
    """Without a head repository the branch is nobody's, and no environment."""
    assert kitchen(folder, pull(None, "main")).fork


def test_a_merge_queue_gets_its_kitchen_from_the_event(folder: Path) -> None:
    """The queue's branch is a sandbox of its own on the environment that it wants to get into."""
    branch = "gh-readonly-queue/develop/pr-7-0123abc"
    group = {"head_ref": f"refs/heads/{branch}", "head_sha": "1" * 40}
    group |= {"base_ref": "refs/heads/develop", "base_sha": "2" * 40}
    for checked_out in (None, branch):
        values = job(folder, {"merge_group": group}, GITHUB_EVENT_NAME="merge_group")
        head = head_of(values, folder)
        found = identify(PROJECT, branch=checked_out, repository=None, override=None, event=head)
        assert (found.branch, found.base, found.is_sandbox) == (branch, "dev", True)


def test_a_queue_without_an_event_or_a_name() -> None:
    """A queue's branch alone says nothing: exit 2, and the way out; --kitchen names it."""
    branch = "gh-readonly-queue/main/pr-7-0123abc"
    with pytest.raises(Mistake, match=r"is a merge queue's.*name one with --kitchen") as caught:
        identify(PROJECT, branch=branch, repository=None, override=None)
    assert caught.value.exit_code == 2
    assert identify(PROJECT, branch=branch, repository=None, override=branch).branch == branch


def test_code_of_a_pull_request_never_publishes_to_an_environment(folder: Path) -> None:
    """--kitchen prod in a pull request's job looks at prod and does not publish to it."""
    event = pull("acme/flights", "x")
    assert kitchen(folder, event, override="prod").environment == "prod"
    for branch in (None, "main"):
        with pytest.raises(Mistake, match="never publishes to 'prod'"):
            kitchen(folder, event, branch, override="prod", publishes=True)


def test_a_branch_that_the_event_is_not_about_says_itself(folder: Path) -> None:
    """Another branch that the job made and switched to is its own kitchen."""
    assert kitchen(folder, pull("me/flights", "x"), "release").branch == "release"


@pytest.mark.parametrize("name", ["-x", "a..b", "a b", "x:y", "", "gitkitchen/x"])
def test_a_hostile_head_is_refused(folder: Path, name: str) -> None:
    """What the event calls a branch and Git would not is refused, with exit 2."""
    with pytest.raises(Mistake):
        kitchen(folder, pull("acme/flights", name))


def test_what_is_not_this_job_is_not_asked(folder: Path, tmp_path: Path) -> None:
    """Outside of Actions, or of the job's own workspace, there is no event."""
    values = job(folder, pull("acme/flights", "x"))
    assert head_of(values, folder) is not None
    assert head_of(values, tmp_path / "elsewhere") is None
    assert head_of(values | {"GITHUB_ACTIONS": ""}, folder) is None
    assert head_of({}, folder) is None


def test_a_detached_push_is_its_branch_and_a_foreign_checkout_is_not(folder: Path) -> None:
    """A push's commit, checked out without its branch, is that branch's; workflow_run says nothing."""
    push = {"GITHUB_EVENT_NAME": "push", "GITHUB_REF": "refs/heads/main", "GITHUB_SHA": "1" * 40}
    said = {"ref": "refs/heads/main", "before": "2" * 40, "after": "1" * 40}
    head = head_of(job(folder, said, **push), folder)
    assert head is not None
    assert (head.branch, head.commit, head.proposed) == ("main", "1" * 40, False)
    assert head_of(job(folder, {}, **push | {"GITHUB_EVENT_NAME": "workflow_run"}), folder) is None
    assert head_of(job(folder, said, **push | {"GITHUB_REF": "refs/tags/v1"}), folder) is None


KEYS = ["pull_request", "merge_group", "head", "base", "repo", "ref", "full_name", "head_ref"]
VALUES = st.recursive(
    st.none() | st.integers() | st.text(max_size=20),
    lambda inner: st.dictionaries(st.sampled_from(KEYS), inner, max_size=4) | st.lists(inner, max_size=2),
    max_leaves=12,
)


@given(VALUES)
def test_any_event_is_a_head_or_none(tmp_path_factory: pytest.TempPathFactory, event: Any) -> None:
    """Whatever stands in the file: a head, none, or a mistake that is said."""
    folder = tmp_path_factory.getbasetemp() / "any"
    folder.mkdir(exist_ok=True)
    head = head_of(job(folder, event), folder)
    assert head is None or isinstance(head, Head)
    if head is not None:
        with contextlib.suppress(Mistake):
            assert identify(PROJECT, branch=None, repository=None, override=None, event=head).branch


@pytest.mark.parametrize("damage", ["", "{", "[]", "\x00", "[" * 5000])
def test_an_event_that_cannot_be_read(folder: Path, damage: str) -> None:
    """A damaged event says nothing: the detached checkout is refused as it is without one."""
    with pytest.raises(Mistake, match="HEAD is detached"):
        kitchen(folder, damage)


@pytest.mark.long
def test_a_job_of_a_fork_from_the_command_line(shop: Shop) -> None:
    """The whole command in such a job: a fork's main runs as a sandbox, and prod stays as it was."""
    shop.commit(
        {"recipes/a/recipe.yml": "version: 1\nrecipe: a\nnodes:\n  x: {sql: select 1 as i, key: [i]}\n"}
    )
    values = job(shop.root, pull("me/shop", "main"))
    process = shop.spawn("run", "--json", "--quiet", env={**os.environ, **values})
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    found = json.loads(out)["kitchen"]
    assert found["fork"] is True
    assert (found["environment"], found["repository"], found["branch"]) == (
        None,
        "github.com/me/shop",
        "main",
    )
    assert shop.cli("query", "x").code == 2
    assert shop.rows("from x", "--kitchen", "me/shop:main") == [{"i": 1}]

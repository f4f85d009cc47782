"""Commands in comments, by the real client: who may, for which head, started once, answered in one place."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from gitkitchen.github.forge.state import Pull
from lengths import some
from scene import Scene, scene
from shop import KITCHEN_YML

WORKFLOW = """\
name: GitKitchen command
run-name: GitKitchen ${{ inputs.key }} #${{ inputs.number }} at ${{ inputs.head_sha }}
on: {workflow_dispatch: {}}
"""
RECIPE = "version: 1\nrecipe: orders\nnodes:\n  orders: {sql: select 1 as id, key: [id]}\n"
FILES = {
    "kitchen.yml": KITCHEN_YML,
    "recipes/orders/recipe.yml": RECIPE,
    ".github/workflows/gitkitchen-command.yml": WORKFLOW,
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with scene(tmp_path_factory.mktemp("commands"), FILES) as on:
        on.work.git("checkout", "-q", "--detach")
        yield on


@pytest.fixture
def on(made: Scene) -> Scene:
    made.forget()
    return made


def asked(on: Scene, pull: Pull, login: str, body: str, action: str = "created") -> Any:
    """A comment some time later, and the job that it starts."""
    on.time.now += 60
    comment = on.repo.comment(pull, login, body)
    on.time.now += 60
    return comment, lambda: on.trust("issue_comment", on.repo.event("issue_comment", action, comment=comment))


def dispatched(on: Scene, comment: Any) -> list[Any]:
    return [r for r in on.repo.repo.runs.values() if f"[comment {comment.id}]" in r.title]


def answers(on: Scene, pull: Pull) -> list[str]:
    return [c.body for c in on.comments(pull) if c.user.login == "github-actions[bot]"]


def opened(on: Scene, branch: str) -> Pull:
    """A pull request whose head GitHub began a run for."""
    pull = on.opened(branch, {"README.md": branch})
    on.begun(pull)
    return pull


def test_a_command_starts_the_head_that_was_seen_once(on: Scene) -> None:
    """Exactly that head is dispatched, with a reaction and one answer; delivered again nothing is doubled."""
    pull = opened(on, "run")
    comment, job = asked(on, pull, "alice", "/kitchen run")
    for _ in range(2):
        assert job().code == 0
    (run,) = dispatched(on, comment)
    assert run.title.endswith(f"#{pull.number} at {pull.head_sha}")
    assert run.inputs["head_sha"] == pull.head_sha
    assert {r.content for r in comment.reactions} == {"eyes", "rocket"}
    (answer,) = answers(on, pull)
    assert "@alice, I started" in answer


def test_a_strangers_command_is_refused_with_the_reason(on: Scene) -> None:
    """Who may not write starts nothing, whoever they say they are."""
    pull = opened(on, "stranger")
    comment, job = asked(on, pull, "mallory", "/kitchen run")
    assert job().code == 0
    assert not dispatched(on, comment)
    assert "need write permission, and yours is `read`" in answers(on, pull)[0]


def test_a_push_after_the_comment_is_not_run(on: Scene) -> None:
    """What was pushed between comment and job nobody has seen; nor what was there, went, and came back."""
    pull = opened(on, "moved")
    evil = pull.head_sha
    on.time.now += 60
    on.repo.commit("moved", {"README.md": "clean"}, force_from=on.repo.head("main"))
    on.begun(pull)
    comment, job = asked(on, pull, "alice", "/kitchen run")
    on.repo.repo.bare.set("refs/heads/moved", evil)
    pull.head_sha = evil
    on.begun(pull)
    assert job().code == 0
    assert not dispatched(on, comment)
    assert "was pushed when you had commented" in answers(on, pull)[0]
    comment, job = asked(on, pull, "alice", f"/kitchen run {evil}")
    assert job().code == 0
    assert len(dispatched(on, comment)) == 1, "named as a whole it is the one that is meant"


def test_a_head_without_a_run_was_not_seen(on: Scene) -> None:
    """`[skip ci]` hides when a head came: then it has to be named."""
    pull = on.opened("skipped", {"README.md": "x"})
    comment, job = asked(on, pull, "alice", "/kitchen run")
    assert job().code == 0
    assert not dispatched(on, comment)
    assert "cannot be told" in answers(on, pull)[0]


def test_edited_comments_do_nothing(on: Scene) -> None:
    """An edit is no command: no reaction, no answer, no request."""
    pull = opened(on, "edited")
    _, job = asked(on, pull, "alice", "/kitchen run", "edited")
    assert job().word == "ignored"
    assert not on.forge.writes


@pytest.mark.parametrize(
    "kind", some(["500", "502-after", "reset-after", "401", "403", "404", "422"], "502-after", "422")
)
def test_a_fault_starts_nothing_twice(on: Scene, kind: str) -> None:
    """Whatever the dispatch comes to, the job run again has started one run, and answered once."""
    pull = opened(on, f"fault-{kind}")
    comment, job = asked(on, pull, "alice", "/kitchen run")
    on.forge.fail(kind, verb="POST", path="dispatches")
    first = job()
    assert first.code in (0, 3)
    on.forge.heal()
    assert job().code == 0
    assert len(dispatched(on, comment)) == 1
    assert len(answers(on, pull)) == 1

"""Commands in comments, by the real client: who may, for which head, started once, answered in one place."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from gitkitchen.github.forge import zipped
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


def worked(on: Scene, comment: Any) -> Any:
    """The run that a comment started, to its end."""
    (run,) = dispatched(on, comment)
    path = ".github/workflows/gitkitchen-command.yml"
    inputs = {name: str(value) for name, value in run.inputs.items()}
    event = on.repo.event("workflow_dispatch", workflow=path, ref="refs/heads/main", inputs=inputs)
    return on.job(run, "workflow_dispatch", event)


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


def test_a_diff_is_answered_in_place(on: Scene) -> None:
    """That dataset alone, in the one answer, whatever is delivered again; no check run and no other comment;
    only the recipe that leads to it ran."""
    pull = on.opened(
        "diff", {"recipes/orders/recipe.yml": RECIPE.replace("select 1 as id", "'select 1 as id, 2 as more'")}
    )
    on.begun(pull)
    comment, job = asked(on, pull, "alice", "/kitchen diff orders")
    assert job().code == 0
    run = worked(on, comment)
    assert sorted(on.results[run.id]) == [
        "claim.json",
        "diff.json",
        "orders.junit.xml",
        "orders.outcome.json",
    ]
    for again in (lambda: on.posted(run), job, lambda: on.posted(run)):
        assert again().code == 0
        (answer,) = answers(on, pull)
        assert "more INTEGER" in answer
    assert len(answer) < 2_000
    assert not on.repo.repo.checks
    assert len(on.comments(pull)) == 2


def test_a_diff_of_what_there_is_not_is_refused_in_place(on: Scene) -> None:
    """With a name that is near; it is no failure of the pull request."""
    pull = opened(on, "missing")
    comment, job = asked(on, pull, "alice", "/kitchen diff ordes")
    job()
    on.posted(worked(on, comment))
    (answer,) = answers(on, pull)
    assert "no recipe makes a dataset 'ordes' (did you mean orders?)" in answer
    assert not on.repo.repo.checks


FORGED = ("garbage", "schema", "none", "large", "nothing")


@pytest.mark.parametrize("name", ["other", *(pytest.param(n, marks=pytest.mark.long) for n in FORGED)])
def test_a_forged_diff_is_refused_in_place(on: Scene, name: str) -> None:
    """What is no diff of that dataset is not shown; what is too much is cut."""
    pull = opened(on, f"forged-{name}")
    comment, job = asked(on, pull, "alice", "/kitchen diff orders")
    job()
    run = worked(on, comment)
    files = dict(on.results[run.id])
    found = json.loads(files["diff.json"])
    (one,) = found["datasets"]
    if name == "other":
        one["dataset"] = "secrets"
    elif name == "large":
        found["notes"] = ["@acme/team " + "x" * 300] * 5_000
    if name == "nothing":
        files = {"nothing.json": b'{"version": 1, "reason": "none"}'}
    elif name == "none":
        del files["diff.json"]
    else:
        made = {"garbage": b"[" * 100_000, "schema": b'{"version": 1}'}
        files["diff.json"] = made.get(name) or json.dumps(found).encode()
    for kept in [a for a in on.repo.repo.artifacts.values() if a.run == run.id]:
        del on.repo.repo.artifacts[kept.id]
    on.repo.artifact(run, "gitkitchen-results-1", zipped(files))
    report = on.posted(run)
    (answer,) = answers(on, pull)
    said = {
        "other": "not about 'orders'",
        "garbage": "cannot be read",
        "schema": "is no diff",
        "none": "ended before it was done",
        "large": "Left out for length",
        "nothing": "holds no claim",
    }[name]
    assert said in answer, answer
    assert len(answer) < 17_000
    assert report.code == (0 if name in ("none", "large") else 2)
    assert not on.repo.repo.checks


@pytest.mark.long
def test_a_diff_of_a_head_that_is_gone_says_so(on: Scene) -> None:
    """Pushed since: the answer says to ask again, and is about no commit that nobody sees."""
    pull = opened(on, "gone")
    comment, job = asked(on, pull, "alice", "/kitchen diff orders")
    job()
    run = worked(on, comment)
    on.pushed(pull, {"README.md": "newer"})
    on.posted(run)
    (answer,) = answers(on, pull)
    assert "has moved on: ask again" in answer


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

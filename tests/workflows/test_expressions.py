"""The expressions of our workflows, by GitHub's own evaluator, over real events: what act does not model."""

from __future__ import annotations

import json
import os
import subprocess
from typing import Any

import pytest
import yaml

import occasions
from gitkitchen.github.artifacts import DISPATCHED
from gitkitchen.shipped import find
from workflows.tools import HERE, ROOT, validators


def evaluated(*asked: tuple[Any, dict[str, Any]]) -> list[Any]:
    """The values of texts with ``${{ … }}``, or of conditions, each in its contexts."""
    lines = [json.dumps({"text": str(text), "contexts": contexts}) for text, contexts in asked]
    done = subprocess.run(
        ["node", str(HERE / "evaluate.mjs")],
        env=os.environ | {"NODE_MODULES": validators()},
        input="\n".join(lines),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def workflow(name: str) -> dict[Any, Any]:
    found: dict[Any, Any] = yaml.safe_load(find(f"workflows/{name}.yml").read_text(encoding="utf-8"))
    return found


def contexts(event_name: str, event: dict[str, Any], ref: str = "refs/heads/main") -> dict[str, Any]:
    return {"github": {"event_name": event_name, "event": event, "ref": ref}, "inputs": {}, "needs": {}}


def pull(action: str, number: int = 7, **more: Any) -> dict[str, Any]:
    return contexts("pull_request", occasions.pull(action, number=number) | more, f"refs/pull/{number}/merge")


def review(number: int) -> dict[str, Any]:
    event = occasions.pull("submitted") | {"review": {"id": number, "state": "approved"}}
    return contexts("pull_request_review", event, "refs/pull/7/merge")


def test_only_a_new_push_ends_a_test() -> None:
    """Pushes, a reopening and a new base of one pull request share a group, in which the newest counts. A new
    title, a review, another pull request and the queue are in groups of their own."""
    based = {"changes": {"base": {"ref": {"from": "old"}}}}
    titled = {"changes": {"title": {"from": "old"}}}
    queue = contexts("merge_group", occasions.group(), "refs/heads/gh-readonly-queue/main/pr-7-x")
    same = [pull("opened"), pull("synchronize"), pull("reopened"), pull("edited", **based)]
    others = [pull("edited", **titled), pull("opened", 8), review(1), review(2), queue]
    concurrency = workflow("pull-request")["concurrency"]
    groups = evaluated(*((concurrency["group"], c) for c in [*same, *others]))
    assert len(set(groups[:4])) == 1
    assert len(set(groups)) == 1 + len(others)
    ended = evaluated(*((concurrency["cancel-in-progress"], c) for c in [*same, *others]))
    assert ended == ["true"] * 6 + ["false"] * 3


@pytest.mark.parametrize(
    ("verdict", "name"),
    [
        ("ignored", "GitKitchen (nothing to test)"),
        ("passed", "GitKitchen"),
        ("failed", "GitKitchen"),
        ("", "GitKitchen"),
    ],
    ids=["ignored", "passed", "failed", "killed"],
)
def test_the_required_check_is_named_only_where_something_was_to_be_tested(verdict: str, name: str) -> None:
    """The gate has the required name for every end but one: that there was nothing to test."""
    said, none = {"outputs": {"verdict": verdict} if verdict else {}}, {"outputs": {}}
    cases = [{"recipes": said, "strangers": none}, {"recipes": none, "strangers": said}]
    gate = workflow("pull-request")["jobs"]["gate"]["name"]
    assert evaluated(*((gate, {"needs": needs}) for needs in cases)) == [name, name]


def test_strangers_are_told_from_people_of_the_repository() -> None:
    """Of each event exactly one of the two jobs is for it: that of strangers for forks, deleted ones too, and
    for Dependabot; the other for branches of the repository and the queue. So it is of commands."""

    def given(name: str, head: str | None, author: str = "alice") -> dict[str, Any]:
        found = contexts(name, occasions.pull(head=head))
        found["github"]["event"]["pull_request"]["user"] = {"login": author}
        found["github"]["repository"] = "acme/shop"
        return found

    jobs = workflow("pull-request")["jobs"]
    queue = contexts("merge_group", occasions.group())
    queue["github"]["repository"] = "acme/shop"
    ours = [given("pull_request", "acme/shop"), given("pull_request_review", "acme/shop"), queue]
    theirs = [given("pull_request", "me/shop"), given("pull_request_review", "me/shop")]
    theirs += [given("pull_request", None), given("pull_request", "acme/shop", "dependabot[bot]")]
    said = evaluated(*((jobs[j]["if"], c) for c in [*ours, *theirs] for j in ("recipes", "strangers")))
    assert [bool(v) for v in said] == [True, False] * 3 + [False, True] * 4

    def dispatched(head: str, branch: str = "feature") -> dict[str, Any]:
        inputs = {"head_repository": head, "head_branch": branch}
        return {"inputs": inputs, "github": {"repository": "acme/shop"}}

    jobs = workflow("command")["jobs"]
    cases = [dispatched("acme/shop"), dispatched("me/shop"), dispatched("")]
    cases.append(dispatched("acme/shop", "dependabot/pip/x"))
    said = evaluated(*((jobs[j]["if"], c) for c in cases for j in ("recipes", "strangers")))
    assert [bool(v) for v in said] == [True, False] + [False, True] * 3


def test_the_title_of_a_dispatch_is_what_the_poster_reads() -> None:
    """The title holds the key by which the dispatch is found again, and ends with pull request and commit."""
    inputs = {"key": "[comment 12]", "number": "7", "head_sha": "c" * 40}
    (title,) = evaluated((workflow("command")["run-name"], {"inputs": inputs}))
    assert title == f"GitKitchen [comment 12] #7 at {'c' * 40}"
    assert DISPATCHED.search(title)


def test_each_event_starts_the_job_that_is_for_it() -> None:
    """A finished run is posted; a comment on a pull request that may hold a command is answered; no other
    is."""
    run = contexts("workflow_run", occasions.finished())
    command = contexts("issue_comment", occasions.comment("/kitchen run"))
    talk = contexts("issue_comment", occasions.comment("Nice kitchen!"))
    issue = occasions.comment("/kitchen run", on_pull=False)
    issue["issue"].pop("pull_request", None)
    jobs = workflow("report")["jobs"]
    cases = [run, command, talk, contexts("issue_comment", issue)]
    posts = evaluated(*((jobs["post"]["if"], c) for c in cases))
    answers = evaluated(*((jobs["command"]["if"], c) for c in cases))
    assert [bool(p) for p in posts] == [True, False, False, False]
    assert [bool(a) and a != "false" for a in answers] == [False, True, False, False]
    jobs = workflow("cleanup")["jobs"]
    ends = [contexts(name, {}) for name in ("schedule", "delete", "pull_request")]
    assert evaluated(*((jobs["drop"]["if"], c) for c in ends)) == [False, True, True]
    assert evaluated(*((jobs["collect"]["if"], c) for c in ends)) == [True, False, False]


def test_no_end_of_a_kitchen_is_lost() -> None:
    """Each deleted branch and each closed pull request is cleared up in a group of its own."""
    cases = [contexts("delete", {"ref": name}) for name in ("a", "b")]
    cases += [pull("closed"), pull("closed", 8), contexts("schedule", {})]
    groups = evaluated(*((workflow("cleanup")["concurrency"]["group"], c) for c in cases))
    assert len({g.lower() for g in groups}) == 5


def test_only_readers_take_from_a_cache() -> None:
    """The action reads a cache for a pull request and in a merge queue; never for a dispatch, a push, a
    posting."""
    action = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
    (step,) = (s for s in action["runs"]["steps"] if s.get("uses", "").startswith("actions/cache@"))
    names = ["pull_request", "merge_group", "workflow_dispatch", "push", "workflow_run", "issue_comment"]
    asked = [(step["if"], {"inputs": {"cache": "true"}} | {"github": {"event_name": n}}) for n in names]
    assert [bool(v) for v in evaluated(*asked)] == [True, True, False, False, False, False]
    off = {"inputs": {"cache": "false"}, "github": {"event_name": "pull_request"}}
    assert not evaluated((step["if"], off))[0]

"""Event files: real ones are read, derived ones too, and any other file is refused in words."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import occasions
from gitkitchen.errors import GitKitchenError, Infrastructure, Mistake
from gitkitchen.github.events import (
    Comment,
    Deletion,
    Dispatch,
    Event,
    FinishedRun,
    Group,
    Pull,
    Push,
    Schedule,
    Tip,
    dispatched_pull,
    parse_event,
    read_event,
)
from occasions import EXAMPLES, HEAD, environ

KINDS = {
    "pull_request": Pull,
    "merge_group": Group,
    "push": Push,
    "workflow_dispatch": Dispatch,
    "repository_dispatch": Dispatch,
    "issue_comment": Comment,
    "delete": Deletion,
    "workflow_run": FinishedRun,
}
REAL = [(name, index) for name, found in EXAMPLES.items() for index in range(len(found))]


def parsed(value: Any, name: str, **more: str) -> Event:
    return parse_event(json.dumps(value).encode(), name, environ(name, **more))


@pytest.mark.parametrize(("name", "index"), REAL)
def test_every_real_event_is_read(name: str, index: int) -> None:
    """Each real example becomes an event of its kind, of its repository, with its action."""
    example = EXAMPLES[name][index]
    found = parsed(example, name, GITHUB_REPOSITORY=example["repository"]["full_name"])
    assert isinstance(found.about, KINDS[name])
    assert (found.action, found.sender) == (example.get("action", ""), example["sender"]["login"])
    assert (found.run, found.attempt) == (99, 2)


def test_a_real_pull_request() -> None:
    """Number, head and base of a real event are those that GitHub wrote."""
    example = occasions.example("pull_request", "synchronize")
    found = parsed(example, "pull_request", GITHUB_REPOSITORY="Codertocat/Hello-World").about
    assert found == Pull(
        2,
        Tip("Codertocat/Hello-World", "changes", "ec26c3e57ca3a959ca5aad62de7213c562f8c821"),
        Tip("Codertocat/Hello-World", "master", "f95f852bd8fca8fcc58a9a2d6c842781e32a215e"),
        author="Codertocat",
    )


def test_forks_and_those_that_were_deleted() -> None:
    """A fork's head has the fork's name; without a repository it has none, and is not taken for ours."""
    fork = parsed(occasions.pull(head="me/shop"), "pull_request").about
    gone = parsed(occasions.pull(head=None), "pull_request").about
    assert isinstance(fork, Pull)
    assert isinstance(gone, Pull)
    assert (fork.head.repository, gone.head.repository) == ("me/shop", "")


def test_a_queue_names_no_pull_request() -> None:
    """Head and base of a merge group are branches of our own, without refs/heads/."""
    found = parsed(occasions.group(), "merge_group").about
    assert isinstance(found, Group)
    assert (found.head.branch[:19], found.base.branch) == ("gh-readonly-queue/m", "main")


@pytest.mark.parametrize("field", ["before", "after"])
def test_a_branch_that_came_or_went_has_no_commit(field: str) -> None:
    """The commit of forty zeroes is none."""
    found = parsed(occasions.push(**{field: "0" * 40}), "push").about
    assert isinstance(found, Push)
    assert getattr(found, field) == ""


def test_a_schedule_and_a_forced_push() -> None:
    """A schedule has its cron, also where the event has hardly anything else; a push says it was forced."""
    assert parsed({"schedule": "17 5 * * *"}, "schedule").about == Schedule("17 5 * * *")
    found = parsed(occasions.push(forced=True), "push").about
    assert isinstance(found, Push)
    assert found.forced


def test_a_finished_run_of_a_fork() -> None:
    """A run for a fork's pull request names no pull request: that is no error, and none is invented."""
    found = parsed(occasions.finished(), "workflow_run").about
    assert isinstance(found, FinishedRun)
    assert (found.id, found.attempt, found.pulls) == (99, 2, ())
    assert found.head == Tip("me/shop", "feature", HEAD)


@pytest.mark.parametrize(
    ("more", "person"),
    [
        pytest.param({}, True, id="person"),
        pytest.param({"user": {"login": "dependabot[bot]", "type": "Bot"}}, False, id="bot"),
        pytest.param({"user": None}, False, id="deleted-account"),
        pytest.param({"performed_via_github_app": {"id": 1}}, False, id="app"),
    ],
)
def test_who_comments(more: dict[str, Any], person: bool) -> None:
    """A comment is a person's unless a bot, an app, or nobody any more wrote it."""
    found = parsed(occasions.comment("/kitchen run", **more), "issue_comment").about
    assert isinstance(found, Comment)
    assert found.by_person is person


WHOLE = {
    "number": "7",
    "head_repository": "me/shop",
    "head_branch": "x",
    "head_sha": HEAD,
    "base_branch": "main",
    "base_sha": "2" * 40,
}


def test_a_dispatch_for_one_head() -> None:
    """The inputs of a dispatch of ours name the pull request and its head; other dispatches name none."""
    asked = parsed({"inputs": WHOLE | {"fresh": "true"}}, "workflow_dispatch")
    assert dispatched_pull(asked) == Pull(7, Tip("me/shop", "x", HEAD), Tip("acme/shop", "main", "2" * 40))
    for inputs in (None, {}, {"reason": "because"}):
        assert dispatched_pull(parsed({"inputs": inputs}, "workflow_dispatch")) is None


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("number", "0"),
        ("number", "7; rm -rf /"),
        ("number", "٧"),
        ("head_sha", "1" * 39),
        ("head_sha", "--upload-pack=x"),
        ("base_branch", ""),
        ("head_repository", "a/b/c"),
    ],
)
def test_half_a_dispatch_is_refused(key: str, value: str) -> None:
    """A dispatch that names half a pull request, or a wrong one, is refused and not taken for another."""
    with pytest.raises(Mistake, match="names no whole pull request"):
        dispatched_pull(parsed({"inputs": WHOLE | {key: value}}, "workflow_dispatch"))


def test_an_event_of_another_repository_is_refused() -> None:
    """The event and the job must agree on whose they are."""
    with pytest.raises(Mistake, match="is of me/other, and this job of acme/shop"):
        parsed(occasions.pull(repository="me/other"), "pull_request")


def test_pull_request_target_is_told_from_our_own() -> None:
    """Events beside `pull_request` that carry one still say whose code it is."""
    for name in ("pull_request_target", "pull_request_review"):
        assert isinstance(parsed(occasions.pull(head="me/shop"), name).about, Pull)


BROKEN = {
    "empty": b"",
    "blank": b" \n",
    "truncated": b'{"pull_request": {"num',
    "binary": bytes(range(256)),
    "list": b"[1]",
    "deep": b"[" * 200_000,
    "digits": b'{"a": ' + b"9" * 5_000 + b"}",
    "null": b"null",
    "number-as-text": json.dumps(
        occasions.pull() | {"pull_request": occasions.pull()["pull_request"] | {"number": "7"}}
    ).encode(),
    "true-as-number": json.dumps(
        occasions.pull() | {"pull_request": occasions.pull()["pull_request"] | {"number": True}}
    ).encode(),
    "no-head": json.dumps(
        occasions.pull() | {"pull_request": occasions.pull()["pull_request"] | {"head": None}}
    ).encode(),
    "option-as-commit": json.dumps(occasions.pull(head_sha="--output=/etc/passwd")).encode(),
    "huge-branch": json.dumps(occasions.pull(branch="x" * 5_000)).encode(),
    "list-as-repository": json.dumps(occasions.pull() | {"repository": []}).encode(),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_is_a_mistake_in_words(name: str, tmp_path: Path) -> None:
    """What is no event is refused with exit code 2, what is wrong, and what to do next."""
    path = tmp_path / "event.json"
    path.write_bytes(BROKEN[name])
    with pytest.raises(Mistake) as caught:
        read_event(environ("pull_request", GITHUB_EVENT_PATH=str(path)))
    problem = caught.value.problems[0]
    assert "event" in problem.message
    assert problem.hint


def test_a_file_that_cannot_be_read_is_infrastructure(tmp_path: Path) -> None:
    """A missing file or a folder in its place ends with exit code 3; a pipe does not hang."""
    for path in (tmp_path / "none", tmp_path, tmp_path / "zero\0byte"):
        with pytest.raises(Infrastructure, match="cannot be read"):
            read_event(environ("push", GITHUB_EVENT_PATH=str(path)))
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(Mistake, match="is empty"):
        read_event(environ("push", GITHUB_EVENT_PATH=str(tmp_path / "pipe")))


def test_outside_of_a_job_there_is_no_event() -> None:
    """Without the runner's variables nothing is guessed."""
    with pytest.raises(Mistake, match="no job of GitHub Actions"):
        read_event({})


LARGE = """
import sys
from gitkitchen.errors import Mistake
from gitkitchen.github.events import read_event
try:
    read_event({"GITHUB_ACTIONS": "true", "GITHUB_EVENT_NAME": "push", "GITHUB_EVENT_PATH": sys.argv[1]})
except Mistake as error:
    print(error)
"""


def test_a_file_of_100_mb_is_refused_unread(tmp_path: Path) -> None:
    """A hundred megabytes are refused within 400 MB of memory."""
    path = tmp_path / "event.json"
    with path.open("wb") as file:
        file.write(b'{"a": "')
        file.truncate(100 * 1024 * 1024)
    done = subprocess.run(
        [sys.executable, "-c", LARGE, str(path)],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (400 << 20, 400 << 20)),
    )
    assert "larger than 32 MiB" in done.stdout, done.stderr


def mangled(value: Any) -> st.SearchStrategy[Any]:
    """An event in which any part may be of another type or missing."""
    if isinstance(value, dict):
        whole = st.fixed_dictionaries({}, optional={k: mangled(v) for k, v in value.items()})
    else:
        whole = st.just(value)
    odd = st.none() | st.integers() | st.text(max_size=5) | st.just([]) | st.just({}) | st.booleans()
    return st.integers(0, 9).flatmap(lambda dice: odd if dice == 0 else whole)


@given(st.data())
def test_any_mangled_event_is_an_event_or_a_mistake(data: st.DataObject) -> None:
    """Whatever is missing or of another type: an event, or a refusal, and no other exception."""
    name = data.draw(st.sampled_from(sorted(EXAMPLES)))
    value = data.draw(mangled(data.draw(st.sampled_from(EXAMPLES[name]))))
    with contextlib.suppress(GitKitchenError):
        found = parsed(value, name, GITHUB_REPOSITORY="Codertocat/Hello-World")
        assert isinstance(found, Event)
        dispatched_pull(found)

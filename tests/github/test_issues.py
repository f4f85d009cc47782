"""One incident, one issue: opened, brought up to date and closed, whatever goes wrong on the way."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gitkitchen.github.forge.state import Issue as Kept
from gitkitchen.github.issues import Issue, marker_of
from gitkitchen.github.trouble import Trouble
from lengths import some
from stage import Stage, staged

MARK = marker_of("a-0123456789ab")
JOB = """
import sys
from gitkitchen.github.api import Client
from gitkitchen.github.issues import Issue
api, token, repo, mark = sys.argv[1:]
client = Client(api, token, repo, sleep=lambda seconds: None)
client.put_issue(Issue(mark, "It fails", "one", labels=("gitkitchen",)))
client.put_issue(Issue(mark, "It fails", "two", labels=("gitkitchen",)))
client.put_issue(Issue(mark, "It fails", "over", labels=("gitkitchen",), is_open=False))
"""
CALLS = 6
"""list, create, list, update, list, update"""


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with staged(tmp_path) as made:
        made.token = made.forge.job_token(made.repo, issues="write")
        yield made


def issues(stage: Stage) -> list[Kept]:
    return list(stage.repo.repo.issues.values())


def put(stage: Stage, body: str = "b", **more: Any) -> int:
    with stage.client() as client:
        return client.put_issue(Issue(MARK, "It fails", body, labels=("gitkitchen", "data"), **more))


def test_opened_once_updated_in_place_and_closed(stage: Stage) -> None:
    """However often it is told, one issue; what is as it should be is not written again."""
    number = put(stage, "one", since="2026-01-01T00:00:00Z")
    assert put(stage, "one") == put(stage, "two") == put(stage, "three", known=number) == number
    writes = len(stage.forge.writes)
    assert put(stage, "three") == number
    assert len(stage.forge.writes) == writes
    put(stage, "over", is_open=False)
    (issue,) = issues(stage)
    assert (issue.state, issue.state_reason, issue.body) == ("closed", "completed", f"{MARK}\nover")
    assert issue.labels == ["gitkitchen", "data"]


def test_another_persons_issue_with_the_mark_is_not_ours(stage: Stage) -> None:
    """Anybody may write the mark: only what our own account wrote counts, and pull requests never do."""
    person = stage.forge.user_token("alice")
    stage.repo.allow("alice", "write")
    with stage.client(author="alice") as client:
        assert client.repository == "octo/shop"
    from gitkitchen.github.api import Client

    with Client(stage.forge.api_url, person, "octo/shop", author="alice") as client:
        client.put_issue(Issue(MARK, "mine", "not yours", labels=("gitkitchen",)))
    put(stage, "ours")
    assert sorted(i.user.login for i in issues(stage)) == ["alice", "github-actions[bot]"]
    assert next(i.body for i in issues(stage) if i.user.login == "alice") == f"{MARK}\nnot yours"


def test_a_title_that_a_person_gave_stays(stage: Stage) -> None:
    """Only the text and whether it is open are ours to keep."""
    put(stage)
    issues(stage)[0].title = "the nightly load"
    put(stage, "news")
    assert issues(stage)[0].title == "the nightly load"


def test_two_jobs_at_once_leave_one_open(stage: Stage) -> None:
    """The oldest is the incident's; another of ours is closed."""
    put(stage)
    first = issues(stage)[0]
    twin = Kept(99, 99, first.user, "It fails", first.body, 1.0, 1.0, labels=list(first.labels))
    stage.repo.repo.issues[99] = twin
    assert put(stage, "news") == first.number
    assert (twin.state, twin.state_reason, first.state) == ("closed", "not_planned", "open")


def test_without_the_permission_it_says_which(stage: Stage) -> None:
    """The trouble names what the job's permissions lack."""
    stage.token = stage.forge.job_token(stage.repo, contents="read")
    with pytest.raises(Trouble, match="could not write the issue") as caught:
        put(stage)
    assert "issues: write" in caught.value.hint


@pytest.mark.parametrize("kind", ["500", "502-after", "reset", "reset-after", "garbage", "limit-429"])
@pytest.mark.parametrize("verb", ["GET", "POST"])
def test_a_lost_answer_makes_no_second_issue(stage: Stage, kind: str, verb: str) -> None:
    """After an answer that did not come the issue is looked for before another is made."""
    stage.forge.fail(kind, verb=verb, path="/issues")
    put(stage, "one")
    put(stage, "over", is_open=False)
    (issue,) = issues(stage)
    assert (issue.state, issue.body) == ("closed", f"{MARK}\nover")


@pytest.mark.parametrize(
    "at", some([f"{k} {c}" for k in ("hook", "hook-after") for c in range(CALLS)], "hook-after 1"), ids=str
)
def test_killed_at_any_call(stage: Stage, at: str) -> None:
    """kill -9 before or after the forge did it, at each call: the next job ends with one issue, closed."""
    kind, _, call = at.partition(" ")
    about = (stage.forge.api_url, stage.token, "octo/shop", MARK)
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}

    def job() -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "-c", JOB, *about], env=environ)

    doomed: list[subprocess.Popen[bytes]] = []
    stage.forge.fail(kind, path="/issues", skip=int(call), hook=lambda: doomed[0].send_signal(signal.SIGKILL))
    doomed.append(job())
    assert doomed[0].wait(60) == -signal.SIGKILL
    assert job().wait(60) == 0
    (issue,) = issues(stage)
    assert (issue.state, issue.body) == ("closed", f"{MARK}\nover")

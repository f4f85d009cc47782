"""kill -9 of the client at each of its calls, before and after the forge did it: the next job mends it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from stage import MARKER, Stage, staged

JOB = """
import json, sys
from gitkitchen.github.api import Client
from gitkitchen.github.surfaces import Annotation, CheckRun
api, token, repo, number, sha, marker, attempt = sys.argv[1:]
client = Client(api, token, repo, sleep=lambda seconds: None)
notes = tuple(Annotation("a.sql", n, n, "failure", "", "it failed") for n in range(1, 61))
about = {"name": "GitKitchen / delays", "head_sha": sha, "external_id": f"7c1e/delays/{attempt}"}
client.put_check(CheckRun(**about, status="in_progress", conclusion=None, title="Running", summary=""))
done = {"status": "completed", "conclusion": "failure", "title": "No", "summary": "No"}
client.put_check(CheckRun(**about, **done, annotations=notes))
client.put_comment(int(number), marker, "It failed.")
"""
CALLS = 7
"""list, create, list, update, update, list, create"""


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """One stage for many tests, each of which clears it."""
    with staged(tmp_path_factory.mktemp("kept")) as made:
        yield made


def job(stage: Stage, attempt: int) -> subprocess.Popen[bytes]:
    about = (
        stage.forge.api_url,
        stage.token,
        "octo/shop",
        str(stage.pull.number),
        stage.pull.head_sha,
        MARKER,
    )
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.Popen([sys.executable, "-c", JOB, *about, str(attempt)], env=environ)


@pytest.mark.parametrize("same_attempt", [True, False], ids=["same", "next"])
@pytest.mark.parametrize(
    ("kind", "call"),
    [(kind, call) for kind in ("hook", "hook-after") for call in range(CALLS)],
    ids=lambda value: str(value),
)
@pytest.mark.long
def test_killed_at_any_call(kept: Stage, kind: str, call: int, same_attempt: bool) -> None:
    """Whoever comes next, the same attempt or another: one result, one comment, nothing in progress."""
    kept.clear()
    killed = job(kept, 1)
    fault = kept.forge.fail(kind, skip=call, hook=lambda: os.kill(killed.pid, signal.SIGKILL))
    assert killed.wait(60) == -signal.SIGKILL
    assert fault.times == 0
    assert job(kept, 1 if same_attempt else 2).wait(60) == 0
    (comment,) = kept.comments
    assert comment.body.endswith("It failed.")
    assert {check.status for check in kept.checks} == {"completed"}
    newest = max(kept.checks, key=lambda check: check.id)
    assert newest.conclusion == "failure"
    assert [one["start_line"] for one in newest.annotations] == list(range(1, 61))
    # What the killed attempt had concluded stays beside it, as GitHub keeps it when a job is run again.
    left = {check.conclusion for check in kept.checks if check is not newest}
    assert left <= {"cancelled", "failure"}
    assert len(kept.checks) == 1 or not same_attempt


@pytest.mark.long
def test_killed_between_creating_and_concluding(kept: Stage) -> None:
    """The job that dies with its check run in progress leaves it to the next one."""
    kept.clear()
    killed = job(kept, 1)
    kept.forge.fail("hook", verb="PATCH", hook=lambda: os.kill(killed.pid, signal.SIGKILL))
    assert killed.wait(60) == -signal.SIGKILL
    assert [check.status for check in kept.checks] == ["in_progress"]
    assert job(kept, 2).wait(60) == 0
    assert [(check.status, check.conclusion) for check in kept.checks] == [("completed", "failure")]


@pytest.mark.long
def test_the_forge_outlives_its_clients(tmp_path: Path) -> None:
    """A client that is killed in the middle of an answer leaves a forge that answers the next."""
    with staged(tmp_path) as stage:
        killed = job(stage, 1)
        stage.forge.fail("hook-after", hook=lambda: os.kill(killed.pid, signal.SIGKILL))
        assert killed.wait(60) == -signal.SIGKILL
        assert stage.client().pull(stage.pull.number).state == "open"

"""Whatever GitHub does at whichever call: no verdict changes, and the next job leaves one result."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from gitkitchen.github.forge.state import Pull, Run
from scene import Scene, scene
from shop import KITCHEN_YML

RECIPE = """\
version: 1
recipe: orders
nodes:
  orders: {sql: select 1 as id, key: [id], tests: [{rows: {min: 1}}]}
"""
FAILS = RECIPE.replace("min: 1", "min: 2")
KINDS = (
    *("500", "502-after", "reset", "reset-after", "401", "403", "404", "422"),
    *("limit-403", "limit-429", "primary", "garbage"),
)
CALLS = 28
"""More than a posting has; those beyond it change nothing, and are skipped by the test."""
WHOLE = "(project)"


@pytest.fixture(scope="module")
def red(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Scene, Pull, Run]]:
    """A pull request that fails, and the run that says so."""
    with scene(
        tmp_path_factory.mktemp("faults"), {"kitchen.yml": KITCHEN_YML, "recipes/orders/recipe.yml": RECIPE}
    ) as on:
        pull = on.opened("red", {"recipes/orders/recipe.yml": FAILS})
        yield on, pull, on.tested(pull)


def is_right(on: Scene, pull: Pull) -> None:
    """One check run a recipe, none in progress, one comment, all of them red."""
    ours = [c for c in on.repo.repo.checks.values() if c.sha == pull.head_sha]
    assert sorted((c.name, c.status, c.conclusion) for c in ours) == [
        ("GitKitchen / (project)", "completed", "failure"),
        ("GitKitchen / orders", "completed", "failure"),
    ]
    (comment,) = on.comments(pull)
    assert "GitKitchen: failed" in comment.body


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.long
def test_any_call_fails_once(red: tuple[Scene, Pull, Run], kind: str) -> None:
    """The job ends in order, whatever it could not post is no verdict, and the next one posts it."""
    on, pull, run = red
    struck = 0
    for call in range(CALLS):
        on.forget()
        fault = on.forge.fail(
            kind, path="^/repos/", skip=call, retry_after=1 if kind == "limit-429" else None
        )
        report = on.posted(run)
        if fault.times:
            break
        struck += 1
        assert report.code == 0 or report.failures, (kind, call)
        found = set(on.conclusions(pull.head_sha).values())
        assert found <= {"failure", None}, (kind, call, found)
        assert len(on.comments(pull)) <= 1
        assert sum(on.time.slept) <= 300
        on.forge.heal()
        if report.code or report.warnings or report.failures:
            on.time.now += 7200
            on.posted(run)
        is_right(on, pull)
    assert struck > 10


JOBS = """
import json, os, sys
from datetime import UTC, datetime
from pathlib import Path
from gitkitchen.ci.shapes import Job
from gitkitchen.ci.work import carry_out
from gitkitchen.github.api import Client
from gitkitchen.github.asking import library
from gitkitchen.github.events import parse_event
from gitkitchen.process import Cancel
import gitkitchen.ci.poster
library()
environ = json.loads(sys.argv[2])
client = lambda given: Client.of_job(given, sleep=lambda seconds: None)
clock = lambda: datetime(2026, 11, 21, 12, tzinfo=UTC)
for event in sys.stdin:
    child = os.fork()
    if not child:
        job = Job(start=Path(sys.argv[1]), environ=environ, cancel=Cancel(), clock=clock, client=client)
        os._exit(carry_out(job, parse_event(event.encode(), "workflow_run", environ)).code)
    print(child, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""
"""A process that has everything imported, and forks a job for each line that it is told."""


@contextlib.contextmanager
def jobs(on: Scene) -> Iterator[Callable[[str, str, int], tuple[int, bool]]]:
    """Runs a job that is killed with -9 at a call: its exit code, and whether it came so far."""
    environ = json.dumps(on.forge.environ(on.repo, on.token) | {"GITHUB_REF": "refs/heads/main"})
    argv = [sys.executable, "-c", JOBS, str(on.trusted.root), environ]
    given = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(argv, env=given, **pipes) as ours:  # type: ignore[call-overload]

        def run(kind: str, event: str, call: int) -> tuple[int, bool]:
            born: queue.Queue[int] = queue.Queue()
            fault = on.forge.fail(
                kind, path="^/repos/", skip=call, hook=lambda: os.kill(born.get(timeout=30), signal.SIGKILL)
            )
            ours.stdin.write(f"{event}\n")
            ours.stdin.flush()
            born.put(int(ours.stdout.readline()))
            code = int(ours.stdout.readline())
            on.forge.heal()
            return code, not fault.times

        yield run
        ours.stdin.close()


@pytest.mark.parametrize("kind", ["hook", "hook-after"])
@pytest.mark.long
def test_killed_at_any_call(red: tuple[Scene, Pull, Run], kind: str) -> None:
    """kill -9 before or after each call: the next job leaves one result, and nothing in progress."""
    on, pull, run = red
    event = json.dumps(on.repo.event("workflow_run", run=run))
    killed = 0
    with jobs(on) as start:
        for call in range(CALLS):
            on.forget()
            code, came = start(kind, event, call)
            if not came:
                assert code == 0
                break
            killed += 1
            assert code == -signal.SIGKILL
            on.posted(run)
            is_right(on, pull)
    assert killed > 10


@pytest.mark.long
def test_killed_and_pushed_again(red: tuple[Scene, Pull, Run]) -> None:
    """Where the job after a killed one is about a newer commit, nothing stays in progress on the older."""
    on, pull, run = red
    event = json.dumps(on.repo.event("workflow_run", run=run))
    old, left = pull.head_sha, 0
    on.pushed(pull, {"README.md": "more"})
    newer = on.tested(pull)
    try:
        with jobs(on) as start:
            for call in range(4, 16, 2):
                on.forget()
                pull.head_sha = old
                start("hook-after", event, call)
                pull.head_sha = newer.sha
                left += any(c.status != "completed" for c in on.repo.repo.checks.values())
                on.posted(newer)
                assert {c.status for c in on.repo.repo.checks.values()} == {"completed"}
                assert set(on.conclusions(newer.sha).values()) == {"failure"}
                assert len(on.comments(pull)) == 1
    finally:
        on.repo.repo.bare.set(f"refs/heads/{pull.head_ref}", old)
        pull.head_sha = old
    assert left > 2


@pytest.mark.long
def test_a_slow_forge_ends_within_its_budget(red: tuple[Scene, Pull, Run]) -> None:
    """With every call failing, the job ends, in bounded time, with a warning and without a verdict."""
    on, pull, run = red
    on.forget()
    on.forge.fail("500", path="^/repos/", times=-1)
    report = on.posted(run)
    assert report.code == 0
    assert report.warnings
    assert not on.conclusions(pull.head_sha)
    assert sum(on.time.slept) <= 300

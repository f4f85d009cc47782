"""Whatever GitHub does at whichever call: no verdict changes, and the next job leaves one result."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator

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
CALLS = 24
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


JOB = """
import json, sys
from datetime import UTC, datetime
from pathlib import Path
from gitkitchen.ci.work import Job, carry_out
from gitkitchen.github.api import Client
from gitkitchen.github.events import parse_event
from gitkitchen.process import Cancel
environ, event = json.loads(sys.argv[2]), Path(sys.argv[3]).read_bytes()
client = lambda given: Client.of_job(given, sleep=lambda seconds: None)
clock = lambda: datetime(2026, 11, 21, 12, tzinfo=UTC)
job = Job(start=Path(sys.argv[1]), environ=environ, cancel=Cancel(), clock=clock, client=client)
sys.exit(carry_out(job, parse_event(event, "workflow_run", environ)).code)
"""


@pytest.mark.parametrize("kind", ["hook", "hook-after"])
@pytest.mark.long
def test_killed_at_any_call(red: tuple[Scene, Pull, Run], kind: str) -> None:
    """kill -9 before or after each call: the next job leaves one result, and nothing in progress."""
    on, pull, run = red
    path = on.trusted.root.parent / "event.json"
    path.write_text(json.dumps(on.repo.event("workflow_run", run=run)))
    environ = json.dumps(on.forge.environ(on.repo, on.token) | {"GITHUB_REF": "refs/heads/main"})
    argv = [sys.executable, "-c", JOB, str(on.trusted.root), environ, str(path)]
    killed = 0
    for call in range(CALLS):
        on.forget()
        process: list[int] = []
        fault = on.forge.fail(
            kind, path="^/repos/", skip=call, hook=lambda found=process: os.kill(found[0], signal.SIGKILL)
        )
        started = subprocess.Popen(argv, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})
        process.append(started.pid)
        code = started.wait(60)
        if fault.times:
            assert code == 0
            break
        killed += 1
        assert code == -signal.SIGKILL
        on.forge.heal()
        on.posted(run)
        is_right(on, pull)
    assert killed > 10


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

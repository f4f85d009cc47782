"""A forge with a repository and a pull request, a clock that only sleeping moves, and a client."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gitkitchen.github.api import Client
from gitkitchen.github.asking import Budget
from gitkitchen.github.forge import Forge, Hosted
from gitkitchen.github.forge.state import Check, Comment, Pull
from gitkitchen.github.surfaces import Annotation, CheckRun, marker_of

MARKER = marker_of("gitkitchen pull 7c1e2b")
PERMISSIONS = {"checks": "write", "pull_requests": "write", "actions": "write", "contents": "read"}


@dataclass
class Time:
    """Seconds that pass only while somebody sleeps."""

    now: float = 1_767_225_600.0
    slept: list[float] = field(default_factory=list)

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@dataclass
class Stage:
    forge: Forge
    repo: Hosted
    pull: Pull
    time: Time
    token: str

    def client(self, **about: Any) -> Client:
        given: dict[str, Any] = {"clock": self.time, "sleep": self.time.sleep, "budget": Budget(timeout=5)}
        return Client(self.forge.api_url, self.token, self.repo.full_name, **{**given, **about})

    def clear(self) -> None:
        """As if nothing had been posted and nobody had asked anything yet."""
        repo, desk = self.repo.repo, self.forge.desk
        for things in (repo.checks, repo.suites, repo.comments, desk.log, desk.faults, self.time.slept):
            things.clear()
        self.time.now += 7200

    @property
    def checks(self) -> list[Check]:
        return list(self.repo.repo.checks.values())

    @property
    def comments(self) -> list[Comment]:
        return list(self.repo.repo.comments.values())

    def check(self, notes: int = 0, **changed: Any) -> CheckRun:
        made: dict[str, Any] = {
            "name": "GitKitchen / delays",
            "head_sha": self.pull.head_sha,
            "status": "completed",
            "conclusion": "failure",
            "title": "2 of 9 tests failed",
            "summary": "# No",
            "external_id": "7c1e/delays/1/1",
            "annotations": tuple(
                Annotation("a.sql", line, line, "failure", f"test {line}", "it failed")
                for line in range(1, notes + 1)
            ),
        }
        return CheckRun(**{**made, **changed})


@contextmanager
def staged(folder: Path, **about: Any) -> Iterator[Stage]:
    """The stage. At its end nobody may have misused the API, nor may the forge have departed from it."""
    clock = Time()
    with Forge(folder, clock=clock, **about) as forge:
        repo = forge.repository("octo/shop", {"a.sql": "select 1\n"})
        repo.commit("feature", {"a.sql": "select 2\n"})
        pull = repo.pull("feature", author="alice")
        token = forge.job_token(repo, **PERMISSIONS)
        yield Stage(forge, repo, pull, clock, token)
        assert not forge.misuse


def until(what: Any, seconds: float = 10.0) -> None:
    """Wait for something that another process brings about."""
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it never came about"
        time.sleep(0.01)

"""A project on a forge with its two jobs: the untrusted one that tests, and the trusted one that posts."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gitkitchen.ci.shapes import Job, Report
from gitkitchen.ci.work import carry_out
from gitkitchen.github.api import Client
from gitkitchen.github.asking import Budget
from gitkitchen.github.events import parse_event
from gitkitchen.github.forge import Forge, Hosted, zipped
from gitkitchen.github.forge.state import Check, Comment, Pull, Run
from gitkitchen.process import Cancel
from shop import Said, Shop
from stage import Time

TESTS, POSTS = ".github/workflows/gitkitchen-pull-request.yml", ".github/workflows/gitkitchen-report.yml"
PERMISSIONS = {"checks": "write", "pull_requests": "write", "actions": "write", "contents": "read"}


@dataclass
class Scene:
    """``work``: a checkout with the state of earlier runs; ``trusted``: that of the jobs which post."""

    forge: Forge
    repo: Hosted
    work: Shop
    trusted: Shop
    time: Time
    token: str
    results: dict[int, dict[str, bytes]] = field(default_factory=dict)
    options: tuple[str, ...] = ("--quiet",)
    """Of `gitkitchen ci`."""
    fetched: Mapping[str, str] = field(default_factory=dict)
    """What the forge's refs were when the checkout of jobs that post was last brought to them."""
    said: Said | None = None
    """By the last job that tests."""
    folder: str = ""
    """Where the project is in the repository."""

    @property
    def project(self) -> Shop:
        return Shop(self.work.root / self.folder)

    # --- what people do ---

    def opened(self, branch: str, files: Mapping[str, str | None], **about: Any) -> Pull:
        self.repo.commit(branch, files, author="alice")
        return self.repo.pull(branch, author="alice", **about)

    def pushed(self, pull: Pull, files: Mapping[str, str | None]) -> None:
        self.repo.commit(pull.head_ref, files, author="alice")

    # --- the untrusted job ---

    def publish(self) -> None:
        """`main` as it is, run and published."""
        self.work.git("fetch", "-q", "origin", "+refs/heads/*:refs/remotes/origin/*")
        self.work.git("checkout", "-q", "-B", "main", "origin/main")
        for folder in sorted((self.project.root / "recipes").iterdir()):
            said = self.project.cli("run", folder.name, "--quiet")
            assert said.code == 0, said.out + said.err

    def begun(self, pull: Pull, event: str = "pull_request", **about: Any) -> Run:
        return self.repo.run(TESTS, event, pull.head_sha, pull=pull, conclusion=None, **about)

    def tested(self, pull: Pull, action: str = "synchronize") -> Run:
        """The untrusted job of a pull request, to its end, with its artifact uploaded."""
        event = self.repo.event("pull_request", action, pull=pull)
        return self.job(self.begun(pull), "pull_request", event)

    def job(self, run: Run, name: str, event: Any, **environ: str) -> Run:
        self.work.git("fetch", "-q", "origin", "+refs/heads/*:refs/remotes/origin/*")
        self.work.git("checkout", "-q", "--detach", "origin/main")
        said = self.said = self.ci(run, name, event, **environ)
        folder = self.project.root / "gitkitchen-results"
        files = {p.name: p.read_bytes() for p in folder.iterdir() if p.name != ".gitignore"}
        self.results[run.id] = files
        run.status, run.conclusion = "completed", "success" if said.code == 0 else "failure"
        self.repo.artifact(run, f"gitkitchen-results-{run.attempt}", zipped(files))
        return run

    def ci(self, run: Run, name: str, event: Any, **more: str) -> Said:
        path = self.work.root.parent / "event.json"
        path.write_text(json.dumps(event))
        given = {
            **self.forge.environ(self.repo),
            "GITHUB_EVENT_NAME": name,
            "GITHUB_EVENT_PATH": str(path),
            "GITHUB_WORKSPACE": str(self.work.root),
            "GITHUB_RUN_ID": str(run.id),
            "GITHUB_RUN_ATTEMPT": str(run.attempt),
            "GITHUB_REF": "refs/heads/main",
            "GITHUB_SHA": run.sha,
            **more,
        }
        before = dict(os.environ)
        os.environ.update(given)
        try:
            return self.project.cli("ci", *self.options)
        finally:
            os.environ.clear()
            os.environ.update(before)

    # --- the trusted job ---

    def posted(self, run: Run, token: str | None = None) -> Report:
        return self.trust("workflow_run", self.repo.event("workflow_run", run=run), token)

    def trust(self, name: str, event: Any, token: str | None = None) -> Report:
        """A job on the default branch, with the rights of one that posts."""
        if self.fetched != (refs := self.repo.repo.bare.refs()):
            self.trusted.git("fetch", "-q", "origin", "+refs/heads/*:refs/remotes/origin/*")
            self.trusted.git("checkout", "-q", "--detach", "origin/main")
            self.fetched = refs
        environ = self.forge.environ(self.repo, token or self.token) | {
            "GITHUB_REF": "refs/heads/main",
            "GITHUB_SHA": self.repo.head("main"),
            "GITHUB_RUN_ID": "1",
            "GITHUB_RUN_ATTEMPT": "1",
        }
        job = Job(
            start=self.trusted.root / self.folder,
            environ=environ,
            cancel=Cancel(),
            clock=lambda: datetime.fromtimestamp(self.time.now, UTC),
            client=lambda given: Client.of_job(
                given, clock=self.time, sleep=self.time.sleep, budget=Budget(timeout=5)
            ),
        )
        return carry_out(job, parse_event(json.dumps(event).encode(), name, environ))

    # --- what is seen ---

    def checks(self, sha: str) -> dict[str, Check]:
        """The newest check run of each name at a commit."""
        found = sorted(self.repo.repo.checks.values(), key=lambda check: check.id)
        return {check.name: check for check in found if check.sha == sha}

    def conclusions(self, sha: str) -> dict[str, str | None]:
        return {name.removeprefix("GitKitchen / "): c.conclusion for name, c in self.checks(sha).items()}

    def comments(self, pull: Pull) -> list[Comment]:
        return [c for c in self.repo.repo.comments.values() if c.number == pull.number]

    def forget(self) -> None:
        """As if nothing had been posted yet."""
        repo, desk = self.repo.repo, self.forge.desk
        for things in (repo.checks, repo.suites, repo.comments, desk.log, desk.faults, self.time.slept):
            things.clear()
        self.time.now += 7200


@contextlib.contextmanager
def scene(folder: Path, files: Mapping[str, str], below: str = "") -> Iterator[Scene]:
    """A project whose `main` was run and published. At the end nobody may have misused the API."""
    clock = Time(now=datetime(2026, 11, 21, 12, tzinfo=UTC).timestamp())
    with Forge(folder / "forge", clock=clock) as forge:
        repo = forge.repository("acme/shop", dict(files))
        repo.allow("alice", "write")
        for name in ("work", "trusted"):
            subprocess.run(["git", "clone", "-q", repo.url, str(folder / name)], check=True)
        made = Scene(forge, repo, Shop(folder / "work"), Shop(folder / "trusted"), clock, "")
        made.folder = below
        made.token = forge.job_token(repo, **PERMISSIONS)
        made.publish()
        yield made
        assert not forge.misuse

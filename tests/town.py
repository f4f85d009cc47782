"""A forge with a project on the road of promotion, the jobs of its workflow, and its people."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gitkitchen.ci.shapes import Job, Report, problems_of
from gitkitchen.ci.work import carry_out
from gitkitchen.github.api import Client
from gitkitchen.github.asking import Budget
from gitkitchen.github.events import parse_event
from gitkitchen.github.forge import Forge, Hosted
from gitkitchen.github.forge.state import Check, Pull
from gitkitchen.process import Cancel
from road import KITCHEN_YML, TWO
from shop import Said, Shop
from stage import Time

WORKFLOW = ".github/workflows/gitkitchen-promote.yml"
LEDGER = "gitkitchen-ledger"
SHIPPED = "run-name: Promote to ${{ inputs.promote }} ${{ inputs.key }}\non: workflow_dispatch\n"
"""Its name tells of the key: by it a start whose answer was lost is found again."""


class Town:
    """A forge with a project on the road, and its jobs."""

    def __init__(self, forge: Forge, repo: Hosted, folder: Path) -> None:
        self.forge, self.repo, self.folder, self.count = forge, repo, folder, 0
        self.report: Report | None = None
        """Of the newest job."""
        self.time = Time(now=datetime(2026, 11, 21, 12, tzinfo=UTC).timestamp())
        rights = {"contents": "write", "pull_requests": "write", "actions": "write", "checks": "write"}
        self.token = forge.job_token(repo, **rights)

    def job(self, name: str, event: object, ref: str, **environ: str) -> Said:
        """A job of the trusted workflow, in a new clone, with the job's token for Git, too."""
        self.count += 1
        root = self.folder / f"job{self.count}"
        url = self.repo.git_url(self.token)
        Shop(self.folder).git("clone", "-q", "-b", ref.removeprefix("refs/heads/"), url, str(root))
        path = self.folder / "event.json"
        path.write_text(json.dumps(event))
        given = {
            **self.forge.environ(self.repo, self.token),
            "GITHUB_EVENT_NAME": name,
            "GITHUB_EVENT_PATH": str(path),
            "GITHUB_WORKSPACE": str(root),
            "GITHUB_RUN_ID": str(self.count),
            "GITHUB_RUN_ATTEMPT": "1",
            "GITHUB_REF": ref,
            "GITHUB_SHA": self.repo.head(ref.removeprefix("refs/heads/")),
            "GITHUB_ACTOR": "olga",
            "GITHUB_WORKFLOW_REF": f"{self.repo.full_name}/{WORKFLOW}@refs/heads/main",
            **environ,
        }
        time, said = self.time, list[str]()
        job = Job(
            start=root,
            environ=given,
            cancel=Cancel(),
            clock=lambda: datetime.fromtimestamp(time.now, UTC),
            client=lambda environ: Client.of_job(
                environ, clock=time, sleep=time.sleep, budget=Budget(timeout=9)
            ),
            say=lambda problem: said.append(str(problem)),
        )
        report = self.report = carry_out(job, parse_event(json.dumps(event).encode(), name, given))
        told = [*report.said, *said, *map(str, problems_of(report.failures)), report.decision.reason]
        return Said(report.code, "\n".join(told), "")

    def promote(self, environment: str, **inputs: str) -> Said:
        ref = "refs/heads/main"
        event = self.repo.event(
            "workflow_dispatch", workflow=WORKFLOW, ref=ref, inputs={"promote": environment, **inputs}
        )
        return self.job("workflow_dispatch", event, ref)

    def back(self, environment: str, **inputs: str) -> Said:
        ref = "refs/heads/main"
        given = {"rollback": environment, "reason": "it counts wrong", **inputs}
        event = self.repo.event("workflow_dispatch", workflow=WORKFLOW, ref=ref, inputs=given)
        return self.job("workflow_dispatch", event, ref)

    def pushed(self, branch: str, before: str) -> Said:
        """The job of a push that a person made to a branch."""
        ref = f"refs/heads/{branch}"
        return self.job("push", self.repo.event("push", ref=ref, before=before), ref)

    def pulls(self) -> list[Pull]:
        return list(self.repo.repo.pulls.values())

    def checks(self, name: str) -> list[Check]:
        return [c for c in self.repo.repo.checks.values() if c.name == name]

    def tree(self, branch: str) -> str:
        return self.git("rev-parse", f"refs/heads/{branch}^{{tree}}")

    def git(self, *words: str) -> str:
        return Shop(Path(self.repo.repo.bare.path)).git(*words)

    def moves(self, environment: str) -> list[dict[str, object]]:
        """The environment's moves in the ledger."""
        if not self.git("for-each-ref", f"refs/heads/{LEDGER}"):
            return []
        listed = self.git("ls-tree", "-r", "--name-only", LEDGER).splitlines()
        paths = sorted(p for p in listed if p.startswith("promotions/") and f"/{environment}/" in p)
        return [json.loads(self.git("show", f"{LEDGER}:{p}"))["body"] for p in paths]

    def rows(self, environment: str, sql: str = "select carrier from worst") -> list[object]:
        """What a reader in a new clone sees."""
        self.count += 1
        root = self.folder / f"reader{self.count}"
        Shop(self.folder).git("clone", "-q", self.repo.git_url(self.token), str(root))
        return [tuple(row.values()) for row in Shop(root).rows(sql, "--kitchen", environment)]


@contextmanager
def towned(
    folder: Path, files: Mapping[str, str] | None = None, clock: Time | None = None, *, only: bool = False
) -> Iterator[Town]:
    """The road on a forge, nothing promoted yet: olga and petra may write. At its end nobody may have misused
    the API. ``clock``: the forge's, too; ``only``: these files, and all branches on the same commit."""
    text = KITCHEN_YML + f"ledger: branch\nstore: file://{folder}/store\n"
    given: Any = {"clock": clock} if clock is not None else {}
    base = {} if only else {**TWO, "kitchen.yml": text}
    with Forge(folder / "forge", **given) as forge:
        repo = forge.repository("acme/flights", {**base, **(files or {}), WORKFLOW: SHIPPED})
        repo.workflow(WORKFLOW)
        repo.repo.actions_pulls = True
        repo.allow("olga", "write")
        repo.allow("petra", "write")
        repo.commit("develop", {} if only else {"a.txt": "a"}, author="olga")
        repo.commit("staging", {} if only else {"old.txt": "old"}, author="olga")
        town = Town(forge, repo, folder)
        if clock is not None:
            town.time = clock
        yield town
        assert not forge.misuse

"""A project with three environments in a real repository, and landings on them as a promotion leaves them."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from gitkitchen.history import set_tree
from gitkitchen.kitchen.identity import environment_namespace
from gitkitchen.ledger.protocol import Ledger
from gitkitchen.model import Environment, Project
from gitkitchen.premises import find_premises
from gitkitchen.promote.moves import body_of, message_of
from gitkitchen.promote.shapes import (
    Actor,
    Evidence,
    GateResult,
    Intent,
    Landing,
    Method,
    Standing,
    stream_of,
)
from shop import Shop

KITCHEN = """\
version: 1
project: {{name: shop, id: 0123456789abcdef}}
environments:
  dev: {{branch: develop}}
  staging: {{branch: staging}}
  prod: {{branch: main}}
sandboxes: {{base: prod}}
ledger: {kind}
"""
RECIPE = """\
version: 1
recipe: delays
nodes:
  orders: {source: {file: orders.csv}, tests: [{not_null: [id]}]}
  totals: {sql: "select count(*) as n from orders", tests: [{rows: {min: 1}}]}
"""
MORNING = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)


@dataclass
class Road:
    """The project's clone is ``shop``, on branch ``work``; ``remote`` is its remote where there is one."""

    shop: Shop
    remote: Path | None
    hour: int = 0
    landed: list[Landing] = field(default_factory=list)

    @property
    def project(self) -> Project:
        return find_premises(self.shop.root).project

    @property
    def ledger(self) -> Ledger:
        """A ledger as a new command opens it."""
        return find_premises(self.shop.root).ledger

    def environment(self, name: str) -> Environment:
        found = self.project.environment(name)
        assert found is not None
        return found

    def tip(self, environment: str) -> str:
        return self.shop.git("rev-parse", f"refs/heads/{self.environment(environment).branch}")

    def tree(self, environment: str, text: str) -> str:
        """A tree that differs from the environment's in one file."""
        blob = self._git("hash-object", "-w", "--stdin", input=text)
        lines = self.shop.git("ls-tree", self.tip(environment)).splitlines()
        kept = [line for line in lines if not line.endswith("\trelease.txt")]
        return self._git("mktree", input="\n".join([*kept, f"100644 blob {blob}\trelease.txt"]) + "\n")

    def _git(self, *words: str, input: str) -> str:
        done = subprocess.run(
            ["git", *words], cwd=self.shop.root, check=True, capture_output=True, text=True, input=input
        )
        return done.stdout.strip()

    def evidence(self, environment: str, tree: str, *, recorded: bool = True, **said: Any) -> Evidence:
        """The run that proves a tree, with its record in the ledger."""
        self.hour += 1
        run = f"20260302T{self.hour % 24:02}{self.hour // 24:02}00000Z-abcdef"
        body: dict[str, Any] = {
            "run": run,
            "recipe": "delays",
            "variation": None,
            "subject": {"commit": None, "tree": tree, "dirty": False},
            "verdict": "passed",
            **said,
        }
        record = "0" * 64
        if recorded:
            namespace = environment_namespace(self.project, self.environment(environment))
            record = self.ledger.append(f"runs/{namespace}/delays", body).id
        return Evidence(
            *("delays", None, run, record, tree, "1" * 64, self.tip(environment)),
            *("2" * 64, "3" * 64, "passed", 7),
        )

    def landing(self, environment: str, text: str, **more: Any) -> Landing:
        """A landing that is about to be: its evidence is recorded, its commit is not made."""
        tree = self.tree(environment, text)
        proof = self.evidence(environment, tree, **more.pop("said", {}))
        values: dict[str, Any] = {
            "environment": environment,
            "branch": self.environment(environment).branch,
            "intent": Intent.FORWARD,
            "method": Method.PUSH,
            "tree": tree,
            "commit": "",
            "before": self.tip(environment),
            "source": self.tip("staging"),
            "source_environment": "staging",
            "at": MORNING + timedelta(hours=self.hour),
            "evidence": (proof,),
            "gates": (GateResult("approvals", Standing.PASSED, "2 of 2"),),
            "actors": (Actor("anna", "asked"), Actor("ben", "approved", tree)),
            "policy": "3" * 64,
            "fence": self.hour,
            "reason": f"release {text}",
        }
        return Landing(**{**values, **more})

    def commit(self, landing: Landing, tree: str = "", message: str = "") -> Landing:
        """Make the landing's commit and move the branch to it; ``tree``: another than it should have."""
        text = message or message_of(replace(landing, commit=landing.tree))
        oid = set_tree(self.shop.root, tree or landing.tree, [landing.before], text, 1772438400 + self.hour)
        self.move(landing.environment, oid)
        return replace(landing, commit=oid)

    def move(self, environment: str, oid: str) -> None:
        branch = self.environment(environment).branch
        self.shop.git("update-ref", f"refs/heads/{branch}", oid)
        if self.remote is not None:
            self.shop.git("push", "-q", "--force", "origin", f"{oid}:refs/heads/{branch}")

    def land(self, environment: str, text: str, **more: Any) -> Landing:
        """A whole landing: evidence, commit, branch, record."""
        landing = self.commit(self.landing(environment, text, **more))
        stream = stream_of(environment)
        ledger = self.ledger
        ledger.append(stream, body_of(landing), expect=ledger.head(stream))
        self.landed.append(landing)
        return landing

    def by_hand(self, environment: str, text: str) -> str:
        """A commit on the environment's branch that nobody landed."""
        tree = self.tree(environment, text)
        oid = set_tree(self.shop.root, tree, [self.tip(environment)], f"{text}\n", 1772438400)
        self.move(environment, oid)
        return oid


def make_road(folder: Path, kind: str) -> Road:
    """``kind``: of the ledger, ``folder`` or ``branch`` (with a remote)."""
    shop = Shop.begun(folder / "shop")
    files = {
        "kitchen.yml": KITCHEN.format(kind=kind),
        ".gitignore": ".gitkitchen/\n",
        "recipes/delays/recipe.yml": RECIPE,
        "recipes/delays/orders.csv": "id\n1\n2\n",
    }
    shop.commit(files)
    for branch in ("develop", "staging"):
        shop.git("branch", branch)
    remote = None
    if kind == "branch":
        remote = folder / "remote.git"
        shop.git("init", "-q", "--bare", str(remote))
        shop.git("remote", "add", "origin", remote.as_uri())
        shop.git("push", "-q", "origin", "main", "develop", "staging")
    shop.git("switch", "-q", "-c", "work")
    return Road(shop, remote)

"""A small workshop for tests of the engine: nodes by hand, plans as the planner would make them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gitkitchen.data.store import FolderStore
from gitkitchen.errors import Place
from gitkitchen.files import digest_bytes
from gitkitchen.model import (
    Action,
    Catalog,
    Event,
    Kitchen,
    NodeResult,
    NodeSpec,
    Plan,
    Project,
    Recipe,
    Severity,
    Step,
    Subject,
    TestSpec,
    Version,
)
from gitkitchen.plan.fingerprint import define
from gitkitchen.process import Cancel
from gitkitchen.run.engine import RunContext, effects, execute
from gitkitchen.run.journal import Journal
from gitkitchen.run.journal import read as read_journal
from gitkitchen.supervision import Supervisors

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@dataclass
class Desk:
    """Plans and runs nodes in a folder of their own."""

    root: Path
    environ: dict[str, str] = field(default_factory=dict)
    pools: dict[str, int] = field(default_factory=dict)
    environment: str | None = "prod"
    events: list[Event] = field(default_factory=list)
    runs: int = 0
    sequence: int = 0

    @property
    def project(self) -> Project:
        return Project(self.root, "shop", "0123456789abcdef", pools=self.pools)

    @property
    def kitchen(self) -> Kitchen:
        return Kitchen("0123456789abcdef", "local", "main", "k_main_000000000000", self.environment)

    @property
    def store(self) -> FolderStore:
        return FolderStore(self.root / ".gitkitchen/store", namespace="k_main_000000000000", zone="trusted")

    def write(self, files: Mapping[str, str]) -> None:
        for name, text in files.items():
            path = self.root / "recipes/r" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")

    def plan(
        self, nodes: Sequence[NodeSpec], reads: Mapping[str, Sequence[str]] | None = None, **steps: Any
    ) -> Plan:
        """All nodes to run; ``reads`` maps a node to the datasets that it reads. ``steps``: fields of all."""
        specs = {n.name: n for n in nodes}
        makers = {d: n.name for n in nodes for d in n.datasets}
        made = []
        for node in nodes:
            read = {d: makers.get(d) for d in (reads or {}).get(node.name, ())}
            after = tuple(dict.fromkeys([*node.needs, *(m for m in read.values() if m)]))
            facts = {"sql": str(node.config.get("text"))} if node.kind == "sql" else {}
            for file in (*node.files, *([node.config["file"]] if node.config.get("file") else ())):
                facts[f"file:{file}"] = digest_bytes((self.root / file).read_bytes())
            definitions = tuple(define(node, facts, combination=c) for c in (node.matrix or ({},)))
            values: dict[str, Any] = {"action": Action.RUN, "reasons": ("never built",), **steps}
            made.append(Step(node=node, reads=read, after=after, definitions=definitions, **values))
        recipe = Recipe("r", "recipes/r", "recipes/r/recipe.yml", specs)
        return Plan(self.kitchen, recipe, Subject(None, "0" * 40), tuple(made), Catalog("k", self.sequence))

    def context(self, jobs: int | None = 2, **more: Any) -> RunContext:
        self.runs += 1
        folder = self.root / f".gitkitchen/runs/{self.runs}"

        def engine() -> Any:
            from gitkitchen.data.engines.duckdb import Engine

            return Engine(self.store)

        def version_of(dataset: str) -> Version:
            raise AssertionError(f"nothing is published: {dataset}")

        values: dict[str, Any] = {
            "project": self.project,
            "kitchen": self.kitchen,
            "store": self.store,
            "engine_factory": engine,
            "run_id": f"run-{self.runs}",
            "folder": folder,
            "supervisors": Supervisors(jobs),
            "journal": Journal(folder / "journal.jsonl"),
            "version_of": version_of,
            "clock": lambda: NOW,
            "secrets": self.environ,
        }
        return RunContext(**(values | more))

    def run(
        self,
        nodes: Sequence[NodeSpec] | Plan,
        reads: Mapping[str, Sequence[str]] | None = None,
        *,
        cancel: Cancel | None = None,
        publish: int | None = None,
        jobs: int | None = 2,
        context: RunContext | None = None,
    ) -> dict[str, NodeResult]:
        """Run nodes to their end; with ``publish`` the effects of that publication too."""
        plan = nodes if isinstance(nodes, Plan) else self.plan(nodes, reads)
        used = context or self.context(jobs)
        cancel = cancel or Cancel()
        with used.journal, used.supervisors:
            results = execute(plan, used, on_event=self.events.append, cancel=cancel)
            if publish is not None:
                results += effects(plan, used, publish, on_event=self.events.append, cancel=cancel)
        return {r.node: r for r in results}

    def journal(self, run: int | None = None) -> list[dict[str, Any]]:
        path = self.root / f".gitkitchen/runs/{run or self.runs}/journal.jsonl"
        return [e for e in read_journal(path) if e["kind"] == "node"]

    def log(self, node: str) -> str:
        return (self.root / f".gitkitchen/runs/{self.runs}/logs/{node}.log").read_text(encoding="utf-8")


def shell(name: str, command: str, **more: Any) -> NodeSpec:
    """A ``run:`` node."""
    config = {"command": command, "shell": "bash"}
    return NodeSpec(name, "run", config, Place("recipes/r/recipe.yml", 7), **more)


def sql(name: str, text: str, **more: Any) -> NodeSpec:
    """A ``sql:`` node with its text in the recipe."""
    config = {"file": None, "text": text, "line": 12}
    more.setdefault("datasets", {name: None})
    return NodeSpec(name, "sql", config, Place("recipes/r/recipe.yml", 11), **more)


def python(name: str, function: str, file: str = "recipes/r/step.py", **more: Any) -> NodeSpec:
    """A ``python:`` node."""
    more.setdefault("datasets", {name: None})
    return NodeSpec(
        name, "python", {"file": file, "function": function}, Place("recipes/r/recipe.yml", 9), **more
    )


def rows_test(node: str, least: int, severity: Severity = Severity.STOP, phase: Any = "outputs") -> TestSpec:
    """A test that a dataset has at least so many rows."""
    args = {"min": least, "max": None, "relative_to": None}
    id = f"{node}/{phase}/rows(min={least})"
    return TestSpec(
        id, node, phase, "rows", node, args, (node,), severity, place=Place("recipes/r/recipe.yml", 20)
    )

